#include "tasktracker/options.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/daemon.h"

namespace lts::tasktracker {
namespace {

constexpr std::int64_t kThreadsMax = 10'000;
constexpr DurationMs kStopMaxMs = 24LL * 3600 * 1000;
constexpr std::int64_t kUnackedMax = 1'000'000;
constexpr DurationMs kSessionMinMs = 100;
constexpr DurationMs kSessionMaxMs = 600'000;
constexpr DurationMs kAdoptPeriodMinMs = 100;
constexpr DurationMs kHostIdleMaxMs = 24LL * 3600 * 1000;
constexpr DurationMs kCpuMaxMs = 365LL * 24 * 3600 * 1000;
constexpr DurationMs kAdoptPeriodMaxMs = 24LL * 3600 * 1000;

Status CheckBounds(std::string_view field, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value >= min && value <= max) return Status::Ok();
  return Status::InvalidArgument(fmt::format("{} = {}: expected {} … {}", field, value, min, max));
}

Status CheckRate(std::string_view option, double value) {
  if (value > 0 && value <= 100) return Status::Ok();
  return Status::InvalidArgument(
      fmt::format("{} = {}: expected a percentage above 0, or a share of 1", option, value));
}

// Group and instance names become parts of paths and of the identity.
Status CheckName(std::string_view field, std::string_view name) {
  const bool bad = name.empty() || name.size() > 256 || name == "." || name == ".." ||
                   std::any_of(name.begin(), name.end(), [](char c) {
                     return c == '/' || static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
                   });
  if (!bad) return Status::Ok();
  return Status::InvalidArgument(
      fmt::format("{} = \"{}\": expected 1 to 64 letters, digits and . _ : -", field, name));
}

}  // namespace

std::vector<OptionRow> OptionRows() {
  std::vector<OptionRow> rows = {
      {.name = "registryAddress",
       .text = "Where the cluster is: jobtracker://host:port[,host:port…] names its JobTrackers, "
               "zookeeper://host:2181[,host:2181…][/chroot] the ZooKeeper in which they register.",
       .default_value = "jobtracker://127.0.0.1:35001"},
      {.name = "clusterName",
       .text = "Name of the cluster in ZooKeeper; with jobtracker:// the JobTracker decides.",
       .default_value = "defaultCluster"},
      {.name = "zk.session.timeout",
       .text = "With zookeeper://: how long this process may be cut off before the others take it "
               "for gone.",
       .type = OptionType::kDurationMs,
       .default_value = "6s",
       .min = 1'000,
       .max = kSessionMaxMs},
      {.name = "zk.digest",
       .text = "With zookeeper://: user:password, when the JobTrackers keep the cluster closed to "
               "others.",
       .secret = true},
      {.name = "nodeGroup",
       .text = "Node group: whose jobs are run here.",
       .default_value = "demo"},
      {.name = "identity",
       .text = "Name of this TaskTracker in the cluster; must differ from every other's. Without a "
               "value "
               "it is made of node group, instance, host and FailStore folder."},
      {.name = "workThreads",
       .text = "Jobs that run at the same time.",
       .type = OptionType::kInt,
       .default_value = "64",
       .min = 1,
       .max = kThreadsMax},
      {.name = "dataPath",
       .text = "Folder of the FailStore, relative to LTS_HOME. Without a value: data/NAME."},
      {.name = "bizLoggerLevel",
       .text = "Business log lines below this level are not kept.",
       .default_value = "INFO",
       .choices = "DEBUG|INFO|WARN|ERROR|NO"},
      {.name = "runner.plugins",
       .text = "Runner plugins: paths or patterns, relative to LTS_HOME.",
       .type = OptionType::kList},
      {.name = "runner.default",
       .text = "Runner of jobs that name none. Without a value: the only one, if a plugin offers "
               "just one."},
      {.name = "shardField",
       .text = "Gives jobs that name no runner the one that this field of theirs names: taskId, or "
               "a parameter. Without a value: runner.default."},
      {.name = "shard.*",
       .text =
           "shard.VALUE: the runner for that value of shardField, where it is not VALUE itself. "
           "shard._LTS_DEFAULT: for values without a runner, before runner.default."},
      {.name = "runner.exec.enable",
       .text = "Offers the runner exec, which starts programs.",
       .type = OptionType::kBool,
       .default_value = "false"},
      {.name = "runner.exec.allow",
       .text = "The programs that exec may start, by their resolved paths; empty: none.",
       .type = OptionType::kList},
      {.name = "runner.http.enable",
       .text = "Offers the runner http, which sends requests.",
       .type = OptionType::kBool,
       .default_value = "false"},
      {.name = "runner.http.allow",
       .text =
           "What http may ask: URLs (that path and what is below it), HOST or *.DOMAIN (port 80 "
           "or 443), HOST:PORT, HOST:*, or * for every host; empty: nothing. Loopback and other "
           "private addresses only of a HOST:PORT or URL with a port that stands here.",
       .type = OptionType::kList},
      {.name = "runner.http.allow.private",
       .text = "Lets http connect to private addresses whatever runner.http.allow says.",
       .type = OptionType::kBool,
       .default_value = "false"},
      {.name = "runner.http.timeout",
       .text = "How long a request of http may take whose job says nothing else.",
       .type = OptionType::kDurationMs,
       .default_value = "1m",
       .min = 1,
       .max = kStopMaxMs},
      {.name = "runner.http.ca",
       .text = "File with the CAs (PEM) that http trusts, relative to LTS_HOME. Without a value: "
               "the system's."},
      {.name = "runner.isolation",
       .text = "Where runners run: process, in processes of their own, so that whatever one does "
               "costs one attempt; or thread, in the TaskTracker, where a crash ends everything. "
               "runner.NAME.isolation: the same for one runner.",
       .default_value = "process",
       .choices = "process|thread"},
      {.name = "runner.host.program",
       .text = "The program lts-runner-host. Without a value: the one of this installation."},
      {.name = "runner.host.idle",
       .text =
           "How long a runner's process is kept that has nothing to do; the last of each runner "
           "stays.",
       .type = OptionType::kDurationMs,
       .default_value = "1m",
       .min = 0,
       .max = kHostIdleMaxMs},
      {.name = "runner.limit.memory",
       .text = "Memory that a runner's process may write to (heap, stacks, private mappings: "
               "RLIMIT_DATA); beyond, allocations fail. 0: no limit. runner.NAME.limit.memory: the "
               "same for one runner.",
       .type = OptionType::kBytes,
       .default_value = "0",
       .min = 0,
       .max = 1LL << 50},
      {.name = "runner.limit.cpu",
       .text =
           "Processor time of one attempt; beyond, its process is ended (SIGXCPU). 0s: no limit. "
           "runner.NAME.limit.cpu: the same for one runner.",
       .type = OptionType::kDurationMs,
       .default_value = "0s",
       .min = 0,
       .max = kCpuMaxMs},
      {.name = "runner.limit.files",
       .text = "Descriptors that a runner's process may have open. 0: as the TaskTracker. "
               "runner.NAME.limit.files: the same for one runner.",
       .type = OptionType::kInt64,
       .default_value = "0",
       .min = 0,
       .max = 1'000'000},
      {.name = "runner.*", .text = "runner.NAME.KEY: the option KEY of the runner NAME."},
      {.name = "kill.grace",
       .text =
           "How long a job may take to stop when asked to, also at the end of its time-out; then "
           "its process is killed with all that it has started, or its thread shown as stuck.",
       .type = OptionType::kDurationMs,
       .default_value = "5s",
       .min = 0,
       .max = 3'600'000},
      {.name = "tasktracker.stop.working.enable",
       .text = "Stop all running jobs when cut off from the JobTracker for longer than the lease. "
               "Otherwise they may run beside their successors.",
       .type = OptionType::kBool,
       .default_value = "true"},
      {.name = "tasktracker.stop.timeout",
       .text =
           "How long running jobs may go on at a stop; then they are asked to stop, and go back "
           "to the JobTracker at once.",
       .type = OptionType::kDurationMs,
       .default_value = "10s",
       .min = 0,
       .max = kStopMaxMs},
      {.name = "tasktracker.drain.timeout",
       .text = "The same after `tasktracker.sh drain`, or SIGUSR1: no new jobs are taken, and the "
               "TaskTracker ends when none runs any more.",
       .type = OptionType::kDurationMs,
       .default_value = "5m",
       .min = 0,
       .max = kStopMaxMs},
      {.name = "lb.machine.res.check.enable",
       .text = "Takes no new jobs while the host, or the control group, has no room: see the two "
               "lb.*.max.",
       .type = OptionType::kBool,
       .default_value = "false"},
      {.name = "lb.cpuUsedRate.max",
       .text =
           "Processor time in use, on the average of five seconds, beyond which no new jobs are "
           "taken: in percent, or up to 1 as a share.",
       .type = OptionType::kDouble,
       .default_value = "90",
       .min = 0,
       .max = 100},
      {.name = "lb.memoryUsedRate.max",
       .text = "The same for memory; what the kernel can take back is not in use.",
       .type = OptionType::kDouble,
       .default_value = "90",
       .min = 0,
       .max = 100},
      {.name = "tasktracker.unacked.max",
       .text = "Results without acknowledgement in memory; at this many no new jobs are taken.",
       .type = OptionType::kInt64,
       .default_value = "10000",
       .min = 1,
       .max = kUnackedMax},
      {.name = "tasktracker.log.lines.max",
       .text =
           "Business log lines in memory; what comes on top is dropped, and a line says how many.",
       .type = OptionType::kInt64,
       .default_value = "20000",
       .min = 1,
       .max = 10'000'000},
      {.name = "tasktracker.log.bytes.max",
       .text = "The same in bytes.",
       .type = OptionType::kBytes,
       .default_value = "8MiB",
       .min = 1 << 16,
       .max = 1LL << 32},
      {.name = "job.fail.store",
       .text =
           "Engine of the FailStore, where results and log lines wait that cannot be delivered.",
       .default_value = "rocksdb",
       .choices = "rocksdb|leveldb"},
      {.name = "job.fail.store.bytes.max",
       .text = "What the FailStore holds at most; when it is full no new jobs are taken.",
       .type = OptionType::kBytes,
       .default_value = "1GiB",
       .min = 1 << 20,
       .max = 1LL << 50},
      {.name = "job.fail.store.count.max",
       .text = "How many records the FailStore holds at most.",
       .type = OptionType::kInt64,
       .default_value = "1000000",
       .min = 1,
       .max = 1'000'000'000},
      {.name = "job.fail.store.adopt.period",
       .text = "How often folders are taken over that dead processes of the group left behind.",
       .type = OptionType::kDurationMs,
       .default_value = "60s",
       .min = kAdoptPeriodMinMs,
       .max = kAdoptPeriodMaxMs},
      {.name = "ops.listen",
       .text = "Address of /healthz, /readyz and /metrics, on the loopback; port 0 takes a free "
               "one; empty: "
               "none.",
       .default_value = "127.0.0.1:0"},
      {.name = "log.level",
       .text = "Lines below this level are not written to the program's log.",
       .default_value = "info",
       .choices = "debug|info|warn|error|off"},
      {.name = "log.file",
       .text = "File of the program's log, relative to LTS_HOME. Without a value: standard error."},
  };
  const std::vector<OptionRow> shared = rpc::SecurityRows();
  rows.insert(rows.end(), shared.begin(), shared.end());
  return rows;
}

TaskTrackerOptions OptionsFrom(const Options& options, const std::string& home,
                               const std::string& name) {
  TaskTrackerOptions out;
  out.registry_address = options.String("registryAddress");
  out.cluster_name = options.String("clusterName");
  out.zk_session_timeout = std::chrono::milliseconds(options.Duration("zk.session.timeout"));
  out.zk_digest = options.String("zk.digest");
  const rpc::SecuritySettings security = rpc::SecuritySettingsFrom(options, home);
  out.token = security.token;
  out.tls_ca = security.tls_ca;
  out.tls_cert = security.tls_cert;
  out.tls_key = security.tls_key;
  out.node_group = options.String("nodeGroup");
  out.name = name;
  out.identity = options.String("identity");
  const std::string& data_path = options.String("dataPath");
  out.data_path = PathBelow(home, data_path.empty() ? "data/" + name : data_path);
  out.fail_store = options.String("job.fail.store");
  out.fail_store_bytes_max = options.Bytes("job.fail.store.bytes.max");
  out.fail_store_count_max = options.Int64("job.fail.store.count.max");
  out.fail_store_adopt_period =
      std::chrono::milliseconds(options.Duration("job.fail.store.adopt.period"));
  out.work_threads = options.Int("workThreads");
  out.plugins = options.List("runner.plugins");
  out.plugin_folder = home;
  out.default_runner = options.String("runner.default");
  out.shard_field = options.String("shardField");
  constexpr std::string_view kShards = "shard.";
  for (const auto& [key, runner] : options.WithPrefix(kShards)) {
    out.shards.emplace(key.substr(kShards.size()), runner);
  }
  out.exec_enable = options.Bool("runner.exec.enable");
  out.exec_allow = options.List("runner.exec.allow");
  out.http_enable = options.Bool("runner.http.enable");
  out.http_allow = options.List("runner.http.allow");
  out.http_allow_private = options.Bool("runner.http.allow.private");
  out.http_timeout = std::chrono::milliseconds(options.Duration("runner.http.timeout"));
  const std::string& http_ca = options.String("runner.http.ca");
  out.http_ca = http_ca.empty() ? http_ca : PathBelow(home, http_ca);
  out.runner_config = options.WithPrefix("runner.");
  out.isolation = options.String("runner.isolation");
  const std::string& host = options.String("runner.host.program");
  out.runner_host = host.empty() ? host : PathBelow(home, host);
  out.runner_host_idle = std::chrono::milliseconds(options.Duration("runner.host.idle"));
  out.runner_memory_limit = options.Bytes("runner.limit.memory");
  out.runner_cpu_limit = std::chrono::ceil<std::chrono::seconds>(
      std::chrono::milliseconds(options.Duration("runner.limit.cpu")));
  out.runner_files_limit = options.Int64("runner.limit.files");
  out.biz_logger_level = options.String("bizLoggerLevel");
  out.log_lines_max = options.Int64("tasktracker.log.lines.max");
  out.log_bytes_max = options.Bytes("tasktracker.log.bytes.max");
  out.unacked_results_max = options.Int64("tasktracker.unacked.max");
  out.stop_working = options.Bool("tasktracker.stop.working.enable");
  out.stop_timeout = std::chrono::milliseconds(options.Duration("tasktracker.stop.timeout"));
  out.drain_timeout = std::chrono::milliseconds(options.Duration("tasktracker.drain.timeout"));
  out.kill_grace = std::chrono::milliseconds(options.Duration("kill.grace"));
  out.resource_check = options.Bool("lb.machine.res.check.enable");
  out.cpu_used_rate_max = options.Double("lb.cpuUsedRate.max");
  out.memory_used_rate_max = options.Double("lb.memoryUsedRate.max");
  out.ops_listen = options.String("ops.listen");
  return out;
}

Status CheckOptions(const TaskTrackerOptions& options) {
  LTS_RETURN_IF_ERROR(CheckName("node_group", options.node_group));
  LTS_RETURN_IF_ERROR(CheckName("name", options.name));
  if (!options.identity.empty()) LTS_RETURN_IF_ERROR(CheckName("identity", options.identity));
  LTS_RETURN_IF_ERROR(CheckBounds("zk_session_timeout (ms)", options.zk_session_timeout.count(),
                                  kSessionMinMs, kSessionMaxMs));
  LTS_RETURN_IF_ERROR(CheckBounds("work_threads", options.work_threads, 1, kThreadsMax));
  LTS_RETURN_IF_ERROR(
      CheckBounds("stop_timeout (ms)", options.stop_timeout.count(), 0, kStopMaxMs));
  LTS_RETURN_IF_ERROR(
      CheckBounds("drain_timeout (ms)", options.drain_timeout.count(), 0, kStopMaxMs));
  LTS_RETURN_IF_ERROR(CheckBounds("fail_store_adopt_period (ms)",
                                  options.fail_store_adopt_period.count(), kAdoptPeriodMinMs,
                                  kAdoptPeriodMaxMs));
  LTS_RETURN_IF_ERROR(CheckBounds("kill_grace (ms)", options.kill_grace.count(), 0, 3'600'000));
  LTS_RETURN_IF_ERROR(
      CheckBounds("runner_host_idle (ms)", options.runner_host_idle.count(), 0, kHostIdleMaxMs));
  LTS_RETURN_IF_ERROR(
      CheckBounds("http_timeout (ms)", options.http_timeout.count(), 1, kStopMaxMs));
  LTS_RETURN_IF_ERROR(
      CheckBounds("unacked_results_max", options.unacked_results_max, 1, kUnackedMax));
  LTS_RETURN_IF_ERROR(CheckBounds("log_lines_max", options.log_lines_max, 1, 10'000'000));
  LTS_RETURN_IF_ERROR(CheckBounds("log_bytes_max", options.log_bytes_max, 1 << 16, 1LL << 32));
  LTS_RETURN_IF_ERROR(CheckRate("lb.cpuUsedRate.max", options.cpu_used_rate_max));
  LTS_RETURN_IF_ERROR(CheckRate("lb.memoryUsedRate.max", options.memory_used_rate_max));
  if (options.data_path.empty()) {
    return Status::InvalidArgument("data_path is empty: results need a folder to be kept in");
  }
  return Status::Ok();
}

discovery::DiscoveryOptions DiscoveryOptionsFrom(const TaskTrackerOptions& options) {
  discovery::DiscoveryOptions out;
  out.registry_address = options.registry_address;
  out.cluster_name = options.cluster_name;
  out.zk_digest = options.zk_digest;
  out.zk_session_timeout_ms = options.zk_session_timeout.count();
  return out;
}

Result<rpc::Credentials> CredentialsFrom(const TaskTrackerOptions& options) {
  return rpc::LoadCredentials({options.token, options.tls_ca, options.tls_cert, options.tls_key},
                              rpc::Side::kClient);
}

Result<int> BizLogLevel(std::string_view text) {
  constexpr std::string_view kNames[] = {"DEBUG", "INFO", "WARN", "ERROR", "NO"};
  const auto* found = std::find(std::begin(kNames), std::end(kNames), text);
  if (found != std::end(kNames)) return static_cast<int>(found - std::begin(kNames));
  return Status::InvalidArgument(
      fmt::format("biz_logger_level = \"{}\": expected DEBUG, INFO, WARN, ERROR or NO", text));
}

}  // namespace lts::tasktracker

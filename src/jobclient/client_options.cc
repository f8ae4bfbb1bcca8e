#include "jobclient/client_options.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>

#include "common/daemon.h"
#include "common/host_name.h"
#include "common/ids.h"
#include "common/log.h"
#include "model/validate.h"
#include "rpc/security.h"

namespace lts::jobclient {
namespace {

constexpr std::int64_t kTimeoutMaxMs = 600'000;
constexpr std::int64_t kSessionMinMs = 100;
constexpr std::int64_t kSessionMaxMs = 600'000;
constexpr std::int64_t kInFlightCountMax = 10'000'000;
constexpr std::int64_t kInFlightBytesMin = 1 << 20;
constexpr std::int64_t kInFlightBytesMax = 16LL << 30;
constexpr std::int64_t kFeedbackWindowMax = 1'000;
constexpr DurationMs kAdoptPeriodMinMs = 100;
constexpr DurationMs kAdoptPeriodMaxMs = 24LL * 3600 * 1000;
constexpr std::int64_t kPayloadMax = 1 << 20;

Status CheckBounds(std::string_view field, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value >= min && value <= max) return Status::Ok();
  return Status::InvalidArgument(fmt::format("{} = {}: expected {} … {}", field, value, min, max));
}

}  // namespace

const OptionTable& ClientOptionTable() {
  static const OptionTable table(
      Daemon::kJobClient,
      {
          {.name = "registryAddress",
           .text =
               "Where the cluster is: jobtracker://host:port[,host:port…] names its JobTrackers, "
               "zookeeper://host:2181[,host:2181…][/chroot] the ZooKeeper in which they register.",
           .default_value = "jobtracker://127.0.0.1:35001"},
          {.name = "clusterName",
           .text = "Name of the cluster in ZooKeeper; with jobtracker:// the JobTracker decides.",
           .default_value = "defaultCluster"},
          {.name = "zk.session.timeout",
           .text = "With zookeeper://: how long this process may be cut off before the others take "
                   "it for gone.",
           .type = OptionType::kDurationMs,
           .default_value = "6s",
           .min = 1'000,
           .max = kSessionMaxMs},
          {.name = "zk.digest",
           .text = "With zookeeper://: user:password, when the JobTrackers keep the cluster closed "
                   "to others.",
           .secret = true},
          {.name = "nodeGroup",
           .text = "Node group of this client: whose feedback it receives, and the submit group of "
                   "jobs "
                   "that name none.",
           .default_value = "lts"},
          {.name = "identity",
           .text = "Names this process in the cluster; without a value it is made of host name, "
                   "process "
                   "id and a random part."},
          {.name = "dataPath",
           .text = "Folder of the FailStore; relative to LTS_HOME. Without a value: data/jobclient "
                   "there."},
          {.name = "job.fail.store",
           .text = "Engine of the FailStore, where jobs wait that no JobTracker takes now; none: "
                   "errors "
                   "return to the caller.",
           .default_value = "rocksdb",
           .choices = "rocksdb|leveldb|none"},
          {.name = "job.fail.store.bytes.max",
           .text = "What the FailStore holds at most; over it a submit fails.",
           .type = OptionType::kBytes,
           .default_value = "1GiB",
           .min = 1 << 20,
           .max = 1LL << 50},
          {.name = "job.fail.store.count.max",
           .text = "How many records the FailStore holds at most; over it a submit fails.",
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
          {.name = "job.submit.timeout",
           .text = "How long a submit waits for an answer before the job is stored, or fails.",
           .type = OptionType::kDurationMs,
           .default_value = "10s",
           .min = 1,
           .max = kTimeoutMaxMs},
          {.name = "job.submit.max.count",
           .text = "Jobs handed in and not answered yet; what comes on top is refused at once.",
           .type = OptionType::kInt64,
           .default_value = "100000",
           .min = 1,
           .max = kInFlightCountMax},
          {.name = "job.submit.max.bytes",
           .text = "The same in bytes of encoded jobs.",
           .type = OptionType::kBytes,
           .default_value = "64MiB",
           .min = kInFlightBytesMin,
           .max = kInFlightBytesMax},
          {.name = "job.payload.max",
           .text =
               "Payload and parameters of one job; the JobTracker has the same limit of its own.",
           .type = OptionType::kBytes,
           .default_value = "64KiB",
           .min = 1,
           .max = kPayloadMax},
          {.name = "shutdown.timeout",
           .text = "How long closing waits for answers before the rest is stored, or fails.",
           .type = OptionType::kDurationMs,
           .default_value = "10s",
           .min = 0,
           .max = kTimeoutMaxMs},
          {.name = "job.feedback.window",
           .text = "Results taken over from a JobTracker but not handled yet.",
           .type = OptionType::kInt,
           .default_value = "100",
           .min = 1,
           .max = kFeedbackWindowMax},
      },
      rpc::SecurityRows());
  return table;
}

JobClientOptions ClientOptionsFrom(const Options& options, const std::string& home) {
  JobClientOptions out;
  out.registry_address = options.String("registryAddress");
  out.cluster_name = options.String("clusterName");
  out.zk_session_timeout = Milliseconds(options.Duration("zk.session.timeout"));
  out.zk_digest = options.String("zk.digest");
  const rpc::SecuritySettings security = rpc::SecuritySettingsFrom(options, home);
  out.token = security.token;
  out.tls_ca = security.tls_ca;
  out.tls_cert = security.tls_cert;
  out.tls_key = security.tls_key;
  out.node_group = options.String("nodeGroup");
  out.identity = options.String("identity");
  const std::string& engine = options.String("job.fail.store");
  out.fail_store = engine == "none" ? std::string() : engine;
  const std::string& data_path = options.String("dataPath");
  out.data_path = PathBelow(home, data_path.empty() ? "data/jobclient" : data_path);
  out.fail_store_bytes_max = options.Bytes("job.fail.store.bytes.max");
  out.fail_store_count_max = options.Int64("job.fail.store.count.max");
  out.fail_store_adopt_period = Milliseconds(options.Duration("job.fail.store.adopt.period"));
  out.submit_timeout = Milliseconds(options.Duration("job.submit.timeout"));
  out.shutdown_timeout = Milliseconds(options.Duration("shutdown.timeout"));
  out.submit_in_flight_max = options.Int64("job.submit.max.count");
  out.submit_in_flight_bytes_max = options.Bytes("job.submit.max.bytes");
  out.payload_bytes_max = options.Bytes("job.payload.max");
  out.feedback_window = options.Int("job.feedback.window");
  return out;
}

Status CheckClientOptions(const JobClientOptions& options) {
  LTS_RETURN_IF_ERROR(model::ValidateName("node_group", options.node_group));
  LTS_RETURN_IF_ERROR(CheckBounds("zk_session_timeout (ms)", options.zk_session_timeout.count(),
                                  kSessionMinMs, kSessionMaxMs));
  LTS_RETURN_IF_ERROR(
      CheckBounds("submit_timeout (ms)", options.submit_timeout.count(), 1, kTimeoutMaxMs));
  LTS_RETURN_IF_ERROR(
      CheckBounds("shutdown_timeout (ms)", options.shutdown_timeout.count(), 0, kTimeoutMaxMs));
  LTS_RETURN_IF_ERROR(CheckBounds("fail_store_adopt_period (ms)",
                                  options.fail_store_adopt_period.count(), kAdoptPeriodMinMs,
                                  kAdoptPeriodMaxMs));
  LTS_RETURN_IF_ERROR(
      CheckBounds("submit_in_flight_max", options.submit_in_flight_max, 1, kInFlightCountMax));
  LTS_RETURN_IF_ERROR(CheckBounds("submit_in_flight_bytes_max", options.submit_in_flight_bytes_max,
                                  kInFlightBytesMin, kInFlightBytesMax));
  LTS_RETURN_IF_ERROR(CheckBounds("payload_bytes_max", options.payload_bytes_max, 1, kPayloadMax));
  LTS_RETURN_IF_ERROR(
      CheckBounds("feedback_window", options.feedback_window, 1, kFeedbackWindowMax));
  if (!options.fail_store.empty() && options.data_path.empty()) {
    return Status::InvalidArgument(fmt::format(
        "fail_store = \"{}\" needs a data_path, the folder to keep jobs in", options.fail_store));
  }
  return Status::Ok();
}

discovery::DiscoveryOptions DiscoveryOptionsFrom(const JobClientOptions& options) {
  discovery::DiscoveryOptions out;
  out.registry_address = options.registry_address;
  out.cluster_name = options.cluster_name;
  out.zk_digest = options.zk_digest;
  out.zk_session_timeout_ms = options.zk_session_timeout.count();
  return out;
}

Result<rpc::Credentials> CredentialsFrom(const JobClientOptions& options) {
  return rpc::LoadCredentials({options.token, options.tls_ca, options.tls_cert, options.tls_key},
                              rpc::Side::kClient);
}

std::string MakeIdentity() {
  return FittedName(
      fmt::format("{}-{}-{:08x}", FullHostName(), getpid(), RandomSeed() & 0xffffffffU));
}

}  // namespace lts::jobclient

namespace lts {

Result<JobClientOptions> JobClientOptions::FromFile(const std::string& path) {
  OptionSources sources;
  sources.environment = LtsEnvironment();
  sources.file = path;
  const Result<Options> options = jobclient::ClientOptionTable().Load(sources);
  if (!options.ok()) return options.status();
  for (const std::string& warning : options->warnings()) LTS_WARN("{}", warning);
  // The program that links this library lives anywhere, so its own folder says nothing.
  const char* lts_home = std::getenv("LTS_HOME");
  const char* user_home = std::getenv("HOME");
  std::string home = ".";
  if (lts_home != nullptr && *lts_home != '\0') {
    home = lts_home;
  } else if (user_home != nullptr && *user_home != '\0') {
    home = std::string(user_home) + "/.lts";
  }
  return jobclient::ClientOptionsFrom(*options, home);
}

}  // namespace lts

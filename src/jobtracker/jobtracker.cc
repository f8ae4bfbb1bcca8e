#include "jobtracker/jobtracker.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "common/daemon.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/strand.h"
#include "jobtracker/edge.h"
#include "jobtracker/partition_host.h"
#include "jobtracker/queries.h"
#include "jobtracker/services.h"
#include "model/partition.h"
#include "model/retry.h"
#include "model/time_zone.h"
#include "model/validate.h"
#include "rpc/ops_server.h"
#include "rpc/server.h"
#include "store/rocksdb/rocksdb_store.h"

namespace lts {

namespace {

constexpr std::int64_t kRetainPeriodUs = 60'000'000;
constexpr std::int32_t kRetainRows = 5'000;
constexpr std::int64_t kMetricsPeriodUs = 1'000'000;

// Faults that end-to-end tests plant to see that their checkers find them:
// LTS_TEST_FAULTS=no_token_check.
core::PlantedFaults FaultsFromEnvironment() {
  core::PlantedFaults faults;
  const char* text = std::getenv("LTS_TEST_FAULTS");
  if (text == nullptr || *text == '\0') return faults;
  const std::string_view asked(text);
  faults.result_without_token_check = asked.find("no_token_check") != std::string_view::npos;
  faults.forget_running_at_restart = asked.find("forget_running") != std::string_view::npos;
  LTS_WARN("faults are planted for a test, never use this in production LTS_TEST_FAULTS={}", asked);
  return faults;
}

// What one partition shows, copied on its strand once a second and read by the metrics thread.
struct PartitionMetrics {
  PartitionMetrics(MetricsRegistry& registry, std::uint32_t partition,
                   const PartitionHostOptions& options)
      : labels{{"partition", std::to_string(partition)}},
        pending(registry, fmt::format("partition.pending.max/{}", partition),
                static_cast<std::int64_t>(options.pending_jobs_max)),
        pending_bytes(registry, fmt::format("partition.pending.bytes.max/{}", partition),
                      static_cast<std::int64_t>(options.pending_bytes_max)),
        memory(registry, fmt::format("partition.memory.max/{}", partition),
               static_cast<std::int64_t>(options.core.memory_bytes_max)),
        lookups(registry, fmt::format("partition.lookups.max/{}", partition),
                static_cast<std::int64_t>(options.core.lookups_max)),
        resident(registry, fmt::format("partition.resident.max/{}", partition),
                 static_cast<std::int64_t>(options.core.resident_max)),
        schedules(registry, fmt::format("schedules.max/{}", partition),
                  static_cast<std::int64_t>(options.core.schedules_max)),
        groups(registry, fmt::format("groups.max/{}", partition),
               static_cast<std::int64_t>(options.core.groups_max)),
        trackers(registry, fmt::format("tasktrackers.max/{}", partition),
                 static_cast<std::int64_t>(options.core.workers_max)),
        window(registry, fmt::format("partition.window.max/{}", partition),
               static_cast<std::int64_t>(options.core.window_max)),
        feedback(registry, fmt::format("feedback.window.max/{}", partition),
                 static_cast<std::int64_t>(options.core.feedback_window_max)),
        accepted(
            registry.AddCounter("lts_jobs_accepted_total", "Jobs and schedules accepted", labels)),
        dispatched(registry.AddCounter("lts_jobs_dispatched_total",
                                       "Attempts given to TaskTrackers", labels)),
        succeeded(
            registry.AddCounter("lts_jobs_succeeded_total", "Runs that ended SUCCEEDED", labels)),
        failed(
            registry.AddCounter("lts_jobs_failed_total", "Runs that ended FAILED or DEAD", labels)),
        retried(registry.AddCounter("lts_attempts_retried_total", "Attempts followed by a retry",
                                    labels)),
        lost(registry.AddCounter("lts_attempts_lost_total", "Attempts lost with their TaskTracker",
                                 labels)),
        stale(registry.AddCounter("lts_results_stale_total", "Results that came too late to count",
                                  labels)),
        fires(
            registry.AddCounter("lts_fires_total", "Fires of schedules that became runs", labels)),
        skipped(registry.AddCounter("lts_fires_skipped_total",
                                    "Fires of schedules that were skipped", labels)),
        commits(registry.AddCounter("lts_commits_total", "Group commits", labels)),
        mutations(registry.AddCounter("lts_mutations_total", "Rows changed by commits", labels)),
        offenders(registry.AddCounter("lts_store_refused_total",
                                      "Requests and results that the store refused for good",
                                      labels)),
        failed_reads(registry.AddCounter("lts_store_failed_reads_total",
                                         "Reads of the scheduler that failed", labels)),
        executing(registry.AddGauge("lts_jobs_executing", "Attempts under way", labels)),
        ready(registry.AddGauge("lts_jobs_ready", "Due jobs held in memory", labels)),
        silent(registry.AddGauge("lts_schedules_zone_unknown",
                                 "Schedules that do not fire: this host lacks their time zone",
                                 labels)),
        serving(registry.AddGauge("lts_partition_serving", "1 while the partition is served",
                                  labels)) {}

  void Update(const PartitionHost& host) {
    serving.Set(host.serving() ? 1 : 0);
    const PartitionHost::Counters counters = host.counters();
    Raise(commits, counters.commits);
    Raise(mutations, counters.mutations);
    pending.SetCurrent(static_cast<std::int64_t>(counters.pending_jobs));
    if (counters.refused > pending.refused()) pending.Refused(counters.refused - pending.refused());
    pending_bytes.SetCurrent(static_cast<std::int64_t>(counters.pending_bytes));
    if (counters.refused_bytes > pending_bytes.refused()) {
      pending_bytes.Refused(counters.refused_bytes - pending_bytes.refused());
    }
    Raise(offenders, counters.offenders);
    Raise(failed_reads, counters.failed_reads);
    if (host.partition() == nullptr) return;
    const core::PartitionStats stats = host.partition()->Stats();
    // The counts of a core start at nothing after a reload: what it counted since then is added.
    const auto since = [](std::uint64_t now, std::uint64_t& before) {
      const std::uint64_t delta = now >= before ? now - before : now;
      before = now;
      return delta;
    };
    accepted.Add(since(stats.accepted, last.accepted));
    dispatched.Add(since(stats.dispatched, last.dispatched));
    succeeded.Add(since(stats.succeeded, last.succeeded));
    failed.Add(since(stats.failed + stats.dead, last.failed));
    retried.Add(since(stats.retried, last.retried));
    lost.Add(since(stats.lost, last.lost));
    stale.Add(since(stats.stale_results, last.stale_results));
    fires.Add(since(stats.fires, last.fires));
    skipped.Add(since(stats.skipped_fires, last.skipped_fires));
    lookups.Refused(since(stats.over_lookups, last.over_lookups));
    groups.Refused(since(stats.over_groups, last.over_groups));
    resident.Refused(since(stats.over_resident, last.over_resident));
    schedules.Refused(since(stats.over_schedules, last.over_schedules));
    trackers.Refused(since(stats.over_workers, last.over_workers));
    memory.Refused(since(stats.over_memory, last.over_memory));
    memory.SetCurrent(static_cast<std::int64_t>(stats.memory_bytes));
    silent.Set(static_cast<std::int64_t>(stats.schedules_without_fires));
    lookups.SetCurrent(static_cast<std::int64_t>(stats.waiting_operations));
    resident.SetCurrent(static_cast<std::int64_t>(stats.resident));
    schedules.SetCurrent(static_cast<std::int64_t>(stats.schedules));
    groups.SetCurrent(static_cast<std::int64_t>(stats.groups));
    trackers.SetCurrent(static_cast<std::int64_t>(stats.registered_workers));
    window.SetCurrent(static_cast<std::int64_t>(stats.window));
    feedback.SetCurrent(static_cast<std::int64_t>(stats.feedback));
    executing.Set(static_cast<std::int64_t>(stats.executing));
    ready.Set(static_cast<std::int64_t>(stats.ready));
  }

  static void Raise(Counter& counter, std::uint64_t to) {
    if (to > counter.value()) counter.Add(to - counter.value());
  }

  const Labels labels;
  LimitMetrics pending, pending_bytes, memory, lookups, resident, schedules, groups, trackers,
      window, feedback;
  Counter &accepted, &dispatched, &succeeded, &failed, &retried, &lost, &stale, &fires, &skipped,
      &commits, &mutations, &offenders, &failed_reads;
  Gauge &executing, &ready, &silent, &serving;
  core::PartitionStats last;
};

}  // namespace

// Declared in the order of start; destroyed in reverse.
struct JobTracker::Parts {
  SystemClock clock;
  MetricsRegistry metrics;
  std::unique_ptr<store::JobStore> store;
  std::vector<std::unique_ptr<ThreadStrand>> cores;
  std::vector<std::unique_ptr<ThreadStrand>> io;
  std::unique_ptr<ThreadStrand> reads;
  std::unique_ptr<ThreadStrand> queries_strand;
  std::unique_ptr<ThreadStrand> logs;
  std::unique_ptr<ThreadStrand> upkeep;
  std::unique_ptr<Edge> edge;
  std::vector<std::unique_ptr<PartitionHost>> hosts;
  std::vector<std::unique_ptr<PartitionMetrics>> partition_metrics;
  std::unique_ptr<Queries> queries;
  std::unique_ptr<Services> services;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<OpsServer> ops;
  // Written once a second, read by the ops server's threads.
  std::mutex ready_mutex;
  Status ready;
  DurationMs history_retention_ms = 0;
  DurationMs log_retention_ms = 0;
  std::int64_t stop_grace_ms = 0;
  bool stopped = false;

  Strand& CoreOf(std::uint32_t partition) { return *cores[partition % cores.size()]; }
  void Retain();
  void UpdateMetrics();
};

// Deletes what is old, a bounded piece at a time; goes on at once while there is more.
void JobTracker::Parts::Retain() {
  bool more = false;
  const TimeMs now = clock.WallMs();
  for (std::uint32_t i = 0; i < hosts.size(); ++i) {
    auto epoch = std::make_shared<std::promise<std::uint64_t>>();
    CoreOf(i).Post(
        [host = hosts[i].get(), epoch] { epoch->set_value(host->serving() ? host->epoch() : 0); });
    const std::uint64_t current = epoch->get_future().get();
    if (current == 0) continue;
    store::RetentionPolicy policy{now - history_retention_ms, now - log_retention_ms, kRetainRows};
    auto gone = store->Retain(i, current, policy);
    if (!gone.ok()) {
      LTS_WARN("old rows could not be deleted partition={} error=\"{}\"", i,
               gone.status().ToString());
    } else {
      more = more || *gone >= kRetainRows;
    }
  }
  upkeep->PostAfter(more ? 0 : kRetainPeriodUs, [this] { Retain(); });
}

void JobTracker::Parts::UpdateMetrics() {
  struct Seen {
    bool serving;
    Status trouble;
  };
  std::size_t serving = 0;
  Status trouble;
  for (std::uint32_t i = 0; i < hosts.size(); ++i) {
    auto done = std::make_shared<std::promise<Seen>>();
    CoreOf(i).Post([this, i, done] {
      partition_metrics[i]->Update(*hosts[i]);
      done->set_value({hosts[i]->serving(), hosts[i]->Trouble()});
    });
    const Seen seen = done->get_future().get();
    if (seen.serving) ++serving;
    if (trouble.ok()) trouble = seen.trouble;
  }
  Status now;
  if (serving < hosts.size()) {
    now = Status::Unavailable(fmt::format("{} of {} partitions are served", serving, hosts.size()));
    if (!trouble.ok()) now = Status::Unavailable(now.message() + ": " + trouble.message());
  } else if (!trouble.ok()) {
    // It serves, but whatever it is asked to store waits or is refused.
    now = Status::Unavailable("the store takes nothing at the moment: " + trouble.message());
  }
  {
    const std::lock_guard lock(ready_mutex);
    ready = now;
  }
  upkeep->PostAfter(kMetricsPeriodUs, [this] { UpdateMetrics(); });
}

Result<std::unique_ptr<JobTracker>> JobTracker::Start(const Options& options,
                                                      const std::string& name,
                                                      const std::string& data_path) {
  const std::string& registry = options.String("registryAddress");
  if (registry.starts_with("zookeeper://")) {
    return Status::InvalidArgument(
        fmt::format("registryAddress={}: this build has no ZooKeeper registry; use "
                    "registryAddress=embedded (one "
                    "JobTracker, nothing else to install)",
                    registry));
  }
  if (options.String("job.queue") != "rocksdb") {
    return Status::InvalidArgument(
        fmt::format("job.queue={}: this build keeps queues in RocksDB only; use job.queue=rocksdb",
                    options.String("job.queue")));
  }
  if (registry != "embedded" && !registry.starts_with("jobtracker://")) {
    return Status::InvalidArgument(fmt::format("registryAddress={}: must be `embedded`", registry));
  }
  if (options.Duration("dedup.horizon") > options.Duration("history.retention")) {
    return Status::InvalidArgument(
        "dedup.horizon is longer than history.retention: job ids are recognised by the history, so "
        "it must be kept at "
        "least as long");
  }
  if (Status valid = model::ValidateName("clusterName", options.String("clusterName")); !valid.ok())
    return valid;
  if (Status valid = model::ValidateName("nodeGroup", options.String("nodeGroup")); !valid.ok())
    return valid;
  auto retry = model::ParseRetryPolicy(options.String("job.retry.default"));
  if (!retry.ok()) return retry.status().WithContext("job.retry.default");
  // Asked for here: the first cron job without a zone of its own would find out too late.
  const std::string& zone = options.String("schedule.timezone");
  if (auto found = model::FindTimeZone(zone); !found.ok()) {
    if (found.status().code() != StatusCode::kInvalidArgument) {
      return found.status().WithContext("schedule.timezone=" + zone);
    }
    return Status::InvalidArgument(
        fmt::format("schedule.timezone={}: no such time zone; it must be a name of the IANA data "
                    "base as below {}, such as UTC or Europe/Berlin",
                    zone, model::kZoneFolder));
  }

  std::error_code error;
  std::filesystem::create_directories(data_path, error);
  if (error)
    return Status::Unavailable(
        fmt::format("cannot make the data folder {}: {}", data_path, error.message()));

  auto parts = std::make_unique<Parts>();
  Parts& p = *parts;
  p.history_retention_ms = options.Duration("history.retention");
  p.log_retention_ms = options.Duration("log.retention");
  p.stop_grace_ms = options.Duration("stop.timeout");

  store::StoreIdentity wanted;
  wanted.cluster_name = options.String("clusterName");
  wanted.partitions = static_cast<std::uint32_t>(options.Int("cluster.partitions"));
  store::RocksdbStoreOptions store_options;
  store_options.block_cache_bytes = static_cast<std::size_t>(options.Bytes("store.cache"));
  auto store = store::OpenRocksdbStore((std::filesystem::path(data_path) / "store").string(),
                                       wanted, p.clock, store_options);
  if (!store.ok()) return store.status();
  p.store = *std::move(store);

  const std::string identity = options.String("identity").empty()
                                   ? options.String("nodeGroup") + "-" + name
                                   : options.String("identity");
  const std::uint32_t partitions = wanted.partitions;

  EdgeOptions edge_options;
  edge_options.partitions = partitions;
  edge_options.limits.payload_bytes_max =
      static_cast<std::size_t>(options.Bytes("job.payload.max"));
  edge_options.limits.default_time_zone = options.String("schedule.timezone");
  edge_options.cluster_id = p.store->Identity().cluster_id;
  edge_options.tasktracker_lease_ms = options.Duration("tasktracker.lease");
  edge_options.items_per_submit_max = static_cast<std::size_t>(options.Int("submit.items.max"));
  edge_options.waits_max = options.Int("waits.max");
  p.edge = std::make_unique<Edge>(edge_options, p.clock, p.metrics);

  // Scheduling itself is quick: two threads serve all partitions. Commits wait for the disk, so
  // each partition has a thread of its own for them.
  for (std::uint32_t i = 0; i < std::min(partitions, 2U); ++i) {
    p.cores.push_back(std::make_unique<ThreadStrand>(fmt::format("core-{}", i)));
  }
  for (std::uint32_t i = 0; i < std::min(partitions, 16U); ++i) {
    p.io.push_back(std::make_unique<ThreadStrand>(fmt::format("commit-{}", i)));
  }
  p.reads = std::make_unique<ThreadStrand>("reads");
  p.queries_strand = std::make_unique<ThreadStrand>("queries");
  p.logs = std::make_unique<ThreadStrand>("logs");
  p.upkeep = std::make_unique<ThreadStrand>("upkeep");

  std::vector<std::future<Status>> loaded;
  for (std::uint32_t i = 0; i < partitions; ++i) {
    PartitionHostOptions host;
    host.owner = identity;
    host.pending_jobs_max = static_cast<std::size_t>(options.Int("partition.pending.max"));
    host.pending_bytes_max = static_cast<std::size_t>(options.Bytes("partition.pending.bytes.max"));
    core::PartitionOptions& core = host.core;
    core.partition = i;
    core.seed = RandomSeed();
    core.default_time_zone = options.String("schedule.timezone");
    core.default_retry = *retry;
    core.tasktracker_lease_ms = options.Duration("tasktracker.lease");
    core.kill_grace_ms = options.Duration("kill.grace");
    core.misfire_grace_ms = options.Duration("misfire.grace");
    core.lost_times_max = options.Int("job.max.lost.times");
    core.later_times_max = options.Int("job.later.times.max");
    core.dedup_horizon_ms = options.Duration("dedup.horizon");
    core.window_max = static_cast<std::size_t>(options.Int("partition.window.max"));
    core.memory_bytes_max = static_cast<std::size_t>(options.Bytes("partition.memory.max"));
    core.lookups_max = static_cast<std::size_t>(options.Int("partition.lookups.max"));
    core.resident_max = static_cast<std::size_t>(options.Int("partition.resident.max"));
    core.schedules_max = static_cast<std::size_t>(options.Int("schedules.max"));
    core.groups_max = static_cast<std::size_t>(options.Int("groups.max"));
    core.workers_max = static_cast<std::size_t>(options.Int("tasktrackers.max"));
    core.feedback_window_max = static_cast<std::size_t>(options.Int("feedback.window.max"));
    core.faults = FaultsFromEnvironment();
    p.partition_metrics.push_back(std::make_unique<PartitionMetrics>(p.metrics, i, host));
    p.hosts.push_back(std::make_unique<PartitionHost>(std::move(host), *p.store, p.CoreOf(i),
                                                      *p.io[i % p.io.size()], *p.reads, p.clock,
                                                      p.edge->OutboxOf(i)));
    p.edge->Attach(i, *p.hosts[i], p.CoreOf(i));
    auto first = std::make_shared<std::promise<Status>>();
    loaded.push_back(first->get_future());
    p.CoreOf(i).Post([host = p.hosts[i].get(), first] {
      host->Start([first](Status status) { first->set_value(std::move(status)); });
    });
  }
  // From here on the object knows how to stop what was started.
  std::unique_ptr<JobTracker> tracker(new JobTracker(std::move(parts)));
  for (std::future<Status>& each : loaded) {
    if (Status status = each.get(); !status.ok()) return status.WithContext("loading the queues");
  }

  QueriesOptions queries;
  queries.identity = identity;
  queries.node_group = options.String("nodeGroup");
  queries.cluster_name = wanted.cluster_name;
  queries.version = std::string(Version());
  queries.started_ms = p.clock.WallMs();
  queries.log_retention_ms = p.log_retention_ms;
  queries.pending_max = options.Int("queries.pending.max");
  queries.logs_pending_max = options.Int("logs.pending.max");
  queries.address = fmt::format("{}:{}", options.String("bindIp"), options.Int("listenPort"));
  p.queries =
      std::make_unique<Queries>(queries, *p.store, *p.edge, *p.queries_strand, *p.logs, p.metrics);
  p.services = MakeServices(*p.edge, *p.queries);
  auto server = rpc::Server::Start({queries.address}, p.services->all());
  if (!server.ok()) return server.status();
  p.server = *std::move(server);
  p.queries->SetAddress(p.server->address());

  OpsServerOptions ops;
  ops.listen = options.String("ops.listen");
  auto ops_server = OpsServer::Start(ops, p.metrics, [&p] {
    const std::lock_guard lock(p.ready_mutex);
    return p.ready;
  });
  if (!ops_server.ok()) return ops_server.status();
  p.ops = *std::move(ops_server);
  p.upkeep->Post([&p] { p.UpdateMetrics(); });
  p.upkeep->PostAfter(kRetainPeriodUs, [&p] { p.Retain(); });
  LTS_INFO("jobtracker started name={} listen={} ops={} data={} cluster={} partitions={}", name,
           p.server->address(), p.ops->listen(), data_path, wanted.cluster_name, partitions);
  return tracker;
}

JobTracker::JobTracker(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

JobTracker::~JobTracker() { Stop(); }

const std::string& JobTracker::address() const { return parts_->server->address(); }
const std::string& JobTracker::ops_address() const { return parts_->ops->listen(); }

void JobTracker::Stop() {
  Parts& p = *parts_;
  if (std::exchange(p.stopped, true)) return;
  p.upkeep->Stop();
  if (p.ops) p.ops->Stop();
  // New work ends; what is under way is answered; then the streams.
  std::vector<std::future<void>> stopped;
  for (std::uint32_t i = 0; i < p.hosts.size(); ++i) {
    auto done = std::make_shared<std::promise<void>>();
    stopped.push_back(done->get_future());
    p.CoreOf(i).Post(
        [host = p.hosts[i].get(), done] { host->Stop([done] { done->set_value(); }); });
  }
  for (std::future<void>& each : stopped) each.wait();
  if (p.services) p.services->CloseStreams();
  if (p.server) p.server->Stop(p.stop_grace_ms);
  p.queries_strand->Stop();
  p.logs->Stop();
  p.reads->Stop();
  for (auto& io : p.io) io->Stop();
  for (auto& core : p.cores) core->Stop();
  LTS_INFO("jobtracker stopped");
}

}  // namespace lts

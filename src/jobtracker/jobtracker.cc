#include "jobtracker/jobtracker.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "common/daemon.h"
#include "common/host_name.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/registry_address.h"
#include "common/strand.h"
#include "jobtracker/cluster_member.h"
#include "jobtracker/edge.h"
#include "jobtracker/lease_keeper.h"
#include "jobtracker/open_store.h"
#include "jobtracker/partition_host.h"
#include "jobtracker/partition_metrics.h"
#include "jobtracker/peers.h"
#include "jobtracker/queries.h"
#include "jobtracker/reach.h"
#include "jobtracker/routes.h"
#include "jobtracker/services.h"
#include "jobtracker/store_clock.h"
#include "model/partition.h"
#include "model/retry.h"
#include "model/time_zone.h"
#include "model/validate.h"
#include "registry/zookeeper/zookeeper_registry.h"
#include "rpc/channel.h"
#include "rpc/ops_server.h"
#include "rpc/server.h"

namespace lts {

namespace {

constexpr std::int64_t kRetainPeriodUs = 60'000'000;
constexpr std::int32_t kRetainRows = 5'000;
constexpr std::int64_t kMetricsPeriodUs = 1'000'000;
constexpr std::int64_t kLoadsPeriodUs = 30'000'000;

constexpr std::size_t kIdentityMax = 64;  // characters

// How long a start waits for ZooKeeper, and for what it is assigned to be handed over to it.
constexpr DurationMs kRegistryWaitMs = 30'000;
constexpr DurationMs kAssignedWaitMs = 5'000;
constexpr DurationMs kServingWaitMs = 15'000;
// The session of the registry outlives the lease in the store by this.
constexpr DurationMs kSessionMarginMs = 1'000;

core::PlantedFaults CoreFaults() {
  core::PlantedFaults faults;
  faults.result_without_token_check = FaultIsPlanted("no_token_check");
  faults.forget_running_at_restart = FaultIsPlanted("forget_running");
  faults.fire_while_suspended = FaultIsPlanted("fire_while_suspended");
  faults.retry_survives_cancel = FaultIsPlanted("retry_survives_cancel");
  return faults;
}

}  // namespace

// Declared in the order of start; destroyed in reverse.
struct JobTracker::Parts {
  SystemClock own_clock;
  StoreClock store_clock{own_clock};  // of a shared store
  MetricsRegistry metrics;
  std::unique_ptr<store::JobStore> store;
  std::vector<std::unique_ptr<ThreadStrand>> cores;
  std::vector<std::unique_ptr<ThreadStrand>> io;
  std::unique_ptr<ThreadStrand> reads;
  std::unique_ptr<ThreadStrand> queries_strand;
  std::unique_ptr<ThreadStrand> logs;
  std::unique_ptr<ThreadStrand> upkeep;
  std::unique_ptr<ThreadStrand> leases;   // of a shared store
  std::unique_ptr<ThreadStrand> members;  // of a cluster
  std::unique_ptr<Routes> routes;
  std::unique_ptr<Edge> edge;
  std::unique_ptr<Peers> peers;
  std::vector<std::unique_ptr<PartitionHost>> hosts;
  std::vector<std::unique_ptr<PartitionMetrics>> partition_metrics;
  std::unique_ptr<LeaseKeeper> keeper;
  std::unique_ptr<ClusterMember> member;
  std::unique_ptr<registry::Registry> registry;
  std::unique_ptr<Queries> queries;
  std::unique_ptr<Services> services;
  std::unique_ptr<rpc::Server> server;
  std::string advertised;  // "host:port" that the others dial
  std::unique_ptr<OpsServer> ops;
  // Written once a second, read by the ops server's threads.
  std::mutex ready_mutex;
  Status ready;
  // What Start waits for.
  std::mutex start_mutex;
  std::condition_variable start_changed;
  std::optional<std::vector<bool>> assigned;  // here
  std::string warning;
  DurationMs history_retention_ms = 0;
  DurationMs log_retention_ms = 0;
  DurationMs dedup_horizon_ms = 0;
  std::int64_t history_jobs_keep = 0;
  std::int64_t stop_grace_ms = 0;
  bool stopped = false;

  bool shared() const { return leases != nullptr; }
  const Clock& clock() const {
    return shared() ? static_cast<const Clock&>(store_clock) : own_clock;
  }
  Strand& CoreOf(std::uint32_t partition) { return *cores[partition % cores.size()]; }
  std::uint32_t partitions() const { return static_cast<std::uint32_t>(hosts.size()); }

  void StartStrands(std::uint32_t partitions);
  void StartKeeper(const Options& options, const std::string& identity);
  Status ServeAlone();
  Status JoinCluster(const Options& options, const std::string& identity);
  void Assigned(const ClusterMember::Assigned& now);
  Status AwaitServing(DurationMs timeout_ms);
  void KeepPeers();
  void Retain();
  void UpdateMetrics();
  void TellLoads();
  std::int64_t loads_told_us = 0;
};

// Scheduling itself is quick: two threads serve all partitions. Commits wait for the disk, so each
// partition has a thread of its own for them.
void JobTracker::Parts::StartStrands(std::uint32_t partitions) {
  for (std::uint32_t i = 0; i < std::min(partitions, 2U); ++i) {
    cores.push_back(std::make_unique<ThreadStrand>(fmt::format("core-{}", i)));
  }
  for (std::uint32_t i = 0; i < std::min(partitions, 16U); ++i) {
    io.push_back(std::make_unique<ThreadStrand>(fmt::format("commit-{}", i)));
  }
  reads = std::make_unique<ThreadStrand>("reads");
  queries_strand = std::make_unique<ThreadStrand>("queries");
  logs = std::make_unique<ThreadStrand>("logs");
  upkeep = std::make_unique<ThreadStrand>("upkeep");
}

void JobTracker::Parts::StartKeeper(const Options& options, const std::string& identity) {
  LeaseKeeperOptions keeping;
  keeping.owner = identity;
  keeping.lease_ms = options.Duration("cluster.lease");
  keeping.fencing = !FaultIsPlanted("no_store_fencing");
  keeping.period_ms = std::min<DurationMs>(1'000, keeping.lease_ms / 4);
  std::vector<LeaseKeeper::Host> kept;
  for (std::uint32_t i = 0; i < partitions(); ++i) kept.push_back({hosts[i].get(), &CoreOf(i)});
  LeaseKeeper::Listeners listeners;
  listeners.on_store_answers = [this](bool answers) {
    if (member) member->SetServing(answers);
  };
  listeners.on_routes = [this] { KeepPeers(); };
  keeper = std::make_unique<LeaseKeeper>(keeping, *store, *leases, own_clock, store_clock, *routes,
                                         std::move(kept), std::move(listeners));
  EdgeCluster cluster;
  cluster.identity = identity;
  cluster.routes = routes.get();
  cluster.peers = peers.get();
  cluster.look = [this] { keeper->Look(); };
  cluster.on_serving = [this] {
    const std::lock_guard lock(start_mutex);
    start_changed.notify_all();
  };
  edge->JoinCluster(std::move(cluster));
}

// The ways to JobTrackers that own nothing any more go.
void JobTracker::Parts::KeepPeers() {
  std::set<std::string> addresses;
  for (const Route& route : routes->All()) addresses.insert(route.address);
  peers->Keep(addresses);
}

// One JobTracker that nobody assigns anything to: everything is its own.
Status JobTracker::Parts::ServeAlone() {
  std::vector<std::future<Status>> loaded;
  for (std::uint32_t i = 0; i < partitions(); ++i) {
    auto first = std::make_shared<std::promise<Status>>();
    loaded.push_back(first->get_future());
    CoreOf(i).Post([host = hosts[i].get(), first] {
      host->Start([first](Status status) { first->set_value(std::move(status)); });
    });
  }
  for (std::future<Status>& each : loaded) {
    if (Status status = each.get(); !status.ok()) return status.WithContext("loading the queues");
  }
  return Status::Ok();
}

void JobTracker::Parts::Assigned(const ClusterMember::Assigned& now) {
  LTS_INFO("partitions of this JobTracker assignment={} count={} session={}", now.number,
           std::count(now.mine.begin(), now.mine.end(), true), now.live);
  for (std::uint32_t i = 0; i < partitions(); ++i) {
    CoreOf(i).Post([host = hosts[i].get(),
                    assignment = PartitionAssignment{now.number, now.mine[i], now.live}] {
      host->Assign(assignment);
    });
  }
  const std::lock_guard lock(start_mutex);
  assigned = now.mine;
  start_changed.notify_all();
}

// Until something is assigned here, and all of that is served.
Status JobTracker::Parts::AwaitServing(DurationMs timeout_ms) {
  std::unique_lock lock(start_mutex);
  // The master hears of this node a moment after it has registered.
  const bool any = start_changed.wait_for(lock, std::chrono::milliseconds(kAssignedWaitMs), [this] {
    return assigned && std::find(assigned->begin(), assigned->end(), true) != assigned->end();
  });
  if (!any) return Status::Unavailable("nothing is assigned to this JobTracker; it stands by");
  const auto serving = [this] {
    for (std::uint32_t i = 0; i < partitions(); ++i) {
      if ((*assigned)[i] && !hosts[i]->ServesNow()) return false;
    }
    return true;
  };
  if (start_changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), serving)) {
    return Status::Ok();
  }
  return Status::Unavailable("another JobTracker has not handed its partitions over yet");
}

Status JobTracker::Parts::JoinCluster(const Options& options, const std::string& identity) {
  registry::ZookeeperOptions zookeeper;
  auto address = ParseAnyRegistryAddress(options.String("registryAddress"));
  if (!address.ok()) return address.status();
  zookeeper.address = std::get<ZookeeperAddress>(*std::move(address));
  zookeeper.cluster = options.String("clusterName");
  zookeeper.digest = options.String("zk.digest");
  zookeeper.session_timeout_ms = options.Duration("zk.session.timeout");
  auto opened = registry::OpenZookeeperRegistry(zookeeper, own_clock, member->ForRegistry());
  if (!opened.ok()) return opened.status();
  registry = *std::move(opened);
  queries->JoinCluster(*registry);
  LTS_RETURN_IF_ERROR(registry->WaitConnected(kRegistryWaitMs));
  const DurationMs granted_ms = registry->session().timeout_ms;
  const DurationMs lease_ms = options.Duration("cluster.lease");
  if (granted_ms < lease_ms + kSessionMarginMs) {
    return Status::InvalidArgument(fmt::format(
        "zk.session.timeout={}ms, of which ZooKeeper grants {} ms, is too short beside "
        "cluster.lease={}ms: it must be at least {} ms, or a partition would be given away while "
        "its owner may still serve it (minSessionTimeout and maxSessionTimeout of ZooKeeper bound "
        "what is granted)",
        options.Duration("zk.session.timeout"), granted_ms, lease_ms, lease_ms + kSessionMarginMs));
  }
  // The registry and the database must belong together.
  const registry::ClusterRecord wanted{store->Identity().cluster_id, partitions()};
  auto ensured = std::make_shared<std::promise<Result<registry::ClusterRecord>>>();
  registry::EnsureCluster(*registry, wanted, [ensured](Result<registry::ClusterRecord> record) {
    ensured->set_value(std::move(record));
  });
  const auto record = ensured->get_future().get();
  if (!record.ok()) return record.status().WithContext("registryAddress");
  if (*record != wanted) {
    return Status::FailedPrecondition(fmt::format(
        "the database of configs.jdbc.url is that of cluster {} with {} partitions, but cluster "
        "'{}' at registryAddress={} is that of cluster {} with {} partitions: use the database "
        "that belongs to it, or another clusterName",
        wanted.cluster_id, wanted.partitions, zookeeper.cluster, options.String("registryAddress"),
        record->cluster_id, record->partitions));
  }
  registry::Node node;
  node.type = registry::NodeType::kJobTracker;
  node.group = std::string(registry::kJobTrackerGroup);
  node.identity = identity;
  node.incarnation = UuidGenerator(RandomSeed()).Next(own_clock.WallMs());
  node.address = advertised;
  node.version = std::string(Version());
  node.started_ms = own_clock.WallMs();
  auto registered = std::make_shared<std::promise<Status>>();
  member->Start(*registry, node,
                [registered](Status status) { registered->set_value(std::move(status)); });
  auto done = registered->get_future();
  if (done.wait_for(std::chrono::milliseconds(kRegistryWaitMs)) != std::future_status::ready) {
    return Status::Unavailable("registryAddress: ZooKeeper does not take this node in time");
  }
  if (const Status registered_as = done.get(); registered_as.code() == StatusCode::kAlreadyExists) {
    // A predecessor that was killed, before the clock of this host went back: its session ends.
    LTS_WARN("another process holds the identity of this one, which stands by until it goes: {}",
             registered_as.message());
  } else {
    LTS_RETURN_IF_ERROR(registered_as.WithContext("registryAddress"));
  }
  if (const Status serving = AwaitServing(kServingWaitMs); !serving.ok()) {
    LTS_WARN("started, and does not serve all of its partitions yet: {}", serving.message());
  }
  return Status::Ok();
}

// Deletes what is old, a bounded piece at a time; goes on at once while there is more.
void JobTracker::Parts::Retain() {
  bool more = false;
  const TimeMs now = clock().WallMs();
  for (std::uint32_t i = 0; i < partitions(); ++i) {
    const std::uint64_t epoch = hosts[i]->HeldNow().epoch;
    if (epoch == 0) continue;
    store::RetentionPolicy policy;
    policy.history_before_ms = now - history_retention_ms;
    policy.logs_before_ms = now - log_retention_ms;
    policy.rows_max = kRetainRows;
    policy.ended_per_group = history_jobs_keep;
    policy.ended_before_ms = now - dedup_horizon_ms - kDayMs;  // ids of clocks that are behind
    auto gone = store->Retain(i, epoch, policy);
    if (!gone.ok()) {
      LTS_WARN("old rows could not be deleted partition={} error=\"{}\"", i,
               gone.status().ToString());
      // The store is away: each further one would wait as long, and /readyz with them.
      if (gone.status().code() == StatusCode::kUnavailable) break;
    } else {
      more = more || *gone >= kRetainRows;
    }
  }
  upkeep->PostAfter(more ? 0 : kRetainPeriodUs, [this] { Retain(); });
}

void JobTracker::Parts::UpdateMetrics() {
  struct Seen {
    bool serving;
    bool wanted;
    Status trouble;
  };
  std::size_t serving = 0;
  std::size_t wanted = 0;
  Status trouble;
  for (std::uint32_t i = 0; i < partitions(); ++i) {
    auto done = std::make_shared<std::promise<Seen>>();
    CoreOf(i).Post([this, i, done] {
      partition_metrics[i]->Update(*hosts[i]);
      done->set_value({hosts[i]->serving(), hosts[i]->wanted(), hosts[i]->Trouble()});
    });
    const Seen seen = done->get_future().get();
    if (seen.wanted) ++wanted;
    if (seen.wanted && seen.serving) ++serving;
    if (trouble.ok()) trouble = seen.trouble;
  }
  Status now;
  if (serving < wanted) {
    now = Status::Unavailable(fmt::format("{} of {} partitions are served", serving, wanted));
    if (!trouble.ok()) now = Status::Unavailable(now.message() + ": " + trouble.message());
  } else if (!trouble.ok()) {
    // It serves, but whatever it is asked to store waits or is refused.
    now = Status::Unavailable("the store takes nothing at the moment: " + trouble.message());
  }
  {
    const std::lock_guard lock(ready_mutex);
    ready = now;
  }
  if (member) TellLoads();
  upkeep->PostAfter(kMetricsPeriodUs, [this] { UpdateMetrics(); });
}

// What each partition has given out since the last time.
void JobTracker::Parts::TellLoads() {
  const std::int64_t now_us = own_clock.MonotonicUs();
  const std::int64_t since_us = now_us - loads_told_us;
  if (since_us < kLoadsPeriodUs) return;
  PartitionLoads loads;
  for (std::uint32_t i = 0; i < partitions(); ++i) {
    const std::uint64_t dispatched = partition_metrics[i]->TakeDispatched();
    if (loads_told_us == 0 || !hosts[i]->ServesNow()) continue;
    loads[i] =
        static_cast<std::uint32_t>(dispatched * 1'000'000 / static_cast<std::uint64_t>(since_us));
  }
  loads_told_us = now_us;
  member->SetLoads(loads);
}

namespace {

enum class RegistryKind { kEmbedded, kZookeeper };

Result<RegistryKind> CheckRegistry(const Options& options) {
  const std::string& registry = options.String("registryAddress");
  if (registry == "embedded") return RegistryKind::kEmbedded;
  auto address = ParseAnyRegistryAddress(registry);
  if (!address.ok()) return address.status();
  // A client's address of this JobTracker: it is the only one.
  if (!std::holds_alternative<ZookeeperAddress>(*address)) return RegistryKind::kEmbedded;
  if (!StoreIsShared(options)) {
    return Status::InvalidArgument(fmt::format(
        "job.queue={}: the JobTrackers of a cluster (registryAddress={}) share their queues in a "
        "database; use configs.job.queue=mysql and configs.jdbc.url, or registryAddress=embedded "
        "for one JobTracker alone",
        options.String("job.queue"), registry));
  }
  return RegistryKind::kZookeeper;
}

Status CheckOptions(const Options& options) {
  if (options.Duration("dedup.horizon") > options.Duration("history.retention")) {
    return Status::InvalidArgument(
        "dedup.horizon is longer than history.retention: job ids are recognised by the history, so "
        "it must be kept at "
        "least as long");
  }
  LTS_RETURN_IF_ERROR(model::ValidateName("clusterName", options.String("clusterName")));
  return model::ValidateName("nodeGroup", options.String("nodeGroup"));
}

// Unique in a cluster, and the same after a restart: where it listens is its own.
Result<std::string> IdentityFor(const Options& options, const std::string& name,
                                RegistryKind registry) {
  std::string identity = options.String("identity");
  if (identity.empty()) {
    identity = options.String("nodeGroup") + "-" + name;
    if (registry == RegistryKind::kZookeeper) {
      const int port = options.Int("listenPort");
      identity += fmt::format(
          "-{}:{}", HostName(),
          port != 0 ? std::to_string(port) : fmt::format("{:08x}", RandomSeed() & 0xffffffffU));
    }
  }
  LTS_RETURN_IF_ERROR(model::ValidateName("identity", identity));
  return identity;
}

}  // namespace

Result<std::unique_ptr<JobTracker>> JobTracker::Start(const Options& options,
                                                      const std::string& name,
                                                      const std::string& data_path) {
  const auto kind = CheckRegistry(options);
  if (!kind.ok()) return kind.status();
  LTS_RETURN_IF_ERROR(CheckOptions(options));
  const auto identity = IdentityFor(options, name, *kind);
  if (!identity.ok()) return identity.status();
  auto reach = ReachFrom(options, HomeFolder(), *kind == RegistryKind::kZookeeper);
  if (!reach.ok()) return reach.status();
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

  if (const char* planted = std::getenv("LTS_TEST_FAULTS"); planted != nullptr && *planted != 0) {
    LTS_WARN("faults are planted for a test, never use this in production LTS_TEST_FAULTS={}",
             planted);
  }
  auto parts = std::make_unique<Parts>();
  Parts& p = *parts;
  p.history_retention_ms = options.Duration("history.retention");
  p.log_retention_ms = options.Duration("log.retention");
  p.dedup_horizon_ms = options.Duration("dedup.horizon");
  p.history_jobs_keep = options.Int("history.jobs.keep");
  p.stop_grace_ms = options.Duration("stop.timeout");

  auto store = OpenStore(options, data_path, p.own_clock);
  if (!store.ok()) return store.status();
  p.store = *std::move(store);
  p.warning = StoreWarning(options);
  const std::uint32_t partitions = p.store->Identity().partitions;
  if (StoreIsShared(options)) {
    p.leases = std::make_unique<ThreadStrand>("leases");
    p.routes = std::make_unique<Routes>(partitions);
    const std::int64_t asked_us = p.own_clock.MonotonicUs();
    const auto now = p.store->Now();
    if (!now.ok()) return now.status();
    p.store_clock.Measured(*now, asked_us, p.own_clock.MonotonicUs());
  }

  EdgeOptions edge_options;
  edge_options.partitions = partitions;
  edge_options.limits.payload_bytes_max =
      static_cast<std::size_t>(options.Bytes("job.payload.max"));
  edge_options.limits.default_time_zone = options.String("schedule.timezone");
  edge_options.cluster_id = p.store->Identity().cluster_id;
  edge_options.tasktracker_lease_ms = options.Duration("tasktracker.lease");
  edge_options.items_per_submit_max = static_cast<std::size_t>(options.Int("submit.items.max"));
  edge_options.waits_max = options.Int("waits.max");
  p.edge = std::make_unique<Edge>(edge_options, p.clock(), p.metrics);
  if (p.shared()) p.peers = std::make_unique<Peers>(reach->peers);

  p.StartStrands(partitions);
  for (std::uint32_t i = 0; i < partitions; ++i) {
    PartitionHostOptions host;
    host.owner = *identity;
    if (p.shared()) host.lease_ms = options.Duration("cluster.lease");
    // Without it an owner lets go by its own clock, and the missing fence hardly ever shows.
    host.unleased_dispatch = FaultIsPlanted("no_store_fencing");
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
    core.outside_bytes_max = static_cast<std::size_t>(options.Bytes("partition.outside.max"));
    core.lookups_max = static_cast<std::size_t>(options.Int("partition.lookups.max"));
    core.resident_max = static_cast<std::size_t>(options.Int("partition.resident.max"));
    core.schedules_max = static_cast<std::size_t>(options.Int("schedules.max"));
    core.groups_max = static_cast<std::size_t>(options.Int("groups.max"));
    core.workers_max = static_cast<std::size_t>(options.Int("tasktrackers.max"));
    core.feedback_window_max = static_cast<std::size_t>(options.Int("feedback.window.max"));
    core.feedback_retention_ms = options.Duration("feedback.retention");
    core.limits = edge_options.limits;
    core.faults = CoreFaults();
    p.partition_metrics.push_back(std::make_unique<PartitionMetrics>(p.metrics, i, host));
    p.hosts.push_back(std::make_unique<PartitionHost>(std::move(host), *p.store, p.CoreOf(i),
                                                      *p.io[i % p.io.size()], *p.reads, p.clock(),
                                                      p.edge->OutboxOf(i)));
    p.edge->Attach(i, *p.hosts[i], p.CoreOf(i));
  }
  // From here on the object knows how to stop what was started.
  std::unique_ptr<JobTracker> tracker(new JobTracker(std::move(parts)));
  if (!p.shared()) LTS_RETURN_IF_ERROR(p.ServeAlone());

  QueriesOptions queries;
  queries.identity = *identity;
  // In a cluster all JobTrackers are of one group, whatever each calls it.
  queries.node_group = *kind == RegistryKind::kZookeeper ? std::string(registry::kJobTrackerGroup)
                                                         : options.String("nodeGroup");
  queries.cluster_name = options.String("clusterName");
  queries.version = std::string(Version());
  queries.started_ms = p.own_clock.WallMs();
  queries.default_time_zone = options.String("schedule.timezone");
  queries.log_retention_ms = p.log_retention_ms;
  queries.pending_max = options.Int("queries.pending.max");
  queries.logs_pending_max = options.Int("logs.pending.max");
  queries.address = reach->server.listen;
  p.queries =
      std::make_unique<Queries>(queries, *p.store, *p.edge, *p.queries_strand, *p.logs, p.metrics);
  if (*kind == RegistryKind::kZookeeper) {
    p.members = std::make_unique<ThreadStrand>("members");
    p.member = std::make_unique<ClusterMember>(
        partitions, *p.members, p.clock(), p.metrics,
        [&p](const ClusterMember::Assigned& now) { p.Assigned(now); });
  }
  if (p.shared()) p.StartKeeper(options, *identity);
  p.services = MakeServices(*p.edge, *p.queries);
  reach->server.denied = &p.metrics.AddCounter(
      "lts_rpc_denied_total", "Calls denied because they came without the token, or a wrong one");
  auto server = rpc::Server::Start(reach->server, p.services->all());
  if (!server.ok()) return server.status();
  p.server = *std::move(server);
  p.advertised = AdvertisedAddress(*reach, p.server->address(), p.server->port());
  p.queries->SetAddress(p.advertised);
  OpsServerOptions ops;
  ops.listen = options.String("ops.listen");
  auto ops_server = OpsServer::Start(ops, p.metrics, [&p] {
    const std::lock_guard lock(p.ready_mutex);
    return p.ready;
  });
  if (!ops_server.ok()) return ops_server.status();
  p.ops = *std::move(ops_server);
  // Nothing is taken over before all else that could fail has been done.
  if (p.shared()) {
    for (const auto& host : p.hosts) host->SetAddress(p.advertised);
    p.keeper->Start();
    LTS_RETURN_IF_ERROR(*kind == RegistryKind::kZookeeper ? p.JoinCluster(options, *identity)
                                                          : p.ServeAlone());
  }

  p.upkeep->Post([&p] { p.UpdateMetrics(); });
  p.upkeep->PostAfter(kRetainPeriodUs, [&p] { p.Retain(); });
  LTS_INFO(
      "jobtracker started name={} listen={} advertised={} token={} tls={} ops={} data={} "
      "cluster={} partitions={}",
      name, p.server->address(), p.advertised, !reach->server.credentials.token.empty(),
      !reach->server.credentials.cert.empty(), p.ops->listen(), data_path,
      options.String("clusterName"), partitions);
  return tracker;
}

JobTracker::JobTracker(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

JobTracker::~JobTracker() { Stop(); }

const std::string& JobTracker::address() const { return parts_->server->address(); }
const std::string& JobTracker::ops_address() const { return parts_->ops->listen(); }
const std::string& JobTracker::warning() const { return parts_->warning; }

void JobTracker::Stop() {
  Parts& p = *parts_;
  if (std::exchange(p.stopped, true)) return;
  if (p.upkeep) p.upkeep->Stop();
  if (p.ops) p.ops->Stop();
  // The others see it go at once, while it lets go of what it owns. Both may take a while.
  if (p.queries) p.queries->LeaveCluster();
  if (p.member) {
    std::promise<void> left;
    p.member->Leave([&left] { left.set_value(); });
    left.get_future().wait();
  }
  std::thread leaving([&p] { p.registry.reset(); });
  // New work ends; what is under way is answered; then the streams.
  std::vector<std::future<void>> stopped;
  for (std::uint32_t i = 0; i < p.hosts.size(); ++i) {
    auto done = std::make_shared<std::promise<void>>();
    stopped.push_back(done->get_future());
    p.CoreOf(i).Post(
        [host = p.hosts[i].get(), done] { host->Stop([done] { done->set_value(); }); });
  }
  for (std::future<void>& each : stopped) each.wait();
  leaving.join();
  if (p.members) p.members->Stop();
  if (p.leases) p.leases->Stop();
  // What was passed on is answered by that, so that the server has not to wait for others.
  if (p.peers) p.peers->Close();
  if (p.services) p.services->CloseStreams();
  if (p.server) p.server->Stop(p.stop_grace_ms);
  for (auto* strand : {&p.queries_strand, &p.logs, &p.reads}) {
    if (*strand) (*strand)->Stop();
  }
  for (auto& io : p.io) io->Stop();
  for (auto& core : p.cores) core->Stop();
  LTS_INFO("jobtracker stopped");
}

}  // namespace lts

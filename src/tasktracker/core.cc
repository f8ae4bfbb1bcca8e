#include "tasktracker/core.h"

#include <fmt/core.h>

#include <algorithm>
#include <future>
#include <iterator>
#include <utility>

#include "common/daemon.h"
#include "common/host_name.h"
#include "common/ids.h"
#include "common/log.h"
#include "tasktracker/options.h"

namespace lts::tasktracker {
Core::Core(TaskTrackerOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      connection_(Status::Unavailable("not connected yet")),
      disk_("lts-tt-disk"),
      strand_("lts-tt-link") {}

Result<std::unique_ptr<Core>> Core::Start(TaskTrackerOptions options, rpc::ChannelFactory channels,
                                          const Clock& clock) {
  LTS_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<Core> core(new Core(std::move(options), clock));
  LTS_RETURN_IF_ERROR(core->Open(channels));
  return core;
}

Status Core::Open(const rpc::ChannelFactory& channels) {
  auto discovery = discovery::Discovery::Open(DiscoveryOptionsFrom(options_), clock_);
  if (!discovery.ok()) return discovery.status();
  discovery_ = *std::move(discovery);
  const Result<int> level = BizLogLevel(options_.biz_logger_level);
  if (!level.ok()) return level.status();
  Result<std::unique_ptr<RunnerSet>> runners = RunnerSet::Open(options_, clock_);
  if (!runners.ok()) return runners.status();
  runners_ = *std::move(runners);

  FailStoreLimits limits;
  limits.bytes_max = options_.fail_store_bytes_max;
  limits.count_max = options_.fail_store_count_max;
  const std::string group_folder =
      fmt::format("{}/TASK_TRACKER/{}", options_.data_path, options_.node_group);
  const std::string base = group_folder + "/" + options_.name;
  Result<std::unique_ptr<FailStore>> store =
      OpenFirstFreeFailStore(options_.fail_store, base, limits, &clock_);
  if (!store.ok()) return store.status().WithContext("FailStore");
  store_ = *std::move(store);
  if (runners_->hosts() != nullptr) {
    // What this process says it has lost must not be running any more when it says so.
    LTS_RETURN_IF_ERROR(runners_->hosts()->TakeLock(store_->path() + ".hosts"));
  }
  // The folder is locked, so its number tells processes of one name apart, and stays over a
  // restart.
  const std::string number = store_->path().substr(store_->path().rfind('/') + 1);
  if (options_.identity.empty()) {
    identity_ = FittedName(
        fmt::format("{}-{}-{}-{}", options_.node_group, options_.name, FullHostName(), number));
  } else {
    identity_ = number == "0" ? options_.identity : options_.identity + "-" + number;
  }

  progress_ = std::make_unique<ProgressBoard>([this] { link_->ProgressHasCome(); });
  LogShipperOptions logging;
  logging.group = options_.node_group;
  logging.node = identity_;
  logging.level_min = *level;
  logging.lines_max = options_.log_lines_max;
  logging.bytes_max = options_.log_bytes_max;
  logging.store_bytes_max = options_.fail_store_bytes_max / 2;
  logging.store_count_max = options_.fail_store_count_max / 2;
  logging.seed = RandomSeed();
  log_ = std::make_unique<LogShipper>(logging, channels, *store_, disk_, clock_, metrics_);
  results_ = std::make_unique<ResultStore>(*store_, clock_);
  slots_ = std::make_unique<Slots>(
      options_.work_threads, [this](const std::string& name) { return runners_->Create(name); },
      clock_, *log_, *progress_);

  if (!options_.ops_listen.empty()) {
    OpsServerOptions pages;
    pages.listen = options_.ops_listen;
    Result<std::unique_ptr<OpsServer>> ops =
        OpsServer::Start(pages, metrics_, [this] { return Ready(); });
    if (!ops.ok()) return ops.status().WithContext("ops.listen");
    ops_ = *std::move(ops);
  }

  LinkOptions linking;
  linking.group = options_.node_group;
  linking.identity = identity_;
  linking.incarnation = fmt::format("{:016x}{:016x}", RandomSeed(), RandomSeed());
  linking.version = Version();
  linking.address = ops_listen();
  linking.started_ms = clock_.WallMs();
  linking.job_trackers = discovery_->Found();
  linking.stop_working = options_.stop_working;
  linking.kill_grace_ms = options_.kill_grace.count();
  linking.unacked_max = options_.unacked_results_max;
  linking.seed = RandomSeed();
  link_ = std::make_unique<Link>(
      linking,
      Link::Parts{
          channels, *slots_, *log_, *progress_, *results_,
          [this](const runners::AttemptInput& input) { return runners_->Resolve(input); },
          [this](bool connected, const std::string& reason) { SetConnection(connected, reason); },
          [this](std::int64_t until_us) { SetLease(until_us); }, strand_, disk_, clock_, metrics_});
  AddMetrics();
  if (options_.resource_check) {
    const ResourceMax max{PercentOf(options_.cpu_used_rate_max),
                          PercentOf(options_.memory_used_rate_max)};
    host_ = std::make_unique<ResourceWatch>(
        max, clock_, metrics_, [this](const std::string& why_not) { SetRoom(why_not); });
  }

  Result<std::vector<std::unique_ptr<Attempt>>> left = results_->LoadNew();
  if (!left.ok()) return left.status().WithContext("FailStore");
  LTS_RETURN_IF_ERROR(slots_->Start(runners_->names(), [this] { link_->SlotsHaveEnded(); }));
  if (!left->empty()) LTS_INFO("results of an earlier process found results={}", left->size());
  LTS_RETURN_IF_ERROR(Join(linking, channels));
  link_->Start(*std::move(left));
  SiblingWatchOptions watching;
  watching.engine = options_.fail_store;
  watching.base = group_folder;
  watching.of_instances = true;
  watching.period_ms = options_.fail_store_adopt_period.count();
  siblings_ = std::make_unique<SiblingWatch>(std::move(watching), *store_, disk_, [this] {
    link_->AddStoredResults();
    log_->StoreChanged();
  });
  return Status::Ok();
}

Status Core::Join(const LinkOptions& as, const rpc::ChannelFactory& channels) {
  discovery_->Listen([this](const discovery::JobTrackers& found) { link_->SetJobTrackers(found); });
  registry::Node node;
  node.type = registry::NodeType::kTaskTracker;
  node.group = as.group;
  node.identity = as.identity;
  node.incarnation = as.incarnation;
  node.address = as.address;
  node.slots = static_cast<std::uint32_t>(options_.work_threads);
  node.version = as.version;
  node.started_ms = as.started_ms;
  return discovery_->Join(node, {options_.on_master_change, options_.on_node_change}, channels);
}

void Core::AddMetrics() {
  const auto usage = [this](std::int64_t FailStoreUsage::*field) {
    return [this, field] { return static_cast<double>(store_->Usage().*field); };
  };
  const auto add = [this](std::vector<MetricCallback> added) {
    std::move(added.begin(), added.end(), std::back_inserter(metric_callbacks_));
  };
  add(AddLimitCallbacks(metrics_, "job.fail.store.bytes.max", options_.fail_store_bytes_max,
                        usage(&FailStoreUsage::bytes), usage(&FailStoreUsage::refused_bytes)));
  add(AddLimitCallbacks(metrics_, "job.fail.store.count.max", options_.fail_store_count_max,
                        usage(&FailStoreUsage::count), usage(&FailStoreUsage::refused_count)));
  metric_callbacks_.push_back(
      metrics_.AddCallback(MetricType::kGauge, "lts_failstore_parked",
                           "Records of the FailStore refused for good, kept for a person.",
                           usage(&FailStoreUsage::parked)));
  metric_callbacks_.push_back(metrics_.AddCallback(
      MetricType::kGauge, "lts_tasktracker_busy_slots", "Slots with a job in them.",
      [this] { return static_cast<double>(slots_->busy()); }));
  runners::HostPool* const hosts = runners_->hosts();
  if (hosts == nullptr) return;
  metric_callbacks_.push_back(
      metrics_.AddCallback(MetricType::kGauge, "lts_tasktracker_runner_hosts",
                           "Processes of lts-runner-host, the idle ones included.",
                           [hosts] { return static_cast<double>(hosts->counts().alive); }));
  metric_callbacks_.push_back(
      metrics_.AddCallback(MetricType::kCounter, "lts_tasktracker_runner_hosts_started_total",
                           "Processes of lts-runner-host that were started.",
                           [hosts] { return static_cast<double>(hosts->counts().started); }));
  metric_callbacks_.push_back(metrics_.AddCallback(
      MetricType::kCounter, "lts_tasktracker_runner_hosts_failed_total",
      "Processes of lts-runner-host that crashed, refused to start, or were killed.",
      [hosts] { return static_cast<double>(hosts->counts().failed); }));
}

Core::~Core() {
  Stop();
  metric_callbacks_.clear();
  slots_.reset();  // waits for every job
  link_.reset();
}

void Core::Drain(std::function<void()> on_drained) {
  if (!SetEnding("draining")) return;
  link_->BeginStop(options_.drain_timeout.count(),
                   [on_drained = std::move(on_drained)](StopReport) {
                     if (on_drained) on_drained();
                   });
}

bool Core::SetEnding(const char* what) {
  const std::lock_guard lock(connection_mutex_);
  const bool first = ending_.empty();
  ending_ = what;
  return first;
}

TaskTrackerStopReport Core::Stop() {
  const std::lock_guard lock(stop_mutex_);
  if (stopped_) return report_;
  stopped_ = true;
  if (siblings_ != nullptr) {  // else it never came to run
    SetEnding("stopping");
    std::promise<StopReport> ended;
    link_->BeginStop(options_.stop_timeout.count(),
                     [&ended](StopReport report) { ended.set_value(report); });
    const StopReport report = ended.get_future().get();
    report_ = {report.running, report.unsaved};
    std::promise<void> shipped;
    log_->Stop([&shipped] { shipped.set_value(); });
    shipped.get_future().wait();
  }
  if (ops_ != nullptr) ops_->Stop();
  host_.reset();
  discovery_.reset();
  if (slots_ != nullptr) slots_->Close();
  strand_.Stop();
  disk_.Stop();
  siblings_.reset();
  if (store_ != nullptr) {
    const Status closed = store_->Close();
    if (!closed.ok()) LTS_WARN("the FailStore does not close error={}", closed.ToString());
  }
  return report_;
}

Status Core::Connection() const {
  const std::lock_guard lock(connection_mutex_);
  return connection_;
}

Status Core::Ready() const {
  const std::lock_guard lock(connection_mutex_);
  if (!ending_.empty()) {
    return Status::Unavailable(
        fmt::format("{}: no new jobs are taken, jobs running: {}", ending_, slots_->busy()));
  }
  if (!connection_.ok() || no_room_.empty()) return connection_;
  return Status::Unavailable("no new jobs are taken: " + no_room_);
}

std::string Core::ops_listen() const { return ops_ == nullptr ? std::string() : ops_->listen(); }

// The hosts see to the end of the lease themselves, should this process be paused then. Until the
// grace after it they leave it to this process, which asks the attempts to stop first; the
// JobTracker gives as much before it takes them for lost.
void Core::SetLease(std::int64_t until_us) {
  runners::HostPool* const hosts = runners_->hosts();
  if (hosts == nullptr) return;
  hosts->SetEndBy(until_us == 0 ? 0 : until_us + options_.kill_grace.count() * 1000);
}

void Core::SetRoom(const std::string& why_not) {
  {
    const std::lock_guard lock(connection_mutex_);
    no_room_ = why_not;
  }
  link_->SetGate(why_not.empty());
}

void Core::SetConnection(bool connected, const std::string& reason) {
  {
    const std::lock_guard lock(connection_mutex_);
    connection_ = connected ? Status::Ok() : Status::Unavailable(reason);
  }
  if (options_.on_connection_change) options_.on_connection_change(connected, reason);
}

}  // namespace lts::tasktracker

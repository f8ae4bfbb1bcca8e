#include "world.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "client.h"
#include "model/partition.h"
#include "sim_registry.h"
#include "sim_store.h"
#include "store/memory/memory_store.h"
#include "task_tracker.h"
#include "tracker.h"

namespace lts::sim {

namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
// How long a run may take to come to rest once nothing disturbs it, in simulated time.
constexpr std::int64_t kSettleMaxUs = 900 * kSecondUs;

}  // namespace

World::Slot::Slot(const SimLoop& loop) : clock(loop) {}
World::Slot::~Slot() = default;

World::World(Config config, bool trace)
    : config_(std::move(config)),
      trace_(trace),
      random_(config_.seed),
      true_clock_(loop_),
      checker_(*this) {
  for (int i = 0; i < config_.trackers; ++i) {
    slots_.push_back(std::make_unique<Slot>(loop_));
    // In a cluster the clocks of the hosts decide nothing.
    if (config_.cluster()) slots_.back()->clock.Step(random_.Between(-60'000, 60'000));
  }
  registry_ = std::make_unique<SimRegistry>(*this, config_.session_timeout_ms);
  store::MemoryStoreOptions options;
  options.identity.partitions = config_.partitions;
  options.lease_ms = config_.cluster_lease_ms;
  memory_ = store::MakeMemoryStore(options, true_clock_);
  for (int group = 0; group < config_.groups; ++group) {
    for (int i = 0; i < config_.workers_per_group; ++i) {
      workers_.push_back(std::make_unique<SimTaskTracker>(*this, GroupName(group),
                                                          fmt::format("worker{}-{}", group, i)));
    }
  }
  for (int i = 0; i < config_.clients; ++i)
    clients_.push_back(std::make_unique<SimClient>(*this, i));
}

World::~World() {
  loop_.Stop();
  loop_.WakeAll();
  // What is under way on a stream refers to it.
  for (const std::weak_ptr<Stream>& each : all_streams_) {
    if (const StreamPtr stream = each.lock()) *stream = {};
  }
}

store::JobStore& World::store() { return *memory_; }

std::uint64_t World::EpochOf(std::uint32_t partition) {
  return memory_->Partitions()->at(partition).epoch;
}

const core::Partition* World::OwnerCore(std::uint32_t partition) {
  const std::uint64_t epoch = EpochOf(partition);
  for (const auto& slot : slots_) {
    const core::Partition* core = slot->live ? slot->live->core(partition) : nullptr;
    if (core != nullptr && core->epoch() == epoch) return core;
  }
  return nullptr;
}

std::uint32_t World::PartitionOfGroup(const std::string& group) const {
  return model::PartitionOf(group, "", 1, config_.partitions);
}

SimStrand& World::NewStrand(std::shared_ptr<const Process> process, bool blocks) {
  strands_.push_back(std::make_unique<SimStrand>(loop_, std::move(process), blocks));
  return *strands_.back();
}

void World::Fail(const std::string& invariant, const model::JobId& job, const std::string& what) {
  if (!failure_.empty()) return;
  failed_job_ = job;
  failure_ = fmt::format("{} at {:.6f} s: job {}: {}", invariant,
                         static_cast<double>(loop_.now_us()) / 1e6, job.ToString(), what);
  loop_.Stop();
}

std::uint64_t World::HashText(const char* text) {
  std::uint64_t hash = 1469598103934665603ULL;
  for (; *text != '\0'; ++text)
    hash = (hash ^ static_cast<unsigned char>(*text)) * 0x100000001b3ULL;
  return hash;
}

void World::AddLine(const model::JobId& job, std::string text) {
  lines_.push_back({loop_.now_us(), job, std::move(text)});
}

void World::PrintLines(const model::JobId& job, std::size_t last) const {
  std::vector<const Line*> picked;
  for (auto it = lines_.rbegin(); it != lines_.rend() && picked.size() < last; ++it) {
    if (job.empty() || it->job == job || it->job.empty()) picked.push_back(&*it);
  }
  for (auto it = picked.rbegin(); it != picked.rend(); ++it) {
    std::fprintf(stderr, "  %12.6f %s %s\n", static_cast<double>((*it)->time_us) / 1e6,
                 (*it)->job.empty() ? "-" : (*it)->job.ToString().c_str(), (*it)->text.c_str());
  }
}

// ---- network ----------------------------------------------------------------------------------

std::int64_t World::NetDelayUs() { return random_.Between(20, config_.net_delay_max_us); }

void World::SendDatagram(const std::string& from, const std::string& to,
                         std::function<void()> deliver, std::function<void()> again) {
  const auto uncut = [this, from, to](std::function<void()> task) {
    return [this, from, to, task = std::move(task)] {
      if (!IsCut(from, to)) task();
    };
  };
  std::int64_t delay_us = NetDelayUs();
  if (active_) {
    if (random_.Chance(config_.net_loss)) {
      Count("message lost");
      return;
    }
    if (random_.Chance(config_.net_double)) {
      Count("message doubled");
      const std::int64_t again_us =
          random_.Chance(0.5) ? NetDelayUs() : random_.Between(0, 15 * kSecondUs);
      if (again_us < delay_us) Count("message reordered");
      loop_.After(again_us, uncut(std::move(again)));
    }
    if (random_.Chance(config_.net_late)) {
      Count("message late");
      Count("message reordered");
      delay_us = random_.Between(kSecondUs, 20 * kSecondUs);
    }
  }
  loop_.After(delay_us, uncut(std::move(deliver)));
}

StreamPtr World::OpenStream(std::uint32_t partition, int tracker, const std::string& far_place) {
  auto stream = std::make_shared<Stream>();
  all_streams_.push_back(stream);
  stream->id = ++last_stream_;
  stream->partition = partition;
  stream->tracker = tracker;
  stream->far_place = far_place;
  std::erase_if(streams_,
                [](const StreamPtr& each) { return !each->far_open && !each->tracker_open; });
  streams_.push_back(stream);
  return stream;
}

void World::SendToTracker(const StreamPtr& stream, std::function<void()> deliver) {
  if (!stream->far_open) return;
  stream->last_to_tracker_us =
      std::max(stream->last_to_tracker_us + 1, loop_.now_us() + NetDelayUs());
  stream->to_tracker.push_back(std::move(deliver));
  loop_.At(stream->last_to_tracker_us, [this, stream] { PumpToTracker(stream); });
}

// What is under way while the two are cut off from each other arrives afterwards, in order, unless
// the connection was given up.
void World::PumpToTracker(const StreamPtr& stream) {
  if (stream->to_tracker.empty()) return;
  const std::int64_t cut_us = CutUntil(PlaceOf(stream->tracker), stream->far_place);
  if (cut_us > loop_.now_us()) {
    loop_.At(cut_us, [this, stream] { PumpToTracker(stream); });
    return;
  }
  const std::function<void()> deliver = std::move(stream->to_tracker.front());
  stream->to_tracker.pop_front();
  if (stream->tracker_open) deliver();
}

void World::SendToFar(const StreamPtr& stream, std::function<void()> deliver) {
  if (!stream->tracker_open) return;
  stream->last_to_far_us = std::max(stream->last_to_far_us + 1, loop_.now_us() + NetDelayUs());
  stream->to_far.push_back(std::move(deliver));
  loop_.At(stream->last_to_far_us, [this, stream] { PumpToFar(stream); });
}

void World::PumpToFar(const StreamPtr& stream) {
  if (stream->to_far.empty()) return;
  const std::int64_t cut_us = CutUntil(PlaceOf(stream->tracker), stream->far_place);
  if (cut_us > loop_.now_us()) {
    loop_.At(cut_us, [this, stream] { PumpToFar(stream); });
    return;
  }
  std::function<void()> deliver = std::move(stream->to_far.front());
  stream->to_far.pop_front();
  if (!stream->far_open) return;
  stream->post_far([stream, deliver = std::move(deliver)] {
    if (stream->far_open) deliver();
  });
}

void World::Cut(const std::string& a, const std::string& b, std::int64_t for_us) {
  Note({}, 45, "{} and {} are cut off from each other for {} ms", a, b, for_us / 1000);
  std::int64_t& until_us = cuts_[std::minmax(a, b)];
  until_us = std::max(until_us, loop_.now_us() + for_us);
  checker_.OnTroubleEverywhere();
  loop_.After(for_us, [this] { checker_.OnTroubleEverywhere(); });
  // Some connections break, each side notices in its own time; others outlast it.
  for (const StreamPtr& stream : std::vector<StreamPtr>(streams_)) {
    const std::string place = PlaceOf(stream->tracker);
    const bool across =
        (place == a && stream->far_place == b) || (place == b && stream->far_place == a);
    if (across && random_.Chance(0.5)) Break(stream, true, true);
  }
}

void World::Break(const StreamPtr& stream, bool tell_far, bool tell_tracker) {
  if (stream->breaking) return;
  stream->breaking = true;
  Count("stream broken");
  // A side may learn of it much later than the other: its messages go nowhere meanwhile.
  const auto when = [&](std::int64_t last_us) {
    const std::int64_t late_us =
        active_ && random_.Chance(0.2) ? random_.Between(0, 10 * kSecondUs) : NetDelayUs();
    return std::max(random_.Chance(0.5) ? last_us + 1 : 0, loop_.now_us() + late_us);
  };
  if (tell_far && stream->far_open) {
    loop_.At(when(stream->last_to_far_us), [stream] {
      if (!stream->far_open) return;
      stream->post_far([stream] {
        if (!std::exchange(stream->far_open, false)) return;
        stream->on_far_closed();
      });
    });
  }
  if (tell_tracker) {
    loop_.At(when(stream->last_to_tracker_us), [this, stream] {
      SimTracker* there = tracker(stream->tracker);
      if (there != nullptr && stream->tracker_open) there->StreamClosed(stream);
      stream->tracker_open = false;
    });
  }
}

void World::BreakAll(int tracker) {
  for (const StreamPtr& stream : std::vector<StreamPtr>(streams_)) {
    if (stream->tracker != tracker || !std::exchange(stream->tracker_open, false)) continue;
    Break(stream, true, false);
  }
}

// ---- the JobTrackers' lives -------------------------------------------------------------------

void World::StartTracker(int i) {
  Slot& slot = *slots_[static_cast<std::size_t>(i)];
  if (slot.live) return;
  Note({}, 40, "JobTracker {} starts", i);
  Disturbed();
  slot.live = std::make_unique<SimTracker>(*this, i);
  slot.live->Start();
}

void World::KillTracker(int i, const std::string& where) {
  Slot& slot = *slots_[static_cast<std::size_t>(i)];
  if (!slot.live) return;
  Note({}, 41, "JobTracker {} is killed {}", i, where);
  Count("JobTracker killed");
  Disturbed();
  slot.live->Die();
  dead_trackers_.push_back(std::move(slot.live));
  slot.stopping = false;
  // Requests that were sent to it are lost with it. Mostly it is back soon, sometimes after every
  // lease.
  const std::int64_t down_us = active_ && random_.Chance(0.15) ? random_.Between(5, 30) * kSecondUs
                                                               : random_.Between(0, 3 * kSecondUs);
  loop_.After(down_us, [this, i] { StartTracker(i); });
}

// ---- faults -----------------------------------------------------------------------------------

void World::ArmFault(DurationMs mean_ms, std::function<void()> fault) {
  if (mean_ms == 0) return;
  loop_.After(random_.Between(0, 2 * mean_ms * 1000), [this, mean_ms, fault = std::move(fault)] {
    if (!active_) return;
    fault();
    ArmFault(mean_ms, fault);
  });
}

void World::ArmFaults() {
  const auto some_worker = [this]() -> SimTaskTracker& {
    return *workers_[random_.Below(workers_.size())];
  };
  ArmFault(config_.tracker_kill_ms, [this] { KillTracker(SomeTracker(), "at some moment"); });
  ArmFault(config_.tracker_stop_ms, [this] {
    const int i = SomeTracker();
    Slot& slot = *slots_[static_cast<std::size_t>(i)];
    if (!slot.live || slot.stopping) return;
    Note({}, 42, "JobTracker {} is told to stop", i);
    slot.stopping = true;
    Disturbed();
    slot.live->Stop([this, i, &slot, stopping = slot.live.get()] {
      loop_.After(0, [this, i, &slot, stopping] {
        if (slot.live.get() != stopping) return;
        Count("JobTracker stopped");
        Disturbed();
        slot.live->Die();
        dead_trackers_.push_back(std::move(slot.live));
        slot.stopping = false;
        loop_.After(random_.Between(0, (config_.cluster() ? 20 : 3) * kSecondUs),
                    [this, i] { StartTracker(i); });
      });
    });
  });
  ArmFault(config_.tracker_pause_ms, [this] {
    SimTracker* paused = tracker(SomeTracker());
    if (paused == nullptr) return;
    Count("JobTracker paused");
    const std::int64_t for_us = random_.Between(10'000, 12 * kSecondUs);
    Note({}, 46, "JobTracker {} is paused for {} ms", paused->index(), for_us / 1000);
    paused->process()->paused_until_us = loop_.now_us() + for_us;
    DisturbedUntil(loop_.now_us() + for_us);
    checker_.OnTroubleEverywhere();
    loop_.After(for_us, [this] { checker_.OnTroubleEverywhere(); });
  });
  ArmFault(config_.cut_ms, [this, some_worker] {
    const std::string tracker = PlaceOf(SomeTracker());
    const std::int64_t for_us =
        random_.Chance(0.5)
            ? random_.Between(100'000, 3 * kSecondUs)
            : random_.Between(1, 2 * config_.core.tasktracker_lease_ms / 1000) * kSecondUs;
    switch (random_.Below(5)) {
      case 0:
        Count("cut from the registry");
        Cut(tracker, "registry", for_us);
        break;
      case 1:
        Count("cut from the store");
        Cut(tracker, "store", for_us);
        DisturbedUntil(loop_.now_us() + for_us);
        break;
      case 2:
        Count("cut from a TaskTracker");
        Cut(tracker, some_worker().name(), for_us);
        break;
      case 3:
        Count("cut from a client");
        Cut(tracker, fmt::format("c{}", random_.Below(clients_.size())), for_us);
        break;
      default:
        Count("cut from another JobTracker");
        Cut(tracker, PlaceOf(SomeTracker()), for_us);
        break;
    }
  });
  ArmFault(config_.registry_outage_ms, [this] {
    Count("registry outage");
    const std::int64_t for_us = random_.Between(1, 30) * kSecondUs;
    // Who had just come back was about to hand over by a new assignment, which then never comes.
    if (loop_.now_us() < registry_back_us_ + 5 * kSecondUs) DisturbedUntil(loop_.now_us() + for_us);
    registry_back_us_ = std::max(registry_back_us_, loop_.now_us() + for_us);
    for (int i = 0; i < trackers(); ++i) Cut(PlaceOf(i), "registry", for_us);
  });
  ArmFault(config_.worker_kill_ms, [this, some_worker] {
    SimTaskTracker& worker = some_worker();
    if (!worker.alive()) return;
    Note({}, 43, "{} is killed", worker.name());
    worker.Kill();
    loop_.After(random_.Between(0, 3 * config_.core.tasktracker_lease_ms * 1000), [this, &worker] {
      if (!worker.alive()) {
        Note({}, 44, "{} starts", worker.name());
        worker.Start();
      }
    });
  });
  ArmFault(config_.worker_pause_ms, [this, some_worker] {
    SimTaskTracker& worker = some_worker();
    Note({}, 45, "{} is paused", worker.name());
    worker.Pause(
        random_.Between(10, 2 * (config_.core.tasktracker_lease_ms + config_.core.kill_grace_ms)));
  });
  ArmFault(config_.worker_drain_ms, [some_worker] { some_worker().Drain(); });
  ArmFault(config_.stream_break_ms, [some_worker] { some_worker().BreakStream(); });
  ArmFault(config_.client_kill_ms, [this] {
    SimClient& client = *clients_[random_.Below(clients_.size())];
    if (!client.alive()) return;
    client.Kill();
    loop_.After(random_.Between(0, 5 * kSecondUs), [&client] {
      if (!client.alive()) client.Start();
    });
  });
  ArmFault(config_.store_outage_ms, [this] {
    Count("store outage");
    const std::int64_t for_us = random_.Between(10'000, 10 * kSecondUs);
    store_outage_until_us_ = loop_.now_us() + for_us;
    DisturbedUntil(store_outage_until_us_);
    loop_.After(for_us, [this] { checker_.OnTroubleEverywhere(); });
  });
  ArmFault(config_.wall_step_ms, [this] {
    const DurationMs by_ms =
        random_.Chance(0.5) ? random_.Between(-3'000, 3'000) : random_.Between(-40'000, 40'000);
    const int i = SomeTracker();
    Note({}, 47, "the clock of JobTracker {} steps by {} ms", i, by_ms);
    Count(by_ms < 0 ? "clock stepped back" : "clock stepped forth");
    clock_of(i).Step(by_ms);
    if (!config_.cluster()) checker_.OnWallStep(by_ms);
    if (by_ms < 0 && random_.Chance(0.5)) {
      // Somebody notices that schedules are silent.
      for (const model::JobId& id : checker_.ActiveSchedules()) {
        for (const auto& client : clients_) {
          if (client->alive()) client->OperateSchedule(id, core::OperationKind::kResume, true);
        }
      }
    }
  });
}

void World::StopFaults() {
  active_ = false;
  settling_ = true;
  store_outage_until_us_ = 0;
  cuts_.clear();
  for (int i = 0; i < trackers(); ++i) {
    if (tracker(i) != nullptr) tracker(i)->process()->paused_until_us = 0;
    StartTracker(i);
  }
  for (const auto& worker : workers_) worker->Resume();
  for (const auto& client : clients_) {
    if (!client->alive()) client->Start();
  }
}

std::string World::WhatIsNotQuiet() {
  if (std::string what = checker_.Unfinished(); !what.empty()) return what;
  for (const auto& client : clients_) {
    if (!client->Idle()) return fmt::format("a client has {} submits to send", client->Waiting());
  }
  for (const auto& worker : workers_) {
    if (!worker->Idle()) return worker->name() + " keeps a result or runs something";
  }
  for (std::uint32_t i = 0; i < config_.partitions; ++i) {
    const core::Partition* core = OwnerCore(i);
    if (core == nullptr) return fmt::format("nobody serves partition {}", i);
    const core::PartitionStats stats = core->Stats();
    if (stats.jobs_in_memory + stats.executing + stats.ready + stats.dated +
            stats.waiting_operations + stats.resident + stats.schedules !=
        0) {
      return fmt::format(
          "partition {} holds {} jobs, {} executing, {} ready, {} dated, {} operations, {} "
          "resident, "
          "{} schedules in memory",
          i, stats.jobs_in_memory, stats.executing, stats.ready, stats.dated,
          stats.waiting_operations, stats.resident, stats.schedules);
    }
  }
  return {};
}

void World::CheckOwners() {
  if (!config_.cluster()) return;
  // Everybody had time to settle, whatever the registry did.
  const std::int64_t settle_us =
      (2 * config_.cluster_lease_ms + config_.session_timeout_ms) * 1000 + 10 * kSecondUs;
  const std::int64_t calm_us = disturbed_us_ + settle_us;
  for (std::uint32_t i = 0; i < config_.partitions; ++i) {
    if (OwnerCore(i) != nullptr) {
      served_us_[i] = loop_.now_us();
      continue;
    }
    const std::int64_t served_us = served_us_[i];
    if (served_us < calm_us || loop_.now_us() - served_us < 5 * kSecondUs) continue;
    Fail("liveness", {}, fmt::format("partition {} has lost its owner for no reason", i));
  }
  if (loop_.now_us() > calm_us && IsCut(PlaceOf(0), "registry")) {
    Count("owners looked at without a registry");
  }
}

bool World::Quiet() { return WhatIsNotQuiet().empty(); }

// ---- a run ------------------------------------------------------------------------------------

bool World::Run() {
  StartTracker(0);
  for (int i = 1; i < trackers(); ++i) {
    // Nodes may be added at any time.
    loop_.After(random_.Chance(0.5) ? random_.Between(0, kSecondUs)
                                    : random_.Between(0, config_.active_ms * 1000 / 2),
                [this, i] { StartTracker(i); });
  }
  for (const auto& worker : workers_) worker->Start();
  for (const auto& client : clients_) client->Start();
  ArmFaults();
  const std::int64_t active_end_us = config_.active_ms * 1000;
  // I9, looked at each second.
  while (failure_.empty() && loop_.now_us() < active_end_us) {
    loop_.RunUntil(loop_.now_us() + kSecondUs);
    CheckOwners();
    for (std::uint32_t i = 0; i < config_.partitions; ++i) {
      const core::Partition* core = OwnerCore(i);
      if (core == nullptr) continue;
      const core::PartitionStats stats = core->Stats();
      // Per group two windows of twice the bound, one page of each on its way in, and what look-ups
      // hold.
      const std::size_t bound =
          stats.resident + stats.executing + stats.waiting_operations * 4 +
          static_cast<std::size_t>(config_.groups) * (config_.core.window_max * 7 + 16);
      if (stats.jobs_in_memory > bound) {
        Fail("I9", {},
             fmt::format("partition {} holds {} jobs in memory, {} resident, {} executing, window "
                         "{}, {} ready, {} dated, {} held",
                         i, stats.jobs_in_memory, stats.resident, stats.executing,
                         config_.core.window_max, stats.ready, stats.dated, stats.held));
      }
      coverage_["refill"] += stats.refills > 0 ? 1 : 0;
      coverage_["look-up"] += stats.lookups > 0 ? 1 : 0;
      coverage_["deferred until a group opened"] += stats.deferred;
      coverage_["adopted"] += stats.adopted;
      coverage_["result of an earlier owner's attempt"] += stats.early_results;
      coverage_["stale result"] += stats.stale_results;
      coverage_["attempt lost"] += stats.lost;
      coverage_["handed back"] += stats.undelivered;
      coverage_["yielded"] += stats.yielded;
      coverage_["expired"] += stats.expired;
      coverage_["skipped fire"] += stats.skipped_fires;
      coverage_["replaced"] += stats.replaced;
      coverage_["suspended"] += stats.suspended;
      coverage_["resumed"] += stats.resumed;
      coverage_["updated"] += stats.updated;
      coverage_["triggered"] += stats.triggered;
      coverage_["terminated"] += stats.terminated;
      coverage_["reset after a step back"] += stats.resets;
    }
  }
  if (!failure_.empty()) return false;
  Note({}, 50, "faults end");
  StopFaults();
  const std::int64_t leases_us =
      2 * (config_.core.tasktracker_lease_ms + config_.core.kill_grace_ms) * 1000;
  loop_.RunUntil(loop_.now_us() + leases_us + 15 * kSecondUs);
  if (!failure_.empty()) return false;
  if (std::string late = checker_.LateSchedule(5'000); !late.empty()) {
    Fail("I6", {}, late);
    return false;
  }
  const std::int64_t limit_us = loop_.now_us() + kSettleMaxUs;
  for (int second = 0; failure_.empty() && !Quiet() && loop_.now_us() < limit_us; ++second) {
    // Again and again: a client may have had schedules in its FailStore.
    if (second % 10 == 0) {
      for (const model::JobId& id : checker_.ActiveSchedules()) {
        for (const auto& client : clients_)
          client->OperateSchedule(id, core::OperationKind::kCancel);
      }
      for (const auto& [id, task] : checker_.SuspendedJobs()) {
        clients_.front()->Resume(task.first, task.second, id);
      }
    }
    loop_.RunUntil(loop_.now_us() + kSecondUs);
  }
  if (!failure_.empty()) return false;
  if (std::string what = WhatIsNotQuiet(); !what.empty()) {
    Fail("liveness", {}, what);
    return false;
  }
  checker_.AtEnd();
  for (const auto& client : clients_) client->AtEnd();
  return failure_.empty();
}

}  // namespace lts::sim

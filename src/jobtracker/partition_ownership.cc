// How a PartitionHost comes to serve its partition, and how it lets go of it.
#include <algorithm>
#include <utility>

#include "common/log.h"
#include "jobtracker/partition_host.h"

namespace lts {

namespace {

constexpr std::size_t kLoadPage = 1'000;

Result<core::LoadedState> LoadAll(store::JobStore& store, std::uint32_t partition,
                                  const store::PartitionLease& lease) {
  core::LoadedState loaded;
  loaded.epoch = lease.epoch;
  loaded.next_seq = lease.next_seq;
  loaded.clean = lease.clean;
  for (model::JobId after{};;) {
    auto page = store.LoadSchedules(partition, after, kLoadPage);
    if (!page.ok()) return page.status();
    if (page->empty()) break;
    after = page->back().id;
    for (auto& row : *page) loaded.schedules.push_back(std::move(row));
  }
  for (model::JobKey after{};;) {
    auto page = store.LoadRunning(partition, after, kLoadPage);
    if (!page.ok()) return page.status();
    if (page->empty()) break;
    after = page->back().key;
    for (auto& row : *page) loaded.resident.push_back(std::move(row));
  }
  auto workers = store.LoadWorkers(partition);
  if (!workers.ok()) return workers.status();
  loaded.workers = *std::move(workers);
  auto groups = store.LoadGroups(partition);
  if (!groups.ok()) return groups.status();
  loaded.groups = *std::move(groups);
  auto feedback = store.LoadFeedbackGroups(partition);
  if (!feedback.ok()) return feedback.status();
  loaded.feedback_groups = *std::move(feedback);
  return loaded;
}

}  // namespace

void PartitionHost::Start(std::function<void(Status)> on_first) {
  on_first_ = std::move(on_first);
  started_us_ = clock_.MonotonicUs();
  Assign({0, true, true});
}

void PartitionHost::Assign(PartitionAssignment assignment) {
  if (stop_for_good_) return;
  // The registry was lost, and with it what was handed over by its numbers.
  if (assignment.number < assigned_.number) yielded_to_ = 0;
  if (assigned_ != assignment) {
    assigned_ = assignment;
    acquire_delay_us_ = 0;
    told_held_ = false;
  }
  if (assigned_.live && !assigned_.mine) reacquires_ = false;
  switch (state_) {
    case State::kIdle:
      if (MayAcquire()) Acquire();
      return;
    case State::kAcquiring:
      if (!MayAcquire()) SetState(State::kIdle);
      return;
    case State::kServing: GiveUpLapsed(); return;
    case State::kLoading:
    case State::kStopping:
    case State::kReleasing:
    case State::kStopped: return;
  }
}

bool PartitionHost::MayAcquire() const {
  return reacquires_ || (assigned_.mine && assigned_.live && assigned_.number >= yielded_to_);
}

// Nothing more can become durable here before the store is asked again, and another one may hold it
// by then: it is assigned to one, or the session to the registry is over, and neither store nor
// registry can tell. Answering on, it would keep TaskTrackers from their present owner, which takes
// them for lost after their lease and has their jobs run again.
void PartitionHost::GiveUpLapsed() {
  if (state_ != State::kServing || (assigned_.mine && assigned_.live) || LeaseHolds()) return;
  if (!assigned_.mine) {
    Reload(Status::Fenced("its lease has ended, and it is assigned to another JobTracker"));
  } else {
    Reload(Status::Unavailable(
        "its lease has ended, and without store and registry nobody can tell whether another "
        "JobTracker has taken it over"));
  }
}

void PartitionHost::CheckLease() {
  if (state_ != State::kServing || LeaseHolds()) return;
  lapsed_ = true;
  GiveUpLapsed();
}

void PartitionHost::AskedBy(const std::string& asker, std::uint64_t assignment) {
  if (state_ != State::kServing && state_ != State::kLoading) return;
  // By the same assignment only another process of this one's identity asks: the one that counts.
  const bool own = assigned_.mine && assigned_.live;
  if (assignment < assigned_.number || (own && assignment == assigned_.number)) return;
  LTS_INFO("partition is handed over partition={} epoch={} to={} assignment={}",
           options_.core.partition, lease_.epoch, asker, assignment);
  // What assigns it here is history: only a newer assignment makes it come back.
  if (assigned_.mine) yielded_to_ = assignment;
  if (state_ == State::kLoading) {
    FinishStop();
  } else {
    BeginStop();
  }
}

void PartitionHost::Acquire() {
  SetState(State::kAcquiring);
  if (std::exchange(acquire_under_way_, true)) return;  // its answer will do
  // Not bound to a life: what it has acquired must be released when it is not to be had any more.
  io_.Post([this, life = std::weak_ptr<int>(alive_), &store = store_, &strand = strand_,
            &clock = clock_, partition = options_.core.partition, owner = options_.owner,
            address = address_, number = assigned_.number] {
    const std::int64_t sent_us = clock.MonotonicUs();
    auto acquired = store.Acquire(partition, owner, address, number);
    strand.Post([this, life, sent_us, acquired = std::move(acquired)] {
      if (life.lock()) OnAcquired(acquired, sent_us);
    });
  });
}

void PartitionHost::AcquireAfter(std::int64_t delay_us) {
  SetState(State::kAcquiring);
  if (std::exchange(acquire_armed_, true)) return;
  strand_.PostAfter(delay_us, [this, life = std::weak_ptr<int>(alive_)] {
    if (!life.lock()) return;
    acquire_armed_ = false;
    if (state_ != State::kAcquiring) return;
    if (MayAcquire()) {
      Acquire();
    } else {
      SetState(State::kIdle);
    }
  });
}

void PartitionHost::OnAcquired(const Result<store::PartitionLease>& acquired,
                               std::int64_t sent_us) {
  acquire_under_way_ = false;
  if (acquired.ok() && (state_ != State::kAcquiring || !MayAcquire())) {
    // It is not to be had here any more: as if it had never been taken.
    if (state_ == State::kAcquiring) SetState(State::kIdle);
    ReleaseLease(*acquired, acquired->clean);
    return;
  }
  if (!acquired.ok()) {
    if (state_ == State::kReleasing) {
      OnReleased();  // a stop waited for this answer
      return;
    }
    if (state_ != State::kAcquiring) return;
    // Another one has it: what it was before counts no more.
    if (acquired.status().code() == StatusCode::kUnavailable && !assigned_.mine)
      reacquires_ = false;
    if (!std::exchange(told_held_, true)) {
      LTS_INFO("partition is not to be had yet, trying again partition={} reason=\"{}\"",
               options_.core.partition, acquired.status().message());
    }
    // A predecessor at another address keeps it for a lease.
    const bool may_end = clock_.MonotonicUs() - started_us_ <= options_.lease_ms * 1000;
    if (on_first_ && (options_.lease_ms == 0 || !may_end)) {
      std::exchange(on_first_, nullptr)(acquired.status());
    }
    acquire_delay_us_ =
        std::clamp(acquire_delay_us_ * 2, options_.acquire_min_us, options_.acquire_max_us);
    AcquireAfter(acquire_delay_us_);
    return;
  }
  lease_ = *acquired;
  renewed_us_.store(sent_us, std::memory_order_relaxed);
  held_epoch_.store(lease_.epoch, std::memory_order_release);
  lapsed_ = false;
  Load();
}

void PartitionHost::Load() {
  SetState(State::kLoading);
  io_.Post([this, life = std::weak_ptr<int>(life_), &store = store_, &strand = strand_,
            partition = options_.core.partition, lease = lease_] {
    auto loaded = LoadAll(store, partition, lease);
    strand.Post([this, life, loaded = std::move(loaded)]() mutable {
      if (life.lock()) OnLoaded(std::move(loaded));
    });
  });
}

void PartitionHost::OnLoaded(Result<core::LoadedState> loaded) {
  if (state_ != State::kLoading) return;
  if (!loaded.ok()) {
    LTS_WARN("cannot load partition={} error=\"{}\"", options_.core.partition,
             loaded.status().ToString());
    if (on_first_) std::exchange(on_first_, nullptr)(loaded.status());
    retry_us_ = std::clamp(retry_us_ * 2, options_.retry_initial_us, options_.retry_max_us);
    // Under the same lease, which is renewed meanwhile, so that what the owner before left clean
    // stays so; unless it has ended, or it is assigned elsewhere.
    strand_.PostAfter(retry_us_, Guarded([this] {
                        if (state_ != State::kLoading) return;
                        if (!assigned_.mine) {
                          FinishStop();
                        } else if (LeaseHolds()) {
                          Load();
                        } else {
                          reacquires_ = true;
                          Acquire();
                        }
                      }));
    return;
  }
  retry_us_ = 0;
  store_trouble_ = {};
  reads_fail_ = false;
  const std::size_t resident = loaded->resident.size();
  const std::size_t schedules = loaded->schedules.size();
  const std::size_t workers = loaded->workers.size();
  loaded->refused = refused_;
  core_ = std::make_unique<core::Partition>(options_.core, *std::move(loaded), now());
  SetState(State::kServing);
  reacquires_ = false;
  told_held_ = false;
  acquire_delay_us_ = 0;
  LTS_INFO(
      "partition serves partition={} epoch={} clean={} running_or_shared={} schedules={} "
      "workers={}",
      options_.core.partition, lease_.epoch, lease_.clean, resident, schedules, workers);
  if (const std::size_t silent = core_->Stats().schedules_without_fires; silent > 0) {
    LTS_ERROR(
        "schedules do not fire: this host does not know their time zones (see explain); install "
        "tzdata or replace them partition={} schedules={}",
        options_.core.partition, silent);
  }
  if (on_first_) std::exchange(on_first_, nullptr)(Status::Ok());
  outbox_.Serving();
  Handle(core::TickEvent{});
}

void PartitionHost::Renewed(std::uint64_t epoch, std::int64_t sent_us, bool held) {
  if (epoch != held_epoch_.load(std::memory_order_relaxed)) return;
  if (!held) {
    if (state_ == State::kServing || state_ == State::kStopping) {
      Reload(Status::Fenced("another JobTracker has taken it over"));
    }
    return;  // what is being loaded finds out by itself
  }
  if (sent_us > renewed_us_) renewed_us_.store(sent_us, std::memory_order_relaxed);
  Thaw();
}

// The lease holds again: what would have come due meanwhile.
void PartitionHost::Thaw() {
  if (!lapsed_ || !LeaseHolds()) return;
  lapsed_ = false;
  LTS_INFO("the lease holds again partition={} epoch={}", options_.core.partition, lease_.epoch);
  if (state_ == State::kServing) Handle(core::TickEvent{});
}

void PartitionHost::Stop(std::function<void()> done) {
  on_stopped_ = std::move(done);
  stop_for_good_ = true;
  assigned_.mine = false;
  reacquires_ = false;
  switch (state_) {
    case State::kServing: BeginStop(); return;
    case State::kStopping:
    case State::kReleasing: return;  // on its way
    case State::kLoading:
    case State::kIdle:
    case State::kAcquiring:
    case State::kStopped: break;
  }
  FinishStop();
}

void PartitionHost::BeginStop() {
  SetState(State::kStopping);
  if (retry_us_ > 0) {
    // Nothing more will become durable here; the next owner finds out by itself.
    FinishStop();
    return;
  }
  all_known_ = core_->FlushMarks(&gathering_);
  flushed_marks_ = true;
  Flush();
  if (state_ == State::kStopping && !commit_under_way_) FinishStop();
}

void PartitionHost::FinishStop() {
  const bool flushed =
      std::exchange(flushed_marks_, false) && core_ != nullptr && !commit_under_way_;
  // What was not served yet is left as it was found.
  const bool unserved = state_ == State::kLoading;
  const bool clean = unserved ? lease_.clean : all_known_;
  outbox_.Reset(options_.core.partition,
                Status::Unavailable(stop_for_good_ ? "the JobTracker is stopping"
                                                   : "it is handed over to another JobTracker"));
  if (on_first_) {
    std::exchange(on_first_,
                  nullptr)(Status::Unavailable("another JobTracker has asked for the partition"));
  }
  DropCore();
  retry_us_ = 0;
  store_trouble_ = {};
  SetState(State::kReleasing);
  if (flushed || unserved) {
    ReleaseLease(lease_, clean);
  } else if (!acquire_under_way_) {
    OnReleased();
  }
}

void PartitionHost::ReleaseLease(const store::PartitionLease& lease, bool clean) {
  io_.Post([this, life = std::weak_ptr<int>(alive_), &store = store_, &strand = strand_,
            partition = options_.core.partition, epoch = lease.epoch, clean] {
    const Status released = store.Release(partition, epoch, clean);
    if (!released.ok()) {
      LTS_WARN("partition was not released, its lease has to end partition={} error=\"{}\"",
               partition, released.ToString());
    }
    strand.Post([this, life] {
      if (life.lock()) OnReleased();
    });
  });
}

void PartitionHost::OnReleased() {
  if (state_ != State::kReleasing) return;
  if (stop_for_good_) {
    SetState(State::kStopped);
    if (on_stopped_) std::exchange(on_stopped_, nullptr)();
    return;
  }
  SetState(State::kIdle);
  if (MayAcquire()) Acquire();
}

}  // namespace lts

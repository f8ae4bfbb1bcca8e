#include "sim_store.h"

#include <algorithm>
#include <set>
#include <variant>

#include "tracker.h"
#include "world.h"

namespace lts::sim {

namespace {

// What a commit is for; crashes are counted for each kind.
std::set<std::string> KindsOf(const store::MutationBatch& batch) {
  struct Visitor {
    std::string operator()(const store::InsertJob& m) const {
      return m.row.kind == store::JobKind::kOccurrence ? "fire" : "submit";
    }
    std::string operator()(const store::UpdateJob& m) const {
      if (m.row.cancel_requested) return "cancel";
      if (m.row.state == model::JobState::kSuspended || m.row.suspend_requested) return "operation";
      return m.row.state == model::JobState::kRunning ? "mark" : "next attempt";
    }
    std::string operator()(const store::DeleteJob&) const { return "end"; }
    std::string operator()(const store::InsertHistory&) const { return "history"; }
    std::string operator()(const store::PutSchedule&) const { return "schedule"; }
    std::string operator()(const store::DeleteSchedule&) const { return "schedule"; }
    std::string operator()(const store::InsertFeedback&) const { return "feedback"; }
    std::string operator()(const store::DeleteFeedback&) const { return "feedback"; }
    std::string operator()(const store::InsertLog&) const { return "operation"; }
    std::string operator()(const store::PutWorker&) const { return "worker"; }
    std::string operator()(const store::DeleteWorker&) const { return "worker"; }
  };
  std::set<std::string> kinds;
  for (const store::Mutation& mutation : batch.mutations)
    kinds.insert(std::visit(Visitor(), mutation));
  return kinds;
}

bool Poisoned(const store::MutationBatch& batch) {
  return std::any_of(batch.mutations.begin(), batch.mutations.end(), [](const auto& mutation) {
    const auto* job = std::get_if<store::InsertJob>(&mutation);
    const auto* schedule = std::get_if<store::PutSchedule>(&mutation);
    const model::JobSpecPtr spec = job ? job->row.spec : schedule ? schedule->row.spec : nullptr;
    return spec != nullptr && spec->params.contains(kPoison);
  });
}

}  // namespace

void SimStore::Wait() {
  Random& random = world_.random();
  std::int64_t delay_us = random.Between(0, world_.config().store_delay_max_us / 2);
  if (world_.active() && random.Chance(world_.config().store_slow)) {
    delay_us = random.Between(100'000, 1'000'000);
    world_.Count("store slow");
    world_.Disturbed();
    world_.checker().OnTroubleEverywhere();
  }
  world_.loop().Sleep(delay_us);
}

bool SimStore::Away(std::uint32_t partition, double chance) {
  const bool outage = world_.loop().now_us() < world_.store_outage_until_us() ||
                      world_.IsCut(World::PlaceOf(tracker_), "store");
  if (!outage && !(world_.active() && world_.random().Chance(chance))) return false;
  world_.Count("store unavailable");
  world_.Disturbed();
  world_.checker().OnTrouble(partition);
  return true;
}

Status SimStore::Enter(std::uint32_t partition) {
  Wait();
  if (!caller_->alive) return Status::Unavailable("died");
  if (Away(partition, world_.config().read_unavailable))
    return Status::Unavailable("the store is away");
  return Status::Ok();
}

Result<store::PartitionLease> SimStore::Acquire(std::uint32_t partition, const std::string& owner,
                                                const std::string& address,
                                                std::uint64_t assignment) {
  if (auto s = Enter(partition); !s.ok()) return s;
  auto lease = inner_.Acquire(partition, owner, address, assignment);
  if (lease.ok()) world_.checker().OnAcquired(partition);
  return lease;
}

Status SimStore::Release(std::uint32_t partition, std::uint64_t epoch, bool clean) {
  if (auto s = Enter(partition); !s.ok()) return s;
  return inner_.Release(partition, epoch, clean);
}

Status SimStore::Apply(std::uint32_t partition, std::uint64_t epoch, std::uint64_t commit_no,
                       const store::MutationBatch& batch) {
  const auto before = inner_.Partitions();
  const Status status = inner_.Commit(partition, epoch, commit_no, batch);
  if (status.ok() && before.ok() && (*before)[partition].commit_no != commit_no) {
    world_.Note({}, commit_no, "commit applied partition={} number={} mutations={}", partition,
                commit_no, batch.mutations.size());
    world_.checker().OnApplied(partition, batch);
  }
  return status;
}

Status SimStore::Commit(std::uint32_t partition, std::uint64_t epoch, std::uint64_t commit_no,
                        const store::MutationBatch& batch) {
  Random& random = world_.random();
  const Config& config = world_.config();
  const auto count = [&](const char* when) {
    for (const std::string& kind : KindsOf(batch))
      world_.Count(std::string("crash ") + when + " commit: " + kind);
  };
  // Rare kinds of commits are hit more often.
  const double likely = KindsOf(batch).contains("cancel") ? 20 : 1;
  const bool crash = world_.active() && random.Chance(config.crash_in_commit * likely);
  const std::uint64_t point = random.Below(3);
  if (crash && point == 0) {
    count("before");
    world_.KillTracker(tracker_, "before a commit");
    return Status::Unavailable("died");
  }
  Wait();
  if (crash && point == 1 && caller_->alive) world_.KillTracker(tracker_, "inside a commit");
  if (!caller_->alive) {
    // The request is on its way; it may still arrive, even after somebody else owns the partition.
    count("inside");
    if (random.Chance(0.5) && !Poisoned(batch)) {
      world_.loop().Sleep(random.Between(0, 5'000'000));
      const Status late = Apply(partition, epoch, commit_no, batch);
      world_.Count(late.ok() ? "commit of the dead applied" : "commit of the dead fenced");
    }
    return Status::Unavailable("died");
  }
  if (Away(partition, config.commit_unavailable)) return Status::Unavailable("the store is away");
  if (world_.active() && random.Chance(config.commit_unknown_before)) {
    world_.Count("unknown outcome, nothing happened");
    world_.checker().OnTrouble(partition);
    world_.Disturbed();
    return Status::UnknownOutcome("the connection broke");
  }
  if (Poisoned(batch)) {
    world_.Disturbed();
    world_.Count("row refused for good");
    return Status::InvalidArgument("a row is refused");
  }
  const Status status = Apply(partition, epoch, commit_no, batch);
  if (status.code() == StatusCode::kFenced && world_.config().cluster()) {
    world_.Count("commit of a replaced owner fenced");
    return status;
  }
  if (!status.ok()) {
    model::JobId job;
    for (const store::Mutation& mutation : batch.mutations) {
      if (const auto* history = std::get_if<store::InsertHistory>(&mutation))
        job = history->row.key.id;
    }
    world_.Fail("I4/I5", job, "the store refuses a commit: " + status.ToString());
    return status;
  }
  if (crash && point == 2) {
    count("after");
    world_.KillTracker(tracker_, "after a commit");
    return status;
  }
  Wait();
  if (!caller_->alive) count("after");
  if (world_.IsCut(World::PlaceOf(tracker_), "store") ||
      (world_.active() && random.Chance(config.commit_unknown_after))) {
    world_.Count("unknown outcome, it happened");
    world_.checker().OnTrouble(partition);
    world_.Disturbed();
    return Status::UnknownOutcome("the connection broke");
  }
  return status;
}

}  // namespace lts::sim

// Why a job does or does not run: from the predicates that the dispatcher itself uses.
#include <fmt/core.h>

#include "jobtracker/core/state.h"

namespace lts::core {

std::vector<Explanation> Partition::Explain(const store::JobRow& row, Now now) const {
  std::vector<Explanation> reasons;
  const Job* job = FindJob(row.key);
  const store::JobRow& known = job != nullptr ? job->row : row;
  const auto add = [&](std::string code, std::string text) {
    reasons.push_back({std::move(code), std::move(text)});
  };
  if (job != nullptr && job->place == Job::Place::kExecuting) {
    add("RUNNING", fmt::format("attempt {} runs at {}{}", known.attempt, job->worker->identity,
                               job->worker->stream != 0 ? "" : ", which is not connected now"));
    if (known.cancel_requested)
      add("CANCEL_REQUESTED", "it was told to stop; it ends CANCELLED unless it succeeds");
    if (known.suspend_requested)
      add("SUSPEND_REQUESTED", "its retry, or the next cycle, waits until it is resumed");
    const DurationMs ran_ms = now.wall_ms - job->started_ms;
    if (OutOfTime(*job, now)) {
      add("STUCK",
          fmt::format("it was given out {} ms ago, its time-out is {} ms, and it is told to stop "
                      "again and again: its runner does not return; its slot and its task stay "
                      "busy until it does, or its TaskTracker ends",
                      ran_ms, known.spec->timeout_ms));
    } else if (known.spec->timeout_ms > 0 && ran_ms > known.spec->timeout_ms) {
      add("OUT_OF_TIME",
          fmt::format(
              "it was given out {} ms ago and its time-out is {} ms: its runner was asked to "
              "stop, and has not; what it reports in the end counts",
              ran_ms, known.spec->timeout_ms));
    }
    return reasons;
  }
  if (known.state == model::JobState::kSuspended) {
    add("SUSPENDED", "suspended; resume it to let it run");
    return reasons;
  }
  if (refused_.contains(known.key)) {
    add("STORE_REFUSES",
        "the store has refused a change of this job for good; the log of the JobTracker says why. "
        "It is tried again when the JobTracker is restarted");
    return reasons;
  }
  if (known.due_ms > now.wall_ms) {
    add(known.attempt > 1 ? "RETRY_WAITS" : "NOT_DUE",
        fmt::format("due in {} ms{}", known.due_ms - now.wall_ms,
                    known.attempt > 1 ? fmt::format(", as attempt {}", known.attempt) : ""));
    return reasons;
  }
  const auto found = groups_.find(known.spec->group);
  if (found == groups_.end()) {
    add("NO_TASKTRACKER",
        fmt::format("no TaskTracker of group {} is connected", known.spec->group));
    return reasons;
  }
  const Group& group = *found->second;
  if (job != nullptr ? MayRunUnseen(*job) : group.opening && known.seq < first_seq_) {
    add("WAITING_FOR_WORKERS", fmt::format("{} TaskTrackers that may still run jobs of group {} "
                                           "have not reported since the JobTracker started",
                                           group.expected.size(), group.name));
    return reasons;
  }
  if (job != nullptr && job->place == Job::Place::kParked && job->task->holder != nullptr) {
    add("RUN_KEY_BUSY", fmt::format("job {} of the same task has not ended",
                                    job->task->holder->row.key.id.ToString()));
    return reasons;
  }
  bool connected = false;
  bool free_slot = false;
  std::size_t slots = 0;
  for (const Worker* worker : group.workers) {
    if (worker->stream == 0) continue;
    connected = true;
    slots += static_cast<std::size_t>(worker->capacity);
    free_slot =
        free_slot || worker->outstanding.size() < static_cast<std::size_t>(worker->capacity);
  }
  if (frozen_) {
    add("FROZEN",
        "nothing is given out at the moment: the store does not answer, or does not confirm that "
        "this JobTracker still owns the partition");
  } else if (!connected) {
    add("NO_TASKTRACKER", fmt::format("no TaskTracker of group {} is connected", group.name));
  } else if (slots == 0) {
    add("NO_ROOM",
        fmt::format("no TaskTracker of group {} takes new jobs: they drain, or their hosts have no "
                    "room",
                    group.name));
  } else if (!free_slot) {
    add("NO_FREE_SLOT", fmt::format("all {} slots of group {} are busy", slots, group.name));
  } else {
    add("NEXT", "it is being dispatched");
  }
  if (job == nullptr && !group.Complete()) {
    add("BEHIND_OTHERS",
        fmt::format("more than {} jobs of group {} go before it", group.ready.size(), group.name));
  }
  return reasons;
}

}  // namespace lts::core

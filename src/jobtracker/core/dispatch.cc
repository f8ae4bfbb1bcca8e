// Ready jobs to free slots, in the order I10, and the write-behind marks of what is running.
#include <algorithm>

#include "jobtracker/core/state.h"

namespace lts::core {

using model::JobState;
using store::JobRow;

void Partition::WantDispatch(Group& group) {
  if (group.dispatch_wanted) return;
  group.dispatch_wanted = true;
  to_dispatch_.push_back(&group);
}

void Partition::Dispatch(Group& group) {
  group.dispatch_wanted = false;
  while (!group.ready.empty()) {
    Job& job = **group.ready.begin();
    // Rows in the store go before it (I10): a refill brings them.
    if (!group.ready_complete &&
        store::ReadyPosition{job.row.priority, job.row.due_ms, job.row.seq} >= group.ready_end) {
      break;
    }
    if (job.row.expires_ms != 0 && job.row.expires_ms <= now_.wall_ms && !job.row.Started()) {
      EndWithoutAttempt(job, model::JobEvent::kExpire, "not started before it expired");
      continue;
    }
    // The next TaskTracker in turn with a free slot.
    Worker* free_worker = nullptr;
    for (std::size_t i = 0; i < group.workers.size() && free_worker == nullptr; ++i) {
      Worker* worker = group.workers[(group.next_worker + i) % group.workers.size()];
      if (worker->stream != 0 &&
          worker->outstanding.size() < static_cast<std::size_t>(worker->capacity)) {
        free_worker = worker;
        group.next_worker = (group.next_worker + i + 1) % group.workers.size();
      }
    }
    if (free_worker == nullptr) break;
    Start(job, *free_worker);
  }
  MaybeRefill(group);
}

void Partition::AttachExecuting(Job& job, Worker& worker, const model::Token& token) {
  Unplace(job);
  job.place = Job::Place::kExecuting;
  job.worker = &worker;
  job.token = token;
  job.started_ms = now_.wall_ms;
  job.started_mono_ms = now_.mono_ms;
  job.out_of_time = false;
  job.progress_percent = -1;
  job.progress_text.clear();
  ++job.group->executing;
  ++executing_;
  worker.outstanding.insert(&job);
  if (!SharesRunKey(job.row)) return;
  job.task->holder = &job;
  for (Job* other : job.task->jobs) {
    if (other != &job && (other->place == Job::Place::kReady || other->place == Job::Place::kHeld))
      Place(*other);
  }
}

void Partition::Start(Job& job, Worker& worker) {
  AttachExecuting(job, worker, {epoch_, ++token_sequence_});
  ++stats_.dispatched;
  const AttemptRef ref{job.row.key, job.row.attempt, job.token};
  // What must never run twice, and what was lost before, is marked before it is sent; the rest a
  // little later, if it still runs then: a job that ends sooner never pays for a mark.
  if (job.row.spec->at_most_once || job.row.lost > 0) {
    Mark(job);
  } else {
    mark_timers_.emplace_back(now_.mono_ms + options_.mark_delay_ms, ref);
  }
  SendTo(worker.stream).assignments.push_back({ref, job.row.spec});
}

// Its TaskTracker stops it in time. This is the other side's watch, of one whose clock stands or
// whose runner does not return. The time-out counts from the start, which is later than the
// dispatch by what its commit took, and the result is under way for a while: a lease covers both.
bool Partition::OutOfTime(const Job& job, Now now) const {
  const DurationMs timeout_ms = job.row.spec->timeout_ms;
  return timeout_ms > 0 && now.mono_ms - job.started_mono_ms >
                               timeout_ms + options_.kill_grace_ms + options_.tasktracker_lease_ms;
}

void Partition::StopOutOfTime(Worker& worker) {
  if (std::none_of(worker.outstanding.begin(), worker.outstanding.end(),
                   [&](const Job* job) { return OutOfTime(*job, now_); })) {
    return;
  }
  for (Job* job : InOrder(worker.outstanding)) {
    if (!OutOfTime(*job, now_)) continue;
    if (!std::exchange(job->out_of_time, true)) ++stats_.out_of_time;
    SendTo(worker.stream).stops.push_back({job->row.key, job->row.attempt, job->token});
  }
}

void Partition::Mark(Job& job) {
  JobRow after = job.row;
  after.state = JobState::kRunning;
  after.mark = job.token;
  after.mark_worker = job.worker->identity;
  ++stats_.marks;
  Update(job, std::move(after));
}

void Partition::FlushDueMarks(bool all) {
  while (!mark_timers_.empty() && (all || mark_timers_.front().first <= now_.mono_ms)) {
    const AttemptRef ref = mark_timers_.front().second;
    mark_timers_.pop_front();
    Job* job = FindJob(ref.key);
    if (job != nullptr && job->place == Job::Place::kExecuting && job->token == ref.token &&
        job->row.state != JobState::kRunning) {
      Mark(*job);
    }
  }
}

}  // namespace lts::core

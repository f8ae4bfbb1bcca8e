// Ends of attempts and of cycles: results, retries, losses; each applied exactly once (I4).
#include <fmt/core.h>

#include <algorithm>

#include "jobtracker/core/state.h"
#include "model/retry.h"
#include "model/state.h"

namespace lts::core {

using model::JobEvent;
using model::JobState;
using model::Outcome;
using store::HistoryRow;
using store::JobRow;

std::vector<Partition::Job*> Partition::InOrder(const std::unordered_set<Job*>& jobs) {
  std::vector<Job*> sorted(jobs.begin(), jobs.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const Job* a, const Job* b) { return a->row.seq < b->row.seq; });
  return sorted;
}

HistoryRow Partition::HistoryOf(const Job& job, Outcome outcome, const std::string& message) const {
  HistoryRow history;
  history.key = job.row.key;
  history.attempt = job.row.attempt;
  history.outcome = outcome;
  history.kind = job.row.kind;
  history.group = job.row.spec->group;
  history.task_id = job.row.spec->task_id;
  history.message = message;
  history.due_ms = job.row.due_ms;
  history.ended_ms = now_.wall_ms;
  if (job.place == Job::Place::kExecuting) {
    history.node = job.worker->identity;
    history.token = job.token;
    history.started_ms = job.started_ms;
  }
  return history;
}

void Partition::Detach(Job& job) {
  if (job.place != Job::Place::kExecuting) return;
  Worker& worker = *job.worker;
  worker.outstanding.erase(&job);
  Unplace(job);
  job.worker = nullptr;
  job.token = {};
  WantDispatch(*job.group);
}

// An attempt that ended has run, whether this owner knew of it or not.
JobState Partition::StateAfter(const Job& job, JobEvent event, Outcome outcome) {
  const bool ran = outcome != Outcome::kNone || job.place == Job::Place::kExecuting;
  const JobState before = ran ? JobState::kRunning : job.row.state;
  const auto next = model::NextState(before, event);
  if (!next) {
    Fault(fmt::format("job {} cannot {} while it is {}", job.row.key.id.ToString(),
                      model::Name(event), model::Name(before)));
  }
  return next.value_or(before);
}

void Partition::End(Job& job, JobEvent event, HistoryRow history) {
  history.final = true;
  history.state = StateAfter(job, event, history.outcome);
  history.spec = job.row.spec;
  history.accepted_ms = job.row.accepted_ms;
  history.retries = job.row.retries;
  AddFeedback(job, history.state, history.message, history.attempt);
  const model::JobKey key = job.row.key;
  const bool occurrence = job.row.kind == store::JobKind::kOccurrence;
  if (!occurrence) RememberGone(key.id);
  Detach(job);
  Delete(job);
  effects_->batch.mutations.emplace_back(store::InsertHistory{std::move(history)});
  if (occurrence) {
    const auto schedule = schedules_.find(key.id);
    if (schedule != schedules_.end()) schedule->second->occurrences.erase(key);
    OnOccurrenceEnded(key.id);
  }
}

void Partition::EndWithoutAttempt(Job& job, JobEvent event, const std::string& message) {
  if (event == JobEvent::kCancel) ++stats_.cancelled;
  if (event == JobEvent::kExpire) ++stats_.expired;
  if (event == JobEvent::kYield) ++stats_.yielded;
  End(job, event, HistoryOf(job, Outcome::kNone, message));
}

// What a TaskTracker says of times comes from its own clock: an attempt did not end before its job
// was accepted, nor later than now.
void Partition::SetTimes(HistoryRow& history, const Job& job, const AttemptResult& result) const {
  const TimeMs earliest = std::min(job.row.accepted_ms, now_.wall_ms);
  const DurationMs ago = std::clamp<DurationMs>(result.ended_ago_ms, 0, now_.wall_ms - earliest);
  history.ended_ms = now_.wall_ms - ago;
  history.started_ms =
      history.ended_ms - std::clamp<DurationMs>(result.run_ms, 0, history.ended_ms - earliest);
}

// What was suspended while it executed waits from now on.
void Partition::SuspendFollowing(JobRow& row) {
  const auto next = model::NextState(row.state, JobEvent::kSuspend);
  if (!next) Fault(fmt::format("job {} cannot be suspended", row.key.id.ToString()));
  row.state = next.value_or(row.state);
  row.suspend_requested = false;
}

void Partition::Retry(Job& job, DurationMs delay_ms, bool snooze, const AttemptResult& result,
                      const std::string& node) {
  HistoryRow history = HistoryOf(job, result.outcome, result.message);
  history.node = node;
  history.token = result.ref.token;
  SetTimes(history, job, result);
  Detach(job);
  job.settled = true;
  effects_->batch.mutations.emplace_back(store::InsertHistory{std::move(history)});
  JobRow after = job.row;
  after.state = StateAfter(job, JobEvent::kRetry, result.outcome);
  after.mark_worker.clear();
  if (after.suspend_requested) SuspendFollowing(after);
  ++after.attempt;
  ++(snooze && !options_.faults.snooze_counts_as_retry ? after.snoozes : after.retries);
  after.due_ms = now_.wall_ms + delay_ms;
  ++(snooze ? stats_.snoozed : stats_.retried);
  if (SharesRunKey(after)) job.task->holder = &job;  // between attempts it keeps its run key
  const model::JobKey key = after.key;
  Group& group = *job.group;
  Update(job, std::move(after));
  MaybeEvict(key);
  Shed(group);
}

// After a takeover nothing may be known to run. Then a result counts when its attempt was marked
// with this very token, or is newer than the mark and was given out no earlier than the session
// that the TaskTracker continues: any older one was told, and judged, when that session began. A
// TaskTracker that has no session was declared lost: its attempts count no more, others may have
// been given them since.
bool Partition::CountsUnasked(const Job& job, const model::Token& token,
                              const Worker& worker) const {
  if (worker.continues_epoch == 0) return false;
  return token == job.row.mark || (token > job.row.mark && token.epoch >= worker.continues_epoch);
}

void Partition::ApplyResult(const AttemptResult& told, Worker& worker) {
  AttemptResult result = told;
  Job* job = FindJob(result.ref.key);
  if (options_.faults.result_ends_other_cycle && job == nullptr) {
    for (Job* other : InOrder(worker.outstanding)) {
      if (other->row.key.id == result.ref.key.id) job = other;
    }
  }
  const bool executing = job != nullptr && job->place == Job::Place::kExecuting;
  bool counts = job != nullptr && job->row.attempt == result.ref.attempt &&
                !refused_.contains(result.ref.key);
  if (counts)
    counts =
        executing ? job->token == result.ref.token : CountsUnasked(*job, result.ref.token, worker);
  if (options_.faults.result_without_token_check ||
      (job != nullptr && options_.faults.result_ends_other_cycle &&
       job->row.key != result.ref.key)) {
    counts = job != nullptr;
  }
  if (!counts) {
    ++stats_.stale_results;
    if (job != nullptr && job->lost_attempt != 0 && job->lost_attempt == result.ref.attempt) {
      job->lost_attempt = 0;  // once
      Log(result.ref.key.id, job->row.spec->group, job->row.spec->task_id, "RESEND",
          fmt::format("a result of attempt {} (token {}) from {} came too late and does not count: "
                      "{}",
                      result.ref.attempt, model::ToString(result.ref.token), worker.identity,
                      model::Name(result.outcome)));
    }
    return;
  }
  if (!executing) ++stats_.early_results;

  const model::JobSpec& spec = *job->row.spec;
  const auto history = [&] {
    HistoryRow row = HistoryOf(*job, result.outcome, result.message);
    row.node = worker.identity;
    row.token = result.ref.token;
    SetTimes(row, *job, result);
    return row;
  };

  bool retryable = false;
  // It was stopped from here for its time-out.
  if (result.outcome == Outcome::kKilled && job->out_of_time && result.run_ms >= spec.timeout_ms) {
    result.outcome = Outcome::kTimedOut;
  }
  switch (result.outcome) {
    case Outcome::kExecuteSuccess:
      ++stats_.succeeded;
      End(*job, JobEvent::kSucceed, history());
      return;
    case Outcome::kExecuteFailed: break;
    case Outcome::kExecuteLater:
    case Outcome::kExecuteException: retryable = true; break;
    case Outcome::kTimedOut: retryable = !spec.at_most_once; break;
    case Outcome::kKilled:
    case Outcome::kLost:
    case Outcome::kStale:
    case Outcome::kNone:
      // Stopped from outside (a cancel, the end of a lease): it did not end by itself.
      if (!job->row.cancel_requested) {
        if (!executing) {
          // Only its TaskTracker knew of it: let it run again under the next number.
          AttachExecuting(*job, worker, result.ref.token);
        }
        // Handed back by a TaskTracker that lives: that does not count towards job.max.lost.times.
        Lose(*job, result.outcome,
             result.message.empty() ? "stopped at the TaskTracker" : result.message);
        return;
      }
      break;
  }
  if (job->row.cancel_requested && !options_.faults.retry_survives_cancel) {
    ++stats_.cancelled;
    End(*job, JobEvent::kCancel, history());
    return;
  }
  if (!retryable) {
    ++stats_.failed;
    End(*job, JobEvent::kFail, history());
    return;
  }
  const bool snooze = result.outcome == Outcome::kExecuteLater && result.later_delay_ms > 0;
  if (snooze) {
    if (job->row.expires_ms != 0 && result.later_delay_ms >= job->row.expires_ms - now_.wall_ms) {
      ++stats_.expired;
      HistoryRow row = history();
      row.message += " [asked for a time at which it has expired]";
      End(*job, JobEvent::kExpire, std::move(row));
      return;
    }
    if (job->row.snoozes < options_.later_times_max) {
      Retry(*job, result.later_delay_ms, true, result, worker.identity);
      return;
    }
    ++stats_.dead;
    HistoryRow row = history();
    row.message += fmt::format(" [asked for a later time more than {} times (job.later.times.max)]",
                               options_.later_times_max);
    End(*job, JobEvent::kExhaust, std::move(row));
    return;
  }
  if (job->row.retries < spec.max_retry_times) {
    const model::RetryPolicy& policy = spec.retry ? *spec.retry : options_.default_retry;
    Retry(*job, model::RetryDelayMs(policy, job->row.retries + 1, random_()), false, result,
          worker.identity);
    return;
  }
  HistoryRow row = history();
  if (spec.max_retry_times == 0) {
    ++stats_.failed;
    row.message += " [not retried: maxRetryTimes is 0]";
    End(*job, JobEvent::kFail, std::move(row));
  } else {
    ++stats_.dead;
    row.message += fmt::format(" [all {} retries used]", spec.max_retry_times);
    End(*job, JobEvent::kExhaust, std::move(row));
  }
}

void Partition::Lose(Job& job, Outcome outcome, const std::string& why) {
  const int losses = outcome == Outcome::kLost ? 1 : 0;
  ++stats_.lost;
  job.lost_attempt = job.row.attempt;
  HistoryRow history = HistoryOf(job, outcome, why);
  if (job.row.cancel_requested) {
    ++stats_.cancelled;
    End(job, JobEvent::kCancel, std::move(history));
    return;
  }
  if (job.row.spec->at_most_once && !options_.faults.at_most_once_again) {
    ++stats_.failed;
    history.message += " [outcome_unknown: at_most_once, so it is not run again]";
    End(job, JobEvent::kFail, std::move(history));
    return;
  }
  if (job.row.lost + losses >= options_.lost_times_max) {
    ++stats_.dead;
    history.message += fmt::format(" [lost {} times (job.max.lost.times)]", job.row.lost + losses);
    End(job, JobEvent::kExhaust, std::move(history));
    return;
  }
  const JobState next = StateAfter(job, JobEvent::kLost, outcome);
  Detach(job);
  job.settled = true;
  effects_->batch.mutations.emplace_back(store::InsertHistory{std::move(history)});
  JobRow after = job.row;
  after.state = next;
  after.mark_worker.clear();
  if (after.suspend_requested) SuspendFollowing(after);
  ++after.attempt;
  after.lost += losses;
  if (SharesRunKey(after)) job.task->holder = &job;
  const model::JobKey key = after.key;
  Group& group = *job.group;
  Update(job, std::move(after));
  MaybeEvict(key);
  Shed(group);
}

void Partition::Requeue(Job& job) {
  ++stats_.undelivered;
  if (job.row.cancel_requested) {
    ++stats_.cancelled;
    End(job, JobEvent::kCancel,
        HistoryOf(job, Outcome::kNone, "cancelled before it reached a TaskTracker"));
    return;
  }
  Detach(job);
  job.settled = true;
  Task& task = *job.task;
  if (task.holder == &job && job.row.attempt == 1) task.holder = nullptr;
  const model::JobKey key = job.row.key;
  if (job.row.state == JobState::kRunning) {
    JobRow after = job.row;
    after.state = StateAfter(job, JobEvent::kHandBack, Outcome::kNone);
    after.mark_worker.clear();
    if (after.suspend_requested) SuspendFollowing(after);
    Update(job, std::move(after));
  } else {
    Place(job);
  }
  for (Job* other : std::vector<Job*>(task.jobs)) {
    if (other->place == Job::Place::kParked) Place(*other);
  }
  Group& group = *job.group;
  MaybeEvict(key);
  Shed(group);
}

}  // namespace lts::core

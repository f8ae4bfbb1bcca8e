#include "tasktracker/attempt.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "common/ids.h"

namespace lts::tasktracker {
namespace {

// What job code sees as the time it was due. The cycle of an occurrence; a one-shot has none, and
// gets a time that is the same for each of its attempts.
TimeMs FireTime(const v1::Assignment& assignment) {
  if (assignment.cycle_ms() != 0) return assignment.cycle_ms();
  const v1::Job& job = assignment.job();
  if (job.has_trigger_time_ms()) return job.trigger_time_ms();
  return UuidV7Time(job.job_id()).value_or(0) + job.trigger_delay_ms();
}

v1::Outcome WireOutcome(model::Action action) {
  switch (action) {
    case model::Action::kExecuteSuccess: return v1::OUTCOME_EXECUTE_SUCCESS;
    case model::Action::kExecuteFailed: return v1::OUTCOME_EXECUTE_FAILED;
    case model::Action::kExecuteLater: return v1::OUTCOME_EXECUTE_LATER;
    case model::Action::kExecuteException: return v1::OUTCOME_EXECUTE_EXCEPTION;
  }
  return v1::OUTCOME_EXECUTE_EXCEPTION;
}

std::string_view CauseText(StopCause cause) {
  switch (cause) {
    case StopCause::kNone: return "";
    case StopCause::kTimedOut: return "time-out";
    case StopCause::kStopped: return "stopped by the JobTracker";
    case StopCause::kLeaseEnded: return "lease ended: cut off from the JobTracker";
    case StopCause::kShutdown: return "the TaskTracker is stopping";
  }
  return "";
}

}  // namespace

std::string KeyText(const v1::AttemptKey& key) {
  return fmt::format("{}/{}/{}/{}-{}", key.job_id(), key.cycle_ms(), key.attempt(),
                     key.token().epoch(), key.token().sequence());
}

std::unique_ptr<Attempt> MakeAttempt(v1::Assignment& assignment) {
  auto attempt = std::make_unique<Attempt>();
  v1::Job& job = *assignment.mutable_job();
  attempt->key.set_job_id(job.job_id());
  attempt->key.set_cycle_ms(assignment.cycle_ms());
  attempt->key.set_attempt(assignment.attempt());
  *attempt->key.mutable_token() = assignment.token();

  runners::AttemptInput& input = attempt->input;
  input.fire_time_ms = FireTime(assignment);
  input.job_id = std::move(*job.mutable_job_id());
  input.task_id = std::move(*job.mutable_task_id());
  input.group = std::move(*job.mutable_task_tracker_node_group());
  input.runner = std::move(*job.mutable_runner());
  input.payload = std::move(*job.mutable_payload());
  for (auto& [key, value] : *job.mutable_params()) input.params.emplace(key, std::move(value));
  input.attempt = assignment.attempt();
  input.token = {assignment.token().epoch(), assignment.token().sequence()};
  input.timeout_ms = std::max<std::int64_t>(0, job.timeout_ms());
  return attempt;
}

std::unique_ptr<Attempt> MakeEnded(v1::AttemptResult result, DurationMs stored_ago_ms) {
  auto attempt = std::make_unique<Attempt>();
  attempt->key = std::move(*result.mutable_key());
  attempt->outcome = result.outcome();
  attempt->message = std::move(*result.mutable_message());
  attempt->later_delay_ms = result.later_delay_ms();
  attempt->run_ms = result.run_ms();
  attempt->ended_ago_ms = result.ended_ago_ms() + std::max<DurationMs>(0, stored_ago_ms);
  attempt->ended = true;
  attempt->stored = true;
  return attempt;
}

void FillResult(const Attempt& attempt, std::int64_t now_us, v1::AttemptResult* result) {
  *result->mutable_key() = attempt.key;
  result->set_outcome(attempt.outcome);
  result->set_message(attempt.message);
  result->set_later_delay_ms(attempt.later_delay_ms);
  result->set_run_ms(attempt.run_ms);
  result->set_ended_ago_ms(attempt.ended_ago_ms +
                           std::max<std::int64_t>(0, (now_us - attempt.ended_us) / 1000));
}

std::string StuckText(const Attempt& attempt, std::int64_t now_us) {
  return fmt::format("STUCK: told to stop {} s ago ({}), keeps its slot",
                     (now_us - attempt.stop_us) / 1'000'000,
                     CauseText(attempt.cause.load(std::memory_order_relaxed)));
}

void SetOutcome(Attempt& attempt, runners::RunOutcome outcome, bool ran, std::int64_t ended_us) {
  attempt.ended = true;
  attempt.ended_us = ended_us;
  const std::int64_t started_us = attempt.started_us.load(std::memory_order_relaxed);
  attempt.run_ms =
      ran && started_us != 0 ? std::max<std::int64_t>(0, (ended_us - started_us) / 1000) : 0;
  const StopCause cause = attempt.cause.load(std::memory_order_relaxed);

  // Work that was done is done, whatever was asked of it meanwhile.
  const bool succeeded = ran && outcome.action == model::Action::kExecuteSuccess;
  if (succeeded || (cause == StopCause::kNone && !outcome.timed_out)) {
    attempt.outcome = WireOutcome(outcome.action);
    attempt.message = std::move(outcome.message);
    if (outcome.action == model::Action::kExecuteLater) {
      attempt.later_delay_ms = std::max<DurationMs>(0, outcome.later_delay_ms);
    }
    return;
  }
  const bool timed_out = cause == StopCause::kTimedOut || cause == StopCause::kNone;
  attempt.outcome = timed_out ? v1::TIMED_OUT : v1::KILLED;
  attempt.message =
      timed_out ? fmt::format("not done within its time-out of {} ms", attempt.input.timeout_ms)
                : std::string(CauseText(cause));
  if (!ran) attempt.message += " (before it began)";
  if (!outcome.message.empty()) attempt.message += ": " + outcome.message;
}

}  // namespace lts::tasktracker

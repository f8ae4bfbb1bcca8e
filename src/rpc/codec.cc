#include "rpc/codec.h"

#include <algorithm>

namespace lts::rpc {

// No switch here has a default: the compiler names the place when a word is added on either side.
// protobuf's own two sentinels are part of its enums, and no value of ours.

v1::Code ToProto(StatusCode code) {
  switch (code) {
    case StatusCode::kOk: return v1::OK;
    case StatusCode::kInvalidArgument: return v1::INVALID_ARGUMENT;
    case StatusCode::kNotFound: return v1::NOT_FOUND;
    case StatusCode::kAlreadyExists: return v1::ALREADY_EXISTS;
    case StatusCode::kFailedPrecondition: return v1::FAILED_PRECONDITION;
    case StatusCode::kResourceExhausted: return v1::RESOURCE_EXHAUSTED;
    case StatusCode::kUnavailable: return v1::UNAVAILABLE;
    case StatusCode::kDeadlineExceeded: return v1::DEADLINE_EXCEEDED;
    case StatusCode::kPermissionDenied: return v1::PERMISSION_DENIED;
    case StatusCode::kFenced: return v1::FENCED;
    case StatusCode::kUnknownOutcome: return v1::UNKNOWN_OUTCOME;
    case StatusCode::kTooOld: return v1::TOO_OLD;
    case StatusCode::kDataLoss: return v1::DATA_LOSS;
    case StatusCode::kInternal: return v1::INTERNAL;
  }
  return v1::INTERNAL;
}

StatusCode FromProto(v1::Code code) {
  switch (code) {
    case v1::OK: return StatusCode::kOk;
    case v1::INVALID_ARGUMENT: return StatusCode::kInvalidArgument;
    case v1::NOT_FOUND: return StatusCode::kNotFound;
    case v1::ALREADY_EXISTS: return StatusCode::kAlreadyExists;
    case v1::FAILED_PRECONDITION: return StatusCode::kFailedPrecondition;
    case v1::RESOURCE_EXHAUSTED: return StatusCode::kResourceExhausted;
    case v1::UNAVAILABLE: return StatusCode::kUnavailable;
    case v1::DEADLINE_EXCEEDED: return StatusCode::kDeadlineExceeded;
    case v1::PERMISSION_DENIED: return StatusCode::kPermissionDenied;
    case v1::FENCED: return StatusCode::kFenced;
    case v1::UNKNOWN_OUTCOME: return StatusCode::kUnknownOutcome;
    case v1::TOO_OLD: return StatusCode::kTooOld;
    case v1::DATA_LOSS: return StatusCode::kDataLoss;
    case v1::INTERNAL:
    case v1::Code_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Code_INT_MAX_SENTINEL_DO_NOT_USE_: return StatusCode::kInternal;
  }
  return StatusCode::kInternal;
}

v1::JobState ToProto(model::JobState state) {
  switch (state) {
    case model::JobState::kWaiting: return v1::WAITING;
    case model::JobState::kRunning: return v1::RUNNING;
    case model::JobState::kSuspended: return v1::SUSPENDED;
    case model::JobState::kSucceeded: return v1::SUCCEEDED;
    case model::JobState::kFailed: return v1::FAILED;
    case model::JobState::kCancelled: return v1::CANCELLED;
    case model::JobState::kExpired: return v1::EXPIRED;
    case model::JobState::kDead: return v1::DEAD;
    case model::JobState::kReplaced: return v1::REPLACED;
    case model::JobState::kSkipped: return v1::SKIPPED;
    case model::JobState::kActive: return v1::ACTIVE;
    case model::JobState::kEnded: return v1::ENDED;
    case model::JobState::kYielded: return v1::RETRY_YIELDED;
  }
  return v1::WAITING;
}

std::optional<model::JobState> FromProto(v1::JobState state) {
  switch (state) {
    case v1::WAITING: return model::JobState::kWaiting;
    case v1::RUNNING: return model::JobState::kRunning;
    case v1::SUSPENDED: return model::JobState::kSuspended;
    case v1::SUCCEEDED: return model::JobState::kSucceeded;
    case v1::FAILED: return model::JobState::kFailed;
    case v1::CANCELLED: return model::JobState::kCancelled;
    case v1::EXPIRED: return model::JobState::kExpired;
    case v1::DEAD: return model::JobState::kDead;
    case v1::REPLACED: return model::JobState::kReplaced;
    case v1::SKIPPED: return model::JobState::kSkipped;
    case v1::ACTIVE: return model::JobState::kActive;
    case v1::ENDED: return model::JobState::kEnded;
    case v1::RETRY_YIELDED: return model::JobState::kYielded;
    case v1::JobState_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::JobState_INT_MAX_SENTINEL_DO_NOT_USE_: return std::nullopt;
  }
  return std::nullopt;
}

v1::Outcome ToProto(model::Outcome outcome) {
  switch (outcome) {
    case model::Outcome::kNone: return v1::NONE;
    case model::Outcome::kExecuteSuccess: return v1::OUTCOME_EXECUTE_SUCCESS;
    case model::Outcome::kExecuteFailed: return v1::OUTCOME_EXECUTE_FAILED;
    case model::Outcome::kExecuteLater: return v1::OUTCOME_EXECUTE_LATER;
    case model::Outcome::kExecuteException: return v1::OUTCOME_EXECUTE_EXCEPTION;
    case model::Outcome::kTimedOut: return v1::TIMED_OUT;
    case model::Outcome::kLost: return v1::LOST;
    case model::Outcome::kKilled: return v1::KILLED;
    case model::Outcome::kStale: return v1::STALE;
  }
  return v1::NONE;
}

std::optional<model::Outcome> FromProto(v1::Outcome outcome) {
  switch (outcome) {
    case v1::NONE: return model::Outcome::kNone;
    case v1::OUTCOME_EXECUTE_SUCCESS: return model::Outcome::kExecuteSuccess;
    case v1::OUTCOME_EXECUTE_FAILED: return model::Outcome::kExecuteFailed;
    case v1::OUTCOME_EXECUTE_LATER: return model::Outcome::kExecuteLater;
    case v1::OUTCOME_EXECUTE_EXCEPTION: return model::Outcome::kExecuteException;
    case v1::TIMED_OUT: return model::Outcome::kTimedOut;
    case v1::LOST: return model::Outcome::kLost;
    case v1::KILLED: return model::Outcome::kKilled;
    case v1::STALE: return model::Outcome::kStale;
    case v1::Outcome_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Outcome_INT_MAX_SENTINEL_DO_NOT_USE_: return std::nullopt;
  }
  return std::nullopt;
}

v1::Action ToProto(model::Action action) {
  switch (action) {
    case model::Action::kExecuteSuccess: return v1::EXECUTE_SUCCESS;
    case model::Action::kExecuteFailed: return v1::EXECUTE_FAILED;
    case model::Action::kExecuteLater: return v1::EXECUTE_LATER;
    case model::Action::kExecuteException: return v1::EXECUTE_EXCEPTION;
  }
  return v1::EXECUTE_EXCEPTION;
}

std::optional<model::Action> FromProto(v1::Action action) {
  switch (action) {
    case v1::EXECUTE_SUCCESS: return model::Action::kExecuteSuccess;
    case v1::EXECUTE_FAILED: return model::Action::kExecuteFailed;
    case v1::EXECUTE_LATER: return model::Action::kExecuteLater;
    case v1::EXECUTE_EXCEPTION: return model::Action::kExecuteException;
    case v1::Action_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Action_INT_MAX_SENTINEL_DO_NOT_USE_: return std::nullopt;
  }
  return std::nullopt;
}

v1::MisfirePolicy ToProto(model::MisfirePolicy policy) {
  switch (policy) {
    case model::MisfirePolicy::kDefault: return v1::MISFIRE_DEFAULT;
    case model::MisfirePolicy::kFireOnce: return v1::FIRE_ONCE;
    case model::MisfirePolicy::kSkip: return v1::SKIP;
    case model::MisfirePolicy::kCatchUp: return v1::CATCH_UP;
  }
  return v1::MISFIRE_DEFAULT;
}

std::optional<model::MisfirePolicy> FromProto(v1::MisfirePolicy policy) {
  switch (policy) {
    case v1::MISFIRE_DEFAULT: return model::MisfirePolicy::kDefault;
    case v1::FIRE_ONCE: return model::MisfirePolicy::kFireOnce;
    case v1::SKIP: return model::MisfirePolicy::kSkip;
    case v1::CATCH_UP: return model::MisfirePolicy::kCatchUp;
    case v1::MisfirePolicy_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::MisfirePolicy_INT_MAX_SENTINEL_DO_NOT_USE_: return std::nullopt;
  }
  return std::nullopt;
}

v1::RetryPolicy::Kind ToProto(model::RetryPolicy::Kind kind) {
  switch (kind) {
    case model::RetryPolicy::Kind::kFixed: return v1::RetryPolicy::FIXED;
    case model::RetryPolicy::Kind::kLinear: return v1::RetryPolicy::LINEAR;
    case model::RetryPolicy::Kind::kExponential: return v1::RetryPolicy::EXPONENTIAL;
  }
  return v1::RetryPolicy::EXPONENTIAL;
}

std::optional<model::RetryPolicy::Kind> FromProto(v1::RetryPolicy::Kind kind) {
  switch (kind) {
    case v1::RetryPolicy::FIXED: return model::RetryPolicy::Kind::kFixed;
    case v1::RetryPolicy::LINEAR: return model::RetryPolicy::Kind::kLinear;
    case v1::RetryPolicy::EXPONENTIAL: return model::RetryPolicy::Kind::kExponential;
    case v1::RetryPolicy_Kind_RetryPolicy_Kind_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::RetryPolicy_Kind_RetryPolicy_Kind_INT_MAX_SENTINEL_DO_NOT_USE_: return std::nullopt;
  }
  return std::nullopt;
}

void CutText(std::size_t bytes_max, std::string* text) {
  if (text->size() <= bytes_max) return;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>((*text)[end]) & 0xc0U) == 0x80U) --end;
  text->resize(end);
}

Result<AttemptId> FromProto(const v1::AttemptKey& key) {
  const std::optional<model::JobId> id = model::JobId::Parse(key.job_id());
  if (!id)
    return Status::InvalidArgument("job_id \"" + key.job_id() + "\" of an attempt is not a UUID");
  return AttemptId{{*id, key.cycle_ms()}, key.attempt(), FromProto(key.token())};
}

void ToProto(const AttemptId& attempt, v1::AttemptKey* out) {
  out->set_job_id(attempt.key.id.ToString());
  out->set_cycle_ms(attempt.key.cycle);
  out->set_attempt(attempt.attempt);
  ToProto(attempt.token, out->mutable_token());
}

Result<std::shared_ptr<model::JobSpec>> JobFromProto(v1::Job&& job) {
  // Before anything is taken out, so that a refused message can still be named by its ids.
  const auto unknown = [&job](const char* field, int value) {
    return Status::InvalidArgument("job " + job.job_id() + " (task " + job.task_id() +
                                   "): " + field + " has the value " + std::to_string(value) +
                                   ", which this version does not know");
  };
  const std::optional<model::MisfirePolicy> misfire = FromProto(job.misfire());
  if (!misfire) return unknown("misfire", job.misfire());
  std::optional<model::RetryPolicy> retry;
  if (job.has_retry()) {
    const v1::RetryPolicy& sent = job.retry();
    const std::optional<model::RetryPolicy::Kind> kind = FromProto(sent.kind());
    if (!kind) return unknown("retry.kind", sent.kind());
    retry.emplace();
    retry->kind = *kind;
    if (sent.initial_ms() != 0) retry->initial_ms = sent.initial_ms();
    retry->max_ms = sent.max_ms() != 0 ? sent.max_ms() : std::max(retry->max_ms, retry->initial_ms);
  }

  auto spec = std::make_shared<model::JobSpec>();
  spec->job_id = std::move(*job.mutable_job_id());
  spec->task_id = std::move(*job.mutable_task_id());
  spec->group = std::move(*job.mutable_task_tracker_node_group());
  spec->submit_group = std::move(*job.mutable_submit_node_group());
  spec->runner = std::move(*job.mutable_runner());
  for (auto& [key, value] : *job.mutable_params()) spec->params.emplace(key, std::move(value));
  spec->payload = std::move(*job.mutable_payload());
  if (job.has_priority()) spec->priority = job.priority();
  spec->max_retry_times = job.max_retry_times();
  spec->retry = retry;
  spec->need_feedback = job.need_feedback();
  spec->replace_on_exist = job.replace_on_exist();
  spec->fail_if_exists = job.fail_if_exists();
  if (job.has_rely_on_prev_cycle()) spec->rely_on_prev_cycle = job.rely_on_prev_cycle();
  spec->at_most_once = job.at_most_once();
  if (job.has_trigger_time_ms()) spec->trigger_time_ms = job.trigger_time_ms();
  if (job.has_trigger_delay_ms()) spec->trigger_delay_ms = job.trigger_delay_ms();
  spec->cron = std::move(*job.mutable_cron_expression());
  spec->time_zone = std::move(*job.mutable_time_zone());
  spec->repeat_count = job.repeat_count();
  spec->repeat_interval_ms = job.repeat_interval_ms();
  spec->start_time_ms = job.start_time_ms();
  spec->end_time_ms = job.end_time_ms();
  spec->misfire = *misfire;
  spec->catch_up_max = job.catch_up_max();
  spec->timeout_ms = job.timeout_ms();
  if (job.has_expires_in_ms()) spec->expires_in_ms = job.expires_in_ms();
  return spec;
}

void ToProto(const model::JobSpec& spec, v1::Job* out) {
  out->set_job_id(spec.job_id);
  out->set_task_id(spec.task_id);
  out->set_task_tracker_node_group(spec.group);
  out->set_submit_node_group(spec.submit_group);
  out->set_runner(spec.runner);
  for (const auto& [key, value] : spec.params) (*out->mutable_params())[key] = value;
  out->set_payload(spec.payload);
  out->set_priority(spec.priority);
  out->set_max_retry_times(spec.max_retry_times);
  if (spec.retry) {
    v1::RetryPolicy* const retry = out->mutable_retry();
    retry->set_kind(ToProto(spec.retry->kind));
    retry->set_initial_ms(spec.retry->initial_ms);
    retry->set_max_ms(spec.retry->max_ms);
  }
  out->set_need_feedback(spec.need_feedback);
  out->set_replace_on_exist(spec.replace_on_exist);
  out->set_fail_if_exists(spec.fail_if_exists);
  out->set_rely_on_prev_cycle(spec.rely_on_prev_cycle);
  out->set_at_most_once(spec.at_most_once);
  if (spec.trigger_time_ms) out->set_trigger_time_ms(*spec.trigger_time_ms);
  if (spec.trigger_delay_ms) out->set_trigger_delay_ms(*spec.trigger_delay_ms);
  out->set_cron_expression(spec.cron);
  out->set_time_zone(spec.time_zone);
  out->set_repeat_count(spec.repeat_count);
  out->set_repeat_interval_ms(spec.repeat_interval_ms);
  out->set_start_time_ms(spec.start_time_ms);
  out->set_end_time_ms(spec.end_time_ms);
  out->set_misfire(ToProto(spec.misfire));
  out->set_catch_up_max(spec.catch_up_max);
  out->set_timeout_ms(spec.timeout_ms);
  if (spec.expires_in_ms) out->set_expires_in_ms(*spec.expires_in_ms);
}

}  // namespace lts::rpc

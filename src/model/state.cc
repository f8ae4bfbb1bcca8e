#include "model/state.h"

namespace lts::model {
namespace {

std::optional<JobState> FromWaiting(JobEvent event) {
  switch (event) {
    case JobEvent::kDispatch: return JobState::kRunning;
    case JobEvent::kCancel: return JobState::kCancelled;
    case JobEvent::kExpire: return JobState::kExpired;
    case JobEvent::kReplace: return JobState::kReplaced;
    case JobEvent::kYield: return JobState::kYielded;
    case JobEvent::kSuspend: return JobState::kSuspended;
    case JobEvent::kResume: return JobState::kWaiting;
    case JobEvent::kSucceed:
    case JobEvent::kFail:
    case JobEvent::kRetry:
    case JobEvent::kLost:
    case JobEvent::kHandBack:
    case JobEvent::kExhaust: return std::nullopt;
  }
  return std::nullopt;
}

std::optional<JobState> FromRunning(JobEvent event) {
  switch (event) {
    case JobEvent::kSucceed: return JobState::kSucceeded;
    case JobEvent::kFail: return JobState::kFailed;
    case JobEvent::kRetry:
    case JobEvent::kLost:
    case JobEvent::kHandBack: return JobState::kWaiting;
    case JobEvent::kExhaust: return JobState::kDead;
    case JobEvent::kCancel: return JobState::kCancelled;
    case JobEvent::kExpire: return JobState::kExpired;  // it asked for a time beyond expires_at
    case JobEvent::kSuspend:
    case JobEvent::kResume: return JobState::kRunning;
    case JobEvent::kDispatch:  // never two attempts at a time
    case JobEvent::kReplace:   // an executing attempt is never touched
    case JobEvent::kYield: return std::nullopt;
  }
  return std::nullopt;
}

std::optional<JobState> FromSuspended(JobEvent event) {
  switch (event) {
    case JobEvent::kResume: return JobState::kWaiting;
    case JobEvent::kSuspend: return JobState::kSuspended;
    case JobEvent::kCancel: return JobState::kCancelled;
    case JobEvent::kExpire: return JobState::kExpired;
    case JobEvent::kReplace: return JobState::kReplaced;
    case JobEvent::kDispatch:
    case JobEvent::kSucceed:
    case JobEvent::kFail:
    case JobEvent::kRetry:
    case JobEvent::kLost:
    case JobEvent::kHandBack:
    case JobEvent::kExhaust:
    case JobEvent::kYield: return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<JobState> NextState(JobState state, JobEvent event) {
  switch (state) {
    case JobState::kWaiting: return FromWaiting(event);
    case JobState::kRunning: return FromRunning(event);
    case JobState::kSuspended: return FromSuspended(event);
    case JobState::kSucceeded:
    case JobState::kFailed:
    case JobState::kCancelled:
    case JobState::kExpired:
    case JobState::kDead:
    case JobState::kReplaced:
    case JobState::kSkipped:
    case JobState::kActive:
    case JobState::kEnded:
    case JobState::kYielded: return std::nullopt;
  }
  return std::nullopt;
}

std::optional<JobState> NextScheduleState(JobState state, ScheduleEvent event) {
  const bool active = state == JobState::kActive;
  if (!active && state != JobState::kSuspended) return std::nullopt;
  switch (event) {
    case ScheduleEvent::kSuspend: return JobState::kSuspended;
    case ScheduleEvent::kResume: return JobState::kActive;
    case ScheduleEvent::kFinish:  // a suspended schedule makes no fires that could be the last
      return active ? std::optional(JobState::kEnded) : std::nullopt;
    case ScheduleEvent::kCancel:
    case ScheduleEvent::kReplace: return JobState::kEnded;
  }
  return std::nullopt;
}

bool IsEnd(JobState state) {
  switch (state) {
    case JobState::kWaiting:
    case JobState::kRunning:
    case JobState::kSuspended:
    case JobState::kActive: return false;
    case JobState::kSucceeded:
    case JobState::kFailed:
    case JobState::kCancelled:
    case JobState::kExpired:
    case JobState::kDead:
    case JobState::kReplaced:
    case JobState::kSkipped:
    case JobState::kEnded:
    case JobState::kYielded: return true;
  }
  return true;
}

std::string_view Name(JobEvent event) {
  switch (event) {
    case JobEvent::kDispatch: return "DISPATCH";
    case JobEvent::kSucceed: return "SUCCEED";
    case JobEvent::kFail: return "FAIL";
    case JobEvent::kRetry: return "RETRY";
    case JobEvent::kLost: return "LOST";
    case JobEvent::kHandBack: return "HAND_BACK";
    case JobEvent::kExhaust: return "EXHAUST";
    case JobEvent::kCancel: return "CANCEL";
    case JobEvent::kExpire: return "EXPIRE";
    case JobEvent::kReplace: return "REPLACE";
    case JobEvent::kYield: return "YIELD";
    case JobEvent::kSuspend: return "SUSPEND";
    case JobEvent::kResume: return "RESUME";
  }
  return "UNKNOWN";
}

}  // namespace lts::model

// The states of jobs and schedules: which event leads from which state to which. The one place that
// says so: the core asks here for every end, and for every way back to waiting.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "model/job.h"

namespace lts::model {

// What happens to one run of a job: a one-shot, an occurrence of a schedule, a trigger. A run that
// has been submitted, or fired, begins in kWaiting.
enum class JobEvent : std::uint8_t {
  kDispatch,  // handed to a TaskTracker
  kSucceed,   // the attempt reported SUCCESS
  kFail,   // FAILED; or LATER or EXCEPTION without retries; or an outcome that must not be retried
  kRetry,  // LATER or EXCEPTION with retries left, or a snooze: waits for the next attempt
  kLost,   // the attempt was lost with its TaskTracker: waits for the next one
  kHandBack,  // never started by a TaskTracker that drains: waits again, nothing is counted
  kExhaust,   // retries used up, or lost too often
  kCancel,    // cancelled; for an executing job once its attempt has stopped without SUCCESS
  kExpire,    // not started in time, or asked (LATER) for a time that is too late
  kReplace,   // another job of the task took its place
  kYield,     // a pending retry gave way to the next fire of its schedule
  kSuspend,   // a running attempt goes on; what follows it waits
  kResume,
};

// The first state of a schedule is kActive, its last kEnded: the message of its end says why.
enum class ScheduleEvent : std::uint8_t {
  kSuspend,
  kResume,
  kFinish,  // no further fire, or repeat_count reached
  kCancel,  // cancelled or deleted
  kReplace,
};

// The state after `event`, or nothing when the event cannot happen in `state`.
std::optional<JobState> NextState(JobState state, JobEvent event);
std::optional<JobState> NextScheduleState(JobState state, ScheduleEvent event);

// No event leads out of it.
bool IsEnd(JobState state);

std::string_view Name(JobEvent event);

}  // namespace lts::model

// What a user says about a job, and the words for what becomes of it. Pure data; no clock, no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace lts::model {

// Precedence when several are given: CRON, REPEAT, REAL_TIME (no trigger time), TRIGGER_TIME.
enum class JobType : std::uint8_t { kRealTime = 0, kTriggerTime = 1, kCron = 2, kRepeat = 3 };

// How long after a retryable end the next attempt becomes due.
struct RetryPolicy {
  enum class Kind : std::uint8_t { kFixed = 0, kLinear = 1, kExponential = 2 };
  Kind kind = Kind::kExponential;
  DurationMs initial_ms = 30'000;  // 1 … 30 days
  DurationMs max_ms = 3'600'000;   // cap; >= initial_ms; kFixed ignores it
  bool operator==(const RetryPolicy&) const = default;
};

// What a schedule does with fires that were not generated within the grace time.
enum class MisfirePolicy : std::uint8_t {
  kDefault = 0,  // kFireOnce when rely_on_prev_cycle, else kCatchUp with limit 10
  kFireOnce = 1,
  kSkip = 2,
  kCatchUp = 3,
};

// A job as submitted. Immutable once accepted; shared by the rows and attempts that come from it.
struct JobSpec {
  std::string job_id;                         // UUIDv7, made by the client library
  std::string task_id;                        // identity within the group, 1–64 characters
  std::string group;                          // taskTrackerNodeGroup: who runs it
  std::string submit_group;                   // submitNodeGroup: who is told of its end
  std::string runner;                         // empty: the TaskTracker's default runner
  std::map<std::string, std::string> params;  // extParams
  std::string payload;                        // bytes; with the parameters <= job.payload.max
  std::int32_t priority = 100;                // lower first, -10000 … 10000
  std::int32_t max_retry_times = 0;
  std::optional<RetryPolicy> retry;  // absent: job.retry.default
  bool need_feedback = false;
  bool replace_on_exist = false;
  bool fail_if_exists = false;  // a duplicate is refused instead of ignored
  bool rely_on_prev_cycle = true;
  bool at_most_once = false;
  std::optional<TimeMs> trigger_time_ms;  // first or only due time
  std::optional<DurationMs>
      trigger_delay_ms;           // the same, counted from acceptance; wins over the time
  std::string cron;               // Quartz or Unix text
  std::string time_zone;          // IANA; empty: the cluster's (UTC unless set)
  std::int64_t repeat_count = 0;  // total runs; -1 unlimited
  DurationMs repeat_interval_ms = 0;
  TimeMs start_time_ms = 0;  // schedules: no fire before; 0 none
  TimeMs end_time_ms = 0;    // schedules: no fire after; 0 none
  MisfirePolicy misfire = MisfirePolicy::kDefault;
  std::int32_t catch_up_max = 0;            // 0: the default of the policy
  DurationMs timeout_ms = 0;                // of one execution; 0 none
  std::optional<DurationMs> expires_in_ms;  // not started within this time of acceptance -> EXPIRED
  bool operator==(const JobSpec&) const = default;

  // Of payload and parameters: what job.payload.max limits.
  std::size_t PayloadBytes() const {
    std::size_t bytes = payload.size();
    for (const auto& [key, value] : params) bytes += key.size() + value.size();
    return bytes;
  }
  bool IsCron() const { return !cron.empty(); }
  bool IsRepeat() const { return !IsCron() && repeat_interval_ms > 0 && repeat_count != 0; }
  bool IsSchedule() const { return IsCron() || IsRepeat(); }
  JobType Type() const {
    if (IsCron()) return JobType::kCron;
    if (IsRepeat()) return JobType::kRepeat;
    return trigger_time_ms || trigger_delay_ms ? JobType::kTriggerTime : JobType::kRealTime;
  }
};
using JobSpecPtr = std::shared_ptr<const JobSpec>;

// What a runner reports; names and meaning of the original.
enum class Action : std::uint8_t {
  kExecuteSuccess = 0,
  kExecuteFailed = 1,     // ends the job, never retried
  kExecuteLater = 2,      // retried; with a delay it is a snooze and does not count
  kExecuteException = 3,  // retried
};

// States of jobs and schedules as users see them (see model/state.h for the transitions).
enum class JobState : std::uint8_t {
  kWaiting = 0,
  kRunning = 1,
  kSuspended = 2,
  kSucceeded = 3,
  kFailed = 4,
  kCancelled = 5,
  kExpired = 6,
  kDead = 7,  // retries used up, or lost too often
  kReplaced = 8,
  kSkipped = 9,   // fires of a schedule that did not run, with a reason
  kActive = 10,   // schedules
  kEnded = 11,    // schedules: no further fire, or deleted
  kYielded = 12,  // RETRY_YIELDED: the pending retry of a rely cycle gave way to the next fire
};

// How one attempt ended.
enum class Outcome : std::uint8_t {
  kNone = 0,  // no attempt was made (a job cancelled while waiting, skipped fires)
  kExecuteSuccess = 1,
  kExecuteFailed = 2,
  kExecuteLater = 3,
  kExecuteException = 4,
  kTimedOut = 5,
  kLost = 6,    // the TaskTracker was lost, or did not know of it any more
  kKilled = 7,  // terminated, or stopped at the end of the lease
  kStale = 8,   // a result that came too late to count
};

// The fencing token of one dispatch: ordered, never reused within a partition. Job code gets it
// too.
struct Token {
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  auto operator<=>(const Token&) const = default;
  bool empty() const { return epoch == 0 && sequence == 0; }
};

// Names as on the wire, in the CLI and in the console: "WAITING", "EXECUTE_SUCCESS", "REAL_TIME" …
std::string_view Name(JobType type);
std::string_view Name(JobState state);
std::string_view Name(Outcome outcome);
std::string_view Name(Action action);
std::optional<JobState> JobStateFromName(std::string_view name);
std::optional<Outcome> OutcomeFromName(std::string_view name);  // not kNone

Outcome OutcomeOf(Action action);

// "7-42": epoch and sequence.
std::string ToString(const Token& token);

}  // namespace lts::model

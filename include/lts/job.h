// What a program says about a job, and what it is told about it. Public header, C++17, plain data:
// no I/O, nothing here fails. Values are checked when the job is submitted; the answer names field,
// value and limit.
#ifndef LTS_JOB_H_
#define LTS_JOB_H_

#include <lts/export.h>
#include <lts/node.h>
#include <lts/status.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lts {

using Milliseconds = std::chrono::milliseconds;

// How long after a retryable end (LATER without a delay, EXCEPTION, lost, timed out) the next
// attempt becomes due. Delays carry jitter. 1 ms … 30 days.
class RetryPolicy {
 public:
  enum class Kind : std::uint8_t { kFixed = 0, kLinear = 1, kExponential = 2 };

  // Always `delay`.
  static RetryPolicy Fixed(Milliseconds delay) { return {Kind::kFixed, delay, delay}; }
  // initial, 2 * initial, 3 * initial … up to `max`.
  static RetryPolicy Linear(Milliseconds initial, Milliseconds max = std::chrono::hours(1)) {
    return {Kind::kLinear, initial, max < initial ? initial : max};
  }
  // initial, 2 * initial, 4 * initial … up to `max`.
  static RetryPolicy Exponential(Milliseconds initial, Milliseconds max = std::chrono::hours(1)) {
    return {Kind::kExponential, initial, max < initial ? initial : max};
  }

  Kind kind() const { return kind_; }
  Milliseconds initial() const { return initial_; }
  Milliseconds max() const { return max_; }

 private:
  RetryPolicy(Kind kind, Milliseconds initial, Milliseconds max)
      : kind_(kind), initial_(initial), max_(max) {}

  Kind kind_;
  Milliseconds initial_;
  Milliseconds max_;
};

// What a schedule does with fires that were missed: not generated within misfire.grace (60 s).
enum class MisfirePolicy : std::uint8_t {
  kDefault = 0,  // kFireOnce when the job relies on the previous cycle, else kCatchUp with limit 10
  kFireOnce = 1,  // one run for all of them
  kSkip = 2,      // none
  kCatchUp = 3,   // each of the newest ones, up to the limit
};

// One task of one TaskTracker node group: what jobs are known by, besides their job id.
struct TaskKey {
  std::string group;
  std::string task_id;
};

// A job to submit. The kind follows from what is set, in this order: Cron, Repeat, neither
// TriggerAt nor TriggerIn (runs at once), TriggerAt or TriggerIn. Not thread-safe; copies are
// independent.
class Job {
 public:
  // The plain values, for code that reads them. Times are kept to the millisecond.
  struct Values {
    std::string job_id;
    std::string task_id;
    std::string group;
    std::string submit_group;
    std::string runner;
    std::map<std::string, std::string> params;
    std::string payload;
    std::int32_t priority = 100;
    std::int32_t max_retry_times = 0;
    std::optional<RetryPolicy> retry;
    bool need_feedback = false;
    bool replace_on_exist = false;
    bool fail_if_exists = false;
    bool rely_on_prev_cycle = true;
    bool at_most_once = false;
    std::optional<SystemTime> trigger_at;
    std::optional<Milliseconds> trigger_in;
    std::string cron;
    std::string time_zone;
    std::int64_t repeat_count = 0;
    Milliseconds repeat_interval{0};
    std::optional<SystemTime> start_at;
    std::optional<SystemTime> end_at;
    MisfirePolicy misfire = MisfirePolicy::kDefault;
    std::int32_t catch_up_max = 0;
    Milliseconds timeout{0};
    std::optional<Milliseconds> expires_in;
  };

  // `task_id`: 1 … 64 characters of UTF-8 without control characters, the identity within the
  // group. `group`: the TaskTracker node group that runs it; letters, digits, `. _ : -`, at
  // most 64.
  Job(std::string task_id, std::string group) {
    values_.task_id = std::move(task_id);
    values_.group = std::move(group);
  }

  // A UUIDv7 of the caller's own making. Sent again with the same id, a job is never made twice
  // within dedup.horizon (7 days); older ids are refused. Without one, Submit makes it.
  Job& JobId(std::string uuid) {
    values_.job_id = std::move(uuid);
    return *this;
  }
  // The runner at the TaskTracker; empty: the default of its group.
  Job& Runner(std::string name) {
    values_.runner = std::move(name);
    return *this;
  }
  // The group whose clients are told of the end; without one, that of the submitting client.
  Job& SubmitGroup(std::string group) {
    values_.submit_group = std::move(group);
    return *this;
  }
  // Parameters and payload together are at most job.payload.max (64 KiB).
  Job& Param(std::string key, std::string value) {
    values_.params[std::move(key)] = std::move(value);
    return *this;
  }
  Job& Payload(std::string bytes) {
    values_.payload = std::move(bytes);
    return *this;
  }
  // -10000 … 10000, lower first; 100 unless set.
  Job& Priority(std::int32_t priority) {
    values_.priority = priority;
    return *this;
  }
  // How often it is tried again after LATER or EXCEPTION; 0: never.
  Job& MaxRetryTimes(std::int32_t times) {
    values_.max_retry_times = times;
    return *this;
  }
  Job& Retry(RetryPolicy policy) {
    values_.retry = policy;
    return *this;
  }
  // JobClientOptions::on_job_completed of the submitting group is told of each ended run.
  Job& NeedFeedback(bool on = true) {
    values_.need_feedback = on;
    return *this;
  }
  // A waiting job of the same task is replaced instead of the new one being ignored.
  Job& ReplaceOnExist(bool on = true) {
    values_.replace_on_exist = on;
    return *this;
  }
  // A waiting job of the same task makes the submit fail with kAlreadyExists.
  Job& FailIfExists(bool on = true) {
    values_.fail_if_exists = on;
    return *this;
  }
  // Schedules: no fire while the previous one waits or runs (true unless set).
  Job& RelyOnPrevCycle(bool on) {
    values_.rely_on_prev_cycle = on;
    return *this;
  }
  // An attempt with an unknown outcome is not repeated: the job ends FAILED.
  Job& AtMostOnce(bool on = true) {
    values_.at_most_once = on;
    return *this;
  }

  Job& TriggerAt(SystemTime when) {
    values_.trigger_at = when;
    return *this;
  }
  // Counted from when the JobTracker accepts it.
  Job& TriggerIn(Milliseconds delay) {
    values_.trigger_in = delay;
    return *this;
  }
  // Quartz (6 or 7 fields) or Unix (5 fields) text; `zone` is an IANA name, empty: the cluster's
  // zone.
  Job& Cron(std::string expression, std::string zone = {}) {
    values_.cron = std::move(expression);
    values_.time_zone = std::move(zone);
    return *this;
  }
  // `count` runs altogether, -1 without end, `interval` of elapsed time apart.
  Job& Repeat(Milliseconds interval, std::int64_t count) {
    values_.repeat_interval = interval;
    values_.repeat_count = count;
    return *this;
  }
  // Schedules: no fire before, no fire after.
  Job& StartAt(SystemTime when) {
    values_.start_at = when;
    return *this;
  }
  Job& EndAt(SystemTime when) {
    values_.end_at = when;
    return *this;
  }
  // `catch_up_max`: of kCatchUp; 0: 10.
  Job& Misfire(MisfirePolicy policy, std::int32_t catch_up_max = 0) {
    values_.misfire = policy;
    values_.catch_up_max = catch_up_max;
    return *this;
  }
  // Of one execution; 0: none.
  Job& Timeout(Milliseconds timeout) {
    values_.timeout = timeout;
    return *this;
  }
  // Not started within this time of acceptance: EXPIRED.
  Job& ExpiresIn(Milliseconds time) {
    values_.expires_in = time;
    return *this;
  }

  const Values& values() const { return values_; }

 private:
  Values values_;
};

// New values for some fields of a job that was submitted; what is not set stays. Not thread-safe.
class JobUpdate {
 public:
  JobUpdate& Runner(std::string name) {
    values_.runner = std::move(name);
    return Named("runner");
  }
  JobUpdate& SubmitGroup(std::string group) {
    values_.submit_group = std::move(group);
    return Named("submit_node_group");
  }
  // One parameter; the others stay.
  JobUpdate& Param(const std::string& key, std::string value) {
    values_.params[key] = std::move(value);
    return Named("params." + key);
  }
  JobUpdate& DropParam(const std::string& key) {
    values_.params.erase(key);
    return Named("params." + key);
  }
  // All parameters.
  JobUpdate& Params(std::map<std::string, std::string> params) {
    values_.params = std::move(params);
    return Named("params");
  }
  JobUpdate& Payload(std::string bytes) {
    values_.payload = std::move(bytes);
    return Named("payload");
  }
  JobUpdate& Priority(std::int32_t priority) {
    values_.priority = priority;
    return Named("priority");
  }
  JobUpdate& MaxRetryTimes(std::int32_t times) {
    values_.max_retry_times = times;
    return Named("max_retry_times");
  }
  // Nothing: job.retry.default.
  JobUpdate& Retry(std::optional<RetryPolicy> policy) {
    values_.retry = policy;
    return Named("retry");
  }
  JobUpdate& NeedFeedback(bool on) {
    values_.need_feedback = on;
    return Named("need_feedback");
  }
  JobUpdate& AtMostOnce(bool on) {
    values_.at_most_once = on;
    return Named("at_most_once");
  }
  JobUpdate& Timeout(Milliseconds timeout) {
    values_.timeout = timeout;
    return Named("timeout_ms");
  }
  // Counted from the update; nothing: never. Of a schedule: for fires to come.
  JobUpdate& ExpiresIn(std::optional<Milliseconds> time) {
    values_.expires_in = time;
    return Named("expires_in_ms");
  }
  // When a one-shot that has not begun is due; the base of a repeating schedule.
  JobUpdate& TriggerAt(SystemTime when) {
    values_.trigger_at = when;
    return Named("trigger_time_ms");
  }
  JobUpdate& TriggerIn(Milliseconds delay) {
    values_.trigger_in = delay;
    return Named("trigger_delay_ms");
  }
  // The rest concerns schedules only.
  JobUpdate& Cron(std::string expression) {
    values_.cron = std::move(expression);
    return Named("cron_expression");
  }
  JobUpdate& TimeZone(std::string zone) {
    values_.time_zone = std::move(zone);
    return Named("time_zone");
  }
  // Counted from the update; runs before it count towards `count`.
  JobUpdate& Repeat(Milliseconds interval, std::int64_t count) {
    values_.repeat_interval = interval;
    values_.repeat_count = count;
    Named("repeat_interval_ms");
    return Named("repeat_count");
  }
  JobUpdate& StartAt(std::optional<SystemTime> when) {
    values_.start_at = when;
    return Named("start_time_ms");
  }
  JobUpdate& EndAt(std::optional<SystemTime> when) {
    values_.end_at = when;
    return Named("end_time_ms");
  }
  // Occurrences that were made before keep what they were made with.
  JobUpdate& RelyOnPrevCycle(bool on) {
    values_.rely_on_prev_cycle = on;
    return Named("rely_on_prev_cycle");
  }
  JobUpdate& Misfire(MisfirePolicy policy, std::int32_t catch_up_max = 0) {
    values_.misfire = policy;
    values_.catch_up_max = catch_up_max;
    Named("misfire");
    return Named("catch_up_max");
  }

  const Job::Values& values() const { return values_; }
  // The names of the fields that are set, as in lts.v1.Job.
  const std::vector<std::string>& fields() const { return fields_; }

 private:
  JobUpdate& Named(std::string field) {
    fields_.push_back(std::move(field));
    return *this;
  }

  Job::Values values_;
  std::vector<std::string> fields_;
};

// States of jobs and, the last ones, of schedules and their cycles.
enum class JobState : std::uint8_t {
  kWaiting = 0,
  kRunning = 1,
  kSuspended = 2,
  kSucceeded = 3,
  kFailed = 4,  // EXECUTE_FAILED, or LATER or EXCEPTION with maxRetryTimes 0
  kCancelled = 5,
  kExpired = 6,
  kDead = 7,  // retries used up, or lost too often
  kReplaced = 8,
  kSkipped = 9,        // fires that did not run, with a reason
  kActive = 10,        // schedules
  kEnded = 11,         // schedules
  kRetryYielded = 12,  // a pending retry that gave way to the next fire
};

// How one attempt ended.
enum class AttemptOutcome : std::uint8_t {
  kNone = 0,  // none was made, or it runs
  kExecuteSuccess = 1,
  kExecuteFailed = 2,
  kExecuteLater = 3,
  kExecuteException = 4,
  kTimedOut = 5,
  kLost = 6,
  kKilled = 7,
  kStale = 8,
};

// "WAITING", "EXECUTE_SUCCESS" …: the names of CLI and console.
LTS_API std::string_view JobStateName(JobState state);
LTS_API std::string_view AttemptOutcomeName(AttemptOutcome outcome);

// One attempt, newest first in JobView. Times that are not known are absent.
struct AttemptView {
  std::int32_t attempt = 0;
  std::optional<SystemTime> cycle;  // the fire time of an occurrence
  std::string token;                // "epoch-sequence", the fencing token that the runner had
  std::string node;
  AttemptOutcome outcome = AttemptOutcome::kNone;
  std::string message;
  std::optional<SystemTime> due_at;
  std::optional<SystemTime> started_at;
  std::optional<SystemTime> ended_at;
  // What a running attempt said last of how far it is: 0 … 100, -1 when it gave no figure.
  std::int32_t progress_percent = -1;
  std::string progress_text;
};

// A job or schedule as the JobTracker holds or held it.
struct JobView {
  std::string job_id;
  std::string task_id;
  std::string group;
  JobState state = JobState::kWaiting;
  bool schedule = false;
  std::string message;  // of the attempt that ended it
  std::int32_t retries = 0;
  std::int64_t runs = 0;  // schedules: runs so far
  bool cancel_requested = false;
  std::optional<SystemTime> accepted_at;
  std::optional<SystemTime> next_fire_time;  // schedules: next fire; waiting jobs: when due
  std::optional<SystemTime> ended_at;
  std::vector<AttemptView> attempts;  // newest first

  bool succeeded() const { return state == JobState::kSucceeded; }
};

// How one cycle of a job with NeedFeedback ended. It may be told more than once: (job_id, cycle,
// attempt) identifies it.
struct JobResult {
  std::string job_id;
  std::optional<SystemTime> cycle;  // the fire time of an occurrence of a schedule
  std::int32_t attempt = 0;
  std::string task_id;
  std::string group;
  JobState state = JobState::kSucceeded;
  bool success = false;
  std::string message;
  std::optional<SystemTime> ended_at;
};

}  // namespace lts

#endif  // LTS_JOB_H_

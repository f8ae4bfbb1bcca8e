// The durable records of the scheduler, the same in every engine (a column each in MySQL, a
// protobuf record each in RocksDB). All times are core time in milliseconds since the epoch.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "model/job.h"
#include "model/job_id.h"

namespace lts::store {

enum class JobKind : std::uint8_t {
  kOneShot = 0,     // real-time or timed
  kOccurrence = 1,  // one fire of a schedule; key.cycle is the fire time
  kTrigger = 2,     // a manual run of a schedule, with an id of its own
};

// A waiting or executing run: table lts_job, key (job id, cycle). Gone when the run has ended.
struct JobRow {
  model::JobKey key;
  JobKind kind = JobKind::kOneShot;
  model::JobSpecPtr spec;  // never null
  // kWaiting: due or dated, or executing and not yet marked. kRunning: marked as executing.
  // kSuspended: left out of dispatch until resumed.
  model::JobState state = model::JobState::kWaiting;
  // It shares its run key with another row or a schedule, or did when it arrived: an owner holds it
  // in memory always, and in no window, so that run keys are decided without asking the store.
  bool resident = false;
  std::int32_t priority = 100;
  TimeMs due_ms = 0;
  std::uint64_t seq = 0;  // submit order within the partition
  TimeMs accepted_ms = 0;
  TimeMs expires_ms = 0;     // 0: never
  std::int32_t attempt = 1;  // n of the attempt that runs or comes next
  std::int32_t retries = 0;  // attempts that counted as retries
  std::int32_t snoozes = 0;
  std::int32_t lost = 0;  // attempts lost with their TaskTracker
  bool cancel_requested = false;
  bool suspend_requested = false;  // what follows the attempt that runs waits to be resumed
  model::Token mark;               // token of the attempt that was last marked; empty: none was
  std::string mark_worker;         // identity of its TaskTracker
  bool operator==(const JobRow&) const = default;

  // Between attempts counts as executing for the run key.
  bool Started() const { return attempt > 1 || state == model::JobState::kRunning; }
};

// A schedule that can still fire: table lts_schedule, key job id; (group, task id) is unique.
struct ScheduleRow {
  model::JobId id;
  model::JobSpecPtr spec;
  model::JobState state = model::JobState::kActive;  // or kSuspended
  std::uint64_t seq = 0;
  TimeMs accepted_ms = 0;
  TimeMs last_fire_ms = 0;  // last fire that was generated or skipped; only grows (I5)
  std::int64_t runs = 0;    // fires that became occurrences
  // The run of consecutive skipped fires under way; a history row once it has ended.
  TimeMs skip_first_ms = 0;
  TimeMs skip_last_ms = 0;
  std::int64_t skip_count = 0;
  std::string skip_reason;
  // When its timing was set: at its acceptance (0: accepted_ms), or by the last update of it.
  TimeMs timed_ms = 0;
  // Fires up to this time do not run: it was suspended, or its timing changed, when they were due.
  TimeMs silent_from_ms = 0;  // … and after this one
  TimeMs silent_until_ms = 0;
  std::string silent_reason;
  // After a reset, fires up to shift_until_ms have cycles `shift` ms later than their times, so
  // that they are not those that a clock which was ahead has had already.
  std::int32_t shift = 0;
  TimeMs shift_until_ms = 0;
  bool operator==(const ScheduleRow&) const = default;
};

// One attempt that ended, or an end without an attempt: table lts_attempt, key (job id, cycle, n).
// Inserted once, never changed.
struct HistoryRow {
  model::JobKey key;
  std::int32_t attempt = 0;
  model::Outcome outcome = model::Outcome::kNone;
  // Set on the row that ended the cycle (and on skipped fires and ended schedules).
  bool final = false;
  model::JobState state = model::JobState::kWaiting;
  JobKind kind = JobKind::kOneShot;
  bool is_schedule = false;  // this row is the end of a schedule itself
  std::string group;
  std::string task_id;
  std::string node;  // identity of the TaskTracker
  model::Token token;
  std::string message;
  TimeMs due_ms = 0;
  TimeMs started_ms = 0;
  TimeMs ended_ms = 0;
  TimeMs accepted_ms = 0;    // on final rows
  std::int32_t retries = 0;  // on final rows: attempts that counted as retries
  std::int64_t runs = 0;     // on the end of a schedule: its fires that became occurrences
  std::int64_t skipped = 0;  // fires from key.cycle to skipped_last_ms that did not run
  TimeMs skipped_last_ms = 0;
  model::JobSpecPtr spec;  // on final rows: what was asked for
  bool operator==(const HistoryRow&) const = default;
};

// The end of a cycle that a client group waits for: table lts_feedback, key (job id, cycle, n).
struct FeedbackRow {
  model::JobKey key;
  std::int32_t attempt = 0;
  std::uint64_t seq = 0;  // order of delivery within the partition
  std::string submit_group;
  std::string group;
  std::string task_id;
  model::JobState state = model::JobState::kSucceeded;
  std::string message;
  TimeMs ended_ms = 0;
  bool operator==(const FeedbackRow&) const = default;
};

// A TaskTracker that was given, or may have been given, work: table lts_worker, key (group,
// identity).
struct WorkerRow {
  std::string group;
  std::string identity;
  std::string incarnation;    // random per process
  std::uint64_t session = 0;  // given by the owner at hello
  bool operator==(const WorkerRow&) const = default;
};

// A line of the life-cycle or business log: table lts_job_log. Key (job id, cycle, attempt, line).
struct LogRow {
  model::JobKey key;
  std::int32_t attempt = 0;
  std::uint64_t line = 0;  // numbered per attempt, against repeats
  TimeMs time_ms = 0;
  std::string type;   // RECEIVE SENT FINISHED RESEND FIXED_DEAD BIZ UPDATE DEL SUSPEND RESUME
  std::string level;  // DEBUG INFO WARN ERROR
  std::string group;
  std::string task_id;
  std::string node;
  std::string message;
  bool operator==(const LogRow&) const = default;
};

// ---- mutations
// ------------------------------------------------------------------------------------

struct InsertJob {
  JobRow row;
};
// `before_*` are the values under which the row stands in the indexes now.
struct UpdateJob {
  JobRow row;
  std::int32_t before_priority;
  TimeMs before_due_ms;
  bool before_resident;
  model::JobState before_state;
};
struct DeleteJob {
  JobRow row;
};  // with the indexed values as they stand in the store now
struct InsertHistory {
  HistoryRow row;
};
struct PutSchedule {
  ScheduleRow row;
  // It is there already, under this id, group and task (the caller's word): an engine need not
  // look.
  bool stands = false;
};
struct DeleteSchedule {
  model::JobId id;
  std::string group;
  std::string task_id;
};
struct InsertFeedback {
  FeedbackRow row;
};
struct DeleteFeedback {
  model::JobKey key;
  std::int32_t attempt;
  std::string submit_group;
  std::uint64_t seq;
};
// A line of the life-cycle log that stands with what it tells of.
struct InsertLog {
  LogRow row;
};
struct PutWorker {
  WorkerRow row;
};
struct DeleteWorker {
  std::string group;
  std::string identity;
};

using Mutation =
    std::variant<InsertJob, UpdateJob, DeleteJob, InsertHistory, PutSchedule, DeleteSchedule,
                 InsertFeedback, DeleteFeedback, InsertLog, PutWorker, DeleteWorker>;

// Applied in order, all or nothing.
struct MutationBatch {
  std::vector<Mutation> mutations;
  std::uint64_t next_seq = 0;  // stored with the partition: the next free JobRow::seq
  bool empty() const { return mutations.empty(); }
};

}  // namespace lts::store

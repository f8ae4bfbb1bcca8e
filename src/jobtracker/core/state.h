// The structures inside a Partition; included by its files only.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "jobtracker/core/partition.h"

namespace lts::core {

// A job row held in memory. `row` is always the row as the store has it (or will, once issued
// commits are done).
struct Partition::Job {
  // Where the job is; each place has one container.
  enum class Place : std::uint8_t {
    kNone,
    kReady,   // Group::ready: may be dispatched
    kDated,   // Group::dated: not due yet
    kParked,  // due, but its run key is taken
    kHeld,    // Group::held: an earlier owner may have given it to a TaskTracker that has not said
              // hello yet
    kExecuting,  // at a TaskTracker
  };

  store::JobRow row;
  Group* group = nullptr;
  Task* task = nullptr;
  Place place = Place::kNone;
  Worker* worker = nullptr;            // executing
  model::Token token;                  // executing
  TimeMs started_ms = 0;               // executing
  std::int64_t started_mono_ms = 0;    // executing
  bool out_of_time = false;            // executing: it was told to stop for its time-out
  std::int32_t lost_attempt = 0;       // the last one that this owner has declared lost
  std::int32_t progress_percent = -1;  // executing; -1: not told
  std::string progress_text;           // executing
  bool settled = false;                // its last attempt ended before this owner: it runs nowhere
  std::size_t bytes = 0;               // what it takes in memory, about
};

// What stands under one task id of a group.
struct Partition::Task {
  std::vector<Job*> jobs;  // all rows in memory, in no order
  Job* holder = nullptr;   // owns the run key: executing, or between attempts
  Schedule* schedule = nullptr;
};

struct Partition::Group {
  std::string name;
  std::unordered_map<std::string, Task> tasks;
  std::set<Job*, ReadyLess> ready;
  std::set<Job*, ReadyLess> held;
  std::set<Job*, DatedLess> dated;
  std::vector<Worker*> workers;
  std::size_t next_worker = 0;
  std::size_t executing = 0;

  // Rows of an earlier owner wait for its TaskTrackers: names that have not said hello yet.
  std::set<std::string> expected;
  bool opening = false;
  std::unordered_set<std::string> deferred_tasks;
  std::deque<Operation> deferred;  // operations on rows whose fate is not known before it is open

  // The window. All non-resident due rows before `ready_end` are in memory, and all dated ones
  // before `dated_end`; what lies beyond is only in the store.
  bool ready_complete = true;
  store::ReadyPosition ready_end{};
  bool dated_complete = true;
  bool dated_capped = false;  // `dated_end` is only when to read again from the top
  std::pair<TimeMs, std::uint64_t> dated_end{};
  // Whether the tasks of all rows beyond the window are in `outside_`. After a takeover they are
  // read, piece by piece.
  enum class OutsideTasks : std::uint8_t {
    kUnread,
    kReading,  // those of rows that leave memory meanwhile are in it too
    kKnown,
    kUnknown,  // too many, or they cannot be read
  };
  OutsideTasks outside = OutsideTasks::kKnown;
  std::uint64_t tasks_reading = 0;  // counts how often reading them was begun
  bool refilling = false;
  bool top_wanted = false;                        // the next refill starts at the top
  std::int64_t refill_after_mono_ms = INT64_MIN;  // not before: the last one failed
  TimeMs timer_ms = Partition::kNever;
  bool dispatch_wanted = false;

  bool Complete() const { return ready_complete && dated_complete; }
};

struct Partition::Worker {
  std::string group_name;
  std::string identity;
  std::string incarnation;
  std::uint64_t session = 0;
  std::uint64_t continues_epoch = 0;  // of the session before this one; 0: it had none
  std::uint64_t hello_number = 0;
  StreamId stream = 0;  // 0: not connected
  std::int32_t capacity = 0;
  bool expected = false;  // known from its row only, no hello yet
  std::unordered_set<Job*> outstanding;
  std::int64_t deadline_mono_ms = 0;
  Group* group = nullptr;
};

struct Partition::Schedule {
  store::ScheduleRow row;
  std::shared_ptr<const model::FireTimes> fires;
  Group* group = nullptr;
  std::string task_id;
  std::optional<TimeMs> next_ms;
  TimeMs armed_ms = Partition::kNever;
  std::set<model::JobKey> occurrences;  // rows of this schedule that have not ended

  TimeMs timed_ms() const { return row.timed_ms != 0 ? row.timed_ms : row.accepted_ms; }
};

struct Partition::Operation {
  SubmitItem submit;  // submit.spec null: `operate` counts
  RequestId request = 0;
  std::uint32_t index = 0;
  OperateEvent operate;
  // Filled by a look-up.
  bool looked_up = false;
  bool made_ended = false;  // what it makes was made before, and has ended

  bool is_submit() const { return submit.spec != nullptr; }
  const std::string& group() const { return is_submit() ? submit.spec->group : operate.group; }
  const std::string& task_id() const {
    return is_submit() ? submit.spec->task_id : operate.task_id;
  }
  // What it is about, empty: everything under the task.
  const model::JobId& target() const { return is_submit() ? submit.id : operate.id; }
  // What it makes, empty: nothing.
  const model::JobId& made() const { return is_submit() ? submit.id : operate.new_id; }
  bool maybe_sent() const { return is_submit() ? submit.maybe_sent : operate.maybe_sent; }
};

// A read that was asked for and has not been answered.
struct Partition::PendingRead {
  std::uint64_t ordinal = 0;  // mutations issued before it
  // Exactly one of these is what waits for the answer.
  std::vector<std::string> keys;  // look-up for the first operation of these keys in waiting_keys_
  std::optional<HelloEvent> hello;
  StreamId results_stream = 0;
  std::vector<AttemptResult> results;
  std::string refill_group;
  std::string feedback_group;
  std::string tasks_group;
  std::uint64_t tasks_reading = 0;
  // What is asked.
  LookupRequest lookup;
  RefillRequest refill;
  bool clock_behind = false;  // when the refill was asked, the clock showed less than before
  FeedbackRefillRequest feedback;
  TasksRequest tasks;
};

struct Partition::FeedbackStream {
  StreamId id = 0;
  std::int32_t window = 0;
  std::int32_t in_flight = 0;
};

struct Partition::FeedbackGroup {
  struct Item {
    store::FeedbackRow row;
    StreamId offered_to = 0;  // 0: not offered now
    std::int64_t not_before_mono_ms = 0;
    std::int32_t refusals = 0;
  };
  std::string name;
  bool complete = true;  // all rows of the store are in `items`
  bool refilling = false;
  std::uint64_t loaded_seq = 0;         // rows up to here are in `items` or gone
  std::map<std::uint64_t, Item> items;  // by seq
  std::vector<FeedbackStream> streams;  // offered to one at a time, the first
  std::int64_t timer_mono_ms = Partition::kNever;
};

inline std::uint64_t IdHash(const model::JobId& id) { return std::hash<model::JobId>()(id); }

inline std::uint64_t TaskHash(const std::string& group, const std::string& task_id) {
  return std::hash<std::string>()(task_id) * 0x9e3779b97f4a7c15ULL ^
         std::hash<std::string>()(group);
}

}  // namespace lts::core

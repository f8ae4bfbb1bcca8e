// What goes into a Partition and what comes out. Plain data: the shell around the core turns
// messages, answers of the store and timers into events, and effects into commits, replies and
// messages.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "lts/status.h"
#include "model/job.h"
#include "model/job_id.h"
#include "model/update.h"
#include "store/job_store.h"
#include "store/rows.h"

namespace lts::core {

// The time of an event on both clocks. Leases and delays run on `mono_ms`, due and fire times on
// `wall_ms`.
struct Now {
  TimeMs wall_ms = 0;
  std::int64_t mono_ms = 0;
};

using RequestId = std::uint64_t;  // of a client's call; the reply carries it
using StreamId = std::uint64_t;  // of a TaskTracker's or feedback stream; never reused in a process
using ReadId = std::uint64_t;    // of a lookup or refill that the core asked for

// Names one attempt, as a TaskTracker knows it.
struct AttemptRef {
  model::JobKey key;
  std::int32_t attempt = 0;
  model::Token token;
  bool operator==(const AttemptRef&) const = default;
};

struct AttemptResult {
  AttemptRef ref;
  model::Outcome outcome = model::Outcome::kExecuteSuccess;  // kExecute*, kTimedOut, kKilled
  std::string message;
  DurationMs later_delay_ms = 0;
  DurationMs run_ms = 0;
  DurationMs ended_ago_ms = 0;
};

// ---- events
// ---------------------------------------------------------------------------------------

struct SubmitItem {
  model::JobSpecPtr spec;  // validated
  model::JobId id;
  bool maybe_sent = false;
};
struct SubmitEvent {
  RequestId request = 0;
  std::vector<SubmitItem> items;
  std::uint32_t first_index = 0;  // of items[0] in the request; replies count from it
};

enum class OperationKind : std::uint8_t {
  kCancel = 0,     // ends it; an executing attempt is told to stop, and nothing follows it
  kSuspend = 1,    // nothing starts until it is resumed; an executing attempt goes on
  kResume = 2,     // fires that were due meanwhile are skipped
  kTerminate = 3,  // stops what executes now; a schedule goes on
  kTrigger = 4,    // runs it now: a schedule by a run of its own, a one-shot by being due
  kUpdate = 5,     // changes fields
};

// What is done to what stands under a task, or only to the job or schedule `id` when it is not
// empty. Group and task are always given: the shell finds them for a bare id.
struct OperateEvent {
  RequestId request = 0;
  std::string group;
  std::string task_id;
  model::JobId id;
  OperationKind kind = OperationKind::kCancel;
  bool reset = false;                         // kResume: a last fire in the future is forgotten
  model::JobId new_id;                        // kTrigger: of the run that it makes
  bool maybe_sent = false;                    // kTrigger: as of a submit
  std::map<std::string, std::string> params;  // kTrigger: over those of the job
  std::shared_ptr<const model::JobUpdate> update;  // kUpdate
  // Who asks, and the how manieth operation of it this is; 0: it does not tell.
  std::string client;
  std::uint64_t number = 0;
};

struct HelloEvent {
  StreamId stream = 0;
  std::string group;
  std::string identity;
  std::string incarnation;
  std::uint64_t session = 0;
  std::uint64_t number = 0;  // counts the hellos of this process, from 1; 0: not told
  std::int32_t capacity = 0;
  std::vector<AttemptRef> running;
  std::vector<AttemptResult> results;
  // Attempts whose results come in events of their own right after it.
  std::vector<AttemptRef> results_follow;
};
// How far an attempt has come, in its own words. Kept in memory only, the newest one.
struct AttemptProgress {
  AttemptRef ref;
  std::int32_t percent = -1;  // 0 … 100; -1: not told
  std::string text;
};

struct WorkerEvent {
  StreamId stream = 0;
  std::uint64_t heartbeat = 0;
  std::optional<std::int32_t> capacity;
  std::vector<AttemptResult> results;
  std::vector<AttemptProgress> progress;
  bool goodbye = false;
};
struct WorkerClosedEvent {
  StreamId stream = 0;
};

struct FeedbackHelloEvent {
  StreamId stream = 0;
  std::string submit_group;
  std::int32_t window = 100;
};
struct FeedbackAck {
  model::JobKey key;
  std::int32_t attempt = 0;
  bool again = false;
};
struct FeedbackAckEvent {
  StreamId stream = 0;
  std::vector<FeedbackAck> acks;
};
struct FeedbackClosedEvent {
  StreamId stream = 0;
};

struct LookupAnswer {
  ReadId id = 0;
  store::LookupReply reply;
};
struct RefillAnswer {
  ReadId id = 0;
  // In order; `…_more`: there are more behind the last one.
  std::vector<store::JobRow> ready;
  std::vector<store::JobRow> dated;
  bool ready_more = false;
  bool dated_more = false;
};

struct TasksAnswer {
  ReadId id = 0;
  std::vector<store::TaskPosition> rows;  // as many as the limit: there are more
};

struct FeedbackRefillAnswer {
  ReadId id = 0;
  std::vector<store::FeedbackRow> rows;
};
// A read failed. What passes (the store is away) is asked again after a while; what a look-up finds
// damaged (kDataLoss) is told to who asked.
struct ReadFailed {
  ReadId id = 0;
  Status why;
};
// A time that NextTimer() named has come.
struct TickEvent {};

using Event = std::variant<SubmitEvent, OperateEvent, HelloEvent, WorkerEvent, WorkerClosedEvent,
                           FeedbackHelloEvent, FeedbackAckEvent, FeedbackClosedEvent, LookupAnswer,
                           RefillAnswer, FeedbackRefillAnswer, TasksAnswer, ReadFailed, TickEvent>;

// ---- effects
// --------------------------------------------------------------------------------------

enum class SubmitOutcome : std::uint8_t { kAccepted = 0, kReplaced = 1, kDuplicate = 2 };

struct SubmitReply {
  RequestId request = 0;
  std::uint32_t index = 0;  // of the item in its SubmitEvent
  StatusCode code = StatusCode::kOk;
  SubmitOutcome outcome = SubmitOutcome::kAccepted;
  model::JobId id;  // of the job that now stands
  std::string message;
};

struct OperateReply {
  RequestId request = 0;
  StatusCode code = StatusCode::kOk;
  model::JobState state = model::JobState::kCancelled;  // that it is in now
  model::JobId id;  // what it was done to; of a trigger: the run
  std::string message;
};

struct Assignment {
  AttemptRef ref;
  model::JobSpecPtr spec;
};

struct HelloReply {
  StatusCode code = StatusCode::kOk;
  std::string message;
  std::uint64_t session = 0;
};

// One message to a TaskTracker, in this order: hello, stops, acks, heartbeat, assignments.
struct WorkerSend {
  StreamId stream = 0;
  std::optional<HelloReply> hello;
  std::uint64_t heartbeat = 0;
  std::vector<Assignment> assignments;
  std::vector<AttemptRef> acks;
  std::vector<AttemptRef> stops;
  bool frozen = false;  // with a heartbeat: run on, nothing new comes for now
  bool close = false;   // after the message
};

// Answers to heartbeats say only that the owner is there: the one effect that does not wait for a
// commit, so that running jobs go on while the store is away.
struct HeartbeatAnswer {
  StreamId stream = 0;
  std::uint64_t number = 0;
};

struct FeedbackSend {
  StreamId stream = 0;
  std::vector<store::FeedbackRow> rows;
  bool close = false;  // not served here: the client shall come again
};

struct LookupRequest {
  ReadId id = 0;
  std::vector<model::JobId> ids;
  std::vector<store::TaskKey> tasks;
};

struct RefillRequest {
  ReadId id = 0;
  std::string group;
  std::optional<store::ReadyPosition> after;
  TimeMs now_ms = 0;  // ready: due <= now_ms; dated: due > now_ms
  std::size_t ready_limit = 0;
  std::size_t dated_limit = 0;
  std::size_t bytes_max = 0;  // of each part, about; one row always
};

struct FeedbackRefillRequest {
  ReadId id = 0;
  std::string submit_group;
  std::uint64_t after_seq = 0;
  std::size_t limit = 0;
};

// Which tasks have rows in the store.
struct TasksRequest {
  ReadId id = 0;
  std::string group;
  std::optional<store::TaskPosition> after;
  std::size_t limit = 0;
};

// What one or several events led to. `batch` is committed first; everything else takes effect, in
// order, only after this batch and all earlier ones are durable (but for `heartbeats`). That holds
// for reads too: they see every mutation issued before them.
struct Effects {
  store::MutationBatch batch;
  std::vector<SubmitReply> submit_replies;
  std::vector<OperateReply> operate_replies;
  std::vector<WorkerSend> worker_sends;
  std::vector<HeartbeatAnswer> heartbeats;
  std::vector<FeedbackSend> feedback_sends;
  std::vector<LookupRequest> lookups;
  std::vector<RefillRequest> refills;
  std::vector<FeedbackRefillRequest> feedback_refills;
  std::vector<TasksRequest> tasks;
  // Not empty: the core found itself at odds with its own rules (a defect). Nothing of this may
  // take effect; the shell loads the partition anew.
  std::string fault;

  bool OnlyMutations() const {
    return submit_replies.empty() && operate_replies.empty() && worker_sends.empty() &&
           feedback_sends.empty() && lookups.empty() && refills.empty() &&
           feedback_refills.empty() && tasks.empty();
  }
};

}  // namespace lts::core

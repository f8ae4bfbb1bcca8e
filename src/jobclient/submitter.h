// The way of submits, and of operations on what was submitted, to the JobTracker.
#pragma once

#include <array>
#include <bitset>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "failstore/fail_store.h"
#include "jobclient/routes.h"
#include "jobclient/trackers.h"
#include "lts/job_client.h"
#include "lts/status.h"
#include "lts/v1/client.pb.h"

namespace lts::jobclient {

// What became of one submit or operation.
struct Answer {
  Status status;
  std::string job_id;
  SubmitOutcome outcome = SubmitOutcome::kAccepted;
  JobState state = JobState::kCancelled;  // of operations
};

// Where a blocking caller waits for a known number of answers. Shared by the caller and what it
// waits for.
class Latch {
 public:
  explicit Latch(std::size_t size) : answers_(size), missing_(size) {}

  // `bytes` of what was announced with AddBytes are answered with it.
  void Set(std::size_t index, Answer answer, std::size_t bytes);
  // What is about to be handed over, before it is.
  void AddBytes(std::size_t bytes);
  // Until at most `missing` answers are missing, all answers being expected from the start, and at
  // most `bytes` of what was announced are not answered.
  void Await(std::size_t missing, std::size_t bytes);
  // Until all answers are there.
  void AwaitAll();
  // After AwaitAll, by the caller alone.
  std::vector<Answer>& answers() { return answers_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Answer> answers_;
  std::size_t missing_;
  std::size_t bytes_ = 0;
  // What the caller waits for.
  std::size_t awaited_missing_ = 0;
  std::size_t awaited_bytes_ = 0;
  bool waiting_ = false;
};

// One thing to send: a submit, or an operation when that is set.
struct Entry {
  std::unique_ptr<v1::SubmitItem> item;
  std::unique_ptr<v1::OperateRequest> operation;
  std::int64_t deadline_us = 0;  // on the monotonic clock
  std::size_t bytes = 0;
  std::uint64_t number = 0;  // in the order of hand-over; set by the Submitter
  // Exactly one of the two is told.
  std::shared_ptr<Latch> latch;
  std::size_t index = 0;
  std::function<void(Answer)> done;  // on the callback strand
};

struct SubmitterOptions {
  std::string identity;
  std::string node_group;
  std::int64_t count_max = 100'000;
  std::int64_t bytes_max = 64LL << 20;
  // Of one request.
  std::size_t batch_count_max = 2'000;
  std::size_t batch_bytes_max = 1U << 20;
  // For the answer of one JobTracker while there is another one to ask.
  DurationMs try_ms = 3'000;
};

// The way of all submits and operations of a client. What concerns one group goes through one lane,
// of which there is a fixed number, and of a lane only one request at a time is under way, whoever
// owns the group's partition before, meanwhile or afterwards: that keeps the order. To each
// JobTracker at most one request is under way; it takes, in the order of hand-over, what has
// gathered in all lanes that lead there and are free. With one JobTracker, or while the owners are
// not known, that is one queue. What a JobTracker could not take, since a partition has no owner
// for now, is sent again after a pause, beside the others: it keeps its own lanes alone. A
// JobTracker that does not answer in time is left for another one; what became of the request there
// is not known. An operation by job id, whose group is not known, waits for everything before it
// and holds up everything behind it. No timer waits for more. The thread that finds a JobTracker
// free sends; the RPC thread that brings an answer sends what has gathered, then wakes the callers.
// What cannot be delivered is put into the FailStore before its caller is told, or fails.
//
// A submit or operation of a task of which a record waits in the FailStore goes there too, behind
// it. An operation is stored with the id of the submit it stands behind, so that it hits that job
// alone, however often and however late it is sent.
//
// Borrows everything it is given: `trackers` and `routes`; `store`, null for none; `disk`, a strand
// that may block; `callbacks`, on which `Entry::done` runs. Thread-safe. To end: Close, then stop
// the strands, then destroy the trackers, then this.
class Submitter {
 public:
  // `on_stored` runs on `disk` after records were stored; `on_delivered` on any thread after a
  // JobTracker has answered. Neither may block.
  struct Listeners {
    std::function<void()> on_stored;
    std::function<void()> on_delivered;
  };

  Submitter(SubmitterOptions options, const Clock& clock, Trackers& trackers, Routes& routes,
            FailStore* store, Strand& disk, Strand& callbacks, Listeners listeners);
  Submitter(const Submitter&) = delete;
  Submitter& operator=(const Submitter&) = delete;

  // Takes the entry, or refuses it at once: kResourceExhausted over the in-flight limit,
  // kFailedPrecondition when closed. A refused entry is not told anything.
  Status Add(Entry entry);
  // The same for many with one lock; the statuses are those of Add, in order.
  std::vector<Status> AddAll(std::vector<Entry> entries);

  // Takes nothing new; returns when everything has been answered. What was not answered within
  // `patience_ms` is stored or fails. Not from a strand or an RPC thread.
  void Close(std::int64_t patience_ms);

  // Entries taken and not told their answer.
  std::int64_t in_flight() const;

 private:
  struct Batch;
  using BatchPtr = std::shared_ptr<Batch>;
  // An entry that is not to be sent, and why.
  struct Held {
    Entry entry;
    Status why;
    bool may_pass = false;  // it may be taken later, so the FailStore is the place for it
    bool behind = false;    // a record of the same task waits in the FailStore
  };
  using Told = std::vector<std::pair<Entry, Answer>>;

  // Those of groups, by hash, and one for operations by job id. As many as a cluster has
  // partitions, so that a lane leads to one owner mostly.
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kByIdLane = kLanes;
  struct Lane {
    std::deque<Entry> queue;
    bool busy = false;  // something of it is in a batch under way
  };
  using Lanes = std::bitset<kLanes + 1>;

  static std::size_t LaneOf(const Entry& entry);
  Status TakeLocked(Entry& entry);
  std::vector<BatchPtr> NextBatchesLocked();
  BatchPtr NextBatchLocked();
  // The lane whose first entry is the oldest that may go, alone or with `batch`; kLanes + 1: none.
  std::size_t PickLocked(const Routes::View& view, const Batch* batch) const;
  void RunAll(const std::vector<BatchPtr>& batches);
  void HoldOrSendLocked(Batch& batch, Entry entry, std::unordered_set<std::string>* held_keys,
                        std::int64_t now_us);
  void Run(const BatchPtr& batch);
  void Send(const BatchPtr& batch);
  bool Claim(const BatchPtr& batch);
  Status EndOfTry(const Batch& batch, const Status& status) const;
  void OnSubmitted(const BatchPtr& batch, const Status& status, v1::SubmitResponse& response);
  void OnOperated(const BatchPtr& batch, const Status& status, const v1::OperateResponse& response);
  // The request of `batch` ended: `told` have their answers, `failed` could not be delivered.
  void Settle(const BatchPtr& batch, Told told, std::vector<Held> failed);
  Status NobodyKnown() const;
  std::vector<Held> FailAll(std::vector<Entry> entries, const Status& why) const;
  // Whether it goes into the FailStore when it is not sent again.
  bool MayBeStored(const Held& held) const;
  // Takes those that may be sent again out of `failed`; both stay in order.
  std::vector<Held> TakeRepeats(std::vector<Held>* failed) const;
  enum class Step : std::uint8_t { kEnd, kSend, kPause };
  Step NextStep(Batch& batch, std::int64_t deadline_us);
  static void TakeBack(Batch& batch, std::vector<Held> again);
  void Proceed(const BatchPtr& batch, Step step, Told told);
  // What `batch` carries is sent again after a pause. Until then it is in nobody's way.
  void Pause(const BatchPtr& batch, Told told);
  // Puts what can be stored into the FailStore; the rest fails. On `disk` when there is a store.
  Told Store(std::vector<Held> held);
  bool MayBeBehind(const Entry& entry, const std::unordered_set<std::string>& held_keys) const;
  // Makes the operation one of the stored submit that it stands behind. On `disk`. False when there
  // is none any more; what the store says when it cannot be read.
  Result<bool> AimAtStored(v1::OperateRequest& operation);
  void Finish(const BatchPtr& batch, Told told);
  // Lets go of all lanes of `batch` that are not in `kept`.
  void FreeLanesLocked(Batch& batch, const Lanes& kept);
  void GoOn(std::vector<BatchPtr> next, Told told);
  void Deliver(Told told);
  void Forget(std::int64_t count, std::int64_t bytes);

  const SubmitterOptions options_;
  const Clock& clock_;
  Trackers& trackers_;
  Routes& routes_;
  FailStore* const store_;
  Strand& disk_;
  Strand& callbacks_;
  const Listeners listeners_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::array<Lane, kLanes + 1> lanes_;
  std::size_t queued_ = 0;  // in all lanes
  std::uint64_t handed_over_ = 0;
  std::vector<BatchPtr> under_way_;  // being stored, sent or settled
  std::int64_t count_ = 0;
  std::int64_t bytes_ = 0;
  bool closing_ = false;
  bool give_up_ = false;  // nothing more is sent
};

}  // namespace lts::jobclient

#include "jobclient/submitter.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "common/log.h"
#include "common/may_pass.h"
#include "jobclient/convert.h"
#include "jobclient/fail_records.h"
#include "model/partition.h"
#include "rpc/codec.h"

namespace lts::jobclient {
namespace {

// Of an entry that has its item.
std::string KeyOf(const Entry& entry) {
  if (entry.operation) {
    // Of one by job id that is nobody's key: the task is not known here.
    return FailKey(entry.operation->group(), entry.operation->task_id());
  }
  const v1::Job& job = entry.item->job();
  return FailKey(job.task_tracker_node_group(), job.task_id());
}

// Whose order it keeps; empty: of an operation by job id, which may be about any group.
std::string_view GroupOf(const Entry& entry) {
  return entry.operation ? entry.operation->group() : entry.item->job().task_tracker_node_group();
}

// Between two rounds of asking everybody, and how long that goes on when there is a FailStore.
constexpr std::int64_t kAgainMinUs = 50'000;
constexpr std::int64_t kAgainMaxUs = 500'000;
constexpr std::int64_t kHandOverUs = 1'000'000;

SubmitOutcome OutcomeOf(v1::SubmitOutcome outcome) {
  switch (outcome) {
    case v1::REPLACED_WAITING: return SubmitOutcome::kReplaced;
    case v1::DUPLICATE: return SubmitOutcome::kDuplicate;
    default:
      return SubmitOutcome::kAccepted;  // proto enums are open: what a newer JobTracker says is ok
  }
}

}  // namespace

void Latch::Set(std::size_t index, Answer answer, std::size_t bytes) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    answers_[index] = std::move(answer);
    --missing_;
    bytes_ -= bytes;
    wake = waiting_ && missing_ <= awaited_missing_ && bytes_ <= awaited_bytes_;
    if (wake) waiting_ = false;
  }
  // Outside the lock, so that the woken thread does not run into it. The latch is shared, so it is
  // alive.
  if (wake) changed_.notify_one();
}

void Latch::AddBytes(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ += bytes;
}

void Latch::Await(std::size_t missing, std::size_t bytes) {
  std::unique_lock lock(mutex_);
  while (missing_ > missing || bytes_ > bytes) {
    awaited_missing_ = missing;
    awaited_bytes_ = bytes;
    waiting_ = true;
    changed_.wait(lock);
  }
  waiting_ = false;
}

void Latch::AwaitAll() { Await(0, std::numeric_limits<std::size_t>::max()); }

// One request and what it carries. While `sending` it belongs to the call under way, and whoever
// claims it under the lock (the answer, or Close) settles it.
struct Submitter::Batch {
  std::vector<Entry> entries;
  std::vector<Held> held;  // stored, or failed, before the rest is sent
  // Owns the items of the entries, in their order, while it is sent, and does not change meanwhile.
  v1::SubmitRequest request;
  TrackerPtr target;
  std::size_t tries = 0;
  bool cut_short = false;  // the present try ends before the deadline of the entries
  // Under the Submitter's lock.
  const Tracker* first_target = nullptr;
  bool in_turn = true;  // it takes the turn of its first target
  Lanes lanes;          // that it holds
  bool sending = false;
  // A JobTracker has answered, although it could not take everything: the cluster is there, and a
  // partition is on its way from one owner to the next.
  bool answered = false;
  std::int64_t again_until_us = 0;  // 0: not begun
  std::int64_t pause_us = 0;        // before the last round
};

Submitter::Submitter(SubmitterOptions options, const Clock& clock, Trackers& trackers,
                     Routes& routes, FailStore* store, Strand& disk, Strand& callbacks,
                     Listeners listeners)
    : options_(std::move(options)),
      clock_(clock),
      trackers_(trackers),
      routes_(routes),
      store_(store),
      disk_(disk),
      callbacks_(callbacks),
      listeners_(std::move(listeners)) {}

std::size_t Submitter::LaneOf(const Entry& entry) {
  const std::string_view group = GroupOf(entry);
  return group.empty() ? kByIdLane : model::PartitionOf(group, {}, 1, kLanes);
}

Status Submitter::TakeLocked(Entry& entry) {
  if (closing_) return Status::FailedPrecondition("the client is closed");
  const auto bytes = static_cast<std::int64_t>(entry.bytes);
  if (count_ + 1 > options_.count_max) {
    return Status::ResourceExhausted(fmt::format(
        "{} jobs are in flight, the limit (job.submit.max.count) is {}; submit again later", count_,
        options_.count_max));
  }
  if (bytes_ + bytes > options_.bytes_max) {
    return Status::ResourceExhausted(fmt::format(
        "{} bytes of jobs are in flight, {} more are over the limit (job.submit.max.bytes) of {}; "
        "submit again later",
        bytes_, bytes, options_.bytes_max));
  }
  ++count_;
  bytes_ += bytes;
  entry.number = ++handed_over_;
  if (entry.operation) entry.operation->set_number(entry.number);
  lanes_[LaneOf(entry)].queue.push_back(std::move(entry));
  ++queued_;
  return Status::Ok();
}

Status Submitter::Add(Entry entry) {
  std::vector<BatchPtr> batches;
  {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(TakeLocked(entry));
    batches = NextBatchesLocked();
  }
  routes_.RefreshIfDue();
  RunAll(batches);
  return Status::Ok();
}

std::vector<Status> Submitter::AddAll(std::vector<Entry> entries) {
  std::vector<Status> statuses;
  statuses.reserve(entries.size());
  std::vector<BatchPtr> batches;
  {
    const std::lock_guard lock(mutex_);
    for (Entry& entry : entries) statuses.push_back(TakeLocked(entry));
    batches = NextBatchesLocked();
  }
  routes_.RefreshIfDue();
  RunAll(batches);
  return statuses;
}

void Submitter::RunAll(const std::vector<BatchPtr>& batches) {
  for (const BatchPtr& batch : batches) Run(batch);
}

std::int64_t Submitter::in_flight() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::vector<Submitter::BatchPtr> Submitter::NextBatchesLocked() {
  std::vector<BatchPtr> batches;
  while (BatchPtr batch = NextBatchLocked()) batches.push_back(std::move(batch));
  return batches;
}

// Makes a batch that goes now; null when nothing waits or may go.
Submitter::BatchPtr Submitter::NextBatchLocked() {
  if (queued_ == 0) return nullptr;
  const auto in_turn = [](const BatchPtr& other) { return other->in_turn; };
  if (!routes_.Many() && std::any_of(under_way_.begin(), under_way_.end(), in_turn)) return nullptr;
  const std::shared_ptr<const Routes::View> view = routes_.Look();
  std::size_t index = PickLocked(*view, nullptr);
  if (index > kByIdLane) return nullptr;
  auto batch = std::make_shared<Batch>();
  batch->target = view->TargetOf(GroupOf(lanes_[index].queue.front()));
  batch->first_target = batch->target.get();
  const std::int64_t now_us = clock_.MonotonicUs();
  std::unordered_set<std::string> held_keys;
  std::size_t bytes = 0;
  while (index <= kByIdLane && batch->entries.size() < options_.batch_count_max) {
    Lane& lane = lanes_[index];
    Entry& front = lane.queue.front();
    // An operation travels alone, at its place in the order.
    if (front.operation && !(batch->entries.empty() && batch->held.empty())) break;
    if (!batch->entries.empty() && bytes + front.bytes > options_.batch_bytes_max) break;
    bytes += front.bytes;
    const bool alone = front.operation != nullptr;
    HoldOrSendLocked(*batch, std::move(front), &held_keys, now_us);
    lane.queue.pop_front();
    --queued_;
    lane.busy = true;
    batch->lanes.set(index);
    if (alone || batch->held.size() >= options_.batch_count_max) break;
    index = PickLocked(*view, batch.get());
  }
  under_way_.push_back(batch);
  return batch;
}

std::size_t Submitter::PickLocked(const Routes::View& view, const Batch* batch) const {
  constexpr std::size_t kNone = kByIdLane + 1;
  const Lane& by_id = lanes_[kByIdLane];
  if (by_id.busy) return kNone;
  std::size_t picked = kNone;
  std::uint64_t oldest =
      by_id.queue.empty() ? std::numeric_limits<std::uint64_t>::max() : by_id.queue.front().number;
  bool first = !by_id.queue.empty();  // the operation by job id is the oldest of all
  for (std::size_t index = 0; index < kByIdLane; ++index) {
    const Lane& lane = lanes_[index];
    if (lane.queue.empty() || lane.queue.front().number > oldest) continue;
    first = false;
    if (lane.busy && (batch == nullptr || !batch->lanes.test(index))) continue;
    const Tracker* const target = view.TargetOf(GroupOf(lane.queue.front())).get();
    const bool turn =
        batch != nullptr
            ? batch->first_target == target
            : std::none_of(under_way_.begin(), under_way_.end(), [target](const BatchPtr& other) {
                return other->in_turn && other->first_target == target;
              });
    if (!turn) continue;
    picked = index;
    oldest = lane.queue.front().number;
  }
  if (picked == kNone && first && batch == nullptr && under_way_.empty()) return kByIdLane;
  return picked;
}

void Submitter::HoldOrSendLocked(Batch& batch, Entry entry,
                                 std::unordered_set<std::string>* held_keys, std::int64_t now_us) {
  if (give_up_) {
    batch.held.push_back(
        {std::move(entry), Status::Unavailable("not sent before the client was closed"), true});
    return;
  }
  if (store_ != nullptr && MayBeBehind(entry, *held_keys)) {
    held_keys->insert(KeyOf(entry));
    batch.held.push_back({std::move(entry), Status::Ok(), true, true});
    return;
  }
  if (entry.deadline_us <= now_us) {
    if (store_ != nullptr) held_keys->insert(KeyOf(entry));
    batch.held.push_back({std::move(entry),
                          Status::DeadlineExceeded(
                              "not sent within submit_timeout: the JobTracker is slow to answer"),
                          true});
    return;
  }
  batch.entries.push_back(std::move(entry));
}

// Whether a record of the same task waits in the FailStore, or may: of an operation by job id only
// a search can tell.
bool Submitter::MayBeBehind(const Entry& entry,
                            const std::unordered_set<std::string>& held_keys) const {
  // It is about what has ended, not about what is still to be sent.
  if (entry.operation && entry.operation->operation() == v1::RERUN) return false;
  if (entry.operation && !entry.operation->job_id().empty()) {
    const FailStoreUsage usage = store_->Usage();
    return usage.count > usage.parked;
  }
  const std::string key = KeyOf(entry);
  return held_keys.count(key) != 0 || store_->Contains(FailKind::kSubmit, key);
}

void Submitter::Run(const BatchPtr& batch) {
  if (batch->held.empty()) return Send(batch);
  const auto settle_held = [this, batch] {
    Held& first = batch->held.front();
    if (first.behind && first.entry.operation) {  // it travels alone
      const Result<bool> aimed = AimAtStored(*first.entry.operation);
      if (aimed.ok() && !*aimed) {
        batch->entries.push_back(std::move(first.entry));
        batch->held.clear();
        return Send(batch);
      }
      if (!aimed.ok()) {
        first.behind = false;
        first.why = aimed.status().WithContext("operation not sent");
      }
    }
    Told told = Store(std::move(batch->held));
    if (batch->entries.empty()) return Finish(batch, std::move(told));
    Send(batch);
    Deliver(std::move(told));
  };
  if (store_ == nullptr) return settle_held();
  // Stored first: nothing of the same task may overtake what is held.
  disk_.Post(settle_held);
}

void Submitter::Send(const BatchPtr& batch) {
  if (batch->target == nullptr) {
    // The first list of JobTrackers is on its way, or nobody is there.
    if (trackers_.WhenFound([this, batch] { Send(batch); })) return;
    batch->target = trackers_.current();
  }
  if (batch->target == nullptr) {
    // Not from here: what waits behind it would fail one within the other.
    disk_.Post(
        [this, batch] { Settle(batch, {}, FailAll(std::move(batch->entries), NobodyKnown())); });
    return;
  }
  const std::int64_t left_us = batch->entries.front().deadline_us - clock_.MonotonicUs();
  const std::int64_t left_ms = std::max<std::int64_t>(1, left_us / 1000);
  // Who is asked last gets all the time that is left, unless another round follows.
  const bool others = batch->answered ? trackers_.Many() : batch->tries + 1 < trackers_.size();
  batch->cut_short = others && options_.try_ms < left_ms;
  const std::int64_t deadline_ms = batch->cut_short ? options_.try_ms : left_ms;
  // A copy: once `sending` is set, Close may settle the batch and take its entries away.
  std::optional<v1::OperateRequest> operation;
  if (batch->entries.front().operation) {
    operation = *batch->entries.front().operation;
  } else {
    batch->request.set_identity(options_.identity);
    batch->request.set_node_group(options_.node_group);
    batch->request.mutable_items()->Reserve(static_cast<int>(batch->entries.size()));
    for (Entry& entry : batch->entries) {
      batch->request.mutable_items()->AddAllocated(entry.item.release());
    }
  }
  {
    const std::lock_guard lock(mutex_);
    batch->sending = true;
    // Close waits for this batch and has not seen it being sent.
    if (give_up_) idle_.notify_all();
  }
  trackers_.With(batch->target, [this, &batch, &operation, deadline_ms](rpc::Channel& channel) {
    if (operation) {
      channel.Operate(*operation, deadline_ms,
                      [this, batch](const Status& status, const v1::OperateResponse& response) {
                        OnOperated(batch, status, response);
                      });
      return;
    }
    channel.Submit(batch->request, deadline_ms,
                   [this, batch](const Status& status, v1::SubmitResponse response) {
                     OnSubmitted(batch, status, response);
                   });
  });
}

// Of somebody without a FailStore, that a setting is wrong is the answer; with one, nothing may be
// lost for it.
Status Submitter::NobodyKnown() const {
  const Status why = trackers_.WhyNone();
  return store_ == nullptr ? why : Status::Unavailable(why.message());
}

// What was sent belongs to the first who claims it: its answer, or Close.
bool Submitter::Claim(const BatchPtr& batch) {
  const std::lock_guard lock(mutex_);
  if (!batch->sending) return false;
  batch->sending = false;
  return true;
}

// Without an answer in its time a JobTracker is as good as away. It may have taken everything.
Status Submitter::EndOfTry(const Batch& batch, const Status& status) const {
  if (!batch.cut_short || status.code() != StatusCode::kDeadlineExceeded) return status;
  return Status::Unavailable(fmt::format("no answer within {} ms", options_.try_ms));
}

void Submitter::OnSubmitted(const BatchPtr& batch, const Status& status,
                            v1::SubmitResponse& response) {
  if (!Claim(batch)) return;
  std::vector<Entry>& entries = batch->entries;
  // The call is over: the items go back to their entries.
  std::vector<v1::SubmitItem*> items(entries.size());
  batch->request.mutable_items()->ExtractSubrange(0, static_cast<int>(items.size()), items.data());
  for (std::size_t i = 0; i < items.size(); ++i) entries[i].item.reset(items[i]);

  Status overall = EndOfTry(*batch, status);
  if (overall.ok() && static_cast<std::size_t>(response.answers_size()) != entries.size()) {
    overall = Status::UnknownOutcome(fmt::format("the JobTracker gave {} answers to {} jobs",
                                                 response.answers_size(), entries.size()));
  }
  if (!overall.ok()) return Settle(batch, {}, FailAll(std::move(entries), overall));
  batch->answered = true;
  Told told;
  told.reserve(entries.size());
  std::vector<Held> failed;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    Entry& entry = entries[i];
    v1::SubmitAnswer& from = *response.mutable_answers(static_cast<int>(i));
    if (from.code() == v1::OK) {
      Answer answer;
      answer.job_id =
          from.job_id().empty() ? entry.item->job().job_id() : std::move(*from.mutable_job_id());
      answer.outcome = OutcomeOf(from.outcome());
      told.emplace_back(std::move(entry), std::move(answer));
    } else {
      Status why = rpc::StatusOf(from);
      const bool may_pass = MayPassLater(why.code());
      failed.push_back({std::move(entry), std::move(why), may_pass});
    }
  }
  Settle(batch, std::move(told), std::move(failed));
}

void Submitter::OnOperated(const BatchPtr& batch, const Status& status,
                           const v1::OperateResponse& response) {
  if (!Claim(batch)) return;
  batch->answered = batch->answered || status.ok();
  const Status answered = status.ok() ? rpc::StatusOf(response) : EndOfTry(*batch, status);
  if (!answered.ok()) return Settle(batch, {}, FailAll(std::move(batch->entries), answered));
  Answer answer;
  answer.job_id = response.job_id();
  answer.state = JobStateFrom(response.state());
  Told told;
  told.emplace_back(std::move(batch->entries.front()), std::move(answer));
  Settle(batch, std::move(told), {});
}

// The call as a whole failed. It may have been carried out all the same, unless it was denied.
std::vector<Submitter::Held> Submitter::FailAll(std::vector<Entry> entries,
                                                const Status& why) const {
  const bool may_pass = MayPassLater(why.code());
  const bool none_answers = why.code() == StatusCode::kUnavailable && trackers_.size() > 0;
  const Status told = none_answers ? trackers_.NoneAnswers(why) : why;
  std::vector<Held> failed;
  failed.reserve(entries.size());
  for (Entry& entry : entries) failed.push_back({std::move(entry), told, may_pass});
  return failed;
}

void Submitter::Settle(const BatchPtr& batch, Told told, std::vector<Held> failed) {
  if (!told.empty() && listeners_.on_delivered) listeners_.on_delivered();
  if (failed.empty()) return Finish(batch, std::move(told));
  const bool astray = std::any_of(failed.begin(), failed.end(), [](const Held& held) {
    return held.why.code() == StatusCode::kUnavailable || held.why.code() == StatusCode::kFenced ||
           held.why.code() == StatusCode::kDeadlineExceeded;
  });
  if (astray && batch->target != nullptr) routes_.Suspect(batch->target);
  std::vector<Held> again = TakeRepeats(&failed);
  const Step step = again.empty() ? Step::kEnd : NextStep(*batch, again.front().entry.deadline_us);
  if (step == Step::kEnd) {
    std::move(again.begin(), again.end(), std::back_inserter(failed));
  } else {
    TakeBack(*batch, std::move(again));
  }
  std::vector<Held> kept;
  for (Held& held : failed) {
    if (MayBeStored(held)) {
      kept.push_back(std::move(held));
    } else {
      Answer answer;
      answer.status = std::move(held.why);
      told.emplace_back(std::move(held.entry), std::move(answer));
    }
  }
  if (kept.empty()) return Proceed(batch, step, std::move(told));
  // Stored first: nothing of the same task may overtake what is kept.
  disk_.Post([this, batch, step, told = std::make_shared<Told>(std::move(told)),
              kept = std::make_shared<std::vector<Held>>(std::move(kept))] {
    Told all = Store(std::move(*kept));
    std::move(told->begin(), told->end(), std::back_inserter(all));
    Proceed(batch, step, std::move(all));
  });
}

// Operations are not kept for a JobTracker that is away: days later they could hit a job nobody
// meant.
bool Submitter::MayBeStored(const Held& held) const {
  return store_ != nullptr && held.may_pass && !held.entry.operation;
}

// Those that nobody could take now, each with what stands behind it in its task: sent again
// together they keep their order. What stands behind something that is stored goes there too.
std::vector<Submitter::Held> Submitter::TakeRepeats(std::vector<Held>* failed) const {
  const auto refused = std::find_if(failed->begin(), failed->end(), [](const Held& held) {
    return held.why.code() != StatusCode::kUnavailable;
  });
  if (refused == failed->end()) return std::exchange(*failed, {});
  std::vector<Held> again;
  std::vector<Held> rest;
  std::unordered_set<std::string> again_keys;
  std::unordered_set<std::string> stored_keys;
  for (Held& held : *failed) {
    std::string key = KeyOf(held.entry);
    const bool unavailable = held.why.code() == StatusCode::kUnavailable;
    if (again_keys.count(key) != 0 || (unavailable && stored_keys.count(key) == 0)) {
      again_keys.insert(std::move(key));
      again.push_back(std::move(held));
    } else {
      if (MayBeStored(held)) stored_keys.insert(std::move(key));
      rest.push_back(std::move(held));
    }
  }
  *failed = std::move(rest);
  return again;
}

// What becomes of entries that may be sent again, the first of which has that deadline. Another
// JobTracker is asked, then, after a pause, all of them in a further round when somebody answers,
// so that a new owner can be expected. With a FailStore that goes on for a moment only, as long as
// a hand-over takes.
Submitter::Step Submitter::NextStep(Batch& batch, std::int64_t deadline_us) {
  const std::int64_t now_us = clock_.MonotonicUs();
  if (deadline_us <= now_us) return Step::kEnd;
  {
    const std::lock_guard lock(mutex_);
    if (give_up_) return Step::kEnd;
  }
  if (batch.target != nullptr) {
    TrackerPtr next = trackers_.After(batch.target);
    // One that has gone meanwhile is none of those that are counted.
    const std::vector<TrackerPtr> all = trackers_.All();
    const bool counts = std::find(all.begin(), all.end(), batch.target) != all.end();
    if (next != nullptr && (!counts || ++batch.tries < all.size())) {
      batch.target = std::move(next);
      return Step::kSend;
    }
  }
  if (!batch.answered) return Step::kEnd;
  if (batch.again_until_us == 0) {
    batch.again_until_us =
        store_ == nullptr ? std::numeric_limits<std::int64_t>::max() : now_us + kHandOverUs;
  }
  return now_us < batch.again_until_us ? Step::kPause : Step::kEnd;
}

void Submitter::TakeBack(Batch& batch, std::vector<Held> again) {
  batch.entries.clear();
  batch.request.Clear();
  for (Held& held : again) {
    // Who was asked may have taken it and not been able to say so.
    if (held.entry.item) held.entry.item->set_maybe_sent(true);
    if (held.entry.operation) held.entry.operation->set_maybe_sent(true);
    batch.entries.push_back(std::move(held.entry));
  }
}

void Submitter::Proceed(const BatchPtr& batch, Step step, Told told) {
  switch (step) {
    case Step::kEnd: return Finish(batch, std::move(told));
    case Step::kSend: Send(batch); return Deliver(std::move(told));
    case Step::kPause: return Pause(batch, std::move(told));
  }
}

void Submitter::Pause(const BatchPtr& batch, Told told) {
  batch->tries = 0;
  batch->pause_us = std::clamp(batch->pause_us * 2, kAgainMinUs, kAgainMaxUs);
  Lanes kept;
  for (const Entry& entry : batch->entries) kept.set(LaneOf(entry));
  std::vector<BatchPtr> next;
  {
    const std::lock_guard lock(mutex_);
    batch->in_turn = false;
    FreeLanesLocked(*batch, kept);
    next = NextBatchesLocked();
  }
  disk_.PostAfter(batch->pause_us, [this, batch] {
    bool give_up = false;
    {
      const std::lock_guard lock(mutex_);
      give_up = give_up_;
    }
    if (give_up) {
      return Settle(batch, {},
                    FailAll(std::move(batch->entries),
                            Status::Unavailable("not taken before the client closed")));
    }
    routes_.RefreshIfDue();
    const auto view = routes_.Look();
    batch->target = view->TargetOf(GroupOf(batch->entries.front()));
    Send(batch);
  });
  GoOn(std::move(next), std::move(told));
}

Result<bool> Submitter::AimAtStored(v1::OperateRequest& operation) {
  const Result<std::optional<v1::Job>> job = FindSubmit(*store_, operation);
  if (!job.ok()) return job.status();
  if (!job->has_value()) return false;
  operation.set_job_id((*job)->job_id());
  operation.set_group((*job)->task_tracker_node_group());
  operation.set_task_id((*job)->task_id());
  return true;
}

Submitter::Told Submitter::Store(std::vector<Held> held) {
  Told told;
  told.reserve(held.size());
  std::vector<std::pair<std::string, std::string>> records;
  std::vector<Held> stored;
  for (Held& one : held) {
    const bool keep = store_ != nullptr && (one.entry.item || one.behind);
    if (!keep) {
      Answer answer;
      answer.status = std::move(one.why);
      told.emplace_back(std::move(one.entry), std::move(answer));
      continue;
    }
    records.emplace_back(KeyOf(one.entry), one.entry.operation
                                               ? EncodeRecord(*one.entry.operation)
                                               : EncodeRecord(one.entry.item->job()));
    stored.push_back(std::move(one));
  }
  if (stored.empty()) return told;
  const Status put = store_->PutAll(FailKind::kSubmit, records);
  if (put.ok()) {
    if (listeners_.on_stored) listeners_.on_stored();
  } else {
    LTS_WARN("jobs not stored count={} error=\"{}\"", stored.size(), put.ToString());
  }
  for (Held& one : stored) {
    Answer answer;
    if (put.ok()) {
      answer.job_id =
          one.entry.operation ? one.entry.operation->job_id() : one.entry.item->job().job_id();
      answer.outcome = SubmitOutcome::kStored;
    } else {
      const std::string why =
          one.why.ok() ? "a record of the same task waits in the FailStore" : one.why.ToString();
      answer.status = put.WithContext(fmt::format("neither delivered ({}) nor stored", why));
    }
    told.emplace_back(std::move(one.entry), std::move(answer));
  }
  return told;
}

void Submitter::Finish(const BatchPtr& batch, Told told) {
  batch->target.reset();  // who was answered does not keep a JobTracker that goes
  std::vector<BatchPtr> next;
  {
    const std::lock_guard lock(mutex_);
    under_way_.erase(std::find(under_way_.begin(), under_way_.end(), batch));
    FreeLanesLocked(*batch, {});
    next = NextBatchesLocked();
  }
  GoOn(std::move(next), std::move(told));
}

void Submitter::FreeLanesLocked(Batch& batch, const Lanes& kept) {
  for (std::size_t index = 0; index < lanes_.size(); ++index) {
    if (batch.lanes.test(index) && !kept.test(index)) lanes_[index].busy = false;
  }
  batch.lanes &= kept;
}

// Runs what may go now that something is free, and tells the answers.
void Submitter::GoOn(std::vector<BatchPtr> next, Told told) {
  // What is sent goes out before the callers are woken: the JobTracker works while they do.
  const auto unsent = std::stable_partition(
      next.begin(), next.end(), [](const BatchPtr& one) { return !one->entries.empty(); });
  for (auto one = next.begin(); one != unsent; ++one) Run(*one);
  Deliver(std::move(told));
  for (auto one = unsent; one != next.end(); ++one) Run(*one);
}

void Submitter::Deliver(Told told) {
  std::int64_t count = 0;
  std::int64_t bytes = 0;
  for (const auto& [entry, answer] : told) {
    if (!entry.latch) continue;
    ++count;
    bytes += static_cast<std::int64_t>(entry.bytes);
  }
  Forget(count, bytes);
  auto calls = std::make_shared<Told>();
  for (auto& [entry, answer] : told) {
    if (entry.latch) {
      entry.latch->Set(entry.index, std::move(answer), entry.bytes);
    } else {
      calls->emplace_back(std::move(entry), std::move(answer));
    }
  }
  if (calls->empty()) return;
  // They count as in flight until they have run, which bounds the strand's queue.
  callbacks_.Post([this, calls] {
    for (auto& [entry, answer] : *calls) {
      entry.done(std::move(answer));
      Forget(1, static_cast<std::int64_t>(entry.bytes));
    }
  });
}

void Submitter::Forget(std::int64_t count, std::int64_t bytes) {
  if (count == 0) return;
  const std::lock_guard lock(mutex_);
  count_ -= count;
  bytes_ -= bytes;
  if (closing_ && count_ == 0) idle_.notify_all();
}

void Submitter::Close(std::int64_t patience_ms) {
  std::unique_lock lock(mutex_);
  closing_ = true;
  if (idle_.wait_for(lock, std::chrono::milliseconds(patience_ms),
                     [this] { return count_ == 0; })) {
    return;
  }
  give_up_ = true;
  lock.unlock();
  trackers_.StopLooking();
  lock.lock();
  while (count_ > 0) {
    const auto sent = std::find_if(under_way_.begin(), under_way_.end(),
                                   [](const BatchPtr& one) { return one->sending; });
    if (sent == under_way_.end()) {
      idle_.wait(lock);
      continue;
    }
    const BatchPtr batch = *sent;
    batch->sending = false;
    lock.unlock();
    // The call is still under way and reads its request, so the items are copied.
    for (std::size_t i = 0; i < batch->entries.size(); ++i) {
      if (batch->entries[i].operation) continue;
      batch->entries[i].item =
          std::make_unique<v1::SubmitItem>(batch->request.items(static_cast<int>(i)));
    }
    Settle(batch, {},
           FailAll(std::move(batch->entries),
                   Status::DeadlineExceeded("no answer before the client was closed")));
    lock.lock();
  }
}

}  // namespace lts::jobclient

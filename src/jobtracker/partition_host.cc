#include "jobtracker/partition_host.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <variant>

#include "common/log.h"
#include "store/paging.h"

namespace lts {

namespace {

// A tick is armed at most this far ahead, so that a step of the wall clock is noticed.
constexpr std::int64_t kTickMaxUs = 1'000'000;

// After a commit that was refused for good, so many commits are made of one event each.
constexpr int kCarefulCommits = 1'000;

// Rows that are left alone since the store refuses a change of them.
constexpr std::size_t kRefusedMax = 100'000;

std::size_t BytesOf(const core::SubmitEvent& submit) {
  std::size_t bytes = 0;
  for (const core::SubmitItem& item : submit.items) bytes += item.spec->PayloadBytes();
  return bytes;
}

std::size_t BytesOf(const core::OperateEvent& operate) {
  std::size_t bytes = operate.update != nullptr ? operate.update->values.PayloadBytes() : 0;
  for (const auto& [key, value] : operate.params) bytes += key.size() + value.size();
  return bytes;
}

// The row that a mutation is about, schedules with cycle 0; nothing where no row of a job is.
std::optional<model::JobKey> KeyOf(const store::Mutation& mutation) {
  using Key = std::optional<model::JobKey>;
  struct Visitor {
    Key operator()(const store::InsertJob& m) const { return m.row.key; }
    Key operator()(const store::UpdateJob& m) const { return m.row.key; }
    Key operator()(const store::DeleteJob& m) const { return m.row.key; }
    Key operator()(const store::InsertHistory& m) const { return m.row.key; }
    Key operator()(const store::PutSchedule& m) const { return model::JobKey{m.row.id, 0}; }
    Key operator()(const store::DeleteSchedule& m) const { return model::JobKey{m.id, 0}; }
    Key operator()(const store::InsertFeedback& m) const { return m.row.key; }
    Key operator()(const store::DeleteFeedback&) const { return std::nullopt; }
    Key operator()(const store::InsertLog&) const { return std::nullopt; }
    Key operator()(const store::PutWorker&) const { return std::nullopt; }
    Key operator()(const store::DeleteWorker&) const { return std::nullopt; }
  };
  return std::visit(Visitor(), mutation);
}

std::size_t BytesOf(const store::Mutation& mutation) {
  if (const auto* insert = std::get_if<store::InsertJob>(&mutation)) {
    return store::BytesOf(insert->row);
  }
  if (const auto* update = std::get_if<store::UpdateJob>(&mutation)) {
    return store::BytesOf(update->row);
  }
  if (const auto* end = std::get_if<store::InsertHistory>(&mutation)) {
    return store::BytesOf(end->row);
  }
  if (const auto* schedule = std::get_if<store::PutSchedule>(&mutation)) {
    return store::BytesOf(schedule->row);
  }
  return 0;
}

constexpr std::size_t kRefillPage = 256;

// Drops the rows behind those that take `bytes_max`, but not the first; whether there were any.
bool CutToBytes(std::size_t bytes_max, std::vector<store::JobRow>* rows) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    bytes += store::BytesOf((*rows)[i]);
    if (i == 0 || bytes <= bytes_max) continue;
    rows->resize(i);
    return true;
  }
  return false;
}

// The ready part of a window, page by page, so that no more is read than it may take.
Status ReadReady(store::JobStore& store, std::uint32_t partition,
                 const core::RefillRequest& request, core::RefillAnswer* answer) {
  std::optional<store::ReadyPosition> after = request.after;
  std::size_t bytes = 0;
  answer->ready_more = true;
  while (answer->ready.size() < request.ready_limit && bytes <= request.bytes_max) {
    const std::size_t wanted = std::min(kRefillPage, request.ready_limit - answer->ready.size());
    auto page = store.LoadWaiting(partition, request.group, after, request.now_ms, wanted);
    if (!page.ok()) return page.status();
    answer->ready_more = page->size() == wanted;
    for (store::JobRow& row : *page) {
      bytes += store::BytesOf(row);
      after = store::ReadyPosition{row.priority, row.due_ms, row.seq};
      answer->ready.push_back(std::move(row));
    }
    if (!answer->ready_more) break;
  }
  answer->ready_more = CutToBytes(request.bytes_max, &answer->ready) || answer->ready_more;
  return Status::Ok();
}

// The dated part: a first page tells how much the rows take.
Status ReadDated(store::JobStore& store, std::uint32_t partition,
                 const core::RefillRequest& request, core::RefillAnswer* answer) {
  std::size_t limit = std::min(kRefillPage, request.dated_limit);
  auto rows = store.LoadDated(partition, request.group, request.now_ms, limit);
  if (!rows.ok()) return rows.status();
  if (rows->size() == limit && limit < request.dated_limit) {
    std::size_t bytes = 1;
    for (const store::JobRow& row : *rows) bytes += store::BytesOf(row);
    const std::size_t fit = request.bytes_max / std::max<std::size_t>(bytes / limit, 1);
    if (fit > limit) {
      limit = std::min(fit, request.dated_limit);
      rows = store.LoadDated(partition, request.group, request.now_ms, limit);
      if (!rows.ok()) return rows.status();
    }
  }
  answer->dated = *std::move(rows);
  answer->dated_more = answer->dated.size() == limit;
  answer->dated_more = CutToBytes(request.bytes_max, &answer->dated) || answer->dated_more;
  return Status::Ok();
}

// It tells that a TaskTracker lives, and how far its jobs are: nothing is to be stored of it.
bool StoresNothing(const core::Event& event) {
  const auto* worker = std::get_if<core::WorkerEvent>(&event);
  return worker != nullptr && worker->results.empty() && !worker->capacity && !worker->goodbye;
}

// The same in parts that can be refused one by one, each behind what was due by then.
std::vector<core::Event> Parts(core::Event event) {
  std::vector<core::Event> parts;
  if (std::holds_alternative<core::TickEvent>(event)) {
    parts.push_back(std::move(event));
    return parts;
  }
  parts.emplace_back(core::TickEvent{});
  if (auto* submit = std::get_if<core::SubmitEvent>(&event)) {
    for (std::size_t i = 0; i < submit->items.size(); ++i) {
      core::SubmitEvent one;
      one.request = submit->request;
      one.first_index = submit->first_index + static_cast<std::uint32_t>(i);
      one.items.push_back(std::move(submit->items[i]));
      parts.emplace_back(std::move(one));
    }
    return parts;
  }
  std::vector<core::AttemptResult> results;
  core::StreamId stream = 0;
  if (auto* hello = std::get_if<core::HelloEvent>(&event)) {
    // Told after it, as if they had just ended.
    stream = hello->stream;
    results = std::exchange(hello->results, {});
    for (const core::AttemptResult& result : results) hello->results_follow.push_back(result.ref);
  } else if (auto* worker = std::get_if<core::WorkerEvent>(&event); worker && !worker->goodbye) {
    stream = worker->stream;
    results = std::exchange(worker->results, {});
  }
  parts.push_back(std::move(event));
  for (core::AttemptResult& result : results) {
    core::WorkerEvent one;
    one.stream = stream;
    one.results.push_back(std::move(result));
    parts.emplace_back(std::move(one));
  }
  return parts;
}

}  // namespace

PartitionHost::PartitionHost(PartitionHostOptions options, store::JobStore& store, Strand& strand,
                             Strand& io, Strand& reads, const Clock& clock, Outbox& outbox)
    : options_(std::move(options)),
      store_(store),
      strand_(strand),
      io_(io),
      reads_(reads),
      clock_(clock),
      outbox_(outbox) {}

PartitionHost::~PartitionHost() = default;

std::function<void()> PartitionHost::Guarded(std::function<void()> task) const {
  return [life = std::weak_ptr<int>(life_), task = std::move(task)] {
    if (life.lock()) task();
  };
}

core::Now PartitionHost::now() const { return {clock_.WallMs(), clock_.MonotonicUs() / 1000}; }

void PartitionHost::SetState(State state) {
  state_ = state;
  serves_.store(state == State::kServing, std::memory_order_relaxed);
  switch (state) {
    case State::kLoading:
    case State::kServing:
    case State::kStopping: break;
    case State::kIdle:
    case State::kAcquiring:
    case State::kReleasing:
    case State::kStopped: held_epoch_.store(0, std::memory_order_release); break;
  }
}

bool PartitionHost::LeaseHolds() const {
  return options_.lease_ms == 0 || options_.unleased_dispatch ||
         clock_.MonotonicUs() - renewed_us_ < options_.lease_ms * 1000;
}

// Tasks of this life do nothing any more; nobody was told what the core held back.
void PartitionHost::DropCore() {
  life_ = std::make_shared<int>(0);
  core_.reset();
  gathering_ = {};
  gathering_bytes_ = 0;
  committing_ = {};
  waiting_.clear();
  commit_under_way_ = false;
  armed_us_ = UINT64_MAX;
  pending_.clear();
  counters_.pending_jobs = counters_.pending_bytes = 0;
  watches_.clear();
}

// The store is the truth for the next core.
void PartitionHost::Reload(const Status& why) {
  LTS_WARN("partition is loaded anew partition={} epoch={} reason=\"{}\"", options_.core.partition,
           lease_.epoch, why.ToString());
  ++counters_.reloads;
  DropCore();
  outbox_.Reset(options_.core.partition, why);
  if (state_ == State::kStopping) {
    FinishStop();
    return;
  }
  retry_us_ = 0;
  store_trouble_ = {};
  lapsed_ = false;
  // Whoever was replaced has to be asked for it again; otherwise it stays this process's, assigned
  // or not: nobody else can have it.
  reacquires_ = why.code() != StatusCode::kFenced;
  if (!MayAcquire()) {
    SetState(State::kIdle);
    return;
  }
  // At once the first time; a cause that comes back with each load is given ever more time.
  const std::int64_t delay_us = reload_delay_us_;
  reload_delay_us_ =
      std::clamp(reload_delay_us_ * 2, options_.retry_initial_us, options_.retry_max_us);
  AcquireAfter(delay_us);
}

void PartitionHost::Query(std::function<void(const core::Partition*, core::Now)> query) {
  strand_.Post([this, life = std::weak_ptr<int>(alive_), query = std::move(query)] {
    const auto alive = life.lock();
    query(alive && state_ == State::kServing ? core_.get() : nullptr, alive ? now() : core::Now{});
  });
}

void PartitionHost::Handle(core::Event event) {
  if (state_ != State::kServing) {
    Refuse(std::move(event), StatusCode::kUnavailable,
           "the partition is not served here at the moment");
    return;
  }
  if (!Admit(event)) return;
  if (careful_ > 0 && !StoresNothing(event)) {
    for (core::Event& part : Parts(std::move(event))) Enqueue(std::move(part));
  } else {
    Enqueue(std::move(event));
  }
  ArmTimer();
}

bool PartitionHost::Admit(core::Event& event) {
  const bool trouble = !store_trouble_.ok();
  auto* submit = std::get_if<core::SubmitEvent>(&event);
  if (trouble && (submit != nullptr || std::holds_alternative<core::OperateEvent>(event))) {
    Refuse(std::move(event),
           store_trouble_.code() == StatusCode::kResourceExhausted ? StatusCode::kResourceExhausted
                                                                   : StatusCode::kUnavailable,
           "the store takes nothing at the moment: " + store_trouble_.message());
    return false;
  }
  const auto* operate = std::get_if<core::OperateEvent>(&event);
  if (submit == nullptr && operate == nullptr) return true;
  const std::size_t items = submit != nullptr ? submit->items.size() : 1;
  const std::size_t bytes = submit != nullptr ? BytesOf(*submit) : BytesOf(*operate);
  if (counters_.pending_jobs + items > options_.pending_jobs_max) {
    ++counters_.refused;
    Refuse(std::move(event), StatusCode::kResourceExhausted,
           fmt::format("{} jobs wait to be stored (limit partition.pending.max={}); retry later",
                       counters_.pending_jobs, options_.pending_jobs_max));
    return false;
  }
  // One request alone is bounded by the size of a message.
  if (counters_.pending_bytes > 0 && counters_.pending_bytes + bytes > options_.pending_bytes_max) {
    ++counters_.refused_bytes;
    Refuse(std::move(event), StatusCode::kResourceExhausted,
           fmt::format("jobs of {} bytes wait to be stored (limit partition.pending.bytes.max={}); "
                       "retry later",
                       counters_.pending_bytes, options_.pending_bytes_max));
    return false;
  }
  if (items > 0) pending_[submit != nullptr ? submit->request : operate->request] = {items, bytes};
  counters_.pending_jobs += items;
  counters_.pending_bytes += bytes;
  return true;
}

bool PartitionHost::MustWait(const core::Event& event) const {
  if (StoresNothing(event)) return false;  // it is answered however long the others take
  if (careful_ > 0) return commit_under_way_;
  return commit_under_way_ && store_trouble_.ok() &&
         (gathering_.batch.mutations.size() >= options_.commit_mutations_max ||
          gathering_bytes_ >= options_.commit_bytes_max);
}

void PartitionHost::Enqueue(core::Event event) {
  if (state_ != State::kServing) return;  // the part before it made the partition load anew
  if (!StoresNothing(event) && (!waiting_.empty() || MustWait(event))) {
    waiting_.push_back(std::move(event));
  } else {
    Take(std::move(event));
  }
}

void PartitionHost::TakeWaiting() {
  while (state_ == State::kServing && !waiting_.empty() && !MustWait(waiting_.front())) {
    core::Event event = std::move(waiting_.front());
    waiting_.pop_front();
    Take(std::move(event));
  }
}

void PartitionHost::Take(core::Event event) {
  core_->SetOneByOne(careful_ > 0);
  // A heartbeat that passes others leads to nothing that would be committed with them.
  const bool frozen = Frozen();
  if (!LeaseHolds() && !std::exchange(lapsed_, true)) {
    LTS_WARN(
        "the lease has ended, nothing is given out until the store confirms it partition={} "
        "epoch={}",
        options_.core.partition, lease_.epoch);
    strand_.Post(Guarded([this] { GiveUpLapsed(); }));
  }
  core_->SetFrozen(frozen || (careful_ > 0 && commit_under_way_));
  const std::size_t before = gathering_.batch.mutations.size();
  core_->Handle(std::move(event), now(), &gathering_);
  for (std::size_t i = before; i < gathering_.batch.mutations.size(); ++i) {
    gathering_bytes_ += BytesOf(gathering_.batch.mutations[i]);
  }
  if (!gathering_.fault.empty()) {
    LTS_ERROR("defect of the scheduling core partition={} what=\"{}\"", options_.core.partition,
              gathering_.fault);
    const Status why = Status::Internal("defect of the scheduling core: " + gathering_.fault);
    if (careful_ > 0) {
      committing_ = std::exchange(gathering_, {});
      RefuseOffender(why);
    }
    careful_ = kCarefulCommits;
    Reload(why);
    return;
  }
  for (const core::HeartbeatAnswer& answer : std::exchange(gathering_.heartbeats, {})) {
    core::WorkerSend message;
    message.stream = answer.stream;
    message.heartbeat = answer.number;
    message.frozen = frozen;
    outbox_.ToWorker(std::move(message));
  }
  Flush();
}

void PartitionHost::Refuse(core::Event event, StatusCode code, const std::string& message) {
  if (const auto* submit = std::get_if<core::SubmitEvent>(&event)) {
    std::vector<core::SubmitReply> replies;
    for (std::uint32_t i = 0; i < submit->items.size(); ++i) {
      replies.push_back(
          {submit->request, i, code, core::SubmitOutcome::kAccepted, submit->items[i].id, message});
    }
    outbox_.Submitted(std::move(replies));
  } else if (const auto* operate = std::get_if<core::OperateEvent>(&event)) {
    outbox_.Operated({{operate->request, code, model::JobState::kWaiting, operate->id, message}});
  } else if (const auto* hello = std::get_if<core::HelloEvent>(&event)) {
    core::WorkerSend refusal;
    refusal.stream = hello->stream;
    refusal.hello = core::HelloReply{code, message, 0};
    refusal.close = true;
    outbox_.ToWorker(std::move(refusal));
  } else if (const auto* feedback = std::get_if<core::FeedbackHelloEvent>(&event)) {
    outbox_.ToFeedback({feedback->stream, {}, true});
  }
  // Everything else belongs to a stream: it says it again in its next hello.
}

// `committing_` holds what one event led to, and the store refuses it for good.
void PartitionHost::RefuseOffender(const Status& why) {
  ++counters_.offenders;
  // What is no fault of the request may pass: damage, or a defect here.
  const bool its_fault = why.code() != StatusCode::kDataLoss && why.code() != StatusCode::kInternal;
  const StatusCode code = its_fault ? StatusCode::kInvalidArgument : why.code();
  const std::string message = "the store refuses it: " + why.message();
  const bool asked_for =
      !committing_.submit_replies.empty() || !committing_.operate_replies.empty();
  for (core::SubmitReply& reply : committing_.submit_replies) {
    if (reply.code != StatusCode::kOk) continue;
    reply.code = code;
    reply.message = message;
    LTS_ERROR("job refused by the store partition={} job={} error=\"{}\"", options_.core.partition,
              reply.id.ToString(), why.ToString());
  }
  for (core::OperateReply& reply : committing_.operate_replies) {
    reply.code = code;
    reply.message = message;
  }
  outbox_.Submitted(std::exchange(committing_.submit_replies, {}));
  outbox_.Operated(std::exchange(committing_.operate_replies, {}));
  if (asked_for) return;
  // A result, or something that came due: it would come again for ever. The rows stay in the store
  // as they are; results of them are stale from now on.
  for (const store::Mutation& mutation : committing_.batch.mutations) {
    const auto key = KeyOf(mutation);
    if (!key || refused_.size() >= kRefusedMax || !refused_.insert(*key).second) continue;
    LTS_ERROR(
        "the store refuses a change of this job, it is left alone until the restart partition={} "
        "job={} cycle={} error=\"{}\"",
        options_.core.partition, key->id.ToString(), key->cycle, why.ToString());
  }
}

void PartitionHost::Flush() {
  if (commit_under_way_) return;
  while (gathering_.batch.empty()) {
    if (gathering_.OnlyMutations()) return;
    core::Effects effects = std::exchange(gathering_, {});
    Release(std::move(effects));
    if (commit_under_way_) return;
  }
  committing_ = std::exchange(gathering_, {});
  gathering_bytes_ = 0;
  if (options_.ack_before_commit) {
    outbox_.Submitted(std::exchange(committing_.submit_replies, {}));
  }
  Commit();
}

void PartitionHost::Commit() {
  commit_under_way_ = true;
  commit_sent_us_ = clock_.MonotonicUs();
  // The batch stays here until the outcome is known; `committing_` is not touched meanwhile. Should
  // the host be dropped first, the task finds its copy of the pointer expired; the batch is shared
  // for that.
  auto batch = std::make_shared<store::MutationBatch>(std::move(committing_.batch));
  io_.Post([this, life = std::weak_ptr<int>(life_), batch, &store = store_, &strand = strand_,
            partition = options_.core.partition, epoch = lease_.epoch,
            number = lease_.commit_no + 1] {
    Status status = store.Commit(partition, epoch, number, *batch);
    strand.Post([this, life, batch, status = std::move(status)] {
      if (!life.lock()) return;
      committing_.batch = std::move(*batch);
      OnCommitted(status);
    });
  });
}

void PartitionHost::OnCommitted(const Status& outcome) {
  Status status = outcome;
  if (status.ok()) {
    if (commit_sent_us_ > renewed_us_) {
      renewed_us_.store(commit_sent_us_, std::memory_order_relaxed);
    }
    if (!LeaseHolds()) {
      // It happened, but since then another one may have taken over: nothing is given out before
      // the store has said of the same number again that this is the owner.
      status = Status::Unavailable("the lease ended while the commit was under way");
    }
  }
  switch (status.code()) {
    case StatusCode::kOk: break;
    case StatusCode::kUnknownOutcome:
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kResourceExhausted:
      // Sent again under the same number: if it happened after all, the store says so.
      if (retry_us_ == 0) {
        LTS_WARN("commit did not go through, trying again partition={} number={} error=\"{}\"",
                 options_.core.partition, lease_.commit_no + 1, status.ToString());
      }
      ++counters_.commit_retries;
      if (state_ == State::kStopping) {
        // The next owner finds out whether it happened.
        FinishStop();
        return;
      }
      store_trouble_ = status;
      retry_us_ = std::clamp(retry_us_ * 2, options_.retry_initial_us, options_.retry_max_us);
      strand_.PostAfter(retry_us_, Guarded([this] { Commit(); }));
      return;
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound:
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kPermissionDenied:
    case StatusCode::kFenced:
    case StatusCode::kTooOld:
    case StatusCode::kDataLoss:
    case StatusCode::kInternal:
      LTS_ERROR("commit refused partition={} number={} error=\"{}\"", options_.core.partition,
                lease_.commit_no + 1, status.ToString());
      if (status.code() != StatusCode::kFenced) {
        if (careful_ > 0) RefuseOffender(status);
        careful_ = kCarefulCommits;
      }
      Reload(status);
      return;
  }
  const bool lapsed = std::exchange(lapsed_, false);
  const bool thawed = retry_us_ > 0 || lapsed;
  if (retry_us_ > 0) {
    LTS_INFO("the store takes commits again partition={}", options_.core.partition);
    retry_us_ = 0;
    store_trouble_ = {};
  }
  if (careful_ > 0) {
    --careful_;
  } else {
    reload_delay_us_ = 0;
  }
  ++lease_.commit_no;
  ++counters_.commits;
  counters_.mutations += committing_.batch.mutations.size();
  commit_under_way_ = false;
  core::Effects effects = std::exchange(committing_, {});
  // The next commit is on its way while this one is told of: the store does not wait for that. What
  // it holds back is told later all the same, and the reads begun now saw it coming.
  if (!gathering_.batch.empty()) Flush();
  Release(std::move(effects));
  TakeWaiting();
  Flush();
  ArmTimer();
  if (state_ == State::kStopping && !commit_under_way_) FinishStop();
  // What came due while nothing could be stored.
  if (thawed && state_ == State::kServing) Handle(core::TickEvent{});
}

void PartitionHost::NoLongerPending(core::RequestId request) {
  const auto pending = pending_.find(request);
  if (pending == pending_.end()) return;
  --counters_.pending_jobs;
  if (--pending->second.items > 0) return;
  counters_.pending_bytes -= pending->second.bytes;
  pending_.erase(pending);
}

void PartitionHost::Release(core::Effects effects) {
  if (!effects.submit_replies.empty()) {
    for (const core::SubmitReply& reply : effects.submit_replies) NoLongerPending(reply.request);
    outbox_.Submitted(std::move(effects.submit_replies));
  }
  if (!effects.operate_replies.empty()) {
    for (const core::OperateReply& reply : effects.operate_replies) NoLongerPending(reply.request);
    outbox_.Operated(std::move(effects.operate_replies));
  }
  for (core::WorkerSend& message : effects.worker_sends) outbox_.ToWorker(std::move(message));
  for (core::FeedbackSend& message : effects.feedback_sends) outbox_.ToFeedback(std::move(message));
  if (!watches_.empty()) {
    for (const store::Mutation& mutation : effects.batch.mutations) {
      const auto* insert = std::get_if<store::InsertHistory>(&mutation);
      if (insert == nullptr || !insert->row.final || insert->row.state == model::JobState::kSkipped)
        continue;
      if (watches_.contains(insert->row.key.id)) outbox_.Ended(insert->row);
    }
  }
  StartReads(effects);
}

void PartitionHost::StartReads(core::Effects& effects) {
  // The guard is checked on the strand only; store and strand outlive the tasks.
  const auto life = std::weak_ptr<int>(life_);
  const auto post = [life, &strand = strand_, this](core::Event event) {
    strand.Post([this, life, event = std::make_shared<core::Event>(std::move(event))] {
      if (!life.lock() || state_ != State::kServing) return;
      if (const auto* failed = std::get_if<core::ReadFailed>(event.get())) {
        ++counters_.failed_reads;
        if (failed->why.code() == StatusCode::kDataLoss) {
          LTS_ERROR("the store is damaged partition={} error=\"{}\"", options_.core.partition,
                    failed->why.ToString());
        } else if (!reads_fail_) {
          LTS_WARN("reads fail, trying again partition={} error=\"{}\"", options_.core.partition,
                   failed->why.ToString());
        }
        reads_fail_ = true;
      } else {
        reads_fail_ = false;
      }
      Handle(std::move(*event));
    });
  };
  for (core::LookupRequest& request : effects.lookups) {
    reads_.Post(
        [post, &store = store_, partition = options_.core.partition, request = std::move(request)] {
          auto reply = store.Lookup(partition, request.ids, request.tasks);
          if (reply.status().code() == StatusCode::kDataLoss && request.tasks.empty()) {
            // Of a hello or of results: only what is damaged counts as not there.
            reply = store::LookupReply();
            for (const model::JobId& id : request.ids) {
              auto one = store.Lookup(partition, {id}, {});
              if (!one.ok() && one.status().code() != StatusCode::kDataLoss) {
                reply = one.status();
                break;
              }
              if (!one.ok()) {
                LTS_ERROR("the store is damaged partition={} job={} error=\"{}\"", partition,
                          id.ToString(), one.status().ToString());
                continue;
              }
              std::move(one->jobs.begin(), one->jobs.end(), std::back_inserter(reply->jobs));
              reply->ended.insert(reply->ended.end(), one->ended.begin(), one->ended.end());
            }
          }
          if (reply.ok()) {
            post(core::LookupAnswer{request.id, *std::move(reply)});
          } else {
            post(core::ReadFailed{request.id, reply.status()});
          }
        });
  }
  for (core::RefillRequest& request : effects.refills) {
    reads_.Post(
        [post, &store = store_, partition = options_.core.partition, request = std::move(request)] {
          core::RefillAnswer answer;
          answer.id = request.id;
          Status read = ReadReady(store, partition, request, &answer);
          if (read.ok()) read = ReadDated(store, partition, request, &answer);
          if (!read.ok()) return post(core::ReadFailed{request.id, std::move(read)});
          post(std::move(answer));
        });
  }
  for (core::TasksRequest& request : effects.tasks) {
    reads_.Post(
        [post, &store = store_, partition = options_.core.partition, request = std::move(request)] {
          auto rows = store.LoadTasks(partition, request.group, request.after, request.limit);
          if (!rows.ok()) return post(core::ReadFailed{request.id, rows.status()});
          post(core::TasksAnswer{request.id, *std::move(rows)});
        });
  }
  for (core::FeedbackRefillRequest& request : effects.feedback_refills) {
    reads_.Post(
        [post, &store = store_, partition = options_.core.partition, request = std::move(request)] {
          auto rows =
              store.LoadFeedback(partition, request.submit_group, request.after_seq, request.limit);
          if (!rows.ok()) return post(core::ReadFailed{request.id, rows.status()});
          post(core::FeedbackRefillAnswer{request.id, *std::move(rows)});
        });
  }
}

void PartitionHost::ArmTimer() {
  // Nothing comes due while nothing can be stored.
  // And behind waiting events a tick would only wait too.
  if (state_ != State::kServing || !store_trouble_.ok() || lapsed_ || !waiting_.empty()) return;
  const core::Partition::Timers timers = core_->NextTimer();
  const core::Now at = now();
  std::int64_t delay_ms = core::Partition::kNever;
  if (timers.wall_ms != core::Partition::kNever)
    delay_ms = std::min(delay_ms, timers.wall_ms - at.wall_ms);
  if (timers.mono_ms != core::Partition::kNever)
    delay_ms = std::min(delay_ms, timers.mono_ms - at.mono_ms);
  if (delay_ms == core::Partition::kNever) return;
  const std::int64_t delay_us = std::clamp<std::int64_t>(delay_ms, 0, kTickMaxUs / 1000) * 1000;
  const auto due_us = static_cast<std::uint64_t>(clock_.MonotonicUs() + delay_us);
  if (due_us >= armed_us_) return;
  armed_us_ = due_us;
  const std::uint64_t generation = ++timer_generation_;
  strand_.PostAfter(delay_us, Guarded([this, generation] { OnTimer(generation); }));
}

void PartitionHost::OnTimer(std::uint64_t generation) {
  if (generation != timer_generation_) return;
  armed_us_ = UINT64_MAX;
  if (state_ == State::kServing) Handle(core::TickEvent{});
}

void PartitionHost::Watch(const model::JobId& id) { ++watches_[id]; }

void PartitionHost::Unwatch(const model::JobId& id) {
  const auto found = watches_.find(id);
  if (found != watches_.end() && --found->second == 0) watches_.erase(found);
}

}  // namespace lts

// What becomes of attempts: accepted, stopped, ended, told, stored, forgotten.
#include <algorithm>

#include "common/log.h"
#include "tasktracker/link.h"

namespace lts::tasktracker {
namespace {

constexpr std::int64_t kScanUs = 1'000'000;
// Beyond the grace: a process that is killed at its end is given the time to be gone.
constexpr std::int64_t kStuckMoreUs = 1'000'000;
// How often an owner is told of those that do not stop.
constexpr std::int64_t kStuckTellUs = 10'000'000;
constexpr std::int64_t kStoreRetryUs = 2'000'000;
constexpr std::size_t kMessageBytesPerResult = 128;  // beside the text

// How long results gather while the last message is still being written.
constexpr std::int64_t kGatherUs = 1'000;

}  // namespace

void Link::OnAssignments(v1::TrackerMessage& message) {
  std::vector<Attempt*> to_run;
  to_run.reserve(static_cast<std::size_t>(message.assignments_size()));
  for (v1::Assignment& assignment : *message.mutable_assignments()) {
    if (!Accept(assignment, &to_run)) dropped_assignments_.Add();
  }
  if (running_ > 2 * slots_.count()) {
    // They are kept and told in the next hello, which settles what both sides believe.
    limit_slots_.Refused();
    Disconnect(fmt::format("it has assigned {} attempts to {} slots", running_, slots_.count()));
  }
  if (!to_run.empty()) slots_.Run(to_run);
  UpdateGauges();
  SendGathered(false);
}

bool Link::Accept(v1::Assignment& assignment, std::vector<Attempt*>* to_run) {
  const v1::Token& token = assignment.token();
  if (token.epoch() < epoch_) {
    LTS_WARN("assignment of an old owner dropped job={} epoch={} newest={}",
             assignment.job().job_id(), token.epoch(), epoch_);
    return false;
  }
  epoch_ = token.epoch();
  // The owner hears from the goodbye or the next hello that it did not run.
  if (stop_step_ > StopStep::kAcks || lease_ended_) return false;

  std::unique_ptr<Attempt> made = MakeAttempt(assignment);
  if (attempts_.contains(made->key)) return false;
  Attempt& attempt = *made;
  attempts_.insert(std::move(made));
  ++running_;
  // It was on its way when this TaskTracker began to stop. One that may run only once would be over
  // if it were handed back.
  const bool runs_late = stop_step_ == StopStep::kEnding && assignment.job().at_most_once();
  if (Stopping() && !runs_late) {
    HandBack(attempt);
    return true;
  }
  Result<std::string> runner = resolve_(attempt.input);
  if (!runner.ok()) {
    runners::RunOutcome outcome;
    // Another TaskTracker of the group may have it: worth the retries that the job has.
    outcome.action = model::Action::kExecuteException;
    outcome.message = runner.status().message();
    Finish(attempt, std::move(outcome), true, NowUs());
    return true;
  }
  attempt.input.runner = *std::move(runner);
  if (attempt.input.timeout_ms > 0) {
    const std::int64_t at_us = NowUs() + attempt.input.timeout_ms * 1000;
    attempt.timeout = timeouts_.emplace(at_us, &attempt);
    if (at_us < due_us_[kTimeouts]) SetTimer(kTimeouts, at_us);
  }
  to_run->push_back(&attempt);
  return true;
}

void Link::HandBack(Attempt& attempt) {
  attempt.cause.store(StopCause::kShutdown, std::memory_order_relaxed);
  Finish(attempt, {}, false, NowUs());
}

void Link::OnStop(const v1::AttemptKey& key) {
  const auto found = attempts_.find(key);
  if (found != attempts_.end() && !(*found)->ended) RequestStop(**found, StopCause::kStopped);
}

void Link::RequestStop(Attempt& attempt, StopCause cause) {
  StopCause none = StopCause::kNone;
  if (!attempt.cause.compare_exchange_strong(none, cause)) return;
  attempt.stop_us = NowUs();
  ++stopping_attempts_;
  attempt.stop.request_stop();
  if (due_us_[kScan] == kNever) SetTimer(kScan, NowUs() + kScanUs);
}

void Link::OnTimeouts() {
  const std::int64_t now_us = NowUs();
  while (!timeouts_.empty() && timeouts_.begin()->first <= now_us) {
    Attempt& attempt = *timeouts_.begin()->second;
    timeouts_.erase(timeouts_.begin());
    attempt.timeout.reset();
    // The time runs from the start; the index only says when it cannot be up before.
    const std::int64_t started_us = attempt.started_us.load(std::memory_order_relaxed);
    const std::int64_t up_us =
        (started_us == 0 ? now_us : started_us) + attempt.input.timeout_ms * 1000;
    if (up_us > now_us) {
      attempt.timeout = timeouts_.emplace(up_us, &attempt);
    } else {
      RequestStop(attempt, StopCause::kTimedOut);
    }
  }
  if (!timeouts_.empty()) SetTimer(kTimeouts, timeouts_.begin()->first);
}

void Link::SlotsHaveEnded() {
  strand_.Post([this] { OnEnded(); });
}

void Link::OnEnded() {
  slots_.TakeEnded(&ended_);
  for (Slots::Ended& ended : ended_) {
    Finish(*ended.attempt, std::move(ended.outcome), ended.ran, ended.ended_us);
  }
  SendGathered(false);
  if (phase_ == Phase::kDown) StoreResults();
  TellCapacity();
  UpdateGauges();
  AdvanceStop();
}

void Link::Finish(Attempt& attempt, runners::RunOutcome outcome, bool ran, std::int64_t ended_us) {
  if (attempt.timeout) timeouts_.erase(*attempt.timeout);
  attempt.timeout.reset();
  if (attempt.stop_us != 0) --stopping_attempts_;
  if (attempt.stuck) {
    attempt.stuck = false;
    --stuck_;
    LTS_INFO("a stuck attempt has ended job={} attempt={}", attempt.key.job_id(),
             attempt.key.attempt());
  }
  SetOutcome(attempt, std::move(outcome), ran, ended_us);
  attempt.input = {};
  --running_;
  if (lease_ended_) TellLease();
  ++unacked_;
  ++unstored_;
  outcomes_[static_cast<std::size_t>(attempt.outcome)]->Add();
  if (phase_ == Phase::kLive) Gather(attempt);
  if (due_us_[kScan] == kNever) SetTimer(kScan, NowUs() + kScanUs);
}

void Link::Gather(Attempt& attempt) {
  attempt.to_send = true;
  gathered_.push_back(&attempt);
}

void Link::SendGathered(bool at_once) {
  if (phase_ != Phase::kLive || gathered_.empty()) return;
  const std::int64_t now_us = NowUs();
  if (!at_once && stream_->PendingBytes() > 0) {
    if (due_us_[kSend] == kNever) SetTimer(kSend, now_us + kGatherUs);
    return;
  }
  ClearTimer(kSend);
  v1::WorkerMessage message;
  std::size_t bytes = 0;
  for (Attempt* attempt : gathered_) {
    FillResult(*attempt, now_us, message.add_results());
    attempt->to_send = false;
    attempt->sent_us = now_us;
    bytes += kMessageBytesPerResult + attempt->message.size();
    if (bytes < options_.message_bytes_max) continue;
    stream_->Send(std::exchange(message, {}));
    bytes = 0;
  }
  gathered_.clear();
  if (bytes > 0) stream_->Send(std::move(message));
}

void Link::OnAcks(const v1::TrackerMessage& message) {
  auto forget = std::make_shared<std::vector<std::string>>();
  for (const v1::AttemptKey& key : message.acks()) {
    const auto found = attempts_.find(key);
    if (found == attempts_.end() || !(*found)->ended) continue;
    Attempt& attempt = **found;
    if (attempt.to_send) std::erase(gathered_, &attempt);
    // One on its way into the store is forgotten when it has arrived there.
    if (attempt.stored) {
      forget->push_back(KeyText(key));
    } else {
      --unstored_;
    }
    --unacked_;
    attempts_.erase(found);
  }
  if (!forget->empty()) disk_.Post([this, forget] { results_.Forget(*forget); });
  TellCapacity();
  UpdateGauges();
}

bool Link::WantsStore(const Attempt& attempt, std::int64_t now_us) const {
  if (!attempt.ended || attempt.stored || attempt.storing) return false;
  if (phase_ == Phase::kDown || stop_step_ >= StopStep::kStoring) return true;
  return now_us - attempt.ended_us >= options_.ack_wait_ms * 1000;
}

void Link::StoreResults() {
  if (store_under_way_) return;
  if (unstored_ == 0) {
    if (store_refused_) {
      // Nothing is left to try with: the next failure says whether it works again.
      store_refused_ = false;
      TellCapacity();
    }
    return;
  }
  const std::int64_t now_us = NowUs();
  auto records = std::make_shared<std::vector<std::pair<std::string, std::string>>>();
  auto keys = std::make_shared<std::vector<v1::AttemptKey>>();
  for (const auto& attempt : attempts_) {
    if (!WantsStore(*attempt, now_us)) continue;
    v1::AttemptResult result;
    FillResult(*attempt, now_us, &result);
    records->emplace_back(KeyText(attempt->key), result.SerializeAsString());
    keys->push_back(attempt->key);
    attempt->storing = true;
  }
  if (records->empty()) {
    // What is left is young and may be acknowledged before it is ever stored: then nothing but this
    // timer gives the capacity back.
    if (store_refused_ && due_us_[kStoreRetry] == kNever) {
      SetTimer(kStoreRetry, now_us + kStoreRetryUs);
    }
    return;
  }
  store_under_way_ = true;
  disk_.Post([this, records, keys] {
    Status status = results_.Store(*records);
    strand_.Post([this, keys, status = std::move(status)] { OnStored(*keys, status); });
  });
}

void Link::OnStored(const std::vector<v1::AttemptKey>& keys, const Status& status) {
  store_under_way_ = false;
  auto forget = std::make_shared<std::vector<std::string>>();
  for (const v1::AttemptKey& key : keys) {
    const auto found = attempts_.find(key);
    if (found == attempts_.end()) {
      if (status.ok()) forget->push_back(KeyText(key));
      continue;
    }
    (*found)->storing = false;
    if (!status.ok()) continue;
    (*found)->stored = true;
    --unstored_;
  }
  if (!forget->empty()) disk_.Post([this, forget] { results_.Forget(*forget); });
  if (!status.ok() && !store_refused_) {
    LTS_ERROR(
        "the FailStore refuses results, no new jobs are taken until it works again results={} "
        "error={}",
        keys.size(), status.ToString());
  }
  if (status.ok() && store_refused_) LTS_INFO("the FailStore works again");
  store_refused_ = !status.ok();
  if (store_refused_) SetTimer(kStoreRetry, NowUs() + kStoreRetryUs);
  TellCapacity();
  UpdateGauges();
  if (status.ok()) StoreResults();  // what has come meanwhile
  AdvanceStop();
}

void Link::AddStoredResults() {
  disk_.Post([this] {
    Result<std::vector<std::unique_ptr<Attempt>>> found = results_.LoadNew();
    if (!found.ok()) {
      LTS_WARN("stored results cannot be read error={}", found.status().ToString());
      return;
    }
    if (found->empty()) return;
    auto shared = std::make_shared<std::vector<std::unique_ptr<Attempt>>>(*std::move(found));
    strand_.Post([this, shared] { AddStored(std::move(*shared)); });
  });
}

void Link::AddStored(std::vector<std::unique_ptr<Attempt>> found) {
  for (std::unique_ptr<Attempt>& result : found) {
    result->ended_us = NowUs();  // ended_ago_ms counts up to now
    Attempt& attempt = *result;
    if (!attempts_.insert(std::move(result)).second) continue;
    ++unacked_;
    if (phase_ == Phase::kLive) Gather(attempt);
  }
  SendGathered(false);
  TellCapacity();
  UpdateGauges();
}

void Link::Scan() {
  const std::int64_t now_us = NowUs();
  if (stopping_attempts_ > 0) FindStuck(now_us);
  if (unstored_ > 0) StoreResults();
  UpdateGauges();
  if (unstored_ > 0 || stopping_attempts_ > 0) SetTimer(kScan, now_us + kScanUs);
}

// Their owner is told again now and then: how long ago it was is of interest, and an owner that has
// adopted them knows nothing of it. Not by the board, to which they may write still.
void Link::FindStuck(std::int64_t now_us) {
  v1::WorkerMessage message;
  for (const auto& attempt : attempts_) {
    if (attempt->ended || attempt->stop_us == 0) continue;
    if (!attempt->stuck) {
      if (now_us - attempt->stop_us < options_.kill_grace_ms * 1000 + kStuckMoreUs) continue;
      attempt->stuck = true;
      ++stuck_;
      LTS_WARN("an attempt does not stop, its slot stays taken job={} task={} runner={} attempt={}",
               attempt->key.job_id(), attempt->input.task_id, attempt->input.runner,
               attempt->key.attempt());
    }
    const bool told = attempt->stuck_told_us != 0;
    if (phase_ != Phase::kLive || (told && now_us - attempt->stuck_told_us < kStuckTellUs))
      continue;
    attempt->stuck_told_us = now_us;
    v1::WorkerProgress* const progress = message.add_progress();
    *progress->mutable_key() = attempt->key;
    progress->set_percent(-1);
    progress->set_text(StuckText(*attempt, now_us));
  }
  if (message.progress_size() > 0) stream_->Send(std::move(message));
}

void Link::ProgressHasCome() {
  strand_.Post([this] {
    if (phase_ == Phase::kLive && due_us_[kProgress] == kNever) {
      SetTimer(kProgress, std::max(NowUs(), progress_sent_us_ + options_.progress_ms * 1000));
    }
  });
}

void Link::SendProgress() {
  if (phase_ != Phase::kLive) return;
  v1::WorkerMessage message;
  progress_.Take(&message);
  if (message.progress_size() == 0) return;
  progress_sent_us_ = NowUs();
  for (v1::WorkerProgress& progress : *message.mutable_progress()) {
    const auto found = stuck_ > 0 ? attempts_.find(progress.key()) : attempts_.end();
    if (found == attempts_.end() || !(*found)->stuck) continue;
    std::string text = StuckText(**found, progress_sent_us_);
    if (!progress.text().empty()) text += ": " + progress.text();
    progress.set_text(std::move(text));
  }
  stream_->Send(std::move(message));
}

int Link::Capacity() {
  if (unacked_ >= options_.unacked_max && !unacked_over_) {
    unacked_over_ = true;
    limit_unacked_.Refused();
    LTS_WARN("too many results wait for acknowledgement, no new jobs are taken results={}",
             unacked_);
  }
  if (unacked_ <= options_.unacked_max / 2) unacked_over_ = false;
  const bool takes = !Stopping() && gate_open_ && !store_refused_ && !unacked_over_;
  return takes ? slots_.count() : 0;
}

void Link::SetGate(bool open) {
  strand_.Post([this, open] {
    gate_open_ = open;
    TellCapacity();
  });
}

void Link::TellCapacity() {
  const int capacity = Capacity();
  if (phase_ != Phase::kLive || (capacity == capacity_told_ && Stopping() == drain_told_)) return;
  capacity_told_ = capacity;
  drain_told_ = Stopping();
  v1::WorkerMessage message;
  message.set_capacity(capacity);
  message.set_draining(drain_told_);
  stream_->Send(std::move(message));
}

void Link::UpdateGauges() {
  limit_slots_.SetCurrent(running_);
  limit_unacked_.SetCurrent(unacked_);
  stuck_gauge_.Set(stuck_);
}

}  // namespace lts::tasktracker

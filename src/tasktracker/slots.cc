#include "tasktracker/slots.h"

#include <pthread.h>

#include <exception>
#include <system_error>
#include <utility>

#include "common/log.h"
#include "tasktracker/log_shipper.h"
#include "tasktracker/progress_board.h"

namespace lts::tasktracker {
namespace {

// Gives the lines and the progress of one attempt to those who send them.
class Sink final : public runners::AttemptSink {
 public:
  Sink(Attempt& attempt, LogShipper& log, ProgressBoard& progress)
      : attempt_(attempt), log_(log), progress_(progress) {}

  void Log(runners::LogLevel level, std::string line) override {
    log_.Add(attempt_, level, std::move(line));
  }
  void Progress(int percent, std::string text) override {
    progress_.Set(attempt_, percent, std::move(text));
    has_progress_.store(true, std::memory_order_relaxed);
  }
  void End() {
    log_.AttemptEnded(attempt_);
    if (has_progress_.load(std::memory_order_relaxed)) progress_.Remove(attempt_);
  }

 private:
  Attempt& attempt_;
  LogShipper& log_;
  ProgressBoard& progress_;
  std::atomic<bool> has_progress_{false};
};

}  // namespace

Slots::Slots(int count, CreateRunner create, const Clock& clock, LogShipper& log,
             ProgressBoard& progress)
    : count_(count), create_(std::move(create)), clock_(clock), log_(log), progress_(progress) {}

Slots::~Slots() {
  Close();
  for (const auto& slot : slots_) slot->thread.join();
}

Status Slots::Start(const std::vector<std::string>& runners, std::function<void()> on_ended) {
  on_ended_ = std::move(on_ended);
  auto slot = std::make_unique<Slot>();
  for (const std::string& name : runners) {
    const Result<runners::Runner*> made = RunnerOf(*slot, name);
    if (!made.ok()) return made.status();
  }
  const std::lock_guard lock(mutex_);
  try {
    slot->thread = std::thread([this, raw = slot.get()] { Main(*raw); });
  } catch (const std::system_error& error) {
    return Status::ResourceExhausted(std::string("cannot start a slot's thread: ") + error.what());
  }
  slots_.push_back(std::move(slot));
  return Status::Ok();
}

void Slots::Run(const std::vector<Attempt*>& attempts) {
  Slot* to_wake;
  {
    const std::lock_guard lock(mutex_);
    queue_.insert(queue_.end(), attempts.begin(), attempts.end());
    to_wake = ChooseToWake();
  }
  if (to_wake != nullptr) to_wake->wake.notify_one();
}

void Slots::TakeEnded(std::vector<Ended>* ended) {
  ended->clear();
  const std::lock_guard lock(mutex_);
  ended->swap(ended_);
  notified_ = false;
}

int Slots::busy() const {
  const std::lock_guard lock(mutex_);
  return busy_;
}

void Slots::Close() {
  const std::lock_guard lock(mutex_);
  closing_ = true;
  for (Slot* slot : parked_) slot->wake.notify_one();
}

Slots::Slot* Slots::ChooseToWake() {
  if (queue_.empty() || waking_) return nullptr;
  if (!parked_.empty()) {
    Slot* slot = parked_.back();
    parked_.pop_back();
    slot->woken = true;
    waking_ = true;
    return slot;
  }
  if (slots_.size() >= static_cast<std::size_t>(count_)) return nullptr;
  auto slot = std::make_unique<Slot>();
  try {
    slot->thread = std::thread([this, raw = slot.get()] { Main(*raw); });
  } catch (const std::system_error& error) {
    // The threads there are empty the queue; the next assignment tries again.
    LTS_WARN("cannot start a slot's thread slots={} error={}", slots_.size(), error.what());
    return nullptr;
  }
  slots_.push_back(std::move(slot));
  waking_ = true;
  return nullptr;
}

void Slots::Main(Slot& slot) {
  pthread_setname_np(pthread_self(), "lts-slot");
  std::unique_lock lock(mutex_);
  // A started thread counts as woken; the first one, which nobody waits for, does no harm by it.
  waking_ = false;
  while (true) {
    while (queue_.empty()) {
      if (closing_) return;
      parked_.push_back(&slot);
      slot.wake.wait(lock, [&] { return slot.woken || closing_; });
      if (!slot.woken) return;  // closing, and nobody has given it work
      slot.woken = false;
      waking_ = false;
    }
    Attempt& attempt = *queue_.front();
    queue_.pop_front();
    ++busy_;
    Slot* to_wake = ChooseToWake();
    lock.unlock();
    if (to_wake != nullptr) to_wake->wake.notify_one();

    Ended ended = Execute(slot, attempt);

    lock.lock();
    --busy_;
    ended_.push_back(std::move(ended));
    if (!notified_) {
      notified_ = true;
      lock.unlock();
      on_ended_();
      lock.lock();
    }
  }
}

Result<runners::Runner*> Slots::RunnerOf(Slot& slot, const std::string& name) {
  const auto known = slot.runners.find(name);
  if (known != slot.runners.end()) return known->second.get();
  Result<std::unique_ptr<runners::Runner>> made = create_(name);
  if (!made.ok()) return made.status();
  return slot.runners.emplace(name, *std::move(made)).first->second.get();
}

Slots::Ended Slots::Execute(Slot& slot, Attempt& attempt) {
  Ended ended;
  ended.attempt = &attempt;
  if (attempt.cause.load(std::memory_order_relaxed) != StopCause::kNone) {
    ended.ended_us = clock_.MonotonicUs();
    return ended;
  }
  ended.ran = true;
  const Result<runners::Runner*> runner = RunnerOf(slot, attempt.input.runner);
  attempt.started_us.store(clock_.MonotonicUs(), std::memory_order_relaxed);
  if (runner.ok()) {
    Sink sink(attempt, log_, progress_);
    try {
      ended.outcome = (*runner)->Run(attempt.input, sink, attempt.stop.get_token());
    } catch (const std::exception& error) {
      ended.outcome = {};
      ended.outcome.message = error.what();
    }
    sink.End();
  } else {
    ended.outcome.message = runner.status().message();
  }
  ended.ended_us = clock_.MonotonicUs();
  return ended;
}

}  // namespace lts::tasktracker

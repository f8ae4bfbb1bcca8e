// Virtual time: one thread, one queue of events, processes with clocks of their own.
//
// A call that blocks (a store call on its strand) runs the loop inside itself until it is over, so
// that everything else goes on meanwhile, as it would with threads. A strand that is inside such a
// call does not run its next task before it has returned.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"

namespace lts::sim {

class SimLoop {
 public:
  using Task = std::function<void()>;

  std::int64_t now_us() const { return now_us_; }

  // Events of one time run in the order in which they were added.
  void At(std::int64_t time_us, Task task) {
    events_.emplace(std::pair(std::max(time_us, now_us_), ++sequence_), std::move(task));
  }
  void After(std::int64_t delay_us, Task task) { At(now_us_ + delay_us, std::move(task)); }

  // Runs everything up to `time_us`; may be called from inside a task.
  void RunUntil(std::int64_t time_us) {
    while (!stopped_ && !events_.empty() && events_.begin()->first.first <= time_us) {
      auto first = events_.extract(events_.begin());
      now_us_ = std::max(now_us_, first.key().first);
      ++executed_;
      first.mapped()();
    }
    if (!stopped_) now_us_ = std::max(now_us_, time_us);
  }

  // Nothing more runs: a check failed.
  void Stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }
  std::uint64_t executed() const { return executed_; }

 private:
  std::map<std::pair<std::int64_t, std::uint64_t>, Task> events_;
  std::int64_t now_us_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t executed_ = 0;
  bool stopped_ = false;
};

// 2024-01-15T08:00:00Z: where the wall clocks of a run begin.
inline constexpr TimeMs kWallStartMs = 1'705'305'600'000;

class SimClock final : public Clock {
 public:
  explicit SimClock(const SimLoop& loop) : loop_(loop) {}
  std::int64_t MonotonicUs() const override { return loop_.now_us(); }
  TimeMs WallMs() const override { return kWallStartMs + loop_.now_us() / 1000 + offset_ms_; }
  void Step(DurationMs by_ms) { offset_ms_ += by_ms; }
  DurationMs offset_ms() const { return offset_ms_; }

 private:
  const SimLoop& loop_;
  DurationMs offset_ms_ = 0;
};

// One life of an operating-system process. Its strands drop everything once it is dead and hold
// everything back while it is paused (SIGSTOP).
struct Process {
  bool alive = true;
  std::int64_t paused_until_us = 0;
};

class SimStrand final : public Strand {
 public:
  SimStrand(SimLoop& loop, std::shared_ptr<const Process> process)
      : loop_(loop), process_(std::move(process)) {}

  void Post(Task task) override {
    if (!process_->alive) return;
    queue_.push_back(std::move(task));
    Schedule(loop_.now_us());
  }
  void PostAfter(std::int64_t delay_us, Task task) override {
    if (!process_->alive) return;
    loop_.After(delay_us, [this, task = std::move(task)]() mutable { Post(std::move(task)); });
  }

 private:
  void Schedule(std::int64_t time_us) {
    if (scheduled_ || busy_) return;
    scheduled_ = true;
    loop_.At(time_us, [this] { Pump(); });
  }
  void Pump() {
    scheduled_ = false;
    if (!process_->alive) {
      queue_.clear();
      return;
    }
    if (loop_.now_us() < process_->paused_until_us) {
      Schedule(process_->paused_until_us);
      return;
    }
    if (queue_.empty()) return;
    busy_ = true;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    task();
    task = nullptr;
    busy_ = false;
    if (!process_->alive) {
      queue_.clear();
    } else if (!queue_.empty()) {
      Schedule(loop_.now_us());
    }
  }

  SimLoop& loop_;
  const std::shared_ptr<const Process> process_;
  std::deque<Task> queue_;
  bool scheduled_ = false;
  bool busy_ = false;
};

}  // namespace lts::sim

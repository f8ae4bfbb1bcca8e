// Virtual time: one thread, one queue of events, processes with clocks of their own.
//
// A call that blocks (a store call on its strand) runs on a stack of its own and sleeps there, so
// that everything else goes on meanwhile, as it would with threads. A strand that is inside such a
// call does not run its next task before it has returned.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <exception>
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

  // Runs everything up to `time_us`.
  void RunUntil(std::int64_t time_us) {
    while (!stopped_ && !events_.empty() && events_.begin()->first.first <= time_us) {
      auto first = events_.extract(events_.begin());
      now_us_ = std::max(now_us_, first.key().first);
      first.mapped()();
    }
    if (!stopped_) now_us_ = std::max(now_us_, time_us);
  }

  // Nothing more runs: a check failed, or the run is over.
  void Stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

  // Runs `task` on a stack of its own; returns when it ends or sleeps for the first time.
  void RunBlocking(Task task) {
    Fiber* fiber = nullptr;
    if (idle_.empty()) {
      fibers_.push_back(std::make_unique<Fiber>(*this));
      fiber = fibers_.back().get();
    } else {
      fiber = idle_.back();
      idle_.pop_back();
    }
    fiber->task = std::move(task);
    Resume(*fiber);
  }
  // Only inside of RunBlocking.
  void Sleep(std::int64_t for_us) {
    if (stopped_) return;
    Fiber* fiber = running_;
    sleeping_.push_back(fiber);
    After(for_us, [this, fiber] {
      std::erase(sleeping_, fiber);
      Resume(*fiber);
    });
    if (swapcontext(&fiber->context, &main_) != 0) std::terminate();
  }
  // Lets what sleeps come to its end; after Stop().
  void WakeAll() {
    while (!sleeping_.empty()) {
      Fiber* fiber = sleeping_.back();
      sleeping_.pop_back();
      Resume(*fiber);
    }
  }

 private:
  struct Fiber {
    explicit Fiber(SimLoop& the_loop) : loop(the_loop), stack(256 * 1024) {
      if (getcontext(&context) != 0) std::terminate();
      context.uc_stack.ss_sp = stack.data();
      context.uc_stack.ss_size = stack.size();
      context.uc_link = nullptr;
      const auto address = reinterpret_cast<std::uintptr_t>(this);
      makecontext(&context, reinterpret_cast<void (*)()>(&SimLoop::FiberMain), 2,
                  static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
    }
    SimLoop& loop;
    std::vector<char> stack;
    ucontext_t context{};
    Task task;
  };
  static void FiberMain(unsigned high, unsigned low) {
    Fiber& fiber = *reinterpret_cast<Fiber*>((static_cast<std::uintptr_t>(high) << 32) | low);
    while (true) {
      fiber.task();
      fiber.task = nullptr;
      fiber.loop.idle_.push_back(&fiber);
      if (swapcontext(&fiber.context, &fiber.loop.main_) != 0) std::terminate();
    }
  }
  void Resume(Fiber& fiber) {
    running_ = &fiber;
    if (swapcontext(&main_, &fiber.context) != 0) std::terminate();
    running_ = nullptr;
  }

  ucontext_t main_{};
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  std::vector<Fiber*> sleeping_;
  Fiber* running_ = nullptr;
  std::map<std::pair<std::int64_t, std::uint64_t>, Task> events_;
  std::int64_t now_us_ = 0;
  std::uint64_t sequence_ = 0;
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
  // `blocks`: its tasks may sleep.
  SimStrand(SimLoop& loop, std::shared_ptr<const Process> process, bool blocks)
      : loop_(loop), process_(std::move(process)), blocks_(blocks) {}

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
    if (blocks_) {
      loop_.RunBlocking([this, task = std::move(task)]() mutable {
        task();
        task = nullptr;
        Ended();
      });
      return;
    }
    task();
    task = nullptr;
    Ended();
  }
  void Ended() {
    busy_ = false;
    if (!process_->alive) {
      queue_.clear();
    } else if (!queue_.empty()) {
      Schedule(loop_.now_us());
    }
  }

  SimLoop& loop_;
  const std::shared_ptr<const Process> process_;
  const bool blocks_;
  std::deque<Task> queue_;
  bool scheduled_ = false;
  bool busy_ = false;
};

}  // namespace lts::sim

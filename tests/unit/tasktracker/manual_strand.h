// A strand and a clock that a test moves itself. Tasks run on the test's thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"

namespace lts::testing {

class ManualClock final : public Clock {
 public:
  std::int64_t MonotonicUs() const override { return us_.load(); }
  TimeMs WallMs() const override { return 1'700'000'000'000 + us_.load() / 1000; }
  void Set(std::int64_t us) { us_.store(us); }

 private:
  std::atomic<std::int64_t> us_{1'000'000};
};

class ManualStrand final : public Strand {
 public:
  explicit ManualStrand(ManualClock& clock) : clock_(clock) {}

  void Post(Task task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    posted_.notify_all();
  }
  void PostAfter(std::int64_t delay_us, Task task) override {
    const std::lock_guard lock(mutex_);
    timers_.emplace(clock_.MonotonicUs() + delay_us, std::move(task));
  }

  // Runs what is due until nothing is left.
  void Run() {
    while (true) {
      std::vector<Task> now;
      {
        const std::lock_guard lock(mutex_);
        now.swap(tasks_);
        while (!timers_.empty() && timers_.begin()->first <= clock_.MonotonicUs()) {
          now.push_back(std::move(timers_.begin()->second));
          timers_.erase(timers_.begin());
        }
      }
      if (now.empty()) return;
      for (Task& task : now) task();
    }
  }

  // Runs tasks, those that other threads still post too, until `reached`; false when nothing was
  // posted for a very long time.
  bool RunUntil(const std::function<bool()>& reached) {
    while (true) {
      Run();
      if (reached()) return true;
      std::unique_lock lock(mutex_);
      if (!posted_.wait_for(lock, std::chrono::seconds(20), [this] { return !tasks_.empty(); }))
        return false;
    }
  }

  // As at the stop of a strand: what waits is dropped.
  void Clear() {
    const std::lock_guard lock(mutex_);
    tasks_.clear();
    timers_.clear();
  }

  // Lets time pass, stopping at every timer on the way.
  void Advance(DurationMs ms) {
    const std::int64_t end_us = clock_.MonotonicUs() + ms * 1000;
    Run();
    while (true) {
      std::int64_t next_us;
      {
        const std::lock_guard lock(mutex_);
        if (timers_.empty() || timers_.begin()->first > end_us) break;
        next_us = timers_.begin()->first;
      }
      clock_.Set(std::max(clock_.MonotonicUs(), next_us));
      Run();
    }
    clock_.Set(end_us);
    Run();
  }

 private:
  ManualClock& clock_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::vector<Task> tasks_;
  std::multimap<std::int64_t, Task> timers_;
};

}  // namespace lts::testing

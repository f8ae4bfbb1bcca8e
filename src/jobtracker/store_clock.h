// The clock of a cluster: the own monotonic one plus the offset to the store's, so that all
// JobTrackers agree on the time whatever the clocks of their hosts say (DESIGN 2.9).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "common/clock.h"

namespace lts {

// Thread-safe. Until the first measurement it is the host's wall clock.
class StoreClock final : public Clock {
 public:
  // `own` must outlive it.
  explicit StoreClock(const Clock& own)
      : own_(own), offset_us_(own.WallMs() * 1000 - own.MonotonicUs()) {}

  std::int64_t MonotonicUs() const override { return own_.MonotonicUs(); }
  TimeMs WallMs() const override {
    return (own_.MonotonicUs() + offset_us_.load(std::memory_order_relaxed)) / 1000;
  }

  // The store said `store_ms` to a question that was asked and answered at these times. What took
  // much longer than usual tells little (this process was paused meanwhile, perhaps) and is left
  // out. One thread at a time.
  void Measured(TimeMs store_ms, std::int64_t asked_us, std::int64_t answered_us) {
    const std::int64_t took_us = answered_us - asked_us;
    const bool first = usual_us_ == 0;
    if (!first && took_us > std::max(kPlausibleUs, 2 * usual_us_)) {
      // Should it stay so, it is the new usual.
      usual_us_ += usual_us_ / 8 + 1;
      return;
    }
    usual_us_ = std::max<std::int64_t>(took_us, 1);
    offset_us_.store(store_ms * 1000 - (asked_us + took_us / 2), std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t kPlausibleUs = 100'000;

  const Clock& own_;
  std::int64_t usual_us_ = 0;  // how long a question takes; 0: none was asked yet
  std::atomic<std::int64_t> offset_us_;
};

}  // namespace lts

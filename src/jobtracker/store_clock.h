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

  // The store said `store_ms` to a question that was asked and answered at these times. One that
  // was long under way tells little: a store that was frozen for six seconds would move the time by
  // up to three, and what is not due would start. It counts only when it is no less exact than the
  // one before has become. By one thread at a time.
  void Measured(TimeMs store_ms, std::int64_t asked_us, std::int64_t answered_us) {
    const std::int64_t error_us = (answered_us - asked_us) / 2;
    const std::int64_t known_us = error_us_ + (answered_us - measured_us_) / kDriftPart;
    if (measured_ && error_us > std::max(known_us, kGoodUs)) return;
    measured_ = true;
    error_us_ = error_us;
    measured_us_ = answered_us;
    offset_us_.store(store_ms * 1000 - (asked_us + error_us), std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t kGoodUs = 20'000;    // never too inexact
  static constexpr std::int64_t kDriftPart = 1'000;  // clocks part by so small a part of the time

  const Clock& own_;
  std::atomic<std::int64_t> offset_us_;
  bool measured_ = false;
  std::int64_t error_us_ = 0;     // of the last one that counted
  std::int64_t measured_us_ = 0;  // when it was
};

}  // namespace lts

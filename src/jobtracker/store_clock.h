// The clock of a cluster: the own monotonic one plus the offset to the store's, so that all
// JobTrackers agree on the time whatever the clocks of their hosts say (DESIGN 2.9).
#pragma once

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

  // The store said `store_ms` to a question that was asked and answered at these times.
  void Measured(TimeMs store_ms, std::int64_t asked_us, std::int64_t answered_us) {
    offset_us_.store(store_ms * 1000 - (asked_us + (answered_us - asked_us) / 2),
                     std::memory_order_relaxed);
  }

 private:
  const Clock& own_;
  std::atomic<std::int64_t> offset_us_;
};

}  // namespace lts

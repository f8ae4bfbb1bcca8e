// The only two clocks of the program. Everything that needs time takes a Clock; simulations and
// tests hand in one that they move themselves.
#pragma once

#include <chrono>
#include <cstdint>

namespace lts {

using TimeMs = std::int64_t;      // wall-clock instant, milliseconds since 1970-01-01T00:00:00Z
using DurationMs = std::int64_t;  // a length of time in milliseconds

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back; the origin is arbitrary. Microseconds.
  virtual std::int64_t MonotonicUs() const = 0;
  // The host's wall clock; may jump either way.
  virtual TimeMs WallMs() const = 0;
};

class SystemClock final : public Clock {
 public:
  std::int64_t MonotonicUs() const override {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  TimeMs WallMs() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace lts

// Identifiers: UUIDv7 job ids (RFC 9562) and random identities of processes.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace lts {

// Makes UUIDv7 texts: 36 lower-case characters, ordered by creation within one generator (the 12
// bits after the time count up within a millisecond; the time is moved ahead when they run out).
// Not thread-safe.
class UuidGenerator {
 public:
  explicit UuidGenerator(std::uint64_t seed) : random_(seed) {}
  std::string Next(TimeMs now);

 private:
  std::mt19937_64 random_;
  TimeMs last_ms_ = 0;
  std::uint32_t counter_ = 0;
};

// The creation time in a UUIDv7, or nothing when the text is not one.
std::optional<TimeMs> UuidV7Time(std::string_view text);

// The name if it has at most 64 bytes, the most that a node's identity may have; else its
// beginning, and a hash of all of it in place of the rest.
std::string FittedName(std::string name);

// 64 bits from the operating system's random source.
std::uint64_t RandomSeed();

}  // namespace lts

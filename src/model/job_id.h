// A job id as 16 bytes: what keys, hashes and comparisons use. Texts stay at the edges.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace lts::model {

struct JobId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const JobId&) const = default;
  bool empty() const { return high == 0 && low == 0; }

  // 36 characters, lower case.
  std::string ToString() const;
  // The creation time of a UUIDv7.
  TimeMs TimeOf() const { return static_cast<TimeMs>(high >> 16); }
  // Any UUID text of 36 characters, either case; nothing when it is not one.
  static std::optional<JobId> Parse(std::string_view text);
};

// One run of a job: the job and, for occurrences of a schedule, the fire time; 0 for everything
// else.
struct JobKey {
  JobId id;
  TimeMs cycle = 0;
  auto operator<=>(const JobKey&) const = default;
};

}  // namespace lts::model

template <>
struct std::hash<lts::model::JobId> {
  std::size_t operator()(const lts::model::JobId& id) const noexcept {
    // The low word is random except in tests, the high one carries time and counter.
    return static_cast<std::size_t>(id.low ^ (id.high * 0x9e3779b97f4a7c15ULL));
  }
};
template <>
struct std::hash<lts::model::JobKey> {
  std::size_t operator()(const lts::model::JobKey& key) const noexcept {
    return std::hash<lts::model::JobId>()(key.id) ^
           (static_cast<std::size_t>(key.cycle) * 0xff51afd7ed558ccdULL);
  }
};

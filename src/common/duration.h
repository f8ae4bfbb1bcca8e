// Lengths of time as people write them: "500ms", "10s", "3m", "2h", "1d", "1h30m".
#pragma once

#include <string>
#include <string_view>

#include "common/clock.h"
#include "lts/status.h"

namespace lts {

inline constexpr DurationMs kDayMs = 86'400'000;
inline constexpr DurationMs kDurationMsMax = 36'500 * kDayMs;

// A whole number and a unit (d, h, m or min, s, ms), without sign, blanks or fractions; several in
// falling units add up ("1h30m"). 0 needs a unit too. kInvalidArgument, also above kDurationMsMax,
// with a reason that does not repeat the text.
Result<DurationMs> ParseDuration(std::string_view text);
// The same, or a number alone, which may have a sign and counts so many milliseconds each.
Result<DurationMs> ParseDuration(std::string_view text, DurationMs bare_unit_ms);

// The shortest exact form with one unit: "90s", "1500ms", "0s". ParseDuration reads it back.
// `duration_ms` >= 0.
std::string FormatDuration(DurationMs duration_ms);

}  // namespace lts

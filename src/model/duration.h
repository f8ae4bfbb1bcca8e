// Lengths of time as people write them: "500ms", "10s", "3m", "2h", "1d".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace lts::model {

// A whole number and a unit, without sign, blanks or fractions; several in falling units add up
// ("1h30m"). 0 needs a unit too. Nothing when the text is something else or above kDurationMsMax.
std::optional<DurationMs> ParseDuration(std::string_view text);

// The shortest exact form with one unit: "90s", "1500ms", "0s". ParseDuration reads it back.
// `duration_ms` >= 0.
std::string FormatDuration(DurationMs duration_ms);

inline constexpr DurationMs kDayMs = 86'400'000;
inline constexpr DurationMs kDurationMsMax = 36'500 * kDayMs;

}  // namespace lts::model

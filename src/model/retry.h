// When the next attempt of a failed job becomes due.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "lts/status.h"
#include "model/job.h"

namespace lts::model {

// The delay before retry `retry_number` (from 1; less counts as 1), in milliseconds, 1 or more.
//   kFixed        initial
//   kLinear       initial * n, at most max
//   kExponential  initial * 2^(n-1), at most max, then spread by ±10 %, never above max
// `jitter_bits` are 64 random bits; only kExponential uses them.
DurationMs RetryDelayMs(const RetryPolicy& policy, int retry_number, std::uint64_t jitter_bits);

// "fixed:500ms", "linear:1s", "linear:1s..10m", "exponential:1s..1m". Without "..": the cap is that
// of a default RetryPolicy, or the first delay when that is longer. Errors: kInvalidArgument, with
// what would be right.
Result<RetryPolicy> ParseRetryPolicy(std::string_view text);

// The full form, which ParseRetryPolicy reads back.
std::string ToString(const RetryPolicy& policy);

// kInvalidArgument when the delays are out of bounds (see RetryPolicy).
Status ValidateRetryPolicy(const RetryPolicy& policy);

}  // namespace lts::model

#include "model/retry.h"

#include <algorithm>
#include <optional>

#include "common/duration.h"

namespace lts::model {
namespace {

constexpr DurationMs kDelayMsMax = 30 * kDayMs;
constexpr std::string_view kForms =
    "fixed:500ms, linear:1s, linear:1s..10m or exponential:1s..1m, from 1ms to 30d";

std::string_view KindName(RetryPolicy::Kind kind) {
  switch (kind) {
    case RetryPolicy::Kind::kFixed: return "fixed";
    case RetryPolicy::Kind::kLinear: return "linear";
    case RetryPolicy::Kind::kExponential: return "exponential";
  }
  return "unknown";
}

std::optional<RetryPolicy::Kind> KindFromName(std::string_view name) {
  for (const auto kind :
       {RetryPolicy::Kind::kFixed, RetryPolicy::Kind::kLinear, RetryPolicy::Kind::kExponential}) {
    if (KindName(kind) == name) return kind;
  }
  return std::nullopt;
}

// `value` spread evenly over ±10 %.
DurationMs Jittered(DurationMs value, std::uint64_t bits) {
  const DurationMs reach = value / 10;
  const auto places = static_cast<std::uint64_t>(2 * reach + 1);
  return value - reach + static_cast<DurationMs>(bits % places);
}

}  // namespace

DurationMs RetryDelayMs(const RetryPolicy& policy, int retry_number, std::uint64_t jitter_bits) {
  const DurationMs initial = std::clamp<DurationMs>(policy.initial_ms, 1, kDelayMsMax);
  const DurationMs max = std::clamp<DurationMs>(policy.max_ms, initial, kDelayMsMax);
  const std::int64_t n = std::max(retry_number, 1);
  switch (policy.kind) {
    case RetryPolicy::Kind::kFixed: return initial;
    case RetryPolicy::Kind::kLinear: return n > max / initial ? max : initial * n;
    case RetryPolicy::Kind::kExponential: {
      DurationMs delay = initial;
      for (std::int64_t i = 1; i < n && delay < max; ++i) delay *= 2;
      return std::min(Jittered(std::min(delay, max), jitter_bits), max);
    }
  }
  return initial;
}

Result<RetryPolicy> ParseRetryPolicy(std::string_view text) {
  const auto refused = [&] {
    return Status::InvalidArgument("retry \"" + std::string(text.substr(0, 100)) +
                                   "\" is not like " + std::string(kForms));
  };
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return refused();
  const auto kind = KindFromName(text.substr(0, colon));
  if (!kind) return refused();
  std::string_view delays = text.substr(colon + 1);

  RetryPolicy policy;
  policy.kind = *kind;
  const std::size_t dots = delays.find("..");
  const auto initial = ParseDuration(delays.substr(0, dots));
  if (!initial.ok()) return refused();
  policy.initial_ms = *initial;
  policy.max_ms = std::max(policy.max_ms, *initial);
  if (dots != std::string_view::npos) {
    const auto max = ParseDuration(delays.substr(dots + 2));
    if (!max.ok() || *kind == RetryPolicy::Kind::kFixed) return refused();
    policy.max_ms = *max;
  }
  LTS_RETURN_IF_ERROR(
      ValidateRetryPolicy(policy).WithContext("retry \"" + std::string(text) + "\""));
  return policy;
}

std::string ToString(const RetryPolicy& policy) {
  std::string text = std::string(KindName(policy.kind)) + ":" + FormatDuration(policy.initial_ms);
  if (policy.kind != RetryPolicy::Kind::kFixed) text += ".." + FormatDuration(policy.max_ms);
  return text;
}

Status ValidateRetryPolicy(const RetryPolicy& policy) {
  if (policy.initial_ms < 1 || policy.initial_ms > kDelayMsMax) {
    return Status::InvalidArgument("retry.initial_ms " + std::to_string(policy.initial_ms) +
                                   ": must be 1 to " + std::to_string(kDelayMsMax) + " (30d)");
  }
  if (policy.kind == RetryPolicy::Kind::kFixed) return Status::Ok();
  if (policy.max_ms < policy.initial_ms || policy.max_ms > kDelayMsMax) {
    return Status::InvalidArgument("retry.max_ms " + std::to_string(policy.max_ms) + ": must be " +
                                   std::to_string(policy.initial_ms) + " (retry.initial_ms) to " +
                                   std::to_string(kDelayMsMax) + " (30d)");
  }
  return Status::Ok();
}

}  // namespace lts::model

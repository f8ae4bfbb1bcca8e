#include "common/duration.h"

#include <array>
#include <charconv>
#include <system_error>

namespace lts {
namespace {

struct Unit {
  std::string_view name;
  DurationMs ms;
};
// Falling; "ms" is told from "m" because the whole run of letters is compared.
constexpr std::array<Unit, 5> kUnits = {
    {{"d", kDayMs}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

Status NoDuration() {
  return Status::InvalidArgument("not a duration like 500ms, 30s, 5m, 4h, 7d or 1h30m");
}
Status TooLarge() { return Status::InvalidArgument("too large"); }

}  // namespace

Result<DurationMs> ParseDuration(std::string_view text) {
  if (text.empty()) return NoDuration();
  DurationMs total = 0;
  const Unit* unit = kUnits.begin();
  while (!text.empty()) {
    if (text.front() < '0' || text.front() > '9') return NoDuration();  // from_chars takes '-'
    DurationMs count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc()) return TooLarge();
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));

    const std::string_view written = text.substr(0, text.find_first_of("0123456789"));
    const std::string_view name = written == "min" ? "m" : written;
    while (unit != kUnits.end() && unit->name != name) ++unit;
    if (unit == kUnits.end()) {
      return Status::InvalidArgument(
          "unknown unit, or not in falling order; use d, h, m, s or ms, as in 1h30m");
    }
    if (count > kDurationMsMax / unit->ms) return TooLarge();
    text.remove_prefix(written.size());
    total += count * unit->ms;
    if (total > kDurationMsMax) return TooLarge();
    ++unit;  // each unit at most once
  }
  return total;
}

Result<DurationMs> ParseDuration(std::string_view text, DurationMs bare_unit_ms) {
  DurationMs count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (text.empty() || end != text.data() + text.size()) return ParseDuration(text);
  DurationMs ms = 0;
  if (error != std::errc() || __builtin_mul_overflow(count, bare_unit_ms, &ms)) return TooLarge();
  return ms;
}

std::string FormatDuration(DurationMs duration_ms) {
  if (duration_ms == 0) return "0s";
  for (const Unit& unit : kUnits) {
    if (duration_ms % unit.ms == 0) {
      return std::to_string(duration_ms / unit.ms) + std::string(unit.name);
    }
  }
  return std::to_string(duration_ms) + "ms";
}

}  // namespace lts

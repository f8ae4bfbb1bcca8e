#include "model/duration.h"

#include <array>
#include <charconv>

namespace lts::model {
namespace {

struct Unit {
  std::string_view name;
  DurationMs ms;
};
// Falling; "ms" is told from "m" because the whole run of letters is compared.
constexpr std::array<Unit, 5> kUnits = {
    {{"d", kDayMs}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

}  // namespace

std::optional<DurationMs> ParseDuration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  DurationMs total = 0;
  auto unit = kUnits.begin();
  while (!text.empty()) {
    if (text.front() < '0' || text.front() > '9') return std::nullopt;  // from_chars takes '-'
    DurationMs count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));

    const std::string_view name = text.substr(0, text.find_first_of("0123456789"));
    while (unit != kUnits.end() && unit->name != name) ++unit;
    if (unit == kUnits.end() || count > kDurationMsMax / unit->ms) return std::nullopt;
    text.remove_prefix(name.size());
    total += count * unit->ms;
    if (total > kDurationMsMax) return std::nullopt;
    ++unit;  // each unit at most once
  }
  return total;
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

}  // namespace lts::model

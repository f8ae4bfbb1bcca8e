#include "fuzz/cron_check.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/cron.h"
#include "model/time_zone.h"

namespace lts::fuzz {
namespace {

using model::CronExpression;
using model::TimeZone;

constexpr int kFires = 6;
// Just before clock changes, and far from them: 2011-12-29, 2024-03-09, 2024-11-02, 2050-04-02,
// 2196.
constexpr std::array<std::int64_t, 5> kStarts = {1'325'196'000, 1'709'985'600, 1'730'563'200,
                                                 2'532'463'200, 7'150'000'000};

std::string CheckError(std::string_view text, const Status& status) {
  constexpr std::string_view kPrefix = "position ";
  const std::string& message = status.message();
  if (status.code() != StatusCode::kInvalidArgument || !message.starts_with(kPrefix)) {
    return "an error without position: " + status.ToString();
  }
  std::size_t position = 0;
  std::from_chars(message.data() + kPrefix.size(), message.data() + message.size(), position);
  if (position < 1 || position > text.size() + 1) return "a position outside: " + message;
  return {};
}

std::string CheckFires(const CronExpression& cron, const TimeZone& zone, std::int64_t start) {
  std::int64_t time = start;
  for (int i = 0; i < kFires; ++i) {
    const auto next = cron.NextAfter(time, zone);
    if (!next) return {};
    if (*next <= time)
      return "a fire at " + std::to_string(*next) + " after " + std::to_string(time);
    if (!cron.interval_ms() && cron.NextAfter(*next - 1, zone) != *next) {
      return "the fire at " + std::to_string(*next) + " is not found again";
    }
    time = *next;
  }
  return {};
}

using Zones = std::vector<std::shared_ptr<const TimeZone>>;

Zones LoadZones() {
  Zones zones = {TimeZone::Utc()};
  model::TimeZoneCache cache(std::string(LTS_SOURCE_DIR) + "/tests/data/zoneinfo");
  for (const char* name : {"America/New_York", "Australia/Lord_Howe", "Pacific/Apia"}) {
    auto zone = cache.Find(name);
    if (zone.ok()) zones.push_back(*std::move(zone));
  }
  return zones;
}

}  // namespace

std::string CheckCron(std::string_view text) {
  static const Zones zones = LoadZones();
  if (zones.size() != 4) return "the zone files of the tests are missing";
  const auto cron = CronExpression::Parse(text);
  if (!cron.ok()) return CheckError(text, cron.status());
  for (const auto& zone : zones) {
    for (const std::int64_t start : kStarts) {
      std::string wrong = CheckFires(*cron, *zone, start);
      if (!wrong.empty()) return zone->name() + ": " + wrong;
    }
  }
  return {};
}

}  // namespace lts::fuzz

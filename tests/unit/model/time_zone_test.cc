#include "model/time_zone.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "model/posix_tz.h"

namespace lts::model {
namespace {

// Copies of real zone files, so that a new release of tzdata does not change what is right here.
const std::string kFolder = std::string(LTS_SOURCE_DIR) + "/tests/data/zoneinfo";

std::shared_ptr<const TimeZone> Zone(const std::string& name) {
  TimeZoneCache cache(kFolder);
  auto zone = cache.Find(name);
  EXPECT_TRUE(zone.ok()) << zone.status().ToString();
  return zone.ok() ? *zone : TimeZone::Utc();
}

std::string FileBytes(const std::string& name) {
  std::ifstream in(kFolder + "/" + name, std::ios::binary);
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(TimeZone, EveryChangeUntil2199IsWherePythonFindsIt) {
  std::ifstream in(std::string(LTS_SOURCE_DIR) + "/tests/data/zone_changes.tsv");
  ASSERT_TRUE(in);
  TimeZoneCache cache(kFolder);
  std::string line;
  int lines = 0;
  while (std::getline(in, line)) {
    if (line.front() == '#') continue;
    ++lines;
    std::istringstream columns(line);
    std::string name, changes;
    int year = 0;
    std::int32_t offset = 0;
    columns >> name >> year >> offset >> changes;
    const auto zone = cache.Find(name);
    ASSERT_TRUE(zone.ok()) << zone.status().ToString();
    const std::int64_t begin =
        std::chrono::sys_days(std::chrono::year(year) / 1 / 1).time_since_epoch().count() *
        86'400LL;
    const std::int64_t end =
        std::chrono::sys_days(std::chrono::year(year + 1) / 1 / 1).time_since_epoch().count() *
        86'400LL;
    EXPECT_EQ((*zone)->OffsetAt(begin), offset) << line;
    std::ostringstream found;
    for (auto period = (*zone)->PeriodAt(begin); period.end < end;) {
      const std::int64_t at = period.end;
      EXPECT_EQ((*zone)->OffsetAt(at - 1), period.offset);
      period = (*zone)->PeriodAt(at);
      EXPECT_EQ(period.begin, at);
      found << (found.str().empty() ? "" : ",") << at << "=" << period.offset;
    }
    EXPECT_EQ(found.str().empty() ? "-" : found.str(), changes) << line;
  }
  EXPECT_EQ(lines, 153);
}

TEST(TimeZone, LocalTimesInGapsAndOverlaps) {
  const auto berlin = Zone("Europe/Berlin");
  using Kind = TimeZone::Instant::Kind;
  // 31 March 2024 01:00 UTC: 02:00 -> 03:00. Local seconds of 02:30:
  const std::int64_t spring = 1'711'846'800;
  const auto gap = berlin->ToUtc(spring + 3600 + 1800);
  EXPECT_EQ(gap.kind, Kind::kGap);
  EXPECT_EQ(gap.first, spring);
  EXPECT_EQ(gap.last, spring);
  const auto gap_end = berlin->ToUtc(spring + 7200);
  EXPECT_EQ(gap_end.kind, Kind::kUnique);
  EXPECT_EQ(gap_end.first, spring);
  // 27 October 2024 01:00 UTC: 03:00 -> 02:00. Local seconds of 02:30:
  const std::int64_t autumn = 1'729'990'800;
  const auto overlap = berlin->ToUtc(autumn + 3600 + 1800);
  EXPECT_EQ(overlap.kind, Kind::kOverlap);
  EXPECT_EQ(overlap.first, autumn - 1800);
  EXPECT_EQ(overlap.last, autumn + 1800);
  const auto after = berlin->ToUtc(autumn + 7200);
  EXPECT_EQ(after.kind, Kind::kUnique);
  EXPECT_EQ(after.first, autumn + 3600);
}

TEST(TimeZone, DayThatApiaSkippedIsOneGap) {
  const auto apia = Zone("Pacific/Apia");
  const std::int64_t noon = 1'325'246'400;  // 30 December 2011 12:00 as local seconds
  const auto instant = apia->ToUtc(noon);
  EXPECT_EQ(instant.kind, TimeZone::Instant::Kind::kGap);
  EXPECT_EQ(instant.first, 1'325'239'200);  // 30 December 10:00 UTC = 31 December 00:00 there
}

TEST(TimeZone, UtcNeedsNoFilesAndNeverChanges) {
  TimeZoneCache cache("/nowhere");
  const auto utc = cache.Find("UTC");
  ASSERT_TRUE(utc.ok());
  EXPECT_EQ((*utc)->OffsetAt(4'000'000'000), 0);
  EXPECT_EQ((*utc)->PeriodAt(0).end, TimeZone::kEndOfTime);
  EXPECT_EQ((*utc)->ToUtc(5).first, 5);
}

TEST(TimeZone, FixedOffsetsOfEtc) {
  EXPECT_EQ(Zone("Etc/GMT+5")->OffsetAt(4'000'000'000), -5 * 3600);
}

TEST(TimeZoneCache, RefusesNamesThatLeadOutOfTheFolder) {
  TimeZoneCache cache(kFolder + "/Europe");
  for (const char* name : {"../America/New_York", "/etc/passwd", "", "Europe/", "Europe//Berlin",
                           "Berlin/..", ".", "Ber lin", "localtime", "right/Europe/Berlin"}) {
    const auto zone = cache.Find(name);
    ASSERT_FALSE(zone.ok()) << name;
    EXPECT_EQ(zone.status().code(), StatusCode::kInvalidArgument) << name;
  }
  EXPECT_TRUE(cache.Find("Berlin").ok());
}

TEST(TimeZoneCache, SaysWhetherTheZoneOrAllZonesAreMissing) {
  TimeZoneCache cache(kFolder);
  EXPECT_EQ(cache.Find("Mars/Olympus").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(cache.Find("Europe").status().code(), StatusCode::kInvalidArgument);
  TimeZoneCache none(kFolder + "/none");
  EXPECT_EQ(none.Find("Europe/Berlin").status().code(), StatusCode::kUnavailable);
}

TEST(TimeZoneCache, HandsOutTheSameZoneToAllThreads) {
  TimeZoneCache cache(kFolder);
  std::vector<std::shared_ptr<const TimeZone>> zones(4);
  std::vector<std::thread> threads;
  threads.reserve(zones.size());
  for (auto& slot : zones) {
    threads.emplace_back([&cache, &slot] { slot = *cache.Find("Europe/Dublin"); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& zone : zones) EXPECT_EQ(zone, zones.front());
}

TEST(TzifFile, EveryCutOffFileIsRefused) {
  const std::string bytes = FileBytes("Pacific/Apia");
  ASSERT_TRUE(TimeZone::FromTzif("x", bytes).ok());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto zone = TimeZone::FromTzif("x", std::string_view(bytes).substr(0, length));
    ASSERT_FALSE(zone.ok()) << length;
    EXPECT_EQ(zone.status().code(), StatusCode::kDataLoss);
  }
}

TEST(TzifFile, DamagedBytesNeverDoHarm) {
  const std::string good = FileBytes("Australia/Lord_Howe");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bytes = good;
    bytes[i] = static_cast<char>(bytes[i] ^ 0xff);
    const auto zone = TimeZone::FromTzif("x", bytes);  // the sanitizers watch
    if (zone.ok()) {
      EXPECT_LT((*zone)->OffsetAt(1'700'000'000), 86'400);
    }
  }
}

TEST(PosixTz, ReadsAllForms) {
  const auto dublin = PosixTz::Parse("IST-1GMT0,M10.5.0,M3.5.0/1");
  ASSERT_TRUE(dublin);
  EXPECT_EQ(dublin->standard_offset, 3600);
  EXPECT_EQ(dublin->dst_offset, 0);
  EXPECT_EQ(dublin->dst_begin.InYear(2024), 1'729'994'400);  // Sunday 27 October 02:00
  const auto howe = PosixTz::Parse("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0");
  ASSERT_TRUE(howe);
  EXPECT_EQ(howe->standard_offset, 37'800);
  const auto nuuk = PosixTz::Parse("<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
  ASSERT_TRUE(nuuk);
  EXPECT_EQ(nuuk->dst_offset, -3600);
  EXPECT_EQ(nuuk->dst_begin.InYear(2024), 1'711'839'600);  // Saturday 30 March 23:00
  const auto days = PosixTz::Parse("AAA3BBB,J60/0,365/25:30:15");
  ASSERT_TRUE(days);
  EXPECT_EQ(days->dst_begin.InYear(2024), 1'709'251'200);  // J60 is 1 March also in a leap year
  EXPECT_EQ(days->dst_begin.InYear(2023), 1'677'628'800);
  EXPECT_EQ(days->dst_end.InYear(2024), 1'735'603'200 + 25 * 3600 + 30 * 60 + 15);
  EXPECT_FALSE(PosixTz::Parse("<+03>-3")->has_dst);
}

TEST(PosixTz, RefusesWhatIsNotOne) {
  for (const char* text :
       {"", "A1", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "<+03-3", "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J5",
        "CET-1CEST,M3.5.0,M10.5.0x", "CET-168", "CET-1:60"}) {
    EXPECT_FALSE(PosixTz::Parse(text)) << text;
  }
}

}  // namespace
}  // namespace lts::model

#include "model/cron.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "model/time_zone.h"

namespace lts::model {
namespace {

std::shared_ptr<const TimeZone> Zone(const std::string& name) {
  auto zone = FindTimeZone(name);
  EXPECT_TRUE(zone.ok()) << zone.status().ToString();
  return zone.ok() ? *zone : TimeZone::Utc();
}

// Seconds since 1970 of "2024-03-10 02:30:00", as if it were UTC.
std::int64_t At(const std::string& text) {
  std::tm tm{};
  std::istringstream in(text);
  in >> std::get_time(&tm, "%Y-%m-%d %H:%M:%S");
  EXPECT_FALSE(in.fail()) << text;
  return timegm(&tm);
}

std::string LocalText(std::int64_t utc, const TimeZone& zone) {
  const std::int32_t offset = zone.OffsetAt(utc);
  const std::time_t local = utc + offset;
  std::tm tm{};
  gmtime_r(&local, &tm);
  std::ostringstream out;
  const int minutes = std::abs(offset) / 60;
  out << std::put_time(&tm, "%Y-%m-%d %H:%M:%S") << (offset < 0 ? "-" : "+") << std::setfill('0')
      << std::setw(2) << minutes / 60 << std::setw(2) << minutes % 60;
  return out.str();
}

// The first `count` fires after the UTC time `from`, as local times with offset; "-" ends the list.
std::vector<std::string> Fires(const std::string& text, const std::string& from, int count,
                               const std::string& zone_name = "UTC") {
  const auto zone = Zone(zone_name);
  const auto cron = CronExpression::Parse(text);
  if (!cron.ok()) return {cron.status().message()};
  std::vector<std::string> fires;
  std::int64_t time = At(from);
  for (int i = 0; i < count; ++i) {
    const auto next = cron->NextAfter(time, *zone);
    if (!next) {
      fires.emplace_back("-");
      break;
    }
    EXPECT_GT(*next, time);
    fires.push_back(LocalText(*next, *zone));
    time = *next;
  }
  return fires;
}

std::string ErrorOf(const std::string& text) {
  const auto cron = CronExpression::Parse(text);
  if (cron.ok()) return "accepted";
  EXPECT_EQ(cron.status().code(), StatusCode::kInvalidArgument);
  return cron.status().message();
}

using Texts = std::vector<std::string>;

TEST(Cron, AgreesWithQuartzOnAllVectors) {
  std::ifstream in(std::string(LTS_SOURCE_DIR) + "/tests/data/quartz_vectors.tsv");
  ASSERT_TRUE(in);
  int lines = 0;
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty() || line.front() == '#') continue;
    ++lines;
    std::istringstream columns(line);
    std::string text, zone_name, start, wanted;
    std::getline(columns, text, '\t');
    std::getline(columns, zone_name, '\t');
    std::getline(columns, start, '\t');
    std::getline(columns, wanted, '\t');
    const auto cron = CronExpression::Parse(text);
    ASSERT_TRUE(cron.ok()) << line << ": " << cron.status().ToString();
    const auto zone = Zone(zone_name);
    std::int64_t time = std::stoll(start);
    std::istringstream fires(wanted);
    std::string fire;
    while (std::getline(fires, fire, ',')) {
      const auto next = cron->NextAfter(time, *zone);
      ASSERT_EQ(next ? std::to_string(*next) : "-", fire) << line;
      if (next) time = *next;
    }
  }
  EXPECT_EQ(lines, 3000);
}

TEST(Cron, FifthOccurrenceAndLastDaysSkipMonthsWithoutThem) {
  EXPECT_EQ(
      Fires("0 0 0 ? * MON#5", "2024-01-01 00:00:00", 3),
      (Texts{"2024-01-29 00:00:00+0000", "2024-04-29 00:00:00+0000", "2024-07-29 00:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 0 L-30 * ?", "2024-01-15 00:00:00", 2),
            (Texts{"2024-03-01 00:00:00+0000", "2024-05-01 00:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 0 31W * ?", "2024-02-01 00:00:00", 2),
            (Texts{"2024-03-29 00:00:00+0000", "2024-05-31 00:00:00+0000"}));
}

TEST(Cron, LeapDayIsFoundAcrossACenturyWithout) {
  EXPECT_EQ(Fires("0 0 0 29 2 ?", "2096-03-01 00:00:00", 2),
            (Texts{"2104-02-29 00:00:00+0000", "2108-02-29 00:00:00+0000"}));
}

TEST(Cron, WeekdayNearestStaysInItsMonth) {
  // 1 June 2024 is a Saturday, 30 June 2024 and 31 March 2024 are Sundays.
  EXPECT_EQ(Fires("0 0 0 1W 6 ?", "2024-01-01 00:00:00", 1), (Texts{"2024-06-03 00:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 0 30W 6 ?", "2024-01-01 00:00:00", 1), (Texts{"2024-06-28 00:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 0 LW 3 ?", "2024-01-01 00:00:00", 1), (Texts{"2024-03-29 00:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 0 L-1W 3 ?", "2024-01-01 00:00:00", 1), (Texts{"2024-03-29 00:00:00+0000"}));
}

TEST(Cron, RangesWrapOverTheEnd) {
  EXPECT_EQ(Fires("0 0 22-2/2 * * ?", "2024-01-01 12:00:00", 4),
            (Texts{"2024-01-01 22:00:00+0000", "2024-01-02 00:00:00+0000",
                   "2024-01-02 02:00:00+0000", "2024-01-02 22:00:00+0000"}));
  EXPECT_EQ(
      Fires("0 0 0 1 NOV-FEB ?", "2024-01-15 00:00:00", 3),
      (Texts{"2024-02-01 00:00:00+0000", "2024-11-01 00:00:00+0000", "2024-12-01 00:00:00+0000"}));
  EXPECT_EQ(
      Fires("0 0 0 ? * FRI-MON", "2024-01-02 00:00:00", 5),
      (Texts{"2024-01-05 00:00:00+0000", "2024-01-06 00:00:00+0000", "2024-01-07 00:00:00+0000",
             "2024-01-08 00:00:00+0000", "2024-01-12 00:00:00+0000"}));
}

TEST(Cron, CaseBlanksAndLongNamesDoNotMatter) {
  EXPECT_EQ(Fires(" 0\t0 12 ?  january-Mar  monday ", "2024-01-02 00:00:00", 1),
            (Texts{"2024-01-08 12:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 12 ? * friL", "2024-01-02 00:00:00", 1),
            (Texts{"2024-01-26 12:00:00+0000"}));
}

TEST(Cron, LoneLIsSaturdayAmongWeekdays) {
  EXPECT_EQ(Fires("0 0 0 ? * L", "2024-01-01 00:00:00", 2),
            (Texts{"2024-01-06 00:00:00+0000", "2024-01-13 00:00:00+0000"}));
}

TEST(Cron, StepZeroOrBeyondTheFieldAfterAValueIsTheValueAlone) {
  for (const char* text : {"0/60 0 0 * * ?", "0/0 0 0 * * ?"}) {
    EXPECT_EQ(Fires(text, "2024-01-01 00:00:00", 2),
              (Texts{"2024-01-02 00:00:00+0000", "2024-01-03 00:00:00+0000"}));
  }
}

TEST(Cron, SlashWithoutStarIsTheSameAsWithIt) {
  EXPECT_EQ(Fires("0 /20 * * * ?", "2024-01-01 00:00:00", 3),
            Fires("0 */20 * * * ?", "2024-01-01 00:00:00", 3));
}

TEST(Cron, YearFieldEndsTheSchedule) {
  EXPECT_EQ(Fires("0 0 0 1 1 ? 2025-2026", "2024-06-01 00:00:00", 5),
            (Texts{"2025-01-01 00:00:00+0000", "2026-01-01 00:00:00+0000", "-"}));
  EXPECT_EQ(Fires("0 0 0 30 2 ?", "2024-01-01 00:00:00", 1), (Texts{"-"}));
  EXPECT_EQ(Fires("0 0 0 31 12 ?", "2199-06-01 00:00:00", 2),
            (Texts{"2199-12-31 00:00:00+0000", "-"}));
}

TEST(Cron, UnixFieldsFireOnTheMinute) {
  EXPECT_EQ(
      Fires("*/15 9-10 * * 1-5", "2024-01-05 10:20:00", 3),
      (Texts{"2024-01-05 10:30:00+0000", "2024-01-05 10:45:00+0000", "2024-01-08 09:00:00+0000"}));
}

TEST(Cron, UnixSundayIsZeroAndSeven) {
  const Texts sundays = {"2024-01-07 00:00:00+0000", "2024-01-14 00:00:00+0000"};
  EXPECT_EQ(Fires("0 0 * * 0", "2024-01-01 00:00:00", 2), sundays);
  EXPECT_EQ(Fires("0 0 * * 7", "2024-01-01 00:00:00", 2), sundays);
  EXPECT_EQ(Fires("0 0 * * SUN", "2024-01-01 00:00:00", 2), sundays);
  EXPECT_EQ(
      Fires("0 0 * * 5-7", "2024-01-01 00:00:00", 3),
      (Texts{"2024-01-05 00:00:00+0000", "2024-01-06 00:00:00+0000", "2024-01-07 00:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 * * 6-1", "2024-01-01 00:00:00", 4),
            (Texts{"2024-01-06 00:00:00+0000", "2024-01-07 00:00:00+0000",
                   "2024-01-08 00:00:00+0000", "2024-01-13 00:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 * * */3", "2024-01-01 00:00:00", 4),
            (Texts{"2024-01-03 00:00:00+0000", "2024-01-06 00:00:00+0000",
                   "2024-01-07 00:00:00+0000", "2024-01-10 00:00:00+0000"}));
}

TEST(Cron, UnixDayAndWeekdayUniteOnlyWhenBothAreRestricted) {
  EXPECT_EQ(
      Fires("0 0 13 * 5", "2024-09-01 00:00:00", 3),
      (Texts{"2024-09-06 00:00:00+0000", "2024-09-13 00:00:00+0000", "2024-09-20 00:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 10 * 5", "2024-09-01 00:00:00", 2),
            (Texts{"2024-09-06 00:00:00+0000", "2024-09-10 00:00:00+0000"}));
  EXPECT_EQ(Fires("0 0 */2 * 1", "2024-09-01 00:00:00", 2),  // odd Mondays
            (Texts{"2024-09-09 00:00:00+0000", "2024-09-23 00:00:00+0000"}));
}

TEST(Cron, ShorthandsMeanTheirFields) {
  const std::string from = "2024-02-28 12:30:00";
  EXPECT_EQ(Fires("@hourly", from, 1), (Texts{"2024-02-28 13:00:00+0000"}));
  EXPECT_EQ(Fires("@daily", from, 1), (Texts{"2024-02-29 00:00:00+0000"}));
  EXPECT_EQ(Fires("@Midnight", from, 1), (Texts{"2024-02-29 00:00:00+0000"}));
  EXPECT_EQ(Fires("@weekly", from, 1), (Texts{"2024-03-03 00:00:00+0000"}));
  EXPECT_EQ(Fires("@monthly", from, 1), (Texts{"2024-03-01 00:00:00+0000"}));
  EXPECT_EQ(Fires("@yearly", from, 1), (Texts{"2025-01-01 00:00:00+0000"}));
  EXPECT_EQ(Fires("@annually", from, 1), (Texts{"2025-01-01 00:00:00+0000"}));
}

TEST(Cron, EveryCountsElapsedTime) {
  EXPECT_EQ(Fires("@every 90s", "2024-01-01 00:00:07", 2),
            (Texts{"2024-01-01 00:01:37+0000", "2024-01-01 00:03:07+0000"}));
  // 24 hours on the day that has 23: the local hour moves.
  EXPECT_EQ(Fires("@every 24h", "2024-03-30 12:00:00", 1, "Europe/Berlin"),
            (Texts{"2024-03-31 14:00:00+0200"}));
  EXPECT_EQ(CronExpression::Parse("@EVERY 5M")->interval_ms(), 300'000);
  EXPECT_EQ(CronExpression::Parse("0 * * * * ?")->interval_ms(), std::nullopt);
}

TEST(Cron, ErrorsNamePositionAndReason) {
  EXPECT_EQ(ErrorOf("0 0 75 * * ?"), "position 5: hour 75 is not in 0-23");
  EXPECT_EQ(ErrorOf("0 0,10,75 * * * ?"), "position 8: minute 75 is not in 0-59");
  EXPECT_EQ(ErrorOf(""), "position 1: the expression is empty");
  EXPECT_EQ(ErrorOf("0 0 *"),
            "position 6: the expression ends after 3 fields; 5, 6 or 7 are needed");
  EXPECT_EQ(ErrorOf("0 0 0 * * ? * x"), "position 15: 'X' follows the 7th field");
  EXPECT_EQ(ErrorOf("0 0 0 ? * ?"), "position 11: day of month and day of week are both '?'");
  EXPECT_EQ(ErrorOf("0 0 0 * * *"), "position 11: one of day of month and day of week must be '?'");
  EXPECT_EQ(ErrorOf("0 0 0 1 FOO ?"), "position 9: 'FOO' is no month");
  EXPECT_EQ(ErrorOf("0 0 0 ? * FUN"), "position 11: 'FUN' is no day of week");
  EXPECT_EQ(ErrorOf("0 0 0 1,L * ?"), "position 9: 'L' must stand alone, without other days");
  EXPECT_EQ(ErrorOf("0 0 0 L-31 * ?"), "position 9: offset 31 from the last day is above 30");
  EXPECT_EQ(ErrorOf("0 0 0 1-5W * ?"), "position 8: '-' cannot be used beside 'W'");
  EXPECT_EQ(ErrorOf("0 0 0 ? * 6#6"), "position 13: 1 to 5 must follow '#'");
  EXPECT_EQ(ErrorOf("0 0 0 ? * 6#1,6#3"),
            "position 14: 'L' and '#' go with a single day of the week");
  EXPECT_EQ(ErrorOf("0 0 0 ? * 2,6L"), "position 12: 'L' and '#' go with a single day of the week");
  EXPECT_EQ(ErrorOf("0 0 0 1 1 ? 2030-2026"), "position 18: year range 2030-2026 runs backwards");
  EXPECT_EQ(ErrorOf("0 */60 * * * ?"), "position 5: step 60 of minute is above 59");
  EXPECT_EQ(ErrorOf("0 1,,2 * * * ?"), "position 5: a minute is missing here");
  EXPECT_EQ(ErrorOf("0 1/ * * * ?"), "position 5: a step is missing after '/'");
  EXPECT_EQ(ErrorOf("0 99999999999999999999 * * * ?"),
            "position 3: minute 99999999999999999999 is not in 0-59");
  EXPECT_EQ(ErrorOf("@reboot").substr(0, 35), "position 1: '@REBOOT' is not known;");
  EXPECT_EQ(ErrorOf("@daily 5"), "position 8: '5' is not expected here");
  EXPECT_EQ(ErrorOf("@every"), "position 7: a time like 90s is missing after @every");
  EXPECT_EQ(ErrorOf("@every 500ms").substr(0, 31), "position 8: '500ms' is not a ti");
  EXPECT_EQ(ErrorOf("0 0 12 * \xc3\xa4 ?"), "position 10: a character outside of ASCII text");
  EXPECT_EQ(ErrorOf(std::string(129, '0')),
            "position 129: the expression has 129 bytes; at most 128");
}

TEST(Cron, QuartzSignsAreRefusedInTheUnixForm) {
  EXPECT_EQ(ErrorOf("0 12 * * ?"),
            "position 10: '?' belongs to the form of 6 fields, which begins with the second");
  EXPECT_NE(ErrorOf("0 12 L * *"), "accepted");
  EXPECT_NE(ErrorOf("0 12 * * 5L"), "accepted");
  EXPECT_NE(ErrorOf("0 12 * * 5#3"), "accepted");
  EXPECT_NE(ErrorOf("0 12 15W * *"), "accepted");
}

// The table in cron.h, line by line.
TEST(CronDiffersFromQuartz, StepAfterARangeOfNamesIsUsed) {
  EXPECT_EQ(
      Fires("0 0 0 ? * MON-FRI/2", "2024-01-01 12:00:00", 3),
      (Texts{"2024-01-03 00:00:00+0000", "2024-01-05 00:00:00+0000", "2024-01-08 00:00:00+0000"}));
}
TEST(CronDiffersFromQuartz, WhatFollowsAStarOrTheSeventhFieldIsRefused) {
  EXPECT_EQ(ErrorOf("0 *5 * * * ?"), "position 4: '5' is not expected after '*'");
  EXPECT_EQ(ErrorOf("0 0 0 * * ? 2025 2026"), "position 18: '2026' follows the 7th field");
}
TEST(CronDiffersFromQuartz, LettersAfterANameAreRefusedUnlessTheySpellIt) {
  EXPECT_EQ(ErrorOf("0 0 0 1 JANFOO ?"), "position 9: 'JANFOO' is no month");
}
TEST(CronDiffersFromQuartz, StepZeroOfAStarOrRangeIsRefused) {
  EXPECT_EQ(ErrorOf("0 */0 * * * ?"), "position 5: step 0 leads nowhere");
  EXPECT_EQ(ErrorOf("0 1-5/0 * * * ?"), "position 7: step 0 leads nowhere");
}
TEST(CronDiffersFromQuartz, YearsAreChecked) {
  EXPECT_EQ(ErrorOf("0 0 0 1 1 ? 2200"), "position 13: year 2200 is not in 1970-2199");
}
TEST(CronDiffersFromQuartz, NthWeekdayInAListIsRefused) {
  EXPECT_EQ(ErrorOf("0 0 0 ? * MON,6#3"),
            "position 14: 'L' and '#' go with a single day of the week");
}

TEST(CronAsInQuartz, ListWithWMeansItsSmallestDay) {
  EXPECT_EQ(Fires("0 0 0 20,15W * ?", "2024-06-01 00:00:00", 2),  // the 15th is a Saturday
            (Texts{"2024-06-14 00:00:00+0000", "2024-07-15 00:00:00+0000"}));
}
TEST(CronAsInQuartz, WeekdayNearestToTheDayAfterTheMonthIsItsLastFriday) {
  EXPECT_EQ(Fires("0 0 0 31W 11 ?", "2024-01-01 00:00:00", 2),
            (Texts{"2029-11-30 00:00:00+0000", "2035-11-30 00:00:00+0000"}));
}

// Clock changes.
TEST(CronDst, FiresInsideAGapBecomeOneAtItsEnd) {
  EXPECT_EQ(Fires("0 */10 2 * * ?", "2024-03-10 05:00:00", 2, "America/New_York"),
            (Texts{"2024-03-10 03:00:00-0400", "2024-03-11 02:00:00-0400"}));
  EXPECT_EQ(Fires("0 30 2 * * ?", "2024-03-30 12:00:00", 2, "Europe/Berlin"),
            (Texts{"2024-03-31 03:00:00+0200", "2024-04-01 02:30:00+0200"}));
}

TEST(CronDst, FireAtTheEndOfAGapIsFoundFromTheSecondBefore) {
  EXPECT_EQ(Fires("0 30 2 * * ?", "2024-03-31 00:59:59", 1, "Europe/Berlin"),
            (Texts{"2024-03-31 03:00:00+0200"}));
}

TEST(CronDst, FireAtTheEndOfAGapIsNotDoubled) {
  EXPECT_EQ(
      Fires("0 30,0 2,3 * * ?", "2024-03-31 00:00:00", 3, "Europe/Berlin"),
      (Texts{"2024-03-31 03:00:00+0200", "2024-03-31 03:30:00+0200", "2024-04-01 02:00:00+0200"}));
}

TEST(CronDst, EveryHourFiresInBothPasses) {
  for (const char* hour : {"*", "*/1", "0/1", "/1"}) {
    EXPECT_EQ(
        Fires("0 30 " + std::string(hour) + " * * ?", "2024-11-03 05:00:00", 3, "America/New_York"),
        (Texts{"2024-11-03 01:30:00-0400", "2024-11-03 01:30:00-0500", "2024-11-03 02:30:00-0500"}))
        << hour;
  }
  EXPECT_EQ(
      Fires("@hourly", "2024-11-03 04:30:00", 3, "America/New_York"),
      (Texts{"2024-11-03 01:00:00-0400", "2024-11-03 01:00:00-0500", "2024-11-03 02:00:00-0500"}));
}

TEST(CronDst, OtherHoursFireInTheFirstPassOnly) {
  for (const char* hour : {"1", "0-23", "*/2,1", "1-23"}) {
    EXPECT_EQ(Fires("0 30 " + std::string(hour) + " 3 11 ?", "2024-11-03 05:00:00", 1,
                    "America/New_York"),
              (Texts{"2024-11-03 01:30:00-0400"}));
    const Texts after =
        Fires("0 30 " + std::string(hour) + " * * ?", "2024-11-03 05:30:00", 1, "America/New_York");
    EXPECT_NE(after, (Texts{"2024-11-03 01:30:00-0500"})) << hour;
  }
}

TEST(CronDst, FirstPassRuleHoldsWhenAskedDuringTheSecondPass) {
  EXPECT_EQ(Fires("* * 1 * * ?", "2024-11-03 06:10:00", 1, "America/New_York"),
            (Texts{"2024-11-04 01:00:00-0500"}));
  EXPECT_EQ(Fires("0 30 0-23 * * ?", "2024-11-03 06:10:00", 1, "America/New_York"),
            (Texts{"2024-11-03 02:30:00-0500"}));
}

TEST(CronDst, HalfAnHourOfLordHowe) {
  // 6 October 2024: 02:00 -> 02:30; 7 April 2024: 02:00 -> 01:30.
  EXPECT_EQ(Fires("0 15 2 * * ?", "2024-10-05 12:00:00", 1, "Australia/Lord_Howe"),
            (Texts{"2024-10-06 02:30:00+1100"}));
  EXPECT_EQ(
      Fires("0 45 * * * ?", "2024-04-06 14:00:00", 3, "Australia/Lord_Howe"),
      (Texts{"2024-04-07 01:45:00+1100", "2024-04-07 01:45:00+1030", "2024-04-07 02:45:00+1030"}));
  EXPECT_EQ(Fires("0 45 1 * * ?", "2024-04-06 14:00:00", 2, "Australia/Lord_Howe"),
            (Texts{"2024-04-07 01:45:00+1100", "2024-04-08 01:45:00+1030"}));
}

TEST(CronDst, DayThatApiaSkippedFiresOnce) {
  EXPECT_EQ(
      Fires("0 0 12 * * ?", "2011-12-29 12:00:00", 3, "Pacific/Apia"),
      (Texts{"2011-12-29 12:00:00-1000", "2011-12-31 00:00:00+1400", "2011-12-31 12:00:00+1400"}));
}

TEST(CronDst, MidnightThatSaoPauloSkippedOrRepeated) {
  // 4 November 2018: 00:00 -> 01:00; 18 February 2018: 00:00 -> 23:00 of the 17th.
  EXPECT_EQ(Fires("0 0 0 * * ?", "2018-11-03 12:00:00", 2, "America/Sao_Paulo"),
            (Texts{"2018-11-04 01:00:00-0200", "2018-11-05 00:00:00-0200"}));
  EXPECT_EQ(Fires("0 30 * 17 2 ? 2018", "2018-02-18 01:00:00", 3, "America/Sao_Paulo"),
            (Texts{"2018-02-17 23:30:00-0200", "2018-02-17 23:30:00-0300", "-"}));
}

TEST(CronDst, RightAfter2038) {
  EXPECT_EQ(Fires("0 0 12 4 7 ?", "2038-01-01 00:00:00", 1, "America/New_York"),
            (Texts{"2038-07-04 12:00:00-0400"}));
  EXPECT_EQ(Fires("0 30 2 ? 3 SUNL", "2100-01-01 00:00:00", 1, "Europe/Berlin"),
            (Texts{"2100-03-28 03:00:00+0200"}));
  EXPECT_EQ(
      Fires("0 30 * * 10 ?", "2199-10-27 00:00:00", 3, "Europe/Berlin"),
      (Texts{"2199-10-27 02:30:00+0200", "2199-10-27 02:30:00+0100", "2199-10-27 03:30:00+0100"}));
}

// NextAfter against the definition applied second by second, around every kind of change.
TEST(CronDst, AgreesWithSteppingThroughTheSeconds) {
  const Texts expressions = {"0 */20 * * * ?", "30 15,45 1 * * ?",    "0 0 2,3 * * ?",
                             "0 0 0 * * ?",    "15 10/20 0-23 * * ?", "0 30 23 * * ?",
                             "0 7 0/1 * * ?",  "0 30 2-3 ? * SUN"};
  struct Change {
    const char* zone;
    const char* from;  // UTC; the following 40 hours are looked at
  };
  for (const Change change : {Change{"America/New_York", "2024-03-09 12:00:00"},
                              Change{"America/New_York", "2055-11-06 12:00:00"},
                              Change{"Australia/Lord_Howe", "2024-04-06 00:00:00"},
                              Change{"America/Sao_Paulo", "2018-02-17 06:00:00"},
                              Change{"Africa/Cairo", "2024-04-25 06:00:00"},
                              Change{"Pacific/Apia", "2011-12-29 20:00:00"}}) {
    const auto zone = Zone(change.zone);
    for (const std::string& text : expressions) {
      const auto cron = CronExpression::Parse(text);
      ASSERT_TRUE(cron.ok());
      const bool both = text.find(" * * * ?") != std::string::npos || text == "0 7 0/1 * * ?";
      const std::int64_t begin = At(change.from);
      const std::int64_t end = begin + std::int64_t{40} * 3600;
      // Which local seconds match is asked of the same expression in UTC, where no clock changes.
      const auto matches = [&](std::int64_t local) {
        return cron->NextAfter(local - 1, *TimeZone::Utc()) == local;
      };
      std::vector<std::int64_t> wanted;
      for (std::int64_t utc = begin + 1; utc <= end; ++utc) {
        const std::int64_t local = utc + zone->OffsetAt(utc);
        const std::int64_t jump = zone->OffsetAt(utc) - zone->OffsetAt(utc - 1);
        bool fires = false;
        if ((local % 5 == 0) && matches(local)) {
          fires = both || zone->ToUtc(local).first == utc;
        }
        if (jump > 0) {
          const auto skipped = cron->NextAfter(local - jump - 1, *TimeZone::Utc());
          fires = fires || (skipped && *skipped < local);
        }
        if (fires) wanted.push_back(utc);
      }
      std::vector<std::int64_t> found;
      for (auto next = cron->NextAfter(begin, *zone); next && *next <= end;
           next = cron->NextAfter(*next, *zone)) {
        found.push_back(*next);
      }
      EXPECT_EQ(found, wanted) << text << " " << change.zone;
    }
  }
}

}  // namespace
}  // namespace lts::model

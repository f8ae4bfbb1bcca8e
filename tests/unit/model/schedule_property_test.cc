// Random schedules against an oracle that steps through time: it asks the C library, which has its
// own reading of the zone files, for the local time of every minute, and looks whether the fields
// match. Nothing here knows how model/cron.cc finds a fire.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "model/cron.h"
#include "model/schedule.h"
#include "model/time_zone.h"

namespace lts::model {
namespace {

constexpr std::int64_t kMinute = 60;
constexpr std::int64_t kHour = 3'600;
constexpr std::int64_t kDay = 86'400;

// ---- the oracle's time

// A civil time of which no zone is known. Weekday 0 = Sunday.
struct Civil {
  int year, month, day, hour, minute, weekday, days_in_month;
  auto Key() const { return std::tie(year, month, day, hour, minute); }
};

bool IsLeap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

int DaysIn(int year, int month) {
  if (month == 2) return IsLeap(year) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

Civil CivilOf(const std::tm& tm) {
  const int year = tm.tm_year + 1900;
  const int month = tm.tm_mon + 1;
  return {year, month, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_wday, DaysIn(year, month)};
}

Civil CivilOfUtc(std::int64_t seconds) {
  std::tm tm{};
  const std::time_t time = seconds;
  gmtime_r(&time, &tm);
  return CivilOf(tm);
}

// The C library set to a zone, as long as it lives. One at a time.
class LibraryZone {
 public:
  explicit LibraryZone(const std::string& name) {
    setenv("TZ", (":" + std::string(kZoneFolder) + "/" + name).c_str(), 1);
    tzset();
  }
  ~LibraryZone() {
    unsetenv("TZ");
    tzset();
  }
  LibraryZone(const LibraryZone&) = delete;
  LibraryZone& operator=(const LibraryZone&) = delete;

  static std::tm Local(std::int64_t utc) {
    std::tm tm{};
    const std::time_t time = utc;
    localtime_r(&time, &tm);
    return tm;
  }
  static std::int64_t Offset(std::int64_t utc) { return Local(utc).tm_gmtoff; }

  // The instants at which the offset changes.
  static std::vector<std::int64_t> Changes(std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kStep = 6 * kHour;
    std::vector<std::int64_t> changes;
    std::int64_t before = Offset(begin);
    for (std::int64_t time = begin; time < end; time += kStep) {
      const std::int64_t after = Offset(time + kStep);
      if (after == before) continue;
      std::int64_t low = time;
      std::int64_t high = time + kStep;
      while (high - low > 1) {
        const std::int64_t middle = low + (high - low) / 2;
        (Offset(middle) == before ? low : high) = middle;
      }
      changes.push_back(high);
      before = after;
    }
    return changes;
  }
};

// ---- random expressions, each field with what it means

using Fits = std::function<bool(const Civil&)>;

struct Expression {
  std::string text;
  std::vector<int> seconds;
  std::vector<int> minutes;
  std::vector<int> hours;
  bool both_passes = false;
  Fits date;

  bool Matches(const Civil& time) const {
    const auto has = [](const std::vector<int>& values, int value) {
      return std::find(values.begin(), values.end(), value) != values.end();
    };
    return has(minutes, time.minute) && has(hours, time.hour) && date(time);
  }
};

struct Field {
  std::string text;
  std::vector<int> values;
};

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  int Between(int a, int b) { return a + Below(b - a + 1); }

  // Of a field of numbers from `min` to `max`, often with one of `likely`.
  Field Numbers(int min, int max, const std::vector<int>& likely) {
    const int size = max - min + 1;
    const auto pick = [&] {
      return likely.empty() || Below(3) == 0
                 ? Between(min, max)
                 : likely[static_cast<std::size_t>(Below(static_cast<int>(likely.size())))];
    };
    Field field;
    switch (Below(6)) {
      case 0: {
        field.text = "*";
        for (int v = min; v <= max; ++v) field.values.push_back(v);
        return field;
      }
      case 1: {
        const int step = Between(1, size - 1);
        field.text = "*/" + std::to_string(step);
        for (int v = min; v <= max; v += step) field.values.push_back(v);
        return field;
      }
      case 2: {
        const int first = pick();
        const int step = Between(1, 7);
        field.text = std::to_string(first) + "/" + std::to_string(step);
        for (int v = first; v <= max; v += step) field.values.push_back(v);
        return field;
      }
      case 3: {
        // May run over the end.
        const int first = pick();
        const int length = Between(1, size);
        const int last = min + (first - min + length - 1) % size;
        field.text = std::to_string(first) + "-" + std::to_string(last);
        for (int k = 0; k < length; ++k) field.values.push_back(min + (first - min + k) % size);
        return field;
      }
      case 4: {
        const int count = Between(2, 4);
        for (int k = 0; k < count; ++k) {
          field.values.push_back(pick());
          field.text += (k == 0 ? "" : ",") + std::to_string(field.values.back());
        }
        return field;
      }
      default: {
        field.values = {pick()};
        field.text = std::to_string(field.values[0]);
        return field;
      }
    }
  }

  Field Hours(const std::vector<int>& likely) {
    static const char* const kEvery[] = {"*", "*/1", "/1", "0/1"};
    if (Below(3) != 0) return Numbers(0, 23, likely);
    Field field{kEvery[Below(4)], {}};
    for (int hour = 0; hour < 24; ++hour) field.values.push_back(hour);
    return field;
  }

  // Quartz: day of month, month, day of week, perhaps a year. `near` is a date that often fits.
  std::string QuartzDate(const Civil& near, Fits* fits, std::string* year_text) {
    Fits day, month, year = [](const Civil&) { return true; };
    std::string day_text = "?", weekday_text = "?";
    switch (Below(9)) {
      case 0: {
        const int before = Below(4);
        day_text = before == 0 ? "L" : "L-" + std::to_string(before);
        day = [before](const Civil& c) { return c.day == c.days_in_month - before; };
        break;
      }
      case 1: {
        const int wanted = Between(1, 28);  // a day that every month has
        day_text = std::to_string(wanted) + "W";
        day = [wanted](const Civil& c) { return c.day == NearestWeekday(c, wanted); };
        break;
      }
      case 2: {
        day_text = "LW";
        day = [](const Civil& c) { return c.day == NearestWeekday(c, c.days_in_month); };
        break;
      }
      case 3: {
        const int weekday = Below(2) == 0 ? near.weekday : Below(7);
        const int nth = Below(2) == 0 ? (near.day + 6) / 7 : Between(1, 5);
        weekday_text = std::to_string(weekday + 1) + "#" + std::to_string(nth);
        day = [weekday, nth](const Civil& c) {
          return c.weekday == weekday && (c.day + 6) / 7 == nth;
        };
        break;
      }
      case 4: {
        const int weekday = Below(2) == 0 ? near.weekday : Below(7);
        weekday_text = std::to_string(weekday + 1) + "L";
        day = [weekday](const Civil& c) {
          return c.weekday == weekday && c.day + 7 > c.days_in_month;
        };
        break;
      }
      case 5: {
        static const char* const kNames[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};
        const int first = Below(7);
        const int length = Between(1, 7);
        const int last = (first + length - 1) % 7;
        weekday_text = std::string(kNames[first]) + "-" + kNames[last];
        day = [first, length](const Civil& c) { return (c.weekday + 7 - first) % 7 < length; };
        break;
      }
      case 6: {
        const Field field = Numbers(1, 31, {near.day});
        day_text = field.text;
        day = [values = field.values](const Civil& c) {
          return std::find(values.begin(), values.end(), c.day) != values.end();
        };
        break;
      }
      default: {
        day_text = "*";
        day = [](const Civil&) { return true; };
      }
    }
    const Field months = Below(2) == 0 ? Numbers(1, 12, {near.month}) : AllMonths();
    if (Below(4) == 0) {
      const int first = near.year - Below(3);
      const int last = near.year + Below(30);
      *year_text = " " + std::to_string(first) + "-" + std::to_string(std::min(last, 2199));
      year = [first, last](const Civil& c) { return c.year >= first && c.year <= last; };
    } else if (Below(6) == 0) {
      const int step = Between(2, 4);
      *year_text = " " + std::to_string(near.year - step) + "/" + std::to_string(step);
      const int first = near.year - step;
      year = [first, step](const Civil& c) {
        return c.year >= first && (c.year - first) % step == 0;
      };
    }
    *fits = [day, year, values = months.values](const Civil& c) {
      return year(c) && std::find(values.begin(), values.end(), c.month) != values.end() && day(c);
    };
    return day_text + " " + months.text + " " + weekday_text;
  }

  // Unix: either of day and weekday when both are restricted, else both.
  std::string UnixDate(const Civil& near, Fits* fits) {
    const Field days = Numbers(1, 31, {near.day});
    const Field months = Below(2) == 0 ? Numbers(1, 12, {near.month}) : AllMonths();
    const Field weekdays = Numbers(0, 6, {near.weekday});
    const bool either = days.text[0] != '*' && weekdays.text[0] != '*';
    *fits = [days, months, weekdays, either](const Civil& c) {
      const auto has = [](const Field& field, int value) {
        return std::find(field.values.begin(), field.values.end(), value) != field.values.end();
      };
      const bool day = has(days, c.day);
      const bool weekday = has(weekdays, c.weekday);
      return has(months, c.month) && (either ? day || weekday : day && weekday);
    };
    return days.text + " " + months.text + " " + weekdays.text;
  }

  Expression Make(const Civil& near, const std::vector<int>& likely_hours) {
    Expression made;
    const Field minutes = Numbers(0, 59, {0, 15, 30, 45, 59});
    const Field hours = Hours(likely_hours);
    made.minutes = minutes.values;
    made.hours = hours.values;
    static const std::set<std::string> kEveryHour = {"*", "*/1", "/1", "0/1"};
    made.both_passes = kEveryHour.count(hours.text) != 0;
    if (Below(4) == 0) {
      made.seconds = {0};
      made.text = minutes.text + " " + hours.text + " " + UnixDate(near, &made.date);
      return made;
    }
    static const Field kSeconds[] = {
        {"0", {0}}, {"17", {17}}, {"0,30", {0, 30}}, {"*/20", {0, 20, 40}}};
    const Field& seconds = kSeconds[Below(4)];
    made.seconds = seconds.values;
    std::string year;
    const std::string date = QuartzDate(near, &made.date, &year);
    made.text = seconds.text + " " + minutes.text + " " + hours.text + " " + date + year;
    return made;
  }

 private:
  static Field AllMonths() { return {"*", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}; }

  // The Monday to Friday of the month that is nearest to `day`, found by looking at its days.
  static int NearestWeekday(const Civil& any, int day) {
    int best = 0;
    for (int other = 1; other <= any.days_in_month; ++other) {
      const int weekday = ((any.weekday + other - any.day) % 7 + 7) % 7;
      if (weekday == 0 || weekday == 6) continue;
      if (best == 0 || std::abs(other - day) < std::abs(best - day)) best = other;
    }
    return best;
  }

  std::mt19937_64 random_;
};

// ---- the oracle

// What the library says of a stretch of time: its minutes, and those that clocks jumped over.
struct Stretch {
  struct Minute {
    std::int64_t utc;
    Civil local;
    bool again;                  // the second pass of a local time
    std::vector<Civil> skipped;  // the local minutes between the minute before and this one
  };
  std::int64_t begin, end;
  std::vector<Minute> minutes;
};

Stretch Look(std::int64_t begin, std::int64_t end) {
  Stretch stretch{begin, end, {}};
  std::set<std::tuple<int, int, int, int, int>> seen;
  std::int64_t offset_before = LibraryZone::Offset(begin - kMinute);
  for (std::int64_t utc = begin; utc < end; utc += kMinute) {
    const std::tm tm = LibraryZone::Local(utc);
    Stretch::Minute minute{utc, CivilOf(tm), false, {}};
    minute.again = !seen.insert(minute.local.Key()).second;
    for (std::int64_t local = utc + offset_before; local < utc + tm.tm_gmtoff; local += kMinute) {
      minute.skipped.push_back(CivilOfUtc(local));
    }
    offset_before = tm.tm_gmtoff;
    stretch.minutes.push_back(std::move(minute));
  }
  return stretch;
}

std::vector<std::int64_t> FiresIn(const Stretch& stretch, const Expression& expression) {
  std::set<std::int64_t> fires;
  for (const Stretch::Minute& minute : stretch.minutes) {
    if ((!minute.again || expression.both_passes) && expression.Matches(minute.local)) {
      for (const int second : expression.seconds) fires.insert(minute.utc + second);
    }
    const bool any_skipped =
        std::any_of(minute.skipped.begin(), minute.skipped.end(),
                    [&](const Civil& skipped) { return expression.Matches(skipped); });
    if (any_skipped) fires.insert(minute.utc);
  }
  return {fires.begin(), fires.end()};
}

std::string Describe(const std::vector<std::int64_t>& times) {
  std::string text;
  for (const std::int64_t time : times) text += std::to_string(time) + " ";
  return text;
}

std::uint64_t Seed() {
  const char* given = std::getenv("LTS_PROPERTY_SEED");
  const std::uint64_t seed =
      given == nullptr ? std::random_device()() : std::strtoull(given, nullptr, 10);
  std::cout << "seed " << seed << " (LTS_PROPERTY_SEED repeats it)\n";
  return seed;
}

std::int64_t YearBegin(int year) {
  using std::chrono::sys_days;
  return std::int64_t{sys_days(std::chrono::year(year) / 1 / 1).time_since_epoch().count()} * kDay;
}

// ---- clock changes

// Hours, halves of one, two at once; at midnight and across it; in winter; ruled by Ramadan; by
// rules of the footer that count more than a day.
class ClockChanges : public ::testing::TestWithParam<const char*> {};

TEST_P(ClockChanges, Until2100FireAsSteppingThroughTheMinutesSays) {
  const LibraryZone library(GetParam());
  const auto zone = FindTimeZone(GetParam());
  ASSERT_TRUE(zone.ok()) << zone.status().ToString();
  const std::vector<std::int64_t> changes = LibraryZone::Changes(YearBegin(2024), YearBegin(2101));
  // Twice a year as long as the rule in the footer has daylight saving time; else to its end.
  ASSERT_GE(changes.size(), 120U);
  Maker maker(Seed());
  int compared = 0;
  for (const std::int64_t change : changes) {
    const Stretch stretch = Look(change - 6 * kHour, change + 27 * kHour);
    const Civil near = CivilOf(LibraryZone::Local(change - kMinute));
    const int hour = CivilOf(LibraryZone::Local(change)).hour;
    for (int round = 0; round < 20; ++round) {
      const Expression expression =
          maker.Make(near, {near.hour, hour, (hour + 23) % 24, (near.hour + 1) % 24});
      const auto cron = CronExpression::Parse(expression.text);
      ASSERT_TRUE(cron.ok()) << expression.text << ": " << cron.status().ToString();
      const std::vector<std::int64_t> wanted = FiresIn(stretch, expression);
      std::vector<std::int64_t> found;
      for (auto next = cron->NextAfter(stretch.begin - 1, **zone); next && *next < stretch.end;
           next = cron->NextAfter(*next, **zone)) {
        found.push_back(*next);
      }
      ASSERT_EQ(found, wanted) << expression.text << " around " << change << "\nfound "
                               << Describe(found) << "\nwanted " << Describe(wanted);
      compared += static_cast<int>(wanted.size());
      // From anywhere, as after a restart.
      for (int k = 0; k < 3; ++k) {
        const std::int64_t from = change + maker.Between(-7'200, 7'200);
        const auto first = std::upper_bound(wanted.begin(), wanted.end(), from);
        const auto next = cron->NextAfter(from, **zone);
        if (first != wanted.end()) {
          ASSERT_EQ(next, *first) << expression.text << " from " << from;
        } else {
          ASSERT_TRUE(!next || *next >= stretch.end) << expression.text << " from " << from;
        }
      }
    }
  }
  EXPECT_GT(compared, 10'000);
}

INSTANTIATE_TEST_SUITE_P(Zones, ClockChanges,
                         ::testing::Values("America/New_York", "Europe/Berlin", "Europe/London",
                                           "Australia/Lord_Howe", "Africa/Casablanca",
                                           "Antarctica/Troll", "America/Santiago", "Asia/Gaza",
                                           "America/Nuuk", "Pacific/Chatham"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '/', '_');
                           return name;
                         });

TEST(ElapsedTime, TakesNoNoticeOfClockChanges) {
  const LibraryZone library("Antarctica/Troll");
  Maker maker(Seed());
  for (const std::int64_t change : LibraryZone::Changes(YearBegin(2024), YearBegin(2101))) {
    const TimeMs accepted = (change - maker.Between(0, 80'000)) * 1000 + maker.Below(1000);
    const DurationMs interval = maker.Between(1, 20'000) * 1000;
    JobSpec repeat;
    repeat.repeat_interval_ms = interval;
    repeat.repeat_count = -1;
    JobSpec every;
    every.cron = "@every " + std::to_string(interval / 1000) + "s";
    every.time_zone = "Antarctica/Troll";
    for (const JobSpec& spec : {repeat, every}) {
      const auto fires = MakeFireTimes(spec, accepted, "UTC");
      ASSERT_TRUE(fires.ok()) << fires.status().ToString();
      TimeMs after = accepted - 1;
      TimeMs wanted = spec.IsCron() ? accepted + interval : accepted;
      for (int k = 0; k < 20; ++k, wanted += interval) {
        const auto next = (*fires)->Next(after);
        ASSERT_EQ(next, wanted) << spec.cron << " accepted " << accepted;
        after = *next;
      }
    }
  }
}

// ---- leap days and the ends of the years

// All fires from 1970 to the end, day by day; the time of day is 12:30:00.
std::vector<std::int64_t> AllDays(const Fits& date) {
  std::vector<std::int64_t> fires;
  Civil day{1970, 1, 1, 12, 30, 4, 31};
  for (std::int64_t number = 0; day.year < 2200; ++number) {
    if (date(day)) fires.push_back(number * kDay + 12 * kHour + 30 * kMinute);
    day.weekday = (day.weekday + 1) % 7;
    if (++day.day <= day.days_in_month) continue;
    day.day = 1;
    day.month = day.month % 12 + 1;
    if (day.month == 1) ++day.year;
    day.days_in_month = DaysIn(day.year, day.month);
  }
  return fires;
}

std::vector<std::int64_t> AllFires(const CronExpression& cron) {
  std::vector<std::int64_t> fires;
  for (auto next = cron.NextAfter(-1, *TimeZone::Utc()); next;
       next = cron.NextAfter(*next, *TimeZone::Utc())) {
    fires.push_back(*next);
  }
  return fires;
}

TEST(Dates, UntilTheLastYearAreThoseThatSteppingThroughTheDaysFinds) {
  Maker maker(Seed());
  for (int round = 0; round < 150; ++round) {
    // Leap days, days around them, and the ends of years and of the calendar.
    const Civil near = round % 3 == 0   ? Civil{2000 + 4 * maker.Below(49), 2, 29, 12, 30, 0, 29}
                       : round % 3 == 1 ? Civil{maker.Between(1975, 2199), 12, 31, 12, 30, 2, 31}
                                        : Civil{maker.Between(1975, 2199), 3, 1, 12, 30, 5, 31};
    Fits date;
    std::string year;
    const bool unix_form = maker.Below(4) == 0;
    const std::string fields =
        unix_form ? maker.UnixDate(near, &date) : maker.QuartzDate(near, &date, &year);
    const std::string text = (unix_form ? "30 12 " : "0 30 12 ") + fields + year;
    const auto cron = CronExpression::Parse(text);
    ASSERT_TRUE(cron.ok()) << text << ": " << cron.status().ToString();
    ASSERT_EQ(AllFires(*cron), AllDays(date)) << text;
  }
}

TEST(Dates, LeapDaysAreThoseOfTheGregorianCalendar) {
  const auto cron = CronExpression::Parse("0 30 12 29 2 ?");
  const std::vector<std::int64_t> fires = AllFires(*cron);
  EXPECT_EQ(fires, AllDays([](const Civil& c) { return c.month == 2 && c.day == 29; }));
  EXPECT_EQ(fires.size(), 56U);  // 1972, 1976 … 2196, without 2100
  // The last day of February, the last Monday to Friday of it, the fifth Sunday.
  EXPECT_EQ(AllFires(*CronExpression::Parse("0 30 12 L 2 ?")).size(), 230U);
  EXPECT_EQ(AllFires(*CronExpression::Parse("0 30 12 ? 2 1#5")),
            AllDays([](const Civil& c) { return c.month == 2 && c.day == 29 && c.weekday == 0; }));
  EXPECT_FALSE(CronExpression::Parse("0 30 12 29 2 ? 2100")->NextAfter(0, *TimeZone::Utc()));
  EXPECT_TRUE(CronExpression::Parse("0 30 12 29 2 ? 2000")->NextAfter(0, *TimeZone::Utc()));
}

TEST(Dates, TheFirstAndTheLastSecondAreCountedInLocalTime) {
  for (const char* name : {"UTC", "America/New_York", "Pacific/Kiritimati", "Asia/Kolkata"}) {
    const auto zone = FindTimeZone(name);
    ASSERT_TRUE(zone.ok());
    const std::int64_t end = YearBegin(2200) - (*zone)->OffsetAt(YearBegin(2200));
    const auto cron = CronExpression::Parse("* * * * * ?");
    EXPECT_EQ(cron->NextAfter(end - 2, **zone), end - 1) << name;
    EXPECT_FALSE(cron->NextAfter(end - 1, **zone)) << name;
    const auto year = CronExpression::Parse("59 59 23 31 12 ? 2199");
    EXPECT_EQ(year->NextAfter(0, **zone), end - 1) << name;
    // So do schedules of jobs.
    JobSpec spec;
    spec.cron = "59 59 23 31 12 ? 2199";
    spec.time_zone = name;
    const auto fires = MakeFireTimes(spec, 1'700'000'000'000, "UTC");
    ASSERT_TRUE(fires.ok());
    EXPECT_EQ((*fires)->Next(1'700'000'000'000), (end - 1) * 1000) << name;
    EXPECT_FALSE((*fires)->Next((end - 1) * 1000)) << name;
  }
}

}  // namespace
}  // namespace lts::model

// Cron expressions: Quartz text, the five fields of Unix, and names such as @daily.
//
//   second minute hour day-of-month month day-of-week [year]     Quartz, 6 or 7 fields
//   minute hour day-of-month month day-of-week                   Unix, 5 fields
//   @yearly @annually @monthly @weekly @daily @midnight @hourly  the usual shorthands
//   @every 90s                                                   elapsed time, see duration.h
//
// Quartz fields: seconds and minutes 0-59, hours 0-23, days 1-31, months 1-12 or JAN-DEC, weekdays
// 1-7 (1 = Sunday) or SUN-SAT, years 1970-2199. `*`, lists `a,b`, ranges `a-b` (they may wrap,
// years excepted) and steps `a/s`, `a-b/s`, `*/s`, `/s`. Exactly one of day and weekday is `?`.
// Days also: `L` the last, `L-3` three days before it, `15W` the Monday to Friday nearest to the
// 15th within the month, `LW`, `L-3W`. Weekdays also: `L` = 7, `6L` the month's last Friday, `6#3`
// its third. A month without the day, or the third Friday, is passed over.
//
// Unix fields: weekdays 0-7, 0 and 7 = Sunday; no `?`, `L`, `W`, `#`. When neither day nor weekday
// begins with `*`, a date that either one names fires; else both must fit (as Debian's cron does
// it).
//
// What differs from Quartz 2.3.2, each with a test:
//
//   text             Quartz                     here         why
//   MON-FRI/2        the step is ignored        used         it is what was written
//   *5, trailing     read as *, ignored         refused      a slip that changes what fires
//   JANFOO           = JAN                      refused      (JANUARY, MONDAY … are understood)
//   */0, a-b/0       every value, just a        refused      says nothing sensible (x/0 = x, as
//   there) years            any number                 1970-2199 MON,6#3          the weekday of
//   the list    refused      not what was written
//                    that comes first
//   daylight saving  depends on the way the     see NextAfter
//                    calendar rounds
//
// Kept as in Quartz 2.3.2: a list of days with a W means its smallest day alone, nearest weekday.
// And in a month that ends the day before such a day, on a Friday, that Friday fires (31W, November
// 2029).
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "lts/status.h"
#include "model/time_zone.h"

namespace lts::model {

inline constexpr std::size_t kCronBytesMax = 128;
// Nothing fires from 2200-01-01T00:00:00 on (local time for cron fields, UTC for elapsed time).
inline constexpr int kCronYearMin = 1970;
inline constexpr int kCronYearMax = 2199;

// One expression, parsed once into bit sets. Immutable, thread-safe, copyable.
class CronExpression {
 public:
  // Upper and lower case are the same; blanks and tabs separate fields. Errors: kInvalidArgument
  // with the 1-based byte position and the reason: "position 7: minute 75 is not in 0-59".
  static Result<CronExpression> Parse(std::string_view text);

  // The first fire strictly after `epoch_s` (seconds since 1970, UTC), or nothing when none is
  // left.
  //
  // Fires at local times that a clock change skips become one fire at the end of the gap. Where a
  // change repeats local times, an expression whose hour field is `*`, `*/1`, `/1` or `0/1` fires
  // in both passes, every other one in the first only. For @every it is `epoch_s` plus the
  // interval: hand in a base, or a fire; `zone` plays no part.
  std::optional<std::int64_t> NextAfter(std::int64_t epoch_s, const TimeZone& zone) const;

  // For @every: the interval, 1 s or more, whole seconds. Nothing for the other forms.
  std::optional<DurationMs> interval_ms() const;

 private:
  // How the fires' dates are told from `days_` and `weekdays_`.
  enum class DateRule : std::uint8_t {
    kDays,     // `days_`
    kLastDay,  // the last but `days_before_last_`, to the nearest weekday when `near_weekday_`
    kNearestWeekday,  // Monday to Friday nearest to `day_`
    kWeekdays,        // `weekdays_`
    kLastWeekday,     // the last `day_` (0 = Sunday)
    kNthWeekday,      // the `nth_` `day_`
    kDaysAndWeekdays,
    kDaysOrWeekdays,
  };
  class Parser;

  CronExpression() = default;
  // The first local time at or after `from` that matches all fields. Local seconds since 1970.
  std::optional<std::int64_t> NextLocal(std::int64_t from) const;
  std::optional<std::int64_t> NextTimeOfDay(std::int64_t from) const;
  std::optional<std::int64_t> NextDay(std::int64_t from) const;
  // Bit n = day n of the month.
  std::uint32_t MatchingDays(int year, unsigned month) const;

  std::int64_t every_s_ = 0;  // > 0: @every, nothing below is used
  std::uint64_t seconds_ = 0;
  std::uint64_t minutes_ = 0;
  std::uint32_t hours_ = 0;
  std::uint32_t days_ = 0;      // bits 1 … 31
  std::uint32_t months_ = 0;    // bits 1 … 12
  std::uint32_t weekdays_ = 0;  // bits 0 … 6, 0 = Sunday
  std::bitset<kCronYearMax - kCronYearMin + 1> years_;
  DateRule date_rule_ = DateRule::kDays;
  std::uint8_t day_ = 0;
  std::uint8_t nth_ = 0;
  std::uint8_t days_before_last_ = 0;
  bool near_weekday_ = false;
  bool both_passes_ = false;
};

}  // namespace lts::model

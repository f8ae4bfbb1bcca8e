#include "model/cron.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <utility>
#include <vector>

#include "common/duration.h"

namespace lts::model {
namespace {

constexpr std::int64_t kDaySeconds = 86'400;
constexpr std::int64_t kHourSeconds = 3'600;
constexpr std::int64_t kEndOfFires = 7'258'118'400;  // 2200-01-01T00:00:00Z
// Local times and UTC differ by less than this everywhere.
constexpr std::int64_t kZoneReach = 2 * kDaySeconds;

constexpr std::array<std::string_view, 12> kMonthNames = {
    "JANUARY", "FEBRUARY", "MARCH",     "APRIL",   "MAY",      "JUNE",
    "JULY",    "AUGUST",   "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"};
constexpr std::array<std::string_view, 7> kWeekdayNames = {
    "SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"};

// What one field may hold.
struct FieldRule {
  std::string_view noun;
  int min;
  int max;
  int step_max;  // of `*/s`
  bool wraps;    // a range may run over the end: 22-2
};
constexpr FieldRule kSecond = {"second", 0, 59, 59, true};
constexpr FieldRule kMinute = {"minute", 0, 59, 59, true};
constexpr FieldRule kHour = {"hour", 0, 23, 23, true};
constexpr FieldRule kDay = {"day of month", 1, 31, 31, true};
constexpr FieldRule kMonth = {"month", 1, 12, 12, true};
constexpr FieldRule kQuartzWeekday = {"day of week", 1, 7, 7, true};
constexpr FieldRule kUnixWeekday = {"day of week", 0, 7, 7, true};
constexpr FieldRule kYear = {"year", kCronYearMin, kCronYearMax, kCronYearMax - kCronYearMin,
                             false};

struct Shorthand {
  std::string_view name;
  std::string_view fields;
};
constexpr std::array<Shorthand, 7> kShorthands = {{{"@YEARLY", "0 0 1 1 *"},
                                                   {"@ANNUALLY", "0 0 1 1 *"},
                                                   {"@MONTHLY", "0 0 1 * *"},
                                                   {"@WEEKLY", "0 0 * * 0"},
                                                   {"@DAILY", "0 0 * * *"},
                                                   {"@MIDNIGHT", "0 0 * * *"},
                                                   {"@HOURLY", "0 * * * *"}}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return c >= 'A' && c <= 'Z'; }
bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// A piece of the expression and where it begins there (0-based).
struct Piece {
  std::string_view text;
  std::size_t position = 0;

  bool empty() const { return text.empty(); }
  char front() const { return text.front(); }
  std::string quoted() const { return "'" + std::string(text) + "'"; }
  Piece From(std::size_t n) const { return {text.substr(n), position + n}; }
  Piece First(std::size_t n) const { return {text.substr(0, n), position}; }
  bool Skip(char c) {
    if (empty() || front() != c) return false;
    *this = From(1);
    return true;
  }
};

std::vector<Piece> SplitBlanks(std::string_view text) {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < text.size();) {
    if (IsBlank(text[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < text.size() && !IsBlank(text[end])) ++end;
    pieces.push_back({text.substr(i, end - i), i});
    i = end;
  }
  return pieces;
}

std::vector<Piece> SplitCommas(Piece field) {
  std::vector<Piece> items;
  for (;;) {
    const std::size_t comma = field.text.find(',');
    if (comma == std::string_view::npos) break;
    items.push_back(field.First(comma));
    field = field.From(comma + 1);
  }
  items.push_back(field);
  return items;
}

Status ErrorAt(std::size_t position, std::string_view reason) {
  return Status::InvalidArgument("position " + std::to_string(position + 1) + ": " +
                                 std::string(reason));
}
Status ErrorAt(const Piece& at, std::string_view reason) { return ErrorAt(at.position, reason); }

std::string Noun(const FieldRule& rule) { return std::string(rule.noun); }

// Takes the digits at the front of `rest`. The value of a longer number than any field's is a
// million.
std::optional<int> TakeNumber(Piece& rest) {
  std::size_t length = 0;
  int value = 0;
  while (length < rest.text.size() && IsDigit(rest.text[length])) {
    value = std::min(value * 10 + (rest.text[length] - '0'), 1'000'000);
    ++length;
  }
  if (length == 0) return std::nullopt;
  rest = rest.From(length);
  return value;
}

// The place in `names` of a name of which `word` is the beginning, three letters or more.
template <std::size_t kCount>
std::optional<int> FindName(const std::array<std::string_view, kCount>& names,
                            std::string_view word) {
  if (word.size() < 3) return std::nullopt;
  for (std::size_t i = 0; i < kCount; ++i) {
    if (names[i].starts_with(word)) return static_cast<int>(i);
  }
  return std::nullopt;
}

bool IsWeekday(const FieldRule& rule) { return &rule == &kQuartzWeekday || &rule == &kUnixWeekday; }

// A number or a name, in the field's own counting.
Result<int> TakeValue(const FieldRule& rule, Piece& rest) {
  const Piece at = rest;
  if (const auto number = TakeNumber(rest)) {
    if (*number < rule.min || *number > rule.max) {
      return ErrorAt(at,
                     Noun(rule) + " " + std::string(at.First(rest.position - at.position).text) +
                         " is not in " + std::to_string(rule.min) + "-" + std::to_string(rule.max));
    }
    return *number;
  }
  std::size_t length = 0;
  while (length < rest.text.size() && IsLetter(rest.text[length])) ++length;
  if (length == 0) {
    if (rest.empty()) return ErrorAt(at, "a " + Noun(rule) + " is missing here");
    return ErrorAt(at,
                   "'" + std::string(1, at.front()) + "' has no place in the field " + Noun(rule));
  }
  std::string_view word = rest.text.substr(0, length);
  std::optional<int> value;
  if (&rule == &kMonth) {
    value = FindName(kMonthNames, word);
    if (value) *value += 1;
  } else if (IsWeekday(rule)) {
    value = FindName(kWeekdayNames, word);
    if (!value && word.back() == 'L') {  // FRIL: the L is read by the caller
      word.remove_suffix(1);
      value = FindName(kWeekdayNames, word);
    }
    if (value) *value += kQuartzWeekday.min * (&rule == &kQuartzWeekday ? 1 : 0);
  }
  if (!value) {
    return ErrorAt(at, "'" + std::string(rest.text.substr(0, length)) + "' is no " + Noun(rule));
  }
  rest = rest.From(word.size());
  return *value;
}

// The values of a field without L, W, # or ?: calls `add` with each.
template <typename Add>
Status ParseItems(const FieldRule& rule, const Piece& field, Add add) {
  for (const Piece& item : SplitCommas(field)) {
    if (item.empty()) return ErrorAt(item, "a " + Noun(rule) + " is missing here");
    Piece rest = item;
    int first = rule.min;
    int last = rule.max;
    // 7 is Sunday once more; a star must not count it twice.
    if (&rule == &kUnixWeekday) last = 6;
    const bool star = rest.Skip('*') || rest.front() == '/';
    bool range = star;
    if (!star) {
      const auto value = TakeValue(rule, rest);
      if (!value.ok()) return value.status();
      first = *value;
      if (rest.Skip('-')) {
        const std::size_t end_position = rest.position;
        const auto end = TakeValue(rule, rest);
        if (!end.ok()) return end.status();
        range = true;
        last = *end;
        if (last < first) {
          if (!rule.wraps) {
            return ErrorAt(end_position, Noun(rule) + " range " + std::to_string(first) + "-" +
                                             std::to_string(last) + " runs backwards");
          }
          last += &rule == &kUnixWeekday ? 7 : rule.max - rule.min + 1;
        }
      }
    }
    int step = range ? 1 : 0;  // 0: `first` alone
    if (rest.Skip('/')) {
      const std::size_t step_position = rest.position;
      const auto number = TakeNumber(rest);
      if (!number) return ErrorAt(step_position, "a step is missing after '/'");
      if (range && *number == 0) return ErrorAt(step_position, "step 0 leads nowhere");
      if (star && *number > rule.step_max) {
        return ErrorAt(step_position, "step " + std::to_string(*number) + " of " + Noun(rule) +
                                          " is above " + std::to_string(rule.step_max));
      }
      step = *number;
    }
    if (!rest.empty()) {
      return ErrorAt(rest, "'" + std::string(1, rest.front()) + "' is not expected after '" +
                               std::string(item.First(rest.position - item.position).text) + "'");
    }
    if (step == 0) {
      add(first);
      continue;
    }
    const int span = &rule == &kUnixWeekday ? 7 : rule.max - rule.min + 1;
    for (int value = first; value <= std::max(first, last); value += step) {
      add(value > rule.max ? value - span : value);
    }
  }
  return Status::Ok();
}

template <typename Bits>
Status ParseBits(const FieldRule& rule, const Piece& field, Bits& bits) {
  return ParseItems(rule, field, [&](int value) { bits |= Bits{1} << value; });
}

bool IsEveryHour(std::string_view field) {
  return field == "*" || field == "*/1" || field == "/1" || field == "0/1";
}

struct MonthShape {
  unsigned days;           // 28 … 31
  unsigned first_weekday;  // of day 1; 0 = Sunday

  MonthShape(int year, unsigned month) {
    using std::chrono::sys_days;
    const auto in = std::chrono::year(year) / std::chrono::month(month);
    days = static_cast<unsigned>((in / std::chrono::last).day());
    first_weekday = std::chrono::weekday(sys_days(in / 1)).c_encoding();
  }
  unsigned WeekdayOf(unsigned day) const { return (first_weekday + day - 1) % 7; }
  // The first day that is such a weekday.
  unsigned FirstDayOf(unsigned weekday) const { return 1 + (weekday + 7 - first_weekday) % 7; }
  // Monday to Friday nearest to `day`, never in another month.
  unsigned NearestWeekday(unsigned day) const {
    switch (WeekdayOf(day)) {
      case 0: return day == days ? day - 2 : day + 1;
      case 6: return day == 1 ? day + 2 : day - 1;
      default: return day;
    }
  }
  std::uint32_t AllDays() const {
    return ((std::uint64_t{1} << (days + 1)) - 1) & ~std::uint64_t{1};
  }
  std::uint32_t DaysOfWeekdays(std::uint32_t weekdays) const {
    std::uint32_t result = 0;
    for (unsigned day = 1; day <= days; ++day) {
      if (weekdays >> WeekdayOf(day) & 1) result |= std::uint32_t{1} << day;
    }
    return result;
  }
};

// The lowest bit of `bits` at or above `from`, or nothing.
template <typename Bits>
std::optional<int> NextBit(Bits bits, int from) {
  if (from >= static_cast<int>(sizeof(Bits) * 8)) return std::nullopt;
  const Bits rest = bits >> from;
  if (rest == 0) return std::nullopt;
  return from + std::countr_zero(rest);
}

}  // namespace

// Reads one upper-case expression into `cron`.
class CronExpression::Parser {
 public:
  Parser(std::string_view text, CronExpression& cron) : text_(text), cron_(cron) {}

  Status Parse() {
    const std::vector<Piece> fields = SplitBlanks(text_);
    if (fields.empty()) return ErrorAt(std::size_t{0}, "the expression is empty");
    if (fields.front().front() == '@') return ParseNamed(fields);
    if (fields.size() == 5) return ParseUnix(fields);
    if (fields.size() < 5) {
      return ErrorAt(text_.size(), "the expression ends after " + std::to_string(fields.size()) +
                                       " fields; 5, 6 or 7 are needed");
    }
    if (fields.size() > 7) return ErrorAt(fields[7], fields[7].quoted() + " follows the 7th field");
    return ParseQuartz(fields);
  }

 private:
  Status ParseNamed(const std::vector<Piece>& fields) {
    const Piece& name = fields.front();
    const std::size_t arguments = name.text == "@EVERY" ? 1 : 0;
    if (fields.size() > arguments + 1) {
      return ErrorAt(fields[arguments + 1],
                     fields[arguments + 1].quoted() + " is not expected here");
    }
    if (arguments == 1) {
      if (fields.size() == 1)
        return ErrorAt(text_.size(), "a time like 90s is missing after @every");
      return ParseEvery(fields[1]);
    }
    for (const Shorthand& shorthand : kShorthands) {
      if (shorthand.name == name.text) return ParseUnix(SplitBlanks(shorthand.fields));
    }
    return ErrorAt(name, name.quoted() +
                             " is not known; there are @yearly @annually @monthly "
                             "@weekly @daily @midnight @hourly and @every");
  }

  Status ParseEvery(const Piece& interval) {
    std::string lower(interval.text);
    for (char& c : lower) c = IsLetter(c) ? static_cast<char>(c - 'A' + 'a') : c;
    const auto duration = ParseDuration(lower);
    if (!duration.ok() || *duration < 1000 || *duration % 1000 != 0) {
      return ErrorAt(interval,
                     "'" + lower + "' is not a time of whole seconds, 1s or more, like 90s");
    }
    cron_.every_s_ = *duration / 1000;
    return Status::Ok();
  }

  Status ParseUnix(const std::vector<Piece>& fields) {
    cron_.seconds_ = 1;
    for (const Piece& field : {fields[2], fields[4]}) {
      if (field.text == "?") {
        return ErrorAt(field, "'?' belongs to the form of 6 fields, which begins with the second");
      }
    }
    LTS_RETURN_IF_ERROR(ParseBits(kMinute, fields[0], cron_.minutes_));
    LTS_RETURN_IF_ERROR(ParseHours(fields[1]));
    LTS_RETURN_IF_ERROR(ParseBits(kDay, fields[2], cron_.days_));
    LTS_RETURN_IF_ERROR(ParseBits(kMonth, fields[3], cron_.months_));
    LTS_RETURN_IF_ERROR(ParseItems(kUnixWeekday, fields[4], [&](int value) {
      cron_.weekdays_ |= std::uint32_t{1} << (value % 7);
    }));
    cron_.years_.set();
    const bool both = fields[2].front() != '*' && fields[4].front() != '*';
    cron_.date_rule_ = both ? DateRule::kDaysOrWeekdays : DateRule::kDaysAndWeekdays;
    return Status::Ok();
  }

  Status ParseQuartz(const std::vector<Piece>& fields) {
    LTS_RETURN_IF_ERROR(ParseBits(kSecond, fields[0], cron_.seconds_));
    LTS_RETURN_IF_ERROR(ParseBits(kMinute, fields[1], cron_.minutes_));
    LTS_RETURN_IF_ERROR(ParseHours(fields[2]));
    const bool no_day = fields[3].text == "?";
    const bool no_weekday = fields[5].text == "?";
    if (!no_day) LTS_RETURN_IF_ERROR(ParseDays(fields[3]));
    LTS_RETURN_IF_ERROR(ParseBits(kMonth, fields[4], cron_.months_));
    if (!no_weekday) LTS_RETURN_IF_ERROR(ParseWeekdays(fields[5]));
    if (no_day == no_weekday) {
      return ErrorAt(fields[5], no_day ? "day of month and day of week are both '?'"
                                       : "one of day of month and day of week must be '?'");
    }
    if (fields.size() == 6) {
      cron_.years_.set();
      return Status::Ok();
    }
    return ParseItems(kYear, fields[6], [&](int year) {
      cron_.years_.set(static_cast<std::size_t>(year - kCronYearMin));
    });
  }

  Status ParseHours(const Piece& field) {
    cron_.both_passes_ = IsEveryHour(field.text);
    return ParseBits(kHour, field, cron_.hours_);
  }

  Status ParseDays(const Piece& field) {
    const std::size_t l = field.text.find('L');
    if (l != std::string_view::npos) return ParseLastDay(field, l);
    const std::size_t w = field.text.find('W');
    if (w == std::string_view::npos) return ParseBits(kDay, field, cron_.days_);

    // A list: the smallest day alone counts, as in Quartz 2.3.2.
    for (const Piece& item : SplitCommas(field)) {
      Piece rest = item;
      const auto day = TakeValue(kDay, rest);
      if (!day.ok()) return day.status();
      rest.Skip('W');
      if (!rest.empty()) {
        return ErrorAt(rest, "'" + std::string(1, rest.front()) + "' cannot be used beside 'W'");
      }
      const auto value = static_cast<std::uint8_t>(*day);
      cron_.day_ = cron_.day_ == 0 ? value : std::min(cron_.day_, value);
    }
    cron_.date_rule_ = DateRule::kNearestWeekday;
    return Status::Ok();
  }

  // L, L-3, LW, L-3W
  Status ParseLastDay(const Piece& field, std::size_t l) {
    if (l != 0) return ErrorAt(field.From(l), "'L' must stand alone, without other days");
    Piece rest = field.From(1);
    if (rest.Skip('-')) {
      const std::size_t position = rest.position;
      const auto before = TakeNumber(rest);
      if (!before) return ErrorAt(position, "a number of days is missing after 'L-'");
      if (*before > 30) {
        return ErrorAt(position,
                       "offset " + std::to_string(*before) + " from the last day is above 30");
      }
      cron_.days_before_last_ = static_cast<std::uint8_t>(*before);
    }
    cron_.near_weekday_ = rest.Skip('W');
    if (!rest.empty()) return ErrorAt(rest, "'L' must stand alone, without other days");
    cron_.date_rule_ = DateRule::kLastDay;
    return Status::Ok();
  }

  Status ParseWeekdays(const Piece& field) {
    if (field.text == "L") {
      cron_.weekdays_ = std::uint32_t{1} << 6;
      cron_.date_rule_ = DateRule::kWeekdays;
      return Status::Ok();
    }
    if (IsNumberOrNameWith(field, 'L') || field.text.find('#') != std::string_view::npos) {
      return ParseOneWeekday(field);
    }
    cron_.date_rule_ = DateRule::kWeekdays;
    return ParseItems(kQuartzWeekday, field,
                      [&](int value) { cron_.weekdays_ |= std::uint32_t{1} << (value - 1); });
  }

  // True for the forms 6L and FRIL, also inside a list, where it is an error.
  static bool IsNumberOrNameWith(const Piece& field, char mark) {
    const auto items = SplitCommas(field);
    return std::any_of(items.begin(), items.end(), [&](const Piece& item) {
      return !item.empty() && item.text.back() == mark;
    });
  }

  // 6L, FRIL, 6#3, FRI#3
  Status ParseOneWeekday(const Piece& field) {
    Piece rest = field;
    if (rest.front() == 'L')
      return ErrorAt(rest, "'L' must stand alone, without other days of the week");
    const auto value = TakeValue(kQuartzWeekday, rest);
    if (!value.ok()) return value.status();
    cron_.day_ = static_cast<std::uint8_t>(*value - 1);
    if (rest.Skip('L')) {
      cron_.date_rule_ = DateRule::kLastWeekday;
    } else if (rest.Skip('#')) {
      const std::size_t position = rest.position;
      const auto nth = TakeNumber(rest);
      if (!nth || *nth < 1 || *nth > 5) return ErrorAt(position, "1 to 5 must follow '#'");
      cron_.nth_ = static_cast<std::uint8_t>(*nth);
      cron_.date_rule_ = DateRule::kNthWeekday;
    }
    if (!rest.empty() || cron_.date_rule_ == DateRule::kDays) {
      return ErrorAt(rest, "'L' and '#' go with a single day of the week");
    }
    return Status::Ok();
  }

  std::string_view text_;
  CronExpression& cron_;
};

Result<CronExpression> CronExpression::Parse(std::string_view text) {
  if (text.size() > kCronBytesMax) {
    return ErrorAt(kCronBytesMax, "the expression has " + std::to_string(text.size()) +
                                      " bytes; at most " + std::to_string(kCronBytesMax));
  }
  std::string upper(text);
  for (std::size_t i = 0; i < upper.size(); ++i) {
    char& c = upper[i];
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (c != '\t' && (c < ' ' || c > '~')) return ErrorAt(i, "a character outside of ASCII text");
  }
  CronExpression cron;
  LTS_RETURN_IF_ERROR(Parser(upper, cron).Parse());
  return cron;
}

std::optional<DurationMs> CronExpression::interval_ms() const {
  if (every_s_ == 0) return std::nullopt;
  return every_s_ * 1000;
}

std::uint32_t CronExpression::MatchingDays(int year, unsigned month) const {
  const MonthShape shape(year, month);
  const auto bit = [&](unsigned day) {
    return day >= 1 && day <= shape.days ? std::uint32_t{1} << day : 0;
  };
  switch (date_rule_) {
    case DateRule::kDays: return days_ & shape.AllDays();
    case DateRule::kLastDay: {
      if (days_before_last_ >= shape.days) return 0;
      const unsigned day = shape.days - days_before_last_;
      return bit(near_weekday_ ? shape.NearestWeekday(day) : day);
    }
    case DateRule::kNearestWeekday: return bit(shape.NearestWeekday(day_));
    case DateRule::kWeekdays: return shape.DaysOfWeekdays(weekdays_);
    case DateRule::kLastWeekday: {
      const unsigned first = shape.FirstDayOf(day_);
      return bit(first + (shape.days - first) / 7 * 7);
    }
    case DateRule::kNthWeekday: return bit(shape.FirstDayOf(day_) + 7U * (nth_ - 1U));
    case DateRule::kDaysAndWeekdays: return days_ & shape.DaysOfWeekdays(weekdays_);
    case DateRule::kDaysOrWeekdays:
      return (days_ & shape.AllDays()) | shape.DaysOfWeekdays(weekdays_);
  }
  return 0;
}

std::optional<std::int64_t> CronExpression::NextTimeOfDay(std::int64_t from) const {
  int minute_from = static_cast<int>(from / 60 % 60);
  int second_from = static_cast<int>(from % 60);
  const int hour_from = static_cast<int>(from / kHourSeconds);
  for (auto hour = NextBit(hours_, hour_from); hour; hour = NextBit(hours_, *hour + 1)) {
    if (*hour > hour_from) minute_from = second_from = 0;
    const int minute_asked = minute_from;
    for (auto minute = NextBit(minutes_, minute_from); minute;
         minute = NextBit(minutes_, *minute + 1)) {
      if (*minute > minute_asked) second_from = 0;
      if (const auto second = NextBit(seconds_, second_from)) {
        return *hour * kHourSeconds + std::int64_t{60} * *minute + *second;
      }
    }
  }
  return std::nullopt;
}

std::optional<std::int64_t> CronExpression::NextDay(std::int64_t from) const {
  using std::chrono::sys_days;
  const std::chrono::year_month_day date{sys_days(std::chrono::days(from))};
  const int year_from = static_cast<int>(date.year());
  const auto month_from = static_cast<int>(static_cast<unsigned>(date.month()));
  for (int year = std::max(year_from, kCronYearMin); year <= kCronYearMax; ++year) {
    if (!years_.test(static_cast<std::size_t>(year - kCronYearMin))) continue;
    const bool this_year = year == year_from;
    for (auto month = NextBit(months_, this_year ? month_from : 1); month;
         month = NextBit(months_, *month + 1)) {
      const bool this_month = this_year && *month == month_from;
      const int day_from = this_month ? static_cast<int>(static_cast<unsigned>(date.day())) : 1;
      const auto in_month = static_cast<unsigned>(*month);
      if (const auto day = NextBit(MatchingDays(year, in_month), day_from)) {
        const auto fire = std::chrono::year(year) / std::chrono::month(in_month) /
                          std::chrono::day(static_cast<unsigned>(*day));
        return sys_days(fire).time_since_epoch().count();
      }
    }
  }
  return std::nullopt;
}

std::optional<std::int64_t> CronExpression::NextLocal(std::int64_t from) const {
  const std::int64_t day_from = from >= 0 ? from / kDaySeconds : (from + 1) / kDaySeconds - 1;
  auto day = NextDay(day_from);
  if (day == day_from) {
    if (const auto time = NextTimeOfDay(from - day_from * kDaySeconds)) {
      return *day * kDaySeconds + *time;
    }
    day = NextDay(day_from + 1);
  }
  if (!day) return std::nullopt;
  const auto time = NextTimeOfDay(0);
  if (!time) return std::nullopt;
  return *day * kDaySeconds + *time;
}

std::optional<std::int64_t> CronExpression::NextAfter(std::int64_t epoch_s,
                                                      const TimeZone& zone) const {
  if (every_s_ > 0) {
    if (epoch_s >= kEndOfFires - every_s_) return std::nullopt;
    return epoch_s + every_s_;
  }
  if (epoch_s >= kEndOfFires + kZoneReach) return std::nullopt;
  std::int64_t utc = std::max(epoch_s, -kZoneReach) + 1;
  for (;;) {
    const TimeZone::Period period = zone.PeriodAt(utc);
    // At the end of a gap the local times that it skipped count, too.
    const bool after_gap = utc == period.begin && period.offset > period.offset_before;
    const std::int64_t local_from = utc + (after_gap ? period.offset_before : period.offset);
    // Whether the change at the end of the period brings back local times from before `utc`.
    const bool goes_back =
        period.end != TimeZone::kEndOfTime && period.end + period.offset_after < local_from;
    const auto local = NextLocal(local_from);
    if (!local) {
      if (!goes_back) return std::nullopt;
      utc = period.end;
      continue;
    }
    const std::int64_t fire = std::max(*local - period.offset, utc);
    if (fire >= period.end) {
      // Nothing matches before `local`, so the periods that end well before it need no look.
      utc = goes_back ? period.end : std::max(period.end, *local - kZoneReach);
      continue;
    }
    const std::int64_t repeated_until =
        period.begin == TimeZone::kBeginOfTime ? period.begin : period.begin + period.offset_before;
    if (both_passes_ || *local >= repeated_until) return fire;
    utc = repeated_until - period.offset;
  }
}

}  // namespace lts::model

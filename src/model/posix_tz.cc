#include "model/posix_tz.h"

#include <chrono>

namespace lts::model {
namespace {

constexpr std::int64_t kDaySeconds = 86'400;
constexpr int kHoursMax = 167;  // RFC 8536 3.3.1 widens POSIX's 24 hours to a week

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Reads a POSIX TZ text from left to right; every call takes what it reads off the front.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }
  bool NextIs(char c) const { return !rest_.empty() && rest_.front() == c; }
  bool Skip(char c) {
    if (!NextIs(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // "CET" or "<+0330>", at least three characters.
  bool SkipName() {
    if (Skip('<')) {
      const std::size_t end = rest_.find('>');
      if (end == std::string_view::npos) return false;
      rest_.remove_prefix(end + 1);
      return true;
    }
    std::size_t length = 0;
    while (length < rest_.size() && IsLetter(rest_[length])) ++length;
    rest_.remove_prefix(length);
    return length >= 3;
  }

  std::optional<int> Number(int min, int max) {
    int value = 0;
    std::size_t length = 0;
    while (length < rest_.size() && IsDigit(rest_[length])) {
      value = value * 10 + (rest_[length] - '0');
      if (value > max) return std::nullopt;
      ++length;
    }
    rest_.remove_prefix(length);
    if (length == 0 || value < min) return std::nullopt;
    return value;
  }

  // [+-]hh[:mm[:ss]]
  std::optional<std::int32_t> Time() {
    const bool negative = Skip('-');
    if (!negative) Skip('+');
    const auto hours = Number(0, kHoursMax);
    if (!hours) return std::nullopt;
    std::int32_t seconds = *hours * 3600;
    if (Skip(':')) {
      const auto minutes = Number(0, 59);
      if (!minutes) return std::nullopt;
      seconds += *minutes * 60;
      if (Skip(':')) {
        const auto rest = Number(0, 59);
        if (!rest) return std::nullopt;
        seconds += *rest;
      }
    }
    return negative ? -seconds : seconds;
  }

  std::optional<PosixDate> Date() {
    PosixDate date;
    std::optional<int> day;
    if (Skip('M')) {
      const auto month = Number(1, 12);
      if (!month || !Skip('.')) return std::nullopt;
      const auto week = Number(1, 5);
      if (!week || !Skip('.')) return std::nullopt;
      date.month = *month;
      date.week = *week;
      day = Number(0, 6);
    } else if (Skip('J')) {
      date.kind = PosixDate::Kind::kJulian;
      day = Number(1, 365);
    } else {
      date.kind = PosixDate::Kind::kDayOfYear;
      day = Number(0, 365);
    }
    if (!day) return std::nullopt;
    date.day = *day;
    date.time = 2 * 3600;
    if (Skip('/')) {
      const auto time = Time();
      if (!time) return std::nullopt;
      date.time = *time;
    }
    return date;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::int64_t PosixDate::InYear(int year_number) const {
  using std::chrono::days;
  using std::chrono::sys_days;
  const std::chrono::year year(year_number);
  sys_days date = sys_days(year / 1 / 1);
  switch (kind) {
    case Kind::kMonthWeekDay: {
      const std::chrono::month in(static_cast<unsigned>(month));
      const std::chrono::weekday weekday(static_cast<unsigned>(day));
      date = week == 5 ? sys_days(year / in / weekday[std::chrono::last])
                       : sys_days(year / in / weekday[static_cast<unsigned>(week)]);
      break;
    }
    case Kind::kJulian: {
      const bool after_february = day >= 60;
      date += days(day - 1 + (after_february && year.is_leap() ? 1 : 0));
      break;
    }
    case Kind::kDayOfYear: date += days(day); break;
  }
  return std::int64_t{date.time_since_epoch().count()} * kDaySeconds + time;
}

std::optional<PosixTz> PosixTz::Parse(std::string_view text) {
  Reader reader(text);
  PosixTz tz;
  if (!reader.SkipName()) return std::nullopt;
  const auto standard = reader.Time();
  if (!standard) return std::nullopt;
  tz.standard_offset = -*standard;
  if (reader.AtEnd()) return tz;

  tz.has_dst = true;
  if (!reader.SkipName()) return std::nullopt;
  tz.dst_offset = tz.standard_offset + 3600;
  if (!reader.NextIs(',')) {
    const auto dst = reader.Time();
    if (!dst) return std::nullopt;
    tz.dst_offset = -*dst;
  }
  if (!reader.Skip(',')) return std::nullopt;
  const auto begin = reader.Date();
  if (!begin || !reader.Skip(',')) return std::nullopt;
  const auto end = reader.Date();
  if (!end || !reader.AtEnd()) return std::nullopt;
  tz.dst_begin = *begin;
  tz.dst_end = *end;
  return tz;
}

}  // namespace lts::model

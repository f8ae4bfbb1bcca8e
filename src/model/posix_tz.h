// The rule in the footer of a TZif file: a POSIX TZ text with the extensions of RFC 8536
// section 3.3.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lts::model {

// A day of each year and a time on it.
struct PosixDate {
  enum class Kind : std::uint8_t {
    kMonthWeekDay,  // Mm.w.d
    kJulian,        // Jn: 1 … 365, 29 February is never counted
    kDayOfYear,     // n: 0 … 365, 29 February is counted
  };
  Kind kind = Kind::kMonthWeekDay;
  int month = 1;          // 1 … 12
  int week = 1;           // 1 … 5, 5 = the last
  int day = 0;            // weekday 0 = Sunday, or the day number of the other kinds
  std::int32_t time = 0;  // seconds of local time after midnight, -167 … 167 hours

  // Local seconds since 1970 in `year`.
  std::int64_t InYear(int year) const;
};

// Offsets are seconds east of Greenwich (the text counts them westwards).
struct PosixTz {
  std::int32_t standard_offset = 0;
  bool has_dst = false;
  std::int32_t dst_offset = 0;
  PosixDate dst_begin;  // in standard time
  PosixDate dst_end;    // in daylight saving time

  // Nothing when the text is not one, or has daylight saving without dates.
  static std::optional<PosixTz> Parse(std::string_view text);
};

}  // namespace lts::model

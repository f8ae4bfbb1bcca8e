// IANA time zones, right for 1970–2199: read from TZif files (RFC 8536, the system's package
// tzdata), whose POSIX rule in the footer is followed where the recorded changes end.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lts/status.h"

namespace lts::model {

inline constexpr std::string_view kZoneFolder = "/usr/share/zoneinfo";

// The UTC offsets of one zone. Immutable, thread-safe. All times are whole seconds; a local time is
// the civil time counted in seconds as if it were UTC.
class TimeZone {
 public:
  static constexpr std::int64_t kBeginOfTime = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kEndOfTime = std::numeric_limits<std::int64_t>::max();

  // The time [begin, end) in UTC during which the offset stays the same. Neighbours differ in
  // offset.
  struct Period {
    std::int64_t begin = kBeginOfTime;
    std::int64_t end = kEndOfTime;
    std::int32_t offset = 0;         // local = UTC + offset, seconds
    std::int32_t offset_before = 0;  // of the period before; == offset in the first one
    std::int32_t offset_after = 0;   // of the period after; == offset in the last one
  };

  // What a local time means.
  struct Instant {
    enum class Kind : std::uint8_t {
      kUnique,
      kGap,      // clocks jumped over it: both instants are the end of the gap
      kOverlap,  // it happens twice
    };
    Kind kind = Kind::kUnique;
    std::int64_t first = 0;  // UTC; the first pass of an overlap
    std::int64_t last = 0;   // UTC; the second pass of an overlap, else == first
  };

  // The built-in zone "UTC".
  static std::shared_ptr<const TimeZone> Utc();

  // Decodes the bytes of a TZif file, version 2 or later. Errors: kDataLoss when they are not one.
  static Result<std::shared_ptr<const TimeZone>> FromTzif(std::string name, std::string_view bytes);

  const std::string& name() const { return name_; }
  std::int32_t OffsetAt(std::int64_t utc) const { return PeriodAt(utc).offset; }
  Period PeriodAt(std::int64_t utc) const;
  Instant ToUtc(std::int64_t local) const;

 private:
  struct Change {
    std::int64_t at = 0;  // UTC
    std::int32_t offset = 0;
  };

  TimeZone(std::string name, std::int32_t first_offset, const std::vector<Change>& changes);
  Period PeriodAfterChanges(std::size_t count) const;

  std::string name_;
  std::int32_t first_offset_;
  std::vector<Change> changes_;  // ascending, each with another offset than the one before
};

// Zones by name, each file read once. Owns what it has read (at most one zone a file of the folder;
// failures are not kept). Thread-safe.
class TimeZoneCache {
 public:
  explicit TimeZoneCache(std::string folder = std::string(kZoneFolder));

  // `name` as in the IANA data base, "Europe/Berlin", case-sensitive; "UTC" needs no file.
  // Errors: kInvalidArgument for a name that is unknown or could lead out of the folder,
  // kUnavailable when the folder itself is missing, kDataLoss for a damaged file.
  Result<std::shared_ptr<const TimeZone>> Find(const std::string& name);

 private:
  const std::string folder_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const TimeZone>> zones_;
};

// Find() in a cache over the system's zone files that the whole process shares: the contents are
// constants, and 100,000 schedules must not hold 100,000 copies. Thread-safe.
Result<std::shared_ptr<const TimeZone>> FindTimeZone(const std::string& name);

}  // namespace lts::model

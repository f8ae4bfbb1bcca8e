#include "model/time_zone.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "model/posix_tz.h"

namespace lts::model {
namespace {

constexpr int kFirstRuleYear =
    1970;                        // a footer that holds from the beginning is written out from here
constexpr int kLastYear = 2200;  // … to here; one year more than the last fire time
constexpr std::uintmax_t kFileBytesMax = 1 << 20;  // the largest zone file is 4 KiB
constexpr std::size_t kNameBytesMax = 64;
// No offset and no jump is longer: local and UTC differ by less than this.
constexpr std::int64_t kReach = 172'800;

constexpr std::size_t kHeaderBytes = 44;

std::int64_t BigEndian(std::string_view bytes) {
  std::uint64_t value = static_cast<unsigned char>(bytes.front()) >= 0x80 ? ~std::uint64_t{0} : 0;
  for (const char byte : bytes) value = (value << 8) | static_cast<unsigned char>(byte);
  return static_cast<std::int64_t>(value);
}

// The counts in a TZif header.
struct Header {
  char version = 0;
  std::size_t isut = 0, isstd = 0, leap = 0, time = 0, type = 0, chars = 0;

  static std::optional<Header> Read(std::string_view bytes) {
    if (bytes.size() < kHeaderBytes || !bytes.starts_with("TZif")) return std::nullopt;
    const auto count = [&](std::size_t index) {
      return static_cast<std::size_t>(
          static_cast<std::uint32_t>(BigEndian(bytes.substr(20 + 4 * index, 4))));
    };
    return Header{bytes[4], count(0), count(1), count(2), count(3), count(4), count(5)};
  }

  std::size_t BodyBytes(std::size_t time_bytes) const {
    return time * (time_bytes + 1) + type * 6 + chars + leap * (time_bytes + 4) + isstd + isut;
  }
};

Status BadFile(const std::string& name, std::string_view why) {
  return Status::DataLoss("time zone file \"" + name + "\" " + std::string(why) +
                          "; reinstall the package tzdata");
}

// An IANA name: parts of letters, digits, '_', '-' and '+' between single slashes. So no absolute
// path and no "..".
bool IsZoneName(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || name.back() == '/') return false;
  char before = '/';
  for (const char c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '+';
    if (!word && (c != '/' || before == '/')) return false;
    before = c;
  }
  return true;
}

// Zones that differ from host to host, or that count leap seconds, cannot say when a schedule
// fires.
bool IsHostDependent(std::string_view name) {
  return name == "localtime" || name == "posixrules" || name.starts_with("right/");
}

}  // namespace

TimeZone::TimeZone(std::string name, std::int32_t first_offset, const std::vector<Change>& changes)
    : name_(std::move(name)), first_offset_(first_offset) {
  changes_.reserve(changes.size());
  for (const Change& change : changes) {
    // Of two changes at one instant the later one counts (a rule with daylight saving all year).
    if (!changes_.empty() && changes_.back().at == change.at) changes_.pop_back();
    const std::int32_t before = changes_.empty() ? first_offset_ : changes_.back().offset;
    if (change.offset != before) changes_.push_back(change);
  }
}

std::shared_ptr<const TimeZone> TimeZone::Utc() {
  return std::shared_ptr<const TimeZone>(new TimeZone("UTC", 0, {}));
}

Result<std::shared_ptr<const TimeZone>> TimeZone::FromTzif(std::string name,
                                                           std::string_view bytes) {
  const auto old = Header::Read(bytes);
  if (!old) return BadFile(name, "is not a TZif file");
  if (old->version < '2') return BadFile(name, "is of version 1, without 64-bit times");
  const std::size_t skip = kHeaderBytes + old->BodyBytes(4);
  if (bytes.size() < skip) return BadFile(name, "is cut off");
  bytes.remove_prefix(skip);
  const auto header = Header::Read(bytes);
  if (!header) return BadFile(name, "has no second header");
  bytes.remove_prefix(kHeaderBytes);
  if (bytes.size() < header->BodyBytes(8)) return BadFile(name, "is cut off");
  if (header->type == 0) return BadFile(name, "has no local time type");
  if (header->leap != 0) return BadFile(name, "counts leap seconds");

  const std::string_view times = bytes.substr(0, header->time * 8);
  const std::string_view indexes = bytes.substr(times.size(), header->time);
  const std::string_view types = bytes.substr(times.size() + indexes.size(), header->type * 6);
  const auto offset_of = [&](std::size_t type) {
    return static_cast<std::int32_t>(BigEndian(types.substr(type * 6, 4)));
  };
  for (std::size_t i = 0; i < header->type; ++i) {
    if (offset_of(i) <= -kReach / 2 || offset_of(i) >= kReach / 2) {
      return BadFile(name, "has an offset of more than a day");
    }
  }

  std::vector<Change> changes;
  for (std::size_t i = 0; i < header->time; ++i) {
    const auto type = static_cast<std::size_t>(static_cast<unsigned char>(indexes[i]));
    if (type >= header->type) return BadFile(name, "names a local time type that it does not have");
    const Change change{BigEndian(times.substr(i * 8, 8)), offset_of(type)};
    if (!changes.empty() && change.at <= changes.back().at) {
      return BadFile(name, "has changes out of order");
    }
    changes.push_back(change);
  }

  bytes.remove_prefix(header->BodyBytes(8));
  const std::size_t footer_end = bytes.empty() ? std::string_view::npos : bytes.find('\n', 1);
  if (footer_end == std::string_view::npos || bytes.front() != '\n') {
    return BadFile(name, "has no footer");
  }
  const std::string_view footer = bytes.substr(1, footer_end - 1);
  if (!footer.empty()) {
    const auto rule = PosixTz::Parse(footer);
    if (!rule) return BadFile(name, "has a footer that is no POSIX time zone");
    if (rule->has_dst) {
      // Written out once here, so that every question is one binary search.
      const std::int64_t recorded_until = changes.empty() ? kBeginOfTime : changes.back().at;
      std::vector<Change> ruled;
      for (int year = kFirstRuleYear; year <= kLastYear; ++year) {
        ruled.push_back({rule->dst_begin.InYear(year) - rule->standard_offset, rule->dst_offset});
        ruled.push_back({rule->dst_end.InYear(year) - rule->dst_offset, rule->standard_offset});
      }
      std::stable_sort(ruled.begin(), ruled.end(),
                       [](const Change& a, const Change& b) { return a.at < b.at; });
      std::copy_if(ruled.begin(), ruled.end(), std::back_inserter(changes),
                   [&](const Change& change) { return change.at > recorded_until; });
    }
  }
  const std::int32_t first_offset = offset_of(0);  // RFC 8536 3.2: before the first change, type 0
  return std::shared_ptr<const TimeZone>(new TimeZone(std::move(name), first_offset, changes));
}

TimeZone::Period TimeZone::PeriodAfterChanges(std::size_t count) const {
  const auto offset_after = [&](std::size_t n) {
    return n == 0 ? first_offset_ : changes_[n - 1].offset;
  };
  Period period;
  period.offset = offset_after(count);
  period.offset_before = count > 0 ? offset_after(count - 1) : period.offset;
  period.offset_after = count < changes_.size() ? offset_after(count + 1) : period.offset;
  if (count > 0) period.begin = changes_[count - 1].at;
  if (count < changes_.size()) period.end = changes_[count].at;
  return period;
}

TimeZone::Period TimeZone::PeriodAt(std::int64_t utc) const {
  const auto next =
      std::upper_bound(changes_.begin(), changes_.end(), utc,
                       [](std::int64_t time, const Change& change) { return time < change.at; });
  return PeriodAfterChanges(static_cast<std::size_t>(next - changes_.begin()));
}

TimeZone::Instant TimeZone::ToUtc(std::int64_t local) const {
  std::optional<std::int64_t> first, last;
  std::int64_t gap_end = 0;
  for (Period period = PeriodAt(local - kReach);; period = PeriodAt(period.end)) {
    const std::int64_t utc = local - period.offset;
    if (utc >= period.begin && utc < period.end) {
      if (!first) first = utc;
      last = utc;
    }
    if (period.end > local + kReach) break;
    if (local >= period.end + period.offset && local < period.end + period.offset_after) {
      gap_end = period.end;
    }
  }
  if (!first) return {Instant::Kind::kGap, gap_end, gap_end};
  return {*first == *last ? Instant::Kind::kUnique : Instant::Kind::kOverlap, *first, *last};
}

TimeZoneCache::TimeZoneCache(std::string folder) : folder_(std::move(folder)) {}

Result<std::shared_ptr<const TimeZone>> TimeZoneCache::Find(const std::string& name) {
  if (!IsZoneName(name) || IsHostDependent(name)) {
    return Status::InvalidArgument("time zone \"" + name.substr(0, kNameBytesMax) +
                                   "\" is not a name like Europe/Berlin or UTC");
  }
  const std::scoped_lock lock(mutex_);
  if (const auto found = zones_.find(name); found != zones_.end()) return found->second;
  if (name == "UTC") return zones_[name] = TimeZone::Utc();

  const std::filesystem::path path = std::filesystem::path(folder_) / name;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    if (!std::filesystem::is_directory(folder_, error)) {
      return Status::Unavailable("no time zone files in " + folder_ +
                                 "; install the package tzdata, or use the zone UTC");
    }
    return Status::InvalidArgument("time zone \"" + name + "\" is unknown: no such file in " +
                                   folder_ + "; expected a name like Europe/Berlin or UTC");
  }
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > kFileBytesMax) return BadFile(name, "is too large");
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.good() && !in.eof()) return BadFile(name, "cannot be read");
  if (!bytes.starts_with("TZif")) {
    // Lists such as zone.tab lie beside the zones.
    return Status::InvalidArgument("time zone \"" + name + "\" is unknown: " + path.string() +
                                   " is not a zone file");
  }
  auto zone = TimeZone::FromTzif(name, bytes);
  if (!zone.ok()) return zone.status();
  return zones_[name] = *zone;
}

Result<std::shared_ptr<const TimeZone>> FindTimeZone(const std::string& name) {
  static TimeZoneCache cache;
  return cache.Find(name);
}

}  // namespace lts::model

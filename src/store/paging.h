// Where a page of a listing ended, as the opaque text that callers hand back. Positions are made of
// values that never change in a row, so that rows coming and going cause neither gaps nor repeats.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "lts/status.h"
#include "store/job_store.h"

namespace lts::store {

inline constexpr std::size_t kPageRowsMax = 1000;
inline std::size_t ClampPage(std::size_t limit) {
  return std::clamp<std::size_t>(limit, 1, kPageRowsMax);
}

// About what a row takes in a listing.
std::size_t BytesOf(const JobRow& row);
std::size_t BytesOf(const ScheduleRow& row);
std::size_t BytesOf(const HistoryRow& row);

// Counts what a page holds. A page ends in front of the row that has no room.
class PageRoom {
 public:
  explicit PageRoom(std::size_t limit) : limit_(ClampPage(limit)) {}

  // False when `row` begins the next page; the first row always has room.
  template <typename Row>
  bool Take(const Row& row) {
    const std::size_t bytes = BytesOf(row);
    if (rows_ > 0 && (rows_ == limit_ || bytes_ + bytes > kPageBytesMax)) return false;
    ++rows_;
    bytes_ += bytes;
    return true;
  }
  bool Full() const { return rows_ == limit_; }

 private:
  const std::size_t limit_;
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
};

// Listings of jobs and schedules go by descending (id, cycle, partition): newest id first.
struct JobPosition {
  model::JobKey key;
  std::uint32_t partition = 0;
  auto operator<=>(const JobPosition&) const = default;
};

// Listings of history go by descending (end, key, attempt, partition).
struct EndedPosition {
  TimeMs ended_ms = 0;
  model::JobKey key;
  std::int32_t attempt = 0;
  std::uint32_t partition = 0;
  auto operator<=>(const EndedPosition&) const = default;
};

PageToken ToToken(const JobPosition& position);
PageToken ToToken(const EndedPosition& position);
// Nothing for "" (the newest); kInvalidArgument for a text that no listing of this kind gave out.
Result<std::optional<JobPosition>> JobPositionFrom(const PageToken& token);
Result<std::optional<EndedPosition>> EndedPositionFrom(const PageToken& token);

// kInvalidArgument for a filter that has no index: a task id without its group.
Status CheckFilter(const JobFilter& filter);

}  // namespace lts::store

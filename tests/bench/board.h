// What the runners tell the driver, in shared memory: the Board has one cell per job, found by the
// job's number, which is the first eight bytes of its payload; the FireLog one entry per run of a
// schedule, in the order of their starts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace lts::bench {

inline constexpr std::size_t kPayloadBytes = 200;

struct Cell {
  std::atomic<std::int64_t> first_line_ns;  // CLOCK_MONOTONIC at the first line of the runner
  std::atomic<std::uint32_t> runs;
};

// A view of memory that is all zero at first; copies see the same. Not freed before the process
// ends.
class Board {
 public:
  // Creates memory for `cells` jobs that a child process inherits. Ends the process when there is
  // none.
  static Board Create(std::size_t cells);
  // In the child.
  static Board Open(int fd, std::size_t cells);

  int fd() const { return fd_; }
  std::size_t cells() const { return cells_; }
  Cell& at(std::size_t job) const { return first_[job]; }
  std::atomic<std::uint64_t>& runs() const { return *runs_; }

 private:
  Board(int fd, std::size_t cells);

  int fd_;
  std::size_t cells_;
  std::atomic<std::uint64_t>* runs_;
  Cell* first_;
};

// One run of a schedule.
struct Fire {
  std::uint64_t schedule;      // its number, from the payload
  std::int64_t fire_ms;        // its fire time, wall clock
  std::int64_t first_line_ns;  // wall clock at the first line of the runner
};

// Like Board. Entries that were begun are whole when the runs they belong to are known to have
// ended.
class FireLog {
 public:
  static FireLog Create(std::size_t entries);
  static FireLog Open(int fd, std::size_t entries);

  int fd() const { return fd_; }
  std::size_t entries() const { return entries_; }
  // How many runs there were; those above entries() were not kept.
  std::uint64_t runs() const { return runs_->load(std::memory_order_acquire); }
  // False when it is full.
  bool Append(const Fire& fire) const;
  const Fire& at(std::size_t entry) const { return first_[entry]; }

 private:
  FireLog(int fd, std::size_t entries);

  int fd_;
  std::size_t entries_;
  std::atomic<std::uint64_t>* runs_;
  Fire* first_;
};

inline std::string PayloadOf(std::uint64_t job) {
  std::string payload(kPayloadBytes, 'x');
  std::memcpy(payload.data(), &job, sizeof job);
  return payload;
}
inline std::uint64_t JobOf(std::string_view payload) {
  std::uint64_t job = UINT64_MAX;
  if (payload.size() >= sizeof job) std::memcpy(&job, payload.data(), sizeof job);
  return job;
}

}  // namespace lts::bench

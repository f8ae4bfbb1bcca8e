// What the runner tells the driver: shared memory with one cell per job, found by the job's number,
// which is the first eight bytes of its payload.
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

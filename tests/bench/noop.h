// The job of the benchmark: it stamps its start on the board and ends.
#pragma once

#include <ctime>
#include <lts/job_runner.hpp>

#include "bench/board.h"

namespace lts::bench {

inline RunResult RunNoop(const Board& board, JobContext& ctx) {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  const std::int64_t now = time.tv_sec * 1'000'000'000LL + time.tv_nsec;
  const std::uint64_t job = JobOf(ctx.Payload());
  if (job >= board.cells()) return RunResult::Failed("not a job of this benchmark");
  Cell& cell = board.at(job);
  std::int64_t none = 0;
  cell.first_line_ns.compare_exchange_strong(none, now, std::memory_order_relaxed);
  cell.runs.fetch_add(1, std::memory_order_relaxed);
  board.runs().fetch_add(1, std::memory_order_release);
  return RunResult::Success();
}

}  // namespace lts::bench

// B1 of DESIGN section 12: what a JobTracker does with very many waiting jobs, against what the
// same one does with a thousand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/scenarios.h"
#include "lts/status.h"

namespace lts::bench {

struct BacklogPlan {
  std::uint64_t jobs = 1'000'000;  // waiting
  std::uint64_t few = 1'000;       // waiting, in comparison
  std::uint64_t burst = 20'000;    // submitted on top, with no TaskTracker there
  int bursts = 5;
  int steady_seconds = 10;  // as many submits as dispatches, the backlog stays as it is
  int batch = 2'000;        // of bursts, and of what makes the backlog
  int threads = 2;
  int floor_count = 500;  // bare commits
};

// Submits and dispatches at the same time.
struct Steady {
  double submits_per_s = 0;
  double runs_per_s = 0;
  double waiting = 0;  // acknowledged and not run, mean
  double commits_per_s = 0;
  double cpu_us = 0;  // of the JobTracker, per run
  double jobtracker_cores = 0;
  double cores_elsewhere = 0;
};

// At one size of the backlog.
struct Level {
  double waiting = 0;          // at the beginning
  std::vector<double> bursts;  // submits/s, a value per burst
  std::vector<double> drains;  // runs/s without submits
  double burst_cpu_us = 0;     // of the JobTracker, per submit
  double drain_cpu_us = 0;     // per run
  Steady steady;
  double peak_mib = 0;  // largest resident set of the JobTracker so far
};

struct BacklogRestart {
  double ready_ms = 0;     // process started -> READY
  double accepted_ms = 0;  // -> a submit is acknowledged
  double windows_ms = 0;   // -> /metrics, which is of each second, shows a full window
};

struct BacklogFigures {
  Spread commit_ms;
  Level few;
  Level many;
  double fill_per_s = 0;
  double fill_mib = 0;   // resident set when the backlog was there
  double store_mib = 0;  // on the disk, then
  double peak_mib = 0;   // of all JobTrackers of the run
  double empty_ready_ms = 0;
  BacklogRestart killed;
  BacklogRestart stopped;
  double after_start_per_s = 0;  // submits, in the first minute
  std::uint64_t ended = 0;
};

// Fails when a job did not run exactly once, or its end is not recorded.
Status MeasureBacklog(const Setup& setup, const BacklogPlan& plan, BacklogFigures* figures);

void PrintBacklog(const Setup& setup, const BacklogPlan& plan, const FileSystem& disk, double load,
                  const BacklogFigures& figures);
bool WriteBacklogJson(const std::string& path, const BacklogPlan& plan, const FileSystem& disk,
                      double load, const BacklogFigures& figures);

}  // namespace lts::bench

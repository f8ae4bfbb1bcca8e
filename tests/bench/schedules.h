// S1 of DESIGN section 12: what 100,000 cron schedules cost while none is due, how late they are
// when many are, and what a JobTracker takes to start with them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/scenarios.h"
#include "lts/status.h"

namespace lts::bench {

struct SchedulePlan {
  std::uint64_t schedules = 100'000;
  double fires_per_second = 1'000;
  int idle_seconds = 60;  // each: without a schedule, and with all of them
  int fire_seconds = 60;
  int few_seconds = 20;  // with one fire a second, for comparison
  int batch = 2'000;
  int threads = 2;
  int floor_count = 500;  // bare commits
};

// Of processes while nothing is due, in percent of a core.
struct Idle {
  double jobtracker = 0;
  double tasktracker = 0;
  double elsewhere = 0;
};

struct Fires {
  std::uint64_t runs = 0;
  double per_second = 0;
  Spread late_ms;   // fire time -> first line of the runner
  Spread first_ms;  // the same, of the first run of each second
  double commits_per_s = 0;
  double jobtracker_cores = 0;
  double tasktracker_cores = 0;
  double cores_elsewhere = 0;
  double jobtracker_mib = 0;  // largest resident set
  std::uint64_t skipped = 0;
};

struct Restart {
  double ready_ms = 0;     // process started -> READY
  double accepted_ms = 0;  // process started -> a submit is acknowledged
};

struct ScheduleFigures {
  Spread commit_ms;
  Idle idle_without;
  Idle idle;
  double accept_s = 0;   // of all schedules
  double empty_mib = 0;  // resident set of the JobTracker without schedules
  double loaded_mib = 0;
  double store_mib = 0;
  double empty_ready_ms = 0;  // of a first start
  Restart killed;
  Restart stopped;
  double restarted_mib = 0;
  Fires few;
  Fires many;
};

// Fails when a fire was missed, ran twice, or did not end as it should.
Status MeasureSchedules(const Setup& setup, const SchedulePlan& plan, ScheduleFigures* figures);

void PrintSchedules(const Setup& setup, const SchedulePlan& plan, const FileSystem& disk,
                    double load, const ScheduleFigures& figures);
bool WriteSchedulesJson(const std::string& path, const SchedulePlan& plan, const FileSystem& disk,
                        double load, const ScheduleFigures& figures);

}  // namespace lts::bench

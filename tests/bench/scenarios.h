// The measurements themselves, rows T1, T2 and L1 of DESIGN section 12. Each starts processes and a
// store of its own, and fails when a job did not end exactly once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/database.h"
#include "bench/measure.h"
#include "lts/status.h"

namespace lts::bench {

struct Setup {
  std::string jobtracker;  // the program
  std::string self;        // this program
  std::string folder;      // for the data of one measurement; removed afterwards
  int slots = 1'024;
  std::vector<std::string> hosted;  // Cluster::Options::hosted
  Database* database = nullptr;     // for the queues, a fresh one each time; null: RocksDB
};

// Microseconds of user and system time per job.
struct CpuPerJob {
  double client = 0;
  double jobtracker = 0;
  double tasktracker = 0;
  double database = 0;
};

struct Throughput {
  std::uint64_t jobs = 0;
  double jobs_per_s = 0;     // from the first submit to the last recorded end
  double submits_per_s = 0;  // from the first submit to the last acknowledgement
  double jobs_per_commit = 0;
  double commits_per_s = 0;  // with RocksDB each is one sync of the log
  double syncs_per_s = 0;    // of the database
  CpuPerJob cpu;
  double cores_used = 0;       // by the processes of this measurement
  double cores_elsewhere = 0;  // by everything else on the machine, meanwhile
  double jobtracker_mib = 0;   // largest resident set
};

struct ThroughputPlan {
  std::uint64_t warm_up = 0;  // jobs before the measured ones
  std::uint64_t jobs = 0;
  int threads = 1;
  int batch = 0;  // jobs of one SubmitAll; 0: single Submit
};
Result<Throughput> MeasureThroughput(const Setup& setup, const ThroughputPlan& plan);

// The statements alone, `batch` jobs each, over one connection to a fresh database, the statements
// made beforehand: what the jobs of MeasureThroughput ask of the database at the least. `jobs` is
// rounded up to whole batches.
Result<Throughput> MeasureStatements(const Setup& setup, std::uint64_t jobs, int batch);

struct Latency {
  std::uint64_t jobs = 0;
  Spread start_ms;   // intended moment -> first line of the runner
  Spread submit_ms;  // intended moment -> submit acknowledged
  double jobs_per_commit = 0;
  CpuPerJob cpu;
  double cores_elsewhere = 0;
  double jobtracker_mib = 0;
};

struct LatencyPlan {
  std::uint64_t warm_up = 0;
  std::uint64_t jobs = 0;
  double per_second = 200;
};
Result<Latency> MeasureLatency(const Setup& setup, const LatencyPlan& plan);

// Milliseconds of a unary call that does nothing, one at a time, to a process of its own.
Result<Spread> MeasureBareRpc(const Setup& setup, int count);

}  // namespace lts::bench

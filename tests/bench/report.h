// What a run of lts_bench has to say: the table and the JSON file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/backlog.h"
#include "bench/database.h"
#include "bench/measure.h"
#include "bench/scenarios.h"
#include "bench/schedules.h"

namespace lts::bench {

constexpr int kBareBatch = 500;  // jobs of one bare statement

// The command line.
struct Arguments {
  std::string jobtracker;
  bool mysql = false;
  bool schedules = false;
  bool backlog = false;
  SchedulePlan schedule_plan;
  BacklogPlan backlog_plan;
  std::string folder = ".";
  std::string json;
  int rounds = 3;
  int seconds_max = 540;
  int slots = 1'024;
  int process_slots = 0;  // the same with isolation process, in turns; 0: leave out
  std::uint64_t batch_jobs = 200'000;
  int batch = 2'000;
  int batch_threads = 2;
  std::uint64_t single_jobs = 100'000;
  int single_threads = 64;
  std::uint64_t bare_jobs = 200'000;
  std::uint64_t latency_jobs = 3'000;
  double per_second = 200;
  int floor_count = 2'000;
};

// What a run has measured, a value per round.
struct Figures {
  Spread commit_ms;
  Spread rpc_ms;
  std::vector<Throughput> batches;
  std::vector<Throughput> singles;
  std::vector<Throughput> bare;  // statements alone
  std::vector<Latency> latencies;
  // The same with isolation process.
  std::vector<Throughput> process_batches;
  std::vector<Throughput> process_singles;
  std::vector<Latency> process_latencies;
  Database::Facts database;  // of the run with --mysql
};

// `load` is the machine's load average before the run, `disk` that of the folder.
void PrintTable(const Arguments& arguments, const FileSystem& disk, double load,
                const Figures& figures);
// Writes arguments.json; false, and said on standard error, when it cannot.
bool WriteJson(const Arguments& arguments, const FileSystem& disk, double load,
               const Figures& figures);

}  // namespace lts::bench

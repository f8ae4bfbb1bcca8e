// Throughput (T1) and latency (L1) of a whole LTS on one machine, rows of DESIGN section 12: this
// program is the client, and starts a JobTracker and a TaskTracker beside it. With --mysql it also
// starts a MariaDB, in which the JobTracker keeps its queues, and measures in turns with the
// statements that the same jobs take at the least (T2). With --schedules it measures cron schedules
// (S1), with --backlog very many waiting jobs (B1). Prints what it does, then a table with the
// figures, what they were measured on, and what the machine itself takes for a bare commit and a
// bare round trip. Exit code 0 when every job ended exactly once; no figure
// makes it fail. scripts/bench.sh builds and calls it.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/report.h"
#include "bench/roles.h"
#include "bench/scenarios.h"
#include "common/log.h"
#include "common/signals.h"

namespace lts::bench {
namespace {

Status Measure(const Arguments& arguments, Setup setup, Figures* figures) {
  const auto say = [](const std::string& line) {
    fmt::print("{}\n", line);
    std::fflush(stdout);
  };
  if (arguments.floor_count > 0) {
    figures->commit_ms = BareCommit(arguments.folder, arguments.floor_count);
    if (figures->commit_ms.count == 0) return Status::Unavailable("cannot write the folder");
    auto rpc = MeasureBareRpc(setup, arguments.floor_count);
    if (!rpc.ok()) return rpc.status();
    figures->rpc_ms = *rpc;
    say(fmt::format("floor: commit {:.3f} ms, gRPC call {:.3f} ms (p50)", figures->commit_ms.p50,
                    figures->rpc_ms.p50));
  }
  const std::int64_t end_ns = NowNs() + arguments.seconds_max * 1'000'000'000LL;
  std::int64_t longest_ns = 0;
  for (int round = 1; round <= arguments.rounds; ++round) {
    const std::int64_t begun_ns = NowNs();
    if (round > 1 && begun_ns + longest_ns > end_ns) {
      say(fmt::format("no time for round {}: {} s would be over", round, arguments.seconds_max));
      break;
    }
    const auto latencies = [&](const Setup& how, const std::string& what,
                               std::vector<Latency>* into) -> Status {
      if (arguments.latency_jobs == 0) return Status::Ok();
      auto latency = MeasureLatency(how, {static_cast<std::uint64_t>(arguments.per_second),
                                          arguments.latency_jobs, arguments.per_second});
      if (!latency.ok()) return latency.status().WithContext(what);
      say(fmt::format("round {}: {} start p50 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms", round, what,
                      latency->start_ms.p50, latency->start_ms.p99, latency->start_ms.max));
      into->push_back(*latency);
      return Status::Ok();
    };
    LTS_RETURN_IF_ERROR(latencies(setup, "L1", &figures->latencies));
    const auto throughput = [&](const Setup& how, const std::string& what,
                                const ThroughputPlan& plan,
                                std::vector<Throughput>* into) -> Status {
      if (plan.jobs == 0) return Status::Ok();
      auto measured = MeasureThroughput(how, plan);
      if (!measured.ok()) return measured.status().WithContext(what);
      say(fmt::format(
          "round {}: {} {:.0f} jobs/s (submitted at {:.0f}/s), {:.0f} commits/s{}, {:.2f} cores "
          "used, {:.2f} elsewhere, JobTracker {:.0f} MiB",
          round, what, measured->jobs_per_s, measured->submits_per_s, measured->commits_per_s,
          setup.database == nullptr ? "" : fmt::format(", {:.0f} syncs/s", measured->syncs_per_s),
          measured->cores_used, measured->cores_elsewhere, measured->jobtracker_mib));
      into->push_back(*measured);
      return Status::Ok();
    };
    if (setup.database != nullptr && arguments.bare_jobs > 0) {
      auto bare = MeasureStatements(setup, arguments.bare_jobs, kBareBatch);
      if (!bare.ok()) return bare.status().WithContext("bare statements");
      say(fmt::format(
          "round {}: bare statements {:.0f} jobs/s (inserts {:.0f}/s), {:.0f} commits/s, {:.0f} "
          "syncs/s, {:.2f} cores used, {:.2f} elsewhere",
          round, bare->jobs_per_s, bare->submits_per_s, bare->commits_per_s, bare->syncs_per_s,
          bare->cores_used, bare->cores_elsewhere));
      figures->bare.push_back(*bare);
    }
    const std::string row = arguments.mysql ? "T2" : "T1";
    const ThroughputPlan batches = {arguments.batch_jobs / 10, arguments.batch_jobs,
                                    arguments.batch_threads, arguments.batch};
    const ThroughputPlan singles = {arguments.single_jobs / 10, arguments.single_jobs,
                                    arguments.single_threads, 0};
    LTS_RETURN_IF_ERROR(throughput(setup, row + " SubmitAll", batches, &figures->batches));
    LTS_RETURN_IF_ERROR(throughput(setup, row + " Submit", singles, &figures->singles));
    if (arguments.process_slots > 0) {
      Setup process = setup;
      process.slots = arguments.process_slots;
      process.hosted = {LTS_BENCH_PLUGIN, LTS_BENCH_RUNNER_HOST};
      LTS_RETURN_IF_ERROR(latencies(process, "process L1", &figures->process_latencies));
      LTS_RETURN_IF_ERROR(
          throughput(process, "process " + row + " SubmitAll", batches, &figures->process_batches));
      LTS_RETURN_IF_ERROR(
          throughput(process, "process " + row + " Submit", singles, &figures->process_singles));
    }
    longest_ns = std::max(longest_ns, NowNs() - begun_ns);
  }
  return Status::Ok();
}

// Options of --schedules and --backlog.
void AddFurtherOptions(CLI::App& app, Arguments& arguments) {
  SchedulePlan& schedules = arguments.schedule_plan;
  BacklogPlan& backlog = arguments.backlog_plan;
  app.add_flag("--schedules", arguments.schedules, "Cron schedules (S1), and nothing else");
  app.add_option("--schedule-count", schedules.schedules, "Schedules of S1")
      ->check(CLI::Range(60, 10'000'000));
  app.add_option("--fires", schedules.fires_per_second, "Fires a second of S1, of all of them")
      ->check(CLI::Range(0.02, 10'000.0));
  app.add_option("--idle-seconds", schedules.idle_seconds,
                 "How long S1 is idle without schedules, and with them; 0: leave out")
      ->check(CLI::Range(0, 86'400));
  app.add_option("--fire-seconds", schedules.fire_seconds, "How long they fire; 0: leave out")
      ->check(CLI::Range(0, 86'400));
  app.add_option("--few-seconds", schedules.few_seconds,
                 "How long one a second fires, for comparison; 0: leave out")
      ->check(CLI::Range(0, 86'400));
  app.add_flag("--backlog", arguments.backlog, "Very many waiting jobs (B1), and nothing else");
  app.add_option("--jobs", backlog.jobs, "Jobs of the backlog of B1")
      ->check(CLI::Range(1'000, 1'000'000'000));
  app.add_option("--burst", backlog.burst, "Jobs of a burst of B1")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--bursts", backlog.bursts, "Bursts of B1, with few waiting jobs and with many")
      ->check(CLI::Range(1, 1'000));
  app.add_option("--steady-seconds", backlog.steady_seconds,
                 "How long B1 submits and dispatches at once, each time")
      ->check(CLI::Range(1, 3'600));
}

// S1 or B1. The exit code.
int MeasureFurther(Arguments& arguments, const Setup& setup, const FileSystem& disk, double load) {
  bool written = true;
  Status measured;
  if (arguments.schedules) {
    SchedulePlan& plan = arguments.schedule_plan;
    plan.batch = arguments.batch;
    plan.threads = arguments.batch_threads;
    plan.floor_count = std::min(plan.floor_count, arguments.floor_count);
    ScheduleFigures figures;
    measured = MeasureSchedules(setup, plan, &figures);
    if (measured.ok()) {
      fmt::print("\n");
      PrintSchedules(setup, plan, disk, load, figures);
      if (!arguments.json.empty())
        written = WriteSchedulesJson(arguments.json, plan, disk, load, figures);
    }
  } else {
    BacklogPlan& plan = arguments.backlog_plan;
    plan.batch = arguments.batch;
    plan.threads = arguments.batch_threads;
    plan.floor_count = std::min(plan.floor_count, arguments.floor_count);
    BacklogFigures figures;
    measured = MeasureBacklog(setup, plan, &figures);
    if (measured.ok()) {
      fmt::print("\n");
      PrintBacklog(setup, plan, disk, load, figures);
      if (!arguments.json.empty())
        written = WriteBacklogJson(arguments.json, plan, disk, load, figures);
    }
  }
  if (measured.ok()) return written ? 0 : 1;
  fmt::print(stderr, "lts_bench: {}\n", measured.ToString());
  return 1;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app(
      "Throughput (T1, T2), latency (L1), schedules (S1) and backlog (B1) of LTS on this machine");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--jobtracker", arguments.jobtracker, "The jobtracker program")->required();
  app.add_option("--folder", arguments.folder, "Where data is put, and removed again; on a disk");
  app.add_flag("--mysql", arguments.mysql,
               "The queues in a MariaDB, in turns with bare statements (T2); leaves out L1 unless "
               "--latency-jobs is given");
  app.add_option("--bare-jobs", arguments.bare_jobs,
                 "With --mysql: jobs of a round of bare statements; 0: leave out");
  app.add_option("--json", arguments.json, "File for all figures");
  app.add_option("--rounds", arguments.rounds, "Rounds")->check(CLI::Range(1, 100));
  app.add_option("--seconds", arguments.seconds_max, "No round begins that would end later")
      ->check(CLI::Range(1, 86'400));
  app.add_option("--slots", arguments.slots, "Slots")->check(CLI::Range(1, 10'000));
  app.add_option("--process-slots", arguments.process_slots,
                 "Also measures runner.isolation=process, with so many slots; 0: leave out")
      ->check(CLI::Range(0, 10'000));
  app.add_option("--batch-jobs", arguments.batch_jobs,
                 "Jobs of a round by SubmitAll; 0: leave out");
  app.add_option("--batch", arguments.batch, "Jobs of one SubmitAll")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--batch-threads", arguments.batch_threads, "Threads that call SubmitAll")
      ->check(CLI::Range(1, 1'000));
  app.add_option("--single-jobs", arguments.single_jobs, "Jobs of a round by Submit; 0: leave out");
  app.add_option("--single-threads", arguments.single_threads, "Threads that call Submit")
      ->check(CLI::Range(1, 1'000));
  const CLI::Option* latency_jobs = app.add_option("--latency-jobs", arguments.latency_jobs,
                                                   "Jobs of a round of L1; 0: leave out");
  app.add_option("--rate", arguments.per_second, "Jobs a second of L1")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--floor", arguments.floor_count, "Bare commits and calls; 0: leave out");
  AddFurtherOptions(app, arguments);
  CLI11_PARSE(app, argc, argv);
  if (arguments.schedules + arguments.backlog + arguments.mysql > 1) {
    fmt::print(stderr, "lts_bench: one of --mysql, --schedules and --backlog at a time\n");
    return 1;
  }
  if (arguments.mysql && latency_jobs->count() == 0) arguments.latency_jobs = 0;

  std::error_code error;
  arguments.folder = std::filesystem::absolute(arguments.folder, error).string();
  std::filesystem::create_directories(arguments.folder, error);
  if (error) {
    fmt::print(stderr, "lts_bench: cannot make {}: {}\n", arguments.folder, error.message());
    return 1;
  }
  Setup setup;
  setup.jobtracker = std::filesystem::absolute(arguments.jobtracker).string();
  setup.self = std::filesystem::read_symlink("/proc/self/exe").string();
  setup.folder = fmt::format("{}/lts_bench.{}", arguments.folder, getpid());
  setup.slots = arguments.slots;
  const FileSystem disk = FileSystemOf(arguments.folder);
  const double load = LoadAverage();
  if (arguments.schedules || arguments.backlog) {
    return MeasureFurther(arguments, setup, disk, load);
  }
  Figures figures;
  const Folder database_folder(setup.folder + ".mysql");
  std::unique_ptr<Database> database;
  if (arguments.mysql) {
    std::filesystem::create_directories(database_folder.path(), error);
    auto started = Database::Start(database_folder.path());
    if (!started.ok()) {
      fmt::print(stderr, "lts_bench: {}\n", started.status().ToString());
      return 1;
    }
    database = std::move(*started);
    setup.database = database.get();
    figures.database = database->facts();
  }
  const Status measured = Measure(arguments, setup, &figures);
  if (!measured.ok()) {
    fmt::print(stderr, "lts_bench: {}\n", measured.ToString());
    return 1;
  }
  const bool written = arguments.json.empty() || WriteJson(arguments, disk, load, figures);
  fmt::print("\n");
  PrintTable(arguments, disk, load, figures);
  return written ? 0 : 1;
}

}  // namespace
}  // namespace lts::bench

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  if (role == "worker" || role == "echo") {
    lts::BlockSignals();
    lts::log::Options log;
    log.level = lts::log::Level::kWarn;
    lts::log::Configure(log);
    return role == "echo" ? lts::bench::RunEcho()
                          : lts::bench::RunWorker(std::vector<std::string>(argv + 2, argv + argc));
  }
  return lts::bench::Main(argc, argv);
}

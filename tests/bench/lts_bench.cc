// Throughput (T1) and latency (L1) of a whole LTS on one machine, rows of DESIGN section 12: this
// program is the client, and starts a JobTracker and a TaskTracker beside it. Prints what it does,
// then a table with the figures, what they were measured on, and what the machine itself takes for
// a bare commit and a bare round trip. Exit code 0 when every job ended exactly once; no figure
// makes it fail. scripts/bench.sh builds and calls it.
#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/roles.h"
#include "bench/scenarios.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/signals.h"

namespace lts::bench {
namespace {

constexpr double kAimBatches = 40'000;  // jobs a second
constexpr double kAimSingles = 20'000;
constexpr double kAimStartP50Ms = 2.5;
constexpr double kAimStartP99Ms = 8;

struct Arguments {
  std::string jobtracker;
  std::string folder = ".";
  std::string json;
  int rounds = 3;
  int seconds_max = 540;
  int slots = 1'024;
  std::uint64_t batch_jobs = 200'000;
  int batch = 2'000;
  int batch_threads = 2;
  std::uint64_t single_jobs = 100'000;
  int single_threads = 64;
  std::uint64_t latency_jobs = 3'000;
  double per_second = 200;
  int floor_count = 2'000;
};

struct Figures {
  Spread commit_ms;
  Spread rpc_ms;
  std::vector<Throughput> batches;
  std::vector<Throughput> singles;
  std::vector<Latency> latencies;
};

template <typename Round, typename Get>
std::vector<double> Sorted(const std::vector<Round>& rounds, const Get& get) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(get(round));
  std::sort(values.begin(), values.end());
  return values;
}
template <typename Round, typename Get>
double Median(const std::vector<Round>& rounds, const Get& get) {
  const std::vector<double> values = Sorted(rounds, get);
  return values.empty() ? 0 : values[values.size() / 2];
}

// One line of the table: the figure itself, and what it cost.
template <typename Round, typename Get>
void PrintRow(const std::string& what, const std::string& aim, const std::vector<Round>& rounds,
              const Get& get, const char* unit, int digits) {
  if (rounds.empty()) return;
  const std::vector<double> values = Sorted(rounds, get);
  fmt::print("{:<25}{:>10}{:>10}  {:<17}{:>7.1f}{:>9.0f}{:>9.0f}{:>9.0f}{:>9.2f}\n", what, aim,
             fmt::format("{:.{}f}{}", Median(rounds, get), digits, unit),
             fmt::format("{:.{}f} - {:.{}f}", values.front(), digits, values.back(), digits),
             Median(rounds, [](const Round& r) { return r.jobs_per_commit; }),
             Median(rounds, [](const Round& r) { return r.cpu.client; }),
             Median(rounds, [](const Round& r) { return r.cpu.jobtracker; }),
             Median(rounds, [](const Round& r) { return r.cpu.tasktracker; }),
             Median(rounds, [](const Round& r) { return r.cores_elsewhere; }));
}

void PrintTable(const Arguments& arguments, const FileSystem& disk, double load,
                const Figures& figures) {
  fmt::print(
      "LTS {}: {} cores, load {:.1f} before, {} {}; isolation thread, {} slots, {}-byte payload\n",
      Version(), Cores(), load, disk.type, disk.durable ? "(durable)" : "NOT DURABLE",
      arguments.slots, 200);
  fmt::print("{:<25}{:>10}{:>10}  {:<17}{:>7}{:>27}{:>9}\n", "", "", "", "", "jobs/",
             "CPU us a job", "cores");
  fmt::print("{:<25}{:>10}{:>10}  {:<17}{:>7}{:>9}{:>9}{:>9}{:>9}\n",
             fmt::format("{} rounds", std::max({figures.batches.size(), figures.singles.size(),
                                                figures.latencies.size()})),
             "aim", "median", "min - max", "commit", "client", "jobtr.", "tasktr.", "else");
  const auto rate = [](const Throughput& r) { return r.jobs_per_s; };
  PrintRow(fmt::format("T1 SubmitAll, {} a call", arguments.batch),
           fmt::format("{:.0f}/s", kAimBatches), figures.batches, rate, "/s", 0);
  PrintRow(fmt::format("T1 Submit, {} threads", arguments.single_threads),
           fmt::format("{:.0f}/s", kAimSingles), figures.singles, rate, "/s", 0);
  const auto latency = [&](const char* what, double aim, const auto& get) {
    PrintRow(what, aim > 0 ? fmt::format("{:.1f} ms", aim) : std::string(), figures.latencies, get,
             " ms", 2);
  };
  latency("L1 start of job, p50", kAimStartP50Ms, [](const Latency& r) { return r.start_ms.p50; });
  latency("L1 start of job, p99", kAimStartP99Ms, [](const Latency& r) { return r.start_ms.p99; });
  latency("L1 start of job, max", 0, [](const Latency& r) { return r.start_ms.max; });
  latency("L1 submit answered, p50", 0, [](const Latency& r) { return r.submit_ms.p50; });
  fmt::print(
      "floor: commit (300 bytes, fdatasync) p50 {:.2f} ms p99 {:.2f} ms; gRPC call p50 {:.2f} ms "
      "p99 "
      "{:.2f} ms; 2 x (commit + 2 calls) = {:.2f} ms\n",
      figures.commit_ms.p50, figures.commit_ms.p99, figures.rpc_ms.p50, figures.rpc_ms.p99,
      2 * (figures.commit_ms.p50 + 2 * figures.rpc_ms.p50));
  fmt::print("every job ended once by the history; syncs = commits (lts_commits_total)\n");
}

nlohmann::ordered_json JsonOf(const Spread& spread) {
  return {
      {"count", spread.count}, {"p50Ms", spread.p50}, {"p99Ms", spread.p99}, {"maxMs", spread.max}};
}
nlohmann::ordered_json JsonOf(const CpuPerJob& cpu) {
  return {{"client", cpu.client}, {"jobtracker", cpu.jobtracker}, {"tasktracker", cpu.tasktracker}};
}
nlohmann::ordered_json JsonOf(const Throughput& round) {
  return {{"jobs", round.jobs},
          {"jobsPerSecond", round.jobs_per_s},
          {"submitsPerSecond", round.submits_per_s},
          {"jobsPerCommit", round.jobs_per_commit},
          {"commitsPerSecond", round.commits_per_s},
          {"cpuMicrosPerJob", JsonOf(round.cpu)},
          {"coresUsed", round.cores_used},
          {"coresElsewhere", round.cores_elsewhere},
          {"jobtrackerPeakMib", round.jobtracker_mib}};
}
nlohmann::ordered_json JsonOf(const Latency& round) {
  return {{"jobs", round.jobs},
          {"start", JsonOf(round.start_ms)},
          {"submitAnswered", JsonOf(round.submit_ms)},
          {"jobsPerCommit", round.jobs_per_commit},
          {"cpuMicrosPerJob", JsonOf(round.cpu)},
          {"coresElsewhere", round.cores_elsewhere},
          {"jobtrackerPeakMib", round.jobtracker_mib}};
}
template <typename Round>
nlohmann::ordered_json JsonOf(const std::vector<Round>& rounds) {
  auto all = nlohmann::ordered_json::array();
  for (const Round& round : rounds) all.push_back(JsonOf(round));
  return all;
}

bool WriteJson(const Arguments& arguments, const FileSystem& disk, double load,
               const Figures& figures) {
  const auto rate = [](const Throughput& r) { return r.jobs_per_s; };
  utsname system{};
  uname(&system);
  nlohmann::ordered_json json;
  json["version"] = Version();
  json["time"] = FormatUtc(SystemClock().WallMs());
  json["machine"] = {{"cores", Cores()}, {"kernel", system.release}, {"loadBefore", load}};
  json["fileSystem"] = {{"type", disk.type}, {"durable", disk.durable}};
  json["isolation"] = "thread";
  json["slots"] = arguments.slots;
  json["payloadBytes"] = 200;
  json["floor"] = {{"commit", JsonOf(figures.commit_ms)}, {"grpcCall", JsonOf(figures.rpc_ms)}};
  json["T1batches"] = {{"aim", kAimBatches},
                       {"median", Median(figures.batches, rate)},
                       {"jobsPerCall", arguments.batch},
                       {"threads", arguments.batch_threads},
                       {"rounds", JsonOf(figures.batches)}};
  json["T1singles"] = {{"aim", kAimSingles},
                       {"median", Median(figures.singles, rate)},
                       {"threads", arguments.single_threads},
                       {"rounds", JsonOf(figures.singles)}};
  json["L1"] = {
      {"aimP50Ms", kAimStartP50Ms},
      {"aimP99Ms", kAimStartP99Ms},
      {"medianP50Ms", Median(figures.latencies, [](const Latency& r) { return r.start_ms.p50; })},
      {"medianP99Ms", Median(figures.latencies, [](const Latency& r) { return r.start_ms.p99; })},
      {"perSecond", arguments.per_second},
      {"rounds", JsonOf(figures.latencies)}};
  std::ofstream file(arguments.json);
  file << json.dump(2) << '\n';
  file.close();
  if (!file) fmt::print(stderr, "lts_bench: cannot write {}\n", arguments.json);
  return static_cast<bool>(file);
}

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
    if (arguments.latency_jobs > 0) {
      auto latency = MeasureLatency(setup, {static_cast<std::uint64_t>(arguments.per_second),
                                            arguments.latency_jobs, arguments.per_second});
      if (!latency.ok()) return latency.status().WithContext("L1");
      say(fmt::format("round {}: L1 start p50 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms", round,
                      latency->start_ms.p50, latency->start_ms.p99, latency->start_ms.max));
      figures->latencies.push_back(*latency);
    }
    const auto throughput = [&](const char* what, const ThroughputPlan& plan,
                                std::vector<Throughput>* into) -> Status {
      if (plan.jobs == 0) return Status::Ok();
      auto measured = MeasureThroughput(setup, plan);
      if (!measured.ok()) return measured.status().WithContext(what);
      say(fmt::format(
          "round {}: {} {:.0f} jobs/s (submitted at {:.0f}/s), {:.0f} commits/s, {:.2f} cores "
          "used, "
          "{:.2f} elsewhere, JobTracker {:.0f} MiB",
          round, what, measured->jobs_per_s, measured->submits_per_s, measured->commits_per_s,
          measured->cores_used, measured->cores_elsewhere, measured->jobtracker_mib));
      into->push_back(*measured);
      return Status::Ok();
    };
    LTS_RETURN_IF_ERROR(throughput(
        "T1 SubmitAll",
        {arguments.batch_jobs / 10, arguments.batch_jobs, arguments.batch_threads, arguments.batch},
        &figures->batches));
    LTS_RETURN_IF_ERROR(
        throughput("T1 Submit",
                   {arguments.single_jobs / 10, arguments.single_jobs, arguments.single_threads, 0},
                   &figures->singles));
    longest_ns = std::max(longest_ns, NowNs() - begun_ns);
  }
  return Status::Ok();
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Throughput (T1) and latency (L1) of LTS on this machine");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--jobtracker", arguments.jobtracker, "The jobtracker program")->required();
  app.add_option("--folder", arguments.folder, "Where data is put, and removed again; on a disk");
  app.add_option("--json", arguments.json, "File for all figures");
  app.add_option("--rounds", arguments.rounds, "Rounds")->check(CLI::Range(1, 100));
  app.add_option("--seconds", arguments.seconds_max, "No round begins that would end later")
      ->check(CLI::Range(1, 86'400));
  app.add_option("--slots", arguments.slots, "Slots")->check(CLI::Range(1, 10'000));
  app.add_option("--batch-jobs", arguments.batch_jobs,
                 "Jobs of a round by SubmitAll; 0: leave out");
  app.add_option("--batch", arguments.batch, "Jobs of one SubmitAll")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--batch-threads", arguments.batch_threads, "Threads that call SubmitAll")
      ->check(CLI::Range(1, 1'000));
  app.add_option("--single-jobs", arguments.single_jobs, "Jobs of a round by Submit; 0: leave out");
  app.add_option("--single-threads", arguments.single_threads, "Threads that call Submit")
      ->check(CLI::Range(1, 1'000));
  app.add_option("--latency-jobs", arguments.latency_jobs, "Jobs of a round of L1; 0: leave out");
  app.add_option("--rate", arguments.per_second, "Jobs a second of L1")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--floor", arguments.floor_count, "Bare commits and calls; 0: leave out");
  CLI11_PARSE(app, argc, argv);

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
  Figures figures;
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

#include "bench/report.h"

#include <fmt/core.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/clock.h"
#include "common/daemon.h"

namespace lts::bench {
namespace {

constexpr double kAimBatches = 40'000;  // jobs a second
constexpr double kAimSingles = 20'000;
constexpr double kAimMysql = 12'000;
constexpr double kAimMysqlRatio = 0.5;  // to the bare statements
constexpr double kAimStartP50Ms = 2.5;
constexpr double kAimStartP99Ms = 8;

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

// Of each round's figure to that of its bare statements.
std::vector<double> Ratios(const std::vector<Throughput>& rounds,
                           const std::vector<Throughput>& bare) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(rounds.size(), bare.size()); ++i) {
    ratios.push_back(rounds[i].jobs_per_s / bare[i].jobs_per_s);
  }
  return ratios;
}

// One line of the table: the figure itself, and what it cost.
template <typename Round, typename Get>
void PrintRow(const std::string& what, const std::string& aim, const std::vector<Round>& rounds,
              const Get& get, const char* unit, int digits) {
  if (rounds.empty()) return;
  const std::vector<double> values = Sorted(rounds, get);
  fmt::print("{:<25}{:>10}{:>10}  {:<17}{:>7.1f}{:>9.0f}{:>9.0f}{:>9.0f}{:>9.0f}{:>9.2f}\n", what,
             aim, fmt::format("{:.{}f}{}", Median(rounds, get), digits, unit),
             fmt::format("{:.{}f} - {:.{}f}", values.front(), digits, values.back(), digits),
             Median(rounds, [](const Round& r) { return r.jobs_per_commit; }),
             Median(rounds, [](const Round& r) { return r.cpu.client; }),
             Median(rounds, [](const Round& r) { return r.cpu.jobtracker; }),
             Median(rounds, [](const Round& r) { return r.cpu.tasktracker; }),
             Median(rounds, [](const Round& r) { return r.cpu.database; }),
             Median(rounds, [](const Round& r) { return r.cores_elsewhere; }));
}

nlohmann::ordered_json JsonOf(const Spread& spread) {
  return {
      {"count", spread.count}, {"p50Ms", spread.p50}, {"p99Ms", spread.p99}, {"maxMs", spread.max}};
}
nlohmann::ordered_json JsonOf(const CpuPerJob& cpu) {
  return {{"client", cpu.client},
          {"jobtracker", cpu.jobtracker},
          {"tasktracker", cpu.tasktracker},
          {"database", cpu.database}};
}
nlohmann::ordered_json JsonOf(const Throughput& round) {
  return {{"jobs", round.jobs},
          {"jobsPerSecond", round.jobs_per_s},
          {"submitsPerSecond", round.submits_per_s},
          {"jobsPerCommit", round.jobs_per_commit},
          {"commitsPerSecond", round.commits_per_s},
          {"databaseSyncsPerSecond", round.syncs_per_s},
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

}  // namespace

void PrintTable(const Arguments& arguments, const FileSystem& disk, double load,
                const Figures& figures) {
  fmt::print(
      "LTS {}: {} cores, load {:.1f} before, {} {}; isolation thread, {} slots, {}-byte payload\n",
      Version(), Cores(), load, disk.type, disk.durable ? "(durable)" : "NOT DURABLE",
      arguments.slots, 200);
  fmt::print("{:<25}{:>10}{:>10}  {:<17}{:>7}{:>36}{:>9}\n", "", "", "", "", "jobs/",
             "CPU us a job", "cores");
  fmt::print("{:<25}{:>10}{:>10}  {:<17}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}\n",
             fmt::format("{} rounds", std::max({figures.batches.size(), figures.singles.size(),
                                                figures.latencies.size()})),
             "aim", "median", "min - max", "commit", "client", "jobtr.", "tasktr.", "mariadbd",
             "else");
  const auto rate = [](const Throughput& r) { return r.jobs_per_s; };
  const char* row = arguments.mysql ? "T2" : "T1";
  PrintRow(fmt::format("{} SubmitAll, {} a call", row, arguments.batch),
           fmt::format("{:.0f}/s", arguments.mysql ? kAimMysql : kAimBatches), figures.batches,
           rate, "/s", 0);
  PrintRow(fmt::format("{} Submit, {} threads", row, arguments.single_threads),
           arguments.mysql ? std::string() : fmt::format("{:.0f}/s", kAimSingles), figures.singles,
           rate, "/s", 0);
  PrintRow(fmt::format("bare statements, {} each", kBareBatch), "", figures.bare, rate, "/s", 0);
  const auto ratio = [&](const char* what, const std::string& aim,
                         const std::vector<Throughput>& rounds) {
    std::vector<double> ratios = Ratios(rounds, figures.bare);
    if (ratios.empty()) return;
    std::sort(ratios.begin(), ratios.end());
    fmt::print("{:<25}{:>10}{:>10.2f}  {:.2f} - {:.2f}\n", what, aim, ratios[ratios.size() / 2],
               ratios.front(), ratios.back());
  };
  ratio("SubmitAll to bare", fmt::format("{:.2f}", kAimMysqlRatio), figures.batches);
  ratio("Submit to bare", "", figures.singles);
  const auto latency = [&](const char* what, double aim, const auto& get) {
    PrintRow(what, aim > 0 ? fmt::format("{:.1f} ms", aim) : std::string(), figures.latencies, get,
             " ms", 2);
  };
  latency("L1 start of job, p50", kAimStartP50Ms, [](const Latency& r) { return r.start_ms.p50; });
  latency("L1 start of job, p99", kAimStartP99Ms, [](const Latency& r) { return r.start_ms.p99; });
  latency("L1 start of job, max", 0, [](const Latency& r) { return r.start_ms.max; });
  latency("L1 submit answered, p50", 0, [](const Latency& r) { return r.submit_ms.p50; });
  PrintRow("process: SubmitAll", "", figures.process_batches, rate, "/s", 0);
  PrintRow("process: Submit", "", figures.process_singles, rate, "/s", 0);
  PrintRow(
      "process: start, p50", "", figures.process_latencies,
      [](const Latency& r) { return r.start_ms.p50; }, " ms", 2);
  PrintRow(
      "process: start, p99", "", figures.process_latencies,
      [](const Latency& r) { return r.start_ms.p99; }, " ms", 2);
  if (arguments.process_slots > 0) {
    fmt::print("process: isolation process, {} slots; the time of the hosts is the TaskTracker's\n",
               arguments.process_slots);
  }
  if (arguments.mysql) {
    const auto syncs = [](const std::vector<Throughput>& rounds) {
      return fmt::format("{:.0f} ({:.0f} commits)",
                         Median(rounds, [](const Throughput& r) { return r.syncs_per_s; }),
                         Median(rounds, [](const Throughput& r) { return r.commits_per_s; }));
    };
    fmt::print(
        "MariaDB {}, innodb_flush_log_at_trx_commit={}, log_bin={}, buffer pool {}, log {}; one "
        "JobTracker, leases on\n"
        "syncs of mariadbd a second: SubmitAll {}, Submit {}, bare {}\n",
        figures.database.version, figures.database.flush_log_at_commit, figures.database.log_bin,
        Database::kBufferPool, Database::kLogFile, syncs(figures.batches), syncs(figures.singles),
        syncs(figures.bare));
  }
  if (figures.commit_ms.count > 0)
    fmt::print(
        "floor: commit (300 bytes, fdatasync) p50 {:.2f} ms p99 {:.2f} ms; gRPC call p50 {:.2f} ms "
        "p99 "
        "{:.2f} ms; 2 x (commit + 2 calls) = {:.2f} ms\n",
        figures.commit_ms.p50, figures.commit_ms.p99, figures.rpc_ms.p50, figures.rpc_ms.p99,
        2 * (figures.commit_ms.p50 + 2 * figures.rpc_ms.p50));
  fmt::print("every job ended once by the history; {}commits are lts_commits_total\n",
             arguments.mysql ? "" : "syncs = commits; ");
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
  const std::string row = arguments.mysql ? "T2" : "T1";
  if (arguments.mysql) {
    json["database"] = {{"version", figures.database.version},
                        {"innodbFlushLogAtTrxCommit", figures.database.flush_log_at_commit},
                        {"logBin", figures.database.log_bin},
                        {"bufferPool", Database::kBufferPool},
                        {"logFile", Database::kLogFile}};
    json["T2bare"] = {{"median", Median(figures.bare, rate)},
                      {"jobsPerStatement", kBareBatch},
                      {"rounds", JsonOf(figures.bare)}};
    const auto ratios = [&](const std::vector<Throughput>& rounds) {
      std::vector<double> all = Ratios(rounds, figures.bare);
      const auto median = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
      nlohmann::ordered_json json_ratios = {{"rounds", all}};
      if (all.empty()) return json_ratios;
      std::nth_element(all.begin(), median, all.end());
      json_ratios["median"] = *median;
      return json_ratios;
    };
    json["T2ratioBatches"] = ratios(figures.batches);
    json["T2ratioBatches"]["aim"] = kAimMysqlRatio;
    json["T2ratioSingles"] = ratios(figures.singles);
  }
  json[row + "batches"] = {{"aim", arguments.mysql ? kAimMysql : kAimBatches},
                           {"median", Median(figures.batches, rate)},
                           {"jobsPerCall", arguments.batch},
                           {"threads", arguments.batch_threads},
                           {"rounds", JsonOf(figures.batches)}};
  json[row + "singles"] = {{"median", Median(figures.singles, rate)},
                           {"threads", arguments.single_threads},
                           {"rounds", JsonOf(figures.singles)}};
  if (!arguments.mysql) json[row + "singles"]["aim"] = kAimSingles;
  if (!figures.latencies.empty()) {
    json["L1"] = {
        {"aimP50Ms", kAimStartP50Ms},
        {"aimP99Ms", kAimStartP99Ms},
        {"medianP50Ms", Median(figures.latencies, [](const Latency& r) { return r.start_ms.p50; })},
        {"medianP99Ms", Median(figures.latencies, [](const Latency& r) { return r.start_ms.p99; })},
        {"perSecond", arguments.per_second},
        {"rounds", JsonOf(figures.latencies)}};
  }
  if (arguments.process_slots > 0) {
    json["process"] = {{"slots", arguments.process_slots},
                       {"batches", JsonOf(figures.process_batches)},
                       {"singles", JsonOf(figures.process_singles)},
                       {"L1", JsonOf(figures.process_latencies)}};
  }
  return WriteFile(arguments.json, json.dump(2) + '\n');
}

}  // namespace lts::bench

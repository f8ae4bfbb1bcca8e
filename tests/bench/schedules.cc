#include "bench/schedules.h"

#include <fmt/core.h>
#include <lts/job_client.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "bench/board.h"
#include "bench/clients.h"
#include "bench/processes.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "lts/v1/query.pb.h"
#include "model/job_id.h"
#include "rpc/channel.h"

namespace lts::bench {
namespace {

constexpr double kAimIdlePercent = 2;
constexpr double kAimLateP99Ms = 20;
constexpr std::int64_t kCallMs = 30'000;
constexpr int kPage = 1'000;
constexpr int kSettleMs = 3'000;
constexpr int kFewSchedules = 60;

void Say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

// A fire once a year, half a year from now.
std::string YearlyCron(std::uint64_t number) {
  const std::time_t now = time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{} {} {} {} {} ?", number % 60, number / 60 % 60, number / 3600 % 24,
                     1 + number / 86'400 % 28, 1 + (utc.tm_mon + 6) % 12);
}

// Schedules of which `per_second` are due at each whole second: some every `short_` minutes, the
// others every `long_` minutes, each spread evenly over the seconds of its period. Cron's fields
// give whole divisors of the hour only.
class Spreading {
 public:
  Spreading(std::uint64_t count, double per_second) : count_(count) {
    constexpr std::array<int, 12> kPeriods = {1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60};
    const double minutes = static_cast<double>(count) / (60 * per_second);
    for (const int period : kPeriods) {
      long_ = period;
      if (period >= minutes) break;
      short_ = period;
    }
    if (short_ == 0 || short_ == long_) {
      short_ = long_;
      return;
    }
    const double each_long = 1.0 / long_;
    shorts_ = static_cast<std::uint64_t>(std::llround(
        (60 * per_second - static_cast<double>(count) * each_long) / (1.0 / short_ - each_long)));
    shorts_ = std::min(shorts_, count_);
  }

  std::string CronOf(std::uint64_t number) const {
    const Place place = PlaceOf(number);
    if (place.period == 1) return fmt::format("{} * * * * ?", place.second);
    if (place.period == 60) return fmt::format("{} {} * * * ?", place.second, place.minute);
    return fmt::format("{} {}/{} * * * ?", place.second, place.minute, place.period);
  }
  bool FiresAt(std::uint64_t number, std::int64_t second) const {
    const Place place = PlaceOf(number);
    return second % 60 == place.second && second / 60 % place.period == place.minute;
  }
  double per_second() const {
    return (static_cast<double>(shorts_) / short_ + static_cast<double>(count_ - shorts_) / long_) /
           60;
  }
  std::string ToString() const {
    if (shorts_ == 0) return fmt::format("every {} min", long_);
    return fmt::format("{} every {} min, {} every {} min", shorts_, short_, count_ - shorts_,
                       long_);
  }

 private:
  struct Place {
    int period = 0;
    int minute = 0;
    int second = 0;
  };
  Place PlaceOf(std::uint64_t number) const {
    const bool is_short = number < shorts_;
    const std::uint64_t n = is_short ? number : number - shorts_;
    const int period = is_short ? short_ : long_;
    return {period, static_cast<int>(n / 60 % static_cast<std::uint64_t>(period)),
            static_cast<int>(n % 60)};
  }

  std::uint64_t count_;
  std::uint64_t shorts_ = 0;
  int short_ = 0;
  int long_ = 0;
};

Job MakeSchedule(std::uint64_t number, const std::string& cron) {
  Job job(fmt::format("schedule-{}", number), Cluster::kGroup);
  job.Runner("fire").Payload(PayloadOf(number)).Cron(cron);
  return job;
}

Result<Idle> MeasureIdle(Cluster& cluster, int seconds) {
  LTS_RETURN_IF_ERROR(cluster.AliveFor(kSettleMs));
  const double busy = MachineBusySeconds();
  const double jobtracker = CpuSecondsOf(cluster.jobtracker());
  const double tasktracker = CpuSecondsOf(cluster.tasktracker());
  const std::int64_t begun_ns = NowNs();
  LTS_RETURN_IF_ERROR(cluster.AliveFor(seconds * 1'000));
  const double passed = static_cast<double>(NowNs() - begun_ns) / 1e9;
  Idle idle;
  idle.jobtracker = (CpuSecondsOf(cluster.jobtracker()) - jobtracker) / passed * 100;
  idle.tasktracker = (CpuSecondsOf(cluster.tasktracker()) - tasktracker) / passed * 100;
  idle.elsewhere = std::max(
      0.0, (MachineBusySeconds() - busy) / passed * 100 - idle.jobtracker - idle.tasktracker);
  return idle;
}

// A one-shot, right after the start, through a client that has never seen another address.
Result<Restart> MeasureRestart(Cluster& cluster, bool kill, std::uint64_t schedules) {
  static int number = 0;
  LTS_RETURN_IF_ERROR(cluster.RestartJobTracker(kill));
  Restart restart;
  restart.ready_ms = cluster.ready_ms();
  auto client = OpenClient(cluster.registry());
  if (!client.ok()) return client.status();
  Job job(fmt::format("after-restart-{}", ++number), Cluster::kGroup);
  // Not due in this run.
  job.Runner("fire").TriggerIn(std::chrono::hours(24));
  const auto receipt = (*client)->Submit(job);
  if (!receipt.ok()) return receipt.status();
  restart.accepted_ms = static_cast<double>(NowNs() - cluster.started_ns()) / 1e6;
  const auto trackers = OpenTrackers(cluster.address());
  const auto view = ViewOfGroup(*trackers);
  if (!view.ok()) return view.status();
  if (static_cast<std::uint64_t>(view->schedules()) != schedules) {
    return Status::Internal(fmt::format("{} of {} schedules are there after the restart",
                                        view->schedules(), schedules));
  }
  return restart;
}

Cluster::Options OptionsOf(const Setup& setup) {
  return {setup.jobtracker, setup.self, setup.folder, setup.slots, {}, {}};
}

// Everything for which nothing fires.
Status MeasureQuiet(const Setup& setup, const SchedulePlan& plan, ScheduleFigures* figures) {
  const Folder folder(setup.folder);
  const FireLog log = FireLog::Create(1'000);
  auto started = Cluster::StartAlone(OptionsOf(setup));
  if (!started.ok()) return started.status();
  Cluster& cluster = **started;
  figures->empty_ready_ms = cluster.ready_ms();
  LTS_RETURN_IF_ERROR(cluster.StartTaskTracker(log));
  auto without = MeasureIdle(cluster, plan.idle_seconds);
  if (!without.ok()) return without.status();
  figures->idle_without = *without;
  figures->empty_mib = MemoryMibOf(cluster.jobtracker());
  Say(
      fmt::format("idle without schedules: JobTracker {:.2f} % of a core, TaskTracker {:.2f} %, "
                  "elsewhere {:.0f} %",
                  without->jobtracker, without->tasktracker, without->elsewhere));
  {
    auto client = OpenClient(cluster.registry());
    if (!client.ok()) return client.status();
    const std::int64_t begun_ns = NowNs();
    LTS_RETURN_IF_ERROR(SubmitInBatches(
        **client, {0, plan.schedules, plan.batch, plan.threads},
        [](std::uint64_t n) { return MakeSchedule(n, YearlyCron(n)); }, nullptr));
    figures->accept_s = static_cast<double>(NowNs() - begun_ns) / 1e9;
  }
  figures->loaded_mib = MemoryMibOf(cluster.jobtracker());
  Say(fmt::format("{} schedules accepted in {:.2f} s, JobTracker {:.0f} MiB", plan.schedules,
                  figures->accept_s, figures->loaded_mib));
  auto idle = MeasureIdle(cluster, plan.idle_seconds);
  if (!idle.ok()) return idle.status();
  figures->idle = *idle;
  figures->store_mib = FolderMib(setup.folder + "/jobtracker");
  Say(
      fmt::format("idle with them: JobTracker {:.2f} % of a core, TaskTracker {:.2f} %, elsewhere "
                  "{:.0f} %",
                  idle->jobtracker, idle->tasktracker, idle->elsewhere));
  LTS_RETURN_IF_ERROR(cluster.StopTaskTracker());
  for (const bool kill : {true, false}) {
    auto restart = MeasureRestart(cluster, kill, plan.schedules);
    if (!restart.ok()) return restart.status();
    (kill ? figures->killed : figures->stopped) = *restart;
    Say(fmt::format("restart after {}: READY after {:.0f} ms, a submit accepted after {:.0f} ms",
                    kill ? "kill -9" : "SIGTERM", restart->ready_ms, restart->accepted_ms));
  }
  figures->restarted_mib = MemoryMibOf(cluster.jobtracker());
  if (log.runs() != 0) return Status::Internal("a schedule fired that was not due");
  return cluster.Stop();
}

// ---- fires ------------------------------------------------------------------------------------

// A fire of a schedule: its number, and the second.
using FireKey = std::pair<std::uint64_t, std::int64_t>;

// Of [first, end), in seconds: each fire that was due ran once, and no other did.
Status CheckRuns(const FireLog& log, const Spreading& spreading, std::uint64_t schedules,
                 std::int64_t first, std::int64_t end) {
  std::vector<FireKey> ran;
  for (std::size_t i = 0; i < log.runs(); ++i) {
    const Fire& fire = log.at(i);
    if (fire.fire_ms % 1'000 != 0 || fire.schedule >= schedules) {
      return Status::Internal(fmt::format("schedule {} ran for {}", fire.schedule, fire.fire_ms));
    }
    ran.emplace_back(fire.schedule, fire.fire_ms / 1'000);
  }
  std::sort(ran.begin(), ran.end());
  if (std::adjacent_find(ran.begin(), ran.end()) != ran.end()) {
    return Status::Internal("a fire ran twice");
  }
  std::size_t within = 0;
  for (const FireKey& key : ran) {
    if (!spreading.FiresAt(key.first, key.second)) {
      return Status::Internal(fmt::format("schedule {} fired at second {}, when it was not due",
                                          key.first, key.second));
    }
    if (key.second >= first && key.second < end) ++within;
  }
  std::size_t due = 0;
  for (std::uint64_t n = 0; n < schedules; ++n) {
    for (std::int64_t second = first; second < end; ++second) {
      if (!spreading.FiresAt(n, second)) continue;
      ++due;
      if (!std::binary_search(ran.begin(), ran.end(), FireKey(n, second))) {
        return Status::Internal(fmt::format("schedule {} did not run for second {}", n, second));
      }
    }
  }
  if (due != within) return Status::Internal(fmt::format("{} fires, {} runs", due, within));
  return Status::Ok();
}

// The history of [first, end): as many fires, each once, by a first attempt that succeeded.
Status CheckHistory(jobclient::Trackers& trackers, const std::vector<model::JobId>& ids,
                    std::int64_t first, std::int64_t end, std::uint64_t expected) {
  std::unordered_map<model::JobId, std::uint64_t> numbers;
  for (std::size_t i = 0; i < ids.size(); ++i) numbers.emplace(ids[i], i);
  std::vector<FireKey> ended;
  v1::ListAttemptsRequest request;
  request.set_group(Cluster::kGroup);
  request.set_limit(kPage);
  do {
    auto page = trackers.Call(&rpc::Channel::ListAttempts, request, kCallMs);
    if (!page.ok()) return page.status();
    if (page->code() != v1::OK) return Status::Internal("attempts: " + page->message());
    for (const v1::AttemptView& row : page->attempts()) {
      if (row.cycle_ms() < first * 1'000 || row.cycle_ms() >= end * 1'000) continue;
      const auto id = model::JobId::Parse(row.job_id());
      const auto found = id ? numbers.find(*id) : numbers.end();
      if (found == numbers.end() || row.attempt() != 1 || !row.final() ||
          row.outcome() != v1::OUTCOME_EXECUTE_SUCCESS) {
        return Status::Internal(fmt::format(
            "the history has an unexpected row: job {} cycle {} attempt {} outcome {} final {}",
            row.job_id(), row.cycle_ms(), row.attempt(), static_cast<int>(row.outcome()),
            row.final()));
      }
      ended.emplace_back(found->second, row.cycle_ms());
    }
    request.set_page(page->next_page());
  } while (!request.page().empty());
  std::sort(ended.begin(), ended.end());
  if (std::adjacent_find(ended.begin(), ended.end()) != ended.end()) {
    return Status::Internal("a fire ended twice");
  }
  if (ended.size() != expected) {
    return Status::Internal(fmt::format("{} runs, {} in the history", expected, ended.size()));
  }
  return Status::Ok();
}

void CountLateness(const FireLog& log, std::int64_t first, std::int64_t end, Fires* out) {
  std::vector<double> late_ms;
  std::vector<double> first_ms(static_cast<std::size_t>(end - first), -1);
  for (std::size_t i = 0; i < log.runs(); ++i) {
    const Fire& fire = log.at(i);
    const std::int64_t second = fire.fire_ms / 1'000;
    if (second < first || second >= end) continue;
    const double ms = static_cast<double>(fire.first_line_ns - fire.fire_ms * 1'000'000) / 1e6;
    late_ms.push_back(ms);
    double& least = first_ms[static_cast<std::size_t>(second - first)];
    if (least < 0 || ms < least) least = ms;
  }
  out->runs = late_ms.size();
  out->per_second = static_cast<double>(out->runs) / static_cast<double>(end - first);
  out->late_ms = SpreadOf(std::move(late_ms));
  out->first_ms = SpreadOf(std::move(first_ms));
}

Result<Fires> MeasureFires(const Setup& setup, const SchedulePlan& plan, std::uint64_t schedules,
                           double per_second, int seconds) {
  const Folder folder(setup.folder);
  const Spreading spreading(schedules, per_second);
  // Those before and after the measured ones are kept too.
  const FireLog log = FireLog::Create(
      static_cast<std::size_t>((seconds + 300) * std::max(1.0, spreading.per_second()) * 1.2));
  auto started = Cluster::StartAlone(OptionsOf(setup));
  if (!started.ok()) return started.status();
  Cluster& cluster = **started;
  LTS_RETURN_IF_ERROR(cluster.StartTaskTracker(log));
  std::vector<model::JobId> ids(schedules);
  {
    auto client = OpenClient(cluster.registry());
    if (!client.ok()) return client.status();
    LTS_RETURN_IF_ERROR(SubmitInBatches(
        **client, {0, schedules, plan.batch, plan.threads},
        [&](std::uint64_t n) { return MakeSchedule(n, spreading.CronOf(n)); },
        [&](std::uint64_t n, const SubmitReceipt& receipt) {
          if (const auto id = model::JobId::Parse(receipt.job_id)) ids[n] = *id;
        }));
  }
  LTS_RETURN_IF_ERROR(cluster.AliveFor(kSettleMs));
  // Whole seconds, from half a second before the first to half a second after the last one.
  const Pacer pacer;
  const auto until = [&](std::int64_t wall_ns) { pacer.Until(NowNs() + wall_ns - WallNs()); };
  const std::int64_t first = WallNs() / 1'000'000'000 + 2;
  const std::int64_t end = first + seconds;
  until(first * 1'000'000'000 - 500'000'000);
  const auto before = cluster.ReadCounts();
  if (!before.ok()) return before.status();
  const double busy = MachineBusySeconds();
  const double jobtracker = CpuSecondsOf(cluster.jobtracker());
  const double tasktracker = CpuSecondsOf(cluster.tasktracker());
  const std::int64_t begun_ns = NowNs();
  until(end * 1'000'000'000 - 500'000'000);
  LTS_RETURN_IF_ERROR(cluster.AliveFor(0));
  const double passed = static_cast<double>(NowNs() - begun_ns) / 1e9;
  Fires fires;
  fires.jobtracker_cores = (CpuSecondsOf(cluster.jobtracker()) - jobtracker) / passed;
  fires.tasktracker_cores = (CpuSecondsOf(cluster.tasktracker()) - tasktracker) / passed;
  fires.cores_elsewhere = std::max(0.0, (MachineBusySeconds() - busy) / passed -
                                            fires.jobtracker_cores - fires.tasktracker_cores);
  const auto after = cluster.ReadCounts();
  if (!after.ok()) return after.status();
  fires.commits_per_s = static_cast<double>(after->commits - before->commits) / passed;
  // What was due last has ended, and the counts on the page are of a later second.
  LTS_RETURN_IF_ERROR(cluster.AliveFor(kSettleMs));
  const auto last = cluster.ReadCounts();
  if (!last.ok()) return last.status();
  fires.skipped = last->fires_skipped;
  if (last->lost + last->stale + last->retried > 0) {
    return Status::Internal("attempts were lost, repeated or came too late");
  }
  if (log.runs() > log.entries()) return Status::Internal("more runs than were expected");
  CountLateness(log, first, end, &fires);
  LTS_RETURN_IF_ERROR(CheckRuns(log, spreading, schedules, first, end));
  const auto trackers = OpenTrackers(cluster.address());
  LTS_RETURN_IF_ERROR(CheckHistory(*trackers, ids, first, end, fires.runs));
  fires.jobtracker_mib = PeakMemoryMibOf(cluster.jobtracker());
  if (fires.skipped > 0) {
    return Status::Internal(fmt::format("{} fires were skipped", fires.skipped));
  }
  LTS_RETURN_IF_ERROR(cluster.Stop());
  return fires;
}

void SayFires(const std::string& what, const Fires& fires) {
  Say(
      fmt::format("{}: {:.0f} fires/s, late p50 {:.1f} ms, p99 {:.1f} ms, max {:.1f} ms (first of "
                  "a second p50 {:.1f} ms), {:.0f} commits/s, JobTracker {:.3f} cores, TaskTracker "
                  "{:.3f}, elsewhere {:.2f}",
                  what, fires.per_second, fires.late_ms.p50, fires.late_ms.p99, fires.late_ms.max,
                  fires.first_ms.p50, fires.commits_per_s, fires.jobtracker_cores,
                  fires.tasktracker_cores, fires.cores_elsewhere));
}

}  // namespace

Status MeasureSchedules(const Setup& setup, const SchedulePlan& plan, ScheduleFigures* figures) {
  if (plan.floor_count > 0) {
    figures->commit_ms =
        BareCommit(std::filesystem::path(setup.folder).parent_path(), plan.floor_count);
    if (figures->commit_ms.count == 0) return Status::Unavailable("cannot write the folder");
  }
  if (plan.idle_seconds > 0) {
    LTS_RETURN_IF_ERROR(MeasureQuiet(setup, plan, figures).WithContext("idle"));
  }
  if (plan.few_seconds > 0) {
    auto few = MeasureFires(setup, plan, kFewSchedules, 1, plan.few_seconds);
    if (!few.ok()) return few.status().WithContext("one fire a second");
    figures->few = *few;
    SayFires(fmt::format("{} schedules", kFewSchedules), *few);
  }
  if (plan.fire_seconds > 0) {
    auto many = MeasureFires(setup, plan, plan.schedules, plan.fires_per_second, plan.fire_seconds);
    if (!many.ok()) return many.status().WithContext("fires");
    figures->many = *many;
    SayFires(fmt::format("{} schedules", plan.schedules), *many);
  }
  return Status::Ok();
}

void PrintSchedules(const Setup& setup, const SchedulePlan& plan, const FileSystem& disk,
                    double load, const ScheduleFigures& figures) {
  fmt::print(
      "LTS {}: {} cores, load {:.1f} before, {} {}; S1: {} cron schedules of one group, one "
      "TaskTracker, isolation thread, {} slots, {}-byte payload\n",
      Version(), Cores(), load, disk.type, disk.durable ? "(durable)" : "NOT DURABLE",
      plan.schedules, setup.slots, kPayloadBytes);
  fmt::print("{:<42}{:>12}{:>12}  {}\n", "", "aim", "figure", "in comparison");
  const auto row = [](const std::string& what, const std::string& aim, const std::string& figure,
                      const std::string& comparison) {
    fmt::print("{:<42}{:>12}{:>12}  {}\n", what, aim, figure, comparison);
  };
  if (plan.idle_seconds > 0) {
    row(fmt::format("idle, {} s, JobTracker, % of a core", plan.idle_seconds),
        fmt::format("{:.0f}", kAimIdlePercent), fmt::format("{:.2f}", figures.idle.jobtracker),
        fmt::format("{:.2f} without schedules; TaskTracker {:.2f}; elsewhere {:.0f}",
                    figures.idle_without.jobtracker, figures.idle.tasktracker,
                    figures.idle.elsewhere));
    row("all accepted, s", "", fmt::format("{:.2f}", figures.accept_s),
        fmt::format("{:.0f} schedules/s, {} a call",
                    static_cast<double>(plan.schedules) / figures.accept_s, plan.batch));
    row("JobTracker resident, MiB", "", fmt::format("{:.0f}", figures.loaded_mib),
        fmt::format("{:.0f} without, {:.0f} after a restart; store {:.0f} MiB", figures.empty_mib,
                    figures.restarted_mib, figures.store_mib));
    const auto restart = [&](const char* what, const Restart& after) {
      row(what, "", fmt::format("{:.0f}", after.accepted_ms),
          fmt::format("READY {:.0f}; {:.0f} with an empty store", after.ready_ms,
                      figures.empty_ready_ms));
    };
    restart("start after kill -9 -> submit accepted, ms", figures.killed);
    restart("start after SIGTERM -> submit accepted, ms", figures.stopped);
  }
  if (plan.fire_seconds > 0) {
    const Fires& many = figures.many;
    const Fires& few = figures.few;
    row(fmt::format("late, {:.0f} fires/s, {} s, p50, ms", many.per_second, plan.fire_seconds), "",
        fmt::format("{:.2f}", many.late_ms.p50),
        fmt::format("{:.2f} at {:.0f} fire/s", few.late_ms.p50, few.per_second));
    row("late, p99, ms", fmt::format("{:.0f}", kAimLateP99Ms),
        fmt::format("{:.2f}", many.late_ms.p99), fmt::format("{:.2f}", few.late_ms.p99));
    row("late, max, ms", "", fmt::format("{:.2f}", many.late_ms.max),
        fmt::format("{:.2f}", few.late_ms.max));
    row("late, first of each second, p50, ms", "", fmt::format("{:.2f}", many.first_ms.p50),
        fmt::format("{:.2f}", few.first_ms.p50));
    row("fires skipped", "0", fmt::format("{}", many.skipped),
        fmt::format("{} runs, each due fire once by the history", many.runs));
    fmt::print(
        "{} ({} s), all of a second due at its beginning; {:.0f} commits/s (syncs = commits), "
        "JobTracker {:.3f} cores and {:.0f} MiB, TaskTracker {:.3f} cores, elsewhere {:.2f} "
        "cores\n",
        Spreading(plan.schedules, plan.fires_per_second).ToString(), plan.fire_seconds,
        many.commits_per_s, many.jobtracker_cores, many.jobtracker_mib, many.tasktracker_cores,
        many.cores_elsewhere);
  }
  if (figures.commit_ms.count > 0) {
    fmt::print("floor: commit (300 bytes, fdatasync) p50 {:.2f} ms p99 {:.2f} ms\n",
               figures.commit_ms.p50, figures.commit_ms.p99);
  }
}

bool WriteSchedulesJson(const std::string& path, const SchedulePlan& plan, const FileSystem& disk,
                        double load, const ScheduleFigures& figures) {
  const auto spread = [](const Spread& s) -> nlohmann::ordered_json {
    return {{"count", s.count}, {"p50Ms", s.p50}, {"p99Ms", s.p99}, {"maxMs", s.max}};
  };
  const auto idle = [](const Idle& i) -> nlohmann::ordered_json {
    return {
        {"jobtracker", i.jobtracker}, {"tasktracker", i.tasktracker}, {"elsewhere", i.elsewhere}};
  };
  const auto restart = [](const Restart& r) -> nlohmann::ordered_json {
    return {{"readyMs", r.ready_ms}, {"acceptedMs", r.accepted_ms}};
  };
  const auto fires = [&](const Fires& f) -> nlohmann::ordered_json {
    return {{"runs", f.runs},
            {"perSecond", f.per_second},
            {"late", spread(f.late_ms)},
            {"lateFirstOfSecond", spread(f.first_ms)},
            {"commitsPerSecond", f.commits_per_s},
            {"jobtrackerCores", f.jobtracker_cores},
            {"tasktrackerCores", f.tasktracker_cores},
            {"coresElsewhere", f.cores_elsewhere},
            {"jobtrackerPeakMib", f.jobtracker_mib},
            {"skipped", f.skipped}};
  };
  nlohmann::ordered_json json;
  json["version"] = Version();
  json["time"] = FormatUtc(SystemClock().WallMs());
  json["machine"] = {{"cores", Cores()}, {"loadBefore", load}};
  json["fileSystem"] = {{"type", disk.type}, {"durable", disk.durable}};
  json["isolation"] = "thread";
  json["schedules"] = plan.schedules;
  json["aims"] = {{"idlePercent", kAimIdlePercent}, {"lateP99Ms", kAimLateP99Ms}};
  json["floorCommit"] = spread(figures.commit_ms);
  json["idlePercent"] = idle(figures.idle);
  json["idlePercentWithout"] = idle(figures.idle_without);
  json["acceptSeconds"] = figures.accept_s;
  json["jobtrackerMib"] = figures.loaded_mib;
  json["jobtrackerMibWithout"] = figures.empty_mib;
  json["storeMib"] = figures.store_mib;
  json["emptyReadyMs"] = figures.empty_ready_ms;
  json["afterKill"] = restart(figures.killed);
  json["afterStop"] = restart(figures.stopped);
  json["fires"] = fires(figures.many);
  json["firesFew"] = fires(figures.few);
  return WriteFile(path, json.dump(2) + '\n');
}

}  // namespace lts::bench

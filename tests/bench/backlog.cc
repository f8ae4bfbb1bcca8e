#include "bench/backlog.h"

#include <fmt/core.h>
#include <lts/job_client.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "bench/board.h"
#include "bench/clients.h"
#include "bench/processes.h"
#include "common/clock.h"
#include "common/daemon.h"

namespace lts::bench {
namespace {

constexpr double kAimRatio = 0.8;
constexpr double kAimMib = 512;
constexpr double kAimRestartMs = 5'000;
constexpr int kProgressTimeoutMs = 120'000;  // without a single job that ran
constexpr std::uint64_t kWindow = 10'000;    // partition.window.max as shipped
constexpr int kSteadyBatch = 250;
constexpr int kSteadyThreads = 4;
constexpr int kSteadyWarmUpSeconds = 2;
constexpr std::uint64_t kSteadyMax = 60'000;  // jobs a second for which there is room
constexpr int kWindowsTimeoutMs = 120'000;
constexpr std::int64_t kSettleMs = 61'000;        // PartitionOptions::late_copy_ms
constexpr double kMibOfAJob = 500.0 / (1 << 20);  // on the disk, while RocksDB rewrites it

void Say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

Job MakeJob(std::uint64_t number) {
  Job job(fmt::format("task-{}", number), Cluster::kGroup);
  job.Runner("noop").Payload(PayloadOf(number));
  return job;
}

// Rows `jobs` at most; numbers are given out in order.
class Run {
 public:
  static Result<std::unique_ptr<Run>> Start(const Setup& setup, const BacklogPlan& plan) {
    const std::uint64_t steady =
        kSteadyMax * static_cast<std::uint64_t>(plan.steady_seconds + kSteadyWarmUpSeconds);
    const std::uint64_t bursts = (plan.burst + plan.few) * static_cast<std::uint64_t>(plan.bursts);
    std::unique_ptr<Run> run(
        new Run(setup, plan, plan.jobs + 2 * (steady + bursts + plan.few) + plan.burst + 10));
    Cluster::Options options{setup.jobtracker, setup.self, setup.folder, setup.slots, {}, {}};
    auto cluster = Cluster::StartAlone(options);
    if (!cluster.ok()) return cluster.status();
    run->cluster_ = *std::move(cluster);
    LTS_RETURN_IF_ERROR(run->Connect());
    return run;
  }

  Cluster& cluster() { return *cluster_; }
  std::uint64_t submitted() const { return submitted_; }
  std::uint64_t ran() const { return board_.runs().load(std::memory_order_acquire); }

  // Submits/s.
  Result<double> Submit(std::uint64_t count) {
    const std::int64_t begun_ns = NowNs();
    LTS_RETURN_IF_ERROR(SubmitInBatches(
        *client_, {submitted_, submitted_ + count, plan_.batch, plan_.threads}, MakeJob, nullptr));
    submitted_ += count;
    return static_cast<double>(count) * 1e9 / static_cast<double>(NowNs() - begun_ns);
  }

  Status StartTaskTracker() { return cluster_->StartTaskTracker(board_); }

  // Until everything that was submitted has run, and its end is recorded.
  Status AwaitEnded() {
    std::uint64_t seen = 0;
    std::int64_t progress_ns = NowNs();
    while (ran() < submitted_) {
      if (ran() != seen) progress_ns = NowNs();
      seen = ran();
      if (NowNs() - progress_ns > kProgressTimeoutMs * 1'000'000LL) {
        return Status::DeadlineExceeded(
            fmt::format("{} of {} jobs ran, and no more", seen, submitted_));
      }
      LTS_RETURN_IF_ERROR(cluster_->AliveFor(1));
    }
    return AwaitRecorded();
  }

  // Runs/s of what began after `from_ns`, without the first fifth, in which a TaskTracker starts
  // its threads.
  Result<double> Drain(std::int64_t from_ns) {
    LTS_RETURN_IF_ERROR(AwaitEnded());
    std::vector<std::int64_t> starts_ns;
    for (std::uint64_t i = 0; i < submitted_; ++i) {
      const std::int64_t ns = board_.at(i).first_line_ns.load(std::memory_order_relaxed);
      if (ns >= from_ns) starts_ns.push_back(ns);
    }
    if (starts_ns.size() < 10) return Status::Internal("hardly any job ran");
    std::sort(starts_ns.begin(), starts_ns.end());
    const std::size_t skipped = starts_ns.size() / 5;
    return static_cast<double>(starts_ns.size() - 1 - skipped) * 1e9 /
           static_cast<double>(std::max<std::int64_t>(starts_ns.back() - starts_ns[skipped], 1));
  }

  // As many submits as runs, `waiting` jobs beside those in the slots.
  Result<Steady> KeepUp(std::uint64_t waiting, int slots) {
    const std::uint64_t target = waiting + static_cast<std::uint64_t>(slots);
    const std::uint64_t cap = board_.cells();
    std::atomic<std::uint64_t> next{submitted_};
    std::atomic<std::uint64_t> acknowledged{submitted_};
    std::atomic<bool> ending{false};
    std::mutex mutex;
    Status refused;
    const auto submit = [&] {
      const Pacer pacer;
      while (!ending.load(std::memory_order_acquire)) {
        // Two may pass at the same time: the backlog is a batch or two larger then.
        if (next.load(std::memory_order_relaxed) + kSteadyBatch > ran() + target) {
          pacer.Until(NowNs() + 500'000);
          continue;
        }
        const std::uint64_t first = next.fetch_add(kSteadyBatch, std::memory_order_relaxed);
        Status status =
            first + kSteadyBatch > cap
                ? Status::Internal("more jobs a second than this program is made for")
                : SubmitInBatches(*client_, {first, first + kSteadyBatch, kSteadyBatch, 1}, MakeJob,
                                  nullptr);
        if (!status.ok()) {
          const std::lock_guard lock(mutex);
          refused = std::move(status);
          return;
        }
        acknowledged.fetch_add(kSteadyBatch, std::memory_order_relaxed);
      }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < kSteadyThreads; ++i) threads.emplace_back(submit);
    auto measured = [&]() -> Result<Steady> {
      LTS_RETURN_IF_ERROR(cluster_->AliveFor(kSteadyWarmUpSeconds * 1'000));
      const auto before = cluster_->ReadCounts();
      if (!before.ok()) return before.status();
      const double busy = MachineBusySeconds();
      const double jobtracker = CpuSecondsOf(cluster_->jobtracker());
      const double ours = CpuSecondsOf(getpid()) + CpuSecondsOf(cluster_->tasktracker());
      const std::uint64_t submits = acknowledged.load(std::memory_order_relaxed);
      const std::uint64_t runs = ran();
      const std::int64_t begun_ns = NowNs();
      const std::int64_t end_ns = begun_ns + plan_.steady_seconds * 1'000'000'000LL;
      Steady steady;
      std::uint64_t samples = 0;
      while (NowNs() < end_ns) {
        LTS_RETURN_IF_ERROR(cluster_->AliveFor(10));
        // Runs are counted by another process: a job may have run before its submit is answered.
        const std::uint64_t done = ran();
        const std::uint64_t known = acknowledged.load(std::memory_order_relaxed);
        steady.waiting += static_cast<double>(known > done ? known - done : 0);
        ++samples;
      }
      const double seconds = static_cast<double>(NowNs() - begun_ns) / 1e9;
      const std::uint64_t submits_end = acknowledged.load(std::memory_order_relaxed);
      steady.submits_per_s = static_cast<double>(submits_end - submits) / seconds;
      const auto done = static_cast<double>(ran() - runs);
      steady.runs_per_s = done / seconds;
      steady.waiting /= static_cast<double>(std::max<std::uint64_t>(samples, 1));
      const double ours_now = CpuSecondsOf(getpid()) + CpuSecondsOf(cluster_->tasktracker());
      const double used = CpuSecondsOf(cluster_->jobtracker()) - jobtracker;
      steady.jobtracker_cores = used / seconds;
      steady.cpu_us = used * 1e6 / std::max(done, 1.0);
      steady.cores_elsewhere = std::max(
          0.0, (MachineBusySeconds() - busy - ours_now + ours) / seconds - steady.jobtracker_cores);
      const auto after = cluster_->ReadCounts();
      if (!after.ok()) return after.status();
      steady.commits_per_s = static_cast<double>(after->commits - before->commits) / seconds;
      return steady;
    }();
    ending.store(true, std::memory_order_release);
    for (std::thread& thread : threads) thread.join();
    submitted_ = acknowledged.load();
    if (!refused.ok()) return refused;
    return measured;
  }

  // No TaskTracker may be there.
  Result<BacklogRestart> Restart(bool kill) {
    client_->Close();
    client_.reset();
    trackers_.reset();
    NotePeak();
    LTS_RETURN_IF_ERROR(cluster_->RestartJobTracker(kill));
    BacklogRestart restart;
    restart.ready_ms = cluster_->ready_ms();
    LTS_RETURN_IF_ERROR(Connect());
    auto rate = Submit(1);
    if (!rate.ok()) return rate.status();
    const auto since = [&] { return static_cast<double>(NowNs() - cluster_->started_ns()) / 1e6; };
    restart.accepted_ms = since();
    const std::uint64_t window = std::min(kWindow, submitted_ - ran());
    while (true) {
      const auto counts = cluster_->ReadCounts();
      if (!counts.ok()) return counts.status();
      if (counts->ready >= window) break;
      if (since() > kWindowsTimeoutMs) {
        return Status::DeadlineExceeded(fmt::format(
            "/metrics shows {} due jobs in memory, {} are expected", counts->ready, window));
      }
      LTS_RETURN_IF_ERROR(cluster_->AliveFor(10));
    }
    restart.windows_ms = since();
    return restart;
  }

  // Until the minute after a start is over, in which the ids of all submits are looked up.
  Status Settle() {
    const std::int64_t until_ns = cluster_->started_ns() + kSettleMs * 1'000'000;
    while (NowNs() < until_ns) LTS_RETURN_IF_ERROR(cluster_->AliveFor(100));
    return Status::Ok();
  }

  void NotePeak() { peak_mib_ = std::max(peak_mib_, PeakMemoryMibOf(cluster_->jobtracker())); }
  double peak_mib() const { return peak_mib_; }

  // Each job ran once, and as many ended, all well.
  Status Verify() {
    for (std::uint64_t i = 0; i < submitted_; ++i) {
      const std::uint32_t runs = board_.at(i).runs.load(std::memory_order_relaxed);
      if (runs != 1) return Status::Internal(fmt::format("job {} ran {} times", i, runs));
    }
    const auto view = ViewOfGroup(*trackers_);
    if (!view.ok()) return view.status();
    if (view->failed() != 0 || view->jobs() != 0 ||
        static_cast<std::uint64_t>(view->succeeded()) != submitted_) {
      return Status::Internal(
          fmt::format("{} submitted; {} succeeded, {} failed, {} are waiting or executing",
                      submitted_, view->succeeded(), view->failed(), view->jobs()));
    }
    const auto counts = cluster_->ReadCounts();
    if (!counts.ok()) return counts.status();
    if (counts->lost + counts->stale + counts->retried > 0) {
      return Status::Internal("attempts were lost, repeated or came too late");
    }
    return Status::Ok();
  }

  Status Stop() {
    client_->Close();
    client_.reset();
    trackers_.reset();
    return cluster_->Stop();
  }

 private:
  Run(const Setup& setup, const BacklogPlan& plan, std::uint64_t jobs)
      : plan_(plan), folder_(setup.folder), board_(Board::Create(jobs)) {}

  Status Connect() {
    auto client = OpenClient(cluster_->registry());
    if (!client.ok()) return client.status();
    client_ = *std::move(client);
    trackers_ = OpenTrackers(cluster_->address());
    return Status::Ok();
  }

  Status AwaitRecorded() {
    const std::int64_t end_ns = NowNs() + kProgressTimeoutMs * 1'000'000LL;
    while (true) {
      const auto view = ViewOfGroup(*trackers_);
      if (!view.ok()) return view.status();
      if (view->failed() > 0) return Status::Internal("a job failed");
      if (static_cast<std::uint64_t>(view->succeeded()) >= submitted_) return Status::Ok();
      if (NowNs() > end_ns) return Status::DeadlineExceeded("not all ends are recorded");
      LTS_RETURN_IF_ERROR(cluster_->AliveFor(5));
    }
  }

  const BacklogPlan plan_;
  const Folder folder_;
  const Board board_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<JobClient> client_;
  std::unique_ptr<jobclient::Trackers> trackers_;
  std::uint64_t submitted_ = 0;
  double peak_mib_ = 0;
};

void SaySteady(const std::string& what, const Steady& steady) {
  Say(
      fmt::format("{}: steady {:.0f} runs/s and {:.0f} submits/s, {:.0f} waiting or in slots, "
                  "{:.0f} commits/s, JobTracker {:.2f} cores, elsewhere {:.2f}",
                  what, steady.runs_per_s, steady.submits_per_s, steady.waiting,
                  steady.commits_per_s, steady.jobtracker_cores, steady.cores_elsewhere));
}

// Microseconds of the JobTracker's processor time per job.
class CpuOfJobs {
 public:
  explicit CpuOfJobs(Run& run) : run_(run), begun_(Now()) {}
  double Per(std::uint64_t jobs) const {
    return (Now() - begun_) * 1e6 / static_cast<double>(std::max<std::uint64_t>(jobs, 1));
  }

 private:
  double Now() const { return CpuSecondsOf(run_.cluster().jobtracker()); }

  Run& run_;
  const double begun_;
};

Status Burst(Run& run, const BacklogPlan& plan, Level* level) {
  const CpuOfJobs cpu(run);
  auto burst = run.Submit(plan.burst);
  if (!burst.ok()) return burst.status();
  level->bursts.push_back(*burst);
  level->burst_cpu_us += cpu.Per(plan.burst) / plan.bursts;
  return Status::Ok();
}

// Few jobs wait: bursts, drains, and the steady state.
Status MeasureFew(Run& run, const Setup& setup, const BacklogPlan& plan, Level* level) {
  level->waiting = static_cast<double>(plan.few);
  for (int i = 0; i < plan.bursts; ++i) {
    if (auto made = run.Submit(plan.few); !made.ok()) return made.status();
    LTS_RETURN_IF_ERROR(Burst(run, plan, level));
    const CpuOfJobs cpu(run);
    const std::int64_t begun_ns = NowNs();
    LTS_RETURN_IF_ERROR(run.StartTaskTracker());
    auto drain = run.Drain(begun_ns);
    if (!drain.ok()) return drain.status();
    level->drains.push_back(*drain);
    level->drain_cpu_us += cpu.Per(plan.few + plan.burst) / plan.bursts;
    if (i + 1 < plan.bursts) LTS_RETURN_IF_ERROR(run.cluster().StopTaskTracker());
  }
  auto steady = run.KeepUp(plan.few, setup.slots);
  if (!steady.ok()) return steady.status();
  level->steady = *steady;
  LTS_RETURN_IF_ERROR(run.AwaitEnded());
  LTS_RETURN_IF_ERROR(run.cluster().StopTaskTracker());
  run.NotePeak();
  level->peak_mib = run.peak_mib();
  Say(fmt::format("{} waiting: submits {:.0f}/s (median of {} bursts of {}), drained at {:.0f}/s",
                  plan.few, Median(level->bursts), plan.bursts, plan.burst, Median(level->drains)));
  SaySteady(fmt::format("{} waiting", plan.few), level->steady);
  return Status::Ok();
}

// Many wait, and no TaskTracker is there: bursts on top of them, then restarts.
Status MeasureMany(Run& run, const Setup& setup, const BacklogPlan& plan, BacklogFigures* figures) {
  Level& level = figures->many;
  auto filled = run.Submit(plan.jobs);
  if (!filled.ok()) return filled.status();
  figures->fill_per_s = *filled;
  figures->fill_mib = MemoryMibOf(run.cluster().jobtracker());
  figures->store_mib = FolderMib(setup.folder + "/jobtracker");
  level.waiting = static_cast<double>(run.submitted() - run.ran());
  Say(fmt::format("{} submitted at {:.0f}/s, JobTracker {:.0f} MiB, store {:.0f} MiB", plan.jobs,
                  *filled, figures->fill_mib, figures->store_mib));
  for (int i = 0; i < plan.bursts; ++i) {
    LTS_RETURN_IF_ERROR(Burst(run, plan, &level));
  }
  Say(fmt::format("{:.0f} waiting: submits {:.0f}/s (median of {} bursts of {})", level.waiting,
                  Median(level.bursts), plan.bursts, plan.burst));
  for (const bool kill : {true, false}) {
    auto restart = run.Restart(kill);
    if (!restart.ok()) return restart.status();
    (kill ? figures->killed : figures->stopped) = *restart;
    Say(
        fmt::format("restart after {}: READY after {:.0f} ms, a submit accepted after {:.0f} ms, "
                    "windows full after {:.0f} ms",
                    kill ? "kill -9" : "SIGTERM", restart->ready_ms, restart->accepted_ms,
                    restart->windows_ms));
  }
  Level after_start;
  LTS_RETURN_IF_ERROR(Burst(run, plan, &after_start));
  figures->after_start_per_s = after_start.bursts.front();
  Say(fmt::format("in the first minute after a start: submits {:.0f}/s (a burst of {})",
                  figures->after_start_per_s, plan.burst));
  LTS_RETURN_IF_ERROR(run.Settle());
  const std::uint64_t waiting = run.submitted() - run.ran();
  LTS_RETURN_IF_ERROR(run.StartTaskTracker());
  auto steady = run.KeepUp(waiting, setup.slots);
  if (!steady.ok()) return steady.status();
  level.steady = *steady;
  run.NotePeak();
  SaySteady(fmt::format("{} waiting", waiting), level.steady);
  const std::uint64_t left = run.submitted() - run.ran();
  const CpuOfJobs cpu(run);
  auto drained = run.Drain(NowNs());
  if (!drained.ok()) return drained.status();
  level.drains.push_back(*drained);
  level.drain_cpu_us = cpu.Per(left);
  run.NotePeak();
  level.peak_mib = run.peak_mib();
  Say(fmt::format("{} drained at {:.0f}/s, JobTracker at most {:.0f} MiB", left,
                  level.drains.front(), level.peak_mib));
  return Status::Ok();
}

}  // namespace

Status MeasureBacklog(const Setup& setup, const BacklogPlan& plan, BacklogFigures* figures) {
  const std::string disk = std::filesystem::path(setup.folder).parent_path();
  const double wanted_mib = kMibOfAJob * static_cast<double>(plan.jobs);
  if (FreeMib(disk) < wanted_mib) {
    return Status::ResourceExhausted(fmt::format("{} has {:.0f} MiB free, {} jobs may need {:.0f}",
                                                 disk, FreeMib(disk), plan.jobs, wanted_mib));
  }
  if (plan.floor_count > 0) {
    figures->commit_ms = BareCommit(disk, plan.floor_count);
    if (figures->commit_ms.count == 0) return Status::Unavailable("cannot write the folder");
  }
  auto started = Run::Start(setup, plan);
  if (!started.ok()) return started.status();
  Run& run = **started;
  figures->empty_ready_ms = run.cluster().ready_ms();
  LTS_RETURN_IF_ERROR(
      MeasureFew(run, setup, plan, &figures->few).WithContext("with few waiting jobs"));
  LTS_RETURN_IF_ERROR(MeasureMany(run, setup, plan, figures).WithContext("with many waiting jobs"));
  figures->peak_mib = run.peak_mib();
  LTS_RETURN_IF_ERROR(run.Verify());
  figures->ended = run.submitted();
  return run.Stop();
}

void PrintBacklog(const Setup& setup, const BacklogPlan& plan, const FileSystem& disk, double load,
                  const BacklogFigures& figures) {
  const Level& few = figures.few;
  const Level& many = figures.many;
  fmt::print(
      "LTS {}: {} cores, load {:.1f} before, {} {}; B1: {:.0f} waiting jobs of one group, one "
      "TaskTracker, isolation thread, {} slots, {}-byte payload\n",
      Version(), Cores(), load, disk.type, disk.durable ? "(durable)" : "NOT DURABLE", many.waiting,
      setup.slots, kPayloadBytes);
  fmt::print("{:<44}{:>8}{:>12}{:>12}{:>8}\n", "", "aim", fmt::format("at {}", plan.few),
             fmt::format("at {:.0f}", many.waiting), "ratio");
  const auto compare = [](const std::string& what, double low, double high) {
    fmt::print("{:<44}{:>8}{:>12}{:>12}{:>8.2f}\n", what, fmt::format(">={:.2f}", kAimRatio),
               fmt::format("{:.0f}/s", low), fmt::format("{:.0f}/s", high),
               low > 0 ? high / low : 0);
  };
  compare(fmt::format("submits alone, {} bursts of {}, median", plan.bursts, plan.burst),
          Median(few.bursts), Median(many.bursts));
  compare("dispatch alone (drained)", Median(few.drains), Median(many.drains));
  // With few waiting jobs neither can be ahead of the other for long; with many, runs can.
  compare(fmt::format("both at once, {} s: submits + dispatches", plan.steady_seconds),
          few.steady.submits_per_s + few.steady.runs_per_s,
          many.steady.submits_per_s + many.steady.runs_per_s);
  const auto cost = [](const std::string& what, double low, double high) {
    fmt::print("{:<44}{:>8}{:>12.1f}{:>12.1f}{:>8.2f}\n", what, "", low, high,
               high > 0 ? low / high : 0);
  };
  cost("JobTracker, CPU us a submit alone", few.burst_cpu_us, many.burst_cpu_us);
  cost("JobTracker, CPU us a dispatch alone", few.drain_cpu_us, many.drain_cpu_us);
  cost("JobTracker, CPU us a job, both at once", few.steady.cpu_us, many.steady.cpu_us);
  const auto row = [](const std::string& what, const std::string& aim, double low, double high) {
    fmt::print("{:<44}{:>8}{:>12.0f}{:>12.0f}\n", what, aim, low, high);
  };
  row("both at once: submits/s", "", few.steady.submits_per_s, many.steady.submits_per_s);
  row("both at once: dispatches/s", "", few.steady.runs_per_s, many.steady.runs_per_s);
  row("both at once: commits/s (syncs = commits)", "", few.steady.commits_per_s,
      many.steady.commits_per_s);
  row("JobTracker, largest resident set, MiB", fmt::format("<={:.0f}", kAimMib), few.peak_mib,
      figures.peak_mib);
  const auto restart = [&](const char* how, const BacklogRestart& after) {
    const std::string aim = fmt::format("<={:.0f}", kAimRestartMs);
    row(fmt::format("start after {} -> submit accepted, ms", how), aim, figures.empty_ready_ms,
        after.accepted_ms);
    row(fmt::format("start after {} -> windows full, ms", how), aim, figures.empty_ready_ms,
        after.windows_ms);
  };
  restart("kill -9", figures.killed);
  restart("SIGTERM", figures.stopped);
  row("submits/s in the first minute after it", "", Median(few.bursts), figures.after_start_per_s);
  fmt::print(
      "start at {}: until READY, with an empty store. Windows are full by /metrics, which is of "
      "each "
      "second.\n"
      "backlog made at {:.0f} submits/s, {} a call by {} threads; then JobTracker {:.0f} MiB, "
      "store "
      "{:.0f} MiB\n"
      "both at once: {} a call by {} threads, waiting or in slots on average {:.0f} and {:.0f}; "
      "JobTracker {:.2f} and {:.2f} cores, elsewhere {:.2f} and {:.2f}\n",
      plan.few, figures.fill_per_s, plan.batch, plan.threads, figures.fill_mib, figures.store_mib,
      kSteadyBatch, kSteadyThreads, few.steady.waiting, many.steady.waiting,
      few.steady.jobtracker_cores, many.steady.jobtracker_cores, few.steady.cores_elsewhere,
      many.steady.cores_elsewhere);
  if (figures.commit_ms.count > 0) {
    fmt::print("floor: commit (300 bytes, fdatasync) p50 {:.2f} ms p99 {:.2f} ms\n",
               figures.commit_ms.p50, figures.commit_ms.p99);
  }
  fmt::print("each of {} jobs ran once, and as many ended SUCCEEDED by the JobTracker's count\n",
             figures.ended);
}

bool WriteBacklogJson(const std::string& path, const BacklogPlan& plan, const FileSystem& disk,
                      double load, const BacklogFigures& figures) {
  const auto level = [](const Level& l) -> nlohmann::ordered_json {
    return {{"waiting", l.waiting},
            {"submitBursts", l.bursts},
            {"drains", l.drains},
            {"submitCpuMicros", l.burst_cpu_us},
            {"drainCpuMicros", l.drain_cpu_us},
            {"steady",
             {{"runsPerSecond", l.steady.runs_per_s},
              {"submitsPerSecond", l.steady.submits_per_s},
              {"waitingOrInSlots", l.steady.waiting},
              {"commitsPerSecond", l.steady.commits_per_s},
              {"cpuMicros", l.steady.cpu_us},
              {"jobtrackerCores", l.steady.jobtracker_cores},
              {"coresElsewhere", l.steady.cores_elsewhere}}},
            {"jobtrackerPeakMib", l.peak_mib}};
  };
  const auto restart = [](const BacklogRestart& r) -> nlohmann::ordered_json {
    return {{"readyMs", r.ready_ms}, {"acceptedMs", r.accepted_ms}, {"windowsMs", r.windows_ms}};
  };
  nlohmann::ordered_json json;
  json["version"] = Version();
  json["time"] = FormatUtc(SystemClock().WallMs());
  json["machine"] = {{"cores", Cores()}, {"loadBefore", load}};
  json["fileSystem"] = {{"type", disk.type}, {"durable", disk.durable}};
  json["isolation"] = "thread";
  json["jobs"] = plan.jobs;
  json["aims"] = {{"ratio", kAimRatio}, {"mib", kAimMib}, {"restartMs", kAimRestartMs}};
  json["few"] = level(figures.few);
  json["many"] = level(figures.many);
  json["fillPerSecond"] = figures.fill_per_s;
  json["fillMib"] = figures.fill_mib;
  json["storeMib"] = figures.store_mib;
  json["peakMib"] = figures.peak_mib;
  json["emptyReadyMs"] = figures.empty_ready_ms;
  json["afterKill"] = restart(figures.killed);
  json["submitsPerSecondInTheFirstMinute"] = figures.after_start_per_s;
  json["afterStop"] = restart(figures.stopped);
  return WriteFile(path, json.dump(2) + '\n');
}

}  // namespace lts::bench

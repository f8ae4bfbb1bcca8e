#include "bench/scenarios.h"

#include <fmt/core.h>
#include <lts/job_client.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/bare_statements.h"
#include "bench/processes.h"
#include "jobclient/trackers.h"
#include "lts/v1/cluster.pb.h"
#include "lts/v1/query.pb.h"
#include "model/job_id.h"
#include "rpc/channel.h"

namespace lts::bench {
namespace {

constexpr int kProgressTimeoutMs = 60'000;  // without a single job that ran
constexpr std::int64_t kCallMs = 30'000;
constexpr int kPage = 1'000;
constexpr const char* kDatabase = "bench";
constexpr std::uint64_t kStatementsRound = 4'000;  // jobs whose statements are made in advance

// One benchmark under way: processes, client, and what was submitted.
class Run {
 public:
  static Result<std::unique_ptr<Run>> Start(const Setup& setup, std::uint64_t jobs) {
    std::unique_ptr<Run> run(new Run(setup, jobs));
    Cluster::Options cluster_options{setup.jobtracker, setup.self, setup.folder,
                                     setup.slots,      {},         setup.hosted};
    if (setup.database != nullptr) {
      LTS_RETURN_IF_ERROR(setup.database->MakeFresh(kDatabase));
      const store::MysqlStoreOptions mysql = setup.database->OptionsFor(kDatabase);
      cluster_options.jobtracker_options = {
          "--registryAddress", "embedded",        "--job.queue", "mysql",           "--jdbc.url",
          mysql.url,           "--jdbc.username", mysql.user,    "--jdbc.password", mysql.password};
    }
    auto cluster = Cluster::Start(cluster_options, run->board_);
    if (!cluster.ok()) return cluster.status();
    run->cluster_ = *std::move(cluster);
    JobClientOptions options;
    options.registry_address = run->cluster_->registry();
    options.node_group = "bench_client";
    options.submit_timeout = std::chrono::seconds(60);
    auto client = JobClient::Open(std::move(options));
    if (!client.ok()) return client.status();
    run->client_ = *std::move(client);
    run->queries_ = std::make_unique<jobclient::Trackers>(
        std::vector<std::string>{run->cluster_->address()}, rpc::MakeGrpcChannel);
    return run;
  }

  JobClient& client() { return *client_; }
  Cluster& cluster() { return *cluster_; }
  const Board& board() const { return board_; }

  static Job MakeJob(std::uint64_t number) {
    Job job(fmt::format("task-{}", number), Cluster::kGroup);
    job.Runner("noop").Payload(PayloadOf(number));
    return job;
  }

  // Keeps the answer to job `number`; each number once, from any thread.
  void Answered(std::uint64_t number, Result<SubmitReceipt> receipt) {
    if (receipt.ok() && receipt->outcome == SubmitOutcome::kAccepted) {
      if (const auto id = model::JobId::Parse(receipt->job_id)) ids_[number] = *id;
      return;
    }
    const std::lock_guard lock(mutex_);
    if (!refused_.ok()) return;
    refused_ = receipt.ok() ? Status::Internal(fmt::format("job {}: {}", number,
                                                           SubmitOutcomeName(receipt->outcome)))
                            : receipt.status();
  }
  Status refused() const {
    const std::lock_guard lock(mutex_);
    return refused_;
  }

  // Until `jobs` jobs have run and their ends are recorded.
  Status AwaitRecorded(std::uint64_t jobs) {
    std::uint64_t seen = 0;
    std::int64_t progress_ns = NowNs();
    for (std::uint64_t ran; (ran = board_.runs().load(std::memory_order_acquire)) < jobs;) {
      if (ran != seen) progress_ns = NowNs();
      seen = ran;
      if (NowNs() - progress_ns > kProgressTimeoutMs * 1'000'000LL) {
        return Status::DeadlineExceeded(fmt::format("{} of {} jobs ran, and no more", ran, jobs));
      }
      LTS_RETURN_IF_ERROR(cluster_->AliveFor(1));
    }
    while (true) {
      auto groups = queries_->Call(&rpc::Channel::Groups, v1::GroupsRequest(), kCallMs);
      if (!groups.ok()) return groups.status();
      for (const v1::GroupView& group : groups->groups()) {
        if (group.group() != Cluster::kGroup) continue;
        if (group.failed() > 0) return Status::Internal("a job failed");
        if (static_cast<std::uint64_t>(group.succeeded()) >= jobs) return Status::Ok();
      }
      if (NowNs() - progress_ns > kProgressTimeoutMs * 1'000'000LL) {
        return Status::DeadlineExceeded(fmt::format("{} jobs ran, not all ends recorded", jobs));
      }
      LTS_RETURN_IF_ERROR(cluster_->AliveFor(1));
    }
  }

  // The whole history of the group: each submitted job once, a first attempt that succeeded, and
  // nothing else; and the runner has seen each once.
  Status Verify() {
    LTS_RETURN_IF_ERROR(refused());
    std::unordered_map<model::JobId, int> ended;
    ended.reserve(ids_.size());
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      if (ids_[i].empty() || !ended.emplace(ids_[i], 0).second) {
        return Status::Internal(fmt::format("job {} has no id of its own", i));
      }
      const std::uint32_t runs = board_.at(i).runs.load(std::memory_order_relaxed);
      if (runs != 1) return Status::Internal(fmt::format("job {} ran {} times", i, runs));
    }
    v1::ListAttemptsRequest request;
    request.set_group(Cluster::kGroup);
    request.set_limit(kPage);
    std::size_t rows = 0;
    do {
      auto page = queries_->Call(&rpc::Channel::ListAttempts, request, kCallMs);
      if (!page.ok()) return page.status();
      if (page->code() != v1::OK) return Status::Internal("attempts: " + page->message());
      for (const v1::AttemptView& row : page->attempts()) {
        const auto id = model::JobId::Parse(row.job_id());
        const auto found = id ? ended.find(*id) : ended.end();
        if (found == ended.end() || ++found->second > 1 || row.attempt() != 1 || !row.final() ||
            row.outcome() != v1::OUTCOME_EXECUTE_SUCCESS) {
          return Status::Internal(fmt::format(
              "the history has an unexpected row: job {} attempt {} outcome {} final {}",
              row.job_id(), row.attempt(), static_cast<int>(row.outcome()), row.final()));
        }
        ++rows;
      }
      request.set_page(page->next_page());
    } while (!request.page().empty());
    if (rows != ids_.size()) {
      return Status::Internal(
          fmt::format("{} jobs submitted, {} in the history", ids_.size(), rows));
    }
    return Status::Ok();
  }

  Status Stop() {
    client_->Close();
    client_.reset();
    queries_.reset();
    return cluster_->Stop();
  }

 private:
  Run(const Setup& setup, std::uint64_t jobs)
      : folder_(setup.folder), board_(Board::Create(jobs)), ids_(jobs) {}

  const Folder folder_;
  const Board board_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<JobClient> client_;
  std::unique_ptr<jobclient::Trackers> queries_;
  std::vector<model::JobId> ids_;  // by number
  mutable std::mutex mutex_;
  Status refused_;
};

// CPU time of everybody between two moments; a process may be missing (pid 0).
class CpuMeter {
 public:
  CpuMeter(const Setup& setup, const Cluster* cluster)
      : pids_{getpid(), cluster != nullptr ? cluster->jobtracker() : 0,
              cluster != nullptr ? cluster->tasktracker() : 0,
              setup.database != nullptr ? setup.database->pid() : 0} {
    for (std::size_t i = 0; i < pids_.size(); ++i) cpu_[i] = Used(i);
    busy_ = MachineBusySeconds();
    begun_ns_ = NowNs();
  }
  void End(double jobs) {
    seconds_ = static_cast<double>(NowNs() - begun_ns_) / 1e9;
    for (std::size_t i = 0; i < pids_.size(); ++i) cpu_[i] = Used(i) - cpu_[i];
    busy_ = MachineBusySeconds() - busy_;
    per_job_ = {cpu_[0] * 1e6 / jobs, cpu_[1] * 1e6 / jobs, cpu_[2] * 1e6 / jobs,
                cpu_[3] * 1e6 / jobs};
  }
  double seconds() const { return seconds_; }
  const CpuPerJob& per_job() const { return per_job_; }
  double cores_used() const { return (cpu_[0] + cpu_[1] + cpu_[2] + cpu_[3]) / seconds_; }
  double cores_elsewhere() const { return std::max(0.0, busy_ / seconds_ - cores_used()); }

 private:
  double Used(std::size_t i) const {
    if (pids_[i] == 0) return 0;
    // Where runners have processes of their own, these are the TaskTracker's.
    return i == 2 ? CpuSecondsOfTree(pids_[i]) : CpuSecondsOf(pids_[i]);
  }

  const std::array<pid_t, 4> pids_;
  std::array<double, 4> cpu_{};
  double busy_ = 0;
  std::int64_t begun_ns_ = 0;
  double seconds_ = 0;
  CpuPerJob per_job_;
};

// What the database has synced; nothing without one.
Result<std::uint64_t> SyncsOf(const Setup& setup) {
  if (setup.database == nullptr) return std::uint64_t{0};
  auto counts = setup.database->ReadCounts();
  if (!counts.ok()) return counts.status();
  return counts->syncs;
}

// Jobs [first, end), shared out among the threads; returns when all are acknowledged.
Status SubmitRange(Run& run, const ThroughputPlan& plan, std::uint64_t first, std::uint64_t end) {
  std::atomic<std::uint64_t> next{first};
  const auto singles = [&] {
    for (std::uint64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < end;) {
      run.Answered(i, run.client().Submit(Run::MakeJob(i)));
    }
  };
  const auto batches = [&] {
    const auto size = static_cast<std::uint64_t>(plan.batch);
    for (std::uint64_t i; (i = next.fetch_add(size, std::memory_order_relaxed)) < end;) {
      const std::uint64_t stop = std::min(i + size, end);
      std::vector<Job> jobs;
      jobs.reserve(size);
      for (std::uint64_t n = i; n < stop; ++n) jobs.push_back(Run::MakeJob(n));
      auto receipts = run.client().SubmitAll(jobs);
      for (std::uint64_t n = i; n < stop; ++n) run.Answered(n, std::move(receipts[n - i]));
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < plan.threads; ++i) {
    if (plan.batch > 0) {
      threads.emplace_back(batches);
    } else {
      threads.emplace_back(singles);
    }
  }
  for (std::thread& thread : threads) thread.join();
  return run.refused();
}

}  // namespace

Result<Throughput> MeasureThroughput(const Setup& setup, const ThroughputPlan& plan) {
  const std::uint64_t all = plan.warm_up + plan.jobs;
  auto started = Run::Start(setup, all);
  if (!started.ok()) return started.status();
  Run& run = **started;
  LTS_RETURN_IF_ERROR(SubmitRange(run, plan, 0, plan.warm_up));
  LTS_RETURN_IF_ERROR(run.AwaitRecorded(plan.warm_up));
  const auto before = run.cluster().CountsAt(plan.warm_up);
  if (!before.ok()) return before.status();

  const auto syncs_before = SyncsOf(setup);
  if (!syncs_before.ok()) return syncs_before.status();
  CpuMeter meter(setup, &run.cluster());
  const std::int64_t begun_ns = NowNs();
  LTS_RETURN_IF_ERROR(SubmitRange(run, plan, plan.warm_up, all));
  const std::int64_t submitted_ns = NowNs();
  LTS_RETURN_IF_ERROR(run.AwaitRecorded(all));
  const std::int64_t recorded_ns = NowNs();
  const auto jobs = static_cast<double>(plan.jobs);
  meter.End(jobs);
  const auto syncs_after = SyncsOf(setup);
  if (!syncs_after.ok()) return syncs_after.status();

  const auto after = run.cluster().CountsAt(all);
  if (!after.ok()) return after.status();
  if (after->lost + after->stale + after->retried > 0) {
    return Status::Internal("attempts were lost, repeated or came too late");
  }
  Throughput out;
  out.jobs = plan.jobs;
  const double seconds = static_cast<double>(recorded_ns - begun_ns) / 1e9;
  const auto commits = static_cast<double>(after->commits - before->commits);
  out.jobs_per_s = jobs / seconds;
  out.submits_per_s = jobs * 1e9 / static_cast<double>(submitted_ns - begun_ns);
  out.jobs_per_commit = jobs / std::max(commits, 1.0);
  out.commits_per_s = commits / seconds;
  out.syncs_per_s = static_cast<double>(*syncs_after - *syncs_before) / seconds;
  out.cpu = meter.per_job();
  out.cores_used = meter.cores_used();
  out.cores_elsewhere = meter.cores_elsewhere();
  out.jobtracker_mib = PeakMemoryMibOf(run.cluster().jobtracker());
  LTS_RETURN_IF_ERROR(run.Verify());
  LTS_RETURN_IF_ERROR(run.Stop());
  return out;
}

Result<Throughput> MeasureStatements(const Setup& setup, std::uint64_t jobs, int batch) {
  LTS_RETURN_IF_ERROR(setup.database->MakeFresh(kDatabase));
  LTS_RETURN_IF_ERROR(setup.database->MakeTables(kDatabase));
  auto connection = setup.database->Connect(kDatabase, store::mysql::Use::kWrite);
  if (!connection.ok()) return connection.status();
  BareStatements statements(**connection);
  const auto size = static_cast<std::uint64_t>(batch);
  const std::uint64_t round = std::max<std::uint64_t>(kStatementsRound / size, 1) * size;
  StatementFigures warm_up;
  LTS_RETURN_IF_ERROR(statements.Round(round, size, &warm_up));
  const auto before = setup.database->ReadCounts();
  if (!before.ok()) return before.status();
  CpuMeter meter(setup, nullptr);
  StatementFigures figures;
  std::uint64_t done = 0;
  while (done < jobs) {
    const std::uint64_t some = std::min(round, (jobs - done + size - 1) / size * size);
    LTS_RETURN_IF_ERROR(statements.Round(some, size, &figures));
    done += some;
  }
  meter.End(figures.jobs);
  const auto after = setup.database->ReadCounts();
  if (!after.ok()) return after.status();
  const double seconds = figures.insert_s + figures.end_s;
  const auto commits = static_cast<double>(after->commits - before->commits);
  Throughput out;
  out.jobs = done;
  out.jobs_per_s = figures.WholeJobs();
  out.submits_per_s = figures.jobs / figures.insert_s;
  out.jobs_per_commit = figures.jobs / std::max(commits, 1.0);
  out.commits_per_s = commits / seconds;
  out.syncs_per_s = static_cast<double>(after->syncs - before->syncs) / seconds;
  out.cpu = meter.per_job();
  out.cores_used = meter.cores_used();
  out.cores_elsewhere = meter.cores_elsewhere();
  return out;
}

Result<Latency> MeasureLatency(const Setup& setup, const LatencyPlan& plan) {
  const std::uint64_t all = plan.warm_up + plan.jobs;
  auto started = Run::Start(setup, all);
  if (!started.ok()) return started.status();
  Run& run = **started;
  std::vector<std::int64_t> intended_ns(all);
  // Each is written by the client's callback thread, and read after all have been.
  std::vector<std::int64_t> acknowledged_ns(all);
  std::atomic<std::uint64_t> answers{0};
  const Pacer pacer;
  const double step_ns = 1e9 / plan.per_second;
  // The pace does not wait for answers; a late submit still counts from its own moment.
  const auto submit = [&](std::uint64_t first, std::uint64_t end) {
    const std::int64_t origin_ns = NowNs() + 10'000'000;
    for (std::uint64_t i = first; i < end; ++i) {
      intended_ns[i] =
          origin_ns + static_cast<std::int64_t>(static_cast<double>(i - first) * step_ns);
      pacer.Until(intended_ns[i]);
      run.client().SubmitAsync(Run::MakeJob(i), [&, i](Result<SubmitReceipt> receipt) {
        acknowledged_ns[i] = NowNs();
        run.Answered(i, std::move(receipt));
        answers.fetch_add(1, std::memory_order_release);
      });
    }
  };
  const auto answered = [&](std::uint64_t count) -> Status {
    while (answers.load(std::memory_order_acquire) < count) {
      LTS_RETURN_IF_ERROR(run.cluster().AliveFor(1));
    }
    return run.refused();
  };
  submit(0, plan.warm_up);
  // The callbacks use what stands here, so the client is closed before any way out.
  const auto measured = [&]() -> Result<Latency> {
    LTS_RETURN_IF_ERROR(answered(plan.warm_up));
    LTS_RETURN_IF_ERROR(run.AwaitRecorded(plan.warm_up));
    const auto before = run.cluster().CountsAt(plan.warm_up);
    if (!before.ok()) return before.status();
    CpuMeter meter(setup, &run.cluster());
    submit(plan.warm_up, all);
    LTS_RETURN_IF_ERROR(answered(all));
    LTS_RETURN_IF_ERROR(run.AwaitRecorded(all));
    meter.End(static_cast<double>(plan.jobs));
    const auto after = run.cluster().CountsAt(all);
    if (!after.ok()) return after.status();
    Latency out;
    out.jobs = plan.jobs;
    std::vector<double> start_ms;
    std::vector<double> submit_ms;
    for (std::uint64_t i = plan.warm_up; i < all; ++i) {
      const std::int64_t first_line_ns =
          run.board().at(i).first_line_ns.load(std::memory_order_relaxed);
      start_ms.push_back(static_cast<double>(first_line_ns - intended_ns[i]) / 1e6);
      submit_ms.push_back(static_cast<double>(acknowledged_ns[i] - intended_ns[i]) / 1e6);
    }
    out.start_ms = SpreadOf(std::move(start_ms));
    out.submit_ms = SpreadOf(std::move(submit_ms));
    out.jobs_per_commit = static_cast<double>(plan.jobs) /
                          std::max(1.0, static_cast<double>(after->commits - before->commits));
    out.cpu = meter.per_job();
    out.cores_elsewhere = meter.cores_elsewhere();
    out.jobtracker_mib = PeakMemoryMibOf(run.cluster().jobtracker());
    LTS_RETURN_IF_ERROR(run.Verify());
    return out;
  }();
  const Status stopped = run.Stop();
  if (measured.ok() && !stopped.ok()) return stopped;
  return measured;
}

Result<Spread> MeasureBareRpc(const Setup& setup, int count) {
  const Folder folder(setup.folder);
  std::error_code error;
  std::filesystem::create_directories(setup.folder, error);
  if (error) return Status::Unavailable("cannot make " + setup.folder);
  auto echo = Child::Start("the echo server", setup.self, {"echo"}, setup.folder + "/echo.log");
  if (!echo.ok()) return echo.status();
  auto address = (*echo)->AwaitLine("LISTEN", 10'000);
  if (!address.ok()) return address.status();
  std::vector<double> ms;
  {
    jobclient::Trackers trackers({*address}, rpc::MakeGrpcChannel);
    const int warm_up = count / 10;
    for (int i = 0; i < warm_up + count; ++i) {
      const std::int64_t begun_ns = NowNs();
      auto reply = trackers.Call(&rpc::Channel::Routes, v1::RoutesRequest(), kCallMs);
      if (!reply.ok()) return reply.status();
      if (i >= warm_up) ms.push_back(static_cast<double>(NowNs() - begun_ns) / 1e6);
    }
  }
  LTS_RETURN_IF_ERROR((*echo)->Stop());
  return SpreadOf(std::move(ms));
}

}  // namespace lts::bench

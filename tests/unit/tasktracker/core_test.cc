// Whole TaskTrackers with threads and clock of their own, against a fake JobTracker.
#include "tasktracker/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <stdexcept>

#include "support/fake_work_channel.h"
#include "support/temp_folder.h"

namespace lts::testing {
namespace {

using tasktracker::Core;
using ::testing::HasSubstr;

std::atomic<int> running{0};
std::atomic<int> running_max{0};
std::atomic<int> ran{0};

class Busy final : public JobRunner {
 public:
  RunResult Run(JobContext& ctx) override {
    const int now = ++running;
    int seen = running_max.load();
    while (seen < now && !running_max.compare_exchange_weak(seen, now)) {
    }
    ++ran;
    ctx.Log().Info("at " + ctx.Token());
    --running;
    return RunResult::Success("task " + std::string(ctx.TaskId()));
  }
};

// Waits, in Run and in Cancel, until the test opens the gate.
class Blocking final : public JobRunner {
 public:
  static void Open() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  RunResult Run(JobContext& ctx) override {
    ctx.Progress(-1, "runs");
    Wait();
    return RunResult::Success();
  }
  void Cancel() noexcept override { Wait(); }

 private:
  static void Wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [] { return open; });
  }
  static inline std::mutex mutex;
  static inline std::condition_variable changed;
  static inline bool open = false;
};

// Ends when it is asked to.
class Obedient final : public JobRunner {
 public:
  RunResult Run(JobContext& ctx) override {
    ctx.Progress(-1, "runs");
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&ctx] { return ctx.StopRequested(); });
    return RunResult::Later("stopped");
  }
  void Cancel() noexcept override {
    const std::lock_guard lock(mutex_);
    wake_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
};

class Refusing final : public JobRunner {
 public:
  explicit Refusing(const RunnerConfig& config) {
    throw std::runtime_error("no " + config.String("what"));
  }
  RunResult Run(JobContext&) override { return RunResult::Success(); }
};

TaskTrackerOptions Options(const TempFolder& folder) {
  TaskTrackerOptions options;
  options.node_group = "g";
  options.data_path = folder.path();
  options.work_threads = 64;
  options.runner_host = LTS_TEST_RUNNER_HOST;
  return options;
}

v1::TrackerMessage Welcome() {
  v1::TrackerMessage message;
  message.mutable_hello()->set_cluster_id("c");
  message.mutable_hello()->set_epoch(1);
  message.mutable_hello()->set_session(1);
  message.mutable_hello()->set_lease_ms(600'000);
  message.mutable_hello()->set_heartbeat_ms(60'000);
  return message;
}

TEST(Core, FiveThousandJobsThrough64SlotsEachOnceAndNeverMoreThanTheCapacity) {
  constexpr int kJobs = 5'000;
  const TempFolder folder;
  const SystemClock clock;
  FakeWorkTracker tracker;
  TaskTrackerOptions options = Options(folder);
  options.AddRunner<Busy>("busy");
  running_max = ran = 0;
  auto started = Core::Start(std::move(options), tracker.Factory(), clock);
  ASSERT_TRUE(started.ok()) << started.status().ToString();

  int capacity = 0;
  int outstanding = 0;
  int sent = 0;
  std::set<std::string> done;
  while (static_cast<int>(done.size()) < kJobs) {
    const std::vector<v1::WorkerMessage> messages = tracker.WaitAndTake();
    ASSERT_FALSE(messages.empty());
    v1::TrackerMessage reply;
    for (const v1::WorkerMessage& message : messages) {
      if (message.has_hello()) {
        capacity = message.hello().capacity();
        reply = Welcome();
      }
      for (const v1::AttemptResult& result : message.results()) {
        --outstanding;
        EXPECT_EQ(result.outcome(), v1::OUTCOME_EXECUTE_SUCCESS);
        EXPECT_TRUE(done.insert(result.key().job_id()).second);
        *reply.add_acks() = result.key();
      }
    }
    for (; sent < kJobs && outstanding < capacity; ++sent, ++outstanding) {
      v1::Assignment& assignment = *reply.add_assignments();
      assignment.mutable_job()->set_job_id("job-" + std::to_string(sent));
      assignment.mutable_job()->set_task_id("t" + std::to_string(sent));  // no runner: the only one
      assignment.set_attempt(1);
      assignment.mutable_token()->set_epoch(1);
      assignment.mutable_token()->set_sequence(static_cast<std::uint64_t>(sent) + 1);
    }
    tracker.Send(std::move(reply));
  }
  EXPECT_EQ(capacity, 64);
  EXPECT_EQ(ran, kJobs);
  EXPECT_LE(running_max, 64);
  const TaskTrackerStopReport report = (*started)->Stop();
  EXPECT_EQ(report.running, 0);
  EXPECT_EQ(report.results_unsaved, 0);
  EXPECT_EQ(tracker.log_lines().size(), static_cast<std::size_t>(kJobs));
}

TEST(Core, ACancelThatBlocksHoldsUpNeitherOtherStopsNorTheEnd) {
  const TempFolder folder;
  const SystemClock clock;
  FakeWorkTracker tracker;
  TaskTrackerOptions options = Options(folder);
  options.AddRunner<Blocking>("blocking");
  options.AddRunner<Obedient>("obedient");
  options.stop_timeout = std::chrono::milliseconds(1);
  options.kill_grace = std::chrono::milliseconds(1);
  auto started = Core::Start(std::move(options), tracker.Factory(), clock);
  ASSERT_TRUE(started.ok()) << started.status().ToString();

  std::set<std::string> begun;
  std::set<std::string> ended;
  const auto until = [&](const auto& reached) {
    while (!reached()) {
      const std::vector<v1::WorkerMessage> messages = tracker.WaitAndTake();
      if (messages.empty()) return false;
      for (const v1::WorkerMessage& message : messages) {
        if (message.has_hello()) {
          v1::TrackerMessage reply = Welcome();
          std::uint64_t sequence = 0;
          for (const char* runner : {"blocking", "obedient"}) {
            v1::Assignment& assignment = *reply.add_assignments();
            assignment.mutable_job()->set_job_id(runner);
            assignment.mutable_job()->set_task_id(runner);
            assignment.mutable_job()->set_runner(runner);
            assignment.set_attempt(1);
            assignment.mutable_token()->set_epoch(1);
            assignment.mutable_token()->set_sequence(++sequence);
          }
          tracker.Send(std::move(reply));
        }
        for (const v1::WorkerProgress& each : message.progress()) {
          begun.insert(each.key().job_id());
        }
        for (const v1::AttemptResult& each : message.results()) ended.insert(each.key().job_id());
      }
    }
    return true;
  };
  ASSERT_TRUE(until([&] { return begun.size() == 2; }));
  v1::TrackerMessage stops;
  for (const char* runner : {"blocking", "obedient"}) {
    v1::AttemptKey& key = *stops.add_stops();
    key.set_job_id(runner);
    key.set_attempt(1);
    key.mutable_token()->set_epoch(1);
    key.mutable_token()->set_sequence(runner == std::string("blocking") ? 1 : 2);
  }
  tracker.Send(std::move(stops));
  EXPECT_TRUE(until([&] { return !ended.empty(); }));
  EXPECT_EQ(ended.count("obedient"), 1U);
  EXPECT_EQ((*started)->Stop().running, 1);
  Blocking::Open();
}

TEST(Core, ARunnerThatRefusesToStartRefusesTheStart) {
  const TempFolder folder;
  const SystemClock clock;
  FakeWorkTracker tracker;
  TaskTrackerOptions options = Options(folder);
  options.AddRunner<Refusing>("refusing");
  options.runner_config["runner.refusing.what"] = "way";
  const auto started = Core::Start(std::move(options), tracker.Factory(), clock);
  EXPECT_EQ(started.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(started.status().message(), HasSubstr("no way"));
}

TEST(Core, APluginThatIsNoneRefusesTheStart) {
  const TempFolder folder;
  const SystemClock clock;
  FakeWorkTracker tracker;
  TaskTrackerOptions options = Options(folder);
  options.plugins = {folder.Write("bad.so", "not a library")};
  const auto started = Core::Start(std::move(options), tracker.Factory(), clock);
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.status().message(), HasSubstr("bad.so"));
}

TEST(Core, ARunnerOfTheProgramItselfCannotHaveAProcess) {
  const TempFolder folder;
  const SystemClock clock;
  FakeWorkTracker tracker;
  TaskTrackerOptions options = Options(folder);
  options.AddRunner<Busy>("busy");
  options.runner_config = {{"runner.busy.isolation", "process"}};
  const auto started = Core::Start(std::move(options), tracker.Factory(), clock);
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.status().message(), HasSubstr("runner.busy.isolation"));
}

TEST(Core, TwoOfOneNameHaveDifferentIdentitiesWhichStay) {
  const TempFolder folder;
  const SystemClock clock;
  FakeWorkTracker tracker;
  tracker.SetDown(true);
  std::string first_identity;
  {
    auto first = Core::Start(Options(folder), tracker.Factory(), clock);
    auto second = Core::Start(Options(folder), tracker.Factory(), clock);
    ASSERT_TRUE(first.ok() && second.ok());
    first_identity = (*first)->identity();
    EXPECT_NE(first_identity, (*second)->identity());
  }
  auto again = Core::Start(Options(folder), tracker.Factory(), clock);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->identity(), first_identity);
}

TEST(Core, WithoutJobTrackerStartsAndSaysWhyItIsNotReady) {
  const TempFolder folder;
  const SystemClock clock;
  FakeWorkTracker tracker;
  tracker.SetDown(true);
  TaskTrackerOptions options = Options(folder);
  options.ops_listen = "127.0.0.1:0";
  auto started = Core::Start(std::move(options), tracker.Factory(), clock);
  ASSERT_TRUE(started.ok()) << started.status().ToString();
  EXPECT_FALSE((*started)->Connection().ok());
  EXPECT_THAT((*started)->ops_listen(), HasSubstr("127.0.0.1:"));
}

}  // namespace
}  // namespace lts::testing

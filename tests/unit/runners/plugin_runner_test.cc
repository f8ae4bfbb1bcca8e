#include "tasktracker/runners/plugin_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

#include "tasktracker/runners/registry.h"
#include "unit/runners/support.h"

namespace lts::runners {
namespace {

using model::Action;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class PluginRunnerTest : public testing::Test {
 protected:
  std::unique_ptr<Runner> Make(const std::string& plugin, const std::string& name,
                               std::map<std::string, std::string> config = {}) {
    RunnerOptions options;
    options.plugins = {TestPlugin(plugin)};
    options.config = std::move(config);
    auto registry = RunnerRegistry::Open(std::move(options), clock_);
    EXPECT_TRUE(registry.ok()) << registry.status().ToString();
    auto runner = (*registry)->Create(name);
    EXPECT_TRUE(runner.ok()) << runner.status().ToString();
    return *std::move(runner);
  }
  RunOutcome RunOnce(const std::string& plugin, const std::string& name) {
    return Make(plugin, name)->Run(AttemptInput{}, sink_, {});
  }

  ManualClock clock_;
  RecordingSink sink_;
};

TEST_F(PluginRunnerTest, JobCodeSeesTheWholeAttempt) {
  AttemptInput input;
  input.job_id = "0190-job";
  input.task_id = "task 7";
  input.group = "demo";
  input.runner = "echo";
  input.params = {{"a", "1"}, {"b", ""}};
  input.payload = "bytes";
  input.attempt = 3;
  input.fire_time_ms = 1'700'000'000'123;
  input.token = {7, 42};
  input.timeout_ms = 30'000;
  input.shard_index = 2;
  input.shard_total = 5;
  const auto runner =
      Make("echo", "echo", {{"runner.echo.greeting", "hi"}, {"runner.echoes.greeting", "no"}});
  const RunOutcome outcome = runner->Run(input, sink_, {});
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess);
  EXPECT_EQ(
      outcome.message,
      "job=0190-job;task=task 7;group=demo;runner=echo;attempt=3;fire=1700000000123;token=7-42;"
      "payload=bytes;shard=2/5;a=1;absent=not there;fallback=instead;params=2;remaining=30000;"
      "stop=no;greeting=hi;");
}

TEST_F(PluginRunnerTest, LogAndProgressReachTheSinkOfTheAttempt) {
  AttemptInput input;
  input.params = {{"a", "1"}};
  const auto runner = Make("echo", "echo");
  const RunOutcome outcome = runner->Run(input, sink_, {});
  EXPECT_THAT(outcome.message, HasSubstr("remaining=no limit"));
  EXPECT_THAT(
      sink_.lines(),
      ElementsAre(Pair(LogLevel::kDebug, "debug line"), Pair(LogLevel::kInfo, "info line"),
                  Pair(LogLevel::kWarn, "warn line"), Pair(LogLevel::kError, "error line")));
  EXPECT_THAT(sink_.progress(), ElementsAre(Pair(50, "half"), Pair(-1, "unknown"), Pair(100, "")));

  RecordingSink second;
  (void)runner->Run(input, second, {});
  EXPECT_EQ(second.lines().size(), 4U);
  EXPECT_EQ(sink_.lines().size(), 4U);
}

TEST_F(PluginRunnerTest, ResultsComeBackAsReturned) {
  const RunOutcome failed = RunOnce("outcomes", "fails");
  EXPECT_EQ(failed.action, Action::kExecuteFailed);
  EXPECT_EQ(failed.message, "no good");
  const RunOutcome later = RunOnce("outcomes", "later");
  EXPECT_EQ(later.action, Action::kExecuteLater);
  EXPECT_EQ(later.message, "not yet");
  EXPECT_EQ(later.later_delay_ms, 0);
  const RunOutcome snoozed = RunOnce("outcomes", "snoozes");
  EXPECT_EQ(snoozed.action, Action::kExecuteLater);
  EXPECT_EQ(snoozed.message, "in a while");
  EXPECT_EQ(snoozed.later_delay_ms, 90'000);
  const RunOutcome exception = RunOnce("outcomes", "excepts");
  EXPECT_EQ(exception.action, Action::kExecuteException);
  EXPECT_EQ(exception.message, "went wrong");
}

TEST_F(PluginRunnerTest, ASnoozeOfNoTimeIsStillASnooze) {
  EXPECT_EQ(RunOnce("outcomes", "snoozes_no_time").later_delay_ms, 1);
}

TEST_F(PluginRunnerTest, AThrowIsAnExceptionWithItsText) {
  const RunOutcome outcome = RunOnce("outcomes", "throws");
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_EQ(outcome.message, "boom");
  const RunOutcome unknown = RunOnce("outcomes", "throws_int");
  EXPECT_EQ(unknown.action, Action::kExecuteException);
  EXPECT_THAT(unknown.message, HasSubstr("unknown exception"));
}

TEST_F(PluginRunnerTest, AMissingParameterFailsNamingTheKey) {
  const RunOutcome outcome = RunOnce("outcomes", "needs_param");
  EXPECT_EQ(outcome.action, Action::kExecuteFailed);
  EXPECT_THAT(outcome.message, HasSubstr("needed"));
}

TEST_F(PluginRunnerTest, MessagesAreMadeValidAndBounded) {
  EXPECT_EQ(RunOnce("outcomes", "bad_text").message, "caf\uFFFD");
  const RunOutcome cut = RunOnce("outcomes", "long_text");
  EXPECT_EQ(cut.message.size(), 4096U);
  EXPECT_EQ(cut.message.substr(4090), "xxx\u2026");
}

TEST_F(PluginRunnerTest, ARunnerInCWorksAndTheLastResultCounts) {
  AttemptInput input;
  input.task_id = "t1";
  const RunOutcome outcome = Make("plain_c", "c_plain")->Run(input, sink_, {});
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess);
  EXPECT_EQ(outcome.message, "t1");
  EXPECT_THAT(sink_.lines(), ElementsAre(Pair(LogLevel::kError, "level out of range")));
}

TEST_F(PluginRunnerTest, NoResultAndUnknownActionsAreExceptions) {
  const RunOutcome silent = RunOnce("plain_c", "c_silent");
  EXPECT_EQ(silent.action, Action::kExecuteException);
  EXPECT_THAT(silent.message, HasSubstr("no result"));
  const RunOutcome unknown = RunOnce("plain_c", "c_unknown_action");
  EXPECT_EQ(unknown.action, Action::kExecuteException);
  EXPECT_THAT(unknown.message, HasSubstr("17"));
}

TEST_F(PluginRunnerTest, AStopWakesARunnerThatWaits) {
  const auto runner = Make("waits", "waits");
  for (int round = 1; round <= 50; ++round) {  // one object serves many attempts
    std::stop_source stop;
    std::jthread stopper;
    RecordingSink sink(
        [&](const std::string&) { stopper = std::jthread([&stop] { stop.request_stop(); }); });
    const RunOutcome outcome = runner->Run(AttemptInput{}, sink, stop.get_token());
    EXPECT_EQ(outcome.action, Action::kExecuteLater);
    EXPECT_EQ(outcome.message, "stopped " + std::to_string(round));
    EXPECT_FALSE(outcome.timed_out);
  }
}

TEST_F(PluginRunnerTest, AStopRequestedBeforeTheRunIsNotLost) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(Make("waits", "waits")->Run(AttemptInput{}, sink_, stop.get_token()).message,
            "stopped 1");
}

TEST_F(PluginRunnerTest, TheEndOfTimeShowsAsAStopRequest) {
  AttemptInput input;
  input.timeout_ms = 1000;
  RecordingSink sink([this](const std::string&) { clock_.Advance(1000); });
  const RunOutcome outcome = Make("waits", "asks")->Run(input, sink, {});
  EXPECT_EQ(outcome.action, Action::kExecuteLater);
  EXPECT_TRUE(outcome.timed_out);
}

TEST_F(PluginRunnerTest, ARunnerThatIgnoresItsStopKeepsItsSlotUntilItReturns) {
  TempFolder folder;
  AttemptInput input;
  input.params = {{"release", folder.Path("release")}};
  ASSERT_EQ(mkfifo(folder.Path("release").c_str(), 0600), 0);
  std::stop_source stop;
  std::jthread releaser;
  RecordingSink sink([&](const std::string&) {
    releaser = std::jthread([&] {
      stop.request_stop();  // returns although the runner takes no notice
      std::ofstream(folder.Path("release")) << "released\n";
    });
  });
  const RunOutcome outcome = Make("waits", "ignores")->Run(input, sink, stop.get_token());
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess);
  EXPECT_EQ(outcome.message, "released, stop was requested");
}

TEST_F(PluginRunnerTest, ACrashOfJobCodeTakesTheProcessAlong) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT((void)RunOnce("outcomes", "aborts"), testing::KilledBySignal(SIGABRT), "");
}

TEST_F(PluginRunnerTest, WordCountCountsAsTheQuickstartSays) {
  TempFolder folder;
  RunnerOptions options;
  options.plugins = {LTS_TEST_WORD_COUNT};
  const auto registry = RunnerRegistry::Open(options, clock_);
  ASSERT_TRUE(registry.ok()) << registry.status().ToString();
  EXPECT_EQ((*registry)->default_runner(), "word_count");
  const auto runner = (*registry)->Create("word_count");
  ASSERT_TRUE(runner.ok());
  const auto count = [&](const std::string& text) {
    AttemptInput input;
    input.params = {{"file", folder.Write("f", text)}};
    return (*runner)->Run(input, sink_, {}).message;
  };
  EXPECT_EQ(count("one two\nthree\n"), "lines=2 words=3");
  EXPECT_EQ(count("no newline at the end"), "lines=1 words=5");
  EXPECT_EQ(count(""), "lines=0 words=0");
  EXPECT_EQ(count("\n\n  \n"), "lines=3 words=0");
  std::string big;
  for (int i = 0; i < 30'000; ++i) big += "word and word\n";  // words across the borders of blocks
  EXPECT_EQ(count(big), "lines=30000 words=90000");

  AttemptInput absent;
  absent.params = {{"file", folder.Path("absent")}};
  EXPECT_EQ((*runner)->Run(absent, sink_, {}).action, Action::kExecuteFailed);
  absent.params = {{"file", folder.Path("")}};
  EXPECT_EQ((*runner)->Run(absent, sink_, {}).action, Action::kExecuteFailed);
  EXPECT_THAT((*runner)->Run(AttemptInput{}, sink_, {}).message, HasSubstr("file"));
}

TEST_F(PluginRunnerTest, WordCountKeepsToItsConfiguredLimit) {
  TempFolder folder;
  RunnerOptions options;
  options.plugins = {LTS_TEST_WORD_COUNT};
  options.config = {{"runner.word_count.max_bytes", "1k"}};
  const auto registry = RunnerRegistry::Open(options, clock_);
  ASSERT_TRUE(registry.ok());
  const auto runner = (*registry)->Create("word_count");
  ASSERT_TRUE(runner.ok());
  AttemptInput input;
  input.params = {{"file", folder.Write("f", std::string(1024, 'x'))}};
  EXPECT_EQ((*runner)->Run(input, sink_, {}).action, Action::kExecuteSuccess);
  input.params = {{"file", folder.Write("f", std::string(1025, 'x'))}};
  const RunOutcome over = (*runner)->Run(input, sink_, {});
  EXPECT_EQ(over.action, Action::kExecuteFailed);
  EXPECT_THAT(over.message, HasSubstr("max_bytes=1024"));
}

}  // namespace
}  // namespace lts::runners

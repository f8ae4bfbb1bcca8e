// Runners in processes of their own: the real lts-runner-host, with plugins that harm it.
#include "tasktracker/runners/host_runner.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

#include "tasktracker/runners/registry.h"
#include "unit/runners/support.h"

namespace lts::runners {
namespace {

using model::Action;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;

constexpr int kDeadlineMs = 60'000;

// Whether the process has ended, or ends before the deadline; zombies have.
bool Ends(pid_t pid) {
  const auto fd = OpenPidFd(pid);
  if (!fd.ok()) return true;
  pollfd end{fd->get(), POLLIN, 0};
  return poll(&end, 1, kDeadlineMs) == 1;
}

class HostRunnerTest : public testing::Test {
 protected:
  HostRunnerTest() {
    options_.isolation.isolation = Isolation::kProcess;
    options_.host_program = LTS_TEST_RUNNER_HOST;
    options_.limits.kill_grace_ms = 200;
  }

  std::unique_ptr<RunnerRegistry> Open(const std::string& plugin) {
    options_.plugins = {TestPlugin(plugin)};
    auto registry = RunnerRegistry::Open(options_, clock_);
    EXPECT_TRUE(registry.ok()) << registry.status().ToString();
    return *std::move(registry);
  }
  std::unique_ptr<Runner> Make(const std::string& plugin, const std::string& name) {
    registry_ = Open(plugin);
    auto runner = registry_->Create(name);
    EXPECT_TRUE(runner.ok()) << runner.status().ToString();
    return *std::move(runner);
  }
  static AttemptInput Input(const std::string& what, DurationMs timeout_ms = 0) {
    AttemptInput input;
    input.runner = "bad";
    input.params = {{"what", what}};
    input.timeout_ms = timeout_ms;
    return input;
  }
  // The process that ran, from its line "pid N".
  static pid_t PidOf(const RecordingSink& sink) { return NumbersAfter(sink, "pid ").at(0); }
  static std::vector<pid_t> NumbersAfter(const RecordingSink& sink, const std::string& word) {
    std::vector<pid_t> numbers;
    for (const auto& [level, line] : sink.lines()) {
      if (line.rfind(word, 0) == 0) numbers.push_back(std::atoi(line.c_str() + word.size()));
    }
    return numbers;
  }
  // Runs `what` and asks it to stop when it says that it loops.
  RunOutcome RunAndStop(Runner& runner, AttemptInput input, RecordingSink** out) {
    std::jthread stopper;
    sinks_.push_back(std::make_unique<RecordingSink>([&](const std::string& line) {
      if (line == "looping") stopper = std::jthread([this] { stop_.request_stop(); });
    }));
    *out = sinks_.back().get();
    return runner.Run(input, **out, stop_.get_token());
  }
  RunOutcome RunGood(Runner& runner) {
    RecordingSink sink;
    return runner.Run(Input("good"), sink, {});
  }

  const SystemClock clock_;
  RunnerOptions options_;
  std::unique_ptr<RunnerRegistry> registry_;
  std::stop_source stop_;
  std::vector<std::unique_ptr<RecordingSink>> sinks_;
  RecordingSink sink_;
};

TEST_F(HostRunnerTest, AnIdleHostFromBeforeTheEndOfALeaseRunsNothingMore) {
  const auto runner = Make("bad", "bad");
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(RunGood(*runner).action, Action::kExecuteSuccess);
    // The end of the lease was missed, as by a process that is paused; a new one follows at once.
    registry_->hosts()->SetEndBy(clock_.MonotonicUs() - 1);
    registry_->hosts()->SetEndBy(clock_.MonotonicUs() + 60'000'000);
    const RunOutcome outcome = RunGood(*runner);
    ASSERT_EQ(outcome.action, Action::kExecuteSuccess) << outcome.message;
    registry_->hosts()->SetEndBy(0);
  }
}

TEST_F(HostRunnerTest, JobCodeSeesTheSameAttemptAsInAThread) {
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
  input.shard_index = 2;
  input.shard_total = 5;
  options_.config = {{"runner.echo.greeting", "hi"}, {"runner.echo.isolation", "process"}};
  const RunOutcome outcome = Make("echo", "echo")->Run(input, sink_, {});
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess);
  EXPECT_EQ(
      outcome.message,
      "job=0190-job;task=task 7;group=demo;runner=echo;attempt=3;fire=1700000000123;token=7-42;"
      "payload=bytes;shard=2/5;a=1;absent=not there;fallback=instead;params=2;remaining=no limit;"
      "stop=no;greeting=hi;");
  EXPECT_THAT(
      sink_.lines(),
      ElementsAre(Pair(LogLevel::kDebug, "debug line"), Pair(LogLevel::kInfo, "info line"),
                  Pair(LogLevel::kWarn, "warn line"), Pair(LogLevel::kError, "error line")));
  // The first at once; the newest is never lost.
  ASSERT_THAT(sink_.progress(), Not(IsEmpty()));
  EXPECT_THAT(sink_.progress().front(), Pair(50, "half"));
  EXPECT_THAT(sink_.progress().back(), Pair(100, ""));
}

TEST_F(HostRunnerTest, ResultsComeBackAsReturned) {
  registry_ = Open("outcomes");
  const auto run = [&](const std::string& name) {
    return (*registry_->Create(name))->Run(AttemptInput{}, sink_, {});
  };
  EXPECT_EQ(run("fails").action, Action::kExecuteFailed);
  EXPECT_EQ(run("fails").message, "no good");
  EXPECT_EQ(run("later").later_delay_ms, 0);
  EXPECT_EQ(run("snoozes").later_delay_ms, 90'000);
  EXPECT_EQ(run("throws").message, "boom");
  EXPECT_EQ(run("bad_text").message, "caf\uFFFD");
  EXPECT_EQ(run("long_text").message.size(), 4096U);
}

TEST_F(HostRunnerTest, APayloadLargerThanASocketArrives) {
  AttemptInput input;
  input.params = {{"a", "1"}};
  input.payload = std::string(8 << 20, 'x');
  EXPECT_EQ(Make("echo", "echo")->Run(input, sink_, {}).message.size(), 4096U);
}

TEST_F(HostRunnerTest, AHealthyHostIsUsedAgain) {
  const auto runner = Make("bad", "bad");
  RecordingSink second;
  (void)runner->Run(Input("good"), sink_, {});
  (void)runner->Run(Input("good"), second, {});
  EXPECT_EQ(PidOf(sink_), PidOf(second));
  EXPECT_NE(PidOf(sink_), getpid());
  RecordingSink stopped;
  stop_.request_stop();
  EXPECT_EQ(runner->Run(Input("wait"), stopped, stop_.get_token()).message, "stopped");
  RecordingSink afterwards;
  (void)runner->Run(Input("good"), afterwards, {});
  EXPECT_EQ(PidOf(afterwards), PidOf(sink_));
}

TEST_F(HostRunnerTest, AttemptsAtTheSameTimeHaveAHostEach) {
  registry_ = Open("bad");
  const auto first = *registry_->Create("bad");
  const auto second = *registry_->Create("bad");
  RecordingSink other;
  std::optional<RunOutcome> good;
  std::jthread beside;
  RecordingSink waiting([&](const std::string& line) {
    if (line != "looping") return;
    beside = std::jthread([&] {
      good = second->Run(Input("good"), other, {});
      stop_.request_stop();
    });
  });
  EXPECT_EQ(first->Run(Input("wait"), waiting, stop_.get_token()).message, "stopped");
  beside.join();
  EXPECT_EQ(good->message, "did good");
  EXPECT_NE(PidOf(waiting), PidOf(other));
}

TEST_F(HostRunnerTest, IdleHostsBeyondTheirNumberEnd) {
  options_.hosts_max = 1;
  const auto runner = Make("bad", "bad");
  (void)runner->Run(Input("good"), sink_, {});
  ASSERT_TRUE(registry_->Create("bad_start").ok());  // takes the place of the first
  EXPECT_TRUE(Ends(PidOf(sink_)));
  EXPECT_EQ(RunGood(*runner).message, "did good");
}

TEST_F(HostRunnerTest, IdleHostsEndAfterTheirTimeButForTheLastOfARunner) {
  options_.host_idle_ms = 1;
  registry_ = Open("bad");
  const auto first = *registry_->Create("bad");
  const auto second = *registry_->Create("bad");
  RecordingSink inner;
  RecordingSink outer([&](const std::string& line) {
    if (line != "looping") return;
    (void)second->Run(Input("good"), inner, {});
    stop_.request_stop();
  });
  (void)first->Run(Input("wait"), outer, stop_.get_token());
  EXPECT_TRUE(Ends(PidOf(inner)));  // it was idle first
  RecordingSink third;
  (void)first->Run(Input("good"), third, {});
  EXPECT_EQ(PidOf(third), PidOf(outer));
}

TEST_F(HostRunnerTest, ACrashCostsItsAttemptAndSaysHow) {
  const auto runner = Make("bad", "bad");
  const RunOutcome aborted = runner->Run(Input("abort"), sink_, {});
  EXPECT_EQ(aborted.action, Action::kExecuteException);
  EXPECT_FALSE(aborted.timed_out);
  EXPECT_THAT(aborted.message, AllOf(HasSubstr("SIGABRT"), HasSubstr("about to abort")));
  EXPECT_THAT(sink_.lines(), Contains(Pair(LogLevel::kInfo, "about to abort")));
  EXPECT_THAT(sink_.lines(), Contains(Pair(LogLevel::kInfo, StartsWith("pid "))));
  EXPECT_EQ(RunGood(*runner).message, "did good");
}

TEST_F(HostRunnerTest, ASegmentationFaultAnExitAndASignalToItsGroupToo) {
  const auto runner = Make("bad", "bad");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which make an exit of it
  EXPECT_THAT(runner->Run(Input("segfault"), sink_, {}).message, HasSubstr("SIGSEGV"));
#endif
  EXPECT_THAT(runner->Run(Input("exit"), sink_, {}).message, HasSubstr("exit status 3"));
  EXPECT_THAT(runner->Run(Input("kill_group"), sink_, {}).message,
              AllOf(HasSubstr("SIGKILL"), HasSubstr("out of memory")));
  EXPECT_EQ(RunGood(*runner).message, "did good");
}

TEST_F(HostRunnerTest, AnEndlessLoopIsKilledAfterItsTimeAndTheGrace) {
  const auto runner = Make("bad", "bad");
  const std::int64_t begun_us = clock_.MonotonicUs();
  const RunOutcome outcome = runner->Run(Input("loop", 100), sink_, {});
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_TRUE(outcome.timed_out);
  EXPECT_THAT(outcome.message, HasSubstr("did not stop within 200 ms"));
  EXPECT_GE(clock_.MonotonicUs() - begun_us, 300'000);
  EXPECT_TRUE(Ends(PidOf(sink_)));
  EXPECT_EQ(RunGood(*runner).message, "did good");
}

TEST_F(HostRunnerTest, AnEndlessLoopThatIsToStopIsKilledAfterTheGrace) {
  RecordingSink* sink = nullptr;
  const RunOutcome outcome = RunAndStop(*Make("bad", "bad"), Input("loop"), &sink);
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_THAT(outcome.message, HasSubstr("kill.grace"));
  EXPECT_TRUE(Ends(PidOf(*sink)));
}

TEST_F(HostRunnerTest, OneThatNeverStopsTalkingIsKilledToo) {
  EXPECT_TRUE(Make("bad", "bad")->Run(Input("flood", 50), sink_, {}).timed_out);
  EXPECT_TRUE(Ends(PidOf(sink_)));
  std::jthread stopper;
  std::atomic<bool> first{true};
  RecordingSink flooded([&](const std::string& line) {
    if (line == "looping" && first.exchange(false)) {
      stopper = std::jthread([this] { stop_.request_stop(); });
    }
  });
  const RunOutcome outcome =
      (*registry_->Create("bad"))->Run(Input("flood"), flooded, stop_.get_token());
  EXPECT_THAT(outcome.message, HasSubstr("kill.grace"));
}

TEST_F(HostRunnerTest, AProcessThatIsHeldIsKilledToo) {
  EXPECT_TRUE(Make("bad", "bad")->Run(Input("stop_itself", 50), sink_, {}).timed_out);
  EXPECT_TRUE(Ends(PidOf(sink_)));
}

TEST_F(HostRunnerTest, AStopEndsARunnerThatListens) {
  const auto runner = Make("waits", "waits");
  for (int round = 1; round <= 20; ++round) {
    std::stop_source stop;
    std::jthread stopper;
    RecordingSink sink(
        [&](const std::string&) { stopper = std::jthread([&stop] { stop.request_stop(); }); });
    const RunOutcome outcome = runner->Run(AttemptInput{}, sink, stop.get_token());
    EXPECT_EQ(outcome.action, Action::kExecuteLater);
    EXPECT_EQ(outcome.message, "stopped " + std::to_string(round));  // the same object each time
  }
}

TEST_F(HostRunnerTest, TheEndOfTimeEndsARunnerThatListens) {
  options_.limits.kill_grace_ms = kDeadlineMs;
  const RunOutcome outcome = Make("bad", "bad")->Run(Input("wait", 50), sink_, {});
  EXPECT_EQ(outcome.action, Action::kExecuteLater);
  EXPECT_TRUE(outcome.timed_out);
}

TEST_F(HostRunnerTest, WhateverItHasStartedIsKilledWithIt) {
  RecordingSink* sink = nullptr;
  (void)RunAndStop(*Make("bad", "bad"), Input("children"), &sink);
  const std::vector<pid_t> children = NumbersAfter(*sink, "child ");
  ASSERT_THAT(children, SizeIs(3));
  for (const pid_t child : children) EXPECT_TRUE(Ends(child)) << child;
}

TEST_F(HostRunnerTest, WhateverItHasStartedIsKilledWhenItCrashes) {
  AttemptInput input = Input("children");
  input.params["then"] = "abort";
  const RunOutcome outcome = Make("bad", "bad")->Run(input, sink_, {});
  EXPECT_THAT(outcome.message, HasSubstr("SIGABRT"));
  const std::vector<pid_t> children = NumbersAfter(sink_, "child ");
  ASSERT_THAT(children, SizeIs(3));
  // Run returns after the fact: there is nothing to wait for.
  for (const pid_t child : children) EXPECT_EQ(kill(child, 0), -1) << child;
}

TEST_F(HostRunnerTest, WhatAnAttemptLeavesBehindEndsWithTheHost) {
  const auto runner = Make("bad", "bad");
  EXPECT_EQ(runner->Run(Input("leave"), sink_, {}).message, "did leave");
  const pid_t child = NumbersAfter(sink_, "child ").at(0);
  EXPECT_EQ(kill(child, 0), 0);
  (void)runner->Run(Input("exit"), sink_, {});
  EXPECT_TRUE(Ends(child));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which map terabytes
TEST_F(HostRunnerTest, BeyondItsMemoryAnAllocationFailsAndTheHostLives) {
  options_.config = {{"runner.bad.limit.memory", "256MiB"}};
  const auto runner = Make("bad", "bad");
  const RunOutcome outcome = runner->Run(Input("allocate"), sink_, {});
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_THAT(outcome.message,
              AllOf(HasSubstr("bad_alloc"), HasSubstr("runner.bad.limit.memory=268435456")));
  RecordingSink second;
  (void)runner->Run(Input("good"), second, {});
  EXPECT_EQ(PidOf(second), PidOf(sink_));
}
#endif

TEST_F(HostRunnerTest, BeyondItsProcessorTimeItEnds) {
  options_.config = {{"runner.bad.limit.cpu", "1s"}};
  const RunOutcome outcome = Make("bad", "bad")->Run(Input("loop"), sink_, {});
  EXPECT_THAT(outcome.message, AllOf(HasSubstr("SIGXCPU"), HasSubstr("runner.bad.limit.cpu=1s")));
}

TEST_F(HostRunnerTest, ARunnerThatClosesOurDescriptorsOrWritesToThemIsKilled) {
  const auto runner = Make("bad", "bad");
  const RunOutcome closed = runner->Run(Input("close_all"), sink_, {});
  EXPECT_EQ(closed.action, Action::kExecuteException);
  EXPECT_THAT(closed.message, HasSubstr("killed"));
  RecordingSink second;
  const RunOutcome nonsense = runner->Run(Input("nonsense"), second, {});
  EXPECT_EQ(nonsense.action, Action::kExecuteException);
  EXPECT_TRUE(Ends(PidOf(second)));
  EXPECT_EQ(RunGood(*runner).message, "did good");
}

TEST_F(HostRunnerTest, WhatItPrintsIsInTheBusinessLogOfItsAttempt) {
  const auto runner = Make("bad", "bad");
  EXPECT_EQ(runner->Run(Input("print"), sink_, {}).message, "did print");
  std::vector<std::string> lines;
  for (const auto& [level, line] : sink_.lines()) lines.push_back(line);
  EXPECT_THAT(lines,
              AllOf(Contains("printed"), Contains("complained"), Contains("without an end")));
  RecordingSink second;
  (void)runner->Run(Input("good"), second, {});
  EXPECT_THAT(second.lines(), SizeIs(1));
}

TEST_F(HostRunnerTest, ProgressToldAHundredThousandTimesIsSentAFewTimes) {
  EXPECT_EQ(Make("bad", "bad")->Run(Input("progress"), sink_, {}).message, "did progress");
  ASSERT_THAT(sink_.progress(), Not(IsEmpty()));
  EXPECT_THAT(sink_.progress().back(), Pair(100, "100000"));
  EXPECT_LT(sink_.progress().size(), 5'000U);
}

TEST_F(HostRunnerTest, AConstructorThatThrowsRefusesWithItsText) {
  registry_ = Open("refuses");
  const Status refused = registry_->Create("needs_option").status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(),
              AllOf(HasSubstr("needs_option"), HasSubstr("runner.needs_option.rows is missing")));
}

TEST_F(HostRunnerTest, ACrashInAConstructorOrAtLoadingRefusesTheStart) {
  options_.config = {{"runner.bad_start.crash", "true"}};
  const Status made = Open("bad")->Create("bad_start").status();
  EXPECT_EQ(made.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(made.message(), AllOf(HasSubstr("bad_start"), HasSubstr("SIGABRT")));
  options_.plugins = {TestPlugin("crashes_at_load")};
  const Status loaded = RunnerRegistry::Open(options_, clock_).status();
  EXPECT_EQ(loaded.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(loaded.message(), AllOf(HasSubstr("crashes_at_load.so"), HasSubstr("SIGABRT")));
}

TEST_F(HostRunnerTest, ErrorsOfPluginsAreTheSameAsInAThread) {
  for (const std::string plugin : {"other_version", "no_entry", "unresolved", "empty"}) {
    options_.plugins = {TestPlugin(plugin)};
    options_.isolation.isolation = Isolation::kProcess;
    const Status process = RunnerRegistry::Open(options_, clock_).status();
    options_.isolation.isolation = Isolation::kThread;
    const Status thread = RunnerRegistry::Open(options_, clock_).status();
    EXPECT_EQ(process.ToString(), thread.ToString());
    EXPECT_FALSE(thread.ok());
  }
}

TEST_F(HostRunnerTest, OneRunnerMayHaveAThreadAndAnotherAProcess) {
  options_.config = {{"runner.bad.isolation", "process"}};
  options_.isolation.isolation = Isolation::kThread;
  registry_ = Open("bad");
  (void)(*registry_->Create("bad"))->Run(Input("good"), sink_, {});
  EXPECT_NE(PidOf(sink_), getpid());
  options_.config = {{"runner.bad.isolation", "thread"}};
  options_.isolation.isolation = Isolation::kProcess;
  registry_ = Open("bad");
  RecordingSink second;
  (void)(*registry_->Create("bad"))->Run(Input("good"), second, {});
  EXPECT_EQ(PidOf(second), getpid());
}

TEST_F(HostRunnerTest, BadOptionsAreFoundAtStartNamingTheKey) {
  options_.plugins = {TestPlugin("bad")};
  const auto refused = [&](const std::string& key, const std::string& value) {
    options_.config = {{key, value}};
    const Status status = RunnerRegistry::Open(options_, clock_).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << key;
    EXPECT_THAT(status.message(), HasSubstr(key));
  };
  refused("runner.bad.isolation", "vm");
  refused("runner.bad.limit.memory", "1k");
  refused("runner.bad.limit.memory", "much");
  refused("runner.bad.limit.cpu", "soon");
  refused("runner.bad.limit.files", "3");
  options_.isolation.isolation = Isolation::kThread;
  options_.config = {{"runner.bad.limit.memory", "1GiB"}};
  EXPECT_THAT(RunnerRegistry::Open(options_, clock_).status().message(),
              HasSubstr("runner.bad.isolation=process"));
}

TEST_F(HostRunnerTest, AHostOfAnotherVersionOrNoneIsRefused) {
  options_.host_program = "/nowhere/lts-runner-host";
  options_.plugins = {TestPlugin("echo")};
  const Status none = RunnerRegistry::Open(options_, clock_).status();
  EXPECT_EQ(none.code(), StatusCode::kNotFound);
  EXPECT_THAT(none.message(), HasSubstr("/nowhere/lts-runner-host"));
  TempFolder folder;
  options_.host_program = folder.Write("host", "#!/bin/sh\nexit 65\n");
  std::filesystem::permissions(options_.host_program, std::filesystem::perms::owner_all);
  EXPECT_THAT(RunnerRegistry::Open(options_, clock_).status().message(),
              HasSubstr("another version"));
}

TEST(FindRunnerHost, LooksBesideTheProgramAndBelowLtsHome) {
  TempFolder home;
  const char* const before = std::getenv("LTS_HOME");
  const std::string kept = before == nullptr ? "" : before;
  setenv("LTS_HOME", home.Path("").c_str(), 1);
  const Status none = FindRunnerHost().status();
  EXPECT_EQ(none.code(), StatusCode::kNotFound);
  EXPECT_THAT(none.message(),
              AllOf(HasSubstr("bin/lts-runner-host"), HasSubstr("runner.isolation=thread")));
  std::filesystem::create_directory(home.Path("bin"));
  std::filesystem::create_symlink(LTS_TEST_RUNNER_HOST, home.Path("bin/lts-runner-host"));
  const auto found = FindRunnerHost();
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(std::filesystem::canonical(*found), std::filesystem::canonical(LTS_TEST_RUNNER_HOST));
  if (before == nullptr) {
    unsetenv("LTS_HOME");
  } else {
    setenv("LTS_HOME", kept.c_str(), 1);
  }
}

TEST_F(HostRunnerTest, ProgramsOfExecRunInAHostAndEndWithTheirGroup) {
  options_.exec_enable = true;
  options_.exec_allow = {std::filesystem::canonical("/bin/sh").string()};
  registry_ = Open("echo");
  const auto exec = *registry_->Create("exec");
  AttemptInput input;
  input.runner = "exec";
  input.params = {{"program", options_.exec_allow[0]},
                  {"arg.0", "-c"},
                  {"arg.1", "echo out; echo err >&2; echo token $LTS_TOKEN"}};
  input.token = {3, 4};
  const RunOutcome outcome = exec->Run(input, sink_, {});
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess) << outcome.message;
  EXPECT_THAT(outcome.message, HasSubstr("token 3-4"));
  EXPECT_THAT(sink_.lines(), AllOf(Contains(Pair(LogLevel::kInfo, "out")),
                                   Contains(Pair(LogLevel::kWarn, "err"))));

  // One that ignores the polite way, and a child of it in a session of its own.
  input.params["arg.1"] =
      "trap '' TERM; setsid sleep 1000 & echo child $!; echo looping; while :; do wait; done";
  RecordingSink* sink = nullptr;
  const RunOutcome stopped = RunAndStop(*exec, input, &sink);
  EXPECT_EQ(stopped.action, Action::kExecuteException);
  EXPECT_THAT(stopped.message, HasSubstr("killed by SIGKILL"));
  EXPECT_TRUE(Ends(NumbersAfter(*sink, "child ").at(0)));
}

// The host as it is started, with nothing of ours around it that could end it otherwise.
class HostProcessTest : public testing::Test {
 protected:
  std::unique_ptr<HostProcess> StartLooping(const AttemptInput& input, RecordingSink* sink) {
    auto started =
        HostProcess::Start(LTS_TEST_RUNNER_HOST, lease_fd_.get(), lock_fd_, limits_, clock_);
    EXPECT_TRUE(started.ok()) << started.status().ToString();
    std::unique_ptr<HostProcess> host = *std::move(started);
    const HostPatience patience{clock_.MonotonicUs() + kDeadlineMs * 1000LL, -1, 0};
    EXPECT_TRUE(host->Open({TestPlugin("bad"), {}}, patience).ok());
    EXPECT_TRUE(host->Create({"bad", {}, {}, limits_}, patience).ok());
    host->SendRun(input, 0);
    while (true) {
      HostProcess::Event event = host->Next(patience.until_us, -1);
      const Frame* frame = std::get_if<Frame>(&event);
      if (frame == nullptr) {
        ADD_FAILURE() << "it has ended, or says nothing";
        return host;
      }
      FrameReader reader(frame->body);
      reader.Int();
      std::string line = reader.Text();
      if (line == "looping") return host;
      sink->Log(LogLevel::kInfo, std::move(line));
    }
  }
  static std::vector<pid_t> Pids(const RecordingSink& sink) {
    std::vector<pid_t> pids;
    for (const auto& [level, line] : sink.lines()) {
      pids.push_back(std::atoi(line.c_str() + line.find(' ') + 1));
    }
    return pids;
  }
  void SetUp() override {
    lease_fd_ = UniqueFd(memfd_create("lease", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(lease_fd_.get(), sizeof(LeasePage)), 0);
    page_ = static_cast<LeasePage*>(
        mmap(nullptr, sizeof(LeasePage), PROT_READ | PROT_WRITE, MAP_SHARED, lease_fd_.get(), 0));
  }
  void TearDown() override { munmap(page_, sizeof(LeasePage)); }

  const SystemClock clock_;
  RunnerLimits limits_;
  UniqueFd lease_fd_;
  int lock_fd_ = -1;
  LeasePage* page_ = nullptr;
  AttemptInput children_ = [] {
    AttemptInput input;
    input.params = {{"what", "children"}};
    return input;
  }();
};

TEST_F(HostProcessTest, NothingIsLeftWhenTheTaskTrackerIsKilled) {
  RecordingSink sink;
  // Stands for the TaskTracker: a process that is killed while its host runs.
  auto told = MakePipe();
  ASSERT_TRUE(told.ok());
  const pid_t tasktracker = fork();
  if (tasktracker == 0) {
    const auto host = StartLooping(children_, &sink);
    for (const pid_t pid : Pids(sink)) {
      if (write(told->write.get(), &pid, sizeof pid) != sizeof pid) _exit(1);
    }
    while (true) pause();
  }
  std::vector<pid_t> pids(4);
  for (pid_t& pid : pids) {
    ASSERT_EQ(read(told->read.get(), &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  }
  for (const pid_t pid : pids) EXPECT_EQ(kill(pid, 0), 0) << pid;
  kill(tasktracker, SIGKILL);
  for (const pid_t pid : pids) EXPECT_TRUE(Ends(pid)) << pid;
  waitpid(tasktracker, nullptr, 0);
}

TEST_F(HostProcessTest, ALockIsHeldUntilTheLastProcessOfItHasEnded) {
  TempFolder folder;
  UniqueFd first(open(folder.Path("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(flock(first.get(), LOCK_EX | LOCK_NB), 0);
  lock_fd_ = first.get();
  auto told = MakePipe();
  ASSERT_TRUE(told.ok());
  const pid_t tasktracker = fork();
  if (tasktracker == 0) {
    RecordingSink sink;
    const auto host = StartLooping(children_, &sink);
    first.Reset();
    for (const pid_t pid : Pids(sink)) {
      if (write(told->write.get(), &pid, sizeof pid) != sizeof pid) _exit(1);
    }
    while (true) pause();
  }
  std::vector<pid_t> pids(4);
  for (pid_t& pid : pids) {
    ASSERT_EQ(read(told->read.get(), &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  }
  first.Reset();  // nobody holds it now but them
  const UniqueFd second(open(folder.Path("lock").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(flock(second.get(), LOCK_EX | LOCK_NB), -1);
  kill(tasktracker, SIGKILL);
  EXPECT_EQ(flock(second.get(), LOCK_EX), 0);
  for (const pid_t pid : pids) EXPECT_EQ(kill(pid, 0), -1) << pid;
  waitpid(tasktracker, nullptr, 0);
}

TEST_F(HostProcessTest, ItEndsWithTheLeaseThoughNobodySaysSo) {
  RecordingSink sink;
  const auto host = StartLooping(children_, &sink);
  page_->end_by_us = clock_.MonotonicUs() + 300'000;
  host->WakeKeeper();
  // Extended before its end: it must outlive that.
  const std::int64_t until_us = clock_.MonotonicUs() + 900'000;
  page_->end_by_us = until_us;
  HostProcess::Event event = host->Next(clock_.MonotonicUs() + kDeadlineMs * 1000LL, -1);
  const HostEnd* end = std::get_if<HostEnd>(&event);
  ASSERT_NE(end, nullptr);
  EXPECT_GE(clock_.MonotonicUs(), until_us);
  EXPECT_EQ(end->reason, HostEndReason::kLeaseEnded);
  EXPECT_THAT(HostProcess::EndText(*end), HasSubstr("lease"));
  for (const pid_t pid : Pids(sink)) EXPECT_TRUE(Ends(pid)) << pid;
}

TEST_F(HostProcessTest, ItsWorkerEndsWithAKeeperThatIsKilled) {
  RecordingSink sink;
  AttemptInput input;
  input.params = {{"what", "loop"}};
  const auto host = StartLooping(input, &sink);
  kill(host->keeper(), SIGKILL);
  HostProcess::Event event = host->Next(clock_.MonotonicUs() + kDeadlineMs * 1000LL, -1);
  EXPECT_TRUE(std::holds_alternative<HostEnd>(event));
  for (const pid_t pid : Pids(sink)) EXPECT_TRUE(Ends(pid)) << pid;
}

TEST_F(HostProcessTest, ItLeavesSignalsForAnOrderlyEndToTheTaskTracker) {
  auto started =
      HostProcess::Start(LTS_TEST_RUNNER_HOST, lease_fd_.get(), lock_fd_, limits_, clock_);
  ASSERT_TRUE(started.ok());
  const HostPatience patience{clock_.MonotonicUs() + kDeadlineMs * 1000LL, -1, 0};
  ASSERT_TRUE((*started)->Open({TestPlugin("bad"), {}}, patience).ok());
  kill((*started)->keeper(), SIGTERM);
  EXPECT_TRUE((*started)->Create({"bad", {}, {}, limits_}, patience).ok());
}

}  // namespace
}  // namespace lts::runners

#include "tasktracker/runners/exec_runner.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stop_token>
#include <thread>

#include "tasktracker/runners/child_process.h"
#include "unit/runners/support.h"

namespace lts::runners {
namespace {

using model::Action;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

std::string Program(const std::string& path) { return std::filesystem::canonical(path).string(); }

class ExecRunnerTest : public testing::Test {
 protected:
  std::unique_ptr<ExecRunner> Make(std::map<std::string, std::string> config = {}) {
    auto made = ExecRunner::Create({Program("/bin/sh"), Program("/bin/cat"), Program("/bin/true"),
                                    Program("/usr/bin/env"), Program("/usr/bin/seq")},
                                   config, limits_, clock_);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return *std::move(made);
  }
  static AttemptInput Job(const std::string& program, const std::string& args = "") {
    AttemptInput input;
    input.params = {{"program", program}};
    if (!args.empty()) input.params["args"] = args;
    return input;
  }
  // A shell is on the list of these tests only because it is a program that does as it is told.
  static AttemptInput Script(const std::string& script) {
    AttemptInput input = Job("/bin/sh");
    input.params["arg.0"] = "-c";
    input.params["arg.1"] = script;
    return input;
  }
  RunOutcome Run(const AttemptInput& input) { return Make()->Run(input, sink_, {}); }

  SystemClock clock_;
  RunnerLimits limits_;
  RecordingSink sink_;
};

TEST_F(ExecRunnerTest, ExitStatusBecomesTheAction) {
  EXPECT_EQ(Run(Script("exit 0")).action, Action::kExecuteSuccess);
  EXPECT_EQ(Run(Script("exit 75")).action, Action::kExecuteLater);
  const RunOutcome failed = Run(Script("exit 3"));
  EXPECT_EQ(failed.action, Action::kExecuteFailed);
  EXPECT_EQ(failed.message, "exit status 3");
  const auto mapped = Make({{"exit.3", "EXCEPTION"}});
  EXPECT_EQ(mapped->Run(Script("exit 3"), sink_, {}).action, Action::kExecuteException);
  EXPECT_EQ(mapped->Run(Script("exit 75"), sink_, {}).action, Action::kExecuteLater);
}

TEST_F(ExecRunnerTest, OutputIsLoggedAndItsEndIsTheMessage) {
  const RunOutcome outcome =
      Run(Script("echo one; echo two >&2; echo; printf 'last\\r\\n'; exit 1"));
  EXPECT_EQ(outcome.action, Action::kExecuteFailed);
  EXPECT_EQ(outcome.message, "one\n\nlast");
  EXPECT_THAT(sink_.lines(), testing::UnorderedElementsAre(
                                 Pair(LogLevel::kInfo, "one"), Pair(LogLevel::kWarn, "two"),
                                 Pair(LogLevel::kInfo, ""), Pair(LogLevel::kInfo, "last")));
}

TEST_F(ExecRunnerTest, TheMessageIsTheLastFourKibOfMuchOutput) {
  const RunOutcome outcome = Run(Job("/usr/bin/seq", "1 200000"));
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess);
  EXPECT_EQ(outcome.message.size(), 4096U);
  EXPECT_THAT(outcome.message, EndsWith("\n199999\n200000"));
  const auto lines = sink_.lines();
  ASSERT_EQ(lines.size(), 200'000U);  // every line is logged
  EXPECT_EQ(lines[123'456].second, "123457");
}

TEST_F(ExecRunnerTest, BytesThatAreNoTextAreReplaced) {
  EXPECT_EQ(Run(Script("printf 'a\\377b'")).message, "a\uFFFDb");
  EXPECT_THAT(sink_.lines(), ElementsAre(Pair(LogLevel::kInfo, "a\uFFFDb")));
}

TEST_F(ExecRunnerTest, ALongLineIsLoggedInPiecesThatKeepCharactersWhole) {
  limits_.log_line_bytes_max = 8;
  (void)Run(Script("printf '\u20ac\u20ac\u20ac\u20acabc'"));
  std::string joined;
  for (const auto& [level, line] : sink_.lines()) {
    EXPECT_LE(line.size(), 8U);
    joined += line;
  }
  EXPECT_EQ(joined, "\u20ac\u20ac\u20ac\u20acabc");
}

TEST_F(ExecRunnerTest, TheProgramMustBeOnTheList) {
  const RunOutcome refused = Run(Job("/bin/ls"));
  EXPECT_EQ(refused.action, Action::kExecuteFailed);
  EXPECT_THAT(refused.message, HasSubstr("runner.exec.allow"));
  const RunOutcome missing = Run(AttemptInput{});
  EXPECT_EQ(missing.action, Action::kExecuteFailed);
  EXPECT_THAT(missing.message, HasSubstr("program"));
}

TEST_F(ExecRunnerTest, ArgumentsReachTheProgramWithoutAShell) {
  const RunOutcome split = Run(Job("/usr/bin/env", "A=$HOME 'B=x y'"));
  EXPECT_THAT(split.message, AllOf(HasSubstr("A=$HOME\n"), HasSubstr("B=x y")));
  const RunOutcome wrong = Run(Job("/usr/bin/env", "'open"));
  EXPECT_EQ(wrong.action, Action::kExecuteFailed);
  EXPECT_THAT(wrong.message, HasSubstr("args"));
}

TEST_F(ExecRunnerTest, TheEnvironmentIsMinimalAndTellsTheAttempt) {
  setenv("LTS_TEST_SECRET", "do not hand on", 1);
  AttemptInput input = Job("/usr/bin/env");
  input.job_id = "0190-job";
  input.task_id = "t 1";
  input.attempt = 2;
  input.token = {7, 42};
  input.fire_time_ms = 1'700'000'000'000;
  EXPECT_EQ(
      Run(input).message,
      "PATH=/usr/local/bin:/usr/bin:/bin\nLANG=C.UTF-8\nLTS_JOB_ID=0190-job\nLTS_TASK_ID=t 1\n"
      "LTS_ATTEMPT=2\nLTS_TOKEN=7-42\nLTS_FIRE_TIME_MS=1700000000000");
  unsetenv("LTS_TEST_SECRET");
}

TEST_F(ExecRunnerTest, ThePayloadIsStandardInput) {
  AttemptInput input = Job("/bin/cat");
  EXPECT_EQ(Run(input).message, "");
  input.payload = "some bytes\nmore";
  EXPECT_EQ(Run(input).message, "some bytes\nmore");
}

TEST_F(ExecRunnerTest, DeathByASignalIsAnExceptionNamingIt) {
  const RunOutcome outcome = Run(Script("echo so far; kill -SEGV $$"));
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_EQ(outcome.message, "killed by SIGSEGV: so far");
  EXPECT_FALSE(outcome.timed_out);
}

TEST_F(ExecRunnerTest, AStopTerminatesTheWholeGroup) {
  std::stop_source stop;
  std::vector<UniqueFd> processes;
  RecordingSink sink([&](const std::string& line) {
    auto fd = OpenPidFd(std::stoi(line));
    ASSERT_TRUE(fd.ok()) << fd.status().ToString();
    processes.push_back(*std::move(fd));
    if (processes.size() == 2) stop.request_stop();
  });
  const RunOutcome outcome =
      Make()->Run(Script("sleep 1000 & echo $!; echo $$; wait"), sink, stop.get_token());
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_THAT(outcome.message, StartsWith("killed by SIGTERM"));
  EXPECT_FALSE(outcome.timed_out);
  for (const UniqueFd& process : processes) {
    pollfd ended{process.get(), POLLIN, 0};
    EXPECT_EQ(poll(&ended, 1, -1), 1);
  }
}

TEST_F(ExecRunnerTest, EveryProcessOfTheGroupIsAskedToStop) {
  std::stop_source stop;
  RecordingSink sink([&](const std::string& line) {
    if (line == "ready") stop.request_stop();
  });
  // The program itself ends only when its child has: the child must have been asked, too.
  const RunOutcome outcome =
      Make()->Run(Script("trap : TERM; sh -c 'trap \"echo asked; exit\" TERM; echo ready; "
                         "while :; do sleep 1000 & wait; done' & wait; wait; exit 0"),
                  sink, stop.get_token());
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess);
  EXPECT_EQ(outcome.message, "ready\nasked");
}

TEST_F(ExecRunnerTest, AStopFromAnotherThreadEndsTheProgram) {
  std::stop_source stop;
  std::jthread stopper;
  RecordingSink sink(
      [&](const std::string&) { stopper = std::jthread([&stop] { stop.request_stop(); }); });
  const RunOutcome outcome =
      Make()->Run(Script("echo up; exec sleep 1000"), sink, stop.get_token());
  EXPECT_THAT(outcome.message, StartsWith("killed by SIGTERM"));
}

TEST_F(ExecRunnerTest, AProgramMayEndWellWhenStopped) {
  std::stop_source stop;
  RecordingSink sink([&](const std::string& line) {
    if (line == "ready") stop.request_stop();
  });
  const RunOutcome outcome = Make()->Run(
      Script("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 1000 & wait; done"),
      sink, stop.get_token());
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess);
  EXPECT_EQ(outcome.message, "ready\nsaved");
}

TEST_F(ExecRunnerTest, AProgramThatIgnoresTheStopIsKilledAfterTheGrace) {
  limits_.kill_grace_ms = 50;
  std::stop_source stop;
  RecordingSink sink([&](const std::string&) { stop.request_stop(); });
  const RunOutcome outcome =
      Make()->Run(Script("trap '' TERM; echo ready; exec sleep 1000"), sink, stop.get_token());
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_THAT(outcome.message, StartsWith("killed by SIGKILL"));
}

TEST_F(ExecRunnerTest, AStopBeforeTheStartStartsNothing) {
  std::stop_source stop;
  stop.request_stop();
  const RunOutcome outcome = Make()->Run(Script("echo up"), sink_, stop.get_token());
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_TRUE(sink_.lines().empty());
}

TEST_F(ExecRunnerTest, ATimeOutEndsTheProgramAndSaysSo) {
  AttemptInput input = Script("exec sleep 1000");
  input.timeout_ms = 50;
  const RunOutcome outcome = Run(input);
  EXPECT_TRUE(outcome.timed_out);
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_THAT(outcome.message, AllOf(HasSubstr("50 ms"), HasSubstr("SIGTERM")));
}

TEST_F(ExecRunnerTest, WhatTheProgramLeavesBehindIsKilled) {
  TempFolder folder;
  const std::string go_on = folder.Path("go_on");
  ASSERT_EQ(mkfifo(go_on.c_str(), 0600), 0);
  UniqueFd left_behind;
  RecordingSink sink([&](const std::string& line) {
    auto fd = OpenPidFd(std::stoi(line));
    ASSERT_TRUE(fd.ok()) << fd.status().ToString();
    left_behind = *std::move(fd);
    std::ofstream(go_on) << "go on\n";
  });
  AttemptInput input = Script("sleep 1000 & echo $!; read line < \"$0\"; exit 0");
  input.params["arg.2"] = go_on;
  EXPECT_EQ(Make()->Run(input, sink, {}).action, Action::kExecuteSuccess);
  pollfd ended{left_behind.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, -1), 1);
}

TEST_F(ExecRunnerTest, AProcessThatEscapedWithTheOutputDoesNotHoldTheAttempt) {
  TempFolder folder;
  const std::string go_on = folder.Path("go_on");
  ASSERT_EQ(mkfifo(go_on.c_str(), 0600), 0);
  pid_t escaped = 0;
  RecordingSink sink([&](const std::string& line) {
    escaped = std::stoi(line);
    std::ofstream(go_on) << "go on\n";
  });
  AttemptInput input =
      Script("setsid sh -c 'echo $$; exec sleep 1000' & read line < \"$0\"; exit 0");
  input.params["arg.2"] = go_on;
  EXPECT_EQ(Make()->Run(input, sink, {}).action, Action::kExecuteSuccess);
  ASSERT_GT(escaped, 0);
  EXPECT_EQ(kill(escaped, SIGKILL), 0);
}

TEST_F(ExecRunnerTest, ManyAtATimeDoNotDisturbOneAnother) {
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([this, t, &good] {
        const auto runner = Make();
        for (int i = 0; i < 10; ++i) {
          const std::string word = std::to_string(t) + "-" + std::to_string(i);
          RecordingSink sink;
          if (runner->Run(Script("echo " + word), sink, {}).message == word) ++good;
        }
      });
    }
  }
  EXPECT_EQ(good, 80);
}

TEST_F(ExecRunnerTest, TheProgramDiesWithTheTaskTracker) {
  auto told = MakePipe();
  ASSERT_TRUE(told.ok());
  const pid_t tracker = fork();
  ASSERT_NE(tracker, -1);
  if (tracker == 0) {
    RecordingSink sink([&](const std::string& line) {
      const std::string text = line + "\n";
      if (write(told->write.get(), text.data(), text.size()) < 0) _exit(1);
    });
    (void)Make()->Run(Script("echo $$; exec sleep 1000"), sink, {});
    _exit(0);
  }
  char text[32] = {};
  ASSERT_GT(read(told->read.get(), text, sizeof text - 1), 0);
  const auto program = OpenPidFd(std::atoi(text));
  ASSERT_TRUE(program.ok()) << program.status().ToString();
  ASSERT_EQ(kill(tracker, SIGKILL), 0);
  ASSERT_EQ(waitpid(tracker, nullptr, 0), tracker);
  pollfd ended{program->get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, -1), 1);
}

}  // namespace
}  // namespace lts::runners

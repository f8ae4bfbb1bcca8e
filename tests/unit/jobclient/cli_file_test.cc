// submit --file, --dry-run, and what is said of lines that are wrong.
#include <gmock/gmock.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli_fixture.h"
#include "jobclient/cli/job_json.h"

namespace lts::jobclient::cli {
namespace {

using testing::FakeTracker;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kFields =
    "jobId, taskId, taskTrackerNodeGroup, submitNodeGroup, runner, params, payload, priority, "
    "maxRetryTimes, retry, needFeedback, replaceOnExist, failIfExists, relyOnPrevCycle, "
    "atMostOnce, triggerTimeMs, triggerDelayMs, cronExpression, timeZone, repeatCount, "
    "repeatIntervalMs, startTimeMs, endTimeMs, misfire, catchUpMax, timeoutMs and expiresInMs";

// The members that are wrong, and how the refusal begins.
const std::vector<std::pair<std::string, std::string>>& WrongMembers() {
  static const std::vector<std::pair<std::string, std::string>> rows = {
      // Unknown fields.
      {R"("prioritty":7)", R"(prioritty 7: there is no such field; did you mean priority?)"},
      {R"("Taskid":"b")", R"(Taskid "b": there is no such field; did you mean taskId?)"},
      {R"("cron":"@daily")",
       std::string(R"(cron "@daily": there is no such field; there are )") + kFields},
      {R"("":1)", std::string(R"("" 1: there is no such field; there are )") + kFields},
      {R"("a b":1)", R"("a b" 1: there is no such field; there are )"},
      {R"("retry":{"initial":5})",
       "retry.initial 5: there is no such field; did you mean initialMs?"},
      {R"("retry":{"first":5})",
       "retry.first 5: there is no such field; there are kind, initialMs and maxMs"},
      // Values of another type.
      {R"("runner":7)", "runner 7: expected a text in quotes"},
      {R"("runner":["r"])", R"(runner ["r"]: expected a text in quotes)"},
      {R"("priority":"high")", R"(priority "high": expected a whole number from -10000 to 10000)"},
      {R"("priority":7.5)", "priority 7.5: expected a whole number from -10000 to 10000"},
      {R"("priority":99999999999)",
       "priority 99999999999: expected a whole number from -10000 to 10000"},
      {R"("priority":true)", "priority true: expected a whole number from -10000 to 10000"},
      {R"("priority":{})", "priority {}: expected a whole number from -10000 to 10000"},
      {R"("maxRetryTimes":"x")", R"(maxRetryTimes "x": expected a whole number from 0 to 1000)"},
      {R"("repeatCount":[])", "repeatCount []: expected a whole number from -1 to 1000000000"},
      {R"("catchUpMax":"x")", R"(catchUpMax "x": expected a whole number)"},
      {R"("timeoutMs":"30s")", R"(timeoutMs "30s": expected milliseconds, a whole number)"},
      {R"("triggerTimeMs":"2026-01-01T00:00:00Z")",
       R"(triggerTimeMs "2026-01-01T00:00:00Z": expected milliseconds since )"
       "1970-01-01T00:00:00Z, a whole number"},
      {R"("needFeedback":1)", "needFeedback 1: expected true or false"},
      {R"("params":["a"])",
       R"(params ["a"]: expected an object of texts, as in {"file": "/etc/hosts"})"},
      {R"("params":{"ok":"1","order":4711})", "params.order 4711: expected a text in quotes"},
      {R"("params":{"a":{"b":1}})", R"(params.a {"b":1}: expected a text in quotes)"},
      {R"("payload":"***")", R"(payload "***": expected bytes as Base64 text in quotes)"},
      {R"("retry":"fixed:500ms")",
       R"(retry "fixed:500ms": expected an object with kind, initialMs and maxMs)"},
      {R"("retry":{"initialMs":"1s"})",
       R"(retry.initialMs "1s": expected milliseconds, a whole number)"},
      // Words of enums.
      {R"("retry":{"kind":"FOO"})", R"(retry.kind "FOO": expected FIXED, LINEAR or EXPONENTIAL)"},
      {R"("retry":{"kind":9})", "retry.kind 9: expected FIXED, LINEAR or EXPONENTIAL"},
      {R"("misfire":"NEVER")",
       R"(misfire "NEVER": expected MISFIRE_DEFAULT, FIRE_ONCE, SKIP or CATCH_UP)"},
      {R"("misfire":77)", "misfire 77: expected MISFIRE_DEFAULT, FIRE_ONCE, SKIP or CATCH_UP"},
      // Limits (all of them: tests/unit/model/validate_test.cc).
      {R"("priority":10001)", "priority 10001: must be -10000 to 10000"},
      {R"("retry":{"kind":"FIXED","initialMs":-1})",
       "retry.initialMs -1: must be 1 to 2592000000 (30d)"},
      {R"("retry":{"kind":"LINEAR","initialMs":9,"maxMs":8})",
       "retry.maxMs 8: must be 9 (retry.initialMs) to 2592000000 (30d)"},
      {R"("startTimeMs":9,"endTimeMs":8)", "endTimeMs 8: is before startTimeMs 9"},
      {R"("repeatCount":3)", "repeatIntervalMs 0: must be 10 to 315360000000"},
      {R"("submitNodeGroup":"task_id max_ms")",
       R"(submitNodeGroup "task_id max_ms": character 8 (U+0020) is not allowed)"},
      {R"("cronExpression":"0 75 * * * ?")",
       R"(cronExpression "0 75 * * * ?": position 3: minute 75 is not in 0-59)"},
  };
  return rows;
}

std::string LineWith(const std::string& members) {
  return R"({"taskId":"a","taskTrackerNodeGroup":"demo",)" + members + "}";
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST_F(CliTest, EveryLineThatIsWrongNamesFieldValueAndWhatWouldBeRight) {
  std::string input;
  for (const auto& [members, message] : WrongMembers()) input += LineWith(members) + "\n";
  EXPECT_EQ(Run({"submit", "--file", "-"}, input), kError);
  const std::vector<std::string> said = LinesOf(err_);
  ASSERT_EQ(said.size(), WrongMembers().size()) << err_;
  for (std::size_t i = 0; i < said.size(); ++i) {
    EXPECT_THAT(said[i], StartsWith("jobclient: line " + std::to_string(i + 1) + ": " +
                                    WrongMembers()[i].second));
  }
  EXPECT_EQ(tracker_.JobsSeen(), 0U);
  // A dry run says the same.
  EXPECT_EQ(Run({"submit", "--file", "-", "--dry-run"}, input), kError);
  EXPECT_THAT(err_, StartsWith(said[0] + "\n"));
  for (const std::string& line : said) EXPECT_THAT(err_, HasSubstr(line + "\n"));
}

TEST_F(CliTest, ALineThatIsNoJsonObjectNamesTheColumn) {
  EXPECT_EQ(Run({"submit", "--file", "-"}, "{\"taskId\":\"a\"\n{\"taskId\":\"a\"} x\n[1]\nnull\n"),
            kError);
  const std::vector<std::string> said = LinesOf(err_);
  ASSERT_EQ(said.size(), 4U) << err_;
  EXPECT_THAT(said[0], StartsWith("jobclient: line 1: column 14: not JSON: syntax error"));
  EXPECT_THAT(said[1], StartsWith("jobclient: line 2: column 16: not JSON: syntax error"));
  EXPECT_THAT(said[2], StartsWith("jobclient: line 3: the line [1]: expected an object, as in {"));
  EXPECT_THAT(said[3], StartsWith("jobclient: line 4: the line null: expected an object"));
  const std::string longer = LineWith("\"payload\":\"" + std::string(2U << 20, 'A') + "\"");
  EXPECT_EQ(Run({"submit", "--file", "-"}, longer), kError);
  EXPECT_THAT(err_, HasSubstr("line 1: the line is longer than 2097152 bytes"));
}

TEST(JobFromJson, CutsLongValuesInMessages) {
  v1::Job job;
  const auto refused =
      JobFromJson(LineWith("\"nosuchfield\":\"" + std::string(10'000, 'x') + "\""), &job);
  EXPECT_THAT(refused.status().message(), StartsWith("nosuchfield \"xxx"));
  EXPECT_THAT(refused.status().message(), HasSubstr("…: there is no such field"));
  EXPECT_LT(refused.status().message().size(), 700U);
}

TEST(JobFromJson, TakesAllFormsOfProtobuf) {
  for (const char* members :
       {R"("priority":"7")", R"("priority":7.0)", R"("priority":1e3)", R"("runner":null)",
        R"("timeoutMs":"86400000")", R"("retry":{"kind":1})", R"("payload":"aGk")",
        R"("repeat_count":-1)", R"("params":{})"}) {
    v1::Job job;
    EXPECT_TRUE(JobFromJson(LineWith(members), &job).ok()) << members;
    EXPECT_EQ(job.task_id(), "a");
  }
}

// ---- dry run

TEST_F(CliTest, ADryRunSaysOfEachLineWhatWouldBeDoneAndSendsNothing) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  const std::string input =
      R"({"taskId":"now","taskTrackerNodeGroup":"demo"})"
      "\n\n" +
      LineWith(R"("cronExpression":"0 0 3 * * ?","timeZone":"Europe/Berlin")") + "\n" +
      LineWith(R"("triggerDelayMs":5000)") + "\n" +
      LineWith(R"("repeatIntervalMs":1000,"repeatCount":3)") + "\n" +
      LineWith(R"("priority":20000)") + "\n";
  EXPECT_EQ(Run({"submit", "--file", "-", "--dry-run", "-o", "json"}, input), kError);
  ASSERT_EQ(Lines().size(), 5U);
  EXPECT_EQ(Lines()[0].dump(),
            R"({"line":1,"message":"","nextFireTime":null,"outcome":"WOULD_SUBMIT",)"
            R"("taskId":"now","taskTrackerNodeGroup":"demo","type":"REAL_TIME"})");
  EXPECT_EQ(Lines()[1]["line"], 3);
  EXPECT_EQ(Lines()[1]["type"], "CRON");
  EXPECT_EQ(Lines()[1]["nextFireTime"], "2026-01-01T02:00:00.000Z");
  EXPECT_EQ(Lines()[2]["type"], "TRIGGER_TIME");
  EXPECT_EQ(Lines()[2]["nextFireTime"], "2026-01-01T00:00:05.000Z");
  EXPECT_EQ(Lines()[3]["type"], "REPEAT");
  EXPECT_EQ(Lines()[3]["nextFireTime"], "2026-01-01T00:00:00.000Z");
  EXPECT_EQ(Lines()[4]["outcome"], "REFUSED");
  EXPECT_EQ(Lines()[4]["message"], "priority 20000: must be -10000 to 10000");
  EXPECT_EQ(err_,
            "jobclient: line 6: priority 20000: must be -10000 to 10000\n"
            "jobclient: nothing was sent; good: 4, wrong: 1\n");
  EXPECT_EQ(Run({"submit", "--file", "-", "--dry-run"}, LineWith(R"("runner":"r")")), kOk) << err_;
  EXPECT_THAT(out_, HasSubstr("WOULD_SUBMIT"));
  EXPECT_EQ(tracker_.JobsSeen(), 0U);
  EXPECT_FALSE(std::filesystem::exists(folder_.Below("data")));
  EXPECT_EQ(Run({"submit", "--file", folder_.Below("none"), "--dry-run"}), kNotFound);
}

TEST_F(CliTest, ADryRunOfOneJobSaysWhatWouldBeDone) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  const std::vector<std::string> job = {"submit", "--group", "demo", "--task", "t", "--dry-run"};
  const auto with = [&job](std::vector<std::string> more) {
    more.insert(more.begin(), job.begin(), job.end());
    return more;
  };
  EXPECT_EQ(Run(with({"--in", "10s", "-o", "json"})), kOk) << err_;
  EXPECT_EQ(Lines().at(0)["nextFireTime"], "2026-01-01T00:00:10.000Z");
  EXPECT_TRUE(Lines().at(0)["line"].is_null());
  EXPECT_THAT(err_, HasSubstr("nothing was sent"));
  EXPECT_EQ(Run(with({"--runner", "no/such"})), kUsage);
  EXPECT_THAT(err_, StartsWith("jobclient: --runner: runner \"no/such\": character 3 (U+002F)"));
  EXPECT_EQ(Run(with({"--retry", "fixed:0s"})), kUsage);
  EXPECT_THAT(err_, HasSubstr("--retry: retry \"fixed:0s\": retry.initial_ms 0: must be 1 to "));
  EXPECT_EQ(Run(with({"--retry", "often:1s"})), kUsage);
  EXPECT_THAT(err_, HasSubstr("--retry: retry \"often:1s\" is not like fixed:500ms, "));
  EXPECT_EQ(Run(with({"--wait"})), kUsage);
  EXPECT_EQ(tracker_.JobsSeen(), 0U);
}

TEST_F(CliTest, EveryOptionOfAJobIsRefusedByNameValueAndWhatWouldBeRight) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--task", "a\tb"},
       R"(--task: task_id "a?b": character 2 (U+0009) is not allowed; any text)"},
      {{"--group", "a/b"},
       R"(--group: task_tracker_node_group "a/b": character 2 (U+002F) is not)"},
      {{"--job-id", "x"}, R"(--job-id: job_id "x": must be a UUID of version 7)"},
      {{"--runner", "a/b"}, R"(--runner: runner "a/b": character 2 (U+002F) is not allowed)"},
      {{"--param", "novalue"}, R"(--param "novalue": expected KEY=VALUE)"},
      {{"--param", "a=1", "--param", "a=2"}, R"(--param "a=2": given before)"},
      {{"--param", "a=\xff"}, R"(--param: params "a": the value is not valid UTF-8)"},
      {{"--at", "tomorrow"}, R"(--at: "tomorrow" is not a time; expected RFC 3339, as in)"},
      {{"--at", "2300-01-01T00:00:00Z"},
       "--at: trigger_time_ms 10413792000000: must be 0 to 7258118400000"},
      {{"--in", "10"}, R"(--in "10": expected a duration such as 500ms, 10s, 1h30m, at most )"},
      {{"--in", "4000d"}, "--in: trigger_delay_ms 345600000000: must be 0 to 315360000000"},
      {{"--every", "soon"}, R"(--every "soon": expected a duration)"},
      {{"--every", "1ms"}, "--every: repeat_interval_ms 1: must be 10 to 315360000000"},
      {{"--every", "1s", "--count", "0"},
       "--count: repeat_count 0: must be 1 to 1000000000, or -1 for no end"},
      {{"--cron", "0 75 * * * ?"},
       R"(--cron "0 75 * * * ?": position 3: minute 75 is not in 0-59)"},
      {{"--cron", "0 0 0 30 2 ?"},
       R"(--cron: cron_expression "0 0 0 30 2 ?": there is no fire time left; expected one from)"},
      {{"--cron", "@daily", "--tz", "Mars/X"}, R"(--tz: time_zone: time zone "Mars/X" is unknown)"},
      {{"--timeout", "99999999d"}, R"(--timeout "99999999d": expected a duration such as)"},
      {{"--expires", "0s"}, "--expires: expires_in_ms 0: must be 1 to 315360000000"},
      {{"--retry", "fixed:31d"},
       R"(--retry: retry "fixed:31d": retry.initial_ms 2678400000: must be 1 to 2592000000 (30d))"},
      {{"--wait", "--wait-timeout", "3"}, R"(--wait-timeout "3": expected a duration such as)"},
  };
  for (const auto& [options, message] : wrong) {
    for (const bool dry_run : {false, true}) {
      std::vector<std::string> arguments = {"submit"};
      if (options[0] != "--group") arguments.insert(arguments.end(), {"--group", "g"});
      if (options[0] != "--task") arguments.insert(arguments.end(), {"--task", "t"});
      if (dry_run && options[0] != "--wait") arguments.emplace_back("--dry-run");
      arguments.insert(arguments.end(), options.begin(), options.end());
      EXPECT_EQ(Run(arguments), kUsage) << ::testing::PrintToString(arguments);
      EXPECT_THAT(err_, StartsWith("jobclient: " + message));
    }
  }
  EXPECT_EQ(tracker_.JobsSeen(), 0U);
}

// ---- progress

class ProgressTest : public CliTest {
 protected:
  std::string WriteJobs(int count) {
    std::string input;
    for (int i = 0; i < count; ++i) {
      input += R"({"taskId":"t)" + std::to_string(i) + R"(","taskTrackerNodeGroup":"demo"})" + "\n";
    }
    return folder_.Write("jobs.jsonl", input);
  }
};

TEST_F(ProgressTest, OfALongFileIsDrawnOnATerminalAndTakenAway) {
  err_is_terminal_ = true;
  clock_.step_us = 150'000;
  EXPECT_EQ(Run({"submit", "--file", WriteJobs(4'000)}), kOk);
  EXPECT_THAT(err_, HasSubstr("\r[##############"));
  EXPECT_THAT(err_, HasSubstr("  2000 lines, "));
  EXPECT_THAT(err_, HasSubstr(" a second\x1b[K"));
  EXPECT_THAT(err_, Not(HasSubstr("\n")));
  EXPECT_EQ(err_.substr(err_.size() - 4), "\r\x1b[K");
  EXPECT_EQ(tracker_.JobsSeen(), 4'000U);
}

TEST_F(ProgressTest, OfSlowInputHasNoBarWhenItsLengthIsNotKnown) {
  err_is_terminal_ = true;
  clock_.step_us = 2'000'000;
  std::string input;
  for (int i = 0; i < 1'500; ++i) input += LineWith(R"("priority":1)") + "\n";
  EXPECT_EQ(Run({"submit", "--file", "-", "--dry-run"}, input), kOk);
  EXPECT_THAT(err_, StartsWith("\r1000 lines, 500 a second\x1b[K\r\x1b[K"));
}

TEST_F(ProgressTest, IsNotDrawnElsewhereOrOfLittleOrWhenNotWanted) {
  clock_.step_us = 150'000;
  const std::string many = WriteJobs(4'000);
  EXPECT_EQ(Run({"submit", "--file", many}), kOk);
  EXPECT_THAT(err_, IsEmpty());
  err_is_terminal_ = true;
  EXPECT_EQ(Run({"submit", "--file", many, "--no-progress"}), kOk);
  EXPECT_THAT(err_, IsEmpty());
  EXPECT_EQ(Run({"submit", "--file", WriteJobs(1'000)}), kOk);
  EXPECT_THAT(err_, IsEmpty());
}

TEST_F(ProgressTest, MakesRoomForMessages) {
  err_is_terminal_ = true;
  const std::string path = WriteJobs(2'500);
  std::string input = LineWith(R"("priority":"high")") + "\n";
  for (int i = 0; i < 1'999; ++i) input += LineWith(R"("priority":1)") + "\n";
  input += LineWith(R"("priority":"low")") + "\n";
  EXPECT_EQ(Run({"submit", "--file", folder_.Write("jobs.jsonl", input)}), kError);
  // Each message begins a line of its own.
  EXPECT_THAT(err_, StartsWith("jobclient: line 1: "));
  EXPECT_THAT(err_, HasSubstr("\x1b[K\r\x1b[Kjobclient: line 2001: "));
}

}  // namespace
}  // namespace lts::jobclient::cli

#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "cli_fixture.h"
#include "common/ids.h"
#include "jobclient/cli/output.h"
#include "support/fake_tracker.h"
#include "support/temp_folder.h"

namespace lts::jobclient::cli {
namespace {

using ::testing::ElementsAre;
using testing::FakeTracker;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

v1::JobView View(v1::JobState state, const std::string& message) {
  v1::JobView view;
  view.mutable_job()->set_job_id("id-1");
  view.mutable_job()->set_task_id("t");
  view.mutable_job()->set_task_tracker_node_group("demo");
  (*view.mutable_job()->mutable_params())["k"] = "v";
  view.mutable_job()->set_payload("hello");
  view.set_state(state);
  view.set_message(message);
  view.set_next_fire_ms(1'767'225'600'123);
  return view;
}

// ---- usage

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

TEST_F(CliTest, EveryVerbHasHelpWithAnExample) {
  for (const Verb& row : AllVerbs()) {
    std::vector<std::string> verb = Words(row.name);
    ASSERT_FALSE(row.examples.empty()) << row.name;
    verb.push_back("--help");
    EXPECT_EQ(Run(verb), kOk) << row.name;
    EXPECT_THAT(err_, IsEmpty());
    EXPECT_THAT(out_, StartsWith(row.summary + "\nUsage: jobclient " + row.name)) << row.name;
    EXPECT_THAT(out_, HasSubstr(row.usage + "\n"));
    for (const std::string& example : row.examples) {
      EXPECT_THAT(out_, HasSubstr("\n  " + example + "\n")) << row.name;
      EXPECT_THAT(example, HasSubstr("jobclient " + row.name)) << row.name;
    }
    const std::string shown = out_;
    verb.pop_back();
    verb.insert(verb.begin(), "help");
    EXPECT_EQ(Run(verb), kOk) << row.name;
    EXPECT_EQ(out_, shown);
  }
  EXPECT_EQ(Run({"--help"}), kOk);
  EXPECT_THAT(out_, HasSubstr("Example:\n  jobclient submit "));
  for (const Verb& row : AllVerbs()) EXPECT_THAT(out_ + "next bash", HasSubstr(Words(row.name)[0]));
  const std::string shown = out_;
  EXPECT_EQ(Run({"help"}), kOk);
  EXPECT_EQ(out_, shown);
}

TEST_F(CliTest, WhatAUsageNamesIsThere) {
  ASSERT_EQ(Run({"help", "-o", "json"}), kOk) << err_;
  for (const auto& row : Lines()) {
    std::set<std::string> names;
    for (const auto& option : row["options"]) {
      std::istringstream all(option["name"].get<std::string>());
      for (std::string name; std::getline(all, name, ',');) names.insert(name);
    }
    std::istringstream words(row["usage"].get<std::string>());
    for (std::string word; words >> word;) {
      word.erase(
          std::remove_if(word.begin(), word.end(), [](char c) { return c == '[' || c == ']'; }),
          word.end());
      EXPECT_TRUE(word[0] != '-' || names.count(word) != 0) << row["verb"] << " " << word;
    }
  }
}

TEST_F(CliTest, HelpAsJsonHasTheWholeTable) {
  ASSERT_EQ(Run({"help", "-o", "json"}), kOk) << err_;
  ASSERT_EQ(Lines().size(), AllVerbs().size());
  for (std::size_t i = 0; i < AllVerbs().size(); ++i) {
    EXPECT_EQ(Lines()[i]["verb"], AllVerbs()[i].name);
    EXPECT_EQ(Lines()[i]["examples"].size(), AllVerbs()[i].examples.size());
  }
  ASSERT_EQ(Run({"help", "cron", "-o", "json"}), kOk);
  ASSERT_EQ(Lines().size(), 2U);
  const auto next = Lines()[1];
  EXPECT_EQ(next["verb"], "cron next");
  EXPECT_EQ(next["options"][0]["name"], "EXPR");
  EXPECT_EQ(next["options"][1]["name"], "--tz");
  EXPECT_EQ(next["options"][1]["value"], "ZONE");
}

TEST_F(CliTest, AWordThatIsNoVerbOrOptionNamesWhatIsNear) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"lst"}, "\"lst\": jobclient has no such verb; did you mean list?"},
      {{"failstore", "dorp"}, "\"dorp\": jobclient failstore has no such verb; did you mean drop?"},
      {{"help", "grps"}, "\"grps\": jobclient has no such verb; did you mean groups?"},
      {{"completion", "powershell"},
       "\"powershell\": jobclient completion has no such verb; there are bash"},
      {{"cron"}, "jobclient cron needs a verb: next"},
      {{"list", "--grup", "x"}, "--grup: jobclient list has no such option; did you mean --group?"},
      {{"list", "--outptu=json"},
       "--outptu=json: jobclient list has no such option; did you mean "
       "--output?"},
      {{"wait", "a", "b"}, "\"b\": jobclient wait takes no such argument"},
      {{"list", "-o", "xml"}, "--output: \"xml\": expected table or json"},
      {{"list", "--state", "done"}, "--state: \"done\": expected WAITING, RUNNING, "},
      {{"list", "--limit", "0"}, "--limit: \"0\": expected a whole number from 1 to 1000000000"},
      {{"logs", "x", "--attempt", "1.5"}, "--attempt: \"1.5\": expected a whole number from 1 "},
      {{"failstore", "drop", "x"}, "ID: \"x\": expected a whole number from 1 "},
      {{"submit", "--group", "g", "--task", "t", "--priority", "10001"},
       "--priority: \"10001\": expected a whole number from -10000 to 10000"},
      {{"submit", "--group", "g", "--task", "t", "--retries", "1001"},
       "--retries: \"1001\": expected a whole number from 0 to 1000"},
      {{"submit", "--group", "g", "--task", "t", "--every", "5s", "--count", "-2"},
       "--count: \"-2\": expected a whole number from -1 to 1000000000"},
  };
  for (const auto& [arguments, message] : wrong) {
    EXPECT_EQ(Run(arguments), kUsage) << ::testing::PrintToString(arguments);
    EXPECT_THAT(err_, StartsWith("jobclient: " + message));
  }
}

TEST_F(CliTest, MistakesOnTheCommandLineAreUsageErrors) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"nosuchverb"},
      {"list", "--nosuch"},
      {"list", "-o", "xml"},
      {"list", "--state", "DONE"},
      {"list", "--since", "yesterday"},
      {"list", "--limit", "0"},
      {"submit"},
      {"submit", "--group", "g"},
      {"submit", "--group", "g", "--task", "t", "--param", "novalue"},
      {"submit", "--group", "g", "--task", "t", "--at", "2026-02-30T00:00:00Z"},
      {"submit", "--group", "g", "--task", "t", "--in", "10"},
      {"submit", "--group", "g", "--task", "t", "--in", "1s", "--cron", "@daily"},
      {"submit", "--group", "g", "--task", "t", "--tz", "UTC"},
      {"submit", "--group", "g", "--task", "t", "--count", "3"},
      {"submit", "--group", "g", "--task", "t", "--retry", "often"},
      {"submit", "--group", "g", "--task", "t", "--priority", "99999"},
      {"submit", "--group", "g", "--task", "t", "--cron", "0 75 * * * ?"},
      {"submit", "--file", "x", "--wait"},
      {"get"},
      {"get", "--group", "g"},
      {"get", "id", "--group", "g", "--task", "t"},
      {"wait"},
      {"failstore"},
      {"failstore", "drop"},
      {"failstore", "drop", "x"},
      {"failstore", "retry", "0"},
      {"failstore", "retry", "16", "--all"},
      {"cron"},
      {"cron", "next"},
      {"feedback", "--timeout", "soon"},
      {"nodes", "--registry", "redis://h:1"},
  };
  for (const auto& arguments : wrong) {
    EXPECT_EQ(Run(arguments), kUsage) << ::testing::PrintToString(arguments);
    EXPECT_THAT(err_, StartsWith("jobclient: ")) << ::testing::PrintToString(arguments);
    EXPECT_THAT(out_, IsEmpty());
  }
  EXPECT_EQ(tracker_.JobsSeen(), 0U);
  Run({"list", "--nosuch"});
  EXPECT_THAT(err_, HasSubstr("--nosuch"));
  EXPECT_THAT(err_, HasSubstr("jobclient list --help"));
}

TEST_F(CliTest, AZooKeeperThatIsAwayIsNamed) {
  // Nobody listens there.
  const std::string registry = "zookeeper://127.0.0.1:1";
  EXPECT_EQ(Run({"nodes", "--registry", registry}), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("registryAddress " + registry));
  EXPECT_EQ(Run({"wait", "id", "--registry", registry}), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("registryAddress " + registry));
}

TEST(ExitCodes, TellAScriptWhatToDo) {
  EXPECT_EQ(ExitCodeFor(StatusCode::kOk), 0);
  EXPECT_EQ(ExitCodeFor(StatusCode::kInternal), 1);
  EXPECT_EQ(ExitCodeFor(StatusCode::kInvalidArgument), 2);
  EXPECT_EQ(ExitCodeFor(StatusCode::kNotFound), 3);
  EXPECT_EQ(ExitCodeFor(StatusCode::kAlreadyExists), 4);
  EXPECT_EQ(ExitCodeFor(StatusCode::kResourceExhausted), 4);
  EXPECT_EQ(ExitCodeFor(StatusCode::kPermissionDenied), 5);
  EXPECT_EQ(ExitCodeFor(StatusCode::kUnavailable), 6);
  EXPECT_EQ(ExitCodeFor(StatusCode::kDeadlineExceeded), 7);
}

// ---- finding the cluster

TEST_F(CliTest, TheFlagWinsOverTheEnvironmentOverTheFileOverTheDefault) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  EXPECT_EQ(Run({"nodes"}), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("127.0.0.1:35001"));
  std::filesystem::create_directories(folder_.Below("conf"));
  folder_.Write("conf/jobclient.cfg", "registryAddress=jobtracker://usual:1\n");
  EXPECT_EQ(Run({"nodes"}), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("usual:1"));
  const std::string config = folder_.Write("other.cfg", "registryAddress=jobtracker://file:1\n");
  EXPECT_EQ(Run({"nodes", "--config", config}), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("file:1"));
  variables_ = {{"LTS_REGISTRYADDRESS", "jobtracker://environment:1"}};
  EXPECT_EQ(Run({"nodes", "--config", config}), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("environment:1"));
  EXPECT_EQ(Run({"--registry", "jobtracker://flag:1", "nodes"}), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("flag:1"));
  EXPECT_THAT(out_, IsEmpty());
}

// ---- submit

TEST_F(CliTest, SubmitSendsWhatTheFlagsSay) {
  folder_.Write("payload", std::string("a\0b", 3));
  ASSERT_EQ(Run({"submit",
                 "--group",
                 "demo",
                 "--task",
                 "t",
                 "--runner",
                 "r",
                 "--param",
                 "a=1",
                 "--param",
                 "b=x=y",
                 "--payload",
                 folder_.Below("payload"),
                 "--at",
                 "2026-01-31T13:00:00.250+01:00",
                 "--priority",
                 "-5",
                 "--retries",
                 "3",
                 "--retry",
                 "fixed:500ms",
                 "--timeout",
                 "30s",
                 "--expires",
                 "1h",
                 "--replace",
                 "--feedback",
                 "--fail-if-exists",
                 "--client-group",
                 "shop",
                 "-o",
                 "json"}),
            kOk)
      << err_;
  const v1::Job job = tracker_.Submits().at(0).items(0).job();
  EXPECT_EQ(job.runner(), "r");
  EXPECT_EQ(job.params().at("a"), "1");
  EXPECT_EQ(job.params().at("b"), "x=y");
  EXPECT_EQ(job.payload(), std::string("a\0b", 3));
  EXPECT_EQ(job.trigger_time_ms(), 1'769'860'800'250);  // 2026-01-31T12:00:00.250Z
  EXPECT_EQ(job.priority(), -5);
  EXPECT_EQ(job.max_retry_times(), 3);
  EXPECT_EQ(job.retry().kind(), v1::RetryPolicy::FIXED);
  EXPECT_EQ(job.retry().initial_ms(), 500);
  EXPECT_EQ(job.timeout_ms(), 30'000);
  EXPECT_EQ(job.expires_in_ms(), 3'600'000);
  EXPECT_TRUE(job.replace_on_exist());
  EXPECT_TRUE(job.need_feedback());
  EXPECT_TRUE(job.fail_if_exists());
  EXPECT_EQ(job.submit_node_group(), "shop");
  const auto line = Lines().at(0);
  EXPECT_EQ(line["jobId"], job.job_id());
  EXPECT_EQ(line["taskId"], "t");
  EXPECT_EQ(line["taskTrackerNodeGroup"], "demo");
  EXPECT_EQ(line["outcome"], "ACCEPTED");
  EXPECT_EQ(line.size(), 4U);
}

TEST_F(CliTest, SubmitMakesSchedules) {
  ASSERT_EQ(Run({"submit", "--group", "demo", "--task", "c", "--cron", "0 0 3 * * ?", "--tz",
                 "Europe/Berlin"}),
            kOk)
      << err_;
  ASSERT_EQ(Run({"submit", "--group", "demo", "--task", "e", "--every", "5s", "--count", "10"}),
            kOk);
  ASSERT_EQ(Run({"submit", "--group", "demo", "--task", "i", "--in", "10s"}), kOk);
  EXPECT_EQ(tracker_.Submits().at(0).items(0).job().cron_expression(), "0 0 3 * * ?");
  EXPECT_EQ(tracker_.Submits().at(0).items(0).job().time_zone(), "Europe/Berlin");
  EXPECT_EQ(tracker_.Submits().at(1).items(0).job().repeat_interval_ms(), 5'000);
  EXPECT_EQ(tracker_.Submits().at(1).items(0).job().repeat_count(), 10);
  EXPECT_EQ(tracker_.Submits().at(2).items(0).job().trigger_delay_ms(), 10'000);
}

TEST_F(CliTest, ARefusedSubmitExitsWithTheReason) {
  tracker_.on_submit = [](const v1::SubmitItem&) {
    v1::SubmitAnswer answer;
    answer.set_code(v1::ALREADY_EXISTS);
    answer.set_message("task t waits already");
    return answer;
  };
  EXPECT_EQ(Run({"submit", "--group", "demo", "--task", "t"}), kRefused);
  EXPECT_THAT(err_, HasSubstr("task t waits already"));
  EXPECT_THAT(out_, IsEmpty());
}

TEST_F(CliTest, APayloadOverALimitIsRefusedAndNoMistakeOfUsage) {
  const auto submit = [this](std::size_t bytes) {
    const std::string path = folder_.Write("payload", std::string(bytes, 'x'));
    return Run({"submit", "--group", "demo", "--task", "t", "--payload", path});
  };
  EXPECT_EQ(submit(64 * 1024), kOk) << err_;
  EXPECT_EQ(submit(64 * 1024 + 1), kRefused);
  EXPECT_THAT(err_, HasSubstr("65536 (job.payload.max)"));
  EXPECT_EQ(submit((1U << 20) + 1), kRefused);
  EXPECT_THAT(err_, HasSubstr("1 MiB"));
  EXPECT_EQ(tracker_.JobsSeen(), 1U);
}

TEST_F(CliTest, WithoutAJobTrackerSubmitStoresOnlyWhenAskedTo) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  EXPECT_EQ(Run({"submit", "--group", "demo", "--task", "t"}), kUnreachable);
  EXPECT_THAT(out_, IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(folder_.Below("data")));
  ASSERT_EQ(Run({"submit", "--group", "demo", "--task", "t", "--store", "--client-group", "shop",
                 "-o", "json"}),
            kOk)
      << err_;
  EXPECT_EQ(Lines().at(0)["outcome"], "STORED");
  EXPECT_THAT(err_, HasSubstr(folder_.Below("data/jobclient/JOB_CLIENT/shop/0")));
  EXPECT_THAT(err_, HasSubstr("jobclient agent --client-group shop"));
  const std::string job_id = Lines().at(0)["jobId"];

  ASSERT_EQ(Run({"failstore", "list", "--client-group", "shop", "-o", "json"}), kOk) << err_;
  ASSERT_EQ(Lines().size(), 1U);
  EXPECT_EQ(Lines()[0]["request"], "SUBMIT");
  EXPECT_EQ(Lines()[0]["key"], "demo/t");
  EXPECT_EQ(Lines()[0]["jobId"], job_id);
  EXPECT_EQ(Lines()[0]["parked"], false);

  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  on_wait_for_stop_ = [this] {
    EXPECT_TRUE(tracker_.Await([this] { return tracker_.JobsSeen() == 1; }));
  };
  ASSERT_EQ(Run({"agent", "--client-group", "shop"}), kOk) << err_;
  EXPECT_EQ(blocked_, 1);
  EXPECT_EQ(tracker_.Submits().at(0).items(0).job().job_id(), job_id);
  EXPECT_TRUE(tracker_.Submits().at(0).items(0).maybe_sent());
}

TEST_F(CliTest, SubmitWaitPrintsTheFinalMessageAlone) {
  tracker_.on_wait = [](const v1::WaitRequest&) {
    v1::WaitResponse response;
    *response.mutable_job() = View(v1::SUCCEEDED, "lines=7");
    return response;
  };
  EXPECT_EQ(Run({"submit", "--group", "demo", "--task", "t", "--wait"}), kOk);
  EXPECT_EQ(out_, "lines=7\n");
  EXPECT_THAT(err_, HasSubstr("ACCEPTED"));
  EXPECT_EQ(Run({"wait", "id-1"}), kOk);
  EXPECT_EQ(out_, "lines=7\n");
  EXPECT_EQ(Run({"wait", "id-1", "-o", "json"}), kOk);
  EXPECT_EQ(Lines().at(0)["message"], "lines=7");
}

TEST_F(CliTest, AJobThatFailedIsExitCode8) {
  tracker_.on_wait = [](const v1::WaitRequest&) {
    v1::WaitResponse response;
    *response.mutable_job() = View(v1::DEAD, "gave up");
    return response;
  };
  EXPECT_EQ(Run({"submit", "--group", "demo", "--task", "t", "--wait"}), kJobFailed);
  EXPECT_EQ(out_, "gave up\n");
  EXPECT_THAT(err_, HasSubstr("DEAD"));
}

TEST_F(CliTest, WaitGivesUpAfterItsTime) {
  tracker_.on_wait = [](const v1::WaitRequest&) {
    v1::WaitResponse response;
    response.set_code(v1::DEADLINE_EXCEEDED);
    return response;
  };
  EXPECT_EQ(Run({"wait", "id-1", "--timeout", "5ms"}), kTimeOut);
  EXPECT_EQ(Run({"submit", "--group", "g", "--task", "t", "--wait", "--wait-timeout", "5ms"}),
            kTimeOut);
}

// ---- submit --file

TEST_F(CliTest, AFileOfJobsIsSentAndBadLinesAreNamed) {
  const std::string input = R"({"taskId":"a","taskTrackerNodeGroup":"demo","priority":7})"
                            "\n\n"
                            R"({"taskId":"b",)"
                            "\n"
                            R"({"taskId":"c","taskTrackerNodeGroup":"demo","nosuch":1})"
                            "\n"
                            R"({"taskId":"d","taskTrackerNodeGroup":"demo","priority":20000})"
                            "\r\n"
                            R"({"taskId":"e","taskTrackerNodeGroup":"demo","payload":"aGk="})";
  EXPECT_EQ(Run({"submit", "--file", "-", "-o", "json"}, input), kError);
  EXPECT_THAT(tracker_.Log(), ElementsAre("+a", "+e"));
  EXPECT_THAT(err_, HasSubstr("line 3: "));
  EXPECT_THAT(err_, HasSubstr("line 4: "));
  EXPECT_THAT(err_, HasSubstr("line 5: "));
  EXPECT_THAT(err_, Not(HasSubstr("line 1: ")));
  EXPECT_THAT(err_, Not(HasSubstr("line 2: ")));
  EXPECT_THAT(err_, Not(HasSubstr("line 6: ")));
  ASSERT_EQ(Lines().size(), 2U);
  EXPECT_EQ(Lines()[1]["taskId"], "e");
  std::string payloads;
  for (const auto& request : tracker_.Submits()) {
    for (const auto& item : request.items()) payloads += item.job().payload();
  }
  EXPECT_EQ(payloads, "hi");
}

TEST_F(CliTest, ALongFileGoesThroughInOrder) {
  std::string input;
  std::vector<std::string> expected;
  for (int i = 0; i < 2'500; ++i) {
    input += R"({"taskId":"t)" + std::to_string(i) + R"(","taskTrackerNodeGroup":"demo"})" + "\n";
    expected.push_back("+t" + std::to_string(i));
  }
  const std::string path = folder_.Write("jobs.jsonl", input);
  EXPECT_EQ(Run({"submit", "--file", path}), kOk) << err_;
  EXPECT_EQ(tracker_.Log(), expected);
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 2'501);  // and the heading
}

TEST_F(CliTest, AFileStopsWhenNoJobTrackerIsReachable) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  std::string input;
  for (int i = 0; i < 1'500; ++i) {
    input += R"({"taskId":"t","taskTrackerNodeGroup":"demo"})"
             "\n";
  }
  EXPECT_EQ(Run({"submit", "--file", "-"}, input), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("stopped after line 1000"));
}

TEST_F(CliTest, AFileThatIsNoneIsAnError) {
  EXPECT_EQ(Run({"submit", "--file", folder_.Below("none")}), kNotFound);
  EXPECT_EQ(Run({"submit", "--file", folder_.path()}), kError);
  EXPECT_EQ(Run({"submit", "--file", "-"}, ""), kOk);
}

// ---- looking

TEST_F(CliTest, GetShowsTheDefinitionTheStateAndTheAttempts) {
  tracker_.on_get = [](const v1::GetRequest& request) {
    v1::GetResponse response;
    if (request.job_id() == "gone") {
      response.set_code(v1::NOT_FOUND);
      response.set_message("no job gone");
      return response;
    }
    *response.mutable_job() = View(v1::RUNNING, "");
    v1::AttemptView& attempt = *response.mutable_job()->add_attempts();
    attempt.set_attempt(2);
    attempt.mutable_token()->set_epoch(7);
    attempt.mutable_token()->set_sequence(42);
    attempt.set_node("tt-1");
    attempt.set_outcome(v1::LOST);
    attempt.set_started_ms(1'000);
    return response;
  };
  ASSERT_EQ(Run({"get", "id-1", "-o", "json"}), kOk) << err_;
  const auto job = Lines().at(0);
  EXPECT_EQ(job["jobId"], "id-1");
  EXPECT_EQ(job["type"], "REAL_TIME");
  EXPECT_EQ(job["state"], "RUNNING");
  EXPECT_EQ(job["nextFireTime"], "2026-01-01T00:00:00.123Z");
  EXPECT_EQ(job["priority"], 100);
  EXPECT_EQ(job["relyOnPrevCycle"], true);
  EXPECT_EQ(job["params"]["k"], "v");
  EXPECT_EQ(job["payload"], "aGVsbG8=");
  EXPECT_TRUE(job["endedAt"].is_null());
  const auto attempt = job["attempts"].at(0);
  EXPECT_EQ(attempt["attempt"], 2);
  EXPECT_EQ(attempt["token"], "7-42");
  EXPECT_EQ(attempt["outcome"], "LOST");
  EXPECT_EQ(attempt["startedAt"], "1970-01-01T00:00:01.000Z");
  EXPECT_TRUE(attempt["endedAt"].is_null());
  EXPECT_TRUE(attempt["cycle"].is_null());
  for (const char* member : {"node", "message", "dueAt"})
    EXPECT_TRUE(attempt.contains(member)) << member;

  ASSERT_EQ(Run({"get", "--group", "demo", "--task", "t"}), kOk);
  EXPECT_THAT(out_, HasSubstr("state: RUNNING\n"));
  EXPECT_THAT(out_, HasSubstr("LOST"));
  EXPECT_EQ(Run({"get", "gone"}), kNotFound);
  EXPECT_THAT(err_, HasSubstr("no job gone"));
}

TEST_F(CliTest, ListGoesThroughThePages) {
  std::vector<v1::ListRequest> requests;
  tracker_.on_list = [&](const v1::ListRequest& request) {
    requests.push_back(request);
    v1::ListResponse response;
    for (int i = 0; i < request.limit(); ++i) *response.add_jobs() = View(v1::FAILED, "tab\there");
    if (requests.size() < 3) response.set_next_page("page-" + std::to_string(requests.size()));
    return response;
  };
  ASSERT_EQ(Run({"list", "--group", "demo", "--state", "FAILED", "--since", "2h", "-o", "json"}),
            kOk);
  EXPECT_EQ(Lines().size(), 100U);
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].since_ms(), clock_.WallMs() - 7'200'000);
  EXPECT_EQ(requests[0].state(), "FAILED");
  EXPECT_THAT(err_, HasSubstr("--all"));
  requests.clear();
  ASSERT_EQ(Run({"list", "--all"}), kOk);
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[2].page(), "page-2");
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 3'001);
  EXPECT_THAT(out_, StartsWith("JOB ID  TASK  GROUP"));
  EXPECT_THAT(out_, HasSubstr("tab here"));
  requests.clear();
  ASSERT_EQ(Run({"list", "--limit", "1500", "-o", "json"}), kOk);
  EXPECT_EQ(Lines().size(), 1'500U);
}

TEST_F(CliTest, AttemptsSayWhichJobTheyAreOf) {
  tracker_.on_list_attempts = [](const v1::ListAttemptsRequest& request) {
    v1::ListAttemptsResponse response;
    v1::AttemptView& attempt = *response.add_attempts();
    attempt.set_job_id(request.job_id());
    attempt.set_group("demo");
    attempt.set_final(true);
    attempt.set_state(v1::SKIPPED);
    attempt.set_skipped(1LL << 60);
    attempt.set_message("bad \xff utf-8");
    return response;
  };
  ASSERT_EQ(Run({"attempts", "id-9", "-o", "json"}), kOk) << err_;
  const auto line = Lines().at(0);
  EXPECT_EQ(line["jobId"], "id-9");
  EXPECT_EQ(line["taskTrackerNodeGroup"], "demo");
  EXPECT_EQ(line["state"], "SKIPPED");
  EXPECT_EQ(line["skipped"], "1152921504606846976");  // beyond 2^53: as text
}

TEST_F(CliTest, AttemptsAreListedByOutcomeThroughPagesWithoutAny) {
  std::vector<v1::ListAttemptsRequest> requests;
  tracker_.on_list_attempts = [&](const v1::ListAttemptsRequest& request) {
    requests.push_back(request);
    v1::ListAttemptsResponse response;
    if (requests.size() == 3) {
      response.add_attempts()->set_outcome(v1::LOST);
    } else {
      response.set_next_page("page-" + std::to_string(requests.size()));
    }
    return response;
  };
  ASSERT_EQ(
      Run({"attempts", "--group", "demo", "--outcome", "LOST", "--state", "DEAD", "-o", "json"}),
      kOk)
      << err_;
  ASSERT_EQ(Lines().size(), 1U);
  EXPECT_EQ(Lines()[0]["outcome"], "LOST");
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[2].page(), "page-2");
  EXPECT_EQ(requests[2].outcome(), "LOST");
  EXPECT_EQ(requests[2].state(), "DEAD");
  requests.clear();
  ASSERT_EQ(Run({"attempts", "--state", "EXECUTE_FAILED"}), kOk) << err_;
  EXPECT_EQ(requests.at(0).outcome(), "EXECUTE_FAILED");
  EXPECT_EQ(requests.at(0).state(), "");
  EXPECT_EQ(Run({"attempts", "--outcome", "FAILED"}), kUsage);
  EXPECT_THAT(err_, HasSubstr("expected EXECUTE_SUCCESS, "));
  EXPECT_EQ(Run({"attempts", "--outcome", "LOST", "--state", "STALE"}), kUsage);
}

TEST_F(CliTest, CancelAndExplain) {
  tracker_.on_cancel = [](const v1::OperateRequest& request) {
    v1::OperateResponse response;
    response.set_job_id("id-1");
    response.set_state(request.task_id() == "busy" ? v1::RUNNING : v1::CANCELLED);
    return response;
  };
  tracker_.on_explain = [](const v1::ExplainRequest&) {
    v1::ExplainResponse response;
    response.set_state(v1::WAITING);
    v1::Reason& reason = *response.add_reasons();
    reason.set_code("NO_TASKTRACKER");
    reason.set_text("no TaskTracker of group demo is connected");
    return response;
  };
  ASSERT_EQ(Run({"cancel", "--group", "demo", "--task", "busy", "-o", "json"}), kOk);
  EXPECT_EQ(Lines().at(0)["state"], "RUNNING");
  ASSERT_EQ(Run({"explain", "id-1"}), kOk);
  EXPECT_EQ(out_, "WAITING\nNO_TASKTRACKER: no TaskTracker of group demo is connected\n");
  ASSERT_EQ(Run({"explain", "id-1", "-o", "json"}), kOk);
  EXPECT_EQ(Lines().at(0)["reasons"][0]["code"], "NO_TASKTRACKER");
}

TEST_F(CliTest, LogsFollowTheAttemptsUntilTheJobHasEnded) {
  int calls = 0;
  tracker_.on_logs = [&](const v1::LogsRequest& request) {
    ++calls;
    v1::LogsResponse response;
    // The second attempt begins when the first one's lines have been read.
    const int newest = calls > 1 ? 2 : 1;
    const int attempt = request.attempt() == 0 ? newest : request.attempt();
    response.set_attempt(attempt);
    response.set_ended(true);
    for (std::uint64_t line = request.after_line() + 1; line <= 2; ++line) {
      v1::LogEntry& entry = *response.add_entries();
      entry.set_line(line);
      entry.set_level("INFO");
      entry.set_time_ms(1'000);
      entry.set_attempt(attempt);
      entry.set_message(std::to_string(attempt) + "." + std::to_string(line));
    }
    return response;
  };
  tracker_.on_get = [](const v1::GetRequest&) {
    v1::GetResponse response;
    *response.mutable_job() = View(v1::SUCCEEDED, "");
    return response;
  };
  ASSERT_EQ(Run({"logs", "id-1"}), kOk);
  EXPECT_EQ(out_, "1970-01-01T00:00:01.000Z INFO 1.1\n1970-01-01T00:00:01.000Z INFO 1.2\n");
  calls = 0;
  ASSERT_EQ(Run({"logs", "-f", "id-1", "-o", "json"}), kOk) << err_;
  std::vector<std::string> messages;
  for (const auto& line : Lines()) messages.push_back(line["message"]);
  EXPECT_THAT(messages, ElementsAre("1.1", "1.2", "2.1", "2.2"));
}

TEST_F(CliTest, NodesGroupsAndPartitions) {
  tracker_.on_nodes = [](const v1::NodesRequest&) {
    v1::NodesResponse response;
    v1::NodeInfo& node = *response.add_nodes();
    node.set_node_type("TASK_TRACKER");
    node.set_group("demo");
    node.set_slots(10);
    node.set_state("DRAINING");
    response.add_nodes()->set_node_type("JOB_TRACKER");
    return response;
  };
  tracker_.on_groups = [](const v1::GroupsRequest&) {
    v1::GroupsResponse response;
    response.add_groups()->set_group("demo");
    return response;
  };
  tracker_.on_routes = [](const v1::RoutesRequest&) {
    v1::RoutesResponse response;
    response.set_cluster_name("c");
    v1::Route& route = *response.add_routes();
    route.set_partition(3);
    route.set_epoch(~0ULL);
    return response;
  };
  ASSERT_EQ(Run({"nodes", "-o", "json"}), kOk);
  EXPECT_EQ(Lines().at(0)["nodeType"], "TASK_TRACKER");
  EXPECT_EQ(Lines().at(0)["slots"], 10);
  EXPECT_EQ(Lines().at(0)["state"], "DRAINING");
  EXPECT_TRUE(Lines().at(1)["state"].is_null());
  ASSERT_EQ(Run({"groups", "-o", "json"}), kOk);
  EXPECT_EQ(Lines().at(0)["jobs"], 0);
  ASSERT_EQ(Run({"partitions", "-o", "json"}), kOk);
  EXPECT_EQ(Lines().at(0)["partition"], 3);
  EXPECT_EQ(Lines().at(0)["epoch"], "18446744073709551615");
  ASSERT_EQ(Run({"partitions"}), kOk);
  EXPECT_EQ(out_,
            "PARTITION  OWNER  ADDRESS  EPOCH\n3          -      -        18446744073709551615\n");
}

// ---- feedback

v1::FeedbackItem Item(const std::string& job_id) {
  v1::FeedbackItem item;
  item.set_job_id(job_id);
  item.set_attempt(1);
  item.set_success(true);
  item.set_state(v1::SUCCEEDED);
  return item;
}

TEST_F(CliTest, TheAgentPrintsFeedbackAndAcknowledgesIt) {
  on_wait_for_stop_ = [this] {
    ASSERT_TRUE(tracker_.Await([this] { return tracker_.Hellos().size() == 1; }));
    tracker_.Offer({Item("a"), Item("b")});
    ASSERT_TRUE(tracker_.Await([this] { return tracker_.Acks().size() == 2; }));
  };
  ASSERT_EQ(Run({"agent", "--client-group", "shop"}), kOk) << err_;
  EXPECT_EQ(tracker_.Hellos()[0].node_group(), "shop");
  ASSERT_EQ(Lines().size(), 2U);
  EXPECT_EQ(Lines()[0]["jobId"], "a");
  EXPECT_EQ(Lines()[0]["success"], true);
  EXPECT_EQ(Lines()[1]["state"], "SUCCEEDED");
}

TEST_F(CliTest, FeedbackPeeksUnlessToldToAcknowledge) {
  tracker_.on_hello = [](const v1::FeedbackHello&) {
    return std::vector<v1::FeedbackItem>{Item("a"), Item("b"), Item("c")};
  };
  ASSERT_EQ(Run({"feedback", "--client-group", "shop", "--limit", "3", "-o", "json"}), kOk) << err_;
  EXPECT_EQ(Lines().size(), 3U);
  EXPECT_TRUE(tracker_.Acks().empty());
  ASSERT_EQ(Run({"feedback", "--limit", "2", "--ack", "-o", "json"}), kOk);
  EXPECT_EQ(Lines().size(), 2U);
  ASSERT_EQ(tracker_.Acks().size(), 2U);
  EXPECT_EQ(tracker_.Acks()[1].job_id(), "b");
  EXPECT_FALSE(tracker_.Acks()[1].again());
  ASSERT_EQ(Run({"feedback", "--idle", "5ms"}), kOk);
  EXPECT_THAT(out_, StartsWith("JOB ID"));
  tracker_.SetMode(FakeTracker::Mode::kDown);
  EXPECT_EQ(Run({"feedback"}), kUnreachable);
}

TEST_F(CliTest, FeedbackOfAJobTrackerThatNeverAnswersIsUnreachable) {
  tracker_.on_routes = [](const v1::RoutesRequest&) { return v1::RoutesResponse(); };
  tracker_.SetMode(FakeTracker::Mode::kSilent);
  EXPECT_EQ(Run({"feedback", "--timeout", "20ms", "--idle", "1ms"}), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("127.0.0.1:35001"));
  EXPECT_THAT(err_, HasSubstr("20 ms"));
  EXPECT_TRUE(tracker_.Hellos().empty());
  // One of two is enough.
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  tracker_.down_addresses = {"one:1"};
  EXPECT_EQ(Run({"feedback", "--registry", "jobtracker://one:1,two:2", "--idle", "1ms"}), kOk);
  EXPECT_THAT(err_, HasSubstr("one:1"));
}

// ---- cron next

TEST_F(CliTest, CronNextPrintsEpochSeconds) {
  ASSERT_EQ(Run({"cron", "next", "0 0 0 * * ?", "--from", "1767225600", "-n", "3"}), kOk) << err_;
  EXPECT_EQ(out_, "1767312000,1767398400,1767484800\n");  // exclusive: not the start itself
  ASSERT_EQ(Run({"cron", "next", "0 0 0 * * ?", "-n", "1"}), kOk);
  EXPECT_EQ(out_, "1767312000\n");
  ASSERT_EQ(Run({"cron", "next", "0 0 0 1 1 ? 2027", "--from", "1767225600"}), kOk);
  EXPECT_EQ(out_, "1798761600,-\n");
  ASSERT_EQ(Run({"cron", "next", "0 0 0 1 1 ? 2020", "--from", "1767225600"}), kOk);
  EXPECT_EQ(out_, "-\n");
  ASSERT_EQ(Run({"cron", "next", "0 0 0 * * ?", "--tz", "Asia/Tokyo", "--from", "1767225600", "-n",
                 "1", "-o", "json"}),
            kOk);
  EXPECT_EQ(Lines().at(0)["fires"][0], "2026-01-01T15:00:00.000Z");
  EXPECT_EQ(Lines().at(0)["exhausted"], false);
}

TEST_F(CliTest, ABadExpressionOrZoneIsAUsageError) {
  EXPECT_EQ(Run({"cron", "next", "0 75 * * * ?"}), kUsage);
  EXPECT_THAT(err_, HasSubstr("position 3"));
  EXPECT_THAT(out_, IsEmpty());
  EXPECT_EQ(Run({"cron", "next", "0 0 * * * ?", "--tz", "Mars/Olympus"}), kUsage);
  EXPECT_THAT(err_, HasSubstr("Mars/Olympus"));
}

TEST_F(CliTest, CronNextReadsAFileLineByLine) {
  const std::string input =
      "# comment\n"
      "0 0 0 * * ?\tUTC\t1767225600\n"
      "\n"
      "0 0 0 1 1 ? 2027\tAsia/Tokyo\t1767225600\t1,2,3\r\n"
      "0 99 * * * ?\tUTC\t0\n"
      "0 0 0 * * ?\tUTC\n"
      "0 0 0 * * ?\tUTC\tsoon\n"
      "0 0 0 1 1 ? 2020\t\t1767225600";
  ASSERT_EQ(Run({"cron", "next", "--file", "-", "-n", "2"}, input), kOk) << err_;
  std::vector<std::string> lines;
  std::istringstream text(out_);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[0], "1767312000,1767398400");
  EXPECT_EQ(lines[1], "1798729200,-");
  EXPECT_THAT(lines[2], StartsWith("invalid: position 3"));
  EXPECT_THAT(lines[3], StartsWith("invalid: "));
  EXPECT_THAT(lines[4], HasSubstr("soon"));
  EXPECT_EQ(lines[5], "-");
  EXPECT_EQ(Run({"cron", "next", "--file", folder_.Below("none")}), kNotFound);
}

// ---- texts

TEST(ParseTime, TakesRfc3339Alone) {
  EXPECT_EQ(*ParseTime("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(*ParseTime("2026-01-31T12:00:00.1239Z"), 1'769'860'800'123);
  EXPECT_EQ(*ParseTime("2026-01-31 07:30:00-04:30"), 1'769'860'800'000);
  EXPECT_EQ(*ParseTime("2024-02-29T00:00:00Z"), 1'709'164'800'000);
  for (const char* text :
       {"", "2026-01-31", "2026-01-31T12:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-01-31T24:00:00Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00+1:00",
        "2026-01-31T12:00:00Zx", "x026-01-31T12:00:00Z", "1769860800"}) {
    EXPECT_EQ(ParseTime(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(ReadLine, CutsWhatIsTooLongAndGoesOn) {
  std::istringstream in("abcdef\nxy\r\n\nlast");
  std::string line;
  bool cut = false;
  ASSERT_TRUE(ReadLine(in, 3, &line, &cut));
  EXPECT_EQ(line, "abc");
  EXPECT_TRUE(cut);
  ASSERT_TRUE(ReadLine(in, 3, &line, &cut));
  EXPECT_EQ(line, "xy");
  EXPECT_FALSE(cut);
  ASSERT_TRUE(ReadLine(in, 3, &line, &cut));
  EXPECT_EQ(line, "");
  ASSERT_TRUE(ReadLine(in, 4, &line, &cut));
  EXPECT_EQ(line, "last");
  EXPECT_FALSE(ReadLine(in, 4, &line, &cut));
}

}  // namespace
}  // namespace lts::jobclient::cli

// -o json: every verb of the table prints one object a line, and what stands in them.
#include <gmock/gmock.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "cli_fixture.h"

namespace lts::jobclient::cli {
namespace {

using testing::FakeTracker;
using ::testing::HasSubstr;
using Node = nlohmann::json;

constexpr std::int64_t kTime = 1'767'225'600'123;
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

// The words of an example, as a shell would split them.
std::vector<std::string> ShellWords(const std::string& command) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  for (const char c : command + " ") {
    if (c == '\'') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      if (!word.empty()) words.push_back(word);
      word.clear();
    } else {
      word.push_back(c);
    }
  }
  return words;
}

v1::Job LargeJob() {
  v1::Job job;
  job.set_job_id("01890f3e-7b1c-7cc8-98c4-dc0c0c07398f");
  job.set_task_id("hello");
  job.set_task_tracker_node_group("demo");
  job.mutable_retry()->set_initial_ms(kHuge);
  job.mutable_retry()->set_max_ms(kHuge);
  job.set_trigger_time_ms(kTime);
  job.set_trigger_delay_ms(kHuge);
  job.set_repeat_count(kHuge);
  job.set_repeat_interval_ms(kHuge);
  job.set_start_time_ms(kTime);
  job.set_end_time_ms(kTime);
  job.set_timeout_ms(kHuge);
  job.set_expires_in_ms(kHuge);
  return job;
}

v1::AttemptView LargeAttempt() {
  v1::AttemptView attempt;
  attempt.set_cycle_ms(kTime);
  attempt.mutable_token()->set_epoch(std::numeric_limits<std::uint64_t>::max());
  attempt.set_due_ms(kTime);
  attempt.set_started_ms(kTime);
  attempt.set_ended_ms(kTime);
  attempt.set_skipped(kHuge);
  attempt.set_skipped_last_ms(kTime);
  return attempt;
}

v1::JobView LargeView() {
  v1::JobView view;
  *view.mutable_job() = LargeJob();
  view.set_state(v1::SUCCEEDED);
  view.set_next_fire_ms(kTime);
  view.set_accepted_ms(kTime);
  view.set_ended_ms(kTime);
  view.set_cycle_ms(kTime);
  view.set_runs(kHuge);
  *view.add_attempts() = LargeAttempt();
  return view;
}

v1::FeedbackItem LargeItem() {
  v1::FeedbackItem item;
  item.set_cycle_ms(kTime);
  item.set_ended_ms(kTime);
  return item;
}

class JsonTest : public CliTest {
 protected:
  void SetUp() override {
    // Numbers as large as they come.
    tracker_.on_wait = [](const v1::WaitRequest&) {
      v1::WaitResponse response;
      *response.mutable_job() = LargeView();
      return response;
    };
    tracker_.on_get = [](const v1::GetRequest&) {
      v1::GetResponse response;
      *response.mutable_job() = LargeView();
      return response;
    };
    tracker_.on_list = [](const v1::ListRequest&) {
      v1::ListResponse response;
      *response.add_jobs() = LargeView();
      return response;
    };
    tracker_.on_list_attempts = [](const v1::ListAttemptsRequest&) {
      v1::ListAttemptsResponse response;
      *response.add_attempts() = LargeAttempt();
      return response;
    };
    tracker_.on_explain = [](const v1::ExplainRequest&) {
      v1::ExplainResponse response;
      response.add_reasons()->set_code("ENDED");
      return response;
    };
    tracker_.on_logs = [](const v1::LogsRequest& request) {
      v1::LogsResponse response;
      response.set_attempt(1);
      response.set_ended(true);
      if (request.after_line() > 0) return response;
      v1::LogEntry& entry = *response.add_entries();
      entry.set_line(std::numeric_limits<std::uint64_t>::max());
      entry.set_time_ms(kTime);
      entry.set_cycle_ms(kTime);
      return response;
    };
    tracker_.on_routes = [](const v1::RoutesRequest&) {
      v1::RoutesResponse response;
      response.add_routes()->set_epoch(std::numeric_limits<std::uint64_t>::max());
      return response;
    };
    tracker_.on_nodes = [](const v1::NodesRequest&) {
      v1::NodesResponse response;
      response.add_nodes()->set_started_ms(kTime);
      return response;
    };
    tracker_.on_groups = [](const v1::GroupsRequest&) {
      v1::GroupsResponse response;
      v1::GroupView& group = *response.add_groups();
      group.set_jobs(kHuge);
      group.set_running(kHuge);
      group.set_schedules(kHuge);
      group.set_succeeded(kHuge);
      group.set_failed(kHuge);
      return response;
    };
    tracker_.on_hello = [](const v1::FeedbackHello&) {
      return std::vector<v1::FeedbackItem>{LargeItem()};
    };
    on_wait_for_stop_ = [this] {
      EXPECT_TRUE(tracker_.Await([this] { return !tracker_.Acks().empty(); }));
    };
  }
  // One record on disk for the verbs that look there, whatever earlier ones have left.
  void Store() {
    std::filesystem::remove_all(folder_.Below("data"));
    tracker_.SetMode(FakeTracker::Mode::kDown);
    ASSERT_EQ(Run({"submit", "--group", "demo", "--task", "kept", "--store", "--client-group",
                   "order_service"}),
              kOk)
        << err_;
    tracker_.SetMode(FakeTracker::Mode::kAnswer);
  }
};

const std::set<std::string> kTimes = {
    "nextFireTime", "acceptedAt", "endedAt",  "startedAt",   "dueAt", "cycle", "triggerTime",
    "startTime",    "endTime",    "storedAt", "skippedLast", "time",  "from",  "fires"};

bool IsLowerCamel(const std::string& name) {
  return !name.empty() && std::islower(static_cast<unsigned char>(name[0])) != 0 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0; });
}

// "2026-01-31T12:00:00.250Z"
bool IsRfc3339(const std::string& text) {
  const std::string shape = "dddd-dd-ddTdd:dd:dd.dddZ";
  return std::equal(text.begin(), text.end(), shape.begin(), shape.end(), [](char c, char s) {
    return s == 'd' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == s;
  });
}

void Check(const Node& node, const std::string& name) {
  if (node.is_object()) {
    for (const auto& [key, value] : node.items()) {
      if (name != "params") {
        EXPECT_TRUE(IsLowerCamel(key)) << key;
      }
      Check(value, key);
    }
  } else if (node.is_array()) {
    for (const Node& element : node) Check(element, name);
  } else if (kTimes.count(name) != 0) {
    EXPECT_TRUE(node.is_null() || (node.is_string() && IsRfc3339(node.get<std::string>())))
        << name << " " << node;
  } else if (node.is_number()) {
    EXPECT_LE(std::abs(node.get<double>()), 9'007'199'254'740'992.0) << name;
  }
}

TEST_F(JsonTest, EveryExamplePrintsOneObjectALine) {
  for (const Verb& verb : AllVerbs()) {
    Store();
    for (const std::string& example : verb.examples) {
      std::vector<std::string> arguments = ShellWords(example);
      if (arguments.front() != "jobclient") continue;     // a pipe: see below
      if (verb.name.starts_with("completion")) continue;  // prints a script
      arguments.erase(arguments.begin());
      if (arguments.back() != "json") arguments.insert(arguments.end(), {"-o", "json"});
      EXPECT_EQ(Run(arguments), kOk) << example << ": " << err_;
      ASSERT_NO_THROW(Lines()) << example << ": " << out_;
      // None is parked here.
      EXPECT_TRUE(!Lines().empty() || verb.name == "failstore retry") << example;
      for (const Node& line : Lines()) {
        SCOPED_TRACE(example + ": " + line.dump());
        EXPECT_TRUE(line.is_object());
        Check(line, "");
      }
    }
  }
}

TEST_F(JsonTest, OfAWaitingSubmitIsTheWholeJob) {
  ASSERT_EQ(Run({"submit", "--group", "demo", "--task", "t", "--wait", "-o", "json"}), kOk);
  ASSERT_EQ(Lines().size(), 1U);
  EXPECT_EQ(Lines()[0]["state"], "SUCCEEDED");
  EXPECT_EQ(Lines()[0]["priority"], 100);
}

TEST_F(JsonTest, OfAFileOfCronExpressionsIsAnObjectALine) {
  const std::string input =
      "0 0 0 * * ?\tAsia/Tokyo\t1767225600\n"
      "0 75 * * * ?\tUTC\t1767225600\n"
      "0 0 0 1 1 ? 2027\t\t1767225600\n"
      "0 0 0 * * ?\tUTC\n";
  ASSERT_EQ(Run({"cron", "next", "--file", "-", "-n", "2", "-o", "json"}, input), kOk) << err_;
  ASSERT_EQ(Lines().size(), 4U);
  EXPECT_EQ(Lines()[0].dump(),
            R"({"exhausted":false,"expression":"0 0 0 * * ?","fires":["2026-01-01T15:00:00.000Z",)"
            R"("2026-01-02T15:00:00.000Z"],"from":"2026-01-01T00:00:00.000Z","invalid":null,)"
            R"("timeZone":"Asia/Tokyo"})");
  EXPECT_EQ(Lines()[1]["invalid"], "position 3: minute 75 is not in 0-59");
  EXPECT_EQ(Lines()[2]["exhausted"], true);
  EXPECT_EQ(Lines()[2]["timeZone"], "UTC");
  EXPECT_TRUE(Lines()[3]["from"].is_null());
  EXPECT_THAT(std::string(Lines()[3]["invalid"]), HasSubstr("separated by TABs"));
  for (const Node& line : Lines()) Check(line, "");
}

}  // namespace
}  // namespace lts::jobclient::cli

// What stands under a task, and where nobody answers.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "cli_fixture.h"
#include "support/fake_tracker.h"

namespace lts::jobclient::cli {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using testing::FakeTracker;
using ::testing::HasSubstr;

TEST_F(CliTest, ListTellsAScheduleFromItsRuns) {
  tracker_.on_list = [](const v1::ListRequest&) {
    v1::ListResponse response;
    const auto add = [&response](v1::RunKind kind, TimeMs cycle_ms) -> v1::JobView& {
      v1::JobView& view = *response.add_jobs();
      view.mutable_job()->set_cron_expression("0 0 3 * * ?");
      view.set_kind(kind);
      view.set_cycle_ms(cycle_ms);
      return view;
    };
    add(v1::RUN_ONE_SHOT, 0).set_schedule(true);
    v1::JobView& beat = add(v1::RUN_ONE_SHOT, 0);
    beat.set_schedule(true);
    beat.mutable_job()->clear_cron_expression();
    beat.mutable_job()->set_repeat_count(-1);
    beat.mutable_job()->set_repeat_interval_ms(5'000);
    add(v1::RUN_OCCURRENCE, 1'000);
    add(v1::RUN_ONE_SHOT, 2'000);  // of a JobTracker that says no kind
    add(v1::RUN_TRIGGERED, 0);
    add(v1::RUN_ONE_SHOT, 0).mutable_job()->clear_cron_expression();
    return response;
  };
  ASSERT_EQ(Run({"list", "-o", "json"}), kOk) << err_;
  std::vector<std::string> kinds;
  for (const auto& line : Lines()) kinds.push_back(line["kind"]);
  EXPECT_THAT(kinds, ElementsAre("CRON", "REPEAT", "RUN", "RUN", "TRIGGER", "ONE_SHOT"));
  EXPECT_EQ(Lines()[2]["cycle"], "1970-01-01T00:00:01.000Z");
  ASSERT_EQ(Run({"list"}), kOk);
  EXPECT_THAT(out_, HasSubstr("KIND      CYCLE "));
  EXPECT_THAT(out_, HasSubstr("RUN       1970-01-01T00:00:01.000Z"));
}

TEST_F(CliTest, WaitAndLogsTakeATaskAsGetDoes) {
  tracker_.on_get = [](const v1::GetRequest& request) {
    v1::GetResponse response;
    if (request.task_id() == "nobody") {
      response.set_code(v1::NOT_FOUND);
      response.set_message("no job of task nobody in group demo");
      return response;
    }
    EXPECT_TRUE(request.group() == "demo" || request.job_id() == "id-of-t");
    response.mutable_job()->set_state(v1::SUCCEEDED);
    response.mutable_job()->mutable_job()->set_job_id("id-of-t");
    return response;
  };
  tracker_.on_wait = [](const v1::WaitRequest& request) {
    v1::WaitResponse response;
    response.mutable_job()->set_state(v1::SUCCEEDED);
    response.mutable_job()->set_message(request.job_id());
    return response;
  };
  std::vector<std::string> asked;
  tracker_.on_logs = [&](const v1::LogsRequest& request) {
    asked.push_back(request.job_id());
    v1::LogsResponse response;
    response.set_ended(true);
    return response;
  };
  EXPECT_EQ(Run({"wait", "--group", "demo", "--task", "t"}), kOk) << err_;
  EXPECT_EQ(out_, "id-of-t\n");
  EXPECT_EQ(Run({"logs", "-f", "--group", "demo", "--task", "t"}), kOk) << err_;
  EXPECT_EQ(Run({"logs", "--life", "--group", "demo", "--task", "t"}), kOk) << err_;
  EXPECT_GE(asked.size(), 2U);
  EXPECT_THAT(asked, Each("id-of-t"));
  for (const std::string verb : {"wait", "logs"}) {
    EXPECT_EQ(Run({verb, "--group", "demo", "--task", "nobody"}), kNotFound);
    EXPECT_THAT(err_, HasSubstr("no job of task nobody"));
    EXPECT_EQ(Run({verb}), kUsage);
    EXPECT_EQ(Run({verb, "--group", "demo"}), kUsage);
    EXPECT_EQ(Run({verb, "id-1", "--group", "demo", "--task", "t"}), kUsage);
  }
}

TEST_F(CliTest, WhereNoJobTrackerAnswersOneSentenceSaysWhereWhyAndWhatToTry) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  const std::string advice =
      "; does one run there? Another address: --registry, or registryAddress of the "
      "configuration\n";
  for (const std::vector<std::string>& verb : std::vector<std::vector<std::string>>{
           {"nodes"}, {"submit", "--group", "demo", "--task", "t"}}) {
    EXPECT_EQ(Run(verb), kUnreachable);
    EXPECT_EQ(err_,
              "jobclient: no JobTracker answers at 127.0.0.1:35001: connection refused" + advice);
  }
  EXPECT_EQ(Run({"nodes", "--registry", "jobtracker://one:1,two:2"}), kUnreachable);
  EXPECT_EQ(err_, "jobclient: no JobTracker answers at one:1, two:2 (two:2: connection refused)" +
                      advice);
}

}  // namespace
}  // namespace lts::jobclient::cli

#include <gmock/gmock.h>

#include "rpc/limits.h"
#include "world.h"

namespace lts {
namespace {

class EdgeWorker : public ShellTest {};

TEST_F(EdgeWorker, ARoundOfLargeJobsGoesOutInMessagesThatFit) {
  Start();
  const std::string group = GroupIn(0);
  constexpr int kJobs = 300;  // 64 KiB each: more than one message may have
  for (int i = 0; i < kJobs; ++i) {
    v1::SubmitItem item = Job(group, "t" + std::to_string(i));
    item.mutable_job()->set_payload(std::string(std::size_t{64} << 10, 'x'));
    Accept(std::move(item));
  }
  const auto worker = Connect(group, kJobs);
  EXPECT_EQ(worker->Given().size(), static_cast<std::size_t>(kJobs));
  ASSERT_FALSE(worker->stream->sent.empty());
  EXPECT_EQ(worker->stream->sent.front().hello().code(), v1::OK);
  for (const v1::TrackerMessage& message : worker->stream->sent) {
    EXPECT_LE(message.ByteSizeLong(), 2 * rpc::kBatchBytes);
  }
  SucceedAll(*worker);
  EXPECT_EQ(worker->Acks().size(), static_cast<std::size_t>(kJobs));
}

TEST_F(EdgeWorker, OutcomesThatNoTaskTrackerDecidesAreDroppedAndAcknowledged) {
  Start();
  const std::string group = GroupIn(0);
  const std::string id = Accept(Job(group, "t"));
  const auto worker = Connect(group, 1);
  const v1::Assignment given = worker->Given().at(0);
  for (const int outcome : {0, 6, 8, 99}) {  // NONE, LOST, STALE, and one of the future
    Report(*worker, ResultOf(given, static_cast<v1::Outcome>(outcome)));
    EXPECT_EQ(View(id).attempts_size(), 1) << outcome;  // the one that runs
  }
  EXPECT_EQ(worker->Acks().size(), 4U);
  Report(*worker, ResultOf(given, v1::KILLED));
  const v1::JobView view = View(id);
  EXPECT_EQ(view.attempts(view.attempts_size() - 1).outcome(), v1::KILLED);
}

TEST_F(EdgeWorker, TimesOfAResultAreBroughtWithinBounds) {
  Start();
  const std::string group = GroupIn(0);
  for (const std::int64_t told : {INT64_MIN, INT64_MAX}) {
    v1::SubmitItem item = Job(group, "t" + std::to_string(told));
    item.mutable_job()->set_max_retry_times(1);
    const std::string id = Accept(std::move(item));
    const auto worker = Connect(group, 1);
    v1::AttemptResult result = ResultOf(worker->Given().at(0), v1::OUTCOME_EXECUTE_LATER);
    result.set_later_delay_ms(told);
    result.set_run_ms(told);
    result.set_ended_ago_ms(told);
    Report(*worker, result);
    const v1::JobView view = View(id);
    EXPECT_EQ(view.state(), v1::WAITING);
    EXPECT_GE(view.next_fire_ms(), clock.WallMs());
    EXPECT_LE(view.next_fire_ms(), clock.WallMs() + model::kJobDurationMsMax);
    ASSERT_EQ(view.attempts_size(), 1);
    EXPECT_LE(view.attempts(0).started_ms(), view.attempts(0).ended_ms());
    EXPECT_LE(view.attempts(0).ended_ms(), clock.WallMs());
    worker->connection->Closed();
  }
}

TEST_F(EdgeWorker, TheTextOfAResultIsCutAtACharacter) {
  Start();
  const std::string group = GroupIn(0);
  const std::string id = Accept(Job(group, "t"));
  const auto worker = Connect(group, 1);
  v1::AttemptResult result = ResultOf(worker->Given().at(0), v1::OUTCOME_EXECUTE_SUCCESS);
  std::string text = "x";
  std::string kept = "x";
  while (text.size() < 10'000) text += "ä";
  while (kept.size() + 2 <= 4'096) kept += "ä";
  result.set_message(text);
  Report(*worker, result);
  EXPECT_EQ(View(id).message(), kept);
}

TEST_F(EdgeWorker, AFeedbackStreamOfAGroupThatCannotBeIsClosed) {
  Start();
  EXPECT_TRUE(Listen("no group", 10)->stream->closed);
  EXPECT_FALSE(Listen("shop", 10)->stream->closed);
}

}  // namespace
}  // namespace lts

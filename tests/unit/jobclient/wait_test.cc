#include <gmock/gmock.h>

#include <thread>

#include "client_fixture.h"

namespace lts::jobclient {
namespace {

using testing::FakeTracker;

using WaitTest = ClientTest;

v1::WaitResponse NotEnded() {
  v1::WaitResponse response;
  response.set_code(v1::DEADLINE_EXCEEDED);
  return response;
}

v1::WaitResponse Ended() {
  v1::WaitResponse response;
  v1::JobView& job = *response.mutable_job();
  job.mutable_job()->set_job_id("id");
  job.mutable_job()->set_task_id("t");
  job.set_state(v1::SUCCEEDED);
  job.set_message("lines=7");
  v1::AttemptView& attempt = *job.add_attempts();
  attempt.set_attempt(1);
  attempt.set_outcome(v1::OUTCOME_EXECUTE_SUCCESS);
  attempt.mutable_token()->set_epoch(3);
  attempt.mutable_token()->set_sequence(9);
  attempt.set_started_ms(5'000);
  return response;
}

TEST_F(WaitTest, AsksAgainUntilTheJobHasEnded) {
  std::atomic<int> calls{0};
  tracker_.on_wait = [&](const v1::WaitRequest& request) {
    EXPECT_LE(request.timeout_ms(), 60'000);
    return ++calls < 3 ? NotEnded() : Ended();
  };
  const auto client = Open(Options());
  const auto view = client->Wait("id", std::chrono::hours(4));
  ASSERT_TRUE(view.ok()) << view.status().ToString();
  EXPECT_EQ(calls, 3);
  EXPECT_TRUE(view->succeeded());
  EXPECT_EQ(view->message, "lines=7");
  ASSERT_EQ(view->attempts.size(), 1U);
  EXPECT_EQ(view->attempts[0].token, "3-9");
  EXPECT_EQ(view->attempts[0].outcome, AttemptOutcome::kExecuteSuccess);
  EXPECT_EQ(view->attempts[0].started_at, SystemTime(std::chrono::seconds(5)));
  EXPECT_FALSE(view->attempts[0].ended_at);
}

TEST_F(WaitTest, ATimeOutSaysSo) {
  tracker_.on_wait = [&](const v1::WaitRequest&) { return NotEnded(); };
  const auto client = Open(Options());
  EXPECT_EQ(client->Wait("id", Milliseconds(5)).status().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(WaitTest, AnUnknownJobIsNotFoundAtOnce) {
  tracker_.on_wait = [&](const v1::WaitRequest&) {
    v1::WaitResponse response;
    response.set_code(v1::NOT_FOUND);
    return response;
  };
  const auto client = Open(Options());
  EXPECT_EQ(client->Wait("id", std::chrono::hours(1)).status().code(), StatusCode::kNotFound);
}

TEST_F(WaitTest, OutlivesAJobTrackerThatIsAwayForAWhile) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  tracker_.on_wait = [&](const v1::WaitRequest&) { return Ended(); };
  const auto client = Open(Options());
  std::thread waiter([&] { EXPECT_TRUE(client->Wait("id", std::chrono::hours(1)).ok()); });
  EXPECT_EQ(client->Submit(Task("t")).status().code(), StatusCode::kUnavailable);
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  waiter.join();
}

TEST_F(WaitTest, CloseEndsIt) {
  tracker_.SetMode(FakeTracker::Mode::kHold);
  std::atomic<bool> called{false};
  tracker_.on_wait = [&](const v1::WaitRequest&) {
    called = true;
    return Ended();
  };
  const auto client = Open(Options());
  std::thread waiter([&] {
    EXPECT_EQ(client->Wait("id", std::chrono::hours(1)).status().code(),
              StatusCode::kFailedPrecondition);
  });
  ASSERT_TRUE(tracker_.Await([&] { return called.load(); }));
  client->Close();
  waiter.join();
}

TEST_F(WaitTest, GetTellsOfTheTaskOrTheJob) {
  tracker_.on_get = [&](const v1::GetRequest& request) {
    v1::GetResponse response;
    if (request.job_id() == "gone") {
      response.set_code(v1::NOT_FOUND);
    } else {
      response.mutable_job()->mutable_job()->set_task_id(request.task_id());
      response.mutable_job()->set_next_fire_ms(1'500);
    }
    return response;
  };
  const auto client = Open(Options());
  const auto view = client->Get({"workers", "t"});
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->task_id, "t");
  EXPECT_EQ(view->next_fire_time, SystemTime(Milliseconds(1'500)));
  EXPECT_EQ(client->GetById("gone").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace lts::jobclient

#include "shell.h"

namespace lts::core {
namespace {

using model::JobState;
using model::Outcome;

class Finish : public testing::Test {
 protected:
  void SetUp() override { s.Load(); }
  Shell s;
};

TEST_F(Finish, SuccessEndsTheJobWithOneHistoryRowAndAnAck) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef ref = worker.given.at(0).ref;
  s.Succeed(worker, ref);
  EXPECT_EQ(worker.acks, std::vector<AttemptRef>{ref});
  ASSERT_EQ(s.History(id).size(), 1U);
  EXPECT_EQ(s.History(id)[0].state, JobState::kSucceeded);
  EXPECT_EQ(s.History(id)[0].token, ref.token);
  EXPECT_TRUE(s.Rows(id).empty());
}

TEST_F(Finish, RepeatedResultIsAcknowledgedAndChangesNothing) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef ref = worker.given.at(0).ref;
  s.Succeed(worker, ref);
  s.Report(worker, ref, Outcome::kExecuteFailed);
  EXPECT_EQ(worker.acks.size(), 2U);
  EXPECT_EQ(s.History(id).size(), 1U);
  EXPECT_EQ(s.core->Stats().stale_results, 1U);
}

TEST_F(Finish, FailedIsNeverRetried) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.max_retry_times = 3;
  const model::JobId id = s.Accept(spec);
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteFailed);
  EXPECT_EQ(s.EndOf(id), JobState::kFailed);
}

TEST_F(Finish, ExceptionWithoutRetriesIsFailedAndSaysWhy) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  EXPECT_EQ(s.EndOf(id), JobState::kFailed);
  EXPECT_NE(s.History(id)[0].message.find("maxRetryTimes"), std::string::npos);
}

TEST_F(Finish, RetriesFollowThePolicyAndThenTheJobIsDead) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.max_retry_times = 2;
  spec.retry = model::RetryPolicy{model::RetryPolicy::Kind::kLinear, 1'000, 60'000};
  const model::JobId id = s.Accept(spec);
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  s.Advance(999);
  EXPECT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(s.Codes(id), std::vector<std::string>{"RETRY_WAITS"});
  s.Advance(1);
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(worker.given[1].ref.attempt, 2);
  s.Report(worker, worker.given[1].ref, Outcome::kTimedOut);
  s.Advance(2'000);
  ASSERT_EQ(worker.given.size(), 3U);
  s.Report(worker, worker.given[2].ref, Outcome::kExecuteLater);
  EXPECT_EQ(s.EndOf(id), JobState::kDead);
  EXPECT_EQ(s.History(id).size(), 3U);
}

TEST_F(Finish, RetryKeepsItsPriority) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec urgent = Shell::Spec("a");
  urgent.priority = 1;
  urgent.max_retry_times = 1;
  const model::JobId id = s.Accept(urgent);
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  s.Accept(Shell::Spec("b"));  // takes the slot
  s.Accept(Shell::Spec("c"));
  s.Advance(2'000);
  s.Succeed(worker, worker.given.at(1).ref);
  EXPECT_EQ(worker.given.at(2).ref.key.id, id);
}

TEST_F(Finish, LaterWithADelayIsASnoozeThatDoesNotCount) {
  s.options.later_times_max = 2;
  s.Load();
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));  // without retries
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteLater, 3'000);
  s.Advance(2'999);
  EXPECT_EQ(worker.given.size(), 1U);
  s.Advance(1);
  s.Report(worker, worker.given.at(1).ref, Outcome::kExecuteLater, 10);
  s.Advance(10);
  EXPECT_EQ(s.Rows(id).at(0).retries, 0);
  s.Report(worker, worker.given.at(2).ref, Outcome::kExecuteLater, 10);
  EXPECT_EQ(s.EndOf(id), JobState::kDead);
}

TEST_F(Finish, JobThatKillsItsTaskTrackersEndsDead) {
  s.options.lost_times_max = 2;
  s.Load();
  const model::JobId id = s.Accept(Shell::Spec("a"));
  FakeWorker* worker = &s.Hello("w", 1, {}, {}, "1");
  ASSERT_EQ(worker->given.size(), 1U);
  s.Close(*worker);
  worker = &s.Hello("w", 1, {}, {}, "2");  // restarted: it knows nothing of the attempt
  ASSERT_EQ(worker->given.size(), 1U);
  EXPECT_EQ(worker->given[0].ref.attempt, 2);
  EXPECT_EQ(s.History(id).at(0).outcome, Outcome::kLost);
  s.Close(*worker);
  s.Hello("w", 1, {}, {}, "3");
  EXPECT_EQ(s.EndOf(id), JobState::kDead);
}

TEST_F(Finish, WhatWasLostBeforeIsMarkedBeforeItIsSent) {
  const model::JobId id = s.Accept(Shell::Spec("a"));
  FakeWorker* worker = &s.Hello("w", 1, {}, {}, "1");
  EXPECT_EQ(s.Rows(id).at(0).state, JobState::kWaiting);  // write-behind
  s.Advance(s.options.mark_delay_ms);
  EXPECT_EQ(s.Rows(id).at(0).state, JobState::kRunning);
  s.Close(*worker);
  worker = &s.Hello("w", 1, {}, {}, "2");
  EXPECT_EQ(s.Rows(id).at(0).state, JobState::kRunning);
  EXPECT_EQ(s.Rows(id).at(0).mark, worker->given.at(0).ref.token);
}

TEST_F(Finish, HandBackByDrainDoesNotCountAsLost) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  WorkerEvent goodbye;
  goodbye.stream = worker.stream;
  goodbye.goodbye = true;
  s.Handle(goodbye);
  EXPECT_TRUE(worker.closed);
  EXPECT_EQ(s.Rows(id).at(0).lost, 0);
  EXPECT_EQ(s.Hello("v", 1).given.at(0).ref.attempt, 1);
}

TEST_F(Finish, AtMostOnceIsMarkedFirstAndNotRunAgainWhenItsOutcomeIsUnknown) {
  model::JobSpec spec = Shell::Spec("a");
  spec.at_most_once = true;
  spec.max_retry_times = 5;
  const model::JobId id = s.Accept(spec);
  FakeWorker& worker = s.Hello("w", 1);
  EXPECT_EQ(s.Rows(id).at(0).mark, worker.given.at(0).ref.token);
  s.Load();
  s.Hello("w", 1);  // does not name it
  EXPECT_EQ(s.EndOf(id), JobState::kFailed);
  EXPECT_NE(s.History(id).back().message.find("outcome_unknown"), std::string::npos);
}

TEST_F(Finish, AtMostOnceIsRetriedAfterAReportedException) {
  model::JobSpec spec = Shell::Spec("a");
  spec.at_most_once = true;
  spec.max_retry_times = 1;
  s.Accept(spec);
  FakeWorker& worker = s.Hello("w", 1);
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  s.Advance(1'000);
  EXPECT_EQ(worker.given.size(), 2U);
}

TEST_F(Finish, ProgressBelongsToTheAttemptThatRuns) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.max_retry_times = 1;
  const model::JobId id = s.Accept(spec);
  const auto tell = [&](const AttemptRef& ref, int percent, const std::string& text) {
    WorkerEvent event;
    event.stream = worker.stream;
    event.progress.push_back({ref, percent, text});
    s.Handle(std::move(event));
  };
  const AttemptRef first = worker.given.at(0).ref;
  tell(first, 40, "some");
  tell(first, 170, "more");
  EXPECT_EQ(s.core->Find({id, 0})->progress_percent, 100);
  EXPECT_EQ(s.core->Find({id, 0})->progress_text, "more");
  s.Report(worker, first, Outcome::kExecuteException);
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 2U);
  tell(first, 40, "late");
  EXPECT_EQ(s.core->Find({id, 0})->progress_percent, -1);
  EXPECT_EQ(s.core->Find({id, 0})->progress_text, "");
}

TEST_F(Finish, OneThatDoesNotStopAtItsTimeOutIsExplained) {
  s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.timeout_ms = 500;
  const model::JobId id = s.Accept(spec);
  s.Advance(400);
  EXPECT_EQ(s.Codes(id), (std::vector<std::string>{"RUNNING"}));
  s.Advance(400);
  EXPECT_EQ(s.Codes(id), (std::vector<std::string>{"RUNNING", "OUT_OF_TIME"}));
}

TEST_F(Finish, ASnoozeBeyondItsExpiryExpires) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.expires_in_ms = 10'000;
  const model::JobId id = s.Accept(spec);
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteLater, 9'000);
  EXPECT_EQ(s.EndOf(id), JobState::kWaiting);
  s.Advance(9'000);
  s.Report(worker, worker.given.at(1).ref, Outcome::kExecuteLater, 9'000);
  EXPECT_EQ(s.EndOf(id), JobState::kExpired);
}

TEST_F(Finish, TimesToldByATaskTrackerStayBetweenAcceptanceAndNow) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const TimeMs accepted = s.clock.wall_ms;
  s.Advance(1'000);
  AttemptResult result = Shell::ResultOf(worker.given.at(0).ref, Outcome::kExecuteSuccess);
  result.ended_ago_ms = 10LL * 365 * 86'400'000;
  result.run_ms = INT64_MAX;
  WorkerEvent event;
  event.stream = worker.stream;
  event.results.push_back(result);
  s.Handle(std::move(event));
  EXPECT_EQ(s.History(id).at(0).ended_ms, accepted);
  EXPECT_EQ(s.History(id).at(0).started_ms, accepted);
}

// ---- cancel

TEST_F(Finish, CancelOfAWaitingJobEndsIt) {
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const OperateReply reply = s.Cancel("a");
  EXPECT_EQ(reply.code, StatusCode::kOk);
  EXPECT_EQ(reply.state, JobState::kCancelled);
  EXPECT_EQ(s.EndOf(id), JobState::kCancelled);
  EXPECT_EQ(s.Cancel("a").code, StatusCode::kNotFound);
}

TEST_F(Finish, CancelOfAnExecutingJobIsDurableAndStopsIt) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.max_retry_times = 3;
  const model::JobId id = s.Accept(spec);
  EXPECT_EQ(s.Cancel("a", id).state, JobState::kRunning);
  EXPECT_TRUE(s.Rows(id).at(0).cancel_requested);
  ASSERT_EQ(worker.stops.size(), 1U);
  EXPECT_EQ(s.Codes(id), (std::vector<std::string>{"RUNNING", "CANCEL_REQUESTED"}));
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  EXPECT_EQ(s.EndOf(id), JobState::kCancelled);
}

TEST_F(Finish, CancelledJobThatSucceedsHasSucceeded) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  s.Cancel("a");
  s.Succeed(worker, worker.given.at(0).ref);
  EXPECT_EQ(s.EndOf(id), JobState::kSucceeded);
}

TEST_F(Finish, CancelIsSentAgainAfterATakeover) {
  FakeWorker* worker = &s.Hello("w", 1);
  s.Accept(Shell::Spec("a"));
  const AttemptRef ref = worker->given.at(0).ref;
  s.Cancel("a");
  s.Load();
  worker = &s.Hello("w", 1, {ref});
  EXPECT_EQ(worker->stops, std::vector<AttemptRef>{ref});
}

// ---- order and run keys

TEST_F(Finish, OrderIsPriorityThenDueTimeThenSubmitOrder) {
  model::JobSpec low = Shell::Spec("low");
  low.priority = 500;
  model::JobSpec urgent = Shell::Spec("urgent");
  urgent.priority = -3;
  const model::JobId a = s.Accept(low);
  const model::JobId b = s.Accept(Shell::Spec("b"));
  const model::JobId c = s.Accept(Shell::Spec("c"));
  model::JobSpec earlier = Shell::Spec("d");
  earlier.trigger_time_ms = s.clock.wall_ms - 60'000;
  const model::JobId d = s.Accept(earlier);
  const model::JobId e = s.Accept(urgent);  // the last to come overtakes at once
  FakeWorker& worker = s.Hello("w", 5);
  std::vector<model::JobId> order;
  for (const Assignment& given : worker.given) order.push_back(given.ref.key.id);
  EXPECT_EQ(order, (std::vector<model::JobId>{e, d, b, c, a}));
}

TEST_F(Finish, CreditsAreNeverExceeded) {
  FakeWorker& worker = s.Hello("w", 3);
  for (int i = 0; i < 10; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  EXPECT_EQ(worker.given.size(), 3U);
  s.Succeed(worker, worker.given[1].ref);
  EXPECT_EQ(worker.given.size(), 4U);
}

TEST_F(Finish, JobBetweenAttemptsKeepsItsRunKey) {
  FakeWorker& worker = s.Hello("w", 2);
  model::JobSpec spec = Shell::Spec("a");
  spec.max_retry_times = 1;
  s.Accept(spec);
  const model::JobId second = s.Accept(Shell::Spec("a"));  // the first executes: it may wait
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  EXPECT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(s.Codes(second), std::vector<std::string>{"RUN_KEY_BUSY"});
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(worker.given[1].ref.attempt, 2);
  s.Succeed(worker, worker.given[1].ref);
  ASSERT_EQ(worker.given.size(), 3U);
  EXPECT_EQ(worker.given[2].ref.key.id, second);
}

TEST_F(Finish, OneThatWaitsForItsRunKeyCostsNeitherASlotNorACommit) {
  FakeWorker& worker = s.Hello("w", 2);
  s.Accept(Shell::Spec("a"));
  const model::JobId second = s.Accept(Shell::Spec("a"));
  s.Advance(s.options.mark_delay_ms);  // the one that runs is marked
  const std::uint64_t commits = s.lease.commit_no;
  for (int i = 0; i < 60; ++i) {
    s.Advance(1'000);
    s.Heartbeat(worker);
  }
  EXPECT_EQ(s.lease.commit_no, commits);
  EXPECT_EQ(worker.given.size(), 1U);
  const model::JobId other = s.Accept(Shell::Spec("b"));
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(worker.given[1].ref.key.id, other);
  s.Succeed(worker, AttemptRef(worker.given[0].ref));
  ASSERT_EQ(worker.given.size(), 3U);
  EXPECT_EQ(worker.given[2].ref.key.id, second);
}

TEST_F(Finish, NoJobStartsBeforeItsTime) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.trigger_delay_ms = 10'000;
  const model::JobId id = s.Accept(spec);
  s.Advance(9'999);
  EXPECT_TRUE(worker.given.empty());
  EXPECT_EQ(s.Codes(id), std::vector<std::string>{"NOT_DUE"});
  s.Advance(1);
  EXPECT_EQ(worker.given.size(), 1U);
}

TEST_F(Finish, ExplainSaysWhoIsMissing) {
  const model::JobId a = s.Accept(Shell::Spec("a"));
  EXPECT_EQ(s.Codes(a), std::vector<std::string>{"NO_TASKTRACKER"});
  s.Hello("w", 1);
  const model::JobId b = s.Accept(Shell::Spec("b"));
  EXPECT_EQ(s.Codes(a), std::vector<std::string>{"RUNNING"});
  EXPECT_EQ(s.Codes(b), std::vector<std::string>{"NO_FREE_SLOT"});
  s.Load();
  EXPECT_EQ(s.Codes(b), std::vector<std::string>{"WAITING_FOR_WORKERS"});
}

}  // namespace
}  // namespace lts::core

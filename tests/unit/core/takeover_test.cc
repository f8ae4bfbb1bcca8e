#include "shell.h"

namespace lts::core {
namespace {

using model::JobState;
using model::Outcome;

class Takeover : public testing::Test {
 protected:
  void SetUp() override { s.Load(); }
  Shell s;
};

TEST_F(Takeover, UnmarkedRunningJobIsAdoptedAndNotDispatchedAgain) {
  FakeWorker* worker = &s.Hello("w", 2);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef ref = worker->given.at(0).ref;
  s.Load();
  worker = &s.Hello("w", 2, {ref});
  EXPECT_TRUE(worker->given.empty());
  EXPECT_TRUE(worker->stops.empty());
  s.Succeed(*worker, ref);
  EXPECT_EQ(s.EndOf(id), JobState::kSucceeded);
}

TEST_F(Takeover, ResultInTheHelloCounts) {
  FakeWorker* worker = &s.Hello("w", 2);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef ref = worker->given.at(0).ref;
  s.Load();
  worker = &s.Hello("w", 2, {}, {Shell::ResultOf(ref, Outcome::kExecuteSuccess)});
  EXPECT_EQ(s.EndOf(id), JobState::kSucceeded);
  EXPECT_EQ(worker->acks, std::vector<AttemptRef>{ref});
}

TEST_F(Takeover, GroupOpensWhenEveryRecordedTaskTrackerHasSaidHello) {
  s.Hello("v", 1);
  s.Hello("w", 1);
  const model::JobId old = s.Accept(Shell::Spec("a"));  // runs at one of them, unmarked
  const AttemptRef ref = s.workers["v"].given.empty() ? s.workers["w"].given.at(0).ref
                                                      : s.workers["v"].given.at(0).ref;
  const std::string runs_at = s.workers["v"].given.empty() ? "w" : "v";
  const std::string other = runs_at == "v" ? "w" : "v";
  s.Load();
  EXPECT_TRUE(s.Hello(other, 1).given.empty());
  const model::JobId fresh = s.Accept(Shell::Spec("b"));  // submitted since: does not wait
  ASSERT_EQ(s.workers[other].given.size(), 1U);
  EXPECT_EQ(s.workers[other].given[0].ref.key.id, fresh);
  s.Hello(runs_at, 1, {ref});
  EXPECT_TRUE(s.workers[runs_at].given.empty());
  EXPECT_EQ(s.core->Find({old, 0})->worker, runs_at);
}

TEST_F(Takeover, GroupOpensWhenTheLeaseOfTheMissingOneHasEnded) {
  s.Hello("w", 1);
  s.Accept(Shell::Spec("a"));
  s.Load();
  FakeWorker& other = s.Hello("v", 1);
  for (int i = 0; i < 24; ++i) {
    s.Advance(1'000);
    s.Heartbeat(other);
  }
  EXPECT_TRUE(other.given.empty());
  s.Advance(1'000);
  EXPECT_EQ(other.given.size(), 1U);
}

TEST_F(Takeover, NewOneOfATaskThatMayRunWaitsForTheOpening) {
  FakeWorker* worker = &s.Hello("w", 2);
  model::JobSpec spec = Shell::Spec("a");
  s.Accept(spec);
  const AttemptRef ref = worker->given.at(0).ref;
  s.Load();
  const SubmitReply none = s.Submit(spec);  // duplicate or not: it depends on what runs
  EXPECT_EQ(none.request, 0U);
  worker = &s.Hello("w", 2, {ref});
  ASSERT_EQ(s.submit_replies.size(), 1U);
  EXPECT_EQ(s.submit_replies[0].outcome, SubmitOutcome::kAccepted);
  EXPECT_TRUE(worker->given.empty());
}

TEST_F(Takeover, FireOfATaskThatMayRunWaitsForTheOpening) {
  s.clock.wall_ms += 500;
  FakeWorker* worker = &s.Hello("w", 2);
  model::JobSpec schedule = Shell::Spec("a");
  schedule.cron = "* * * * * ?";
  s.Accept(schedule);
  s.Accept(Shell::Spec("a"));  // a one-shot beside it, which runs
  const AttemptRef ref = worker->given.at(0).ref;
  s.Load();
  FakeWorker& other = s.Hello("v", 5);
  s.Advance(600);  // a fire
  EXPECT_TRUE(other.given.empty());
  worker = &s.Hello("w", 2, {ref});
  EXPECT_TRUE(other.given.empty());
  s.Succeed(*worker, ref);
  EXPECT_EQ(other.given.size() + worker->given.size(), 1U);
}

TEST_F(Takeover, RetryOfAnOldJobIsNotHeldBackByOthersThatAreMissing) {
  s.Hello("v", 1);
  s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.max_retry_times = 1;
  s.Accept(spec);
  FakeWorker* worker = s.workers["v"].given.empty() ? &s.workers["w"] : &s.workers["v"];
  const std::string name = worker->identity;
  const AttemptRef ref = worker->given.at(0).ref;
  s.Load();
  worker = &s.Hello(name, 1, {}, {Shell::ResultOf(ref, Outcome::kExecuteException)});
  s.Advance(1'000);
  ASSERT_EQ(worker->given.size(), 1U);
  EXPECT_EQ(worker->given[0].ref.attempt, 2);
}

TEST_F(Takeover, CleanReleaseOpensAtOnce) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId running = s.Accept(Shell::Spec("a"));
  s.Accept(Shell::Spec("b"));
  const AttemptRef ref = worker.given.at(0).ref;
  s.Load(/*clean=*/true);
  FakeWorker& other = s.Hello("v", 5);
  ASSERT_EQ(other.given.size(), 1U);  // "b"; the marked one is known to run at w
  EXPECT_NE(other.given[0].ref.key.id, running);
  EXPECT_EQ(s.core->Find({running, 0})->token, ref.token);
}

TEST_F(Takeover, ReleaseBeforeEveryoneHasSaidHelloIsNotClean) {
  s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef ref = s.workers["w"].given.at(0).ref;
  s.Load();
  s.Load(/*clean=*/true);  // w has not come yet: what it runs is not marked
  EXPECT_TRUE(s.Hello("v", 5).given.empty());
  s.Hello("w", 1, {ref});
  s.Succeed(s.workers["w"], ref);
  EXPECT_EQ(s.EndOf(id), JobState::kSucceeded);
}

TEST_F(Takeover, NewcomerIsToldToStopWhatItListsAndItsResultsAreStale) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef ref = worker.given.at(0).ref;
  s.Advance(26'000);  // silent for longer than lease and grace: lost
  EXPECT_EQ(s.History(id).at(0).outcome, Outcome::kLost);
  FakeWorker& back = s.Hello("w", 1, {ref}, {});
  EXPECT_EQ(back.stops, std::vector<AttemptRef>{ref});
  ASSERT_EQ(back.given.size(), 1U);
  EXPECT_EQ(back.given[0].ref.attempt, 2);
  s.Succeed(back, ref);  // of the attempt that was lost
  EXPECT_EQ(s.EndOf(id), JobState::kWaiting);
}

TEST_F(Takeover, ResultOfOneDeclaredLostDoesNotEndWhatAnotherWasGiven) {
  s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef first = s.workers["w"].given.at(0).ref;
  s.Load();           // unmarked: the new owner does not know that it runs
  s.Advance(26'000);  // and w does not come in time
  FakeWorker& other = s.Hello("v", 1);
  ASSERT_EQ(other.given.size(), 1U);
  ASSERT_EQ(other.given[0].ref.attempt, first.attempt);  // the same number, another token
  const AttemptRef second = other.given[0].ref;
  s.Load();  // unmarked again
  s.Hello("w", 1, {}, {Shell::ResultOf(first, Outcome::kExecuteFailed)});
  EXPECT_EQ(s.EndOf(id), JobState::kWaiting);
  s.Hello("v", 1, {second});
  s.Succeed(s.workers["v"], second);
  EXPECT_EQ(s.EndOf(id), JobState::kSucceeded);
}

TEST_F(Takeover, HelloAgainOfTheSameProcessHandsBackWhatNeverArrived) {
  FakeWorker* worker = &s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef ref = worker->given.at(0).ref;
  worker = &s.Hello("w", 1);  // a new stream; names nothing
  ASSERT_EQ(worker->given.size(), 1U);
  EXPECT_EQ(worker->given[0].ref.key.id, id);
  EXPECT_EQ(worker->given[0].ref.attempt, 1);
  EXPECT_GT(worker->given[0].ref.token, ref.token);
}

TEST_F(Takeover, OvertakenHelloIsRefused) {
  FakeWorker& worker = s.Hello("w", 1);
  s.Accept(Shell::Spec("a"));
  ASSERT_EQ(worker.given.size(), 1U);
  HelloEvent late;
  late.stream = 99;
  late.group = "g";
  late.identity = "w";
  late.incarnation = "1";
  late.number = 1;  // the first of the process, on a stream that only now got through
  late.capacity = 1;
  s.Handle(late);
  EXPECT_FALSE(worker.closed);
  EXPECT_EQ(s.core->Stats().undelivered, 0U);
}

TEST_F(Takeover, SecondProcessOfOneNameIsRefusedWhileTheFirstIsConnected) {
  s.Hello("w", 1, {}, {}, "1");
  EXPECT_TRUE(s.Hello("w", 1, {}, {}, "2").refused);
}

TEST_F(Takeover, HeartbeatsKeepTheLease) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  for (int i = 0; i < 60; ++i) {
    s.Advance(1'000);
    s.Heartbeat(worker);
  }
  EXPECT_EQ(s.heartbeats_answered, 60U);
  EXPECT_TRUE(s.core->Find({id, 0})->executing);
}

TEST_F(Takeover, OneThatCameBackInTimeIsNotDeclaredLostLater) {
  FakeWorker* worker = &s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef ref = worker->given.at(0).ref;
  s.Close(*worker);
  s.Advance(15'000);
  worker = &s.Hello("w", 1, {ref});
  for (int i = 0; i < 60; ++i) {
    s.Advance(1'000);
    s.Heartbeat(*worker);
  }
  EXPECT_TRUE(s.core->Find({id, 0})->executing);
  s.Succeed(*worker, ref);
  ASSERT_EQ(s.History(id).size(), 1U);
  EXPECT_EQ(s.EndOf(id), JobState::kSucceeded);
}

// ---- feedback

TEST_F(Takeover, FeedbackIsKeptUntilItIsAcknowledged) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.need_feedback = true;
  const model::JobId id = s.Accept(spec);
  s.Succeed(worker, worker.given.at(0).ref);
  EXPECT_TRUE(s.feedback.empty());
  s.Handle(FeedbackHelloEvent{50, "clients", 10});
  ASSERT_EQ(s.feedback.size(), 1U);
  s.Handle(FeedbackClosedEvent{50});  // died without a word
  s.Load();
  s.Handle(FeedbackHelloEvent{51, "clients", 10});
  ASSERT_EQ(s.feedback.size(), 2U);
  EXPECT_EQ(s.feedback[1].first, 51U);
  EXPECT_EQ(s.feedback[1].second.key.id, id);
  FeedbackAckEvent ack;
  ack.stream = 51;
  ack.acks.push_back({{id, 0}, 1, /*again=*/true});
  s.Handle(ack);
  s.Advance(s.options.feedback_retry_ms - 1);
  EXPECT_EQ(s.feedback.size(), 2U);
  s.Advance(1);
  ASSERT_EQ(s.feedback.size(), 3U);
  ack.acks[0].again = false;
  s.Handle(ack);
  EXPECT_TRUE(s.store->LoadFeedbackGroups(0).value().empty());
}

TEST_F(Takeover, ResultIsAcknowledgedWhoeverTakesItsFeedback) {
  FakeWorker& worker = s.Hello("w", 1);
  s.Handle(FeedbackHelloEvent{50, "clients", 1});  // takes one, and says nothing
  for (std::size_t i = 0; i < 3; ++i) {
    model::JobSpec spec = Shell::Spec("t" + std::to_string(i));
    spec.need_feedback = true;
    s.Accept(spec);
    s.Succeed(worker, AttemptRef(worker.given.at(i).ref));
    EXPECT_EQ(worker.acks.size(), i + 1);
  }
  EXPECT_EQ(s.feedback.size(), 1U);
}

TEST_F(Takeover, FeedbackThatIsRefusedWaitsLongerEachTimeAndHoldsUpNoOther) {
  s.options.feedback_retry_ms = 1'000;
  s.Load();
  FakeWorker& worker = s.Hello("w", 1);
  s.Handle(FeedbackHelloEvent{50, "clients", 1});
  std::vector<model::JobId> ids;
  for (const char* task : {"bad", "good"}) {
    model::JobSpec spec = Shell::Spec(task);
    spec.need_feedback = true;
    ids.push_back(s.Accept(spec));
    s.Succeed(worker, AttemptRef(worker.given.back().ref));
  }
  const auto answer = [&](const model::JobId& id, bool again) {
    FeedbackAckEvent ack;
    ack.stream = 50;
    ack.acks.push_back({{id, 0}, 1, again});
    s.Handle(ack);
  };
  ASSERT_EQ(s.feedback.size(), 1U);
  answer(ids[0], /*again=*/true);
  ASSERT_EQ(s.feedback.size(), 2U);
  EXPECT_EQ(s.feedback[1].second.key.id, ids[1]);
  answer(ids[1], /*again=*/false);
  for (const DurationMs wait : {1'000, 2'000, 4'000}) {
    const std::size_t before = s.feedback.size();
    s.Advance(wait - 1);
    EXPECT_EQ(s.feedback.size(), before);
    s.Advance(1);
    ASSERT_EQ(s.feedback.size(), before + 1);
    answer(ids[0], /*again=*/true);
  }
}

TEST_F(Takeover, FeedbackIsOfferedToOneStreamWithinItsWindow) {
  FakeWorker& worker = s.Hello("w", 5);
  s.Handle(FeedbackHelloEvent{50, "clients", 2});
  s.Handle(FeedbackHelloEvent{51, "clients", 2});
  for (int i = 0; i < 5; ++i) {
    model::JobSpec spec = Shell::Spec("t" + std::to_string(i));
    spec.need_feedback = true;
    s.Accept(spec);
    s.Succeed(worker, worker.given.back().ref);
  }
  ASSERT_EQ(s.feedback.size(), 2U);
  for (const auto& [stream, row] : s.feedback) EXPECT_EQ(stream, 50U);
}

}  // namespace
}  // namespace lts::core

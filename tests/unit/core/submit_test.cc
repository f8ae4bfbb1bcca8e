#include "shell.h"

namespace lts::core {
namespace {

using model::JobState;
using model::Outcome;

class Submit : public testing::Test {
 protected:
  void SetUp() override { s.Load(); }
  Shell s;
};

TEST_F(Submit, AcceptedJobIsInTheStoreBeforeItIsAnswered) {
  const SubmitReply reply = s.Submit(Shell::Spec("a"));
  EXPECT_EQ(reply.code, StatusCode::kOk);
  EXPECT_EQ(reply.outcome, SubmitOutcome::kAccepted);
  ASSERT_EQ(s.Rows(reply.id).size(), 1U);
  EXPECT_EQ(s.Rows(reply.id)[0].due_ms, s.clock.wall_ms);
}

TEST_F(Submit, SecondWaitingOneOfATaskIsADuplicateOfTheFirst) {
  const model::JobId first = s.Accept(Shell::Spec("a"));
  const SubmitReply second = s.Submit(Shell::Spec("a"));
  EXPECT_EQ(second.code, StatusCode::kOk);
  EXPECT_EQ(second.outcome, SubmitOutcome::kDuplicate);
  EXPECT_EQ(second.id, first);
}

TEST_F(Submit, DuplicateIsRefusedWhenItIsToFail) {
  const model::JobId first = s.Accept(Shell::Spec("a"));
  model::JobSpec spec = Shell::Spec("a");
  spec.fail_if_exists = true;
  const SubmitReply second = s.Submit(spec);
  EXPECT_EQ(second.code, StatusCode::kAlreadyExists);
  EXPECT_EQ(second.id, first);
}

TEST_F(Submit, SameIdAgainGivesTheSameAnswerWhileItWaits) {
  const model::JobId id = s.NewId();
  EXPECT_EQ(s.SubmitAs(id, Shell::Spec("a"), false).code, StatusCode::kOk);
  const SubmitReply again = s.SubmitAs(id, Shell::Spec("a"), true);
  EXPECT_EQ(again.code, StatusCode::kOk);
  EXPECT_EQ(again.outcome, SubmitOutcome::kAccepted);
  EXPECT_EQ(s.Rows(id).size(), 1U);
}

TEST_F(Submit, SameIdAgainAfterItsEndMakesNoSecondJob) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  s.Succeed(worker, worker.given.at(0).ref);
  ASSERT_EQ(s.EndOf(id), JobState::kSucceeded);
  const SubmitReply again = s.SubmitAs(id, Shell::Spec("a"), true);
  EXPECT_EQ(again.code, StatusCode::kOk);
  EXPECT_TRUE(s.Rows(id).empty());
}

TEST_F(Submit, LateFirstCopyAfterTheMarkedOneEndedMakesNoSecondJob) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.NewId();
  s.SubmitAs(id, Shell::Spec("a"), true);
  s.Succeed(worker, worker.given.at(0).ref);
  ASSERT_EQ(s.EndOf(id), JobState::kSucceeded);
  s.Advance(1'000);
  EXPECT_EQ(s.SubmitAs(id, Shell::Spec("a"), false).code, StatusCode::kOk);
  EXPECT_TRUE(s.Rows(id).empty());
}

TEST_F(Submit, LateFirstCopyAtALaterOwnerMakesNoSecondJob) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  s.Succeed(worker, worker.given.at(0).ref);
  s.Load();
  EXPECT_EQ(s.SubmitAs(id, Shell::Spec("a"), false).code, StatusCode::kOk);
  EXPECT_TRUE(s.Rows(id).empty());
}

TEST_F(Submit, FreshIdsCostNoLookUp) {
  const std::uint64_t before = s.core->Stats().lookups;
  s.Accept(Shell::Spec("a"));
  s.Accept(Shell::Spec("b"));
  EXPECT_EQ(s.core->Stats().lookups, before);
}

TEST_F(Submit, IdsOutsideTheHorizonAreTooOldForGood) {
  const model::JobId old = s.NewId();
  s.clock.wall_ms += s.options.dedup_horizon_ms + 1;
  EXPECT_EQ(s.SubmitAs(old, Shell::Spec("a"), true).code, StatusCode::kTooOld);
  const model::JobId future = *model::JobId::Parse(s.ids.Next(s.clock.wall_ms + 3'600'001));
  EXPECT_EQ(s.SubmitAs(future, Shell::Spec("a"), false).code, StatusCode::kTooOld);
}

TEST_F(Submit, ReplaceEndsTheWaitingOne) {
  const model::JobId first = s.Accept(Shell::Spec("a"));
  model::JobSpec spec = Shell::Spec("a");
  spec.replace_on_exist = true;
  const SubmitReply second = s.Submit(spec);
  EXPECT_EQ(second.outcome, SubmitOutcome::kReplaced);
  EXPECT_EQ(s.EndOf(first), JobState::kReplaced);
  EXPECT_EQ(s.Rows(second.id).size(), 1U);
}

TEST_F(Submit, ReplaceNeverTouchesAnExecutingAttempt) {
  FakeWorker& worker = s.Hello("w", 2);
  const model::JobId first = s.Accept(Shell::Spec("a"));
  model::JobSpec spec = Shell::Spec("a");
  spec.replace_on_exist = true;
  const SubmitReply second = s.Submit(spec);
  EXPECT_EQ(second.outcome, SubmitOutcome::kAccepted);
  EXPECT_EQ(worker.given.size(), 1U);  // the second waits for the run key
  s.Succeed(worker, worker.given[0].ref);
  EXPECT_EQ(s.EndOf(first), JobState::kSucceeded);
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(worker.given[1].ref.key.id, second.id);
}

TEST_F(Submit, ReplaceEndsTheOneBetweenAttempts) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.max_retry_times = 3;
  const model::JobId first = s.Accept(spec);
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  spec.replace_on_exist = true;
  const SubmitReply second = s.Submit(spec);
  EXPECT_EQ(second.outcome, SubmitOutcome::kReplaced);
  EXPECT_EQ(s.EndOf(first), JobState::kReplaced);
  EXPECT_EQ(worker.given.back().ref.key.id, second.id);
}

TEST_F(Submit, ReplaceIsRefusedOnTheOtherKind) {
  model::JobSpec schedule = Shell::Spec("a");
  schedule.cron = "0 0 0 1 1 ?";
  s.Accept(schedule);
  model::JobSpec one_shot = Shell::Spec("a");
  one_shot.replace_on_exist = true;
  EXPECT_EQ(s.Submit(one_shot).code, StatusCode::kAlreadyExists);
  one_shot.replace_on_exist = false;
  const model::JobId beside = s.Accept(one_shot);  // shares the task id, and the run key
  EXPECT_EQ(s.Rows(beside).size(), 1U);

  s.Accept(Shell::Spec("b"));
  schedule.task_id = "b";
  schedule.replace_on_exist = true;
  EXPECT_EQ(s.Submit(schedule).code, StatusCode::kAlreadyExists);
}

TEST_F(Submit, ReplacedScheduleTakesItsWaitingOccurrencesAlong) {
  model::JobSpec schedule = Shell::Spec("a");
  schedule.repeat_interval_ms = 1'000;
  schedule.repeat_count = 1;
  const model::JobId first = s.Accept(schedule);
  s.Tick();
  ASSERT_EQ(s.Rows(first).size(), 1U);
  schedule.replace_on_exist = true;
  const SubmitReply second = s.Submit(schedule);
  EXPECT_EQ(second.outcome, SubmitOutcome::kReplaced);
  EXPECT_TRUE(s.Rows(first).empty());
  EXPECT_FALSE(s.store->FindSchedule(first).value().has_value());
  EXPECT_TRUE(s.store->FindSchedule(second.id).value().has_value());
}

TEST_F(Submit, OperationsOfOneTaskAreDecidedInOrderBehindALookUp) {
  s.hold_reads = true;
  const model::JobId id = s.NewId();
  s.SubmitAs(id, Shell::Spec("a"), true);  // asks the store
  s.submit_replies.clear();
  const SubmitReply later = s.Submit(Shell::Spec("a"));
  EXPECT_EQ(later.request, 0U);  // not answered yet
  s.AnswerReads();
  ASSERT_EQ(s.submit_replies.size(), 2U);
  EXPECT_EQ(s.submit_replies[0].outcome, SubmitOutcome::kAccepted);
  EXPECT_EQ(s.submit_replies[1].outcome, SubmitOutcome::kDuplicate);
  EXPECT_EQ(s.submit_replies[1].id, id);
}

TEST_F(Submit, ExpiredBeforeItsStartIsNotRun) {
  model::JobSpec spec = Shell::Spec("a");
  spec.expires_in_ms = 5'000;
  const model::JobId id = s.Accept(spec);
  s.Advance(4'999);
  EXPECT_EQ(s.Rows(id).size(), 1U);
  s.Advance(1);
  EXPECT_EQ(s.EndOf(id), JobState::kExpired);
  EXPECT_TRUE(s.Hello("w", 1).given.empty());
}

class Window : public testing::Test {
 protected:
  void SetUp() override {
    s.options.window_max = 4;
    s.Load();
  }
  Shell s;
};

TEST_F(Window, MemoryIsBoundedAndOrderIsKeptBeyondIt) {
  std::vector<model::JobId> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(s.Accept(Shell::Spec("t" + std::to_string(i))));
  EXPECT_LE(s.core->Stats().jobs_in_memory, 10U);
  FakeWorker& worker = s.Hello("w", 1);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ASSERT_EQ(worker.given.size(), i + 1);
    EXPECT_EQ(worker.given[i].ref.key.id, ids[i]) << i;
    s.Succeed(worker, worker.given[i].ref);
  }
  EXPECT_EQ(s.core->Stats().jobs_in_memory, 0U);
}

TEST_F(Window, WhileAllSlotsAreBusyNothingIsReadAgain) {
  for (int i = 0; i < 40; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  FakeWorker& worker = s.Hello("w", 1);
  const std::uint64_t refills = s.core->Stats().refills;
  for (int i = 0; i < 60; ++i) {
    s.Advance(1'000);
    s.Heartbeat(worker);
  }
  EXPECT_EQ(s.core->Stats().refills, refills);
  EXPECT_EQ(worker.given.size(), 1U);
}

TEST_F(Window, AnUrgentJobOvertakesAFullOneAtOnce) {
  FakeWorker& worker = s.Hello("w", 1);
  for (int i = 0; i < 40; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  model::JobSpec urgent = Shell::Spec("urgent");
  urgent.priority = 1;
  const model::JobId id = s.Accept(urgent);
  s.Succeed(worker, AttemptRef(worker.given.at(0).ref));
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(worker.given[1].ref.key.id, id);
}

TEST_F(Window, DuplicateOfAJobBeyondItIsFound) {
  for (int i = 0; i < 50; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  EXPECT_EQ(s.Submit(Shell::Spec("t49")).outcome, SubmitOutcome::kDuplicate);
  EXPECT_EQ(s.Cancel("t48").code, StatusCode::kOk);
}

TEST_F(Window, JobThatSharesItsTaskDoesNotOvertakeThoseInTheStore) {
  FakeWorker& worker = s.Hello("w", 1);
  s.Accept(Shell::Spec("t0"));  // runs
  std::vector<model::JobId> ids;
  for (int i = 1; i < 40; ++i) ids.push_back(s.Accept(Shell::Spec("t" + std::to_string(i))));
  ids.push_back(s.Accept(Shell::Spec("t0")));  // held in memory for its run key
  s.Succeed(worker, worker.given.at(0).ref);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ASSERT_EQ(worker.given.size(), i + 2);
    EXPECT_EQ(worker.given[i + 1].ref.key.id, ids[i]);
    s.Succeed(worker, worker.given[i + 1].ref);
  }
}

TEST_F(Window, ClockThatWentBackLosesNothingAndReadsNoMoreThanItMust) {
  for (int i = 0; i < 40; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  s.clock.wall_ms -= 30'000;
  FakeWorker& worker = s.Hello("w", 100);
  for (int i = 0; i < 40; ++i) {
    s.Advance(1'000);
    s.Heartbeat(worker);
  }
  EXPECT_EQ(worker.given.size(), 40U);
  EXPECT_LT(s.core->Stats().refills, 200U);
}

TEST_F(Window, RestartWithAClockThatIsBehindLosesNothing) {
  for (int i = 0; i < 10; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  s.clock.wall_ms -= 20'000;
  s.Load();
  FakeWorker& worker = s.Hello("w", 100);
  for (int i = 0; i < 120; ++i) {
    s.Advance(1'000);
    s.Heartbeat(worker);
  }
  EXPECT_EQ(worker.given.size(), 10U);
}

TEST_F(Window, LaterDueTimesBeyondItComeInTime) {
  FakeWorker& worker = s.Hello("w", 100);
  for (int i = 0; i < 40; ++i) {
    model::JobSpec spec = Shell::Spec("t" + std::to_string(i));
    spec.trigger_delay_ms = 1'000 * (40 - i);
    s.Accept(spec);
  }
  EXPECT_LE(s.core->Stats().jobs_in_memory, 10U);
  for (std::size_t i = 1; i <= 40; ++i) {
    s.Heartbeat(worker);
    s.Advance(999);
    EXPECT_EQ(worker.given.size(), i - 1);
    s.Advance(1);
    EXPECT_EQ(worker.given.size(), i);
  }
}

TEST_F(Submit, NewIdThatComesAgainUnmarkedAfterItsJobHasEndedIsTheSameJob) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  s.Succeed(worker, AttemptRef(worker.given.at(0).ref));
  s.Advance(4'000);
  const SubmitReply again = s.SubmitAs(id, Shell::Spec("a"), false);
  EXPECT_EQ(again.code, StatusCode::kOk);
  EXPECT_EQ(again.id, id);
  EXPECT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(s.History(id).size(), 1U);
}

// Its clock is ahead: it counts as new only when its job has ended long ago.
TEST_F(Submit, IdOfAClockThatIsAheadThatComesAgainUnmarkedIsTheSameJob) {
  s.Load();
  FakeWorker& worker = s.Hello("w", 1);
  s.clock.wall_ms += 30'000;
  const model::JobId id = s.NewId();
  s.clock.wall_ms -= 30'000;
  EXPECT_EQ(s.SubmitAs(id, Shell::Spec("t"), false).code, StatusCode::kOk);
  s.Succeed(worker, AttemptRef(worker.given.at(0).ref));
  for (int i = 0; i < 6; ++i) {
    s.Advance(5'000);
    // Others end, so that what is remembered goes.
    s.Accept(Shell::Spec("other"));
    s.Succeed(worker, AttemptRef(worker.given.at(static_cast<std::size_t>(i) + 1).ref));
  }
  EXPECT_EQ(s.SubmitAs(id, Shell::Spec("t"), false).code, StatusCode::kOk);
  EXPECT_EQ(s.core->Stats().duplicates, 1U);
  EXPECT_TRUE(s.Rows(id).empty());
}

TEST_F(Submit, OldIdThatCountsAsNewAgainWhenTheClockStepsBackIsTheSameJob) {
  s.Load();
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.NewId();
  EXPECT_EQ(s.SubmitAs(id, Shell::Spec("t"), false).code, StatusCode::kOk);
  s.Advance(s.options.fresh_id_ms + 1'000);
  s.Succeed(worker, AttemptRef(worker.given.at(0).ref));
  s.clock.wall_ms -= 3'000;
  EXPECT_EQ(s.SubmitAs(id, Shell::Spec("t"), false).code, StatusCode::kOk);
  EXPECT_EQ(s.core->Stats().duplicates, 1U);
}

TEST_F(Submit, NewIdThatComesAgainUnmarkedAfterItsScheduleHasEndedIsTheSameSchedule) {
  model::JobSpec spec = Shell::Spec("a");
  spec.cron = "* * * * * ?";
  spec.end_time_ms = s.clock.wall_ms;  // has no fire: it ends at once
  const model::JobId id = s.Accept(spec);
  ASSERT_EQ(s.History(id).size(), 1U);
  const SubmitReply again = s.SubmitAs(id, spec, false);
  EXPECT_EQ(again.code, StatusCode::kOk);
  EXPECT_EQ(again.id, id);
  EXPECT_EQ(s.History(id).size(), 1U);
}

TEST_F(Submit, OneIdUnderTwoTasksOfOneRequestIsOneJob) {
  s.options.window_max = 2;
  s.Load();
  for (int i = 0; i < 20; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  const model::JobId id = s.NewId();
  SubmitEvent event;
  event.request = 99;
  for (const char* task : {"one", "two"}) {
    model::JobSpec spec = Shell::Spec(task);
    spec.job_id = id.ToString();
    event.items.push_back({std::make_shared<model::JobSpec>(std::move(spec)), id, true});
  }
  s.submit_replies.clear();
  s.Handle(std::move(event));
  ASSERT_EQ(s.submit_replies.size(), 2U);
  EXPECT_EQ(s.submit_replies[0].code, StatusCode::kOk);
  EXPECT_EQ(s.submit_replies[1].code, StatusCode::kAlreadyExists);
  EXPECT_NE(s.submit_replies[1].message.find("task one of group g"), std::string::npos);
  EXPECT_EQ(s.Rows(id).size(), 1U);
}

TEST_F(Submit, NothingEndsForTheSakeOfOneThatALimitRefuses) {
  s.options.resident_max = 1;
  s.options.schedules_max = 1;
  s.Load();
  model::JobSpec cron = Shell::Spec("cron");
  cron.cron = "0 0 0 1 1 ? 2099";
  s.Accept(cron);
  s.Accept(Shell::Spec("cron"));  // shares its task with the schedule
  model::JobSpec waiting = Shell::Spec("a");
  waiting.trigger_delay_ms = 60'000;
  const model::JobId first = s.Accept(waiting);
  waiting.replace_on_exist = true;
  const SubmitReply second = s.Submit(waiting);
  EXPECT_EQ(second.outcome, SubmitOutcome::kReplaced);
  EXPECT_EQ(s.EndOf(first), JobState::kReplaced);
  // Beside a running one it would have to share.
  FakeWorker& worker = s.Hello("w", 2);
  s.Accept(Shell::Spec("b"));
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(s.Submit(Shell::Spec("b")).code, StatusCode::kResourceExhausted);
  cron.task_id = "other";
  EXPECT_EQ(s.Submit(cron).code, StatusCode::kResourceExhausted);
  cron.task_id = "cron";
  cron.replace_on_exist = true;
  EXPECT_EQ(s.Submit(cron).outcome, SubmitOutcome::kReplaced);
}

}  // namespace
}  // namespace lts::core

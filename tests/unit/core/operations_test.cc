#include "shell.h"

namespace lts::core {
namespace {

using model::JobState;
using model::Outcome;

class Operations : public testing::Test {
 protected:
  void SetUp() override { s.Load(); }
  // Every second, the clock being at a whole one.
  static model::JobSpec EverySecond(bool rely = true) {
    model::JobSpec spec = Shell::Spec("s");
    spec.cron = "* * * * * ?";
    spec.rely_on_prev_cycle = rely;
    return spec;
  }
  store::ScheduleRow ScheduleOf(const model::JobId& id) {
    return s.store->FindSchedule(id).value().value();
  }
  std::vector<std::string> LogOf(const model::JobId& id) {
    std::vector<std::string> lines;
    const auto rows = s.store->FindLogs({id, 0}, 0, 0, 100);
    for (const store::LogRow& row : *rows) lines.push_back(row.type + ": " + row.message);
    return lines;
  }
  std::vector<store::HistoryRow> SkipsOf(const model::JobId& id) {
    std::vector<store::HistoryRow> rows;
    for (const store::HistoryRow& row : s.History(id)) {
      if (row.state == JobState::kSkipped) rows.push_back(row);
    }
    return rows;
  }
  Shell s;
};

// ---- suspend and resume

TEST_F(Operations, SuspendedJobDoesNotRunUntilItIsResumed) {
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const OperateReply reply = s.Operate(OperationKind::kSuspend, "a");
  EXPECT_EQ(reply.code, StatusCode::kOk);
  EXPECT_EQ(reply.state, JobState::kSuspended);
  EXPECT_EQ(reply.id, id);
  FakeWorker& worker = s.Hello("w", 1);
  EXPECT_TRUE(worker.given.empty());
  EXPECT_EQ(s.Rows(id).at(0).state, JobState::kSuspended);
  EXPECT_EQ(s.Codes(id), std::vector<std::string>{"SUSPENDED"});
  s.Operate(OperationKind::kSuspend, "a");  // again: the same answer, nothing new
  EXPECT_EQ(s.Operate(OperationKind::kResume, "a").state, JobState::kWaiting);
  ASSERT_EQ(worker.given.size(), 1U);
  s.Succeed(worker, worker.given[0].ref);
  EXPECT_EQ(s.EndOf(id), JobState::kSucceeded);
  EXPECT_EQ(LogOf(id), (std::vector<std::string>{"SUSPEND: suspended", "RESUME: resumed"}));
}

TEST_F(Operations, SuspensionHoldsAfterATakeover) {
  const model::JobId id = s.Accept(Shell::Spec("a"));
  s.Operate(OperationKind::kSuspend, "a", id);
  s.Load();
  FakeWorker& worker = s.Hello("w", 1);
  EXPECT_TRUE(worker.given.empty());
  // It still is the waiting one of its task.
  EXPECT_EQ(s.Submit(Shell::Spec("a")).outcome, SubmitOutcome::kDuplicate);
  s.Operate(OperationKind::kResume, "a", id);
  EXPECT_EQ(worker.given.size(), 1U);
}

TEST_F(Operations, ExecutingJobGoesOnAndItsRetryWaitsForResume) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.max_retry_times = 3;
  const model::JobId id = s.Accept(spec);
  EXPECT_EQ(s.Operate(OperationKind::kSuspend, "a").state, JobState::kRunning);
  EXPECT_TRUE(worker.stops.empty());
  EXPECT_EQ(s.Codes(id), (std::vector<std::string>{"RUNNING", "SUSPEND_REQUESTED"}));
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  s.Advance(10'000);
  s.Load();  // also for the next owner
  s.Hello("w", 1);
  s.Advance(10'000);
  EXPECT_TRUE(worker.given.empty());
  EXPECT_EQ(s.Rows(id).at(0).state, JobState::kSuspended);
  EXPECT_EQ(s.Rows(id).at(0).attempt, 2);
  // Between attempts it keeps its run key: another job of the task does not overtake it.
  s.Accept(Shell::Spec("a"));
  EXPECT_TRUE(worker.given.empty());
  s.Operate(OperationKind::kResume, "a", id);
  ASSERT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(worker.given[0].ref.attempt, 2);
}

TEST_F(Operations, ResumeBeforeTheAttemptEndsTakesTheSuspensionBack) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.max_retry_times = 3;
  s.Accept(spec);
  s.Operate(OperationKind::kSuspend, "a");
  EXPECT_EQ(s.Operate(OperationKind::kResume, "a").state, JobState::kRunning);
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  s.Advance(2'000);
  EXPECT_EQ(worker.given.size(), 2U);
}

TEST_F(Operations, SuspendedJobExpires) {
  model::JobSpec spec = Shell::Spec("a");
  spec.expires_in_ms = 5'000;
  const model::JobId id = s.Accept(spec);
  s.Operate(OperationKind::kSuspend, "a");
  s.Advance(6'000);
  EXPECT_EQ(s.EndOf(id), JobState::kExpired);
}

TEST_F(Operations, SuspendedJobIsCancelled) {
  const model::JobId id = s.Accept(Shell::Spec("a"));
  s.Operate(OperationKind::kSuspend, "a");
  EXPECT_EQ(s.Cancel("a").state, JobState::kCancelled);
  EXPECT_EQ(s.EndOf(id), JobState::kCancelled);
  EXPECT_EQ(LogOf(id), (std::vector<std::string>{"SUSPEND: suspended", "DEL: cancelled"}));
}

TEST_F(Operations, FiresDuringASuspensionAreOneSkippedRow) {
  FakeWorker& worker = s.Hello("w", 5);
  const model::JobId id = s.Accept(EverySecond());
  s.Advance(1'000);
  s.Succeed(worker, worker.given.at(0).ref);
  EXPECT_EQ(s.Operate(OperationKind::kSuspend, "s").state, JobState::kSuspended);
  s.Advance(60'000);
  EXPECT_EQ(worker.given.size(), 1U);
  s.Load();
  s.Hello("w", 5);
  EXPECT_EQ(s.Operate(OperationKind::kResume, "s").state, JobState::kActive);
  EXPECT_TRUE(worker.given.empty());
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(worker.given[0].ref.key.cycle, s.clock.wall_ms);
  const auto skips = SkipsOf(id);
  ASSERT_EQ(skips.size(), 1U);
  EXPECT_EQ(skips[0].skipped, 60);
  EXPECT_EQ(skips[0].message, "suspended when it was due");
}

TEST_F(Operations, LongSuspensionIsAccountedForInSteps) {
  const model::JobId id = s.Accept(EverySecond());
  s.Operate(OperationKind::kSuspend, "s");
  s.clock.wall_ms += 5'500'000;
  s.clock.mono_ms += 5'500'000;
  s.Operate(OperationKind::kResume, "s");
  for (int i = 0; i < 20; ++i) s.Tick();
  s.Advance(1'000);
  const auto skips = SkipsOf(id);
  ASSERT_EQ(skips.size(), 1U);
  EXPECT_EQ(skips[0].skipped, 5'500);
  EXPECT_EQ(ScheduleOf(id).runs, 1);
}

TEST_F(Operations, QueuedOccurrenceOfASuspendedScheduleWaits) {
  const model::JobId id = s.Accept(EverySecond());
  s.Advance(1'000);
  s.Operate(OperationKind::kSuspend, "s");
  FakeWorker& worker = s.Hello("w", 5);
  s.Advance(5'000);
  EXPECT_TRUE(worker.given.empty());
  s.Operate(OperationKind::kResume, "s");
  ASSERT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(worker.given[0].ref.key.id, id);
}

TEST_F(Operations, ScheduleWithoutFurtherFiresEndsWhenItIsResumed) {
  model::JobSpec spec = EverySecond();
  spec.end_time_ms = s.clock.wall_ms + 5'500;
  const model::JobId id = s.Accept(spec);
  s.Operate(OperationKind::kSuspend, "s");
  s.Advance(10'000);
  EXPECT_EQ(s.EndOf(id), JobState::kWaiting);
  s.Operate(OperationKind::kResume, "s");
  EXPECT_EQ(s.EndOf(id), JobState::kEnded);
  ASSERT_EQ(SkipsOf(id).size(), 1U);
  EXPECT_EQ(SkipsOf(id)[0].skipped, 5);
}

TEST_F(Operations, ResumeWithResetFiresAgainAfterTheClockWentBack) {
  FakeWorker& worker = s.Hello("w", 5);
  s.clock.wall_ms += 3'600'000;  // an hour ahead
  const model::JobId id = s.Accept(EverySecond());
  s.Advance(2'000);
  for (const Assignment& given : worker.given) s.Succeed(worker, given.ref);
  const std::size_t before = worker.given.size();
  s.clock.wall_ms -= 3'600'000;
  s.Advance(5'000);
  EXPECT_EQ(worker.given.size(), before) << "silent until its clock has come as far again";
  s.Operate(OperationKind::kResume, "s");
  s.Advance(2'000);
  EXPECT_EQ(worker.given.size(), before);
  OperateEvent event;
  event.task_id = "s";
  event.kind = OperationKind::kResume;
  event.reset = true;
  EXPECT_EQ(s.Operate(event).state, JobState::kActive);
  s.Advance(3'000);
  for (const Assignment& given : worker.given) s.Succeed(worker, given.ref);
  ASSERT_GT(worker.given.size(), before);
  // The same times come again once the clock has come as far, and neither run is taken for the
  // other.
  s.Advance(3'600'000);
  EXPECT_EQ(ScheduleOf(id).shift, 1);
  EXPECT_GT(ScheduleOf(id).last_fire_ms, ScheduleOf(id).shift_until_ms);
}

TEST_F(Operations, ResetTakesBackASilenceThatReachesIntoTheFuture) {
  FakeWorker& worker = s.Hello("w", 5);
  s.Accept(EverySecond());
  s.clock.wall_ms += 3'600'000;
  s.Operate(OperationKind::kSuspend, "s");
  s.Operate(OperationKind::kResume, "s");
  s.clock.wall_ms -= 3'600'000;
  s.Advance(2'000);
  EXPECT_TRUE(worker.given.empty());
  OperateEvent event;
  event.task_id = "s";
  event.kind = OperationKind::kResume;
  event.reset = true;
  s.Operate(event);
  s.Advance(2'000);
  EXPECT_FALSE(worker.given.empty());
}

TEST_F(Operations, ResetLetsAnOccurrenceThatWasMadeAheadRunNow) {
  s.clock.wall_ms += 3'600'000;
  s.Accept(EverySecond());
  s.Advance(1'000);
  s.clock.wall_ms -= 3'600'000;
  s.Load();
  FakeWorker& worker = s.Hello("w", 5);
  EXPECT_TRUE(worker.given.empty());
  OperateEvent event;
  event.task_id = "s";
  event.kind = OperationKind::kResume;
  event.reset = true;
  s.Operate(event);
  ASSERT_EQ(worker.given.size(), 1U);
  s.Succeed(worker, worker.given[0].ref);
  s.Advance(1'000);
  EXPECT_EQ(worker.given.size(), 2U);
}

TEST_F(Operations, FiresThatWereOwedBeforeASuspensionRunAfterIt) {
  FakeWorker& worker = s.Hello("w", 5);
  model::JobSpec spec = EverySecond();
  spec.misfire = model::MisfirePolicy::kCatchUp;
  const model::JobId id = s.Accept(spec);
  s.Advance(3'000);  // one runs, two wait for its end
  ASSERT_EQ(worker.given.size(), 1U);
  s.Operate(OperationKind::kSuspend, "s");
  s.Advance(10'000);
  s.Operate(OperationKind::kResume, "s");
  s.Succeed(worker, worker.given[0].ref);
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(worker.given[1].ref.key.cycle, worker.given[0].ref.key.cycle + 1'000);
  s.Succeed(worker, worker.given[1].ref);
  ASSERT_EQ(worker.given.size(), 3U);
  EXPECT_EQ(worker.given[2].ref.key.cycle, worker.given[0].ref.key.cycle + 2'000);
  s.Succeed(worker, worker.given[2].ref);
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 4U);
  const auto skips = SkipsOf(id);
  ASSERT_EQ(skips.size(), 1U);
  EXPECT_EQ(skips[0].skipped, 10);
  EXPECT_EQ(skips[0].message, "suspended when it was due");
}

// ---- terminate

TEST_F(Operations, TerminateStopsWhatRunsAndTheScheduleGoesOn) {
  FakeWorker& worker = s.Hello("w", 5);
  const model::JobId id = s.Accept(EverySecond());
  s.Advance(1'000);
  EXPECT_EQ(s.Operate(OperationKind::kTerminate, "s").state, JobState::kRunning);
  ASSERT_EQ(worker.stops.size(), 1U);
  s.Report(worker, worker.given.at(0).ref, Outcome::kKilled);
  EXPECT_EQ(s.EndOf(id), JobState::kCancelled);
  s.Advance(1'000);
  EXPECT_EQ(worker.given.size(), 2U);
}

TEST_F(Operations, TerminateOfWhatDoesNotRunIsRefused) {
  s.Accept(Shell::Spec("a"));
  const OperateReply reply = s.Operate(OperationKind::kTerminate, "a");
  EXPECT_EQ(reply.code, StatusCode::kFailedPrecondition);
  EXPECT_NE(reply.message.find("nothing of job"), std::string::npos);
  EXPECT_EQ(s.Operate(OperationKind::kTerminate, "b").code, StatusCode::kNotFound);
}

// ---- trigger

TEST_F(Operations, TriggerIsARunOfItsOwnAndLeavesTheScheduleAlone) {
  FakeWorker& worker = s.Hello("w", 5);
  model::JobSpec spec = Shell::Spec("s");
  spec.cron = "0 0 0 1 1 ? 2090";
  spec.params = {{"a", "1"}, {"b", "2"}};
  const model::JobId id = s.Accept(spec);
  const model::JobId run = s.NewId();
  const OperateReply reply = s.Trigger("s", run, {{"b", "3"}});
  EXPECT_EQ(reply.code, StatusCode::kOk) << reply.message;
  EXPECT_EQ(reply.id, run);
  ASSERT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(worker.given[0].ref.key.id, run);
  EXPECT_EQ(worker.given[0].spec->params,
            (std::map<std::string, std::string>{{"a", "1"}, {"b", "3"}}));
  s.Succeed(worker, worker.given[0].ref);
  EXPECT_EQ(s.EndOf(run), JobState::kSucceeded);
  EXPECT_EQ(ScheduleOf(id).runs, 0);
  // Sent again: neither a second run nor an error.
  EXPECT_EQ(s.Trigger("s", run).code, StatusCode::kOk);
  EXPECT_EQ(worker.given.size(), 1U);
}

TEST_F(Operations, TriggerWaitsBehindTheCycleThatRuns) {
  FakeWorker& worker = s.Hello("w", 5);
  s.Accept(EverySecond());
  s.Advance(1'000);
  const model::JobId run = s.NewId();
  s.Trigger("s", run);
  ASSERT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(s.Codes(run), std::vector<std::string>{"RUN_KEY_BUSY"});
  s.Succeed(worker, worker.given[0].ref);
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(worker.given[1].ref.key.id, run);
}

TEST_F(Operations, TriggersOfOneTaskAreLimited) {
  s.Accept(EverySecond());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(s.Trigger("s", s.NewId()).code, StatusCode::kOk);
  const OperateReply reply = s.Trigger("s", s.NewId());
  EXPECT_EQ(reply.code, StatusCode::kResourceExhausted);
  EXPECT_NE(reply.message.find("10 triggered runs"), std::string::npos) << reply.message;
}

TEST_F(Operations, TriggerOfADatedJobRunsItNow) {
  FakeWorker& worker = s.Hello("w", 5);
  model::JobSpec spec = Shell::Spec("a");
  spec.trigger_delay_ms = 3'600'000;
  const model::JobId id = s.Accept(spec);
  EXPECT_EQ(s.Trigger("a", s.NewId()).id, id);
  EXPECT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(s.Trigger("a", s.NewId()).code, StatusCode::kFailedPrecondition);
}

TEST_F(Operations, TriggerOfASuspendedJobIsRefused) {
  s.Accept(Shell::Spec("a"));
  s.Operate(OperationKind::kSuspend, "a");
  EXPECT_EQ(s.Trigger("a", s.NewId()).code, StatusCode::kFailedPrecondition);
}

// ---- update

TEST_F(Operations, UpdateOfAWaitingJobChangesWhatItRunsWithAndItsPlace) {
  model::JobSpec spec = Shell::Spec("a");
  spec.params = {{"k", "old"}};
  const model::JobId id = s.Accept(spec);
  s.Accept(Shell::Spec("b"));
  model::JobSpec values;
  values.params = {{"k", "new"}};
  values.priority = 200;
  EXPECT_EQ(s.Update("a", values, {"params", "priority"}).code, StatusCode::kOk);
  FakeWorker& worker = s.Hello("w", 5);
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(worker.given[1].ref.key.id, id) << "it is the less urgent one now";
  EXPECT_EQ(worker.given[1].spec->params.at("k"), "new");
  EXPECT_EQ(LogOf(id), std::vector<std::string>{
                           "UPDATE: updated: params {k=old} -> {k=new}, priority 100 -> 200"});
}

TEST_F(Operations, UpdateOfTheDueTimeMovesIt) {
  FakeWorker& worker = s.Hello("w", 5);
  model::JobSpec spec = Shell::Spec("a");
  spec.trigger_delay_ms = 3'600'000;
  const model::JobId id = s.Accept(spec);
  model::JobSpec values;
  values.trigger_time_ms = s.clock.wall_ms + 2'000;
  EXPECT_EQ(s.Update("a", values, {"trigger_time_ms"}).code, StatusCode::kOk);
  s.Advance(1'999);
  EXPECT_TRUE(worker.given.empty());
  s.Advance(1);
  EXPECT_EQ(worker.given.size(), 1U);
  const OperateReply late = s.Update("a", values, {"trigger_time_ms"});
  EXPECT_EQ(late.code, StatusCode::kFailedPrecondition);
  EXPECT_EQ(s.Rows(id).size(), 1U);
}

TEST_F(Operations, UpdateOfAnExecutingJobHoldsForItsRetries) {
  FakeWorker& worker = s.Hello("w", 5);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  model::JobSpec values;
  values.max_retry_times = 1;
  values.params = {{"k", "new"}};
  EXPECT_EQ(s.Update("a", values, {"max_retry_times", "params"}).code, StatusCode::kOk);
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  EXPECT_EQ(s.EndOf(id), JobState::kWaiting);
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(worker.given[1].spec->params.at("k"), "new");
}

TEST_F(Operations, UpdateOfExpiryCountsAnew) {
  model::JobSpec spec = Shell::Spec("a");
  spec.expires_in_ms = 1'000;
  const model::JobId id = s.Accept(spec);
  model::JobSpec values;
  values.expires_in_ms = 10'000;
  s.Update("a", values, {"expires_in_ms"});
  s.Advance(9'999);
  EXPECT_EQ(s.EndOf(id), JobState::kWaiting);
  s.Advance(1);
  EXPECT_EQ(s.EndOf(id), JobState::kExpired);
}

TEST_F(Operations, UpdatedCronFiresByItsNewTextFromThenOn) {
  FakeWorker& worker = s.Hello("w", 5);
  const model::JobId id = s.Accept(EverySecond());
  s.Advance(1'000);
  s.Succeed(worker, worker.given.at(0).ref);
  model::JobSpec values;
  values.cron = "*/10 * * * * ?";
  EXPECT_EQ(s.Update("s", values, {"cron_expression"}).code, StatusCode::kOk);
  const TimeMs next = *s.core->NextFire(id);
  EXPECT_EQ(next % 10'000, 0);
  s.Load();
  EXPECT_EQ(*s.core->NextFire(id), next);
  s.Hello("w", 5);
  s.Advance(next - s.clock.wall_ms);
  EXPECT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(ScheduleOf(id).runs, 2);
}

TEST_F(Operations, UpdatedIntervalCountsFromTheUpdate) {
  FakeWorker& worker = s.Hello("w", 5);
  model::JobSpec spec = Shell::Spec("s");
  spec.repeat_interval_ms = 10'000;
  spec.repeat_count = 3;
  const model::JobId id = s.Accept(spec);
  ASSERT_EQ(worker.given.size(), 1U);
  s.Succeed(worker, worker.given[0].ref);
  s.Advance(4'000);
  model::JobSpec values;
  values.repeat_interval_ms = 1'000;
  EXPECT_EQ(s.Update("s", values, {"repeat_interval_ms"}).code, StatusCode::kOk);
  EXPECT_EQ(*s.core->NextFire(id), s.clock.wall_ms + 1'000);
  for (int i = 0; i < 5; ++i) {
    s.Advance(1'000);
    if (worker.given.size() > 1) s.Succeed(worker, worker.given.back().ref);
  }
  EXPECT_EQ(worker.given.size(), 3U) << "runs before the update count";
  EXPECT_FALSE(s.store->FindSchedule(id).value().has_value());
}

TEST_F(Operations, QueuedOccurrenceTakesOverTheUpdate) {
  s.Accept(EverySecond());
  s.Advance(1'000);
  model::JobSpec values;
  values.params = {{"k", "new"}};
  values.rely_on_prev_cycle = false;
  EXPECT_EQ(s.Update("s", values, {"params", "rely_on_prev_cycle"}).code, StatusCode::kOk);
  FakeWorker& worker = s.Hello("w", 5);
  ASSERT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(worker.given[0].spec->params.at("k"), "new");
  EXPECT_TRUE(worker.given[0].spec->rely_on_prev_cycle) << "its run key stays";
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 2U) << "the new ones run beside";
  EXPECT_FALSE(worker.given[1].spec->rely_on_prev_cycle);
}

TEST_F(Operations, SuspendedScheduleIsUpdatedAndStaysSuspended) {
  const model::JobId id = s.Accept(EverySecond());
  s.Operate(OperationKind::kSuspend, "s");
  s.Advance(5'000);
  model::JobSpec values;
  values.cron = "*/2 * * * * ?";
  EXPECT_EQ(s.Update("s", values, {"cron_expression"}).state, JobState::kSuspended);
  const auto skips = SkipsOf(id);
  ASSERT_EQ(skips.size(), 1U);
  EXPECT_EQ(skips[0].skipped, 5);
  EXPECT_FALSE(s.core->NextFire(id).has_value());
}

TEST_F(Operations, UpdateOfWhatRunsToAtMostOnceHoldsForTheNextOwner) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  ASSERT_EQ(worker.given.size(), 1U);
  model::JobSpec values;
  values.at_most_once = true;
  s.Update("a", values, {"at_most_once"});
  EXPECT_EQ(s.Rows(id).at(0).state, JobState::kRunning);
  s.Load();
  s.Advance(30'000);  // nobody comes back
  FakeWorker& other = s.Hello("v", 1);
  EXPECT_TRUE(other.given.empty());
  EXPECT_EQ(s.EndOf(id), JobState::kFailed);
}

TEST_F(Operations, UpdateKeepsTheLimitsOfASubmit) {
  s.options.groups_max = 1;
  s.options.memory_bytes_max = 1'000;
  s.Load();
  s.Accept(Shell::Spec("a"));
  s.Operate(OperationKind::kSuspend, "a");
  model::JobSpec values;
  values.payload = std::string(2'000, 'x');
  EXPECT_EQ(s.Update("a", values, {"payload"}).code, StatusCode::kResourceExhausted);
  s.Handle(FeedbackHelloEvent{++s.streams, "one", 10});
  values.need_feedback = true;
  values.submit_group = "two";
  const OperateReply reply = s.Update("a", values, {"need_feedback", "submit_node_group"});
  EXPECT_EQ(reply.code, StatusCode::kResourceExhausted) << reply.message;
}

TEST_F(Operations, WrongUpdatesAreRefusedByName) {
  s.Accept(Shell::Spec("a"));
  s.Accept(EverySecond());
  struct Case {
    const char* task;
    std::vector<std::string> fields;
    const char* says;
  };
  model::JobSpec values;
  values.priority = 100'000;
  values.cron = "61 * * * * ?";
  values.retry = model::RetryPolicy{model::RetryPolicy::Kind::kFixed, 0, 0};
  values.timeout_ms = -1;
  for (const Case& c : {
           Case{"a", {}, "an update names what it changes"},
           Case{
               "a", {"prio"}, "fields \"prio\": a job has no such field; one of submit_node_group"},
           Case{"a", {"task_id"}, "fields \"task_id\": cannot change"},
           Case{"a", {"task_tracker_node_group"}, "a job stays in its group"},
           Case{"a", {"job_id"}, "it names the job"},
           Case{"a", {"cron_expression"}, "is not a schedule"},
           Case{"a", {"misfire"}, "is not a schedule"},
           Case{"a", {"priority"}, "priority 100000: must be -10000 to 10000"},
           Case{"a", {"retry"}, "retry"},
           Case{"a", {"timeout_ms"}, "timeout_ms -1: must be"},
           Case{"s", {"cron_expression"}, "cron_expression \"61 * * * * ?\""},
           Case{"s", {"repeat_interval_ms"}, "a schedule needs a cron expression"},
       }) {
    const OperateReply reply = s.Update(c.task, values, c.fields);
    EXPECT_EQ(reply.code, StatusCode::kInvalidArgument) << c.says;
    EXPECT_NE(reply.message.find(c.says), std::string::npos) << reply.message;
  }
}

TEST_F(Operations, ExplainSaysThatTheStoreTakesNothing) {
  s.Hello("w", 1);
  s.core->SetFrozen(true);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  EXPECT_EQ(s.Codes(id), std::vector<std::string>{"FROZEN"});
}

TEST_F(Operations, CopyOfAnOperationThatWasOvertakenIsNotCarriedOut) {
  model::JobSpec spec = Shell::Spec("a");
  spec.trigger_delay_ms = 3'600'000;
  const model::JobId id = s.Accept(spec);
  const auto update = [&](std::int32_t priority, const std::string& client, std::uint64_t number) {
    OperateEvent event;
    event.task_id = "a";
    event.kind = OperationKind::kUpdate;
    model::JobUpdate values;
    values.values.priority = priority;
    values.fields = {"priority"};
    event.update = std::make_shared<model::JobUpdate>(values);
    event.client = client;
    event.number = number;
    return s.Operate(event).code;
  };
  EXPECT_EQ(update(1, "x", 1), StatusCode::kOk);
  EXPECT_EQ(update(2, "x", 2), StatusCode::kOk);
  EXPECT_EQ(update(2, "x", 2), StatusCode::kOk) << "sent again";
  EXPECT_EQ(update(1, "x", 1), StatusCode::kFailedPrecondition);
  EXPECT_EQ(s.Rows(id).at(0).priority, 2);
  EXPECT_EQ(update(3, "y", 1), StatusCode::kOk) << "another client has an order of its own";
  EXPECT_EQ(s.Rows(id).at(0).priority, 3);
}

TEST_F(Operations, ExplainSaysThatNobodyTakesNewJobs) {
  s.Hello("w", 0);  // it drains
  const model::JobId id = s.Accept(Shell::Spec("a"));
  EXPECT_EQ(s.Codes(id), std::vector<std::string>{"NO_ROOM"});
}

// ---- results that come too late

TEST_F(Operations, ResultThatComesTooLateStandsInTheLifeOfTheJob) {
  FakeWorker& worker = s.Hello("w", 1);
  const model::JobId id = s.Accept(Shell::Spec("a"));
  const AttemptRef first = worker.given.at(0).ref;
  s.Close(worker);
  s.Advance(25'000);  // lost: the job runs again
  FakeWorker& other = s.Hello("v", 1);
  ASSERT_EQ(other.given.size(), 1U);
  FakeWorker& back = s.Hello("w", 1, {}, {Shell::ResultOf(first, Outcome::kExecuteSuccess)});
  EXPECT_EQ(back.acks, std::vector<AttemptRef>{first});
  EXPECT_EQ(s.EndOf(id), JobState::kWaiting);
  ASSERT_EQ(LogOf(id).size(), 1U);
  EXPECT_EQ(LogOf(id)[0],
            "RESEND: a result of attempt 1 (token 1-1) from w came too late and does "
            "not count: EXECUTE_SUCCESS");
}

// ---- what the JobTracker watches by itself

TEST_F(Operations, AttemptThatOutlivesItsTimeOutIsStoppedFromHereAndCountsAsTimedOut) {
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.timeout_ms = 1'000;
  spec.max_retry_times = 1;
  const model::JobId id = s.Accept(spec);
  s.Advance(3'000);
  EXPECT_TRUE(worker.stops.empty()) << "its TaskTracker has time to stop it";
  EXPECT_EQ(s.Codes(id), (std::vector<std::string>{"RUNNING", "OUT_OF_TIME"}));
  for (int i = 0; i < 24; ++i) {
    s.Advance(1'000);
    s.Heartbeat(worker);
  }
  ASSERT_GE(worker.stops.size(), 1U);
  EXPECT_EQ(s.Codes(id), (std::vector<std::string>{"RUNNING", "STUCK"}));
  EXPECT_TRUE(s.core->Find({id, 0})->stuck);
  EXPECT_EQ(s.core->Stats().out_of_time, 1U);
  // Its TaskTracker comes back on another stream: it is told again.
  const AttemptRef ref = worker.given.at(0).ref;
  s.Close(worker);
  FakeWorker& back = s.Hello("w", 1, {ref});
  EXPECT_EQ(back.stops, std::vector<AttemptRef>{ref});
  WorkerEvent event;
  event.stream = back.stream;
  event.results.push_back(Shell::ResultOf(ref, Outcome::kKilled));
  event.results.back().run_ms = 27'000;
  s.Handle(std::move(event));
  EXPECT_EQ(s.History(id).at(0).outcome, Outcome::kTimedOut);
  EXPECT_EQ(s.Rows(id).at(0).retries, 1);
}

TEST_F(Operations, FeedbackThatNobodyTakesIsDroppedInTheEnd) {
  s.options.feedback_retention_ms = 60'000;
  s.Load();
  FakeWorker& worker = s.Hello("w", 1);
  model::JobSpec spec = Shell::Spec("a");
  spec.need_feedback = true;
  s.Accept(spec);
  s.Succeed(worker, worker.given.at(0).ref);
  s.Load();  // the next owner has not read it
  s.Advance(40'000);
  EXPECT_EQ(s.store->LoadFeedback(0, "clients", 0, 10)->size(), 1U);
  s.Advance(40'000);
  EXPECT_TRUE(s.store->LoadFeedback(0, "clients", 0, 10)->empty());
  EXPECT_EQ(s.core->Stats().feedback_dropped, 1U);
}

}  // namespace
}  // namespace lts::core

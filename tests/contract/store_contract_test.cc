// The contract of JobStore, over every engine.
#include <atomic>
#include <thread>

#include "contract/store_fixture.h"

namespace lts::store::testing {
namespace {

using model::JobState;

INSTANTIATE_TEST_SUITE_P(Engines, StoreContract, ::testing::ValuesIn(EngineNames()),
                         [](const auto& engine) { return engine.param; });

// ---- ownership

TEST_P(StoreContract, FirstAcquireOfANewPartitionIsClean) {
  const auto lease = store().Acquire(0, "a", "host:1", 1);
  ASSERT_TRUE(lease.ok());
  EXPECT_TRUE(lease->clean);
  EXPECT_EQ(lease->commit_no, 0U);
  EXPECT_EQ(lease->next_seq, 1U);
  EXPECT_GE(lease->epoch, 1U);
}

TEST_P(StoreContract, HeldPartitionIsRefusedAndItsOwnerToldWhoAsks) {
  const Owner a(store(), 0, "a");
  EXPECT_EQ(store().Acquire(0, "b", "host:2", 5).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(store().Acquire(0, "c", "host:3", 4).status().code(), StatusCode::kUnavailable);
  const auto renewed = store().Renew({{0, a.epoch()}}, "a");
  ASSERT_TRUE(renewed.ok());
  EXPECT_EQ(renewed->held, std::vector<bool>{true});
  const std::vector<PartitionRow> rows = store().Partitions().value();
  EXPECT_EQ(rows[0].owner, "a");
  EXPECT_EQ(rows[0].asker, "b");  // the higher assignment
  EXPECT_EQ(rows[0].asker_assignment, 5U);
  // Who has acquired it has not been asked yet.
  EXPECT_OK(store().Release(0, a.epoch(), true));
  ASSERT_TRUE(store().Acquire(0, "c", "host:3", 4).ok());
  EXPECT_EQ(store().Partitions()->at(0).asker, "");
}

TEST_P(StoreContract, LeaseEndsWithoutRenewalAndTheOldOwnerIsFenced) {
  Owner a(store(), 0, "a");
  clock_.Advance(kLeaseMs - 1);
  EXPECT_FALSE(store().Acquire(0, "b", "", 1).ok());
  clock_.Advance(1);
  Owner b(store(), 0, "b");
  EXPECT_GT(b.epoch(), a.epoch());
  EXPECT_FALSE(b.lease().clean);
  EXPECT_EQ(a.Commit({InsertJob{Job(1)}}).code(), StatusCode::kFenced);
  EXPECT_EQ(store().Renew({{0, a.epoch()}}, "a")->held, std::vector<bool>{false});
  EXPECT_EQ(store().Release(0, a.epoch(), true).code(), StatusCode::kFenced);
  EXPECT_EQ(store().Retain(0, a.epoch(), {}).status().code(), StatusCode::kFenced);
  EXPECT_TRUE(Waiting().empty());
}

TEST_P(StoreContract, RenewAndCommitExtendTheLease) {
  Owner a(store(), 0, "a");
  clock_.Advance(kLeaseMs - 1);
  EXPECT_TRUE(store().Renew({{0, a.epoch()}}, "a").ok());
  clock_.Advance(kLeaseMs - 1);
  EXPECT_OK(a.Commit({}));
  clock_.Advance(kLeaseMs - 1);
  EXPECT_FALSE(store().Acquire(0, "b", "", 1).ok());
}

TEST_P(StoreContract, OwnerWhoseLeaseRanOutGoesOnWhileItsEpochIsCurrent) {
  Owner a(store(), 0, "a");
  clock_.Advance(10 * kLeaseMs);
  EXPECT_OK(a.Commit({InsertJob{Job(1)}}));
  EXPECT_EQ(store().Renew({{0, a.epoch()}}, "a")->held, std::vector<bool>{true});
}

TEST_P(StoreContract, SameOwnerMayAcquireAgainUnderANewEpoch) {
  Owner a(store(), 0, "a");
  Owner again(store(), 0, "a");
  EXPECT_GT(again.epoch(), a.epoch());
  EXPECT_FALSE(again.lease().clean);
  EXPECT_EQ(a.Commit({}).code(), StatusCode::kFenced);
  EXPECT_OK(again.Commit({}));
}

TEST_P(StoreContract, ReleaseHandsOverAtOnceAndSaysIfClean) {
  for (const bool clean : {true, false}) {
    Owner a(store(), 0, "a");
    EXPECT_OK(store().Release(0, a.epoch(), clean));
    EXPECT_OK(store().Release(0, a.epoch(), clean));  // the first reply was lost
    EXPECT_EQ(a.Commit({}).code(), StatusCode::kFenced);
    EXPECT_EQ(store().Renew({{0, a.epoch()}}, "a")->held, std::vector<bool>{false});
    Owner b(store(), 0, "b");
    EXPECT_EQ(b.lease().clean, clean);
    EXPECT_OK(store().Release(0, b.epoch(), true));
  }
}

TEST_P(StoreContract, PartitionRowsTellOwnerEpochAndCommit) {
  Owner a(store(), 2, "a");
  EXPECT_OK(a.Commit({}));
  const auto rows = store().Partitions();
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), kPartitions);
  EXPECT_EQ((*rows)[2].owner, "a");
  EXPECT_EQ((*rows)[2].owner_address, "host:1");
  EXPECT_EQ((*rows)[2].epoch, a.epoch());
  EXPECT_EQ((*rows)[2].commit_no, 1U);
  EXPECT_EQ((*rows)[1].owner, "");
  EXPECT_EQ((*rows)[1].partition, 1U);
}

TEST_P(StoreContract, PartitionBeyondTheCountIsInvalid) {
  EXPECT_EQ(store().Acquire(kPartitions, "a", "", 1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store().Commit(kPartitions, 1, 1, {}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store().LoadGroups(kPartitions).status().code(), StatusCode::kInvalidArgument);
}

TEST_P(StoreContract, IdentityIsTheOneOfCreation) {
  EXPECT_EQ(store().Identity(), TestIdentity());
  EXPECT_EQ(*store().Now(), clock_.WallMs());
}

// ---- numbered commits

TEST_P(StoreContract, RepeatedCommitChangesNothing) {
  Owner a(store(), 0);
  MutationBatch batch;
  batch.mutations = {InsertJob{Job(1)}};
  batch.next_seq = 9;
  EXPECT_OK(store().Commit(0, a.epoch(), 1, batch));
  EXPECT_OK(store().Commit(0, a.epoch(), 1, batch));
  EXPECT_EQ(Waiting(), Ns{1});
  EXPECT_EQ(store().Counters()->at("g").jobs, 1);
}

TEST_P(StoreContract, CommitNumberWithAGapIsRefused) {
  Owner a(store(), 0);
  EXPECT_OK(a.Commit({}));
  EXPECT_OK(a.Commit({}));
  EXPECT_EQ(store().Commit(0, a.epoch(), 4, {}).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(store().Commit(0, a.epoch(), 1, {}).code(), StatusCode::kFailedPrecondition);
}

TEST_P(StoreContract, NumbersAndSequenceGoOnUnderTheNextOwner) {
  Owner a(store(), 0, "a");
  EXPECT_OK(a.Commit({InsertJob{Job(1)}}, /*next_seq=*/42));
  EXPECT_OK(a.Commit({}, /*next_seq=*/0));  // says nothing about the sequence
  EXPECT_OK(store().Release(0, a.epoch(), true));
  Owner b(store(), 0, "b");
  EXPECT_EQ(b.lease().commit_no, 2U);
  EXPECT_EQ(b.lease().next_seq, 42U);
}

TEST_P(StoreContract, RefusedRowLeavesNothingOfItsBatch) {
  Owner a(store(), 0);
  EXPECT_OK(a.Commit({InsertJob{Job(1)}, InsertHistory{Ended(Job(9), 5)}}));
  const auto counters = *store().Counters();

  const Status duplicate = a.Commit({InsertJob{Job(2)}, InsertJob{Job(1)}});
  EXPECT_EQ(duplicate.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(duplicate.message().find(Id(1).ToString()), std::string::npos) << duplicate.message();
  EXPECT_EQ(a.Commit({InsertJob{Job(3)}, InsertJob{Job(3)}}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(a.Commit({DeleteJob{Job(1)}, InsertHistory{Ended(Job(9), 6)}}).code(),
            StatusCode::kInvalidArgument);
  JobRow no_spec = Job(4);
  no_spec.spec = nullptr;
  EXPECT_EQ(a.Commit({InsertJob{Job(5)}, InsertJob{no_spec}}).code(), StatusCode::kInvalidArgument);

  EXPECT_EQ(Waiting(), Ns{1});
  EXPECT_EQ(store().FindHistory(Id(9), 10)->size(), 1U);
  EXPECT_EQ(store().Counters()->at("g").jobs, counters.at("g").jobs);
  EXPECT_OK(a.Commit({InsertJob{Job(2)}}));  // the number is still free
  EXPECT_EQ(Waiting(), (Ns{1, 2}));
}

TEST_P(StoreContract, InsertUpdateDeleteAndInsertAgainInOneBatch) {
  Owner a(store(), 0);
  JobRow row = Job(1);
  JobRow later = row;
  later.due_ms = 5000;
  later.attempt = 2;
  EXPECT_OK(a.Commit({InsertJob{row}, Change(row, later), DeleteJob{later}}));
  EXPECT_TRUE(Waiting().empty());
  EXPECT_TRUE(store().FindJobRows(Id(1))->empty());
  EXPECT_TRUE(store().LoadGroups(0)->empty());
  EXPECT_OK(a.Commit({InsertJob{row}, DeleteJob{row}, InsertJob{later}}));
  EXPECT_TRUE(Same(*store().FindJobRows(Id(1)), {later}));
  EXPECT_OK(a.Commit({DeleteJob{later}, InsertJob{row}}));
  EXPECT_TRUE(Same(*store().FindJobRows(Id(1)), {row}));
}

// ---- every field

TEST_P(StoreContract, JobRowKeepsEveryField) {
  Owner a(store(), 1);
  auto spec = std::make_shared<model::JobSpec>();
  spec->job_id = "a text that is no UUID";
  spec->task_id = "Aufgabe \xc3\xa4\xe4\xbd\xa0";
  spec->group = "group:1";
  spec->submit_group = "clients";
  spec->runner = "runner";
  spec->params = {{"k", "v"}, {"", "empty key"}, {"bin", std::string("\0\xff", 2)}};
  spec->payload = std::string("\x00\x01\xfe\xff\n", 5);
  spec->priority = -7;
  spec->max_retry_times = 3;
  spec->retry = model::RetryPolicy{model::RetryPolicy::Kind::kLinear, 11, 12};
  spec->need_feedback = true;
  spec->replace_on_exist = true;
  spec->fail_if_exists = true;
  spec->rely_on_prev_cycle = false;
  spec->at_most_once = true;
  spec->trigger_time_ms = 0;
  spec->trigger_delay_ms = -1;
  spec->cron = "0 0 * * * ?";
  spec->time_zone = "Europe/Berlin";
  spec->repeat_count = -1;
  spec->repeat_interval_ms = 13;
  spec->start_time_ms = 14;
  spec->end_time_ms = 15;
  spec->misfire = model::MisfirePolicy::kCatchUp;
  spec->catch_up_max = 16;
  spec->timeout_ms = 17;
  spec->expires_in_ms = 18;
  JobRow row;
  row.key = Key(1, 1'700'000'000'123);
  row.kind = JobKind::kOccurrence;
  row.spec = spec;
  row.state = JobState::kRunning;
  row.resident = true;
  row.priority = -10000;
  row.due_ms = 21;
  row.seq = UINT64_MAX;
  row.accepted_ms = 22;
  row.expires_ms = 23;
  row.attempt = 24;
  row.retries = 25;
  row.snoozes = 26;
  row.lost = 27;
  row.cancel_requested = true;
  row.suspend_requested = true;
  row.mark = {28, 29};
  row.mark_worker = "worker";
  JobRow plain = Job(2);  // defaults, absent optionals
  EXPECT_OK(a.Commit({InsertJob{row}, InsertJob{plain}}));
  Reopen();
  EXPECT_TRUE(Same(*store().FindJobRows(Id(1)), {row}));
  EXPECT_TRUE(Same(*store().FindJobRows(Id(2)), {plain}));
  EXPECT_TRUE(Same(*store().LoadRunning(1, {}, 10), {row}));
}

TEST_P(StoreContract, OtherRowsKeepEveryField) {
  Owner a(store(), 1);
  ScheduleRow schedule = Schedule(1, "g", "t");
  schedule.state = JobState::kSuspended;
  schedule.accepted_ms = 2;
  schedule.last_fire_ms = 3;
  schedule.runs = 4;
  schedule.skip_first_ms = 5;
  schedule.skip_last_ms = 6;
  schedule.skip_count = 7;
  schedule.skip_reason = "overlap";
  schedule.timed_ms = 21;
  schedule.silent_from_ms = 20;
  schedule.silent_until_ms = 22;
  schedule.silent_reason = "suspended";
  schedule.shift = 3;
  schedule.shift_until_ms = 23;
  HistoryRow attempt;
  attempt.key = Key(2, 77);
  attempt.attempt = 3;
  attempt.outcome = model::Outcome::kLost;
  attempt.state = JobState::kDead;
  attempt.kind = JobKind::kTrigger;
  attempt.group = "g";
  attempt.task_id = "t";
  attempt.node = "node";
  attempt.token = {8, 9};
  attempt.message = "lost";
  attempt.due_ms = 10;
  attempt.started_ms = 11;
  attempt.ended_ms = 12;
  HistoryRow end = attempt;
  end.attempt = 4;
  end.final = true;
  end.is_schedule = true;
  end.skipped = 13;
  end.skipped_last_ms = 14;
  end.accepted_ms = 15;
  end.retries = 16;
  end.runs = 17;
  end.spec = Spec(2, "g", "t");
  FeedbackRow feedback;
  feedback.key = Key(2, 77);
  feedback.attempt = 4;
  feedback.seq = 15;
  feedback.submit_group = "clients";
  feedback.group = "g";
  feedback.task_id = "t";
  feedback.state = JobState::kDead;
  feedback.message = "why";
  feedback.ended_ms = 16;
  const WorkerRow worker{"g", "worker", "incarnation", UINT64_MAX};
  LogRow log;
  log.key = Key(2, 77);
  log.attempt = 4;
  log.line = 1;
  log.time_ms = 17;
  log.type = "BIZ";
  log.level = "INFO";
  log.group = "g";
  log.task_id = "t";
  log.node = "node";
  log.message = "text";
  EXPECT_OK(a.Commit({PutSchedule{schedule}, InsertHistory{attempt}, InsertHistory{end},
                      InsertFeedback{feedback}, PutWorker{worker}}));
  EXPECT_OK(store().AppendLogs({log}));
  LogRow operation = log;  // stands with what it tells of
  operation.key = Key(1, 0);
  operation.attempt = 0;
  operation.line = 5;
  operation.type = "SUSPEND";
  EXPECT_OK(a.Commit({PutSchedule{schedule}, InsertLog{operation}}));
  Reopen();
  EXPECT_TRUE(Same(*store().LoadSchedules(1, {}, 10), {schedule}));
  EXPECT_TRUE(Same(store().FindSchedule(Id(1))->value(), schedule));
  EXPECT_TRUE(Same(*store().FindHistory(Id(2), 10), {end, attempt}));
  EXPECT_TRUE(Same(*store().LoadFeedback(1, "clients", 0, 10), {feedback}));
  EXPECT_EQ(*store().LoadWorkers(1), std::vector<WorkerRow>{worker});
  EXPECT_EQ(*store().FindLogs(Key(2, 77), 4, 0, 10), std::vector<LogRow>{log});
  EXPECT_EQ(*store().FindLogs(Key(1, 0), 0, 0, 10), std::vector<LogRow>{operation});
}

// ---- the ready order

TEST_P(StoreContract, WaitingRowsComeByPriorityThenDueThenSequence) {
  Owner a(store(), 0);
  const auto row = [](std::uint64_t n, std::int32_t priority, TimeMs due, std::uint64_t seq) {
    JobRow r = Job(n);
    r.priority = priority;
    r.due_ms = due;
    r.seq = seq;
    return r;
  };
  EXPECT_OK(a.Commit({InsertJob{row(1, 100, 50, 9)}, InsertJob{row(2, -5, 70, 8)},
                      InsertJob{row(3, 100, 50, 2)}, InsertJob{row(4, 100, 20, 7)},
                      InsertJob{row(5, 10000, -3, 1)}, InsertJob{row(6, -10000, 90, 6)}}));
  EXPECT_EQ(Waiting(), (Ns{6, 2, 4, 3, 1, 5}));
  EXPECT_EQ(Waiting(60), (Ns{4, 3, 1, 5}));
  EXPECT_EQ(Waiting(50, 2), (Ns{4, 3}));
  EXPECT_EQ(Waiting(INT64_MAX, 10, ReadyPosition{100, 20, 7}), (Ns{3, 1, 5}));
  EXPECT_EQ(Waiting(INT64_MAX, 10, ReadyPosition{100, 50, 3}), (Ns{1, 5}));
  EXPECT_EQ(Waiting(75, 10, ReadyPosition{-10000, 0, 0}), (Ns{2, 4, 3, 1, 5}));
  EXPECT_TRUE(Waiting(INT64_MAX, 10, ReadyPosition{10000, -3, 1}).empty());
  EXPECT_TRUE(store().LoadWaiting(0, "unknown", std::nullopt, INT64_MAX, 10)->empty());
  EXPECT_TRUE(store().LoadWaiting(1, "g", std::nullopt, INT64_MAX, 10)->empty());
}

TEST_P(StoreContract, BlockedRunningAndSuspendedRowsAreNotWaiting) {
  Owner a(store(), 0);
  JobRow resident = Job(1);
  resident.resident = true;
  JobRow running = Job(2);
  running.state = JobState::kRunning;
  JobRow suspended = Job(3);
  suspended.state = JobState::kSuspended;
  JobRow both = Job(4);
  both.state = JobState::kRunning;
  both.resident = true;
  std::vector<Mutation> inserts;
  for (JobRow* row : {&resident, &running, &suspended, &both}) {
    row->due_ms = 9000;  // dated too
    inserts.push_back(InsertJob{*row});
  }
  inserts.push_back(InsertJob{Job(5)});
  EXPECT_OK(a.Commit(inserts));
  EXPECT_EQ(Waiting(), Ns{5});
  EXPECT_TRUE(store().LoadDated(0, "g", 1000, 10)->empty());
  EXPECT_EQ(Numbers(*store().LoadRunning(0, {}, 10)), (Ns{1, 2, 4}));
  EXPECT_EQ(Numbers(*store().LoadRunning(0, Key(1), 1)), Ns{2});
}

TEST_P(StoreContract, DatedRowsComeByDueThenSequence) {
  Owner a(store(), 0);
  const auto row = [](std::uint64_t n, TimeMs due, std::uint64_t seq) {
    JobRow r = Job(n);
    r.due_ms = due;
    r.seq = seq;
    r.priority = static_cast<std::int32_t>(100 - n);
    return r;
  };
  EXPECT_OK(a.Commit({InsertJob{row(1, 1000, 1)}, InsertJob{row(2, 4000, 9)},
                      InsertJob{row(3, 3000, 5)}, InsertJob{row(4, 4000, 2)}}));
  EXPECT_EQ(Numbers(*store().LoadDated(0, "g", 1000, 10)), (Ns{3, 4, 2}));
  EXPECT_EQ(Numbers(*store().LoadDated(0, "g", 3000, 10)), (Ns{4, 2}));
  EXPECT_EQ(Numbers(*store().LoadDated(0, "g", 1000, 1)), Ns{3});
  EXPECT_EQ(Waiting(3500), (Ns{3, 1}));
}

TEST_P(StoreContract, UpdatesMoveRowsBetweenTheIndexes) {
  Owner a(store(), 0);
  JobRow row = Job(1);
  EXPECT_OK(a.Commit({InsertJob{row}}));
  const auto change = [&](auto edit) {
    JobRow after = row;
    edit(after);
    EXPECT_OK(a.Commit({Change(row, after)}));
    row = after;
    EXPECT_TRUE(Same(*store().FindJobRows(Id(1)), {row}));
    EXPECT_TRUE(Same(store().Lookup(0, {}, {{"g", "task-1"}})->jobs, {row}));
  };
  const auto running = [&] { return Numbers(*store().LoadRunning(0, {}, 10)); };
  const auto dated = [&] { return Numbers(*store().LoadDated(0, "g", 1000, 10)); };

  change([](JobRow& r) {
    r.state = JobState::kRunning;
    r.mark = {1, 2};
    r.mark_worker = "w";
  });
  EXPECT_TRUE(Waiting().empty());
  EXPECT_EQ(running(), Ns{1});
  change([](JobRow& r) { r.cancel_requested = true; });  // keeps every index
  EXPECT_EQ(running(), Ns{1});
  change([](JobRow& r) {
    r.state = JobState::kWaiting;
    r.attempt = 2;
    r.due_ms = 8000;
  });  // a retry
  EXPECT_EQ(Waiting(), Ns{1});
  EXPECT_TRUE(Waiting(7999).empty());
  EXPECT_TRUE(running().empty());
  EXPECT_EQ(dated(), Ns{1});
  change([](JobRow& r) { r.priority = -3; });
  EXPECT_EQ(dated(), Ns{1});
  EXPECT_EQ(Waiting(INT64_MAX, 10, ReadyPosition{-4, 0, 0}), Ns{1});
  change([](JobRow& r) { r.resident = true; });
  EXPECT_TRUE(Waiting().empty());
  EXPECT_TRUE(dated().empty());
  EXPECT_EQ(running(), Ns{1});
  change([](JobRow& r) {
    r.resident = false;
    r.state = JobState::kSuspended;
  });
  EXPECT_TRUE(Waiting().empty());
  EXPECT_TRUE(dated().empty());
  EXPECT_TRUE(running().empty());
  change([](JobRow& r) {
    r.state = JobState::kWaiting;
    r.due_ms = 500;
  });
  EXPECT_EQ(Waiting(), Ns{1});
  EXPECT_TRUE(dated().empty());

  EXPECT_OK(a.Commit({DeleteJob{row}}));
  EXPECT_TRUE(Waiting().empty());
  EXPECT_TRUE(store().Lookup(0, {Id(1)}, {{"g", "task-1"}})->jobs.empty());
  EXPECT_TRUE(store().LoadGroups(0)->empty());
  Reopen();
  EXPECT_TRUE(Waiting().empty());
}

// Each commit takes the head away and puts a new one above it, while another thread reads from the
// top.
TEST_P(StoreContract, ReadFromTheTopNeverMissesARowThatWasCommittedBefore) {
  constexpr std::uint64_t kJobs = 400;
  const auto job = [](std::uint64_t n) {
    JobRow row = Job(n);
    // Mostly downwards, and now and then far up, so that what a read remembers of the top is wrong
    // soon.
    row.priority = n % 5 == 0 ? 5000 : -static_cast<std::int32_t>(n);
    return row;
  };
  Owner a(store(), 0);
  EXPECT_OK(a.Commit({InsertJob{job(1)}}));
  std::atomic<std::uint64_t> committed = 1;
  std::thread writer([&] {
    for (std::uint64_t n = 2; n <= kJobs; ++n) {
      EXPECT_OK(a.Commit({DeleteJob{job(n - 1)}, InsertJob{job(n)}}));
      committed = n;
    }
  });
  while (committed < kJobs) {
    const std::uint64_t before = committed;
    const Ns rows = Waiting(INT64_MAX, 10);
    EXPECT_EQ(rows.size(), 1U) << before;
    if (!rows.empty()) {
      EXPECT_GE(rows[0], before);
    }
  }
  writer.join();
  EXPECT_EQ(Waiting(), Ns{kJobs});
}

TEST_P(StoreContract, RowsWithTheSamePositionAreAllKept) {
  Owner a(store(), 0);
  JobRow one = Job(1);
  JobRow two = Job(2);
  two.seq = one.seq;
  EXPECT_OK(a.Commit({InsertJob{one}, InsertJob{two}}));
  EXPECT_EQ(Waiting(), (Ns{1, 2}));
  EXPECT_OK(a.Commit({DeleteJob{one}}));
  EXPECT_EQ(Waiting(), Ns{2});
}

TEST_P(StoreContract, GroupsAreThoseWithJobRows) {
  Owner a(store(), 0);
  Owner other(store(), 1);
  EXPECT_OK(a.Commit(
      {InsertJob{Job(1, "b")}, InsertJob{Job(2, "a")}, PutSchedule{Schedule(3, "c", "t")}}));
  EXPECT_OK(other.Commit({InsertJob{Job(4, "d")}}));
  EXPECT_EQ(*store().LoadGroups(0), (std::vector<std::string>{"a", "b"}));
  EXPECT_OK(a.Commit({DeleteJob{Job(1, "b")}}));
  EXPECT_EQ(*store().LoadGroups(0), std::vector<std::string>{"a"});
}

TEST_P(StoreContract, TasksOfAGroupAreReadPieceByPiece) {
  Owner a(store(), 0);
  Owner other(store(), 1);
  std::set<TaskPosition> wanted;
  MutationBatch batch;
  std::vector<Mutation> rows;
  for (std::uint64_t n = 1; n <= 40; ++n) {
    // One is the beginning of another, some hold several rows, some sort differently by length.
    const std::string task = n % 4 == 0 ? "t" : n % 4 == 1 ? "t\xC3\xA9" : std::string(n, 'a');
    JobRow row = Job(n, "g", task);
    row.key.cycle = n % 8 == 0 ? -static_cast<TimeMs>(n) : static_cast<TimeMs>(n % 3);
    row.resident = n % 5 == 0;
    wanted.insert({task, row.key});
    rows.emplace_back(InsertJob{row});
  }
  rows.emplace_back(InsertJob{Job(50, "g2", "t")});
  rows.emplace_back(InsertJob{Job(51, "f", "t")});
  EXPECT_OK(a.Commit(rows));
  EXPECT_OK(other.Commit({InsertJob{Job(52, "g", "t")}}));
  for (const std::size_t limit : {1U, 7U, 40U, 1000U}) {
    std::set<TaskPosition> read;
    std::optional<TaskPosition> after;
    while (true) {
      const auto page = store().LoadTasks(0, "g", after, limit);
      ASSERT_TRUE(page.ok()) << page.status().ToString();
      ASSERT_LE(page->size(), limit);
      for (const TaskPosition& row : *page) EXPECT_TRUE(read.insert(row).second);
      if (page->size() < limit) break;
      after = page->back();
    }
    EXPECT_EQ(read, wanted) << limit;
  }
  // The last one of an answer may be gone when the next is asked for.
  const auto first = store().LoadTasks(0, "g", std::nullopt, 1);
  const auto second = store().LoadTasks(0, "g", first->back(), 1);
  for (const Mutation& row : rows) {
    const JobRow& job = std::get<InsertJob>(row).row;
    if (job.key == first->back().key) EXPECT_OK(a.Commit({DeleteJob{job}}));
  }
  EXPECT_EQ(*store().LoadTasks(0, "g", first->back(), 1), *second);
  EXPECT_TRUE(store().LoadTasks(0, "nobody", std::nullopt, 10)->empty());
}

// ---- look-ups

TEST_P(StoreContract, LookupFindsByIdAndTaskOnceEachAndTellsWhatEnded) {
  Owner a(store(), 0);
  Owner other(store(), 1);
  JobRow cycle1 = Job(1, "g", "nightly");
  cycle1.key.cycle = 100;
  JobRow cycle2 = cycle1;
  cycle2.key.cycle = 200;
  cycle2.seq = 2;
  EXPECT_OK(a.Commit({InsertJob{cycle1}, InsertJob{cycle2}, InsertJob{Job(3)},
                      InsertJob{Job(8, "g", "nightly2")}, InsertHistory{Ended(Job(4), 10)},
                      InsertHistory{Ended(cycle1, 11, false)}}));
  EXPECT_OK(other.Commit({InsertJob{Job(5)}}));

  auto reply = store().Lookup(0, {Id(1), Id(3), Id(4), Id(5), Id(6)},
                              {{"g", "nightly"}, {"g", "night"}, {"other", "nightly"}});
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(Same(reply->jobs, {cycle1, cycle2, Job(3)}));
  EXPECT_EQ(reply->ended, (std::vector<model::JobId>{Id(1), Id(4)}));

  reply = store().Lookup(0, {}, {{"g", "nightly"}});
  EXPECT_EQ(reply->jobs.size(), 2U);
  EXPECT_TRUE(reply->ended.empty());
  reply = store().Lookup(0, {}, {});
  EXPECT_TRUE(reply->jobs.empty());
}

TEST_P(StoreContract, FindByIdLooksAcrossPartitions) {
  Owner a(store(), 0);
  Owner b(store(), 3);
  EXPECT_OK(a.Commit({InsertJob{Job(1)}}));
  EXPECT_OK(b.Commit(
      {InsertJob{Job(2)}, PutSchedule{Schedule(3, "h", "t")}, InsertHistory{Ended(Job(4), 5)}}));
  EXPECT_EQ(store().FindJobRows(Id(1))->size(), 1U);
  EXPECT_EQ(store().FindJobRows(Id(2))->size(), 1U);
  EXPECT_TRUE(store().FindSchedule(Id(3))->has_value());
  EXPECT_FALSE(store().FindSchedule(Id(1))->has_value());
  EXPECT_EQ(store().FindHistory(Id(4), 10)->size(), 1U);
}

TEST_P(StoreContract, HistoryOfAJobComesNewestFirst) {
  Owner a(store(), 0);
  std::vector<Mutation> rows;
  for (const TimeMs cycle : {100, 200}) {
    for (const std::int32_t n : {1, 2}) {
      JobRow job = Job(1);
      job.key.cycle = cycle;
      job.attempt = n;
      rows.push_back(InsertHistory{Ended(job, cycle + n, n == 2)});
    }
  }
  EXPECT_OK(a.Commit(rows));
  const auto found = store().FindHistory(Id(1), 3);
  ASSERT_EQ(found->size(), 3U);
  EXPECT_EQ((*found)[0].ended_ms, 202);
  EXPECT_EQ((*found)[1].ended_ms, 201);
  EXPECT_EQ((*found)[2].ended_ms, 102);
}

// ---- schedules, feedback, workers

TEST_P(StoreContract, OneAttemptOfAHistoryIsFoundByItsKey) {
  Owner a(store(), 2);
  HistoryRow run = Ended(Job(1), 100);
  run.key.cycle = 50;
  HistoryRow end = Ended(Job(1), 200, true, JobState::kEnded);
  end.attempt = 0;
  end.is_schedule = true;
  EXPECT_OK(a.Commit({InsertHistory{run}, InsertHistory{end}}));
  EXPECT_TRUE(Same(**store().FindAttempt(run.key, run.attempt), run));
  EXPECT_TRUE(Same(**store().FindAttempt(Key(1), 0), end));
  EXPECT_FALSE(store().FindAttempt(Key(1), 1)->has_value());
  EXPECT_FALSE(store().FindAttempt(Key(2), 0)->has_value());
}

TEST_P(StoreContract, SchedulesAreReplacedPagedAndDeleted) {
  Owner a(store(), 0);
  EXPECT_OK(a.Commit({PutSchedule{Schedule(2, "g", "b")}, PutSchedule{Schedule(1, "g", "a")},
                      PutSchedule{Schedule(3, "g", "c")}}));
  ScheduleRow fired = Schedule(2, "g", "b");
  fired.last_fire_ms = 99;
  EXPECT_OK(a.Commit({PutSchedule{fired}}));
  EXPECT_EQ(store().Counters()->at("g").schedules, 3);
  EXPECT_EQ(Numbers(*store().LoadSchedules(0, {}, 2)), (Ns{1, 2}));
  EXPECT_EQ(Numbers(*store().LoadSchedules(0, Id(2), 10)), Ns{3});
  EXPECT_EQ(store().FindSchedule(Id(2))->value().last_fire_ms, 99);
  fired.last_fire_ms = 100;
  EXPECT_OK(a.Commit({PutSchedule{fired, /*stands=*/true}}));
  EXPECT_EQ(store().Counters()->at("g").schedules, 3);
  EXPECT_EQ(store().FindSchedule(Id(2))->value().last_fire_ms, 100);
  // Made, fired and ended in one commit.
  EXPECT_OK(a.Commit({PutSchedule{Schedule(4, "g", "d")},
                      PutSchedule{Schedule(4, "g", "d"), /*stands=*/true},
                      DeleteSchedule{Id(4), "g", "d"}}));
  EXPECT_FALSE(store().FindSchedule(Id(4))->has_value());
  EXPECT_EQ(store().Counters()->at("g").schedules, 3);
  EXPECT_OK(a.Commit({DeleteSchedule{Id(2), "g", "b"}, DeleteSchedule{Id(7), "g", "x"}}));
  EXPECT_FALSE(store().FindSchedule(Id(2))->has_value());
  EXPECT_TRUE(store().FindSchedules({"g", "b", {}, 0}, "", 10)->rows.empty());
  EXPECT_EQ(store().Counters()->at("g").schedules, 2);
}

TEST_P(StoreContract, ATaskHasAtMostOneSchedule) {
  Owner a(store(), 0);
  EXPECT_OK(a.Commit({PutSchedule{Schedule(1, "g", "t")}}));
  EXPECT_EQ(a.Commit({PutSchedule{Schedule(2, "g", "t")}}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(
      a.Commit({PutSchedule{Schedule(3, "g", "u")}, PutSchedule{Schedule(4, "g", "u")}}).code(),
      StatusCode::kInvalidArgument);
  EXPECT_FALSE(store().FindSchedule(Id(3))->has_value());
  EXPECT_OK(a.Commit({DeleteSchedule{Id(1), "g", "t"}, PutSchedule{Schedule(2, "g", "t")}}));
  EXPECT_EQ(Numbers(store().FindSchedules({"g", "t", {}, 0}, "", 10)->rows), Ns{2});
  EXPECT_EQ(store().Counters()->at("g").schedules, 1);
}

TEST_P(StoreContract, FeedbackComesInSequenceUntilDeleted) {
  Owner a(store(), 0);
  const auto row = [](std::uint64_t n, std::uint64_t seq, const std::string& clients) {
    FeedbackRow r;
    r.key = Key(n);
    r.attempt = 1;
    r.seq = seq;
    r.submit_group = clients;
    return r;
  };
  EXPECT_OK(a.Commit({InsertFeedback{row(1, 30, "c")}, InsertFeedback{row(2, 10, "c")},
                      InsertFeedback{row(3, 20, "c")}, InsertFeedback{row(4, 5, "d")}}));
  EXPECT_EQ(*store().LoadFeedbackGroups(0), (std::vector<std::string>{"c", "d"}));
  EXPECT_EQ(Numbers(*store().LoadFeedback(0, "c", 0, 10)), (Ns{2, 3, 1}));
  EXPECT_EQ(Numbers(*store().LoadFeedback(0, "c", 10, 1)), Ns{3});
  EXPECT_OK(a.Commit({DeleteFeedback{Key(3), 1, "c", 20}, DeleteFeedback{Key(4), 1, "d", 5},
                      DeleteFeedback{Key(9), 1, "nobody", 1}}));
  EXPECT_EQ(Numbers(*store().LoadFeedback(0, "c", 0, 10)), (Ns{2, 1}));
  EXPECT_EQ(*store().LoadFeedbackGroups(0), std::vector<std::string>{"c"});
  EXPECT_TRUE(store().LoadFeedback(0, "nobody", 0, 10)->empty());
}

TEST_P(StoreContract, WorkersAreReplacedByIdentityAndDeleted) {
  Owner a(store(), 0);
  EXPECT_OK(a.Commit({PutWorker{{"g", "w1", "i1", 1}}, PutWorker{{"g", "w2", "i1", 2}},
                      PutWorker{{"a", "w1", "i1", 3}}}));
  EXPECT_OK(a.Commit(
      {PutWorker{{"g", "w1", "i2", 4}}, DeleteWorker{"g", "w2"}, DeleteWorker{"nobody", "w"}}));
  EXPECT_EQ(*store().LoadWorkers(0),
            (std::vector<WorkerRow>{{"a", "w1", "i1", 3}, {"g", "w1", "i2", 4}}));
  EXPECT_TRUE(store().LoadWorkers(1)->empty());
}

// ---- logs

TEST_P(StoreContract, RepeatedLogLinesChangeNothing) {
  LogRow line;
  line.key = Key(1);
  line.attempt = 1;
  std::vector<LogRow> lines;
  for (line.line = 1; line.line <= 5; ++line.line) {
    line.message = "line " + std::to_string(line.line);
    lines.push_back(line);
  }
  EXPECT_OK(store().AppendLogs({lines[2], lines[0], lines[0]}));
  LogRow other = lines[0];
  other.message = "another text";
  other.time_ms = 77;
  EXPECT_OK(store().AppendLogs({other, lines[1], lines[3], lines[4]}));
  EXPECT_EQ(*store().FindLogs(Key(1), 1, 0, 100), lines);
  EXPECT_EQ(*store().FindLogs(Key(1), 1, 2, 2), (std::vector<LogRow>{lines[2], lines[3]}));
  EXPECT_TRUE(store().FindLogs(Key(1), 2, 0, 100)->empty());
  EXPECT_TRUE(store().FindLogs(Key(2), 1, 0, 100)->empty());
}

// ---- retention

TEST_P(StoreContract, RetainDeletesOldHistoryAndLogsInBoundedSteps) {
  Owner a(store(), 0);
  std::vector<Mutation> rows;
  std::vector<LogRow> lines;
  for (std::uint64_t n = 1; n <= 20; ++n) {
    const std::string group = n % 2 == 0 ? "g" : "h";
    rows.push_back(InsertHistory{Ended(Job(n, group), static_cast<TimeMs>(n * 10))});
    LogRow line;
    line.key = Key(n);
    line.line = 1;
    line.time_ms = static_cast<TimeMs>(n * 10);
    lines.push_back(line);
  }
  EXPECT_OK(a.Commit(rows));
  EXPECT_OK(store().AppendLogs(lines));
  const RetentionPolicy policy{/*history_before_ms=*/110, /*logs_before_ms=*/60, /*rows_max=*/4};
  std::int64_t gone = 0;
  for (std::int64_t step = 1; step > 0; gone += step) {
    const auto retained = store().Retain(0, a.epoch(), policy);
    ASSERT_TRUE(retained.ok()) << retained.status().ToString();
    EXPECT_LE(*retained, 4);
    step = *retained;
  }
  EXPECT_EQ(gone, 10 + 5);
  EXPECT_EQ(AllPages<HistoryRow>([&](const PageToken& t) {
              return store().FindEnded({}, false, t, 100);
            }).size(),
            10U);
  EXPECT_TRUE(store().FindHistory(Id(10), 10)->empty());
  EXPECT_EQ(store().FindHistory(Id(11), 10)->size(), 1U);
  EXPECT_TRUE(store().Lookup(0, {Id(10)}, {})->ended.empty());
  EXPECT_TRUE(store().FindEnded({"g", "task-10", {}, 0}, false, "", 10)->rows.empty());
  EXPECT_TRUE(store().FindLogs(Key(5), 0, 0, 10)->empty());
  EXPECT_EQ(store().FindLogs(Key(6), 0, 0, 10)->size(), 1U);
  EXPECT_EQ(store().Counters()->at("g").ended.at(JobState::kSucceeded), 5);
  EXPECT_EQ(store().Counters()->at("h").ended.at(JobState::kSucceeded), 5);
}

// ---- reopening

TEST_P(StoreContract, RetainKeepsSoManyEndedJobsOfEachGroup) {
  Owner a(store(), 0);
  for (std::uint64_t n = 1; n <= 6; ++n) {
    HistoryRow row = Ended(Job(n, n < 5 ? "g" : "h"), 1000 + static_cast<TimeMs>(n), true);
    row.state = JobState::kSucceeded;
    EXPECT_OK(a.Commit({InsertHistory{row}}));
  }
  RetentionPolicy policy;
  policy.ended_per_group = 2;
  policy.ended_before_ms = 1002;  // what is younger stays, however many there are
  EXPECT_EQ(*store().Retain(0, a.epoch(), policy), 1);
  policy.ended_before_ms = 5000;
  EXPECT_EQ(*store().Retain(0, a.epoch(), policy), 1);
  EXPECT_EQ(*store().Retain(0, a.epoch(), policy), 0);
  EXPECT_TRUE(store().FindHistory(Id(2), 10)->empty());
  EXPECT_EQ(store().FindHistory(Id(3), 10)->size(), 1U);
  EXPECT_EQ(store().Counters()->at("g").ended.at(JobState::kSucceeded), 2);
  EXPECT_EQ(store().Counters()->at("h").ended.at(JobState::kSucceeded), 2);
}

TEST_P(StoreContract, EverythingIsThereAfterAReopen) {
  {
    Owner a(store(), 0, "a");
    EXPECT_OK(a.Commit({InsertJob{Job(1)}, PutSchedule{Schedule(2, "g", "s")},
                        InsertHistory{Ended(Job(3), 5)}, PutWorker{{"g", "w", "i", 1}}},
                       /*next_seq=*/77));
  }
  const auto counters = *store().Counters();
  Reopen();
  clock_.Advance(kLeaseMs);
  Owner b(store(), 0, "b");
  EXPECT_EQ(b.lease().commit_no, 1U);
  EXPECT_EQ(b.lease().next_seq, 77U);
  EXPECT_FALSE(b.lease().clean);
  EXPECT_EQ(Waiting(), Ns{1});
  EXPECT_EQ(store().Counters()->at("g").jobs, counters.at("g").jobs);
  EXPECT_EQ(store().Counters()->at("g").ended, counters.at("g").ended);
  EXPECT_OK(b.Commit({DeleteJob{Job(1)}, InsertJob{Job(9, "new group")}}));
}

}  // namespace
}  // namespace lts::store::testing

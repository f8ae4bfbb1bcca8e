// What of the backlog is in memory, and reads that fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shell.h"

namespace lts::core {
namespace {

using model::JobState;
using model::Outcome;

class Backlog : public ::testing::Test {
 protected:
  // Runs what is given out, one after the other, until nothing comes any more; the task ids in the
  // order of their runs.
  std::vector<std::string> RunAll(FakeWorker& worker) {
    std::vector<std::string> order;
    for (std::size_t i = 0; i < worker.given.size(); ++i) {
      order.push_back(worker.given[i].spec->task_id);
      s.Succeed(worker, AttemptRef(worker.given[i].ref));
      if (i + 1 == worker.given.size()) s.Advance(1'000);
    }
    return order;
  }
  // By "w", before the takeover.
  AttemptRef GivenOutByAnOwnerWhoseClockWasAhead() {
    s.Load();
    FakeWorker& before = s.Hello("w", 1);
    s.Accept(Shell::Spec("t"));
    const AttemptRef ref = before.given.at(0).ref;
    s.clock.wall_ms -= 3'600'000;
    s.Load();
    return ref;
  }
  Shell s;
};

TEST_F(Backlog, JobsThatBecomeDueWhileRefillsFailRunInOrder) {
  s.options.window_max = 4;
  s.Load();
  int refills = 0;
  s.fail_refill = [&](const RefillRequest&) {
    return ++refills % 2 == 1 ? Status::Unavailable("away") : Status::Ok();
  };
  for (int i = 0; i < 40; ++i) s.Accept(Shell::Spec("due" + std::to_string(i)));
  for (int i = 0; i < 40; ++i) {
    model::JobSpec spec = Shell::Spec("dated" + std::to_string(i));
    spec.priority = 1;
    spec.trigger_delay_ms = 100 + i;
    s.Accept(std::move(spec));
  }
  FakeWorker& worker = s.Hello("w", 1);
  EXPECT_EQ(RunAll(worker).size(), 80U);
  EXPECT_GT(refills, 10);
  EXPECT_TRUE(s.store->LoadGroups(0).value().empty());
}

TEST_F(Backlog, ManyGroupsWithLargeJobsStayWithinTheMemory) {
  s.options.window_max = 1'000;
  s.options.memory_bytes_max = 1'000'000;
  s.Load();
  for (int i = 0; i < 200; ++i) {
    for (int g = 0; g < 10; ++g) {
      model::JobSpec spec = Shell::Spec("t" + std::to_string(i));
      spec.group = "g" + std::to_string(g);
      spec.payload = std::string(2'000, 'x');
      s.Accept(std::move(spec));
    }
    ASSERT_LE(s.core->Stats().memory_bytes, s.options.memory_bytes_max + 10'000);
  }
  FakeWorker& worker = s.Hello("w", 1, {}, {}, "1", "g3");
  std::vector<std::string> wanted;
  for (int i = 0; i < 200; ++i) wanted.push_back("t" + std::to_string(i));
  EXPECT_EQ(RunAll(worker), wanted);
}

TEST_F(Backlog, JobsBeyondItExpireWithoutTaskTrackers) {
  s.options.window_max = 4;
  s.Load();
  std::vector<model::JobId> ids;
  for (int i = 0; i < 50; ++i) {
    model::JobSpec spec = Shell::Spec("t" + std::to_string(i));
    spec.expires_in_ms = 5'000;
    ids.push_back(s.Accept(std::move(spec)));
  }
  s.Advance(10'000);
  for (const model::JobId& id : ids) EXPECT_EQ(s.EndOf(id), JobState::kExpired);
}

TEST_F(Backlog, ADamagedTaskIsRefusedAndTheOthersOfItsRequestAreTaken) {
  s.options.window_max = 2;
  s.Load();
  for (int i = 0; i < 20; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  s.fail_lookup = [](const LookupRequest& request) {
    for (const store::TaskKey& task : request.tasks) {
      if (task.task_id == "t9") return Status::DataLoss("a record cannot be read");
    }
    return Status::Ok();
  };
  SubmitEvent event;
  event.request = 99;
  for (const char* task : {"t8", "t9", "t10"}) {
    model::JobSpec spec = Shell::Spec(task);
    const model::JobId id = s.NewId();
    spec.job_id = id.ToString();
    event.items.push_back({std::make_shared<model::JobSpec>(std::move(spec)), id, false});
  }
  s.submit_replies.clear();
  s.Handle(std::move(event));
  ASSERT_EQ(s.submit_replies.size(), 3U);
  for (const SubmitReply& reply : s.submit_replies) {
    EXPECT_EQ(reply.code, reply.index == 1 ? StatusCode::kDataLoss : StatusCode::kOk)
        << reply.index;
  }
}

// Of what waits in the store only, the core knows the tasks: a new one needs no look-up.
TEST_F(Backlog, OnlyTasksThatWaitInTheStoreAreLookedUp) {
  s.options.window_max = 4;
  s.Load();
  for (int i = 0; i < 100; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  EXPECT_EQ(s.core->Stats().lookups, 0U);
  EXPECT_LT(s.core->Stats().jobs_in_memory, 16U);
  for (int i = 50; i < 60; ++i) {
    const SubmitReply reply = s.Submit(Shell::Spec("t" + std::to_string(i)));
    EXPECT_EQ(reply.outcome, SubmitOutcome::kDuplicate) << i;
  }
  EXPECT_EQ(s.core->Stats().lookups, 10U);
  // What has run is not in the store any more.
  FakeWorker& worker = s.Hello("w", 1);
  for (std::size_t i = 0; i < 90; ++i) s.Succeed(worker, AttemptRef(worker.given.at(i).ref));
  const std::uint64_t before = s.core->Stats().lookups;
  for (int i = 50; i < 60; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  EXPECT_EQ(s.core->Stats().lookups, before);
}

TEST_F(Backlog, ASubmitThatIsRepeatedIsLookedUpThoughItsJobWaitsInTheStore) {
  s.options.window_max = 4;
  s.Load();
  std::vector<model::JobId> ids;
  for (int i = 0; i < 50; ++i) ids.push_back(s.Accept(Shell::Spec("t" + std::to_string(i))));
  // Under another task, so that only the id tells it; the store would refuse it.
  const SubmitReply reply = s.SubmitAs(ids[40], Shell::Spec("other"), false);
  EXPECT_EQ(reply.code, StatusCode::kAlreadyExists);
  EXPECT_EQ(s.core->Stats().lookups, 1U);
}

TEST_F(Backlog, AfterATakeoverTheTasksThatWaitInTheStoreAreRead) {
  s.options.window_max = 4;
  s.Load();
  constexpr int kJobs = 25'000;  // three pieces
  for (int i = 0; i < kJobs; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  s.Load();
  s.Advance(s.options.late_copy_ms);  // until then all ids are looked up
  s.Accept(Shell::Spec("new"));
  EXPECT_EQ(s.core->Stats().lookups, 0U);
  for (const int i : {3, 20, 12'000, kJobs - 1}) {
    const SubmitReply twice = s.Submit(Shell::Spec("t" + std::to_string(i)));
    EXPECT_EQ(twice.outcome, SubmitOutcome::kDuplicate) << i;
  }
  // The first one is in memory.
  EXPECT_EQ(s.core->Stats().lookups, 3U);
}

TEST_F(Backlog, TasksThatCannotBeReadAreLookedUpUntilAllRowsHaveBeenInMemory) {
  s.options.window_max = 4;
  s.Load();
  for (int i = 0; i < 30; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  int asked = 0;
  s.fail_tasks = [&](const TasksRequest&) {
    ++asked;
    return asked == 1   ? Status::Unavailable("away")
           : asked == 2 ? Status::DataLoss("a record is damaged")
                        : Status::Ok();
  };
  s.Load();
  s.Advance(s.options.late_copy_ms);
  EXPECT_EQ(asked, 2);
  const SubmitReply twice = s.Submit(Shell::Spec("t20"));
  EXPECT_EQ(twice.outcome, SubmitOutcome::kDuplicate);
  s.Accept(Shell::Spec("new"));
  EXPECT_EQ(s.core->Stats().lookups, 2U);
  FakeWorker& worker = s.Hello("w", 1);
  for (std::size_t i = 0; i < 28; ++i) s.Succeed(worker, AttemptRef(worker.given.at(i).ref));
  const std::uint64_t before = s.core->Stats().lookups;
  for (int i = 0; i < 20; ++i) s.Accept(Shell::Spec("later" + std::to_string(i)));
  EXPECT_EQ(s.core->Stats().lookups, before);
  EXPECT_EQ(asked, 3);
}

// The owner before had a clock that was ahead: its rows are neither due nor dated for the next one,
// and no refill shows them.
TEST_F(Backlog, TasksOfRowsThatNoRefillShowsAreKnown) {
  s.options.window_max = 4;
  s.Load();
  for (int i = 0; i < 30; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  s.clock.wall_ms -= 3'600'000;
  s.Load();
  for (int i = 100; i < 130; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  for (const int i : {2, 20, 29, 110}) {
    EXPECT_EQ(s.Submit(Shell::Spec("t" + std::to_string(i))).outcome, SubmitOutcome::kDuplicate)
        << i;
  }
  s.Advance(3'700'000);
  for (const int i : {2, 20, 29, 110}) {
    EXPECT_EQ(s.Submit(Shell::Spec("t" + std::to_string(i))).outcome, SubmitOutcome::kDuplicate)
        << i;
  }
  FakeWorker& worker = s.Hello("w", 1);
  EXPECT_EQ(RunAll(worker).size(), 60U);
}

TEST_F(Backlog, AHelloFindsTheRowThatNoRefillShows) {
  const AttemptRef ref = GivenOutByAnOwnerWhoseClockWasAhead();
  FakeWorker& worker = s.Hello("w", 1, {ref});
  EXPECT_TRUE(worker.stops.empty());
  s.Succeed(worker, ref);
  EXPECT_EQ(s.EndOf(ref.key.id), JobState::kSucceeded);
}

TEST_F(Backlog, AResultFindsTheRowThatNoRefillShows) {
  const AttemptRef ref = GivenOutByAnOwnerWhoseClockWasAhead();
  s.Hello("w", 1, {}, {Shell::ResultOf(ref, Outcome::kExecuteSuccess)});
  EXPECT_EQ(s.EndOf(ref.key.id), JobState::kSucceeded);
}

// What happens while the tasks are read: those of rows that come and go meanwhile are known too.
TEST_F(Backlog, TasksAreKnownThoughTheirRowsMoveWhileTheyAreRead) {
  s.options.window_max = 4;
  s.Load();
  for (int i = 0; i < 60; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  s.hold_tasks = true;
  s.Load();
  s.Advance(s.options.late_copy_ms);
  ASSERT_EQ(s.held_tasks.size(), 1U);
  // Into memory and out of it again; accepted beyond the window; run.
  s.Update("t50",
           [] {
             model::JobSpec v;
             v.max_retry_times = 2;
             return v;
           }(),
           {"max_retry_times"});
  s.Accept(Shell::Spec("new"));
  FakeWorker& worker = s.Hello("w", 1);
  for (std::size_t i = 0; i < 20; ++i) s.Succeed(worker, AttemptRef(worker.given.at(i).ref));
  s.AnswerHeldTasks();
  const std::uint64_t before = s.core->Stats().lookups;
  for (const char* task : {"t50", "new", "t45"}) {
    EXPECT_EQ(s.Submit(Shell::Spec(task)).outcome, SubmitOutcome::kDuplicate) << task;
  }
  EXPECT_EQ(s.core->Stats().lookups, before + 3);
}

TEST_F(Backlog, WhatIsTooMuchToRememberIsLookedUp) {
  s.options.window_max = 4;
  s.options.outside_bytes_max = 500;
  s.Load();
  for (int i = 0; i < 100; ++i) s.Accept(Shell::Spec("t" + std::to_string(i)));
  EXPECT_GT(s.core->Stats().over_outside, 0U);
  EXPECT_LE(s.core->Stats().outside_bytes, s.options.outside_bytes_max);
  for (int i = 50; i < 60; ++i) {
    const SubmitReply reply = s.Submit(Shell::Spec("t" + std::to_string(i)));
    EXPECT_EQ(reply.outcome, SubmitOutcome::kDuplicate) << i;
  }
}

TEST_F(Backlog, DamagedRowsDoNotMakeTheMemoryGrow) {
  s.options.window_max = 4;
  s.Load();
  s.fail_refill = [](const RefillRequest&) { return Status::DataLoss("a record cannot be read"); };
  for (int i = 0; i < 200; ++i) {
    s.Accept(Shell::Spec("t" + std::to_string(i)));
    s.Advance(100);
  }
  EXPECT_LE(s.core->Stats().jobs_in_memory, 16U);
}

TEST_F(Backlog, NothingHappensWhileTheStoreTakesNothing) {
  s.Load();
  s.core->SetFrozen(true);
  model::JobSpec spec = Shell::Spec("t");
  spec.cron = "* * * * * ?";
  s.Accept(std::move(spec));
  s.Accept(Shell::Spec("due"));
  FakeWorker& worker = s.Hello("w", 2);
  s.clock.wall_ms += 3'000;
  s.clock.mono_ms += 3'000;
  s.Tick();
  EXPECT_TRUE(worker.given.empty());
  s.core->SetFrozen(false);
  s.Tick();
  EXPECT_EQ(worker.given.size(), 2U);
}

}  // namespace
}  // namespace lts::core

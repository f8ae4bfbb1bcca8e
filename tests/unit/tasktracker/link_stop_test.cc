// How a Link ends: stop and drain.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tasktracker/link.h"
#include "unit/tasktracker/world.h"

namespace lts::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Stopping : public ::testing::Test {
 protected:
  void BeginStop(DurationMs limit_ms = 10'000) {
    world.link->BeginStop(limit_ms, [this](tasktracker::StopReport end) {
      ++reports;
      report = end;
    });
    world.strand.Run();
  }
  World world;
  std::optional<tasktracker::StopReport> report;
  int reports = 0;
};

TEST_F(Stopping, OfAnIdleOneSaysGoodbye) {
  world.Connect();
  BeginStop();
  world.Look();
  EXPECT_THAT(world.capacities, ElementsAre(0));
  EXPECT_TRUE(world.goodbye);
  EXPECT_TRUE(world.tracker.closed_by_peer());
  ASSERT_TRUE(report);
  EXPECT_EQ(report->running, 0);
}

TEST_F(Stopping, IsToldAlsoByOneThatTookNothingNewBefore) {
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  world.link->SetGate(false);
  world.strand.Run();
  world.Look();
  EXPECT_THAT(world.capacities, ElementsAre(0));
  EXPECT_FALSE(world.draining);
  BeginStop();
  world.Look();
  EXPECT_TRUE(world.draining);
  // And to whom it comes back.
  world.tracker.Break();
  world.strand.Advance(200);
  EXPECT_TRUE(world.Hello().draining());
  world.jobs.Release("a");
}

TEST_F(Stopping, LetsWhatRunsEndAndTakesNothingNew) {
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  BeginStop();
  world.AliveFor(9'000);
  EXPECT_FALSE(report);
  EXPECT_FALSE(world.goodbye);
  world.jobs.Release("a");
  const std::vector<v1::AttemptResult> results = world.Results(1);
  EXPECT_EQ(results.at(0).outcome(), v1::OUTCOME_EXECUTE_SUCCESS);
  EXPECT_FALSE(report);  // until it is acknowledged
  world.Ack(results[0].key());
  world.Look();
  EXPECT_TRUE(world.goodbye);
  EXPECT_TRUE(report);
  EXPECT_EQ(world.jobs.runs(), 1);
  EXPECT_THAT(world.Stored(FailKind::kResult), IsEmpty());
}

TEST_F(Stopping, AfterItsLimitStopsWhatRunsAndStoresWhatIsNotAcknowledged) {
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  BeginStop();
  world.AliveFor(10'100);
  const std::vector<v1::AttemptResult> results = world.Results(1);
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_EQ(results[0].outcome(), v1::KILLED);
  EXPECT_THAT(results[0].message(), HasSubstr("interrupted"));
  world.strand.Advance(2'100);
  EXPECT_THAT(world.Stored(FailKind::kResult), SizeIs(1));
  world.Look();
  EXPECT_TRUE(world.goodbye);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->unsaved, 0);
}

TEST_F(Stopping, HandsBackAtOnceWhatWasOnItsWay) {
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  BeginStop();
  world.Assign(World::Assignment("late", "noop", 2));
  const std::vector<v1::AttemptResult> results = world.Results(1);
  EXPECT_EQ(results.at(0).key().job_id(), "job-late");
  EXPECT_EQ(results.at(0).outcome(), v1::KILLED);
  EXPECT_THAT(results.at(0).message(), HasSubstr("before it began"));
  EXPECT_FALSE(report);
  world.jobs.Release("a");
  world.Results(1);
  EXPECT_EQ(world.jobs.runs(), 1);
}

// Handed back it would be over, with an outcome that nobody knows.
TEST_F(Stopping, RunsWhatWasOnItsWayAndMayRunOnlyOnce) {
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  BeginStop();
  v1::Assignment late = World::Assignment("late", "noop", 2);
  late.mutable_job()->set_at_most_once(true);
  world.Assign(late);
  EXPECT_EQ(world.Results(1).at(0).outcome(), v1::OUTCOME_EXECUTE_SUCCESS);
  world.jobs.Release("a");
}

TEST_F(Stopping, ASecondOneCanMakeItSoonerButNotLater) {
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  BeginStop(300'000);
  world.AliveFor(20'000);
  BeginStop(600'000);
  BeginStop(10'000);
  world.AliveFor(9'000);
  EXPECT_EQ(reports, 0);
  world.AliveFor(1'200);
  const std::vector<v1::AttemptResult> results = world.Results(1);
  EXPECT_EQ(results.at(0).outcome(), v1::KILLED);
  world.Ack(results[0].key());
  EXPECT_EQ(reports, 3);
  BeginStop();
  EXPECT_EQ(reports, 4);
  world.Look();
  EXPECT_THAT(world.capacities, ElementsAre(0));
}

TEST_F(Stopping, WithAStuckAttemptEndsWithoutGoodbye) {
  world.Connect();
  world.Assign(World::Assignment("a", "stubborn", 1));
  world.jobs.WaitStarted("a");
  BeginStop();
  world.AliveFor(20'000);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->running, 1);
  EXPECT_FALSE(world.goodbye);
  world.jobs.Release("a");
}

TEST_F(Stopping, WithoutJobTrackerKeepsTheResults) {
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  world.tracker.SetDown(true);
  world.tracker.Break();
  BeginStop();
  world.jobs.Release("a");
  EXPECT_TRUE(world.strand.RunUntil([&] { return report.has_value(); }));
  EXPECT_EQ(report->unsaved, 0);
  EXPECT_THAT(world.Stored(FailKind::kResult), SizeIs(1));
}

TEST_F(Stopping, SaysHowManyResultsAreLostWhenTheFailStoreRefuses) {
  world.limits.count_max = 1;
  world.Connect();
  ASSERT_TRUE(world.store->Put(FailKind::kSubmit, "full", "x").ok());
  world.Assign(World::Assignment("a", "noop", 1));
  world.Results(1);
  BeginStop();
  world.strand.Advance(5'000);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->unsaved, 1);
}

}  // namespace
}  // namespace lts::testing

#include "tasktracker/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/tasktracker/world.h"

namespace lts::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST(Hello, OfANewProcessNamesItselfAndItsSlots) {
  World world;
  world.Open();
  const v1::WorkerHello hello = world.Hello();
  EXPECT_EQ(hello.group(), "g");
  EXPECT_EQ(hello.identity(), "g-default-host-0");
  EXPECT_EQ(hello.incarnation(), "i1");
  EXPECT_EQ(hello.session(), 0U);
  EXPECT_EQ(hello.number(), 1U);
  EXPECT_EQ(hello.capacity(), 4);
  EXPECT_EQ(hello.running_size(), 0);
  EXPECT_EQ(hello.results_size(), 0);
  EXPECT_FALSE(world.connected);
  world.Accept();
  EXPECT_TRUE(world.connected);
}

TEST(Hello, AfterALostStreamContinuesTheSessionAndListsWhatRunsAndWhatIsUnacknowledged) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("long", "gate", 41));
  world.Assign(World::Assignment("short", "noop", 42));
  EXPECT_THAT(world.Results(1), SizeIs(1));
  world.jobs.WaitStarted("long");

  world.tracker.Break();
  world.strand.Run();
  EXPECT_FALSE(world.connected);
  world.strand.Advance(1'000);
  const v1::WorkerHello hello = world.Hello();
  EXPECT_EQ(hello.session(), 7U);
  EXPECT_EQ(hello.epoch(), 3U);
  EXPECT_EQ(hello.cluster_id(), "c1");
  EXPECT_EQ(hello.number(), 2U);
  ASSERT_EQ(hello.running_size(), 1);
  EXPECT_EQ(hello.running(0).job_id(), "job-long");
  ASSERT_EQ(hello.results_size(), 1);
  EXPECT_EQ(hello.results(0).key().job_id(), "job-short");
  EXPECT_EQ(hello.results(0).outcome(), v1::OUTCOME_EXECUTE_SUCCESS);
  world.jobs.Release("long");
}

TEST(Hello, ResultsBeyondTheMessageBoundAreToldAsRunningAndFollow) {
  World world;
  world.options.message_bytes_max = 1;  // one result
  world.Connect();
  world.Assign(World::Assignment("a", "noop", 1));
  world.Assign(World::Assignment("b", "noop", 2));
  world.Results(2);
  world.tracker.Break();
  world.strand.Advance(1'000);
  const v1::WorkerHello hello = world.Hello();
  EXPECT_EQ(hello.results_size(), 1);
  EXPECT_EQ(hello.running_size(), 1);
  world.Accept();
  const std::vector<v1::AttemptResult> followed = world.Results(1);
  ASSERT_THAT(followed, SizeIs(1));
  EXPECT_EQ(followed[0].key().job_id(), hello.running(0).job_id());
}

TEST(Refusal, LeadsToTheOwnerAtOnce) {
  World world;
  world.Open();
  world.Hello();
  v1::TrackerMessage refusal;
  refusal.mutable_hello()->set_code(v1::UNAVAILABLE);
  refusal.mutable_hello()->set_owner_address("jt2:2");
  world.Send(refusal);
  EXPECT_THAT(world.tracker.dialed(), ElementsAre("jt1:1", "jt2:2"));
}

TEST(Refusal, OwnersThatPointAtEachOtherAreNotFollowedForEver) {
  World world;
  world.Open();
  for (int i = 0; i < 20; ++i) {
    world.Hello();
    v1::TrackerMessage refusal;
    refusal.mutable_hello()->set_code(v1::UNAVAILABLE);
    refusal.mutable_hello()->set_owner_address(i % 2 == 0 ? "jt2:2" : "jt1:1");
    world.Send(refusal);
    if (!world.tracker.HasStream()) return;  // waits for its back-off
  }
  FAIL() << "never backed off";
}

TEST(Refusal, WithoutAnOwnerIsRetriedWithBackoff) {
  World world;
  world.Open();
  world.Hello();
  v1::TrackerMessage refusal;
  refusal.mutable_hello()->set_code(v1::UNAVAILABLE);
  refusal.mutable_hello()->set_message("still loading");
  world.Send(refusal);
  EXPECT_FALSE(world.tracker.HasStream());
  EXPECT_THAT(world.reason, HasSubstr("still loading"));
  world.strand.Advance(100);
  world.Hello();
  world.Accept();
  EXPECT_TRUE(world.connected);
}

// The partition is on its way from one owner to the next.
TEST(Refusal, WithoutAnOwnerIsRetriedOftenForTwoSeconds) {
  World world;
  world.Open();
  v1::TrackerMessage refusal;
  refusal.mutable_hello()->set_code(v1::UNAVAILABLE);
  const auto refuse_for = [&](DurationMs ms) {
    const std::size_t before = world.tracker.dialed().size();
    for (DurationMs passed = 0; passed < ms; passed += 10) {
      if (world.tracker.HasStream()) world.Send(refusal);
      world.strand.Advance(10);
    }
    return world.tracker.dialed().size() - before;
  };
  EXPECT_GE(refuse_for(2'000), 9U);  // 200 ms and 10 of the loop at most between two
  EXPECT_LE(refuse_for(60'000), 40U);
  // The next time is one of its own.
  world.link->SetJobTrackers({{"jt1:1", "jt2:2"}, false, Status::Ok()});
  world.strand.Run();
  world.Hello();
  world.Accept();
  ASSERT_TRUE(world.connected);
  world.tracker.Break();
  EXPECT_GE(refuse_for(2'000), 8U);
}

TEST(Refusal, AnOwnerWithAnOldEpochIsLeft) {
  World world;
  world.Connect();
  world.tracker.Break();
  world.strand.Advance(1'000);
  world.Hello();
  world.Accept(7, 2);
  EXPECT_FALSE(world.connected);
  EXPECT_THAT(world.reason, HasSubstr("epoch"));
}

TEST(JobTrackers, AreTriedAtOnceWhenOthersCome) {
  World world;
  world.tracker.SetDown(true);
  world.Open();
  world.strand.Advance(60'000);  // the back-off is at its longest
  const std::size_t dialed = world.tracker.dialed().size();
  world.tracker.SetDown(false);
  world.link->SetJobTrackers({{"jt1:1", "jt2:2"}, false, Status::Ok()});
  world.strand.Run();
  ASSERT_THAT(world.tracker.dialed(), SizeIs(dialed + 1));
  world.Hello();
  world.Accept();
  EXPECT_TRUE(world.connected);
}

TEST(JobTrackers, TheSameListIsNoReasonToTryAgain) {
  World world;
  world.tracker.SetDown(true);
  world.Open();
  world.strand.Advance(60'000);
  const std::size_t dialed = world.tracker.dialed().size();
  world.link->SetJobTrackers({{"jt1:1"}, false, Status::Ok()});
  world.strand.Run();
  EXPECT_THAT(world.tracker.dialed(), SizeIs(dialed));
}

TEST(JobTrackers, AConnectionThatStandsIsLeftAlone) {
  World world;
  world.Connect();
  world.link->SetJobTrackers({{"jt2:2"}, false, Status::Ok()});
  world.strand.Run();
  EXPECT_TRUE(world.connected);
  EXPECT_THAT(world.tracker.dialed(), ElementsAre("jt1:1"));
  world.tracker.Break();
  world.strand.Advance(1'000);
  world.Hello();
  EXPECT_THAT(world.tracker.dialed(), ElementsAre("jt1:1", "jt2:2"));
}

discovery::JobTrackers Registered(std::vector<std::string> addresses) {
  return {std::move(addresses), false, Status::Ok(), true};
}

TEST(JobTrackers, AFrozenOwnerThatHasGoneFromThemIsLeftForTheOthers) {
  World world;
  world.options.job_trackers = Registered({"jt1:1", "jt2:2"});
  world.Connect();
  world.AliveFor(4'000, true);
  EXPECT_TRUE(world.connected);  // it is there: its store may be away for all
  world.link->SetJobTrackers(Registered({"jt2:2"}));
  world.strand.Run();
  EXPECT_TRUE(world.connected);
  world.AliveFor(3'000, true);
  EXPECT_FALSE(world.connected);
  EXPECT_THAT(world.reason, HasSubstr("frozen"));
  EXPECT_EQ(world.tracker.dialed().back(), "jt2:2");
}

TEST(JobTrackers, AFrozenOwnerThatHasGoneFromThemDoesNotRenewTheLease) {
  World world;
  world.options.job_trackers = Registered({"jt1:1"});
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  world.link->SetJobTrackers(Registered({"jt2:2"}));
  world.AliveFor(22'000, true);
  world.tracker.SetDown(true);
  world.tracker.Break();
  EXPECT_TRUE(world.strand.RunUntil([&] { return !world.Stored(FailKind::kResult).empty(); }));
}

TEST(JobTrackers, AFrozenOwnerThatHasGoneIsNotGoneBackToWhenOthersNameIt) {
  World world;
  world.options.job_trackers = Registered({"jt1:1"});
  world.Connect();
  world.link->SetJobTrackers(Registered({"jt2:2"}));
  world.AliveFor(3'000, true);
  v1::TrackerMessage refusal;
  refusal.mutable_hello()->set_code(v1::UNAVAILABLE);
  refusal.mutable_hello()->set_owner_address("jt1:1");
  world.Send(refusal);
  world.strand.Advance(1'000);
  EXPECT_THAT(world.tracker.dialed(), ElementsAre("jt1:1", "jt2:2", "jt2:2"));
  // Unless it is there again.
  world.link->SetJobTrackers(Registered({"jt1:1", "jt2:2"}));
  world.Send(refusal);
  EXPECT_EQ(world.tracker.dialed().back(), "jt1:1");
}

TEST(JobTrackers, AnOwnerThatHasGoneFromThemButAssignsIsKept) {
  World world;
  world.options.job_trackers = Registered({"jt1:1"});
  world.Connect();
  world.link->SetJobTrackers(Registered({"jt2:2"}));
  world.AliveFor(60'000);
  EXPECT_TRUE(world.connected);
}

TEST(JobTrackers, AFrozenOwnerOutsideAConfiguredListIsKept) {
  World world;
  world.Open();
  world.Hello();
  v1::TrackerMessage refusal;
  refusal.mutable_hello()->set_code(v1::UNAVAILABLE);
  refusal.mutable_hello()->set_owner_address("jt2:2");
  world.Send(refusal);
  world.Hello();
  world.Accept();
  world.AliveFor(60'000, true);
  EXPECT_TRUE(world.connected);
}

TEST(JobTrackers, AFrozenOwnerIsKeptWhileNobodyIsKnown) {
  World world;
  world.options.job_trackers = Registered({"jt1:1"});
  world.Connect();
  world.link->SetJobTrackers(Registered({}));
  world.AliveFor(60'000, true);
  EXPECT_TRUE(world.connected);
}

TEST(JobTrackers, WhoStartsBeforeThemAllSaysWhyAndWaits) {
  World world;
  world.options.job_trackers = {{}, true, Status::Unavailable("registryAddress z: not yet")};
  world.Open();
  EXPECT_THAT(world.reason, HasSubstr("registryAddress z: not yet"));
  world.link->SetJobTrackers(
      {{}, false, Status::Unavailable("registryAddress z: nobody is registered")});
  world.strand.Run();
  EXPECT_THAT(world.reason, HasSubstr("nobody is registered"));
  world.strand.Advance(60'000);
  EXPECT_THAT(world.tracker.dialed(), IsEmpty());
  world.link->SetJobTrackers({{"jt1:1"}, false, Status::Ok()});
  world.strand.Run();
  world.Hello();
  world.Accept();
  EXPECT_TRUE(world.connected);
}

TEST(Connection, TriesEveryAddressAndComesBack) {
  World world;
  world.options.job_trackers.addresses = {"jt1:1", "jt2:2"};
  world.tracker.SetDown(true);
  world.Open();
  world.strand.Advance(60'000);
  EXPECT_THAT(world.tracker.dialed(), Contains("jt2:2"));
  EXPECT_LT(world.tracker.dialed().size(), 60U);
  world.tracker.SetDown(false);
  world.strand.Advance(5'000);
  world.Hello();
  world.Accept();
  EXPECT_TRUE(world.connected);
}

TEST(Connection, HelloWithoutAnswerAndHeartbeatsWithoutAnswerEndTheStream) {
  World world;
  world.Open();
  world.Hello();
  world.strand.Advance(10'500);
  world.Hello();
  world.Accept();
  ASSERT_TRUE(world.connected);
  world.strand.Advance(15'000);  // half the lease and a heartbeat
  EXPECT_FALSE(world.connected);
  EXPECT_THAT(world.reason, Not(IsEmpty()));
}

TEST(Assignment, GivesTheJobWhatItAskedFor) {
  World world;
  world.Connect();
  v1::Assignment assignment = World::Assignment("t", "noop", 5);
  (*assignment.mutable_job()->mutable_params())["k"] = "v";
  assignment.mutable_job()->set_payload(std::string("p\0q", 3));
  assignment.mutable_job()->set_task_tracker_node_group("g");
  assignment.set_cycle_ms(1'700'000'000'123);
  assignment.set_attempt(3);
  world.Assign(assignment);
  world.Results(1);
  const runners::AttemptInput input = world.jobs.Input("t");
  EXPECT_EQ(input.job_id, "job-t");
  EXPECT_EQ(input.group, "g");
  EXPECT_EQ(input.params.at("k"), "v");
  EXPECT_EQ(input.payload, std::string("p\0q", 3));
  EXPECT_EQ(input.fire_time_ms, 1'700'000'000'123);
  EXPECT_EQ(input.attempt, 3);
  EXPECT_EQ(input.token, (model::Token{3, 5}));
}

TEST(Assignment, OfAOneShotHasAFireTimeThatItsAttemptsShare) {
  World world;
  world.Connect();
  v1::Assignment assignment = World::Assignment("t", "noop", 5);
  assignment.mutable_job()->set_job_id("018bcfe5-6800-7000-8000-000000000001");
  world.Assign(assignment);
  world.Results(1);
  EXPECT_EQ(world.jobs.Input("t").fire_time_ms, 1'700'000'000'000);
}

TEST(Assignment, RepeatedIsRunOnce) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.Release("a");
  EXPECT_THAT(world.Results(1), SizeIs(1));
  world.Assign(World::Assignment("a", "gate", 1));  // ended, not acknowledged yet
  world.Assign(World::Assignment("b", "noop", 2));
  const std::vector<v1::AttemptResult> next = world.Results(1);
  ASSERT_THAT(next, SizeIs(1));
  EXPECT_EQ(next[0].key().job_id(), "job-b");
  EXPECT_EQ(world.jobs.runs(), 2);
}

TEST(Assignment, OfAnOldEpochIsDropped) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("old", "noop", 1, 2));
  world.Assign(World::Assignment("newer", "noop", 2, 4));
  world.Assign(World::Assignment("old again", "noop", 3, 3));
  const std::vector<v1::AttemptResult> results = world.Results(1);
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_EQ(results[0].key().job_id(), "job-newer");
  EXPECT_EQ(world.jobs.runs(), 1);
}

TEST(Assignment, ForAnUnknownRunnerFailsNamingWhatThereIs) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "nosuch", 1));
  const std::vector<v1::AttemptResult> results = world.Results(1);
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_EQ(results[0].outcome(), v1::OUTCOME_EXECUTE_EXCEPTION);
  EXPECT_THAT(results[0].message(), HasSubstr("nosuch"));
  EXPECT_THAT(results[0].message(), HasSubstr("noop"));
}

TEST(Assignment, MoreThanSlotsWaitForASlot) {
  World world;
  world.slot_count = 2;
  world.Connect();
  v1::TrackerMessage message;
  for (int i = 1; i <= 4; ++i) {
    *message.add_assignments() =
        World::Assignment("t" + std::to_string(i), "gate", static_cast<unsigned>(i));
  }
  world.Send(message);
  for (int i = 1; i <= 4; ++i) {
    world.jobs.WaitStarted("t" + std::to_string(i));
    world.jobs.Release("t" + std::to_string(i));
  }
  EXPECT_THAT(world.Results(4), SizeIs(4));
  EXPECT_LE(world.jobs.running_max(), 2);
}

TEST(Assignment, FarMoreThanSlotsIsSettledByANewHello) {
  World world;
  world.slot_count = 1;
  world.Connect();
  v1::TrackerMessage message;
  for (unsigned i = 1; i <= 3; ++i) {
    *message.add_assignments() = World::Assignment("t" + std::to_string(i), "gate", i);
  }
  world.Send(message);
  EXPECT_FALSE(world.connected);
  for (unsigned i = 1; i <= 3; ++i) world.jobs.Release("t" + std::to_string(i));
  world.strand.Advance(1'000);
  world.Hello();
}

TEST(Result, IsKeptUntilAcknowledgedAndToldInEachHello) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "noop", 1));
  const std::vector<v1::AttemptResult> results = world.Results(1);
  for (int i = 0; i < 2; ++i) {
    world.tracker.Break();
    world.strand.Advance(1'000);
    EXPECT_EQ(world.Hello().results_size(), 1);
    world.Accept();
  }
  world.Ack(results[0].key());
  world.tracker.Break();
  world.strand.Advance(1'000);
  EXPECT_EQ(world.Hello().results_size(), 0);
  EXPECT_THAT(world.Stored(FailKind::kResult), IsEmpty());
}

TEST(Result, WithoutStreamIsDurableAtOnce) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  world.tracker.SetDown(true);
  world.tracker.Break();
  world.strand.Run();
  EXPECT_THAT(world.Stored(FailKind::kResult), IsEmpty());
  world.jobs.Release("a");
  EXPECT_TRUE(world.strand.RunUntil([&] { return !world.Stored(FailKind::kResult).empty(); }));
}

TEST(Result, WithoutAcknowledgementForSomeSecondsIsStoredAndForgottenWhenItComes) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "noop", 1));
  const std::vector<v1::AttemptResult> results = world.Results(1);
  world.AliveFor(4'000);
  EXPECT_THAT(world.Stored(FailKind::kResult), IsEmpty());
  world.AliveFor(3'000);
  EXPECT_THAT(world.Stored(FailKind::kResult), SizeIs(1));
  world.Ack(results[0].key());
  EXPECT_THAT(world.Stored(FailKind::kResult), IsEmpty());
}

TEST(Result, OfAnEarlierProcessIsToldInTheHelloAndForgottenWhenAcknowledged) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "noop", 1));
  world.Results(1);
  world.tracker.Break();
  world.strand.Run();
  ASSERT_THAT(world.Stored(FailKind::kResult), SizeIs(1));
  world.Close();

  world.options.incarnation = "i2";
  world.Open();
  const v1::WorkerHello hello = world.Hello();
  EXPECT_EQ(hello.incarnation(), "i2");
  EXPECT_EQ(hello.session(), 0U);
  ASSERT_EQ(hello.results_size(), 1);
  EXPECT_EQ(hello.results(0).key().job_id(), "job-a");
  world.Accept();
  world.Ack(hello.results(0).key());
  EXPECT_THAT(world.Stored(FailKind::kResult), IsEmpty());
}

TEST(Result, AStoredRecordThatIsNoResultIsParked) {
  World world;
  world.Open();
  ASSERT_TRUE(world.store->Put(FailKind::kResult, "k", "\xff\xff").ok());
  world.Close();
  world.Open();
  EXPECT_EQ(world.Hello().results_size(), 0);
  EXPECT_EQ(world.store->Usage().parked, 1);
}

TEST(Result, WhenTheFailStoreRefusesNoNewJobsAreTakenUntilItWorks) {
  World world;
  world.limits.count_max = 1;
  world.Connect();
  ASSERT_TRUE(world.store->Put(FailKind::kSubmit, "full", "x").ok());
  world.Assign(World::Assignment("a", "noop", 1));
  world.Results(1);
  world.AliveFor(8'000);
  ASSERT_THAT(world.capacities, ElementsAre(0));
  auto blocker = world.Stored(FailKind::kSubmit);
  ASSERT_TRUE(world.store->Ack({blocker.at(0).id}).ok());
  world.AliveFor(3'000);
  EXPECT_THAT(world.Stored(FailKind::kResult), SizeIs(1));
  EXPECT_THAT(world.capacities, ElementsAre(0, 4));
}

TEST(Result, ARefusalByTheFailStoreIsOverWhenAllThatWasLeftHasBeenAcknowledged) {
  World world;
  world.limits.count_max = 1;
  world.Connect();
  ASSERT_TRUE(world.store->Put(FailKind::kSubmit, "full", "x").ok());
  world.Assign(World::Assignment("a", "gate", 1));
  world.Assign(World::Assignment("young", "gate", 2));
  world.jobs.WaitStarted("a");
  world.jobs.WaitStarted("young");
  world.tracker.Break();
  world.strand.Run();
  world.jobs.Release("a");
  ASSERT_TRUE(world.strand.RunUntil([&] { return world.store->Usage().refused_count > 0; }));
  world.strand.Advance(200);
  const v1::WorkerHello hello = world.Hello();
  EXPECT_EQ(hello.capacity(), 0);
  ASSERT_EQ(hello.results_size(), 1);
  world.Accept();
  world.Ack(hello.results(0).key());
  // When the store is tried again there is one result, and it is too young to be stored.
  world.AliveFor(1'500);
  world.jobs.Release("young");
  const std::vector<v1::AttemptResult> results = world.Results(1);
  ASSERT_THAT(results, SizeIs(1));
  world.AliveFor(800);
  EXPECT_THAT(world.capacities, IsEmpty());
  world.Ack(results[0].key());
  world.AliveFor(3'000);
  EXPECT_THAT(world.capacities, ElementsAre(4));
}

TEST(Gate, TakesTheCapacityAwayAndGivesItBack) {
  World world;
  world.Open();
  world.link->SetGate(false);
  world.strand.Run();
  world.Hello();
  world.Accept();
  world.Look();
  EXPECT_THAT(world.capacities, ElementsAre(0));
  // What was on its way runs.
  world.Assign(World::Assignment("a", "noop", 1));
  EXPECT_EQ(world.Results(1).at(0).outcome(), v1::OUTCOME_EXECUTE_SUCCESS);
  world.link->SetGate(true);
  world.strand.Run();
  world.Look();
  EXPECT_THAT(world.capacities, ElementsAre(0, 4));
}

TEST(Result, TooManyUnacknowledgedTakeTheCapacityAway) {
  World world;
  world.options.unacked_max = 2;
  world.Connect();
  world.Assign(World::Assignment("a", "noop", 1));
  world.Assign(World::Assignment("b", "noop", 2));
  const std::vector<v1::AttemptResult> results = world.Results(2);
  world.Look();
  ASSERT_THAT(world.capacities, ElementsAre(0));
  world.Ack(results[0].key());
  world.Look();
  EXPECT_THAT(world.capacities, ElementsAre(0, 4));
}

TEST(Result, ThoseThatGatherWhileTheStreamIsBusyGoInOneMessage) {
  World world;
  world.Connect();
  world.tracker.SetPendingBytes(100);
  v1::TrackerMessage message;
  for (unsigned i = 1; i <= 4; ++i)
    *message.add_assignments() = World::Assignment("t" + std::to_string(i), "noop", i);
  world.Send(message);
  ASSERT_TRUE(
      world.strand.RunUntil([&] { return world.jobs.runs() == 4 && world.slots->busy() == 0; }));
  world.link->SlotsHaveEnded();  // the slots' own word of the last end may still be on its way
  world.strand.Run();
  world.strand.Advance(1);
  std::vector<int> sizes;
  for (const v1::WorkerMessage& sent : world.tracker.Take()) {
    if (sent.results_size() > 0) sizes.push_back(sent.results_size());
  }
  EXPECT_THAT(sizes, ElementsAre(4));
}

TEST(Lease, AtItsEndWhatRunsIsStoppedAndNothingStartsBeforeANewHello) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  world.tracker.SetDown(true);
  world.tracker.Break();
  world.strand.Advance(19'900);
  EXPECT_EQ(world.metrics->Text().find("lts_tasktracker_lease_ends_total 1"), std::string::npos);
  world.strand.Advance(200);
  EXPECT_NE(world.leases.back(), 0);
  ASSERT_TRUE(world.strand.RunUntil([&] { return !world.Stored(FailKind::kResult).empty(); }));
  EXPECT_EQ(world.leases.back(), 0);
  world.tracker.SetDown(false);
  world.strand.Advance(6'000);
  const v1::WorkerHello hello = world.Hello();
  EXPECT_EQ(hello.capacity(), 4);
  EXPECT_EQ(hello.running_size(), 0);
  ASSERT_EQ(hello.results_size(), 1);
  EXPECT_EQ(hello.results(0).outcome(), v1::KILLED);
  EXPECT_THAT(hello.results(0).message(), HasSubstr("lease ended"));
  world.Accept(8);
  world.Assign(World::Assignment("b", "noop", 2));
  EXPECT_THAT(world.Results(1), SizeIs(1));
}

TEST(Lease, CountsFromWhenTheAnsweredHeartbeatWasSent) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  world.strand.Advance(2'000);  // the first heartbeat
  world.Look();
  ASSERT_THAT(world.heartbeats, SizeIs(1));
  world.strand.Advance(1'500);
  v1::TrackerMessage answer;
  answer.set_heartbeat(world.heartbeats[0]);
  world.Send(answer);
  world.tracker.SetDown(true);
  world.tracker.Break();
  world.strand.Advance(18'400);  // 19.9 s after it was sent
  EXPECT_EQ(world.slots->busy(), 1);
  world.strand.Advance(200);
  EXPECT_TRUE(world.strand.RunUntil([&] { return !world.Stored(FailKind::kResult).empty(); }));
}

TEST(Lease, EachOfItsEndsIsToldCountedFromTheSending) {
  World world;
  const std::int64_t hello_us = world.clock.MonotonicUs();
  world.Connect();
  EXPECT_THAT(world.leases, ElementsAre(hello_us + 20'000'000));
  world.strand.Advance(2'000);  // the first heartbeat
  const std::int64_t sent_us = world.clock.MonotonicUs();
  world.Look();
  world.strand.Advance(1'500);
  v1::TrackerMessage answer;
  answer.set_heartbeat(world.heartbeats.at(0));
  world.Send(answer);
  EXPECT_THAT(world.leases, ElementsAre(hello_us + 20'000'000, sent_us + 20'000'000));
}

TEST(Lease, AFrozenOwnerExtendsIt) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  world.AliveFor(60'000, true);
  EXPECT_TRUE(world.connected);
  EXPECT_EQ(world.slots->busy(), 1);
  EXPECT_NE(world.metrics->Text().find("lts_tasktracker_frozen 1"), std::string::npos);
  world.jobs.Release("a");
  const std::vector<v1::AttemptResult> results = world.Results(1);
  EXPECT_EQ(results[0].outcome(), v1::OUTCOME_EXECUTE_SUCCESS);
}

TEST(Lease, ItsEndStopsNothingWhenSwitchedOff) {
  World world;
  world.options.stop_working = false;
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 1));
  world.jobs.WaitStarted("a");
  world.tracker.SetDown(true);
  world.tracker.Break();
  world.strand.Advance(60'000);
  EXPECT_EQ(world.slots->busy(), 1);
  world.tracker.SetDown(false);
  world.strand.Advance(6'000);
  EXPECT_EQ(world.Hello().running_size(), 1);
  EXPECT_THAT(world.leases, IsEmpty());
  world.jobs.Release("a");
}

TEST(Timeout, StopsTheAttemptWhichEndsTimedOut) {
  World world;
  world.Connect();
  v1::Assignment assignment = World::Assignment("a", "gate", 1);
  assignment.mutable_job()->set_timeout_ms(3'000);
  world.Assign(assignment);
  world.jobs.WaitStarted("a");
  world.AliveFor(2'900);
  EXPECT_EQ(world.slots->busy(), 1);
  world.strand.Advance(200);
  const std::vector<v1::AttemptResult> results = world.Results(1);
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_EQ(results[0].outcome(), v1::TIMED_OUT);
  EXPECT_THAT(results[0].message(), HasSubstr("3000 ms"));
  EXPECT_GE(results[0].run_ms(), 3'000);
}

TEST(Timeout, AnAttemptThatIgnoresItKeepsItsSlotAndIsShownStuck) {
  World world;
  world.Connect();
  v1::Assignment assignment = World::Assignment("a", "stubborn", 1);
  assignment.mutable_job()->set_timeout_ms(1'000);
  world.Assign(assignment);
  world.jobs.WaitStarted("a");
  world.AliveFor(8'000);
  EXPECT_EQ(world.slots->busy(), 1);
  EXPECT_NE(world.metrics->Text().find("lts_tasktracker_stuck 1"), std::string::npos);
  ASSERT_THAT(world.progresses, SizeIs(1));
  EXPECT_EQ(world.progresses[0].key().job_id(), "job-a");
  EXPECT_THAT(world.progresses[0].text(), HasSubstr("STUCK: told to stop 6 s ago (time-out)"));
  // Now and then, and at once to an owner that knows nothing of it.
  world.AliveFor(10'000);
  EXPECT_THAT(world.progresses, SizeIs(2));
  world.tracker.Break();
  world.strand.Advance(1'000);
  world.Hello();
  world.Accept();
  world.AliveFor(2'000);
  EXPECT_THAT(world.progresses, SizeIs(3));
  // What it says itself comes after that.
  world.jobs.Say("a");
  world.strand.RunUntil([&] {
    world.strand.Advance(100);
    world.Look();
    return world.progresses.size() > 3;
  });
  EXPECT_THAT(world.progresses.back().text(), HasSubstr("STUCK: told to stop "));
  EXPECT_THAT(world.progresses.back().text(), ::testing::EndsWith(": more"));
  EXPECT_EQ(world.progresses.back().percent(), 75);
  world.jobs.Release("a");
  // It did its work in the end.
  EXPECT_EQ(world.Results(1).at(0).outcome(), v1::OUTCOME_EXECUTE_SUCCESS);
  EXPECT_NE(world.metrics->Text().find("lts_tasktracker_stuck 0"), std::string::npos);
}

TEST(Stops, EndTheAttemptKilled) {
  World world;
  world.Connect();
  const v1::Assignment assignment = World::Assignment("a", "gate", 1);
  world.Assign(assignment);
  world.jobs.WaitStarted("a");
  v1::TrackerMessage message;
  v1::AttemptKey& key = *message.add_stops();
  key.set_job_id("job-a");
  key.set_attempt(1);
  *key.mutable_token() = assignment.token();
  world.Send(message);
  const std::vector<v1::AttemptResult> results = world.Results(1);
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_EQ(results[0].outcome(), v1::KILLED);
  EXPECT_THAT(results[0].message(), HasSubstr("stopped by the JobTracker"));
}

TEST(Stops, OfAnAttemptThatSucceedsAllTheSameIsASuccess) {
  World world;
  world.Connect();
  const v1::Assignment assignment = World::Assignment("a", "stubborn", 1);
  world.Assign(assignment);
  world.jobs.WaitStarted("a");
  v1::TrackerMessage message;
  v1::AttemptKey& key = *message.add_stops();
  key.set_job_id("job-a");
  key.set_attempt(1);
  *key.mutable_token() = assignment.token();
  world.Send(message);
  world.jobs.Release("a");
  EXPECT_EQ(world.Results(1).at(0).outcome(), v1::OUTCOME_EXECUTE_SUCCESS);
}

TEST(Stops, OfAnotherTokenLeaveTheAttemptAlone) {
  World world;
  world.Connect();
  world.Assign(World::Assignment("a", "gate", 2));
  world.jobs.WaitStarted("a");
  v1::TrackerMessage message;
  v1::AttemptKey& key = *message.add_stops();
  key.set_job_id("job-a");
  key.set_attempt(1);
  key.mutable_token()->set_epoch(3);
  key.mutable_token()->set_sequence(1);
  world.Send(message);
  EXPECT_EQ(world.slots->busy(), 1);
  world.jobs.Release("a");
  EXPECT_EQ(world.Results(1).at(0).outcome(), v1::OUTCOME_EXECUTE_SUCCESS);
}

TEST(Progress, OnlyTheNewestIsSent) {
  World world;
  world.Connect();
  v1::Assignment assignment = World::Assignment("a", "gate", 1);
  (*assignment.mutable_job()->mutable_params())["progress"] = "1";
  world.Assign(assignment);
  world.jobs.WaitStarted("a");
  world.strand.Advance(1'000);
  world.Look();
  ASSERT_THAT(world.progresses, SizeIs(1));
  EXPECT_EQ(world.progresses[0].percent(), 50);
  EXPECT_EQ(world.progresses[0].key().job_id(), "job-a");
  world.jobs.Release("a");
}

}  // namespace
}  // namespace lts::testing

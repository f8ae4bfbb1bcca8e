// Requests that go straight to the owners of their partitions.
#include "jobclient/routes.h"

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "client_fixture.h"
#include "jobclient/submitter.h"
#include "model/partition.h"
#include "unit/tasktracker/manual_strand.h"

namespace lts::jobclient {
namespace {

using ::testing::ElementsAre;
using testing::FakeTracker;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::uint32_t kPartitions = 16;

std::uint32_t PartitionOf(const std::string& group) {
  return model::PartitionOf(group, {}, 1, kPartitions);
}

// A group that is not in the partition of group a.
std::string OtherGroup() {
  std::string group = "b";
  while (PartitionOf(group) == PartitionOf("a")) ++group[0];
  return group;
}

class RoutesTest : public ::testing::Test {
 protected:
  RoutesTest() {
    tracker_.on_routes = [this](const v1::RoutesRequest&) {
      ++asked_;
      return answer_;
    };
    tracker_.on_nodes = [](const v1::NodesRequest&) { return v1::NodesResponse(); };
    answer_.set_cluster_id("c1");
    answer_.set_partitions(kPartitions);
  }

  void Owns(const std::string& group, const std::string& address, std::uint64_t epoch) {
    for (v1::Route& route : *answer_.mutable_routes()) {
      if (route.partition() != PartitionOf(group)) continue;
      route.set_address(address);
      route.set_epoch(epoch);
      return;
    }
    v1::Route& route = *answer_.add_routes();
    route.set_partition(PartitionOf(group));
    route.set_address(address);
    route.set_epoch(epoch);
  }
  // Has the table asked for, and waits for the answer to have been taken in.
  void Learn() {
    clock_.Set(clock_.MonotonicUs() + 10'000'000);
    routes_.RefreshIfDue();
    Settle();
  }
  // A channel answers in the order of the calls.
  void Settle() {
    EXPECT_TRUE(trackers_.Call(&rpc::Channel::Nodes, v1::NodesRequest(), 30'000).ok());
  }
  std::string TargetOf(const std::string& group) {
    return routes_.Look()->TargetOf(group)->address();
  }

  const std::string other_ = OtherGroup();
  // The answer may be changed while no call is under way.
  v1::RoutesResponse answer_;
  std::atomic<int> asked_{0};
  FakeTracker tracker_;
  testing::ManualClock clock_;
  Trackers trackers_{std::vector<std::string>{"one:1", "two:2"}, tracker_.Factory()};
  Routes routes_{trackers_, clock_};
};

TEST_F(RoutesTest, UntilItKnowsAnyOneWillDo) {
  EXPECT_EQ(TargetOf("a"), "one:1");
  Owns("a", "two:2", 1);
  Learn();
  EXPECT_EQ(TargetOf("a"), "two:2");
  EXPECT_EQ(TargetOf(other_), "one:1");
}

TEST_F(RoutesTest, TheTableIsAskedForNowAndThen) {
  routes_.RefreshIfDue();
  routes_.RefreshIfDue();
  Settle();
  routes_.RefreshIfDue();
  EXPECT_EQ(asked_, 1);
  clock_.Set(clock_.MonotonicUs() + 6'000'000);
  routes_.RefreshIfDue();
  Settle();
  EXPECT_EQ(asked_, 2);
}

TEST_F(RoutesTest, ASingleJobTrackerIsNotAsked) {
  trackers_.Set({{"one:1"}, false, Status::Ok()});
  Learn();
  EXPECT_EQ(asked_, 0);
  EXPECT_EQ(TargetOf("a"), "one:1");
}

TEST_F(RoutesTest, TheHigherEpochCounts) {
  Owns("a", "two:2", 7);
  Learn();
  Owns("a", "one:1", 6);
  Learn();
  EXPECT_EQ(TargetOf("a"), "two:2");
  Owns("a", "one:1", 8);
  Learn();
  EXPECT_EQ(TargetOf("a"), "one:1");
}

TEST_F(RoutesTest, AnotherClusterBeginsAnew) {
  Owns("a", "two:2", 7);
  Owns(other_, "two:2", 7);
  Learn();
  answer_.clear_routes();
  answer_.set_cluster_id("c2");
  Owns("a", "two:2", 1);
  Learn();
  EXPECT_EQ(TargetOf("a"), "two:2");
  EXPECT_EQ(TargetOf(other_), "one:1");
}

TEST_F(RoutesTest, AnOwnerThatIsNotThereCountsAsUnknown) {
  Owns("a", "elsewhere:3", 7);
  Learn();
  EXPECT_EQ(TargetOf("a"), "one:1");
  trackers_.Set({{"one:1", "elsewhere:3"}, false, Status::Ok()});
  EXPECT_EQ(TargetOf("a"), "elsewhere:3");
}

TEST_F(RoutesTest, AnOwnerInDoubtIsLeftOutAndTheTableAskedForSoon) {
  Owns("a", "two:2", 7);
  Learn();
  routes_.Suspect(trackers_.All()[1]);
  EXPECT_EQ(TargetOf("a"), "one:1");
  clock_.Set(clock_.MonotonicUs() + 300'000);
  routes_.RefreshIfDue();
  Settle();
  EXPECT_EQ(asked_, 2);
  EXPECT_EQ(TargetOf("a"), "one:1");  // nothing new
  Owns("a", "two:2", 8);
  Learn();
  EXPECT_EQ(TargetOf("a"), "two:2");
}

// ---- what the Submitter makes of it

class LanesTest : public RoutesTest {
 protected:
  explicit LanesTest(SubmitterOptions options = {}) : options_(std::move(options)) {}
  ~LanesTest() override {
    tracker_.Release();
    submitter_.Close(30'000);
  }

  void Submit(const std::string& group, const std::string& task) {
    Entry entry;
    entry.item = std::make_unique<v1::SubmitItem>();
    entry.item->mutable_job()->set_task_tracker_node_group(group);
    entry.item->mutable_job()->set_task_id(task);
    entry.item->mutable_job()->set_job_id("id-" + task);
    Add(std::move(entry));
  }
  void Cancel(const std::string& group, const std::string& task) {
    Entry entry;
    entry.operation = std::make_unique<v1::OperateRequest>();
    entry.operation->set_group(group);
    entry.operation->set_task_id(task);
    Add(std::move(entry));
  }
  // The log of the tracker names the task of a cancel, so the id stands there too.
  void CancelById(const std::string& id) {
    Entry entry;
    entry.operation = std::make_unique<v1::OperateRequest>();
    entry.operation->set_job_id(id);
    entry.operation->set_task_id(id);
    Add(std::move(entry));
  }
  void Add(Entry entry) {
    entry.deadline_us = clock_.MonotonicUs() + 600'000'000;
    entry.done = [this](const Answer& answer) {
      EXPECT_TRUE(answer.status.ok()) << answer.status.ToString();
      ++answered_;
      tracker_.Changed();
    };
    EXPECT_TRUE(submitter_.Add(std::move(entry)).ok());
  }
  bool AwaitSeen(std::size_t count) {
    return tracker_.Await([&] { return tracker_.JobsSeen() >= count; });
  }
  bool AwaitAnswered(int count) {
    return tracker_.Await([&] { return answered_ == count; });
  }

  const SubmitterOptions options_;
  std::atomic<int> answered_{0};
  ThreadStrand disk_{"disk"};
  ThreadStrand callbacks_{"callbacks"};
  Submitter submitter_{options_, clock_, trackers_, routes_, nullptr, disk_, callbacks_, {}};
};

TEST_F(LanesTest, OwnersAreSentToAtTheSameTime) {
  Owns("a", "one:1", 1);
  Owns(other_, "two:2", 1);
  Learn();
  tracker_.SetMode(FakeTracker::Mode::kHold);
  Submit("a", "a1");
  Submit(other_, "b1");
  ASSERT_TRUE(AwaitSeen(2));
  EXPECT_THAT(tracker_.SubmitAddresses(), UnorderedElementsAre("one:1", "two:2"));
  // What comes meanwhile gathers for each.
  Submit("a", "a2");
  Submit(other_, "b2");
  Submit("a", "a3");
  tracker_.Release();
  ASSERT_TRUE(AwaitAnswered(5));
  EXPECT_EQ(tracker_.Submits().size(), 4U);
  std::map<std::string, std::vector<std::string>> tasks;
  const auto submits = tracker_.Submits();
  const auto addresses = tracker_.SubmitAddresses();
  for (std::size_t i = 0; i < submits.size(); ++i) {
    for (const v1::SubmitItem& item : submits[i].items()) {
      tasks[addresses[i]].push_back(item.job().task_id());
    }
  }
  EXPECT_THAT(tasks["one:1"], ElementsAre("a1", "a2", "a3"));
  EXPECT_THAT(tasks["two:2"], ElementsAre("b1", "b2"));
}

TEST_F(LanesTest, WhileTheOwnersAreNotKnownThereIsOneQueue) {
  tracker_.SetMode(FakeTracker::Mode::kHold);
  Submit("a", "1");
  ASSERT_TRUE(AwaitSeen(1));
  Submit(other_, "2");
  Submit("a", "3");
  Submit("c", "4");
  tracker_.Release();
  ASSERT_TRUE(AwaitAnswered(4));
  EXPECT_THAT(tracker_.Log(), ElementsAre("+1", "+2", "+3", "+4"));
  EXPECT_EQ(tracker_.Submits().size(), 2U);
}

TEST_F(LanesTest, ANewOwnerGetsNothingOfAGroupThatIsUnderWayElsewhere) {
  Owns("a", "one:1", 1);
  Learn();
  tracker_.SetMode(FakeTracker::Mode::kHold);
  Submit("a", "1");
  ASSERT_TRUE(AwaitSeen(1));
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  Owns("a", "two:2", 2);
  Learn();
  Submit("a", "2");
  Cancel("a", "1");
  Submit(other_, "3");  // nobody stands in its way, but that the first JobTracker is at work
  EXPECT_THAT(tracker_.Log(), ElementsAre("+1"));
  tracker_.Release();
  ASSERT_TRUE(AwaitAnswered(4));
  const std::vector<std::string> log = tracker_.Log();
  const auto place = [&log](const std::string& what) {
    return std::find(log.begin(), log.end(), what) - log.begin();
  };
  EXPECT_LT(place("+1"), place("+2"));
  EXPECT_LT(place("+2"), place("-1"));
  const auto submits = tracker_.Submits();
  for (std::size_t i = 0; i < submits.size(); ++i) {
    const std::string& task = submits[i].items(0).job().task_id();
    EXPECT_EQ(tracker_.SubmitAddresses()[i], task == "2" ? "two:2" : "one:1") << task;
  }
}

TEST_F(LanesTest, ACancelByIdKeepsItsPlaceAmongAll) {
  Owns("a", "one:1", 1);
  Owns(other_, "two:2", 1);
  Learn();
  tracker_.SetMode(FakeTracker::Mode::kHold);
  Submit("a", "1");
  ASSERT_TRUE(AwaitSeen(1));
  CancelById("id-1");
  Submit(other_, "2");  // its owner is free
  EXPECT_THAT(tracker_.Log(), ElementsAre("+1"));
  tracker_.Release();
  ASSERT_TRUE(AwaitAnswered(3));
  EXPECT_THAT(tracker_.Log(), ElementsAre("+1", "-id-1", "+2"));
}

// The partition of group a has no owner until `owned_`.
class LanesWithoutOwnerTest : public LanesTest {
 protected:
  LanesWithoutOwnerTest() {
    tracker_.on_submit = [this](const v1::SubmitItem& item) {
      v1::SubmitAnswer answer;
      answer.set_job_id(item.job().job_id());
      if (!owned_ && item.job().task_tracker_node_group() == "a") answer.set_code(v1::UNAVAILABLE);
      return answer;
    };
  }
  ~LanesWithoutOwnerTest() override { owned_ = true; }

  // Both groups go to "one:1", and what follows is in one request.
  void GatherBehindAHeldRequest() {
    Owns("a", "one:1", 1);
    Owns(other_, "one:1", 1);
    Learn();
    tracker_.SetMode(FakeTracker::Mode::kHold);
    Submit(other_, "b0");
    ASSERT_TRUE(AwaitSeen(1));
  }
  std::vector<std::string> LogOf(char group) {
    std::vector<std::string> log;
    for (const std::string& line : tracker_.Log()) {
      if (line[1] == group) log.push_back(line);
    }
    return log;
  }

  std::atomic<bool> owned_{false};
};

TEST_F(LanesWithoutOwnerTest, OnlyWhatIsSentAgainWaits) {
  GatherBehindAHeldRequest();
  Submit("a", "a1");
  Submit(other_, "b1");
  tracker_.Release();
  ASSERT_TRUE(AwaitAnswered(2));
  Submit("a", "a2");
  Submit(other_, "b2");
  Submit(other_, "b3");
  ASSERT_TRUE(AwaitAnswered(4));
  EXPECT_THAT(LogOf('b'), ElementsAre("+b0", "+b1", "+b2", "+b3"));
  owned_ = true;
  ASSERT_TRUE(AwaitAnswered(6));
  const std::vector<std::string> log = LogOf('a');
  EXPECT_EQ(std::count(log.begin(), log.end(), "+a2"), 1);  // it waited for its predecessor
  EXPECT_EQ(log.back(), "+a2");
}

TEST_F(LanesWithoutOwnerTest, OfASingleJobTrackerTooOnlyWhatIsSentAgainWaits) {
  trackers_.Set({{"one:1"}, false, Status::Ok()});
  GatherBehindAHeldRequest();
  Submit("a", "a1");
  Submit(other_, "b1");
  tracker_.Release();
  ASSERT_TRUE(AwaitAnswered(2));
  Submit(other_, "b2");
  ASSERT_TRUE(AwaitAnswered(3));
  owned_ = true;
  ASSERT_TRUE(AwaitAnswered(4));
}

TEST_F(LanesWithoutOwnerTest, ACancelByIdWaitsForWhatIsSentAgain) {
  GatherBehindAHeldRequest();
  Submit("a", "a1");
  tracker_.Release();
  ASSERT_TRUE(tracker_.Await([&] { return LogOf('a').size() > 2; }));
  CancelById("id-a1");
  Submit(other_, "b1");
  ASSERT_TRUE(tracker_.Await([&, seen = LogOf('a').size()] { return LogOf('a').size() > seen; }));
  EXPECT_THAT(LogOf('b'), ElementsAre("+b0"));
  owned_ = true;
  ASSERT_TRUE(AwaitAnswered(4));
  const std::vector<std::string> log = tracker_.Log();
  EXPECT_EQ(std::vector<std::string>(log.end() - 3, log.end()),
            (std::vector<std::string>{"+a1", "-id-a1", "+b1"}));
}

TEST_F(LanesTest, AnOwnerThatDoesNotAnswerIsPassedBy) {
  Owns("a", "two:2", 1);
  Learn();
  tracker_.SetDownAddresses({"two:2"});
  Submit("a", "1");
  ASSERT_TRUE(AwaitAnswered(1));
  Submit("a", "2");
  ASSERT_TRUE(AwaitAnswered(2));
  EXPECT_THAT(tracker_.SubmitAddresses(), ElementsAre("one:1", "one:1"));
  EXPECT_TRUE(tracker_.Submits()[0].items(0).maybe_sent());
  EXPECT_FALSE(tracker_.Submits()[1].items(0).maybe_sent());  // straight to the other one
}

// No JobTracker is waited for.
class ImpatientLanesTest : public LanesTest {
 protected:
  ImpatientLanesTest()
      : LanesTest([] {
          SubmitterOptions options;
          options.try_ms = 20;
          return options;
        }()) {}
};

TEST_F(ImpatientLanesTest, AnOwnerThatKeepsSilentIsLeftForAnother) {
  Owns("a", "two:2", 1);
  Learn();
  tracker_.SetSilentAddresses({"two:2"});
  Submit("a", "1");
  ASSERT_TRUE(AwaitAnswered(1));
  Submit("a", "2");
  ASSERT_TRUE(AwaitAnswered(2));
  EXPECT_THAT(tracker_.SubmitAddresses(), ElementsAre("two:2", "one:1", "one:1"));
  EXPECT_FALSE(tracker_.Submits()[0].items(0).maybe_sent());
  EXPECT_TRUE(tracker_.Submits()[1].items(0).maybe_sent());
  EXPECT_EQ(tracker_.SubmitDeadlinesMs()[0], 20);
}

TEST_F(ImpatientLanesTest, WhoIsAskedLastGetsTheTimeThatIsLeft) {
  tracker_.SetMode(FakeTracker::Mode::kHold);
  Submit("a", "1");
  ASSERT_TRUE(AwaitSeen(2));
  EXPECT_THAT(tracker_.SubmitAddresses(), ElementsAre("one:1", "two:2"));
  EXPECT_THAT(tracker_.SubmitDeadlinesMs(), ElementsAre(20, 600'000));
  tracker_.Release();
  ASSERT_TRUE(AwaitAnswered(1));
}

TEST_F(ImpatientLanesTest, ARoundThatFollowsOthersLeavesEverybodyInTime) {
  Owns("a", "two:2", 1);
  Learn();
  std::atomic<bool> owned{false};
  tracker_.on_submit = [&](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    answer.set_job_id(item.job().job_id());
    if (!owned) answer.set_code(v1::UNAVAILABLE);
    return answer;
  };
  tracker_.SetSilentAddresses({"two:2"});
  Submit("a", "1");
  ASSERT_TRUE(AwaitSeen(5));  // two rounds, and the beginning of a third one
  owned = true;
  ASSERT_TRUE(AwaitAnswered(1));
  std::vector<std::int64_t> deadlines = tracker_.SubmitDeadlinesMs();
  deadlines.resize(5);
  EXPECT_THAT(deadlines, ElementsAre(20, 600'000, 20, 20, 20));
}

TEST_F(ImpatientLanesTest, ASingleJobTrackerGetsAllTheTime) {
  trackers_.Set({{"one:1"}, false, Status::Ok()});
  Submit("a", "1");
  ASSERT_TRUE(AwaitAnswered(1));
  EXPECT_THAT(tracker_.SubmitDeadlinesMs(), ElementsAre(600'000));
}

}  // namespace
}  // namespace lts::jobclient

// Who owns what: two JobTrackers of one cluster over the embedded registry and the memory store, on
// one strand under a clock that the test moves. The simulator goes on from here.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "jobtracker/cluster_member.h"
#include "jobtracker/lease_keeper.h"
#include "jobtracker/partition_host.h"
#include "registry/embedded/embedded_registry.h"
#include "store/memory/memory_store.h"
#include "unit/tasktracker/manual_strand.h"

namespace lts {
namespace {

constexpr std::uint32_t kPartitions = 4;
constexpr DurationMs kLeaseMs = 4'000;

class Outbox1 final : public Outbox {
 public:
  void Submitted(std::vector<core::SubmitReply> replies) override {
    for (core::SubmitReply& reply : replies) submitted.push_back(std::move(reply));
  }
  void Operated(std::vector<core::OperateReply>) override {}
  void ToWorker(core::WorkerSend message) override {
    if (message.hello) hellos.push_back(*message.hello);
    if (message.heartbeat != 0) frozen.push_back(message.frozen);
    for (core::Assignment& given : message.assignments) assigned.push_back(std::move(given));
  }
  void ToFeedback(core::FeedbackSend) override {}
  void Ended(const store::HistoryRow&) override {}
  void Serving() override { ++served; }
  void Reset(std::uint32_t, const Status& why) override { resets.push_back(why); }

  std::vector<core::SubmitReply> submitted;
  std::vector<core::HelloReply> hellos;
  std::vector<bool> frozen;
  std::vector<core::Assignment> assigned;
  std::vector<Status> resets;
  int served = 0;
};

// One JobTracker as its daemon wires it, without the wire.
struct Tracker {
  Tracker(std::string identity, store::JobStore& the_store, testing::ManualClock& clock,
          testing::ManualStrand& strand)
      : name(std::move(identity)), store_clock(clock) {
    for (std::uint32_t i = 0; i < kPartitions; ++i) {
      PartitionHostOptions options;
      options.core.partition = i;
      options.owner = name;
      options.lease_ms = kLeaseMs;
      outboxes.push_back(std::make_unique<Outbox1>());
      hosts.push_back(std::make_unique<PartitionHost>(options, the_store, strand, strand, strand,
                                                      clock, *outboxes.back()));
      hosts.back()->SetAddress(name + ":1");
    }
    LeaseKeeperOptions keeping;
    keeping.owner = name;
    keeping.lease_ms = kLeaseMs;
    std::vector<LeaseKeeper::Host> kept;
    for (const auto& host : hosts) kept.push_back({host.get(), &strand});
    LeaseKeeper::Listeners listeners;
    listeners.on_store_answers = [this](bool answers) {
      if (member) member->SetServing(answers);
    };
    keeper = std::make_unique<LeaseKeeper>(keeping, the_store, strand, clock, store_clock, routes,
                                           std::move(kept), std::move(listeners));
    keeper->Start();
  }

  void Join(registry::EmbeddedRegistry& cluster, testing::ManualStrand& strand,
            const std::string& incarnation = "") {
    member = std::make_unique<ClusterMember>(
        kPartitions, strand, store_clock, metrics, [this](const ClusterMember::Assigned& now) {
          for (std::uint32_t i = 0; i < kPartitions; ++i) {
            hosts[i]->Assign({now.number, now.mine[i], now.live});
          }
        });
    handle = cluster.Join(member->ForRegistry());
    registry::Node node;
    node.group = std::string(registry::kJobTrackerGroup);
    node.identity = name;
    node.incarnation = incarnation.empty() ? name : incarnation;
    node.address = name + ":1";
    member->Start(*handle, node, [](const Status& status) { EXPECT_TRUE(status.ok()); });
  }

  int Serving() const {
    int serving = 0;
    for (const auto& host : hosts) serving += host->serving() ? 1 : 0;
    return serving;
  }

  const std::string name;
  MetricsRegistry metrics;
  StoreClock store_clock;
  Routes routes{kPartitions};
  std::vector<std::unique_ptr<Outbox1>> outboxes;
  std::vector<std::unique_ptr<PartitionHost>> hosts;
  std::unique_ptr<ClusterMember> member;
  std::unique_ptr<LeaseKeeper> keeper;
  std::unique_ptr<registry::Registry> handle;
};

class Ownership : public ::testing::Test {
 protected:
  Ownership() : strand_(clock_) {
    store::MemoryStoreOptions options;
    options.identity.partitions = kPartitions;
    options.lease_ms = kLeaseMs;
    store_ = store::MakeMemoryStore(options, clock_);
  }
  std::unique_ptr<Tracker> Add(const std::string& name) {
    auto tracker = std::make_unique<Tracker>(name, *store_, clock_, strand_);
    tracker->Join(cluster_, strand_);
    return tracker;
  }
  // One that nobody assigns anything to: the test does.
  std::unique_ptr<Tracker> Alone(const std::string& name) {
    return std::make_unique<Tracker>(name, *store_, clock_, strand_);
  }
  std::vector<store::PartitionRow> Rows() { return store_->Partitions().value(); }
  std::vector<std::string> Owners() {
    std::vector<std::string> owners;
    for (const store::PartitionRow& row : Rows()) owners.push_back(row.owner);
    return owners;
  }
  // Time passes, and nothing runs meanwhile.
  void Pause(DurationMs ms) { clock_.Set(clock_.MonotonicUs() + ms * 1000); }
  void Submit(PartitionHost& host, const std::string& task) {
    auto spec = std::make_shared<model::JobSpec>();
    const auto id = model::JobId::Parse(ids_.Next(clock_.WallMs()));
    spec->job_id = id->ToString();
    spec->group = "g";
    spec->task_id = task;
    core::SubmitEvent event;
    event.request = ++requests_;
    event.items.push_back({std::move(spec), *id, false});
    host.Handle(std::move(event));
  }
  void Hello(PartitionHost& host) {
    core::HelloEvent event;
    event.stream = ++streams_;
    event.group = "g";
    event.identity = "w";
    event.incarnation = "1";
    event.number = streams_;
    event.capacity = 10;
    host.Handle(std::move(event));
  }
  void Heartbeat(PartitionHost& host) {
    core::WorkerEvent event;
    event.stream = streams_;
    event.heartbeat = ++heartbeats_;
    host.Handle(std::move(event));
  }

  testing::ManualClock clock_;
  testing::ManualStrand strand_;
  std::unique_ptr<store::JobStore> store_;
  registry::EmbeddedRegistry cluster_;
  UuidGenerator ids_{1};
  core::RequestId requests_ = 0;
  core::StreamId streams_ = 0;
  std::uint64_t heartbeats_ = 0;
};

TEST_F(Ownership, TheOnlyOneOwnsEverythingAtOnce) {
  const auto a = Add("a");
  strand_.Run();
  EXPECT_EQ(a->Serving(), 4);
  EXPECT_TRUE(a->member->is_master());
}

TEST_F(Ownership, ANewcomerIsHandedItsShareAndNothingElseMoves) {
  const auto a = Add("a");
  strand_.Run();
  const auto b = Add("b");
  strand_.Advance(2'000);
  EXPECT_EQ(a->Serving(), 2);
  EXPECT_EQ(b->Serving(), 2);
  EXPECT_FALSE(b->member->is_master());
  for (const store::PartitionRow& row : Rows()) {
    EXPECT_EQ(row.epoch, row.owner == "a" ? 1U : 2U) << row.partition;
  }
  // Both know of each other's.
  EXPECT_EQ(a->routes.Of(3).address, b->routes.Of(3).address);
}

TEST_F(Ownership, WhatSomebodyWhoLeavesHadIsTakenOverInAMoment) {
  const auto a = Add("a");
  const auto b = Add("b");
  strand_.Advance(2'000);
  ASSERT_EQ(b->Serving(), 2);
  b->member->Leave([] {});
  strand_.Run();
  b->handle.reset();
  for (const auto& host : b->hosts) host->Stop([] {});
  strand_.Advance(500);
  EXPECT_EQ(a->Serving(), 4);
  EXPECT_EQ(Owners(), std::vector<std::string>(4, "a"));
}

TEST_F(Ownership, WhatSomebodyWhoDiedHadWaitsForItsLease) {
  const std::int64_t died_us = clock_.MonotonicUs();
  ASSERT_TRUE(store_->Acquire(0, "ghost", "", 0).ok());
  const auto a = Add("a");
  strand_.Run();
  EXPECT_EQ(a->Serving(), 3);
  while (a->Serving() < 4 && clock_.MonotonicUs() - died_us < 10'000'000) strand_.Advance(100);
  const std::int64_t took_ms = (clock_.MonotonicUs() - died_us) / 1000;
  EXPECT_GE(took_ms, kLeaseMs);
  EXPECT_LE(took_ms, kLeaseMs + 600);
}

TEST_F(Ownership, NothingIsGivenOutAfterTheLeaseHasEndedUntilTheStoreConfirmsIt) {
  const auto a = Alone("a");
  PartitionHost& host = *a->hosts[0];
  host.Assign({1, true, true});
  strand_.Run();
  ASSERT_TRUE(host.serving());
  Hello(host);
  strand_.Run();
  // The process is paused for longer than the lease, and meets a submit first.
  Pause(kLeaseMs + 1'000);
  Heartbeat(host);
  ASSERT_FALSE(a->outboxes[0]->frozen.empty());
  EXPECT_TRUE(a->outboxes[0]->frozen.back());
  EXPECT_TRUE(a->outboxes[0]->assigned.empty());
  // Nobody took over: the first renewal goes through, and work goes on.
  strand_.Run();
  Submit(host, "one");
  strand_.Advance(10);
  EXPECT_EQ(a->outboxes[0]->assigned.size(), 1U);
  Heartbeat(host);
  EXPECT_FALSE(a->outboxes[0]->frozen.back());
}

TEST_F(Ownership, OneThatWasReplacedDuringAPauseLetsGoOfEverything) {
  const auto a = Alone("a");
  const auto b = Alone("b");
  a->hosts[0]->Assign({1, true, true});
  strand_.Run();
  ASSERT_TRUE(a->hosts[0]->serving());
  Pause(kLeaseMs + 1'000);
  const auto taken = store_->Acquire(0, "b", "b:1", 2);
  ASSERT_TRUE(taken.ok());
  Submit(*a->hosts[0], "late");
  a->hosts[0]->Assign({2, false, true});
  strand_.Run();
  EXPECT_FALSE(a->hosts[0]->serving());
  EXPECT_EQ(a->outboxes[0]->resets.size(), 1U);
  EXPECT_TRUE(a->outboxes[0]->submitted.empty());  // its desk fails what was not answered
  EXPECT_TRUE(store_->FindJobs({}, {}, 10)->rows.empty());
}

TEST_F(Ownership, AnOlderAssignmentTakesNothingFromItsOwner) {
  const auto a = Alone("a");
  a->hosts[0]->Assign({7, true, true});
  strand_.Run();
  const auto b = Alone("b");
  b->hosts[0]->Assign({6, true, true});
  strand_.Advance(3'000);
  EXPECT_TRUE(a->hosts[0]->serving());
  EXPECT_FALSE(b->hosts[0]->serving());
  b->hosts[0]->Assign({7, false, true});
  b->hosts[0]->Assign({8, true, true});
  strand_.Advance(2'000);
  EXPECT_FALSE(a->hosts[0]->serving());
  EXPECT_TRUE(b->hosts[0]->serving());
}

TEST_F(Ownership, WhatIsServedAndNotWantedIsServedUntilSomebodyAsks) {
  const auto a = Alone("a");
  a->hosts[0]->Assign({1, true, true});
  strand_.Run();
  a->hosts[0]->Assign({2, false, true});
  strand_.Advance(10'000);
  EXPECT_TRUE(a->hosts[0]->serving());
  const auto b = Alone("b");
  b->hosts[0]->Assign({2, true, true});
  strand_.Advance(2'000);
  EXPECT_TRUE(b->hosts[0]->serving());
}

TEST_F(Ownership, WhatWasAcquiredWhenNobodyWantsItAnyMoreIsGivenBackAsItWas) {
  const auto a = Alone("a");
  a->hosts[0]->Assign({1, true, true});  // the question is under way
  a->hosts[0]->Assign({2, false, true});
  strand_.Run();
  EXPECT_FALSE(a->hosts[0]->serving());
  EXPECT_EQ(Owners()[0], "");
  EXPECT_TRUE(store_->Acquire(0, "b", "", 3)->clean);
}

TEST_F(Ownership, OneThatCannotReachItsStoreIsLeftOut) {
  const auto a = Add("a");
  const auto b = Add("b");
  strand_.Advance(2'000);
  ASSERT_EQ(b->Serving(), 2);
  b->member->SetServing(false);
  strand_.Advance(5'000);
  EXPECT_EQ(a->Serving(), 4);
  b->member->SetServing(true);
  strand_.Advance(2'000);
  EXPECT_EQ(b->Serving(), 2);
}

TEST_F(Ownership, OneThatCannotReachItsStoreStaysLeftOutWhoeverComesAndGoes) {
  const auto a = Add("a");
  auto b = Add("b");
  strand_.Advance(2'000);
  a->member->SetServing(false);
  strand_.Advance(5'000);
  ASSERT_EQ(b->Serving(), 4);
  // Another one is there later than the first could not write; then the store is away for that one
  // too, for a moment.
  const auto c = Add("c");
  strand_.Advance(6'000);
  b->member->SetServing(false);
  c->member->SetServing(false);
  strand_.Advance(1'000);
  b->member->SetServing(true);
  c->member->SetServing(true);
  strand_.Advance(6'000);
  EXPECT_EQ(b->Serving() + c->Serving(), 4);
  for (const std::string& owner : Owners()) EXPECT_NE(owner, "a");
}

TEST_F(Ownership, OneThatHasFarMoreToDoExchangesABusyPartition) {
  const auto a = Add("a");
  const auto b = Add("b");
  strand_.Advance(2'000);
  std::vector<std::uint32_t> busy;
  for (const store::PartitionRow& row : Rows()) {
    if (row.owner == "a") busy.push_back(row.partition);
  }
  ASSERT_EQ(busy.size(), 2U);
  a->member->SetLoads({{busy[0], 500}, {busy[1], 400}});
  strand_.Advance(3'000);
  const std::vector<std::string> owners = Owners();
  EXPECT_NE(owners[busy[0]], owners[busy[1]]);
  EXPECT_EQ(a->Serving(), 2);
  EXPECT_EQ(b->Serving(), 2);
}

TEST_F(Ownership, WhenTheStoreIsAwayForAllNothingMoves) {
  const auto a = Add("a");
  const auto b = Add("b");
  strand_.Advance(2'000);
  const std::vector<std::string> before = Owners();
  // They notice one after the other, and that it is back too.
  a->member->SetServing(false);
  strand_.Advance(1'500);
  b->member->SetServing(false);
  strand_.Advance(60'000);
  b->member->SetServing(true);
  strand_.Advance(2'000);
  a->member->SetServing(true);
  strand_.Advance(5'000);
  EXPECT_EQ(Owners(), before);
  for (const store::PartitionRow& row : Rows()) EXPECT_LE(row.epoch, 2U) << row.partition;
}

TEST_F(Ownership, OfTwoProcessesOfOneNameTheLaterOneOwnsAndTheOtherLetsGo) {
  const auto a = Add("a");
  strand_.Run();
  ASSERT_EQ(a->Serving(), 4);
  // Another process under the name of the first, started later.
  const auto other = std::make_unique<Tracker>("a", *store_, clock_, strand_);
  for (const auto& host : other->hosts) host->SetAddress("elsewhere:1");
  other->Join(cluster_, strand_, "z");
  strand_.Advance(10'000);
  int epochs_before = 0;
  for (const store::PartitionRow& row : Rows()) epochs_before += static_cast<int>(row.epoch);
  strand_.Advance(20'000);
  int epochs = 0;
  for (const store::PartitionRow& row : Rows()) epochs += static_cast<int>(row.epoch);
  EXPECT_EQ(epochs, epochs_before) << "they take it from each other";
  EXPECT_EQ(a->Serving(), 0);
  EXPECT_EQ(other->Serving(), 4);
}

TEST_F(Ownership, TheMasterThatLosesItsSessionIsReplacedAndTakesItsPlaceAgain) {
  const auto a = Add("a");
  const auto b = Add("b");
  strand_.Advance(2'000);
  ASSERT_TRUE(a->member->is_master());
  cluster_.ExpireSession(*a->handle);
  strand_.Advance(3'000);
  EXPECT_TRUE(b->member->is_master());
  EXPECT_EQ(a->Serving() + b->Serving(), 4);
  EXPECT_EQ(a->Serving(), 2);
}

TEST(StoreClock, FollowsTheStoreAndLeavesOutWhatAPauseSpoiled) {
  testing::ManualClock own;
  StoreClock clock(own);
  clock.Measured(own.WallMs() + 5'000, own.MonotonicUs(), own.MonotonicUs());
  EXPECT_EQ(clock.WallMs(), own.WallMs() + 5'000);
  // Asked, paused for ten seconds, answered: half of the pause is no offset.
  const std::int64_t asked_us = own.MonotonicUs();
  const TimeMs store_ms = own.WallMs() + 5'000;
  own.Set(own.MonotonicUs() + 10'000'000);
  clock.Measured(store_ms, asked_us, own.MonotonicUs());
  EXPECT_EQ(clock.WallMs(), own.WallMs() + 5'000);
}

}  // namespace
}  // namespace lts

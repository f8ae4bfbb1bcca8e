// What every registry promises. A new implementation adds a Cluster and a line at the end.
#include <algorithm>
#include <atomic>
#include <set>

#include "registry_fixture.h"

namespace lts::registry::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// What the processes of one case share.
class Cluster {
 public:
  virtual ~Cluster() = default;
  // Connected. With `may_expire` its session can be ended by Expire.
  virtual std::unique_ptr<Peer> Join(bool may_expire) = 0;
  // Ends the session and returns when the next one has begun.
  virtual void Expire(Peer& peer, std::uint64_t next_generation) = 0;
};

class EmbeddedCluster final : public Cluster {
 public:
  std::unique_ptr<Peer> Join(bool /*may_expire*/) override {
    auto peer = std::make_unique<Peer>();
    peer->registry = embedded_.Join(peer->listeners());
    return peer;
  }
  void Expire(Peer& peer, std::uint64_t next_generation) override {
    embedded_.ExpireSession(*peer.registry);
    EXPECT_TRUE(peer.AwaitState(SessionState::kConnected, next_generation));
  }

 private:
  EmbeddedRegistry embedded_;
};

class ZookeeperCluster final : public Cluster {
 public:
  std::unique_ptr<Peer> Join(bool may_expire) override {
    ::lts::testing::ZookeeperServers* const servers = SharedServers();
    if (servers == nullptr) return nullptr;
    auto peer = may_expire ? OpenPeer(OptionsFor(name_, {}, kShortTimeoutMs),
                                      std::make_unique<::lts::testing::TcpProxy>(servers->port()))
                           : OpenPeer(OptionsFor(name_, servers->hosts()));
    EXPECT_OK(peer->registry->WaitConnected(30'000));
    return peer;
  }
  void Expire(Peer& peer, std::uint64_t next_generation) override {
    peer.proxy->Hold();
    EXPECT_TRUE(peer.AwaitState(SessionState::kExpired, next_generation - 1));
    peer.proxy->Pass();
    EXPECT_TRUE(peer.AwaitState(SessionState::kConnected, next_generation));
  }

 private:
  const std::string name_ = UniqueName("contract");
};

class RegistryContract : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (GetParam() == std::string("embedded")) {
      cluster_ = std::make_unique<EmbeddedCluster>();
    } else {
      ASSERT_NE(SharedServers(), nullptr);
      cluster_ = std::make_unique<ZookeeperCluster>();
    }
  }
  std::unique_ptr<Peer> Join(bool may_expire = false) { return cluster_->Join(may_expire); }

  std::unique_ptr<Cluster> cluster_;
};

TEST_P(RegistryContract, AWatchTellsWhoIsThereAndThenWhatChanges) {
  const auto watcher = Join();
  const auto a = Join();
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_TRUE(watcher->WatchGroup(NodeType::kJobTracker, "lts").ok());
  ASSERT_TRUE(watcher->AwaitNodes({"a"}));
  EXPECT_THAT(watcher->nodes.All().back().nodes, ElementsAre(TestNode("a")));
  EXPECT_THAT(watcher->nodes.All().back().added, ElementsAre(TestNode("a")));

  auto b = Join();
  ASSERT_OK(b->Register(TestNode("b")));
  ASSERT_TRUE(watcher->AwaitNodes({"a", "b"}));
  EXPECT_THAT(Ids(watcher->nodes.All().back().added), ElementsAre("b"));
  EXPECT_THAT(watcher->nodes.All().back().changed, IsEmpty());

  Node moved = TestNode("a");
  moved.address = "127.0.0.1:2";
  moved.slots = 16;
  moved.loads = {{3, 120}};
  ASSERT_OK(a->registry->Update(moved));
  ASSERT_TRUE(watcher->nodes.Await([](const NodesUpdate& u) { return !u.changed.empty(); }));
  EXPECT_THAT(watcher->nodes.All().back().changed, ElementsAre(moved));
  EXPECT_THAT(Ids(watcher->nodes.All().back().nodes), ElementsAre("a", "b"));

  b.reset();
  ASSERT_TRUE(watcher->AwaitNodes({"a"}));
  EXPECT_THAT(watcher->nodes.All().back().removed, ElementsAre(TestNode("b")));
}

TEST_P(RegistryContract, AGroupThatNobodyIsInIsEmptyUntilSomebodyComes) {
  const auto watcher = Join();
  ASSERT_TRUE(watcher->WatchGroup(NodeType::kTaskTracker, "later").ok());
  ASSERT_TRUE(watcher->nodes.AwaitAll([](const auto& all) { return all.size() == 1; }));
  EXPECT_THAT(watcher->nodes.All().back().nodes, IsEmpty());
  const auto peer = Join();
  ASSERT_OK(peer->Register(TestNode("x", "later", NodeType::kTaskTracker)));
  EXPECT_TRUE(watcher->AwaitNodes({"x"}));
}

TEST_P(RegistryContract, GroupsAndTypesDoNotMix) {
  const auto tracker = Join();
  const auto first = Join();
  const auto second = Join();
  const auto third = Join();
  ASSERT_OK(tracker->Register(TestNode("jt", "lts")));
  // A group may be named like the beginning of another, and in any script.
  ASSERT_OK(first->Register(TestNode("tt1", "demo", NodeType::kTaskTracker)));
  ASSERT_OK(second->Register(TestNode("tt2", "demo.2", NodeType::kTaskTracker)));
  ASSERT_OK(third->Register(TestNode("节点-3", "任务组", NodeType::kTaskTracker)));

  EXPECT_THAT(*tracker->Groups(NodeType::kTaskTracker),
              UnorderedElementsAre("demo", "demo.2", "任务组"));
  EXPECT_THAT(*tracker->Groups(NodeType::kJobTracker), ElementsAre("lts"));
  EXPECT_THAT(*tracker->Groups(NodeType::kAdmin), IsEmpty());
  EXPECT_THAT(Ids(*tracker->List(NodeType::kTaskTracker, "demo")), ElementsAre("tt1"));
  EXPECT_THAT(*tracker->List(NodeType::kTaskTracker, "任务组"),
              ElementsAre(TestNode("节点-3", "任务组", NodeType::kTaskTracker)));
  EXPECT_THAT(*tracker->List(NodeType::kTaskTracker, "lts"), IsEmpty());
  // Each is master of its own.
  for (Peer* peer : {tracker.get(), first.get(), second.get(), third.get()}) {
    EXPECT_TRUE(peer->masters.Await([](const MasterUpdate& u) { return u.is_me; }));
  }
}

TEST_P(RegistryContract, TheMasterIsWhoCameFirstAndTheNextOneFollows) {
  auto a = Join();
  auto b = Join();
  auto c = Join();
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_OK(b->Register(TestNode("b")));
  ASSERT_OK(c->Register(TestNode("c")));
  EXPECT_TRUE(a->AwaitMaster("a", true));
  EXPECT_TRUE(b->AwaitMaster("a", false));
  EXPECT_TRUE(c->AwaitMaster("a", false));

  // One in the middle goes: nothing changes for the others.
  b.reset();
  ASSERT_TRUE(a->WatchGroup(NodeType::kJobTracker, "lts").ok());
  ASSERT_TRUE(a->AwaitNodes({"a", "c"}));
  EXPECT_EQ(c->masters.All().size(), 1U);

  a.reset();
  EXPECT_TRUE(c->AwaitMaster("c", true));
  const auto d = Join();
  ASSERT_OK(d->Register(TestNode("d")));
  EXPECT_TRUE(d->AwaitMaster("c", false));
}

TEST_P(RegistryContract, AMasterWhoseSessionExpiresHandsOverAndComesBackLast) {
  const auto a = Join(true);
  const auto b = Join();
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_OK(b->Register(TestNode("b")));
  ASSERT_TRUE(a->AwaitMaster("a", true));
  ASSERT_TRUE(b->AwaitMaster("a", false));
  ASSERT_TRUE(b->WatchGroup(NodeType::kJobTracker, "lts").ok());
  ASSERT_TRUE(b->AwaitNodes({"a", "b"}));

  cluster_->Expire(*a, 2);
  EXPECT_TRUE(b->AwaitMaster("b", true));
  EXPECT_TRUE(a->AwaitMaster("b", false));
  EXPECT_TRUE(b->AwaitNodes({"b", "a"}));
  // In between it knew that it is master no more.
  const std::vector<MasterUpdate> told = a->masters.All();
  ASSERT_EQ(told.size(), 3U);
  EXPECT_FALSE(told[1].master.has_value());
  EXPECT_FALSE(told[1].is_me);
}

TEST_P(RegistryContract, AfterAnExpiryTheNextGenerationGoesOn) {
  const auto a = Join(true);
  const auto b = Join();
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_TRUE(a->WatchGroup(NodeType::kTaskTracker, "g").ok());
  ASSERT_TRUE(a->WatchRecord("assignment").ok());
  ASSERT_TRUE(a->records.AwaitAll([](const auto& all) { return all.size() == 1; }));

  for (std::uint64_t generation = 1; generation <= 2; ++generation) {
    cluster_->Expire(*a, generation + 1);
    EXPECT_EQ(a->registry->session().generation, generation + 1);
    EXPECT_EQ(a->registry->session().state, SessionState::kConnected);
  }
  // Watches of the first generation work in the third.
  ASSERT_OK(b->Register(TestNode("x", "g", NodeType::kTaskTracker)));
  EXPECT_TRUE(a->AwaitNodes({"x"}));
  ASSERT_OK(b->Write("assignment", "p0", kNoRecord).status());
  EXPECT_TRUE(a->records.Await([](const Record& r) { return r.bytes == "p0" && r.version == 0; }));
  // The node stands again, with what it was registered with.
  ASSERT_TRUE(b->WatchGroup(NodeType::kJobTracker, "lts").ok());
  ASSERT_TRUE(b->AwaitNodes({"a"}));
  EXPECT_THAT(b->nodes.All().back().nodes, ElementsAre(TestNode("a")));
  // States came in order, each generation after the one before.
  std::uint64_t last = 1;
  for (const SessionInfo& info : a->sessions.All()) {
    EXPECT_GE(info.generation, last);
    last = info.generation;
  }
  EXPECT_EQ(last, 3U);
}

TEST_P(RegistryContract, AProcessStartedAgainReplacesWhatItsPredecessorLeft) {
  const auto watcher = Join();
  ASSERT_TRUE(watcher->WatchGroup(NodeType::kJobTracker, "lts").ok());
  const auto first = Join();
  ASSERT_OK(first->Register(TestNode("a")));
  const auto other = Join();
  ASSERT_OK(other->Register(TestNode("b")));
  ASSERT_TRUE(watcher->AwaitNodes({"a", "b"}));

  Node again = TestNode("a");
  again.incarnation = "i-a-2";
  again.started_ms += 5'000;
  auto second = Join();
  ASSERT_OK(second->Register(again));
  ASSERT_TRUE(watcher->AwaitNodes({"b", "a"}));
  EXPECT_EQ(watcher->nodes.All().back().nodes.back(), again);
  // It is a newcomer in the election, and the old one is out of it.
  EXPECT_TRUE(second->AwaitMaster("b", false));
  EXPECT_TRUE(other->AwaitMaster("b", true));
  EXPECT_TRUE(first->AwaitNoMaster());

  // When the later one goes, the one that stood by comes back.
  second.reset();
  EXPECT_TRUE(watcher->nodes.Await([](const NodesUpdate& update) {
    return Ids(update.nodes) == std::vector<std::string>{"b", "a"} &&
           update.nodes.back() == TestNode("a");
  }));
  EXPECT_TRUE(first->AwaitMaster("b", false));
}

TEST_P(RegistryContract, AProcessThatWasStartedEarlierStandsBy) {
  Node later = TestNode("a");
  later.incarnation = "i-later";
  later.started_ms += 1;
  auto second = Join();
  ASSERT_OK(second->Register(later));
  const auto first = Join();
  const Status refused = first->Register(TestNode("a"));
  EXPECT_EQ(refused.code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(refused.message(), HasSubstr("started later"));
  EXPECT_THAT(*first->List(NodeType::kJobTracker, "lts"), ElementsAre(later));
  second.reset();
  EXPECT_TRUE(first->AwaitMaster("a", true));
}

TEST_P(RegistryContract, ARecordIsWrittenOverTheVersionThatWasRead) {
  const auto a = Join();
  const auto b = Join();
  ASSERT_TRUE(b->WatchRecord("assignment").ok());
  ASSERT_TRUE(b->records.Await([](const Record& r) { return r.version == kNoRecord; }));
  EXPECT_EQ(a->Read("assignment")->version, kNoRecord);

  EXPECT_EQ(*a->Write("assignment", "one", kNoRecord), 0);
  EXPECT_EQ(b->Write("assignment", "two", kNoRecord).status().code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(*b->Write("assignment", "two", 0), 1);
  EXPECT_EQ(a->Write("assignment", "three", 0).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(a->Read("assignment")->bytes, "two");
  EXPECT_EQ(*a->Write("assignment", std::string("\0\xff", 2), 1), 2);
  ASSERT_TRUE(b->records.Await([](const Record& r) { return r.version == 2; }));
  EXPECT_EQ(b->records.All().back().bytes, std::string("\0\xff", 2));
  EXPECT_EQ(a->Write("other", "x", 5).status().code(), StatusCode::kFailedPrecondition);
}

TEST_P(RegistryContract, ManyWritersLoseNothing) {
  std::vector<std::unique_ptr<Peer>> peers;
  peers.reserve(3);
  for (int i = 0; i < 3; ++i) peers.push_back(Join());
  std::vector<std::thread> writers;
  writers.reserve(peers.size());
  for (const auto& peer : peers) {
    writers.emplace_back([&peer] {
      for (int done = 0; done < 20;) {
        const auto record = peer->Read("counter");
        ASSERT_TRUE(record.ok()) << record.status().ToString();
        const int value = record->version == kNoRecord ? 0 : std::stoi(record->bytes);
        const auto written = peer->Write("counter", std::to_string(value + 1), record->version);
        if (written.ok()) ++done;
        if (!written.ok()) {
          ASSERT_EQ(written.status().code(), StatusCode::kFailedPrecondition);
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(peers[0]->Read("counter")->bytes, "60");
}

TEST_P(RegistryContract, TheClusterIsSetUpOnce) {
  const auto a = Join();
  const auto b = Join();
  const auto ensure = [](Peer& peer, const ClusterRecord& wanted) {
    return Peer::Ask<ClusterRecord>(
        [&](auto done) { EnsureCluster(*peer.registry, wanted, std::move(done)); });
  };
  const auto read =
      Peer::Ask<ClusterRecord>([&](auto done) { ReadCluster(*a->registry, std::move(done)); });
  EXPECT_EQ(read.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(*ensure(*a, {"one", 16}), (ClusterRecord{"one", 16}));
  EXPECT_EQ(*ensure(*b, {"two", 4}), (ClusterRecord{"one", 16}));
  ASSERT_OK(a->Write(std::string(kClusterRecord), "?", 0).status());
  EXPECT_EQ(ensure(*b, {"two", 4}).status().code(), StatusCode::kDataLoss);
}

TEST_P(RegistryContract, WhatIsWrongIsRefused) {
  const auto a = Join();
  EXPECT_EQ(a->registry->Update(TestNode("a")).code(), StatusCode::kFailedPrecondition);
  Node nameless = TestNode("");
  EXPECT_EQ(a->Register(nameless).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(a->Register(TestNode("a", "a/b")).code(), StatusCode::kInvalidArgument);
  Node large = TestNode("a");
  large.address = std::string(kAddressBytesMax + 1, 'x');
  EXPECT_EQ(a->Register(large).code(), StatusCode::kInvalidArgument);
  ASSERT_OK(a->Register(TestNode("a")));
  EXPECT_EQ(a->Register(TestNode("a")).code(), StatusCode::kFailedPrecondition);
  Node other = TestNode("a");
  other.started_ms += 1;
  EXPECT_EQ(a->registry->Update(other).code(), StatusCode::kInvalidArgument);

  EXPECT_EQ(a->WatchGroup(NodeType::kAdmin, "").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(a->WatchRecord("a/b").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(a->List(NodeType::kAdmin, "/").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(a->Read("").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(a->Write("r", std::string(kRecordBytesMax + 1, 'x'), kNoRecord).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(*a->Write("r", std::string(kRecordBytesMax, 'x'), kNoRecord), 0);
}

TEST_P(RegistryContract, WatchesHaveALimitAndEnd) {
  const auto a = Join();
  std::vector<WatchId> ids;
  ids.reserve(kWatchesMax);
  std::atomic<int> calls = 0;
  for (std::size_t i = 0; i < kWatchesMax; ++i) {
    const auto id = a->registry->WatchRecord("r", [&calls](const Record&) { ++calls; });
    ASSERT_TRUE(id.ok());
    ids.push_back(*id);
  }
  EXPECT_EQ(a->WatchRecord("r").status().code(), StatusCode::kResourceExhausted);
  for (const WatchId id : ids) a->registry->Unwatch(id);
  a->strand.Drain();
  const int before = calls;
  ASSERT_TRUE(a->WatchRecord("r").ok());
  ASSERT_OK(a->Write("r", "x", kNoRecord).status());
  ASSERT_TRUE(a->records.Await([](const Record& r) { return r.version == 0; }));
  EXPECT_EQ(calls, before);
}

TEST_P(RegistryContract, NothingIsCalledOnceTheHandleIsGone) {
  const auto writer = Join();
  for (int round = 0; round < 5; ++round) {
    std::atomic<bool> gone = false;
    std::atomic<int> late = 0;
    ThreadStrand strand("mine");
    auto peer = Join();
    const auto note = [&gone, &late] {
      if (gone) ++late;
    };
    ASSERT_TRUE(peer->registry->WatchRecord("r", [note](const Record&) { note(); }).ok());
    ASSERT_TRUE(
        peer->registry
            ->WatchNodes(NodeType::kJobTracker, "lts", [note](const NodesUpdate&) { note(); })
            .ok());
    peer->registry->Register(TestNode("a" + std::to_string(round)),
                             [note](const Status&) { note(); });
    for (int i = 0; i < 20; ++i) {
      peer->registry->ReadRecord("r", [note](const Result<Record>&) { note(); });
    }
    peer->registry.reset();
    gone = true;
    ASSERT_OK(writer->Write("r", "x", round - 1).status());
    peer->strand.Drain();
    EXPECT_EQ(late, 0);
  }
}

TEST_P(RegistryContract, AHandleMayBeClosedFromItsOwnCallback) {
  const auto peer = Join();
  std::promise<void> closed;
  peer->registry->ReadRecord("r", [&](const Result<Record>&) {
    peer->registry.reset();
    closed.set_value();
  });
  EXPECT_EQ(closed.get_future().wait_for(kPatience), std::future_status::ready);
}

TEST_P(RegistryContract, CallbacksRunOnTheStrandHandedIn) {
  const auto a = Join();
  std::promise<std::thread::id> strand_thread;
  a->strand.Post([&] { strand_thread.set_value(std::this_thread::get_id()); });
  const std::thread::id expected = strand_thread.get_future().get();
  Heard<std::thread::id> threads;
  const auto note = [&threads] { threads.Add(std::this_thread::get_id()); };
  ASSERT_TRUE(a->registry->WatchRecord("r", [note](const Record&) { note(); }).ok());
  ASSERT_TRUE(
      a->registry->WatchNodes(NodeType::kJobTracker, "lts", [note](const NodesUpdate&) { note(); })
          .ok());
  a->registry->Register(TestNode("a"), [note](const Status&) { note(); });
  a->registry->WriteRecord("r", "x", kNoRecord, [note](const Result<std::int64_t>&) { note(); });
  ASSERT_TRUE(threads.AwaitAll([](const auto& all) { return all.size() >= 5; }));
  for (const std::thread::id& thread : threads.All()) EXPECT_EQ(thread, expected);
}

INSTANTIATE_TEST_SUITE_P(Embedded, RegistryContract, ::testing::Values("embedded"));
INSTANTIATE_TEST_SUITE_P(Zookeeper, RegistryContract, ::testing::Values("zookeeper"));

}  // namespace
}  // namespace lts::registry::testing

// What is ZooKeeper's alone: sessions against a server that goes, stops or is cut off, users, and
// what lies in the tree.
#include <fmt/core.h>

#include <filesystem>

#include "registry/zookeeper/handle.h"
#include "registry/zookeeper/tree.h"
#include "registry_fixture.h"

namespace lts::registry::testing {

::lts::testing::ZookeeperServers* SharedServers() {
  static const auto servers = ::lts::testing::ZookeeperServers::Start(1);
  EXPECT_TRUE(servers.ok()) << servers.status().ToString();
  return servers.ok() ? servers->get() : nullptr;
}

namespace {

using ::lts::testing::TcpProxy;
using ::testing::HasSubstr;
using ::testing::Not;

class ZookeeperRegistry : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(SharedServers(), nullptr); }

  ZookeeperOptions Options(DurationMs timeout_ms = kLongTimeoutMs) const {
    return OptionsFor(cluster_, SharedServers()->hosts(), timeout_ms);
  }
  std::unique_ptr<Peer> Join(DurationMs timeout_ms = kLongTimeoutMs) const {
    auto peer = OpenPeer(Options(timeout_ms));
    EXPECT_OK(peer->registry->WaitConnected(30'000));
    return peer;
  }
  std::unique_ptr<Peer> JoinThroughProxy(DurationMs timeout_ms) const {
    auto peer = OpenPeer(Options(timeout_ms), std::make_unique<TcpProxy>(SharedServers()->port()));
    EXPECT_OK(peer->registry->WaitConnected(30'000));
    return peer;
  }
  zookeeper::Tree tree() const { return {"", cluster_}; }

  const std::string cluster_ = UniqueName("zk");
};

// A client of its own, to look at the tree and to change it.
class Raw {
 public:
  explicit Raw(const std::vector<std::string>& hosts, const std::string& digest = "") {
    zookeeper::HandleOptions options;
    options.hosts = hosts.front();
    options.digest = digest;
    options.timeout_ms = kLongTimeoutMs;
    options.number = 1;
    auto opened =
        zookeeper::Handle::Open(options, strand_, std::make_shared<std::atomic<std::uint64_t>>(1),
                                [](const zookeeper::Event&) {});
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    handle_ = *std::move(opened);
  }

  zookeeper::Reply Children(const std::string& path) {
    return Ask([&](auto done) { handle_->Children(path, false, std::move(done)); });
  }
  zookeeper::Reply Create(const std::string& path, zookeeper::Mode mode) {
    return Ask([&](auto done) { handle_->Create(path, "{}", mode, std::move(done)); });
  }
  zookeeper::Reply Delete(const std::string& path) {
    return Ask([&](auto done) { handle_->Delete(path, std::move(done)); });
  }
  zookeeper::Reply Set(const std::string& path, const std::string& data) {
    return Ask([&](auto done) { handle_->Set(path, data, -1, std::move(done)); });
  }

 private:
  static zookeeper::Reply Ask(const std::function<void(zookeeper::OnReply)>& call) {
    auto answered = std::make_shared<std::promise<zookeeper::Reply>>();
    auto answer = answered->get_future();
    call([answered](const zookeeper::Reply& reply) { answered->set_value(reply); });
    if (answer.wait_for(kPatience) != std::future_status::ready) return {};
    return answer.get();
  }

  ThreadStrand strand_{"raw"};
  std::unique_ptr<zookeeper::Handle> handle_;
};

std::vector<SessionState> States(const Peer& peer) {
  std::vector<SessionState> states;
  for (const SessionInfo& info : peer.sessions.All()) states.push_back(info.state);
  return states;
}

TEST_F(ZookeeperRegistry, TellsTheTimeoutThatTheServerGrants) {
  const auto asked = Join();
  EXPECT_EQ(asked->registry->session().timeout_ms, kLongTimeoutMs);
  const auto too_much = Join(500'000);
  EXPECT_EQ(too_much->registry->session().timeout_ms, 60'000);
}

TEST_F(ZookeeperRegistry, ARestartOfTheServerShorterThanTheTimeoutDisturbsNothing) {
  const auto a = Join();
  const auto b = Join();
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_OK(b->Register(TestNode("b")));
  ASSERT_TRUE(b->WatchGroup(NodeType::kJobTracker, "lts").ok());
  ASSERT_TRUE(b->AwaitNodes({"a", "b"}));
  ASSERT_TRUE(b->AwaitMaster("a", false));
  ASSERT_EQ(*a->Write("r", "before", kNoRecord), 0);

  SharedServers()->Kill();
  ASSERT_TRUE(a->AwaitState(SessionState::kSuspended, 1));
  // Without a connection a request fails at once, and says so.
  const auto refused = a->Read("r");
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(refused.status().message(), HasSubstr("registryAddress zookeeper://127.0.0.1:"));
  // What is told to the registry meanwhile arrives.
  Node moved = TestNode("a");
  moved.address = "127.0.0.1:9";
  ASSERT_OK(a->registry->Update(moved));
  ASSERT_OK(SharedServers()->Restart());

  for (Peer* peer : {a.get(), b.get()}) {
    ASSERT_TRUE(peer->sessions.Await(
        [](const SessionInfo& info) { return info.state == SessionState::kConnected; }));
    EXPECT_EQ(peer->registry->session().generation, 1U);
    EXPECT_THAT(States(*peer),
                ::testing::ElementsAre(SessionState::kConnected, SessionState::kSuspended,
                                       SessionState::kConnected));
  }
  EXPECT_EQ(*b->Write("r", "after", 0), 1);
  ASSERT_TRUE(b->nodes.Await(
      [&moved](const NodesUpdate& u) { return u.nodes.size() == 2 && u.nodes.front() == moved; }));
  for (const NodesUpdate& update : b->nodes.All()) {
    EXPECT_THAT(update.removed, ::testing::IsEmpty());
  }
  EXPECT_FALSE(a->masters.All().empty());
  for (const MasterUpdate& update : a->masters.All()) EXPECT_TRUE(update.is_me);
  for (const MasterUpdate& update : b->masters.All()) EXPECT_EQ(update.master->identity, "a");
}

TEST_F(ZookeeperRegistry, AServerThatStandsStillEndsTheSessionByOurOwnClock) {
  const auto a = Join(kShortTimeoutMs);
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_TRUE(a->AwaitMaster("a", true));
  SharedServers()->Pause();
  // No server can have said so.
  EXPECT_TRUE(a->AwaitState(SessionState::kExpired, 1));
  EXPECT_TRUE(a->AwaitNoMaster());
  EXPECT_NE(a->registry->session().state, SessionState::kConnected);
  SharedServers()->Resume();
  ASSERT_TRUE(a->AwaitState(SessionState::kConnected, 2));
  // What is left of the first session does not stand in the way.
  EXPECT_TRUE(a->AwaitMaster("a", true));
  EXPECT_THAT(Ids(*a->List(NodeType::kJobTracker, "lts")), ::testing::ElementsAre("a"));
}

// The system's clock, and a jump: as it looks to a process that was stopped for a while.
class JumpingClock final : public Clock {
 public:
  std::int64_t MonotonicUs() const override { return system_.MonotonicUs() + jump_us_; }
  TimeMs WallMs() const override { return system_.WallMs(); }
  void Jump(DurationMs by) { jump_us_ += by * 1000; }

 private:
  const SystemClock system_;
  std::atomic<std::int64_t> jump_us_ = 0;
};

TEST_F(ZookeeperRegistry, AProcessThatWasStoppedForLongerThanTheTimeoutKnowsAtOnce) {
  JumpingClock clock;
  Peer peer;
  auto opened = OpenZookeeperRegistry(Options(4'000), clock, peer.listeners());
  ASSERT_TRUE(opened.ok());
  peer.registry = *std::move(opened);
  ASSERT_OK(peer.registry->WaitConnected(30'000));
  ASSERT_OK(peer.Register(TestNode("a")));
  clock.Jump(3'000);
  EXPECT_EQ(peer.registry->session().generation, 1U);
  clock.Jump(1'000);
  EXPECT_EQ(peer.registry->session().state, SessionState::kExpired);
  // And it stays so, though the server still has the session.
  ASSERT_TRUE(peer.AwaitState(SessionState::kConnected, 2));
  for (const SessionInfo& info : peer.sessions.All()) {
    if (info.state == SessionState::kExpired) {
      EXPECT_EQ(info.generation, 1U);
      EXPECT_EQ(info.timeout_ms, 4'000);
    }
  }
  EXPECT_TRUE(peer.AwaitMaster("a", true));
}

TEST_F(ZookeeperRegistry, WhoIsCutOffKnowsBeforeTheOthersDo) {
  const auto a = JoinThroughProxy(kShortTimeoutMs);
  const auto b = Join();
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_OK(b->Register(TestNode("b")));
  ASSERT_TRUE(a->AwaitMaster("a", true));
  ASSERT_TRUE(b->AwaitMaster("a", false));
  std::atomic<std::int64_t> knew_us = 0;
  std::atomic<std::int64_t> removed_us = 0;
  ASSERT_TRUE(b->registry
                  ->WatchNodes(NodeType::kJobTracker, "lts",
                               [&](const NodesUpdate& update) {
                                 if (!update.removed.empty() && removed_us == 0) {
                                   removed_us = TestClock().MonotonicUs();
                                 }
                                 b->nodes.Add(update);
                               })
                  .ok());
  ASSERT_TRUE(b->AwaitNodes({"a", "b"}));
  a->proxy->Hold();
  ASSERT_TRUE(a->AwaitNoMaster());
  knew_us = TestClock().MonotonicUs();
  ASSERT_TRUE(b->AwaitNodes({"b"}));
  // The threads that note the times may be late by this much.
  constexpr std::int64_t kNoteUs = 100'000;
  EXPECT_LT(knew_us, removed_us + kNoteUs);
  EXPECT_TRUE(b->AwaitMaster("b", true));
  // What the old session still has to say, once the way is open, nobody hears.
  a->proxy->Pass();
  ASSERT_TRUE(a->AwaitState(SessionState::kConnected, 2));
  ASSERT_TRUE(b->AwaitNodes({"b", "a"}));
  ASSERT_TRUE(a->AwaitMaster("b", false));
  EXPECT_EQ(*a->Write("r", "x", kNoRecord), 0);
  std::vector<SessionState> second;
  for (const SessionInfo& info : a->sessions.All()) {
    if (info.generation == 2 && info.state != SessionState::kConnecting) {
      second.push_back(info.state);
    }
  }
  EXPECT_THAT(second, ::testing::ElementsAre(SessionState::kConnected));
}

TEST_F(ZookeeperRegistry, WhoCameAndWentWhileOneWasAwayIsToldAfterwards) {
  for (const DurationMs timeout_ms : {kShortTimeoutMs, kLongTimeoutMs}) {
    SCOPED_TRACE(timeout_ms);
    const std::string group = "g" + std::to_string(timeout_ms);
    const auto a = JoinThroughProxy(timeout_ms);
    auto leaves = Join();
    const auto stays = Join();
    ASSERT_OK(leaves->Register(TestNode("leaves", group, NodeType::kTaskTracker)));
    ASSERT_OK(stays->Register(TestNode("stays", group, NodeType::kTaskTracker)));
    ASSERT_TRUE(a->WatchGroup(NodeType::kTaskTracker, group).ok());
    ASSERT_TRUE(a->AwaitNodes({"leaves", "stays"}));
    a->proxy->Cut();
    const bool long_enough = timeout_ms == kShortTimeoutMs;
    if (long_enough) {
      ASSERT_TRUE(a->AwaitState(SessionState::kExpired, 1));
    }
    leaves.reset();
    const auto comes = Join();
    ASSERT_OK(comes->Register(TestNode("comes", group, NodeType::kTaskTracker)));
    a->proxy->Pass();
    EXPECT_TRUE(a->AwaitNodes({"stays", "comes"}));
    EXPECT_EQ(a->registry->session().generation, long_enough ? 2U : 1U);
  }
}

TEST_F(ZookeeperRegistry, ABreakShorterThanTheTimeoutIsNotFelt) {
  const auto a = JoinThroughProxy(kLongTimeoutMs);
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_TRUE(a->AwaitMaster("a", true));
  for (int round = 0; round < 3; ++round) {
    const std::size_t told = a->sessions.All().size();
    a->proxy->Cut();
    ASSERT_TRUE(a->sessions.AwaitAll([told](const auto& all) { return all.size() == told + 1; }));
    a->proxy->Pass();
    ASSERT_TRUE(a->sessions.AwaitAll([told](const auto& all) { return all.size() == told + 2; }));
    EXPECT_EQ(a->registry->session().state, SessionState::kConnected);
    EXPECT_EQ(a->registry->session().generation, 1U);
  }
  EXPECT_EQ(a->masters.All().size(), 1U);
}

TEST_F(ZookeeperRegistry, AWriteWhoseAnswerIsLostHasAnUnknownOutcome) {
  const auto a = JoinThroughProxy(kShortTimeoutMs);
  a->proxy->Hold();
  const auto lost = a->Write("r", "x", kNoRecord);
  EXPECT_TRUE(lost.status().code() == StatusCode::kUnknownOutcome) << lost.status().ToString();
  a->proxy->Pass();
}

TEST_F(ZookeeperRegistry, ANodeThatSomebodyRemovesIsMadeAgain) {
  const auto a = Join();
  const auto b = Join();
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_OK(b->Register(TestNode("b")));
  ASSERT_TRUE(b->AwaitMaster("a", false));
  ASSERT_TRUE(b->WatchGroup(NodeType::kJobTracker, "lts").ok());
  ASSERT_TRUE(b->AwaitNodes({"a", "b"}));
  Raw raw(SharedServers()->hosts());
  const std::string group = tree().Group(NodeType::kJobTracker, "lts");
  const auto remove = [&](const std::string& identity) {
    for (const std::string& name : raw.Children(group).children) {
      if (zookeeper::ParseNodeName(name)->identity == identity) {
        EXPECT_EQ(raw.Delete(fmt::format("{}/{}", group, name)).code, zookeeper::Code::kOk);
      }
    }
  };
  remove("b");
  // It is last again, and a watch may see the change as one or as two.
  ASSERT_TRUE(b->nodes.AwaitAll([](const std::vector<NodesUpdate>& all) {
    return all.size() > 1 && Ids(all.back().nodes) == std::vector<std::string>{"a", "b"};
  }));
  remove("a");
  EXPECT_TRUE(b->AwaitMaster("b", true));
  EXPECT_TRUE(b->AwaitNodes({"b", "a"}));
}

TEST_F(ZookeeperRegistry, LeftOversOfTheSameIdentityDoNotStandInTheWay) {
  const auto b = Join();
  ASSERT_OK(b->Register(TestNode("b")));
  Raw raw(SharedServers()->hosts());
  const std::string group = tree().Group(NodeType::kJobTracker, "lts");
  const Node node = TestNode("a");
  // Of an earlier session of this process, and of a process that was killed, both still standing.
  for (const Candidate& left : {Candidate{"a", node.started_ms, node.incarnation, 0, 0},
                                Candidate{"a", node.started_ms - 1, "i-killed", 7, 0}}) {
    ASSERT_EQ(
        raw.Create(group + "/" + zookeeper::NodePrefix(left), zookeeper::Mode::kEphemeralSequential)
            .code,
        zookeeper::Code::kOk);
  }
  ASSERT_EQ(raw.Children(group).children.size(), 3U);
  const auto a = Join();
  ASSERT_OK(a->Register(node));
  ASSERT_TRUE(a->AwaitMaster("b", false));
  EXPECT_THAT(*a->List(NodeType::kJobTracker, "lts"), ::testing::ElementsAre(TestNode("b"), node));
  EXPECT_EQ(raw.Children(group).children.size(), 2U);
}

TEST_F(ZookeeperRegistry, WhatAHandleSaysThatIsNotTheCurrentOneIsDropped) {
  ThreadStrand strand("late");
  const auto current = std::make_shared<std::atomic<std::uint64_t>>(1);
  zookeeper::HandleOptions options;
  options.hosts = SharedServers()->hosts().front();
  options.timeout_ms = kLongTimeoutMs;
  options.number = 1;
  Heard<zookeeper::SessionEvent> events;
  auto opened = zookeeper::Handle::Open(
      options, strand, current,
      [&events](const zookeeper::Event& event) { events.Add(event.session); });
  ASSERT_TRUE(opened.ok());
  ASSERT_TRUE(events.Await(
      [](zookeeper::SessionEvent event) { return event == zookeeper::SessionEvent::kConnected; }));
  Heard<int> answers;
  (*opened)->Sync([&answers](const zookeeper::Reply&) { answers.Add(1); });
  ASSERT_TRUE(answers.Await([](int) { return true; }));
  // The answer is on its way when the next handle takes over.
  std::promise<void> go;
  strand.Post([&go] { go.get_future().wait(); });
  (*opened)->Sync([&answers](const zookeeper::Reply&) { answers.Add(2); });
  *current = 2;
  go.set_value();
  opened->reset();  // everything that the client says has been posted
  strand.Drain();
  EXPECT_THAT(answers.All(), ::testing::ElementsAre(1));
  EXPECT_EQ(events.All().size(), 1U);
}

TEST_F(ZookeeperRegistry, WhatANewerVersionWritesIsRead) {
  const auto a = Join();
  const auto b = Join();
  ASSERT_OK(a->Register(TestNode("a")));
  Raw raw(SharedServers()->hosts());
  const std::string group = tree().Group(NodeType::kJobTracker, "lts");
  const auto names = raw.Children(group).children;
  ASSERT_EQ(names.size(), 1U);
  ASSERT_EQ(raw.Set(group + "/" + names[0], R"({"v":2,"address":"h:1","colour":{"x":[1]}})").code,
            zookeeper::Code::kOk);
  auto listed = b->List(NodeType::kJobTracker, "lts");
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->front().address, "h:1");
  EXPECT_EQ(listed->front().slots, 0U);
  ASSERT_EQ(raw.Set(group + "/" + names[0], "\xff?").code, zookeeper::Code::kOk);
  listed = b->List(NodeType::kJobTracker, "lts");
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->front().identity, "a");
}

TEST_F(ZookeeperRegistry, AChrootThatDoesNotExistIsCreated) {
  ZookeeperOptions options = Options();
  options.address.chroot = "/" + UniqueName("chroot") + "/below";
  const auto a = OpenPeer(options);
  ASSERT_OK(a->registry->WaitConnected(30'000));
  const auto b = OpenPeer(options);
  ASSERT_OK(b->registry->WaitConnected(30'000));
  ASSERT_OK(a->Register(TestNode("a")));
  EXPECT_THAT(Ids(*b->List(NodeType::kJobTracker, "lts")), ::testing::ElementsAre("a"));
  const auto elsewhere = Join();
  EXPECT_THAT(*elsewhere->List(NodeType::kJobTracker, "lts"), ::testing::IsEmpty());
}

TEST_F(ZookeeperRegistry, OnlyTheUserThatMadeItGetsIn) {
  ZookeeperOptions mine = Options();
  mine.address.chroot = "/" + UniqueName("owned");
  mine.digest = "lts:secret";
  const auto a = OpenPeer(mine);
  ASSERT_OK(a->registry->WaitConnected(30'000));
  ASSERT_OK(a->Register(TestNode("a")));
  const auto same = OpenPeer(mine);
  ASSERT_OK(same->registry->WaitConnected(30'000));
  EXPECT_THAT(Ids(*same->List(NodeType::kJobTracker, "lts")), ::testing::ElementsAre("a"));

  ZookeeperOptions wrong = mine;
  wrong.digest = "lts:guess";
  const auto guesser = OpenPeer(wrong);
  const Status refused = guesser->registry->WaitConnected(30'000);
  EXPECT_EQ(refused.code(), StatusCode::kPermissionDenied) << refused.ToString();
  EXPECT_THAT(refused.message(), HasSubstr("registryAddress zookeeper://"));
  EXPECT_THAT(refused.message(), HasSubstr("zk.digest"));
  EXPECT_THAT(refused.message(), Not(HasSubstr("guess")));
  EXPECT_EQ(guesser->Read("r").status().code(), StatusCode::kUnavailable);

  ZookeeperOptions none = mine;
  none.digest.clear();
  const auto stranger = OpenPeer(none);
  EXPECT_EQ(stranger->registry->WaitConnected(30'000).code(), StatusCode::kPermissionDenied);
  // Nothing that was made is open to others: not the folders, not the node.
  Raw raw(SharedServers()->hosts());
  const zookeeper::Tree owned(mine.address.chroot, cluster_);
  for (const std::string& path : owned.persistent()) {
    EXPECT_EQ(raw.Children(path).code, zookeeper::Code::kNoAuth) << path;
  }
  Raw insider(SharedServers()->hosts(), "lts:secret");
  const std::string group = owned.Group(NodeType::kJobTracker, "lts");
  const auto names = insider.Children(group).children;
  ASSERT_EQ(names.size(), 1U);
  EXPECT_EQ(raw.Set(group + "/" + names[0], "{}").code, zookeeper::Code::kNoAuth);
}

TEST_F(ZookeeperRegistry, AnAddressWithoutAServerSaysSo) {
  ZookeeperOptions nobody = Options(kShortTimeoutMs);
  nobody.address.hosts = {"127.0.0.1:1"};
  const auto refused = OpenPeer(nobody);
  const Status status = refused->registry->WaitConnected(200);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("registryAddress zookeeper://127.0.0.1:1"));

  // The client resolves an IPv6 address, so it is a server that is missing.
  nobody.address.hosts = {"[::1]:1"};
  EXPECT_THAT(OpenPeer(nobody)->registry->WaitConnected(200).message(),
              HasSubstr("zookeeper://[::1]:1: no ZooKeeper server has answered"));

  nobody.address.hosts = {"no-such-host.invalid:2181"};
  const auto unknown = OpenPeer(nobody);
  EXPECT_TRUE(unknown->sessions.Await([](const SessionInfo& info) {
    return info.reason.message().find("no host of no-such-host.invalid:2181") != std::string::npos;
  }));
}

TEST_F(ZookeeperRegistry, OptionsThatAreWrongAreRefused) {
  Peer peer;
  const auto code = [&peer](const ZookeeperOptions& options) {
    return OpenZookeeperRegistry(options, TestClock(), peer.listeners()).status().code();
  };
  ZookeeperOptions options = Options();
  options.digest = "no-colon";
  EXPECT_EQ(code(options), StatusCode::kInvalidArgument);
  options = Options();
  options.cluster = "a/b";
  EXPECT_EQ(code(options), StatusCode::kInvalidArgument);
  options = Options();
  options.session_timeout_ms = 1;
  EXPECT_EQ(code(options), StatusCode::kInvalidArgument);
  options = Options();
  options.address.hosts.clear();
  EXPECT_EQ(code(options), StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenZookeeperRegistry(Options(), TestClock(), {}).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(ZookeeperRegistry, ClosingLeavesNoThreadBehind) {
  const auto threads = [] {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/task")) {
      ++count;
    }
    return count;
  };
  const std::size_t before = threads();
  for (int round = 0; round < 3; ++round) {
    auto connected = Join();
    ZookeeperOptions nobody = Options(kShortTimeoutMs);
    nobody.address.hosts = {"127.0.0.1:1"};
    auto connecting = OpenPeer(nobody);
    auto expired = JoinThroughProxy(kShortTimeoutMs);
    expired->proxy->Hold();
    ASSERT_TRUE(expired->AwaitState(SessionState::kExpired, 1));
  }
  EXPECT_EQ(threads(), before);
}

TEST_F(ZookeeperRegistry, OfThreeServersOneMayGo) {
  const auto started = ::lts::testing::ZookeeperServers::Start(3);
  ASSERT_TRUE(started.ok()) << started.status().ToString();
  ::lts::testing::ZookeeperServers& servers = **started;
  const ZookeeperOptions options = OptionsFor(cluster_, servers.hosts());
  const auto a = OpenPeer(options);
  const auto b = OpenPeer(options);
  ASSERT_OK(a->registry->WaitConnected(30'000));
  ASSERT_OK(b->registry->WaitConnected(30'000));
  ASSERT_OK(a->Register(TestNode("a")));
  ASSERT_OK(b->Register(TestNode("b")));
  ASSERT_TRUE(b->AwaitMaster("a", false));
  const int leader = servers.Leader();
  ASSERT_GE(leader, 0);
  servers.Kill(leader);
  // All connections break while a new leader is chosen.
  for (Peer* peer : {a.get(), b.get()}) {
    ASSERT_TRUE(peer->AwaitState(SessionState::kSuspended, 1));
    ASSERT_TRUE(peer->sessions.Await(
        [](const SessionInfo& info) { return info.state == SessionState::kConnected; }));
    EXPECT_EQ(peer->registry->session().generation, 1U);
  }
  EXPECT_EQ(*a->Write("r", "x", kNoRecord), 0);
  EXPECT_EQ(a->masters.All().size(), 1U);
  EXPECT_EQ(b->masters.All().size(), 1U);
}

}  // namespace
}  // namespace lts::registry::testing

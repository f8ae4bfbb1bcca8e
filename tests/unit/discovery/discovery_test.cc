#include "discovery/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "registry/embedded/embedded_registry.h"
#include "stub_registry.h"
#include "support/fake_tracker.h"
#include "support/heard.h"

namespace lts::discovery {
namespace {

using registry::Node;
using registry::NodeType;
using registry::SessionState;
using ::testing::ElementsAre;
using testing::FakeTracker;
using ::testing::HasSubstr;
using testing::Heard;
using ::testing::IsEmpty;

Node TestNode(NodeType type, const std::string& group, const std::string& identity,
              const std::string& address = "") {
  Node node;
  node.type = type;
  node.group = group;
  node.identity = identity;
  node.incarnation = "i-" + identity;
  node.address = address;
  node.started_ms = 1'700'000'000'000;
  return node;
}

Node JobTracker(const std::string& address) {
  return TestNode(NodeType::kJobTracker, std::string(registry::kJobTrackerGroup),
                  "jt-" + address.substr(0, address.find(':')), address);
}

DiscoveryOptions Options() {
  DiscoveryOptions options;
  options.registry_address = "zookeeper://zk:2181";
  options.cluster_name = "shop";
  options.first_look_ms = 600'000;
  return options;
}

class DiscoveryTest : public ::testing::Test {
 protected:
  // Over the registry within this process.
  std::unique_ptr<Discovery> Open() {
    auto opened = Discovery::OpenOver(
        Options(),
        [this](registry::Listeners listeners) -> Result<std::unique_ptr<registry::Registry>> {
          auto handle = registry_.Join(std::move(listeners));
          handle_ = handle.get();
          return handle;
        });
    if (!opened.ok()) ADD_FAILURE() << opened.status().ToString();
    return *std::move(opened);
  }
  std::unique_ptr<Discovery> OpenStub(DiscoveryOptions options = Options()) {
    auto opened = Discovery::OpenOver(
        options,
        [this](registry::Listeners listeners) -> Result<std::unique_ptr<registry::Registry>> {
          return stub_.Open(std::move(listeners));
        });
    if (!opened.ok()) ADD_FAILURE() << opened.status().ToString();
    return *std::move(opened);
  }
  // A JobTracker's handle.
  std::unique_ptr<registry::Registry> Register(const Node& node) {
    registry::Listeners listeners;
    listeners.strand = &strand_;
    auto handle = registry_.Join(std::move(listeners));
    handle->Register(node, [](const Status& status) { EXPECT_TRUE(status.ok()); });
    return handle;
  }
  bool AwaitAddresses(const std::vector<std::string>& wanted) {
    return found_.Await([&](const JobTrackers& found) { return found.addresses == wanted; });
  }
  Discovery::Listener Listener() {
    return [this](const JobTrackers& found) { found_.Add(found); };
  }

  ThreadStrand strand_{"others"};
  registry::EmbeddedRegistry registry_;
  registry::Registry* handle_ = nullptr;  // of the last Open
  StubRegistry stub_;
  FakeTracker tracker_;
  Heard<JobTrackers> found_;
};

TEST_F(DiscoveryTest, ConfiguredAddressesAreKnownAtOnce) {
  const SystemClock clock;
  DiscoveryOptions options;
  options.registry_address = "jobtracker://a:1,b:2";
  const auto opened = Discovery::Open(options, clock);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  EXPECT_THAT((*opened)->AwaitFound().addresses, ElementsAre("a:1", "b:2"));
  EXPECT_FALSE((*opened)->Found().looking);
  EXPECT_TRUE(
      (*opened)->Join(TestNode(NodeType::kJobClient, "g", "me"), {}, tracker_.Factory()).ok());
}

TEST_F(DiscoveryTest, AnAddressOrAnOptionThatCannotBeIsRefused) {
  const SystemClock clock;
  DiscoveryOptions options;
  options.registry_address = "redis://a:1";
  EXPECT_EQ(Discovery::Open(options, clock).status().code(), StatusCode::kInvalidArgument);
  options = Options();
  options.zk_digest = "secret";
  const Status status = Discovery::Open(options, clock).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("zk.digest"));
}

TEST_F(DiscoveryTest, JobTrackersComeAndGo) {
  auto a = Register(JobTracker("a:1"));
  const auto discovery = Open();
  discovery->Listen(Listener());
  ASSERT_TRUE(AwaitAddresses({"a:1"}));
  const auto b = Register(JobTracker("b:2"));
  ASSERT_TRUE(AwaitAddresses({"a:1", "b:2"}));
  // Of another group, or without an address: nobody to ask.
  const auto c = Register(TestNode(NodeType::kJobTracker, "other", "c", "c:3"));
  const auto d = Register(JobTracker(""));
  a.reset();
  ASSERT_TRUE(AwaitAddresses({"b:2"}));
  EXPECT_THAT(discovery->Found().addresses, ElementsAre("b:2"));
}

TEST_F(DiscoveryTest, TheLastJobTrackerIsKeptInMindUntilAnotherComes) {
  auto a = Register(JobTracker("a:1"));
  const auto discovery = Open();
  discovery->Listen(Listener());
  ASSERT_TRUE(AwaitAddresses({"a:1"}));
  const std::size_t told = found_.All().size();
  a.reset();
  ASSERT_TRUE(found_.AwaitAll([&](const auto& all) { return all.size() > told; }));
  EXPECT_THAT(found_.All().back().addresses, ElementsAre("a:1"));
  const auto b = Register(JobTracker("b:2"));
  EXPECT_TRUE(AwaitAddresses({"b:2"}));
}

TEST_F(DiscoveryTest, AClusterWithoutJobTrackersIsNamed) {
  const auto discovery = Open();
  const JobTrackers found = discovery->AwaitFound();
  EXPECT_THAT(found.addresses, IsEmpty());
  EXPECT_EQ(found.why_none.code(), StatusCode::kUnavailable);
  EXPECT_THAT(found.why_none.message(), HasSubstr("registryAddress zookeeper://zk:2181"));
  EXPECT_THAT(found.why_none.message(), HasSubstr("shop"));
}

TEST_F(DiscoveryTest, ARegistryThatIsAwayIsWaitedForAShortWhileOnly) {
  DiscoveryOptions options = Options();
  options.first_look_ms = 10;
  const auto discovery = OpenStub(options);
  EXPECT_TRUE(discovery->Found().looking);
  stub_.TellSession(SessionState::kConnecting, Status::Unavailable("registryAddress z: away"));
  const JobTrackers found = discovery->AwaitFound();
  EXPECT_FALSE(found.looking);
  EXPECT_EQ(found.why_none.code(), StatusCode::kUnavailable);
  EXPECT_THAT(found.why_none.message(), HasSubstr("registryAddress"));
  // It is found when it comes, however late.
  discovery->Listen(Listener());
  stub_.TellJobTrackers({JobTracker("a:1")});
  EXPECT_TRUE(AwaitAddresses({"a:1"}));
}

TEST_F(DiscoveryTest, WhatHasToBeMendedIsNotWaitedFor) {
  const auto discovery = OpenStub();
  stub_.TellSession(SessionState::kConnecting, Status::PermissionDenied("set zk.digest"));
  const JobTrackers found = discovery->AwaitFound();
  EXPECT_EQ(found.why_none.code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(found.why_none.message(), HasSubstr("zk.digest"));
}

TEST_F(DiscoveryTest, TheListStaysWhileTheRegistryIsAway) {
  const auto discovery = OpenStub();
  discovery->Listen(Listener());
  stub_.TellJobTrackers({JobTracker("a:1"), JobTracker("b:2")});
  ASSERT_TRUE(AwaitAddresses({"a:1", "b:2"}));
  const std::size_t told = found_.All().size();
  stub_.TellSession(SessionState::kSuspended, Status::Unavailable("lost"));
  stub_.TellSession(SessionState::kExpired, Status::Unavailable("over"));
  ASSERT_TRUE(found_.AwaitAll([&](const auto& all) { return all.size() == told + 2; }));
  EXPECT_THAT(found_.All().back().addresses, ElementsAre("a:1", "b:2"));
}

// ---- being a node

struct Told {
  std::string identity;
  bool is_me = false;
  bool operator==(const Told&) const = default;
};

// A process of a group and what it was told.
struct Member {
  GroupListeners Listeners() {
    return {[this](const NodeInfo& master, bool is_me) {
              masters.Add({master.identity, is_me});
            },
            [this](const NodeInfo& node, NodeChange change) {
              constexpr const char* kSigns[] = {"+", "-", "~"};
              nodes.Add(kSigns[static_cast<int>(change)] + node.identity);
            }};
  }
  bool AwaitMaster(const std::string& identity, bool is_me) const {
    return masters.Await([&](const Told& told) { return told == Told{identity, is_me}; });
  }
  bool AwaitNodes(const std::vector<std::string>& wanted) const {
    return nodes.AwaitAll([&](const auto& all) { return all == wanted; });
  }
  Heard<Told> masters;
  Heard<std::string> nodes;
  std::unique_ptr<Discovery> discovery;
};

TEST_F(DiscoveryTest, MembersOfAGroupHearOfEachOther) {
  Member one;
  Member two;
  one.discovery = Open();
  const auto join = [this](Member& member, const std::string& identity) {
    Node node = TestNode(NodeType::kTaskTracker, "g", identity, "h:1");
    node.slots = 7;
    return member.discovery->Join(node, member.Listeners(), tracker_.Factory());
  };
  ASSERT_TRUE(join(one, "one").ok());
  ASSERT_TRUE(one.AwaitMaster("one", true));
  two.discovery = Open();
  ASSERT_TRUE(join(two, "two").ok());
  EXPECT_TRUE(two.AwaitMaster("one", false));
  EXPECT_TRUE(one.AwaitNodes({"+one", "+two"}));
  EXPECT_TRUE(two.AwaitNodes({"+one", "+two"}));
  // A client of the same name is in another group.
  const auto client = Register(TestNode(NodeType::kJobClient, "g", "three"));
  one.discovery.reset();
  EXPECT_TRUE(two.AwaitMaster("two", true));
  EXPECT_TRUE(two.AwaitNodes({"+one", "+two", "-one"}));
}

TEST_F(DiscoveryTest, ANodeThatBreaksALimitIsRefused) {
  const auto discovery = Open();
  const Status status =
      discovery->Join(TestNode(NodeType::kJobClient, "g", "a b"), {}, tracker_.Factory());
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("identity"));
}

TEST_F(DiscoveryTest, AMasterThatLosesItsSessionIsToldSo) {
  Member one;
  one.discovery = OpenStub();
  const Node node = TestNode(NodeType::kJobClient, "g", "one");
  ASSERT_TRUE(one.discovery->Join(node, one.Listeners(), tracker_.Factory()).ok());
  stub_.TellMaster(node, true);
  ASSERT_TRUE(one.AwaitMaster("one", true));
  stub_.TellMaster(std::nullopt, false);
  ASSERT_TRUE(one.AwaitMaster("one", false));
  stub_.TellMaster(node, true);
  ASSERT_TRUE(one.AwaitMaster("one", true));
}

TEST_F(DiscoveryTest, AnotherSessionMakesTheNodeAgain) {
  Member one;
  Member two;
  one.discovery = Open();
  registry::Registry* const handle = handle_;
  ASSERT_TRUE(
      one.discovery
          ->Join(TestNode(NodeType::kJobClient, "g", "one"), one.Listeners(), tracker_.Factory())
          .ok());
  ASSERT_TRUE(one.AwaitMaster("one", true));
  two.discovery = Open();
  ASSERT_TRUE(
      two.discovery
          ->Join(TestNode(NodeType::kJobClient, "g", "two"), two.Listeners(), tracker_.Factory())
          .ok());
  ASSERT_TRUE(two.AwaitMaster("one", false));
  registry_.ExpireSession(*handle);
  EXPECT_TRUE(two.AwaitMaster("two", true));
  EXPECT_TRUE(one.AwaitMaster("two", false));
}

}  // namespace
}  // namespace lts::discovery

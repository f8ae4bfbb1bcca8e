// A JobClient whose JobTrackers come and go.
#include "discovery/discovery.h"

#include <gmock/gmock.h>

#include <future>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client_fixture.h"
#include "jobclient/trackers.h"
#include "unit/discovery/stub_registry.h"

namespace lts::jobclient {
namespace {

using ::testing::ElementsAre;
using testing::FakeTracker;
using ::testing::HasSubstr;

using Addresses = std::multiset<std::string>;

discovery::JobTrackers Found(std::vector<std::string> addresses) {
  return {std::move(addresses), false, Status::Unavailable("registryAddress z: nobody")};
}
discovery::JobTrackers Looking() {
  return {{}, true, Status::Unavailable("registryAddress z: not yet")};
}

class TrackersTest : public ClientTest {
 protected:
  static std::vector<std::string> AddressesOf(const Trackers& trackers) {
    std::vector<std::string> addresses;
    for (const TrackerPtr& tracker : trackers.All()) addresses.push_back(tracker->address());
    return addresses;
  }
};

TEST_F(TrackersTest, AConfiguredListBeginsWithTheFirst) {
  Trackers trackers(std::vector<std::string>{"a:1", "b:2"}, tracker_.Factory());
  const TrackerPtr first = trackers.current();
  EXPECT_EQ(first->address(), "a:1");
  trackers.MoveOnFrom(first);
  EXPECT_EQ(trackers.current()->address(), "b:2");
  trackers.MoveOnFrom(first);  // somebody has moved on already
  EXPECT_EQ(trackers.current()->address(), "b:2");
  trackers.MoveOnFrom(trackers.current());
  EXPECT_EQ(trackers.current()->address(), "a:1");
}

TEST_F(TrackersTest, WhoStaysKeepsItsChannelAndWhoGoesLosesIt) {
  Trackers trackers(Found({"a:1", "b:2"}), tracker_.Factory());
  trackers.MoveOnFrom(trackers.All()[0]);
  const TrackerPtr current = trackers.current();
  const std::string other = current->address() == "a:1" ? "b:2" : "a:1";
  trackers.Set(Found({"c:3", current->address()}));
  EXPECT_EQ(trackers.current(), current);
  EXPECT_THAT(AddressesOf(trackers), ElementsAre("c:3", current->address()));
  EXPECT_EQ(tracker_.ChannelAddresses(), (Addresses{"c:3", current->address()}));
}

TEST_F(TrackersTest, AChannelInUseOutlivesItsJobTracker) {
  Trackers trackers(Found({"a:1"}), tracker_.Factory());
  tracker_.SetMode(FakeTracker::Mode::kHold);
  std::promise<Status> answered;
  const auto ask = [&](TrackerPtr tracker) {
    rpc::Channel& channel = tracker->channel();
    channel.Submit(v1::SubmitRequest(), 30'000,
                   [&, tracker = std::move(tracker)](const Status& status, const auto&) mutable {
                     tracker.reset();
                     answered.set_value(status);
                   });
  };
  ask(trackers.current());
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Submits().size() == 1; }));
  trackers.Set(Found({"b:2"}));
  EXPECT_EQ(tracker_.ChannelAddresses(), (Addresses{"a:1", "b:2"}));
  tracker_.Release();
  EXPECT_TRUE(answered.get_future().get().ok());
  trackers.Set(Found({"b:2"}));
  EXPECT_EQ(tracker_.ChannelAddresses(), Addresses{"b:2"});
}

TEST_F(TrackersTest, CallsWaitForTheFirstListOnly) {
  Trackers trackers(Looking(), tracker_.Factory());
  auto call = std::async(std::launch::async, [&] {
    return trackers.Call(&rpc::Channel::Nodes, v1::NodesRequest(), 1'000).status();
  });
  std::promise<void> found;
  EXPECT_TRUE(trackers.WhenFound([&] { found.set_value(); }));
  tracker_.on_nodes = [](const v1::NodesRequest&) { return v1::NodesResponse(); };
  trackers.Set(Found({"a:1"}));
  EXPECT_TRUE(call.get().ok());
  found.get_future().get();
  EXPECT_FALSE(trackers.WhenFound([] { FAIL(); }));
}

TEST_F(TrackersTest, WhyThereIsNobodyIsSaid) {
  Trackers trackers(Looking(), tracker_.Factory());
  auto call = std::async(std::launch::async, [&] {
    return trackers.Call(&rpc::Channel::Nodes, v1::NodesRequest(), 1'000).status();
  });
  trackers.Set({{}, false, Status::PermissionDenied("wrong zk.digest")});
  const Status status = call.get();
  EXPECT_EQ(status.code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(status.message(), HasSubstr("zk.digest"));
}

TEST_F(TrackersTest, InterruptEndsTheWaitForTheFirst) {
  Trackers trackers(Looking(), tracker_.Factory());
  auto call = std::async(std::launch::async, [&] {
    return trackers.Call(&rpc::Channel::Nodes, v1::NodesRequest(), 1'000).status();
  });
  trackers.Interrupt();
  EXPECT_EQ(call.get().code(), StatusCode::kFailedPrecondition);
}

class DiscoveringClientTest : public ClientTest {
 protected:
  std::unique_ptr<JobClient> OpenOverStub(JobClientOptions options,
                                          DurationMs first_look_ms = 600'000) {
    discovery::DiscoveryOptions finding;
    finding.registry_address = "zookeeper://zk:2181";
    finding.first_look_ms = first_look_ms;
    auto discovery = discovery::Discovery::OpenOver(
        finding,
        [this](registry::Listeners listeners) -> Result<std::unique_ptr<registry::Registry>> {
          return stub_.Open(std::move(listeners));
        });
    if (!discovery.ok()) ADD_FAILURE() << discovery.status().ToString();
    auto client = Access::OpenWith(std::move(options), *std::move(discovery), tracker_.Factory());
    if (!client.ok()) ADD_FAILURE() << client.status().ToString();
    return client.ok() ? *std::move(client) : nullptr;
  }
  void TellJobTrackers(const std::vector<std::string>& addresses) {
    std::vector<registry::Node> nodes;
    for (const std::string& address : addresses) {
      registry::Node node;
      node.identity = address.substr(0, address.find(':'));
      node.address = address;
      nodes.push_back(node);
    }
    stub_.TellJobTrackers(nodes);
  }
  bool AwaitStreams(const Addresses& wanted) {
    return tracker_.Await([&] { return tracker_.StreamAddresses() == wanted; });
  }

  discovery::StubRegistry stub_;
};

TEST_F(DiscoveringClientTest, ASubmitWaitsForTheFirstList) {
  const auto client = OpenOverStub(Options());
  std::promise<Result<SubmitReceipt>> answered;
  client->SubmitAsync(
      Task("a"), [&](Result<SubmitReceipt> receipt) { answered.set_value(std::move(receipt)); });
  TellJobTrackers({"a:1"});
  const auto receipt = answered.get_future().get();
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_THAT(tracker_.SubmitAddresses(), ElementsAre("a:1"));
}

// It was the only one that is left to ask, and had not been asked.
TEST_F(DiscoveringClientTest, WhoeverIsLeftIsAskedWhenTheOneThatWasAskedHasGone) {
  tracker_.fails_held = true;
  tracker_.SetMode(FakeTracker::Mode::kHold);
  const auto client = OpenOverStub(Options());
  TellJobTrackers({"a:1"});
  std::promise<Result<SubmitReceipt>> answered;
  client->SubmitAsync(
      Task("a"), [&](Result<SubmitReceipt> receipt) { answered.set_value(std::move(receipt)); });
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Submits().size() == 1; }));
  TellJobTrackers({"b:2"});
  ASSERT_TRUE(tracker_.Await([&] {
    const Addresses there = tracker_.ChannelAddresses();
    return std::find(there.begin(), there.end(), "b:2") != there.end();
  }));
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  tracker_.Release();
  const auto receipt = answered.get_future().get();
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(tracker_.SubmitAddresses().back(), "b:2");
}

TEST_F(DiscoveringClientTest, WithoutAFailStoreASubmitFailsWhenNobodyIsFound) {
  const auto client = OpenOverStub(Options(), 1);
  const auto receipt = client->Submit(Task("a"));
  EXPECT_EQ(receipt.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(receipt.status().message(), HasSubstr("registryAddress zookeeper://zk:2181"));
}

TEST_F(DiscoveringClientTest, WithAFailStoreItIsStoredAndSentWhenSomebodyComes) {
  const auto client = OpenOverStub(StoringOptions());
  // Nothing is lost for a wrong setting either.
  stub_.TellSession(registry::SessionState::kConnecting, Status::PermissionDenied("zk.digest"));
  const auto receipt = client->Submit(Task("a"));
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->outcome, SubmitOutcome::kStored);
  TellJobTrackers({"a:1"});
  EXPECT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
}

TEST_F(DiscoveringClientTest, CloseDoesNotWaitForAFirstListForEver) {
  JobClientOptions options = StoringOptions();
  options.shutdown_timeout = Milliseconds(1);
  const auto client = OpenOverStub(options);
  std::promise<Result<SubmitReceipt>> answered;
  client->SubmitAsync(
      Task("a"), [&](Result<SubmitReceipt> receipt) { answered.set_value(std::move(receipt)); });
  client->Close();
  EXPECT_EQ(answered.get_future().get()->outcome, SubmitOutcome::kStored);
}

TEST_F(DiscoveringClientTest, SubmitsMoveOnToWhoIsThere) {
  const auto client = OpenOverStub(Options());
  TellJobTrackers({"a:1"});
  ASSERT_TRUE(client->Submit(Task("1")).ok());
  TellJobTrackers({"b:2"});
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.ChannelAddresses() == Addresses{"b:2"}; }));
  ASSERT_TRUE(client->Submit(Task("2")).ok());
  EXPECT_THAT(tracker_.SubmitAddresses(), ElementsAre("a:1", "b:2"));
}

TEST_F(DiscoveringClientTest, EveryJobTrackerThatIsThereHasAFeedbackStream) {
  JobClientOptions options = Options();
  options.on_job_completed = [](const JobResult&) { return Ack::kDone; };
  const auto client = OpenOverStub(options);
  TellJobTrackers({"a:1", "b:2"});
  ASSERT_TRUE(AwaitStreams({"a:1", "b:2"}));
  TellJobTrackers({"b:2", "c:3"});
  ASSERT_TRUE(AwaitStreams({"b:2", "c:3"}));
  tracker_.BreakStreams();
  ASSERT_TRUE(AwaitStreams({"b:2", "c:3"}));
  // The stream to b was not touched by the change: it was opened again only once.
  EXPECT_TRUE(tracker_.Await([&] { return tracker_.Hellos().size() == 5; }));
  client->Close();
  EXPECT_EQ(tracker_.StreamAddresses(), Addresses{});
}

TEST_F(DiscoveringClientTest, AJobTrackerThatGoesLosesItsChannelThoughItOwnedPartitions) {
  tracker_.on_routes = [](const v1::RoutesRequest&) {
    v1::RoutesResponse response;
    response.set_partitions(1);
    v1::Route& route = *response.add_routes();
    route.set_address("a:1");
    route.set_epoch(1);
    return response;
  };
  const auto client = OpenOverStub(Options());
  TellJobTrackers({"a:1", "b:2"});
  // The first one at the latest asks for the routes, and the last one goes by them.
  ASSERT_TRUE(tracker_.Await([&] {
    EXPECT_TRUE(client->Submit(Task("t")).ok());
    return tracker_.SubmitAddresses().back() == "a:1";
  }));
  TellJobTrackers({"b:2"});
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.ChannelAddresses() == Addresses{"b:2"}; }));
  ASSERT_TRUE(client->Submit(Task("t")).ok());
  EXPECT_EQ(tracker_.SubmitAddresses().back(), "b:2");
}

TEST_F(DiscoveringClientTest, ConfiguredJobTrackersAreAskedForTheGroup) {
  tracker_.on_nodes = [](const v1::NodesRequest&) {
    v1::NodesResponse response;
    v1::NodeInfo& node = *response.add_nodes();
    node.set_node_type("JOB_CLIENT");
    node.set_group("clients");
    node.set_identity("me");
    node.set_master(true);
    return response;
  };
  std::promise<bool> master_is_me;
  std::promise<std::string> added;
  JobClientOptions options = Options();
  options.identity = "me";
  options.on_master_change = [&](const NodeInfo&, bool is_me) { master_is_me.set_value(is_me); };
  options.on_node_change = [&](const NodeInfo& node, NodeChange change) {
    if (change == NodeChange::kAdded) added.set_value(node.identity);
  };
  const auto client = Open(options);
  EXPECT_EQ(added.get_future().get(), "me");
  EXPECT_TRUE(master_is_me.get_future().get());
}

}  // namespace
}  // namespace lts::jobclient

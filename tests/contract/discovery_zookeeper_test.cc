// Clients and TaskTrackers in a cluster: what a real ZooKeeper tells them while JobTrackers, they
// themselves and its servers come and go. The JobTrackers answer within this process.
#include <atomic>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "jobclient/cli/cli.h"
#include "jobclient/client_core.h"
#include "lts/job_client.h"
#include "lts/task_tracker.h"
#include "registry_fixture.h"
#include "support/fake_tracker.h"
#include "support/fake_work_channel.h"
#include "support/temp_folder.h"
#include "tasktracker/core.h"

namespace lts::registry::testing {

::lts::testing::ZookeeperServers* SharedServers() {
  static const auto servers = ::lts::testing::ZookeeperServers::Start(1);
  EXPECT_TRUE(servers.ok()) << servers.status().ToString();
  return servers.ok() ? servers->get() : nullptr;
}

namespace {

using ::lts::testing::FakeTracker;
using ::lts::testing::FakeWorkTracker;
using ::lts::testing::TcpProxy;
using ::lts::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Addresses = std::multiset<std::string>;

// What a program of a group was told.
struct Member {
  struct Master {
    std::string identity;
    bool is_me = false;
    bool operator==(const Master&) const = default;
  };
  template <typename Options>
  void Listen(Options* options) {
    options->on_master_change = [this](const NodeInfo& master, bool is_me) {
      masters.Add({master.identity, is_me});
    };
    options->on_node_change = [this](const NodeInfo& node, NodeChange change) {
      constexpr const char* kSigns[] = {"+", "-", "~"};
      nodes.Add(kSigns[static_cast<int>(change)] + node.identity);
    };
  }
  bool AwaitMaster(const std::string& identity, bool is_me) const {
    return masters.Await([&](const Master& last) { return last == Master{identity, is_me}; });
  }
  bool AwaitNode(const std::string& change) const {
    return nodes.AwaitAll([&](const std::vector<std::string>& all) {
      return std::find(all.begin(), all.end(), change) != all.end();
    });
  }
  Heard<Master> masters;
  Heard<std::string> nodes;
};

class Discovery : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(SharedServers(), nullptr); }

  // A JobTracker as the registry knows it; it goes when it is destroyed.
  std::unique_ptr<Peer> JobTracker(const std::string& identity, const std::string& address,
                                   const std::string& digest = "") const {
    ZookeeperOptions options = OptionsFor(cluster_, SharedServers()->hosts());
    options.digest = digest;
    auto peer = OpenPeer(options);
    Node node = TestNode(identity, std::string(kJobTrackerGroup));
    node.address = address;
    EXPECT_OK(peer->Register(node));
    return peer;
  }
  JobClientOptions Options(const std::string& identity = "client") const {
    JobClientOptions options;
    options.registry_address = "zookeeper://" + SharedServers()->hosts().front();
    options.cluster_name = cluster_;
    options.node_group = "shop";
    options.identity = identity;
    options.zk_session_timeout = Milliseconds(kLongTimeoutMs);
    options.submit_timeout = std::chrono::seconds(30);
    return options;
  }
  JobClientOptions OptionsThrough(const TcpProxy& proxy, const std::string& identity) const {
    JobClientOptions options = Options(identity);
    options.registry_address = "zookeeper://" + proxy.address();
    options.zk_session_timeout = Milliseconds(kShortTimeoutMs);
    return options;
  }
  std::unique_ptr<JobClient> Open(JobClientOptions options) {
    auto client = jobclient::Access::Open(std::move(options), tracker_.Factory());
    EXPECT_TRUE(client.ok()) << client.status().ToString();
    return client.ok() ? *std::move(client) : nullptr;
  }
  static lts::Job Task(const std::string& task_id) { return lts::Job(task_id, "workers"); }
  bool AwaitStreams(const Addresses& wanted) {
    return tracker_.Await([&] { return tracker_.StreamAddresses() == wanted; });
  }
  int RunCli(std::vector<std::string> arguments, std::string* err) {
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream errors;
    const SystemClock clock;
    jobclient::cli::Environment env{in,
                                    out,
                                    errors,
                                    [this](const rpc::Credentials&) { return tracker_.Factory(); },
                                    {{"LTS_CLUSTERNAME", cluster_}},
                                    folder_.path(),
                                    clock,
                                    [] {},
                                    [] {}};
    arguments.insert(arguments.end(),
                     {"--registry", "zookeeper://" + SharedServers()->hosts().front()});
    const int code = jobclient::cli::Run(arguments, env);
    *err = errors.str();
    return code;
  }

  const std::string cluster_ = UniqueName("disc");
  TempFolder folder_;
  FakeTracker tracker_;
};

TEST_F(Discovery, JobTrackersAppearAndVanish) {
  auto a = JobTracker("jt-a", "a:1");
  JobClientOptions options = Options();
  options.on_job_completed = [](const JobResult&) { return Ack::kDone; };
  const auto client = Open(options);
  ASSERT_TRUE(client->Submit(Task("1")).ok());
  EXPECT_THAT(tracker_.SubmitAddresses(), ElementsAre("a:1"));
  ASSERT_TRUE(AwaitStreams({"a:1"}));
  const auto b = JobTracker("jt-b", "b:2");
  ASSERT_TRUE(AwaitStreams({"a:1", "b:2"}));
  a.reset();
  ASSERT_TRUE(AwaitStreams({"b:2"}));
  ASSERT_TRUE(client->Submit(Task("2")).ok());
  EXPECT_THAT(tracker_.SubmitAddresses(), ElementsAre("a:1", "b:2"));
}

TEST_F(Discovery, AProgramIsANodeOfItsGroupAndAVerbIsNot) {
  const auto a = JobTracker("jt-a", "a:1");
  tracker_.on_nodes = [](const v1::NodesRequest&) { return v1::NodesResponse(); };
  const auto peer = OpenPeer(OptionsFor(cluster_, SharedServers()->hosts()));
  ASSERT_TRUE(peer->WatchGroup(NodeType::kJobClient, "shop").ok());
  ASSERT_TRUE(peer->AwaitNodes({}));
  std::string err;
  EXPECT_EQ(RunCli({"nodes"}, &err), jobclient::cli::kOk) << err;
  EXPECT_EQ(RunCli({"submit", "--group", "g", "--task", "t", "--client-group", "shop"}, &err),
            jobclient::cli::kOk)
      << err;
  const auto client = Open(Options());
  ASSERT_TRUE(peer->AwaitNodes({"client"}));
  client->Close();
  ASSERT_TRUE(peer->AwaitNodes({}));
  // Nobody else was ever there.
  for (const NodesUpdate& update : peer->nodes.All()) {
    for (const Node& node : update.nodes) EXPECT_EQ(node.identity, "client");
  }
}

TEST_F(Discovery, TheClientsOfAGroupHaveAMaster) {
  Member one;
  Member two;
  JobClientOptions options = Options("one");
  one.Listen(&options);
  auto first = Open(options);
  ASSERT_TRUE(one.AwaitMaster("one", true));
  options = Options("two");
  two.Listen(&options);
  const auto second = Open(options);
  ASSERT_TRUE(two.AwaitMaster("one", false));
  ASSERT_TRUE(one.AwaitNode("+two"));
  ASSERT_TRUE(two.AwaitNode("+one"));
  first->Close();
  EXPECT_TRUE(two.AwaitMaster("two", true));
  EXPECT_TRUE(two.AwaitNode("-one"));
}

TEST_F(Discovery, AMasterThatIsCutOffIsReplacedAndKnowsIt) {
  TcpProxy proxy(SharedServers()->port());
  Member one;
  Member two;
  JobClientOptions options = OptionsThrough(proxy, "one");
  one.Listen(&options);
  const auto first = Open(options);
  ASSERT_TRUE(one.AwaitMaster("one", true));
  options = Options("two");
  two.Listen(&options);
  const auto second = Open(options);
  ASSERT_TRUE(two.AwaitMaster("one", false));
  // As good as killed, for the others: nobody says goodbye.
  proxy.Cut();
  ASSERT_TRUE(one.AwaitMaster("one", false));
  ASSERT_TRUE(two.AwaitMaster("two", true));
  // Back again it stands behind the other.
  proxy.Pass();
  EXPECT_TRUE(one.AwaitMaster("two", false));
  EXPECT_TRUE(one.AwaitNode("+two"));
  EXPECT_TRUE(two.masters.Await([](const Member::Master& last) { return last.is_me; }));
}

TEST_F(Discovery, AnExpiredSessionCostsNoJobTracker) {
  TcpProxy proxy(SharedServers()->port());
  const auto a = JobTracker("jt-a", "a:1");
  const auto peer = OpenPeer(OptionsFor(cluster_, SharedServers()->hosts()));
  ASSERT_TRUE(peer->WatchGroup(NodeType::kJobClient, "shop").ok());
  JobClientOptions options = OptionsThrough(proxy, "client");
  options.on_job_completed = [](const JobResult&) { return Ack::kDone; };
  const auto client = Open(options);
  ASSERT_TRUE(AwaitStreams({"a:1"}));
  ASSERT_TRUE(peer->AwaitNodes({"client"}));
  proxy.Cut();
  ASSERT_TRUE(peer->AwaitNodes({}));  // its session is over
  ASSERT_TRUE(client->Submit(Task("1")).ok());
  EXPECT_THAT(tracker_.SubmitAddresses(), ElementsAre("a:1"));
  const auto b = JobTracker("jt-b", "b:2");
  proxy.Pass();
  ASSERT_TRUE(peer->AwaitNodes({"client"}));
  ASSERT_TRUE(AwaitStreams({"a:1", "b:2"}));
  // The stream that stood was left alone.
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Hellos().size() == 2; }));
}

TEST_F(Discovery, ARestartOfTheEnsembleDisturbsNobody) {
  const auto a = JobTracker("jt-a", "a:1");
  JobClientOptions options = Options();
  options.on_job_completed = [](const JobResult&) { return Ack::kDone; };
  const auto client = Open(options);
  ASSERT_TRUE(AwaitStreams({"a:1"}));
  SharedServers()->Kill();
  ASSERT_TRUE(a->AwaitState(SessionState::kSuspended, 1));
  ASSERT_TRUE(client->Submit(Task("1")).ok());
  ASSERT_OK(SharedServers()->Restart());
  const auto b = JobTracker("jt-b", "b:2");
  ASSERT_TRUE(AwaitStreams({"a:1", "b:2"}));
  EXPECT_THAT(tracker_.SubmitAddresses(), ElementsAre("a:1"));
}

TEST_F(Discovery, AClientMayStartBeforeItsZooKeeper) {
  SharedServers()->Kill();
  JobClientOptions options = Options();
  options.fail_store = "rocksdb";
  options.data_path = folder_.path();
  const auto client = Open(options);
  std::string err;
  EXPECT_EQ(RunCli({"nodes"}, &err), jobclient::cli::kUnreachable);
  EXPECT_THAT(err, HasSubstr("registryAddress zookeeper://127.0.0.1:"));
  const auto receipt = client->Submit(Task("1"));
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->outcome, SubmitOutcome::kStored);
  ASSERT_OK(SharedServers()->Restart());
  const auto a = JobTracker("jt-a", "a:1");
  EXPECT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
}

TEST_F(Discovery, AClusterWithoutJobTrackersIsNamed) {
  std::string err;
  EXPECT_EQ(RunCli({"nodes"}, &err), jobclient::cli::kUnreachable);
  EXPECT_THAT(err, HasSubstr("no JobTracker is registered in cluster " + cluster_));
}

TEST_F(Discovery, AWrongUserOrPasswordIsNamed) {
  const auto a = JobTracker("jt-a", "a:1", "lts:right");
  std::string err;
  EXPECT_EQ(RunCli({"nodes"}, &err), jobclient::cli::kDenied);
  EXPECT_THAT(err, HasSubstr("zk.digest"));
  JobClientOptions options = Options();
  options.zk_digest = "lts:wrong";
  const auto refused = Open(options)->Submit(Task("1"));
  EXPECT_EQ(refused.status().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(refused.status().message(), HasSubstr("zk.digest"));
  options.zk_digest = "lts:right";
  EXPECT_TRUE(Open(options)->Submit(Task("2")).ok());
}

// ---- TaskTrackers

class Noop final : public JobRunner {
 public:
  RunResult Run(JobContext&) override { return RunResult::Success(); }
};

class DiscoveringTaskTracker : public Discovery {
 protected:
  TaskTrackerOptions WorkerOptions(const std::string& identity) const {
    TaskTrackerOptions options;
    options.registry_address = "zookeeper://" + SharedServers()->hosts().front();
    options.cluster_name = cluster_;
    options.node_group = "workers";
    options.identity = identity;
    options.data_path = folder_.path() + "/" + identity;
    options.work_threads = 3;
    options.zk_session_timeout = std::chrono::milliseconds(kLongTimeoutMs);
    options.AddRunner<Noop>("noop");
    return options;
  }
  std::unique_ptr<tasktracker::Core> Start(TaskTrackerOptions options) {
    auto started = tasktracker::Core::Start(std::move(options), work_.Factory(), TestClock());
    EXPECT_TRUE(started.ok()) << started.status().ToString();
    return started.ok() ? *std::move(started) : nullptr;
  }
  // Waits for a hello and accepts it.
  bool Welcome() {
    while (true) {
      const auto messages = work_.WaitAndTake();
      if (messages.empty()) return false;
      for (const v1::WorkerMessage& message : messages) {
        if (!message.has_hello()) continue;
        v1::TrackerMessage reply;
        reply.mutable_hello()->set_cluster_id("c");
        reply.mutable_hello()->set_epoch(1);
        reply.mutable_hello()->set_session(1);
        reply.mutable_hello()->set_lease_ms(600'000);
        reply.mutable_hello()->set_heartbeat_ms(60'000);
        work_.Send(std::move(reply));
        return true;
      }
    }
  }

  FakeWorkTracker work_;
};

TEST_F(DiscoveringTaskTracker, MayStartBeforeEverythingElse) {
  SharedServers()->Kill();
  Heard<std::pair<bool, std::string>> connections;
  TaskTrackerOptions options = WorkerOptions("tt");
  options.on_connection_change = [&](bool connected, const std::string& reason) {
    connections.Add({connected, reason});
  };
  const auto core = Start(std::move(options));
  ASSERT_NE(core, nullptr);
  ASSERT_TRUE(connections.AwaitAll([](const auto& all) { return !all.empty(); }));
  EXPECT_THAT(connections.All().front().second, HasSubstr("registryAddress zookeeper://"));
  EXPECT_THAT(work_.dialed(), IsEmpty());
  ASSERT_OK(SharedServers()->Restart());
  const auto a = JobTracker("jt-a", "a:1");
  ASSERT_TRUE(Welcome());
  ASSERT_TRUE(connections.Await([](const auto& last) { return last.first; }));
  EXPECT_THAT(work_.dialed(), ElementsAre("a:1"));
  core->Stop();
}

TEST_F(DiscoveringTaskTracker, IsANodeOfItsGroup) {
  const auto peer = OpenPeer(OptionsFor(cluster_, SharedServers()->hosts()));
  ASSERT_TRUE(peer->WatchGroup(NodeType::kTaskTracker, "workers").ok());
  Member one;
  TaskTrackerOptions options = WorkerOptions("one");
  one.Listen(&options);
  const auto first = Start(std::move(options));
  ASSERT_TRUE(peer->AwaitNodes({"one"}));
  EXPECT_EQ(peer->nodes.All().back().nodes.front().slots, 3U);
  ASSERT_TRUE(one.AwaitMaster("one", true));
  const auto second = Start(WorkerOptions("two"));
  ASSERT_TRUE(one.AwaitNode("+two"));
  second->Stop();
  ASSERT_TRUE(one.AwaitNode("-two"));
  ASSERT_TRUE(peer->AwaitNodes({"one"}));
  first->Stop();
  ASSERT_TRUE(peer->AwaitNodes({}));
}

TEST_F(DiscoveringTaskTracker, GoesToTheJobTrackersThatAreThere) {
  auto a = JobTracker("jt-a", "a:1");
  const auto core = Start(WorkerOptions("tt"));
  ASSERT_TRUE(Welcome());
  const auto b = JobTracker("jt-b", "b:2");
  a.reset();
  // Sooner or later it has heard of it; a stream that stands is no reason to move.
  while (work_.dialed().back() != "b:2") {
    work_.Break();
    ASSERT_TRUE(Welcome());
  }
  core->Stop();
}

}  // namespace
}  // namespace lts::registry::testing

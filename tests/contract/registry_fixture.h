// What the suites of the registry share: a process as the registry sees it, and the
// implementations.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "common/strand.h"
#include "registry/embedded/embedded_registry.h"
#include "registry/registry.h"
#include "registry/zookeeper/zookeeper_registry.h"
#include "support/heard.h"
#include "support/tcp_proxy.h"
#include "support/zookeeper_server.h"

#define ASSERT_OK(expr)                      \
  do {                                       \
    const ::lts::Status ok_ = (expr);        \
    ASSERT_TRUE(ok_.ok()) << ok_.ToString(); \
  } while (false)
#define EXPECT_OK(expr)                      \
  do {                                       \
    const ::lts::Status ok_ = (expr);        \
    EXPECT_TRUE(ok_.ok()) << ok_.ToString(); \
  } while (false)

namespace lts::registry::testing {

inline constexpr auto kPatience = std::chrono::seconds(30);

using ::lts::testing::Heard;

// The identities, in order.
inline std::vector<std::string> Ids(const std::vector<Node>& nodes) {
  std::vector<std::string> ids;
  for (const Node& node : nodes) ids.push_back(node.identity);
  return ids;
}

inline Node TestNode(const std::string& identity, const std::string& group = "lts",
                     NodeType type = NodeType::kJobTracker) {
  Node node;
  node.type = type;
  node.group = group;
  node.identity = identity;
  node.incarnation = "i-" + identity;
  node.address = "127.0.0.1:1";
  node.slots = 8;
  node.version = "2.0.0";
  node.started_ms = 1'700'000'000'000;
  return node;
}

// A process: its strand, its handle and what it was told. What is opened last goes first.
class Peer {
 public:
  Listeners listeners() {
    Listeners listeners;
    listeners.strand = &strand;
    listeners.on_session = [this](const SessionInfo& info) { sessions.Add(info); };
    listeners.on_master = [this](const MasterUpdate& update) { masters.Add(update); };
    return listeners;
  }

  Status Register(const Node& node) {
    std::promise<Status> answered;
    auto answer = answered.get_future();
    registry->Register(node, [&answered](Status status) { answered.set_value(std::move(status)); });
    return Get(answer);
  }
  Result<WatchId> WatchGroup(NodeType type, const std::string& group) {
    return registry->WatchNodes(type, group,
                                [this](const NodesUpdate& update) { nodes.Add(update); });
  }
  Result<WatchId> WatchRecord(const std::string& name) {
    return registry->WatchRecord(name, [this](const Record& record) { records.Add(record); });
  }
  Result<std::vector<Node>> List(NodeType type, const std::string& group) {
    return Ask<std::vector<Node>>(
        [&](auto done) { registry->ListNodes(type, group, std::move(done)); });
  }
  Result<std::vector<std::string>> Groups(NodeType type) {
    return Ask<std::vector<std::string>>(
        [&](auto done) { registry->ListGroups(type, std::move(done)); });
  }
  Result<Record> Read(const std::string& name) {
    return Ask<Record>([&](auto done) { registry->ReadRecord(name, std::move(done)); });
  }
  Result<std::int64_t> Write(const std::string& name, const std::string& bytes,
                             std::int64_t version) {
    return Ask<std::int64_t>(
        [&](auto done) { registry->WriteRecord(name, bytes, version, std::move(done)); });
  }

  bool AwaitState(SessionState state, std::uint64_t generation) {
    return sessions.AwaitAll([&](const std::vector<SessionInfo>& all) {
      for (const SessionInfo& info : all) {
        if (info.state == state && info.generation == generation) return true;
      }
      return false;
    });
  }
  bool AwaitMaster(const std::string& identity, bool is_me) {
    return masters.Await([&](const MasterUpdate& update) {
      return update.master && update.master->identity == identity && update.is_me == is_me;
    });
  }
  bool AwaitNoMaster() {
    return masters.Await([](const MasterUpdate& update) { return !update.master; });
  }
  bool AwaitNodes(const std::vector<std::string>& identities) {
    return nodes.Await([&](const NodesUpdate& update) { return Ids(update.nodes) == identities; });
  }

  template <typename T>
  static Result<T> Get(std::future<Result<T>>& answer) {
    if (answer.wait_for(kPatience) != std::future_status::ready) {
      return Status::DeadlineExceeded("no answer");
    }
    return answer.get();
  }
  static Status Get(std::future<Status>& answer) {
    if (answer.wait_for(kPatience) != std::future_status::ready) {
      return Status::DeadlineExceeded("no answer");
    }
    return answer.get();
  }
  template <typename T>
  static Result<T> Ask(const std::function<void(std::function<void(Result<T>)>)>& call) {
    auto answered = std::make_shared<std::promise<Result<T>>>();
    auto answer = answered->get_future();
    call([answered](Result<T> value) { answered->set_value(std::move(value)); });
    return Get(answer);
  }

  Heard<SessionInfo> sessions;
  Heard<MasterUpdate> masters;
  Heard<NodesUpdate> nodes;
  Heard<Record> records;
  ThreadStrand strand{"peer"};
  std::unique_ptr<::lts::testing::TcpProxy> proxy;  // null: the way is direct
  std::unique_ptr<Registry> registry;
};

// One server for all cases of the program; each case has a cluster of its own on it.
::lts::testing::ZookeeperServers* SharedServers();

// The time-out of sessions that are made to expire, and of those that must not.
inline constexpr DurationMs kShortTimeoutMs = 1'500;
inline constexpr DurationMs kLongTimeoutMs = 20'000;

inline ZookeeperOptions OptionsFor(const std::string& cluster, std::vector<std::string> hosts,
                                   DurationMs timeout_ms = kLongTimeoutMs) {
  ZookeeperOptions options;
  options.address.hosts = std::move(hosts);
  options.cluster = cluster;
  options.session_timeout_ms = timeout_ms;
  options.backoff_min_ms = 20;
  options.backoff_max_ms = 200;
  return options;
}

inline const Clock& TestClock() {
  static const SystemClock clock;
  return clock;
}

inline std::unique_ptr<Peer> OpenPeer(const ZookeeperOptions& options,
                                      std::unique_ptr<::lts::testing::TcpProxy> proxy = nullptr) {
  auto peer = std::make_unique<Peer>();
  peer->proxy = std::move(proxy);
  ZookeeperOptions through = options;
  if (peer->proxy != nullptr) through.address.hosts = {peer->proxy->address()};
  auto opened = OpenZookeeperRegistry(through, TestClock(), peer->listeners());
  EXPECT_TRUE(opened.ok()) << opened.status().ToString();
  if (opened.ok()) peer->registry = *std::move(opened);
  return peer;
}

// A name that no other case has.
inline std::string UniqueName(const std::string& beginning) {
  static UuidGenerator ids(RandomSeed());
  return beginning + "-" + ids.Next(TestClock().WallMs());
}

}  // namespace lts::registry::testing

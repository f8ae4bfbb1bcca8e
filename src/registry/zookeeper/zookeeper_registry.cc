#include "registry/zookeeper/zookeeper_registry.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "model/validate.h"
#include "registry/callback_gate.h"
#include "registry/zookeeper/group_read.h"
#include "registry/zookeeper/member.h"
#include "registry/zookeeper/session.h"
#include "registry/zookeeper/tree.h"
#include "registry/zookeeper/watches.h"

namespace lts::registry {
namespace {

using zookeeper::Code;
using zookeeper::GroupToRead;
using zookeeper::Handle;
using zookeeper::MemberNode;
using zookeeper::MembersByName;
using zookeeper::Mode;
using zookeeper::NodesWatch;
using zookeeper::RecordWatch;
using zookeeper::Reply;
using zookeeper::Session;
using zookeeper::SessionOptions;
using zookeeper::Tree;
using zookeeper::Watch;

constexpr DurationMs kTimeoutMinMs = 100;
constexpr DurationMs kTimeoutMaxMs = 600'000;

std::string Joined(const std::vector<std::string>& hosts) {
  std::string text;
  for (const std::string& host : hosts) text += (text.empty() ? "" : ",") + host;
  return text;
}

SessionOptions SessionOptionsOf(const ZookeeperOptions& options) {
  SessionOptions session;
  session.hosts = Joined(options.address.hosts);
  session.address = "zookeeper://" + session.hosts + options.address.chroot;
  session.digest = options.digest;
  session.timeout_ms = options.session_timeout_ms;
  session.backoff_min_ms = options.backoff_min_ms;
  session.backoff_max_ms = options.backoff_max_ms;
  session.seed = options.seed != 0 ? options.seed : RandomSeed();
  return session;
}

// Wires session, own node, watches and requests. What the parts hold belongs to strand_; what is
// guarded by mutex_ says so.
class ZookeeperRegistry final : public Registry {
 public:
  ZookeeperRegistry(const ZookeeperOptions& options, const Clock& clock, Listeners listeners)
      : listeners_(std::make_shared<const Listeners>(std::move(listeners))),
        gate_(*listeners_->strand),
        tree_(options.address.chroot, options.cluster),
        session_(SessionOptionsOf(options), tree_, clock, strand_, helper_, SessionHooks()),
        member_(session_, tree_, MemberHooks()) {
    strand_.Post([this] { session_.Start(); });
  }

  ~ZookeeperRegistry() override {
    gate_.Close();
    // First the helper, which may be opening a handle or closing an old one; then the state. What
    // they still had to do is dropped, handles in it included: here, on no thread of the client.
    helper_.Stop();
    strand_.Stop();
    session_.TakeHandle().reset();
  }

  SessionInfo session() const override { return session_.info(); }
  Status WaitConnected(DurationMs timeout) override { return session_.WaitConnected(timeout); }

  void Register(Node node, Done done) override {
    Status status = ValidateNode(node);
    {
      const std::lock_guard lock(mutex_);
      if (status.ok() && node_) {
        status = Status::FailedPrecondition(
            fmt::format("this handle has registered {} already", node_->identity));
      }
      if (status.ok()) node_ = node;
    }
    if (!status.ok()) return gate_.Post([done = std::move(done), status] { done(status); });
    strand_.Post([this, node = std::move(node), done = std::move(done)] {
      registered_ = done;
      member_.Register(node);
    });
  }

  Status Update(const Node& node) override {
    LTS_RETURN_IF_ERROR(ValidateNode(node));
    const std::lock_guard lock(mutex_);
    if (!node_) return Status::FailedPrecondition("there is no node to update: register first");
    Node expected = node;
    expected.address = node_->address;
    expected.slots = node_->slots;
    expected.loads = node_->loads;
    expected.version = node_->version;
    if (expected != *node_) {
      return Status::InvalidArgument(fmt::format(
          "node {}: only address, slots, loads and version can change", node_->identity));
    }
    if (node == *node_) return Status::Ok();
    node_ = node;
    strand_.Post([this, node] { member_.Update(node); });
    return Status::Ok();
  }

  void ListNodes(NodeType type, const std::string& group,
                 std::function<void(Result<std::vector<Node>>)> done) override {
    using Answer = Result<std::vector<Node>>;
    Request<Answer>(model::ValidateName("nodeGroup", group), StatusCode::kUnavailable,
                    std::move(done),
                    [this, type, group](Handle&, const std::function<void(Answer)>& answer) {
                      ReadGroup(session_, {type, group, tree_.Group(type, group)}, false, {},
                                [answer](const Result<MembersByName>& read) {
                                  if (!read.ok()) return answer(read.status());
                                  answer(StandingNodes(zookeeper::MembersOf(*read)));
                                });
                    });
  }

  void ListGroups(NodeType type,
                  std::function<void(Result<std::vector<std::string>>)> done) override {
    using Answer = Result<std::vector<std::string>>;
    Request<Answer>(Status::Ok(), StatusCode::kUnavailable, std::move(done),
                    [this, type](Handle& handle, const std::function<void(Answer)>& answer) {
                      handle.Children(tree_.Type(type), false, [this, answer](const Reply& reply) {
                        if (reply.code != Code::kOk) {
                          return answer(session_.StatusOf(reply, "to list groups"));
                        }
                        std::vector<std::string> groups;
                        for (const std::string& child : reply.children) {
                          if (auto name = zookeeper::DecodeName(child)) groups.push_back(*name);
                        }
                        std::sort(groups.begin(), groups.end());
                        answer(std::move(groups));
                      });
                    });
  }

  Result<WatchId> WatchNodes(NodeType type, const std::string& group,
                             NodesListener listener) override {
    LTS_RETURN_IF_ERROR(model::ValidateName("nodeGroup", group));
    return AddWatch([this, type, group, listener = std::move(listener)](const Live& live) {
      return std::make_unique<NodesWatch>(session_,
                                          GroupToRead{type, group, tree_.Group(type, group)},
                                          [this, listener, live](const NodesUpdate& update) {
                                            gate_.Post([listener, live, update] {
                                              if (*live) listener(update);
                                            });
                                          });
    });
  }

  Result<WatchId> WatchRecord(const std::string& name, RecordListener listener) override {
    LTS_RETURN_IF_ERROR(model::ValidateName("record", name));
    return AddWatch([this, name, listener = std::move(listener)](const Live& live) {
      return std::make_unique<RecordWatch>(session_, name, tree_.Record(name),
                                           [this, listener, live](const Record& record) {
                                             gate_.Post([listener, live, record] {
                                               if (*live) listener(record);
                                             });
                                           });
    });
  }

  void Unwatch(WatchId id) override {
    {
      const std::lock_guard lock(mutex_);
      const auto live = live_.find(id);
      if (live == live_.end()) return;
      *live->second = false;
      live_.erase(live);
    }
    strand_.Post([this, id] { watches_.erase(id); });
  }

  void ReadRecord(const std::string& name, std::function<void(Result<Record>)> done) override {
    using Answer = Result<Record>;
    Request<Answer>(model::ValidateName("record", name), StatusCode::kUnavailable, std::move(done),
                    [this, name](Handle& handle, const std::function<void(Answer)>& answer) {
                      handle.Get(tree_.Record(name), false,
                                 [this, name, answer](const Reply& reply) {
                                   if (reply.code == Code::kNoNode) return answer(Record());
                                   if (reply.code != Code::kOk)
                                     return answer(StatusOf(reply, "to read record " + name));
                                   answer(Record{reply.text, reply.version});
                                 });
                    });
  }

  void WriteRecord(const std::string& name, std::string bytes, std::int64_t version,
                   std::function<void(Result<std::int64_t>)> done) override {
    using Answer = Result<std::int64_t>;
    Status status = model::ValidateName("record", name);
    if (status.ok() && bytes.size() > kRecordBytesMax) {
      status = Status::InvalidArgument(
          fmt::format("record {}: {} bytes, at most {}", name, bytes.size(), kRecordBytesMax));
    }
    if (status.ok() && (version < kNoRecord || version > INT32_MAX)) {
      status = Status::InvalidArgument(fmt::format("record {}: no version {}", name, version));
    }
    Request<Answer>(status, StatusCode::kUnknownOutcome, std::move(done),
                    [this, name, bytes = std::move(bytes), version](
                        Handle& handle, const std::function<void(Answer)>& answer) {
                      const auto answered = [this, name, version, answer](const Reply& reply) {
                        switch (reply.code) {
                          case Code::kOk: return answer(version + 1);
                          case Code::kNoNode:
                          case Code::kNodeExists:
                          case Code::kBadVersion:
                            return answer(Status::FailedPrecondition(fmt::format(
                                "record {}: version {} was to be replaced, but another one stands",
                                name, version)));
                          case Code::kConnectionLoss:
                            return answer(Status::UnknownOutcome(
                                session_.StatusOf(reply, "to write record " + name).message()));
                          case Code::kNoAuth:
                          case Code::kNotSent:
                          case Code::kBadArguments:
                          case Code::kOther:
                            return answer(StatusOf(reply, "to write record " + name));
                        }
                      };
                      if (version == kNoRecord) {
                        handle.Create(tree_.Record(name), bytes, Mode::kPersistent, answered);
                      } else {
                        handle.Set(tree_.Record(name), bytes, version, answered);
                      }
                    });
  }

 private:
  using Live = std::shared_ptr<std::atomic<bool>>;

  Session::Hooks SessionHooks() {
    Session::Hooks hooks;
    hooks.told = [this](const SessionInfo& info) {
      if (listeners_->on_session == nullptr) return;
      gate_.Post([kept = listeners_, info] { kept->on_session(info); });
    };
    hooks.ready = [this] {
      member_.OnReady();
      for (const auto& [id, watch] : watches_) watch->OnReady();
    };
    hooks.expired = [this] {
      member_.OnExpired();
      for (const auto& [id, watch] : watches_) watch->OnExpired();
      // What is under way will not be answered.
      for (auto& [id, fail] : std::exchange(in_flight_, {})) fail();
    };
    hooks.changed = [this](const std::string& path) {
      member_.OnChanged(path);
      for (const auto& [id, watch] : watches_) watch->OnChanged(path);
    };
    return hooks;
  }

  MemberNode::Hooks MemberHooks() {
    MemberNode::Hooks hooks;
    hooks.registered = [this](const Status& status) {
      gate_.Post([done = std::exchange(registered_, nullptr), status] { done(status); });
    };
    hooks.master = [this](const MasterUpdate& update) {
      if (listeners_->on_master == nullptr) return;
      gate_.Post([kept = listeners_, update] { kept->on_master(update); });
    };
    return hooks;
  }

  Status StatusOf(const Reply& reply, const std::string& what) const {
    return session_.StatusOf(reply, what);
  }

  Result<WatchId> AddWatch(std::function<std::unique_ptr<Watch>(const Live&)> make) {
    const std::lock_guard lock(mutex_);
    if (live_.size() >= kWatchesMax) {
      return Status::ResourceExhausted(fmt::format("{} watches, no more are allowed", kWatchesMax));
    }
    const WatchId id = ++last_id_;
    const Live live = std::make_shared<std::atomic<bool>>(true);
    live_.emplace(id, live);
    strand_.Post([this, id, live, make = std::move(make)] {
      const auto [entry, added] = watches_.emplace(id, make(live));
      entry->second->OnReady();
    });
    return id;
  }

  // Answers once: what `send` answers, or why it could not be sent, or `lost` when the session
  // ended before the answer.
  template <typename Answer>
  void Request(const Status& refused, StatusCode lost, std::function<void(Answer)> done,
               std::function<void(Handle&, const std::function<void(Answer)>&)> send) {
    const auto answer = [this, done = std::move(done)](Answer value) {
      gate_.Post([done, value = std::move(value)] { done(value); });
    };
    if (!refused.ok()) return answer(refused);
    {
      const std::lock_guard lock(mutex_);
      if (requests_ >= kRequestsInFlightMax) {
        return answer(Status::ResourceExhausted(fmt::format(
            "{} requests to the registry under way, no more are allowed", kRequestsInFlightMax)));
      }
      ++requests_;
    }
    strand_.Post([this, lost, answer, send = std::move(send)] {
      Handle* const handle = session_.handle();
      if (handle == nullptr) {
        EndRequest();
        return answer(session_.NotConnected());
      }
      const std::uint64_t id = ++last_request_;
      in_flight_.emplace(id, [this, lost, answer] {
        EndRequest();
        answer(Status(lost, "the ZooKeeper session ended before the answer came"));
      });
      send(*handle, [this, id, answer](Answer value) {
        if (in_flight_.erase(id) == 0) return;
        EndRequest();
        answer(std::move(value));
      });
    });
  }

  void EndRequest() {
    const std::lock_guard lock(mutex_);
    --requests_;
  }

  // Shared with the callbacks: one of them may close the handle.
  const std::shared_ptr<const Listeners> listeners_;
  CallbackGate gate_;
  const Tree tree_;

  std::mutex mutex_;
  std::optional<Node> node_;      // guarded by mutex_; as registered and updated
  std::map<WatchId, Live> live_;  // guarded by mutex_
  WatchId last_id_ = 0;           // guarded by mutex_
  std::size_t requests_ = 0;      // guarded by mutex_

  ThreadStrand strand_{"registry"};
  ThreadStrand helper_{"registry-open"};  // opens and closes handles, which may block
  Session session_;
  MemberNode member_;
  Done registered_;  // not called yet
  std::map<WatchId, std::unique_ptr<Watch>> watches_;
  std::map<std::uint64_t, std::function<void()>> in_flight_;  // how each request fails
  std::uint64_t last_request_ = 0;
};

}  // namespace

Result<std::unique_ptr<Registry>> OpenZookeeperRegistry(const ZookeeperOptions& options,
                                                        const Clock& clock, Listeners listeners) {
  LTS_RETURN_IF_ERROR(model::ValidateName("clusterName", options.cluster));
  if (listeners.strand == nullptr) return Status::InvalidArgument("a registry needs a strand");
  if (options.address.hosts.empty()) {
    return Status::InvalidArgument("registryAddress names no ZooKeeper server");
  }
  const std::size_t colon = options.digest.find(':');
  if (!options.digest.empty() &&
      (colon == std::string::npos || colon == 0 || colon + 1 == options.digest.size())) {
    return Status::InvalidArgument("zk.digest is not of the form user:password");
  }
  if (options.session_timeout_ms < kTimeoutMinMs || options.session_timeout_ms > kTimeoutMaxMs) {
    return Status::InvalidArgument(fmt::format("a session time-out of {} ms is not in {} … {} ms",
                                               options.session_timeout_ms, kTimeoutMinMs,
                                               kTimeoutMaxMs));
  }
  if (options.backoff_min_ms < 1 || options.backoff_max_ms < options.backoff_min_ms) {
    return Status::InvalidArgument(fmt::format("a back-off of {} … {} ms is none",
                                               options.backoff_min_ms, options.backoff_max_ms));
  }
  return std::unique_ptr<Registry>(
      std::make_unique<ZookeeperRegistry>(options, clock, std::move(listeners)));
}

}  // namespace lts::registry

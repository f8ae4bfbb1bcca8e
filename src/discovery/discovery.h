// Where the JobTrackers are, and how a client or TaskTracker becomes a node of the cluster.
//
// With jobtracker:// the addresses stand in the configuration, and there is nothing to join. With
// zookeeper:// the JobTrackers of the cluster are watched in the registry, and a process that stays
// registers in its node group.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/registry_address.h"
#include "common/strand.h"
#include "discovery/group_teller.h"
#include "discovery/nodes_poll.h"
#include "lts/status.h"
#include "registry/registry.h"
#include "rpc/channel.h"

namespace lts::discovery {

struct DiscoveryOptions {
  std::string registry_address;  // as configured, either kind
  // The rest with zookeeper:// only.
  std::string cluster_name = "defaultCluster";
  std::string zk_digest;
  DurationMs zk_session_timeout_ms = 6'000;
  // How long after Open a list of JobTrackers is worth waiting for.
  DurationMs first_look_ms = 3'000;
};

// What is known of the JobTrackers.
struct JobTrackers {
  std::vector<std::string> addresses;  // "host:port", each once, at most kJobTrackersMax
  // None is known yet, and a short wait may change that.
  bool looking = false;
  // Without addresses: why, for the operator. kPermissionDenied and kInvalidArgument: a setting has
  // to be mended, it is tried again all the same.
  Status why_none;
  // They come from a registry: who is not among them has gone, as far as that knows.
  bool registered = false;
};
inline constexpr std::size_t kJobTrackersMax = 256;

// Thread-safe. Owns the registry's handle and a thread for what it tells.
//
// While ZooKeeper is away the list stays as it was known last, for JobTrackers go on without it. A
// list that becomes empty is not told either: whoever left last may have lost its session only, and
// is the best guess until somebody comes.
class Discovery {
 public:
  using Listener = std::function<void(const JobTrackers&)>;
  using OpenRegistry =
      std::function<Result<std::unique_ptr<registry::Registry>>(registry::Listeners)>;

  // Waits for nobody. kInvalidArgument for options that cannot be used, naming the option. `clock`
  // is borrowed.
  static Result<std::unique_ptr<Discovery>> Open(const DiscoveryOptions& options,
                                                 const Clock& clock);
  // The same over a registry of the caller's; the address is for messages.
  static Result<std::unique_ptr<Discovery>> OpenOver(const DiscoveryOptions& options,
                                                     const OpenRegistry& open);

  // Leaves the group, so that the others see this process go at once. No listener is called any
  // more; waits for one under way. May take seconds when servers do not answer. Not from a
  // listener.
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  JobTrackers Found() const;
  // Waits while `looking`: at most first_look_ms from Open.
  JobTrackers AwaitFound() const;

  // `listener` is told what is known now, and each change, on a thread of this object, one call at
  // a time; it must not block. Once. With jobtracker:// nothing changes, and it is never called.
  void Listen(Listener listener);

  // Makes this process a node: with zookeeper:// it registers, as soon as that is possible, and
  // stays registered; with jobtracker:// it is one by its streams, and a JobTracker is asked who
  // else is, if there are listeners. kInvalidArgument when the node breaks a limit of the registry.
  // Once.
  Status Join(const registry::Node& node, GroupListeners listeners,
              const rpc::ChannelFactory& channels);

 private:
  explicit Discovery(const DiscoveryOptions& options) : options_(options) {}
  Status Start(const OpenRegistry& open);
  void OnSession(const registry::SessionInfo& info);
  void OnNodes(const registry::NodesUpdate& update);
  JobTrackers FoundLocked() const;
  void Tell();

  const DiscoveryOptions options_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  // Guarded by mutex_.
  std::vector<std::string> addresses_;
  bool known_ = false;    // the registry has told who is there
  bool overdue_ = false;  // it has not within first_look_ms
  Status reason_;         // of the session, when there is none

  Listener listener_;  // of the strand

  std::unique_ptr<GroupTeller> teller_;
  std::unique_ptr<NodesPoll> poll_;
  std::unique_ptr<ThreadStrand> strand_;
  bool registered_ = false;  // JobTrackers come from a registry; set before anything runs
  std::unique_ptr<registry::Registry> registry_;  // null with jobtracker://
};

}  // namespace lts::discovery

#include "discovery/discovery.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <variant>

#include "common/log.h"
#include "registry/zookeeper/zookeeper_registry.h"

namespace lts::discovery {
namespace {

NodeInfo InfoOf(const registry::Node& node, bool master) {
  NodeInfo info;
  info.node_type = registry::Name(node.type);
  info.group = node.group;
  info.identity = node.identity;
  info.address = node.address;
  info.slots = static_cast<std::int32_t>(node.slots);
  info.version = node.version;
  info.started_at = SystemTime(std::chrono::milliseconds(node.started_ms));
  info.master = master;
  return info;
}

bool NeedsMending(const Status& reason) {
  return reason.code() == StatusCode::kPermissionDenied ||
         reason.code() == StatusCode::kInvalidArgument;
}

}  // namespace

Result<std::unique_ptr<Discovery>> Discovery::Open(const DiscoveryOptions& options,
                                                   const Clock& clock) {
  Result<RegistryAddress> address = ParseAnyRegistryAddress(options.registry_address);
  if (!address.ok()) return address.status();
  if (const auto* direct = std::get_if<JobTrackerAddresses>(&*address)) {
    std::unique_ptr<Discovery> discovery(new Discovery(options));
    discovery->addresses_ = direct->hosts;
    discovery->known_ = true;
    return discovery;
  }
  registry::ZookeeperOptions zookeeper;
  zookeeper.address = std::get<ZookeeperAddress>(*std::move(address));
  zookeeper.cluster = options.cluster_name;
  zookeeper.digest = options.zk_digest;
  zookeeper.session_timeout_ms = options.zk_session_timeout_ms;
  return OpenOver(options, [&zookeeper, &clock](registry::Listeners listeners) {
    return registry::OpenZookeeperRegistry(zookeeper, clock, std::move(listeners));
  });
}

Result<std::unique_ptr<Discovery>> Discovery::OpenOver(const DiscoveryOptions& options,
                                                       const OpenRegistry& open) {
  std::unique_ptr<Discovery> discovery(new Discovery(options));
  LTS_RETURN_IF_ERROR(discovery->Start(open));
  return discovery;
}

Status Discovery::Start(const OpenRegistry& open) {
  reason_ = Status::Unavailable(fmt::format("registryAddress {}: no ZooKeeper server has answered",
                                            options_.registry_address));
  strand_ = std::make_unique<ThreadStrand>("lts-discovery");
  registry::Listeners listeners;
  listeners.strand = strand_.get();
  listeners.on_session = [this](const registry::SessionInfo& info) { OnSession(info); };
  listeners.on_master = [this](const registry::MasterUpdate& update) {
    if (teller_ == nullptr) return;
    std::optional<NodeInfo> master;
    if (update.master) master = InfoOf(*update.master, true);
    teller_->SetMaster(std::move(master), update.is_me);
  };
  registered_ = true;
  Result<std::unique_ptr<registry::Registry>> opened = open(std::move(listeners));
  if (!opened.ok()) return opened.status();
  registry_ = *std::move(opened);
  strand_->PostAfter(options_.first_look_ms * 1000, [this] {
    {
      const std::lock_guard lock(mutex_);
      overdue_ = true;
    }
    Tell();
  });
  const auto watched = registry_->WatchNodes(
      registry::NodeType::kJobTracker, std::string(registry::kJobTrackerGroup),
      [this](const registry::NodesUpdate& update) { OnNodes(update); });
  return watched.status();
}

Discovery::~Discovery() {
  // First: what it tells goes to the others.
  registry_.reset();
  if (strand_ != nullptr) strand_->Stop();
  poll_.reset();
  teller_.reset();
}

JobTrackers Discovery::FoundLocked() const {
  JobTrackers found;
  found.addresses = addresses_;
  found.registered = registered_;
  if (!addresses_.empty()) return found;
  found.looking = !known_ && !overdue_ && !NeedsMending(reason_);
  if (known_) {
    found.why_none = Status::Unavailable(
        fmt::format("registryAddress {}: no JobTracker is registered in cluster {} (clusterName)",
                    options_.registry_address, options_.cluster_name));
  } else if (!reason_.ok()) {
    found.why_none = reason_;
  } else {
    found.why_none = Status::Unavailable(fmt::format(
        "registryAddress {}: the list of JobTrackers has not come yet", options_.registry_address));
  }
  return found;
}

JobTrackers Discovery::Found() const {
  const std::lock_guard lock(mutex_);
  return FoundLocked();
}

JobTrackers Discovery::AwaitFound() const {
  std::unique_lock lock(mutex_);
  // The strand says when it is overdue.
  changed_.wait(lock, [this] { return !FoundLocked().looking; });
  return FoundLocked();
}

void Discovery::Listen(Listener listener) {
  if (registry_ == nullptr) return;
  strand_->Post([this, listener = std::move(listener)] {
    listener_ = listener;
    Tell();
  });
}

Status Discovery::Join(const registry::Node& node, GroupListeners listeners,
                       const rpc::ChannelFactory& channels) {
  const bool watches = listeners.on_node_change != nullptr;
  const bool any = listeners.any();
  if (registry_ == nullptr) {
    if (!any) return Status::Ok();
    teller_ = std::make_unique<GroupTeller>(std::move(listeners));
    strand_ = std::make_unique<ThreadStrand>("lts-discovery");
    NodesPollOptions polling;
    polling.addresses = addresses_;
    polling.node_type = registry::Name(node.type);
    polling.group = node.group;
    polling.identity = node.identity;
    poll_ = std::make_unique<NodesPoll>(std::move(polling), channels, *teller_, *strand_);
    return Status::Ok();
  }
  LTS_RETURN_IF_ERROR(registry::ValidateNode(node));
  if (any) teller_ = std::make_unique<GroupTeller>(std::move(listeners));
  // The registry logs what is in the way, and goes on trying.
  registry_->Register(node, [](const Status&) {});
  if (!watches) return Status::Ok();
  return registry_
      ->WatchNodes(node.type, node.group,
                   [this](const registry::NodesUpdate& update) {
                     std::vector<NodeInfo> nodes;
                     nodes.reserve(update.nodes.size());
                     for (const registry::Node& each : update.nodes) {
                       nodes.push_back(InfoOf(each, nodes.empty()));
                     }
                     teller_->SetNodes(std::move(nodes));
                   })
      .status();
}

void Discovery::OnSession(const registry::SessionInfo& info) {
  {
    const std::lock_guard lock(mutex_);
    reason_ = info.reason;
  }
  Tell();
}

void Discovery::OnNodes(const registry::NodesUpdate& update) {
  std::vector<std::string> addresses;
  for (const registry::Node& node : update.nodes) {
    const bool is_new =
        std::find(addresses.begin(), addresses.end(), node.address) == addresses.end();
    if (node.address.empty() || !is_new) continue;
    if (addresses.size() == kJobTrackersMax) {
      LTS_WARN("more JobTrackers are registered than are used registered={} max={}",
               update.nodes.size(), kJobTrackersMax);
      break;
    }
    addresses.push_back(node.address);
  }
  {
    const std::lock_guard lock(mutex_);
    known_ = true;
    if (addresses.empty() && !addresses_.empty()) {
      LTS_WARN("no JobTracker is registered any more, the last ones are kept in mind addresses={}",
               fmt::join(addresses_, ","));
    } else {
      LTS_INFO("JobTrackers are registered count={} addresses={}", addresses.size(),
               fmt::join(addresses, ","));
      addresses_ = std::move(addresses);
    }
  }
  Tell();
}

void Discovery::Tell() {
  changed_.notify_all();
  if (listener_) listener_(Found());
}

}  // namespace lts::discovery

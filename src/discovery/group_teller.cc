#include "discovery/group_teller.h"

#include <utility>

namespace lts::discovery {
namespace {

// Who is master is told apart.
bool SameFacts(const NodeInfo& a, const NodeInfo& b) {
  return a.node_type == b.node_type && a.group == b.group && a.identity == b.identity &&
         a.address == b.address && a.slots == b.slots && a.version == b.version &&
         a.started_at == b.started_at;
}

}  // namespace

void GroupTeller::SetNodes(std::vector<NodeInfo> nodes) {
  const std::lock_guard lock(mutex_);
  latest_.nodes = std::move(nodes);
  PostLocked();
}

void GroupTeller::SetMaster(std::optional<NodeInfo> master, bool is_me) {
  const std::lock_guard lock(mutex_);
  latest_.master = std::move(master);
  latest_.is_me = is_me;
  PostLocked();
}

void GroupTeller::PostLocked() {
  if (std::exchange(posted_, true)) return;
  strand_.Post([this] { Tell(); });
}

void GroupTeller::Tell() {
  Facts now;
  {
    const std::lock_guard lock(mutex_);
    posted_ = false;
    now = latest_;
  }
  if (listeners_.on_node_change) {
    std::map<std::string, NodeInfo> gone = std::exchange(told_nodes_, {});
    std::vector<std::pair<NodeInfo, NodeChange>> news;
    for (const NodeInfo& node : now.nodes) {
      const auto known = gone.extract(node.identity);
      if (known.empty()) {
        news.emplace_back(node, NodeChange::kAdded);
      } else if (!SameFacts(known.mapped(), node)) {
        news.emplace_back(node, NodeChange::kChanged);
      }
      told_nodes_.emplace(node.identity, node);
    }
    for (const auto& [identity, node] : gone) {
      listeners_.on_node_change(node, NodeChange::kRemoved);
    }
    for (const auto& [node, change] : news) listeners_.on_node_change(node, change);
  }
  if (!listeners_.on_master_change) return;
  // Nobody is not told, but that it is not us any more is.
  if (!now.master) now.master = told_master_;
  if (!now.master) return;
  const bool same = told_master_ && SameFacts(*told_master_, *now.master) && told_me_ == now.is_me;
  if (same) return;
  told_master_ = now.master;
  told_me_ = now.is_me;
  listeners_.on_master_change(*now.master, now.is_me);
}

}  // namespace lts::discovery

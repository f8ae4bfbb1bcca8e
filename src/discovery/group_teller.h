// Tells a program what happens in its node group.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/strand.h"
#include "lts/node.h"

namespace lts::discovery {

// As in JobClientOptions and TaskTrackerOptions; either may be empty.
struct GroupListeners {
  std::function<void(const NodeInfo& master, bool is_me)> on_master_change;
  std::function<void(const NodeInfo& node, NodeChange change)> on_node_change;

  bool any() const { return on_master_change != nullptr || on_node_change != nullptr; }
};

// Keeps what is known last and tells what differs from what was told last, so that a listener that
// takes its time makes nothing pile up. Owns the thread on which the listeners run. Thread-safe.
// The destructor waits for the call under way; none follows it.
class GroupTeller {
 public:
  explicit GroupTeller(GroupListeners listeners) : listeners_(std::move(listeners)) {}
  ~GroupTeller() { strand_.Stop(); }
  GroupTeller(const GroupTeller&) = delete;
  GroupTeller& operator=(const GroupTeller&) = delete;

  // Everybody who is there.
  void SetNodes(std::vector<NodeInfo> nodes);
  // None: it is not known who is, and this process is not.
  void SetMaster(std::optional<NodeInfo> master, bool is_me);

 private:
  struct Facts {
    std::vector<NodeInfo> nodes;
    std::optional<NodeInfo> master;
    bool is_me = false;
  };
  void PostLocked();
  void Tell();

  const GroupListeners listeners_;
  std::mutex mutex_;
  Facts latest_;         // guarded by mutex_
  bool posted_ = false;  // guarded by mutex_; a Tell will run

  // Of the strand.
  std::map<std::string, NodeInfo> told_nodes_;
  std::optional<NodeInfo> told_master_;
  bool told_me_ = false;

  ThreadStrand strand_{"lts-group"};
};

}  // namespace lts::discovery

// This process's own node and its part in the group's election.
//
// The recipe: nodes are ephemeral and sequential, the first in the group is master, and each
// watches its predecessor, so that the end of one wakes one. Every node tells its user who is
// master, so it watches the master too: a change of master wakes the group, anything else does not.
//
// Nodes of the same identity: of one process's earlier session, or of its predecessor that was
// killed, a left-over is removed by the later one, at once. A process that finds a later one of its
// identity stands by until that is gone; so two that were given one identity do not fight.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "registry/election.h"
#include "registry/zookeeper/session.h"
#include "registry/zookeeper/tree.h"

namespace lts::registry::zookeeper {

// State belongs to the session's strand.
class MemberNode {
 public:
  // Called on the strand.
  struct Hooks {
    std::function<void(const Status&)> registered;  // once
    std::function<void(const MasterUpdate&)> master;
  };
  MemberNode(Session& session, const Tree& tree, Hooks hooks);

  void Register(Node node);
  void Update(const Node& node);

  // From the session.
  void OnReady();
  void OnExpired();
  void OnChanged(const std::string& path);

 private:
  struct Found {
    std::string name;
    Candidate candidate;
  };

  void Step();
  void Look();
  void Looked(const std::vector<std::string>& names);
  void StandBy(const Found& rival);
  void Create();
  void Standing(const std::vector<Found>& found, const Found& own);
  void WatchMaster(const Found& master, const std::string& predecessor, bool is_me);
  void WatchGone(const std::string& name);
  void Removed(const std::string& name);
  void Lost();
  void Failed(const Reply& reply, const std::string& what);
  void Again();
  void Settled(const Status& status);
  void TellMaster(const std::optional<Node>& master, bool is_me);

  Candidate Own() const;
  std::string PathOf(const std::string& name) const { return group_path_ + "/" + name; }

  Session& session_;
  const Tree& tree_;
  const Hooks hooks_;
  std::optional<Node> wanted_;
  bool payload_dirty_ = false;
  std::string group_path_;
  bool settled_ = false;
  bool standing_by_ = false;
  bool busy_ = false;              // a chain of requests is under way
  bool again_ = false;             // and something happened meanwhile
  std::set<std::string> watched_;  // paths whose events matter
  MasterDiff told_;
};

}  // namespace lts::registry::zookeeper

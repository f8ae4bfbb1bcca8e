// The node group of a process whose cluster has no registry to join: asked of a JobTracker.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "discovery/group_teller.h"
#include "lts/status.h"
#include "lts/v1/cluster.pb.h"
#include "rpc/channel.h"

namespace lts::discovery {

struct NodesPollOptions {
  std::vector<std::string> addresses;  // of the JobTrackers, at least one
  std::string node_type;               // "JOB_CLIENT" …
  std::string group;
  std::string identity;  // of this process
  DurationMs interval_ms = 2'000;
  DurationMs deadline_ms = 5'000;  // of one call
};

// Asks one JobTracker at an interval who is connected, the next one when it does not answer. State
// belongs to `strand`, which must be stopped before this is destroyed; borrows `teller`.
class NodesPoll {
 public:
  NodesPoll(NodesPollOptions options, const rpc::ChannelFactory& channels, GroupTeller& teller,
            Strand& strand);
  NodesPoll(const NodesPoll&) = delete;
  NodesPoll& operator=(const NodesPoll&) = delete;

 private:
  void Ask();
  void OnAnswer(const Status& status, const v1::NodesResponse& response);

  const NodesPollOptions options_;
  const rpc::ChannelFactory channels_;
  GroupTeller& teller_;
  Strand& strand_;
  std::size_t next_ = 0;
  std::unique_ptr<rpc::Channel> channel_;
};

}  // namespace lts::discovery

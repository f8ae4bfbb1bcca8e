#include "discovery/nodes_poll.h"

#include <optional>
#include <utility>

#include "common/log.h"

namespace lts::discovery {
namespace {

NodeInfo InfoOf(const v1::NodeInfo& node) {
  NodeInfo info;
  info.node_type = node.node_type();
  info.group = node.group();
  info.identity = node.identity();
  info.address = node.address();
  info.slots = node.slots();
  info.version = node.version();
  if (node.started_ms() != 0)
    info.started_at = SystemTime(std::chrono::milliseconds(node.started_ms()));
  info.master = node.master();
  return info;
}

}  // namespace

NodesPoll::NodesPoll(NodesPollOptions options, const rpc::ChannelFactory& channels,
                     GroupTeller& teller, Strand& strand)
    : options_(std::move(options)), channels_(channels), teller_(teller), strand_(strand) {
  strand_.Post([this] { Ask(); });
}

void NodesPoll::Ask() {
  const std::string& address = options_.addresses[next_ % options_.addresses.size()];
  if (channel_ == nullptr || channel_->address() != address) {
    channel_.reset();
    channel_ = channels_(address);
  }
  channel_->Nodes(v1::NodesRequest(), options_.deadline_ms,
                  [this](Status status, v1::NodesResponse response) {
                    strand_.Post([this, status = std::move(status),
                                  response = std::move(response)] { OnAnswer(status, response); });
                  });
}

void NodesPoll::OnAnswer(const Status& status, const v1::NodesResponse& response) {
  strand_.PostAfter(options_.interval_ms * 1000, [this] { Ask(); });
  if (!status.ok()) {
    LTS_DEBUG("nodes of the group not known address={} error=\"{}\"", channel_->address(),
              status.ToString());
    ++next_;
    return;
  }
  std::vector<NodeInfo> nodes;
  std::optional<NodeInfo> master;
  for (const v1::NodeInfo& node : response.nodes()) {
    if (node.node_type() != options_.node_type || node.group() != options_.group) continue;
    nodes.push_back(InfoOf(node));
    if (node.master()) master = nodes.back();
  }
  const bool is_me = master && master->identity == options_.identity;
  teller_.SetNodes(std::move(nodes));
  teller_.SetMaster(std::move(master), is_me);
}

}  // namespace lts::discovery

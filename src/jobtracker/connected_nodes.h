// The nodes that have a stream to this JobTracker, as they introduced themselves. This is the whole
// of the embedded registry: there is one JobTracker, and whoever is there is connected to it.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lts/v1/types.pb.h"

namespace lts {

// Thread-safe. Streams are numbered in the order in which they were opened.
class ConnectedNodes {
 public:
  void Add(std::uint64_t stream, v1::NodeInfo node) {
    const std::lock_guard lock(mutex_);
    nodes_.insert_or_assign(stream, std::move(node));
  }
  void SetState(std::uint64_t stream, std::string state) {
    const std::lock_guard lock(mutex_);
    const auto node = nodes_.find(stream);
    if (node != nodes_.end()) node->second.set_state(std::move(state));
  }
  void Remove(std::uint64_t stream) {
    const std::lock_guard lock(mutex_);
    nodes_.erase(stream);
  }

  // Each node once, those that are connected longest first. A node that has come back on a new
  // stream counts from that one, also while the old one has not ended yet.
  std::vector<v1::NodeInfo> List() const {
    const std::lock_guard lock(mutex_);
    std::map<std::tuple<std::string, std::string, std::string>, std::uint64_t> newest;
    for (const auto& [stream, node] : nodes_) newest[KeyOf(node)] = stream;
    std::vector<v1::NodeInfo> list;
    for (const auto& [stream, node] : nodes_) {
      if (newest[KeyOf(node)] == stream) list.push_back(node);
    }
    return list;
  }

 private:
  static std::tuple<std::string, std::string, std::string> KeyOf(const v1::NodeInfo& node) {
    return {node.node_type(), node.group(), node.identity()};
  }

  mutable std::mutex mutex_;
  std::map<std::uint64_t, v1::NodeInfo> nodes_;
};

}  // namespace lts

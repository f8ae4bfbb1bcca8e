// The nodes of a cluster, as a program that is one of them is told. Public header, C++17, plain
// data.
#ifndef LTS_NODE_H_
#define LTS_NODE_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace lts {

using SystemTime = std::chrono::system_clock::time_point;

// A long-lived process of the cluster.
struct NodeInfo {
  std::string node_type;  // JOB_TRACKER, TASK_TRACKER, JOB_CLIENT, ADMIN
  std::string group;
  std::string identity;  // unique within type and group
  std::string address;   // "host:port", or empty
  std::int32_t slots = 0;
  std::string version;
  std::optional<SystemTime> started_at;
  bool master = false;  // of its type and group
};

// What became of a node of the own group.
enum class NodeChange : std::uint8_t {
  kAdded = 0,
  kRemoved = 1,  // told as it was last
  kChanged = 2,  // the same identity with other facts (a restart, another address), as they are now
};

}  // namespace lts

#endif  // LTS_NODE_H_

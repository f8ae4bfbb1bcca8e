// Where clients and TaskTrackers find their cluster.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lts/status.h"

namespace lts {

// "jobtracker://host:port[,host:port…]": in that order, each once, at most 64; IPv6 hosts stand in
// brackets; blanks around an address do not count.
struct JobTrackerAddresses {
  std::vector<std::string> hosts;  // "host:port"
};
// "zookeeper://host[:port][,host[:port]…][/chroot]". The same rules; the port is 2181 when left
// out.
struct ZookeeperAddress {
  std::vector<std::string> hosts;  // "host:port"
  std::string chroot;              // "" or "/a/b": the folder below which everything is kept
};
using RegistryAddress = std::variant<JobTrackerAddresses, ZookeeperAddress>;

// Either kind. kInvalidArgument says what is wrong with it.
Result<RegistryAddress> ParseAnyRegistryAddress(std::string_view text);

}  // namespace lts

// Where clients and TaskTrackers find their cluster.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lts/status.h"

namespace lts {

// "jobtracker://host:port[,host:port…]" -> {"host:port", …}, in that order, each once, at most 64;
// IPv6 hosts stand in brackets; blanks around an address do not count. kInvalidArgument says what
// is wrong with it. kFailedPrecondition for zookeeper://: no mistake, but this build has no such
// registry.
Result<std::vector<std::string>> ParseRegistryAddress(std::string_view text);

}  // namespace lts

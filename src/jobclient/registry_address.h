// Where a client finds its cluster.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lts/status.h"

namespace lts::jobclient {

// "jobtracker://host:port[,host:port…]" -> {"host:port", …}, in that order, at most 64; IPv6 hosts
// stand in brackets. kInvalidArgument says what is wrong with the address; for zookeeper:// that
// this build has no such registry.
Result<std::vector<std::string>> ParseRegistryAddress(std::string_view text);

}  // namespace lts::jobclient

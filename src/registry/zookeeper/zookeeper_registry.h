// The registry of a cluster, kept by a ZooKeeper ensemble (3.5 or later).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/clock.h"
#include "common/registry_address.h"
#include "registry/registry.h"

namespace lts::registry {

struct ZookeeperOptions {
  ZookeeperAddress address;
  std::string cluster = "defaultCluster";
  // "user:password": everything is created with an ACL that opens it to this user only. Empty: to
  // everybody.
  std::string digest;
  DurationMs session_timeout_ms = 6'000;  // asked for; SessionInfo tells what the server grants
  DurationMs backoff_min_ms = 500;        // between handles that found no server
  DurationMs backoff_max_ms = 10'000;
  std::uint64_t seed = 0;  // of the back-off's jitter; 0: random
};

// kInvalidArgument when an option is wrong. Connects by itself: Registry::WaitConnected and
// Listeners::on_session tell how that goes; a chroot that does not exist is created. `clock` must
// outlive the registry. Runs two threads of its own and the two of the client.
Result<std::unique_ptr<Registry>> OpenZookeeperRegistry(const ZookeeperOptions& options,
                                                        const Clock& clock, Listeners listeners);

}  // namespace lts::registry

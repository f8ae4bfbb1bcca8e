// The registry within one process: for the standalone JobTracker, which has nobody else to ask, and
// for tests of what uses a registry.
#pragma once

#include <memory>

#include "registry/registry.h"

namespace lts::registry {

// What all handles that joined it see. Everything takes effect within the call, so what happens is
// decided by the order of the calls alone; only the listeners run later, on their strands (which
// must not run a task inside Post). Thread-safe. Handles share its ownership.
class EmbeddedRegistry {
 public:
  EmbeddedRegistry();
  ~EmbeddedRegistry();
  EmbeddedRegistry(const EmbeddedRegistry&) = delete;
  EmbeddedRegistry& operator=(const EmbeddedRegistry&) = delete;

  // A new handle, connected at once; its sessions end only by ExpireSession. `listeners.strand`
  // must be set.
  std::unique_ptr<Registry> Join(Listeners listeners);

  // For tests: ends the handle's session as a server would, and begins its next one. The handle
  // must be one of this registry's.
  void ExpireSession(Registry& handle);

  class Hub;

 private:
  const std::shared_ptr<Hub> hub_;
};

}  // namespace lts::registry

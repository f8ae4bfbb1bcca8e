// Everybody whom the registry knows.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "registry/registry.h"

namespace lts {

// All nodes of all types and groups; the first of each group is its master. `registry` must outlive
// the answer, which comes on the registry's strand or before this returns. The first error of a
// read is the answer's.
void ListRegistryNodes(registry::Registry& registry,
                       std::function<void(Result<std::vector<registry::Node>>)> done);

}  // namespace lts

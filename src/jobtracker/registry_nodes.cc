#include "jobtracker/registry_nodes.h"

#include <deque>
#include <iterator>
#include <memory>
#include <string>

namespace lts {

namespace {

// One read at a time: what a handle may have in flight is bounded, the number of groups is not.
struct Walk : std::enable_shared_from_this<Walk> {
  explicit Walk(registry::Registry& from) : registry(from) {}

  void NextType() {
    if (type == std::size(registry::kNodeTypes)) {
      done(std::move(nodes));
      return;
    }
    registry.ListGroups(registry::kNodeTypes[type],
                        [self = shared_from_this()](Result<std::vector<std::string>> listed) {
                          if (!listed.ok()) return self->done(listed.status());
                          self->groups.assign(listed->begin(), listed->end());
                          self->NextGroup();
                        });
  }
  void NextGroup() {
    if (groups.empty()) {
      ++type;
      NextType();
      return;
    }
    const std::string group = std::move(groups.front());
    groups.pop_front();
    registry.ListNodes(registry::kNodeTypes[type], group,
                       [self = shared_from_this()](Result<std::vector<registry::Node>> listed) {
                         if (!listed.ok()) return self->done(listed.status());
                         std::move(listed->begin(), listed->end(), std::back_inserter(self->nodes));
                         self->NextGroup();
                       });
  }

  registry::Registry& registry;
  std::function<void(Result<std::vector<registry::Node>>)> done;
  std::size_t type = 0;
  std::deque<std::string> groups;
  std::vector<registry::Node> nodes;
};

}  // namespace

void ListRegistryNodes(registry::Registry& registry,
                       std::function<void(Result<std::vector<registry::Node>>)> done) {
  auto walk = std::make_shared<Walk>(registry);
  walk->done = std::move(done);
  walk->NextType();
}

}  // namespace lts

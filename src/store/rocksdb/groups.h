// The dictionary of group names: keys carry a group's number of 4 bytes instead of its name.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lts/status.h"
#include "store/rocksdb/engine.h"
#include "store/rocksdb/keys.h"

namespace lts::store::rocks {

// Names are never forgotten (job groups and submit groups: as many as users invent). Borrows the
// engine. Thread-safe.
class Groups {
 public:
  explicit Groups(Engine& engine) : engine_(engine) {}

  Status Load();
  std::optional<GroupId> Find(const std::string& name) const;
  // The number of `name`, a new one if need be. Its record goes to the log in front of the commit
  // that first uses it, so whatever makes that commit durable makes the name durable.
  Result<GroupId> Intern(const std::string& name);
  // The name of a number that keys carry; kDataLoss when it has none.
  Result<std::string> Name(GroupId gid) const;

 private:
  Engine& engine_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, GroupId> ids_;
  std::deque<std::string> names_;  // number − 1 → name
};

}  // namespace lts::store::rocks

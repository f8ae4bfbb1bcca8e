#include "store/rocksdb/ready_floors.h"

namespace lts::store::rocks {
namespace {

void Lower(std::optional<std::string>& lowest, const std::string& key) {
  if (!lowest || key < *lowest) lowest = key;
}

}  // namespace

void ReadyFloors::Putting(GroupId gid, const std::string& key) {
  const std::lock_guard lock(mutex_);
  Group& group = groups_[gid];
  if (key < group.floor) group.floor = key;
  Lower(group.under_way, key);
  if (group.reads > 0) Lower(group.put_meanwhile, key);
}

void ReadyFloors::CommitEnded() {
  const std::lock_guard lock(mutex_);
  for (auto& [gid, group] : groups_) group.under_way.reset();
}

std::string ReadyFloors::StartRead(GroupId gid) {
  const std::lock_guard lock(mutex_);
  Group& group = groups_[gid];
  if (group.reads++ == 0) group.put_meanwhile = group.under_way;
  if (group.under_way) Lower(group.put_meanwhile, *group.under_way);
  return group.floor;
}

std::string ReadyFloors::FloorFor(GroupId gid, std::string floor_at_start) {
  const std::lock_guard lock(mutex_);
  const Group& group = groups_[gid];
  if (group.put_meanwhile && *group.put_meanwhile < floor_at_start) return *group.put_meanwhile;
  return floor_at_start;
}

void ReadyFloors::EndRead(GroupId gid, const std::optional<std::string>& first) {
  const std::lock_guard lock(mutex_);
  Group& group = groups_[gid];
  if (first) {
    group.floor = *first;
    if (group.put_meanwhile && *group.put_meanwhile < group.floor) {
      group.floor = *group.put_meanwhile;
    }
  }
  if (--group.reads == 0) group.put_meanwhile.reset();
}

}  // namespace lts::store::rocks

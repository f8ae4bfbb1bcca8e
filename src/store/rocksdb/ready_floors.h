// Where reading the ready order of a group may begin. A queue's head is a field of removals: a read
// from the top would walk over every job that has gone since the last compaction. The floor is a
// key below which no row stands; a read from the top that finds the first row raises it, a row put
// below lowers it.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "store/rocksdb/keys.h"

namespace lts::store::rocks {

// One per partition; thread-safe. Commits of the partition come one at a time.
class ReadyFloors {
 public:
  // Before a commit is written: `key` is the lowest that it puts into the ready order of the group.
  void Putting(GroupId gid, const std::string& key);
  // After it was written, or has failed.
  void CommitEnded();

  // Before a read takes its snapshot. Returns the floor, or "".
  std::string StartRead(GroupId gid);
  // After it took the snapshot: the floor with what was put in between, which the snapshot may
  // hold.
  std::string FloorFor(GroupId gid, std::string floor_at_start);
  // `first`: the lowest key that was there, or one behind the order when there was none; nothing
  // when the read failed.
  void EndRead(GroupId gid, const std::optional<std::string>& first);

 private:
  struct Group {
    std::string floor;
    // Lowest key of the commit under way: a snapshot may or may not hold it.
    std::optional<std::string> under_way;
    // Lowest key put since the first of the present reads began.
    std::optional<std::string> put_meanwhile;
    int reads = 0;
  };

  std::mutex mutex_;
  std::map<GroupId, Group> groups_;
};

}  // namespace lts::store::rocks

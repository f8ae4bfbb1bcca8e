#include "store/rocksdb/groups.h"

#include <fmt/core.h>

#include <memory>
#include <mutex>

namespace lts::store::rocks {

Status Groups::Load() {
  const std::unique_lock lock(mutex_);
  const std::string prefix = GroupNameKey("");
  const std::string end = After(prefix);
  rocksdb::ReadOptions options;
  const rocksdb::Slice upper(end);
  options.iterate_upper_bound = &upper;
  options.total_order_seek = true;
  const std::unique_ptr<rocksdb::Iterator> it(engine_.db().NewIterator(options, engine_.live()));
  for (it->Seek(prefix); it->Valid(); it->Next()) {
    KeyReader key(it->key());
    key.Skip(1);
    KeyReader value(it->value());
    const GroupId gid = value.U32();
    if (!value.ok() || gid == 0) {
      return engine_.Damaged(Status::DataLoss("a group name has no number"));
    }
    if (names_.size() < gid) names_.resize(gid);
    names_[gid - 1] = key.rest();
    ids_[std::string(key.rest())] = gid;
  }
  return it->status().ok() ? Status::Ok() : engine_.ReadFailure(it->status());
}

std::optional<GroupId> Groups::Find(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto it = ids_.find(name);
  return it == ids_.end() ? std::nullopt : std::optional<GroupId>(it->second);
}

Result<GroupId> Groups::Intern(const std::string& name) {
  if (const auto known = Find(name)) return *known;
  const std::unique_lock lock(mutex_);
  if (const auto it = ids_.find(name); it != ids_.end()) return it->second;
  const auto gid = static_cast<GroupId>(names_.size() + 1);
  std::string value;
  KeyWriter(&value).U32(gid);
  rocksdb::WriteBatch batch;
  batch.Put(engine_.live(), GroupNameKey(name), value);
  LTS_RETURN_IF_ERROR(engine_.Write(batch, /*sync=*/false));
  names_.push_back(name);
  ids_.emplace(name, gid);
  return gid;
}

Result<std::string> Groups::Name(GroupId gid) const {
  const std::shared_lock lock(mutex_);
  if (gid == 0 || gid > names_.size()) {
    return engine_.Damaged(Status::DataLoss(fmt::format("group number {} has no name", gid)));
  }
  return names_[gid - 1];
}

}  // namespace lts::store::rocks

#include "tasktracker/result_store.h"

#include "common/log.h"

namespace lts::tasktracker {
namespace {

constexpr std::size_t kPageRecords = 1'000;
constexpr std::size_t kPageBytes = 4U << 20;

}  // namespace

Status ResultStore::Scan(const std::unordered_set<std::string>& own,
                         std::vector<std::unique_ptr<Attempt>>* found) {
  while (true) {
    Result<std::vector<FailRecord>> page =
        store_.Peek(FailKind::kResult, kPageRecords, scanned_id_, kPageBytes);
    if (!page.ok()) return page.status();
    if (page->empty()) return Status::Ok();
    const TimeMs now = clock_.WallMs();
    for (const FailRecord& record : *page) {
      scanned_id_ = record.id;
      if (own.count(record.key) != 0) {
        ids_[record.key].push_back(record.id);
        continue;
      }
      v1::AttemptResult result;
      if (!result.ParseFromString(record.bytes) || !result.has_key()) {
        LTS_ERROR("a stored result cannot be read, parked record={} key={}", record.id, record.key);
        LTS_RETURN_IF_ERROR(store_.Park(record.id, "not a result of an attempt"));
        continue;
      }
      std::vector<std::uint64_t>& ids = ids_[record.key];
      ids.push_back(record.id);
      // A crash between the two steps of an adoption leaves a record twice.
      if (ids.size() == 1) found->push_back(MakeEnded(std::move(result), now - record.stored_ms));
    }
  }
}

Result<std::vector<std::unique_ptr<Attempt>>> ResultStore::LoadNew() {
  std::vector<std::unique_ptr<Attempt>> found = std::move(found_);
  found_.clear();
  const Status scanned = Scan({}, &found);
  if (!scanned.ok()) {
    found_ = std::move(found);
    return scanned;
  }
  return found;
}

Status ResultStore::Store(const std::vector<std::pair<std::string, std::string>>& results) {
  LTS_RETURN_IF_ERROR(store_.PutAll(FailKind::kResult, results));
  std::unordered_set<std::string> own;
  for (const auto& [key, bytes] : results) own.insert(key);
  // They are durable: an error here only means that they are told once more after a restart.
  const Status scanned = Scan(own, &found_);
  if (!scanned.ok()) LTS_WARN("stored results cannot be looked up error={}", scanned.ToString());
  return Status::Ok();
}

void ResultStore::Forget(const std::vector<std::string>& keys) {
  std::vector<std::uint64_t> gone;
  for (const std::string& key : keys) {
    const auto known = ids_.find(key);
    if (known == ids_.end()) continue;
    gone.insert(gone.end(), known->second.begin(), known->second.end());
    ids_.erase(known);
  }
  if (gone.empty()) return;
  const Status forgotten = store_.Ack(gone);
  if (!forgotten.ok()) {
    LTS_WARN("acknowledged results stay in the FailStore records={} error={}", gone.size(),
             forgotten.ToString());
  }
}

}  // namespace lts::tasktracker

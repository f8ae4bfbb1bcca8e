#include <unordered_set>

#include "store/paging.h"
#include "store/rocksdb/store_impl.h"

namespace lts::store::rocks {

Status RocksdbJobStore::AppendLogs(const std::vector<LogRow>& rows) {
  if (rows.empty()) return Status::Ok();
  const std::lock_guard lock(logs_mutex_);
  rocksdb::WriteBatch writes;
  std::unordered_set<std::string> keys;
  Scratch scratch;
  std::string key;
  std::string value;
  for (const LogRow& row : rows) {
    LogKey(&key, row.key, row.attempt, row.line);
    if (!keys.insert(key).second) continue;
    rocksdb::PinnableSlice stored;
    const rocksdb::Status s = engine_->db().Get({}, engine_->logs(), key, &stored);
    if (s.ok()) continue;  // a repeat
    if (!s.IsNotFound()) return engine_->ReadFailure(s);
    Encode(row, scratch, &value);
    writes.Put(engine_->logs(), key, value);
    LogTimeKey(&key, row.time_ms, row.key, row.attempt, row.line);
    writes.Put(engine_->logs(), key, "");
  }
  if (writes.Count() == 0) return Status::Ok();
  // The sender forgets lines once they are accepted, so they are durable first.
  return engine_->Write(writes, /*sync=*/true);
}

Result<std::vector<LogRow>> RocksdbJobStore::FindLogs(const model::JobKey& key,
                                                      std::int32_t attempt,
                                                      std::uint64_t after_line, std::size_t limit) {
  const View view(*engine_);
  std::string prefix = "L";
  KeyWriter(&prefix).Key(key).I32(attempt);
  Range range(view, engine_->logs(), prefix);
  std::string from = prefix;
  KeyWriter(&from).U64(after_line);
  std::vector<LogRow> rows;
  Scratch scratch;
  for (range.Seek(After(from)); range.Valid() && rows.size() < ClampPage(limit); range.Next()) {
    auto row = DecodeLog(key, attempt, range.Rest().U64(), range.value().ToStringView(), scratch);
    if (!row.ok()) return engine_->Damaged(row.status());
    rows.push_back(std::move(*row));
  }
  LTS_RETURN_IF_ERROR(range.status());
  return rows;
}

}  // namespace lts::store::rocks

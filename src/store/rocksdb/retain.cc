// Deletes by age, in small steps: the partition's lock is held for one step at a time, so that
// commits pass between them. What is gone after a crash half-way is gone; the rest goes with the
// next call.
#include <algorithm>
#include <numeric>

#include "store/rocksdb/store_impl.h"

namespace lts::store::rocks {
namespace {

constexpr std::int64_t kStepRows = 256;

}  // namespace

Result<std::int64_t> RocksdbJobStore::Retain(std::uint32_t partition, std::uint64_t epoch,
                                             const RetentionPolicy& policy) {
  LTS_RETURN_IF_ERROR(Known(partition));
  Partition& p = *partitions_[partition];
  const std::lock_guard retain_lock(p.retain_mutex);
  {
    const std::lock_guard lock(p.mutex);
    LTS_RETURN_IF_ERROR(p.state.CheckEpoch(partition, epoch));
  }
  const auto history = RetainHistory(partition, epoch, policy);
  if (!history.ok()) return history.status();
  // Log lines do not say their partition: each owner's call takes its share of all of them.
  const auto logs = RetainLogs(policy.logs_before_ms, policy.rows_max - *history);
  if (!logs.ok()) return logs.status();
  return *history + *logs;
}

Result<std::int64_t> RocksdbJobStore::RetainHistory(std::uint32_t part, std::uint64_t epoch,
                                                    const RetentionPolicy& policy) {
  const std::int64_t rows_max = policy.rows_max;
  const View view(*engine_);
  const auto gids = GroupsWith(view, engine_->history(), 'E', part);
  if (!gids.ok()) return gids.status();
  Scratch scratch;
  std::string key;
  std::int64_t gone = 0;
  for (const GroupId gid : *gids) {
    std::string prefix = "E";
    KeyWriter(&prefix).U16(part).U32(gid);
    Range range(view, engine_->history(), prefix);
    range.SeekToFirst();
    std::int64_t excess =
        policy.ended_per_group > 0 ? EndedOf(part, gid) - policy.ended_per_group : 0;
    while (range.Valid() && gone < rows_max) {
      rocksdb::WriteBatch writes;
      CountChanges changes = {{gid, Counts{}}};
      std::int64_t step = 0;
      const std::int64_t step_max = std::min(kStepRows, rows_max - gone);
      for (; range.Valid() && step < step_max; range.Next(), ++step) {
        KeyReader rest = range.Rest();
        const TimeMs ended_ms = rest.I64();
        const model::JobKey job = rest.Key();
        const std::int32_t attempt = rest.I32();
        const bool too_many = excess > 0 && ended_ms < policy.ended_before_ms;
        if (ended_ms >= policy.history_before_ms && !too_many) break;
        const auto row =
            DecodeHistory("", ended_ms, job, attempt, range.value().ToStringView(), scratch);
        if (!row.ok()) return engine_->Damaged(row.status());
        writes.Delete(engine_->history(), range.key());
        AttemptKey(&key, part, job, attempt);
        writes.Delete(engine_->history(), key);
        EndedTaskKey(&key, part, gid, row->task_id, ended_ms, job, attempt);
        writes.Delete(engine_->history(), key);
        if (row->final) {
          --changes[0].second.ended[static_cast<std::size_t>(row->state)];
          --excess;
        }
      }
      if (step == 0) break;
      Partition& p = *partitions_[part];
      const std::lock_guard lock(p.mutex);
      LTS_RETURN_IF_ERROR(p.state.CheckEpoch(part, epoch));
      PutCounts(part, changes, &writes);
      LTS_RETURN_IF_ERROR(engine_->Write(writes, /*sync=*/false));
      PublishCounts(part, changes);
      gone += step;
    }
    LTS_RETURN_IF_ERROR(range.status());
  }
  return gone;
}

std::int64_t RocksdbJobStore::EndedOf(std::uint32_t part, GroupId gid) {
  const std::lock_guard lock(counts_mutex_);
  const auto found = counts_.find({part, gid});
  if (found == counts_.end()) return 0;
  return std::accumulate(found->second.ended.begin(), found->second.ended.end(), std::int64_t{0});
}

Result<std::int64_t> RocksdbJobStore::RetainLogs(TimeMs before_ms, std::int64_t rows_max) {
  const View view(*engine_);
  Range range(view, engine_->logs(), "X");
  rocksdb::WriteBatch writes;
  std::string key;
  std::int64_t gone = 0;
  for (range.SeekToFirst(); range.Valid() && gone < rows_max; range.Next(), ++gone) {
    KeyReader rest = range.Rest();
    const TimeMs time_ms = rest.I64();
    const model::JobKey job = rest.Key();
    const std::int32_t attempt = rest.I32();
    const std::uint64_t line = rest.U64();
    if (time_ms >= before_ms) break;
    writes.Delete(engine_->logs(), range.key());
    LogKey(&key, job, attempt, line);
    writes.Delete(engine_->logs(), key);
  }
  LTS_RETURN_IF_ERROR(range.status());
  if (gone > 0) LTS_RETURN_IF_ERROR(engine_->Write(writes, /*sync=*/false));
  return gone;
}

}  // namespace lts::store::rocks

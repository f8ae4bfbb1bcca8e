// The write path: a MutationBatch becomes one WriteBatch with one sync.
#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include "store/rocksdb/store_impl.h"

namespace lts::store::rocks {

void Counts::Add(const Counts& other) {
  jobs += other.jobs;
  schedules += other.schedules;
  for (std::size_t i = 0; i < kStates; ++i) ended[i] += other.ended[i];
}

bool Counts::IsZero() const {
  return jobs == 0 && schedules == 0 &&
         std::all_of(ended.begin(), ended.end(), [](std::int64_t n) { return n == 0; });
}

std::string EncodeCounts(const Counts& counts) {
  pb::Counter record;
  record.set_jobs(counts.jobs);
  record.set_schedules(counts.schedules);
  for (const std::int64_t n : counts.ended) record.add_ended(n);
  return record.SerializeAsString();
}

Result<Counts> DecodeCounts(rocksdb::Slice value) {
  pb::Counter record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size())) ||
      record.ended_size() > static_cast<int>(Counts::kStates)) {
    return Status::DataLoss("a counter cannot be read");
  }
  Counts counts;
  counts.jobs = record.jobs();
  counts.schedules = record.schedules();
  for (int i = 0; i < record.ended_size(); ++i) {
    counts.ended[static_cast<std::size_t>(i)] = record.ended(i);
  }
  return counts;
}

namespace {

std::string Text(const model::JobKey& key) {
  return fmt::format("job {} cycle {}", key.id.ToString(), key.cycle);
}

struct ScheduleTask {
  GroupId gid = 0;
  std::string task_id;
  bool operator==(const ScheduleTask&) const = default;
};

// Turns mutations into writes, in order. Rows are inserted only where none is of their kind (in the
// ready order, or aside); that a row which is updated or deleted is there, as it is named, is the
// caller's word (JobStore::Commit).
class BatchWriter {
 public:
  BatchWriter(Engine& engine, Groups& groups, Scratch& scratch, std::uint32_t part,
              rocksdb::WriteBatch* out)
      : engine_(engine), groups_(groups), scratch_(scratch), part_(part), out_(*out) {}

  Status Add(const MutationBatch& batch) {
    for (const Mutation& mutation : batch.mutations) {
      LTS_RETURN_IF_ERROR(std::visit([this](const auto& m) { return Apply(m); }, mutation));
    }
    LTS_RETURN_IF_ERROR(
        CheckAbsent(engine_.live(), kJobKeyKeyBytes, new_jobs_, "is there already"));
    return CheckAbsent(engine_.history(), kAttemptKeyBytes, new_attempts_, "has ended already");
  }

  const CountChanges& changes() const { return changes_; }
  // Per group, the lowest key put into the ready order.
  const std::map<GroupId, std::string>& lowest_ready() const { return lowest_ready_; }

 private:
  static constexpr std::size_t kJobKeyKeyBytes = 1 + 2 + kJobKeyBytes;
  static constexpr std::size_t kAttemptKeyBytes = kJobKeyKeyBytes + 4;

  Result<GroupId> Gid(const std::string& group) {
    if (last_gid_ != 0 && group == last_group_) return last_gid_;
    const auto gid = groups_.Intern(group);
    if (gid.ok()) {
      last_group_ = group;
      last_gid_ = *gid;
    }
    return gid;
  }

  Counts& Change(GroupId gid) {
    for (auto& [group, counts] : changes_) {
      if (group == gid) return counts;
    }
    return changes_.emplace_back(gid, Counts{}).second;
  }

  void Put(const std::string& key, const std::string& value) {
    out_.Put(engine_.live(), key, value);
  }
  void Remove(const std::string& key) { out_.SingleDelete(engine_.live(), key); }

  static Status CheckSpec(const JobRow& row) {
    if (row.spec == nullptr) return Status::InvalidArgument(Text(row.key) + " has no spec");
    if (row.spec->task_id.size() > 0xffff) {
      return Status::InvalidArgument(Text(row.key) + " has a task id of more than 65535 bytes");
    }
    return Status::Ok();
  }

  // The row and what leads to it, but for its task.
  void PutRow(const Place& place, const JobRow& row) {
    value_.clear();
    KeyWriter writer(&value_);
    PutPlace(writer, place);
    if (place.aside) {
      AsideKey(&key_, part_, row.key);
      Encode(row, scratch_, &record_);
      value_ += record_;
      Put(key_, value_);
      return;
    }
    JobKeyKey(&key_, part_, row.key);
    Put(key_, value_);
    PutReady(place, row);
    if (IsDated(place, row.accepted_ms)) {
      DatedKey(&key_, part_, place, row.key);
      value_.clear();
      KeyWriter(&value_).I32(place.priority);
      Put(key_, value_);
    }
  }
  void PutReady(const Place& place, const JobRow& row) {
    RowKey(&key_, part_, place, row.key);
    std::string& lowest = lowest_ready_[place.gid];
    if (lowest.empty() || key_ < lowest) lowest = key_;
    Encode(row, scratch_, &value_);
    Put(key_, value_);
  }
  void RemoveRow(const Place& place, const JobRow& row) {
    RowKey(&key_, part_, place, row.key);
    Remove(key_);
    if (place.aside) return;
    JobKeyKey(&key_, part_, row.key);
    Remove(key_);
    if (IsDated(place, row.accepted_ms)) {
      DatedKey(&key_, part_, place, row.key);
      Remove(key_);
    }
  }

  Status Apply(const InsertJob& m) {
    const JobRow& row = m.row;
    LTS_RETURN_IF_ERROR(CheckSpec(row));
    const auto gid = Gid(row.spec->group);
    if (!gid.ok()) return gid.status();
    const Place place = PlaceOf(row, *gid);
    const auto [seen, first] = jobs_.try_emplace(row.key, true);
    if (!first) {
      if (seen->second) return Status::InvalidArgument(Text(row.key) + " is there already");
      seen->second = true;
    } else {
      if (place.aside) {
        AsideKey(&key_, part_, row.key);
        new_jobs_ += key_;
      }
      // The owner knows all rows that stand aside, and the fires that it has made.
      if (!place.aside || row.kind != JobKind::kOccurrence) {
        JobKeyKey(&key_, part_, row.key);
        new_jobs_ += key_;
      }
    }
    PutRow(place, row);
    TaskKeyKey(&key_, part_, *gid, row.spec->task_id, row.key);
    Put(key_, "");
    ++Change(*gid).jobs;
    return Status::Ok();
  }

  Status Apply(const UpdateJob& m) {
    const JobRow& row = m.row;
    LTS_RETURN_IF_ERROR(CheckSpec(row));
    const auto gid = Gid(row.spec->group);
    if (!gid.ok()) return gid.status();
    const Place place = PlaceOf(row, *gid);
    const Place before = {*gid, IsAside(m.before_state, m.before_resident), m.before_priority,
                          m.before_due_ms, row.seq};
    if (place == before && !place.aside) {
      RowKey(&key_, part_, place, row.key);
      Remove(key_);
      PutReady(place, row);
    } else {
      RemoveRow(before, row);
      PutRow(place, row);
    }
    return Status::Ok();
  }

  Status Apply(const DeleteJob& m) {
    const JobRow& row = m.row;
    LTS_RETURN_IF_ERROR(CheckSpec(row));
    const auto gid = Gid(row.spec->group);
    if (!gid.ok()) return gid.status();
    jobs_[row.key] = false;
    RemoveRow(PlaceOf(row, *gid), row);
    TaskKeyKey(&key_, part_, *gid, row.spec->task_id, row.key);
    Remove(key_);
    --Change(*gid).jobs;
    return Status::Ok();
  }

  Status Apply(const InsertHistory& m) {
    const HistoryRow& row = m.row;
    if (row.task_id.size() > 0xffff) {
      return Status::InvalidArgument(Text(row.key) + " has a task id of more than 65535 bytes");
    }
    const auto gid = Gid(row.group);
    if (!gid.ok()) return gid.status();
    AttemptKey(&key_, part_, row.key, row.attempt);
    if (!attempts_.insert(key_).second) {
      return Status::InvalidArgument(Text(row.key) + " has ended already");
    }
    new_attempts_ += key_;
    value_.clear();
    KeyWriter(&value_).U32(*gid).I64(row.ended_ms);
    out_.Put(engine_.history(), key_, value_);
    EndedKey(&key_, part_, *gid, row.ended_ms, row.key, row.attempt);
    Encode(row, scratch_, &value_);
    out_.Put(engine_.history(), key_, value_);
    EndedTaskKey(&key_, part_, *gid, row.task_id, row.ended_ms, row.key, row.attempt);
    out_.Put(engine_.history(), key_, "");
    if (row.final) ++Change(*gid).ended[static_cast<std::size_t>(row.state)];
    return Status::Ok();
  }

  // The group and task under which a schedule stands, earlier mutations of this batch included.
  Result<std::optional<ScheduleTask>> FindScheduleTask(const model::JobId& id) {
    if (const auto it = schedules_.find(id); it != schedules_.end()) return it->second;
    std::optional<ScheduleTask> task;
    ScheduleKey(&key_, part_, id);
    const auto stored = Get(key_);
    if (!stored.ok()) return stored.status();
    if (stored->has_value()) {
      const auto row = DecodeSchedule(id, **stored, scratch_);
      if (!row.ok()) return engine_.Damaged(row.status());
      task = ScheduleTask{scratch_.schedule.gid(), row->spec->task_id};
    }
    schedules_[id] = task;
    return task;
  }

  Status Apply(const PutSchedule& m) {
    const ScheduleRow& row = m.row;
    if (row.spec == nullptr) {
      return Status::InvalidArgument("schedule " + row.id.ToString() + " has no spec");
    }
    const auto gid = Gid(row.spec->group);
    if (!gid.ok()) return gid.status();
    if (!m.stands) {
      const auto before = FindScheduleTask(row.id);
      if (!before.ok()) return before.status();
      const ScheduleTask task{*gid, row.spec->task_id};
      if (!before->has_value() || !(**before == task)) {
        LTS_RETURN_IF_ERROR(TakeScheduleTask(task, row));
        if (before->has_value()) RemoveScheduleTask(**before);
        ++Change(*gid).schedules;
      }
      schedules_[row.id] = task;
    }
    ScheduleKey(&key_, part_, row.id);
    Encode(row, *gid, scratch_, &value_);
    Put(key_, value_);
    return Status::Ok();
  }

  Status TakeScheduleTask(const ScheduleTask& task, const ScheduleRow& row) {
    ScheduleTaskKey(&key_, part_, task.gid, task.task_id);
    value_.clear();
    KeyWriter(&value_).Id(row.id);
    bool taken = false;
    if (const auto it = schedule_tasks_.find(key_); it != schedule_tasks_.end()) {
      taken = it->second;
    } else {
      const auto stored = Get(key_);
      if (!stored.ok()) return stored.status();
      taken = stored->has_value();
    }
    if (taken) {
      return Status::InvalidArgument(fmt::format("task {} of group {} has another schedule than {}",
                                                 task.task_id, row.spec->group, row.id.ToString()));
    }
    schedule_tasks_[key_] = true;
    Put(key_, value_);
    return Status::Ok();
  }

  void RemoveScheduleTask(const ScheduleTask& task) {
    ScheduleTaskKey(&key_, part_, task.gid, task.task_id);
    schedule_tasks_[key_] = false;
    out_.Delete(engine_.live(), key_);
    --Change(task.gid).schedules;
  }

  Status Apply(const DeleteSchedule& m) {
    const auto before = FindScheduleTask(m.id);
    if (!before.ok()) return before.status();
    if (!before->has_value()) return Status::Ok();
    RemoveScheduleTask(**before);
    schedules_[m.id] = std::nullopt;
    ScheduleKey(&key_, part_, m.id);
    out_.Delete(engine_.live(), key_);
    return Status::Ok();
  }

  Status Apply(const InsertFeedback& m) {
    const auto gid = Gid(m.row.submit_group);
    if (!gid.ok()) return gid.status();
    FeedbackKey(&key_, part_, *gid, m.row.seq, m.row.key, m.row.attempt);
    Encode(m.row, scratch_, &value_);
    Put(key_, value_);
    return Status::Ok();
  }

  Status Apply(const InsertLog& m) {
    const LogRow& row = m.row;
    LogKey(&key_, row.key, row.attempt, row.line);
    Encode(row, scratch_, &value_);
    out_.Put(engine_.logs(), key_, value_);
    LogTimeKey(&key_, row.time_ms, row.key, row.attempt, row.line);
    out_.Put(engine_.logs(), key_, "");
    return Status::Ok();
  }

  Status Apply(const DeleteFeedback& m) {
    const auto gid = groups_.Find(m.submit_group);
    if (!gid) return Status::Ok();
    FeedbackKey(&key_, part_, *gid, m.seq, m.key, m.attempt);
    out_.Delete(engine_.live(), key_);
    return Status::Ok();
  }

  Status Apply(const PutWorker& m) {
    const auto gid = Gid(m.row.group);
    if (!gid.ok()) return gid.status();
    WorkerKey(&key_, part_, *gid, m.row.identity);
    Encode(m.row, scratch_, &value_);
    Put(key_, value_);
    return Status::Ok();
  }

  Status Apply(const DeleteWorker& m) {
    const auto gid = groups_.Find(m.group);
    if (!gid) return Status::Ok();
    WorkerKey(&key_, part_, *gid, m.identity);
    out_.Delete(engine_.live(), key_);
    return Status::Ok();
  }

  Result<std::optional<std::string>> Get(const std::string& key) {
    std::string value;
    const rocksdb::Status s = engine_.db().Get({}, engine_.live(), key, &value);
    if (s.IsNotFound()) return std::optional<std::string>();
    if (!s.ok()) return engine_.ReadFailure(s);
    return std::optional<std::string>(std::move(value));
  }

  // `keys` holds keys of `size` bytes, one behind the other.
  Status CheckAbsent(rocksdb::ColumnFamilyHandle* family, std::size_t size, const std::string& keys,
                     std::string_view otherwise) {
    constexpr std::size_t kChunk = 128;
    std::array<rocksdb::Slice, kChunk> slices;
    std::array<rocksdb::PinnableSlice, kChunk> values;
    std::array<rocksdb::Status, kChunk> statuses;
    for (std::size_t at = 0; at < keys.size();) {
      std::size_t n = 0;
      for (; n < kChunk && at < keys.size(); at += size) {
        slices[n++] = rocksdb::Slice(keys.data() + at, size);
      }
      engine_.db().MultiGet({}, family, n, slices.data(), values.data(), statuses.data());
      for (std::size_t i = 0; i < n; ++i) {
        if (statuses[i].IsNotFound()) continue;
        if (!statuses[i].ok()) return engine_.ReadFailure(statuses[i]);
        return Status::InvalidArgument(
            fmt::format("{} {}", Text(KeyReader(slices[i]).Skip(3).Key()), otherwise));
      }
      for (std::size_t i = 0; i < n; ++i) values[i].Reset();
    }
    return Status::Ok();
  }

  Engine& engine_;
  Groups& groups_;
  Scratch& scratch_;
  const std::uint32_t part_;
  rocksdb::WriteBatch& out_;
  CountChanges changes_;
  std::map<GroupId, std::string> lowest_ready_;
  std::string key_;
  std::string value_;
  std::string record_;
  std::string last_group_;
  GroupId last_gid_ = 0;
  // What this batch made of rows: there (true) or gone.
  std::unordered_map<model::JobKey, bool> jobs_;
  std::unordered_set<std::string> attempts_;
  std::unordered_map<model::JobId, std::optional<ScheduleTask>> schedules_;
  std::unordered_map<std::string, bool> schedule_tasks_;
  // Keys that must not be in the database yet.
  std::string new_jobs_;
  std::string new_attempts_;
};

}  // namespace

void RocksdbJobStore::PutCounts(std::uint32_t part, const CountChanges& changes,
                                rocksdb::WriteBatch* batch) {
  const std::lock_guard lock(counts_mutex_);
  for (const auto& [gid, change] : changes) {
    Counts next = counts_[{part, gid}];
    next.Add(change);
    batch->Put(engine_->live(), CounterKey(part, gid), EncodeCounts(next));
  }
}

void RocksdbJobStore::PublishCounts(std::uint32_t part, const CountChanges& changes) {
  const std::lock_guard lock(counts_mutex_);
  for (const auto& [gid, change] : changes) counts_[{part, gid}].Add(change);
}

Status RocksdbJobStore::Commit(std::uint32_t partition, std::uint64_t epoch,
                               std::uint64_t commit_no, const MutationBatch& batch) {
  LTS_RETURN_IF_ERROR(Known(partition));
  Partition& p = *partitions_[partition];
  const std::lock_guard lock(p.mutex);
  const auto verdict = p.state.CheckCommit(partition, epoch, commit_no);
  if (!verdict.ok()) return verdict.status();
  if (*verdict == PartitionState::Commit::kRepeat) {
    p.state.lease_end_us = LeaseEnd();
    return Status::Ok();
  }

  rocksdb::WriteBatch writes(batch.mutations.size() * 512 + 256);
  BatchWriter writer(*engine_, groups_, p.scratch, partition, &writes);
  PartitionState next = p.state;
  next.commit_no = commit_no;
  next.next_seq = std::max(next.next_seq, batch.next_seq);
  Status done = writer.Add(batch);
  if (done.ok()) {
    PutCounts(partition, writer.changes(), &writes);
    writes.Put(engine_->live(), PartitionKey(partition), EncodePartition(next));
    for (const auto& [gid, key] : writer.lowest_ready()) p.floors.Putting(gid, key);
    done = engine_->Write(writes, /*sync=*/true);
    p.floors.CommitEnded();
  }
  if (!done.ok()) {
    // While an earlier try of this number is open, "nothing was written now" does not settle it.
    if (p.unsettled && done.code() == StatusCode::kUnavailable) {
      return Status::UnknownOutcome(done.message());
    }
    p.unsettled = done.code() == StatusCode::kUnknownOutcome;
    return done;
  }
  p.unsettled = false;
  PublishCounts(partition, writer.changes());
  next.lease_end_us = LeaseEnd();
  p.state = std::move(next);
  return Status::Ok();
}

}  // namespace lts::store::rocks

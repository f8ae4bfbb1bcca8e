// RocksdbJobStore, spread over a source file per theme: ownership.cc (open, identity, leases),
// commit.cc (the write path), load.cc (reads of the owner), find.cc (console and CLI), logs.cc,
// retain.cc.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/snapshot.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/job_store.h"
#include "store/partition_state.h"
#include "store/rocksdb/codec.h"
#include "store/rocksdb/engine.h"
#include "store/rocksdb/groups.h"
#include "store/rocksdb/keys.h"
#include "store/rocksdb/ready_floors.h"

namespace lts::store::rocks {

// Counters of one group in one partition, or a change of them.
struct Counts {
  static constexpr std::size_t kStates = static_cast<std::size_t>(model::JobState::kYielded) + 1;
  std::int64_t jobs = 0;
  std::int64_t schedules = 0;
  std::array<std::int64_t, kStates> ended{};

  void Add(const Counts& other);
  bool IsZero() const;
};
std::string EncodeCounts(const Counts& counts);
Result<Counts> DecodeCounts(rocksdb::Slice value);

// The changes of one write, few groups each.
using CountChanges = std::vector<std::pair<GroupId, Counts>>;

// One state of the database for reads that go from index to row.
class View {
 public:
  explicit View(Engine& engine) : engine_(engine), snapshot_(&engine.db()) {
    options_.snapshot = snapshot_.snapshot();
    options_.total_order_seek = true;
  }
  const rocksdb::ReadOptions& options() const { return options_; }
  Engine& engine() const { return engine_; }
  // For seeks within one look-up prefix, answered by filters when nothing has it. The caller checks
  // that keys still begin with the prefix.
  std::unique_ptr<rocksdb::Iterator> Prefixed(rocksdb::ColumnFamilyHandle* family) const;
  // Nothing when the key is absent.
  Result<std::optional<std::string>> Get(rocksdb::ColumnFamilyHandle* family,
                                         const std::string& key) const;

 private:
  Engine& engine_;
  rocksdb::ManagedSnapshot snapshot_;
  rocksdb::ReadOptions options_;
};

// The keys that begin with `prefix`, in total order.
class Range {
 public:
  Range(const View& view, rocksdb::ColumnFamilyHandle* family, std::string prefix);
  // The iterator points into this object.
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

  void SeekToFirst() { it_->Seek(prefix_); }
  void Seek(const std::string& key) { it_->Seek(key); }
  // The greatest key <= `key`, or < when `strictly`.
  void SeekBack(const std::string& key, bool strictly);
  void SeekToLast() { it_->SeekToLast(); }
  void Next() { it_->Next(); }
  void Prev() { it_->Prev(); }
  bool Valid() const { return it_->Valid(); }
  rocksdb::Slice key() const { return it_->key(); }
  // The key behind the prefix.
  KeyReader Rest() const { return KeyReader(it_->key()).Skip(prefix_.size()); }
  rocksdb::Slice value() const { return it_->value(); }
  // Whether the scan ended at its end rather than at a failed read.
  Status status() const;
  const std::string& prefix() const { return prefix_; }

 private:
  const View& view_;
  const std::string prefix_;
  const std::string upper_;
  rocksdb::Slice upper_slice_;
  rocksdb::Slice lower_slice_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

struct PlacedKey {
  Place place;
  model::JobKey key;
};

class RocksdbJobStore final : public JobStore {
 public:
  static Result<std::unique_ptr<JobStore>> Open(const std::string& folder,
                                                const StoreIdentity& wanted, const Clock& clock,
                                                const RocksdbStoreOptions& options);

  StoreIdentity Identity() const override { return identity_; }
  Result<TimeMs> Now() override { return clock_.WallMs(); }

  Result<PartitionLease> Acquire(std::uint32_t partition, const std::string& owner,
                                 const std::string& address, std::uint64_t assignment) override;
  Result<RenewReply> Renew(
      const std::vector<std::pair<std::uint32_t, std::uint64_t>>& partition_epochs,
      const std::string& owner) override;
  Status Release(std::uint32_t partition, std::uint64_t epoch, bool clean) override;
  Result<std::vector<PartitionRow>> Partitions() override;

  Status Commit(std::uint32_t partition, std::uint64_t epoch, std::uint64_t commit_no,
                const MutationBatch& batch) override;

  Result<LookupReply> Lookup(std::uint32_t partition, const std::vector<model::JobId>& ids,
                             const std::vector<TaskKey>& tasks) override;
  Result<std::vector<ScheduleRow>> LoadSchedules(std::uint32_t partition, const model::JobId& after,
                                                 std::size_t limit) override;
  Result<std::vector<WorkerRow>> LoadWorkers(std::uint32_t partition) override;
  Result<std::vector<JobRow>> LoadRunning(std::uint32_t partition, const model::JobKey& after,
                                          std::size_t limit) override;
  Result<std::vector<std::string>> LoadGroups(std::uint32_t partition) override;
  Result<std::vector<JobRow>> LoadWaiting(std::uint32_t partition, const std::string& group,
                                          const std::optional<ReadyPosition>& after,
                                          TimeMs due_before, std::size_t limit) override;
  Result<std::vector<JobRow>> LoadDated(std::uint32_t partition, const std::string& group,
                                        TimeMs due_after, std::size_t limit) override;
  Result<std::vector<TaskPosition>> LoadTasks(std::uint32_t partition, const std::string& group,
                                              const std::optional<TaskPosition>& after,
                                              std::size_t limit) override;
  Result<std::vector<FeedbackRow>> LoadFeedback(std::uint32_t partition,
                                                const std::string& submit_group,
                                                std::uint64_t after_seq,
                                                std::size_t limit) override;
  Result<std::vector<std::string>> LoadFeedbackGroups(std::uint32_t partition) override;

  Status AppendLogs(const std::vector<LogRow>& rows) override;
  Result<std::vector<LogRow>> FindLogs(const model::JobKey& key, std::int32_t attempt,
                                       std::uint64_t after_line, std::size_t limit) override;

  Result<std::vector<JobRow>> FindJobRows(const model::JobId& id) override;
  Result<std::optional<ScheduleRow>> FindSchedule(const model::JobId& id) override;
  Result<std::vector<HistoryRow>> FindHistory(const model::JobId& id, std::size_t limit) override;
  Result<std::optional<HistoryRow>> FindAttempt(const model::JobKey& key,
                                                std::int32_t attempt) override;
  Result<JobPage> FindJobs(const JobFilter& filter, const PageToken& page,
                           std::size_t limit) override;
  Result<SchedulePage> FindSchedules(const JobFilter& filter, const PageToken& page,
                                     std::size_t limit) override;
  Result<HistoryPage> FindEnded(const JobFilter& filter, bool finals_only, const PageToken& page,
                                std::size_t limit) override;
  Result<std::map<std::string, GroupCount>> Counters() override;

  Result<std::int64_t> Retain(std::uint32_t partition, std::uint64_t epoch,
                              const RetentionPolicy& policy) override;

 private:
  // One partition. `mutex` is held through a write, so that state and counters change with the
  // rows.
  struct Partition {
    std::mutex mutex;
    PartitionState state;
    bool unsettled = false;  // the last commit failed with an unknown outcome
    Scratch scratch;
    ReadyFloors floors;       // with a lock of its own, for reads beside a commit
    std::mutex retain_mutex;  // taken before `mutex`: one Retain at a time
  };

  RocksdbJobStore(std::unique_ptr<Engine> engine, const Clock& clock, DurationMs lease_ms);
  Status CheckIdentity(const StoreIdentity& wanted);
  Status LoadPartitions();

  Status Known(std::uint32_t partition) const {
    return CheckPartition(partition, identity_.partitions);
  }
  std::int64_t LeaseEnd() const { return clock_.MonotonicUs() + lease_ms_ * 1000; }
  static std::string EncodePartition(const PartitionState& state);
  Status WriteState(std::uint32_t partition, const PartitionState& next);

  // Counters: `PutCounts` adds the values after `changes` to a batch, `PublishCounts` makes them
  // visible once it is written. Both under the partition's mutex.
  void PutCounts(std::uint32_t part, const CountChanges& changes, rocksdb::WriteBatch* batch);
  void PublishCounts(std::uint32_t part, const CountChanges& changes);

  // Rows by their places, in the given order; one that is missing is kDataLoss.
  Result<std::vector<JobRow>> ReadRows(const View& view, std::uint32_t part,
                                       const std::vector<PlacedKey>& keys) const;
  Result<std::vector<JobRow>> ReadReady(const View& view, const std::string& prefix,
                                        const std::string& from, TimeMs due_before,
                                        std::size_t limit, std::string* first) const;
  // The row that the entry `named` of an attempt (its group and end) leads to.
  Result<HistoryRow> ReadAttempt(const View& view, std::uint32_t part, const model::JobKey& key,
                                 std::int32_t attempt, rocksdb::Slice named,
                                 Scratch* scratch) const;
  Result<std::optional<Place>> FindPlace(const View& view, std::uint32_t part,
                                         const model::JobKey& key) const;
  Result<Place> PlaceIn(rocksdb::Slice value, bool aside) const;
  // Adds the rows of a job, all cycles, until `out` holds `limit`. `it`: over the family of rows.
  Status FindPlaces(const View& view, rocksdb::Iterator& it, std::uint32_t part,
                    const model::JobId& id, std::size_t limit, std::vector<PlacedKey>* out) const;
  // The groups that have keys of `kind` (E, F, T) in a partition: one seek each.
  Result<std::vector<GroupId>> GroupsWith(const View& view, rocksdb::ColumnFamilyHandle* family,
                                          char kind, std::uint32_t part) const;
  // Their names, sorted.
  Result<std::vector<std::string>> NamesWith(char kind, std::uint32_t partition) const;

  Result<std::int64_t> RetainHistory(std::uint32_t part, std::uint64_t epoch,
                                     const RetentionPolicy& policy);
  std::int64_t EndedOf(std::uint32_t part, GroupId gid);
  Result<std::int64_t> RetainLogs(TimeMs before_ms, std::int64_t rows_max);

  const std::unique_ptr<Engine> engine_;
  const Clock& clock_;
  const DurationMs lease_ms_;
  StoreIdentity identity_;
  Groups groups_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  mutable std::mutex counts_mutex_;
  std::map<std::pair<std::uint32_t, GroupId>, Counts> counts_;
  std::mutex logs_mutex_;  // held through an append: a repeat beside its first must see it
};

}  // namespace lts::store::rocks

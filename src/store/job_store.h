// JobStore: the only door to durable state. RocksDB, MySQL and memory engines pass one contract
// suite.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lts/status.h"
#include "model/partition.h"
#include "store/rows.h"

namespace lts::store {

// What a store was created with; start is refused when the configuration differs.
struct StoreIdentity {
  std::string cluster_id;  // random UUID, made when the store is created
  std::string cluster_name;
  std::uint32_t partitions = 4;
  std::string hash_name{model::kPartitionHashName};
  std::int32_t schema_version = 1;
  bool operator==(const StoreIdentity&) const = default;
};

struct PartitionLease {
  std::uint64_t epoch = 0;      // grows with each Acquire
  std::uint64_t commit_no = 0;  // number of the last commit; the next is commit_no + 1
  std::uint64_t next_seq = 1;
  bool clean = false;  // the owner before released it with everything flushed
};

struct RenewReply {
  std::vector<bool> held;  // same order as asked; false: fenced, somebody newer owns it
};

struct PartitionRow {
  std::uint32_t partition = 0;
  std::string owner;  // "": released
  std::string owner_address;
  std::uint64_t epoch = 0;
  std::uint64_t commit_no = 0;
  // Who asked for it since it was acquired, "" nobody, and by which version of the assignment.
  std::string asker;
  std::uint64_t asker_assignment = 0;
};

struct TaskKey {
  std::string group;
  std::string task_id;
  auto operator<=>(const TaskKey&) const = default;
};

struct LookupReply {
  std::vector<JobRow> jobs;  // rows of the asked ids (all cycles) and of the asked tasks, once each
  std::vector<model::JobId> ended;  // asked ids that have at least one history row
};

// Position in the ready order (priority, due, seq); rows strictly after it are returned.
struct ReadyPosition {
  std::int32_t priority = 0;
  TimeMs due_ms = 0;
  std::uint64_t seq = 0;
  auto operator<=>(const ReadyPosition&) const = default;
};

struct TaskPosition {
  std::string task_id;
  model::JobKey key;
  auto operator<=>(const TaskPosition&) const = default;
};

struct GroupCount {
  std::int64_t jobs = 0;  // rows of lts_job (waiting or executing)
  std::int64_t schedules = 0;
  std::map<model::JobState, std::int64_t> ended;  // final history rows by state
};

struct JobFilter {
  std::string group;  // required when task_id is set
  std::string task_id;
  std::optional<model::JobState> state;
  TimeMs since_ms = 0;  // ended or accepted at or after
};

// What a page of a listing starts after; opaque to callers, "" = from the newest.
using PageToken = std::string;

// A page ends early, with a token to go on, before its rows (payload, parameters and message) take
// more than this; a single row may.
inline constexpr std::size_t kPageBytesMax = std::size_t{4} << 20;

struct JobPage {
  std::vector<JobRow> rows;
  PageToken next;
};
struct SchedulePage {
  std::vector<ScheduleRow> rows;
  PageToken next;
};
struct HistoryPage {
  std::vector<HistoryRow> rows;
  PageToken next;
};

struct RetentionPolicy {
  TimeMs history_before_ms = 0;  // rows that ended before are deleted
  TimeMs logs_before_ms = 0;
  std::int32_t rows_max = 5'000;  // at most so many per call
  // Of each group at most so many ended jobs are kept, those that ended last; 0: all. None that
  // ended at or after the time goes for that.
  std::int64_t ended_per_group = 0;
  TimeMs ended_before_ms = 0;
};

// Thread-safe; every call may block on I/O, so none is made on a strand that must stay responsive.
// Errors: kFenced (an older epoch than the store's), kUnknownOutcome (a Commit may have happened:
// repeat it with the same number), kUnavailable (nothing happened; try again), kInvalidArgument (a
// row the engine rejects; the message names it), kResourceExhausted (disk full; nothing happened),
// kDataLoss.
class JobStore {
 public:
  virtual ~JobStore() = default;

  virtual StoreIdentity Identity() const = 0;
  // The store's clock: what leases and core time follow. Embedded engines: the host's.
  virtual Result<TimeMs> Now() = 0;

  // ---- ownership
  // Succeeds when the partition was released, its lease has ended, or `owner` held it before;
  // otherwise leaves the asker's name and returns kUnavailable. The epoch grows by at least one.
  virtual Result<PartitionLease> Acquire(std::uint32_t partition, const std::string& owner,
                                         const std::string& address, std::uint64_t assignment) = 0;
  virtual Result<RenewReply> Renew(
      const std::vector<std::pair<std::uint32_t, std::uint64_t>>& partition_epochs,
      const std::string& owner) = 0;
  // clean: everything in memory was flushed, so the next owner need not wait for workers.
  virtual Status Release(std::uint32_t partition, std::uint64_t epoch, bool clean) = 0;
  virtual Result<std::vector<PartitionRow>> Partitions() = 0;

  // ---- the write path
  // All or nothing, durable on return. `commit_no` must be the recorded number + 1; a repeat of the
  // recorded number under the same epoch is Ok and changes nothing.
  virtual Status Commit(std::uint32_t partition, std::uint64_t epoch, std::uint64_t commit_no,
                        const MutationBatch& batch) = 0;

  // ---- reads of the owner
  virtual Result<LookupReply> Lookup(std::uint32_t partition, const std::vector<model::JobId>& ids,
                                     const std::vector<TaskKey>& tasks) = 0;
  // Ascending id, ids > after.
  virtual Result<std::vector<ScheduleRow>> LoadSchedules(std::uint32_t partition,
                                                         const model::JobId& after,
                                                         std::size_t limit) = 0;
  virtual Result<std::vector<WorkerRow>> LoadWorkers(std::uint32_t partition) = 0;
  // Rows that are marked kRunning, and rows that are resident; ascending key, keys > after.
  virtual Result<std::vector<JobRow>> LoadRunning(std::uint32_t partition,
                                                  const model::JobKey& after,
                                                  std::size_t limit) = 0;
  // Groups that have job rows.
  virtual Result<std::vector<std::string>> LoadGroups(std::uint32_t partition) = 0;
  // Rows in state kWaiting, not resident, with due <= due_before, in the order (priority, due,
  // seq), after `after` when given. One seek per priority, never a scan over rows that are not due.
  virtual Result<std::vector<JobRow>> LoadWaiting(std::uint32_t partition, const std::string& group,
                                                  const std::optional<ReadyPosition>& after,
                                                  TimeMs due_before, std::size_t limit) = 0;
  // Rows in state kWaiting, not resident, with due > due_after, in the order (due, seq).
  virtual Result<std::vector<JobRow>> LoadDated(std::uint32_t partition, const std::string& group,
                                                TimeMs due_after, std::size_t limit) = 0;
  // The tasks of all job rows of a group, one for each row, in an order of the engine's own; after
  // the last of an earlier answer when given.
  virtual Result<std::vector<TaskPosition>> LoadTasks(std::uint32_t partition,
                                                      const std::string& group,
                                                      const std::optional<TaskPosition>& after,
                                                      std::size_t limit) = 0;
  // Ascending seq, seq > after.
  virtual Result<std::vector<FeedbackRow>> LoadFeedback(std::uint32_t partition,
                                                        const std::string& submit_group,
                                                        std::uint64_t after_seq,
                                                        std::size_t limit) = 0;
  // Groups that have feedback rows.
  virtual Result<std::vector<std::string>> LoadFeedbackGroups(std::uint32_t partition) = 0;

  // ---- logs: on their own way, never in front of jobs; a repeat of (attempt, line) changes
  // nothing
  virtual Status AppendLogs(const std::vector<LogRow>& rows) = 0;
  virtual Result<std::vector<LogRow>> FindLogs(const model::JobKey& key, std::int32_t attempt,
                                               std::uint64_t after_line, std::size_t limit) = 0;

  // ---- reads of console and CLI: across partitions, indexed, bounded (limit <= 1000; pages also
  // by kPageBytesMax)
  virtual Result<std::vector<JobRow>> FindJobRows(
      const model::JobId& id) = 0;  // all cycles, <= 1000
  virtual Result<std::optional<ScheduleRow>> FindSchedule(const model::JobId& id) = 0;
  virtual Result<std::vector<HistoryRow>> FindHistory(const model::JobId& id,
                                                      std::size_t limit) = 0;  // newest first
  // One row of a history. The end of a schedule is attempt 0 of cycle 0: the last of all in the
  // order of keys, behind more rows than FindHistory gives.
  virtual Result<std::optional<HistoryRow>> FindAttempt(const model::JobKey& key,
                                                        std::int32_t attempt) = 0;
  virtual Result<JobPage> FindJobs(const JobFilter& filter, const PageToken& page,
                                   std::size_t limit) = 0;
  virtual Result<SchedulePage> FindSchedules(const JobFilter& filter, const PageToken& page,
                                             std::size_t limit) = 0;
  // Newest end first; `finals_only` leaves out attempts that were followed by another.
  virtual Result<HistoryPage> FindEnded(const JobFilter& filter, bool finals_only,
                                        const PageToken& page, std::size_t limit) = 0;
  // Kept as rows change, never counted by scanning.
  virtual Result<std::map<std::string, GroupCount>> Counters() = 0;

  // Deletes what the policy no longer keeps; returns how many rows went.
  virtual Result<std::int64_t> Retain(std::uint32_t partition, std::uint64_t epoch,
                                      const RetentionPolicy& policy) = 0;
};

}  // namespace lts::store

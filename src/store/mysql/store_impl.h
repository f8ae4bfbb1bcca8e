// MysqlJobStore, spread over a source file per theme: store_impl.cc (opening, how reads and
// transactions are run), ownership.cc (leases), commit.cc (the write path), load.cc (reads of the
// owner), find.cc (console and CLI), logs.cc, retain.cc. conf/mysql/ says what stands in which
// column.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "store/job_store.h"
#include "store/mysql/pool.h"
#include "store/partition_state.h"
#include "store/records/codec.h"

namespace lts::store::mysql {

// How a step of a transaction ended: done, a statement failed, or the step refuses to go on.
struct Step {
  Failure failure;
  Status refused;

  Step() = default;
  // Steps are made of the one or the other on the way out of a function.
  Step(Failure f) : failure(std::move(f)) {}           // NOLINT(google-explicit-constructor)
  Step(Status status) : refused(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return !failure.failed() && refused.ok(); }
};

// Rows of a statement go up to this together, whichever comes first.
inline constexpr std::size_t kRowsPerStatement = 500;
inline constexpr std::size_t kBytesPerStatement = std::size_t{1} << 20;

// lts_counter.what
inline constexpr std::uint8_t kCountJobs = 0;
inline constexpr std::uint8_t kCountSchedules = 1;
inline constexpr std::uint8_t kCountEnded = 16;  // + state

// lts_job.pool
inline constexpr std::uint8_t kPoolWaiting = 0;
inline constexpr std::uint8_t kPoolRunning = 1;
inline constexpr std::uint8_t kPoolResident = 64;
inline std::uint8_t PoolOf(const JobRow& row) {
  return static_cast<std::uint8_t>(static_cast<std::uint8_t>(row.state) |
                                   (row.resident ? kPoolResident : 0));
}

std::string NameOf(const model::JobKey& key);  // for messages

using CounterChanges = std::map<std::pair<std::string, std::uint8_t>, std::int64_t>;

class MysqlJobStore final : public JobStore {
 public:
  static Result<std::unique_ptr<JobStore>> Open(const StoreIdentity& wanted,
                                                const MysqlStoreOptions& options);

  StoreIdentity Identity() const override { return identity_; }
  Result<TimeMs> Now() override;

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
  MysqlJobStore(Target target, StoreIdentity identity);

  Status Known(std::uint32_t partition) const {
    return CheckPartition(partition, identity_.partitions);
  }

  // Runs `body` over a connection whose statements are each their own; again, from its start, over
  // a new connection when an idle one turned out to be dead, and after a deadlock.
  Status Read(const std::function<Step(Connection&)>& body);
  // The same, all queries of `body` seeing one state.
  Status ReadSnapshot(const std::function<Step(Connection&)>& body);
  // Runs `body` as a transaction, again after a deadlock or lock time-out. kUnknownOutcome when
  // COMMIT was sent and not answered with success; after any other error nothing happened.
  Status Write(const std::function<Step(Connection&)>& body);
  // Waits a little, longer with each try, differently for each caller.
  void WaitBefore(int attempt);

  SqlText NowSql() const;
  SqlText LeaseEndSql() const;
  // The partition's row, and the time as lease times count it.
  Step ReadState(Connection& connection, std::uint32_t partition, bool for_update,
                 PartitionState* state, TimeMs* now_ms) const;

  // The rows of `sql`, which selects kJobColumns.
  Step TakeJobs(Connection& connection, const SqlText& sql, std::vector<JobRow>* rows) const;
  Step TakeSchedules(Connection& connection, const SqlText& sql,
                     std::vector<ScheduleRow>* rows) const;
  Step TakeHistory(Connection& connection, const SqlText& sql, std::vector<HistoryRow>* rows) const;
  // Deletes the oldest rows of the history that `which` ("FORCE INDEX (…) WHERE …") names.
  Step RetainStep(Connection& connection, std::uint32_t partition, std::uint64_t epoch,
                  const SqlText& which, std::int64_t rows_max, std::int64_t* gone) const;
  // The groups with more ended jobs than are kept, and by how many.
  Step GroupsOver(Connection& connection, std::uint32_t partition, std::int64_t ended_max,
                  std::vector<std::pair<std::string, std::int64_t>>* groups) const;
  Status Damaged(const Status& status) const;

  Pool pool_;
  const StoreIdentity identity_;

  // Commits whose outcome nobody knows yet, by partition.
  struct Unsettled {
    std::uint64_t epoch = 0;
    std::uint64_t commit_no = 0;
  };
  std::mutex unsettled_mutex_;
  std::map<std::uint32_t, Unsettled> unsettled_;

  std::mutex random_mutex_;
  std::mt19937_64 random_;
};

// What a job row is made of, in the order that TakeJobs reads.
#define LTS_JOB_COLUMNS "job_id, cycle, priority, due_ms, seq, record"
#define LTS_SCHEDULE_COLUMNS "job_id, record"
#define LTS_ATTEMPT_COLUMNS "job_id, cycle, attempt, grp, ended_ms, record"

// The columns after the first one of a row.
class Shifted final : public Row {
 public:
  explicit Shifted(const Row& row) : row_(row) {}
  std::string Bytes(std::size_t column) const override { return row_.Bytes(column + 1); }

 private:
  const Row& row_;
};

// "(job_id, cycle) IN (…)" for keys that end with `)`; `keys` is not empty.
SqlText KeyList(const std::vector<model::JobKey>& keys);

}  // namespace lts::store::mysql

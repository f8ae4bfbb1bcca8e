// Watches a simulated cluster from outside and says when an invariant of DESIGN section 3 is
// broken.
//
// It keeps its own picture of what is durable, from the batches that the store applied, and of what
// ran where, from the TaskTrackers. It never asks the core what it thinks happened.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "jobtracker/core/events.h"
#include "model/schedule.h"
#include "store/rows.h"

namespace lts::sim {

class World;
class SimTaskTracker;

class Checker {
 public:
  explicit Checker(World& world) : world_(world) {}

  // ---- what is durable
  void OnApplied(std::uint32_t partition, const store::MutationBatch& batch);
  // ---- what the JobTracker says
  void OnSubmitReply(const core::SubmitReply& reply);
  void OnOperateReply(const core::OperateReply& reply, const core::OperateEvent& event);
  void OnAssign(std::uint32_t partition, const core::Assignment& assignment);
  // The stream is gone: the attempt waits for the next hello, or the end of the lease.
  void OnAssignedNowhere(const core::Assignment& assignment);
  void OnAcquired(std::uint32_t partition);
  void OnTrackerLoaded(std::uint32_t partition);
  // From now on decisions of this partition may be older than usual: order is not judged for a
  // while.
  void OnTrouble(std::uint32_t partition);
  void OnTroubleEverywhere();
  void OnWallStep(DurationMs by_ms);
  // ---- what runs
  std::size_t OnStart(SimTaskTracker& worker, std::uint32_t partition,
                      const core::Assignment& assignment);
  void OnFinish(std::size_t execution, model::Outcome outcome, DurationMs later_ms);
  void OnVanish(std::size_t execution);
  // ---- what clients do
  void OnOperationAsked(const core::OperateEvent& event);
  void OnFeedbackDelivered(const store::FeedbackRow& row);
  void OnFeedbackAcked(const model::JobKey& key, std::int32_t attempt);

  // Schedules whose due fires nobody has looked at for `late_ms`; "" when there is none.
  std::string LateSchedule(DurationMs late_ms) const;
  // "" when everything that was accepted has ended and was told.
  std::string Unfinished() const;
  void AtEnd();

  // When the partition was last acquired.
  std::int64_t acquired_us(std::uint32_t partition) const {
    const auto found = acquired_us_.find(partition);
    return found == acquired_us_.end() ? 0 : found->second;
  }
  bool WasInserted(const model::JobId& id) const { return inserted_.contains(id); }
  std::vector<model::JobId> ActiveSchedules() const;
  // With group and task.
  std::vector<std::pair<model::JobId, std::pair<std::string, std::string>>> SuspendedJobs() const;
  std::size_t rows() const { return jobs_.size(); }
  std::size_t resident_rows() const;

 private:
  struct Row {
    store::JobRow row;
    std::uint32_t partition = 0;
    std::int64_t inserted_us = 0;
    std::int64_t since_us = 0;  // of its insertion or last change of place
    bool assigned = false;      // its present attempt was handed out, perhaps by an earlier owner
    bool ever_assigned = false;
  };
  struct Schedule {
    store::ScheduleRow row;
    std::uint32_t partition = 0;
    std::shared_ptr<const model::FireTimes> fires;
    TimeMs accounted_ms = 0;
    std::set<TimeMs> generated;                      // cycles
    std::vector<std::pair<TimeMs, TimeMs>> skipped;  // cycles
    bool ended = false;
  };
  struct KeyHistory {
    std::set<std::int32_t> attempts;
    bool final = false;
    model::JobState state = model::JobState::kWaiting;
    model::Outcome last = model::Outcome::kNone;
    bool snoozed = false;  // the last one asked for a later time
  };
  struct Execution {
    core::AttemptRef ref;
    std::uint32_t partition = 0;
    std::string run_key;
    SimTaskTracker* worker = nullptr;
    std::int64_t start_us = 0;
    bool running = true;
    bool vanished = false;
    model::Outcome outcome = model::Outcome::kNone;
    DurationMs later_ms = 0;
  };
  struct Feedback {
    store::FeedbackRow row;
    bool deleted = false;
    bool delivered = false;
    bool acked = false;
  };
  using Position = std::tuple<std::int32_t, TimeMs, std::uint64_t, model::JobKey>;
  using TaskName = std::pair<std::string, std::string>;

  void Apply(std::uint32_t partition, const store::Mutation& mutation);
  void InsertJob(std::uint32_t partition, const store::JobRow& row);
  void UpdateJob(const store::UpdateJob& update);
  void InsertHistory(std::uint32_t partition, const store::HistoryRow& row);
  void CheckResult(std::uint32_t partition, const store::HistoryRow& row);
  void PutSchedule(std::uint32_t partition, const store::ScheduleRow& row);
  void CheckCounts(const store::JobRow& before, const store::JobRow& after);
  void CheckSuspension(const store::JobRow& before, const store::JobRow& after);
  static TimeMs CycleOf(const store::ScheduleRow& row, TimeMs fire_ms);
  static TimeMs FireOf(const store::ScheduleRow& row, TimeMs cycle);
  void CheckOrder(std::uint32_t partition, const std::string& group);
  void Fail(const std::string& invariant, const model::JobId& job, const std::string& what);
  static std::string RunKeyOf(const store::JobRow& row);
  static Position PositionOf(const store::JobRow& row);
  TimeMs WallMax() const;

  World& world_;
  std::map<model::JobKey, Row> jobs_;
  std::map<std::string, std::set<Position>> waiting_;  // by group, in the order I10
  std::map<TaskName, std::set<model::JobKey>> tasks_;
  std::map<model::JobId, Schedule> schedules_;
  std::set<model::JobId> inserted_;
  std::map<model::JobKey, KeyHistory> history_;
  std::map<std::pair<std::uint32_t, model::Token>, std::pair<model::JobKey, std::int32_t>> tokens_;
  std::map<std::uint32_t, std::uint64_t> last_epoch_;
  std::vector<Execution> executions_;
  std::map<std::pair<std::uint32_t, model::Token>, std::size_t> execution_of_;
  std::map<std::string, std::set<std::size_t>> running_;  // by run key
  std::map<model::JobKey, std::vector<std::size_t>> executions_of_key_;
  std::map<model::JobKey, Feedback> feedback_;
  std::set<model::JobId> cancel_ids_;
  std::set<TaskName> cancel_tasks_;
  std::set<model::JobId> terminate_ids_, resume_ids_;
  std::set<TaskName> terminate_tasks_, resume_tasks_;
  std::map<std::uint32_t, std::int64_t> acquired_us_;
  std::map<std::uint32_t, std::int64_t> loaded_us_;
  std::map<std::uint32_t, std::int64_t> trouble_until_us_;
  std::map<std::string, std::optional<Position>>
      order_wanted_;  // by group: the least urgent that was handed out
  std::int64_t trouble_everywhere_until_us_ = 0;
  TimeMs wall_high_ms_ = 0;  // that the clock showed before it stepped back
  DurationMs stepped_back_ms_ = 0;
  std::int64_t stepped_back_until_us_ = 0;
  std::int64_t last_step_back_us_ = -1;

  // Of the batch that is being applied.
  std::set<model::JobKey> batch_deleted_;
  std::set<model::JobKey> batch_final_;
  std::set<model::JobKey> batch_feedback_;
};

}  // namespace lts::sim

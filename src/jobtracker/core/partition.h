// The scheduling core of one partition: a pure state machine. Events in, effects out (DESIGN 2.1).
//
// It starts no thread, reads no clock, does no I/O and draws no randomness but from the seed it was
// given, so that a whole cluster runs in one thread under simulation. It may run ahead of the
// store: an event's mutations change its memory at once, while the shell holds back every other
// effect until they are durable. When a commit fails for good the shell drops the object and loads
// a new one under a new epoch.
//
// The files follow the life of a job:
//   partition.cc  the event switch, timers      submit.cc    acceptance, duplicates, replace
//   dispatch.cc   ready -> TaskTracker          finish.cc    results, retries, ends
//   plan.cc       fires of schedules            operations.cc suspend, resume, update, trigger,
//                                               terminate, cancel
//   worker.cc     hello, leases, losses         feedback.cc  telling the submitting group
//   window.cc     what of the backlog is held in memory, look-ups and refills
//   explain.cc    why a job does or does not run
//
// Not thread-safe: one strand owns it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "jobtracker/core/events.h"
#include "jobtracker/core/hash_bag.h"
#include "model/schedule.h"
#include "model/state.h"
#include "model/validate.h"
#include "store/job_store.h"
#include "store/rows.h"

namespace lts::core {

// Faults that tests switch on to see that the checkers find them (never in production).
struct PlantedFaults {
  bool result_without_token_check = false;
  bool occurrence_without_fire_time = false;
  bool forget_running_at_restart = false;
  bool dispatch_before_hello = false;
  bool retry_survives_cancel = false;
  bool fire_while_suspended = false;
  bool snooze_counts_as_retry = false;
  bool result_ends_other_cycle = false;
  bool fire_lost_when_clock_steps_back = false;
  bool at_most_once_again = false;
  bool forget_task_outside = false;
};

struct PartitionOptions {
  std::uint32_t partition = 0;
  std::uint64_t seed = 1;  // jitter of retries
  std::string default_time_zone = "UTC";
  model::RetryPolicy default_retry;  // job.retry.default
  DurationMs tasktracker_lease_ms = 20'000;
  DurationMs kill_grace_ms = 5'000;
  DurationMs mark_delay_ms = 100;  // how long a running job may stay unmarked
  DurationMs misfire_grace_ms = 60'000;
  std::int32_t catch_up_max = 10;
  std::int32_t lost_times_max = 5;     // job.max.lost.times
  std::int32_t later_times_max = 100;  // job.later.times.max
  DurationMs dedup_horizon_ms = 7LL * 24 * 3'600'000;
  DurationMs future_id_max_ms = 3'600'000;
  DurationMs fresh_id_ms = 5'000;    // older ids of submits are looked up in the history
  DurationMs late_copy_ms = 60'000;  // how long a copy of a submit may be under way in the network
  std::size_t window_max = 10'000;   // waiting jobs held per group, ready and dated each
  std::size_t memory_bytes_max = 128 << 20;  // of jobs in memory; above it windows are smaller
  std::size_t outside_bytes_max = 64 << 20;  // to remember the tasks of rows that are not in memory
  std::size_t lookups_max = 100'000;     // operations that wait for a look-up or a group's opening
  std::size_t resident_max = 1'000'000;  // rows that share a run key, always in memory
  std::size_t triggers_waiting = 10;     // of one task at most
  model::JobLimits limits;               // of updated and triggered jobs
  std::size_t schedules_max = 1'000'000;
  std::size_t groups_max = 10'000;          // groups with jobs, schedules or TaskTrackers
  std::size_t workers_max = 10'000;         // TaskTrackers
  std::size_t feedback_window_max = 1'000;  // rows held per submitting group
  DurationMs feedback_retry_ms = 1'000;     // after "again", doubled up to a minute
  DurationMs feedback_retention_ms = 30LL * 24 * 3'600'000;  // of what no client takes
  DurationMs read_retry_ms = 200;                            // after a failed read
  DurationMs damaged_retry_ms = 10'000;                      // after one that met damaged data
  PlantedFaults faults;
};

// What the shell loads before the first event (DESIGN section 4, Takeover).
struct LoadedState {
  std::uint64_t epoch = 0;
  std::uint64_t next_seq = 1;
  bool clean = false;  // the owner before released it with all marks flushed
  std::vector<store::ScheduleRow> schedules;
  std::vector<store::WorkerRow> workers;
  std::vector<store::JobRow> resident;  // LoadRunning: marked and resident rows
  std::vector<std::string> groups;      // groups that have job rows
  std::vector<std::string> feedback_groups;
  // Rows (schedules: cycle 0) of which the store has refused a change for good, in this process:
  // they are left alone.
  std::unordered_set<model::JobKey> refused;
};

// Counts since construction, and present sizes, for metrics and simulator coverage.
struct PartitionStats {
  std::uint64_t accepted = 0, duplicates = 0, replaced = 0, refused = 0;
  std::uint64_t dispatched = 0, succeeded = 0, failed = 0, retried = 0, snoozed = 0, dead = 0,
                cancelled = 0;
  std::uint64_t suspended = 0, resumed = 0, updated = 0, triggered = 0, terminated = 0, resets = 0;
  std::uint64_t lost = 0, undelivered = 0, stale_results = 0, adopted = 0, early_results = 0;
  std::uint64_t fires = 0, skipped_fires = 0, yielded = 0, expired = 0;
  std::uint64_t out_of_time = 0, feedback_dropped = 0;
  std::uint64_t marks = 0, lookups = 0, refills = 0, deferred = 0;
  // Refused over a limit, by the option that sets it.
  std::uint64_t over_lookups = 0, over_groups = 0, over_resident = 0, over_schedules = 0,
                over_workers = 0, over_memory = 0;
  std::uint64_t over_outside = 0;  // how often what is not in memory was too much to remember
  std::size_t jobs_in_memory = 0, executing = 0, ready = 0, dated = 0, held = 0, workers = 0,
              schedules = 0;
  std::size_t schedules_without_fires = 0;  // their time zone is not known here
  std::size_t schedules_ahead = 0;          // silent: the clock went back behind their last fire
  std::size_t waiting_operations = 0, resident = 0, memory_bytes = 0, outside_bytes = 0;
  std::size_t groups = 0, registered_workers = 0;
  std::size_t window = 0, feedback = 0;  // of the group, and the submitting group, that holds most
};

// Why a job is where it is, from the same predicates that the dispatcher uses.
struct Explanation {
  std::string code;
  std::string text;
};

// What the core knows of a job beyond its row.
struct LiveJob {
  store::JobRow row;
  bool executing = false;
  std::string worker;
  model::Token token;
  TimeMs started_ms = 0;
  bool stuck = false;  // its time-out and the grace after it have passed
  std::int32_t progress_percent = -1;
  std::string progress_text;
};

struct GroupView {
  std::string group;
  std::int32_t workers = 0;
  std::int64_t slots = 0;
  std::int64_t running = 0;
};

struct WorkerView {
  std::string group;
  std::string identity;
  std::int32_t slots = 0;
  std::int32_t running = 0;
  bool connected = false;
};

class Partition {
 public:
  // Effects of loading (refills, worker leases) come with the first Handle().
  Partition(PartitionOptions options, LoadedState loaded, Now now);
  ~Partition();
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  // Appends the effects of one event to `effects`.
  void Handle(Event event, Now now, Effects* effects);

  // When a TickEvent is wanted next, on each clock; kNever when it is not.
  static constexpr std::int64_t kNever = INT64_MAX;
  struct Timers {
    TimeMs wall_ms = kNever;
    std::int64_t mono_ms = kNever;
  };
  Timers NextTimer() const;

  // While the store takes nothing: no fire, no dispatch, no expiry, no loss. What would have been
  // due comes with the first event afterwards.
  void SetFrozen(bool frozen) { frozen_ = frozen; }

  // Each submit and cancel looks its task up by itself, so that no two are decided in one event:
  // while the shell looks for one that the store refuses.
  void SetOneByOne(bool one_by_one) { one_by_one_ = one_by_one; }

  // Marks every unmarked running job, so that the partition can be released clean. False while a
  // TaskTracker of an earlier owner has not said what it runs: then more may run than is marked.
  bool FlushMarks(Effects* effects);

  std::uint64_t epoch() const { return epoch_; }
  PartitionStats Stats() const;
  std::optional<LiveJob> Find(const model::JobKey& key) const;
  // The next fire of an active schedule, as the core will fire it.
  std::optional<TimeMs> NextFire(const model::JobId& schedule) const;
  // How far the clock is behind its last fire: it is silent for so long; 0: it is not.
  DurationMs AheadOfClock(const model::JobId& schedule, Now now) const;
  // It has no fires: its time zone is not known on this host.
  bool ZoneUnknown(const model::JobId& schedule) const;
  std::vector<Explanation> Explain(const store::JobRow& row, Now now) const;
  std::vector<GroupView> Groups() const;
  std::vector<WorkerView> Workers() const;

 private:
  static constexpr int kSessionBits = 32;

  struct Job;
  struct Task;
  struct Group;
  struct Worker;
  struct Schedule;
  struct FeedbackGroup;
  struct FeedbackStream;
  struct Operation;  // a submit or cancel that may have to wait
  struct PendingRead;
  struct ReadyLess {
    bool operator()(const Job* a, const Job* b) const;
  };
  struct DatedLess {
    bool operator()(const Job* a, const Job* b) const;
  };

  // partition.cc
  void OnTick();
  void Finish(Effects* effects);  // the end of Handle: batched look-ups, dispatch of touched groups
  void Recheck();
  void SweepGroups();  // forgets groups in which nothing stands any more
  WorkerSend& SendTo(StreamId stream);
  std::uint64_t ReadIdNext() { return ++last_read_; }

  // submit.cc
  void OnSubmit(SubmitEvent event);
  void OnOperate(OperateEvent event);
  void Begin(Operation operation);
  void Run(Operation& operation);
  void RunSubmit(Operation& operation);
  void SubmitOneShot(Operation& operation, Group& group, Task* task);
  void SubmitSchedule(Operation& operation, Group& group, Task* task);
  void Reply(const Operation& operation, StatusCode code, SubmitOutcome outcome, model::JobId id,
             std::string message);
  // What must be known to decide it may be in the store only.
  bool NeedsLookup(const Operation& operation) const;
  // Whether a copy of what makes this job may have been accepted, and the job have ended, before
  // this one arrived.
  bool MayBeLate(const model::JobId& id) const;
  bool IsAhead(const model::JobId& id) const;
  void RememberResent(const model::JobId& id);
  // The row of this job is no longer in memory: it has ended, or waits in the store only.
  void RememberGone(const model::JobId& id);
  // kResourceExhausted when no further row can be resident.
  Status RoomForResident();
  // kResourceExhausted when too many groups wait for feedback for one more.
  Status RoomForFeedback(const model::JobSpec& spec);
  bool IsTooOld(const model::JobId& id) const;
  std::string TooOldText(const model::JobId& id) const;
  void RefuseOperation(const Operation& operation, StatusCode code, std::string message);
  static PendingRead LookupFor(const Operation& operation);
  bool MustWaitForOpening(const Operation& operation);
  void ReleaseKey(const std::string& key);
  static std::string KeyOf(const std::string& group, const std::string& task);

  // operations.cc
  struct Targets;
  void RunOperate(Operation& operation);
  // A later operation of the same client on the same task has been carried out: this one is a copy
  // that was long under way.
  bool IsOvertaken(const OperateEvent& event);
  Targets TargetsOf(const OperateEvent& event);
  bool RoomToSuspend(const Targets& targets, OperateReply& reply);
  void Cancel(const Targets& targets, OperateReply& reply);
  void Suspend(const Targets& targets, OperateReply& reply);
  void Resume(const OperateEvent& event, const Targets& targets, OperateReply& reply);
  void Terminate(const Targets& targets, OperateReply& reply);
  void Trigger(const Operation& operation, const Targets& targets, OperateReply& reply);
  void TriggerSchedule(const Operation& operation, Schedule& schedule, OperateReply& reply);
  void UpdateSpec(const OperateEvent& event, const Targets& targets, OperateReply& reply);
  void UpdateOneShot(const model::UpdatedSpec& updated, Job& job, OperateReply& reply);
  void UpdateSchedule(const model::UpdatedSpec& updated, Schedule& schedule, OperateReply& reply);
  // Each gives the state it is in now.
  model::JobState CancelJob(Job& job, const char* what);
  model::JobState SuspendJob(Job& job);
  model::JobState ResumeJob(Job& job);
  void Rebase(Schedule& schedule);
  // Makes what is known of an executing attempt durable with the row.
  void MarkInto(const Job& job, store::JobRow& row) const;
  void CancelSchedule(Schedule& schedule, const std::string& message);
  void Log(const model::JobId& id, const std::string& group, const std::string& task_id,
           const char* type, std::string message);

  // window.cc
  Group& GroupOf(const std::string& name);
  Task& TaskOf(Group& group, const std::string& task_id);
  Job* FindJob(const model::JobKey& key) const;
  Job* AddJob(store::JobRow row);  // to memory only; places it
  void RemoveJob(Job& job);        // from memory only
  void Leave(Job& job);            // the same, of a row that stays in the store
  void Return(store::JobRow row);  // of a row that was in the store only
  void RememberOutside(Group& group, const store::JobRow& row);
  void AddOutside(const Group& group, const std::string& task_id);
  bool AllInMemory(const Group& group) const;  // false when it is not sure
  void ReadTasks(Group& group);                // from the beginning
  void ReadTasksAfter(const Group& group, std::optional<store::TaskPosition> after);
  void OnTasks(TasksAnswer answer);
  void CountResident(const Job& job, int change);
  void Unplace(Job& job);
  void Place(Job& job);  // by its row and the state of its task
  // Given out by an earlier owner, perhaps, to a TaskTracker that has not said hello yet. Not being
  // due is no proof of the contrary: the clock of that owner may have been ahead.
  bool MayRunUnseen(const Job& job) const;
  bool Outside(const Group& group, const store::JobRow& row) const;
  void Insert(store::JobRow row);              // mutation, and memory if it belongs there
  void Update(Job& job, store::JobRow after);  // mutation and memory; re-places
  void Delete(Job& job);                       // mutation and memory
  void MakeResident(Job& job);
  std::size_t WindowMax() const;
  void Shed(Group& group);
  void ShedWindow(Group& group);
  // While rows that were faulted in are being judged, nothing is shed: the judgement of one must
  // not put out another.
  void HoldRows() { ++rows_held_; }
  void ReleaseRows();
  void DropOutside(Group& group);  // what lies beyond the ends of the windows
  void MaybeEvict(const model::JobKey& key);
  void MaybeRefill(Group& group);
  void ArmGroup(Group& group);
  void ForgetTaskIfEmpty(Group& group, const std::string& task_id);
  void Touch(const store::JobRow& row);
  void Touch(std::uint64_t hash);
  bool TouchedSince(std::uint64_t hash, std::uint64_t ordinal) const;
  void WantLookup(PendingRead&& read);
  void EndRead();
  void OnLookup(LookupAnswer answer);
  void OnRefill(RefillAnswer answer);
  void OnReadFailed(ReadFailed failed);
  void Promote(Group& group);  // dated jobs whose time has come
  static bool SharesRunKey(const store::JobRow& row);

  // dispatch.cc
  void Dispatch(Group& group);
  void Start(Job& job, Worker& worker);
  void Mark(Job& job);
  void FlushDueMarks(bool all);
  // Makes it executing at `worker` under `token`, with the run key taken.
  void AttachExecuting(Job& job, Worker& worker, const model::Token& token);
  void WantDispatch(Group& group);
  // Of what the TaskTracker executes: what should have ended long ago is told to stop again.
  void StopOutOfTime(Worker& worker);
  bool OutOfTime(const Job& job, Now now) const;

  // finish.cc
  void ApplyResult(const AttemptResult& told, Worker& worker);
  bool CountsUnasked(const Job& job, const model::Token& token, const Worker& worker) const;
  void Detach(Job& job);  // from its TaskTracker; its slot is free
  void Retry(Job& job, DurationMs delay_ms, bool snooze, const AttemptResult& result,
             const std::string& node);
  // The attempt ended without a result of its own: kLost with its TaskTracker, or kKilled by it.
  void Lose(Job& job, model::Outcome outcome, const std::string& why);
  // Ends the cycle: history, feedback, the row goes.
  void End(Job& job, model::JobEvent event, store::HistoryRow history);
  void EndWithoutAttempt(Job& job, model::JobEvent event, const std::string& message);
  model::JobState StateAfter(const Job& job, model::JobEvent event, model::Outcome outcome);
  void Fault(std::string what);
  store::HistoryRow HistoryOf(const Job& job, model::Outcome outcome,
                              const std::string& message) const;
  void SetTimes(store::HistoryRow& history, const Job& job, const AttemptResult& result) const;
  void SuspendFollowing(store::JobRow& row);
  void Requeue(Job& job);  // the attempt never reached its TaskTracker
  static std::vector<Job*> InOrder(const std::unordered_set<Job*>& jobs);

  // plan.cc
  Schedule* AddSchedule(store::ScheduleRow row);
  void ArmSchedule(Schedule& schedule);
  void FireDue();
  void Fire(Schedule& schedule);
  void Generate(Schedule& schedule, TimeMs fire_ms);
  void Skip(Schedule& schedule, TimeMs fire_ms, const std::string& reason);
  void FlushSkips(Schedule& schedule);
  void OnOccurrenceEnded(const model::JobId& schedule_id);
  void MaybeEndSchedule(Schedule& schedule);
  void DropSchedule(Schedule& schedule, model::ScheduleEvent event, const std::string& message);

  // worker.cc
  void OnHello(HelloEvent event);
  void RunHello(HelloEvent& event, bool looked_up);
  bool Adopt(Worker& worker, const AttemptRef& ref);
  void KeepProgress(AttemptProgress& progress, const Worker& worker);
  void OnWorker(WorkerEvent event);
  void RunResults(StreamId stream, std::vector<AttemptResult>& results, bool looked_up);
  void OnWorkerClosed(StreamId stream);
  void CloseStream(StreamId stream);
  void LoseWorker(Worker& worker, const std::string& why);
  void RemoveWorker(Worker& worker);
  std::uint64_t NextSession() { return (epoch_ << kSessionBits) + ++session_counter_; }
  static std::uint64_t EpochOfSession(std::uint64_t session) { return session >> kSessionBits; }
  void ArmWorker(Worker& worker, std::int64_t from_mono_ms);
  void ExpectedArrived(Group& group, Worker& worker);
  void OpenGroup(Group& group);

  // feedback.cc
  void OnFeedbackHello(FeedbackHelloEvent event);
  void OnFeedbackAck(FeedbackAckEvent event);
  void OnFeedbackClosed(StreamId stream);
  void OnFeedbackRefill(FeedbackRefillAnswer answer);
  void AddFeedback(const Job& job, model::JobState state, const std::string& message,
                   std::int32_t attempt);
  void Offer(FeedbackGroup& group);
  void ReadFeedback(FeedbackGroup& group);
  // Of all groups, now and then: what nobody has taken for too long.
  void CheckFeedback();
  DurationMs FeedbackCheckMs() const;
  void DropOldFeedback(FeedbackGroup& group);
  void ForgetFeedback(FeedbackGroup& group);
  FeedbackGroup& FeedbackGroupOf(const std::string& name);

  const PartitionOptions options_;
  const std::uint64_t epoch_;
  const std::unordered_set<model::JobKey> refused_;
  const std::uint64_t first_seq_;  // rows below it were accepted by an earlier owner
  std::uint64_t next_seq_;
  std::uint64_t token_sequence_ = 0;
  std::uint64_t session_counter_ = 0;
  std::uint64_t last_read_ = 0;
  Now now_;
  TimeMs max_wall_ms_ = INT64_MIN;
  TimeMs max_last_fire_ms_ = INT64_MIN;     // of all schedules, at least
  std::vector<std::string> loaded_groups_;  // with rows of an earlier owner
  std::int64_t recheck_mono_ms_ = kNever;
  DurationMs recheck_every_ms_ = 30'000;
  std::int64_t feedback_check_mono_ms_ = 0;
  Effects* effects_ = nullptr;  // of the Handle() under way
  bool frozen_ = false;
  bool one_by_one_ = false;
  std::mt19937_64 random_;
  PartitionStats stats_;

  std::unordered_map<model::JobKey, std::unique_ptr<Job>> jobs_;
  std::unordered_map<std::string, std::unique_ptr<Group>> groups_;
  std::unordered_map<model::JobId, std::unique_ptr<Schedule>> schedules_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Worker>>
      workers_;  // by group and identity
  std::unordered_map<StreamId, Worker*> streams_;
  std::map<std::string, std::unique_ptr<FeedbackGroup>> feedback_;
  std::unordered_map<StreamId, FeedbackGroup*> feedback_streams_;

  // Timers. Ties are broken by names and ids, never by addresses, so that a run can be repeated.
  std::set<std::pair<TimeMs, std::string>> group_timers_;
  std::set<std::pair<TimeMs, model::JobId>> fire_timers_;
  std::set<std::pair<TimeMs, model::JobKey>> expiry_timers_;
  std::set<std::pair<std::int64_t, std::pair<std::string, std::string>>> worker_timers_;
  std::deque<std::pair<std::int64_t, AttemptRef>> mark_timers_;
  std::set<std::pair<std::int64_t, std::string>> feedback_timers_;
  std::multimap<std::int64_t, PendingRead> read_retries_;

  // Reads under way, and what was changed while they are.
  std::map<ReadId, PendingRead> reads_;
  std::unordered_map<std::uint64_t, std::uint64_t>
      touched_;  // hash of id or task -> ordinal of the last change
  std::deque<std::pair<std::uint64_t, std::uint64_t>> touched_order_;  // ordinal, hash
  std::uint64_t ordinal_ = 0;
  std::unique_ptr<PendingRead> gathering_;  // the look-up that this Handle() will issue
  std::vector<std::unique_ptr<PendingRead>> wanted_reads_;
  // Operations in order of arrival per task while one of them waits for a look-up.
  std::unordered_map<std::string, std::deque<Operation>> waiting_keys_;
  std::size_t waiting_operations_ = 0;
  std::size_t deferred_operations_ = 0;  // until their group opens
  // Ids that were accepted from a submit sent again: the first copy may still arrive. In order of
  // acceptance.
  std::deque<std::pair<std::int64_t, model::JobId>> resent_order_;
  std::unordered_set<model::JobId> resent_;
  std::int64_t lookup_all_until_mono_ms_ = INT64_MIN;
  // Jobs that left memory while their ids were new, in two generations.
  HashBag gone_;
  HashBag gone_before_;
  std::int64_t gone_since_mono_ms_ = INT64_MIN / 2;
  // The tasks of rows that are in the store only, an entry for each row, of groups in which they
  // are known: others need not be looked up.
  HashBag outside_;
  // By task and client: the newest operation that was carried out.
  std::unordered_map<std::string, std::uint64_t> newest_operation_;
  int rows_held_ = 0;
  std::vector<std::string> shed_later_;  // groups
  std::vector<Group*> to_dispatch_;
  std::size_t sweep_at_ = 256;  // number of groups at which the empty ones are forgotten
  std::size_t executing_ = 0;
  std::size_t resident_ = 0;
  std::size_t without_fires_ = 0;
  std::size_t memory_bytes_ = 0;    // of all jobs in memory, about
  std::size_t resident_bytes_ = 0;  // of those that are always there
  int memory_pressure_ = 0;         // windows are this many times halved
};

}  // namespace lts::core

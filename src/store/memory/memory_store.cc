#include "store/memory/memory_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>

#include "store/paging.h"
#include "store/partition_state.h"

namespace lts::store {
namespace {

using model::JobId;
using model::JobKey;
using model::JobState;

// The job key comes last so that rows with an equal position are all kept.
using ReadyKey = std::tuple<std::int32_t, TimeMs, std::uint64_t, JobKey>;
using DatedKey = std::tuple<TimeMs, std::uint64_t, JobKey>;
using AttemptKey = std::pair<JobKey, std::int32_t>;
using EndedKey = std::tuple<TimeMs, JobKey, std::int32_t>;
using FeedbackKey = std::tuple<std::uint64_t, JobKey, std::int32_t>;
using LogKey = std::tuple<JobKey, std::int32_t, std::uint64_t>;

constexpr JobKey kFirstKey{{0, 0}, INT64_MIN};
constexpr JobKey kLastKey{{UINT64_MAX, UINT64_MAX}, INT64_MAX};

bool InOrder(JobState state, bool resident) { return !resident && state != JobState::kSuspended; }
bool IsDated(const JobRow& row) { return row.due_ms > row.accepted_ms; }

std::string Text(const JobKey& key) {
  return fmt::format("job {} cycle {}", key.id.ToString(), key.cycle);
}

bool IsZero(const GroupCount& count) {
  return count.jobs == 0 && count.schedules == 0 &&
         std::all_of(count.ended.begin(), count.ended.end(),
                     [](const auto& state_n) { return state_n.second == 0; });
}

struct GroupIndex {
  std::set<ReadyKey> ready;
  std::set<DatedKey> dated;
};

struct Partition {
  PartitionState state;
  std::map<JobKey, JobRow> jobs;
  std::map<std::string, GroupIndex> groups;
  std::map<TaskKey, std::set<JobKey>> tasks;
  std::set<JobKey> running;  // marked or resident
  std::map<JobId, ScheduleRow> schedules;
  std::map<TaskKey, JobId> schedule_tasks;
  std::map<AttemptKey, HistoryRow> history;
  std::map<std::string, std::set<EndedKey>> ended;  // by group
  std::map<TaskKey, std::set<EndedKey>> ended_tasks;
  std::map<std::string, std::map<FeedbackKey, FeedbackRow>> feedback;  // by submit group
  std::map<std::pair<std::string, std::string>, WorkerRow> workers;
  std::map<std::string, GroupCount> counts;
};

TaskKey TaskOf(const model::JobSpec& spec) { return {spec.group, spec.task_id}; }

template <typename Map, typename Key, typename Element>
void EraseFrom(Map& map, const Key& key, const Element& element) {
  const auto it = map.find(key);
  if (it == map.end()) return;
  it->second.erase(element);
  if (it->second.empty()) map.erase(it);
}

// Looks at a whole batch before any of it is applied, so that applying cannot fail half-way.
class Validator {
 public:
  explicit Validator(const Partition& partition) : partition_(partition) {}

  Status Check(const MutationBatch& batch) {
    for (const Mutation& mutation : batch.mutations) {
      LTS_RETURN_IF_ERROR(std::visit([this](const auto& m) { return Check(m); }, mutation));
    }
    return Status::Ok();
  }

 private:
  const JobRow* Find(const JobKey& key) const {
    if (const auto it = jobs_.find(key); it != jobs_.end()) return it->second;
    const auto it = partition_.jobs.find(key);
    return it == partition_.jobs.end() ? nullptr : &it->second;
  }

  Status Check(const InsertJob& m) {
    if (m.row.spec == nullptr) return Status::InvalidArgument(Text(m.row.key) + " has no spec");
    if (Find(m.row.key) != nullptr) {
      return Status::InvalidArgument(Text(m.row.key) + " is there already");
    }
    jobs_[m.row.key] = &m.row;
    return Status::Ok();
  }

  Status CheckBefore(const JobKey& key, const model::JobSpecPtr& spec, std::int32_t priority,
                     TimeMs due_ms, bool resident, JobState state, std::uint64_t seq,
                     TimeMs accepted_ms) {
    if (spec == nullptr) return Status::InvalidArgument(Text(key) + " has no spec");
    const JobRow* row = Find(key);
    if (row == nullptr) return Status::InvalidArgument(Text(key) + " is not there");
    if (row->priority == priority && row->due_ms == due_ms && row->resident == resident &&
        row->state == state && row->seq == seq && row->accepted_ms == accepted_ms &&
        TaskOf(*row->spec) == TaskOf(*spec)) {
      return Status::Ok();
    }
    return Status::InvalidArgument(fmt::format(
        "{} stands at priority {} due {} seq {} resident {} state {}; the change names {} {} {} {} "
        "{}, or another group, task or time of acceptance",
        Text(key), row->priority, row->due_ms, row->seq, row->resident, Name(row->state), priority,
        due_ms, seq, resident, Name(state)));
  }

  Status Check(const UpdateJob& m) {
    LTS_RETURN_IF_ERROR(CheckBefore(m.row.key, m.row.spec, m.before_priority, m.before_due_ms,
                                    m.before_resident, m.before_state, m.row.seq,
                                    m.row.accepted_ms));
    jobs_[m.row.key] = &m.row;
    return Status::Ok();
  }

  Status Check(const DeleteJob& m) {
    LTS_RETURN_IF_ERROR(CheckBefore(m.row.key, m.row.spec, m.row.priority, m.row.due_ms,
                                    m.row.resident, m.row.state, m.row.seq, m.row.accepted_ms));
    jobs_[m.row.key] = nullptr;
    return Status::Ok();
  }

  Status Check(const InsertHistory& m) {
    const AttemptKey key(m.row.key, m.row.attempt);
    if (partition_.history.count(key) != 0 || !history_.insert(key).second) {
      return Status::InvalidArgument(
          fmt::format("attempt {} of {} has ended already", m.row.attempt, Text(m.row.key)));
    }
    return Status::Ok();
  }

  Status Check(const PutSchedule& m) {
    if (m.row.spec == nullptr) {
      return Status::InvalidArgument("schedule " + m.row.id.ToString() + " has no spec");
    }
    const TaskKey task = TaskOf(*m.row.spec);
    std::optional<JobId> holder;
    if (const auto it = schedule_tasks_.find(task); it != schedule_tasks_.end()) {
      holder = it->second;
    } else if (const auto there = partition_.schedule_tasks.find(task);
               there != partition_.schedule_tasks.end()) {
      holder = there->second;
    }
    if (holder && *holder != m.row.id) {
      return Status::InvalidArgument(fmt::format("task {} of group {} has the schedule {} already",
                                                 task.task_id, task.group, holder->ToString()));
    }
    schedule_tasks_[task] = m.row.id;
    return Status::Ok();
  }

  Status Check(const DeleteSchedule& m) {
    schedule_tasks_[{m.group, m.task_id}] = std::nullopt;
    return Status::Ok();
  }

  Status Check(const InsertFeedback&) { return Status::Ok(); }
  Status Check(const DeleteFeedback&) { return Status::Ok(); }
  Status Check(const InsertLog&) { return Status::Ok(); }
  Status Check(const PutWorker&) { return Status::Ok(); }
  Status Check(const DeleteWorker&) { return Status::Ok(); }

  const Partition& partition_;
  // What earlier mutations of the batch made of the rows: null = deleted.
  std::unordered_map<JobKey, const JobRow*> jobs_;
  std::set<AttemptKey> history_;
  std::map<TaskKey, std::optional<JobId>> schedule_tasks_;
};

// Applies a batch that the validator let pass.
class Applier {
 public:
  explicit Applier(Partition& partition) : p_(partition) {}

  void operator()(const InsertJob& m) {
    const JobRow& row = m.row;
    p_.jobs.emplace(row.key, row);
    p_.tasks[TaskOf(*row.spec)].insert(row.key);
    ++p_.counts[row.spec->group].jobs;
    AddToIndexes(row);
  }

  void operator()(const UpdateJob& m) {
    JobRow& row = p_.jobs.at(m.row.key);
    RemoveFromIndexes(row);
    row = m.row;
    AddToIndexes(row);
  }

  void operator()(const DeleteJob& m) {
    const auto it = p_.jobs.find(m.row.key);
    RemoveFromIndexes(it->second);
    EraseFrom(p_.tasks, TaskOf(*it->second.spec), it->first);
    --p_.counts[it->second.spec->group].jobs;
    p_.jobs.erase(it);
  }

  void operator()(const InsertHistory& m) {
    const HistoryRow& row = m.row;
    p_.history.emplace(AttemptKey(row.key, row.attempt), row);
    const EndedKey ended(row.ended_ms, row.key, row.attempt);
    p_.ended[row.group].insert(ended);
    p_.ended_tasks[{row.group, row.task_id}].insert(ended);
    if (row.final) ++p_.counts[row.group].ended[row.state];
  }

  void operator()(const PutSchedule& m) {
    const auto it = p_.schedules.find(m.row.id);
    if (it == p_.schedules.end()) {
      ++p_.counts[m.row.spec->group].schedules;
    } else if (TaskOf(*it->second.spec) != TaskOf(*m.row.spec)) {
      --p_.counts[it->second.spec->group].schedules;
      ++p_.counts[m.row.spec->group].schedules;
      p_.schedule_tasks.erase(TaskOf(*it->second.spec));
    }
    p_.schedule_tasks[TaskOf(*m.row.spec)] = m.row.id;
    p_.schedules[m.row.id] = m.row;
  }

  void operator()(const DeleteSchedule& m) {
    const auto it = p_.schedules.find(m.id);
    if (it == p_.schedules.end()) return;
    --p_.counts[it->second.spec->group].schedules;
    p_.schedule_tasks.erase(TaskOf(*it->second.spec));
    p_.schedules.erase(it);
  }

  void operator()(const InsertFeedback& m) {
    const FeedbackRow& row = m.row;
    p_.feedback[row.submit_group][{row.seq, row.key, row.attempt}] = row;
  }

  void operator()(const InsertLog&) {}  // not of the partition

  void operator()(const DeleteFeedback& m) {
    EraseFrom(p_.feedback, m.submit_group, FeedbackKey(m.seq, m.key, m.attempt));
  }

  void operator()(const PutWorker& m) { p_.workers[{m.row.group, m.row.identity}] = m.row; }
  void operator()(const DeleteWorker& m) { p_.workers.erase({m.group, m.identity}); }

 private:
  static bool Marked(const JobRow& row) { return row.resident || row.state == JobState::kRunning; }

  void AddToIndexes(const JobRow& row) {
    if (Marked(row)) p_.running.insert(row.key);
    if (!InOrder(row.state, row.resident) || row.state != JobState::kWaiting) return;
    GroupIndex& index = p_.groups[row.spec->group];
    index.ready.insert(index.ready.end(), {row.priority, row.due_ms, row.seq, row.key});
    if (IsDated(row)) index.dated.insert({row.due_ms, row.seq, row.key});
  }

  void RemoveFromIndexes(const JobRow& row) {
    if (Marked(row)) p_.running.erase(row.key);
    if (!InOrder(row.state, row.resident) || row.state != JobState::kWaiting) return;
    const auto it = p_.groups.find(row.spec->group);
    it->second.ready.erase({row.priority, row.due_ms, row.seq, row.key});
    it->second.dated.erase({row.due_ms, row.seq, row.key});
    if (it->second.ready.empty()) p_.groups.erase(it);
  }

  Partition& p_;
};

class MemoryJobStore final : public JobStore {
 public:
  MemoryJobStore(MemoryStoreOptions options, const Clock& clock)
      : options_(std::move(options)), clock_(clock), partitions_(options_.identity.partitions) {}

  StoreIdentity Identity() const override { return options_.identity; }
  Result<TimeMs> Now() override { return clock_.WallMs(); }

  // ---- ownership

  Result<PartitionLease> Acquire(std::uint32_t partition, const std::string& owner,
                                 const std::string& address, std::uint64_t assignment) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    PartitionState& state = partitions_[partition].state;
    LTS_RETURN_IF_ERROR(state.Ask(partition, owner, address, assignment, clock_.MonotonicUs()));
    PartitionState next = state.Acquired(owner, address, LeaseEnd());
    const PartitionLease lease = next.LeaseFor(state);
    state = std::move(next);
    return lease;
  }

  Result<RenewReply> Renew(
      const std::vector<std::pair<std::uint32_t, std::uint64_t>>& partition_epochs,
      const std::string& owner) override {
    const std::lock_guard lock(mutex_);
    RenewReply reply;
    for (const auto& [partition, epoch] : partition_epochs) {
      LTS_RETURN_IF_ERROR(Known(partition));
      PartitionState& state = partitions_[partition].state;
      const bool held = state.owner == owner && state.CheckEpoch(partition, epoch).ok();
      if (held) state.lease_end_us = LeaseEnd();
      reply.held.push_back(held);
    }
    return reply;
  }

  Status Release(std::uint32_t partition, std::uint64_t epoch, bool clean) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    PartitionState& state = partitions_[partition].state;
    LTS_RETURN_IF_ERROR(state.CheckRelease(partition, epoch));
    state.owner.clear();
    state.owner_address.clear();
    state.clean = clean;
    return Status::Ok();
  }

  Result<std::vector<PartitionRow>> Partitions() override {
    const std::lock_guard lock(mutex_);
    std::vector<PartitionRow> rows;
    for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
      const PartitionState& s = partitions_[i].state;
      rows.push_back(
          {i, s.owner, s.owner_address, s.epoch, s.commit_no, s.asker, s.asker_assignment});
    }
    return rows;
  }

  // ---- the write path

  Status Commit(std::uint32_t partition, std::uint64_t epoch, std::uint64_t commit_no,
                const MutationBatch& batch) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    Partition& p = partitions_[partition];
    const auto verdict = p.state.CheckCommit(partition, epoch, commit_no);
    if (!verdict.ok()) return verdict.status();
    if (*verdict == PartitionState::Commit::kApply) {
      LTS_RETURN_IF_ERROR(Validator(p).Check(batch));
      Applier applier(p);
      for (const Mutation& mutation : batch.mutations) {
        if (const auto* log = std::get_if<InsertLog>(&mutation)) {
          AddLog(log->row);
        } else {
          std::visit(applier, mutation);
        }
      }
      p.state.commit_no = commit_no;
      p.state.next_seq = std::max(p.state.next_seq, batch.next_seq);
    }
    p.state.lease_end_us = LeaseEnd();
    return Status::Ok();
  }

  // ---- reads of the owner

  Result<LookupReply> Lookup(std::uint32_t partition, const std::vector<JobId>& ids,
                             const std::vector<TaskKey>& tasks) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    const Partition& p = partitions_[partition];
    LookupReply reply;
    std::set<JobKey> jobs;
    std::set<JobId> ended;
    for (const JobId& id : ids) {
      for (auto it = p.jobs.lower_bound({id, INT64_MIN}); it != p.jobs.end() && it->first.id == id;
           ++it) {
        jobs.insert(it->first);
      }
      const auto it = p.history.lower_bound({{id, INT64_MIN}, INT32_MIN});
      if (it != p.history.end() && it->first.first.id == id) ended.insert(id);
    }
    for (const TaskKey& task : tasks) {
      if (const auto it = p.tasks.find(task); it != p.tasks.end()) {
        jobs.insert(it->second.begin(), it->second.end());
      }
    }
    for (const JobKey& key : jobs) reply.jobs.push_back(p.jobs.at(key));
    reply.ended.assign(ended.begin(), ended.end());
    return reply;
  }

  Result<std::vector<ScheduleRow>> LoadSchedules(std::uint32_t partition, const JobId& after,
                                                 std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    const auto& schedules = partitions_[partition].schedules;
    std::vector<ScheduleRow> rows;
    for (auto it = schedules.upper_bound(after); it != schedules.end() && rows.size() < limit;
         ++it) {
      rows.push_back(it->second);
    }
    return rows;
  }

  Result<std::vector<WorkerRow>> LoadWorkers(std::uint32_t partition) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    std::vector<WorkerRow> rows;
    for (const auto& [key, row] : partitions_[partition].workers) rows.push_back(row);
    return rows;
  }

  Result<std::vector<JobRow>> LoadRunning(std::uint32_t partition, const JobKey& after,
                                          std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    const Partition& p = partitions_[partition];
    std::vector<JobRow> rows;
    for (auto it = p.running.upper_bound(after); it != p.running.end() && rows.size() < limit;
         ++it) {
      rows.push_back(p.jobs.at(*it));
    }
    return rows;
  }

  Result<std::vector<std::string>> LoadGroups(std::uint32_t partition) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    std::vector<std::string> groups;
    for (const auto& [group, count] : partitions_[partition].counts) {
      if (count.jobs > 0) groups.push_back(group);
    }
    return groups;
  }

  Result<std::vector<JobRow>> LoadWaiting(std::uint32_t partition, const std::string& group,
                                          const std::optional<ReadyPosition>& after,
                                          TimeMs due_before, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    const Partition& p = partitions_[partition];
    std::vector<JobRow> rows;
    const auto index = p.groups.find(group);
    if (index == p.groups.end()) return rows;
    const std::set<ReadyKey>& ready = index->second.ready;
    auto it = after ? ready.upper_bound({after->priority, after->due_ms, after->seq, kLastKey})
                    : ready.begin();
    while (it != ready.end() && rows.size() < limit) {
      const auto& [priority, due_ms, seq, key] = *it;
      if (due_ms > due_before) {  // the rest of this priority is not due either
        it = ready.upper_bound({priority, INT64_MAX, UINT64_MAX, kLastKey});
        continue;
      }
      rows.push_back(p.jobs.at(key));
      ++it;
    }
    return rows;
  }

  Result<std::vector<JobRow>> LoadDated(std::uint32_t partition, const std::string& group,
                                        TimeMs due_after, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    const Partition& p = partitions_[partition];
    std::vector<JobRow> rows;
    const auto index = p.groups.find(group);
    if (index == p.groups.end()) return rows;
    const std::set<DatedKey>& dated = index->second.dated;
    for (auto it = dated.upper_bound({due_after, UINT64_MAX, kLastKey});
         it != dated.end() && rows.size() < limit; ++it) {
      rows.push_back(p.jobs.at(std::get<2>(*it)));
    }
    return rows;
  }

  Result<std::vector<TaskPosition>> LoadTasks(std::uint32_t partition, const std::string& group,
                                              const std::optional<TaskPosition>& after,
                                              std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    const auto& tasks = partitions_[partition].tasks;
    std::vector<TaskPosition> rows;
    for (auto it = tasks.lower_bound({group, after ? after->task_id : ""});
         it != tasks.end() && it->first.group == group; ++it) {
      const auto& [task, keys] = *it;
      const bool begun = after && after->task_id == task.task_id;
      for (auto key = begun ? keys.upper_bound(after->key) : keys.begin(); key != keys.end();
           ++key) {
        if (rows.size() >= limit) return rows;
        rows.push_back({task.task_id, *key});
      }
    }
    return rows;
  }

  Result<std::vector<FeedbackRow>> LoadFeedback(std::uint32_t partition,
                                                const std::string& submit_group,
                                                std::uint64_t after_seq,
                                                std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    std::vector<FeedbackRow> rows;
    const auto& feedback = partitions_[partition].feedback;
    const auto group = feedback.find(submit_group);
    if (group == feedback.end()) return rows;
    for (auto it = group->second.upper_bound({after_seq, kLastKey, INT32_MAX});
         it != group->second.end() && rows.size() < limit; ++it) {
      rows.push_back(it->second);
    }
    return rows;
  }

  Result<std::vector<std::string>> LoadFeedbackGroups(std::uint32_t partition) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    std::vector<std::string> groups;
    for (const auto& [group, rows] : partitions_[partition].feedback) groups.push_back(group);
    return groups;
  }

  // ---- logs

  Status AppendLogs(const std::vector<LogRow>& rows) override {
    const std::lock_guard lock(mutex_);
    for (const LogRow& row : rows) AddLog(row);
    return Status::Ok();
  }

  Result<std::vector<LogRow>> FindLogs(const JobKey& key, std::int32_t attempt,
                                       std::uint64_t after_line, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<LogRow> rows;
    for (auto it = logs_.upper_bound({key, attempt, after_line});
         it != logs_.end() && rows.size() < ClampPage(limit); ++it) {
      if (std::get<0>(it->first) != key || std::get<1>(it->first) != attempt) break;
      rows.push_back(it->second);
    }
    return rows;
  }

  // ---- reads of console and CLI

  Result<std::vector<JobRow>> FindJobRows(const JobId& id) override {
    const std::lock_guard lock(mutex_);
    std::vector<JobRow> rows;
    for (const Partition& p : partitions_) {
      for (auto it = p.jobs.lower_bound({id, INT64_MIN});
           it != p.jobs.end() && it->first.id == id && rows.size() < kPageRowsMax; ++it) {
        rows.push_back(it->second);
      }
    }
    return rows;
  }

  Result<std::optional<ScheduleRow>> FindSchedule(const JobId& id) override {
    const std::lock_guard lock(mutex_);
    for (const Partition& p : partitions_) {
      const auto it = p.schedules.find(id);
      if (it != p.schedules.end()) return std::optional<ScheduleRow>(it->second);
    }
    return std::optional<ScheduleRow>();
  }

  Result<std::vector<HistoryRow>> FindHistory(const JobId& id, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<HistoryRow> rows;
    for (const Partition& p : partitions_) {
      auto it = p.history.upper_bound({{id, INT64_MAX}, INT32_MAX});
      while (it != p.history.begin() && rows.size() < ClampPage(limit)) {
        --it;
        if (it->first.first.id != id) break;
        rows.push_back(it->second);
      }
    }
    return rows;
  }

  Result<std::optional<HistoryRow>> FindAttempt(const JobKey& key, std::int32_t attempt) override {
    const std::lock_guard lock(mutex_);
    for (const Partition& p : partitions_) {
      const auto it = p.history.find({key, attempt});
      if (it != p.history.end()) return std::optional<HistoryRow>(it->second);
    }
    return std::optional<HistoryRow>();
  }

  Result<JobPage> FindJobs(const JobFilter& filter, const PageToken& page,
                           std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(CheckFilter(filter));
    const auto start = JobPositionFrom(page);
    if (!start.ok()) return start.status();
    std::map<JobPosition, const JobRow*> found;
    for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
      for (const auto& [key, row] : partitions_[i].jobs) {
        if (!filter.group.empty() && row.spec->group != filter.group) continue;
        if (!filter.task_id.empty() && row.spec->task_id != filter.task_id) continue;
        if (filter.state && row.state != *filter.state) continue;
        if (row.accepted_ms < filter.since_ms) continue;
        found.emplace(JobPosition{key, i}, &row);
      }
    }
    JobPage result;
    result.next = Page(found, *start, limit, &result.rows);
    return result;
  }

  Result<SchedulePage> FindSchedules(const JobFilter& filter, const PageToken& page,
                                     std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(CheckFilter(filter));
    const auto start = JobPositionFrom(page);
    if (!start.ok()) return start.status();
    std::map<JobPosition, const ScheduleRow*> found;
    for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
      for (const auto& [id, row] : partitions_[i].schedules) {
        if (!filter.group.empty() && row.spec->group != filter.group) continue;
        if (!filter.task_id.empty() && row.spec->task_id != filter.task_id) continue;
        if (filter.state && row.state != *filter.state) continue;
        if (row.accepted_ms < filter.since_ms) continue;
        found.emplace(JobPosition{{id, 0}, i}, &row);
      }
    }
    SchedulePage result;
    result.next = Page(found, *start, limit, &result.rows);
    return result;
  }

  Result<HistoryPage> FindEnded(const JobFilter& filter, bool finals_only, const PageToken& page,
                                std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(CheckFilter(filter));
    const auto start = EndedPositionFrom(page);
    if (!start.ok()) return start.status();
    std::map<EndedPosition, const HistoryRow*> found;
    for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
      for (const auto& [key, row] : partitions_[i].history) {
        if (!filter.group.empty() && row.group != filter.group) continue;
        if (!filter.task_id.empty() && row.task_id != filter.task_id) continue;
        if (filter.state && row.state != *filter.state) continue;
        if (row.ended_ms < filter.since_ms) continue;
        if (finals_only && !row.final) continue;
        found.emplace(EndedPosition{row.ended_ms, key.first, key.second, i}, &row);
      }
    }
    HistoryPage result;
    result.next = Page(found, *start, limit, &result.rows);
    return result;
  }

  Result<std::map<std::string, GroupCount>> Counters() override {
    const std::lock_guard lock(mutex_);
    std::map<std::string, GroupCount> sum;
    for (const Partition& p : partitions_) {
      for (const auto& [group, count] : p.counts) {
        if (IsZero(count)) continue;
        GroupCount& total = sum[group];
        total.jobs += count.jobs;
        total.schedules += count.schedules;
        for (const auto& [state, n] : count.ended) {
          if (n != 0) total.ended[state] += n;
        }
      }
    }
    return sum;
  }

  Result<std::int64_t> Retain(std::uint32_t partition, std::uint64_t epoch,
                              const RetentionPolicy& policy) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Known(partition));
    Partition& p = partitions_[partition];
    LTS_RETURN_IF_ERROR(p.state.CheckEpoch(partition, epoch));
    std::int64_t gone = 0;
    for (auto group = p.ended.begin(); group != p.ended.end() && gone < policy.rows_max;) {
      std::set<EndedKey>& ended = group->second;
      std::int64_t excess = 0;
      if (policy.ended_per_group > 0) {
        for (const auto& [state, n] : p.counts[group->first].ended) excess += n;
        excess -= policy.ended_per_group;
      }
      while (!ended.empty() && gone < policy.rows_max) {
        const EndedKey first = *ended.begin();
        const bool too_many = excess > 0 && std::get<0>(first) < policy.ended_before_ms;
        if (std::get<0>(first) >= policy.history_before_ms && !too_many) break;
        const auto it = p.history.find({std::get<1>(first), std::get<2>(first)});
        const HistoryRow& row = it->second;
        if (row.final) {
          --p.counts[row.group].ended[row.state];
          --excess;
        }
        EraseFrom(p.ended_tasks, TaskKey{row.group, row.task_id}, first);
        p.history.erase(it);
        ended.erase(ended.begin());
        ++gone;
      }
      group = ended.empty() ? p.ended.erase(group) : std::next(group);
    }
    while (gone < policy.rows_max && !log_times_.empty() &&
           log_times_.begin()->first < policy.logs_before_ms) {
      logs_.erase(log_times_.begin()->second);
      log_times_.erase(log_times_.begin());
      ++gone;
    }
    return gone;
  }

 private:
  Status Known(std::uint32_t partition) const {
    return CheckPartition(partition, options_.identity.partitions);
  }
  std::int64_t LeaseEnd() const { return clock_.MonotonicUs() + options_.lease_ms * 1000; }

  // Copies the rows below `start`, highest first; returns the token of the next page.
  template <typename Position, typename Row>
  static PageToken Page(const std::map<Position, const Row*>& found,
                        const std::optional<Position>& start, std::size_t limit,
                        std::vector<Row>* rows) {
    PageRoom room(limit);
    auto it = start ? found.lower_bound(*start) : found.end();
    while (it != found.begin()) {
      const auto last = it--;
      if (!room.Take(*it->second)) return ToToken(last->first);
      rows->push_back(*it->second);
    }
    return "";
  }

  const MemoryStoreOptions options_;
  const Clock& clock_;
  std::mutex mutex_;
  std::vector<Partition> partitions_;
  void AddLog(const LogRow& row) {
    const LogKey key(row.key, row.attempt, row.line);
    if (logs_.emplace(key, row).second) log_times_.insert({row.time_ms, key});
  }

  std::map<LogKey, LogRow> logs_;
  std::set<std::pair<TimeMs, LogKey>> log_times_;
};

}  // namespace

std::unique_ptr<JobStore> MakeMemoryStore(MemoryStoreOptions options, const Clock& clock) {
  return std::make_unique<MemoryJobStore>(std::move(options), clock);
}

}  // namespace lts::store

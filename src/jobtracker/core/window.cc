// What of the backlog is held in memory (I9): placing rows, evicting them, faulting them in.
//
// Per group, two windows over the rows in the store: `ready` (due, in dispatch order) and `dated`
// (not due yet, by due time). Each is exact up to its end and says nothing beyond it. Rows that
// share a run key with another row or with a schedule are *resident*: always in memory and in no
// window, so that run keys are decided without asking the store. All other decisions about a row
// that is not in memory fault it in by a look-up first.
#include <algorithm>
#include <limits>

#include "jobtracker/core/state.h"

namespace lts::core {

using model::JobKey;
using model::JobState;
using store::JobRow;

bool Partition::ReadyLess::operator()(const Job* a, const Job* b) const {
  const JobRow& x = a->row;
  const JobRow& y = b->row;
  if (x.priority != y.priority) return x.priority < y.priority;
  if (x.due_ms != y.due_ms) return x.due_ms < y.due_ms;
  return x.seq < y.seq;
}

bool Partition::DatedLess::operator()(const Job* a, const Job* b) const {
  const JobRow& x = a->row;
  const JobRow& y = b->row;
  return x.due_ms != y.due_ms ? x.due_ms < y.due_ms : x.seq < y.seq;
}

namespace {

store::ReadyPosition PositionOf(const JobRow& row) { return {row.priority, row.due_ms, row.seq}; }

// However little memory there is.
constexpr std::size_t kWindowLeast = 8;

constexpr std::size_t kTasksOfARead = 10'000;

// About what a definition takes in memory. Occurrences share that of their schedule; it is counted
// for each all the same.
std::size_t SpecBytes(const model::JobSpec& spec) {
  constexpr std::size_t kNodes = 400;  // of the maps and sets that a job stands in
  constexpr std::size_t kParam = 96;
  return sizeof(spec) + kNodes + spec.task_id.size() + spec.PayloadBytes() +
         kParam * spec.params.size();
}

}  // namespace

Partition::Group& Partition::GroupOf(const std::string& name) {
  std::unique_ptr<Group>& slot = groups_[name];
  if (!slot) {
    slot = std::make_unique<Group>();
    slot->name = name;
  }
  return *slot;
}

Partition::Task& Partition::TaskOf(Group& group, const std::string& task_id) {
  return group.tasks[task_id];
}

Partition::Job* Partition::FindJob(const JobKey& key) const {
  const auto found = jobs_.find(key);
  return found == jobs_.end() ? nullptr : found->second.get();
}

// Occurrences that do not rely on the cycle before have a run key of their own (the fire time is
// part of it).
bool Partition::SharesRunKey(const JobRow& row) {
  return row.kind != store::JobKind::kOccurrence || row.spec->rely_on_prev_cycle;
}

Partition::Job* Partition::AddJob(JobRow row) {
  auto owned = std::make_unique<Job>();
  Job* job = owned.get();
  job->row = std::move(row);
  job->group = &GroupOf(job->row.spec->group);
  job->task = &TaskOf(*job->group, job->row.spec->task_id);
  job->task->jobs.push_back(job);
  if (job->row.expires_ms != 0 && !refused_.contains(job->row.key)) {
    expiry_timers_.emplace(job->row.expires_ms, job->row.key);
  }
  job->bytes = sizeof(Job) + SpecBytes(*job->row.spec);
  memory_bytes_ += job->bytes;
  if (job->row.resident) CountResident(*job, 1);
  jobs_.emplace(job->row.key, std::move(owned));
  // A started row that is not executing is between attempts and keeps its run key.
  if (job->row.attempt > 1 && job->row.state != JobState::kRunning && SharesRunKey(job->row) &&
      !job->task->holder) {
    job->task->holder = job;
    for (Job* other : job->task->jobs) {
      if (other->place == Job::Place::kReady || other->place == Job::Place::kHeld) Place(*other);
    }
  }
  Place(*job);
  return job;
}

void Partition::ForgetTaskIfEmpty(Group& group, const std::string& task_id) {
  const auto found = group.tasks.find(task_id);
  if (found != group.tasks.end() && found->second.jobs.empty() &&
      found->second.schedule == nullptr) {
    group.tasks.erase(found);
  }
}

void Partition::CountResident(const Job& job, int change) {
  resident_ += static_cast<std::size_t>(change);
  resident_bytes_ += change > 0 ? job.bytes : -job.bytes;
}

void Partition::RemoveJob(Job& job) {
  Group& group = *job.group;
  // One that waited makes room for rows that are only in the store.
  if (!group.Complete() && (job.place == Job::Place::kReady || job.place == Job::Place::kHeld)) {
    WantDispatch(group);
  }
  Unplace(job);
  memory_bytes_ -= job.bytes;
  Task& task = *job.task;
  std::erase(task.jobs, &job);
  const bool freed = task.holder == &job;
  if (freed) task.holder = nullptr;
  if (job.row.expires_ms != 0) expiry_timers_.erase({job.row.expires_ms, job.row.key});
  if (job.row.resident) CountResident(job, -1);
  const std::string task_id = job.row.spec->task_id;
  jobs_.erase(JobKey(job.row.key));  // a copy: the key lives in what is erased
  if (task.jobs.empty()) {
    ForgetTaskIfEmpty(group, task_id);
  } else {
    for (Job* waiting : std::vector<Job*>(task.jobs)) {
      // A held one may have been held only for the row that is gone.
      if ((freed && waiting->place == Job::Place::kParked) || waiting->place == Job::Place::kHeld)
        Place(*waiting);
    }
  }
}

void Partition::Leave(Job& job) {
  RememberOutside(*job.group, job.row);
  RemoveJob(job);
}

void Partition::Return(JobRow row) {
  // While they are read, its task may not be there yet, but that of another one that looks alike.
  if (GroupOf(row.spec->group).outside == Group::OutsideTasks::kKnown) {
    outside_.Remove(TaskHash(row.spec->group, row.spec->task_id));
  }
  AddJob(std::move(row));
}

void Partition::RememberOutside(Group& group, const JobRow& row) {
  RememberGone(row.key.id);
  if (options_.faults.forget_task_outside) return;
  if (group.outside == Group::OutsideTasks::kKnown ||
      group.outside == Group::OutsideTasks::kReading) {
    AddOutside(group, row.spec->task_id);
  }
}

void Partition::AddOutside(const Group& group, const std::string& task_id) {
  outside_.Add(TaskHash(group.name, task_id));
  if (outside_.bytes() <= options_.outside_bytes_max) return;
  // Too many to remember: what concerns groups with a backlog is looked up.
  ++stats_.over_outside;
  outside_.Clear();
  for (auto& [name, each] : groups_) {
    if (each->outside == Group::OutsideTasks::kUnread) continue;
    const bool known = each->outside == Group::OutsideTasks::kKnown;
    each->outside = Group::OutsideTasks::kUnknown;
    // Not those that were being read: they may be what is too much.
    if (known && each->Complete()) ReadTasks(*each);
  }
}

bool Partition::AllInMemory(const Group& group) const {
  return group.Complete() && group.outside == Group::OutsideTasks::kKnown && outside_.size() == 0;
}

void Partition::ReadTasks(Group& group) {
  group.outside = Group::OutsideTasks::kReading;
  ++group.tasks_reading;
  ReadTasksAfter(group, std::nullopt);
}

void Partition::ReadTasksAfter(const Group& group, std::optional<store::TaskPosition> after) {
  auto read = std::make_unique<PendingRead>();
  read->tasks_group = group.name;
  read->tasks_reading = group.tasks_reading;
  read->tasks.group = group.name;
  read->tasks.after = std::move(after);
  read->tasks.limit = kTasksOfARead;
  wanted_reads_.push_back(std::move(read));
}

void Partition::OnTasks(TasksAnswer answer) {
  auto node = reads_.extract(answer.id);
  if (node.empty()) return;
  const PendingRead read = std::move(node.mapped());
  Group& group = GroupOf(read.tasks_group);
  const auto counts = [&] {
    return group.outside == Group::OutsideTasks::kReading &&
           group.tasks_reading == read.tasks_reading;
  };
  for (const store::TaskPosition& row : answer.rows) {
    if (!counts()) break;
    // What was in memory meanwhile came in when it left.
    if (jobs_.contains(row.key) || TouchedSince(IdHash(row.key.id), read.ordinal)) continue;
    AddOutside(group, row.task_id);
  }
  EndRead();
  if (!counts()) return;
  if (answer.rows.size() < read.tasks.limit) {
    group.outside = Group::OutsideTasks::kKnown;
  } else {
    ReadTasksAfter(group, std::move(answer.rows.back()));
  }
}

void Partition::Unplace(Job& job) {
  Group& group = *job.group;
  switch (job.place) {
    case Job::Place::kNone:
    case Job::Place::kParked: break;
    case Job::Place::kReady: group.ready.erase(&job); break;
    case Job::Place::kHeld: group.held.erase(&job); break;
    case Job::Place::kDated:
      group.dated.erase(&job);
      ArmGroup(group);
      break;
    case Job::Place::kExecuting:
      --group.executing;
      --executing_;
      break;
  }
  job.place = Job::Place::kNone;
}

void Partition::Place(Job& job) {
  Unplace(job);
  if (refused_.contains(job.row.key)) return;  // the store takes no end of it
  Group& group = *job.group;
  const JobRow& row = job.row;
  if (row.expires_ms != 0) expiry_timers_.emplace(row.expires_ms, row.key);
  if (row.state == JobState::kSuspended) return;
  if (row.due_ms > now_.wall_ms) {
    job.place = Job::Place::kDated;
    group.dated.insert(&job);
    ArmGroup(group);
    return;
  }
  if (SharesRunKey(row) && job.task->holder != nullptr && job.task->holder != &job) {
    job.place = Job::Place::kParked;
    return;
  }
  // An unmarked row of an earlier owner may be running; one that was marked or lost before is
  // settled by its mark. So may another row of its run key, which then holds this one back too.
  const auto held = [&] {
    if (MayRunUnseen(job)) return true;
    if (!SharesRunKey(row)) return false;
    return std::any_of(job.task->jobs.begin(), job.task->jobs.end(), [&](const Job* other) {
      return SharesRunKey(other->row) && MayRunUnseen(*other);
    });
  };
  if (group.opening && !options_.faults.dispatch_before_hello && held()) {
    job.place = Job::Place::kHeld;
    group.held.insert(&job);
    return;
  }
  job.place = Job::Place::kReady;
  group.ready.insert(&job);
  WantDispatch(group);
}

bool Partition::MayRunUnseen(const Job& job) const {
  return job.group->opening && job.row.seq < first_seq_ && !job.settled && job.worker == nullptr;
}

bool Partition::Outside(const Group& group, const JobRow& row) const {
  if (row.resident || group.refilling || row.state != JobState::kWaiting) return false;
  if (row.due_ms > now_.wall_ms) {
    return !group.dated_complete && std::pair(row.due_ms, row.seq) >= group.dated_end;
  }
  return !group.ready_complete && PositionOf(row) >= group.ready_end;
}

void Partition::Insert(JobRow row) {
  Group& group = GroupOf(row.spec->group);
  Touch(row);
  effects_->batch.mutations.emplace_back(store::InsertJob{row});
  if (Outside(group, row)) {
    RememberOutside(group, row);
    return;
  }
  AddJob(std::move(row));
  Shed(group);
}

void Partition::Update(Job& job, JobRow after) {
  Touch(after);
  effects_->batch.mutations.emplace_back(
      store::UpdateJob{after, job.row.priority, job.row.due_ms, job.row.resident, job.row.state});
  if (after.resident && !job.row.resident) CountResident(job, 1);
  if (job.place != Job::Place::kExecuting) Unplace(job);
  if (job.row.expires_ms != 0 && job.row.expires_ms != after.expires_ms) {
    expiry_timers_.erase({job.row.expires_ms, job.row.key});
  }
  if (after.spec != job.row.spec) {
    const std::size_t bytes = sizeof(Job) + SpecBytes(*after.spec);
    memory_bytes_ += bytes - job.bytes;
    if (after.resident) resident_bytes_ += bytes - job.bytes;
    job.bytes = bytes;
  }
  job.row = std::move(after);
  if (job.place != Job::Place::kExecuting) Place(job);
}

void Partition::Delete(Job& job) {
  Touch(job.row);
  effects_->batch.mutations.emplace_back(store::DeleteJob{job.row});
  RemoveJob(job);
}

void Partition::MakeResident(Job& job) {
  if (job.row.resident) return;
  JobRow after = job.row;
  after.resident = true;
  Update(job, std::move(after));
}

// Rows of a group's window: fewer when all groups together take too much memory.
std::size_t Partition::WindowMax() const {
  return std::max(std::min(kWindowLeast, options_.window_max),
                  options_.window_max >> memory_pressure_);
}

// Keeps the windows within bounds: what is least urgent goes back to being only in the store.
void Partition::Shed(Group& group) {
  if (rows_held_ > 0) {
    shed_later_.push_back(group.name);
    return;
  }
  ShedWindow(group);
  while (memory_bytes_ > options_.memory_bytes_max && WindowMax() > kWindowLeast) {
    ++memory_pressure_;
    for (auto& [name, each] : groups_) ShedWindow(*each);
  }
}

void Partition::ShedWindow(Group& group) {
  if (group.refilling) return;
  for (const auto* rows : {&group.ready, &group.held}) {
    if (rows->size() <= WindowMax() * 2) continue;
    std::vector<Job*> out;
    std::size_t keep = WindowMax();
    for (Job* job : *rows) {
      if (job->row.resident) continue;
      if (keep > 0) {
        --keep;
        continue;
      }
      out.push_back(job);
    }
    if (!out.empty()) {
      const store::ReadyPosition end = PositionOf(out.front()->row);
      group.ready_end = group.ready_complete ? end : std::min(group.ready_end, end);
      group.ready_complete = false;
      for (Job* job : out) Leave(*job);
    }
  }
  if (group.dated.size() > WindowMax() * 2) {
    std::vector<Job*> out;
    std::size_t keep = WindowMax();
    for (Job* job : group.dated) {
      if (job->row.resident) continue;
      if (keep > 0) {
        --keep;
        continue;
      }
      out.push_back(job);
    }
    if (!out.empty()) {
      const std::pair end(out.front()->row.due_ms, out.front()->row.seq);
      group.dated_end = group.dated_complete ? end : std::min(group.dated_end, end);
      group.dated_complete = false;
      for (Job* job : out) Leave(*job);
      ArmGroup(group);
    }
  }
}

void Partition::ReleaseRows() {
  if (--rows_held_ > 0) return;
  for (const std::string& name : std::exchange(shed_later_, {})) {
    if (const auto group = groups_.find(name); group != groups_.end()) Shed(*group->second);
  }
}

void Partition::DropOutside(Group& group) {
  if (group.refilling) return;
  std::vector<Job*> out;
  if (!group.ready_complete) {
    for (const auto* rows : {&group.ready, &group.held}) {
      for (auto it = rows->rbegin();
           it != rows->rend() && PositionOf((*it)->row) >= group.ready_end; ++it) {
        if (!(*it)->row.resident) out.push_back(*it);
      }
    }
  }
  if (!group.dated_complete) {
    for (auto it = group.dated.rbegin();
         it != group.dated.rend() &&
         std::pair((*it)->row.due_ms, (*it)->row.seq) >= group.dated_end;
         ++it) {
      if (!(*it)->row.resident) out.push_back(*it);
    }
  }
  for (Job* job : out) Leave(*job);
}

// After an operation on a row that was faulted in: it leaves again when it lies beyond the window.
void Partition::MaybeEvict(const JobKey& key) {
  Job* job = FindJob(key);
  if (job == nullptr) return;
  // An operation that waits for the opening of the group faults a held row in again.
  const bool waiting = job->place == Job::Place::kReady || job->place == Job::Place::kDated ||
                       job->place == Job::Place::kHeld;
  if (waiting && Outside(*job->group, job->row)) Leave(*job);
}

// The next time something in the dated window, or just beyond it, becomes due.
void Partition::ArmGroup(Group& group) {
  TimeMs next = kNever;
  if (!group.dated.empty()) next = (*group.dated.begin())->row.due_ms;
  // A read that failed is repeated by a timer of its own.
  if (!group.dated_complete && !group.refilling && now_.mono_ms >= group.refill_after_mono_ms) {
    next = std::min(next, group.dated_end.first);
  }
  if (next == group.timer_ms) return;
  if (group.timer_ms != kNever) group_timers_.erase({group.timer_ms, group.name});
  group.timer_ms = next;
  if (next != kNever) group_timers_.emplace(next, group.name);
}

void Partition::Promote(Group& group) {
  while (!group.dated.empty() && (*group.dated.begin())->row.due_ms <= now_.wall_ms) {
    Job& job = **group.dated.begin();
    Unplace(job);
    if (Outside(group, job.row)) {
      Leave(job);  // due now, but behind the end of the ready window
      continue;
    }
    Place(job);
  }
  // A row outside memory may have become due, at any priority: read again from the top.
  if (!group.dated_complete && group.dated_end.first <= now_.wall_ms) group.top_wanted = true;
  Shed(group);
  MaybeRefill(group);
  ArmGroup(group);
}

void Partition::MaybeRefill(Group& group) {
  if (group.refilling || (group.Complete() && !group.top_wanted) ||
      now_.mono_ms < group.refill_after_mono_ms) {
    return;
  }
  if (memory_pressure_ > 0 && memory_bytes_ < options_.memory_bytes_max / 4) --memory_pressure_;
  const std::size_t window = WindowMax();
  const bool ready_low =
      !group.ready_complete && (group.ready.size() + group.held.size() < window / 2 ||
                                (group.held.size() < window && !group.ready.empty() &&
                                 PositionOf((*group.ready.begin())->row) >= group.ready_end));
  const bool dated_low =
      !group.dated_complete && !group.dated_capped && group.dated.size() < window / 4;
  if (!group.top_wanted && !ready_low && !dated_low) return;
  auto read = std::make_unique<PendingRead>();
  read->refill_group = group.name;
  RefillRequest& refill = read->refill;
  refill.group = group.name;
  // Executing rows that are not marked yet stand among the waiting ones at the top.
  refill.ready_limit = window + group.executing;
  refill.dated_limit = window;
  if (!group.top_wanted && !group.ready_complete && group.ready_end.seq > 0) {
    refill.after = {group.ready_end.priority, group.ready_end.due_ms, group.ready_end.seq - 1};
    refill.ready_limit = window;
  }
  // Both parts together; what is in memory is shed only when they have come.
  refill.bytes_max = std::max<std::size_t>(options_.memory_bytes_max / 8, 1);
  group.refilling = true;
  group.top_wanted = false;
  ++stats_.refills;
  wanted_reads_.push_back(std::move(read));
}

void Partition::OnRefill(RefillAnswer answer) {
  auto node = reads_.extract(answer.id);
  if (node.empty()) return;
  const PendingRead read = std::move(node.mapped());
  Group& group = GroupOf(read.refill_group);
  const auto install = [&](std::vector<JobRow>& rows) {
    for (JobRow& row : rows) {
      if (jobs_.contains(row.key)) continue;
      if (TouchedSince(IdHash(row.key.id), read.ordinal)) continue;
      Return(std::move(row));
    }
  };
  // Where more is in the store, the window ends just behind its last row.
  group.ready_complete = !answer.ready_more;
  if (!group.ready_complete) {
    group.ready_end = PositionOf(answer.ready.back());
    ++group.ready_end.seq;
  }
  const bool was_capped = std::exchange(group.dated_capped, read.clock_behind);
  const auto capped_end = group.dated_end;
  group.dated_complete = !answer.dated_more;
  if (!group.dated_complete) {
    group.dated_end = {answer.dated.back().due_ms, answer.dated.back().seq + 1};
  }
  if (group.dated_capped) {
    // The clock went back. Rows that were due when they were accepted are not among the dated ones
    // of the store, and not due now: read from the top each second until the clock has come as far.
    std::pair<TimeMs, std::uint64_t> soon(now_.wall_ms + 1'000, 0);
    if (was_capped && read.refill.after) soon = std::min(soon, capped_end);
    group.dated_end = group.dated_complete ? soon : std::min(group.dated_end, soon);
    group.dated_complete = false;
  }
  install(answer.ready);
  install(answer.dated);
  // Even when all of it is in memory: rows of an owner whose clock was ahead are in neither answer.
  if (group.outside == Group::OutsideTasks::kUnread ||
      (group.outside == Group::OutsideTasks::kUnknown && group.Complete())) {
    ReadTasks(group);
  }
  group.refilling = false;
  EndRead();
  // What was accepted meanwhile may lie beyond the new ends.
  DropOutside(group);
  Shed(group);
  Promote(group);
  WantDispatch(group);
}

// ---- reads and what changes meanwhile
// -------------------------------------------------------------------------------

void Partition::Touch(const JobRow& row) {
  Touch(TaskHash(row.spec->group, row.spec->task_id));
  Touch(IdHash(row.key.id));
}

void Partition::Touch(std::uint64_t hash) {
  ++ordinal_;
  if (reads_.empty()) return;
  touched_[hash] = ordinal_;
  touched_order_.emplace_back(ordinal_, hash);
}

bool Partition::TouchedSince(std::uint64_t hash, std::uint64_t ordinal) const {
  const auto found = touched_.find(hash);
  return found != touched_.end() && found->second > ordinal;
}

// Only what changed since the oldest read that is under way can matter.
void Partition::EndRead() {
  const std::uint64_t oldest = reads_.empty() ? UINT64_MAX : reads_.begin()->second.ordinal;
  while (!touched_order_.empty() && touched_order_.front().first <= oldest) {
    const auto [ordinal, hash] = touched_order_.front();
    touched_order_.pop_front();
    const auto found = touched_.find(hash);
    if (found != touched_.end() && found->second == ordinal) touched_.erase(found);
  }
}

// Adds to the look-up that this Handle() issues at its end.
void Partition::WantLookup(PendingRead&& read) {
  ++stats_.lookups;
  if (read.keys.size() == 1 && !read.hello && read.results_stream == 0 && !one_by_one_) {
    if (!gathering_) gathering_ = std::make_unique<PendingRead>();
    gathering_->keys.push_back(std::move(read.keys.front()));
    LookupRequest& into = gathering_->lookup;
    into.ids.insert(into.ids.end(), read.lookup.ids.begin(), read.lookup.ids.end());
    into.tasks.insert(into.tasks.end(), read.lookup.tasks.begin(), read.lookup.tasks.end());
    return;
  }
  wanted_reads_.push_back(std::make_unique<PendingRead>(std::move(read)));
}

void Partition::OnLookup(LookupAnswer answer) {
  const auto found = reads_.find(answer.id);
  if (found == reads_.end()) return;
  // It counts as under way until the end: what one operation changes, the next must see as changed.
  PendingRead read = std::move(found->second);
  const auto end_read = [&] {
    reads_.erase(answer.id);
    EndRead();
  };

  HoldRows();
  // Rows that changed since the question was asked are not taken from the answer; who needs them
  // asks again.
  std::vector<JobKey> faulted;
  for (JobRow& row : answer.reply.jobs) {
    if (jobs_.contains(row.key)) continue;
    if (TouchedSince(IdHash(row.key.id), read.ordinal)) continue;
    faulted.push_back(row.key);
    Return(std::move(row));
  }
  const std::unordered_set<model::JobId> ended(answer.reply.ended.begin(),
                                               answer.reply.ended.end());

  if (read.hello || read.results_stream != 0) {
    bool fresh = true;
    for (const model::JobId& id : read.lookup.ids) {
      fresh = fresh && !TouchedSince(IdHash(id), read.ordinal);
    }
    end_read();
    if (read.hello) {
      RunHello(*read.hello, fresh);
    } else {
      RunResults(read.results_stream, read.results, fresh);
    }
  } else {
    // The keys of operations whose rows changed meanwhile ask again; the others run now.
    const auto id_touched = [&](const model::JobId& id) {
      return !id.empty() && TouchedSince(IdHash(id), read.ordinal);
    };
    for (const std::string& key : read.keys) {
      Operation& first = waiting_keys_.at(key).front();
      const bool touched = TouchedSince(TaskHash(first.group(), first.task_id()), read.ordinal) ||
                           id_touched(first.target()) || id_touched(first.made());
      if (touched) {
        WantLookup(LookupFor(first));
        continue;
      }
      first.looked_up = true;
      first.made_ended = ended.contains(first.made());
      Run(first);
      ReleaseKey(key);
    }
    end_read();
  }
  for (const JobKey& key : faulted) MaybeEvict(key);
  ReleaseRows();
}

void Partition::OnReadFailed(ReadFailed failed) {
  auto node = reads_.extract(failed.id);
  if (node.empty()) return;
  PendingRead read = std::move(node.mapped());
  EndRead();
  const bool damaged = failed.why.code() == StatusCode::kDataLoss;
  const std::int64_t again_mono_ms =
      now_.mono_ms + (damaged ? options_.damaged_retry_ms : options_.read_retry_ms);
  if (!read.refill_group.empty()) {
    // Not the same question again: what becomes due meanwhile would be in neither part of the
    // answer.
    Group& group = GroupOf(read.refill_group);
    group.refilling = false;
    group.top_wanted = true;
    group.refill_after_mono_ms = again_mono_ms;
    DropOutside(group);
    Shed(group);
    ArmGroup(group);
    read_retries_.emplace(again_mono_ms, std::move(read));
    return;
  }
  if (damaged && !read.tasks_group.empty()) {
    const auto group = groups_.find(read.tasks_group);
    if (group != groups_.end() && group->second->tasks_reading == read.tasks_reading) {
      group->second->outside = Group::OutsideTasks::kUnknown;
    }
    return;
  }
  if (!damaged || !read.feedback_group.empty()) {
    read_retries_.emplace(again_mono_ms, std::move(read));
    return;
  }
  // What cannot be read is judged as if it were not there.
  if (read.hello) return RunHello(*read.hello, true);
  if (read.results_stream != 0) return RunResults(read.results_stream, read.results, true);
  if (read.keys.size() > 1) {
    // Which of them it is shows when each is asked alone.
    for (const std::string& key : read.keys) {
      wanted_reads_.push_back(
          std::make_unique<PendingRead>(LookupFor(waiting_keys_.at(key).front())));
    }
    return;
  }
  if (read.keys.empty()) return;  // of a stream that has closed
  const std::string& key = read.keys.front();
  RefuseOperation(waiting_keys_.at(key).front(), StatusCode::kDataLoss,
                  "what the store holds of this task cannot be read: " + failed.why.message());
  ReleaseKey(key);
}

}  // namespace lts::core

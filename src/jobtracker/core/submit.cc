// Acceptance: de-duplication by job id (I2), one waiting one-shot per task (I3), replace; the order
// of arrival per task.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "jobtracker/core/state.h"

namespace lts::core {

using model::JobId;
using model::JobState;
using store::JobKind;
using store::JobRow;

std::string Partition::KeyOf(const std::string& group, const std::string& task) {
  std::string key;
  key.reserve(group.size() + 1 + task.size());
  key.append(group).push_back('\0');
  return key.append(task);
}

bool Partition::IsTooOld(const JobId& id) const {
  const TimeMs made = id.TimeOf();
  return made < now_.wall_ms - options_.dedup_horizon_ms ||
         made > now_.wall_ms + options_.future_id_max_ms;
}

std::string Partition::TooOldText(const JobId& id) const {
  return fmt::format(
      "job id {} was made outside the de-duplication horizon of {} days, or more than an hour in "
      "the future; submit the job under a new id",
      id.ToString(), options_.dedup_horizon_ms / 86'400'000);
}

void Partition::OnSubmit(SubmitEvent event) {
  for (std::size_t i = 0; i < event.items.size(); ++i) {
    Operation operation;
    operation.submit = std::move(event.items[i]);
    operation.request = event.request;
    operation.index = event.first_index + static_cast<std::uint32_t>(i);
    if (IsTooOld(operation.submit.id)) {
      ++stats_.refused;
      Reply(operation, StatusCode::kTooOld, SubmitOutcome::kAccepted, operation.submit.id,
            TooOldText(operation.submit.id));
      continue;
    }
    Begin(std::move(operation));
  }
}

void Partition::OnOperate(OperateEvent event) {
  Operation operation;
  operation.request = event.request;
  operation.operate = std::move(event);
  const JobId& made = operation.made();
  if (!made.empty() && IsTooOld(made)) {
    ++stats_.refused;
    RefuseOperation(operation, StatusCode::kTooOld, TooOldText(made));
    return;
  }
  Begin(std::move(operation));
}

void Partition::Reply(const Operation& operation, StatusCode code, SubmitOutcome outcome, JobId id,
                      std::string message) {
  effects_->submit_replies.push_back(
      {operation.request, operation.index, code, outcome, id, std::move(message)});
}

bool Partition::NeedsLookup(const Operation& operation) const {
  if (operation.looked_up) return false;
  if (one_by_one_) return true;
  const auto known = [&](const JobId& id) {
    return id.empty() || jobs_.contains({id, 0}) || schedules_.contains(id);
  };
  const JobId& made = operation.made();
  if (!known(made) && (operation.maybe_sent() || MayBeLate(made))) return true;
  if (!operation.is_submit() && !known(operation.target())) return true;
  const auto group = groups_.find(operation.group());
  return (group != groups_.end() && group->second->outside != Group::OutsideTasks::kKnown) ||
         outside_.Contains(TaskHash(operation.group(), operation.task_id()));
}

// The first copy of a submit is not marked as sent before, and may be overtaken by the one that was
// sent again: by much in a network that repeats lost packets. So ids that came by the other way are
// remembered for as long as a copy may be under way, and for as long after a takeover all ids are
// looked up. A copy that is later still shows by the time in its id.
bool Partition::MayBeLate(const JobId& id) const {
  const std::uint64_t hash = IdHash(id);
  return now_.mono_ms < lookup_all_until_mono_ms_ || IsAhead(id) ||
         id.TimeOf() < max_wall_ms_ - options_.fresh_id_ms || resent_.contains(id) ||
         gone_.Contains(hash) || gone_before_.Contains(hash);
}

// Made by a clock that is ahead: it counts as new later, when what is kept of it has gone.
bool Partition::IsAhead(const JobId& id) const {
  return id.TimeOf() > now_.wall_ms + options_.fresh_id_ms;
}

// A client that repeats a submit without saying so, within seconds, must not get its job twice: the
// ids of jobs that are not in memory any more are kept for as long as they count as new.
void Partition::RememberGone(const JobId& id) {
  if (id.TimeOf() < max_wall_ms_ - options_.fresh_id_ms) return;
  // An id of a clock that is ahead counts as new for up to twice that long.
  const DurationMs generation_ms = 2 * options_.fresh_id_ms;
  if (now_.mono_ms - gone_since_mono_ms_ >= generation_ms) {
    // What was put in before the one before is too old to count as new.
    const bool both = now_.mono_ms - gone_since_mono_ms_ >= 2 * generation_ms;
    gone_before_ = both ? HashBag() : std::move(gone_);
    gone_ = {};
    gone_since_mono_ms_ = now_.mono_ms;
  }
  gone_.Add(IdHash(id));
  if (gone_.bytes() + gone_before_.bytes() > options_.outside_bytes_max) {
    ++stats_.over_outside;
    gone_ = gone_before_ = {};
    lookup_all_until_mono_ms_ =
        std::max(lookup_all_until_mono_ms_, now_.mono_ms + 2 * generation_ms);
  }
}

void Partition::RememberResent(const JobId& id) {
  while (!resent_order_.empty() &&
         resent_order_.front().first < now_.mono_ms - options_.late_copy_ms) {
    resent_.erase(resent_order_.front().second);
    resent_order_.pop_front();
  }
  if (resent_.size() >= options_.lookups_max) {
    // Too many to remember.
    resent_.clear();
    resent_order_.clear();
    lookup_all_until_mono_ms_ =
        std::max(lookup_all_until_mono_ms_, now_.mono_ms + options_.late_copy_ms);
  }
  if (resent_.insert(id).second) resent_order_.emplace_back(now_.mono_ms, id);
}

void Partition::RefuseOperation(const Operation& operation, StatusCode code, std::string message) {
  if (operation.is_submit()) {
    Reply(operation, code, SubmitOutcome::kAccepted, operation.submit.id, std::move(message));
  } else {
    effects_->operate_replies.push_back(
        {operation.request, code, JobState::kWaiting, operation.target(), std::move(message)});
  }
}

// All that it may need: what is in memory now may have left it when the answer comes.
Partition::PendingRead Partition::LookupFor(const Operation& operation) {
  PendingRead read;
  read.lookup.tasks.push_back({operation.group(), operation.task_id()});
  if (!operation.target().empty()) read.lookup.ids.push_back(operation.target());
  if (!operation.made().empty() && operation.made() != operation.target()) {
    read.lookup.ids.push_back(operation.made());
  }
  read.keys.push_back(KeyOf(operation.group(), operation.task_id()));
  return read;
}

// Runs the operation, or puts it in line: behind earlier ones of its task that wait, or behind a
// look-up of its own.
void Partition::Begin(Operation operation) {
  std::string key;
  if (!waiting_keys_.empty()) {
    key = KeyOf(operation.group(), operation.task_id());
    if (const auto line = waiting_keys_.find(key); line != waiting_keys_.end()) {
      if (waiting_operations_ < options_.lookups_max) {
        ++waiting_operations_;
        line->second.push_back(std::move(operation));
        return;
      }
    } else {
      key.clear();
    }
  }
  if (key.empty() && !NeedsLookup(operation)) {
    Run(operation);
    return;
  }
  if (!key.empty() || waiting_operations_ >= options_.lookups_max) {
    ++stats_.over_lookups;
    RefuseOperation(
        operation, StatusCode::kResourceExhausted,
        fmt::format(
            "{} operations wait for the store (limit partition.lookups.max={}); retry later",
            waiting_operations_, options_.lookups_max));
    return;
  }
  PendingRead read = LookupFor(operation);
  ++waiting_operations_;
  waiting_keys_[read.keys.front()].push_back(std::move(operation));
  WantLookup(std::move(read));
}

// The first operation of this task is done: the next ones follow.
void Partition::ReleaseKey(const std::string& key) {
  while (true) {
    const auto line = waiting_keys_.find(key);
    line->second.pop_front();
    --waiting_operations_;
    if (line->second.empty()) {
      waiting_keys_.erase(line);
      return;
    }
    Operation& next = line->second.front();
    if (NeedsLookup(next)) {
      WantLookup(LookupFor(next));
      return;
    }
    Run(next);
  }
}

// True when a row of an earlier owner is concerned that may be running at a TaskTracker which has
// not said hello: the operation then runs when the group opens.
bool Partition::MustWaitForOpening(const Operation& operation) {
  const auto group = groups_.find(operation.group());
  if (group == groups_.end() || !group->second->opening) return false;
  // Behind an earlier one of its task.
  if (group->second->deferred_tasks.contains(operation.task_id())) return true;
  const auto task = group->second->tasks.find(operation.task_id());
  if (task == group->second->tasks.end()) return false;
  return std::any_of(task->second.jobs.begin(), task->second.jobs.end(),
                     [&](const Job* job) { return MayRunUnseen(*job); });
}

void Partition::Run(Operation& operation) {
  if (MustWaitForOpening(operation)) {
    if (deferred_operations_ >= options_.lookups_max) {
      ++stats_.over_lookups;
      RefuseOperation(operation, StatusCode::kResourceExhausted,
                      fmt::format("{} operations wait for TaskTrackers to say what they run (limit "
                                  "partition.lookups.max={}); retry later",
                                  deferred_operations_, options_.lookups_max));
      return;
    }
    ++stats_.deferred;
    ++deferred_operations_;
    Group& group = GroupOf(operation.group());
    group.deferred_tasks.insert(operation.task_id());
    group.deferred.push_back(std::move(operation));
    return;
  }
  if (operation.is_submit()) {
    RunSubmit(operation);
  } else {
    RunOperate(operation);
  }
}

void Partition::RunSubmit(Operation& operation) {
  const SubmitItem& item = operation.submit;
  const Job* const standing = FindJob({item.id, 0});
  const auto schedule = schedules_.find(item.id);
  const model::JobSpec* const same_id = standing != nullptr ? standing->row.spec.get()
                                        : schedule != schedules_.end()
                                            ? schedule->second->row.spec.get()
                                            : nullptr;
  if (same_id != nullptr &&
      (same_id->task_id != item.spec->task_id || same_id->group != item.spec->group)) {
    ++stats_.refused;
    Reply(operation, StatusCode::kAlreadyExists, SubmitOutcome::kDuplicate, item.id,
          fmt::format("job id {} is that of task {} of group {}; an id names one job",
                      item.id.ToString(), same_id->task_id, same_id->group));
    return;
  }
  if (operation.made_ended || jobs_.contains({item.id, 0}) || schedules_.contains(item.id)) {
    // Sent again after it was accepted: the same answer, nothing new (I2).
    ++stats_.duplicates;
    Reply(operation, StatusCode::kOk, SubmitOutcome::kAccepted, item.id, {});
    return;
  }
  if (groups_.size() >= options_.groups_max && !groups_.contains(item.spec->group)) {
    SweepGroups();
    if (groups_.size() >= options_.groups_max) {
      ++stats_.over_groups;
      Reply(operation, StatusCode::kResourceExhausted, SubmitOutcome::kAccepted, item.id,
            fmt::format("the partition has {} groups (limit groups.max={})", groups_.size(),
                        options_.groups_max));
      return;
    }
  }
  if (const Status room = RoomForFeedback(*item.spec); !room.ok()) {
    Reply(operation, room.code(), SubmitOutcome::kAccepted, item.id, room.message());
    return;
  }
  Group& group = GroupOf(item.spec->group);
  const auto found = group.tasks.find(item.spec->task_id);
  Task* task = found == group.tasks.end() ? nullptr : &found->second;
  if (item.spec->IsSchedule()) {
    SubmitSchedule(operation, group, task);
  } else {
    SubmitOneShot(operation, group, task);
  }
}

// Rows that share a task, or are suspended, are always in memory.
Status Partition::RoomForResident() {
  if (resident_ >= options_.resident_max) {
    ++stats_.over_resident;
    return Status::ResourceExhausted(
        fmt::format("{} jobs share their task with another one, or are suspended (limit "
                    "partition.resident.max={}); retry later",
                    resident_, options_.resident_max));
  }
  if (resident_bytes_ >= options_.memory_bytes_max) {
    ++stats_.over_memory;
    return Status::ResourceExhausted(
        fmt::format("jobs that share their task with another one, or are suspended, take {} bytes "
                    "of memory (limit partition.memory.max={}); retry later",
                    resident_bytes_, options_.memory_bytes_max));
  }
  return Status::Ok();
}

Status Partition::RoomForFeedback(const model::JobSpec& spec) {
  const auto no_room = [&] {
    return spec.need_feedback && feedback_.size() >= options_.groups_max &&
           !feedback_.contains(spec.submit_group);
  };
  if (no_room()) SweepGroups();
  if (!no_room()) return Status::Ok();
  ++stats_.over_groups;
  return Status::ResourceExhausted(
      fmt::format("{} groups of clients wait for feedback (limit groups.max={})", feedback_.size(),
                  options_.groups_max));
}

void Partition::SubmitOneShot(Operation& operation, Group& group, Task* task) {
  const SubmitItem& item = operation.submit;
  const model::JobSpec& spec = *item.spec;
  SubmitOutcome outcome = SubmitOutcome::kAccepted;
  Job* waiting = nullptr;  // the waiting one-shot of the task
  Job* between = nullptr;  // a one-shot between attempts
  if (task != nullptr) {
    for (Job* job : task->jobs) {
      if (job->row.kind != JobKind::kOneShot || job->place == Job::Place::kExecuting) continue;
      (job->row.Started() ? between : waiting) = job;
    }
  }
  // Limits first: nothing ends for the sake of a job that is then refused. One that replaces
  // another takes its place among those that share a task.
  const bool replaces = spec.replace_on_exist && (waiting != nullptr || between != nullptr);
  if (task != nullptr && waiting == nullptr && !replaces) {
    if (const Status room = RoomForResident(); !room.ok()) {
      Reply(operation, room.code(), SubmitOutcome::kAccepted, item.id, room.message());
      return;
    }
  }
  if (waiting != nullptr) {
    const JobId standing = waiting->row.key.id;
    if (spec.fail_if_exists) {
      ++stats_.refused;
      Reply(operation, StatusCode::kAlreadyExists, SubmitOutcome::kDuplicate, standing,
            fmt::format("task {} of group {} waits already as job {}", spec.task_id, spec.group,
                        standing.ToString()));
      return;
    }
    if (!spec.replace_on_exist) {
      ++stats_.duplicates;
      Reply(operation, StatusCode::kOk, SubmitOutcome::kDuplicate, standing, {});
      return;
    }
    // One that was handed out and came back stands beside the one accepted meanwhile: both give
    // way.
    std::vector<Job*> all;
    for (Job* job : task->jobs) {
      if (job->row.kind == JobKind::kOneShot && job->place != Job::Place::kExecuting &&
          !job->row.Started()) {
        all.push_back(job);
      }
    }
    const std::string message = fmt::format("replaced by job {}", item.id.ToString());
    for (Job* job : all) EndWithoutAttempt(*job, model::JobEvent::kReplace, message);
    outcome = SubmitOutcome::kReplaced;
  } else if (spec.replace_on_exist && between != nullptr) {
    EndWithoutAttempt(*between, model::JobEvent::kReplace,
                      fmt::format("replaced by job {}", item.id.ToString()));
    outcome = SubmitOutcome::kReplaced;
  } else if (spec.replace_on_exist && task != nullptr && task->schedule != nullptr) {
    ++stats_.refused;
    Reply(operation, StatusCode::kAlreadyExists, SubmitOutcome::kDuplicate, task->schedule->row.id,
          fmt::format("task {} of group {} is a schedule (job {}); a one-shot job never replaces a "
                      "schedule: cancel it, "
                      "or submit without replaceOnExist to run beside it",
                      spec.task_id, spec.group, task->schedule->row.id.ToString()));
    return;
  }
  JobRow row;
  row.key = {item.id, 0};
  row.kind = JobKind::kOneShot;
  row.spec = item.spec;
  row.priority = spec.priority;
  row.accepted_ms = now_.wall_ms;
  row.due_ms = spec.trigger_delay_ms  ? now_.wall_ms + *spec.trigger_delay_ms
               : spec.trigger_time_ms ? *spec.trigger_time_ms
                                      : now_.wall_ms;
  row.seq = next_seq_++;
  if (spec.expires_in_ms) row.expires_ms = now_.wall_ms + *spec.expires_in_ms;
  // The task may have gone with the row that was replaced.
  const auto again = group.tasks.find(spec.task_id);
  if (again != group.tasks.end()) {
    row.resident = true;
    for (Job* other : std::vector<Job*>(again->second.jobs)) MakeResident(*other);
  }
  ++stats_.accepted;
  if (outcome == SubmitOutcome::kReplaced) ++stats_.replaced;
  if (item.maybe_sent || IsAhead(item.id)) RememberResent(item.id);
  Insert(std::move(row));
  Reply(operation, StatusCode::kOk, outcome, item.id, {});
}

void Partition::SubmitSchedule(Operation& operation, Group& group, Task* task) {
  const SubmitItem& item = operation.submit;
  const model::JobSpec& spec = *item.spec;
  SubmitOutcome outcome = SubmitOutcome::kAccepted;
  auto fires = model::MakeFireTimes(spec, now_.wall_ms, options_.default_time_zone);
  if (!fires.ok()) {
    ++stats_.refused;
    Reply(operation, fires.status().code(), SubmitOutcome::kAccepted, item.id,
          fires.status().message());
    return;
  }
  // Before anything ends for its sake.
  if ((task == nullptr || task->schedule == nullptr) &&
      schedules_.size() >= options_.schedules_max) {
    ++stats_.over_schedules;
    Reply(operation, StatusCode::kResourceExhausted, SubmitOutcome::kAccepted, item.id,
          fmt::format("the partition holds {} schedules (limit schedules.max={})",
                      schedules_.size(), options_.schedules_max));
    return;
  }
  if (task != nullptr && task->schedule != nullptr) {
    Schedule& standing = *task->schedule;
    if (spec.fail_if_exists) {
      ++stats_.refused;
      Reply(operation, StatusCode::kAlreadyExists, SubmitOutcome::kDuplicate, standing.row.id,
            fmt::format("task {} of group {} is scheduled already as job {}", spec.task_id,
                        spec.group, standing.row.id.ToString()));
      return;
    }
    if (!spec.replace_on_exist) {
      ++stats_.duplicates;
      Reply(operation, StatusCode::kOk, SubmitOutcome::kDuplicate, standing.row.id, {});
      return;
    }
    const std::string message = fmt::format("replaced by job {}", item.id.ToString());
    const JobId standing_id = standing.row.id;
    const std::set<model::JobKey> occurrences = standing.occurrences;
    for (const model::JobKey& key : occurrences) {
      Job* job = FindJob(key);
      if (job->place != Job::Place::kExecuting)
        EndWithoutAttempt(*job, model::JobEvent::kReplace, message);
    }
    // With its last occurrence it may have ended by itself.
    const auto still = schedules_.find(standing_id);
    if (still != schedules_.end())
      DropSchedule(*still->second, model::ScheduleEvent::kReplace, message);
    // What executes goes on; a suspension was that of its schedule.
    for (const model::JobKey& key : occurrences) {
      if (Job* job = FindJob(key)) ResumeJob(*job);
    }
    outcome = SubmitOutcome::kReplaced;
  } else if (spec.replace_on_exist && task != nullptr) {
    for (const Job* job : task->jobs) {
      if (job->row.kind != JobKind::kOneShot || job->row.Started() ||
          job->place == Job::Place::kExecuting)
        continue;
      ++stats_.refused;
      Reply(operation, StatusCode::kAlreadyExists, SubmitOutcome::kDuplicate, job->row.key.id,
            fmt::format("task {} of group {} waits as one-shot job {}; a schedule never replaces "
                        "it: cancel it, or "
                        "submit without replaceOnExist to stand beside it",
                        spec.task_id, spec.group, job->row.key.id.ToString()));
      return;
    }
  }
  if (const auto again = group.tasks.find(spec.task_id); again != group.tasks.end()) {
    for (Job* other : std::vector<Job*>(again->second.jobs)) MakeResident(*other);
  }
  store::ScheduleRow row;
  row.id = item.id;
  row.spec = item.spec;
  row.seq = next_seq_++;
  row.accepted_ms = now_.wall_ms;
  // CRON fires strictly after its acceptance; the first run of a REPEAT may be due at once.
  row.last_fire_ms = spec.IsCron() ? now_.wall_ms : now_.wall_ms - 1;
  ++stats_.accepted;
  if (outcome == SubmitOutcome::kReplaced) ++stats_.replaced;
  if (item.maybe_sent || IsAhead(item.id)) RememberResent(item.id);
  Touch(TaskHash(spec.group, spec.task_id));
  Touch(IdHash(row.id));
  effects_->batch.mutations.emplace_back(store::PutSchedule{row});
  Schedule* schedule = AddSchedule(std::move(row));
  Reply(operation, StatusCode::kOk, outcome, item.id, {});
  MaybeEndSchedule(*schedule);
}

}  // namespace lts::core

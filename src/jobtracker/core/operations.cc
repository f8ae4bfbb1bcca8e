// Durable operations on what was accepted (I8): cancel, suspend, resume, terminate, trigger,
// update. What is to hold for an executing attempt's successors is a flag on its row, so that it
// holds for its retries and after a takeover.
#include <fmt/core.h>

#include <algorithm>

#include "jobtracker/core/state.h"
#include "model/cron.h"

namespace lts::core {

using model::JobId;
using model::JobKey;
using model::JobState;
using store::JobKind;
using store::JobRow;

namespace {

// Fires that are settled in one operation; with more due ones the schedule is to catch up first.
constexpr std::size_t kFiresAtOnce = 1'000;
// Fire times are at least 10 ms apart.
constexpr std::int32_t kShiftMax = 9;
constexpr char kSuspendedThen[] = "suspended when it was due";
constexpr char kUpdatedThen[] = "the schedule was updated before it was generated";

void Note(const JobId& id, JobState state, bool first, OperateReply& reply) {
  if (first || state == JobState::kRunning) reply.state = state;
  if (first) reply.id = id;
}

}  // namespace

// Named, not pointed to: what is done to one may end another.
struct Partition::Targets {
  std::optional<JobId> schedule;
  std::vector<JobKey> jobs;  // of the task, without the occurrences of that schedule
  bool none() const { return !schedule && jobs.empty(); }
};

Partition::Targets Partition::TargetsOf(const OperateEvent& event) {
  Targets targets;
  const auto group = groups_.find(event.group);
  if (group == groups_.end()) return targets;
  const auto task = group->second->tasks.find(event.task_id);
  if (task == group->second->tasks.end()) return targets;
  const Schedule* schedule = task->second.schedule;
  if (schedule != nullptr && (event.id.empty() || schedule->row.id == event.id)) {
    targets.schedule = schedule->row.id;
  }
  for (const Job* job : task->second.jobs) {
    const JobKey& key = job->row.key;
    if (schedule != nullptr && key.id == schedule->row.id) continue;
    if (event.id.empty() || key.id == event.id) targets.jobs.push_back(key);
  }
  return targets;
}

void Partition::Log(const JobId& id, const std::string& group, const std::string& task_id,
                    const char* type, std::string message) {
  store::LogRow row;
  row.key = {id, 0};
  row.line = next_seq_++;  // attempt 0: of no attempt
  row.time_ms = now_.wall_ms;
  row.type = type;
  row.level = "INFO";
  row.group = group;
  row.task_id = task_id;
  row.message = std::move(message);
  effects_->batch.mutations.emplace_back(store::InsertLog{std::move(row)});
}

bool Partition::IsOvertaken(const OperateEvent& event) {
  if (event.number == 0 || event.client.empty()) return false;
  // Too many to remember: the order of all of them is forgotten.
  if (newest_operation_.size() >= options_.lookups_max) newest_operation_.clear();
  std::string key = KeyOf(event.group, event.task_id);
  key.append(1, '\0').append(event.client);
  std::uint64_t& newest = newest_operation_[std::move(key)];
  if (event.number < newest) return true;
  newest = event.number;
  return false;
}

void Partition::RunOperate(Operation& operation) {
  const OperateEvent& event = operation.operate;
  OperateReply reply;
  reply.request = event.request;
  const Targets targets = TargetsOf(event);
  const Job* const made = event.new_id.empty() ? nullptr : FindJob({event.new_id, 0});
  if (IsOvertaken(event)) {
    reply.code = StatusCode::kFailedPrecondition;
    reply.id = event.id;
    reply.message = "a later operation of the same client on this task has been carried out";
  } else if (made != nullptr &&
             (made->row.spec->task_id != event.task_id || made->row.spec->group != event.group)) {
    reply.code = StatusCode::kAlreadyExists;
    reply.id = event.new_id;
    reply.message =
        fmt::format("new_job_id {}: is that of task {} of group {}; an id names one job",
                    event.new_id.ToString(), made->row.spec->task_id, made->row.spec->group);
  } else if (!event.new_id.empty() && (operation.made_ended || made != nullptr)) {
    // Sent again: the same answer, nothing new (I2).
    ++stats_.duplicates;
    reply.id = event.new_id;
    reply.state = made != nullptr && made->place == Job::Place::kExecuting ? JobState::kRunning
                                                                           : JobState::kWaiting;
  } else if (targets.none()) {
    reply.code = StatusCode::kNotFound;
    reply.id = event.id;
    reply.message =
        event.id.empty()
            ? fmt::format("nothing stands under task {} of group {}", event.task_id, event.group)
            : fmt::format("job {} is not there any more, or never was", event.id.ToString());
  } else {
    switch (event.kind) {
      case OperationKind::kCancel: Cancel(targets, reply); break;
      case OperationKind::kSuspend: Suspend(targets, reply); break;
      case OperationKind::kResume: Resume(event, targets, reply); break;
      case OperationKind::kTerminate: Terminate(targets, reply); break;
      case OperationKind::kTrigger: Trigger(operation, targets, reply); break;
      case OperationKind::kUpdate: UpdateSpec(event, targets, reply); break;
    }
  }
  effects_->operate_replies.push_back(std::move(reply));
}

void Partition::MarkInto(const Job& job, JobRow& row) const {
  row.state = JobState::kRunning;
  row.mark = job.token;
  row.mark_worker = job.worker->identity;
}

// ---- cancel and terminate

JobState Partition::CancelJob(Job& job, const char* what) {
  if (!job.row.cancel_requested) {
    Log(job.row.key.id, job.row.spec->group, job.row.spec->task_id, "DEL",
        fmt::format("{}{}", what, job.place == Job::Place::kExecuting ? " while it runs" : ""));
  }
  if (job.place != Job::Place::kExecuting) {
    EndWithoutAttempt(job, model::JobEvent::kCancel, "cancelled");
    return JobState::kCancelled;
  }
  if (!job.row.cancel_requested) {
    JobRow after = job.row;
    after.cancel_requested = true;
    MarkInto(job, after);
    Update(job, std::move(after));
  }
  if (job.worker->stream != 0) {
    SendTo(job.worker->stream).stops.push_back({job.row.key, job.row.attempt, job.token});
  }
  return JobState::kRunning;
}

void Partition::CancelSchedule(Schedule& schedule, const std::string& message) {
  const JobId id = schedule.row.id;
  Log(id, schedule.row.spec->group, schedule.row.spec->task_id, "DEL", message);
  for (const JobKey& key : std::set<JobKey>(schedule.occurrences)) {
    if (Job* job = FindJob(key)) CancelJob(*job, "cancelled");
  }
  // Without occurrences the last one may have ended the schedule.
  const auto found = schedules_.find(id);
  if (found != schedules_.end())
    DropSchedule(*found->second, model::ScheduleEvent::kCancel, message);
}

void Partition::Cancel(const Targets& targets, OperateReply& reply) {
  bool first = true;
  if (targets.schedule) {
    CancelSchedule(*schedules_.at(*targets.schedule), "cancelled");
    Note(*targets.schedule, JobState::kEnded, std::exchange(first, false), reply);
  }
  for (const JobKey& key : targets.jobs) {
    Job* job = FindJob(key);
    if (job == nullptr) continue;
    Note(key.id, CancelJob(*job, "cancelled"), std::exchange(first, false), reply);
  }
}

// The run ends as if it had been cancelled; a schedule goes on.
void Partition::Terminate(const Targets& targets, OperateReply& reply) {
  std::vector<JobKey> keys = targets.jobs;
  if (targets.schedule) {
    const Schedule& schedule = *schedules_.at(*targets.schedule);
    keys.insert(keys.end(), schedule.occurrences.begin(), schedule.occurrences.end());
  }
  bool first = true;
  for (const JobKey& key : keys) {
    Job* job = FindJob(key);
    if (job == nullptr || job->place != Job::Place::kExecuting) continue;
    ++stats_.terminated;
    Note(key.id, CancelJob(*job, "terminated"), std::exchange(first, false), reply);
  }
  if (!first) return;
  reply.code = StatusCode::kFailedPrecondition;
  reply.id = targets.schedule ? *targets.schedule : keys.front().id;
  reply.message = fmt::format(
      "nothing of job {} runs at the moment; cancel ends what waits, suspend keeps it from running",
      reply.id.ToString());
}

// ---- suspend and resume

JobState Partition::SuspendJob(Job& job) {
  const bool executing = job.place == Job::Place::kExecuting;
  if (executing ? job.row.suspend_requested : job.row.state == JobState::kSuspended) {
    return job.row.state;
  }
  JobRow after = job.row;
  after.resident = true;  // the windows do not read what is suspended
  if (executing) {
    after.suspend_requested = true;
    MarkInto(job, after);
  } else {
    after.state = StateAfter(job, model::JobEvent::kSuspend, model::Outcome::kNone);
  }
  Update(job, std::move(after));
  return job.row.state;
}

JobState Partition::ResumeJob(Job& job) {
  if (job.place != Job::Place::kExecuting && job.row.state != JobState::kSuspended) {
    return job.row.state;
  }
  if (job.place == Job::Place::kExecuting && !job.row.suspend_requested) return JobState::kRunning;
  JobRow after = job.row;
  after.suspend_requested = false;
  if (job.place != Job::Place::kExecuting) {
    after.state = StateAfter(job, model::JobEvent::kResume, model::Outcome::kNone);
  }
  Update(job, std::move(after));
  return job.place == Job::Place::kExecuting ? JobState::kRunning : JobState::kWaiting;
}

bool Partition::RoomToSuspend(const Targets& targets, OperateReply& reply) {
  const bool needed = std::any_of(targets.jobs.begin(), targets.jobs.end(),
                                  [&](const JobKey& key) { return !FindJob(key)->row.resident; });
  if (!needed) return true;
  const Status room = RoomForResident();
  reply.code = room.code();
  reply.message = room.message();
  reply.id = targets.jobs.front().id;
  return room.ok();
}

void Partition::Suspend(const Targets& targets, OperateReply& reply) {
  if (!RoomToSuspend(targets, reply)) return;
  ++stats_.suspended;
  bool first = true;
  if (targets.schedule) {
    // What was due before it counts as fired.
    const auto standing = [&] { return schedules_.find(*targets.schedule); };
    if (!frozen_ && standing()->second->armed_ms <= now_.wall_ms) Fire(*standing()->second);
    if (standing() == schedules_.end()) {
      Note(*targets.schedule, JobState::kEnded, std::exchange(first, false), reply);
    } else {
      Schedule& schedule = *standing()->second;
      for (const JobKey& key : schedule.occurrences) SuspendJob(*FindJob(key));
      if (schedule.row.state != JobState::kSuspended) {
        Log(schedule.row.id, schedule.row.spec->group, schedule.row.spec->task_id, "SUSPEND",
            "suspended");
        schedule.row.state = JobState::kSuspended;
        schedule.row.silent_from_ms = now_.wall_ms;
        effects_->batch.mutations.emplace_back(store::PutSchedule{schedule.row});
        ArmSchedule(schedule);
      }
      Note(*targets.schedule, JobState::kSuspended, std::exchange(first, false), reply);
    }
  }
  for (const JobKey& key : targets.jobs) {
    Job* job = FindJob(key);
    if (job == nullptr) continue;
    if (job->row.state != JobState::kSuspended && !job->row.suspend_requested) {
      Log(key.id, job->row.spec->group, job->row.spec->task_id, "SUSPEND", "suspended");
    }
    Note(key.id, SuspendJob(*job), std::exchange(first, false), reply);
  }
}

void Partition::Resume(const OperateEvent& event, const Targets& targets, OperateReply& reply) {
  bool first = true;
  if (targets.schedule) {
    Schedule& schedule = *schedules_.at(*targets.schedule);
    store::ScheduleRow& row = schedule.row;
    const bool ahead =
        event.reset && std::max(row.last_fire_ms, row.silent_until_ms) > now_.wall_ms;
    if (ahead && now_.wall_ms <= row.shift_until_ms && row.shift >= kShiftMax) {
      reply.code = StatusCode::kFailedPrecondition;
      reply.id = row.id;
      reply.message = fmt::format(
          "schedule {} was reset {} times since its clock went back; it fires again when the clock "
          "has come as far as before, in {} ms",
          row.id.ToString(), row.shift, row.last_fire_ms - now_.wall_ms);
      return;
    }
    if (row.state == JobState::kSuspended || ahead) {
      Log(row.id, row.spec->group, row.spec->task_id, "RESUME",
          ahead ? "resumed, reset" : "resumed");
      FlushSkips(schedule);
    }
    if (ahead) {
      ++stats_.resets;
      if (row.last_fire_ms > now_.wall_ms) {
        row.shift = now_.wall_ms <= row.shift_until_ms ? row.shift + 1 : 1;
        row.shift_until_ms = std::max(row.shift_until_ms, row.last_fire_ms);
        row.last_fire_ms = now_.wall_ms;
      }
      row.silent_until_ms = std::min(row.silent_until_ms, now_.wall_ms);
      if (schedule.timed_ms() > now_.wall_ms) Rebase(schedule);
      // What was made for a time ahead does not keep the others back until then.
      for (const JobKey& key : schedule.occurrences) {
        Job& job = *FindJob(key);
        if (job.place == Job::Place::kExecuting || job.row.due_ms <= now_.wall_ms) continue;
        JobRow after = job.row;
        after.due_ms = now_.wall_ms;
        Update(job, std::move(after));
      }
    }
    if (row.state == JobState::kSuspended) {
      row.state = JobState::kActive;
      row.silent_until_ms = now_.wall_ms;
      row.silent_reason = kSuspendedThen;
    }
    const JobId id = row.id;
    ++stats_.resumed;
    effects_->batch.mutations.emplace_back(store::PutSchedule{row});
    for (const JobKey& key : schedule.occurrences) ResumeJob(*FindJob(key));
    ArmSchedule(schedule);
    MaybeEndSchedule(schedule);
    Note(id, schedules_.contains(id) ? JobState::kActive : JobState::kEnded,
         std::exchange(first, false), reply);
  }
  for (const JobKey& key : targets.jobs) {
    Job* job = FindJob(key);
    if (job == nullptr) continue;
    if (job->row.state == JobState::kSuspended || job->row.suspend_requested) {
      ++stats_.resumed;
      Log(key.id, job->row.spec->group, job->row.spec->task_id, "RESUME", "resumed");
    }
    Note(key.id, ResumeJob(*job), std::exchange(first, false), reply);
  }
}

// Its timing was set by a clock that was ahead. What comes after elapsed times keeps its phase, so
// that no cycle is that of an earlier run.
void Partition::Rebase(Schedule& schedule) {
  store::ScheduleRow& row = schedule.row;
  DurationMs interval_ms = row.spec->IsRepeat() ? row.spec->repeat_interval_ms : 0;
  if (row.spec->IsCron()) {
    const auto cron = model::CronExpression::Parse(row.spec->cron);
    if (cron.ok()) interval_ms = cron->interval_ms().value_or(0);
  }
  const DurationMs back_ms = schedule.timed_ms() - now_.wall_ms;
  row.timed_ms = interval_ms == 0 ? now_.wall_ms
                                  : schedule.timed_ms() -
                                        (back_ms + interval_ms - 1) / interval_ms * interval_ms;
  auto fires = model::MakeFireTimes(*row.spec, row.timed_ms, options_.default_time_zone);
  if (fires.ok() && schedule.fires != nullptr) schedule.fires = *std::move(fires);
}

// ---- trigger

void Partition::Trigger(const Operation& operation, const Targets& targets, OperateReply& reply) {
  if (targets.schedule) {
    TriggerSchedule(operation, *schedules_.at(*targets.schedule), reply);
    return;
  }
  // The one-shot that waits, or is between attempts.
  Job* job = nullptr;
  for (const JobKey& key : targets.jobs) {
    Job* each = FindJob(key);
    if (job == nullptr || job->place == Job::Place::kExecuting) job = each;
  }
  reply.id = job->row.key.id;
  reply.state = job->row.state;
  const auto refuse = [&](StatusCode code, std::string message) {
    reply.code = code;
    reply.message = std::move(message);
  };
  if (!operation.operate.params.empty()) {
    refuse(StatusCode::kInvalidArgument,
           fmt::format("params: job {} is no schedule and runs once, with its own parameters; "
                       "update them, then trigger it",
                       reply.id.ToString()));
  } else if (job->place == Job::Place::kExecuting) {
    refuse(StatusCode::kFailedPrecondition,
           fmt::format("job {} runs already", reply.id.ToString()));
  } else if (job->row.state == JobState::kSuspended) {
    refuse(StatusCode::kFailedPrecondition,
           fmt::format("job {} is suspended; resume it", reply.id.ToString()));
  } else if (job->row.due_ms > now_.wall_ms) {
    ++stats_.triggered;
    Log(reply.id, job->row.spec->group, job->row.spec->task_id, "UPDATE", "triggered, due now");
    JobRow after = job->row;
    after.due_ms = now_.wall_ms;
    Update(*job, std::move(after));
  }
}

void Partition::TriggerSchedule(const Operation& operation, Schedule& schedule,
                                OperateReply& reply) {
  const OperateEvent& event = operation.operate;
  const model::JobSpec& spec = *schedule.row.spec;
  reply.id = schedule.row.id;
  const auto refuse = [&](const Status& status) {
    ++stats_.refused;
    reply.code = status.code();
    reply.message = status.message();
  };
  if (event.new_id.empty()) {
    refuse(Status::InvalidArgument("new_job_id \"\": a triggered run needs an id of its own"));
    return;
  }
  const Task& task = TaskOf(*schedule.group, schedule.task_id);
  const auto waiting = std::count_if(task.jobs.begin(), task.jobs.end(), [](const Job* job) {
    return job->row.kind == JobKind::kTrigger && job->place != Job::Place::kExecuting;
  });
  if (static_cast<std::size_t>(waiting) >= options_.triggers_waiting) {
    refuse(Status::ResourceExhausted(fmt::format(
        "{} triggered runs of schedule {} wait already (at most {}); try again when one has run",
        waiting, schedule.row.id.ToString(), options_.triggers_waiting)));
    return;
  }
  if (const Status room = RoomForResident(); !room.ok()) return refuse(room);
  auto run = model::RunOnce(spec, event.new_id.ToString(), event.params, options_.limits);
  if (!run.ok()) return refuse(run.status());
  ++stats_.triggered;
  Log(schedule.row.id, spec.group, spec.task_id, "UPDATE",
      fmt::format("triggered, as job {}", event.new_id.ToString()));
  if (event.maybe_sent || IsAhead(event.new_id)) RememberResent(event.new_id);
  JobRow row;
  row.key = {event.new_id, 0};
  row.kind = JobKind::kTrigger;
  row.spec = *std::move(run);
  row.resident = true;
  row.priority = row.spec->priority;
  row.accepted_ms = row.due_ms = now_.wall_ms;
  row.seq = next_seq_++;
  if (row.spec->expires_in_ms) row.expires_ms = now_.wall_ms + *row.spec->expires_in_ms;
  reply.id = event.new_id;
  reply.state = JobState::kWaiting;
  Insert(std::move(row));
}

// ---- update

void Partition::UpdateSpec(const OperateEvent& event, const Targets& targets, OperateReply& reply) {
  Job* job = nullptr;
  model::JobSpecPtr before;
  if (targets.schedule) {
    reply.id = *targets.schedule;
    before = schedules_.at(reply.id)->row.spec;
  } else {
    // Of several the one that has not begun.
    for (const JobKey& key : targets.jobs) {
      Job* each = FindJob(key);
      if (each->row.kind == JobKind::kOccurrence) continue;  // its schedule is gone
      if (job == nullptr || job->row.Started() || job->place == Job::Place::kExecuting) job = each;
    }
    if (job == nullptr) {
      reply.code = StatusCode::kFailedPrecondition;
      reply.id = targets.jobs.front().id;
      reply.message =
          fmt::format("schedule {} has ended, only its last run has not", reply.id.ToString());
      return;
    }
    reply.id = job->row.key.id;
    reply.state = job->row.state;
    before = job->row.spec;
  }
  auto updated = model::ApplyUpdate(*before, *event.update, options_.limits, now_.wall_ms);
  if (!updated.ok()) {
    ++stats_.refused;
    reply.code = updated.status().code();
    reply.message = updated.status().message();
    return;
  }
  // Nothing grows beyond the limits that a submit has to keep.
  Status room = RoomForFeedback(*updated->spec);
  const bool grows = updated->spec->PayloadBytes() > before->PayloadBytes();
  const bool resident = job == nullptr || job->row.resident;
  if (room.ok() && grows && resident) room = RoomForResident();
  if (!room.ok()) {
    reply.code = room.code();
    reply.message = room.message();
    return;
  }
  if (job != nullptr) {
    UpdateOneShot(*updated, *job, reply);
  } else {
    UpdateSchedule(*updated, *schedules_.at(reply.id), reply);
  }
  if (reply.code != StatusCode::kOk) return;
  ++stats_.updated;
  Log(reply.id, before->group, before->task_id, "UPDATE", "updated: " + updated->changes);
}

// An executing attempt goes on with what it was given; its retries go by the new definition.
void Partition::UpdateOneShot(const model::UpdatedSpec& updated, Job& job, OperateReply& reply) {
  const bool begun = job.place == Job::Place::kExecuting || job.row.Started();
  if (updated.timing && begun) {
    reply.code = StatusCode::kFailedPrecondition;
    reply.message = fmt::format(
        "trigger_time_ms: job {} has begun to run, when it is due cannot change any more",
        job.row.key.id.ToString());
    return;
  }
  JobRow after = job.row;
  after.spec = updated.spec;
  if (updated.priority) after.priority = updated.spec->priority;
  if (updated.timing) {
    after.due_ms = updated.spec->trigger_delay_ms
                       ? now_.wall_ms + *updated.spec->trigger_delay_ms
                       : updated.spec->trigger_time_ms.value_or(now_.wall_ms);
  }
  if (updated.expiry) {
    after.expires_ms =
        updated.spec->expires_in_ms ? now_.wall_ms + *updated.spec->expires_in_ms : 0;
  }
  // A later owner must know that it was given out.
  if (job.place == Job::Place::kExecuting && after.spec->at_most_once) MarkInto(job, after);
  const JobKey key = job.row.key;
  Group& group = *job.group;
  Update(job, std::move(after));
  MaybeEvict(key);
  Shed(group);
}

// Occurrences that have been made keep their fire times and their run keys and take over the rest.
void Partition::UpdateSchedule(const model::UpdatedSpec& updated, Schedule& schedule,
                               OperateReply& reply) {
  const JobId id = schedule.row.id;
  reply.state = schedule.row.state;
  if (updated.timing) {
    auto fires = model::MakeFireTimes(*updated.spec, now_.wall_ms, options_.default_time_zone);
    if (!fires.ok()) {
      reply.code = fires.status().code();
      reply.message = fires.status().message();
      return;
    }
    // What was due by the old timing is settled by it.
    if (frozen_) {
      reply.code = StatusCode::kUnavailable;
      reply.message = "the store takes nothing at the moment; try again";
      return;
    }
    if (schedule.armed_ms <= now_.wall_ms) Fire(schedule);
    if (!schedules_.contains(id)) {
      reply.code = StatusCode::kNotFound;
      reply.message = fmt::format("schedule {} has just ended", id.ToString());
      return;
    }
    if (schedule.fires != nullptr) {
      const bool suspended = schedule.row.state == JobState::kSuspended;
      std::size_t count = 0;
      auto next = schedule.fires->Next(schedule.row.last_fire_ms);
      for (; next && *next <= now_.wall_ms && count < kFiresAtOnce; ++count) {
        const bool then = suspended && *next > schedule.row.silent_from_ms;
        Skip(schedule, *next, then ? kSuspendedThen : kUpdatedThen);
        next = schedule.fires->Next(*next);
      }
      if (next && *next <= now_.wall_ms) {
        effects_->batch.mutations.emplace_back(store::PutSchedule{schedule.row});
        reply.code = StatusCode::kUnavailable;
        reply.message =
            fmt::format("schedule {} has more than {} fires to account for first; try again",
                        id.ToString(), kFiresAtOnce);
        return;
      }
    } else {
      --without_fires_;
    }
    FlushSkips(schedule);
    schedule.fires = *std::move(fires);
    schedule.row.timed_ms = now_.wall_ms;
    schedule.row.last_fire_ms = std::max(schedule.row.last_fire_ms, now_.wall_ms);
  }
  schedule.row.spec = updated.spec;
  for (const JobKey& key : schedule.occurrences) {
    Job& job = *FindJob(key);
    JobRow after = job.row;
    after.spec = updated.spec;
    if (after.spec->rely_on_prev_cycle != job.row.spec->rely_on_prev_cycle) {
      auto kept = std::make_shared<model::JobSpec>(*updated.spec);
      kept->rely_on_prev_cycle = job.row.spec->rely_on_prev_cycle;
      after.spec = std::move(kept);
    }
    if (updated.priority) after.priority = updated.spec->priority;
    if (job.place == Job::Place::kExecuting && after.spec->at_most_once) MarkInto(job, after);
    Update(job, std::move(after));
  }
  effects_->batch.mutations.emplace_back(store::PutSchedule{schedule.row});
  ArmSchedule(schedule);
  MaybeEndSchedule(schedule);
  if (!schedules_.contains(id)) reply.state = JobState::kEnded;
}

}  // namespace lts::core

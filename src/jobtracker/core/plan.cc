// Fires of schedules become occurrences: each due fire exactly once (I5), each accounted for (I6).
#include <algorithm>

#include "jobtracker/core/state.h"

namespace lts::core {

using model::JobState;
using model::MisfirePolicy;
using store::JobRow;

namespace {

// Fires looked at in one go; a schedule with more due ones (a long outage) goes on at the next
// tick.
constexpr std::size_t kFiresPerTick = 1'000;
// Schedules fired in one go. When very many are due at once, the first ones are committed, and
// start, while the next ones are worked out.
constexpr std::size_t kSchedulesPerTick = 200;
constexpr char kMisfire[] = "misfire: not generated within misfire.grace of its time";
constexpr char kOverlap[] = "overlap: the cycle before it runs or waits";
constexpr char kTooMany[] = "overlap: too many occurrences wait";

TimeMs CycleOf(const store::ScheduleRow& row, TimeMs fire_ms) {
  return fire_ms <= row.shift_until_ms ? fire_ms + row.shift : fire_ms;
}

}  // namespace

Partition::Schedule* Partition::AddSchedule(store::ScheduleRow row) {
  // A zone that this host does not know any more (it was checked at submit): the schedule stays,
  // silent; it is counted, and the shell says so. It is never dropped.
  auto fires = model::MakeFireTimes(*row.spec, row.timed_ms != 0 ? row.timed_ms : row.accepted_ms,
                                    options_.default_time_zone);
  auto owned = std::make_unique<Schedule>();
  Schedule* schedule = owned.get();
  if (fires.ok()) {
    schedule->fires = *std::move(fires);
  } else {
    ++without_fires_;
  }
  max_last_fire_ms_ = std::max(max_last_fire_ms_, row.last_fire_ms);
  schedule->group = &GroupOf(row.spec->group);
  schedule->task_id = row.spec->task_id;
  TaskOf(*schedule->group, schedule->task_id).schedule = schedule;
  schedule->row = std::move(row);
  schedules_.emplace(schedule->row.id, std::move(owned));
  ArmSchedule(*schedule);
  return schedule;
}

void Partition::ArmSchedule(Schedule& schedule) {
  const store::ScheduleRow& row = schedule.row;
  const bool used_up =
      row.spec->IsRepeat() && row.spec->repeat_count > 0 && row.runs >= row.spec->repeat_count;
  schedule.next_ms.reset();
  if ((row.state == JobState::kActive || options_.faults.fire_while_suspended) &&
      schedule.fires != nullptr && !used_up && !refused_.contains({row.id, 0})) {
    schedule.next_ms = schedule.fires->Next(options_.faults.fire_lost_when_clock_steps_back
                                                ? std::max(row.last_fire_ms, max_wall_ms_)
                                                : row.last_fire_ms);
  }
  const TimeMs armed = schedule.next_ms.value_or(kNever);
  if (armed == schedule.armed_ms) return;
  if (schedule.armed_ms != kNever) fire_timers_.erase({schedule.armed_ms, row.id});
  schedule.armed_ms = armed;
  if (armed != kNever) fire_timers_.emplace(armed, row.id);
}

void Partition::FireDue() {
  // Those that stay due (more fires than one tick takes, or more schedules) come at the next tick,
  // which is wanted at once.
  std::vector<model::JobId> due;
  for (const auto& [time, id] : fire_timers_) {
    if (time > now_.wall_ms || due.size() == kSchedulesPerTick) break;
    due.push_back(id);
  }
  for (const model::JobId& id : due) {
    const auto found = schedules_.find(id);
    if (found != schedules_.end()) Fire(*found->second);
  }
}

void Partition::Fire(Schedule& schedule) {
  const model::JobSpec& spec = *schedule.row.spec;
  const MisfirePolicy policy = spec.misfire != MisfirePolicy::kDefault ? spec.misfire
                               : spec.rely_on_prev_cycle               ? MisfirePolicy::kFireOnce
                                                                       : MisfirePolicy::kCatchUp;
  const auto catch_up =
      static_cast<std::size_t>(spec.catch_up_max > 0 ? spec.catch_up_max : options_.catch_up_max);

  std::optional<TimeMs> next = schedule.fires->Next(schedule.row.last_fire_ms);
  std::size_t silent = 0;
  // Those that were owed before it was suspended still are.
  const auto is_silent = [&](TimeMs fire) {
    return fire > schedule.row.silent_from_ms && fire <= schedule.row.silent_until_ms;
  };
  for (; next && is_silent(*next) && *next <= now_.wall_ms && silent < kFiresPerTick; ++silent) {
    Skip(schedule, *next, schedule.row.silent_reason);
    next = schedule.fires->Next(*next);
  }
  std::vector<TimeMs> due;
  if (silent < kFiresPerTick) {
    while (next && *next <= now_.wall_ms && !is_silent(*next) &&
           due.size() < kFiresPerTick + catch_up) {
      due.push_back(*next);
      next = schedule.fires->Next(*next);
    }
  }
  if (due.empty()) {
    if (silent > 0) {
      effects_->batch.mutations.emplace_back(store::PutSchedule{schedule.row, /*stands=*/true});
    }
    ArmSchedule(schedule);
    MaybeEndSchedule(schedule);
    return;
  }
  const auto missed = [&](TimeMs fire) { return fire < now_.wall_ms - options_.misfire_grace_ms; };
  const bool more = next && *next <= now_.wall_ms && !is_silent(*next);
  std::size_t begin = 0;
  if (more) {
    // Many more are due: all but the last few of these are missed whatever the policy says.
    const std::size_t keep = std::min(due.size() - 1, catch_up);
    for (; begin < due.size() - keep; ++begin) Skip(schedule, due[begin], kMisfire);
    due.resize(begin);
  } else if (spec.rely_on_prev_cycle) {
    Job* active = nullptr;
    for (const model::JobKey& key : schedule.occurrences) active = FindJob(key);
    if (active != nullptr && active->place == Job::Place::kDated && active->row.attempt > 1 &&
        !MayRunUnseen(*active)) {
      // A pending retry yields to the next fire.
      EndWithoutAttempt(*active, model::JobEvent::kYield,
                        "RETRY_YIELDED: the next fire came before the retry");
      active = nullptr;
    }
    if (policy == MisfirePolicy::kCatchUp) {
      // One at a time, the oldest first; what is beyond the limit is skipped.
      while (due.size() - begin > catch_up) Skip(schedule, due[begin++], kMisfire);
      if (active == nullptr) Generate(schedule, due[begin]);
    } else if (active != nullptr) {
      for (const TimeMs fire : due) Skip(schedule, fire, missed(fire) ? kMisfire : kOverlap);
    } else {
      for (; begin + 1 < due.size(); ++begin) {
        Skip(schedule, due[begin], missed(due[begin]) ? kMisfire : kOverlap);
      }
      if (policy == MisfirePolicy::kSkip && missed(due.back())) {
        Skip(schedule, due.back(), kMisfire);
      } else {
        Generate(schedule, due.back());
      }
    }
  } else {
    const auto first_fresh =
        static_cast<std::size_t>(std::find_if_not(due.begin(), due.end(), missed) - due.begin());
    std::size_t keep_missed = 0;  // of the missed ones, the last so many run
    switch (policy) {
      case MisfirePolicy::kFireOnce: keep_missed = 1; break;
      case MisfirePolicy::kSkip: keep_missed = 0; break;
      case MisfirePolicy::kDefault:
      case MisfirePolicy::kCatchUp: keep_missed = catch_up; break;
    }
    std::size_t waiting = 0;
    for (const model::JobKey& key : schedule.occurrences) {
      const Job* job = FindJob(key);
      if (job->place != Job::Place::kExecuting && !job->row.Started()) ++waiting;
    }
    const std::size_t first_run = first_fresh - std::min(first_fresh, keep_missed);
    for (; begin < due.size(); ++begin) {
      if (spec.IsRepeat() && spec.repeat_count > 0 && schedule.row.runs >= spec.repeat_count) break;
      if (begin < first_run) {
        Skip(schedule, due[begin], kMisfire);
      } else if (waiting >= std::max<std::size_t>(catch_up, 1)) {
        Skip(schedule, due[begin], kTooMany);
      } else {
        Generate(schedule, due[begin]);
        ++waiting;
      }
    }
  }
  effects_->batch.mutations.emplace_back(store::PutSchedule{schedule.row, /*stands=*/true});
  ArmSchedule(schedule);
  // Rely and catch-up: what is still due waits for the end of the cycle under way.
  if (spec.rely_on_prev_cycle && policy == MisfirePolicy::kCatchUp && !more &&
      schedule.armed_ms <= now_.wall_ms && !schedule.occurrences.empty()) {
    fire_timers_.erase({schedule.armed_ms, schedule.row.id});
    schedule.armed_ms = kNever;
  }
  MaybeEndSchedule(schedule);
}

void Partition::Generate(Schedule& schedule, TimeMs fire_ms) {
  FlushSkips(schedule);
  store::ScheduleRow& row = schedule.row;
  row.last_fire_ms = fire_ms;
  max_last_fire_ms_ = std::max(max_last_fire_ms_, fire_ms);
  ++row.runs;
  ++stats_.fires;
  JobRow job;
  job.key = {row.id, options_.faults.occurrence_without_fire_time ? 0 : CycleOf(row, fire_ms)};
  job.kind = store::JobKind::kOccurrence;
  job.spec = row.spec;
  job.resident = true;
  job.priority = row.spec->priority;
  job.due_ms = fire_ms;
  job.seq = next_seq_++;
  job.accepted_ms = now_.wall_ms;
  if (row.spec->expires_in_ms) job.expires_ms = now_.wall_ms + *row.spec->expires_in_ms;
  schedule.occurrences.insert(job.key);
  Insert(std::move(job));
}

void Partition::Skip(Schedule& schedule, TimeMs fire_ms, const std::string& reason) {
  store::ScheduleRow& row = schedule.row;
  if (row.skip_count > 0 && row.skip_reason != reason) FlushSkips(schedule);
  if (row.skip_count == 0) {
    row.skip_first_ms = fire_ms;
    row.skip_reason = reason;
  }
  row.skip_last_ms = fire_ms;
  ++row.skip_count;
  row.last_fire_ms = fire_ms;
  max_last_fire_ms_ = std::max(max_last_fire_ms_, fire_ms);
  ++stats_.skipped_fires;
}

void Partition::FlushSkips(Schedule& schedule) {
  store::ScheduleRow& row = schedule.row;
  if (row.skip_count == 0) return;
  store::HistoryRow history;
  history.key = {row.id, CycleOf(row, row.skip_first_ms)};
  history.attempt = 0;
  history.final = true;
  history.state = JobState::kSkipped;
  history.kind = store::JobKind::kOccurrence;
  history.group = row.spec->group;
  history.task_id = row.spec->task_id;
  history.message = row.skip_reason;
  history.due_ms = row.skip_first_ms;
  history.ended_ms = now_.wall_ms;
  history.spec = row.spec;
  history.skipped = row.skip_count;
  history.skipped_last_ms = CycleOf(row, row.skip_last_ms);
  effects_->batch.mutations.emplace_back(store::InsertHistory{std::move(history)});
  row.skip_count = 0;
  row.skip_first_ms = row.skip_last_ms = 0;
  row.skip_reason.clear();
}

void Partition::OnOccurrenceEnded(const model::JobId& schedule_id) {
  const auto found = schedules_.find(schedule_id);
  if (found == schedules_.end()) return;
  ArmSchedule(*found->second);
  MaybeEndSchedule(*found->second);
}

void Partition::MaybeEndSchedule(Schedule& schedule) {
  if (schedule.next_ms || !schedule.occurrences.empty() || schedule.row.state != JobState::kActive)
    return;
  if (schedule.fires == nullptr) return;  // its zone is unknown here: kept, not ended
  if (refused_.contains({schedule.row.id, 0})) return;
  DropSchedule(schedule, model::ScheduleEvent::kFinish, "no further fire");
}

void Partition::DropSchedule(Schedule& schedule, model::ScheduleEvent event,
                             const std::string& message) {
  FlushSkips(schedule);
  const auto state = model::NextScheduleState(schedule.row.state, event);
  if (!state) Fault("schedule " + schedule.row.id.ToString() + " cannot end in its state");
  const store::ScheduleRow& row = schedule.row;
  store::HistoryRow history;
  history.key = {row.id, 0};
  history.final = true;
  history.is_schedule = true;
  history.state = state.value_or(JobState::kEnded);
  history.group = row.spec->group;
  history.task_id = row.spec->task_id;
  history.message = message;
  history.due_ms = row.last_fire_ms;
  history.accepted_ms = row.accepted_ms;
  history.runs = row.runs;
  history.ended_ms = now_.wall_ms;
  history.spec = row.spec;
  Touch(TaskHash(row.spec->group, row.spec->task_id));
  Touch(IdHash(row.id));
  effects_->batch.mutations.emplace_back(
      store::DeleteSchedule{row.id, row.spec->group, row.spec->task_id});
  effects_->batch.mutations.emplace_back(store::InsertHistory{std::move(history)});
  if (schedule.armed_ms != kNever) fire_timers_.erase({schedule.armed_ms, row.id});
  if (schedule.fires == nullptr) --without_fires_;
  Group& group = *schedule.group;
  const std::string task_id = schedule.task_id;
  TaskOf(group, task_id).schedule = nullptr;
  RememberGone(row.id);
  schedules_.erase(model::JobId(row.id));
  ForgetTaskIfEmpty(group, task_id);
}

}  // namespace lts::core

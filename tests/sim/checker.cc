#include "checker.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>

#include "jobtracker/partition_host.h"
#include "task_tracker.h"
#include "tracker.h"
#include "world.h"

namespace lts::sim {

using model::JobId;
using model::JobKey;
using model::JobState;
using model::Outcome;
using store::JobKind;
using store::JobRow;

namespace {

// How much older than its delivery a decision to dispatch may be, when nothing is wrong: commits,
// look-ups and refills are under way meanwhile.
constexpr std::int64_t kOrderSlackUs = 2'000'000;

constexpr DurationMs kClockErrorMs = 100;

std::string Text(const JobKey& key) { return fmt::format("{}/{}", key.id.ToString(), key.cycle); }

bool Shares(const JobRow& row) {
  return row.kind != JobKind::kOccurrence || row.spec->rely_on_prev_cycle;
}

}  // namespace

void Checker::Fail(const std::string& invariant, const JobId& job, const std::string& what) {
  world_.Fail(invariant, job, what);
}

std::string Checker::RunKeyOf(const JobRow& row) {
  std::string key = row.spec->group + '\0' + row.spec->task_id;
  // Two schedules that stood under one task one after the other may share a fire time, not a run.
  if (!Shares(row)) key += fmt::format("@{}@{}", row.key.cycle, row.key.id.ToString());
  return key;
}

Checker::Position Checker::PositionOf(const JobRow& row) {
  return {row.priority, row.due_ms, row.seq, row.key};
}

// The latest time that the owner's clock may have shown when it decided what is seen now.
TimeMs Checker::WallMax() const {
  const TimeMs now = world_.core_clock().WallMs();
  // The offset to the store's clock is known but for half of what a question takes.
  if (world_.config().cluster()) return now + kClockErrorMs;
  return world_.loop().now_us() < stepped_back_until_us_ ? now + stepped_back_ms_ : now;
}

void Checker::OnWallStep(DurationMs by_ms) {
  OnTroubleEverywhere();
  if (by_ms >= 0) return;
  const std::int64_t now = world_.loop().now_us();
  wall_high_ms_ = std::max(wall_high_ms_, world_.core_clock().WallMs() - by_ms);
  last_step_back_us_ = now;
  if (now >= stepped_back_until_us_) stepped_back_ms_ = 0;
  stepped_back_ms_ -= by_ms;
  stepped_back_until_us_ = now + 30'000'000;
}

void Checker::OnTrouble(std::uint32_t partition) {
  std::int64_t& until = trouble_until_us_[partition];
  until = std::max(until, world_.loop().now_us() + 2 * kOrderSlackUs);
}

void Checker::OnTroubleEverywhere() {
  trouble_everywhere_until_us_ =
      std::max(trouble_everywhere_until_us_, world_.loop().now_us() + 2 * kOrderSlackUs);
}

void Checker::OnAcquired(std::uint32_t partition) {
  acquired_us_[partition] = world_.loop().now_us();
  OnTrackerLoaded(partition);
}

void Checker::OnTrackerLoaded(std::uint32_t partition) {
  loaded_us_[partition] = world_.loop().now_us();
}

// ---- what is durable --------------------------------------------------------------------------

void Checker::OnApplied(std::uint32_t partition, const store::MutationBatch& batch) {
  batch_deleted_.clear();
  batch_final_.clear();
  batch_feedback_.clear();
  for (const store::Mutation& mutation : batch.mutations) Apply(partition, mutation);
  for (const JobKey& key : batch_deleted_) {
    if (!batch_final_.contains(key)) Fail("I1", key.id, Text(key) + " was deleted without an end");
  }
  for (const JobKey& key : batch_final_) {
    if (jobs_.contains(key)) Fail("I4", key.id, Text(key) + " has ended and its row stands");
  }
}

void Checker::Apply(std::uint32_t partition, const store::Mutation& mutation) {
  struct Visitor {
    Checker& c;
    std::uint32_t partition;
    void operator()(const store::InsertJob& m) { c.InsertJob(partition, m.row); }
    void operator()(const store::UpdateJob& m) { c.UpdateJob(m); }
    void operator()(const store::DeleteJob& m) {
      const auto found = c.jobs_.find(m.row.key);
      if (found == c.jobs_.end()) return;
      c.world_.Note(m.row.key.id, 1, "row deleted cycle={}", m.row.key.cycle);
      const JobRow& row = found->second.row;
      c.waiting_[row.spec->group].erase(PositionOf(row));
      std::set<JobKey>& task = c.tasks_[{row.spec->group, row.spec->task_id}];
      task.erase(row.key);
      // It may have kept the others from running until now.
      for (const JobKey& other : task) c.jobs_.at(other).since_us = c.world_.loop().now_us();
      c.batch_deleted_.insert(m.row.key);
      c.jobs_.erase(found);
    }
    void operator()(const store::InsertHistory& m) { c.InsertHistory(partition, m.row); }
    void operator()(const store::PutSchedule& m) { c.PutSchedule(partition, m.row); }
    void operator()(const store::DeleteSchedule& m) {
      const auto found = c.schedules_.find(m.id);
      if (found != c.schedules_.end()) found->second.ended = true;
    }
    void operator()(const store::InsertFeedback& m) {
      c.batch_feedback_.insert(m.row.key);
      Feedback& feedback = c.feedback_[m.row.key];
      if (!feedback.row.submit_group.empty()) {
        c.Fail("I4", m.row.key.id, Text(m.row.key) + " has two feedback rows");
      }
      feedback.row = m.row;
    }
    void operator()(const store::DeleteFeedback& m) {
      Feedback& feedback = c.feedback_[m.key];
      if (!feedback.acked) {
        c.Fail("I4", m.key.id, Text(m.key) + " lost its feedback before it was acknowledged");
      }
      feedback.deleted = true;
    }
    void operator()(const store::InsertLog&) {}
    void operator()(const store::PutWorker&) {}
    void operator()(const store::DeleteWorker&) {}
  };
  std::visit(Visitor{*this, partition}, mutation);
}

void Checker::InsertJob(std::uint32_t partition, const JobRow& row) {
  const JobKey key = row.key;
  world_.Note(key.id, 2, "row inserted task={} cycle={} due={} seq={} resident={}",
              row.spec->task_id, key.cycle, row.due_ms, row.seq, row.resident);
  if (row.kind == JobKind::kOccurrence) {
    const auto found = schedules_.find(key.id);
    if (found == schedules_.end() || found->second.ended) {
      Fail("I6", key.id, "an occurrence of a schedule that does not stand");
      return;
    }
    Schedule& schedule = found->second;
    if (schedule.row.state == JobState::kSuspended) {
      Fail("I8", key.id, fmt::format("a suspended schedule fires, cycle {}", key.cycle));
    }
    const TimeMs fire = FireOf(schedule.row, key.cycle);
    if (schedule.fires->Next(fire - 1) != fire || row.due_ms != fire) {
      Fail("I5", key.id, fmt::format("cycle {} is not a fire time of the schedule", key.cycle));
    }
    if (!schedule.generated.insert(key.cycle).second) {
      Fail("I5", key.id, fmt::format("fire {} has two occurrences", key.cycle));
    }
    if (fire > WallMax()) Fail("I6", key.id, fmt::format("fire {} is in the future", key.cycle));
    if (row.spec->repeat_count > 0 && row.spec->IsRepeat() &&
        schedule.generated.size() > static_cast<std::size_t>(row.spec->repeat_count)) {
      Fail("I5", key.id, "more runs than repeat_count");
    }
  } else {
    if (!inserted_.insert(key.id).second) {
      Fail("I2", key.id, "the id was accepted twice");
    }
    for (const JobKey& other_key : tasks_[{row.spec->group, row.spec->task_id}]) {
      const Row& other = jobs_.at(other_key);
      if (row.kind != JobKind::kOneShot || other.row.kind != JobKind::kOneShot ||
          other.row.Started() || other.ever_assigned) {
        continue;
      }
      // The core may have handed it out in the meantime: then it tells so itself.
      const core::Partition* core = world_.OwnerCore(partition);
      if (core == nullptr || core->Stats().undelivered > 0) continue;
      // What is not in memory waits in the store.
      const auto live = core->Find(other_key);
      if (live && (live->executing || live->row.attempt > 1)) continue;
      Fail("I3", key.id,
           "two waiting one-shots of a task, the other is " + other_key.id.ToString());
    }
  }
  Row& added = jobs_[key];
  added.row = row;
  added.partition = partition;
  added.inserted_us = added.since_us = world_.loop().now_us();
  waiting_[row.spec->group].insert(PositionOf(row));
  tasks_[{row.spec->group, row.spec->task_id}].insert(key);
}

void Checker::UpdateJob(const store::UpdateJob& update) {
  const auto found = jobs_.find(update.row.key);
  if (found == jobs_.end()) return;  // the store has refused it
  Row& known = found->second;
  const JobRow& row = update.row;
  world_.Note(
      row.key.id, 3,
      "row updated cycle={} attempt={} state={} mark={} lost={} cancel={} due={} resident={}",
      row.key.cycle, row.attempt, model::Name(row.state), model::ToString(row.mark), row.lost,
      row.cancel_requested, row.due_ms, row.resident);
  if (row.attempt != known.row.attempt) {
    if (row.attempt != known.row.attempt + 1 ||
        !history_[row.key].attempts.contains(known.row.attempt)) {
      Fail("I4", row.key.id,
           fmt::format("attempt {} follows {} without its history row", row.attempt,
                       known.row.attempt));
    }
    known.assigned = false;
    if (known.row.cancel_requested)
      Fail("I8", row.key.id, "a cancelled job goes on to another attempt");
  }
  if (known.row.cancel_requested && !row.cancel_requested)
    Fail("I8", row.key.id, "a cancel was forgotten");
  CheckCounts(known.row, row);
  CheckSuspension(known.row, row);
  if (row.mark < known.row.mark) Fail("I7", row.key.id, "the mark went back");
  waiting_[row.spec->group].erase(PositionOf(known.row));
  if (row.state == JobState::kWaiting) waiting_[row.spec->group].insert(PositionOf(row));
  known.row = row;
  known.since_us = world_.loop().now_us();
}

void Checker::InsertHistory(std::uint32_t partition, const store::HistoryRow& row) {
  world_.Note(row.key.id, 4,
              "history cycle={} attempt={} outcome={} final={} state={} token={} \"{}\"",
              row.key.cycle, row.attempt, model::Name(row.outcome), row.final,
              model::Name(row.state), model::ToString(row.token), row.message);
  if (row.is_schedule) {
    const auto found = schedules_.find(row.key.id);
    if (found == schedules_.end()) return;
    const Schedule& schedule = found->second;
    if (row.state != JobState::kEnded) {
      Fail("I6", row.key.id, fmt::format("the schedule ended {}", model::Name(row.state)));
    } else if (row.message == "no further fire") {
      const bool used_up = schedule.row.spec->IsRepeat() && schedule.row.spec->repeat_count > 0 &&
                           schedule.row.runs >= schedule.row.spec->repeat_count;
      if (!used_up && schedule.fires->Next(schedule.row.last_fire_ms)) {
        Fail("I6", row.key.id, "the schedule ended although it has further fires");
      }
    } else if (row.message == "cancelled") {
      if (!cancel_ids_.contains(row.key.id) && !cancel_tasks_.contains({row.group, row.task_id})) {
        Fail("I6", row.key.id, "the schedule was cancelled by nobody");
      }
    } else if (!row.message.starts_with("replaced by job ")) {
      Fail("I6", row.key.id, fmt::format("the schedule ended for no reason: \"{}\"", row.message));
    }
    return;
  }
  if (row.state == JobState::kSkipped && row.kind == JobKind::kOccurrence && row.skipped > 0) {
    const auto found = schedules_.find(row.key.id);
    if (found == schedules_.end()) return;
    std::int64_t count = 0;
    const store::ScheduleRow& schedule = found->second.row;
    for (auto fire = found->second.fires->Next(FireOf(schedule, row.key.cycle) - 1);
         fire && *fire <= FireOf(schedule, row.skipped_last_ms);
         fire = found->second.fires->Next(*fire)) {
      ++count;
      if (found->second.generated.contains(CycleOf(schedule, *fire))) {
        Fail("I6", row.key.id, fmt::format("fire {} ran and is counted as skipped", *fire));
      }
    }
    if (count != row.skipped) {
      Fail("I6", row.key.id,
           fmt::format("{} fires from {} to {}, the skip row says {}", count, row.key.cycle,
                       row.skipped_last_ms, row.skipped));
    }
    found->second.skipped.emplace_back(row.key.cycle, row.skipped_last_ms);
    return;
  }
  KeyHistory& history = history_[row.key];
  if (!history.attempts.insert(row.attempt).second) {
    Fail("I4", row.key.id, fmt::format("attempt {} has two history rows", row.attempt));
  }
  if (history.final) Fail("I4", row.key.id, Text(row.key) + " goes on after its end");
  CheckResult(partition, row);
  history.last = row.outcome;
  const auto ran = execution_of_.find({partition, row.token});
  history.snoozed = row.outcome == Outcome::kExecuteLater && ran != execution_of_.end() &&
                    executions_[ran->second].later_ms > 0;
  if (!row.final) return;
  history.final = true;
  history.state = row.state;
  batch_final_.insert(row.key);
  if (row.spec == nullptr) {
    Fail("I4", row.key.id, "a final row without the definition of the job");
    return;
  }
  if (row.spec->need_feedback && !row.spec->submit_group.empty() &&
      !batch_feedback_.contains(row.key)) {
    Fail("I4", row.key.id, "an end without the feedback that was asked for");
  }
  if ((row.state == JobState::kSucceeded) != (row.outcome == Outcome::kExecuteSuccess)) {
    Fail("I4", row.key.id,
         fmt::format("ended {} after {}", model::Name(row.state), model::Name(row.outcome)));
  }
  if (row.state == JobState::kCancelled && !cancel_ids_.contains(row.key.id) &&
      !cancel_tasks_.contains({row.group, row.task_id}) && !terminate_ids_.contains(row.key.id) &&
      !terminate_tasks_.contains({row.group, row.task_id})) {
    Fail("I8", row.key.id, "cancelled by nobody");
  }
}

// Retries are what a job has done wrong, or what it asked for without saying when.
void Checker::CheckCounts(const JobRow& before, const JobRow& after) {
  if (after.attempt != before.attempt + 1) return;
  const KeyHistory& history = history_[after.key];
  const bool failed = history.last == Outcome::kExecuteException ||
                      history.last == Outcome::kTimedOut ||
                      (history.last == Outcome::kExecuteLater && !history.snoozed);
  const auto expect = [&](const char* what, std::int32_t was, std::int32_t is, bool grows) {
    if (is == was + (grows ? 1 : 0)) return;
    Fail("I4", after.key.id,
         fmt::format("{} {} after {} and {}{}", is, what, was, model::Name(history.last),
                     history.snoozed ? " with a delay" : ""));
  };
  expect("retries", before.retries, after.retries, failed);
  expect("snoozes", before.snoozes, after.snoozes, history.snoozed);
}

void Checker::CheckSuspension(const JobRow& before, const JobRow& after) {
  const bool next = after.attempt != before.attempt;
  if (next && before.suspend_requested && after.state != JobState::kSuspended) {
    Fail("I8", after.key.id, "the retry of a suspended job does not wait");
  }
  const bool freed = (before.state == JobState::kSuspended && after.state != before.state) ||
                     (!next && before.suspend_requested && !after.suspend_requested &&
                      after.state != JobState::kSuspended);
  // A suspension ends with its schedule.
  const auto schedule = schedules_.find(after.key.id);
  if (schedule != schedules_.end() && schedule->second.ended) return;
  if (freed && !resume_ids_.contains(after.key.id) &&
      !resume_tasks_.contains({after.spec->group, after.spec->task_id})) {
    Fail("I8", after.key.id, "a suspended job goes on though nobody has resumed it");
  }
}

TimeMs Checker::CycleOf(const store::ScheduleRow& row, TimeMs fire_ms) {
  return fire_ms <= row.shift_until_ms ? fire_ms + row.shift : fire_ms;
}

TimeMs Checker::FireOf(const store::ScheduleRow& row, TimeMs cycle) {
  return cycle - row.shift <= row.shift_until_ms ? cycle - row.shift : cycle;
}

// A result that counts is that of the attempt it names, and of its last execution.
void Checker::CheckResult(std::uint32_t partition, const store::HistoryRow& row) {
  if (const auto job = jobs_.find(row.key); job != jobs_.end()) {
    if (job->second.row.attempt != row.attempt) {
      Fail("I4", row.key.id,
           fmt::format("history of attempt {} while {} is the present one", row.attempt,
                       job->second.row.attempt));
    }
    if (job->second.row.cancel_requested && row.state != JobState::kCancelled &&
        row.state != JobState::kSucceeded) {
      Fail("I8", row.key.id, fmt::format("a cancelled job ended {}", model::Name(row.state)));
    }
  }
  if (row.token.empty()) return;
  const auto token = tokens_.find({partition, row.token});
  if (token == tokens_.end() || token->second != std::pair(row.key, row.attempt)) {
    // Given, but never sent: the owner lost the TaskTracker meanwhile.
    if (row.outcome == Outcome::kLost || row.outcome == Outcome::kNone) return;
    Fail("I4", row.key.id,
         fmt::format("attempt {} ended by a result under token {}, which was not given to it",
                     row.attempt, model::ToString(row.token)));
    return;
  }
  if (row.outcome == Outcome::kLost || row.outcome == Outcome::kNone) return;
  const auto execution = execution_of_.find({partition, row.token});
  if (execution == execution_of_.end() || executions_[execution->second].running ||
      (executions_[execution->second].outcome != row.outcome &&
       !(row.outcome == Outcome::kTimedOut &&  // stopped by the JobTracker for its time-out
         executions_[execution->second].outcome == Outcome::kKilled))) {
    Fail("I4", row.key.id,
         fmt::format("outcome {} of attempt {} was never reported", model::Name(row.outcome),
                     row.attempt));
  }
  for (const std::size_t index : executions_of_key_[row.key]) {
    const Execution& other = executions_[index];
    if (other.ref.attempt != row.attempt || other.ref.token <= row.token || other.vanished)
      continue;
    if (other.running && other.worker->CutOffFromOwner()) continue;
    if (!other.running && other.outcome == Outcome::kKilled) continue;
    Fail("I3", row.key.id,
         fmt::format("the result under {} counted although {} was given out later",
                     model::ToString(row.token), model::ToString(other.ref.token)));
  }
}

void Checker::PutSchedule(std::uint32_t partition, const store::ScheduleRow& row) {
  auto found = schedules_.find(row.id);
  if (found == schedules_.end()) {
    if (!inserted_.insert(row.id).second) Fail("I2", row.id, "the id was accepted twice");
    auto fires = model::MakeFireTimes(*row.spec, row.accepted_ms, "UTC");
    if (!fires.ok()) {
      Fail("I6", row.id, "a schedule without fire times: " + fires.status().ToString());
      return;
    }
    Schedule schedule;
    schedule.partition = partition;
    schedule.fires = *fires;
    schedule.row = row;
    schedule.accounted_ms = row.spec->IsCron() ? row.accepted_ms : row.accepted_ms - 1;
    found = schedules_.emplace(row.id, std::move(schedule)).first;
    world_.Note(row.id, 5,
                "schedule accepted task={} accepted={} cron=\"{}\" interval={} count={} rely={}",
                row.spec->task_id, row.accepted_ms, row.spec->cron, row.spec->repeat_interval_ms,
                row.spec->repeat_count, row.spec->rely_on_prev_cycle);
  }
  Schedule& schedule = found->second;
  if (schedule.ended) Fail("I2", row.id, "a schedule that has ended stands again");
  const store::ScheduleRow before = schedule.row;
  const bool reset = row.last_fire_ms < before.last_fire_ms && row.shift > 0 &&
                     row.shift_until_ms >= before.last_fire_ms &&
                     (row.shift != before.shift || row.shift_until_ms != before.shift_until_ms);
  if (row.last_fire_ms < before.last_fire_ms && !reset) {
    Fail("I5", row.id, "the last fire went back");
  }
  if (before.state == JobState::kSuspended && row.state == JobState::kActive &&
      !resume_ids_.contains(row.id) &&
      !resume_tasks_.contains({row.spec->group, row.spec->task_id})) {
    Fail("I8", row.id, "a suspended schedule goes on though nobody has resumed it");
  }
  schedule.row = row;
  world_.Note(row.id, 6, "schedule {} last_fire={} runs={} skips={} timed={} shift={}",
              model::Name(row.state), row.last_fire_ms, row.runs, row.skip_count, row.timed_ms,
              row.shift);
  // What was due by the timing before is accounted for by it.
  while (!reset && schedule.accounted_ms < row.last_fire_ms) {
    const auto fire = schedule.fires->Next(schedule.accounted_ms);
    if (!fire || *fire > row.last_fire_ms) break;
    const TimeMs cycle = CycleOf(row, *fire);
    bool accounted =
        schedule.generated.contains(cycle) ||
        (row.skip_count > 0 && *fire >= row.skip_first_ms && *fire <= row.skip_last_ms);
    for (const auto& [first, last] : schedule.skipped) {
      accounted = accounted || (cycle >= first && cycle <= last);
    }
    if (!accounted) Fail("I6", row.id, fmt::format("fire {} neither ran nor was skipped", *fire));
    schedule.accounted_ms = *fire;
  }
  if (row.spec != before.spec || row.timed_ms != before.timed_ms) {
    const auto fires =
        model::MakeFireTimes(*row.spec, row.timed_ms != 0 ? row.timed_ms : row.accepted_ms, "UTC");
    if (fires.ok()) schedule.fires = *fires;
  }
  if (reset || row.timed_ms != before.timed_ms) schedule.accounted_ms = row.last_fire_ms;
  if (row.runs != static_cast<std::int64_t>(schedule.generated.size())) {
    Fail("I5", row.id,
         fmt::format("{} runs counted, {} occurrences made", row.runs, schedule.generated.size()));
  }
}

// ---- what the JobTracker says -----------------------------------------------------------------

void Checker::OnSubmitReply(const core::SubmitReply& reply) {
  world_.Note(reply.id, 7, "answered code={} outcome={}", static_cast<int>(reply.code),
              static_cast<int>(reply.outcome));
  if (reply.code == StatusCode::kOk && !inserted_.contains(reply.id)) {
    Fail("I1", reply.id, "answered with success, but it is not in the store");
  }
}

// An answer is given only once what it says is durable.
void Checker::OnOperateReply(const core::OperateReply& reply, const core::OperateEvent& event) {
  if (reply.code != StatusCode::kOk) return;
  world_.Note(reply.id, 8, "operation {} answered {} group={} task={}",
              static_cast<int>(event.kind), model::Name(reply.state), event.group, event.task_id);
  if (reply.id == event.new_id && !inserted_.contains(reply.id)) {
    Fail("I1", reply.id, "told that a run was made, but it is not in the store");
  }
  const auto row = jobs_.find({reply.id, 0});
  const bool stops =
      event.kind == core::OperationKind::kCancel || event.kind == core::OperationKind::kTerminate;
  if (row != jobs_.end() && stops && reply.state == JobState::kRunning &&
      !row->second.row.cancel_requested) {
    Fail("I8", reply.id, "told that it is being cancelled, but that is not durable");
  }
}

void Checker::OnAssignedNowhere(const core::Assignment& assignment) {
  const auto found = jobs_.find(assignment.ref.key);
  if (found != jobs_.end()) found->second.assigned = found->second.ever_assigned = true;
}

void Checker::OnAssign(std::uint32_t partition, const core::Assignment& assignment) {
  const core::AttemptRef& ref = assignment.ref;
  world_.Note(ref.key.id, 9, "assigned cycle={} attempt={} token={}", ref.key.cycle, ref.attempt,
              model::ToString(ref.token));
  const auto found = jobs_.find(ref.key);
  if (found == jobs_.end()) {
    Fail("I1", ref.key.id, "dispatched although its row is not in the store");
    return;
  }
  Row& row = found->second;
  if (row.row.attempt != ref.attempt) {
    Fail("I4", ref.key.id,
         fmt::format("dispatched as attempt {}, the store says {}", ref.attempt, row.row.attempt));
  }
  if (row.row.state == JobState::kSuspended) Fail("I8", ref.key.id, "dispatched while suspended");
  // A cancel may have become durable in the batch that this message waited for; its stop is in
  // line.
  // What was due once may have waited for a slot since, whatever the clock shows now.
  if (row.row.due_ms > std::max(WallMax(), wall_high_ms_)) {
    Fail("I6", ref.key.id,
         fmt::format("dispatched {} ms before its time", row.row.due_ms - WallMax()));
  }
  if ((row.row.spec->at_most_once || row.row.lost > 0) &&
      (row.row.state != JobState::kRunning || row.row.mark != ref.token)) {
    Fail("I3", ref.key.id, "dispatched before it was marked");
  }
  if (!tokens_.emplace(std::pair(partition, ref.token), std::pair(ref.key, ref.attempt)).second) {
    Fail("I7", ref.key.id, "token " + model::ToString(ref.token) + " was given twice");
  }
  if (ref.token.epoch != world_.EpochOf(partition)) {
    Fail("I7", ref.key.id,
         fmt::format("given out under {} after another JobTracker had taken over",
                     model::ToString(ref.token)));
  }
  std::uint64_t& epoch = last_epoch_[partition];
  if (ref.token.epoch < epoch)
    Fail("I7", ref.key.id, "token " + model::ToString(ref.token) + " is of an old epoch");
  epoch = std::max(epoch, ref.token.epoch);
  row.assigned = true;
  row.ever_assigned = true;
  // Judged when everything that was released with it has been seen.
  std::optional<Position>& last = order_wanted_[row.row.spec->group];
  if (!last) {
    last = PositionOf(row.row);
    world_.loop().After(
        0, [this, partition, group = row.row.spec->group] { CheckOrder(partition, group); });
  } else {
    last = std::max(*last, PositionOf(row.row));
  }
}

// I10: nothing more urgent of the group has waited for longer than any decision takes.
void Checker::CheckOrder(std::uint32_t partition, const std::string& group) {
  const Position started = *std::exchange(order_wanted_[group], std::nullopt);
  const JobKey started_key = std::get<3>(started);
  const std::int64_t now = world_.loop().now_us();
  if (now < trouble_everywhere_until_us_ || now < trouble_until_us_[partition]) return;
  const auto& options = world_.config().core;
  const std::int64_t settled_us = loaded_us_[partition] +
                                  (options.tasktracker_lease_ms + options.kill_grace_ms) * 1000 +
                                  2 * kOrderSlackUs;
  const TimeMs long_due = world_.core_clock().WallMs() - kOrderSlackUs / 1000;
  for (const Position& position : waiting_[group]) {
    if (position >= started) break;
    const Row& other = jobs_.at(std::get<3>(position));
    if (other.row.due_ms > long_due || other.assigned || other.since_us > now - kOrderSlackUs)
      continue;
    if (other.inserted_us < loaded_us_[partition] && now < settled_us) continue;
    // A clock that went back makes due rows dated again; they come back with the next reading of
    // the store.
    if (other.inserted_us < last_step_back_us_ + kOrderSlackUs) continue;
    if (tasks_[{other.row.spec->group, other.row.spec->task_id}].size() > 1)
      continue;  // may be resident
    world_.Note(other.row.key.id, 10, "was overtaken by {}", Text(started_key));
    if (const core::Partition* core = world_.OwnerCore(partition)) {
      const TimeMs wall_ms = world_.core_clock().WallMs();
      for (const core::Explanation& reason :
           core->Explain(other.row, {wall_ms, world_.loop().now_us() / 1000})) {
        world_.Note(other.row.key.id, 14, "{}: {}", reason.code, reason.text);
      }
    }
    Fail("I10", started_key.id,
         fmt::format(
             "dispatched before the more urgent {} (priority {} due {} seq {} against {} {} {})",
             Text(other.row.key), other.row.priority, other.row.due_ms, other.row.seq,
             std::get<0>(started), std::get<1>(started), std::get<2>(started)));
    return;
  }
  world_.Count("order checked");
}

// ---- what runs --------------------------------------------------------------------------------

std::size_t Checker::OnStart(SimTaskTracker& worker, std::uint32_t partition,
                             const core::Assignment& assignment) {
  const core::AttemptRef& ref = assignment.ref;
  world_.Note(ref.key.id, 11, "started cycle={} attempt={} token={} at {}", ref.key.cycle,
              ref.attempt, model::ToString(ref.token), worker.name());
  Execution execution;
  execution.ref = ref;
  execution.partition = partition;
  execution.worker = &worker;
  execution.start_us = world_.loop().now_us();
  JobRow row;
  row.key = ref.key;
  row.spec = assignment.spec;
  row.kind = assignment.spec->IsSchedule() ? JobKind::kOccurrence : JobKind::kOneShot;
  execution.run_key = RunKeyOf(row);
  for (const std::size_t index : running_[execution.run_key]) {
    const Execution& other = executions_[index];
    if (other.worker->CutOffFromOwner()) {
      world_.Count("beside a cut-off TaskTracker");
      continue;
    }
    Fail("I3", ref.key.id,
         fmt::format("starts at {} while {} runs at {}", worker.name(), Text(other.ref.key),
                     other.worker->name()));
  }
  if (history_[ref.key].final) Fail("I8", ref.key.id, "starts after its end");
  for (const std::size_t index : executions_of_key_[ref.key]) {
    const Execution& other = executions_[index];
    if (!assignment.spec->at_most_once) break;
    if (other.outcome == Outcome::kExecuteLater || other.outcome == Outcome::kExecuteException)
      continue;
    Fail("I3", ref.key.id, "an at_most_once job starts again");
  }
  const std::size_t index = executions_.size();
  running_[execution.run_key].insert(index);
  executions_of_key_[ref.key].push_back(index);
  execution_of_[{partition, ref.token}] = index;
  executions_.push_back(std::move(execution));
  return index;
}

void Checker::OnFinish(std::size_t index, Outcome outcome, DurationMs later_ms) {
  Execution& execution = executions_[index];
  world_.Note(execution.ref.key.id, 12, "ran to {} token={} at {}", model::Name(outcome),
              model::ToString(execution.ref.token), execution.worker->name());
  execution.running = false;
  execution.outcome = outcome;
  execution.later_ms = later_ms;
  running_[execution.run_key].erase(index);
}

void Checker::OnVanish(std::size_t index) {
  Execution& execution = executions_[index];
  world_.Note(execution.ref.key.id, 13, "vanished with {}", execution.worker->name());
  execution.running = false;
  execution.vanished = true;
  running_[execution.run_key].erase(index);
}

// ---- what clients do --------------------------------------------------------------------------

void Checker::OnOperationAsked(const core::OperateEvent& event) {
  const auto note = [&](std::set<JobId>& ids, std::set<TaskName>& tasks) {
    if (event.id.empty()) {
      tasks.insert({event.group, event.task_id});
    } else {
      ids.insert(event.id);
    }
  };
  switch (event.kind) {
    case core::OperationKind::kCancel: note(cancel_ids_, cancel_tasks_); break;
    case core::OperationKind::kTerminate: note(terminate_ids_, terminate_tasks_); break;
    case core::OperationKind::kResume: note(resume_ids_, resume_tasks_); break;
    case core::OperationKind::kSuspend:
    case core::OperationKind::kTrigger:
    case core::OperationKind::kUpdate: break;
  }
}

void Checker::OnFeedbackDelivered(const store::FeedbackRow& row) {
  const auto found = feedback_.find(row.key);
  if (found == feedback_.end() || found->second.row.attempt != row.attempt ||
      found->second.row.state != row.state) {
    Fail("I4", row.key.id, "feedback that is not in the store");
    return;
  }
  found->second.delivered = true;
}

void Checker::OnFeedbackAcked(const JobKey& key, std::int32_t attempt) {
  (void)attempt;
  const auto found = feedback_.find(key);
  if (found != feedback_.end()) found->second.acked = true;
}

// ---- at rest ----------------------------------------------------------------------------------

std::string Checker::LateSchedule(DurationMs late_ms) const {
  const TimeMs late = world_.core_clock().WallMs() - late_ms;
  for (const auto& [id, schedule] : schedules_) {
    if (schedule.ended || schedule.row.state == JobState::kSuspended) continue;
    const model::JobSpec& spec = *schedule.row.spec;
    // Catching up one by one behind a cycle that has not ended is not late.
    bool busy = false;
    for (const JobKey& key : tasks_.contains({spec.group, spec.task_id})
                                 ? tasks_.at({spec.group, spec.task_id})
                                 : std::set<JobKey>()) {
      busy = busy || key.id == id;
    }
    if (busy && spec.rely_on_prev_cycle && spec.misfire == model::MisfirePolicy::kCatchUp) continue;
    if (spec.IsRepeat() && spec.repeat_count > 0 && schedule.row.runs >= spec.repeat_count) {
      if (!busy) return fmt::format("schedule {} has used up its runs and stands", id.ToString());
      continue;
    }
    const auto next = schedule.fires->Next(schedule.row.last_fire_ms);
    if (next && *next < late)
      return fmt::format("schedule {} sleeps over its fire {}", id.ToString(), *next);
    if (!next && !busy)
      return fmt::format("schedule {} has no further fire and stands", id.ToString());
  }
  return {};
}

std::vector<std::pair<JobId, std::pair<std::string, std::string>>> Checker::SuspendedJobs() const {
  std::vector<std::pair<JobId, std::pair<std::string, std::string>>> found;
  for (const auto& [key, row] : jobs_) {
    const JobRow& job = row.row;
    const auto schedule = schedules_.find(key.id);
    if (schedule != schedules_.end() && !schedule->second.ended) continue;
    if (job.state == JobState::kSuspended || job.suspend_requested) {
      found.push_back({key.id, {job.spec->group, job.spec->task_id}});
    }
  }
  return found;
}

std::vector<JobId> Checker::ActiveSchedules() const {
  std::vector<JobId> ids;
  for (const auto& [id, schedule] : schedules_) {
    if (!schedule.ended) ids.push_back(id);
  }
  return ids;
}

std::size_t Checker::resident_rows() const {
  return static_cast<std::size_t>(std::count_if(
      jobs_.begin(), jobs_.end(), [](const auto& each) { return each.second.row.resident; }));
}

std::string Checker::Unfinished() const {
  if (!jobs_.empty()) {
    const Row& row = jobs_.begin()->second;
    return fmt::format(
        "{} jobs have not ended, the first is {} state {} attempt {} due {} (now {})", jobs_.size(),
        Text(row.row.key), model::Name(row.row.state), row.row.attempt, row.row.due_ms,
        world_.core_clock().WallMs());
  }
  for (const auto& [id, schedule] : schedules_) {
    if (!schedule.ended) return "schedule " + id.ToString() + " has not ended";
  }
  for (const auto& [key, feedback] : feedback_) {
    if (!feedback.deleted) {
      return fmt::format("feedback of {} was {}", Text(key),
                         feedback.delivered ? "not acknowledged" : "not delivered");
    }
  }
  for (const auto& [key, running] : running_) {
    if (!running.empty())
      return "something still runs: " + Text(executions_[*running.begin()].ref.key);
  }
  return {};
}

void Checker::AtEnd() {
  for (const auto& [key, feedback] : feedback_) {
    if (!feedback.delivered) Fail("I4", key.id, "its feedback was never delivered");
  }
  for (const auto& [key, history] : history_) {
    if (!history.final) Fail("I4", key.id, Text(key) + " has no final row");
    std::int32_t expected = 0;
    for (const std::int32_t attempt : history.attempts) {
      if (attempt != ++expected)
        Fail("I4", key.id, fmt::format("attempt {} has no history row", expected));
    }
  }
}

}  // namespace lts::sim

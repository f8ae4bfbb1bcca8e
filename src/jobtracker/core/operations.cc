// Durable operations on what was accepted (I8). A cancel of an executing job is a flag on its row:
// it holds for the present attempt, its retries and after a takeover.
#include <fmt/core.h>

#include "jobtracker/core/state.h"

namespace lts::core {

using model::JobState;

JobState Partition::CancelJob(Job& job) {
  if (job.place != Job::Place::kExecuting) {
    EndWithoutAttempt(job, model::JobEvent::kCancel, "cancelled");
    return JobState::kCancelled;
  }
  if (!job.row.cancel_requested) {
    store::JobRow after = job.row;
    after.cancel_requested = true;
    after.state = JobState::kRunning;
    after.mark = job.token;
    after.mark_worker = job.worker->identity;
    Update(job, std::move(after));
  }
  if (job.worker->stream != 0) {
    SendTo(job.worker->stream).stops.push_back({job.row.key, job.row.attempt, job.token});
  }
  return JobState::kRunning;
}

void Partition::CancelSchedule(Schedule& schedule, const std::string& message) {
  const model::JobId id = schedule.row.id;
  for (const model::JobKey& key : std::set<model::JobKey>(schedule.occurrences)) {
    if (Job* job = FindJob(key)) CancelJob(*job);
  }
  // Without occurrences the last one may have ended the schedule.
  const auto found = schedules_.find(id);
  if (found != schedules_.end())
    DropSchedule(*found->second, model::ScheduleEvent::kCancel, message);
}

void Partition::RunCancel(Operation& operation) {
  const CancelEvent& cancel = operation.cancel;
  CancelReply reply;
  reply.request = cancel.request;
  bool any = false;
  const auto note = [&](const model::JobId& id, JobState state) {
    if (!any || state == JobState::kRunning) reply.state = state;
    if (!any) reply.id = id;
    any = true;
  };
  if (!cancel.id.empty()) {
    const auto schedule = schedules_.find(cancel.id);
    if (schedule != schedules_.end()) {
      CancelSchedule(*schedule->second, "cancelled");
      note(cancel.id, JobState::kEnded);
    } else if (Job* job = FindJob({cancel.id, 0})) {
      note(cancel.id, CancelJob(*job));
    }
  } else if (const auto group = groups_.find(cancel.group); group != groups_.end()) {
    const auto task = group->second->tasks.find(cancel.task_id);
    if (task != group->second->tasks.end()) {
      if (task->second.schedule != nullptr) {
        note(task->second.schedule->row.id, JobState::kEnded);
        CancelSchedule(*task->second.schedule, "cancelled");
      }
      // Looked up again: the task goes with its last row.
      const auto rest = group->second->tasks.find(cancel.task_id);
      if (rest != group->second->tasks.end()) {
        for (Job* job : std::vector<Job*>(rest->second.jobs)) {
          const model::JobId id = job->row.key.id;
          note(id, CancelJob(*job));
        }
      }
    }
  }
  if (!any) {
    reply.code = StatusCode::kNotFound;
    reply.message =
        cancel.id.empty()
            ? fmt::format("nothing stands under task {} of group {}", cancel.task_id, cancel.group)
            : fmt::format("job {} is not there any more, or never was", cancel.id.ToString());
  }
  effects_->cancel_replies.push_back(std::move(reply));
}

}  // namespace lts::core

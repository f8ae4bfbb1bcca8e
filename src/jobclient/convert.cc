#include "jobclient/convert.h"

#include <fmt/core.h>

namespace lts::jobclient {
namespace {

TimeMs MsOf(SystemTime time) {
  return std::chrono::duration_cast<Milliseconds>(time.time_since_epoch()).count();
}

// Enums of the wire are open: a newer JobTracker may say more than this build knows.
template <typename To, typename From>
To EnumFrom(From value, To last) {
  const int number = static_cast<int>(value);
  return number >= 0 && number <= static_cast<int>(last) ? static_cast<To>(number) : To{};
}

}  // namespace

model::JobSpec SpecFrom(const Job::Values& values) {
  model::JobSpec spec;
  spec.job_id = values.job_id;
  spec.task_id = values.task_id;
  spec.group = values.group;
  spec.submit_group = values.submit_group;
  spec.runner = values.runner;
  spec.params = values.params;
  spec.payload = values.payload;
  spec.priority = values.priority;
  spec.max_retry_times = values.max_retry_times;
  if (values.retry) {
    spec.retry = model::RetryPolicy{static_cast<model::RetryPolicy::Kind>(values.retry->kind()),
                                    values.retry->initial().count(), values.retry->max().count()};
  }
  spec.need_feedback = values.need_feedback;
  spec.replace_on_exist = values.replace_on_exist;
  spec.fail_if_exists = values.fail_if_exists;
  spec.rely_on_prev_cycle = values.rely_on_prev_cycle;
  spec.at_most_once = values.at_most_once;
  if (values.trigger_at) spec.trigger_time_ms = MsOf(*values.trigger_at);
  if (values.trigger_in) spec.trigger_delay_ms = values.trigger_in->count();
  spec.cron = values.cron;
  spec.time_zone = values.time_zone;
  spec.repeat_count = values.repeat_count;
  spec.repeat_interval_ms = values.repeat_interval.count();
  if (values.start_at) spec.start_time_ms = MsOf(*values.start_at);
  if (values.end_at) spec.end_time_ms = MsOf(*values.end_at);
  spec.misfire = static_cast<model::MisfirePolicy>(values.misfire);
  spec.catch_up_max = values.catch_up_max;
  spec.timeout_ms = values.timeout.count();
  if (values.expires_in) spec.expires_in_ms = values.expires_in->count();
  return spec;
}

JobState JobStateFrom(v1::JobState state) { return EnumFrom(state, JobState::kRetryYielded); }

std::optional<SystemTime> TimeFrom(TimeMs time) {
  if (time == 0) return std::nullopt;
  return SystemTime(std::chrono::duration_cast<SystemTime::duration>(Milliseconds(time)));
}

JobView JobViewFrom(const v1::JobView& view) {
  JobView out;
  out.job_id = view.job().job_id();
  out.task_id = view.job().task_id();
  out.group = view.job().task_tracker_node_group();
  out.state = JobStateFrom(view.state());
  out.schedule = view.schedule();
  out.message = view.message();
  out.retries = view.retries();
  out.runs = view.runs();
  out.cancel_requested = view.cancel_requested();
  out.accepted_at = TimeFrom(view.accepted_ms());
  out.next_fire_time = TimeFrom(view.next_fire_ms());
  out.ended_at = TimeFrom(view.ended_ms());
  out.attempts.reserve(static_cast<std::size_t>(view.attempts_size()));
  for (const v1::AttemptView& from : view.attempts()) {
    AttemptView attempt;
    attempt.attempt = from.attempt();
    attempt.cycle = TimeFrom(from.cycle_ms());
    const model::Token token{from.token().epoch(), from.token().sequence()};
    if (!token.empty()) attempt.token = model::ToString(token);
    attempt.node = from.node();
    attempt.outcome = EnumFrom(from.outcome(), AttemptOutcome::kStale);
    attempt.message = from.message();
    attempt.due_at = TimeFrom(from.due_ms());
    attempt.started_at = TimeFrom(from.started_ms());
    attempt.ended_at = TimeFrom(from.ended_ms());
    if (from.has_progress_percent()) attempt.progress_percent = from.progress_percent();
    attempt.progress_text = from.progress_text();
    out.attempts.push_back(std::move(attempt));
  }
  return out;
}

JobResult JobResultFrom(const v1::FeedbackItem& item) {
  JobResult out;
  out.job_id = item.job_id();
  out.cycle = TimeFrom(item.cycle_ms());
  out.attempt = item.attempt();
  out.task_id = item.task_id();
  out.group = item.group();
  out.state = JobStateFrom(item.state());
  out.success = item.success();
  out.message = item.message();
  out.ended_at = TimeFrom(item.ended_ms());
  return out;
}

}  // namespace lts::jobclient

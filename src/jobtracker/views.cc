#include "jobtracker/views.h"

#include "rpc/codec.h"

namespace lts::jobtracker {
namespace {

v1::RunKind KindOf(store::JobKind kind) {
  switch (kind) {
    case store::JobKind::kOneShot: return v1::RUN_ONE_SHOT;
    case store::JobKind::kOccurrence: return v1::RUN_OCCURRENCE;
    case store::JobKind::kTrigger: return v1::RUN_TRIGGERED;
  }
  return v1::RUN_ONE_SHOT;
}

}  // namespace

void ToView(const store::JobRow& row, v1::JobView* out) {
  rpc::ToProto(*row.spec, out->mutable_job());
  out->mutable_job()->set_job_id(row.key.id.ToString());
  out->mutable_job()->set_priority(row.priority);
  out->set_state(rpc::ToProto(row.state));
  out->set_accepted_ms(row.accepted_ms);
  out->set_next_fire_ms(row.due_ms);
  out->set_retries(row.retries);
  out->set_cancel_requested(row.cancel_requested);
  out->set_cycle_ms(row.key.cycle);
  out->set_kind(KindOf(row.kind));
}

void ToView(const store::ScheduleRow& row, TimeMs next_fire_ms, v1::JobView* out) {
  rpc::ToProto(*row.spec, out->mutable_job());
  out->mutable_job()->set_job_id(row.id.ToString());
  out->set_state(rpc::ToProto(row.state));
  out->set_schedule(true);
  out->set_accepted_ms(row.accepted_ms);
  out->set_next_fire_ms(next_fire_ms);
  out->set_runs(row.runs);
}

void ToView(const store::HistoryRow& row, v1::JobView* out) {
  v1::Job* const job = out->mutable_job();
  if (row.spec != nullptr) {
    rpc::ToProto(*row.spec, job);
  } else {
    job->set_task_id(row.task_id);
    job->set_task_tracker_node_group(row.group);
  }
  job->set_job_id(row.key.id.ToString());
  out->set_state(rpc::ToProto(row.state));
  out->set_schedule(row.is_schedule);
  out->set_message(row.message);
  out->set_ended_ms(row.ended_ms);
  out->set_cycle_ms(row.key.cycle);
  out->set_accepted_ms(row.accepted_ms);
  out->set_retries(row.retries);
  out->set_runs(row.runs);
  out->set_kind(KindOf(row.kind));
}

void ToView(const store::HistoryRow& row, v1::AttemptView* out) {
  out->set_attempt(row.attempt);
  out->set_cycle_ms(row.key.cycle);
  rpc::ToProto(row.token, out->mutable_token());
  out->set_node(row.node);
  out->set_outcome(rpc::ToProto(row.outcome));
  out->set_message(row.message);
  out->set_due_ms(row.due_ms);
  out->set_started_ms(row.started_ms);
  out->set_ended_ms(row.ended_ms);
  out->set_final(row.final);
  out->set_state(rpc::ToProto(row.state));
  out->set_skipped(row.skipped);
  out->set_skipped_last_ms(row.skipped_last_ms);
  out->set_job_id(row.key.id.ToString());
  out->set_task_id(row.task_id);
  out->set_group(row.group);
}

}  // namespace lts::jobtracker

#include "store/records/codec.h"

#include <fmt/core.h>
#include <google/protobuf/message_lite.h>

#include <utility>

namespace lts::store::records {
namespace {

constexpr char kFormat = 1;

void PutHead(model::JobState state, bool flag, std::string* out) {
  out->clear();
  out->push_back(kFormat);
  out->push_back(static_cast<char>(static_cast<unsigned>(state) | (flag ? 0x80U : 0U)));
}

void Append(const google::protobuf::MessageLite& message, std::string* out) {
  const std::size_t head = out->size();
  const std::size_t size = message.ByteSizeLong();
  out->resize(head + size);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(out->data() + head));
}

Status Parse(std::string_view value, google::protobuf::MessageLite* message) {
  const Result<Head> head = ReadHead(value);
  if (!head.ok()) return head.status();
  value.remove_prefix(2);
  if (message->ParseFromArray(value.data(), static_cast<int>(value.size()))) return Status::Ok();
  return Status::DataLoss("a stored record cannot be read");
}

void FillSpec(const model::JobSpec& spec, const model::JobId& id, pb::JobSpec* out) {
  out->Clear();
  if (spec.job_id != id.ToString()) out->set_job_id(spec.job_id);
  out->set_task_id(spec.task_id);
  out->set_group(spec.group);
  out->set_submit_group(spec.submit_group);
  out->set_runner(spec.runner);
  for (const auto& [key, value] : spec.params) {
    pb::Param* param = out->add_params();
    param->set_key(key);
    param->set_value(value);
  }
  out->set_payload(spec.payload);
  out->set_priority(spec.priority);
  out->set_max_retry_times(spec.max_retry_times);
  if (spec.retry) {
    out->set_has_retry(true);
    out->set_retry_kind(static_cast<std::uint32_t>(spec.retry->kind));
    out->set_retry_initial_ms(spec.retry->initial_ms);
    out->set_retry_max_ms(spec.retry->max_ms);
  }
  out->set_need_feedback(spec.need_feedback);
  out->set_replace_on_exist(spec.replace_on_exist);
  out->set_fail_if_exists(spec.fail_if_exists);
  out->set_rely_on_prev_cycle(spec.rely_on_prev_cycle);
  out->set_at_most_once(spec.at_most_once);
  if (spec.trigger_time_ms) out->set_trigger_time_ms(*spec.trigger_time_ms);
  if (spec.trigger_delay_ms) out->set_trigger_delay_ms(*spec.trigger_delay_ms);
  out->set_cron(spec.cron);
  out->set_time_zone(spec.time_zone);
  out->set_repeat_count(spec.repeat_count);
  out->set_repeat_interval_ms(spec.repeat_interval_ms);
  out->set_start_time_ms(spec.start_time_ms);
  out->set_end_time_ms(spec.end_time_ms);
  out->set_misfire(static_cast<std::uint32_t>(spec.misfire));
  out->set_catch_up_max(spec.catch_up_max);
  out->set_timeout_ms(spec.timeout_ms);
  if (spec.expires_in_ms) out->set_expires_in_ms(*spec.expires_in_ms);
}

// Takes the texts out of `in`.
model::JobSpecPtr ReadSpec(pb::JobSpec* in, const model::JobId& id) {
  auto spec = std::make_shared<model::JobSpec>();
  spec->job_id = in->has_job_id() ? std::move(*in->mutable_job_id()) : id.ToString();
  spec->task_id = std::move(*in->mutable_task_id());
  spec->group = std::move(*in->mutable_group());
  spec->submit_group = std::move(*in->mutable_submit_group());
  spec->runner = std::move(*in->mutable_runner());
  for (pb::Param& param : *in->mutable_params()) {
    spec->params.emplace(std::move(*param.mutable_key()), std::move(*param.mutable_value()));
  }
  spec->payload = std::move(*in->mutable_payload());
  spec->priority = in->priority();
  spec->max_retry_times = in->max_retry_times();
  if (in->has_retry()) {
    spec->retry = model::RetryPolicy{static_cast<model::RetryPolicy::Kind>(in->retry_kind()),
                                     in->retry_initial_ms(), in->retry_max_ms()};
  }
  spec->need_feedback = in->need_feedback();
  spec->replace_on_exist = in->replace_on_exist();
  spec->fail_if_exists = in->fail_if_exists();
  spec->rely_on_prev_cycle = in->rely_on_prev_cycle();
  spec->at_most_once = in->at_most_once();
  if (in->has_trigger_time_ms()) spec->trigger_time_ms = in->trigger_time_ms();
  if (in->has_trigger_delay_ms()) spec->trigger_delay_ms = in->trigger_delay_ms();
  spec->cron = std::move(*in->mutable_cron());
  spec->time_zone = std::move(*in->mutable_time_zone());
  spec->repeat_count = in->repeat_count();
  spec->repeat_interval_ms = in->repeat_interval_ms();
  spec->start_time_ms = in->start_time_ms();
  spec->end_time_ms = in->end_time_ms();
  spec->misfire = static_cast<model::MisfirePolicy>(in->misfire());
  spec->catch_up_max = in->catch_up_max();
  spec->timeout_ms = in->timeout_ms();
  if (in->has_expires_in_ms()) spec->expires_in_ms = in->expires_in_ms();
  return spec;
}

}  // namespace

Result<Head> ReadHead(std::string_view value) {
  if (value.size() < 2) return Status::DataLoss("a stored record is cut off");
  if (value[0] != kFormat) {
    return Status::DataLoss(fmt::format("a stored record has format {}; this build reads format {}",
                                        static_cast<unsigned>(static_cast<unsigned char>(value[0])),
                                        static_cast<int>(kFormat)));
  }
  const auto bits = static_cast<unsigned char>(value[1]);
  if ((bits & 0x7fU) > static_cast<unsigned>(model::JobState::kYielded)) {
    return Status::DataLoss(fmt::format("a stored record has the unknown state {}", bits & 0x7fU));
  }
  return Head{static_cast<model::JobState>(bits & 0x7fU), (bits & 0x80U) != 0};
}

void Encode(const JobRow& row, Scratch& scratch, std::string* out) {
  pb::Job& r = scratch.job;
  r.set_kind(static_cast<std::uint32_t>(row.kind));
  FillSpec(*row.spec, row.key.id, r.mutable_spec());
  r.set_accepted_ms(row.accepted_ms);
  r.set_expires_ms(row.expires_ms);
  r.set_attempt(row.attempt);
  r.set_retries(row.retries);
  r.set_snoozes(row.snoozes);
  r.set_lost(row.lost);
  r.set_cancel_requested(row.cancel_requested);
  r.set_suspend_requested(row.suspend_requested);
  r.set_mark_epoch(row.mark.epoch);
  r.set_mark_sequence(row.mark.sequence);
  r.set_mark_worker(row.mark_worker);
  PutHead(row.state, row.resident, out);
  Append(r, out);
}

Result<JobRow> DecodeJob(const Position& at, const model::JobKey& key, std::string_view value,
                         Scratch& scratch) {
  pb::Job& r = scratch.job;
  LTS_RETURN_IF_ERROR(Parse(value, &r));
  const Head head = *ReadHead(value);
  JobRow row;
  row.key = key;
  row.kind = static_cast<JobKind>(r.kind());
  row.spec = ReadSpec(r.mutable_spec(), key.id);
  row.state = head.state;
  row.resident = head.flag;
  row.priority = at.priority;
  row.due_ms = at.due_ms;
  row.seq = at.seq;
  row.accepted_ms = r.accepted_ms();
  row.expires_ms = r.expires_ms();
  row.attempt = r.attempt();
  row.retries = r.retries();
  row.snoozes = r.snoozes();
  row.lost = r.lost();
  row.cancel_requested = r.cancel_requested();
  row.suspend_requested = r.suspend_requested();
  row.mark = {r.mark_epoch(), r.mark_sequence()};
  row.mark_worker = std::move(*r.mutable_mark_worker());
  return row;
}

void Encode(const ScheduleRow& row, std::uint32_t gid, Scratch& scratch, std::string* out) {
  pb::Schedule& r = scratch.schedule;
  FillSpec(*row.spec, row.id, r.mutable_spec());
  r.set_seq(row.seq);
  r.set_accepted_ms(row.accepted_ms);
  r.set_last_fire_ms(row.last_fire_ms);
  r.set_runs(row.runs);
  r.set_skip_first_ms(row.skip_first_ms);
  r.set_skip_last_ms(row.skip_last_ms);
  r.set_skip_count(row.skip_count);
  r.set_skip_reason(row.skip_reason);
  r.set_timed_ms(row.timed_ms);
  r.set_silent_from_ms(row.silent_from_ms);
  r.set_silent_until_ms(row.silent_until_ms);
  r.set_silent_reason(row.silent_reason);
  r.set_shift(row.shift);
  r.set_shift_until_ms(row.shift_until_ms);
  r.set_gid(gid);
  PutHead(row.state, false, out);
  Append(r, out);
}

Result<ScheduleRow> DecodeSchedule(const model::JobId& id, std::string_view value,
                                   Scratch& scratch) {
  pb::Schedule& r = scratch.schedule;
  LTS_RETURN_IF_ERROR(Parse(value, &r));
  ScheduleRow row;
  row.id = id;
  row.spec = ReadSpec(r.mutable_spec(), id);
  row.state = ReadHead(value)->state;
  row.seq = r.seq();
  row.accepted_ms = r.accepted_ms();
  row.last_fire_ms = r.last_fire_ms();
  row.runs = r.runs();
  row.skip_first_ms = r.skip_first_ms();
  row.skip_last_ms = r.skip_last_ms();
  row.skip_count = r.skip_count();
  row.skip_reason = std::move(*r.mutable_skip_reason());
  row.timed_ms = r.timed_ms();
  row.silent_from_ms = r.silent_from_ms();
  row.silent_until_ms = r.silent_until_ms();
  row.silent_reason = std::move(*r.mutable_silent_reason());
  row.shift = r.shift();
  row.shift_until_ms = r.shift_until_ms();
  return row;
}

void Encode(const HistoryRow& row, Scratch& scratch, std::string* out) {
  pb::History& r = scratch.history;
  r.set_outcome(static_cast<std::uint32_t>(row.outcome));
  r.set_kind(static_cast<std::uint32_t>(row.kind));
  r.set_is_schedule(row.is_schedule);
  r.set_task_id(row.task_id);
  r.set_node(row.node);
  r.set_token_epoch(row.token.epoch);
  r.set_token_sequence(row.token.sequence);
  r.set_message(row.message);
  r.set_due_ms(row.due_ms);
  r.set_started_ms(row.started_ms);
  r.set_skipped(row.skipped);
  r.set_skipped_last_ms(row.skipped_last_ms);
  r.set_accepted_ms(row.accepted_ms);
  r.set_retries(row.retries);
  r.set_runs(row.runs);
  if (row.spec != nullptr) {
    FillSpec(*row.spec, row.key.id, r.mutable_spec());
  } else {
    r.clear_spec();
  }
  PutHead(row.state, row.final, out);
  Append(r, out);
}

Result<HistoryRow> DecodeHistory(const std::string& group, TimeMs ended_ms,
                                 const model::JobKey& key, std::int32_t attempt,
                                 std::string_view value, Scratch& scratch) {
  pb::History& r = scratch.history;
  LTS_RETURN_IF_ERROR(Parse(value, &r));
  const Head head = *ReadHead(value);
  HistoryRow row;
  row.key = key;
  row.attempt = attempt;
  row.outcome = static_cast<model::Outcome>(r.outcome());
  row.final = head.flag;
  row.state = head.state;
  row.kind = static_cast<JobKind>(r.kind());
  row.is_schedule = r.is_schedule();
  row.group = group;
  row.task_id = std::move(*r.mutable_task_id());
  row.node = std::move(*r.mutable_node());
  row.token = {r.token_epoch(), r.token_sequence()};
  row.message = std::move(*r.mutable_message());
  row.due_ms = r.due_ms();
  row.started_ms = r.started_ms();
  row.ended_ms = ended_ms;
  row.skipped = r.skipped();
  row.skipped_last_ms = r.skipped_last_ms();
  row.accepted_ms = r.accepted_ms();
  row.retries = r.retries();
  row.runs = r.runs();
  if (r.has_spec()) row.spec = ReadSpec(r.mutable_spec(), key.id);
  return row;
}

void Encode(const FeedbackRow& row, Scratch& scratch, std::string* out) {
  pb::Feedback& r = scratch.feedback;
  r.set_group(row.group);
  r.set_task_id(row.task_id);
  r.set_message(row.message);
  r.set_ended_ms(row.ended_ms);
  PutHead(row.state, false, out);
  Append(r, out);
}

Result<FeedbackRow> DecodeFeedback(const std::string& submit_group, std::uint64_t seq,
                                   const model::JobKey& key, std::int32_t attempt,
                                   std::string_view value, Scratch& scratch) {
  pb::Feedback& r = scratch.feedback;
  LTS_RETURN_IF_ERROR(Parse(value, &r));
  FeedbackRow row;
  row.key = key;
  row.attempt = attempt;
  row.seq = seq;
  row.submit_group = submit_group;
  row.group = std::move(*r.mutable_group());
  row.task_id = std::move(*r.mutable_task_id());
  row.state = ReadHead(value)->state;
  row.message = std::move(*r.mutable_message());
  row.ended_ms = r.ended_ms();
  return row;
}

void Encode(const WorkerRow& row, Scratch& scratch, std::string* out) {
  pb::Worker& r = scratch.worker;
  r.set_incarnation(row.incarnation);
  r.set_session(row.session);
  PutHead(model::JobState::kWaiting, false, out);
  Append(r, out);
}

Result<WorkerRow> DecodeWorker(const std::string& group, const std::string& identity,
                               std::string_view value, Scratch& scratch) {
  pb::Worker& r = scratch.worker;
  LTS_RETURN_IF_ERROR(Parse(value, &r));
  WorkerRow row;
  row.group = group;
  row.identity = identity;
  row.incarnation = std::move(*r.mutable_incarnation());
  row.session = r.session();
  return row;
}

void Encode(const LogRow& row, Scratch& scratch, std::string* out) {
  pb::Log& r = scratch.log;
  r.set_time_ms(row.time_ms);
  r.set_type(row.type);
  r.set_level(row.level);
  r.set_group(row.group);
  r.set_task_id(row.task_id);
  r.set_node(row.node);
  r.set_message(row.message);
  PutHead(model::JobState::kWaiting, false, out);
  Append(r, out);
}

Result<LogRow> DecodeLog(const model::JobKey& key, std::int32_t attempt, std::uint64_t line,
                         std::string_view value, Scratch& scratch) {
  pb::Log& r = scratch.log;
  LTS_RETURN_IF_ERROR(Parse(value, &r));
  LogRow row;
  row.key = key;
  row.attempt = attempt;
  row.line = line;
  row.time_ms = r.time_ms();
  row.type = std::move(*r.mutable_type());
  row.level = std::move(*r.mutable_level());
  row.group = std::move(*r.mutable_group());
  row.task_id = std::move(*r.mutable_task_id());
  row.node = std::move(*r.mutable_node());
  row.message = std::move(*r.mutable_message());
  return row;
}

}  // namespace lts::store::records

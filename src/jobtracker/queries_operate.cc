// Operations on what was submitted: found by id or task, then handed to the core that owns it.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "jobtracker/queries.h"

namespace lts {

using model::JobId;
using store::HistoryRow;

namespace {

constexpr std::size_t kClientBytesMax = 64;

Result<JobId> NewIdOf(const v1::OperateRequest& request) {
  const auto id = JobId::Parse(request.new_job_id());
  if (id) return *id;
  return Status::InvalidArgument(fmt::format(
      "new_job_id \"{}\": must be a UUID of version 7 (36 characters)", request.new_job_id()));
}

Result<core::OperateEvent> EventFrom(v1::OperateRequest request) {
  core::OperateEvent event;
  switch (request.operation()) {
    case v1::CANCEL: event.kind = core::OperationKind::kCancel; break;
    case v1::SUSPEND: event.kind = core::OperationKind::kSuspend; break;
    case v1::RESUME: event.kind = core::OperationKind::kResume; break;
    case v1::TERMINATE: event.kind = core::OperationKind::kTerminate; break;
    case v1::TRIGGER: event.kind = core::OperationKind::kTrigger; break;
    case v1::UPDATE: event.kind = core::OperationKind::kUpdate; break;
    default:
      return Status::InvalidArgument(fmt::format("operation {}: this version does not know it",
                                                 static_cast<int>(request.operation())));
  }
  event.group = request.group();
  event.task_id = request.task_id();
  event.reset = request.reset();
  event.maybe_sent = request.maybe_sent();
  if (request.client().size() <= kClientBytesMax) {
    event.client = request.client();
    event.number = request.number();
  }
  event.params.insert(request.params().begin(), request.params().end());
  if (event.kind == core::OperationKind::kTrigger && !request.new_job_id().empty()) {
    const auto id = NewIdOf(request);
    if (!id.ok()) return id.status();
    event.new_id = *id;
  }
  if (event.kind == core::OperationKind::kUpdate) {
    auto values = rpc::JobFromProto(std::move(*request.mutable_changes()));
    if (!values.ok()) return values.status();
    auto update = std::make_shared<model::JobUpdate>();
    update->values = std::move(**values);
    update->fields.assign(request.fields().begin(), request.fields().end());
    event.update = std::move(update);
  }
  return event;
}

v1::OperateResponse ResponseFrom(const core::OperateReply& reply) {
  v1::OperateResponse response;
  response.set_code(rpc::ToProto(reply.code));
  response.set_message(reply.message);
  if (!reply.id.empty()) response.set_job_id(reply.id.ToString());
  response.set_state(rpc::ToProto(reply.state));
  return response;
}

v1::OperateResponse Refusal(const Status& status) {
  v1::OperateResponse response;
  rpc::PutStatus(status, &response);
  return response;
}

}  // namespace

void Queries::Operate(v1::OperateRequest request, LeftMs left_ms, Done<v1::OperateResponse> done) {
  const bool by_id = !request.job_id().empty();
  if (!by_id && (request.group().empty() || request.task_id().empty())) {
    done(Refusal(Status::InvalidArgument("give a job id, or a group and a task id")));
    return;
  }
  if (request.operation() == v1::RERUN) return Rerun(request, done);
  auto event = EventFrom(request);
  if (!event.ok()) {
    done(Refusal(event.status()));
    return;
  }
  const auto answer = [done](const core::OperateReply& reply) { done(ResponseFrom(reply)); };
  const auto unavailable = [done](const Status& status) { done(Refusal(status)); };
  const auto pass_on = [this, left_ms, done, unavailable](const std::string& group,
                                                          const v1::OperateRequest& to_pass) {
    return PassOn(group, &rpc::Channel::Operate, to_pass,
                  std::clamp<DurationMs>(left_ms(), 1, kPeerMs), done, unavailable);
  };
  if (!by_id) {
    if (pass_on(request.group(), request)) return;
    edge_.Operate(*std::move(event), std::move(left_ms), answer);
    return;
  }
  Read(done, [this, left_ms = std::move(left_ms), request = std::move(request),
              event = *std::move(event), done, answer, unavailable, pass_on]() mutable {
    if (event.maybe_sent && !event.new_id.empty()) {
      // What it asked for may have been done, and the schedule have ended since.
      const auto made = Find(event.new_id);
      if (!made.ok()) return unavailable(made.status());
      if (made->any()) {
        answer({0, StatusCode::kOk, model::JobState::kWaiting, event.new_id, {}});
        return;
      }
    }
    auto resolved = Resolve(request.job_id(), {}, {});
    if (!resolved.ok()) return unavailable(resolved.status());
    const auto& [id, found] = *resolved;
    if (const HistoryRow* end = found.End()) {
      answer({0, StatusCode::kFailedPrecondition, end->state, id,
              fmt::format(
                  "job {} has ended already: {}{}", id.ToString(), model::Name(end->state),
                  event.kind == core::OperationKind::kTrigger ? "; rerun runs it again" : "")});
      return;
    }
    if (left_ms() <= 0) return unavailable(Status::Unavailable("nobody waits for it any more"));
    if (pass_on(found.group(), request)) return;
    event.group = found.group();
    event.task_id = found.task_id();
    event.id = id;
    edge_.Operate(std::move(event), std::move(left_ms), answer);
  });
}

void Queries::Rerun(const v1::OperateRequest& request, const Done<v1::OperateResponse>& done) {
  Read(done, [this, request, done] {
    const auto fail = [&](const Status& status) { done(Refusal(status)); };
    const auto new_id = NewIdOf(request);
    if (!new_id.ok()) return fail(new_id.status());
    if (request.maybe_sent()) {
      // Sent again: the same answer.
      const auto made = Find(*new_id);
      if (!made.ok()) return fail(made.status());
      if (made->any()) {
        done(ResponseFrom({0, StatusCode::kOk, model::JobState::kWaiting, *new_id, {}}));
        return;
      }
    }
    auto resolved = Resolve(request.job_id(), request.group(), request.task_id());
    if (!resolved.ok()) return fail(resolved.status());
    const auto& [id, found] = *resolved;
    const HistoryRow* run = nullptr;  // newest first
    for (const HistoryRow& row : found.history) {
      if (!row.final || row.is_schedule || row.spec == nullptr ||
          row.state == model::JobState::kSkipped ||
          (request.cycle_ms() != 0 && row.key.cycle != request.cycle_ms())) {
        continue;
      }
      run = &row;
      break;
    }
    if (run == nullptr) {
      return fail(Status::FailedPrecondition(
          request.cycle_ms() != 0
              ? fmt::format("job {} has no run of the cycle {} (milliseconds since 1970) in the "
                            "history; attempts of it list the cycles",
                            id.ToString(), request.cycle_ms())
          : found.rows.empty() && !found.schedule
              ? fmt::format("job {} has no run in the history that could be repeated",
                            id.ToString())
              : fmt::format("job {} has not ended; trigger runs it now", id.ToString())));
    }
    const std::map<std::string, std::string> params(request.params().begin(),
                                                    request.params().end());
    const auto spec = model::RunOnce(*run->spec, request.new_job_id(), params, edge_.limits());
    if (!spec.ok()) return fail(spec.status());
    v1::SubmitRequest submit;
    v1::SubmitItem& item = *submit.add_items();
    rpc::ToProto(**spec, item.mutable_job());
    item.set_maybe_sent(request.maybe_sent());
    edge_.Submit(std::move(submit), [done, spec = *spec](v1::SubmitResponse response) {
      v1::OperateResponse answer;
      v1::SubmitAnswer& submitted = *response.mutable_answers(0);
      answer.set_code(submitted.code());
      answer.set_message(std::move(*submitted.mutable_message()));
      answer.set_job_id(submitted.job_id().empty() ? spec->job_id : submitted.job_id());
      answer.set_state(v1::WAITING);
      if (submitted.code() == v1::OK && submitted.outcome() == v1::DUPLICATE) {
        rpc::PutStatus(
            Status::AlreadyExists(fmt::format("task {} of group {} waits already as job "
                                              "{}",
                                              spec->task_id, spec->group, submitted.job_id())),
            &answer);
      }
      done(std::move(answer));
    });
  });
}

}  // namespace lts

// The only place where messages of the wire become types of the model, and back. (Rows become views
// in jobtracker/views.h: rpc and store do not know each other.) Pure functions, thread-safe.
//
// It runs for each job on the hot path: texts are moved out of messages that are given up, and a
// job is decoded straight into the object that rows and attempts share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lts/status.h"
#include "lts/v1/types.pb.h"
#include "model/job.h"
#include "model/job_id.h"

namespace lts::rpc {

// ---- words

// A value that this build does not know is nothing: the peer is newer, and each caller has to say
// what then.
v1::Code ToProto(StatusCode code);
v1::JobState ToProto(model::JobState state);
v1::Outcome ToProto(model::Outcome outcome);
v1::Action ToProto(model::Action action);
v1::MisfirePolicy ToProto(model::MisfirePolicy policy);
v1::RetryPolicy::Kind ToProto(model::RetryPolicy::Kind kind);

StatusCode FromProto(v1::Code code);  // unknown: kInternal
std::optional<model::JobState> FromProto(v1::JobState state);
std::optional<model::Outcome> FromProto(v1::Outcome outcome);
std::optional<model::Action> FromProto(v1::Action action);
std::optional<model::MisfirePolicy> FromProto(v1::MisfirePolicy policy);
std::optional<model::RetryPolicy::Kind> FromProto(v1::RetryPolicy::Kind kind);

// ---- answers: every message with the fields `code` and `message`

template <typename Message>
void PutStatus(const Status& status, Message* message) {
  message->set_code(ToProto(status.code()));
  message->set_message(status.message());
}

template <typename Message>
Status StatusOf(const Message& message) {
  const StatusCode code = FromProto(message.code());
  return code == StatusCode::kOk ? Status::Ok() : Status(code, message.message());
}

// ---- texts

// Cuts valid UTF-8 (as every string field of a message is) to at most `bytes_max` bytes, no
// character in two.
void CutText(std::size_t bytes_max, std::string* text);

// ---- attempts

inline model::Token FromProto(const v1::Token& token) { return {token.epoch(), token.sequence()}; }
inline void ToProto(const model::Token& token, v1::Token* out) {
  out->set_epoch(token.epoch);
  out->set_sequence(token.sequence);
}

// v1::AttemptKey in the terms of the model.
struct AttemptId {
  model::JobKey key;
  std::int32_t attempt = 0;
  model::Token token;
  bool operator==(const AttemptId&) const = default;
};

// kInvalidArgument when the job id is not one.
Result<AttemptId> FromProto(const v1::AttemptKey& key);
void ToProto(const AttemptId& attempt, v1::AttemptKey* out);

// ---- jobs

// Takes the texts out of `job`. Absent: priority 100, rely_on_prev_cycle true; in a retry policy 30
// s, and the larger of 1 h and initial_ms. Everything else is as sent: submit_group and job_id may
// be empty, nothing is validated (model/validation). kInvalidArgument: an enum value that this
// build does not know.
Result<std::shared_ptr<model::JobSpec>> JobFromProto(v1::Job&& job);

// Into an empty message.
void ToProto(const model::JobSpec& spec, v1::Job* out);

}  // namespace lts::rpc

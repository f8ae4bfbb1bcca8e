// What a client keeps in its FailStore. Submits and operations share FailKind::kSubmit, because
// order is kept within a kind only, and an operation must not overtake the submit that it is about.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "failstore/fail_store.h"
#include "lts/status.h"
#include "lts/v1/client.pb.h"

namespace lts::jobclient {

using StoredRequest = std::variant<v1::Job, v1::OperateRequest>;

// "group/task id": what a record is about. Groups have no slash in them.
std::string FailKey(std::string_view group, std::string_view task_id);

std::string EncodeRecord(const v1::Job& job);
std::string EncodeRecord(const v1::OperateRequest& operation);
// kDataLoss when the bytes are none of ours.
Result<StoredRequest> DecodeRecord(std::string_view bytes);

// The submit that waits in `store` and that `operation` is about: the one with its job id, or else
// the newest of its task. Reads all that waits there. Errors are those of the store.
Result<std::optional<v1::Job>> FindSubmit(FailStore& store, const v1::OperateRequest& operation);

}  // namespace lts::jobclient

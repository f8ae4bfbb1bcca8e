// A job in protobuf JSON form, as lines of `submit --file` have it.
#pragma once

#include <string>

#include "lts/status.h"
#include "lts/v1/types.pb.h"
#include "model/job.h"

namespace lts::jobclient::cli {

// Takes what protobuf's JSON parser takes. kInvalidArgument names the member as the line spells it,
// its value, and what would be right: the nearest member, the type, the words of an enum, or the
// column at which the text is no JSON. `*job` is what could be read, for its names.
Result<model::JobSpec> JobFromJson(const std::string& text, v1::Job* job);

// A message of model::ValidateJob with the fields as JSON spells them: "taskId", not "task_id".
// What stands in quotes is a value and stays.
std::string WithJsonNames(const std::string& message);

}  // namespace lts::jobclient::cli

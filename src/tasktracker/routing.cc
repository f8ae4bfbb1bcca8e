#include "tasktracker/routing.h"

#include <fmt/core.h>

#include <utility>

namespace lts::tasktracker {
namespace {

constexpr char kTaskId[] = "taskId";
constexpr char kDefaultShard[] = "_LTS_DEFAULT";

}  // namespace

Result<Routing> Routing::Open(const std::string& field, std::map<std::string, std::string> shards,
                              Exists exists) {
  for (const auto& [value, runner] : shards) {
    if (field.empty()) {
      return Status::InvalidArgument(
          fmt::format("option shard.{}: has no meaning without shardField", value));
    }
    if (!exists(runner)) {
      return Status::InvalidArgument(
          fmt::format("option shard.{}={}: there is no such runner", value, runner));
    }
  }
  return Routing(field, std::move(shards), std::move(exists));
}

std::optional<std::string> Routing::ValueIn(const runners::AttemptInput& input) const {
  if (field_ == kTaskId) return input.task_id;
  const auto param = input.params.find(field_);
  return param == input.params.end() ? std::nullopt : std::optional(param->second);
}

std::string Routing::RunnerOf(const runners::AttemptInput& input) const {
  if (!input.runner.empty() || field_.empty()) return input.runner;
  const std::optional<std::string> value = ValueIn(input);
  const std::string runner = value ? ByValue(*value) : std::string();
  return runner.empty() ? ByValue(kDefaultShard) : runner;
}

std::string Routing::WhyNone(const runners::AttemptInput& input) const {
  if (field_.empty()) return "the job names no runner";
  const std::optional<std::string> value = ValueIn(input);
  if (!value) return fmt::format("the job names no runner, and has no {} (shardField)", field_);
  return fmt::format("the job names no runner, and {}={} (shardField) is none", field_, *value);
}

std::string Routing::ByValue(const std::string& value) const {
  const auto shard = shards_.find(value);
  if (shard != shards_.end()) return shard->second;
  return !value.empty() && exists_(value) ? value : std::string();
}

}  // namespace lts::tasktracker

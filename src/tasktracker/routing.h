// Which runner a job gets that names none: the options shardField and shard.VALUE.
//
// What the original calls a shard is no share of data: it is the value by which a method of a class
// is chosen (its annotations LTS and JobRunnerItem). Here it chooses among runners.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "lts/status.h"
#include "tasktracker/runners/runner.h"

namespace lts::tasktracker {

// Immutable, thread-safe.
class Routing {
 public:
  using Exists = std::function<bool(const std::string& runner)>;

  // `field`: "taskId", the name of a parameter, or empty: nothing is routed. `shards`: runners by
  // value. kInvalidArgument naming the option whose runner does not exist, or that has no meaning
  // without shardField.
  static Result<Routing> Open(const std::string& field, std::map<std::string, std::string> shards,
                              Exists exists);

  // The name of the runner for a job: its own if it names one; else by the value v of its field,
  // the first of: what shard.v says, the runner v, what shard._LTS_DEFAULT says, the runner
  // _LTS_DEFAULT. Empty when there is none of these: the default, if any.
  std::string RunnerOf(const runners::AttemptInput& input) const;

  // Why a job without a runner has got none here.
  std::string WhyNone(const runners::AttemptInput& input) const;

 private:
  Routing(std::string field, std::map<std::string, std::string> shards, Exists exists)
      : field_(std::move(field)), shards_(std::move(shards)), exists_(std::move(exists)) {}
  std::optional<std::string> ValueIn(const runners::AttemptInput& input) const;
  // Empty when nobody is responsible for `value`.
  std::string ByValue(const std::string& value) const;

  std::string field_;
  std::map<std::string, std::string> shards_;
  Exists exists_;
};

}  // namespace lts::tasktracker

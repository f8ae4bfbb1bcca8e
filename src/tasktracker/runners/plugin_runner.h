// Runs attempts on an object of a plugin, in this process and on the calling thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "common/clock.h"
#include "common/strand.h"
#include "lts/runner_abi.h"
#include "lts/status.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

// Owns one object made by the plugin; borrows `type` (which is never unloaded) and the clock.
// Stopping is cooperative: the stop request shows in the attempt's stop_requested at once, and the
// plugin's cancel is called once, on the strand `cancels`. All objects of one type share it, so a
// cancel that blocks holds up nobody but the cancels of its own kind, and never who asks for the
// stop.
class PluginRunner final : public Runner {
 public:
  // Creates the plugin's object. `config` holds the runner.<name>.* options without that prefix.
  // kFailedPrecondition with the constructor's text when it refuses.
  static Result<std::unique_ptr<PluginRunner>> Create(
      const lts_runner_type& type, const std::map<std::string, std::string>& config,
      const RunnerLimits& limits, const Clock& clock, std::shared_ptr<Strand> cancels);
  ~PluginRunner() override;
  PluginRunner(const PluginRunner&) = delete;
  PluginRunner& operator=(const PluginRunner&) = delete;

  RunOutcome Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) override;

 private:
  PluginRunner(const lts_runner_type& type, void* object, const RunnerLimits& limits,
               const Clock& clock, std::shared_ptr<Strand> cancels)
      : type_(type),
        object_(object),
        limits_(limits),
        clock_(clock),
        cancels_(std::move(cancels)) {}

  const lts_runner_type& type_;
  void* const object_;  // destroyed by type_.destroy
  const RunnerLimits limits_;
  const Clock& clock_;
  const std::shared_ptr<Strand> cancels_;
};

}  // namespace lts::runners

// Runs attempts on an object of a plugin, in this process and on the calling thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/clock.h"
#include "lts/runner_abi.h"
#include "lts/status.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

// Owns one object made by the plugin; borrows `type` (which is never unloaded) and the clock.
// Stopping is cooperative: the stop request shows in the attempt's stop_requested, and the plugin's
// cancel is called once, in the thread that requested the stop.
class PluginRunner final : public Runner {
 public:
  // Creates the plugin's object. `config` holds the runner.<name>.* options without that prefix.
  // kFailedPrecondition with the constructor's text when it refuses.
  static Result<std::unique_ptr<PluginRunner>> Create(
      const lts_runner_type& type, const std::map<std::string, std::string>& config,
      const RunnerLimits& limits, const Clock& clock);
  ~PluginRunner() override;
  PluginRunner(const PluginRunner&) = delete;
  PluginRunner& operator=(const PluginRunner&) = delete;

  RunOutcome Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) override;

 private:
  PluginRunner(const lts_runner_type& type, void* object, const RunnerLimits& limits,
               const Clock& clock)
      : type_(type), object_(object), limits_(limits), clock_(clock) {}

  const lts_runner_type& type_;
  void* const object_;  // destroyed by type_.destroy
  const RunnerLimits limits_;
  const Clock& clock_;
};

}  // namespace lts::runners

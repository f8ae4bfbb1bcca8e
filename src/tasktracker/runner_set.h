// All runners of this TaskTracker: those of the plugins, the built-in ones, and those that the
// program around libtasktracker has added.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "lts/status.h"
#include "lts/task_tracker.h"
#include "tasktracker/routing.h"
#include "tasktracker/runners/http_runner.h"
#include "tasktracker/runners/registry.h"
#include "tasktracker/runners/runner.h"

namespace lts::tasktracker {

// Thread-safe. Borrows the clock.
class RunnerSet {
 public:
  static Result<std::unique_ptr<RunnerSet>> Open(const TaskTrackerOptions& options,
                                                 const Clock& clock);

  std::vector<std::string> names() const;
  // The runner for a job. kNotFound with what there is.
  Result<std::string> Resolve(const runners::AttemptInput& input) const;
  // A new object of the runner `name`, for one slot. kFailedPrecondition when it refuses.
  Result<std::unique_ptr<runners::Runner>> Create(const std::string& name) const;
  // The processes of the runners; null when there are none.
  runners::HostPool* hosts() const { return loaded_->hosts().get(); }

 private:
  struct Added {
    TaskTrackerOptions::RunnerFactory factory;
    lts_runner_type type{};
    std::map<std::string, std::string> config;
    std::shared_ptr<Strand> cancels;
  };

  RunnerSet(const runners::RunnerLimits& limits, const Clock& clock)
      : limits_(limits), clock_(clock) {}

  // For a job that asks for `wanted` (possibly empty).
  Result<std::string> Find(const std::string& wanted) const;
  std::string KnownNames() const;
  Status OpenHttp(const TaskTrackerOptions& options);
  Status Add(const TaskTrackerOptions& options);

  const runners::RunnerLimits limits_;
  const Clock& clock_;
  std::unique_ptr<runners::RunnerRegistry> loaded_;
  std::optional<runners::HttpOptions> http_;  // empty: it is off
  std::map<std::string, Added> added_;        // never changed after Open: types point to its keys
  std::optional<Routing> routing_;
  std::string default_runner_;  // an added one, or http; empty: as the registry says
};

}  // namespace lts::tasktracker

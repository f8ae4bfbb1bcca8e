// The built-in runner `exec`: a program with arguments, no shell.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "lts/status.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

// Job parameters: `program`, and `args` or arg.0, arg.1 … (exec_command.h). The payload is the
// program's standard input, /dev/null when there is none. Environment: PATH, LANG, LTS_JOB_ID,
// LTS_TASK_ID, LTS_ATTEMPT, LTS_TOKEN, LTS_FIRE_TIME_MS, nothing else. Each line of output goes to
// the business log (standard error as a warning); the end of standard output is the message.
//
// The attempt ends when the program ends; what it left behind in its process group is killed then.
// When stopped or out of time the group gets SIGTERM, kill_grace_ms later SIGKILL. A process that
// made a session of its own escapes both. Borrows the clock.
class ExecRunner final : public Runner {
 public:
  // `allow`: resolved paths. `config`: the options runner.exec.* without that prefix.
  static Result<std::unique_ptr<ExecRunner>> Create(
      std::vector<std::string> allow, const std::map<std::string, std::string>& config,
      const RunnerLimits& limits, const Clock& clock);

  RunOutcome Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) override;

 private:
  ExecRunner(std::vector<std::string> allow, std::map<int, model::Action> exit_actions,
             const RunnerLimits& limits, const Clock& clock)
      : allow_(std::move(allow)),
        exit_actions_(std::move(exit_actions)),
        limits_(limits),
        clock_(clock) {}

  const std::vector<std::string> allow_;
  const std::map<int, model::Action> exit_actions_;
  const RunnerLimits limits_;
  const Clock& clock_;
};

}  // namespace lts::runners

// Runs attempts of one runner in processes of lts-runner-host.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "common/clock.h"
#include "lts/status.h"
#include "tasktracker/runners/host_pool.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

// Owns no process: each attempt takes a host from the pool, which is the one of the attempt before
// when nothing was wrong with it. Whatever the runner does costs its attempt only: a host that ends
// by itself is an exception that says how, one that does not stop within kill_grace_ms is killed
// with everything that came of it. What the runner prints goes to the business log. Borrows the
// clock.
class HostRunner final : public Runner {
 public:
  // kFailedPrecondition with the constructor's text when the runner refuses, which is found out
  // once per pool.
  static Result<std::unique_ptr<HostRunner>> Create(std::shared_ptr<HostPool> pool,
                                                    std::shared_ptr<const HostedRunner> runner,
                                                    const RunnerLimits& limits, const Clock& clock);

  RunOutcome Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) override;

 private:
  HostRunner(std::shared_ptr<HostPool> pool, std::shared_ptr<const HostedRunner> runner,
             const RunnerLimits& limits, const Clock& clock)
      : pool_(std::move(pool)), runner_(std::move(runner)), limits_(limits), clock_(clock) {}

  const std::shared_ptr<HostPool> pool_;
  const std::shared_ptr<const HostedRunner> runner_;
  const RunnerLimits limits_;
  const Clock& clock_;
  // Readable once the attempt under way should stop. Made anew after it was.
  UniqueFd wake_;
  std::atomic<bool> stop_woke_{true};
};

}  // namespace lts::runners

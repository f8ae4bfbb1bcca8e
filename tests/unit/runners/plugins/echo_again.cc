// A second plugin with a runner of the same name.
#include <lts/job_runner.hpp>

namespace {
class Echo final : public lts::JobRunner {
 public:
  lts::RunResult Run(lts::JobContext&) override { return lts::RunResult::Success(); }
};
}  // namespace

LTS_JOB_RUNNER("echo", Echo)

// A library that cannot even be loaded without harm.
#include <cstdlib>
#include <lts/job_runner.hpp>

namespace {

[[maybe_unused]] const int at_load = (std::abort(), 0);

class Never final : public lts::JobRunner {
 public:
  lts::RunResult Run(lts::JobContext&) override { return lts::RunResult::Success(); }
};

}  // namespace

LTS_JOB_RUNNER("never", Never)

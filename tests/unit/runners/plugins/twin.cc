// Built twice with another TWIN_NAME: two libraries that define the same class, with default
// visibility.
#include <lts/job_runner.hpp>

class Twin : public lts::JobRunner {
 public:
  lts::RunResult Run(lts::JobContext& ctx) override;
};

lts::RunResult Twin::Run(lts::JobContext&) { return lts::RunResult::Success("from " TWIN_NAME); }

LTS_JOB_RUNNER(TWIN_NAME, Twin)

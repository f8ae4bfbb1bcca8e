// A plugin whose runner refuses to be made.
#include <lts/job_runner.hpp>
#include <stdexcept>

namespace {

class Refusing final : public lts::JobRunner {
 public:
  Refusing() { throw std::runtime_error("the license of this runner has run out"); }
  lts::RunResult Run(lts::JobContext&) override { return lts::RunResult::Success(); }
};

}  // namespace

LTS_JOB_RUNNER("refusing", Refusing)

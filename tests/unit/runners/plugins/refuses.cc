// Constructors that refuse.
#include <lts/job_runner.hpp>

namespace {

class NeedsOption final : public lts::JobRunner {
 public:
  explicit NeedsOption(const lts::RunnerConfig& config) : rows_(config.Int("rows")) {}
  lts::RunResult Run(lts::JobContext&) override {
    return lts::RunResult::Success("rows=" + std::to_string(rows_));
  }

 private:
  const std::int64_t rows_;
};

class ThrowsInt final : public lts::JobRunner {
 public:
  ThrowsInt() { throw 42; }
  lts::RunResult Run(lts::JobContext&) override { return lts::RunResult::Success(); }
};

}  // namespace

LTS_JOB_RUNNER("needs_option", NeedsOption)
LTS_JOB_RUNNER("throws_int_at_start", ThrowsInt)

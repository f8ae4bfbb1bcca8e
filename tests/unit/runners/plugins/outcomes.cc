// One runner for each way to end, all in one library.
#include <chrono>
#include <cstdlib>
#include <lts/job_runner.hpp>
#include <stdexcept>
#include <string>

namespace {

using std::chrono::seconds;

#define RUNNER(Class, body)                                                      \
  class Class final : public lts::JobRunner {                                    \
   public:                                                                       \
    lts::RunResult Run([[maybe_unused]] lts::JobContext& ctx) override { body; } \
  };

RUNNER(Fails, return lts::RunResult::Failed("no good"))
RUNNER(Later, return lts::RunResult::Later("not yet"))
RUNNER(Snoozes, return lts::RunResult::Later(seconds(90), "in a while"))
RUNNER(SnoozesNoTime, return lts::RunResult::Later(seconds(-1)))
RUNNER(Excepts, return lts::RunResult::Exception("went wrong"))
RUNNER(Throws, throw std::runtime_error("boom"))
RUNNER(ThrowsInt, throw 42)
RUNNER(NeedsParam, return lts::RunResult::Success(ctx.RequireParam("needed")))
RUNNER(BadText, return lts::RunResult::Success("caf\xE9"))
RUNNER(LongText, return lts::RunResult::Success(std::string(100000, 'x')))
RUNNER(Aborts, std::abort())

}  // namespace

LTS_JOB_RUNNER("fails", Fails)
LTS_JOB_RUNNER("later", Later)
LTS_JOB_RUNNER("snoozes", Snoozes)
LTS_JOB_RUNNER("snoozes_no_time", SnoozesNoTime)
LTS_JOB_RUNNER("excepts", Excepts)
LTS_JOB_RUNNER("throws", Throws)
LTS_JOB_RUNNER("throws_int", ThrowsInt)
LTS_JOB_RUNNER("needs_param", NeedsParam)
LTS_JOB_RUNNER("bad_text", BadText)
LTS_JOB_RUNNER("long_text", LongText)
LTS_JOB_RUNNER("aborts", Aborts)

// The example that users are shown, as it stands there: it has to compile under every compiler we
// name.
#include <fstream>
#include <lts/job_runner.hpp>
#include <string>

class WordCount final : public lts::JobRunner {
 public:
  explicit WordCount(const lts::RunnerConfig& config) : max_(config.Bytes("max_bytes", 64 << 20)) {}
  lts::RunResult Run(lts::JobContext& ctx) override {
    const std::string path = ctx.RequireParam("file");
    std::ifstream in(path);
    if (!in) return lts::RunResult::Failed("cannot read " + path);
    std::size_t lines = 0, bytes = 0;
    for (std::string s; std::getline(in, s); ++lines) {
      if (ctx.StopRequested()) return lts::RunResult::Later("stopped");
      if ((bytes += s.size()) > max_) return lts::RunResult::Failed("file over max_bytes");
      if (lines % 1000 == 0) ctx.Progress(-1, std::to_string(lines) + " lines");
    }
    ctx.Log().Info("counted " + path);
    return lts::RunResult::Success("lines=" + std::to_string(lines));
  }

 private:
  std::size_t max_;
};
LTS_JOB_RUNNER("word_count", WordCount)
LTS_JOB_RUNNER("word_count_too", WordCount)

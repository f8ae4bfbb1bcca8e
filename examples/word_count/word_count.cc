// The quickstart's plugin: counts the lines and words of the file named by the job parameter
// `file`.
#include <array>
#include <cctype>
#include <cstddef>
#include <fstream>
#include <lts/job_runner.hpp>
#include <string>

namespace {

// Words are separated by ASCII white space. A last line without a newline counts as a line.
class WordCount final : public lts::JobRunner {
 public:
  explicit WordCount(const lts::RunnerConfig& config)
      : max_bytes_(config.Bytes("max_bytes", std::size_t{64} << 20)) {}

  lts::RunResult Run(lts::JobContext& ctx) override {
    const std::string path = ctx.RequireParam("file");
    std::ifstream in(path, std::ios::binary);
    if (!in) return lts::RunResult::Failed("cannot read " + path);

    std::size_t lines = 0;
    std::size_t words = 0;
    std::size_t bytes = 0;
    bool in_word = false;
    char last = '\n';
    std::array<char, 64 * 1024> block;
    while (in.read(block.data(), block.size()) || in.gcount() > 0) {
      if (ctx.StopRequested())
        return lts::RunResult::Later("stopped at byte " + std::to_string(bytes));
      const auto size = static_cast<std::size_t>(in.gcount());
      bytes += size;
      if (bytes > max_bytes_) {
        return lts::RunResult::Failed(path + " is over max_bytes=" + std::to_string(max_bytes_));
      }
      for (std::size_t i = 0; i < size; ++i) {
        const bool space = std::isspace(static_cast<unsigned char>(block[i])) != 0;
        if (!space && !in_word) ++words;
        in_word = !space;
        if (block[i] == '\n') ++lines;
      }
      last = block[size - 1];
      ctx.Progress(-1, std::to_string(lines) + " lines");
    }
    if (in.bad())
      return lts::RunResult::Failed("cannot read " + path);  // a folder opens, but cannot be read
    if (last != '\n') ++lines;
    ctx.Log().Info("counted " + path);
    return lts::RunResult::Success("lines=" + std::to_string(lines) +
                                   " words=" + std::to_string(words));
  }

 private:
  const std::size_t max_bytes_;
};

}  // namespace

LTS_JOB_RUNNER("word_count", WordCount)

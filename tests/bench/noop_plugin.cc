// The runner of the benchmark as a plugin, for processes of its own: finds the board by its path.
#include <fcntl.h>
#include <unistd.h>

#include <lts/job_runner.hpp>
#include <stdexcept>
#include <string>

#include "bench/board.h"
#include "bench/noop.h"

namespace {

lts::bench::Board OpenBoard(const lts::RunnerConfig& config) {
  const std::string path = config.String("board");
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) throw std::runtime_error("cannot open " + path);
  const auto board = lts::bench::Board::Open(fd, static_cast<std::size_t>(config.Int("cells")));
  close(fd);
  return board;
}

class Noop final : public lts::JobRunner {
 public:
  explicit Noop(const lts::RunnerConfig& config) : board_(OpenBoard(config)) {}
  lts::RunResult Run(lts::JobContext& ctx) override { return lts::bench::RunNoop(board_, ctx); }

 private:
  const lts::bench::Board board_;
};

}  // namespace

LTS_JOB_RUNNER("noop", Noop)

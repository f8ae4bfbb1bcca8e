#include <lts/task_tracker.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <lts/job_runner.hpp>
#include <utility>

#include "bench/board.h"
#include "bench/measure.h"
#include "bench/noop.h"
#include "bench/roles.h"
#include "common/signals.h"

namespace lts::bench {
namespace {

class Noop final : public JobRunner {
 public:
  explicit Noop(const Board& board) : board_(board) {}
  RunResult Run(JobContext& ctx) override { return RunNoop(board_, ctx); }

 private:
  const Board board_;
};

class LoggedFire final : public JobRunner {
 public:
  explicit LoggedFire(const FireLog& log) : log_(log) {}
  RunResult Run(JobContext& ctx) override {
    const std::int64_t now = WallNs();
    const Fire fire{JobOf(ctx.Payload()), ctx.FireTimeMs(), now};
    return log_.Append(fire) ? RunResult::Success() : RunResult::Failed("the log is full");
  }

 private:
  const FireLog log_;
};

}  // namespace

int RunWorker(const std::vector<std::string>& arguments) {
  if (arguments.size() != 7 && arguments.size() != 9) return 2;
  const std::string& runner = arguments[4];
  const int fd = std::atoi(arguments[5].c_str());
  const std::size_t size = std::strtoull(arguments[6].c_str(), nullptr, 10);
  TaskTrackerOptions options;
  options.registry_address = arguments[0];
  options.node_group = arguments[1];
  options.work_threads = std::atoi(arguments[2].c_str());
  options.data_path = arguments[3];
  if (arguments.size() == 9) {
    options.plugins = {arguments[7]};
    options.runner_host = arguments[8];
    options.runner_config = {
        {"runner.noop.board", "/proc/" + std::to_string(getpid()) + "/fd/" + arguments[5]},
        {"runner.noop.cells", arguments[6]}};
  } else if (runner == "fire") {
    const FireLog log = FireLog::Open(fd, size);
    options.AddRunner(runner,
                      [log](const RunnerConfig&) { return std::make_unique<LoggedFire>(log); });
  } else {
    const Board board = Board::Open(fd, size);
    options.AddRunner(runner,
                      [board](const RunnerConfig&) { return std::make_unique<Noop>(board); });
  }
  options.on_connection_change = [](bool connected, const std::string& reason) {
    std::printf("%s\n", connected ? "CONNECTED" : reason.c_str());
    std::fflush(stdout);
  };
  auto started = TaskTracker::Start(std::move(options));
  if (!started.ok()) {
    std::fprintf(stderr, "lts_bench worker: %s\n", started.status().ToString().c_str());
    return 1;
  }
  WaitForStopSignal({});
  const TaskTrackerStopReport report = (*started)->Stop();
  return report.running == 0 && report.results_unsaved == 0 ? 0 : 1;
}

}  // namespace lts::bench

#include <lts/task_tracker.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <lts/job_runner.hpp>
#include <utility>

#include "bench/board.h"
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

}  // namespace

int RunWorker(const std::vector<std::string>& arguments) {
  if (arguments.size() != 6 && arguments.size() != 8) return 2;
  const Board board = Board::Open(std::atoi(arguments[4].c_str()),
                                  std::strtoull(arguments[5].c_str(), nullptr, 10));
  TaskTrackerOptions options;
  options.registry_address = arguments[0];
  options.node_group = arguments[1];
  options.work_threads = std::atoi(arguments[2].c_str());
  options.data_path = arguments[3];
  if (arguments.size() == 8) {
    options.plugins = {arguments[6]};
    options.runner_host = arguments[7];
    options.runner_config = {
        {"runner.noop.board", "/proc/" + std::to_string(getpid()) + "/fd/" + arguments[4]},
        {"runner.noop.cells", arguments[5]}};
  } else {
    options.AddRunner("noop",
                      [&board](const RunnerConfig&) { return std::make_unique<Noop>(board); });
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

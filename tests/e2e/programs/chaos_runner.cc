// The runner of the chaos test. It appends a line to the file runner.chaos.file when an attempt
// starts and one when it ends, one write each:
//
//   S job_id task_id fire_time_ms attempt token pid monotonic_ms wall_ms v
//   E job_id attempt token pid monotonic_ms wall_ms RESULT stopped|whole
//
// The pid is that of the TaskTracker, also when the runner has a process of its own.
//
// Parameters: v, the version of its definition, 0 unless set; hold_ms, how long it takes; plan, how
// it ends: success, failed, exception:N or later:N (attempts 1 … N end so, the ones behind with
// success). Asked to stop it ends at once: with LATER, or with FAILED when `once` is set, so that
// nobody has a reason to run it again.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <lts/job_runner.hpp>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string Times() {
  const auto ms = [](auto time) {
    return std::to_string(std::chrono::duration_cast<milliseconds>(time).count());
  };
  // lint: what was due is a time of the real clock
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return ms(steady_clock::now().time_since_epoch()) + " " + ms(wall);
}

pid_t ParentOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  // "pid (name) state parent …", where the name may hold anything.
  std::istringstream words(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  std::string state;
  pid_t parent = 0;
  words >> state >> parent;
  return parent;
}

// A host is the child of its keeper, and that the child of the TaskTracker.
pid_t TaskTrackerPid() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return self.filename() == "lts-runner-host" ? ParentOf(::getppid()) : ::getpid();
}

class ChaosRunner final : public lts::JobRunner {
 public:
  explicit ChaosRunner(const lts::RunnerConfig& config)
      : fd_(::open(config.String("file").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                   0644)) {
    if (fd_ < 0) {
      throw std::runtime_error("cannot open " + config.String("file") + ": " +
                               std::strerror(errno));
    }
  }
  ~ChaosRunner() override { ::close(fd_); }

  lts::RunResult Run(lts::JobContext& ctx) override {
    const std::string job(ctx.JobId());
    const std::string run = std::to_string(ctx.Attempt()) + " " + ctx.Token() + " " +
                            std::to_string(tasktracker_) + " ";
    Append("S " + job + " " + std::string(ctx.TaskId()) + " " + std::to_string(ctx.FireTimeMs()) +
           " " + run + Times() + " " + ctx.Param("v", "0"));
    const bool stopped = Hold(milliseconds(std::stoll(ctx.Param("hold_ms", "0"))));
    const lts::RunResult result = Result(ctx, stopped);
    Append("E " + job + " " + run + Times() + " " + Name(result.action()) +
           (stopped ? " stopped" : " whole"));
    return result;
  }

  void Cancel() noexcept override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
  }

 private:
  // Whether it was asked to stop.
  bool Hold(milliseconds time) {
    std::unique_lock<std::mutex> lock(mutex_);
    const bool stopped =
        changed_.wait_until(lock, steady_clock::now() + time, [this] { return stop_; });
    stop_ = false;
    return stopped;
  }

  static lts::RunResult Result(const lts::JobContext& ctx, bool stopped) {
    const std::string message = "token=" + ctx.Token();
    if (stopped && ctx.Param("once").has_value()) return lts::RunResult::Failed(message);
    if (stopped) return lts::RunResult::Later(message);
    const std::string plan = ctx.Param("plan", "success");
    if (plan == "failed") return lts::RunResult::Failed(message);
    const std::size_t colon = plan.find(':');
    if (colon == std::string::npos || ctx.Attempt() > std::stoi(plan.substr(colon + 1))) {
      return lts::RunResult::Success(message);
    }
    return plan.compare(0, colon, "later") == 0 ? lts::RunResult::Later(message)
                                                : lts::RunResult::Exception(message);
  }

  static const char* Name(lts_runner_action action) {
    switch (action) {
      case LTS_RUNNER_SUCCESS: return "EXECUTE_SUCCESS";
      case LTS_RUNNER_FAILED: return "EXECUTE_FAILED";
      case LTS_RUNNER_LATER: return "EXECUTE_LATER";
      default: return "EXECUTE_EXCEPTION";
    }
  }

  void Append(const std::string& line) const {
    const std::string text = line + "\n";
    if (::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw std::runtime_error(std::string("cannot write what was run: ") + std::strerror(errno));
    }
  }

  const int fd_;
  const pid_t tasktracker_ = TaskTrackerPid();
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
};

}  // namespace

LTS_JOB_RUNNER("chaos", ChaosRunner)

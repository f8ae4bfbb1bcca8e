// Runners that wait: one is woken by Cancel, one asks for a stop now and then, one ignores it.
#include <condition_variable>
#include <fstream>
#include <lts/job_runner.hpp>
#include <mutex>
#include <string>
#include <thread>

namespace {

class Waits final : public lts::JobRunner {
 public:
  lts::RunResult Run(lts::JobContext& ctx) override {
    ctx.Log().Info("waiting");
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&ctx] { return ctx.StopRequested(); });
    ++cancels_seen_;
    return lts::RunResult::Later("stopped " + std::to_string(cancels_seen_));
  }
  void Cancel() noexcept override {
    // Under the lock, so that it cannot fall between the check and the wait.
    const std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  int cancels_seen_ = 0;
};

class Asks final : public lts::JobRunner {
 public:
  lts::RunResult Run(lts::JobContext& ctx) override {
    ctx.Log().Info("asking");
    while (!ctx.StopRequested()) std::this_thread::yield();
    return lts::RunResult::Later("asked long enough");
  }
};

// Ends when somebody writes a line to the named pipe `release`, whatever else is asked of it.
class Ignores final : public lts::JobRunner {
 public:
  lts::RunResult Run(lts::JobContext& ctx) override {
    ctx.Log().Info("ignoring");
    std::ifstream release(ctx.RequireParam("release"));
    std::string line;
    std::getline(release, line);
    return lts::RunResult::Success(line + (ctx.StopRequested() ? ", stop was requested" : ""));
  }
};

}  // namespace

LTS_JOB_RUNNER("waits", Waits)
LTS_JOB_RUNNER("asks", Asks)
LTS_JOB_RUNNER("ignores", Ignores)

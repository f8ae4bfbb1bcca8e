// The runners of the end-to-end tests.
//
//   journal  appends "job_id attempt_token start" and, when the attempt is over, "job_id
//   attempt_token end" to the
//            file runner.journal.file, one write each, so that the order of the lines is the order
//            of events. Between them it waits until the file runner.journal.gate exists, at most
//            hold_ms. Asked to stop it ends with LATER, unless the parameter `deaf` is set: then it
//            goes on as if nothing had happened. The option runner.journal.hold_ms comes before the
//            parameter. With the parameter `log` it writes a line into the business log.
//   act      ends as the parameter `action` says: success, failed, later, later_ms:N, exception,
//   throw, throw_int,
//            abort, exit, segfault, allocate (2 GiB), loop (for ever, after a line "pid N"),
//            children (the same with two processes of its own, one in another session), pid
//            (success, the message is the process id), print (to standard output), wait (until it
//            is asked to stop). With `times`=N attempts beyond the Nth end with success.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <lts/job_runner.hpp>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Appends whole lines; what is written survives the end of the process.
class Journal {
 public:
  explicit Journal(const std::string& path)
      : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
    if (fd_ < 0) throw std::runtime_error("cannot open " + path + ": " + std::strerror(errno));
  }
  ~Journal() { ::close(fd_); }
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  void Add(const std::string& line) const {
    const std::string text = line + "\n";
    if (::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw std::runtime_error(std::string("cannot write the journal: ") + std::strerror(errno));
    }
  }

 private:
  const int fd_;
};

// A wait that a stop request ends.
class Wakeable {
 public:
  void Wake() noexcept {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      woken_ = true;
    }
    changed_.notify_all();
  }
  void Reset() {
    const std::lock_guard<std::mutex> lock(mutex_);
    woken_ = false;
  }
  bool WaitUntil(steady_clock::time_point until) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_until(lock, until, [this] { return woken_; });
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return woken_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

class JournalRunner final : public lts::JobRunner {
 public:
  explicit JournalRunner(const lts::RunnerConfig& config)
      : journal_(config.String("file")),
        gate_(config.String("gate", std::string())),
        hold_ms_(config.Int("hold_ms", -1)) {}

  lts::RunResult Run(lts::JobContext& ctx) override {
    const std::string run = std::string(ctx.JobId()) + " " + ctx.Token();
    const bool deaf = ctx.Param("deaf").has_value();
    const std::int64_t hold_ms = hold_ms_ >= 0 ? hold_ms_ : std::stoll(ctx.Param("hold_ms", "0"));
    const steady_clock::time_point end = steady_clock::now() + milliseconds(hold_ms);
    journal_.Add(run + " start");
    bool stopped = false;
    while (!stopped && steady_clock::now() < end && !Open()) {
      // The gate is a file, which nobody can wait for with a condition: it is looked at now and
      // then.
      const auto look = std::min(end, steady_clock::now() + milliseconds(20));
      stopped = deaf ? (idle_.WaitUntil(look), false) : stop_.WaitUntil(look);
    }
    if (ctx.Param("log").has_value()) ctx.Log().Info("ran " + run);
    journal_.Add(run + " end");
    stop_.Reset();
    return stopped ? lts::RunResult::Later("stopped")
                   : lts::RunResult::Success("token=" + ctx.Token());
  }
  void Cancel() noexcept override { stop_.Wake(); }

 private:
  bool Open() const { return !gate_.empty() && ::access(gate_.c_str(), F_OK) == 0; }

  const Journal journal_;
  const std::string gate_;
  const std::int64_t hold_ms_;
  Wakeable stop_;
  Wakeable idle_;
};

// Uses so many MiB.
void Allocate(int mib) {
  std::vector<std::unique_ptr<char[]>> blocks;
  for (int i = 0; i < mib; ++i) {
    blocks.push_back(std::make_unique<char[]>(1 << 20));
    std::memset(blocks.back().get(), i, 1 << 20);
  }
}

[[noreturn]] void Loop() {
  for (std::atomic<std::uint64_t> count{0};; ++count) {
  }
}

// A process that only SIGKILL ends.
pid_t ForkChild(bool own_session) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  if (own_session) ::setsid();
  ::signal(SIGTERM, SIG_IGN);
  while (true) ::pause();
}

class ActRunner final : public lts::JobRunner {
 public:
  lts::RunResult Run(lts::JobContext& ctx) override {
    const std::string message = ctx.Param("message", "attempt " + std::to_string(ctx.Attempt()));
    ctx.Log().Debug("debug line");
    ctx.Log().Info("info line of attempt " + std::to_string(ctx.Attempt()));
    ctx.Log().Warn("warn line");
    ctx.Log().Error("error line");
    ctx.Progress(50, "half");
    const std::string action = ctx.RequireParam("action");
    const std::string times = ctx.Param("times", std::string());
    if (!times.empty() && ctx.Attempt() > std::stoi(times)) return lts::RunResult::Success(message);
    if (action == "success") return lts::RunResult::Success(message);
    if (action == "failed") return lts::RunResult::Failed(message);
    if (action == "later") return lts::RunResult::Later(message);
    if (action.rfind("later_ms:", 0) == 0)
      return lts::RunResult::Later(milliseconds(std::stoll(action.substr(9))), message);
    if (action == "exception") return lts::RunResult::Exception(message);
    if (action == "throw") throw std::runtime_error(message);
    if (action == "throw_int") throw 42;
    if (action == "abort") std::abort();
    if (action == "exit") std::_Exit(3);
    if (action == "segfault") std::raise(SIGSEGV);
    if (action == "pid") return lts::RunResult::Success(std::to_string(::getpid()));
    if (action == "print") std::printf("printed by the runner\n");
    if (action == "allocate") Allocate(2048);
    if (action == "loop" || action == "children") {
      ctx.Log().Info("pid " + std::to_string(::getpid()));
      if (action == "children") {
        ctx.Log().Info("child " + std::to_string(ForkChild(false)));
        ctx.Log().Info("child " + std::to_string(ForkChild(true)));
      }
      Loop();
    }
    if (action == "print") return lts::RunResult::Success(message);
    if (action == "wait") {
      stop_.Wait();
      stop_.Reset();
      return lts::RunResult::Later("stopped");
    }
    return lts::RunResult::Failed("unknown action " + action);
  }
  void Cancel() noexcept override { stop_.Wake(); }

 private:
  Wakeable stop_;
};

}  // namespace

LTS_JOB_RUNNER("journal", JournalRunner)
LTS_JOB_RUNNER("act", ActRunner)

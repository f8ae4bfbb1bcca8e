// Runners that harm their process, or leave something behind. Each tells its process id first.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <lts/job_runner.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<std::uint64_t> spins{0};

[[noreturn]] void Spin() {
  while (true) spins.fetch_add(1, std::memory_order_relaxed);
}

// A process that only a signal ends.
pid_t ForkOne(bool own_session) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  if (own_session) setsid();
  signal(SIGTERM, SIG_IGN);
  while (true) pause();
}

// The parent ends at once, so that the process belongs to nobody.
void ForkDaemon(const lts::JobContext& ctx) {
  int fds[2];
  if (pipe(fds) != 0) std::abort();
  const pid_t middle = fork();
  if (middle == 0) {
    setsid();
    const pid_t pid = ForkOne(true);
    if (write(fds[1], &pid, sizeof pid) != sizeof pid) std::abort();
    _exit(0);
  }
  pid_t pid = 0;
  if (read(fds[0], &pid, sizeof pid) != sizeof pid) std::abort();
  close(fds[0]);
  close(fds[1]);
  waitpid(middle, nullptr, 0);
  ctx.Log().Info("child " + std::to_string(pid));
}

class Bad final : public lts::JobRunner {
 public:
  lts::RunResult Run(lts::JobContext& ctx) override {
    ctx.Log().Info("pid " + std::to_string(getpid()));
    const std::string what = ctx.Param("what", "good");
    if (what == "abort") {
      std::fprintf(stderr, "about to abort\n");
      std::abort();
    }
    if (what == "segfault") {
      volatile int* nowhere = nullptr;
      *nowhere = 1;
    }
    if (what == "exit") std::exit(3);
    if (what == "loop") {
      ctx.Log().Info("looping");
      Spin();
    }
    if (what == "flood") {
      while (true) {
        ctx.Log().Info("looping");
        std::printf("and on\n");
      }
    }
    if (what == "children") {
      ctx.Log().Info("child " + std::to_string(ForkOne(false)));
      ctx.Log().Info("child " + std::to_string(ForkOne(true)));
      ForkDaemon(ctx);
      ctx.Log().Info("looping");
      if (ctx.Param("then").has_value()) std::abort();
      Spin();
    }
    if (what == "leave") ForkDaemon(ctx);
    if (what == "allocate") {
      std::vector<std::unique_ptr<char[]>> blocks;
      for (int i = 0; i < 2048; ++i) {
        blocks.push_back(std::make_unique<char[]>(1 << 20));
        std::memset(blocks.back().get(), i, 1 << 20);
      }
    }
    if (what == "close_all") {
      for (int fd = 0; fd < 64; ++fd) close(fd);
      Spin();
    }
    if (what == "nonsense") {
      for (int fd = 3; fd < 64; ++fd) {
        const std::string bytes(64, '\xff');
        if (write(fd, bytes.data(), bytes.size()) < 0) continue;
      }
      Spin();
    }
    if (what == "kill_group") kill(0, SIGKILL);
    if (what == "stop_itself") raise(SIGSTOP);
    if (what == "print") {
      std::printf("printed\n");
      std::fprintf(stderr, "complained\n");
      std::printf("without an end");
    }
    if (what == "progress") {
      for (int i = 0; i <= 100'000; ++i) ctx.Progress(i / 1000, std::to_string(i));
    }
    if (what == "wait") {
      ctx.Log().Info("looping");
      while (!ctx.StopRequested()) std::this_thread::yield();
      return lts::RunResult::Later("stopped");
    }
    return lts::RunResult::Success("did " + what);
  }
};

// Ends its process when it is made, if its option says so.
class BadStart final : public lts::JobRunner {
 public:
  explicit BadStart(const lts::RunnerConfig& config) {
    if (config.Bool("crash", false)) std::abort();
  }
  lts::RunResult Run(lts::JobContext&) override { return lts::RunResult::Success(); }
};

}  // namespace

LTS_JOB_RUNNER("bad", Bad)
LTS_JOB_RUNNER("bad_start", BadStart)

#include "tasktracker/runners/host/keeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "tasktracker/runners/host_protocol.h"

namespace lts::runners {
namespace {

// Between two looks at children that were killed and do not end (a disk that hangs).
constexpr int kReapWaitMs = 100;
// Looks in a row that find nobody whom it may kill.
constexpr int kHopelessRounds = 20;

// The parent of a process, from /proc/<pid>/stat: the second field after the name in parentheses.
std::optional<pid_t> ParentOf(const char* pid) {
  const int fd = open((std::string("/proc/") + pid + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd == -1) return std::nullopt;
  std::array<char, 512> text{};
  const ssize_t size = read(fd, text.data(), text.size() - 1);
  close(fd);
  if (size <= 0) return std::nullopt;
  const char* name_end = std::strrchr(text.data(), ')');
  int parent = 0;
  if (name_end == nullptr || std::sscanf(name_end + 1, " %*c %d", &parent) != 1) {
    return std::nullopt;
  }
  return parent;
}

std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  DIR* const proc = opendir("/proc");
  if (proc == nullptr) return children;
  const pid_t self = getpid();
  while (const dirent* entry = readdir(proc)) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    if (ParentOf(entry->d_name) == self) children.push_back(std::atoi(entry->d_name));
  }
  closedir(proc);
  return children;
}

class Keeper {
 public:
  Keeper(pid_t worker, int signals, const LeasePage& lease)
      : worker_(worker), signals_(signals), lease_(lease) {}

  void Run() {
    while (!reason_) Wait();
    KillAll();
    const HostEnd end{*reason_, status_};
    // Nobody may be there to hear it.
    const ssize_t sent = send(kControlFd, &end, sizeof end, MSG_NOSIGNAL | MSG_DONTWAIT);
    static_cast<void>(sent);
  }

 private:
  void Wait() {
    const std::int64_t end_by_us = lease_.end_by_us.load(std::memory_order_acquire);
    int timeout_ms = -1;
    if (end_by_us != 0) {
      const std::int64_t left_us = end_by_us - clock_.MonotonicUs();
      if (left_us <= 0) {
        reason_ = HostEndReason::kLeaseEnded;
        return;
      }
      timeout_ms = static_cast<int>(std::min<std::int64_t>((left_us + 999) / 1000, INT_MAX));
    }
    // A later end needs no message: it is read when the earlier one has come. A first or an earlier
    // one comes with a byte.
    std::array<pollfd, 2> fds = {pollfd{kControlFd, POLLIN, 0}, pollfd{signals_, POLLIN, 0}};
    if (poll(fds.data(), fds.size(), timeout_ms) <= 0) return;
    if (fds[1].revents != 0) TakeSignals();
    if (fds[0].revents != 0) TakeControl();
  }

  void TakeSignals() {
    signalfd_siginfo info{};
    while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo == SIGHUP) End(HostEndReason::kKilled);
    }
    ReapEnded();
    if (worker_ended_) End(HostEndReason::kByItself);
  }

  void TakeControl() {
    char byte = 0;
    const ssize_t got = recv(kControlFd, &byte, sizeof byte, MSG_DONTWAIT);
    // A byte only wakes: the lease page has changed.
    if (got > 0 || (got == -1 && (errno == EAGAIN || errno == EINTR))) return;
    End(HostEndReason::kKilled);
  }

  void End(HostEndReason reason) {
    if (!reason_) reason_ = reason;
  }

  void ReapEnded() {
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) Reaped(pid, status);
  }

  void Reaped(pid_t pid, int status) {
    if (pid != worker_) return;
    worker_ended_ = true;
    status_ = status;
  }

  // Each round kills the children there are; theirs become ours by that, and fall in the next
  // round.
  void KillAll() {
    if (!worker_ended_) kill(-worker_, SIGKILL);  // the group at once, so that it cannot outrun us
    for (int hopeless = 0; hopeless < kHopelessRounds;) {
      bool may_end = !worker_ended_;
      for (const pid_t child : Children()) {
        if (kill(child, SIGKILL) == 0 || errno == ESRCH) may_end = true;
      }
      ReapEnded();
      int status = 0;
      const pid_t left = waitpid(-1, &status, WNOHANG);
      if (left > 0) {
        Reaped(left, status);
        continue;
      }
      if (left == -1 && errno == ECHILD) return;
      // What is left belongs to somebody else; or it has just come, and the look has missed it.
      hopeless = may_end ? 0 : hopeless + 1;
      pollfd signals{signals_, POLLIN, 0};
      poll(&signals, 1, kReapWaitMs);
      signalfd_siginfo info{};
      while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      }
    }
  }

  const pid_t worker_;
  const int signals_;
  const LeasePage& lease_;
  const SystemClock clock_;
  std::optional<HostEndReason> reason_;
  bool worker_ended_ = false;
  int status_ = 0;
};

// Higher for those whom the kernel should end first when memory runs out; nobody but the
// TaskTracker would be hurt if it could not be set.
void OfferToOutOfMemory() {
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd == -1) return;
  const ssize_t written = write(fd, "500", 3);
  static_cast<void>(written);
  close(fd);
}

int Failed(const char* what) {
  std::fprintf(stderr, "lts-runner-host: %s: %s\n", what, std::strerror(errno));
  return EXIT_FAILURE;
}

[[noreturn]] void RunWorker(const std::function<int()>& work, pid_t keeper, const sigset_t& mask) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != keeper) _exit(EXIT_FAILURE);
  // A group of its own: what it sends to its group does not reach the keeper.
  setpgid(0, 0);
  close(kControlFd);
  close(kLeaseFd);
  close(kLockFd);
  for (const int fd : {kFramesFd, kStopsFd}) fcntl(fd, F_SETFD, FD_CLOEXEC);  // not for programs
  OfferToOutOfMemory();
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) std::signal(signal, SIG_DFL);
  std::signal(SIGPIPE, SIG_IGN);  // as in the TaskTracker
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  std::exit(work());
}

}  // namespace

int Keep(const std::function<int()>& work) {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) == -1) return Failed("PR_SET_CHILD_SUBREAPER");
  void* const page = mmap(nullptr, sizeof(LeasePage), PROT_READ, MAP_SHARED, kLeaseFd, 0);
  if (page == MAP_FAILED) return Failed("lease page");

  sigset_t taken;
  sigset_t mask;
  sigemptyset(&taken);
  for (const int signal : {SIGCHLD, SIGHUP, SIGTERM, SIGINT}) sigaddset(&taken, signal);
  sigprocmask(SIG_BLOCK, &taken, &mask);
  const int signals = signalfd(-1, &taken, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signals == -1) return Failed("signalfd");

  const pid_t keeper = getpid();
  const pid_t worker = fork();
  if (worker == -1) return Failed("fork");
  if (worker == 0) {
    close(signals);
    munmap(page, sizeof(LeasePage));
    RunWorker(work, keeper, mask);
  }
  setpgid(worker, worker);  // by both: whoever comes first
  close(kFramesFd);
  close(kStopsFd);
  // The runner's output ends with the runner, not with us.
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null != -1) {
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close(null);
  }
  prctl(PR_SET_NAME, "lts-host-keeper");
  Keeper(worker, signals, *static_cast<const LeasePage*>(page)).Run();
  return EXIT_SUCCESS;
}

}  // namespace lts::runners

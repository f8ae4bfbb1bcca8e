#include "tasktracker/runners/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

namespace lts::runners {
namespace {

Status OutOf(const char* what, int error) {
  return Status::ResourceExhausted(std::string(what) + ": " + std::strerror(error));
}

// Descriptors 0 to 2 are what the child replaces; ours must not be among them, whatever the daemon
// closed.
Result<UniqueFd> AboveStdio(UniqueFd fd) {
  if (fd.get() > STDERR_FILENO) return fd;
  UniqueFd moved(fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!moved.valid()) return OutOf("descriptor", errno);
  return moved;
}

// Everything the child needs, made ready beforehand: it must not allocate.
struct ChildFrame {
  const char* program;
  char* const* argv;
  char* const* envp;
  int stdin_fd;
  int stdout_fd;
  int stderr_fd;
  const int* more_fds;  // become 3, 4 …; all of them, and failure_fd, are beyond these numbers
  int more_count;
  int death_signal;
  int failure_fd;  // closes on exec; gets errno when exec was not reached
  pid_t parent;
};

[[noreturn]] void GiveUp(const ChildFrame& frame, int error) {
  // Nobody can be told when even this write fails; the parent then sees exit status 127.
  const ssize_t written = write(frame.failure_fd, &error, sizeof error);
  static_cast<void>(written);
  _exit(127);
}

// Runs in the child, on memory that may be the parent's (vfork): async-signal-safe calls only, no
// locks, no allocation, no writes to what the parent will read.
[[noreturn]] void RunChild(const ChildFrame& frame) {
  // Handlers first, while every signal is still blocked: one that ran here would run on shared
  // memory.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    sigaction(signal, &standard,
              nullptr);  // fails for SIGKILL, SIGSTOP and the C library's own: fine
  }
  if (setsid() == -1) GiveUp(frame, errno);
  if (prctl(PR_SET_PDEATHSIG, frame.death_signal) == -1) GiveUp(frame, errno);
  if (getppid() != frame.parent) _exit(127);  // the parent died before the line above
  if (dup2(frame.stdin_fd, STDIN_FILENO) == -1 || dup2(frame.stdout_fd, STDOUT_FILENO) == -1 ||
      dup2(frame.stderr_fd, STDERR_FILENO) == -1) {
    GiveUp(frame, errno);
  }
  const int first_fd = STDERR_FILENO + 1;
  for (int i = 0; i < frame.more_count; ++i) {
    if (dup2(frame.more_fds[i], first_fd + i) == -1) GiveUp(frame, errno);
  }
  // Ours close on exec anyway; this is for descriptors of libraries that forgot to say so. A kernel
  // without the call (before 5.11) leaves those open.
  close_range(static_cast<unsigned>(first_fd + frame.more_count), UINT_MAX, CLOSE_RANGE_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(frame.program, frame.argv, frame.envp);
  GiveUp(frame, errno);
}

// vfork, because fork would copy the page tables of a big process and run the fork handlers of
// libraries (gRPC's among them) in a process full of threads. Kept free of other locals.
__attribute__((noinline)) pid_t VforkAndRun(const ChildFrame& frame) {
  const pid_t pid = vfork();
  if (pid == 0) RunChild(frame);
  return pid;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// A copy of `fd` with a number of at least `lowest`.
Result<UniqueFd> CopyAbove(int fd, int lowest) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
  if (!copy.valid()) return OutOf("descriptor", errno);
  return copy;
}

}  // namespace

std::optional<int> Reap(pid_t pid) {
  int status = 0;
  pid_t reaped = 0;
  do {
    reaped = waitpid(pid, &status, 0);
  } while (reaped == -1 && errno == EINTR);
  if (reaped != pid) return std::nullopt;
  return status;
}

std::string SignalText(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : std::string("SIG") + name;
}

void UniqueFd::Reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Result<Pipe> MakePipe() {
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) != 0) return OutOf("pipe", errno);
  UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  Result<UniqueFd> reader = AboveStdio(std::move(read_end));
  if (!reader.ok()) return reader.status();
  Result<UniqueFd> writer = AboveStdio(std::move(write_end));
  if (!writer.ok()) return writer.status();
  return Pipe{*std::move(reader), *std::move(writer)};
}

Result<UniqueFd> MakeInput(const std::string& bytes) {
  if (bytes.empty()) {
    UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null.valid()) return OutOf("/dev/null", errno);
    return AboveStdio(std::move(null));
  }
  // A file rather than a pipe: nobody has to keep writing, and a program that does not read cannot
  // block or signal us.
  UniqueFd file(memfd_create("lts-payload", MFD_CLOEXEC));
  if (!file.valid()) return OutOf("memory for the payload", errno);
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t written = write(file.get(), bytes.data() + done, bytes.size() - done);
    if (written < 0) {
      if (errno == EINTR) continue;
      return OutOf("memory for the payload", errno);
    }
    done += static_cast<std::size_t>(written);
  }
  if (lseek(file.get(), 0, SEEK_SET) != 0) return OutOf("memory for the payload", errno);
  return AboveStdio(std::move(file));
}

Result<pid_t> Spawn(const ChildPlan& plan) {
  Result<Pipe> failure = MakePipe();
  if (!failure.ok()) return failure.status();
  const std::vector<char*> argv = Pointers(plan.args);
  const std::vector<char*> envp = Pointers(plan.env);
  // Whatever the child puts into place must not overwrite what it has still to use.
  const int lowest = STDERR_FILENO + 1 + static_cast<int>(plan.more_fds.size());
  std::vector<UniqueFd> copies;
  std::vector<int> more_fds;
  for (const int fd : plan.more_fds) {
    Result<UniqueFd> copy = CopyAbove(fd, lowest);
    if (!copy.ok()) return copy.status();
    more_fds.push_back(copy->get());
    copies.push_back(*std::move(copy));
  }
  Result<UniqueFd> failure_end = CopyAbove(failure->write.get(), lowest);
  if (!failure_end.ok()) return failure_end.status();
  failure->write = *std::move(failure_end);
  std::array<int, 3> standard = {plan.stdin_fd, plan.stdout_fd, plan.stderr_fd};
  for (int& fd : standard) {
    if (more_fds.empty()) break;
    Result<UniqueFd> copy = CopyAbove(fd, lowest);
    if (!copy.ok()) return copy.status();
    fd = copy->get();
    copies.push_back(*std::move(copy));
  }
  const ChildFrame frame{plan.program.c_str(),
                         argv.data(),
                         envp.data(),
                         standard[0],
                         standard[1],
                         standard[2],
                         more_fds.data(),
                         static_cast<int>(more_fds.size()),
                         plan.death_signal,
                         failure->write.get(),
                         getpid()};

  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = VforkAndRun(frame);
  const int vfork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid == -1) return OutOf("no process can be started", vfork_error);

  // Ends when exec closed the other end: the program runs then, also where vfork is only a fork
  // (TSan).
  failure->write.Reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(failure->read.get(), &error, sizeof error);
  } while (got == -1 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof error)) {
    Reap(pid);
    return Status::InvalidArgument(plan.program + " cannot be executed: " + std::strerror(error));
  }
  return pid;
}

Result<UniqueFd> OpenPidFd(pid_t pid) {
  // By number: glibc 2.36 declares its wrapper without C linkage. Closes on exec by itself.
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid()) return OutOf("pidfd", errno);
  return fd;
}

}  // namespace lts::runners

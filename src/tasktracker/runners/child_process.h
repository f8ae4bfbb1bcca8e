// Starts a program as a process of its own session, safely from a process with many threads.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lts/status.h"

namespace lts::runners {

// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Gives it up, open.
  int Release() && { return std::exchange(fd_, -1); }
  void Reset();

 private:
  int fd_ = -1;
};

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

// Both ends close on exec. kResourceExhausted when the process is out of descriptors.
Result<Pipe> MakePipe();

// `bytes` as something to read from the beginning: a file in memory, or /dev/null when there are
// none. Closes on exec.
Result<UniqueFd> MakeInput(const std::string& bytes);

struct ChildPlan {
  std::string program;            // absolute path; no search, no shell
  std::vector<std::string> args;  // with args[0]
  std::vector<std::string> env;   // KEY=value, nothing else is inherited
  int stdin_fd = -1;              // borrowed, all three
  int stdout_fd = -1;
  int stderr_fd = -1;
  std::vector<int> more_fds;   // borrowed: these become 3, 4 …
  int death_signal = SIGKILL;  // what it gets when the calling thread ends before it
};

// The child leads a session and a process group of its own (its number is the pid that is
// returned), has no signal blocked or ignored, holds no descriptor but those of the plan, and gets
// death_signal when the calling *thread* ends before it: the thread that spawns must be the one
// that waits, or outlive it. Returns once the program runs. kInvalidArgument: the program cannot be
// executed, the message says why. kResourceExhausted: no process can be made now.
Result<pid_t> Spawn(const ChildPlan& plan);

// Waits for the end of a child and forgets it; the status as waitpid gives it, nothing when it
// cannot be known.
std::optional<int> Reap(pid_t pid);

// "SIGKILL", or "signal 41" for one without a name.
std::string SignalText(int signal);

// The thread-safe descriptor of a child that becomes readable when it has ended.
Result<UniqueFd> OpenPidFd(pid_t pid);

}  // namespace lts::runners

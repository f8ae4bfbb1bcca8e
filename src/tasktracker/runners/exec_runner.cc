#include "tasktracker/runners/exec_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "tasktracker/runners/child_process.h"
#include "tasktracker/runners/exec_command.h"
#include "tasktracker/runners/text.h"

namespace lts::runners {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
// What is still read after the end of the program: more than a pipe holds, and a bound for a
// process that escaped and goes on writing.
constexpr std::size_t kDrainBytesMax = 2 << 20;

RunOutcome Ended(model::Action action, std::string message) {
  RunOutcome outcome;
  outcome.action = action;
  outcome.message = std::move(message);
  return outcome;
}

// A refusal to start: what would be refused again is FAILED, what may pass is EXCEPTION.
RunOutcome NotStarted(const Status& status, const RunnerLimits& limits) {
  const bool may_pass = status.code() == StatusCode::kResourceExhausted;
  return Ended(
      may_pass ? model::Action::kExecuteException : model::Action::kExecuteFailed,
      FirstBytes(ValidUtf8(status.message()), static_cast<std::size_t>(limits.message_bytes_max)));
}

std::vector<std::string> Environment(const AttemptInput& input) {
  return {
      "PATH=/usr/local/bin:/usr/bin:/bin",
      "LANG=C.UTF-8",
      "LTS_JOB_ID=" + input.job_id,
      "LTS_TASK_ID=" + input.task_id,
      "LTS_ATTEMPT=" + std::to_string(input.attempt),
      "LTS_TOKEN=" + model::ToString(input.token),
      "LTS_FIRE_TIME_MS=" + std::to_string(input.fire_time_ms),
  };
}

// One output of the program: cuts it into log lines and keeps its end.
class Output {
 public:
  Output(UniqueFd fd, LogLevel level, AttemptSink& sink, const RunnerLimits& limits)
      : fd_(std::move(fd)),
        level_(level),
        sink_(sink),
        line_max_(static_cast<std::size_t>(limits.log_line_bytes_max)),
        tail_max_(static_cast<std::size_t>(limits.message_bytes_max)) {}

  bool open() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }

  // Reads once; false when there is nothing (more) to read now.
  bool ReadSome() {
    std::array<char, 16 * 1024> block;
    const ssize_t got = read(fd_.get(), block.data(), block.size());
    if (got > 0) {
      Take(std::string_view(block.data(), static_cast<std::size_t>(got)));
      return true;
    }
    if (got == -1 && (errno == EINTR || errno == EAGAIN)) return errno == EINTR;
    fd_.Reset();
    return false;
  }

  void Drain() {
    const std::size_t until = taken_ + kDrainBytesMax;
    while (open() && taken_ < until && ReadSome()) {
    }
    if (!line_.empty()) EmitLine(std::exchange(line_, {}));
  }

  // The last bytes without the final newline.
  std::string Tail() const {
    std::string_view tail = tail_;
    if (!tail.empty() && tail.back() == '\n') tail.remove_suffix(1);
    if (!tail.empty() && tail.back() == '\r') tail.remove_suffix(1);
    return LastBytes(tail, tail_max_);
  }

 private:
  void Take(std::string_view bytes) {
    taken_ += bytes.size();
    // Twice the bound before it is cut back, so that not every block moves the whole tail. The
    // extra bytes are the newline that Tail drops, and what shows whether the first character is
    // cut.
    tail_.append(bytes);
    const std::size_t keep = tail_max_ + 8;
    if (tail_.size() > 2 * keep) tail_.erase(0, tail_.size() - keep);

    while (!bytes.empty()) {
      const std::size_t newline = bytes.find('\n');
      const std::size_t room = line_max_ - line_.size();
      const std::size_t size = std::min({newline, bytes.size(), room});
      line_.append(bytes.substr(0, size));
      bytes.remove_prefix(size);
      if (!bytes.empty() && bytes.front() == '\n') {
        bytes.remove_prefix(1);
        if (!line_.empty() && line_.back() == '\r') line_.pop_back();
        EmitLine(std::exchange(line_, {}));
      } else if (line_.size() == line_max_) {
        SplitLongLine();
      }
    }
  }

  // A line over the bound goes on in the next one; a character is not torn apart.
  void SplitLongLine() {
    std::size_t end = line_.size();
    for (int i = 0; i < 3 && end > 0 && (static_cast<unsigned char>(line_[end - 1]) & 0xC0) == 0x80;
         ++i)
      --end;
    if (end > 0 && static_cast<unsigned char>(line_[end - 1]) >= 0xC0) --end;
    if (end == 0 || line_.size() - end > 3) end = line_.size();
    std::string rest = line_.substr(end);
    line_.resize(end);
    EmitLine(std::exchange(line_, std::move(rest)));
  }

  void EmitLine(const std::string& line) {
    sink_.Log(level_, FirstBytes(ValidUtf8(line), line_max_));
  }

  UniqueFd fd_;
  const LogLevel level_;
  AttemptSink& sink_;
  const std::size_t line_max_;
  const std::size_t tail_max_;
  std::string line_;
  std::string tail_;
  std::size_t taken_ = 0;
};

// Makes reads of our end return at once when there is nothing; the program's end is another
// description.
Status SetNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1) {
    return Status::Internal(std::string("O_NONBLOCK: ") + std::strerror(errno));
  }
  return Status::Ok();
}

// The program that runs, from its start to its end.
class Execution {
 public:
  Execution(pid_t pid, UniqueFd pid_fd, const UniqueFd& wake, Output& out, Output& err,
            const RunnerLimits& limits, const Clock& clock, std::int64_t deadline_us)
      : pid_(pid),
        pid_fd_(std::move(pid_fd)),
        wake_(wake),
        out_(out),
        err_(err),
        limits_(limits),
        clock_(clock),
        deadline_us_(deadline_us) {}

  // Waits for the end; returns the status as waitpid gives it, nothing when it cannot be known.
  std::optional<int> Wait() {
    while (!LeaderEnded()) {
    }
    // Not reaped yet, so the number of the group cannot belong to anyone else.
    kill(-pid_, SIGKILL);
    out_.Drain();
    err_.Drain();
    int status = 0;
    pid_t reaped = 0;
    do {
      reaped = waitpid(pid_, &status, 0);
    } while (reaped == -1 && errno == EINTR);
    if (reaped != pid_) return std::nullopt;
    return status;
  }

  bool timed_out() const { return timed_out_; }

 private:
  // One round: waits for something to happen and acts on it.
  bool LeaderEnded() {
    const bool stopping = kill_at_us_ != kNever || killed_;
    std::array<pollfd, 4> fds = {
        pollfd{pid_fd_.get(), POLLIN, 0},
        pollfd{stopping ? -1 : wake_.get(), POLLIN, 0},  // negative: not looked at
        pollfd{out_.fd(), POLLIN, 0},
        pollfd{err_.fd(), POLLIN, 0},
    };
    const int ready = poll(fds.data(), fds.size(), TimeoutMs(stopping));
    // Only EINTR can happen here, or the kernel is out of memory for a moment.
    if (ready > 0) {
      if (fds[2].revents != 0) out_.ReadSome();
      if (fds[3].revents != 0) err_.ReadSome();
      if (fds[0].revents != 0) return true;
      if (fds[1].revents != 0) Terminate();
    }
    const std::int64_t now = clock_.MonotonicUs();
    if (!stopping && now >= deadline_us_) {
      timed_out_ = true;
      Terminate();
    }
    if (now >= kill_at_us_) {
      kill(-pid_, SIGKILL);
      killed_ = true;
      kill_at_us_ = kNever;
    }
    return false;
  }

  void Terminate() {
    if (kill_at_us_ != kNever || killed_) return;
    kill(-pid_, SIGTERM);
    kill(-pid_, SIGCONT);  // a stopped process would not see the SIGTERM
    kill_at_us_ = clock_.MonotonicUs() + limits_.kill_grace_ms * 1000;
  }

  // For poll, rounded up; -1 when there is nothing to wait for but the descriptors.
  int TimeoutMs(bool stopping) const {
    const std::int64_t next = stopping ? kill_at_us_ : deadline_us_;
    if (next == kNever) return -1;
    const std::int64_t left_us = next - clock_.MonotonicUs();
    return static_cast<int>(std::clamp<std::int64_t>((left_us + 999) / 1000, 0, INT_MAX));
  }

  const pid_t pid_;
  const UniqueFd pid_fd_;
  const UniqueFd& wake_;
  Output& out_;
  Output& err_;
  const RunnerLimits& limits_;
  const Clock& clock_;
  const std::int64_t deadline_us_;
  std::int64_t kill_at_us_ = kNever;
  bool killed_ = false;
  bool timed_out_ = false;
};

std::string SignalText(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : std::string("SIG") + name;
}

}  // namespace

Result<std::unique_ptr<ExecRunner>> ExecRunner::Create(
    std::vector<std::string> allow, const std::map<std::string, std::string>& config,
    const RunnerLimits& limits, const Clock& clock) {
  for (const std::string& path : allow) {
    if (path.empty() || path[0] != '/') {
      return Status::InvalidArgument("option runner.exec.allow: '" + path +
                                     "' must be an absolute path");
    }
  }
  Result<std::map<int, model::Action>> exit_actions = ExitActions(config);
  if (!exit_actions.ok()) return exit_actions.status();
  return std::unique_ptr<ExecRunner>(
      new ExecRunner(std::move(allow), *std::move(exit_actions), limits, clock));
}

RunOutcome ExecRunner::Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) {
  const auto program_param = input.params.find("program");
  if (program_param == input.params.end()) {
    return Ended(model::Action::kExecuteFailed, "job parameter 'program' is missing");
  }
  const Result<std::string> program = AllowedProgram(program_param->second, allow_);
  if (!program.ok()) return NotStarted(program.status(), limits_);
  Result<std::vector<std::string>> args = JobArguments(input.params);
  if (!args.ok()) return NotStarted(args.status(), limits_);

  const Result<UniqueFd> in = MakeInput(input.payload);
  if (!in.ok()) return NotStarted(in.status(), limits_);
  Result<Pipe> out_pipe = MakePipe();
  if (!out_pipe.ok()) return NotStarted(out_pipe.status(), limits_);
  Result<Pipe> err_pipe = MakePipe();
  if (!err_pipe.ok()) return NotStarted(err_pipe.status(), limits_);
  for (const int fd : {out_pipe->read.get(), err_pipe->read.get()}) {
    const Status status = SetNonBlocking(fd);
    if (!status.ok()) return NotStarted(status, limits_);
  }
  const UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) {
    return NotStarted(Status::ResourceExhausted(std::string("eventfd: ") + std::strerror(errno)),
                      limits_);
  }

  ChildPlan plan;
  plan.program = *program;
  // The resolved name, not the one given: a program that acts by its name must not be talked into
  // another.
  plan.args.push_back(*program);
  std::move(args->begin(), args->end(), std::back_inserter(plan.args));
  plan.env = Environment(input);
  plan.stdin_fd = in->get();
  plan.stdout_fd = out_pipe->write.get();
  plan.stderr_fd = err_pipe->write.get();
  const std::int64_t deadline_us =
      input.timeout_ms > 0 ? clock_.MonotonicUs() + input.timeout_ms * 1000 : kNever;
  if (stop.stop_requested()) {
    return Ended(model::Action::kExecuteException, "stopped before the program was started");
  }
  const Result<pid_t> pid = Spawn(plan);
  if (!pid.ok()) return NotStarted(pid.status(), limits_);
  out_pipe->write.Reset();
  err_pipe->write.Reset();

  Result<UniqueFd> pid_fd = OpenPidFd(*pid);
  if (!pid_fd.ok()) {
    kill(-*pid, SIGKILL);
    while (waitpid(*pid, nullptr, 0) == -1 && errno == EINTR) {
    }
    return NotStarted(pid_fd.status(), limits_);
  }

  Output out(std::move(out_pipe->read), LogLevel::kInfo, sink, limits_);
  Output err(std::move(err_pipe->read), LogLevel::kWarn, sink, limits_);
  Execution execution(*pid, *std::move(pid_fd), wake, out, err, limits_, clock_, deadline_us);
  std::optional<int> status;
  {
    const std::stop_callback on_stop(stop, [&wake] {
      const std::uint64_t one = 1;
      const ssize_t written = write(wake.get(), &one, sizeof one);
      static_cast<void>(written);  // it can fail only when it was written before
    });
    status = execution.Wait();
  }

  const std::string tail = out.Tail();
  RunOutcome outcome;
  std::string what;  // how it ended, when that is no plain exit
  if (!status) {
    what = "its exit status is not known";
  } else if (WIFSIGNALED(*status)) {
    what = "killed by " + SignalText(WTERMSIG(*status));
  } else {
    const int code = WEXITSTATUS(*status);
    const auto action = exit_actions_.find(code);
    outcome.action = action == exit_actions_.end() ? model::Action::kExecuteFailed : action->second;
    if (outcome.action != model::Action::kExecuteSuccess && tail.empty()) {
      what = "exit status " + std::to_string(code);
    }
  }
  outcome.timed_out = execution.timed_out() && outcome.action != model::Action::kExecuteSuccess;
  if (outcome.timed_out) {
    what = "out of time after " + std::to_string(input.timeout_ms) + " ms" +
           (what.empty() ? "" : ", " + what);
  }
  if (!what.empty() && !tail.empty()) what += ": ";
  // The reason first, then as much of the end of the output as still fits.
  const auto max = static_cast<std::size_t>(limits_.message_bytes_max);
  what = FirstBytes(std::move(what), max);
  outcome.message = what + LastBytes(tail, max - what.size());
  return outcome;
}

}  // namespace lts::runners

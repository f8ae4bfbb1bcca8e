#include "tasktracker/runners/exec_runner.h"

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
#include "tasktracker/runners/output.h"
#include "tasktracker/runners/text.h"

namespace lts::runners {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

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
    return Reap(pid_);
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
    Reap(*pid);
    return NotStarted(pid_fd.status(), limits_);
  }

  const auto logging = [&sink](LogLevel level) {
    return [&sink, level](std::string line) { sink.Log(level, std::move(line)); };
  };
  Output out(std::move(out_pipe->read), logging(LogLevel::kInfo), limits_);
  Output err(std::move(err_pipe->read), logging(LogLevel::kWarn), limits_);
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

#include "tasktracker/runners/host_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <limits>
#include <utility>

#include "common/log.h"
#include "tasktracker/runners/text.h"

namespace lts::runners {
namespace {

// How long the keeper may take to kill everything; beyond, something hangs in the kernel.
constexpr std::int64_t kKillUs = 10'000'000;
// From the end of what a process says to the end of the process.
constexpr std::int64_t kLostUs = 1'000'000;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;
};

Result<SocketPair> MakeSockets(int type) {
  std::array<int, 2> fds{};
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return Status::ResourceExhausted(std::string("socketpair: ") + std::strerror(errno));
  }
  return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

}  // namespace

Result<std::unique_ptr<HostProcess>> HostProcess::Start(const std::string& program, int lease_fd,
                                                        int lock_fd, const RunnerLimits& limits,
                                                        const Clock& clock) {
  Result<SocketPair> control = MakeSockets(SOCK_SEQPACKET);
  if (!control.ok()) return control.status();
  Result<SocketPair> frames = MakeSockets(SOCK_STREAM);
  if (!frames.ok()) return frames.status();
  Result<Pipe> stops = MakePipe();
  if (!stops.ok()) return stops.status();
  Result<Pipe> output = MakePipe();
  if (!output.ok()) return output.status();
  for (const int fd : {frames->ours.get(), stops->write.get(), output->read.get()}) {
    LTS_RETURN_IF_ERROR(SetNonBlocking(fd));
  }
  const Result<UniqueFd> input = MakeInput("");
  if (!input.ok()) return input.status();

  ChildPlan plan;
  plan.program = program;
  plan.args = {program, kHostProtocol};
  plan.env = OwnEnvironment();
  plan.stdin_fd = input->get();
  plan.stdout_fd = output->write.get();
  plan.stderr_fd = output->write.get();
  plan.more_fds = {control->theirs.get(), frames->theirs.get(), stops->read.get(), lease_fd,
                   lock_fd >= 0 ? lock_fd : lease_fd};
  plan.death_signal = SIGHUP;  // the keeper cleans up before it ends
  const Result<pid_t> pid = Spawn(plan);
  if (!pid.ok()) return pid.status();
  return std::unique_ptr<HostProcess>(
      new HostProcess(*pid, std::move(control->ours), std::move(frames->ours),
                      std::move(stops->write), std::move(output->read), limits, clock));
}

HostProcess::HostProcess(pid_t keeper, UniqueFd control, UniqueFd frames, UniqueFd stops,
                         UniqueFd output, const RunnerLimits& limits, const Clock& clock)
    : keeper_(keeper),
      control_(std::move(control)),
      frames_(std::move(frames)),
      stops_(std::move(stops)),
      clock_(clock),
      output_(std::make_unique<Output>(
          std::move(output),
          [this](std::string line) {
            if (on_line_) {
              on_line_(std::move(line));
            } else {
              LTS_INFO("a runner prints pid={} line=\"{}\"", keeper_, line);
            }
          },
          limits)) {}

HostProcess::~HostProcess() { Kill(); }

HostProcess::Event HostProcess::Next(std::int64_t until_us, int wake_fd) {
  while (true) {
    if (std::optional<Frame> frame = TakeFrame()) return *std::move(frame);
    if (end_) return *end_;
    const std::int64_t now_us = clock_.MonotonicUs();
    if (now_us >= lost_us_) {
      lost_us_ = kNever;
      ending_ = true;
      shutdown(control_.get(), SHUT_WR);
    }
    std::array<pollfd, 4> fds = {
        pollfd{frames_.get(), static_cast<short>(unsent_.empty() ? POLLIN : POLLIN | POLLOUT), 0},
        pollfd{control_.get(), POLLIN, 0},
        pollfd{wake_fd, POLLIN, 0},
        pollfd{output_->fd(), POLLIN, 0},
    };
    const std::int64_t left_us = std::min(until_us, lost_us_) - now_us;
    const auto timeout_ms =
        static_cast<int>(std::clamp<std::int64_t>((left_us + 999) / 1000, 0, INT_MAX));
    const int ready = poll(fds.data(), fds.size(), timeout_ms);
    if (ready == 0 && now_us >= until_us) return TimeIsUp{};
    if (ready <= 0) continue;  // the time is looked at again; EINTR, or no memory for a moment
    if (fds[3].revents != 0) output_->ReadAvailable();
    if ((fds[0].revents & POLLOUT) != 0) WriteSome();
    if ((fds[0].revents & ~POLLOUT) != 0 && ReadSome() == Got::kEnd) {
      // It is ending: the keeper will say how. Else it has closed its end, and has to end.
      frames_.Reset();
      lost_us_ = now_us + kLostUs;
    }
    if (fds[1].revents != 0) {
      if (const std::optional<HostEnd> end = TakeEnd()) {
        SetEnded(*end);
      }
      continue;
    }
    if (fds[2].revents != 0) return Woken{};
    // Also when it never stops talking.
    if (now_us >= until_us) return TimeIsUp{};
  }
}

void HostProcess::WriteSome() {
  const ssize_t sent =
      send(frames_.get(), unsent_.data() + sent_, unsent_.size() - sent_, MSG_NOSIGNAL);
  if (sent > 0) sent_ += static_cast<std::size_t>(sent);
  // A broken connection shows when it is read.
  const bool broken = sent == -1 && errno != EINTR && errno != EAGAIN;
  if (!broken && sent_ < unsent_.size()) return;
  unsent_.clear();
  sent_ = 0;
}

HostProcess::Got HostProcess::ReadSome() {
  std::array<char, 64 * 1024> block;
  const ssize_t got = recv(frames_.get(), block.data(), block.size(), 0);
  if (got > 0) {
    received_.Add(block.data(), static_cast<std::size_t>(got));
    return Got::kBytes;
  }
  return got == -1 && (errno == EINTR || errno == EAGAIN) ? Got::kNothing : Got::kEnd;
}

// What it said before its end comes first; nobody is there any more who could go on for ever.
void HostProcess::ReadRest() {
  while (frames_.valid() && ReadSome() == Got::kBytes) {
  }
}

std::optional<Frame> HostProcess::TakeFrame() {
  Result<std::optional<Frame>> frame = received_.Next();
  if (frame.ok()) return *std::move(frame);
  if (!ending_) {
    LTS_WARN("a runner's process is out of step, killing it pid={} error={}", keeper_,
             frame.status().ToString());
    Kill();
  }
  return std::nullopt;
}

std::optional<HostEnd> HostProcess::TakeEnd() {
  HostEnd end;
  const ssize_t got = recv(control_.get(), &end, sizeof end, MSG_DONTWAIT);
  if (got == -1 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  // The keeper has nothing left to do, so this does not wait for long.
  const std::optional<int> keeper = Reap(keeper_);
  if (got != static_cast<ssize_t>(sizeof end)) {
    // It has not come so far, or was killed: its own end is all that is known.
    end = {HostEndReason::kKeeper, keeper.value_or(SIGKILL)};
  }
  return end;
}

HostEnd HostProcess::Kill() {
  if (end_) return *end_;
  if (!ending_) shutdown(control_.get(), SHUT_WR);
  ending_ = true;
  const std::int64_t until_us = clock_.MonotonicUs() + kKillUs;
  std::optional<HostEnd> end;
  while (!end) {
    const std::int64_t left_us = until_us - clock_.MonotonicUs();
    if (left_us <= 0) {
      LTS_ERROR("a runner's process cannot be killed, something in it hangs in the kernel pid={}",
                keeper_);
      kill(keeper_, SIGKILL);
      Reap(keeper_);
      end = HostEnd{HostEndReason::kKilled, SIGKILL};
      break;
    }
    pollfd control{control_.get(), POLLIN, 0};
    const auto timeout_ms = static_cast<int>((left_us + 999) / 1000);
    if (poll(&control, 1, timeout_ms) > 0) end = TakeEnd();
  }
  SetEnded(*end);
  return *end_;
}

void HostProcess::SetEnded(const HostEnd& end) {
  ReadRest();
  output_->Drain();
  frames_.Reset();
  end_ = end;
}

void HostProcess::AskToEnd() { frames_.Reset(); }

void HostProcess::AwaitEnd(std::int64_t until_us) {
  while (!end_) {
    const std::int64_t left_us = until_us - clock_.MonotonicUs();
    if (left_us <= 0) break;
    std::array<pollfd, 2> fds = {pollfd{control_.get(), POLLIN, 0},
                                 pollfd{output_->fd(), POLLIN, 0}};
    if (poll(fds.data(), fds.size(), static_cast<int>((left_us + 999) / 1000)) <= 0) continue;
    if (fds[1].revents != 0) output_->ReadSome();
    if (fds[0].revents == 0) continue;
    if (const std::optional<HostEnd> end = TakeEnd()) {
      SetEnded(*end);
    }
  }
  Kill();
}

bool HostProcess::Usable() {
  if (end_ || ending_ || !unsent_.empty()) return false;
  std::array<pollfd, 2> fds = {pollfd{control_.get(), POLLIN, 0}, pollfd{frames_.get(), POLLIN, 0}};
  return poll(fds.data(), fds.size(), 0) == 0;
}

void HostProcess::WakeKeeper() const {
  const char byte = 0;
  // When it does not fit there are wakes enough under way.
  const ssize_t sent = send(control_.get(), &byte, sizeof byte, MSG_NOSIGNAL | MSG_DONTWAIT);
  static_cast<void>(sent);
}

void HostProcess::SetOutput(Output::OnLine on_line) {
  output_->Drain();
  output_->ForgetTail();
  on_line_ = std::move(on_line);
}

void HostProcess::SendRun(const AttemptInput& input, DurationMs timeout_ms) {
  unsent_ = RunFrame(++number_, input, timeout_ms);
  WriteSome();
}

void HostProcess::SendStop() {
  const ssize_t written = write(stops_.get(), &number_, sizeof number_);
  static_cast<void>(written);  // it fails when the process has ended, which shows elsewhere
}

Result<Frame> HostProcess::Ask(std::string frame, FrameKind answer, const HostPatience& patience) {
  unsent_ = std::move(frame);
  WriteSome();
  std::int64_t until_us = patience.until_us;
  int wake_fd = patience.wake_fd;
  while (true) {
    Event event = Next(until_us, wake_fd);
    if (Frame* const got = std::get_if<Frame>(&event)) {
      if (got->kind == answer) return std::move(*got);
      Kill();
      return Status::Internal("its process is out of step");
    }
    if (const HostEnd* const end = std::get_if<HostEnd>(&event)) {
      std::string text = EndText(*end);
      const std::string printed = tail();
      if (!printed.empty()) text += ": " + printed;
      return Status::FailedPrecondition(std::move(text));
    }
    if (std::holds_alternative<Woken>(event)) {
      wake_fd = -1;
      until_us = std::min(until_us, clock_.MonotonicUs() + patience.grace_ms * 1000);
      continue;
    }
    Kill();
    return Status::DeadlineExceeded("it did not answer in time and was killed");
  }
}

Result<std::vector<std::string>> HostProcess::Open(const OpenRequest& request,
                                                   const HostPatience& patience) {
  const Result<Frame> answer = Ask(ToFrame(request), FrameKind::kOpened, patience);
  if (!answer.ok()) {
    const std::string what = request.plugin.empty() ? "lts-runner-host" : request.plugin;
    return answer.status().WithContext("plugin " + what + " cannot be loaded");
  }
  auto opened = StatusFrom(*answer);
  if (!opened) return Status::Internal("plugin " + request.plugin + ": its process is out of step");
  if (!opened->first.ok()) return std::move(opened->first);
  return std::move(opened->second);
}

Status HostProcess::Create(const CreateRequest& request, const HostPatience& patience) {
  const Result<Frame> answer = Ask(ToFrame(request), FrameKind::kCreated, patience);
  if (!answer.ok()) {
    return answer.status().WithContext("runner " + request.runner + " refused to start");
  }
  auto created = StatusFrom(*answer);
  if (!created)
    return Status::Internal("runner " + request.runner + ": its process is out of step");
  return std::move(created->first);
}

std::string HostProcess::EndText(const HostEnd& end) {
  if (end.reason == HostEndReason::kLeaseEnded) return "killed at the end of the lease";
  if (WIFSIGNALED(end.status)) {
    const int signal = WTERMSIG(end.status);
    std::string text = "killed by " + SignalText(signal);
    if (signal == SIGKILL && end.reason != HostEndReason::kKilled) {
      text += " (out of memory, or by somebody)";
    }
    return text;
  }
  const int code = WEXITSTATUS(end.status);
  if (code == kHostExitVersion && end.reason == HostEndReason::kKeeper) {
    return "lts-runner-host is of another version than this program: start the program again";
  }
  return "exit status " + std::to_string(code);
}

}  // namespace lts::runners

#include "tasktracker/runners/host_runner.h"

#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <variant>

#include "tasktracker/runners/registry.h"
#include "tasktracker/runners/text.h"

namespace lts::runners {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
// exec has a grace of its own for its program; this is for what it has to do afterwards.
constexpr DurationMs kExecMoreMs = 1'000;
// Of what a process printed last: the reason of its end is often among it.
constexpr std::size_t kPrintedBytesMax = 1024;

// One attempt in a host, from the hand-over to the result or the end of the process.
class HostedAttempt {
 public:
  HostedAttempt(HostPool::Loan loan, const HostedRunner& runner, const AttemptInput& input,
                AttemptSink& sink, const RunnerLimits& limits, const Clock& clock,
                std::int64_t deadline_us)
      : loan_(std::move(loan)),
        host_(loan_.host()),
        runner_(runner),
        input_(input),
        sink_(sink),
        limits_(limits),
        clock_(clock),
        deadline_us_(deadline_us) {}

  RunOutcome Run(int wake_fd) {
    host_.SetOutput([this](std::string line) { sink_.Log(LogLevel::kInfo, std::move(line)); });
    const DurationMs left_ms =
        deadline_us_ == kNever
            ? 0
            : std::max<std::int64_t>(1, (deadline_us_ - clock_.MonotonicUs() + 999) / 1000);
    host_.SendRun(input_, left_ms);
    while (!outcome_) {
      const bool stopping = Stopping();
      HostProcess::Event event =
          host_.Next(stopping ? kill_at_us_ : deadline_us_, stopping ? -1 : wake_fd);
      if (Frame* const frame = std::get_if<Frame>(&event)) {
        Take(*frame);
      } else if (const HostEnd* const end = std::get_if<HostEnd>(&event)) {
        outcome_ = Ended(*end);
      } else if (std::holds_alternative<HostProcess::Woken>(event)) {
        Stop();
      } else if (!stopping) {
        timed_out_ = true;
        Stop();
      } else {
        killed_ = true;
        kill_at_us_ = kNever;
        host_.Kill();
      }
    }
    outcome_->timed_out =
        (outcome_->timed_out || timed_out_) && outcome_->action != model::Action::kExecuteSuccess;
    return *std::move(outcome_);
  }

 private:
  bool Stopping() const { return kill_at_us_ != kNever || killed_; }

  void Stop() {
    host_.SendStop();
    const DurationMs more_ms = runner_.name == kExecRunnerName ? kExecMoreMs : 0;
    kill_at_us_ = clock_.MonotonicUs() + (limits_.kill_grace_ms + more_ms) * 1000;
  }

  void Take(const Frame& frame) {
    FrameReader reader(frame.body);
    const std::int64_t number = reader.Int();
    switch (frame.kind) {
      case FrameKind::kLog:
        sink_.Log(static_cast<LogLevel>(std::clamp<std::int64_t>(number, 0, 3)),
                  Bounded(reader.Text(), limits_.log_line_bytes_max));
        return;
      case FrameKind::kProgress:
        sink_.Progress(static_cast<int>(std::clamp<std::int64_t>(number, -1, 100)),
                       Bounded(reader.Text(), limits_.message_bytes_max));
        return;
      case FrameKind::kResult: {
        std::optional<RunOutcome> outcome = ResultFrom(frame);
        if (!outcome) break;
        host_.EndLine();
        outcome->message = Bounded(std::move(outcome->message), limits_.message_bytes_max);
        outcome_ = std::move(outcome);
        ExplainMemory();
        host_.ClearOutput();
        // A program that had to be stopped may have left others behind, in sessions of their own:
        // they go with the host.
        if (!Stopping() || runner_.name != kExecRunnerName) std::move(loan_).Return();
        return;
      }
      case FrameKind::kOpen:
      case FrameKind::kOpened:
      case FrameKind::kCreate:
      case FrameKind::kCreated:
      case FrameKind::kRun: break;
    }
    host_.Kill();  // its end follows
  }

  // The text of the exception alone does not say that there is an option about it.
  void ExplainMemory() {
    if (runner_.limits.memory_bytes == 0) return;
    if (outcome_->action != model::Action::kExecuteException) return;
    if (outcome_->message != "std::bad_alloc") return;
    outcome_->message += " (runner." + runner_.name +
                         ".limit.memory=" + std::to_string(runner_.limits.memory_bytes) + ")";
  }

  RunOutcome Ended(const HostEnd& end) {
    RunOutcome outcome;
    std::string what = "its process has ended: " + HostProcess::EndText(end);
    if (killed_) {
      what = "killed: it did not stop within " + std::to_string(limits_.kill_grace_ms) +
             " ms (kill.grace)";
    } else if (runner_.limits.cpu_s > 0 && WIFSIGNALED(end.status) &&
               WTERMSIG(end.status) == SIGXCPU) {
      what +=
          " (runner." + runner_.name + ".limit.cpu=" + std::to_string(runner_.limits.cpu_s) + "s)";
    }
    const std::string printed = LastBytes(host_.tail(), kPrintedBytesMax);
    if (!printed.empty()) what += ": " + printed;
    outcome.message = Bounded(std::move(what), limits_.message_bytes_max);
    return outcome;
  }

  // The process has done the same, but it may be damaged.
  static std::string Bounded(std::string text, std::int64_t bytes_max) {
    return FirstBytes(ValidUtf8(text), static_cast<std::size_t>(bytes_max));
  }

  HostPool::Loan loan_;
  HostProcess& host_;
  const HostedRunner& runner_;
  const AttemptInput& input_;
  AttemptSink& sink_;
  const RunnerLimits& limits_;
  const Clock& clock_;
  const std::int64_t deadline_us_;
  std::int64_t kill_at_us_ = kNever;
  bool killed_ = false;
  bool timed_out_ = false;
  std::optional<RunOutcome> outcome_;
};

}  // namespace

Result<std::unique_ptr<HostRunner>> HostRunner::Create(std::shared_ptr<HostPool> pool,
                                                       std::shared_ptr<const HostedRunner> runner,
                                                       const RunnerLimits& limits,
                                                       const Clock& clock) {
  LTS_RETURN_IF_ERROR(pool->Check(*runner));
  return std::unique_ptr<HostRunner>(
      new HostRunner(std::move(pool), std::move(runner), limits, clock));
}

RunOutcome HostRunner::Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) {
  const auto not_started = [&](std::string why, bool timed_out) {
    RunOutcome outcome;
    outcome.message =
        FirstBytes(ValidUtf8(why), static_cast<std::size_t>(limits_.message_bytes_max));
    outcome.timed_out = timed_out;
    return outcome;
  };
  if (stop_woke_) wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) return not_started(std::string("eventfd: ") + std::strerror(errno), false);
  stop_woke_ = false;
  const std::stop_callback on_stop(stop, [this] {
    stop_woke_ = true;
    const std::uint64_t one = 1;
    const ssize_t written = write(wake_.get(), &one, sizeof one);
    static_cast<void>(written);  // it can fail only when it was written before
  });
  const std::int64_t deadline_us =
      input.timeout_ms > 0 ? clock_.MonotonicUs() + input.timeout_ms * 1000 : kNever;
  HostPatience patience{kNever, wake_.get(), limits_.kill_grace_ms};
  if (deadline_us != kNever) patience.until_us = deadline_us + limits_.kill_grace_ms * 1000;
  Result<HostPool::Loan> loan = pool_->Borrow(*runner_, patience);
  if (!loan.ok()) {
    return not_started(loan.status().message(), clock_.MonotonicUs() >= deadline_us);
  }
  return HostedAttempt(*std::move(loan), *runner_, input, sink, limits_, clock_, deadline_us)
      .Run(wake_.get());
}

}  // namespace lts::runners

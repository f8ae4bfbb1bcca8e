// One process of lts-runner-host, seen from the TaskTracker.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "lts/status.h"
#include "tasktracker/runners/child_process.h"
#include "tasktracker/runners/host_protocol.h"
#include "tasktracker/runners/output.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

// How long one may wait for an answer, and what ends the wait earlier.
struct HostPatience {
  std::int64_t until_us = 0;  // monotonic
  int wake_fd = -1;           // becomes readable when the attempt should stop; -1 none
  DurationMs grace_ms = 0;    // what is left from then on
};

// Owns the process: everything of it is gone when the object is. Used by one thread at a time, and
// may be handed on. Does no more than wait for the process, which it always does with an end.
class HostProcess {
 public:
  // What the process has said, or what has happened instead.
  struct Woken {};
  struct TimeIsUp {};
  using Event = std::variant<Frame, HostEnd, Woken, TimeIsUp>;

  // Starts `program`. The calling thread must outlive the object: the process ends with it. The
  // descriptors are borrowed for the call; lock_fd may be -1. Neither constructor nor plugin has
  // run when it returns.
  static Result<std::unique_ptr<HostProcess>> Start(const std::string& program, int lease_fd,
                                                    int lock_fd, const RunnerLimits& limits,
                                                    const Clock& clock);
  // Kills what is left.
  ~HostProcess();
  HostProcess(const HostProcess&) = delete;
  HostProcess& operator=(const HostProcess&) = delete;

  // The runners of the plugin. Its own errors are those of LoadPlugin; kFailedPrecondition when the
  // process ends meanwhile, kDeadlineExceeded when it had to be killed.
  Result<std::vector<std::string>> Open(const OpenRequest& request, const HostPatience& patience);
  // kFailedPrecondition with the constructor's text when the runner refuses; else as Open.
  Status Create(const CreateRequest& request, const HostPatience& patience);

  // Hands over an attempt, with what is left of its time-out (0 none); the RESULT comes out of
  // Next.
  void SendRun(const AttemptInput& input, DurationMs timeout_ms);
  // Asks the attempt that was handed over last to stop.
  void SendStop();
  // The next thing to happen until `until_us`, after which it says TimeIsUp however much else there
  // is to say. `wake_fd` may be -1. Lines that the process prints
  // go to what SetOutput has named.
  Event Next(std::int64_t until_us, int wake_fd);
  // Printed lines go there from now on; what was printed before, to the program's log.
  void SetOutput(Output::OnLine on_line);
  // They go to the program's log again.
  void ClearOutput() { on_line_ = nullptr; }
  // Gives out a last line without its newline. Next has given out everything else that was printed
  // before what it returned.
  void EndLine() { output_->EndLine(); }
  // The end of what was printed since SetOutput.
  std::string tail() const { return output_->Tail(); }

  // Kills the process and all that came of it, and waits for the end of it.
  HostEnd Kill();
  // Asks it to end by itself, which an idle one does at once.
  void AskToEnd();
  // Waits for that until `until_us`, then kills. `killed`: that was needed.
  void AwaitEnd(std::int64_t until_us);
  // Whether it can take an attempt: has not ended, and says nothing when it has nothing to say.
  bool Usable();
  // Wakes the keeper, so that it looks at the lease page. From any thread.
  void WakeKeeper() const;

  pid_t keeper() const { return keeper_; }
  // "killed by SIGABRT", "exit status 3", …
  static std::string EndText(const HostEnd& end);

 private:
  HostProcess(pid_t keeper, UniqueFd control, UniqueFd frames, UniqueFd stops, UniqueFd output,
              const RunnerLimits& limits, const Clock& clock);
  Result<Frame> Ask(std::string frame, FrameKind answer, const HostPatience& patience);
  void WriteSome();
  enum class Got : std::uint8_t { kBytes, kNothing, kEnd };
  Got ReadSome();
  void ReadRest();
  std::optional<Frame> TakeFrame();
  void SetEnded(const HostEnd& end);
  std::optional<HostEnd> TakeEnd();

  const pid_t keeper_;
  const UniqueFd control_;
  UniqueFd frames_;
  UniqueFd stops_;
  const Clock& clock_;
  Output::OnLine on_line_;
  std::unique_ptr<Output> output_;
  FrameBuffer received_{kFromWorkerBytesMax};
  std::string unsent_;    // a frame that the process has not taken yet
  std::size_t sent_ = 0;  // of it
  std::int64_t number_ = 0;
  std::optional<HostEnd> end_;
  std::int64_t lost_us_ = std::numeric_limits<std::int64_t>::max();  // killed then, if it still is
  bool ending_ = false;  // the control socket is shut down
};

}  // namespace lts::runners

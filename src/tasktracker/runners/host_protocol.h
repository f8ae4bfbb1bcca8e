// What a TaskTracker and its lts-runner-host processes say to each other. Both are of one
// installation and on one machine: numbers are in the machine's order, and there is one version.
//
// A host is started with these descriptors:
//   3 control  SOCK_SEQPACKET to the keeper, the process that was started. The keeper sends one
//              HostEnd when its worker has ended and nothing of it is left. When our end is shut
//              down or closed (kill -9), it kills the worker and everything that came of it.
//   4 frames   SOCK_STREAM to the worker, the keeper's child, in which the runner is. We send OPEN,
//              CREATE, RUN and get OPENED, CREATED, RESULT; LOG and PROGRESS come in between. When
//              our end is closed the worker destroys the runner and ends.
//   5 stops    a pipe: the numbers of the attempts that should stop.
//   6 lease    shared memory with LeasePage.
//   7 lock     held open by the keeper alone: as long as one keeper lives, the lock on it is taken.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lts/status.h"
#include "tasktracker/runners/child_process.h"
#include "tasktracker/runners/isolation.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

// The first argument of lts-runner-host; one of another version ends with kHostExitVersion.
inline constexpr char kHostProtocol[] = "1";
inline constexpr int kHostExitVersion = 65;

inline constexpr int kControlFd = 3;
inline constexpr int kFramesFd = 4;
inline constexpr int kStopsFd = 5;
inline constexpr int kLeaseFd = 6;
inline constexpr int kLockFd = 7;

// Read by keepers, written by the TaskTracker, all on CLOCK_MONOTONIC. Zeroed memory means no end.
struct LeasePage {
  std::atomic<std::int64_t> end_by_us;  // everything is killed at this time; 0 never
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

enum class HostEndReason : std::int32_t {
  kByItself = 0,
  kKilled = 1,
  kLeaseEnded = 2,
  kKeeper = 3,  // the keeper itself has ended early; never sent
};

struct HostEnd {
  HostEndReason reason = HostEndReason::kByItself;
  std::int32_t status = 0;  // of the worker (kKeeper: of that), as waitpid gives it
};

enum class FrameKind : std::uint8_t {
  kOpen = 1,
  kOpened = 2,
  kCreate = 3,
  kCreated = 4,
  kRun = 5,
  kLog = 6,
  kProgress = 7,
  kResult = 8,
};

struct Frame {
  FrameKind kind{};
  std::string body;
};

// On the wire: size of the body (4 bytes), kind (1 byte), body.
inline constexpr std::size_t kFrameHeadBytes = 5;
// What a worker sends at most: its code may be damaged, so it is not believed.
inline constexpr std::size_t kFromWorkerBytesMax = 1 << 20;
// What it is sent: payload and parameters of a job with room to spare.
inline constexpr std::size_t kToWorkerBytesMax = 1 << 30;

// Puts a body together.
class FrameWriter {
 public:
  explicit FrameWriter(FrameKind kind);
  FrameWriter& Int(std::int64_t value);
  FrameWriter& Text(std::string_view text);
  FrameWriter& Map(const std::map<std::string, std::string>& items);
  FrameWriter& List(const std::vector<std::string>& items);
  // The whole frame.
  std::string Take();

 private:
  std::string bytes_;
};

// Takes a body apart, in the order in which it was put together. After something that is not there
// everything reads as empty, and ok() is false.
class FrameReader {
 public:
  explicit FrameReader(std::string_view body) : rest_(body) {}
  std::int64_t Int();
  std::string Text();
  std::map<std::string, std::string> Map();
  std::vector<std::string> List();
  bool ok() const { return ok_; }

 private:
  std::string_view Bytes(std::size_t size);

  std::string_view rest_;
  bool ok_ = true;
};

// Collects what was read until it is a frame.
class FrameBuffer {
 public:
  explicit FrameBuffer(std::size_t body_max) : body_max_(body_max) {}
  void Add(const char* bytes, std::size_t size) { bytes_.append(bytes, size); }
  // The next whole frame, if there is one. kDataLoss: this is no stream of frames.
  Result<std::optional<Frame>> Next();

 private:
  const std::size_t body_max_;
  std::string bytes_;
  std::size_t taken_ = 0;  // of bytes_, by frames that were given out
};

struct OpenRequest {
  std::string plugin;  // path; empty: the built-in exec
  ResourceLimits limits;
};
struct CreateRequest {
  std::string runner;
  std::map<std::string, std::string> config;  // of the runner, without prefix
  std::vector<std::string> exec_allow;
  RunnerLimits limits;
};

std::string ToFrame(const OpenRequest& request);
std::string ToFrame(const CreateRequest& request);
// `number` tells the attempts of one host apart; > 0.
std::string RunFrame(std::int64_t number, const AttemptInput& input, DurationMs timeout_ms);
std::string ResultFrame(const RunOutcome& outcome);
std::string StatusFrame(FrameKind kind, const Status& status,
                        const std::vector<std::string>& names = {});

// Nothing when the body makes no sense.
std::optional<OpenRequest> OpenFrom(const Frame& frame);
std::optional<CreateRequest> CreateFrom(const Frame& frame);
std::optional<std::pair<std::int64_t, AttemptInput>> RunFrom(const Frame& frame);
std::optional<RunOutcome> ResultFrom(const Frame& frame);
std::optional<std::pair<Status, std::vector<std::string>>> StatusFrom(const Frame& frame);

}  // namespace lts::runners

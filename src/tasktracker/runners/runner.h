// What runs one attempt of a job, seen from a slot of the TaskTracker: a plugin in this process, a
// program (exec), later an isolated host process or a URL.
#pragma once

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>

#include "common/clock.h"
#include "model/job.h"

namespace lts::runners {

// Everything about one attempt that job code may learn.
struct AttemptInput {
  std::string job_id;
  std::string task_id;
  std::string group;   // taskTrackerNodeGroup
  std::string runner;  // the name that was resolved, never empty
  std::map<std::string, std::string> params;
  std::string payload;  // bytes
  std::int32_t attempt = 1;
  TimeMs fire_time_ms = 0;  // the cycle
  model::Token token;
  DurationMs timeout_ms = 0;  // counted from the start of Run; 0 none
  std::int32_t shard_index = 0;
  std::int32_t shard_total = 1;
};

enum class LogLevel : std::uint8_t { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3 };

// Where an attempt's business log and progress go. Called from the thread in Run and from threads
// of the job, also at the same time; not after Run has returned. Texts are valid UTF-8 and bounded.
// Must not throw, and should not block: job code waits meanwhile.
class AttemptSink {
 public:
  virtual ~AttemptSink() = default;
  virtual void Log(LogLevel level, std::string line) = 0;
  // percent is 0 … 100, or -1 when unknown.
  virtual void Progress(int percent, std::string text) = 0;
};

// How an attempt ended.
struct RunOutcome {
  model::Action action = model::Action::kExecuteException;
  std::string message;  // valid UTF-8, at most RunnerLimits::message_bytes_max
  // kExecuteLater only: > 0 a snooze of this length; 0, the job's retry policy decides.
  DurationMs later_delay_ms = 0;
  // The time was up before the runner ended, and it did not succeed all the same.
  bool timed_out = false;
};

// Bounds of what a runner hands on; what is longer is cut.
struct RunnerLimits {
  std::int64_t message_bytes_max = 4096;
  std::int64_t log_line_bytes_max = 8192;
  DurationMs kill_grace_ms = 5000;  // between the polite and the hard way to stop a process
};

// One runner object of one slot. Run is never called twice at a time on one object; which thread
// calls it may change from attempt to attempt. Destroyed by the slot when no Run is under way.
class Runner {
 public:
  virtual ~Runner() = default;

  // Runs one attempt to its end and says how it ended. `stop` may be requested at any time, before
  // Run is entered too, from any thread: the runner then ends as soon as it can, by force where it
  // has the means (exec: SIGTERM, after kill_grace_ms SIGKILL). A plugin in this process has no
  // such means: Run may go on for as long as job code does. The runner watches timeout_ms as far as
  // it can, but a plugin that waits inside a call is woken only by `stop`: the caller requests it
  // when the time is up. What the runner does in the thread that requests the stop must not block:
  // it is the thread of everything that the TaskTracker decides.
  virtual RunOutcome Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) = 0;
};

}  // namespace lts::runners

#include "tasktracker/runners/try_runner.h"

#include <memory>
#include <mutex>
#include <ostream>
#include <string_view>
#include <utility>

#include "tasktracker/runners/registry.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {
namespace {

constexpr char kIsolationOption[] = "runner.isolation";

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "DEBUG";
    case LogLevel::kInfo: return "INFO";
    case LogLevel::kWarn: return "WARN";
    case LogLevel::kError: return "ERROR";
  }
  return "INFO";
}

// Job code may log from several threads.
class StreamSink final : public AttemptSink {
 public:
  explicit StreamSink(std::ostream& stream) : stream_(stream) {}
  void Log(LogLevel level, std::string line) override {
    const std::lock_guard lock(mutex_);
    stream_ << LevelName(level) << ' ' << line << '\n' << std::flush;
  }
  void Progress(int percent, std::string text) override {
    const std::lock_guard lock(mutex_);
    stream_ << "PROGRESS";
    if (percent >= 0) stream_ << ' ' << percent << '%';
    if (!text.empty()) stream_ << ' ' << text;
    stream_ << '\n' << std::flush;
  }

 private:
  std::mutex mutex_;
  std::ostream& stream_;
};

int Refused(const Status& status, std::ostream& err) {
  err << "try: " << status.message() << '\n';
  const bool usage =
      status.code() == StatusCode::kNotFound || status.code() == StatusCode::kInvalidArgument;
  return usage ? kTryUsage : kTryError;
}

}  // namespace

int TryRunner(const TryOptions& options, std::ostream& out, std::ostream& err) {
  const SystemClock clock;
  RunnerOptions runner_options;
  runner_options.plugins = {options.plugin};
  runner_options.config = options.config;
  runner_options.host_program = options.host_program;
  const auto given = options.config.find(kIsolationOption);
  const Result<Isolation> isolation =
      ParseIsolation(kIsolationOption, given == options.config.end() ? "process" : given->second);
  if (!isolation.ok()) return Refused(isolation.status(), err);
  runner_options.isolation.isolation = *isolation;
  const Result<std::unique_ptr<RunnerRegistry>> registry =
      RunnerRegistry::Open(std::move(runner_options), clock);
  if (!registry.ok()) return Refused(registry.status(), err);
  const Result<std::string> name = (*registry)->Resolve(options.runner);
  if (!name.ok()) return Refused(name.status(), err);
  const Result<std::unique_ptr<Runner>> runner = (*registry)->Create(*name);
  if (!runner.ok()) return Refused(runner.status(), err);

  AttemptInput input;
  input.job_id = "try";
  input.task_id = "try";
  input.group = "try";
  input.runner = *name;
  input.params = options.params;
  input.payload = options.payload;
  input.fire_time_ms = clock.WallMs();
  input.token = {1, 1};
  input.timeout_ms = options.timeout_ms;
  StreamSink sink(err);
  const RunOutcome outcome = (*runner)->Run(input, sink, options.stop);

  out << model::Name(outcome.action);
  if (!outcome.message.empty()) out << ' ' << outcome.message;
  out << '\n' << std::flush;
  if (outcome.later_delay_ms > 0) err << "again in " << outcome.later_delay_ms << " ms\n";
  if (outcome.timed_out) err << "out of time after " << options.timeout_ms << " ms\n";
  return outcome.action == model::Action::kExecuteSuccess ? kTrySuccess : kTryFailed;
}

}  // namespace lts::runners

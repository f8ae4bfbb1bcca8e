#include "tasktracker/runners/plugin_runner.h"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "tasktracker/runners/text.h"

namespace lts::runners {
namespace {

lts_runner_text Text(const std::string& text) { return {text.c_str(), text.size()}; }
std::string_view View(lts_runner_text text) {
  return text.size == 0 || text.data == nullptr ? std::string_view()
                                                : std::string_view(text.data, text.size);
}

// Borrows the texts of `items`. std::map hands them over sorted, as the ABI promises.
std::vector<lts_runner_pair> Pairs(const std::map<std::string, std::string>& items) {
  std::vector<lts_runner_pair> pairs;
  pairs.reserve(items.size());
  for (const auto& [key, value] : items) pairs.push_back({Text(key), Text(value)});
  return pairs;
}

// What the handle of an attempt points to. `outcome` belongs to the thread in Run, the rest is
// read-only.
struct Attempt {
  AttemptSink& sink;
  const std::stop_token& stop;
  const Clock& clock;
  const RunnerLimits& limits;
  std::int64_t deadline_us;  // monotonic; 0 none
  RunOutcome outcome;

  bool TimeIsUp() const { return deadline_us != 0 && clock.MonotonicUs() >= deadline_us; }
  std::string Bounded(lts_runner_text text, std::int64_t bytes_max) const {
    const auto max = static_cast<std::size_t>(bytes_max);
    // Cut before the check, so that a runaway text does not cost a copy; one byte more than the
    // bound keeps the mark of a cut.
    return FirstBytes(ValidUtf8(View(text).substr(0, max + 1)), max);
  }
};

// Whether run() is under way, for a cancel that may come late. Held during the cancel.
struct Running {
  std::mutex mutex;
  bool over = false;
};

Attempt& From(void* host) { return *static_cast<Attempt*>(host); }

void Log(void* host, std::int32_t level, lts_runner_text line) noexcept {
  Attempt& attempt = From(host);
  const auto known = static_cast<LogLevel>(std::clamp(level, 0, 3));
  attempt.sink.Log(known, attempt.Bounded(line, attempt.limits.log_line_bytes_max));
}

void Progress(void* host, std::int32_t percent, lts_runner_text text) noexcept {
  Attempt& attempt = From(host);
  attempt.sink.Progress(percent < 0 ? -1 : std::min(percent, 100),
                        attempt.Bounded(text, attempt.limits.message_bytes_max));
}

std::int32_t StopRequested(void* host) noexcept {
  const Attempt& attempt = From(host);
  return attempt.stop.stop_requested() || attempt.TimeIsUp() ? 1 : 0;
}

std::int64_t RemainingMs(void* host) noexcept {
  const Attempt& attempt = From(host);
  if (attempt.deadline_us == 0) return -1;
  return std::max<std::int64_t>(0, (attempt.deadline_us - attempt.clock.MonotonicUs()) / 1000);
}

void SetResult(void* host, std::int32_t action, lts_runner_text message,
               std::int64_t later_delay_ms) noexcept {
  Attempt& attempt = From(host);
  RunOutcome outcome;
  if (action < LTS_RUNNER_SUCCESS || action > LTS_RUNNER_EXCEPTION) {
    outcome.message = "the runner returned an unknown action " + std::to_string(action);
  } else {
    outcome.action = static_cast<model::Action>(action);
    outcome.message = attempt.Bounded(message, attempt.limits.message_bytes_max);
    if (outcome.action == model::Action::kExecuteLater && later_delay_ms >= 0) {
      // "At once" is a snooze too: zero would leave the delay to the retry policy.
      outcome.later_delay_ms = std::max<std::int64_t>(1, later_delay_ms);
    }
  }
  attempt.outcome = std::move(outcome);
}

static_assert(static_cast<int>(model::Action::kExecuteSuccess) == LTS_RUNNER_SUCCESS);
static_assert(static_cast<int>(model::Action::kExecuteFailed) == LTS_RUNNER_FAILED);
static_assert(static_cast<int>(model::Action::kExecuteLater) == LTS_RUNNER_LATER);
static_assert(static_cast<int>(model::Action::kExecuteException) == LTS_RUNNER_EXCEPTION);
static_assert(static_cast<int>(LogLevel::kDebug) == LTS_RUNNER_LOG_DEBUG);
static_assert(static_cast<int>(LogLevel::kError) == LTS_RUNNER_LOG_ERROR);

}  // namespace

Result<std::unique_ptr<PluginRunner>> PluginRunner::Create(
    const lts_runner_type& type, const std::map<std::string, std::string>& config,
    const RunnerLimits& limits, const Clock& clock, std::shared_ptr<Strand> cancels) {
  const std::vector<lts_runner_pair> items = Pairs(config);
  std::string refusal;
  lts_runner_config abi{};
  abi.struct_size = sizeof abi;
  abi.host = &refusal;
  abi.runner = {type.name, std::string_view(type.name).size()};
  abi.items = items.data();
  abi.item_count = items.size();
  abi.set_error = [](void* host, lts_runner_text text) noexcept {
    *static_cast<std::string*>(host) = ValidUtf8(View(text));
  };
  void* object = type.create(&abi);
  if (object == nullptr) {
    if (refusal.empty()) refusal = "it gave no reason";
    return Status::FailedPrecondition("runner " + std::string(type.name) +
                                      " refused to start: " + refusal);
  }
  return std::unique_ptr<PluginRunner>(
      new PluginRunner(type, object, limits, clock, std::move(cancels)));
}

PluginRunner::~PluginRunner() { type_.destroy(object_); }

RunOutcome PluginRunner::Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) {
  const std::int64_t deadline_us =
      input.timeout_ms > 0 ? clock_.MonotonicUs() + input.timeout_ms * 1000 : 0;
  Attempt attempt{sink, stop, clock_, limits_, deadline_us, {}};
  attempt.outcome.message = "the runner returned no result";

  const std::vector<lts_runner_pair> params = Pairs(input.params);
  const std::string token = model::ToString(input.token);
  lts_runner_attempt abi{};
  abi.struct_size = sizeof abi;
  abi.host = &attempt;
  abi.job_id = Text(input.job_id);
  abi.task_id = Text(input.task_id);
  abi.group = Text(input.group);
  abi.runner = Text(input.runner);
  abi.token = Text(token);
  abi.payload = Text(input.payload);
  abi.params = params.data();
  abi.param_count = params.size();
  abi.fire_time_ms = input.fire_time_ms;
  abi.attempt = input.attempt;
  abi.shard_index = input.shard_index;
  abi.shard_total = input.shard_total;
  abi.log = &Log;
  abi.progress = &Progress;
  abi.stop_requested = &StopRequested;
  abi.remaining_ms = &RemainingMs;
  abi.set_result = &SetResult;
  const auto running = std::make_shared<Running>();
  {
    const std::stop_callback on_stop(stop, [this, running] {
      cancels_->Post([&type = type_, object = object_, running] {
        const std::lock_guard lock(running->mutex);
        if (!running->over) type.cancel(object);
      });
    });
    type_.run(object_, &abi);
  }
  {
    // Waits for a cancel under way: none reaches the object after this block.
    const std::lock_guard lock(running->mutex);
    running->over = true;
  }
  attempt.outcome.timed_out =
      attempt.TimeIsUp() && attempt.outcome.action != model::Action::kExecuteSuccess;
  return std::move(attempt.outcome);
}

}  // namespace lts::runners

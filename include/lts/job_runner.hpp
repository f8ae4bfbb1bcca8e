// What a runner plugin is written against: derive from lts::JobRunner, name it with LTS_JOB_RUNNER,
// build a shared library. Header-only C++17 over lts/runner_abi.h; links nothing.
//
//   class Hello final : public lts::JobRunner {
//    public:
//     lts::RunResult Run(lts::JobContext& ctx) override {
//       return lts::RunResult::Success("hello " + ctx.RequireParam("name"));
//     }
//   };
//   LTS_JOB_RUNNER("hello", Hello)
#ifndef LTS_JOB_RUNNER_HPP_
#define LTS_JOB_RUNNER_HPP_

#include <lts/runner_abi.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace lts {
// Inline, so that two plugins built against different versions of this header never share a symbol.
inline namespace runner_v1 {

namespace runner_internal {

inline std::string_view View(lts_runner_text text) {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
inline lts_runner_text Text(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace runner_internal

// How one attempt ended.
class RunResult {
 public:
  // Done. The message is kept with the attempt (4 KiB are kept of any message, unless configured).
  static RunResult Success(std::string message = {}) {
    return {LTS_RUNNER_SUCCESS, std::move(message), -1};
  }
  // Ends the job; never retried.
  static RunResult Failed(std::string message) {
    return {LTS_RUNNER_FAILED, std::move(message), -1};
  }
  // Not now. Counts as a retry and is due again when the job's retry policy says so.
  static RunResult Later(std::string message) { return {LTS_RUNNER_LATER, std::move(message), -1}; }
  // Not now, again after `delay` (below zero is taken as zero). A snooze: it does not count as a
  // retry.
  template <typename Rep, typename Period>
  static RunResult Later(std::chrono::duration<Rep, Period> delay, std::string message = {}) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(delay).count();
    return {LTS_RUNNER_LATER, std::move(message), ms < 0 ? 0 : static_cast<std::int64_t>(ms)};
  }
  // Went wrong in a way that may pass: retried as the job's policy says. A throw out of Run is the
  // same.
  static RunResult Exception(std::string message) {
    return {LTS_RUNNER_EXCEPTION, std::move(message), -1};
  }

  lts_runner_action action() const { return action_; }
  const std::string& message() const { return message_; }
  // Milliseconds, -1 when the retry policy decides.
  std::int64_t later_delay_ms() const { return later_delay_ms_; }

 private:
  RunResult(lts_runner_action action, std::string message, std::int64_t later_delay_ms)
      : action_(action), message_(std::move(message)), later_delay_ms_(later_delay_ms) {}

  lts_runner_action action_;
  std::string message_;
  std::int64_t later_delay_ms_;
};

// Thrown by JobContext::RequireParam; out of Run it ends the attempt FAILED.
class MissingParam final : public std::runtime_error {
 public:
  explicit MissingParam(std::string_view key)
      : std::runtime_error("job parameter '" + std::string(key) + "' is missing") {}
};

// The options runner.<name>.* of the TaskTracker's configuration, asked for by the part after that
// prefix. A getter without a default throws std::invalid_argument when the key is absent; every
// getter does so when the value cannot be read. The text names the whole key. Owns its data.
class RunnerConfig {
 public:
  RunnerConfig(std::string runner, std::map<std::string, std::string> items)
      : runner_(std::move(runner)), items_(std::move(items)) {}

  const std::string& runner() const { return runner_; }
  const std::map<std::string, std::string>& items() const { return items_; }
  bool Has(const std::string& key) const { return items_.count(key) != 0; }

  std::string String(const std::string& key) const { return Required(key); }
  std::string String(const std::string& key, std::string fallback) const {
    return Has(key) ? Required(key) : std::move(fallback);
  }
  // Decimal, with an optional sign.
  std::int64_t Int(const std::string& key) const { return ParseInt(key, Required(key)); }
  std::int64_t Int(const std::string& key, std::int64_t fallback) const {
    return Has(key) ? Int(key) : fallback;
  }
  // true, yes, on, 1; false, no, off, 0.
  bool Bool(const std::string& key) const {
    const std::string text = Required(key);
    if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
    if (text == "false" || text == "no" || text == "off" || text == "0") return false;
    throw Bad(key, text, "true or false");
  }
  bool Bool(const std::string& key, bool fallback) const { return Has(key) ? Bool(key) : fallback; }
  // A number of bytes: 1048576, 1024k, 1024KiB, 1m, 1MB … (k, m, g, t are powers of 1024).
  std::size_t Bytes(const std::string& key) const {
    const std::string text = Required(key);
    const auto [number, unit] = Split(text);
    std::int64_t factor = 0;
    if (unit.empty() || unit == "b") factor = 1;
    if (unit == "k" || unit == "kb" || unit == "kib") factor = std::int64_t{1} << 10;
    if (unit == "m" || unit == "mb" || unit == "mib") factor = std::int64_t{1} << 20;
    if (unit == "g" || unit == "gb" || unit == "gib") factor = std::int64_t{1} << 30;
    if (unit == "t" || unit == "tb" || unit == "tib") factor = std::int64_t{1} << 40;
    return static_cast<std::size_t>(
        Scaled(key, text, number, factor, "bytes such as 65536, 64k, 64MiB"));
  }
  std::size_t Bytes(const std::string& key, std::size_t fallback) const {
    return Has(key) ? Bytes(key) : fallback;
  }
  // A length of time: 250ms, 30s, 5m (or 5min), 2h, 1d; a bare number is milliseconds.
  std::chrono::milliseconds Duration(const std::string& key) const {
    const std::string text = Required(key);
    const auto [number, unit] = Split(text);
    std::int64_t factor = 0;
    if (unit.empty() || unit == "ms") factor = 1;
    if (unit == "s") factor = 1000;
    if (unit == "m" || unit == "min") factor = 60 * 1000;
    if (unit == "h") factor = 60 * 60 * 1000;
    if (unit == "d") factor = 24 * 60 * 60 * 1000;
    return std::chrono::milliseconds(
        Scaled(key, text, number, factor, "a length of time such as 250ms, 30s, 5m"));
  }
  std::chrono::milliseconds Duration(const std::string& key,
                                     std::chrono::milliseconds fallback) const {
    return Has(key) ? Duration(key) : fallback;
  }

 private:
  std::string FullKey(const std::string& key) const { return "runner." + runner_ + "." + key; }

  std::string Required(const std::string& key) const {
    const auto found = items_.find(key);
    if (found == items_.end())
      throw std::invalid_argument("option " + FullKey(key) + " is missing");
    return found->second;
  }

  std::invalid_argument Bad(const std::string& key, const std::string& text,
                            const std::string& wanted) const {
    return std::invalid_argument("option " + FullKey(key) + "=" + text + " must be " + wanted);
  }

  std::int64_t ParseInt(const std::string& key, const std::string& text) const {
    errno = 0;
    char* end = nullptr;
    const long long value = std::strtoll(text.c_str(), &end, 10);
    const bool blank_first =
        !text.empty() && (text[0] == ' ' || (text[0] >= '\t' && text[0] <= '\r'));
    if (text.empty() || blank_first || errno != 0 || end != text.c_str() + text.size()) {
      throw Bad(key, text, "a whole number");
    }
    return value;
  }

  // "64 MiB" -> {"64", "mib"}
  static std::pair<std::string, std::string> Split(const std::string& text) {
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    std::string unit;
    for (std::size_t i = digits; i < text.size(); ++i) {
      const char c = text[i];
      if (c == ' ' && unit.empty()) continue;
      unit += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return {text.substr(0, digits), unit};
  }

  std::int64_t Scaled(const std::string& key, const std::string& text, const std::string& number,
                      std::int64_t factor, const std::string& wanted) const {
    if (number.empty() || factor == 0) throw Bad(key, text, wanted);
    const std::int64_t value = ParseInt(key, number);
    if (value > std::numeric_limits<std::int64_t>::max() / factor) throw Bad(key, text, wanted);
    return value * factor;
  }

  std::string runner_;
  std::map<std::string, std::string> items_;
};

// Writes the business log of one attempt. Thread-safe while Run is under way.
class JobLogger {
 public:
  void Debug(std::string_view line) const { Write(LTS_RUNNER_LOG_DEBUG, line); }
  void Info(std::string_view line) const { Write(LTS_RUNNER_LOG_INFO, line); }
  void Warn(std::string_view line) const { Write(LTS_RUNNER_LOG_WARN, line); }
  void Error(std::string_view line) const { Write(LTS_RUNNER_LOG_ERROR, line); }

  explicit JobLogger(const lts_runner_attempt& attempt) : attempt_(attempt) {}

 private:
  void Write(lts_runner_log_level level, std::string_view line) const {
    attempt_.log(attempt_.host, level, runner_internal::Text(line));
  }

  const lts_runner_attempt& attempt_;
};

// The attempt under way. Lives until Run returns; views into it end with it. Thread-safe.
class JobContext {
 public:
  explicit JobContext(const lts_runner_attempt& attempt) : attempt_(attempt), log_(attempt) {}
  JobContext(const JobContext&) = delete;
  JobContext& operator=(const JobContext&) = delete;

  std::string_view JobId() const { return runner_internal::View(attempt_.job_id); }
  std::string_view TaskId() const { return runner_internal::View(attempt_.task_id); }
  std::string_view Group() const { return runner_internal::View(attempt_.group); }
  std::string_view RunnerName() const { return runner_internal::View(attempt_.runner); }

  // 1 for the first attempt of a cycle.
  int Attempt() const { return attempt_.attempt; }
  // When this run was due: the same for every attempt of one cycle.
  std::chrono::system_clock::time_point FireTime() const {
    return std::chrono::system_clock::time_point(std::chrono::milliseconds(attempt_.fire_time_ms));
  }
  std::int64_t FireTimeMs() const { return attempt_.fire_time_ms; }
  // The fencing token "epoch-sequence" of this dispatch: a later dispatch of the same job has a
  // greater one.
  std::string Token() const { return std::string(runner_internal::View(attempt_.token)); }

  // Bytes as submitted.
  std::string_view Payload() const { return runner_internal::View(attempt_.payload); }

  std::optional<std::string> Param(std::string_view key) const {
    for (std::size_t i = 0; i < attempt_.param_count; ++i) {
      if (runner_internal::View(attempt_.params[i].key) == key) {
        return std::string(runner_internal::View(attempt_.params[i].value));
      }
    }
    return std::nullopt;
  }
  std::string Param(std::string_view key, std::string_view fallback) const {
    std::optional<std::string> value = Param(key);
    return value ? *std::move(value) : std::string(fallback);
  }
  // Throws MissingParam when absent, which ends the attempt FAILED with the key in the message.
  std::string RequireParam(std::string_view key) const {
    std::optional<std::string> value = Param(key);
    if (!value) throw MissingParam(key);
    return *std::move(value);
  }
  std::map<std::string, std::string> Params() const {
    std::map<std::string, std::string> all;
    for (std::size_t i = 0; i < attempt_.param_count; ++i) {
      all.emplace(runner_internal::View(attempt_.params[i].key),
                  runner_internal::View(attempt_.params[i].value));
    }
    return all;
  }

  int ShardIndex() const { return attempt_.shard_index; }
  int ShardTotal() const { return attempt_.shard_total; }

  // True once the job was cancelled, ran out of time, or the TaskTracker is stopping. Cheap: ask
  // often.
  bool StopRequested() const { return attempt_.stop_requested(attempt_.host) != 0; }
  // Time left; nothing without a limit, zero when it is up.
  std::optional<std::chrono::milliseconds> Remaining() const {
    const std::int64_t ms = attempt_.remaining_ms(attempt_.host);
    if (ms < 0) return std::nullopt;
    return std::chrono::milliseconds(ms);
  }
  // The same as an instant of the steady clock, for wait_until.
  std::optional<std::chrono::steady_clock::time_point> Deadline() const {
    const auto left = Remaining();
    if (!left) return std::nullopt;
    return std::chrono::steady_clock::now() + *left;
  }

  // percent 0 … 100, or -1 when unknown. Only the newest is sent: calling often costs little.
  void Progress(int percent, std::string_view text = {}) const {
    attempt_.progress(attempt_.host, percent, runner_internal::Text(text));
  }
  const JobLogger& Log() const { return log_; }

 private:
  const lts_runner_attempt& attempt_;
  const JobLogger log_;
};

// Job code. One object per slot: Run is never called twice at a time on one object, but objects of
// the same class run side by side. Each has a process of its own, in which it serves one attempt
// after the other (runner.isolation=process): what is static is not shared then, and an object
// whose process is killed is not destroyed. With runner.isolation=thread all are in the
// TaskTracker. The constructor takes (const RunnerConfig&) or nothing; when it throws, the
// TaskTracker refuses to start with that text.
class JobRunner {
 public:
  virtual ~JobRunner() = default;
  JobRunner() = default;
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  // One attempt. A throw is EXECUTE_EXCEPTION with its what(). In a process of its own the end of
  // the process is one too; and when Run goes on for longer than kill.grace after StopRequested()
  // has become true, the process is killed, with every process that it has started.
  virtual RunResult Run(JobContext& ctx) = 0;
  // From another thread, once StopRequested() is true: override it to wake a Run that blocks. It
  // may come just before Run is entered, never after Run has returned. Must not throw, and must not
  // block: until it returns no other object of the class is told, and its own attempt does not end.
  virtual void Cancel() noexcept {}
};

namespace runner_internal {

// The plugin's own table. Hidden, so that two plugins in one process never share it (a
// default-visible inline variable would be unique in the whole process). Constant-initialised:
// registrations may run in any order, and nothing is torn down at exit.
__attribute__((visibility("hidden"))) inline lts_runner_plugin plugin_table = {
    sizeof(lts_runner_plugin), LTS_RUNNER_ABI_VERSION, nullptr};

template <typename Class>
struct Calls {
  static_assert(std::is_base_of_v<JobRunner, Class>,
                "LTS_JOB_RUNNER needs a class derived from JobRunner");

  static void* Create(const lts_runner_config* config) noexcept {
    try {
      // The host deletes through Destroy, which gets this very pointer.
      JobRunner* made = nullptr;
      if constexpr (std::is_constructible_v<Class, const RunnerConfig&>) {
        std::map<std::string, std::string> items;
        for (std::size_t i = 0; i < config->item_count; ++i) {
          items.emplace(View(config->items[i].key), View(config->items[i].value));
        }
        made = new Class(RunnerConfig(std::string(View(config->runner)), std::move(items)));
      } else {
        made = new Class();
      }
      return made;
    } catch (const std::exception& error) {
      config->set_error(config->host, Text(error.what()));
    } catch (...) {  // nothing may pass the C boundary, whatever a plugin throws
      config->set_error(config->host, Text("unknown exception (not a std::exception)"));
    }
    return nullptr;
  }

  static void Run(void* runner, const lts_runner_attempt* attempt) noexcept {
    const auto end = [attempt](std::int32_t action, std::string_view message,
                               std::int64_t delay_ms) {
      attempt->set_result(attempt->host, action, Text(message), delay_ms);
    };
    try {
      JobContext context(*attempt);
      const RunResult result = static_cast<JobRunner*>(runner)->Run(context);
      end(result.action(), result.message(), result.later_delay_ms());
    } catch (const MissingParam& missing) {
      end(LTS_RUNNER_FAILED, missing.what(), -1);
    } catch (const std::exception& error) {
      end(LTS_RUNNER_EXCEPTION, error.what(), -1);
    } catch (...) {  // nothing may pass the C boundary, whatever a plugin throws
      end(LTS_RUNNER_EXCEPTION, "unknown exception (not a std::exception)", -1);
    }
  }

  static void Cancel(void* runner) noexcept { static_cast<JobRunner*>(runner)->Cancel(); }
  static void Destroy(void* runner) noexcept { delete static_cast<JobRunner*>(runner); }
};

// Puts one class into the plugin's table; made by LTS_JOB_RUNNER as a static object.
template <typename Class>
class Registration {
 public:
  explicit Registration(const char* name)
      : type_{sizeof(lts_runner_type), plugin_table.first, name,
              &Calls<Class>::Create,   &Calls<Class>::Run, &Calls<Class>::Cancel,
              &Calls<Class>::Destroy} {
    plugin_table.first = &type_;
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  lts_runner_type type_;
};

}  // namespace runner_internal
}  // namespace runner_v1
}  // namespace lts

// The plugin's one exported function. Emitted where LTS_JOB_RUNNER refers to it.
extern "C" LTS_RUNNER_EXPORT inline const lts_runner_plugin* LTS_RUNNER_PLUGIN_ENTRY(
    std::uint32_t /*host_abi_version*/) LTS_RUNNER_NOEXCEPT {
  return &lts::runner_internal::plugin_table;
}

#define LTS_JOB_RUNNER_CONCAT_(a, b) a##b
#define LTS_JOB_RUNNER_NAME_(prefix, line) LTS_JOB_RUNNER_CONCAT_(prefix, line)

// Makes `Class` (derived from lts::JobRunner) available to jobs as the runner `name`. At namespace
// scope of a source file, any number of times per library, one to a line.
#define LTS_JOB_RUNNER(name, Class)                                                           \
  namespace {                                                                                 \
  ::lts::runner_internal::Registration<Class> LTS_JOB_RUNNER_NAME_(lts_runner_registration_,  \
                                                                   __LINE__)(name);           \
  __attribute__((used))                                                                       \
  const lts_runner_plugin_entry_fn LTS_JOB_RUNNER_NAME_(lts_runner_entry_,                    \
                                                        __LINE__) = &LTS_RUNNER_PLUGIN_ENTRY; \
  }

#endif  // LTS_JOB_RUNNER_HPP_

// Tells everything it was given: the context in the log and the message, the configuration in the
// message.
#include <lts/job_runner.hpp>
#include <string>

namespace {

class Echo final : public lts::JobRunner {
 public:
  explicit Echo(const lts::RunnerConfig& config) : greeting_(config.String("greeting", "none")) {}

  lts::RunResult Run(lts::JobContext& ctx) override {
    ctx.Log().Debug("debug line");
    ctx.Log().Info("info line");
    ctx.Log().Warn("warn line");
    ctx.Log().Error("error line");
    ctx.Progress(50, "half");
    ctx.Progress(-7, "unknown");
    ctx.Progress(400);
    std::string text;
    const auto add = [&text](const char* key, const std::string& value) {
      text += std::string(key) + "=" + value + ";";
    };
    add("job", std::string(ctx.JobId()));
    add("task", std::string(ctx.TaskId()));
    add("group", std::string(ctx.Group()));
    add("runner", std::string(ctx.RunnerName()));
    add("attempt", std::to_string(ctx.Attempt()));
    add("fire", std::to_string(ctx.FireTime().time_since_epoch() / std::chrono::milliseconds(1)));
    add("token", ctx.Token());
    add("payload", std::string(ctx.Payload()));
    add("shard", std::to_string(ctx.ShardIndex()) + "/" + std::to_string(ctx.ShardTotal()));
    add("a", ctx.RequireParam("a"));
    add("absent", ctx.Param("absent").has_value() ? "there" : "not there");
    add("fallback", ctx.Param("absent", "instead"));
    add("params", std::to_string(ctx.Params().size()));
    add("remaining", ctx.Remaining() ? std::to_string(ctx.Remaining()->count()) : "no limit");
    add("stop", ctx.StopRequested() ? "yes" : "no");
    add("greeting", greeting_);
    return lts::RunResult::Success(text);
  }

 private:
  const std::string greeting_;
};

}  // namespace

LTS_JOB_RUNNER("echo", Echo)

#include "jobclient/cli/job_flags.h"

#include <fmt/core.h>

#include <fstream>
#include <utility>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/verb.h"
#include "model/cron.h"
#include "model/retry.h"
#include "model/validate.h"

namespace lts::jobclient::cli {
namespace {

constexpr std::size_t kPayloadBytesMax = 1U << 20;

Status SetDuration(std::string_view option, const std::string& text, DurationMs* out) {
  const Result<DurationMs> duration = ParseDurationOption(option, text);
  if (!duration.ok()) return duration.status();
  *out = *duration;
  return Status::Ok();
}

Status ReadPayload(const std::string& path, std::istream& standard_input, std::string* payload) {
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? standard_input : file;
  if (!in) return Status::NotFound(fmt::format("--payload {}: cannot be opened", path));
  std::string bytes(kPayloadBytesMax + 1, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad()) return Status::Internal(fmt::format("--payload {}: cannot be read", path));
  if (bytes.size() > kPayloadBytesMax) {
    return Status::FailedPrecondition(
        fmt::format("--payload {}: more than 1 MiB, which no job.payload.max allows", path));
  }
  *payload = std::move(bytes);
  return Status::Ok();
}

Status SetTime(std::string_view option, const std::string& text, TimeMs* out) {
  const Result<TimeMs> time = ParseTime(text);
  if (!time.ok()) return time.status().WithContext(std::string(option));
  *out = *time;
  return Status::Ok();
}

// "fire_once", "skip", "catch_up" or "catch_up:5".
Status SetMisfire(const std::string& text, model::JobSpec* spec) {
  const std::size_t colon = text.find(':');
  const std::string policy = text.substr(0, colon);
  const auto wrong = [&] {
    return Status::InvalidArgument(
        fmt::format("--misfire \"{}\": expected fire_once, skip, catch_up or catch_up:N", text));
  };
  if (policy == "fire_once") {
    spec->misfire = model::MisfirePolicy::kFireOnce;
  } else if (policy == "skip") {
    spec->misfire = model::MisfirePolicy::kSkip;
  } else if (policy == "catch_up") {
    spec->misfire = model::MisfirePolicy::kCatchUp;
  } else {
    return wrong();
  }
  if (colon == std::string::npos) return Status::Ok();
  const auto limit = ParseInteger(text.substr(colon + 1));
  if (policy != "catch_up" || !limit.ok() || *limit < 1 || *limit > 1'000) return wrong();
  spec->catch_up_max = static_cast<std::int32_t>(*limit);
  return Status::Ok();
}

Status SetTimes(const JobFlags& flags, model::JobSpec* spec) {
  const int kinds =
      !flags.at.empty() + !flags.in.empty() + !flags.cron.empty() + !flags.every.empty();
  if (kinds > 1) return Status::InvalidArgument("give one of --at, --in, --cron and --every");
  if (!flags.zone.empty() && flags.cron.empty())
    return Status::InvalidArgument("--tz goes with --cron");
  if (flags.count && flags.every.empty())
    return Status::InvalidArgument("--count goes with --every");
  if (!flags.at.empty()) {
    TimeMs at = 0;
    LTS_RETURN_IF_ERROR(SetTime("--at", flags.at, &at));
    spec->trigger_time_ms = at;
  }
  if (!flags.in.empty()) {
    DurationMs delay_ms = 0;
    LTS_RETURN_IF_ERROR(SetDuration("--in", flags.in, &delay_ms));
    spec->trigger_delay_ms = delay_ms;
  }
  if (!flags.cron.empty()) {
    const auto cron = model::CronExpression::Parse(flags.cron);
    if (!cron.ok()) return cron.status().WithContext(fmt::format("--cron \"{}\"", flags.cron));
    spec->cron = flags.cron;
    spec->time_zone = flags.zone;
  }
  if (!flags.every.empty()) {
    LTS_RETURN_IF_ERROR(SetDuration("--every", flags.every, &spec->repeat_interval_ms));
    spec->repeat_count = flags.count.value_or(-1);
  }
  if (!flags.start.empty()) {
    LTS_RETURN_IF_ERROR(SetTime("--start", flags.start, &spec->start_time_ms));
  }
  if (!flags.end.empty()) LTS_RETURN_IF_ERROR(SetTime("--end", flags.end, &spec->end_time_ms));
  if (!flags.misfire.empty()) LTS_RETURN_IF_ERROR(SetMisfire(flags.misfire, spec));
  return Status::Ok();
}

}  // namespace

void AddJobFlags(CLI::App& verb, JobFlags& flags) {
  const auto text = [&verb](const char* name, std::string& value, const char* type,
                            const char* what) {
    verb.add_option(name, value, what)->type_name(type);
  };
  text("--runner", flags.runner, "R", "runner at the TaskTracker (default: that of the group)");
  verb.add_option("--param", flags.params, "a parameter; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  text("--payload", flags.payload, "FILE", "file with the payload; - is standard input");
  text("--at", flags.at, "TIME", "run at this time (RFC 3339)");
  text("--in", flags.in, "DURATION", "run after this time, as in 10s, 3h");
  text("--cron", flags.cron, "EXPR",
       "run by this cron expression: 6 or 7 fields of Quartz, 5 of Unix, or @hourly …");
  text("--tz", flags.zone, "ZONE", "IANA time zone of --cron (default: the cluster's)");
  text("--every", flags.every, "DURATION", "run again and again, so far apart");
  AddNumber(verb, "--count", flags.count,
            "runs altogether of --every, -1 without end (default: -1)", -1, model::kRepeatCountMax);
  text("--start", flags.start, "TIME", "schedules: no fire before");
  text("--end", flags.end, "TIME", "schedules: no fire after");
  text("--misfire", flags.misfire, "POLICY",
       "what becomes of missed fires: fire_once, skip, catch_up or catch_up:N");
  AddNumber(verb, "--priority", flags.priority, "-10000 … 10000, lower first (default: 100)",
            model::kPriorityMin, model::kPriorityMax);
  AddNumber(verb, "--retries", flags.retries, "how often to try again (default: 0)", 0,
            model::kRetryTimesMax);
  text("--retry", flags.retry, "POLICY",
       "delay of retries: fixed:500ms, linear:1s, exponential:1s..1m");
  text("--timeout", flags.timeout, "DURATION", "of one execution");
  text("--expires", flags.expires, "DURATION", "EXPIRED when not started within this time");
}

const std::vector<std::string>& JobFlagNames() {
  static const std::vector<std::string> names = [] {
    CLI::App probe;
    JobFlags flags;
    probe.set_help_flag();
    AddJobFlags(probe, flags);
    std::vector<std::string> all;
    for (const CLI::Option* option : probe.get_options()) all.push_back(option->get_name());
    return all;
  }();
  return names;
}

Result<std::map<std::string, std::string>> ParseParams(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> params;
  for (const std::string& param : texts) {
    const std::size_t equals = param.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Status::InvalidArgument(fmt::format("--param \"{}\": expected KEY=VALUE", param));
    }
    const bool first = params.emplace(param.substr(0, equals), param.substr(equals + 1)).second;
    if (!first) return Status::InvalidArgument(fmt::format("--param \"{}\": given before", param));
  }
  return params;
}

Status ApplyJobFlags(const JobFlags& flags, std::istream& standard_input, model::JobSpec* spec) {
  spec->runner = flags.runner;
  auto params = ParseParams(flags.params);
  if (!params.ok()) return params.status();
  spec->params = *std::move(params);
  if (!flags.payload.empty()) {
    LTS_RETURN_IF_ERROR(ReadPayload(flags.payload, standard_input, &spec->payload));
  }
  LTS_RETURN_IF_ERROR(SetTimes(flags, spec));
  if (flags.priority) spec->priority = *flags.priority;
  if (flags.retries) spec->max_retry_times = *flags.retries;
  if (!flags.retry.empty()) {
    const auto policy = model::ParseRetryPolicy(flags.retry);
    if (!policy.ok()) return policy.status().WithContext("--retry");
    spec->retry = *policy;
  }
  if (!flags.timeout.empty()) {
    LTS_RETURN_IF_ERROR(SetDuration("--timeout", flags.timeout, &spec->timeout_ms));
  }
  if (!flags.expires.empty()) {
    DurationMs expires_ms = 0;
    LTS_RETURN_IF_ERROR(SetDuration("--expires", flags.expires, &expires_ms));
    spec->expires_in_ms = expires_ms;
  }
  return Status::Ok();
}

Status WithOption(const Status& status) {
  static constexpr std::pair<std::string_view, const char*> kOptions[] = {
      {"job_id", "--job-id"},
      {"task_id", "--task"},
      {"task_tracker_node_group", "--group"},
      {"submit_node_group", "--client-group"},
      {"runner", "--runner"},
      {"params", "--param"},
      {"priority", "--priority"},
      {"max_retry_times", "--retries"},
      {"start_time_ms", "--start"},
      {"end_time_ms", "--end"},
      {"trigger_time_ms", "--at"},
      {"trigger_delay_ms", "--in"},
      {"expires_in_ms", "--expires"},
      {"timeout_ms", "--timeout"},
      {"repeat_count", "--count"},
      {"repeat_interval_ms", "--every"},
      {"cron_expression", "--cron"},
      {"time_zone:", "--tz"},
  };
  const std::string& message = status.message();
  const std::string_view field = std::string_view(message).substr(0, message.find(' '));
  for (const auto& [name, option] : kOptions) {
    if (field == name) return status.WithContext(option);
  }
  return status;
}

}  // namespace lts::jobclient::cli

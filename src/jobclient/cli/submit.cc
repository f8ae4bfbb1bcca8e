// jobclient submit
#include <fmt/core.h>

#include <fstream>
#include <memory>
#include <optional>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "jobclient/cli/submit_file.h"
#include "jobclient/cli/wait_end.h"
#include "jobclient/client_core.h"
#include "model/cron.h"
#include "model/retry.h"
#include "model/validate.h"

namespace lts::jobclient::cli {
namespace {

constexpr std::size_t kPayloadBytesMax = 1U << 20;

struct SubmitFlags {
  FileFlags file;
  bool dry_run = false;
  std::string group;
  std::string task;
  std::string job_id;
  std::string runner;
  std::vector<std::string> params;
  std::string payload;
  std::string at;
  std::string in;
  std::string cron;
  std::string zone;
  std::string every;
  std::optional<std::int64_t> count;
  std::optional<std::int32_t> priority;
  std::int32_t retries = 0;
  std::string retry;
  std::string timeout;
  std::string expires;
  bool replace = false;
  bool feedback = false;
  bool fail_if_exists = false;
  bool at_most_once = false;
  bool overlap = false;
  bool store = false;
  bool wait = false;
  std::string wait_timeout;
};

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

Status SetTimes(const SubmitFlags& flags, model::JobSpec* spec) {
  const int kinds =
      !flags.at.empty() + !flags.in.empty() + !flags.cron.empty() + !flags.every.empty();
  if (kinds > 1) return Status::InvalidArgument("give one of --at, --in, --cron and --every");
  if (!flags.zone.empty() && flags.cron.empty())
    return Status::InvalidArgument("--tz goes with --cron");
  if (flags.count && flags.every.empty())
    return Status::InvalidArgument("--count goes with --every");
  if (!flags.at.empty()) {
    const Result<TimeMs> at = ParseTime(flags.at);
    if (!at.ok()) return at.status().WithContext("--at");
    spec->trigger_time_ms = *at;
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
  return Status::Ok();
}

Result<model::JobSpec> SpecFromFlags(const SubmitFlags& flags, std::istream& standard_input) {
  model::JobSpec spec;
  spec.job_id = flags.job_id;
  spec.task_id = flags.task;
  spec.group = flags.group;
  spec.runner = flags.runner;
  for (const std::string& param : flags.params) {
    const std::size_t equals = param.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Status::InvalidArgument(fmt::format("--param \"{}\": expected KEY=VALUE", param));
    }
    const bool first =
        spec.params.emplace(param.substr(0, equals), param.substr(equals + 1)).second;
    if (!first) return Status::InvalidArgument(fmt::format("--param \"{}\": given before", param));
  }
  if (!flags.payload.empty()) {
    LTS_RETURN_IF_ERROR(ReadPayload(flags.payload, standard_input, &spec.payload));
  }
  LTS_RETURN_IF_ERROR(SetTimes(flags, &spec));
  if (flags.priority) spec.priority = *flags.priority;
  spec.max_retry_times = flags.retries;
  if (!flags.retry.empty()) {
    const auto policy = model::ParseRetryPolicy(flags.retry);
    if (!policy.ok()) return policy.status().WithContext("--retry");
    spec.retry = *policy;
  }
  if (!flags.timeout.empty()) {
    LTS_RETURN_IF_ERROR(SetDuration("--timeout", flags.timeout, &spec.timeout_ms));
  }
  if (!flags.expires.empty()) {
    DurationMs expires_ms = 0;
    LTS_RETURN_IF_ERROR(SetDuration("--expires", flags.expires, &expires_ms));
    spec.expires_in_ms = expires_ms;
  }
  spec.replace_on_exist = flags.replace;
  spec.need_feedback = flags.feedback;
  spec.fail_if_exists = flags.fail_if_exists;
  spec.at_most_once = flags.at_most_once;
  spec.rely_on_prev_cycle = !flags.overlap;
  return spec;
}

// A refusal that begins with a field of the job begins with the option that says it.
Status WithOption(const Status& status) {
  static constexpr std::pair<std::string_view, const char*> kOptions[] = {
      {"job_id", "--job-id"},
      {"task_id", "--task"},
      {"task_tracker_node_group", "--group"},
      {"submit_node_group", "--client-group"},
      {"runner", "--runner"},
      {"params", "--param"},
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

int SubmitOne(const Context& context, const SubmitFlags& flags, const JobClientOptions& options,
              ClientCore& client) {
  Result<model::JobSpec> spec = SpecFromFlags(flags, context.env.in);
  if (!spec.ok()) return context.Fail(spec.status());
  DurationMs wait_ms = kWaitForever;
  if (!flags.wait_timeout.empty()) {
    const Status set = SetDuration("--wait-timeout", flags.wait_timeout, &wait_ms);
    if (!set.ok()) return context.Fail(set);
  }
  const Result<SubmitReceipt> receipt = client.Submit(std::move(spec).value());
  if (!receipt.ok()) return context.Fail(WithOption(receipt.status()));
  if (receipt->outcome == SubmitOutcome::kStored) SayWhereStored(context, options, client);
  const Json json = ReceiptJson(*receipt, flags.task, flags.group);
  if (!flags.wait) {
    Printer(context, kReceiptColumns).Print(json);
    return kOk;
  }
  context.env.err << "jobclient: " << Dump(json) << '\n';
  return WaitForEnd(context, client, receipt->job_id, wait_ms, /*runs_so_far=*/true);
}

// The lines of a file say everything of their jobs.
constexpr const char* kJobOptions[] = {
    "--group",        "--task",    "--job-id",   "--runner",         "--param",
    "--payload",      "--at",      "--in",       "--cron",           "--tz",
    "--every",        "--count",   "--priority", "--retries",        "--retry",
    "--timeout",      "--expires", "--replace",  "--fail-if-exists", "--feedback",
    "--at-most-once", "--overlap"};

int Submit(const Context& context, const CLI::App& verb, const SubmitFlags& flags) {
  if (!flags.file.file.empty()) {
    for (const char* option : kJobOptions) {
      if (verb.count(option) == 0) continue;
      return context.Usage(fmt::format(
          "{} does not go with --file: each line of the file says it of its job", option));
    }
  }
  if (flags.file.file.empty() && (flags.group.empty() || flags.task.empty())) {
    return context.Usage(
        "submit needs --group and --task, or --file; see: jobclient submit --help");
  }
  if (flags.wait && !flags.file.file.empty())
    return context.Usage("--wait waits for one job, not for --file");
  if (flags.wait && flags.dry_run)
    return context.Usage("--wait waits for a job that runs, not for --dry-run");
  const Result<JobClientOptions> options = context.LoadOptions(flags.store);
  if (!options.ok()) return context.Fail(options.status());
  if (flags.store && options->fail_store.empty()) {
    return context.Usage("--store: job.fail.store=none in the configuration; set it to rocksdb");
  }
  if (flags.dry_run) {
    if (!flags.file.file.empty()) return CheckFile(context, flags.file, *options);
    Result<model::JobSpec> spec = SpecFromFlags(flags, context.env.in);
    if (!spec.ok()) return context.Fail(spec.status());
    return CheckOne(context, *std::move(spec), *options, WithOption);
  }
  const auto channels = context.Channels(*options);
  if (!channels.ok()) return context.Fail(channels.status());
  auto client = ClientCore::Open(*options, *channels, Presence::kPassing);
  if (!client.ok()) return context.Fail(client.status());
  return flags.file.file.empty() ? SubmitOne(context, flags, *options, **client)
                                 : SubmitFile(context, flags.file, *options, **client);
}

Action Declare(CLI::App& verb, Context& context) {
  const auto flags = std::make_shared<SubmitFlags>();
  const auto text = [&verb](const char* name, std::string& value, const char* type,
                            const char* what) {
    verb.add_option(name, value, what)->type_name(type);
  };
  text("--file", flags->file.file, "FILE",
       "jobs in protobuf JSON form, one a line; - is standard input");
  text("--group", flags->group, "G", "TaskTracker node group that runs it");
  text("--task", flags->task, "T", "task id, the identity within the group");
  text("--job-id", flags->job_id, "UUID", "UUIDv7 of your own; sent twice it makes one job");
  text("--runner", flags->runner, "R", "runner at the TaskTracker (default: that of the group)");
  verb.add_option("--param", flags->params, "a parameter; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  text("--payload", flags->payload, "FILE", "file with the payload; - is standard input");
  text("--at", flags->at, "TIME", "run at this time (RFC 3339)");
  text("--in", flags->in, "DURATION", "run after this time, as in 10s, 3h");
  text("--cron", flags->cron, "EXPR", "run by this cron expression");
  text("--tz", flags->zone, "ZONE", "IANA time zone of --cron (default: the cluster's)");
  text("--every", flags->every, "DURATION", "run again and again, so far apart");
  AddNumber(verb, "--count", flags->count,
            "runs altogether of --every, -1 without end (default: -1)", -1, model::kRepeatCountMax);
  AddNumber(verb, "--priority", flags->priority, "-10000 … 10000, lower first (default: 100)",
            model::kPriorityMin, model::kPriorityMax);
  AddNumber(verb, "--retries", flags->retries, "how often to try again (default: 0)", 0,
            model::kRetryTimesMax);
  text("--retry", flags->retry, "POLICY",
       "delay of retries: fixed:500ms, linear:1s, exponential:1s..1m");
  text("--timeout", flags->timeout, "DURATION", "of one execution");
  text("--expires", flags->expires, "DURATION", "EXPIRED when not started within this time");
  verb.add_flag("--dry-run", flags->dry_run,
                "say what would be done, or what is wrong; send nothing, ask no JobTracker");
  verb.add_flag("--no-progress", flags->file.no_progress,
                "--file: no bar on the terminal, however long it takes");
  verb.add_flag("--replace", flags->replace, "replace a waiting job of the same task");
  verb.add_flag("--fail-if-exists", flags->fail_if_exists, "fail when the task has a waiting job");
  verb.add_flag("--feedback", flags->feedback, "tell the client group how it ended");
  verb.add_flag("--at-most-once", flags->at_most_once,
                "never repeat an attempt with an unknown outcome");
  verb.add_flag("--overlap", flags->overlap, "schedules: fire while the previous cycle runs");
  verb.add_flag("--store", flags->store,
                "keep the job in the FailStore when no JobTracker takes it");
  verb.add_flag(
      "--wait", flags->wait,
      "wait for the end (of a schedule: of its first run), print the final message; exit 0 or 8");
  text("--wait-timeout", flags->wait_timeout, "DURATION",
       "give up waiting after this time, exit 7");
  AddGroupOptions(verb, context);
  return [&context, &verb, flags] { return Submit(context, verb, *flags); };
}

}  // namespace

Verb SubmitVerb() {
  return {.name = "submit",
          .summary = "submit a job, or a file of jobs",
          .usage = "--group G --task T [OPTIONS] | --file FILE [OPTIONS]",
          .examples = {"jobclient submit --group demo --task hello --runner word_count "
                       "--param file=/etc/hosts --wait",
                       "jobclient submit --group demo --task nightly --cron '0 0 3 * * ?' --tz "
                       "Europe/Berlin --runner word_count --param file=/etc/hosts",
                       "echo '{\"taskId\":\"t1\",\"taskTrackerNodeGroup\":\"demo\"}' | jobclient "
                       "submit --file -",
                       "echo '{\"taskId\":\"t2\",\"taskTrackerNodeGroup\":\"demo\"}' | jobclient "
                       "submit --file - --dry-run"},
          .declare = Declare};
}

}  // namespace lts::jobclient::cli

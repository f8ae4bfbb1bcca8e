// jobclient submit
#include <fmt/core.h>

#include <iterator>
#include <memory>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/job_flags.h"
#include "jobclient/cli/output.h"
#include "jobclient/cli/submit_file.h"
#include "jobclient/cli/wait_end.h"
#include "jobclient/client_core.h"

namespace lts::jobclient::cli {
namespace {

struct SubmitFlags {
  FileFlags file;
  bool dry_run = false;
  std::string group;
  std::string task;
  std::string job_id;
  JobFlags job;
  bool replace = false;
  bool feedback = false;
  bool fail_if_exists = false;
  bool at_most_once = false;
  bool overlap = false;
  bool store = false;
  bool wait = false;
  std::string wait_timeout;
};

Result<model::JobSpec> SpecFromFlags(const SubmitFlags& flags, std::istream& standard_input) {
  model::JobSpec spec;
  spec.job_id = flags.job_id;
  spec.task_id = flags.task;
  spec.group = flags.group;
  LTS_RETURN_IF_ERROR(ApplyJobFlags(flags.job, standard_input, &spec));
  spec.replace_on_exist = flags.replace;
  spec.need_feedback = flags.feedback;
  spec.fail_if_exists = flags.fail_if_exists;
  spec.at_most_once = flags.at_most_once;
  spec.rely_on_prev_cycle = !flags.overlap;
  return spec;
}

int SubmitOne(const Context& context, const SubmitFlags& flags, const JobClientOptions& options,
              ClientCore& client) {
  Result<model::JobSpec> spec = SpecFromFlags(flags, context.env.in);
  if (!spec.ok()) return context.Fail(spec.status());
  DurationMs wait_ms = kWaitForever;
  if (!flags.wait_timeout.empty()) {
    const auto limit = ParseDurationOption("--wait-timeout", flags.wait_timeout);
    if (!limit.ok()) return context.Fail(limit.status());
    wait_ms = *limit;
  }
  const Result<SubmitReceipt> receipt = client.Submit(std::move(spec).value());
  if (!receipt.ok()) return context.Fail(WithOption(receipt.status()));
  if (receipt->outcome == SubmitOutcome::kStored) SayWhereStored(context, options, client);
  if (receipt->outcome == SubmitOutcome::kDuplicate) {
    context.env.err << "jobclient: task " << flags.task
                    << " is there already and stays as it is; submit --replace takes its place, "
                       "update changes it\n";
  }
  if (!flags.job.retry.empty() && flags.job.retries.value_or(0) == 0) {
    context.env.err << "jobclient: --retry without --retries N: nothing is retried\n";
  }
  const Json json = ReceiptJson(*receipt, flags.task, flags.group);
  if (!flags.wait) {
    Printer(context, kReceiptColumns).Print(json);
    return kOk;
  }
  context.env.err << "jobclient: " << Dump(json) << '\n';
  return WaitForEnd(context, client, receipt->job_id, wait_ms, /*runs_so_far=*/true);
}

// The lines of a file say everything of their jobs.
constexpr const char* kOwnJobOptions[] = {"--group",        "--task",           "--job-id",
                                          "--replace",      "--fail-if-exists", "--feedback",
                                          "--at-most-once", "--overlap"};

int Submit(const Context& context, const CLI::App& verb, const SubmitFlags& flags) {
  if (!flags.file.file.empty()) {
    std::vector<std::string> job_options = JobFlagNames();
    job_options.insert(job_options.end(), std::begin(kOwnJobOptions), std::end(kOwnJobOptions));
    for (const std::string& option : job_options) {
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
  AddJobFlags(verb, flags->job);
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
  return {
      .name = "submit",
      .summary = "submit a job, or a file of jobs",
      .usage = "--group G --task T [OPTIONS] | --file FILE [OPTIONS]",
      .examples =
          {"jobclient submit --group demo --task hello --runner word_count "
           "--param file=/etc/hosts --wait",
           "jobclient submit --group demo --task nightly --cron '0 0 3 * * ?' --tz "
           "Europe/Berlin --runner word_count --param file=/etc/hosts",
           "echo '{\"taskId\":\"t1\",\"taskTrackerNodeGroup\":\"demo\",\"runner\":\"word_count\","
           "\"params\":{\"file\":\"/etc/hosts\"}}' | jobclient "
           "submit --file -",
           "echo '{\"taskId\":\"t2\",\"taskTrackerNodeGroup\":\"demo\",\"runner\":\"word_count\","
           "\"params\":{\"file\":\"/etc/hosts\"}}' | jobclient "
           "submit --file - --dry-run"},
      .declare = Declare};
}

}  // namespace lts::jobclient::cli

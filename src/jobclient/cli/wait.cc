// jobclient wait
#include <memory>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "jobclient/cli/wait_end.h"

namespace lts::jobclient::cli {
namespace {

struct WaitFlags {
  JobName name;
  std::string timeout;
};

int Wait(const Context& context, const WaitFlags& flags) {
  if (const std::string complaint = Complaint(flags.name); !complaint.empty())
    return context.Usage(complaint);
  DurationMs timeout_ms = kWaitForever;
  if (!flags.timeout.empty()) {
    const Result<DurationMs> given = ParseDurationOption("--timeout", flags.timeout);
    if (!given.ok()) return context.Fail(given.status());
    timeout_ms = *given;
  }
  const Result<JobClientOptions> options = context.LoadOptions(false);
  if (!options.ok()) return context.Fail(options.status());
  const auto channels = context.Channels(*options);
  if (!channels.ok()) return context.Fail(channels.status());
  auto client = ClientCore::Open(*options, *channels, Presence::kPassing);
  if (!client.ok()) return context.Fail(client.status());
  // Who was there once is waited for, however long; but not a cluster that is not found.
  const Status found = (*client)->trackers().AwaitFound();
  if (!found.ok()) return context.Fail(found);
  const Result<std::string> id = JobIdOf((*client)->trackers(), flags.name);
  if (!id.ok()) return context.Fail(id.status());
  return WaitForEnd(context, **client, *id, timeout_ms, /*runs_so_far=*/false);
}

}  // namespace

int WaitForEnd(const Context& context, ClientCore& client, const std::string& job_id,
               DurationMs timeout_ms, bool runs_so_far) {
  const Result<v1::JobView> job =
      client.Wait(job_id, Milliseconds(timeout_ms), runs_so_far ? 1 : 0);
  if (!job.ok()) return context.Fail(job.status());
  if (context.format == Format::kJson) {
    context.env.out << Dump(JobJson(*job)) << '\n';
  } else {
    context.env.out << job->message() << '\n';
  }
  if (job->state() == v1::SUCCEEDED) return kOk;
  if (job->state() == v1::ENDED) {
    context.env.err << "jobclient: schedule " << job_id
                    << " has ended, no run of it comes any more\n";
  } else {
    context.env.err << "jobclient: job " << job_id << " ended " << StateText(job->state()) << '\n';
  }
  return kJobFailed;
}

Verb WaitVerb() {
  return {.name = "wait",
          .summary =
              "wait for the end of a job (of a schedule: of its first run from now) and print "
              "its final message; exit 0 when it succeeded, else 8, also when no run comes any "
              "more",
          .usage = "(JOB_ID | --group G --task T) [--timeout DURATION]",
          .examples = {"jobclient wait 01890f3e-7b1c-7cc8-98c4-dc0c0c07398f --timeout 10m",
                       "jobclient wait --group demo --task hello"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto flags = std::make_shared<WaitFlags>();
            AddJobName(verb, flags->name);
            verb.add_option("--timeout", flags->timeout,
                            "give up after this time, exit 7 (default: never)")
                ->type_name("DURATION");
            return [&context, flags] { return Wait(context, *flags); };
          }};
}

}  // namespace lts::jobclient::cli

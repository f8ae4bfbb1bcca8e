// jobclient cancel
#include <memory>
#include <optional>
#include <string>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/fail_folders.h"
#include "jobclient/cli/operate.h"
#include "jobclient/fail_records.h"
#include "lts/v1/client.pb.h"

namespace lts::jobclient::cli {
namespace {

// Says where the submit waits that is still to be sent, and where it may wait if `may_wait`.
void SayWhereItWaits(const Context& context, const v1::OperateRequest& request, bool may_wait) {
  const Result<FailFolders> folders = FindFailFolders(context);
  if (!folders.ok()) return;  // the call before has complained of the same options
  const auto note = [&context](const std::string& text) {
    context.env.err << "jobclient: " << text << '\n';
  };
  for (const std::string& folder : folders->free) {
    const auto store = OpenToLook(*folders, folder);
    const Result<std::optional<v1::Job>> job =
        store.ok() ? FindSubmit(**store, request) : Result<std::optional<v1::Job>>(store.status());
    if (!job.ok()) {
      note(folder + ", where it may wait, cannot be searched: " + job.status().message());
    } else if (job->has_value()) {
      note("job " + (*job)->job_id() + " waits in " + folder +
           " and is sent by the next process that uses it: not cancelled; jobclient failstore list "
           "and drop, with --path '" +
           folder + "', take it out");
    }
  }
  if (!may_wait) return;
  for (const std::string& folder : folders->in_use) {
    note("it may still wait in " + folder + ", which a running process uses");
  }
}

int Cancel(const Context& context, const JobName& name) {
  if (const std::string complaint = Complaint(name); !complaint.empty())
    return context.Usage(complaint);
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  v1::OperateRequest request;
  const Result<v1::OperateResponse> response = CallOperate(**trackers, name, &request);
  if (!response.ok()) {
    const Status& status = response.status();
    const int code = context.Fail(status);
    const bool elsewhere =
        status.code() == StatusCode::kNotFound || status.code() == StatusCode::kUnavailable;
    if (elsewhere) SayWhereItWaits(context, request, /*may_wait=*/true);
    return code;
  }
  PrintOperated(context, *response);
  // The job of that id is the one cancelled; of that task another one may be on its way.
  if (name.job_id.empty()) SayWhereItWaits(context, request, /*may_wait=*/false);
  return kOk;
}

}  // namespace

Verb CancelVerb() {
  return {.name = "cancel",
          .summary = "cancel a job or schedule; RUNNING means that the attempt was told to stop",
          .usage = "JOB_ID | --group G --task T",
          .examples = {"jobclient cancel --group demo --task nightly"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto name = std::make_shared<JobName>();
            AddJobName(verb, *name);
            AddGroupOptions(verb, context);
            return [&context, name] { return Cancel(context, *name); };
          }};
}

}  // namespace lts::jobclient::cli

// jobclient cancel
#include <memory>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "lts/v1/client.pb.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {
namespace {

int Cancel(const Context& context, const JobName& name) {
  if (const std::string complaint = Complaint(name); !complaint.empty())
    return context.Usage(complaint);
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  v1::CancelRequest request;
  request.set_job_id(name.job_id);
  request.set_group(name.group);
  request.set_task_id(name.task_id);
  const Result<v1::CancelResponse> response =
      (*trackers)->Call(&rpc::Channel::Cancel, request, kCallTimeoutMs);
  if (!response.ok()) return context.Fail(response.status());
  if (const Status status = rpc::StatusOf(*response); !status.ok()) return context.Fail(status);
  Json json;
  json["jobId"] = response->job_id();
  json["state"] = StateText(response->state());
  Printer(context, {{"JOB ID", "jobId"}, {"STATE", "state"}}).Print(json);
  return kOk;
}

}  // namespace

void AddCancel(CLI::App& app, Context& context) {
  const auto name = std::make_shared<JobName>();
  CLI::App* verb = AddVerb(
      app, "cancel", "cancel a job or schedule; RUNNING means that the attempt was told to stop",
      "jobclient cancel --group demo --task hello");
  AddJobName(*verb, *name);
  verb->callback(
      [&context, name] { context.action = [&context, name] { return Cancel(context, *name); }; });
}

}  // namespace lts::jobclient::cli

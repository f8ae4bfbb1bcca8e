// jobclient get
#include <memory>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "lts/v1/query.pb.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {
namespace {

int Get(const Context& context, const JobName& name) {
  if (const std::string complaint = Complaint(name); !complaint.empty())
    return context.Usage(complaint);
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  v1::GetRequest request;
  request.set_job_id(name.job_id);
  request.set_group(name.group);
  request.set_task_id(name.task_id);
  const Result<v1::GetResponse> response =
      (*trackers)->Call(&rpc::Channel::Get, request, kCallTimeoutMs);
  if (!response.ok()) return context.Fail(response.status());
  if (const Status status = rpc::StatusOf(*response); !status.ok()) return context.Fail(status);
  Json json = JobJson(response->job());
  Json attempts = Json::array();
  for (const v1::AttemptView& attempt : response->job().attempts()) {
    attempts.push_back(AttemptJson(attempt));
  }
  if (context.format == Format::kJson) {
    json["attempts"] = std::move(attempts);
    context.env.out << Dump(json) << '\n';
    return kOk;
  }
  for (const auto& [member, value] : json.items()) {
    context.env.out << member << ": " << CellText(value) << '\n';
  }
  if (attempts.empty()) return kOk;
  context.env.out << '\n';
  Printer printer(context, {{"ATTEMPT", "attempt"},
                            {"CYCLE", "cycle"},
                            {"NODE", "node"},
                            {"OUTCOME", "outcome"},
                            {"STARTED", "startedAt"},
                            {"ENDED", "endedAt"},
                            {"MESSAGE", "message"}});
  for (const Json& attempt : attempts) printer.Print(attempt);
  return kOk;
}

}  // namespace

Verb GetVerb() {
  return {.name = "get",
          .summary = "show a job: its definition, state and attempts",
          .usage = "JOB_ID | --group G --task T",
          .examples = {"jobclient get --group demo --task hello -o json"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto name = std::make_shared<JobName>();
            AddJobName(verb, *name);
            return [&context, name] { return Get(context, *name); };
          }};
}

}  // namespace lts::jobclient::cli

// jobclient explain
#include <memory>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "lts/v1/query.pb.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {
namespace {

int Explain(const Context& context, const JobName& name) {
  if (const std::string complaint = Complaint(name); !complaint.empty())
    return context.Usage(complaint);
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  v1::ExplainRequest request;
  request.set_job_id(name.job_id);
  request.set_group(name.group);
  request.set_task_id(name.task_id);
  const Result<v1::ExplainResponse> response =
      (*trackers)->Call(&rpc::Channel::Explain, request, kCallTimeoutMs);
  if (!response.ok()) return context.Fail(response.status());
  if (const Status status = rpc::StatusOf(*response); !status.ok()) return context.Fail(status);
  Json reasons = Json::array();
  for (const v1::Reason& reason : response->reasons()) {
    Json json;
    json["code"] = reason.code();
    json["text"] = reason.text();
    reasons.push_back(std::move(json));
  }
  if (context.format == Format::kJson) {
    Json json;
    json["state"] = StateText(response->state());
    json["reasons"] = std::move(reasons);
    context.env.out << Dump(json) << '\n';
    return kOk;
  }
  context.env.out << StateText(response->state()) << '\n';
  for (const Json& reason : reasons) {
    context.env.out << CellText(reason["code"]) << ": " << CellText(reason["text"]) << '\n';
  }
  return kOk;
}

}  // namespace

Verb ExplainVerb() {
  return {.name = "explain",
          .summary = "tell why a job runs or does not run",
          .usage = "JOB_ID | --group G --task T",
          .examples = {"jobclient explain --group demo --task hello"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto name = std::make_shared<JobName>();
            AddJobName(verb, *name);
            return [&context, name] { return Explain(context, *name); };
          }};
}

}  // namespace lts::jobclient::cli

// jobclient groups
#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "lts/v1/cluster.pb.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {
namespace {

int Groups(const Context& context) {
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  const Result<v1::GroupsResponse> response =
      (*trackers)->Call(&rpc::Channel::Groups, v1::GroupsRequest(), kCallTimeoutMs);
  if (!response.ok()) return context.Fail(response.status());
  if (const Status status = rpc::StatusOf(*response); !status.ok()) return context.Fail(status);
  Printer printer(context, {{"GROUP", "group"},
                            {"TASKTRACKERS", "taskTrackers"},
                            {"SLOTS", "slots"},
                            {"JOBS", "jobs"},
                            {"RUNNING", "running"},
                            {"SCHEDULES", "schedules"},
                            {"SUCCEEDED", "succeeded"},
                            {"FAILED", "failed"},
                            {"PARTITION", "partition"}});
  for (const v1::GroupView& group : response->groups()) {
    Json json;
    json["group"] = group.group();
    json["taskTrackers"] = group.task_trackers();
    json["slots"] = group.slots();
    json["jobs"] = NumberJson(group.jobs());
    json["running"] = NumberJson(group.running());
    json["schedules"] = NumberJson(group.schedules());
    json["succeeded"] = NumberJson(group.succeeded());
    json["failed"] = NumberJson(group.failed());
    json["partition"] = group.partition();
    printer.Print(json);
  }
  return kOk;
}

}  // namespace

Verb GroupsVerb() {
  return {.name = "groups",
          .summary = "list the TaskTracker node groups with their counters",
          .examples = {"jobclient groups"},
          .declare = [](CLI::App&, Context& context) -> Action {
            return [&context] { return Groups(context); };
          }};
}

}  // namespace lts::jobclient::cli

// jobclient partitions
#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "lts/v1/cluster.pb.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {
namespace {

int Partitions(const Context& context) {
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  const Result<v1::RoutesResponse> response =
      (*trackers)->Call(&rpc::Channel::Routes, v1::RoutesRequest(), kCallTimeoutMs);
  if (!response.ok()) return context.Fail(response.status());
  if (const Status status = rpc::StatusOf(*response); !status.ok()) return context.Fail(status);
  Printer printer(
      context,
      {{"PARTITION", "partition"}, {"OWNER", "owner"}, {"ADDRESS", "address"}, {"EPOCH", "epoch"}});
  for (const v1::Route& route : response->routes()) {
    Json json;
    json["partition"] = route.partition();
    json["owner"] = route.owner();
    json["address"] = route.address();
    json["epoch"] = NumberJson(route.epoch());
    json["clusterId"] = response->cluster_id();
    json["clusterName"] = response->cluster_name();
    printer.Print(json);
  }
  return kOk;
}

}  // namespace

Verb PartitionsVerb() {
  return {.name = "partitions",
          .summary = "list the partitions and which JobTracker owns them",
          .examples = {"jobclient partitions"},
          .declare = [](CLI::App&, Context& context) -> Action {
            return [&context] { return Partitions(context); };
          }};
}

}  // namespace lts::jobclient::cli

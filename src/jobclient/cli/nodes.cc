// jobclient nodes
#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "lts/v1/cluster.pb.h"

namespace lts::jobclient::cli {
namespace {

int Nodes(const Context& context) {
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  const Result<v1::NodesResponse> response =
      (*trackers)->Call(&rpc::Channel::Nodes, v1::NodesRequest(), kCallTimeoutMs);
  if (!response.ok()) return context.Fail(response.status());
  Printer printer(context, {{"TYPE", "nodeType"},
                            {"GROUP", "nodeGroup"},
                            {"IDENTITY", "identity"},
                            {"ADDRESS", "address"},
                            {"STATE", "state"},
                            {"SLOTS", "slots"},
                            {"RUNNING", "running"},
                            {"MASTER", "master"},
                            {"VERSION", "version"},
                            {"STARTED", "startedAt"}});
  for (const v1::NodeInfo& node : response->nodes()) {
    Json json;
    json["nodeType"] = node.node_type();
    json["nodeGroup"] = node.group();
    json["identity"] = node.identity();
    json["address"] = node.address();
    json["state"] = node.state().empty() ? Json(nullptr) : Json(node.state());
    json["slots"] = node.slots();
    json["running"] = node.running();
    json["master"] = node.master();
    json["version"] = node.version();
    json["startedAt"] = TimeJson(node.started_ms());
    printer.Print(json);
  }
  return kOk;
}

}  // namespace

Verb NodesVerb() {
  return {.name = "nodes",
          .summary = "list the nodes of the cluster",
          .examples = {"jobclient nodes -o json"},
          .declare = [](CLI::App&, Context& context) -> Action {
            return [&context] { return Nodes(context); };
          }};
}

}  // namespace lts::jobclient::cli

// The other side of the bare gRPC round trip: same server set-up as the JobTracker's, a method that
// answers at once.
#include <grpcpp/support/server_callback.h>

#include <cstdio>

#include "bench/roles.h"
#include "common/signals.h"
#include "lts/v1/cluster_service.grpc.pb.h"
#include "rpc/server.h"

namespace lts::bench {
namespace {

class EchoService final : public v1::ClusterService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Routes(grpc::CallbackServerContext* context, const v1::RoutesRequest*,
                                   v1::RoutesResponse*) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

}  // namespace

int RunEcho() {
  EchoService service;
  auto server = rpc::Server::Start({"127.0.0.1:0"}, {&service});
  if (!server.ok()) {
    std::fprintf(stderr, "lts_bench echo: %s\n", server.status().ToString().c_str());
    return 1;
  }
  std::printf("LISTEN %s\n", (*server)->address().c_str());
  std::fflush(stdout);
  WaitForStopSignal({});
  (*server)->Stop(1'000);
  return 0;
}

}  // namespace lts::bench

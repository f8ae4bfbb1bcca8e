// Who is there and who owns what.
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "jobtracker/services.h"
#include "lts/v1/cluster_service.grpc.pb.h"
#include "rpc/unary_reply.h"

namespace lts {
namespace {

class ClusterServiceImpl final : public v1::ClusterService::CallbackService {
 public:
  explicit ClusterServiceImpl(Queries& queries) : queries_(queries) {}

  grpc::ServerUnaryReactor* Routes(grpc::CallbackServerContext*, const v1::RoutesRequest* request,
                                   v1::RoutesResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::RoutesResponse>::Make(response);
    (void)request;
    queries_.Routes([reply = reply](v1::RoutesResponse answer) { reply.Send(std::move(answer)); });
    return reactor;
  }
  grpc::ServerUnaryReactor* Nodes(grpc::CallbackServerContext*, const v1::NodesRequest* request,
                                  v1::NodesResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::NodesResponse>::Make(response);
    queries_.Nodes(*request,
                   [reply = reply](v1::NodesResponse answer) { reply.Send(std::move(answer)); });
    return reactor;
  }
  grpc::ServerUnaryReactor* Groups(grpc::CallbackServerContext*, const v1::GroupsRequest* request,
                                   v1::GroupsResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::GroupsResponse>::Make(response);
    queries_.Groups(*request,
                    [reply = reply](v1::GroupsResponse answer) { reply.Send(std::move(answer)); });
    return reactor;
  }

 private:
  Queries& queries_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeClusterService(Queries& queries) {
  return std::make_unique<ClusterServiceImpl>(queries);
}

}  // namespace lts

// Reads for the CLI and the console.
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "jobtracker/services.h"
#include "lts/v1/query_service.grpc.pb.h"
#include "rpc/unary_reply.h"

namespace lts {
namespace {

class QueryServiceImpl final : public v1::QueryService::CallbackService {
 public:
  explicit QueryServiceImpl(Queries& queries) : queries_(queries) {}

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext*, const v1::GetRequest* request,
                                v1::GetResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::GetResponse>::Make(response);
    queries_.Get(*request,
                 [reply = reply](v1::GetResponse answer) { reply.Send(std::move(answer)); });
    return reactor;
  }
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext*, const v1::ListRequest* request,
                                 v1::ListResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::ListResponse>::Make(response);
    queries_.List(*request,
                  [reply = reply](v1::ListResponse answer) { reply.Send(std::move(answer)); });
    return reactor;
  }
  grpc::ServerUnaryReactor* ListAttempts(grpc::CallbackServerContext*,
                                         const v1::ListAttemptsRequest* request,
                                         v1::ListAttemptsResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::ListAttemptsResponse>::Make(response);
    queries_.ListAttempts(*request, [reply = reply](v1::ListAttemptsResponse answer) {
      reply.Send(std::move(answer));
    });
    return reactor;
  }
  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext*, const v1::ExplainRequest* request,
                                    v1::ExplainResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::ExplainResponse>::Make(response);
    queries_.Explain(
        *request, [reply = reply](v1::ExplainResponse answer) { reply.Send(std::move(answer)); });
    return reactor;
  }
  grpc::ServerUnaryReactor* Logs(grpc::CallbackServerContext*, const v1::LogsRequest* request,
                                 v1::LogsResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::LogsResponse>::Make(response);
    queries_.Logs(*request,
                  [reply = reply](v1::LogsResponse answer) { reply.Send(std::move(answer)); });
    return reactor;
  }

 private:
  Queries& queries_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeQueryService(Queries& queries) {
  return std::make_unique<QueryServiceImpl>(queries);
}

}  // namespace lts

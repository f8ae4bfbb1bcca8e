// Submitting, operations on what was submitted, waiting.
#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "common/clock.h"
#include "jobtracker/services.h"
#include "lts/v1/client_service.grpc.pb.h"
#include "rpc/unary_reply.h"

namespace lts {
namespace {

class ClientServiceImpl final : public v1::ClientService::CallbackService {
 public:
  ClientServiceImpl(Edge& edge, Queries& queries) : edge_(edge), queries_(queries) {}

  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext*, const v1::SubmitRequest* request,
                                   v1::SubmitResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::SubmitResponse>::Make(response);
    edge_.Submit(*request,
                 [reply = reply](v1::SubmitResponse answer) { reply.Send(std::move(answer)); });
    return reactor;
  }
  grpc::ServerUnaryReactor* Operate(grpc::CallbackServerContext* context,
                                    const v1::OperateRequest* request,
                                    v1::OperateResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::OperateResponse>::Make(response);
    const auto until =
        std::chrono::ceil<std::chrono::milliseconds>(context->deadline().time_since_epoch());
    const auto left_ms = [reply = reply, until_ms = until.count()] {
      return reply.done() ? 0 : std::max<DurationMs>(until_ms - SystemClock().WallMs(), 0);
    };
    queries_.Operate(*request, left_ms, [reply = reply](v1::OperateResponse answer) {
      reply.Send(std::move(answer));
    });
    return reactor;
  }
  grpc::ServerUnaryReactor* Wait(grpc::CallbackServerContext*, const v1::WaitRequest* request,
                                 v1::WaitResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::WaitResponse>::Make(response);
    queries_.Wait(*request,
                  [reply = reply](v1::WaitResponse answer) { reply.Send(std::move(answer)); });
    return reactor;
  }

 private:
  Edge& edge_;
  Queries& queries_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeClientService(Edge& edge, Queries& queries) {
  return std::make_unique<ClientServiceImpl>(edge, queries);
}

}  // namespace lts

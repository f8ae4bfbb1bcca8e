// The TaskTrackers' streams, and their business logs.
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "jobtracker/services.h"
#include "jobtracker/stream_registry.h"
#include "lts/v1/worker_service.grpc.pb.h"
#include "rpc/server_stream.h"
#include "rpc/unary_reply.h"

namespace lts {
namespace {

class WorkerServiceImpl final : public v1::WorkerService::CallbackService {
 public:
  WorkerServiceImpl(Edge& edge, Queries& queries, std::shared_ptr<StreamRegistry> streams)
      : edge_(edge), queries_(queries), streams_(std::move(streams)) {}

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::TrackerMessage>* Work(
      grpc::CallbackServerContext* context) override {
    auto accepted = rpc::ServerStream<v1::TrackerMessage, v1::WorkerMessage>::Accept(context);
    auto connection = std::make_shared<Edge::WorkerConnection>(edge_, accepted.stream);
    const std::uint64_t id = streams_->Add([stream = std::weak_ptr(accepted.stream)] {
      if (const auto open = stream.lock()) open->Close();
    });
    accepted.stream->Start(
        {[connection](v1::WorkerMessage message) { connection->Message(std::move(message)); },
         [connection, id, streams = streams_](const Status&) {
           streams->Remove(id);
           connection->Closed();
         }});
    return accepted.reactor;
  }

  grpc::ServerUnaryReactor* AppendLogs(grpc::CallbackServerContext*,
                                       const v1::AppendLogsRequest* request,
                                       v1::AppendLogsResponse* response) override {
    auto [reply, reactor] = rpc::UnaryReply<v1::AppendLogsResponse>::Make(response);
    queries_.AppendLogs(*request, [reply = reply](v1::AppendLogsResponse answer) {
      reply.Send(std::move(answer));
    });
    return reactor;
  }

 private:
  Edge& edge_;
  Queries& queries_;
  const std::shared_ptr<StreamRegistry> streams_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkerService(Edge& edge, Queries& queries,
                                                 std::shared_ptr<StreamRegistry> streams) {
  return std::make_unique<WorkerServiceImpl>(edge, queries, std::move(streams));
}

}  // namespace lts

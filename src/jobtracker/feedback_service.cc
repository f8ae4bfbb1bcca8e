// The clients' feedback streams, and the making of all services.
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "jobtracker/services.h"
#include "jobtracker/stream_registry.h"
#include "lts/v1/feedback_service.grpc.pb.h"
#include "rpc/server_stream.h"

namespace lts {
namespace {

class FeedbackServiceImpl final : public v1::FeedbackService::CallbackService {
 public:
  FeedbackServiceImpl(Edge& edge, std::shared_ptr<StreamRegistry> streams)
      : edge_(edge), streams_(std::move(streams)) {}

  grpc::ServerBidiReactor<v1::FeedbackClientMessage, v1::FeedbackTrackerMessage>* Feedback(
      grpc::CallbackServerContext* context) override {
    auto accepted =
        rpc::ServerStream<v1::FeedbackTrackerMessage, v1::FeedbackClientMessage>::Accept(context);
    auto connection = std::make_shared<Edge::FeedbackConnection>(edge_, accepted.stream);
    const std::uint64_t id = streams_->Add([stream = std::weak_ptr(accepted.stream)] {
      if (const auto open = stream.lock()) open->Close();
    });
    accepted.stream->Start({[connection](v1::FeedbackClientMessage message) {
                              connection->Message(std::move(message));
                            },
                            [connection, id, streams = streams_](const Status&) {
                              streams->Remove(id);
                              connection->Closed();
                            }});
    return accepted.reactor;
  }

 private:
  Edge& edge_;
  const std::shared_ptr<StreamRegistry> streams_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeFeedbackService(Edge& edge,
                                                   std::shared_ptr<StreamRegistry> streams) {
  return std::make_unique<FeedbackServiceImpl>(edge, std::move(streams));
}

Services::~Services() = default;

void Services::CloseStreams() { streams->CloseAll(); }

std::vector<grpc::Service*> Services::all() const {
  std::vector<grpc::Service*> pointers;
  for (const auto& service : services) pointers.push_back(service.get());
  return pointers;
}

std::unique_ptr<Services> MakeServices(Edge& edge, Queries& queries) {
  auto made = std::make_unique<Services>();
  made->streams = std::make_shared<StreamRegistry>();
  made->services.push_back(MakeClientService(edge, queries));
  made->services.push_back(MakeQueryService(queries));
  made->services.push_back(MakeClusterService(queries));
  made->services.push_back(MakeWorkerService(edge, queries, made->streams));
  made->services.push_back(MakeFeedbackService(edge, made->streams));
  return made;
}

}  // namespace lts

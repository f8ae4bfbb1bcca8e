// The gRPC services of a JobTracker. Thin: each decodes nothing itself, but hands messages to Edge
// or Queries and answers when they do. They live until the server has stopped.
#pragma once

#include <memory>
#include <vector>

#include "common/metrics.h"
#include "jobtracker/edge.h"
#include "jobtracker/queries.h"

namespace grpc {
class Service;
}

namespace lts {

// Open streams, so that they can be ended before the server stops.
class StreamRegistry;

struct Services {
  ~Services();
  // Ends every open stream in an orderly way.
  void CloseStreams();
  std::vector<grpc::Service*> all() const;

  std::shared_ptr<StreamRegistry> streams;
  std::vector<std::unique_ptr<grpc::Service>> services;
};

std::unique_ptr<grpc::Service> MakeClientService(Edge& edge, Queries& queries);
std::unique_ptr<grpc::Service> MakeQueryService(Queries& queries);
std::unique_ptr<grpc::Service> MakeClusterService(Queries& queries);
std::unique_ptr<grpc::Service> MakeWorkerService(Edge& edge, Queries& queries,
                                                 std::shared_ptr<StreamRegistry> streams);
std::unique_ptr<grpc::Service> MakeFeedbackService(Edge& edge,
                                                   std::shared_ptr<StreamRegistry> streams);

std::unique_ptr<Services> MakeServices(Edge& edge, Queries& queries);

}  // namespace lts

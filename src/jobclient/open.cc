// Apart from job_client.cc: only this file needs gRPC.
#include "jobclient/client_core.h"
#include "rpc/channel.h"

namespace lts {

Result<std::unique_ptr<JobClient>> JobClient::Open(JobClientOptions options) {
  return jobclient::Access::Open(std::move(options), rpc::MakeGrpcChannel);
}

}  // namespace lts

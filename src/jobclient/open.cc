// Apart from job_client.cc: only this file needs gRPC.
#include "jobclient/client_core.h"
#include "jobclient/client_options.h"
#include "rpc/channel.h"

namespace lts {

Result<std::unique_ptr<JobClient>> JobClient::Open(JobClientOptions options) {
  auto credentials = jobclient::CredentialsFrom(options);
  if (!credentials.ok()) return credentials.status();
  return jobclient::Access::Open(std::move(options), rpc::GrpcChannels(*std::move(credentials)));
}

}  // namespace lts

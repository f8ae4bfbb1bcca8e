// What a server asks of those that connect: TLS, and of each call the cluster's token.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "common/metrics.h"
#include "rpc/security.h"

namespace lts::rpc {

// Credentials for a listening port: TLS when there is a certificate, in the clear otherwise; with a
// token, the one place where it is checked. gRPC asks before it looks for the handler, whatever the
// kind of the call, so a call without the token reaches none: it fails with UNAUTHENTICATED, is
// counted in `denied` (may be null; must outlive the server) and told in the log, at most one line
// in ten seconds. `verify_clients`: with a CA, whether clients must show a certificate of it.
//
// Null when gRPC does not take certificate, key or CA.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const Credentials& credentials,
                                                               bool verify_clients,
                                                               Counter* denied);

}  // namespace lts::rpc

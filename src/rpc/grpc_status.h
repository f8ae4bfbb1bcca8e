// gRPC's status to ours and back. For the failure of the call itself; what a peer answers travels
// in the response.
#pragma once

#include <grpcpp/support/status.h>

#include <string_view>

#include "lts/status.h"

namespace lts::rpc {

// One of kOk, kUnavailable, kDeadlineExceeded, kPermissionDenied, kInternal; `what` goes before the
// message.
Status FromGrpc(const grpc::Status& status, std::string_view what);

grpc::Status ToGrpc(const Status& status);

}  // namespace lts::rpc

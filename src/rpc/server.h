// A gRPC server on one address.
//
// Owns gRPC's server; borrows the services, which must outlive it. Start and Stop from one thread,
// which is none of gRPC's own. Stop order of a daemon: end the streams and answer what waits, Stop,
// then destroy the services.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/metrics.h"
#include "lts/status.h"
#include "rpc/security.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace lts::rpc {

struct ServerOptions {
  // host:port; an address of this host or "localhost" (which is 127.0.0.1), IPv6 in brackets. Port
  // 0: any free one.
  std::string listen = "127.0.0.1:0";
  // With a token: every call must carry it. With a certificate: TLS alone is spoken.
  Credentials credentials{};
  // With a CA: clients must show a certificate of it.
  bool verify_clients = true;
  // Other than loopback addresses may be listened on without TLS; never without a token.
  bool insecure = false;
  // Counts calls that were denied for their token; may be null, must outlive the server.
  Counter* denied = nullptr;
};

// Whether a server may be started so. kInvalidArgument: not an address; or one that other hosts
// reach, and no token, or neither TLS nor `insecure`: the message holds the lines that are missing.
Status CheckServerOptions(const ServerOptions& options);

class Server {
 public:
  // `services`: at least one, all of the callback kind.
  // Errors: kInvalidArgument (as CheckServerOptions; no service; certificate and key that cannot be
  // used), kUnavailable (the address cannot be bound; the message names it and says why).
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                               const std::vector<grpc::Service*>& services);
  // Stops at once.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // "127.0.0.1:35001", with the port that is really listened on.
  const std::string& address() const { return address_; }
  int port() const { return port_; }

  // Takes no new call or connection, lets calls under way end for up to `grace_ms` milliseconds,
  // then cancels them. Afterwards no handler and no callback of a stream or reply runs. Open
  // streams count as calls under way: close them first. The second time it does nothing.
  void Stop(std::int64_t grace_ms);

 private:
  Server(std::unique_ptr<grpc::Server> server, std::string address, int port);

  std::unique_ptr<grpc::Server> server_;
  const std::string address_;
  const int port_;
};

}  // namespace lts::rpc

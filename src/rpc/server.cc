#include "rpc/server.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>

#include "rpc/limits.h"

namespace lts::rpc {
namespace {

struct Endpoint {
  std::string host;  // numeric, without brackets
  int port = 0;
  bool v6 = false;

  std::string ToString(int with_port) const {
    return v6 ? fmt::format("[{}]:{}", host, with_port) : fmt::format("{}:{}", host, with_port);
  }
};

Result<Endpoint> ParseLoopback(const std::string& listen) {
  const auto malformed = [&listen] {
    return Status::InvalidArgument(
        fmt::format("listen address \"{}\": expected host:port with a port from 0 to 65535, like "
                    "127.0.0.1:35001",
                    listen));
  };
  const std::size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0) return malformed();
  Endpoint endpoint;
  const std::string_view port = std::string_view(listen).substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
  if (error != std::errc() || end != port.data() + port.size() || endpoint.port < 0 ||
      endpoint.port > 65535) {
    return malformed();
  }
  endpoint.host = listen.substr(0, colon);
  if (endpoint.host == "localhost") endpoint.host = "127.0.0.1";

  bool loopback = false;
  if (endpoint.host.front() == '[') {
    if (endpoint.host.size() < 3 || endpoint.host.back() != ']') return malformed();
    endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
    endpoint.v6 = true;
    in6_addr address;
    if (inet_pton(AF_INET6, endpoint.host.c_str(), &address) != 1) return malformed();
    loopback = IN6_IS_ADDR_LOOPBACK(&address);
  } else {
    in_addr address;
    // A name other than localhost may mean any interface: treated like a foreign address.
    loopback = inet_pton(AF_INET, endpoint.host.c_str(), &address) == 1 &&
               (ntohl(address.s_addr) >> 24) == 127;
  }
  if (!loopback) {
    return Status::PermissionDenied(fmt::format(
        "listen address {} is not a loopback address. To listen there takes\n"
        "  security.token_file=<file with the cluster's token>\n"
        "and either TLS or the line\n"
        "  security.insecure=true\n"
        "but this build has neither token check nor TLS yet. Listen on 127.0.0.1:{} instead.",
        listen, endpoint.port));
  }
  return endpoint;
}

// gRPC tells only that it could not bind. The same attempt on a socket of our own knows the reason.
std::string BindError(const Endpoint& endpoint) {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  if (endpoint.v6) {
    auto* const address = reinterpret_cast<sockaddr_in6*>(&storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(static_cast<std::uint16_t>(endpoint.port));
    inet_pton(AF_INET6, endpoint.host.c_str(), &address->sin6_addr);
    size = sizeof(*address);
  } else {
    auto* const address = reinterpret_cast<sockaddr_in*>(&storage);
    address->sin_family = AF_INET;
    address->sin_port = htons(static_cast<std::uint16_t>(endpoint.port));
    inet_pton(AF_INET, endpoint.host.c_str(), &address->sin_addr);
    size = sizeof(*address);
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::strerror(errno);
  const int on = 1;
  std::string reason = "gRPC gave no reason";
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) != 0 || listen(fd, 1) != 0) {
    reason = std::strerror(errno);
  }
  close(fd);
  return reason;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              const std::vector<grpc::Service*>& services) {
  Result<Endpoint> endpoint = ParseLoopback(options.listen);
  if (!endpoint.ok()) return endpoint.status();

  if (services.empty()) return Status::InvalidArgument("a server needs at least one service");

  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(endpoint->ToString(endpoint->port), grpc::InsecureServerCredentials(),
                           &port);
  // With SO_REUSEPORT a second daemon on the same address would start and take half of the
  // connections.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Our own clients ask this often; without the permission gRPC would hang up on them.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kKeepaliveIntervalMs / 2);
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.SetMaxSendMessageSize(kMessageBytesMax);
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port <= 0) {
    return Status::Unavailable(fmt::format(
        "cannot listen on {}: {}", endpoint->ToString(endpoint->port), BindError(*endpoint)));
  }
  return std::unique_ptr<Server>(new Server(std::move(server), endpoint->ToString(port), port));
}

Server::Server(std::unique_ptr<grpc::Server> server, std::string address, int port)
    : server_(std::move(server)), address_(std::move(address)), port_(port) {}

Server::~Server() { Stop(0); }

void Server::Stop(std::int64_t grace_ms) {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_ms));
  server_.reset();
}

}  // namespace lts::rpc

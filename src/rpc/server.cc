#include "rpc/server.h"

#include <arpa/inet.h>
#include <fmt/core.h>
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
#include "rpc/server_credentials.h"

namespace lts::rpc {
namespace {

struct Endpoint {
  std::string host;  // numeric, without brackets
  int port = 0;
  bool v6 = false;
  bool loopback = false;

  std::string ToString(int with_port) const {
    return v6 ? fmt::format("[{}]:{}", host, with_port) : fmt::format("{}:{}", host, with_port);
  }
};

Result<Endpoint> ParseEndpoint(const std::string& listen) {
  const auto malformed = [&listen] {
    return Status::InvalidArgument(fmt::format(
        "listen address \"{}\": expected an address of this host, not a name, and a port "
        "from 0 to 65535, like 127.0.0.1:35001",
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

  if (endpoint.host.front() == '[') {
    if (endpoint.host.size() < 3 || endpoint.host.back() != ']') return malformed();
    endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
    endpoint.v6 = true;
    in6_addr address;
    if (inet_pton(AF_INET6, endpoint.host.c_str(), &address) != 1) return malformed();
    endpoint.loopback = IN6_IS_ADDR_LOOPBACK(&address);
  } else {
    in_addr address;
    if (inet_pton(AF_INET, endpoint.host.c_str(), &address) != 1) return malformed();
    endpoint.loopback = (ntohl(address.s_addr) >> 24) == 127;
  }
  return endpoint;
}

// Who listens where other hosts connect says so in so many words.
Status CheckReach(const Endpoint& endpoint, const ServerOptions& options) {
  const bool token = !options.credentials.token.empty();
  const bool guarded = !options.credentials.cert.empty() || options.insecure;
  if (endpoint.loopback || (token && guarded)) return Status::Ok();
  std::string text = fmt::format(
      "listening on {} lets other hosts connect, which takes the token of the cluster and TLS. The "
      "configuration lacks:\n",
      options.listen);
  if (!token) text += "  security.token_file=lts.token\n";
  if (!guarded)
    text += "  security.tls.cert=conf/tls/server.pem\n  security.tls.key=conf/tls/server.key\n";
  if (!guarded)
    text += "or, to go without TLS, instead of the last two:\n  security.insecure=true\n";
  if (!token) {
    text +=
        "The file lies beside the configuration and holds the token, the same one for JobTrackers, "
        "TaskTrackers and clients; (umask 077; openssl rand -hex 32 >lts.token) makes one.\n";
  }
  return Status::InvalidArgument(text + "With bindIp=127.0.0.1 this host alone can connect.");
}

// gRPC tells only that it could not bind. The same attempt on a socket of our own knows the reason;
// empty when that works.
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
  std::string reason;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) != 0 || listen(fd, 1) != 0) {
    reason = std::strerror(errno);
  }
  close(fd);
  return reason;
}

}  // namespace

Status CheckServerOptions(const ServerOptions& options) {
  const Result<Endpoint> endpoint = ParseEndpoint(options.listen);
  if (!endpoint.ok()) return endpoint.status();
  return CheckReach(*endpoint, options);
}

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              const std::vector<grpc::Service*>& services) {
  Result<Endpoint> endpoint = ParseEndpoint(options.listen);
  if (!endpoint.ok()) return endpoint.status();
  LTS_RETURN_IF_ERROR(CheckReach(*endpoint, options));

  if (services.empty()) return Status::InvalidArgument("a server needs at least one service");

  const auto credentials =
      MakeServerCredentials(options.credentials, options.verify_clients, options.denied);
  if (credentials == nullptr) {
    return Status::InvalidArgument(
        "the files of security.tls.ca, security.tls.cert and security.tls.key cannot be used");
  }
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(endpoint->ToString(endpoint->port), credentials, &port);
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
    const std::string reason = BindError(*endpoint);
    if (reason.empty() && !options.credentials.cert.empty()) {
      return Status::InvalidArgument(
          "the certificate of security.tls.cert and the key of security.tls.key cannot be used "
          "together");
    }
    return Status::Unavailable(fmt::format("cannot listen on {}: {}",
                                           endpoint->ToString(endpoint->port),
                                           reason.empty() ? "gRPC gave no reason" : reason));
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

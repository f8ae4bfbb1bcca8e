#include "jobtracker/reach.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "common/host_name.h"

namespace lts {
namespace {

constexpr std::size_t kHostBytesMax = 253;

bool IsV6(const std::string& host) {
  in6_addr address;
  return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

// Without brackets.
bool IsWildcard(const std::string& host) {
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return v4.s_addr == INADDR_ANY;
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

bool IsName(std::string_view host) {
  return !host.empty() && host.size() <= kHostBytesMax &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' ||
                  c == '_';
         });
}

std::string Unbracketed(const std::string& host) {
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return brackets ? host.substr(1, host.size() - 2) : host;
}

// As it stands before ":port".
std::string Bracketed(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// "host", "host:port"; IPv6 in brackets, or bare when there is no port.
Status ParseAdvertised(const std::string& text, Reach* reach) {
  const auto malformed = [&text](std::string_view why) {
    return Status::InvalidArgument(
        fmt::format("advertise.address={}: {}; expected the host, or host:port, under which the "
                    "others reach this JobTracker",
                    text, why));
  };
  std::string host = text;
  const std::size_t colon = text.rfind(':');
  const bool has_port =
      colon != std::string::npos && (text.find(':') == colon || text[colon - 1] == ']');
  if (has_port) {
    const Result<std::int64_t> port = ParseInteger(std::string_view(text).substr(colon + 1));
    if (!port.ok() || *port < 1 || *port > 65535) return malformed("no port from 1 to 65535");
    reach->advertise_port = static_cast<int>(*port);
    host = text.substr(0, colon);
  }
  host = Unbracketed(host);
  if (!IsName(host) && !IsV6(host)) return malformed("no name and no address of a host");
  if (IsWildcard(host)) return malformed("nobody can dial that");
  reach->advertise_host = Bracketed(host);
  return Status::Ok();
}

}  // namespace

Result<Reach> ReachFrom(const Options& options, const std::string& home, bool cluster) {
  Reach reach;
  const std::string bind_ip = Unbracketed(options.String("bindIp"));
  reach.server.listen = fmt::format("{}:{}", Bracketed(bind_ip), options.Int("listenPort"));
  const rpc::SecuritySettings settings = rpc::SecuritySettingsFrom(options, home);
  auto shown = rpc::LoadCredentials(settings, rpc::Side::kServer);
  if (!shown.ok()) return shown.status();
  reach.server.credentials = *std::move(shown);
  reach.server.verify_clients = options.Bool("security.tls.verify.client");
  reach.server.insecure = options.Bool("security.insecure");
  LTS_RETURN_IF_ERROR(CheckServerOptions(reach.server).WithContext("bindIp=" + bind_ip));

  rpc::Credentials peers;
  if (cluster) {
    auto loaded = rpc::LoadCredentials(settings, rpc::Side::kClient);
    if (!loaded.ok()) return loaded.status().WithContext("the JobTrackers call each other");
    peers = *std::move(loaded);
  }
  reach.peers = rpc::GrpcChannels(std::move(peers));

  if (const std::string& advertise = options.String("advertise.address"); !advertise.empty()) {
    LTS_RETURN_IF_ERROR(ParseAdvertised(advertise, &reach));
  } else if (IsWildcard(bind_ip)) {
    reach.advertise_host = FullHostName();
  }
  return reach;
}

std::string AdvertisedAddress(const Reach& reach, const std::string& address, int port) {
  if (reach.advertise_host.empty()) return address;
  return fmt::format("{}:{}", reach.advertise_host,
                     reach.advertise_port != 0 ? reach.advertise_port : port);
}

}  // namespace lts

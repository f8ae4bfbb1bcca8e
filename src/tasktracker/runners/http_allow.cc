#include "tasktracker/runners/http_allow.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace lts::runners {
namespace {

constexpr int kSchemePort = 0;
constexpr int kAnyPort = -1;

int DefaultPort(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() > end.size() && text.substr(text.size() - end.size()) == end;
}

// Bytes that a server may take for a dot or a slash, which would lead out of the path.
bool HidesSteps(std::string_view path) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\') return true;
    if (path[i] != '%' || i + 2 >= path.size()) continue;
    const char high = path[i + 1];
    const char low = static_cast<char>(path[i + 2] | 0x20);
    if ((high == '2' && (low == 'e' || low == 'f')) || (high == '5' && low == 'c')) return true;
  }
  return false;
}

bool IsBelow(std::string_view path, std::string_view top) {
  if (HidesSteps(path)) return false;
  if (path.substr(0, top.size()) != top) return false;
  return path.size() == top.size() || top.back() == '/' || path[top.size()] == '/';
}

struct Network {
  std::uint32_t address;
  int bits;
};
// RFC 6890 and its successors.
constexpr std::array<Network, 12> kPrivate = {{
    {0x00000000, 8},   // 0.0.0.0: this host
    {0x0a000000, 8},   // 10
    {0x64400000, 10},  // 100.64
    {0x7f000000, 8},   // 127: loopback
    {0xa9fe0000, 16},  // 169.254: link-local
    {0xac100000, 12},  // 172.16
    {0xc0000000, 24},  // 192.0.0
    {0xc0a80000, 16},  // 192.168
    {0xc6120000, 15},  // 198.18: measurements
    {0xc0586300, 24},  // 192.88.99: relays
    {0xe0000000, 4},   // multicast
    {0xf0000000, 4},   // reserved, broadcast
}};

bool IsPrivateV4(std::uint32_t address) {
  return std::any_of(kPrivate.begin(), kPrivate.end(), [address](const Network& network) {
    return (address ^ network.address) >> (32 - network.bits) == 0;
  });
}

std::uint32_t V4At(const std::array<std::uint8_t, 16>& bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at]) << 24 |
         static_cast<std::uint32_t>(bytes[at + 1]) << 16 |
         static_cast<std::uint32_t>(bytes[at + 2]) << 8 | bytes[at + 3];
}

bool IsPrivateV6(const std::array<std::uint8_t, 16>& bytes) {
  const auto begins = [&](std::initializer_list<std::uint8_t> with) {
    return std::equal(with.begin(), with.end(), bytes.begin());
  };
  const bool zeros = std::all_of(bytes.begin(), bytes.begin() + 10, [](auto b) { return b == 0; });
  if (zeros && bytes[10] == 0xff && bytes[11] == 0xff) return IsPrivateV4(V4At(bytes, 12));
  if (zeros) return true;  // ::, ::1 and the addresses that embed IPv4 in the old way
  if (begins({0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return IsPrivateV4(V4At(bytes, 12));
  if (begins({0x20, 0x02})) return IsPrivateV4(V4At(bytes, 2));
  if (begins({0x20, 0x01, 0x00, 0x00})) return true;  // Teredo
  return (bytes[0] & 0xe0) != 0x20;                   // 2000::/3 is the public network
}

}  // namespace

bool IsPrivateAddress(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    return IsPrivateV4(ntohl(in.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &address, sizeof in);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
    return IsPrivateV6(bytes);
  }
  return true;
}

Result<HttpAllow::Entry> HttpAllow::ParseEntry(const std::string& text) {
  Entry entry;
  if (text.find("://") != std::string::npos) {
    const Result<HttpUrl> url = ParseHttpUrl(text);
    if (!url.ok()) return url.status();
    if (!url->query.empty()) return Status::InvalidArgument("a query is not taken");
    if (HidesSteps(url->path)) return Status::InvalidArgument("an escaped dot or slash in a path");
    entry.scheme = url->scheme;
    entry.host = url->host;
    entry.port = url->port_given ? url->port : kSchemePort;
    if (url->path != "/") entry.path = url->path;
    return entry;
  }
  std::string host = text;
  const std::size_t colon = text.rfind(':');
  if (colon != std::string::npos && text.find(']', colon) == std::string::npos) {
    host = text.substr(0, colon);
    const std::string port = text.substr(colon + 1);
    if (port == "*") {
      entry.port = kAnyPort;
    } else {
      const char* const end = port.data() + port.size();
      const auto [rest, error] = std::from_chars(port.data(), end, entry.port);
      if (error != std::errc() || rest != end || entry.port < 1 || entry.port > 65535) {
        return Status::InvalidArgument("expected a port of 1 … 65535, or *");
      }
    }
  }
  if (host == "*") return entry;
  const bool below = host.rfind("*.", 0) == 0;
  const Result<HttpUrl> url = ParseHttpUrl("http://" + (below ? host.substr(2) : host) + "/");
  if (!url.ok()) return url.status();
  if (url->path != "/" || url->port_given || url->host.find('*') != std::string::npos) {
    return Status::InvalidArgument("expected a URL, HOST, HOST:PORT or *.DOMAIN");
  }
  entry.host = (below ? "." : "") + url->host;
  return entry;
}

Result<HttpAllow> HttpAllow::Parse(const std::vector<std::string>& entries, bool allow_private) {
  HttpAllow allow;
  allow.allow_private_ = allow_private;
  for (const std::string& text : entries) {
    Result<Entry> entry = ParseEntry(text);
    if (!entry.ok()) {
      return Status::InvalidArgument("option runner.http.allow: '" + text +
                                     "': " + entry.status().message());
    }
    allow.entries_.push_back(*std::move(entry));
  }
  return allow;
}

bool HttpAllow::MatchesHost(const Entry& entry, const HttpUrl& url) {
  if (!entry.scheme.empty() && entry.scheme != url.scheme) return false;
  const int port = entry.port == kSchemePort ? DefaultPort(url.scheme) : entry.port;
  if (port != kAnyPort && port != url.port) return false;
  if (entry.host.empty()) return true;
  return entry.host[0] == '.' ? EndsWith(url.host, entry.host) : entry.host == url.host;
}

Status HttpAllow::Check(const HttpUrl& url) const {
  const bool allowed = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return MatchesHost(entry, url) && (entry.path.empty() || IsBelow(url.path, entry.path));
  });
  if (allowed) return Status::Ok();
  return Status::PermissionDenied(url.scheme + "://" + url.host + ":" + std::to_string(url.port) +
                                  url.path + " is not allowed here (runner.http.allow)");
}

bool HttpAllow::MayConnect(const HttpUrl& url, const sockaddr& address) const {
  if (allow_private_ || !IsPrivateAddress(address)) return true;
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.port > 0 && !entry.host.empty() && entry.host[0] != '.' && MatchesHost(entry, url);
  });
}

}  // namespace lts::runners

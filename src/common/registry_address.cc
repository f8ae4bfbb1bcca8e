#include "common/registry_address.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/options.h"

namespace lts {
namespace {

constexpr std::string_view kJobTracker = "jobtracker://";
constexpr std::string_view kZookeeper = "zookeeper://";
constexpr std::string_view kZookeeperPort = ":2181";
constexpr std::size_t kHostsMax = 64;

std::string_view Trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// What is wrong with "host:port"; empty: nothing.
std::string Complaint(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return "no port";
  const std::string_view host = address.substr(0, colon);
  if (host.empty()) return "no host";
  const bool bracketed = host.front() == '[' && host.back() == ']' && host.size() > 2;
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return "an IPv6 host stands in brackets, as in [::1]:35001";
  }
  if (!bracketed && host.find_first_of(" \t/?#@[]") != std::string_view::npos) {
    return "not a host name";
  }
  const std::string_view port_text = address.substr(colon + 1);
  const Result<std::int64_t> port = ParseInteger(port_text);
  if (!port.ok() || *port < 1 || *port > 65535 || port_text.front() == '+') {
    return fmt::format("port \"{}\" is not in 1 … 65535", port_text);
  }
  return {};
}

bool StartsWith(std::string_view text, std::string_view beginning) {
  return text.substr(0, beginning.size()) == beginning;
}

// Whether "host" or "[::1]" lacks the port altogether.
bool LacksPort(std::string_view address) {
  if (address.empty()) return false;
  if (address.front() == '[') return address.back() == ']';
  return address.find(':') == std::string_view::npos;
}

// The addresses in `rest`, the part of `text` after its scheme; `default_port` may be empty.
Result<std::vector<std::string>> ParseHosts(std::string_view text, std::string_view rest,
                                            std::string_view default_port) {
  std::vector<std::string> addresses;
  while (true) {
    const std::size_t comma = rest.find(',');
    std::string address(Trimmed(rest.substr(0, comma)));
    if (LacksPort(address)) address += default_port;
    if (const std::string complaint = Complaint(address); !complaint.empty()) {
      return Status::InvalidArgument(
          fmt::format("registry address \"{}\": \"{}\": {}", text, address, complaint));
    }
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
      addresses.push_back(std::move(address));
    }
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (addresses.size() > kHostsMax) {
    return Status::InvalidArgument(fmt::format("registry address: {} hosts, at most {} are allowed",
                                               addresses.size(), kHostsMax));
  }
  return addresses;
}

// What is wrong with "/a/b", by the rules for ZooKeeper's paths; empty: nothing.
std::string ChrootComplaint(std::string_view chroot) {
  while (!chroot.empty()) {
    chroot.remove_prefix(1);
    const std::string_view name = chroot.substr(0, chroot.find('/'));
    if (name.empty()) return "an empty name";
    if (name == "." || name == "..") return "relative names";
    for (const char c : name) {
      if (c == ',') return "the path follows the last host, so it holds no ','";
      if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return "a blank";
    }
    chroot.remove_prefix(name.size());
  }
  return {};
}

Result<ZookeeperAddress> ParseZookeeper(std::string_view text) {
  std::string_view rest = Trimmed(text.substr(kZookeeper.size()));
  ZookeeperAddress address;
  if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    std::string_view chroot = rest.substr(slash);
    rest = rest.substr(0, slash);
    if (chroot.back() == '/') chroot.remove_suffix(1);
    if (const std::string complaint = ChrootComplaint(chroot); !complaint.empty()) {
      return Status::InvalidArgument(
          fmt::format("registry address \"{}\": path \"{}\": {}", text, chroot, complaint));
    }
    address.chroot = chroot;
  }
  Result<std::vector<std::string>> hosts = ParseHosts(text, rest, kZookeeperPort);
  if (!hosts.ok()) return hosts.status();
  address.hosts = *std::move(hosts);
  return address;
}

}  // namespace

Result<RegistryAddress> ParseAnyRegistryAddress(std::string_view text) {
  if (StartsWith(text, kZookeeper)) {
    Result<ZookeeperAddress> address = ParseZookeeper(text);
    if (!address.ok()) return address.status();
    return RegistryAddress(*std::move(address));
  }
  if (!StartsWith(text, kJobTracker)) {
    return Status::InvalidArgument(
        fmt::format("registry address \"{}\": expected jobtracker://host:port[,host:port…] or "
                    "zookeeper://host:port[,host:port…][/path]",
                    text));
  }
  std::string_view rest = text.substr(kJobTracker.size());
  if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  Result<std::vector<std::string>> hosts = ParseHosts(text, rest, {});
  if (!hosts.ok()) return hosts.status();
  return RegistryAddress(JobTrackerAddresses{*std::move(hosts)});
}

}  // namespace lts

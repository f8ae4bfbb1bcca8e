#include "common/registry_address.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/options.h"

namespace lts {
namespace {

constexpr std::string_view kScheme = "jobtracker://";
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

}  // namespace

Result<std::vector<std::string>> ParseRegistryAddress(std::string_view text) {
  if (text.substr(0, 12) == "zookeeper://") {
    return Status::FailedPrecondition(fmt::format(
        "registry address \"{}\": this build has no ZooKeeper registry; use jobtracker://host:port",
        text));
  }
  if (text.substr(0, kScheme.size()) != kScheme) {
    return Status::InvalidArgument(
        fmt::format("registry address \"{}\": expected jobtracker://host:port[,host:port…]", text));
  }
  std::string_view rest = text.substr(kScheme.size());
  if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  std::vector<std::string> addresses;
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string address(Trimmed(rest.substr(0, comma)));
    if (const std::string complaint = Complaint(address); !complaint.empty()) {
      return Status::InvalidArgument(
          fmt::format("registry address \"{}\": \"{}\": {}", text, address, complaint));
    }
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
      addresses.push_back(address);
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

}  // namespace lts

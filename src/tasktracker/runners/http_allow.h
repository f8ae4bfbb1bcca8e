// What the runner `http` may ask: the options runner.http.allow and runner.http.allow.private.
// Pure.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "lts/status.h"
#include "tasktracker/runners/http_url.h"

namespace lts::runners {

class HttpAllow {
 public:
  // An entry is a URL (https://api.example.com/hooks/: that path and what is below) or a host
  // (api.example.com, *.example.com for the hosts below it, * for all). A host may be followed by
  // :PORT, or by :* for every port; else it has the port of the scheme. kInvalidArgument naming the
  // entry.
  static Result<HttpAllow> Parse(const std::vector<std::string>& entries, bool allow_private);

  // kPermissionDenied, naming the option, when no entry is about it.
  Status Check(const HttpUrl& url) const;

  // Whether a connection for `url` may go to `address`: any that is not private, and that too when
  // an entry names host and port of the URL, or private ones are allowed.
  bool MayConnect(const HttpUrl& url, const sockaddr& address) const;

 private:
  struct Entry {
    std::string scheme;  // empty: both
    std::string host;    // "" every one; ".example.com" those that end so
    int port = 0;        // 0: the scheme's; -1: every one
    std::string path;    // empty: every one
  };
  static Result<Entry> ParseEntry(const std::string& text);
  static bool MatchesHost(const Entry& entry, const HttpUrl& url);

  std::vector<Entry> entries_;
  bool allow_private_ = false;
};

// Whether an address is anything but one of the public network: loopback, link-local, private,
// shared (100.64.0.0/10), multicast, reserved; also when it stands in an IPv6 address (mapped,
// NAT64, 6to4). Families other than IPv4 and IPv6 are.
bool IsPrivateAddress(const sockaddr& address);

}  // namespace lts::runners

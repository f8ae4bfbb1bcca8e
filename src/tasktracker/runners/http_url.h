// URLs as libcurl understands them, so that what is checked is what is asked for.
#pragma once

#include <string>

#include "lts/status.h"

namespace lts::runners {

struct HttpUrl {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case, an IPv6 address in brackets, other ways to write one resolved
  int port = 0;
  bool port_given = false;  // false: that of the scheme
  std::string path;         // begins with '/', without dot segments
  std::string query;        // without '?'
  std::string text;         // the whole of it, to be asked for
};

// kInvalidArgument, not showing the text, unless it is an absolute URL with scheme http or https
// and a host of ASCII characters, without user and zone. A fragment is dropped.
Result<HttpUrl> ParseHttpUrl(const std::string& text);

}  // namespace lts::runners

// The form of URL that the original's configuration has:
// jdbc:mysql://host[:port]/database[?name=value…].
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lts/status.h"

namespace lts::store::mysql {

struct JdbcUrl {
  std::string host;  // an IPv6 address without its brackets
  std::uint16_t port = 3306;
  std::string database;
  std::vector<std::string>
      ignored;             // names of parameters of the Java driver that mean nothing here
  bool wants_tls = false;  // useSSL=true, requireSSL=true, sslMode=REQUIRED and above

  std::string HostAndPort() const;
};

// kInvalidArgument names the setting and what is wrong; the text of the URL is repeated without
// what may be a password.
Result<JdbcUrl> ParseJdbcUrl(std::string_view url);

}  // namespace lts::store::mysql

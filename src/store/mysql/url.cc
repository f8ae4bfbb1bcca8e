#include "store/mysql/url.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <system_error>

namespace lts::store::mysql {
namespace {

constexpr std::string_view kForm = "jdbc:mysql://host:3306/database";

Status Bad(std::string_view what) {
  return Status::InvalidArgument(fmt::format("configs.jdbc.url {}; its form is {}", what, kForm));
}

// What may stand in the name of a database without quoting, so that no text of the configuration
// ever is part of a statement.
bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '$';
}

bool IsHostCharacter(char c) { return IsPlain(c) || c == '.' || c == ':'; }

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

std::string JdbcUrl::HostAndPort() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<JdbcUrl> ParseJdbcUrl(std::string_view url) {
  constexpr std::string_view kScheme = "jdbc:mysql://";
  constexpr std::string_view kSecondScheme = "jdbc:mariadb://";
  if (url.empty()) return Bad("is not set");
  if (url.substr(0, kScheme.size()) == kScheme) {
    url.remove_prefix(kScheme.size());
  } else if (url.substr(0, kSecondScheme.size()) == kSecondScheme) {
    url.remove_prefix(kSecondScheme.size());
  } else {
    return Bad("does not begin with jdbc:mysql://");
  }
  JdbcUrl result;

  const std::size_t question = url.find('?');
  std::string_view parameters =
      question == std::string_view::npos ? std::string_view() : url.substr(question + 1);
  url = url.substr(0, question);

  const std::size_t slash = url.find('/');
  if (slash == std::string_view::npos) return Bad("names no database");
  std::string_view authority = url.substr(0, slash);
  const std::string_view database = url.substr(slash + 1);
  if (authority.find('@') != std::string_view::npos) {
    return Bad("holds a user; set configs.jdbc.username and configs.jdbc.password");
  }
  if (authority.find(',') != std::string_view::npos) return Bad("names several servers");

  std::string_view port;
  if (!authority.empty() && authority.front() == '[') {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return Bad("has a '[' without ']'");
    result.host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority.front() != ':') return Bad("has no ':' before its port");
    port = authority.empty() ? authority : authority.substr(1);
  } else {
    const std::size_t colon = authority.find(':');
    result.host = authority.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : authority.substr(colon + 1);
    if (colon != std::string_view::npos && port.empty()) return Bad("has no port behind ':'");
  }
  if (result.host.empty()) return Bad("names no host");
  if (!std::all_of(result.host.begin(), result.host.end(), IsHostCharacter)) {
    return Bad(fmt::format("has the host '{}'", result.host));
  }
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), result.port);
    if (error != std::errc() || end != port.data() + port.size() || result.port == 0) {
      return Bad(fmt::format("has the port '{}'", port));
    }
  }
  if (database.empty()) return Bad("names no database");
  if (database.size() > 64 || !std::all_of(database.begin(), database.end(), IsPlain)) {
    return Bad(
        fmt::format("has the database '{}': letters, digits, _ - $ only, 64 at most", database));
  }
  result.database = database;

  while (!parameters.empty()) {
    const std::size_t end = parameters.find('&');
    const std::string_view parameter = parameters.substr(0, end);
    parameters = end == std::string_view::npos ? std::string_view() : parameters.substr(end + 1);
    if (parameter.empty()) continue;
    const std::size_t equals = parameter.find('=');
    const std::string name = Lower(parameter.substr(0, equals));
    const std::string value =
        equals == std::string_view::npos ? "" : Lower(parameter.substr(equals + 1));
    if (name == "user" || name == "password") {
      return Bad("holds a user or password; set configs.jdbc.username and configs.jdbc.password");
    }
    if (name == "usessl" || name == "requiressl" || name == "verifyservercertificate") {
      result.wants_tls = result.wants_tls || value == "true";
    } else if (name == "sslmode") {
      result.wants_tls =
          result.wants_tls || !(value == "disabled" || value == "disable" || value == "preferred");
    } else {
      result.ignored.emplace_back(parameter.substr(0, equals));
    }
  }
  return result;
}

}  // namespace lts::store::mysql

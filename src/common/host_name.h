// The name of this host.
#pragma once

#include <unistd.h>

#include <array>
#include <string>

namespace lts {

// Up to the first dot, as an identity needs it; "localhost" when the host has none.
inline std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  const std::string full(name.data());
  return full.substr(0, full.find('.'));
}

}  // namespace lts

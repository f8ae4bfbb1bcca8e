// The name of this host.
#pragma once

#include <unistd.h>

#include <array>
#include <string>

namespace lts {

// As it is set; "localhost" when the host has none.
inline std::string FullHostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

// Up to the first dot, as an identity needs it.
inline std::string HostName() {
  const std::string full = FullHostName();
  return full.substr(0, full.find('.'));
}

}  // namespace lts

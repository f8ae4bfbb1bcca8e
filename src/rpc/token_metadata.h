// How the token travels with each call; for both ends.
#pragma once

#include <string>
#include <string_view>

namespace lts::rpc {

inline constexpr char kTokenMetadataKey[] = "authorization";

inline std::string TokenMetadata(std::string_view token) {
  return std::string("Bearer ").append(token);
}

}  // namespace lts::rpc

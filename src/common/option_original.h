// What the original project's configuration files may contain and LTS has no option for.
#pragma once

#include <string_view>

namespace lts {

// Why a key of the original has no effect here, or empty when the original has no such key.
// `prefix` is set to the beginning shared by keys with the same reason ("druid."), or to the whole
// key: one notice is enough for all of them.
std::string_view OriginalKeyReason(std::string_view key, std::string_view* prefix);

// What to use instead, when the value names an engine of the original that is not supported (redis,
// MongoDB, …); empty when there is nothing to say.
std::string_view UnsupportedEngine(std::string_view key, std::string_view value);

}  // namespace lts

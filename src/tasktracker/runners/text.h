// Makes any bytes fit for messages and log lines: valid UTF-8 of bounded length. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lts::runners {

// `bytes` with every part that is not UTF-8 replaced by U+FFFD, one for each maximal ill-formed
// part (Unicode 15, section 3.9, "substitution of maximal subparts"). Valid text comes back
// unchanged.
std::string ValidUtf8(std::string_view bytes);

// The beginning of valid UTF-8 `text`, at most `bytes_max` bytes, no character cut in two. What was
// cut shows as "…" at the end, as far as there is room for it.
std::string FirstBytes(std::string text, std::size_t bytes_max);

// The end of `bytes` (not necessarily UTF-8), at most `bytes_max` bytes, as valid UTF-8. A
// character cut in two by the bound is left out rather than shown as U+FFFD.
std::string LastBytes(std::string_view bytes, std::size_t bytes_max);

}  // namespace lts::runners

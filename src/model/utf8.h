// UTF-8 as RFC 3629 has it: shortest forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace lts::model {

// Takes the first code point off `rest`; nothing when `rest` is empty or does not begin with one.
std::optional<char32_t> TakeCodePoint(std::string_view& rest);

// The number of code points, or nothing when `text` is not valid UTF-8.
std::optional<std::size_t> CountCodePoints(std::string_view text);

}  // namespace lts::model

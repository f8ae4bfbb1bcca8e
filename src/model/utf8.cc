#include "model/utf8.h"

namespace lts::model {

std::optional<char32_t> TakeCodePoint(std::string_view& rest) {
  if (rest.empty()) return std::nullopt;
  const auto lead = static_cast<unsigned char>(rest.front());
  std::size_t length = 0;
  char32_t code = 0;
  char32_t least = 0;  // a smaller value has a shorter form
  if (lead < 0x80) {
    length = 1, code = lead;
  } else if (lead >= 0xc0 && lead < 0xe0) {
    length = 2, code = lead & 0x1fU, least = 0x80;
  } else if (lead >= 0xe0 && lead < 0xf0) {
    length = 3, code = lead & 0x0fU, least = 0x800;
  } else if (lead >= 0xf0 && lead < 0xf8) {
    length = 4, code = lead & 0x07U, least = 0x10000;
  }
  if (length == 0 || rest.size() < length) return std::nullopt;
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(rest[i]);
    if ((byte & 0xc0U) != 0x80) return std::nullopt;
    code = (code << 6) | (byte & 0x3fU);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < least || surrogate || code > 0x10ffff) return std::nullopt;
  rest.remove_prefix(length);
  return code;
}

std::optional<std::size_t> CountCodePoints(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) {
    if (!TakeCodePoint(text)) return std::nullopt;
  }
  return count;
}

}  // namespace lts::model

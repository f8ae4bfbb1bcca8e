#include "tasktracker/runners/text.h"

#include <cstdint>

namespace lts::runners {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

struct Part {
  std::size_t size;  // >= 1
  bool valid;
};

// The character, or the maximal ill-formed part, at the start of `bytes` (not empty). After the
// lead byte only the second byte's range varies: it keeps out overlong forms, surrogates and what
// is above U+10FFFF.
Part NextPart(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return {1, true};
  std::size_t size = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, false};
  }
  for (std::size_t i = 1; i < size; ++i) {
    if (i >= bytes.size() || at(i) < low || at(i) > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {size, true};
}

}  // namespace

std::string ValidUtf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Part part = NextPart(bytes);
    text.append(part.valid ? bytes.substr(0, part.size) : kReplacement);
    bytes.remove_prefix(part.size);
  }
  return text;
}

std::string FirstBytes(std::string text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  const bool mark = bytes_max >= kEllipsis.size();
  std::size_t end = mark ? bytes_max - kEllipsis.size() : bytes_max;
  while (end > 0 && IsContinuation(text[end])) --end;
  text.resize(end);
  if (mark) text.append(kEllipsis);
  return text;
}

std::string LastBytes(std::string_view bytes, std::size_t bytes_max) {
  const auto without_cut_character = [](std::string_view tail) {
    // At most three continuation bytes can belong to a character that began before the bound.
    for (int i = 0; i < 3 && !tail.empty() && IsContinuation(tail.front()); ++i)
      tail.remove_prefix(1);
    return tail;
  };
  if (bytes.size() > bytes_max) {
    bytes = without_cut_character(bytes.substr(bytes.size() - bytes_max));
  }
  std::string text = ValidUtf8(bytes);
  if (text.size() > bytes_max) {  // U+FFFD is longer than what it stands for
    text =
        std::string(without_cut_character(std::string_view(text).substr(text.size() - bytes_max)));
  }
  return text;
}

}  // namespace lts::runners

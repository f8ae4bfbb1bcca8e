#include "store/mysql/sql_text.h"

#include <array>

namespace lts::store::mysql {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

// The two digits of every byte.
constexpr std::array<char, 512> kPairs = [] {
  std::array<char, 512> pairs{};
  for (std::size_t i = 0; i < 256; ++i) {
    pairs[2 * i] = kHex[i >> 4];
    pairs[2 * i + 1] = kHex[i & 15];
  }
  return pairs;
}();

}  // namespace

void SqlText::PutBytes(std::string_view bytes) {
  std::size_t at = text_.size();
  text_.resize(at + 2 * bytes.size() + 3);
  char* out = text_.data() + at;
  *out++ = 'X';
  *out++ = '\'';
  for (const char c : bytes) {
    const std::size_t pair = 2 * static_cast<std::size_t>(static_cast<unsigned char>(c));
    *out++ = kPairs[pair];
    *out++ = kPairs[pair + 1];
  }
  *out = '\'';
}

void SqlText::Put(const SqlName& name) {
  text_.push_back('`');
  for (const char c : name.name) {
    if (c == '`') text_.push_back('`');
    text_.push_back(c);
  }
  text_.push_back('`');
}

void SqlText::Put(const model::JobId& id) {
  std::array<char, 16> bytes{};
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(id.high >> (56 - 8 * i));
    bytes[8 + i] = static_cast<char>(id.low >> (56 - 8 * i));
  }
  PutBytes({bytes.data(), bytes.size()});
}

}  // namespace lts::store::mysql

#include "model/job_id.h"

namespace lts::model {

std::string JobId::ToString() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) text.push_back('-');
    const std::uint64_t word = i < 16 ? high : low;
    text.push_back(kHex[(word >> (60 - 4 * (i % 16))) & 0xf]);
  }
  return text;
}

std::optional<JobId> JobId::Parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  JobId id;
  int digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return std::nullopt;
      continue;
    }
    std::uint64_t value;
    if (c >= '0' && c <= '9')
      value = static_cast<std::uint64_t>(c - '0');
    else if (c >= 'a' && c <= 'f')
      value = static_cast<std::uint64_t>(c - 'a' + 10);
    else if (c >= 'A' && c <= 'F')
      value = static_cast<std::uint64_t>(c - 'A' + 10);
    else
      return std::nullopt;
    std::uint64_t& word = digits < 16 ? id.high : id.low;
    word = (word << 4) | value;
    ++digits;
  }
  return id;
}

}  // namespace lts::model

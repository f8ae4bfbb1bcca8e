#include "common/ids.h"

#include <array>

namespace lts {
namespace {

constexpr std::uint32_t kCounterMax = 0xfff;
// The counter starts in its lower half, so that a burst in one millisecond has room to count up.
constexpr std::uint32_t kCounterStartMask = 0x7ff;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string UuidGenerator::Next(TimeMs now) {
  if (now > last_ms_) {
    last_ms_ = now;
    counter_ = static_cast<std::uint32_t>(random_()) & kCounterStartMask;
  } else if (++counter_ > kCounterMax) {
    ++last_ms_;
    counter_ = static_cast<std::uint32_t>(random_()) & kCounterStartMask;
  }
  const std::uint64_t high = (static_cast<std::uint64_t>(last_ms_) << 16) | 0x7000U | counter_;
  const std::uint64_t low = (random_() & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;
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

std::optional<TimeMs> UuidV7Time(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  std::uint64_t time = 0;
  for (std::size_t i = 0, digit = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int value = HexValue(text[i]);
    if (value < 0) return std::nullopt;
    if (digit < 12) time = (time << 4) | static_cast<std::uint64_t>(value);
    ++digit;
  }
  if (text[14] != '7') return std::nullopt;
  const int variant = HexValue(text[19]);
  if ((variant & 0xc) != 0x8) return std::nullopt;
  return static_cast<TimeMs>(time);
}

std::string FittedName(std::string name) {
  constexpr std::size_t kBytesMax = 64;
  if (name.size() <= kBytesMax) return name;
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  std::size_t kept = kBytesMax - 9;
  while (kept > 0 && (static_cast<unsigned char>(name[kept]) & 0xc0U) == 0x80U) --kept;
  name.resize(kept);
  constexpr char kHex[] = "0123456789abcdef";
  name.push_back('-');
  for (int shift = 28; shift >= 0; shift -= 4) name.push_back(kHex[(hash >> shift) & 0xfU]);
  return name;
}

std::uint64_t RandomSeed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace lts

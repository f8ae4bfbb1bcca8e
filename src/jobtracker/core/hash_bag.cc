#include "jobtracker/core/hash_bag.h"

#include <utility>

namespace lts::core {
namespace {

constexpr std::size_t kSlotsLeast = 8;
constexpr std::size_t kKeptWhenEmpty = 1 << 20;  // bytes

// The piece is told by the upper 8 bits.
std::size_t PieceOf(std::uint32_t kept) { return kept >> 24; }

void Put(std::vector<std::uint32_t>& slots, std::size_t at, std::uint32_t kept) {
  while (slots[at] != 0) at = (at + 1) & (slots.size() - 1);
  slots[at] = kept;
}

}  // namespace

std::uint32_t HashBag::Kept(std::uint64_t hash) {
  const auto kept = static_cast<std::uint32_t>(hash >> 32);
  return kept == 0 ? 1 : kept;
}

// By the 24 bits that do not tell the piece.
std::size_t HashBag::Home(std::uint32_t kept, std::size_t slots) {
  return (static_cast<std::uint64_t>(kept & 0xffffffU) * slots) >> 24;
}

void HashBag::Grow(Piece& piece) {
  const std::size_t slots = piece.slots.empty() ? kSlotsLeast : piece.slots.size() * 2;
  bytes_ += (slots - piece.slots.size()) * sizeof(std::uint32_t);
  const std::vector<std::uint32_t> before =
      std::exchange(piece.slots, std::vector<std::uint32_t>(slots));
  for (const std::uint32_t kept : before) {
    if (kept != 0) Put(piece.slots, Home(kept, slots), kept);
  }
}

void HashBag::Add(std::uint64_t hash) {
  const std::uint32_t kept = Kept(hash);
  Piece& piece = pieces_[PieceOf(kept)];
  if ((piece.used + 1) * 4 > piece.slots.size() * 3) Grow(piece);
  Put(piece.slots, Home(kept, piece.slots.size()), kept);
  ++piece.used;
  ++size_;
}

bool HashBag::Contains(std::uint64_t hash) const {
  const std::uint32_t kept = Kept(hash);
  const std::vector<std::uint32_t>& slots = pieces_[PieceOf(kept)].slots;
  if (slots.empty()) return false;
  for (std::size_t at = Home(kept, slots.size()); slots[at] != 0;
       at = (at + 1) & (slots.size() - 1)) {
    if (slots[at] == kept) return true;
  }
  return false;
}

void HashBag::Remove(std::uint64_t hash) {
  const std::uint32_t kept = Kept(hash);
  Piece& piece = pieces_[PieceOf(kept)];
  std::vector<std::uint32_t>& slots = piece.slots;
  if (slots.empty()) return;
  const std::size_t mask = slots.size() - 1;
  std::size_t hole = Home(kept, slots.size());
  while (slots[hole] != kept) {
    if (slots[hole] == 0) return;
    hole = (hole + 1) & mask;
  }
  // What stands behind it moves up where it may: nothing is found behind an empty slot.
  for (std::size_t at = (hole + 1) & mask; slots[at] != 0; at = (at + 1) & mask) {
    const std::size_t home = Home(slots[at], slots.size());
    if (((at - home) & mask) >= ((at - hole) & mask)) slots[hole] = slots[at], hole = at;
  }
  slots[hole] = 0;
  --piece.used;
  if (--size_ == 0 && bytes_ > kKeptWhenEmpty) Clear();
}

void HashBag::Clear() {
  for (Piece& piece : pieces_) piece = {};
  size_ = bytes_ = 0;
}

}  // namespace lts::core

// Which of millions of hashes have been put in, in some six bytes each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lts::core {

// A bag of 64-bit hashes that keeps 32 bits of each: Contains() never misses one that is in it, and
// takes one in some hundreds (with ten million in it) for another. One that was added twice has to
// be removed twice. The hash must be spread over all its bits. Not thread-safe.
//
// It grows in 256 pieces, each by itself, so that no single call takes long.
class HashBag {
 public:
  void Add(std::uint64_t hash);
  // Only what is in it may be removed: something else with the same 32 bits would be.
  void Remove(std::uint64_t hash);
  bool Contains(std::uint64_t hash) const;
  void Clear();
  std::size_t size() const { return size_; }
  // What it takes in memory.
  std::size_t bytes() const { return bytes_; }

 private:
  // Open addressing; where an entry stands is given by its upper bits, 0 is none.
  struct Piece {
    std::vector<std::uint32_t> slots;  // a power of two, or none
    std::uint32_t used = 0;
  };
  static std::uint32_t Kept(std::uint64_t hash);
  static std::size_t Home(std::uint32_t kept, std::size_t slots);
  void Grow(Piece& piece);

  std::array<Piece, 256> pieces_;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace lts::core

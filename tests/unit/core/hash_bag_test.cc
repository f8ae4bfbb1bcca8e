#include "jobtracker/core/hash_bag.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace lts::core {
namespace {

TEST(HashBag, FindsAllThatIsInItThroughAnyOrderOfAddsAndRemoves) {
  std::mt19937_64 random(7);
  HashBag bag;
  // Few distinct values in the bits that are kept, so that many stand close together or twice.
  std::vector<std::uint64_t> in;
  const auto check = [&] {
    for (const std::uint64_t hash : in) ASSERT_TRUE(bag.Contains(hash));
    ASSERT_EQ(bag.size(), in.size());
  };
  for (int round = 0; round < 200; ++round) {
    const bool growing = round % 20 < 12;
    for (int i = 0; i < 500; ++i) {
      if (growing ? random() % 4 != 0 : random() % 4 == 0 || in.empty()) {
        const std::uint64_t hash = (random() % 16 << 56) + (random() % 300 << 32) + random() % 9;
        bag.Add(hash);
        in.push_back(hash);
      } else if (!in.empty()) {
        std::swap(in[random() % in.size()], in.back());
        bag.Remove(in.back());
        in.pop_back();
      }
    }
    check();
  }
  while (!in.empty()) {
    bag.Remove(in.back());
    in.pop_back();
  }
  check();
  for (std::uint64_t piece = 0; piece < 16; ++piece) {
    for (std::uint64_t value = 0; value < 300; ++value) {
      ASSERT_FALSE(bag.Contains((piece << 56) + (value << 32)));
    }
  }
}

TEST(HashBag, TakesFewForOthers) {
  std::mt19937_64 random(8);
  HashBag bag;
  for (int i = 0; i < 1'000'000; ++i) bag.Add(random());
  int wrong = 0;
  for (int i = 0; i < 1'000'000; ++i) wrong += bag.Contains(random()) ? 1 : 0;
  EXPECT_LT(wrong, 1'000);  // 233 of 2^32 / 1,000,000 are expected
  EXPECT_LE(bag.bytes(), 8'500'000U);
  bag.Clear();
  EXPECT_EQ(bag.size(), 0U);
  EXPECT_EQ(bag.bytes(), 0U);
}

TEST(HashBag, OneThatIsNotInItIsNotRemoved) {
  HashBag bag;
  bag.Remove(1ULL << 40);
  bag.Add(0);
  bag.Remove(5ULL << 32);
  EXPECT_TRUE(bag.Contains(0));
  bag.Remove(0);
  EXPECT_FALSE(bag.Contains(0));
}

}  // namespace
}  // namespace lts::core

#include "common/strand.h"

#include <gtest/gtest.h>

#include <future>
#include <vector>

namespace lts {
namespace {

TEST(ThreadStrand, RunsInOrderOfPosting) {
  ThreadStrand strand("test");
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) strand.Post([&order, i] { order.push_back(i); });
  strand.Drain();
  ASSERT_EQ(order.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(ThreadStrand, TimersFireInOrderOfDueTimeAndNeverEarly) {
  ThreadStrand strand("test");
  std::promise<void> done;
  std::vector<int> order;
  const auto start = std::chrono::steady_clock::now();
  strand.PostAfter(20'000, [&] {
    order.push_back(2);
    done.set_value();
  });
  strand.PostAfter(5'000, [&] { order.push_back(1); });
  done.get_future().wait();
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(ThreadStrand, ATaskMayPostAndStopDropsWhatWaits) {
  auto dropped = std::make_shared<int>(0);
  {
    ThreadStrand strand("test");
    std::promise<void> ran;
    strand.Post([&] { strand.Post([&] { ran.set_value(); }); });
    ran.get_future().wait();
    strand.PostAfter(3'600'000'000, [dropped] { ++*dropped; });
  }
  EXPECT_EQ(*dropped, 0);
  EXPECT_EQ(dropped.use_count(), 1);  // the dropped task was destroyed
}

}  // namespace
}  // namespace lts

#include "common/ids.h"

#include <gtest/gtest.h>

#include <set>

namespace lts {
namespace {

TEST(UuidGenerator, OrderedAndUniqueWithinOneMillisecond) {
  UuidGenerator uuids(7);
  std::string previous;
  std::set<std::string> seen;
  for (int i = 0; i < 10000; ++i) {
    std::string id = uuids.Next(1'700'000'000'000);
    EXPECT_LT(previous, id);
    EXPECT_TRUE(seen.insert(id).second);
    previous = std::move(id);
  }
}

TEST(UuidGenerator, TimeReadsBack) {
  UuidGenerator uuids(1);
  EXPECT_EQ(UuidV7Time(uuids.Next(1'700'000'000'123)), 1'700'000'000'123);
}

TEST(UuidGenerator, KeepsOrderWhenTheClockStepsBack) {
  UuidGenerator uuids(1);
  const std::string first = uuids.Next(2'000);
  EXPECT_LT(first, uuids.Next(1'000));
}

TEST(UuidV7Time, RefusesWhatIsNotAVersion7Uuid) {
  EXPECT_FALSE(UuidV7Time(""));
  EXPECT_FALSE(UuidV7Time("018bcfe5-687b-4abc-8def-0123456789ab"));  // version 4
  EXPECT_FALSE(UuidV7Time("018bcfe5-687b-7abc-cdef-0123456789ab"));  // other variant
  EXPECT_FALSE(UuidV7Time("018bcfe5x687b-7abc-8def-0123456789ab"));
  EXPECT_TRUE(UuidV7Time("018bcfe5-687b-7abc-8def-0123456789ab"));
}

}  // namespace
}  // namespace lts

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

TEST(FittedName, KeepsWhatFitsAndTellsTheRestApart) {
  const std::string fits(64, 'a');
  EXPECT_EQ(FittedName(fits), fits);
  const std::string one = FittedName(fits + "1");
  EXPECT_EQ(one.size(), 64U);
  EXPECT_EQ(one.substr(0, 56), std::string(55, 'a') + "-");
  EXPECT_NE(one, FittedName(fits + "2"));
  EXPECT_EQ(one, FittedName(fits + "1"));
  // No character is cut in two.
  std::string wide;
  for (int i = 0; i < 40; ++i) wide += "ü";
  EXPECT_EQ(FittedName(wide).substr(0, 54), wide.substr(0, 54));
  EXPECT_EQ(FittedName(wide)[54], '-');
}

}  // namespace
}  // namespace lts

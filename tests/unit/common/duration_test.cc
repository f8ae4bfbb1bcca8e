#include "common/duration.h"

#include <gtest/gtest.h>

namespace lts {
namespace {

TEST(Duration, ReadsUnits) {
  EXPECT_EQ(*ParseDuration("500ms"), 500);
  EXPECT_EQ(*ParseDuration("10s"), 10'000);
  EXPECT_EQ(*ParseDuration("3m"), 180'000);
  EXPECT_EQ(*ParseDuration("1min"), 60'000);
  EXPECT_EQ(*ParseDuration("2h"), 7'200'000);
  EXPECT_EQ(*ParseDuration("1d"), kDayMs);
  EXPECT_EQ(*ParseDuration("1h30m"), 5'400'000);
  EXPECT_EQ(*ParseDuration("1h2min3s"), 3'723'000);
  EXPECT_EQ(*ParseDuration("0s"), 0);
}

TEST(Duration, RefusesTheRest) {
  for (const char* text :
       {"", "5", "s", "-5s", "+5s", "5 s", "1.5s", "5sm", "5S", "1w", "30m1h", "1s1s", "1m1min",
        "99999999999999999999s", "9223372036854775807ms", "36501d", "5ss"}) {
    EXPECT_EQ(ParseDuration(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(Duration, ANumberAloneCountsWhatItsReaderSays) {
  EXPECT_EQ(*ParseDuration("12", 1), 12);
  EXPECT_EQ(*ParseDuration("12", 60'000), 720'000);
  EXPECT_EQ(*ParseDuration("-1", 1), -1);
  EXPECT_EQ(*ParseDuration("1h30m", 1), 5'400'000);
  for (const char* text : {"", "-", "99999999999999999999", "9223372036854775807"}) {
    EXPECT_FALSE(ParseDuration(text, 1'000).ok()) << text;
  }
}

TEST(Duration, ShortestFormReadsBack) {
  EXPECT_EQ(FormatDuration(0), "0s");
  EXPECT_EQ(FormatDuration(1500), "1500ms");
  EXPECT_EQ(FormatDuration(90'000), "90s");
  EXPECT_EQ(FormatDuration(3'600'000), "1h");
  EXPECT_EQ(FormatDuration(3 * kDayMs), "3d");
  for (const DurationMs ms : {1, 999, 61'000, 86'400'001}) {
    EXPECT_EQ(*ParseDuration(FormatDuration(ms)), ms);
  }
}

}  // namespace
}  // namespace lts

#include "model/retry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace lts::model {
namespace {

RetryPolicy Policy(RetryPolicy::Kind kind, DurationMs initial, DurationMs max) {
  RetryPolicy policy;
  policy.kind = kind;
  policy.initial_ms = initial;
  policy.max_ms = max;
  return policy;
}

TEST(RetryDelay, FixedStaysAndLinearGrowsToItsCap) {
  const auto fixed = Policy(RetryPolicy::Kind::kFixed, 500, 1);
  EXPECT_EQ(RetryDelayMs(fixed, 1, 7), 500);
  EXPECT_EQ(RetryDelayMs(fixed, 99, 7), 500);
  const auto linear = Policy(RetryPolicy::Kind::kLinear, 1000, 3500);
  EXPECT_EQ(RetryDelayMs(linear, 1, 7), 1000);
  EXPECT_EQ(RetryDelayMs(linear, 3, 7), 3000);
  EXPECT_EQ(RetryDelayMs(linear, 4, 7), 3500);
  EXPECT_EQ(RetryDelayMs(linear, std::numeric_limits<int>::max(), 7), 3500);
}

TEST(RetryDelay, ExponentialDoublesWithinTenPercentAndNeverAboveTheCap) {
  const auto policy = Policy(RetryPolicy::Kind::kExponential, 1000, 60'000);
  std::mt19937_64 random(1);
  DurationMs least = 1'000'000, most = 0;
  for (int i = 0; i < 2000; ++i) {
    const DurationMs third = RetryDelayMs(policy, 3, random());
    least = std::min(least, third);
    most = std::max(most, third);
    EXPECT_LE(RetryDelayMs(policy, 7, random()), 60'000);
    EXPECT_GE(RetryDelayMs(policy, 7, random()), 54'000);
    EXPECT_LE(RetryDelayMs(policy, std::numeric_limits<int>::max(), random()), 60'000);
  }
  EXPECT_GE(least, 3600);
  EXPECT_LT(least, 3650);
  EXPECT_LE(most, 4400);
  EXPECT_GT(most, 4350);
}

TEST(RetryDelay, SameBitsSameDelay) {
  const RetryPolicy policy;
  EXPECT_EQ(RetryDelayMs(policy, 2, 12345), RetryDelayMs(policy, 2, 12345));
  EXPECT_NE(RetryDelayMs(policy, 2, 12345), RetryDelayMs(policy, 2, 54321));
}

TEST(RetryDelay, IsAtLeastAMillisecondWhateverThePolicySays) {
  EXPECT_EQ(RetryDelayMs(Policy(RetryPolicy::Kind::kExponential, -5, -9), 0, 3), 1);
}

TEST(RetryPolicyText, ReadsBack) {
  for (const char* text : {"fixed:500ms", "linear:1s..10m", "exponential:1s..1m",
                           "exponential:30s..1h", "linear:1500ms..2d"}) {
    const auto policy = ParseRetryPolicy(text);
    ASSERT_TRUE(policy.ok()) << policy.status().ToString();
    EXPECT_EQ(ToString(*policy), text);
  }
  EXPECT_EQ(ToString(RetryPolicy()), "exponential:30s..1h");
}

TEST(RetryPolicyText, CapIsOneHourOrTheFirstDelayWhenNotGiven) {
  EXPECT_EQ(ParseRetryPolicy("linear:1s")->max_ms, 3'600'000);
  EXPECT_EQ(ParseRetryPolicy("exponential:2h")->max_ms, 7'200'000);
}

TEST(RetryPolicyText, RefusesTheRest) {
  for (const char* text : {"", "fixed", "fixed:", "fixed:1s..2s", "exponential:1m..1s", "linear:0s",
                           "linear:31d", "exponential:1s..40d", "random:1s", "fixed:1", "Fixed:1s",
                           "exponential:1s..", "exponential:1s...2s"}) {
    const auto policy = ParseRetryPolicy(text);
    ASSERT_FALSE(policy.ok()) << text;
    EXPECT_EQ(policy.status().code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace lts::model

#include "model/schedule.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace lts::model {
namespace {

constexpr TimeMs kNow = 1'700'000'000'250;  // a quarter of a second after a whole one
constexpr TimeMs kForever = std::numeric_limits<TimeMs>::max();
constexpr TimeMs kEver = std::numeric_limits<TimeMs>::min();

std::vector<TimeMs> Fires(const JobSpec& spec, TimeMs after, std::size_t count,
                          TimeMs accepted = kNow) {
  const auto fires = MakeFireTimes(spec, accepted, "UTC");
  EXPECT_TRUE(fires.ok()) << fires.status().ToString();
  std::vector<TimeMs> times;
  if (!fires.ok()) return times;
  for (auto next = (*fires)->Next(after); next && times.size() < count;
       next = (*fires)->Next(*next)) {
    times.push_back(*next);
  }
  return times;
}

JobSpec Repeat(DurationMs interval) {
  JobSpec spec;
  spec.repeat_count = -1;
  spec.repeat_interval_ms = interval;
  return spec;
}

JobSpec Cron(const std::string& text) {
  JobSpec spec;
  spec.cron = text;
  return spec;
}

using Times = std::vector<TimeMs>;

TEST(RepeatFireTimes, CountFromAcceptanceWithoutATriggerTime) {
  EXPECT_EQ(Fires(Repeat(1500), kNow - 1, 3), (Times{kNow, kNow + 1500, kNow + 3000}));
  EXPECT_EQ(Fires(Repeat(1500), kNow, 1), (Times{kNow + 1500}));
  EXPECT_EQ(Fires(Repeat(1500), kEver, 1), (Times{kNow}));
}

TEST(RepeatFireTimes, CountFromTheTriggerTimeUnlessItIsPast) {
  JobSpec spec = Repeat(1000);
  spec.trigger_time_ms = kNow + 70;
  EXPECT_EQ(Fires(spec, kNow - 1, 2), (Times{kNow + 70, kNow + 1070}));
  spec.trigger_time_ms = kNow - 70;
  EXPECT_EQ(Fires(spec, kNow - 1, 2), (Times{kNow, kNow + 1000}));
  spec.trigger_delay_ms = 40;  // wins
  EXPECT_EQ(Fires(spec, kNow - 1, 2), (Times{kNow + 40, kNow + 1040}));
}

TEST(RepeatFireTimes, StayOnTheGridAfterAPause) {
  EXPECT_EQ(Fires(Repeat(1000), kNow + 5999, 1), (Times{kNow + 6000}));
  EXPECT_EQ(Fires(Repeat(1000), kNow + 6000, 1), (Times{kNow + 7000}));
  EXPECT_EQ(Fires(Repeat(1000), kNow + 6001, 1), (Times{kNow + 7000}));
}

TEST(RepeatFireTimes, KeepBetweenStartAndEnd) {
  JobSpec spec = Repeat(1000);
  spec.start_time_ms = kNow + 1500;
  spec.end_time_ms = kNow + 4000;
  EXPECT_EQ(Fires(spec, kEver, 9), (Times{kNow + 2000, kNow + 3000, kNow + 4000}));
}

TEST(RepeatFireTimes, ExtremeTimesHaveNoNext) {
  EXPECT_EQ(Fires(Repeat(1000), kForever, 1), Times{});
  JobSpec spec = Repeat(7'000'000'000'000);
  EXPECT_EQ(Fires(spec, kNow, 1), Times{});
  spec.trigger_time_ms = kForever;
  EXPECT_EQ(Fires(spec, kEver, 1), Times{});
  spec.trigger_delay_ms = kForever;
  EXPECT_EQ(Fires(spec, kEver, 1), Times{});
}

TEST(CronFireTimes, AreLaterThanAcceptance) {
  EXPECT_EQ(Fires(Cron("* * * * * ?"), kEver, 2), (Times{1'700'000'001'000, 1'700'000'002'000}));
  EXPECT_EQ(Fires(Cron("* * * * * ?"), kEver, 1, 1'700'000'000'000), (Times{1'700'000'001'000}));
}

TEST(CronFireTimes, AskedWithMillisecondsComeStrictlyAfter) {
  EXPECT_EQ(Fires(Cron("* * * * * ?"), 1'700'000'004'999, 1), (Times{1'700'000'005'000}));
  EXPECT_EQ(Fires(Cron("* * * * * ?"), 1'700'000'005'000, 1), (Times{1'700'000'006'000}));
}

TEST(CronFireTimes, IncludeStartAndEnd) {
  JobSpec spec = Cron("0/10 * * * * ?");
  spec.start_time_ms = 1'700'000'020'000;
  spec.end_time_ms = 1'700'000'040'000;
  EXPECT_EQ(Fires(spec, kEver, 9),
            (Times{1'700'000'020'000, 1'700'000'030'000, 1'700'000'040'000}));
}

TEST(CronFireTimes, UseTheZoneOfTheScheduleBeforeTheDefault) {
  JobSpec spec = Cron("0 0 12 * * ?");
  EXPECT_EQ(Fires(spec, kNow, 1), (Times{1'700'049'600'000}));
  const auto tokyo = MakeFireTimes(spec, kNow, "Asia/Tokyo");
  ASSERT_TRUE(tokyo.ok());
  EXPECT_EQ((*tokyo)->Next(kNow), 1'700'017'200'000);
  spec.time_zone = "Asia/Kolkata";
  const auto kolkata = MakeFireTimes(spec, kNow, "Asia/Tokyo");
  ASSERT_TRUE(kolkata.ok());
  EXPECT_EQ((*kolkata)->Next(kNow), 1'700'029'800'000);
}

TEST(CronFireTimes, EveryCountsElapsedTimeFromAcceptanceOrStart) {
  EXPECT_EQ(Fires(Cron("@every 5s"), kEver, 2), (Times{kNow + 5000, kNow + 10'000}));
  EXPECT_EQ(Fires(Cron("@every 5s"), kNow + 7000, 1), (Times{kNow + 10'000}));
  JobSpec spec = Cron("@every 5s");
  spec.start_time_ms = kNow + 100;
  EXPECT_EQ(Fires(spec, kNow, 1), (Times{kNow + 5100}));
}

TEST(MakeFireTimes, NamesWhatIsWrong) {
  const auto bad_cron = MakeFireTimes(Cron("0 0 25 * * ?"), kNow, "UTC");
  ASSERT_FALSE(bad_cron.ok());
  EXPECT_EQ(bad_cron.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(bad_cron.status().message(),
            "cron \"0 0 25 * * ?\": position 5: hour 25 is not in 0-23");
  EXPECT_FALSE(MakeFireTimes(Cron("0 0 2 * * ?"), kNow, "Nowhere/Land").ok());
  EXPECT_FALSE(MakeFireTimes(JobSpec(), kNow, "UTC").ok());
}

}  // namespace
}  // namespace lts::model

// The clock of a cluster follows the store's, whatever becomes of single questions.
#include "jobtracker/store_clock.h"

#include <gtest/gtest.h>

#include "unit/tasktracker/manual_strand.h"

namespace lts {
namespace {

class Follows : public ::testing::Test {
 protected:
  Follows() : clock_(own_) {}

  // The store, whose clock is `ahead_ms` ahead, answers after that time; it looks at its clock when
  // that part of the time has passed.
  void Ask(DurationMs ahead_ms, DurationMs takes_ms, double part = 0.5) {
    const std::int64_t asked_us = own_.MonotonicUs();
    const TimeMs told =
        own_.WallMs() + ahead_ms + static_cast<TimeMs>(static_cast<double>(takes_ms) * part);
    Pass(takes_ms);
    clock_.Measured(told, asked_us, own_.MonotonicUs());
  }
  void Pass(DurationMs ms) { own_.Set(own_.MonotonicUs() + ms * 1000); }
  DurationMs Ahead() const { return clock_.WallMs() - own_.WallMs(); }

  testing::ManualClock own_;
  StoreClock clock_;
};

TEST_F(Follows, TheStoresClock) {
  Ask(5'000, 2);
  EXPECT_EQ(Ahead(), 5'000);
  Pass(1'000);
  Ask(5'010, 2);
  EXPECT_EQ(Ahead(), 5'010);
}

TEST_F(Follows, AnAnswerOfAFrozenStoreMovesNothing) {
  Ask(5'000, 2);
  Pass(1'000);
  Ask(5'000, 6'000, 1.0);  // it looked at its clock when it woke
  EXPECT_EQ(Ahead(), 5'000);
}

// The simulator begins there.
TEST_F(Follows, AQuestionAtTheBeginningOfTimeCounts) {
  own_.Set(0);
  Ask(5'000, 0);
  Pass(1'000);
  Ask(5'000, 6'000, 1.0);
  EXPECT_EQ(Ahead(), 5'000);
}

TEST_F(Follows, AStoreThatIsAlwaysSlow) {
  Ask(5'000, 800);
  EXPECT_EQ(Ahead(), 5'000);
  Pass(1'000);
  Ask(5'100, 800);
  EXPECT_EQ(Ahead(), 5'100);
}

TEST_F(Follows, AStoreThatHasBecomeSlowInTheLongRun) {
  Ask(5'000, 2);
  for (int i = 0; i < 600; ++i) {
    Pass(500);
    Ask(5'100, 500);
  }
  EXPECT_EQ(Ahead(), 5'100);
}

}  // namespace
}  // namespace lts

#include "jobtracker/end_waiters.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "unit/tasktracker/manual_strand.h"

namespace lts {
namespace {

using ::testing::ElementsAre;

class CountingStrand final : public Strand {
 public:
  explicit CountingStrand(Strand& inner) : inner_(inner) {}
  void Post(Task task) override { inner_.Post(std::move(task)); }
  void PostAfter(std::int64_t delay_us, Task task) override {
    ++timers;
    inner_.PostAfter(delay_us, std::move(task));
  }
  int timers = 0;

 private:
  Strand& inner_;
};

class EndWaitersTest : public ::testing::Test {
 protected:
  static model::JobId Id(std::uint64_t n) { return {1, n}; }
  static store::HistoryRow End(std::uint64_t n) {
    store::HistoryRow row;
    row.key.id = Id(n);
    return row;
  }
  void Add(std::uint64_t n, DurationMs timeout_ms) {
    waiters.Add(strand, Id(n), timeout_ms, [this, n](const Result<store::HistoryRow>& end) {
      told.push_back(std::to_string(n) + (end.ok() ? " ended" : " " + end.status().message()));
    });
  }

  testing::ManualClock clock;
  testing::ManualStrand manual{clock};
  CountingStrand strand{manual};
  int over = 0;
  EndWaiters waiters{clock, [this](const model::JobId&) { ++over; }};
  std::vector<std::string> told;
};

TEST_F(EndWaitersTest, WaitsThatAreAnsweredLeaveNoTimersBehind) {
  for (std::uint64_t n = 1; n <= 1'000; ++n) {
    Add(n, 60'000);
    waiters.Ended(End(n));
  }
  EXPECT_EQ(told.size(), 1'000U);
  EXPECT_EQ(over, 1'000);
  EXPECT_EQ(strand.timers, 1);
  manual.Advance(120'000);
  EXPECT_EQ(strand.timers, 1);
  EXPECT_EQ(told.size(), 1'000U);
}

TEST_F(EndWaitersTest, EachEndsAtItsOwnDeadline) {
  Add(1, 3'000);
  Add(2, 1'000);
  Add(3, 2'000);
  Add(2, 4'000);
  manual.Advance(990);
  EXPECT_TRUE(told.empty());
  manual.Advance(20);
  EXPECT_THAT(told, ElementsAre("2 not ended yet"));
  manual.Advance(1'000);
  EXPECT_THAT(told, ElementsAre("2 not ended yet", "3 not ended yet"));
  waiters.Ended(End(2));
  EXPECT_EQ(told.back(), "2 ended");
  manual.Advance(10'000);
  EXPECT_THAT(told,
              ElementsAre("2 not ended yet", "3 not ended yet", "2 ended", "1 not ended yet"));
  EXPECT_EQ(over, 4);
}

TEST_F(EndWaitersTest, AllWhoWaitForOneJobAreTold) {
  Add(1, 1'000);
  Add(1, 2'000);
  Add(2, 1'000);
  waiters.Ended(End(1));
  EXPECT_THAT(told, ElementsAre("1 ended", "1 ended"));
  waiters.Fail(Status::Unavailable("lost"));
  EXPECT_THAT(told, ElementsAre("1 ended", "1 ended", "2 lost"));
  manual.Advance(5'000);
  EXPECT_EQ(told.size(), 3U);
}

}  // namespace
}  // namespace lts

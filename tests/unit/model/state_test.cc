#include "model/state.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/job.h"
#include "model/partition.h"

namespace lts::model {
namespace {

constexpr int kStates = static_cast<int>(JobState::kYielded) + 1;
constexpr int kJobEvents = static_cast<int>(JobEvent::kResume) + 1;

using S = JobState;
using E = JobEvent;

TEST(JobStates, FollowTheTable) {
  const std::map<std::pair<S, E>, S> table = {
      {{S::kWaiting, E::kDispatch}, S::kRunning},    {{S::kWaiting, E::kCancel}, S::kCancelled},
      {{S::kWaiting, E::kExpire}, S::kExpired},      {{S::kWaiting, E::kReplace}, S::kReplaced},
      {{S::kWaiting, E::kYield}, S::kYielded},       {{S::kWaiting, E::kSuspend}, S::kSuspended},
      {{S::kWaiting, E::kResume}, S::kWaiting},      {{S::kRunning, E::kSucceed}, S::kSucceeded},
      {{S::kRunning, E::kFail}, S::kFailed},         {{S::kRunning, E::kRetry}, S::kWaiting},
      {{S::kRunning, E::kLost}, S::kWaiting},        {{S::kRunning, E::kHandBack}, S::kWaiting},
      {{S::kRunning, E::kExhaust}, S::kDead},        {{S::kRunning, E::kCancel}, S::kCancelled},
      {{S::kRunning, E::kSuspend}, S::kRunning},     {{S::kRunning, E::kResume}, S::kRunning},
      {{S::kRunning, E::kExpire}, S::kExpired},      {{S::kSuspended, E::kResume}, S::kWaiting},
      {{S::kSuspended, E::kSuspend}, S::kSuspended}, {{S::kSuspended, E::kCancel}, S::kCancelled},
      {{S::kSuspended, E::kExpire}, S::kExpired},    {{S::kSuspended, E::kReplace}, S::kReplaced},
  };
  for (int s = 0; s < kStates; ++s) {
    for (int e = 0; e < kJobEvents; ++e) {
      const auto state = static_cast<S>(s);
      const auto event = static_cast<E>(e);
      const auto found = table.find({state, event});
      const auto wanted = found == table.end() ? std::nullopt : std::optional(found->second);
      EXPECT_EQ(NextState(state, event), wanted) << Name(state) << " " << Name(event);
    }
  }
}

TEST(ScheduleStates, FollowTheTable) {
  using SE = ScheduleEvent;
  const std::map<std::pair<S, SE>, S> table = {
      {{S::kActive, SE::kSuspend}, S::kSuspended}, {{S::kActive, SE::kResume}, S::kActive},
      {{S::kActive, SE::kFinish}, S::kEnded},      {{S::kActive, SE::kCancel}, S::kEnded},
      {{S::kActive, SE::kReplace}, S::kEnded},     {{S::kSuspended, SE::kSuspend}, S::kSuspended},
      {{S::kSuspended, SE::kResume}, S::kActive},  {{S::kSuspended, SE::kCancel}, S::kEnded},
      {{S::kSuspended, SE::kReplace}, S::kEnded},
  };
  for (int s = 0; s < kStates; ++s) {
    for (int e = 0; e <= static_cast<int>(SE::kReplace); ++e) {
      const auto state = static_cast<S>(s);
      const auto event = static_cast<SE>(e);
      const auto found = table.find({state, event});
      const auto wanted = found == table.end() ? std::nullopt : std::optional(found->second);
      EXPECT_EQ(NextScheduleState(state, event), wanted) << Name(state) << " " << e;
    }
  }
}

TEST(JobStates, NothingLeadsOutOfAnEnd) {
  int ends = 0;
  for (int s = 0; s < kStates; ++s) {
    const auto state = static_cast<S>(s);
    if (!IsEnd(state)) continue;
    ++ends;
    for (int e = 0; e < kJobEvents; ++e) EXPECT_FALSE(NextState(state, static_cast<E>(e)));
    for (int e = 0; e <= static_cast<int>(ScheduleEvent::kReplace); ++e) {
      EXPECT_FALSE(NextScheduleState(state, static_cast<ScheduleEvent>(e)));
    }
  }
  EXPECT_EQ(ends, 9);
}

TEST(Names, AreUniqueAndReadBack) {
  std::set<std::string_view> names;
  for (int s = 0; s < kStates; ++s) {
    const auto state = static_cast<S>(s);
    EXPECT_TRUE(names.insert(Name(state)).second);
    EXPECT_EQ(JobStateFromName(Name(state)), state);
  }
  EXPECT_EQ(JobStateFromName("waiting"), std::nullopt);
  for (const Outcome outcome :
       {Outcome::kExecuteSuccess, Outcome::kExecuteFailed, Outcome::kExecuteLater,
        Outcome::kExecuteException, Outcome::kTimedOut, Outcome::kLost, Outcome::kKilled,
        Outcome::kStale}) {
    EXPECT_EQ(OutcomeFromName(Name(outcome)), outcome);
  }
  EXPECT_EQ(OutcomeFromName(Name(Outcome::kNone)), std::nullopt);
  EXPECT_EQ(Name(JobState::kYielded), "RETRY_YIELDED");
  EXPECT_EQ(Name(JobType::kTriggerTime), "TRIGGER_TIME");
  EXPECT_EQ(Name(Action::kExecuteLater), "EXECUTE_LATER");
  EXPECT_EQ(Name(Outcome::kTimedOut), "TIMED_OUT");
  EXPECT_EQ(ToString(Token{7, 42}), "7-42");
}

// The function decides where durable rows lie: these values must never change.
TEST(PartitionOf, IsXxh64OfTheGroup) {
  EXPECT_EQ(PartitionOf("", "", 1, 1U << 31), 0xef46db3751d8e999ULL % (1U << 31));
  EXPECT_EQ(PartitionOf("a", "", 1, 1U << 31), 0xd24ec4f1a98c6e5bULL % (1U << 31));
  EXPECT_EQ(PartitionOf("abc", "", 1, 16), 0x44bc2cf5ad770999ULL % 16);
}

TEST(PartitionOf, TaskIdCountsOnlyWithSpread) {
  std::set<std::uint32_t> one, four;
  for (int i = 0; i < 200; ++i) {
    const std::string task = "task-" + std::to_string(i);
    one.insert(PartitionOf("group", task, 1, 16));
    four.insert(PartitionOf("group", task, 4, 16));
  }
  EXPECT_EQ(one.size(), 1U);
  EXPECT_EQ(four.size(), 4U);
  EXPECT_EQ(PartitionOf("group", "x", 0, 0), 0U);
}

TEST(PartitionOf, SpreadsGroupsEvenly) {
  std::vector<int> counts(16);
  for (int i = 0; i < 16'000; ++i) ++counts[PartitionOf("group-" + std::to_string(i), "", 1, 16)];
  for (const int count : counts) {
    EXPECT_GT(count, 850);
    EXPECT_LT(count, 1150);
  }
}

}  // namespace
}  // namespace lts::model

// A store whose file writes fail, one after the other.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "failstore/fail_store.h"
#include "unit/failstore/support.h"

namespace lts {

enum class Fault { kHalfAppended, kAppendRefused, kSyncFailed };

// Lets `width` appends or syncs from the n-th after Arm() on fail as on a full disk.
struct FaultPlan {
  void Arm(Fault what, int nth, int how_many) {
    fault = what;
    width = how_many;
    count = 1 - nth;
    hit = false;
  }
  void Disarm() { width = 0; }
  bool Now(bool is_sync) {
    if (is_sync != (fault == Fault::kSyncFailed)) return false;
    const int now = count.fetch_add(1);
    if (now < 0 || now >= width) return false;
    hit = true;
    return true;
  }
  std::atomic<Fault> fault{Fault::kHalfAppended};
  std::atomic<int> width{0};
  std::atomic<int> count{0};
  std::atomic<bool> hit{false};
};

// Opens a store in a folder on files that fail as the plan says.
using OpenFaulty =
    std::function<Result<std::unique_ptr<FailStore>>(const std::string& folder, FaultPlan* plan)>;

// Runs a script of calls with the fault in it, and checks that what was answered Ok is there, what
// was refused is not, and the store goes on. Tells whether the fault was met.
inline bool RunWithFault(const std::string& engine, const OpenFaulty& open, Fault fault, int nth,
                         int width) {
  const TempFolder temp;
  FaultPlan plan;
  auto opened = open(temp / "s", &plan);
  EXPECT_TRUE(opened.ok()) << opened.status().ToString();
  if (!opened.ok()) return false;
  FailStore& store = **opened;
  std::vector<std::string> waiting;
  std::size_t parked = 0;
  std::size_t unsure = 0;  // Acks and Parks that were refused: they may have happened
  int refused = 0;
  plan.Arm(fault, nth, width);
  for (int i = 0; i < 12; ++i) {
    const std::string b = std::to_string(i);
    const bool two = i % 3 == 2;
    const Status put = two ? store.PutAll(FailKind::kSubmit, {{b, b + "x"}, {b, b + "y"}})
                           : store.Put(FailKind::kSubmit, b, b + "x");
    if (put.ok()) {
      waiting.push_back(b + "x");
      if (two) waiting.push_back(b + "y");
    } else {
      EXPECT_EQ(put.code(), StatusCode::kResourceExhausted) << put.ToString();
      EXPECT_THAT(put.message(), ::testing::HasSubstr(temp / "s"));
      ++refused;
    }
    EXPECT_EQ(store.Contains(FailKind::kSubmit, b), put.ok());
    if (i % 4 != 3) continue;
    const auto first = store.Peek(FailKind::kSubmit, 1);
    if (!first.ok() || first->empty()) continue;
    const FailRecord& record = first->front();
    const Status moved = i == 7 ? store.Park(record.id, "no") : store.Ack({record.id});
    if (!moved.ok()) {
      ++unsure;
      continue;
    }
    const auto it = std::find(waiting.begin(), waiting.end(), record.bytes);
    EXPECT_NE(it, waiting.end()) << record.bytes;
    waiting.erase(waiting.begin(), it + 1);
    if (i == 7) ++parked;
  }
  EXPECT_LE(refused, plan.hit ? width : 0);
  plan.Disarm();
  const Status last = store.Put(FailKind::kSubmit, "last", "last");
  EXPECT_TRUE(last.ok()) << last.ToString();
  waiting.push_back("last");
  const auto check = [&](FailStore& in) {
    const std::vector<std::string> there = Waiting(in, FailKind::kSubmit);
    EXPECT_LE(there.size(), waiting.size());
    EXPECT_LE(waiting.size(), there.size() + unsure);
    EXPECT_TRUE(std::equal(there.rbegin(), there.rend(), waiting.rbegin()))
        << ::testing::PrintToString(there) << " is no tail of "
        << ::testing::PrintToString(waiting);
    const auto aside = in.ListParked(10);
    EXPECT_TRUE(aside.ok()) << aside.status().ToString();
    if (!aside.ok()) return;
    EXPECT_GE(aside->size(), parked);
    EXPECT_EQ(in.Usage().count, static_cast<std::int64_t>(there.size() + aside->size()));
    EXPECT_EQ(in.Usage().parked, static_cast<std::int64_t>(aside->size()));
  };
  check(store);
  const bool hit = plan.hit;
  EXPECT_TRUE(store.Close().ok());
  const auto again = OpenFailStore(engine, temp / "s", {});
  EXPECT_TRUE(again.ok()) << again.status().ToString();
  if (again.ok()) check(**again);
  return hit;
}

// The n-th write to a file fails, for n = 1, 2, … until the script runs through untouched; alone,
// and with some more behind it, which the attempt to open again meets too.
inline void FailEveryFileWriteOnce(const std::string& engine, const OpenFaulty& open) {
  for (const Fault fault : {Fault::kHalfAppended, Fault::kAppendRefused, Fault::kSyncFailed}) {
    for (const int width : {1, 2, 3, 6}) {
      bool hit = true;
      for (int nth = 1; hit && !::testing::Test::HasFailure(); ++nth) {
        SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + " at " +
                     std::to_string(nth) + " width " + std::to_string(width));
        ASSERT_LT(nth, 200);
        hit = RunWithFault(engine, open, fault, nth, width);
      }
    }
  }
}

}  // namespace lts

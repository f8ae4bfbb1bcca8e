#include <gmock/gmock.h>

#include <set>

#include "world.h"

namespace lts {
namespace {

class EdgeFeedback : public ShellTest {
 protected:
  // Ended jobs of "shop", `count` of each partition.
  void End(int count) {
    for (std::uint32_t partition = 0; partition < kPartitions; ++partition) {
      const std::string group = GroupIn(partition);
      for (int i = 0; i < count; ++i) {
        v1::SubmitItem item = Job(group, "t" + std::to_string(i));
        item.mutable_job()->set_need_feedback(true);
        Accept(std::move(item));
      }
      const auto worker = Connect(group, count);
      SucceedAll(*worker);
      worker->connection->Closed();
    }
  }
  static std::set<std::string> IdsOf(const std::vector<v1::FeedbackItem>& items) {
    std::set<std::string> ids;
    for (const v1::FeedbackItem& item : items) ids.insert(item.job_id());
    return ids;
  }
};

TEST_F(EdgeFeedback, TheWindowOfAStreamHoldsForAllPartitionsTogether) {
  Start();
  End(10);
  const auto listener = Listen("shop", 6);
  EXPECT_EQ(listener->Items().size(), 6U);
  // Whatever is acknowledged, never more than the window is open, and everything comes.
  for (std::size_t acknowledged = 0; acknowledged < listener->Items().size(); ++acknowledged) {
    ASSERT_LE(listener->Items().size() - acknowledged, 6U);
    Acknowledge(*listener, listener->Items()[acknowledged]);
  }
  EXPECT_EQ(listener->Items().size(), 20U);
  EXPECT_EQ(IdsOf(listener->Items()).size(), 20U);
}

TEST_F(EdgeFeedback, AWindowSmallerThanThePartitionsHoldsToo) {
  Start();
  End(2);
  const auto listener = Listen("shop", 1);
  ASSERT_EQ(listener->Items().size(), 1U);
  for (std::size_t i = 0; i < listener->Items().size(); ++i) {
    ASSERT_EQ(listener->Items().size(), i + 1);
    Acknowledge(*listener, listener->Items()[i]);
  }
  EXPECT_EQ(IdsOf(listener->Items()).size(), 4U);
}

TEST_F(EdgeFeedback, OnePartitionMayUseTheWholeWindow) {
  Start();
  const std::string group = GroupIn(1);
  for (int i = 0; i < 8; ++i) {
    v1::SubmitItem item = Job(group, "t" + std::to_string(i));
    item.mutable_job()->set_need_feedback(true);
    Accept(std::move(item));
  }
  SucceedAll(*Connect(group, 8));
  EXPECT_EQ(Listen("shop", 8)->Items().size(), 8U);
}

TEST_F(EdgeFeedback, WhatWasHeldBackIsOfferedToTheNextStream) {
  Start();
  End(3);
  const auto first = Listen("shop", 2);
  EXPECT_EQ(first->Items().size(), 2U);
  first->connection->Closed();
  EXPECT_EQ(IdsOf(Listen("shop", 100)->Items()).size(), 6U);
}

TEST_F(EdgeFeedback, AnAcknowledgementOfWhatWasNotSentChangesNothing) {
  Start();
  End(1);
  const auto listener = Listen("shop", 1);
  v1::FeedbackItem unsent = listener->Items().at(0);
  unsent.set_attempt(7);
  Acknowledge(*listener, unsent);
  EXPECT_EQ(listener->Items().size(), 1U);
}

}  // namespace
}  // namespace lts

#include "jobtracker/assignment.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace lts {
namespace {

std::map<std::string, int> Counts(const Assignment& assignment) {
  std::map<std::string, int> counts;
  for (const std::string& owner : assignment.owners) ++counts[owner];
  return counts;
}

int Moved(const Assignment& before, const Assignment& after) {
  int moved = 0;
  for (std::size_t i = 0; i < before.owners.size(); ++i) {
    moved += before.owners[i] != after.owners[i] ? 1 : 0;
  }
  return moved;
}

TEST(Assign, GivesEverythingToTheOnlyOne) {
  const Assignment a = Assign({}, {"a"}, 16);
  EXPECT_EQ(Counts(a), (std::map<std::string, int>{{"a", 16}}));
}

TEST(Assign, StaysAsItIsWithNobodyThere) {
  const Assignment before{7, {"a", "b", "", "a"}};
  EXPECT_EQ(Assign(before, {}, 4), before);
}

TEST(Assign, ANewcomerTakesItsShareAndNothingElseMoves) {
  const Assignment one = Assign({}, {"a"}, 16);
  const Assignment two = Assign(one, {"a", "b"}, 16);
  EXPECT_EQ(Counts(two), (std::map<std::string, int>{{"a", 8}, {"b", 8}}));
  EXPECT_EQ(Moved(one, two), 8);
  const Assignment three = Assign(two, {"a", "b", "c"}, 16);
  EXPECT_EQ(Moved(two, three), 5);
  EXPECT_EQ(Counts(three)["c"], 5);
}

TEST(Assign, OnlyWhatTheOneThatLeftHadMoves) {
  const Assignment three = Assign({}, {"a", "b", "c"}, 16);
  const Assignment two = Assign(three, {"a", "c"}, 16);
  EXPECT_EQ(Moved(three, two), Counts(three).at("b"));
  EXPECT_EQ(Counts(two), (std::map<std::string, int>{{"a", 8}, {"c", 8}}));
}

TEST(Assign, AMoreJobTrackersThanPartitionsLeaveSomeIdle) {
  const Assignment a = Assign({}, {"a", "b", "c"}, 2);
  EXPECT_EQ(Counts(a), (std::map<std::string, int>{{"a", 1}, {"b", 1}}));
}

TEST(Assign, IsBalancedStickyAndTheSameInAnyOrderOfNames) {
  std::mt19937_64 random(7);
  Assignment current;
  for (int round = 0; round < 2'000; ++round) {
    std::vector<std::string> eligible;
    for (char name = 'a'; name <= 'f'; ++name) {
      if (random() % 2 == 0) eligible.emplace_back(1, name);
    }
    const Assignment next = Assign(current, eligible, 16);
    std::shuffle(eligible.begin(), eligible.end(), random);
    ASSERT_EQ(Assign(current, eligible, 16), next);
    ASSERT_EQ(Assign(next, eligible, 16), next) << "a second look moves nothing";
    if (!eligible.empty()) {
      auto counts = Counts(next);
      ASSERT_FALSE(counts.contains(""));
      int least = 16;
      int most = 0;
      for (const std::string& name : eligible) {
        least = std::min(least, counts[name]);
        most = std::max(most, counts[name]);
      }
      ASSERT_LE(most - least, 1);
    }
    current = next;
  }
}

TEST(Assign, ExchangesABusyPartitionForAQuietOneWhenOneHasFarMoreToDo) {
  const Assignment even{1, {"a", "a", "b", "b"}};
  const Assignment next = Assign(even, {"a", "b"}, 4, {{0, 500}, {1, 400}, {2, 10}, {3, 50}});
  EXPECT_EQ(Counts(next), (std::map<std::string, int>{{"a", 2}, {"b", 2}}));
  EXPECT_EQ(next.owners[0] == "a", next.owners[1] == "b") << "one of the busy ones each";
  EXPECT_EQ(Moved(even, next), 2);
  EXPECT_EQ(Assign(next, {"a", "b"}, 4, {{0, 500}, {1, 400}, {2, 10}, {3, 50}}), next);
}

TEST(Assign, MovesNothingForTheSakeOfLittle) {
  const Assignment even{1, {"a", "a", "b", "b"}};
  // One busy partition is busy wherever it is.
  EXPECT_EQ(Assign(even, {"a", "b"}, 4, {{0, 5'000}}), even);
  EXPECT_EQ(Assign(even, {"a", "b"}, 4, {{0, 500}, {1, 100}, {2, 450}}), even);
  EXPECT_EQ(Assign(even, {"a", "b"}, 4, {{0, 40}, {1, 40}}), even) << "nobody has much to do";
}

TEST(AssignmentRecord, IsReadAsItWasWritten) {
  const Assignment a{42, {"a", "", "Größe:35001"}};
  const auto read = DecodeAssignment(EncodeAssignment(a));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, a);
  EXPECT_TRUE(DecodeAssignment(EncodeAssignment({})).value().owners.empty());
  for (const std::string& bad : {std::string(), std::string("a\nb\n"), EncodeAssignment(a) + "c"}) {
    EXPECT_EQ(DecodeAssignment(bad).status().code(), StatusCode::kDataLoss) << bad;
  }
}

}  // namespace
}  // namespace lts

#include "registry/election.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lts::registry {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Candidate At(std::int64_t sequence, const std::string& identity, TimeMs started = 1,
             const std::string& incarnation = "i", std::uint64_t generation = 1) {
  return {identity, started, incarnation, generation, sequence};
}

std::vector<std::int64_t> Sequences(const std::vector<Candidate>& candidates) {
  std::vector<std::int64_t> sequences;
  for (const Candidate& candidate : candidates) sequences.push_back(candidate.sequence);
  return sequences;
}

Node Of(const std::string& identity, const std::string& address = "") {
  Node node;
  node.identity = identity;
  node.address = address;
  return node;
}

std::vector<std::string> Ids(const std::vector<Node>& nodes) {
  std::vector<std::string> ids;
  for (const Node& node : nodes) ids.push_back(node.identity);
  return ids;
}

TEST(Election, IsByOrderOfRegistration) {
  EXPECT_THAT(Sequences(Standing({At(12, "a"), At(3, "b"), At(7, "c")})), ElementsAre(3, 7, 12));
  EXPECT_THAT(Standing({}), IsEmpty());
}

TEST(Election, ALaterSessionOfTheSameProcessCounts) {
  EXPECT_THAT(Sequences(Standing({At(1, "a", 1, "i", 1), At(2, "b"), At(5, "a", 1, "i", 2)})),
              ElementsAre(2, 5));
}

TEST(Election, TheProcessThatWasStartedLaterCountsEvenIfItRegisteredFirst) {
  EXPECT_THAT(Sequences(Standing({At(1, "a", 20, "new"), At(9, "a", 10, "old", 8), At(4, "b")})),
              ElementsAre(1, 4));
  // Started in the same millisecond: one of them, everywhere the same one.
  EXPECT_TRUE(Supersedes(At(1, "a", 10, "y"), At(2, "a", 10, "x")));
  EXPECT_FALSE(Supersedes(At(2, "a", 10, "x"), At(1, "a", 10, "y")));
  EXPECT_FALSE(Supersedes(At(2, "a", 99), At(1, "b")));
}

TEST(NodesDiff, TellsDifferencesOnly) {
  NodesDiff diff;
  auto update = diff.Next({});
  ASSERT_TRUE(update.has_value());
  EXPECT_THAT(update->nodes, IsEmpty());
  EXPECT_FALSE(diff.Next({}).has_value());

  update = diff.Next({Of("a"), Of("b")});
  EXPECT_THAT(Ids(update->added), ElementsAre("a", "b"));
  update = diff.Next({Of("b", "h:1"), Of("c")});
  EXPECT_THAT(Ids(update->removed), ElementsAre("a"));
  EXPECT_THAT(Ids(update->changed), ElementsAre("b"));
  EXPECT_THAT(Ids(update->added), ElementsAre("c"));
  // The order alone.
  update = diff.Next({Of("c"), Of("b", "h:1")});
  ASSERT_TRUE(update.has_value());
  EXPECT_THAT(Ids(update->nodes), ElementsAre("c", "b"));
  EXPECT_THAT(update->changed, IsEmpty());
}

TEST(MasterDiff, NobodyIsWhereItBegins) {
  MasterDiff diff;
  EXPECT_FALSE(diff.Next(std::nullopt, false).has_value());
  EXPECT_TRUE(diff.Next(Of("a"), false).has_value());
  EXPECT_FALSE(diff.Next(Of("a"), false).has_value());
  EXPECT_TRUE(diff.Next(Of("a", "h:1"), false).has_value());
  EXPECT_TRUE(diff.Next(std::nullopt, false).has_value());
}

}  // namespace
}  // namespace lts::registry

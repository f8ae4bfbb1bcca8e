#include "registry/zookeeper/tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lts::registry::zookeeper {
namespace {

using ::testing::ElementsAre;

TEST(Tree, NamesBecomePartsOfPathsAndComeBack) {
  EXPECT_EQ(EncodeName("demo.group_1:a-b"), "demo.group_1:a-b");
  EXPECT_EQ(EncodeName("任务组"), "任务组");
  EXPECT_EQ(EncodeName("a/b~c%"), "a%2Fb%7Ec%25");
  EXPECT_EQ(EncodeName("."), "%2E");
  EXPECT_EQ(EncodeName(".."), "%2E.");
  // ZooKeeper refuses what is beyond the basic plane, private or a control.
  EXPECT_EQ(EncodeName("\xF0\xA0\x80\x80"), "%F0%A0%80%80");
  EXPECT_EQ(EncodeName("\xEE\x80\x80"), "%EE%80%80");
  EXPECT_EQ(EncodeName("\xC2\x85"), "%C2%85");
  EXPECT_EQ(EncodeName("a\xFF"), "a%FF");
  for (const std::string name : {"x", "任务组", "a/b~c%", ".", "..", "\xF0\xA0\x80\x80", "a\xFF"}) {
    EXPECT_EQ(DecodeName(EncodeName(name)), name);
  }
  EXPECT_FALSE(DecodeName("a%2").has_value());
  EXPECT_FALSE(DecodeName("%zz").has_value());
}

TEST(Tree, HasItsFolders) {
  const Tree tree("/apps/lts", "prod");
  EXPECT_THAT(tree.persistent(),
              ElementsAre("/apps", "/apps/lts", "/apps/lts/lts.v1", "/apps/lts/lts.v1/prod",
                          "/apps/lts/lts.v1/prod/nodes", "/apps/lts/lts.v1/prod/nodes/JOB_TRACKER",
                          "/apps/lts/lts.v1/prod/nodes/TASK_TRACKER",
                          "/apps/lts/lts.v1/prod/nodes/JOB_CLIENT",
                          "/apps/lts/lts.v1/prod/nodes/ADMIN", "/apps/lts/lts.v1/prod/records"));
  EXPECT_EQ(Tree("", "prod").persistent().front(), "/lts.v1");
  EXPECT_EQ(tree.Group(NodeType::kTaskTracker, "g"), tree.Type(NodeType::kTaskTracker) + "/g");
  EXPECT_EQ(tree.Record("assignment"), "/apps/lts/lts.v1/prod/records/assignment");
}

TEST(Tree, ANodesNameSaysWhoItIs) {
  Candidate candidate{"host~1:a", 1'700'000'000'123, "0190a1b2-0000-7000-8000-00000000c1d0", 17, 0};
  const std::string prefix = NodePrefix(candidate);
  candidate.sequence = 42;
  EXPECT_EQ(ParseNodeName(prefix + "0000000042"), candidate);
  // The counter of a folder runs over after two thousand million children.
  candidate.sequence = -2147483648LL;
  EXPECT_EQ(ParseNodeName(prefix + "-2147483648"), candidate);
  for (const char* name : {"", "a", "a~1~b~1", "a~1~b~1~", "a~x~b~1~1", "~1~b~1~1", "a~1~b~1~1~2",
                           "a%~1~b~1~1", "n-0000000001"}) {
    EXPECT_FALSE(ParseNodeName(name).has_value()) << name;
  }
}

TEST(Tree, APayloadKeepsWhatOlderAndNewerVersionsWrite) {
  Node node;
  node.type = NodeType::kTaskTracker;
  node.group = "g";
  node.identity = "a";
  node.incarnation = "i";
  node.address = "h:1";
  node.slots = 10;
  node.loads = {{0, 500}, {15, 7}};
  node.version = "2.0.0";
  node.started_ms = 5;
  const Candidate candidate{"a", 5, "i", 1, 0};
  EXPECT_EQ(ParsePayload(node.type, "g", candidate, FormatPayload(node)), node);

  const Node newer = ParsePayload(node.type, "g", candidate,
                                  R"({"v":9,"address":"h:2","slots":-1,"version":7,"x":{}})");
  EXPECT_EQ(newer.address, "h:2");
  EXPECT_EQ(newer.slots, 0U);
  EXPECT_EQ(newer.version, "");
  for (const char* broken : {"", "[]", "{", "\xff", "null"}) {
    EXPECT_EQ(ParsePayload(node.type, "g", candidate, broken).identity, "a") << broken;
  }
}

}  // namespace
}  // namespace lts::registry::zookeeper

#include "tasktracker/routing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lts::tasktracker {
namespace {

using ::testing::HasSubstr;

bool Exists(const std::string& runner) {
  return runner == "mail" || runner == "bill" || runner == "any";
}

Routing Open(const std::string& field, std::map<std::string, std::string> shards = {}) {
  Result<Routing> routing = Routing::Open(field, std::move(shards), &Exists);
  EXPECT_TRUE(routing.ok()) << routing.status().ToString();
  return *std::move(routing);
}

runners::AttemptInput Input(const std::string& value, const std::string& runner = "") {
  runners::AttemptInput input;
  input.task_id = "mail";
  input.runner = runner;
  if (!value.empty()) input.params["kind"] = value;
  return input;
}

TEST(Routing, WithoutAFieldLeavesTheChoiceToTheJobAndTheDefault) {
  EXPECT_EQ(Open("").RunnerOf(Input("mail")), "");
  EXPECT_EQ(Open("").RunnerOf(Input("mail", "bill")), "bill");
}

TEST(Routing, TakesTheRunnerThatTheFieldNames) {
  EXPECT_EQ(Open("kind").RunnerOf(Input("bill")), "bill");
  EXPECT_EQ(Open("taskId").RunnerOf(Input("bill")), "mail");
}

TEST(Routing, TheJobsOwnRunnerComesFirst) {
  EXPECT_EQ(Open("kind").RunnerOf(Input("bill", "mail")), "mail");
  EXPECT_EQ(Open("kind").RunnerOf(Input("bill", "nosuch")), "nosuch");
}

TEST(Routing, AShardMayHaveAnyRunner) {
  const Routing routing = Open("kind", {{"invoice", "bill"}, {"mail", "any"}, {"a b", "mail"}});
  EXPECT_EQ(routing.RunnerOf(Input("invoice")), "bill");
  EXPECT_EQ(routing.RunnerOf(Input("mail")), "any");
  EXPECT_EQ(routing.RunnerOf(Input("a b")), "mail");
}

TEST(Routing, OtherValuesAndNoneGoToTheDefaultShard) {
  const Routing routing = Open("kind", {{"_LTS_DEFAULT", "any"}});
  EXPECT_EQ(routing.RunnerOf(Input("nosuch")), "any");
  EXPECT_EQ(routing.RunnerOf(Input("")), "any");
  EXPECT_EQ(Open("kind").RunnerOf(Input("nosuch")), "");
  EXPECT_EQ(Open("kind").RunnerOf(Input("")), "");
}

TEST(Routing, SaysWhyThereIsNone) {
  EXPECT_THAT(Open("kind").WhyNone(Input("x")), HasSubstr("kind=x (shardField)"));
  EXPECT_THAT(Open("kind").WhyNone(Input("")), HasSubstr("has no kind (shardField)"));
  EXPECT_EQ(Open("").WhyNone(Input("x")), "the job names no runner");
}

TEST(Routing, ARunnerThatIsNoneRefusesTheStart) {
  EXPECT_THAT(Routing::Open("kind", {{"a", "nosuch"}}, &Exists).status().message(),
              HasSubstr("shard.a=nosuch"));
  EXPECT_THAT(Routing::Open("", {{"a", "mail"}}, &Exists).status().message(),
              HasSubstr("shardField"));
}

}  // namespace
}  // namespace lts::tasktracker

#include "common/nearest.h"

#include <gtest/gtest.h>

#include <string>

namespace lts {
namespace {

TEST(Nearest, IsTheWordWithTheFewestChangedLetters) {
  EXPECT_EQ(Nearest("prioritty", {"params", "priority", "payload"}), "priority");
  EXPECT_EQ(Nearest("TASKID", {"taskId", "jobId"}), "taskId");
  EXPECT_EQ(Nearest("lst", {"logs", "list"}), "list");
}

TEST(Nearest, IsNoneWhenAllAreFar) {
  EXPECT_EQ(Nearest("nosuch", {"params", "priority"}), "");
  EXPECT_EQ(Nearest("x", {}), "");
  EXPECT_EQ(Nearest(std::string(1'000'000, 'x'), {"params"}), "");
}

}  // namespace
}  // namespace lts

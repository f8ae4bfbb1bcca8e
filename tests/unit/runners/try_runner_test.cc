#include "tasktracker/runners/try_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "unit/runners/support.h"

namespace lts::runners {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class TryRunnerTest : public testing::Test {
 protected:
  int Try(const std::string& plugin, const std::string& runner) {
    options_.plugin = plugin;
    options_.host_program = LTS_TEST_RUNNER_HOST;
    options_.runner = runner;
    return TryRunner(options_, out_, err_);
  }
  TryOptions options_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(TryRunnerTest, PrintsTheResultAndKeepsTheLogApart) {
  TempFolder folder;
  options_.params = {{"file", folder.Write("f", "a b\nc\n")}};
  EXPECT_EQ(Try(LTS_TEST_WORD_COUNT, "word_count"), 0);
  EXPECT_EQ(out_.str(), "EXECUTE_SUCCESS lines=2 words=3\n");
  EXPECT_THAT(err_.str(), HasSubstr("INFO counted "));
  EXPECT_THAT(err_.str(), HasSubstr("PROGRESS 2 lines"));
}

TEST_F(TryRunnerTest, NeedsNoRunnerNameWhenThePluginHasOne) {
  options_.params = {{"a", "1"}};
  options_.config = {{"runner.echo.greeting", "hello"}};
  EXPECT_EQ(Try(TestPlugin("echo"), ""), 0);
  EXPECT_THAT(out_.str(), HasSubstr("greeting=hello"));
}

TEST_F(TryRunnerTest, AFailedAttemptIsEight) {
  EXPECT_EQ(Try(TestPlugin("outcomes"), "fails"), 8);
  EXPECT_EQ(out_.str(), "EXECUTE_FAILED no good\n");
  EXPECT_EQ(Try(TestPlugin("outcomes"), "throws"), 8);
  EXPECT_EQ(Try(TestPlugin("outcomes"), "snoozes"), 8);
  EXPECT_THAT(err_.str(), HasSubstr("90000 ms"));
}

TEST_F(TryRunnerTest, WrongArgumentsAreTwo) {
  EXPECT_EQ(Try(TestPlugin("absent"), "echo"), 2);
  EXPECT_EQ(Try(TestPlugin("no_entry"), "echo"), 2);
  EXPECT_EQ(Try(TestPlugin("echo"), "ecko"), 2);
  EXPECT_EQ(Try(TestPlugin("waits"), ""), 2);
  EXPECT_THAT(out_.str(), IsEmpty());
  EXPECT_THAT(err_.str(), HasSubstr("ecko"));
}

TEST_F(TryRunnerTest, ACrashIsAFailedAttempt) {
  EXPECT_EQ(Try(TestPlugin("outcomes"), "aborts"), 8);
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("EXECUTE_EXCEPTION"), HasSubstr("SIGABRT")));
}

TEST_F(TryRunnerTest, RunsInAThreadWhenAsked) {
  options_.params = {{"a", "1"}};
  options_.config = {{"runner.isolation", "thread"}};
  options_.host_program = "/nowhere";
  const auto try_it = [&] {
    options_.plugin = TestPlugin("echo");
    return TryRunner(options_, out_, err_);
  };
  EXPECT_EQ(try_it(), 0);
  options_.config = {{"runner.isolation", "vm"}};
  EXPECT_EQ(try_it(), 2);
  EXPECT_THAT(err_.str(), HasSubstr("runner.isolation=vm"));
}

TEST_F(TryRunnerTest, APluginThatCannotBeUsedIsOne) {
  EXPECT_EQ(Try(TestPlugin("other_version"), "x"), 1);
  EXPECT_EQ(Try(TestPlugin("refuses"), "needs_option"), 1);
  EXPECT_THAT(err_.str(), HasSubstr("runner.needs_option.rows"));
}

}  // namespace
}  // namespace lts::runners

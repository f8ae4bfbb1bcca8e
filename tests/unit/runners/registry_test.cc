#include "tasktracker/runners/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tasktracker/runners/plugin.h"
#include "unit/runners/support.h"

namespace lts::runners {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RegistryTest : public testing::Test {
 protected:
  Result<std::unique_ptr<RunnerRegistry>> Open(std::vector<std::string> plugins) {
    options_.plugins = std::move(plugins);
    return RunnerRegistry::Open(options_, clock_);
  }
  Status StatusOf(const std::string& plugin) { return Open({TestPlugin(plugin)}).status(); }

  SystemClock clock_;
  RunnerOptions options_;
};

TEST_F(RegistryTest, ListsEveryRunnerOfAPlugin) {
  const auto registry = Open({TestPlugin("waits")});
  ASSERT_TRUE(registry.ok()) << registry.status().ToString();
  EXPECT_THAT((*registry)->names(), ElementsAre("asks", "ignores", "waits"));
}

TEST_F(RegistryTest, ExpandsGlobsBelowTheBaseFolder) {
  options_.base_folder = LTS_TEST_PLUGIN_DIR;
  const auto registry = Open({"twin_*.so", "ech[o].so"});
  ASSERT_TRUE(registry.ok()) << registry.status().ToString();
  EXPECT_THAT((*registry)->names(), ElementsAre("echo", "twin_a", "twin_b"));
}

TEST_F(RegistryTest, AGlobMayMatchNothingButAPathMustExist) {
  const auto none = Open({TestPlugin("nothing_*")});
  ASSERT_TRUE(none.ok()) << none.status().ToString();
  EXPECT_THAT((*none)->names(), IsEmpty());
  const Status absent = StatusOf("absent");
  EXPECT_EQ(absent.code(), StatusCode::kNotFound);
  EXPECT_THAT(absent.message(), AllOf(HasSubstr("runner.plugins"), HasSubstr("absent.so")));
}

TEST_F(RegistryTest, TheSamePluginByTwoNamesIsOne) {
  TempFolder folder;
  std::filesystem::create_symlink(TestPlugin("echo"), folder.Path("again.so"));
  const auto registry = Open({TestPlugin("echo"), folder.Path("*.so")});
  ASSERT_TRUE(registry.ok()) << registry.status().ToString();
  EXPECT_THAT((*registry)->names(), ElementsAre("echo"));
}

TEST_F(RegistryTest, PluginsDoNotShareTheirTablesOrClasses) {
  const auto registry = Open({TestPlugin("twin_a"), TestPlugin("twin_b")});
  ASSERT_TRUE(registry.ok()) << registry.status().ToString();
  EXPECT_THAT((*registry)->names(), ElementsAre("twin_a", "twin_b"));
  RecordingSink sink;
  for (const std::string name : {"twin_a", "twin_b"}) {
    const auto runner = (*registry)->Create(name);
    ASSERT_TRUE(runner.ok());
    EXPECT_EQ((*runner)->Run(AttemptInput{}, sink, {}).message, "from " + name);
  }
}

TEST_F(RegistryTest, APluginsTableHoldsItsOwnRunnersOnly) {
  // In this order a table shared by all libraries would show the first one's runner in the second.
  const auto first = LoadPlugin(TestPlugin("twin_a"));
  const auto second = LoadPlugin(TestPlugin("twin_b"));
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_EQ(first->types.size(), 1U);
  ASSERT_EQ(second->types.size(), 1U);
  EXPECT_STREQ(second->types[0]->name, "twin_b");
}

TEST_F(RegistryTest, RefusesAPluginOfAnotherVersionNamingBoth) {
  const Status status = StatusOf("other_version");
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("other_version.so"), HasSubstr("version 99"),
                                      HasSubstr("version 1")));
}

TEST_F(RegistryTest, RefusesALibraryWithoutTheEntryFunction) {
  const Status status = StatusOf("no_entry");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("no_entry.so"), HasSubstr("lts_runner_plugin_entry")));
}

TEST_F(RegistryTest, RefusesALibraryThatNeedsAnUnknownSymbolNamingIt) {
  const Status status = StatusOf("unresolved");
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("lts_test_function_that_nobody_defines"));
}

TEST_F(RegistryTest, RefusesWhatIsNoLibrary) {
  TempFolder folder;
  for (const std::string& bytes :
       {std::string("just text, long enough to hold an ELF header if it were one ................"),
        std::string()}) {
    const Status status = Open({folder.Write("x.so", bytes)}).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    EXPECT_THAT(status.message(), HasSubstr("x.so"));
  }
  EXPECT_EQ(Open({folder.Path("")}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(RegistryTest, RefusesTablesThatMakeNoSense) {
  EXPECT_THAT(StatusOf("short_type").message(), HasSubstr("24 bytes"));
  EXPECT_THAT(StatusOf("empty").message(), HasSubstr("no runner"));
  EXPECT_THAT(StatusOf("reserved_name").message(), AllOf(HasSubstr("exec"), HasSubstr("reserved")));
}

TEST_F(RegistryTest, RefusesTwoRunnersOfOneNameNamingBothFiles) {
  const Status status = Open({TestPlugin("echo"), TestPlugin("echo_again")}).status();
  EXPECT_EQ(status.code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("runner echo"), HasSubstr("echo.so"), HasSubstr("echo_again.so")));
}

TEST_F(RegistryTest, AConstructorThatThrowsRefusesWithItsText) {
  const auto registry = Open({TestPlugin("refuses"), TestPlugin("plain_c")});
  ASSERT_TRUE(registry.ok());
  const Status option = (*registry)->Create("needs_option").status();
  EXPECT_EQ(option.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(option.message(),
              AllOf(HasSubstr("needs_option"), HasSubstr("runner.needs_option.rows is missing")));
  EXPECT_THAT((*registry)->Create("throws_int_at_start").status().message(),
              HasSubstr("unknown exception"));
  EXPECT_THAT((*registry)->Create("c_no_reason").status().message(), HasSubstr("no reason"));
}

TEST_F(RegistryTest, OptionsReachTheRunnerTheyName) {
  options_.config = {
      {"runner.needs_option.rows", "12"}, {"runner.other.rows", "13"}, {"runner.plugins", "x"}};
  const auto registry = Open({TestPlugin("refuses")});
  ASSERT_TRUE(registry.ok());
  const auto runner = (*registry)->Create("needs_option");
  ASSERT_TRUE(runner.ok()) << runner.status().ToString();
  RecordingSink sink;
  EXPECT_EQ((*runner)->Run(AttemptInput{}, sink, {}).message, "rows=12");
}

TEST_F(RegistryTest, TheOnlyPluginRunnerIsTheDefault) {
  options_.exec_enable = true;
  const auto one = Open({TestPlugin("echo")});
  ASSERT_TRUE(one.ok()) << one.status().ToString();
  EXPECT_THAT((*one)->names(), ElementsAre("echo", "exec"));
  EXPECT_EQ(*(*one)->Resolve(""), "echo");

  const auto several = Open({TestPlugin("waits")});
  ASSERT_TRUE(several.ok());
  const Status none = (*several)->Resolve("").status();
  EXPECT_EQ(none.code(), StatusCode::kNotFound);
  EXPECT_THAT(none.message(), HasSubstr("runner.default"));

  options_.default_runner = "asks";
  const auto chosen = Open({TestPlugin("waits")});
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(*(*chosen)->Resolve(""), "asks");
  EXPECT_EQ(*(*chosen)->Resolve("waits"), "waits");

  options_.default_runner = "nobody";
  EXPECT_THAT(Open({TestPlugin("waits")}).status().message(),
              AllOf(HasSubstr("runner.default=nobody"), HasSubstr("waits")));
}

TEST_F(RegistryTest, ExecIsOffUntilEnabled) {
  const auto registry = Open({});
  ASSERT_TRUE(registry.ok());
  for (const Status& status :
       {(*registry)->Resolve("exec").status(), (*registry)->Create("exec").status()}) {
    EXPECT_EQ(status.code(), StatusCode::kNotFound);
    EXPECT_THAT(status.message(), HasSubstr("runner.exec.enable"));
  }
}

TEST_F(RegistryTest, BadExecOptionsAreFoundAtStart) {
  options_.exec_enable = true;
  options_.config = {{"runner.exec.exit.1", "PERHAPS"}};
  EXPECT_THAT(Open({}).status().message(), HasSubstr("runner.exec.exit.1"));
  options_.config.clear();
  options_.exec_allow = {"bin/true"};
  EXPECT_THAT(Open({}).status().message(), HasSubstr("runner.exec.allow"));
}

TEST_F(RegistryTest, AnUnknownRunnerIsRefusedWithWhatThereIs) {
  const auto registry = Open({TestPlugin("echo")});
  ASSERT_TRUE(registry.ok());
  EXPECT_THAT((*registry)->Resolve("ecko").status().message(),
              AllOf(HasSubstr("ecko"), HasSubstr("echo")));
}

}  // namespace
}  // namespace lts::runners

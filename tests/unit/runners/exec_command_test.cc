#include "tasktracker/runners/exec_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "unit/runners/support.h"

namespace lts::runners {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(SplitArguments, SplitsOnBlanksAndKeepsQuoted) {
  EXPECT_THAT(*SplitArguments("  a  b\tc\n"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(*SplitArguments("'a b' \"c d\""), ElementsAre("a b", "c d"));
  EXPECT_THAT(*SplitArguments("x'a b'y\"c\"z"), ElementsAre("xa bycz"));
  EXPECT_THAT(*SplitArguments("'' a \"\""), ElementsAre("", "a", ""));
  EXPECT_THAT(*SplitArguments("\"it's\" 'say \"hi\"'"), ElementsAre("it's", "say \"hi\""));
  EXPECT_THAT(*SplitArguments("   "), IsEmpty());
}

TEST(SplitArguments, ExpandsNothing) {
  EXPECT_THAT(*SplitArguments(R"($HOME ~ *.so `id` $(id) a\ b ; | > &)"),
              ElementsAre("$HOME", "~", "*.so", "`id`", "$(id)", "a\\", "b", ";", "|", ">", "&"));
}

TEST(SplitArguments, RefusesAnOpenQuote) {
  EXPECT_THAT(SplitArguments("a 'b").status().message(), HasSubstr("'"));
  EXPECT_FALSE(SplitArguments("a \"b").ok());
}

TEST(JobArguments, TakesIndexedOnesExactly) {
  std::map<std::string, std::string> params = {{"program", "/x"}};
  EXPECT_THAT(*JobArguments(params), IsEmpty());
  for (int i = 0; i < 12; ++i) params["arg." + std::to_string(i)] = " " + std::to_string(i) + " '";
  const auto args = JobArguments(params);
  ASSERT_TRUE(args.ok());
  ASSERT_EQ(args->size(), 12U);
  EXPECT_EQ((*args)[2], " 2 '");
  EXPECT_EQ((*args)[11], " 11 '");  // by number, not by text
}

TEST(JobArguments, NamesWhatIsWrong) {
  EXPECT_THAT(JobArguments({{"args", "a 'b"}}).status().message(), HasSubstr("args"));
  EXPECT_THAT(JobArguments({{"arg.0", "a"}, {"arg.2", "b"}}).status().message(),
              HasSubstr("arg.1"));
  EXPECT_THAT(JobArguments({{"arg.x", "a"}}).status().message(), HasSubstr("arg.0"));
  EXPECT_THAT(JobArguments({{"args", "a"}, {"arg.0", "b"}}).status().message(),
              HasSubstr("either"));
  EXPECT_FALSE(JobArguments({{"arg.0", std::string("a\0b", 3)}}).ok());
}

TEST(AllowedProgram, ComparesTheResolvedPath) {
  TempFolder folder;
  const std::string real = std::filesystem::canonical(folder.Write("real", "x")).string();
  const std::string link = folder.Path("link");
  std::filesystem::create_symlink(real, link);

  EXPECT_EQ(*AllowedProgram(real, {real}), real);
  EXPECT_EQ(*AllowedProgram(link, {real}), real);
  EXPECT_EQ(
      *AllowedProgram(folder.Path("../") +
                          std::filesystem::path(real).parent_path().filename().string() + "/real",
                      {real}),
      real);

  for (const auto& [program, allow] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {real, {}},
           {real, {real + "x"}},
           {link, {link}},
           {"real", {real}},
           {"", {real}},
           {folder.Path("absent"), {real}},
           {std::string(real + '\0' + "x"), {real}}}) {
    const auto refused = AllowedProgram(program, allow);
    ASSERT_FALSE(refused.ok()) << program;
    EXPECT_THAT(refused.status().message(), HasSubstr("runner.exec.allow")) << program;
  }
}

TEST(AllowedProgram, SaysWhereAListedLinkLeads) {
  TempFolder folder;
  const std::string real = std::filesystem::canonical(folder.Write("real", "x")).string();
  std::filesystem::create_symlink(real, folder.Path("link"));
  const Status status = AllowedProgram(folder.Path("link"), {folder.Path("link")}).status();
  EXPECT_THAT(status.message(), HasSubstr(real));
}

TEST(ExitActions, MapsExitStatus) {
  const auto standard = ExitActions({});
  EXPECT_EQ(*standard, (std::map<int, model::Action>{{0, model::Action::kExecuteSuccess},
                                                     {75, model::Action::kExecuteLater}}));
  const auto own = ExitActions({{"allow", "/x"},
                                {"exit.3", "EXCEPTION"},
                                {"exit.75", "EXECUTE_FAILED"},
                                {"exit.4", "LATER"}});
  ASSERT_TRUE(own.ok());
  EXPECT_EQ(own->at(3), model::Action::kExecuteException);
  EXPECT_EQ(own->at(75), model::Action::kExecuteFailed);
  EXPECT_EQ(own->at(4), model::Action::kExecuteLater);
}

TEST(ExitActions, ErrorsNameTheKey) {
  EXPECT_THAT(ExitActions({{"exit.x", "LATER"}}).status().message(),
              HasSubstr("runner.exec.exit.x"));
  EXPECT_THAT(ExitActions({{"exit.256", "LATER"}}).status().message(),
              HasSubstr("runner.exec.exit.256"));
  EXPECT_THAT(ExitActions({{"exit.3", "SOON"}}).status().message(),
              HasSubstr("runner.exec.exit.3=SOON"));
}

}  // namespace
}  // namespace lts::runners

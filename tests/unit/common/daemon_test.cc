#include "common/daemon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/properties.h"
#include "support/temp_folder.h"

namespace lts {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::internal::CaptureStderr;
using ::testing::internal::CaptureStdout;
using ::testing::internal::GetCapturedStderr;
using ::testing::internal::GetCapturedStdout;

OptionTable Table() {
  return OptionTable(Daemon::kJobTracker, {{.name = "listenPort",
                                            .text = "Port.",
                                            .type = OptionType::kInt,
                                            .default_value = "35001",
                                            .min = 0,
                                            .max = 65535}});
}

std::variant<DaemonStart, int> Begin(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "jobtracker");
  return BeginDaemon(Table(), static_cast<int>(arguments.size()), arguments.data());
}

TEST(DaemonCommand, FlagsTakeValuesInBothForms) {
  const char* argv[] = {"x", "--config", "a b.cfg", "--name=zoo", "--listenPort", "0", "--a.b=c=d"};
  const auto command = ParseDaemonCommand(7, argv);
  ASSERT_TRUE(command.ok()) << command.status().message();
  EXPECT_EQ(command->config, "a b.cfg");
  EXPECT_EQ(command->name, "zoo");
  EXPECT_THAT(command->flags, ElementsAre(std::pair<std::string, std::string>("listenPort", "0"),
                                          std::pair<std::string, std::string>("a.b", "c=d")));
}

TEST(DaemonCommand, WhatIsNotUnderstoodIsAUsageError) {
  for (const std::vector<const char*>& arguments : {std::vector<const char*>{"start"},
                                                    {"--listenPort"},
                                                    {"-x"},
                                                    {"--"},
                                                    {"--name", "../up"},
                                                    {"--name", ".hidden"},
                                                    {"--name", "a b"}}) {
    CaptureStderr();
    const auto begun = Begin(arguments);
    EXPECT_THAT(GetCapturedStderr(), HasSubstr("jobtracker: "));
    ASSERT_TRUE(std::holds_alternative<int>(begun)) << arguments[0];
    EXPECT_EQ(std::get<int>(begun), 64);
  }
}

TEST(BeginDaemon, AWrongConfigurationIs78AndNamesTheFlag) {
  CaptureStderr();
  const auto begun = Begin({"--listenPort", "70000"});
  EXPECT_THAT(GetCapturedStderr(), HasSubstr("--listenPort: listenPort=70000: out of bounds"));
  EXPECT_EQ(std::get<int>(begun), 78);
}

TEST(BeginDaemon, AMissingFileIs78) {
  CaptureStderr();
  const auto begun = Begin({"--config", "/nonexistent/x.cfg"});
  EXPECT_THAT(GetCapturedStderr(), HasSubstr("/nonexistent/x.cfg"));
  EXPECT_EQ(std::get<int>(begun), 78);
}

TEST(BeginDaemon, CheckConfigPrintsValuesAndWhereTheyAreFrom) {
  CaptureStdout();
  const auto begun = Begin({"--listenPort=7", "--check-config"});
  EXPECT_THAT(GetCapturedStdout(), HasSubstr("listenPort=7  # --listenPort\n"));
  EXPECT_EQ(std::get<int>(begun), 0);
}

TEST(BeginDaemon, HelpVersionAndSkeletonEndWithZero) {
  for (const char* flag : {"--help", "-h", "--version", "--print-conf"}) {
    CaptureStdout();
    const auto begun = Begin({flag});
    EXPECT_THAT(GetCapturedStdout(), HasSubstr("jobtracker"));
    EXPECT_EQ(std::get<int>(begun), 0);
  }
}

TEST(BeginDaemon, GivesOptionsAndNames) {
  const auto begun = Begin({"--listenPort", "0", "--name", "zoo2"});
  const auto* start = std::get_if<DaemonStart>(&begun);
  ASSERT_NE(start, nullptr);
  EXPECT_EQ(start->options.Int("listenPort"), 0);
  EXPECT_EQ(start->name, "zoo2");
}

TEST(HomeFolder, IsAboveTheFolderOfTheProgramUnlessGiven) {
  unsetenv("LTS_HOME");
  EXPECT_EQ(HomeFolder(),
            std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path().string());
  setenv("LTS_HOME", "/a b/c/../d", 1);
  EXPECT_EQ(HomeFolder(), "/a b/d");
  unsetenv("LTS_HOME");
}

TEST(FormatUtc, HasMilliseconds) {
  EXPECT_EQ(FormatUtc(1'769'860'800'123), "2026-01-31T12:00:00.123Z");
  EXPECT_EQ(FormatUtc(-1), "1969-12-31T23:59:59.999Z");
}

TEST(ReadyFiles, JsonAppearsWhenReadyAndGoesAtTheEnd) {
  const testing::TempFolder folder;
  const std::string json_path = folder.Below("pid/jobtracker-zoo.json");
  {
    auto files = ReadyFiles::Open({folder.Below("pid"), "jobtracker", "zoo", 1'769'860'800'123});
    ASSERT_TRUE(files.ok());
    EXPECT_FALSE(std::filesystem::exists(json_path));
    CaptureStdout();
    ASSERT_TRUE((*files)->Ready("127.0.0.1:35001", "127.0.0.1:9").ok());
    ASSERT_TRUE((*files)->Ready("127.0.0.1:35001", "127.0.0.1:9").ok());
    EXPECT_EQ(GetCapturedStdout(), "READY jobtracker name=zoo listen=127.0.0.1:35001\n");
    EXPECT_EQ(*ReadSmallFile(json_path, 4096),
              "{\"pid\":" + std::to_string(getpid()) +
                  ",\"name\":\"zoo\",\"listen\":\"127.0.0.1:35001\",\"ops\":\"127.0.0.1:9\","
                  "\"version\":\"" +
                  std::string(Version()) +
                  "\",\"startedAt\":\"2026-01-31T12:00:00.123Z\",\"ready\":true}\n");
  }
  EXPECT_FALSE(std::filesystem::exists(json_path));
}

TEST(ReadyFiles, WaitingHoldsTheReasonUntilReadyAndTakesReadinessBack) {
  const testing::TempFolder folder;
  auto files = ReadyFiles::Open({folder.path(), "tasktracker", "tasktracker", 0});
  ASSERT_TRUE(files.ok());
  const std::string waiting = folder.Below("tasktracker-tasktracker.waiting");
  const std::string json = folder.Below("tasktracker-tasktracker.json");
  ASSERT_TRUE((*files)->Waiting("no JobTracker at 127.0.0.1:1").ok());
  EXPECT_EQ(*ReadSmallFile(waiting, 100), "no JobTracker at 127.0.0.1:1\n");
  EXPECT_FALSE(std::filesystem::exists(json));
  CaptureStdout();
  ASSERT_TRUE((*files)->Ready("", "").ok());
  EXPECT_EQ(GetCapturedStdout(), "READY tasktracker name=tasktracker\n");
  EXPECT_FALSE(std::filesystem::exists(waiting));
  ASSERT_TRUE((*files)->Waiting("lost").ok());
  EXPECT_THAT(*ReadSmallFile(json, 1000), HasSubstr("\"ready\":false"));
}

TEST(ReadyFiles, OneThatRunsAndWaitsIsNeverSaidToBeReady) {
  const testing::TempFolder folder;
  auto files = ReadyFiles::Open({folder.path(), "tasktracker", "a", 0});
  ASSERT_TRUE(files.ok());
  CaptureStdout();
  ASSERT_TRUE((*files)->Ready("", "127.0.0.1:9", "no JobTracker").ok());
  EXPECT_EQ(GetCapturedStdout(), "READY tasktracker name=a\n");
  EXPECT_THAT(*ReadSmallFile(folder.Below("tasktracker-a.json"), 1000),
              HasSubstr("\"ready\":false"));
  EXPECT_EQ(*ReadSmallFile(folder.Below("tasktracker-a.waiting"), 100), "no JobTracker\n");
  ASSERT_TRUE((*files)->Ready("", "127.0.0.1:9").ok());
  EXPECT_THAT(*ReadSmallFile(folder.Below("tasktracker-a.json"), 1000),
              HasSubstr("\"ready\":true"));
  EXPECT_FALSE(std::filesystem::exists(folder.Below("tasktracker-a.waiting")));
}

TEST(ReadyFiles, ASecondProcessOfTheNameLeavesThoseOfTheFirstAlone) {
  const testing::TempFolder folder;
  auto first = ReadyFiles::Open({folder.path(), "jobtracker", "a", 0});
  ASSERT_TRUE(first.ok());
  CaptureStdout();
  ASSERT_TRUE((*first)->Ready("127.0.0.1:1", "").ok());
  GetCapturedStdout();
  const auto second = ReadyFiles::Open({folder.path(), "jobtracker", "a", 0});
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr("jobtracker a"));
  EXPECT_TRUE(std::filesystem::exists(folder.Below("jobtracker-a.json")));
  EXPECT_TRUE(ReadyFiles::Open({folder.path(), "jobtracker", "b", 0}).ok());
  (*first).reset();
  EXPECT_TRUE(ReadyFiles::Open({folder.path(), "jobtracker", "a", 0}).ok());
}

TEST(ReadyFiles, WhatAKilledProcessLeftIsRemoved) {
  const testing::TempFolder folder;
  folder.Write("jobtracker-a.json", "{}");
  folder.Write("jobtracker-a.waiting", "x");
  folder.Write("jobtracker-b.json", "{}");
  const auto files = ReadyFiles::Open({folder.path(), "jobtracker", "a", 0});
  ASSERT_TRUE(files.ok());
  EXPECT_FALSE(std::filesystem::exists(folder.Below("jobtracker-a.json")));
  EXPECT_FALSE(std::filesystem::exists(folder.Below("jobtracker-a.waiting")));
  EXPECT_TRUE(std::filesystem::exists(folder.Below("jobtracker-b.json")));
}

TEST(ReadyFiles, AFolderThatCannotBeMadeIsUnavailable) {
  const testing::TempFolder folder;
  const std::string file = folder.Write("file", "");
  EXPECT_EQ(ReadyFiles::Open({file + "/pid", "jobtracker", "a", 0}).status().code(),
            StatusCode::kUnavailable);
}

}  // namespace
}  // namespace lts

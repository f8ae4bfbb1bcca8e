#include "tasktracker/log_shipper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "unit/tasktracker/world.h"

namespace lts::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::Assignment Logger(const std::string& task, int lines, std::uint64_t sequence) {
  v1::Assignment assignment = World::Assignment(task, "logger", sequence);
  (*assignment.mutable_job()->mutable_params())["n"] = std::to_string(lines);
  return assignment;
}

TEST(LogShipper, NumbersTheLinesOfEachAttemptFromOne) {
  World world;
  world.Connect();
  world.Assign(Logger("a", 2, 1));
  world.Assign(Logger("b", 1, 2));
  world.Results(2);
  world.strand.Advance(200);
  std::map<std::string, std::vector<std::uint64_t>> numbers;
  for (const v1::LogLine& line : world.tracker.log_lines()) {
    numbers[line.task_id()].push_back(line.line());
    EXPECT_EQ(line.message(), "line of " + line.task_id());
    EXPECT_EQ(line.key().job_id(), "job-" + line.task_id());
    EXPECT_EQ(line.level(), "INFO");
    EXPECT_EQ(line.group(), "g");
    EXPECT_EQ(line.node(), "g-default-host-0");
  }
  EXPECT_EQ(numbers["a"], (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(numbers["b"], (std::vector<std::uint64_t>{1}));
}

TEST(LogShipper, LinesOfAttemptsThatRunAtOnceAreNotMixed) {
  World world;
  world.Connect();
  constexpr int kLines = 500;
  v1::TrackerMessage message;
  const std::vector<std::string> tasks = {"a", "b", "c", "d"};  // a slot each
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    *message.add_assignments() = Logger(tasks[i], kLines, i + 1);
  }
  world.Send(message);
  world.Results(tasks.size());
  world.strand.Advance(1'000);
  std::map<std::string, std::set<std::uint64_t>> numbers;
  for (const v1::LogLine& line : world.tracker.log_lines()) {
    EXPECT_EQ(line.message(), "line of " + line.task_id());
    EXPECT_EQ(line.key().job_id(), "job-" + line.task_id());
    numbers[line.task_id()].insert(line.line());
  }
  ASSERT_THAT(numbers, SizeIs(tasks.size()));
  for (const std::string& task : tasks) {
    EXPECT_THAT(numbers[task], SizeIs(kLines));
    EXPECT_EQ(*numbers[task].rbegin(), kLines);
  }
}

TEST(LogShipper, LeavesOutWhatIsBelowTheLevel) {
  World world;
  world.logging.level_min = static_cast<int>(runners::LogLevel::kWarn);
  world.Connect();
  world.Assign(Logger("a", 2, 1));
  world.Results(1);
  world.strand.Advance(200);
  EXPECT_THAT(world.tracker.log_lines(), IsEmpty());
}

TEST(LogShipper, DropsWhatIsOverTheBoundAndSaysHowMany) {
  World world;
  world.logging.lines_max = 3;
  world.Connect();
  world.Assign(Logger("a", 10, 1));
  world.Results(1);
  world.strand.Advance(200);
  const std::vector<v1::LogLine> lines = world.tracker.log_lines();
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_THAT(lines[3].message(), HasSubstr("7 log lines dropped"));
  EXPECT_EQ(lines[3].level(), "WARN");
  EXPECT_EQ(lines[3].line(), 4U);
}

TEST(LogShipper, WhileTheWayIsClosedLinesAreStoredAndSentLater) {
  World world;
  world.Connect();
  v1::Assignment assignment = Logger("a", 3, 1);
  world.tracker.SetLogStatus(Status::Unavailable("no"));
  world.Assign(assignment);
  world.Results(1);
  world.strand.Advance(200);
  EXPECT_THAT(world.tracker.log_lines(), IsEmpty());
  EXPECT_THAT(world.Stored(FailKind::kBizLog), SizeIs(1));
  world.tracker.SetLogStatus(Status::Ok());
  world.AliveFor(5'000);
  const std::vector<v1::LogLine> lines = world.tracker.log_lines();
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_GE(lines[0].ago_ms(), 100);
  EXPECT_THAT(world.Stored(FailKind::kBizLog), IsEmpty());
}

TEST(LogShipper, WithoutConnectionLinesAreStoredAndSentByTheNextProcess) {
  World world;
  world.Connect();
  world.tracker.SetDown(true);
  v1::TrackerMessage message;
  *message.add_assignments() = Logger("a", 3, 1);
  world.Send(message);
  world.tracker.Break();
  ASSERT_TRUE(world.strand.RunUntil([&] { return !world.Stored(FailKind::kResult).empty(); }));
  world.strand.Advance(300);
  ASSERT_THAT(world.Stored(FailKind::kBizLog), SizeIs(1));
  world.Close();

  world.tracker.SetDown(false);
  world.Connect();
  world.AliveFor(2'000);
  EXPECT_THAT(world.tracker.log_lines(), SizeIs(3));
}

TEST(LogShipper, AtStopSendsWhatIsLeft) {
  World world;
  world.Connect();
  world.Assign(Logger("a", 3, 1));
  world.Results(1);
  bool stopped = false;
  world.log->Stop([&stopped] { stopped = true; });
  world.strand.Run();
  EXPECT_TRUE(stopped);
  EXPECT_THAT(world.tracker.log_lines(), SizeIs(3));
}

TEST(LogShipper, LinesOfAnAttemptThatOutlivesTheStopAreDroppedAndCounted) {
  World world;
  world.Connect();
  bool stopped = false;
  world.log->Stop([&stopped] { stopped = true; });
  world.strand.Run();
  ASSERT_TRUE(stopped);
  tasktracker::Attempt stuck;
  world.log->Add(stuck, runners::LogLevel::kInfo, "still here");
  world.log->AttemptEnded(stuck);
  world.strand.Advance(1'000);
  EXPECT_THAT(world.tracker.log_lines(), IsEmpty());
  EXPECT_THAT(world.Stored(FailKind::kBizLog), IsEmpty());
  EXPECT_THAT(world.metrics->Text(),
              HasSubstr("lts_limit_refused_total{limit=\"tasktracker.log.lines\"} 1"));
}

TEST(LogShipper, KeepsOutOfTheShareOfTheResults) {
  World world;
  world.logging.store_count_max = 1;
  world.Connect();
  ASSERT_TRUE(world.store->Put(FailKind::kSubmit, "k", "x").ok());
  world.tracker.SetLogStatus(Status::Unavailable("no"));
  world.Assign(Logger("a", 3, 1));
  world.Results(1);
  world.strand.Advance(200);
  EXPECT_THAT(world.Stored(FailKind::kBizLog), IsEmpty());
  world.tracker.SetLogStatus(Status::Ok());
  world.AliveFor(2'000);
  EXPECT_THAT(world.tracker.log_lines(), SizeIs(3));
}

}  // namespace
}  // namespace lts::testing

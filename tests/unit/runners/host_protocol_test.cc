#include "tasktracker/runners/host_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lts::runners {
namespace {

using testing::ElementsAre;
using testing::Pair;

Frame Parsed(const std::string& bytes) {
  FrameBuffer buffer(kToWorkerBytesMax);
  buffer.Add(bytes.data(), bytes.size());
  auto frame = buffer.Next();
  EXPECT_TRUE(frame.ok() && frame->has_value());
  return **frame;
}

TEST(HostProtocol, AnAttemptArrivesAsItWasSent) {
  AttemptInput input;
  input.job_id = "0190-job";
  input.task_id = "t\0ask";
  input.group = "demo";
  input.runner = "echo";
  input.params = {{"a", "1"}, {"b", ""}};
  input.payload = std::string("\0\xff", 2);
  input.attempt = 3;
  input.fire_time_ms = 1'700'000'000'123;
  input.token = {7, 42};
  input.timeout_ms = 30'000;
  input.shard_index = 2;
  input.shard_total = 5;
  const auto got = RunFrom(Parsed(RunFrame(9, input, 1'234)));
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->first, 9);
  EXPECT_EQ(got->second.job_id, input.job_id);
  EXPECT_EQ(got->second.task_id, input.task_id);
  EXPECT_EQ(got->second.group, input.group);
  EXPECT_EQ(got->second.runner, input.runner);
  EXPECT_THAT(got->second.params, ElementsAre(Pair("a", "1"), Pair("b", "")));
  EXPECT_EQ(got->second.payload, input.payload);
  EXPECT_EQ(got->second.attempt, 3);
  EXPECT_EQ(got->second.fire_time_ms, input.fire_time_ms);
  EXPECT_EQ(got->second.token, input.token);
  EXPECT_EQ(got->second.timeout_ms, 1'234);
  EXPECT_EQ(got->second.shard_index, 2);
  EXPECT_EQ(got->second.shard_total, 5);
}

TEST(HostProtocol, ConfigurationAndStatusArriveAsTheyWereSent) {
  CreateRequest request;
  request.runner = "r";
  request.config = {{"k", "v"}};
  request.exec_allow = {"/bin/a", "/bin/b"};
  request.limits.kill_grace_ms = 17;
  const auto got = CreateFrom(Parsed(ToFrame(request)));
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->runner, "r");
  EXPECT_THAT(got->config, ElementsAre(Pair("k", "v")));
  EXPECT_THAT(got->exec_allow, ElementsAre("/bin/a", "/bin/b"));
  EXPECT_EQ(got->limits.kill_grace_ms, 17);

  const auto status = StatusFrom(
      Parsed(StatusFrame(FrameKind::kOpened, Status::NotFound("no such file"), {"x", "y"})));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->first.ToString(), "NOT_FOUND: no such file");
  EXPECT_THAT(status->second, ElementsAre("x", "y"));
}

TEST(HostProtocol, FramesComeOutWholeHoweverTheyWereCut) {
  const std::string two = ResultFrame({model::Action::kExecuteLater, "again", 5, true}) +
                          FrameWriter(FrameKind::kLog).Int(1).Text("line").Take();
  for (std::size_t step = 1; step <= two.size(); ++step) {
    FrameBuffer buffer(kFromWorkerBytesMax);
    std::vector<Frame> got;
    for (std::size_t at = 0; at < two.size(); at += step) {
      buffer.Add(two.data() + at, std::min(step, two.size() - at));
      while (true) {
        auto frame = buffer.Next();
        ASSERT_TRUE(frame.ok());
        if (!*frame) break;
        got.push_back(**frame);
      }
    }
    ASSERT_EQ(got.size(), 2U) << step;
    const auto outcome = ResultFrom(got[0]);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->message, "again");
    EXPECT_EQ(outcome->later_delay_ms, 5);
    EXPECT_TRUE(outcome->timed_out);
    EXPECT_EQ(got[1].kind, FrameKind::kLog);
  }
}

TEST(HostProtocol, WhatMakesNoSenseIsRefused) {
  FrameBuffer huge(100);
  const std::string big = FrameWriter(FrameKind::kLog).Text(std::string(200, 'x')).Take();
  huge.Add(big.data(), big.size());
  EXPECT_EQ(huge.Next().status().code(), StatusCode::kDataLoss);
  FrameBuffer unknown(100);
  std::string kind = FrameWriter(FrameKind::kLog).Take();
  kind[4] = 99;
  unknown.Add(kind.data(), kind.size());
  EXPECT_EQ(unknown.Next().status().code(), StatusCode::kDataLoss);

  // A body cut anywhere, and one whose lengths are wrong, read as nothing.
  const Frame whole = Parsed(ResultFrame({model::Action::kExecuteFailed, "text", 0, false}));
  for (std::size_t size = 0; size < whole.body.size(); ++size) {
    EXPECT_FALSE(ResultFrom({FrameKind::kResult, whole.body.substr(0, size)}).has_value()) << size;
  }
  EXPECT_FALSE(ResultFrom({FrameKind::kResult, std::string(64, '\xff')}).has_value());
  EXPECT_FALSE(CreateFrom({FrameKind::kCreate, std::string(64, '\x7f')}).has_value());
  EXPECT_FALSE(ResultFrom(Parsed(ResultFrame({static_cast<model::Action>(9), "", 0, false}))));
}

}  // namespace
}  // namespace lts::runners

#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client_fixture.h"
#include "jobclient/feedback_receiver.h"
#include "unit/tasktracker/manual_strand.h"

namespace lts::jobclient {
namespace {

using ::testing::ElementsAre;

using FeedbackTest = ClientTest;

v1::FeedbackItem Item(const std::string& job_id, int attempt = 1) {
  v1::FeedbackItem item;
  item.set_job_id(job_id);
  item.set_attempt(attempt);
  item.set_cycle_ms(1'000);
  item.set_task_id("task-" + job_id);
  item.set_group("workers");
  item.set_state(v1::DEAD);
  item.set_message("why");
  item.set_ended_ms(2'000);
  return item;
}

TEST_F(FeedbackTest, AHandledResultIsAcknowledgedAndOthersAreOfferedAgain) {
  std::vector<JobResult> heard;
  JobClientOptions options = Options();
  options.feedback_window = 7;
  options.on_job_completed = [&](const JobResult& result) -> Ack {
    heard.push_back(result);
    if (result.job_id == "again") return Ack::kAgain;
    if (result.job_id == "throw") throw std::runtime_error("no disk");
    if (result.job_id == "throw-int") throw 7;
    return Ack::kDone;
  };
  const auto client = Open(options);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Hellos().size() == 1; }));
  EXPECT_EQ(tracker_.Hellos()[0].node_group(), "clients");
  EXPECT_EQ(tracker_.Hellos()[0].window(), 7);
  tracker_.Offer({Item("done", 3), Item("again"), Item("throw"), Item("throw-int")});
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Acks().size() == 4; }));
  std::vector<std::string> acks;
  for (const v1::FeedbackAck& ack : tracker_.Acks()) {
    acks.push_back(ack.job_id() + (ack.again() ? " again" : ""));
    EXPECT_EQ(ack.cycle_ms(), 1'000);
  }
  EXPECT_THAT(acks, ElementsAre("done", "again again", "throw again", "throw-int again"));
  EXPECT_EQ(tracker_.Acks()[0].attempt(), 3);
  EXPECT_EQ(heard[0].task_id, "task-done");
  EXPECT_EQ(heard[0].state, JobState::kDead);
  EXPECT_FALSE(heard[0].success);
  EXPECT_EQ(heard[0].message, "why");
  EXPECT_EQ(heard[0].ended_at, SystemTime(std::chrono::seconds(2)));
}

TEST_F(FeedbackTest, ABrokenStreamIsOpenedAgain) {
  std::atomic<int> heard{0};
  JobClientOptions options = Options();
  options.on_job_completed = [&](const JobResult&) {
    ++heard;
    return Ack::kDone;
  };
  const auto client = Open(options);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Hellos().size() == 1; }));
  tracker_.BreakStreams();
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Hellos().size() == 2; }));
  tracker_.Offer({Item("a")});
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Acks().size() == 1; }));
  EXPECT_EQ(heard, 1);
}

TEST_F(FeedbackTest, AClientMayStartBeforeItsJobTracker) {
  tracker_.SetMode(testing::FakeTracker::Mode::kDown);
  JobClientOptions options = Options();
  options.on_job_completed = [](const JobResult&) { return Ack::kDone; };
  const auto client = Open(options);
  tracker_.SetMode(testing::FakeTracker::Mode::kAnswer);
  ASSERT_TRUE(tracker_.Await([&] { return !tracker_.Hellos().empty(); }));
}

TEST_F(FeedbackTest, SomeMoreThanTheWindowIsTaken) {
  std::promise<void> release;
  JobClientOptions options = Options();
  options.feedback_window = 2;
  options.on_job_completed = [released = release.get_future().share()](const JobResult&) {
    released.wait();
    return Ack::kDone;
  };
  const auto client = Open(options);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Hellos().size() == 1; }));
  // Each of several partitions gives the window out on its own.
  for (int partition = 0; partition < 16; ++partition) {
    tracker_.Offer({Item("a" + std::to_string(partition)), Item("b" + std::to_string(partition))});
  }
  release.set_value();
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Acks().size() == 32; }));
  EXPECT_EQ(tracker_.Hellos().size(), 1U);
}

TEST_F(FeedbackTest, AJobTrackerThatIgnoresTheWindowIsLeftAndAskedAgain) {
  std::atomic<int> heard{0};
  JobClientOptions options = Options();
  options.feedback_window = 2;
  options.on_job_completed = [&](const JobResult&) {
    ++heard;
    return Ack::kDone;
  };
  const auto client = Open(options);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Hellos().size() == 1; }));
  tracker_.Offer(std::vector<v1::FeedbackItem>(2 * 2 + 1024 + 1, Item("a")));
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Hellos().size() == 2; }));
  EXPECT_EQ(heard, 0);
}

TEST_F(FeedbackTest, TheHandlerMayUseTheClientAndCloseSendsTheLastAcks) {
  std::unique_ptr<JobClient> client;
  std::atomic<bool> submitted{false};
  JobClientOptions options = Options();
  options.on_job_completed = [&](const JobResult&) {
    submitted = client->Submit(Task("next")).ok();
    tracker_.Changed();
    return Ack::kDone;
  };
  client = Open(options);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.Hellos().size() == 1; }));
  tracker_.Offer({Item("a")});
  ASSERT_TRUE(tracker_.Await([&] { return submitted.load(); }));
  client->Close();
  EXPECT_EQ(tracker_.Acks().size(), 1U);
}

// Tells when something has been posted to it.
class TellingStrand final : public Strand {
 public:
  explicit TellingStrand(Strand& strand) : strand_(strand) {}
  void Post(Task task) override {
    strand_.Post(std::move(task));
    posts_.release();
  }
  void PostAfter(std::int64_t delay_us, Task task) override {
    strand_.PostAfter(delay_us, std::move(task));
  }
  bool AwaitPost() { return posts_.try_acquire_for(std::chrono::seconds(30)); }

 private:
  Strand& strand_;
  std::counting_semaphore<> posts_{0};
};

TEST_F(FeedbackTest, AStopWhileTheStreamsAreOpenedEndsThemAll) {
  testing::ManualClock clock;
  testing::ManualStrand strand(clock);
  TellingStrand control(strand);
  Trackers trackers(std::vector<std::string>{"one:1", "two:2"}, tracker_.Factory());
  FeedbackOptions options;
  options.node_group = "clients";
  options.handler = [](const v1::FeedbackItem&) { return Ack::kDone; };
  FeedbackReceiver receiver(options, trackers, control);
  std::thread stopper;
  // Between the first stream and the second one.
  tracker_.on_hello = [&](const v1::FeedbackHello&) {
    if (!stopper.joinable()) {
      stopper = std::thread([&] { receiver.Stop(); });
      EXPECT_TRUE(control.AwaitPost());
    }
    return std::vector<v1::FeedbackItem>();
  };
  receiver.Start();
  ASSERT_TRUE(control.AwaitPost());
  strand.Run();
  ASSERT_TRUE(stopper.joinable());
  stopper.join();
  EXPECT_TRUE(tracker_.StreamAddresses().empty());
}

TEST_F(FeedbackTest, WithoutAHandlerNothingIsTaken) {
  const auto client = Open(Options());
  ASSERT_TRUE(client->Submit(Task("a")).ok());
  client->Close();
  EXPECT_TRUE(tracker_.Hellos().empty());
}

}  // namespace
}  // namespace lts::jobclient

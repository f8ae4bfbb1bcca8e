#include <gmock/gmock.h>

#include <future>
#include <set>
#include <thread>
#include <vector>

#include "client_fixture.h"
#include "common/ids.h"

namespace lts::jobclient {
namespace {

using ::testing::ElementsAre;
using testing::FakeTracker;
using ::testing::HasSubstr;

using SubmitTest = ClientTest;

TEST_F(SubmitTest, AJobGoesOutWithAnIdOfVersion7AndTheGroupOfTheClient) {
  const auto client = Open(Options());
  const auto receipt = client->Submit(
      Task("t1").Param("order", "4711").Priority(5).TriggerIn(std::chrono::hours(3)));
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->outcome, SubmitOutcome::kAccepted);
  EXPECT_TRUE(UuidV7Time(receipt->job_id));
  const auto submits = tracker_.Submits();
  ASSERT_EQ(submits.size(), 1U);
  EXPECT_EQ(submits[0].node_group(), "clients");
  EXPECT_FALSE(submits[0].identity().empty());
  const v1::SubmitItem& item = submits[0].items(0);
  EXPECT_EQ(item.job().job_id(), receipt->job_id);
  EXPECT_EQ(item.job().task_tracker_node_group(), "workers");
  EXPECT_EQ(item.job().submit_node_group(), "clients");
  EXPECT_EQ(item.job().params().at("order"), "4711");
  EXPECT_EQ(item.job().priority(), 5);
  EXPECT_EQ(item.job().trigger_delay_ms(), 3 * 3'600'000);
  EXPECT_FALSE(item.maybe_sent());
}

TEST_F(SubmitTest, AnIdOfTheCallersOwnMayHaveBeenSentBefore) {
  const auto client = Open(Options());
  UuidGenerator uuids(1);
  const std::string id = uuids.Next(SystemClock().WallMs());
  const auto receipt = client->Submit(Task("t").JobId(id));
  ASSERT_TRUE(receipt.ok());
  EXPECT_EQ(receipt->job_id, id);
  EXPECT_TRUE(tracker_.Submits()[0].items(0).maybe_sent());
}

TEST_F(SubmitTest, AMistakeIsNamedAndNothingIsSent) {
  const auto client = Open(Options());
  const auto receipt = client->Submit(Task("t").Priority(20'000));
  EXPECT_EQ(receipt.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(receipt.status().message(), HasSubstr("priority"));
  EXPECT_THAT(receipt.status().message(), HasSubstr("20000"));
  EXPECT_THAT(receipt.status().message(), HasSubstr("10000"));
  EXPECT_EQ(tracker_.JobsSeen(), 0U);
}

TEST_F(SubmitTest, WhatTheJobTrackerRefusesComesBackPerJob) {
  tracker_.on_submit = [](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    answer.set_job_id("id-of-" + item.job().task_id());
    if (item.job().task_id() == "bad") answer.set_code(v1::ALREADY_EXISTS);
    if (item.job().task_id() == "bad") answer.set_message("task bad exists");
    if (item.job().task_id() == "twice") answer.set_outcome(v1::DUPLICATE);
    if (item.job().task_id() == "newer") answer.set_outcome(v1::REPLACED_WAITING);
    return answer;
  };
  const auto client = Open(Options());
  const auto all = client->SubmitAll(
      {Task("good"), Task("bad"), Task("twice"), Task("newer"), Task("").Runner("r")});
  ASSERT_EQ(all.size(), 5U);
  EXPECT_EQ(all[0]->outcome, SubmitOutcome::kAccepted);
  EXPECT_EQ(all[1].status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(all[1].status().message(), "task bad exists");
  EXPECT_EQ(all[2]->outcome, SubmitOutcome::kDuplicate);
  EXPECT_EQ(all[2]->job_id, "id-of-twice");
  EXPECT_EQ(all[3]->outcome, SubmitOutcome::kReplaced);
  EXPECT_EQ(all[4].status().code(), StatusCode::kInvalidArgument);
}

TEST_F(SubmitTest, OneRequestIsUnderWayAndTheNextCarriesWhatHasGathered) {
  const auto client = Open(Options());
  tracker_.SetMode(FakeTracker::Mode::kHold);
  std::atomic<int> done{0};
  std::vector<std::string> expected;
  for (int i = 0; i < 500; ++i) {
    client->SubmitAsync(Task("t" + std::to_string(i)), [&](const Result<SubmitReceipt>& receipt) {
      EXPECT_TRUE(receipt.ok());
      ++done;
      tracker_.Changed();
    });
    expected.push_back("+t" + std::to_string(i));
  }
  // A lone job waits for nobody: the first one is there alone.
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
  tracker_.Release();
  ASSERT_TRUE(tracker_.Await([&] { return done == 500; }));
  EXPECT_EQ(tracker_.Submits().size(), 2U);
  EXPECT_EQ(tracker_.SubmitsAtOnceMax(), 1);
  EXPECT_EQ(tracker_.Log(), expected);
}

TEST_F(SubmitTest, ARequestStaysWithinItsBounds) {
  const auto client = Open(Options());
  std::vector<lts::Job> jobs(4'500, Task("small"));
  for (int i = 0; i < 40; ++i) jobs.push_back(Task("big").Payload(std::string(60'000, 'x')));
  for (const auto& receipt : client->SubmitAll(jobs)) ASSERT_TRUE(receipt.ok());
  std::size_t count = 0;
  for (const v1::SubmitRequest& request : tracker_.Submits()) {
    EXPECT_LE(request.items_size(), 2'000);
    EXPECT_LE(request.ByteSizeLong(), (1U << 20) + 64 * 1024);
    count += static_cast<std::size_t>(request.items_size());
  }
  EXPECT_EQ(count, jobs.size());
}

TEST_F(SubmitTest, OverTheInFlightLimitAJobIsRefusedAtOnce) {
  JobClientOptions options = Options();
  options.submit_in_flight_max = 2;
  const auto client = Open(options);
  tracker_.SetMode(FakeTracker::Mode::kHold);
  std::promise<void> two;
  std::atomic<int> left{2};
  const auto done = [&](const Result<SubmitReceipt>& receipt) {
    EXPECT_TRUE(receipt.ok());
    if (--left == 0) two.set_value();
  };
  client->SubmitAsync(Task("a"), done);
  client->SubmitAsync(Task("b"), done);
  const auto third = client->Submit(Task("c"));
  EXPECT_EQ(third.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(third.status().message(), HasSubstr("job.submit.max.count"));
  tracker_.Release();
  two.get_future().wait();
}

TEST_F(SubmitTest, OverTheInFlightBytesAJobIsRefusedAtOnce) {
  JobClientOptions options = Options();
  options.submit_in_flight_bytes_max = 1 << 20;
  const auto client = Open(options);
  tracker_.SetMode(FakeTracker::Mode::kHold);
  Status refused;
  for (int i = 0; i < 20; ++i) {
    client->SubmitAsync(Task("a").Payload(std::string(60'000, 'x')),
                        [&](const Result<SubmitReceipt>& receipt) {
                          if (!receipt.ok()) refused = receipt.status();
                        });
  }
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("job.submit.max.bytes"));
  tracker_.Release();
}

TEST_F(SubmitTest, AListLongerThanTheLimitIsFedInBitByBit) {
  JobClientOptions options = Options();
  options.submit_in_flight_max = 10;
  const auto client = Open(options);
  const auto all = client->SubmitAll(std::vector<lts::Job>(105, Task("t")));
  ASSERT_EQ(all.size(), 105U);
  for (const auto& receipt : all) EXPECT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_TRUE(client->SubmitAll({}).empty());
}

TEST_F(SubmitTest, AListOfMoreBytesThanTheLimitIsFedInBitByBit) {
  JobClientOptions options = Options();
  options.submit_in_flight_bytes_max = 1 << 20;
  options.payload_bytes_max = 1 << 20;
  const auto client = Open(options);
  std::vector<lts::Job> jobs(200, Task("middle").Payload(std::string(16'000, 'x')));
  // More than half of the limit each.
  for (int i = 0; i < 3; ++i) jobs.push_back(Task("large").Payload(std::string(700'000, 'x')));
  for (const auto& receipt : client->SubmitAll(jobs)) {
    EXPECT_TRUE(receipt.ok()) << receipt.status().ToString();
  }
  EXPECT_EQ(tracker_.JobsSeen(), jobs.size());
}

TEST_F(SubmitTest, ManyThreadsGetTheirOwnAnswersAndEachKeepsItsOrder) {
  constexpr int kThreads = 64;
  constexpr int kJobs = 200;
  const auto client = Open(Options());
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<std::string> ids;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kJobs; ++i) {
        const auto receipt = client->Submit(Task(std::to_string(t) + ":" + std::to_string(i)));
        ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
        const std::lock_guard lock(mutex);
        ASSERT_TRUE(ids.insert(receipt->job_id).second);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(kThreads * kJobs));
  EXPECT_EQ(tracker_.SubmitsAtOnceMax(), 1);
  std::vector<int> next(kThreads);
  for (const v1::SubmitRequest& request : tracker_.Submits()) {
    for (const v1::SubmitItem& item : request.items()) {
      const std::string& task = item.job().task_id();
      const std::size_t colon = task.find(':');
      const auto thread = static_cast<std::size_t>(std::stoi(task.substr(0, colon)));
      EXPECT_EQ(std::stoi(task.substr(colon + 1)), next[thread]++);
    }
  }
}

TEST_F(SubmitTest, WithoutAJobTrackerTheErrorNamesItsAddress) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  const auto client = Open(Options());
  const auto receipt = client->Submit(Task("t"));
  EXPECT_EQ(receipt.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(receipt.status().message(), HasSubstr("one:1"));
}

TEST_F(SubmitTest, WithoutAnAnswerItEndsWithTheTimeOut) {
  tracker_.SetMode(FakeTracker::Mode::kSilent);
  JobClientOptions options = Options();
  options.submit_timeout = Milliseconds(20);
  const auto client = Open(options);
  EXPECT_EQ(client->Submit(Task("t")).status().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(SubmitTest, TheNextJobTrackerIsAskedAndToldThatItMayBeARepeat) {
  tracker_.down_addresses = {"one:1"};
  JobClientOptions options = Options();
  options.registry_address = "jobtracker://one:1,two:2";
  const auto client = Open(options);
  ASSERT_TRUE(client->Submit(Task("a")).ok());
  ASSERT_TRUE(client->Submit(Task("b")).ok());
  const auto submits = tracker_.Submits();
  ASSERT_EQ(submits.size(), 2U);
  EXPECT_TRUE(submits[0].items(0).maybe_sent());
  EXPECT_FALSE(submits[1].items(0).maybe_sent());  // it went to the second one at once
}

TEST_F(SubmitTest, WhileThePartitionHasNoOwnerTheJobIsSentAgainMarked) {
  std::vector<bool> marks;
  tracker_.on_submit = [&](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    marks.push_back(item.maybe_sent());
    if (marks.size() < 3) {
      answer.set_code(v1::UNAVAILABLE);
      answer.set_message("the partition is not served here at the moment");
    } else {
      answer.set_job_id(item.job().job_id());
    }
    return answer;
  };
  const auto client = Open(Options());
  const auto receipt = client->Submit(Task("t"));
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_THAT(marks, ElementsAre(false, true, true));
}

TEST_F(SubmitTest, ARefusalIsAnsweredWhileTheRestOfItsRequestIsSentAgain) {
  std::atomic<bool> owned{false};
  tracker_.on_submit = [&](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    answer.set_job_id(item.job().job_id());
    if (item.job().task_id() == "bad") answer.set_code(v1::ALREADY_EXISTS);
    if (item.job().task_id() == "early" && !owned) answer.set_code(v1::UNAVAILABLE);
    return answer;
  };
  std::atomic<int> count{0};
  const auto client = Open(Options());
  tracker_.SetMode(FakeTracker::Mode::kHold);
  client->SubmitAsync(Task("first"), [](const Result<SubmitReceipt>&) {});
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
  client->SubmitAsync(Task("early"), [&](const Result<SubmitReceipt>& receipt) {
    EXPECT_TRUE(receipt.ok()) << receipt.status().ToString();
    ++count;
    tracker_.Changed();
  });
  client->SubmitAsync(Task("bad"), [&](const Result<SubmitReceipt>& receipt) {
    EXPECT_EQ(receipt.status().code(), StatusCode::kAlreadyExists);
    ++count;
    tracker_.Changed();
  });
  tracker_.Release();
  ASSERT_TRUE(tracker_.Await([&] { return count == 1; }));
  owned = true;
  ASSERT_TRUE(tracker_.Await([&] { return count == 2; }));
}

TEST_F(SubmitTest, WithoutAnOwnerItEndsWithTheTimeOutAndWhatWasSaidLast) {
  tracker_.on_submit = [](const v1::SubmitItem&) {
    v1::SubmitAnswer answer;
    answer.set_code(v1::UNAVAILABLE);
    answer.set_message("the partition is not served here at the moment");
    return answer;
  };
  JobClientOptions options = Options();
  options.submit_timeout = Milliseconds(200);
  const auto client = Open(std::move(options));
  const auto receipt = client->Submit(Task("t"));
  EXPECT_EQ(receipt.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(receipt.status().message(), HasSubstr("not served here"));
  EXPECT_GT(tracker_.Submits().size(), 1U);
}

TEST_F(SubmitTest, ACancelKeepsItsPlaceAmongTheSubmits) {
  const auto client = Open(Options());
  tracker_.SetMode(FakeTracker::Mode::kHold);
  const auto ignore = [](const Result<SubmitReceipt>&) {};
  client->SubmitAsync(Task("first"), ignore);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
  client->SubmitAsync(Task("a"), ignore);
  std::thread canceller([&] {
    const CancelReceipt receipt = client->Cancel({"workers", "a"});
    EXPECT_TRUE(receipt.ok()) << receipt.status().ToString();
    EXPECT_EQ(receipt.state, JobState::kCancelled);
    EXPECT_EQ(receipt.job_id, "cancelled-id");
  });
  tracker_.Release();
  canceller.join();
  EXPECT_THAT(tracker_.Log(), ElementsAre("+first", "+a", "-a"));
}

TEST_F(SubmitTest, ACancelOfNothingIsNotFound) {
  tracker_.on_cancel = [](const v1::OperateRequest&) {
    v1::OperateResponse response;
    response.set_code(v1::NOT_FOUND);
    response.set_message("no job x");
    return response;
  };
  const auto client = Open(Options());
  EXPECT_EQ(client->CancelById("x").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(client->Cancel({"", ""}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(SubmitTest, CloseWaitsForAnswersAndRefusesWhatComesLater) {
  const auto client = Open(Options());
  tracker_.SetMode(FakeTracker::Mode::kHold);
  std::atomic<int> accepted{0};
  const auto count = [&](const Result<SubmitReceipt>& receipt) {
    accepted += receipt.ok() ? 1 : 0;
  };
  client->SubmitAsync(Task("a"), count);
  client->SubmitAsync(Task("b"), count);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
  std::thread closer([&] { client->Close(); });
  tracker_.Release();
  closer.join();
  EXPECT_EQ(accepted, 2);
  EXPECT_EQ(client->Submit(Task("c")).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(client->Cancel({"workers", "c"}).status().code(), StatusCode::kFailedPrecondition);
  client->Close();
}

TEST_F(SubmitTest, CloseWithoutAFailStoreFailsWhatIsNotAnswered) {
  JobClientOptions options = Options();
  options.shutdown_timeout = Milliseconds(10);
  const auto client = Open(options);
  tracker_.SetMode(FakeTracker::Mode::kHold);
  std::vector<StatusCode> codes;
  const auto note = [&](const Result<SubmitReceipt>& receipt) {
    codes.push_back(receipt.status().code());
  };
  client->SubmitAsync(Task("sent"), note);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
  client->SubmitAsync(Task("waiting"), note);
  client->Close();
  EXPECT_THAT(codes, ElementsAre(StatusCode::kDeadlineExceeded, StatusCode::kUnavailable));
}

TEST_F(SubmitTest, ACallbackMayUseTheClient) {
  const auto client = Open(Options());
  std::promise<bool> second;
  client->SubmitAsync(Task("a"), [&](const Result<SubmitReceipt>&) {
    second.set_value(client->Submit(Task("b")).ok());
  });
  EXPECT_TRUE(second.get_future().get());
}

}  // namespace
}  // namespace lts::jobclient

#include <gmock/gmock.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "client_fixture.h"
#include "jobclient/fail_records.h"

namespace lts::jobclient {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::FakeTracker;
using ::testing::HasSubstr;
using ::testing::Not;

class StoredTest : public ClientTest {
 protected:
  // Until nothing but parked records is left. The tracker's answer is recorded a moment after it
  // was given.
  void AwaitEmptyStore(JobClient& client) {
    const FailStore& store = *Access::Core(client).fail_store();
    ASSERT_TRUE(tracker_.Await([&] {
      tracker_.Changed();
      const FailStoreUsage usage = store.Usage();
      return usage.count == usage.parked;
    }));
  }
};

TEST_F(StoredTest, WithoutAJobTrackerAJobIsStoredAndSentWhenOneAnswers) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  const auto client = Open(StoringOptions());
  const auto receipt = client->Submit(Task("t"));
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->outcome, SubmitOutcome::kStored);
  EXPECT_EQ(client->fail_store_path(), folder_.Below("JOB_CLIENT/clients/0"));
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
  const v1::SubmitItem item = tracker_.Submits()[0].items(0);
  EXPECT_EQ(item.job().job_id(), receipt->job_id);
  EXPECT_TRUE(item.maybe_sent());
  EXPECT_EQ(tracker_.Submits()[0].node_group(), "clients");
}

TEST_F(StoredTest, AJobWithAnUnknownOutcomeIsStoredAndSentAgainUnderItsId) {
  JobClientOptions options = StoringOptions();
  options.submit_timeout = Milliseconds(20);
  tracker_.SetMode(FakeTracker::Mode::kSilent);
  const auto client = Open(options);
  const auto receipt = client->Submit(Task("t"));
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->outcome, SubmitOutcome::kStored);
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() >= 2; }));
  const auto submits = tracker_.Submits();
  EXPECT_FALSE(submits.front().items(0).maybe_sent());
  EXPECT_TRUE(submits.back().items(0).maybe_sent());
  EXPECT_EQ(submits.back().items(0).job().job_id(), receipt->job_id);
}

TEST_F(StoredTest, AnOverloadedJobTrackersAnswerStoresTheJob) {
  std::atomic<bool> full{true};
  tracker_.on_submit = [&](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    answer.set_job_id(item.job().job_id());
    if (full) answer.set_code(v1::RESOURCE_EXHAUSTED);
    return answer;
  };
  const auto client = Open(StoringOptions());
  const auto receipt = client->Submit(Task("t"));
  ASSERT_TRUE(receipt.ok());
  EXPECT_EQ(receipt->outcome, SubmitOutcome::kStored);
  full = false;
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() >= 2; }));
}

// What the first request is answered; from the second one on all is taken.
std::function<v1::SubmitAnswer(const v1::SubmitItem&)> FirstAnswers(std::vector<v1::Code> codes) {
  auto left = std::make_shared<std::vector<v1::Code>>(codes.rbegin(), codes.rend());
  return [left](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    answer.set_job_id(item.job().job_id());
    if (left->empty()) return answer;
    answer.set_code(left->back());
    left->pop_back();
    return answer;
  };
}

TEST_F(StoredTest, WhatStandsBehindAJobThatIsSentAgainGoesWithIt) {
  tracker_.on_submit = FirstAnswers({v1::UNAVAILABLE, v1::RESOURCE_EXHAUSTED, v1::OK});
  const auto client = Open(StoringOptions());
  const auto all = client->SubmitAll({Task("t").Priority(1), Task("t").Priority(2), Task("u")});
  for (const auto& receipt : all) {
    ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
    EXPECT_EQ(receipt->outcome, SubmitOutcome::kAccepted);
  }
  const auto submits = tracker_.Submits();
  ASSERT_EQ(submits.size(), 2U);
  ASSERT_EQ(submits[1].items_size(), 2);
  EXPECT_EQ(submits[1].items(0).job().job_id(), all[0]->job_id);
  EXPECT_EQ(submits[1].items(1).job().job_id(), all[1]->job_id);
}

TEST_F(StoredTest, WhatStandsBehindAStoredJobIsStoredAndTheRestSentAgain) {
  tracker_.on_submit = FirstAnswers({v1::RESOURCE_EXHAUSTED, v1::UNAVAILABLE, v1::UNAVAILABLE});
  const auto client = Open(StoringOptions());
  const auto all = client->SubmitAll({Task("t"), Task("t"), Task("u")});
  for (const auto& receipt : all) ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(all[0]->outcome, SubmitOutcome::kStored);
  EXPECT_EQ(all[1]->outcome, SubmitOutcome::kStored);
  EXPECT_EQ(all[2]->outcome, SubmitOutcome::kAccepted);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 6; }));
  std::vector<std::string> sent;
  for (const v1::SubmitRequest& request : tracker_.Submits()) {
    for (const v1::SubmitItem& item : request.items()) {
      if (item.job().task_id() == "t") sent.push_back(item.job().job_id());
    }
  }
  EXPECT_THAT(sent, ElementsAre(all[0]->job_id, all[1]->job_id, all[0]->job_id, all[1]->job_id));
}

TEST_F(StoredTest, AFailureInsideTheJobTrackerStoresTheJob) {
  std::atomic<bool> broken{true};
  tracker_.on_submit = [&](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    answer.set_job_id(item.job().job_id());
    if (broken) answer.set_code(v1::INTERNAL);
    return answer;
  };
  const auto client = Open(StoringOptions());
  const auto receipt = client->Submit(Task("t"));
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->outcome, SubmitOutcome::kStored);
  broken = false;
  AwaitEmptyStore(*client);
}

TEST_F(StoredTest, AJobAndACancelGoBehindTheStoredRecordOfTheirTask) {
  JobClientOptions options = StoringOptions();
  options.submit_timeout = Milliseconds(100);
  std::atomic<bool> full{true};
  tracker_.on_submit = [&](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    answer.set_job_id(item.job().job_id());
    if (full && item.job().task_id() == "a") answer.set_code(v1::RESOURCE_EXHAUSTED);
    return answer;
  };
  const auto client = Open(options);
  ASSERT_EQ(client->Submit(Task("a").Param("n", "1"))->outcome, SubmitOutcome::kStored);
  // Another task is not held up.
  EXPECT_EQ(client->Submit(Task("b"))->outcome, SubmitOutcome::kAccepted);
  const CancelReceipt cancel = client->Cancel({"workers", "a"});
  ASSERT_TRUE(cancel.ok());
  EXPECT_TRUE(cancel.stored);
  ASSERT_EQ(client->Submit(Task("a").Param("n", "2"))->outcome, SubmitOutcome::kStored);
  EXPECT_THAT(tracker_.Log(), Not(Contains("-a")));
  full = false;
  std::vector<std::string> order;
  ASSERT_TRUE(tracker_.Await([&] {
    order = tracker_.Log();
    order.erase(std::remove(order.begin(), order.end(), "+b"), order.end());
    return order.size() >= 4 && order.back() == "+a" && order[order.size() - 2] == "-a";
  }));
  const auto submits = tracker_.Submits();
  EXPECT_EQ(submits.back().items(0).job().params().at("n"), "2");
  // Everything is delivered: the next one goes straight there.
  AwaitEmptyStore(*client);
  EXPECT_EQ(client->Submit(Task("a").Param("n", "3"))->outcome, SubmitOutcome::kAccepted);
}

TEST_F(StoredTest, AJobGoesBehindTheRecordOfItsTaskThatADeadSiblingLeft) {
  std::atomic<bool> full{true};
  tracker_.on_submit = [&](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    answer.set_job_id(item.job().job_id());
    if (full && item.job().task_id() == "a") answer.set_code(v1::RESOURCE_EXHAUSTED);
    return answer;
  };
  const auto leave = [&](const std::string& number) {
    v1::Job job;
    job.set_job_id("left-" + number);
    job.set_task_id("a");
    job.set_task_tracker_node_group("workers");
    auto dead = OpenFailStore("leveldb", folder_.Below("JOB_CLIENT/clients/" + number), {});
    ASSERT_TRUE(dead.ok()) << dead.status().ToString();
    ASSERT_TRUE((*dead)->Put(FailKind::kSubmit, FailKey("workers", "a"), EncodeRecord(job)).ok());
  };
  leave("5");
  JobClientOptions options = StoringOptions();
  options.fail_store = "leveldb";
  options.submit_timeout = Milliseconds(100);
  options.fail_store_adopt_period = Milliseconds(100);
  const auto client = Open(options);
  const FailStore& store = *Access::Core(*client).fail_store();
  const auto holds = [&](std::int64_t count) {
    return tracker_.Await([&, count] {
      tracker_.Changed();
      return store.Usage().count == count;
    });
  };
  ASSERT_TRUE(holds(1));
  leave("9");  // while it runs
  ASSERT_TRUE(holds(2));
  EXPECT_EQ(client->Submit(Task("b"))->outcome, SubmitOutcome::kAccepted);
  const auto receipt = client->Submit(Task("a"));
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->outcome, SubmitOutcome::kStored);
  full = false;
  AwaitEmptyStore(*client);
  std::vector<std::string> order;
  for (const v1::SubmitRequest& request : tracker_.Submits()) {
    for (const v1::SubmitItem& item : request.items()) {
      if (item.job().task_id() != "a") continue;
      // Refused ones come again.
      if (order.empty() || order.back() != item.job().job_id())
        order.push_back(item.job().job_id());
    }
  }
  EXPECT_THAT(order, ElementsAre("left-5", "left-9", receipt->job_id));
}

TEST_F(StoredTest, WhatIsRefusedForGoodIsParkedAndBlocksNobody) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  tracker_.on_submit = [](const v1::SubmitItem& item) {
    v1::SubmitAnswer answer;
    answer.set_job_id(item.job().job_id());
    if (item.job().task_id() == "bad") answer.set_code(v1::TOO_OLD);
    return answer;
  };
  auto client = Open(StoringOptions());
  for (const char* task : {"a", "bad", "c"}) {
    ASSERT_EQ(client->Submit(Task(task))->outcome, SubmitOutcome::kStored);
  }
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() >= 3; }));
  EXPECT_THAT(tracker_.Log(), ElementsAre("+a", "+bad", "+c"));
  const std::string path = client->fail_store_path();
  AwaitEmptyStore(*client);
  client.reset();
  auto store = OpenFailStore("rocksdb", path, {});
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  const auto parked = (*store)->ListParked(10);
  ASSERT_TRUE(parked.ok());
  ASSERT_EQ(parked->size(), 1U);
  EXPECT_EQ(parked->front().key, "workers/bad");
  EXPECT_THAT(parked->front().parked_reason, HasSubstr("TOO_OLD"));
}

TEST_F(StoredTest, ADefiniteRefusalIsNotStored) {
  tracker_.on_submit = [](const v1::SubmitItem&) {
    v1::SubmitAnswer answer;
    answer.set_code(v1::INVALID_ARGUMENT);
    answer.set_message("runner x is unknown");
    return answer;
  };
  const auto client = Open(StoringOptions());
  const auto receipt = client->Submit(Task("t"));
  EXPECT_EQ(receipt.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(receipt.status().message(), "runner x is unknown");
}

TEST_F(StoredTest, AFullFailStoreIsAnErrorForTheCaller) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  JobClientOptions options = StoringOptions();
  options.fail_store_count_max = 1;
  const auto client = Open(options);
  EXPECT_EQ(client->Submit(Task("a"))->outcome, SubmitOutcome::kStored);
  const auto second = client->Submit(Task("b"));
  EXPECT_EQ(second.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(second.status().message(), HasSubstr("nor stored"));
}

TEST_F(StoredTest, ACancelIsNotKeptForAJobTrackerThatIsAway) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  const auto client = Open(StoringOptions());
  EXPECT_EQ(client->Cancel({"workers", "t"}).status().code(), StatusCode::kUnavailable);
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  ASSERT_TRUE(client->Submit(Task("t")).ok());
  EXPECT_THAT(tracker_.Log(), ElementsAre("+t"));
}

TEST_F(StoredTest, CloseStoresTheRestAndTheNextProcessSendsIt) {
  JobClientOptions options = StoringOptions();
  options.shutdown_timeout = Milliseconds(10);
  {
    const auto client = Open(options);
    tracker_.SetMode(FakeTracker::Mode::kHold);
    std::vector<SubmitOutcome> outcomes;
    const auto note = [&](const Result<SubmitReceipt>& receipt) {
      if (receipt.ok()) outcomes.push_back(receipt->outcome);
    };
    client->SubmitAsync(Task("sent"), note);
    ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
    client->SubmitAsync(Task("waiting"), note);
    client->SubmitAsync(Task("waiting"), note);
    client->Close();
    EXPECT_THAT(outcomes, ElementsAre(SubmitOutcome::kStored, SubmitOutcome::kStored,
                                      SubmitOutcome::kStored));
  }
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  const auto next = Open(options);
  std::vector<std::string> waiting;
  ASSERT_TRUE(tracker_.Await([&] {
    waiting = tracker_.Log();
    waiting.erase(std::remove(waiting.begin(), waiting.end(), "+sent"), waiting.end());
    return waiting.size() == 2;
  }));
  EXPECT_GE(tracker_.JobsSeen(), 4U);
  const auto submits = tracker_.Submits();
  for (std::size_t i = 1; i < submits.size(); ++i) {
    for (const v1::SubmitItem& item : submits[i].items()) EXPECT_TRUE(item.maybe_sent());
  }
}

TEST_F(StoredTest, AStoredCancelThatFindsNothingIsDoneWith) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  tracker_.on_cancel = [](const v1::OperateRequest&) {
    v1::OperateResponse response;
    response.set_code(v1::NOT_FOUND);
    return response;
  };
  auto client = Open(StoringOptions());
  ASSERT_EQ(client->Submit(Task("a"))->outcome, SubmitOutcome::kStored);
  ASSERT_TRUE(client->Cancel({"workers", "a"}).stored);
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  AwaitEmptyStore(*client);
  EXPECT_EQ(client->Submit(Task("a"))->outcome, SubmitOutcome::kAccepted);
  const std::string path = client->fail_store_path();
  client.reset();
  auto store = OpenFailStore("rocksdb", path, {});
  ASSERT_TRUE(store.ok());
  EXPECT_EQ((*store)->Usage().count, 0);
}

TEST_F(StoredTest, AStoredCancelIsOneOfTheJobItStandsBehind) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  std::vector<std::string> cancelled;
  tracker_.on_cancel = [&](const v1::OperateRequest& request) {
    cancelled.push_back(request.job_id());
    return v1::OperateResponse();
  };
  const auto client = Open(StoringOptions());
  ASSERT_EQ(client->Submit(Task("a"))->outcome, SubmitOutcome::kStored);
  ASSERT_EQ(client->Submit(Task("other"))->outcome, SubmitOutcome::kStored);
  const auto newest = client->Submit(Task("a").ReplaceOnExist());
  const CancelReceipt cancel = client->Cancel({"workers", "a"});
  ASSERT_TRUE(cancel.stored);
  EXPECT_EQ(cancel.job_id, newest->job_id);
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  AwaitEmptyStore(*client);
  EXPECT_THAT(cancelled, ElementsAre(newest->job_id));
}

TEST_F(StoredTest, ACancelByIdGoesBehindTheStoredSubmitOfThatId) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  std::vector<std::string> cancelled;
  tracker_.on_cancel = [&](const v1::OperateRequest& request) {
    cancelled.push_back(request.job_id());
    v1::OperateResponse response;
    response.set_code(v1::NOT_FOUND);
    return response;
  };
  JobClientOptions options = StoringOptions();
  options.submit_timeout = Milliseconds(200);
  const auto client = Open(options);
  ASSERT_EQ(client->Submit(Task("other"))->outcome, SubmitOutcome::kStored);
  const auto stored = client->Submit(Task("a"));
  const CancelReceipt cancel = client->CancelById(stored->job_id);
  ASSERT_TRUE(cancel.ok()) << cancel.status().ToString();
  EXPECT_TRUE(cancel.stored);
  EXPECT_EQ(cancel.job_id, stored->job_id);
  // One that is not there is the JobTracker's business.
  EXPECT_EQ(client->CancelById("nowhere").status().code(), StatusCode::kUnavailable);
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  AwaitEmptyStore(*client);
  EXPECT_THAT(tracker_.Log(), ElementsAre("+other", "+a", "-a"));
  EXPECT_THAT(cancelled, ElementsAre(stored->job_id));
}

TEST_F(StoredTest, AStoredCancelReachesTheJobThatItsSubmitWasADuplicateOf) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  tracker_.on_submit = [](const v1::SubmitItem&) {
    v1::SubmitAnswer answer;
    answer.set_outcome(v1::DUPLICATE);
    answer.set_job_id("the-older-one");
    return answer;
  };
  std::vector<std::string> cancelled;
  tracker_.on_cancel = [&](const v1::OperateRequest& request) {
    cancelled.push_back(request.job_id());
    return v1::OperateResponse();
  };
  const auto client = Open(StoringOptions());
  ASSERT_EQ(client->Submit(Task("a"))->outcome, SubmitOutcome::kStored);
  ASSERT_TRUE(client->Cancel({"workers", "a"}).stored);
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  AwaitEmptyStore(*client);
  EXPECT_THAT(cancelled, ElementsAre("the-older-one"));
}

TEST_F(StoredTest, AnAnswerThatComesWhileTheChannelsEndSendsNothingMore) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  tracker_.answers_at_the_end = true;
  JobClientOptions options = StoringOptions();
  options.registry_address = "jobtracker://one:1,two:2";
  auto client = Open(options);
  // Two of one task: the second is sent after the answer to the first.
  ASSERT_EQ(client->Submit(Task("a"))->outcome, SubmitOutcome::kStored);
  ASSERT_EQ(client->Submit(Task("a"))->outcome, SubmitOutcome::kStored);
  tracker_.SetDownAddresses({"one:1"});
  tracker_.SetMode(FakeTracker::Mode::kHold);
  ASSERT_TRUE(tracker_.Await([&] { return tracker_.JobsSeen() == 1; }));
  // The first channel, which ends first, is where the next request would go.
  tracker_.SetDownAddresses({"two:2"});
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  ASSERT_EQ(client->Submit(Task("b"))->outcome, SubmitOutcome::kAccepted);
  client.reset();
  EXPECT_THAT(tracker_.Log(), ElementsAre("+a", "+b"));
}

TEST(FailRecords, ReadBackAndRefuseWhatIsNotTheirs) {
  v1::Job job;
  job.set_task_id("t");
  const auto submit = DecodeRecord(EncodeRecord(job));
  ASSERT_TRUE(submit.ok());
  EXPECT_EQ(std::get<v1::Job>(*submit).task_id(), "t");
  v1::OperateRequest cancel;
  cancel.set_group("g");
  const auto decoded = DecodeRecord(EncodeRecord(cancel));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<v1::OperateRequest>(*decoded).group(), "g");
  EXPECT_EQ(DecodeRecord("").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeRecord("Xabc").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeRecord(std::string("S\x0a\xff", 3)).status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace lts::jobclient

#include "failstore/forwarder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/failstore/support.h"

namespace lts {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ForwarderTest : public ::testing::Test {
 protected:
  struct Call {
    std::vector<FailRecord> batch;
    Forwarder::Done done;
  };

  void Start(const ForwarderOptions& options = {}) {
    forwarder_ = std::make_unique<Forwarder>(
        *store_, FailKind::kSubmit, strand_,
        [this](std::vector<FailRecord> batch, Forwarder::Done done) {
          calls_.push_back({std::move(batch), std::move(done)});
        },
        options, [this] { ++empty_; });
  }
  void Put(const std::string& key, const std::string& bytes) {
    ASSERT_TRUE(store_->Put(FailKind::kSubmit, key, bytes).ok());
  }
  void Open() {
    forwarder_->WayOpen();
    strand_.RunReady();
  }
  std::vector<std::string> Sent(std::size_t call) const { return BytesOf(calls_.at(call).batch); }
  // Answers the last call: each record by its bytes, ok unless named.
  void Answer(const std::map<std::string, StatusCode>& codes = {}) {
    const Call call = calls_.back();
    std::vector<Status> statuses;
    for (const FailRecord& record : call.batch) {
      const auto it = codes.find(record.bytes);
      statuses.push_back(it == codes.end() ? Status::Ok() : Status(it->second, "says receiver"));
    }
    call.done(Status::Ok(), statuses);
    strand_.RunReady();
  }
  void Fail(StatusCode code) {
    const Call call = calls_.back();
    call.done(Status(code, "no"), {});
    strand_.RunReady();
  }

  TempFolder temp_;
  HandStrand strand_;
  std::unique_ptr<FailStore> store_ = OpenStore(temp_ / "s");
  std::vector<Call> calls_;
  int empty_ = 0;
  std::unique_ptr<Forwarder> forwarder_;
};

TEST_F(ForwarderTest, SendsNothingBeforeTheWayIsOpenThenInOrderOneBatchAtATime) {
  ForwarderOptions options;
  options.batch_records_max = 2;
  Start(options);
  for (const char* b : {"1", "2", "3"}) Put("k", b);
  forwarder_->Wake();
  strand_.RunReady();
  EXPECT_THAT(calls_, IsEmpty());
  Open();
  ASSERT_EQ(calls_.size(), 1U);
  EXPECT_THAT(Sent(0), ElementsAre("1", "2"));
  Put("k", "4");
  forwarder_->Wake();
  strand_.RunReady();
  EXPECT_EQ(calls_.size(), 1U);
  Answer();
  ASSERT_EQ(calls_.size(), 2U);
  EXPECT_THAT(Sent(1), ElementsAre("3", "4"));
  EXPECT_EQ(empty_, 0);
  Answer();
  EXPECT_EQ(empty_, 1);
  EXPECT_EQ(store_->Usage().count, 0);
  Put("k", "5");
  forwarder_->Wake();
  strand_.RunReady();
  EXPECT_THAT(Sent(2), ElementsAre("5"));
}

TEST_F(ForwarderTest, ABatchIsBoundedByBytesAndALargerRecordGoesAlone) {
  ForwarderOptions options;
  options.batch_bytes_max = 10;
  Start(options);
  for (const char* b : {"12345", "67890", "x", "a record above the limit", "y"}) Put("k", b);
  Open();
  EXPECT_THAT(Sent(0), ElementsAre("12345", "67890"));
  Answer();
  EXPECT_THAT(Sent(1), ElementsAre("x"));
  Answer();
  EXPECT_THAT(Sent(2), ElementsAre("a record above the limit"));
}

TEST_F(ForwarderTest, AnUnreachableReceiverKeepsAllAndIsTriedAgainWithGrowingJitteredWaits) {
  ForwarderOptions options;
  options.seed = 7;
  Start(options);
  Put("k", "1");
  Open();
  std::int64_t bound_us = 1'000'000;
  const StatusCode codes[] = {StatusCode::kUnavailable, StatusCode::kDeadlineExceeded,
                              StatusCode::kResourceExhausted, StatusCode::kPermissionDenied};
  for (std::size_t round = 0; round < 8; ++round) {
    ASSERT_EQ(calls_.size(), round + 1);
    Fail(codes[round % 4]);
    EXPECT_THAT(Waiting(*store_, FailKind::kSubmit), ElementsAre("1"));
    const std::int64_t wait_us = strand_.LongestWaitUs();
    EXPECT_GE(wait_us, bound_us / 2);
    EXPECT_LE(wait_us, bound_us);
    forwarder_->Wake();  // does not cut the wait short
    strand_.Advance(wait_us - 1);
    ASSERT_EQ(calls_.size(), round + 1);
    strand_.Advance(1);
    bound_us = std::min<std::int64_t>(bound_us * 2, 30'000'000);
  }
  Answer();
  EXPECT_EQ(empty_, 1);
  EXPECT_EQ(store_->Usage().count, 0);
  // A success begins the waits anew.
  Put("k", "2");
  forwarder_->Wake();
  strand_.RunReady();
  Fail(StatusCode::kUnavailable);
  EXPECT_LE(strand_.LongestWaitUs(), 1'000'000);
}

TEST_F(ForwarderTest, WayOpenEndsABackoffAndItsOldTimerDoesNothing) {
  Start();
  Put("k", "1");
  Open();
  Fail(StatusCode::kUnavailable);
  Open();
  ASSERT_EQ(calls_.size(), 2U);
  strand_.Advance(60'000'000);
  EXPECT_EQ(calls_.size(), 2U);
}

TEST_F(ForwarderTest, AfterWayClosedTheAnswerInFlightCountsAndNothingIsSentUntilWayOpen) {
  ForwarderOptions options;
  options.batch_records_max = 1;
  Start(options);
  Put("k", "1");
  Put("k", "2");
  Open();
  forwarder_->WayClosed();
  Answer();
  strand_.Advance(600'000'000);
  EXPECT_EQ(calls_.size(), 1U);
  EXPECT_THAT(Waiting(*store_, FailKind::kSubmit), ElementsAre("2"));
  Open();
  EXPECT_THAT(Sent(1), ElementsAre("2"));
}

TEST_F(ForwarderTest, WhatTheReceiverRefusesForGoodIsParkedWithItsWords) {
  const StatusCode codes[] = {
      StatusCode::kInvalidArgument,  StatusCode::kTooOld,        StatusCode::kFailedPrecondition,
      StatusCode::kPermissionDenied, StatusCode::kAlreadyExists, StatusCode::kNotFound,
      StatusCode::kDataLoss};
  Start();
  std::map<std::string, StatusCode> answer;
  for (const StatusCode code : codes) {
    Put("k", std::string(StatusCodeName(code)));
    answer[std::string(StatusCodeName(code))] = code;
  }
  Put("k", "good");
  Open();
  Answer(answer);
  EXPECT_THAT(Waiting(*store_, FailKind::kSubmit), IsEmpty());
  const auto parked = *store_->ListParked(100);
  ASSERT_EQ(parked.size(), std::size(codes));
  for (const FailRecord& record : parked) {
    EXPECT_EQ(record.parked_reason, record.bytes + ": says receiver");
  }
  EXPECT_EQ(empty_, 1);
}

TEST_F(ForwarderTest, ARecordWantedLaterIsKeptAndThoseBehindItAreAcknowledged) {
  ForwarderOptions options;
  options.batch_records_max = 2;
  Start(options);
  Put("a", "a1");
  Put("b", "b1");
  Put("a", "a2");  // depends on a1, which is kept
  Put("c", "c1");
  Open();
  Answer({{"a1", StatusCode::kResourceExhausted}});
  // The pass goes on behind the batch, without what has the key of a kept record.
  ASSERT_EQ(calls_.size(), 2U);
  EXPECT_THAT(Sent(1), ElementsAre("c1"));
  Answer();
  EXPECT_EQ(calls_.size(), 2U);
  EXPECT_EQ(empty_, 0);
  EXPECT_THAT(Waiting(*store_, FailKind::kSubmit), ElementsAre("a1", "a2"));
  strand_.Advance(1'000'000);
  ASSERT_EQ(calls_.size(), 3U);
  EXPECT_THAT(Sent(2), ElementsAre("a1", "a2"));
  Answer();
  EXPECT_EQ(empty_, 1);
}

TEST_F(ForwarderTest, APageFullOfRecordsWantedLaterBlocksNoneBehindUpToTheLimit) {
  ForwarderOptions options;
  options.batch_records_max = 1;
  options.passed_over_max = 3;
  Start(options);
  for (const char* b : {"1", "2", "3", "4"}) Put(b, b);
  Open();
  for (int i = 0; i < 3; ++i) Answer({{Sent(calls_.size() - 1)[0], StatusCode::kUnavailable}});
  EXPECT_EQ(calls_.size(), 3U);
  strand_.Advance(1'000'000);
  ASSERT_EQ(calls_.size(), 4U);
  EXPECT_THAT(Sent(3), ElementsAre("1"));
  Answer();
  EXPECT_THAT(Sent(4), ElementsAre("2"));
}

TEST_F(ForwarderTest, ABatchRefusedAsAWholeIsSentRecordByRecordToFindTheBadOne) {
  Start();
  for (const char* b : {"1", "bad", "3"}) Put("k", b);
  Open();
  Fail(StatusCode::kInvalidArgument);
  EXPECT_THAT(Sent(1), ElementsAre("1"));
  Answer();
  EXPECT_THAT(Sent(2), ElementsAre("bad"));
  Fail(StatusCode::kInvalidArgument);
  EXPECT_THAT(Sent(3), ElementsAre("3"));
  Answer();
  EXPECT_EQ(empty_, 1);
  ASSERT_EQ(store_->ListParked(10)->size(), 1U);
  EXPECT_EQ((*store_->ListParked(10))[0].bytes, "bad");
  // Together again afterwards.
  Put("k", "4");
  Put("k", "5");
  forwarder_->Wake();
  strand_.RunReady();
  EXPECT_THAT(Sent(4), ElementsAre("4", "5"));
}

TEST_F(ForwarderTest, AnAnswerWithTheWrongNumberOfStatusesForgetsNothing) {
  Start();
  Put("k", "1");
  Put("k", "2");
  Open();
  calls_.back().done(Status::Ok(), {Status::Ok()});
  strand_.RunReady();
  EXPECT_THAT(Waiting(*store_, FailKind::kSubmit), ElementsAre("1", "2"));
  EXPECT_GT(strand_.LongestWaitUs(), 0);
}

TEST_F(ForwarderTest, ASecondAnswerToTheSameBatchIsIgnored) {
  ForwarderOptions options;
  options.batch_records_max = 1;
  Start(options);
  Put("k", "1");
  Put("k", "2");
  Open();
  const Call first = calls_.back();
  Answer();
  first.done(Status::Ok(), {Status::Ok()});
  strand_.RunReady();
  EXPECT_THAT(Waiting(*store_, FailKind::kSubmit), ElementsAre("2"));
  EXPECT_EQ(calls_.size(), 2U);
}

TEST_F(ForwarderTest, AnUnparkedRecordIsFoundAlthoughThePassIsBeyondIt) {
  ForwarderOptions options;
  options.batch_records_max = 1;
  Start(options);
  for (const char* b : {"1", "2", "3"}) Put(b, b);
  const auto id = (*store_->Peek(FailKind::kSubmit, 1))[0].id;
  ASSERT_TRUE(store_->Park(id, "no").ok());
  Open();
  Answer();
  ASSERT_TRUE(store_->Unpark(id).ok());
  Answer();
  EXPECT_THAT(Sent(2), ElementsAre("1"));
  Answer();
  EXPECT_EQ(empty_, 1);
}

TEST_F(ForwarderTest, StopWaitsForTheAnswerInFlightRecordsItAndSendsNoMore) {
  ForwarderOptions options;
  options.batch_records_max = 1;
  Start(options);
  Put("k", "1");
  Put("k", "2");
  Open();
  int stopped = 0;
  forwarder_->Stop([&] { ++stopped; });
  strand_.RunReady();
  EXPECT_EQ(stopped, 0);
  Answer();
  EXPECT_EQ(stopped, 1);
  EXPECT_THAT(Waiting(*store_, FailKind::kSubmit), ElementsAre("2"));
  Open();
  forwarder_->Wake();
  strand_.RunReady();
  EXPECT_EQ(calls_.size(), 1U);
  // Again: at once.
  forwarder_->Stop([&] { ++stopped; });
  strand_.RunReady();
  EXPECT_EQ(stopped, 2);
}

TEST_F(ForwarderTest, AfterStopStoreAndForwarderMayGoWhileTimersAreStillPosted) {
  Start();
  Put("k", "1");
  Open();
  Fail(StatusCode::kUnavailable);
  bool stopped = false;
  forwarder_->Stop([&] { stopped = true; });
  strand_.RunReady();
  ASSERT_TRUE(stopped);
  forwarder_.reset();
  store_.reset();
  strand_.Advance(60'000'000);
  EXPECT_EQ(calls_.size(), 1U);
}

TEST_F(ForwarderTest, AStoreThatCannotRecordTheAnswerLeadsToARepeatNotToALoss) {
  Start();
  Put("k", "1");
  Open();
  ASSERT_TRUE(store_->Close().ok());
  Answer();
  EXPECT_EQ(calls_.size(), 1U);
  EXPECT_GT(strand_.LongestWaitUs(), 0);
  EXPECT_EQ(empty_, 0);
}

}  // namespace
}  // namespace lts

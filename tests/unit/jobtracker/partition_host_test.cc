// The shell of a partition where the simulator does not reach: results that the store refuses,
// limits, stops while the store is away.
#include "jobtracker/partition_host.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "store/memory/memory_store.h"
#include "unit/tasktracker/manual_strand.h"

namespace lts {
namespace {

class KeepingOutbox final : public Outbox {
 public:
  void Submitted(std::vector<core::SubmitReply> replies) override {
    for (core::SubmitReply& reply : replies) submitted.push_back(std::move(reply));
  }
  void Operated(std::vector<core::OperateReply>) override {}
  void ToWorker(core::WorkerSend message) override {
    for (core::Assignment& given : message.assignments) assigned.push_back(std::move(given));
    for (const core::AttemptRef& ref : message.acks) acks.push_back(ref);
  }
  void ToFeedback(core::FeedbackSend) override {}
  void Ended(const store::HistoryRow&) override {}
  void Reset(std::uint32_t, const Status& why) override { resets.push_back(why); }

  std::vector<core::SubmitReply> submitted;
  std::vector<core::Assignment> assigned;
  std::vector<core::AttemptRef> acks;
  std::vector<Status> resets;
};

class Host : public ::testing::Test {
 protected:
  Host() : strand_(clock_) {
    store::MemoryStoreOptions options;
    options.identity.partitions = 1;
    store_ = store::MakeMemoryStore(options, clock_);
  }

  void Start() {
    options_.owner = "tracker";
    host_ = std::make_unique<PartitionHost>(options_, *store_, strand_, strand_, strand_, clock_,
                                            outbox_);
    host_->Start(nullptr);
    strand_.Run();
    ASSERT_TRUE(host_->serving());
  }

  static core::SubmitItem Item(const model::JobId& id, const std::string& task,
                               std::size_t payload_bytes = 0) {
    model::JobSpec spec;
    spec.job_id = id.ToString();
    spec.group = "g";
    spec.task_id = task;
    spec.payload = std::string(payload_bytes, 'x');
    return {std::make_shared<model::JobSpec>(std::move(spec)), id, false};
  }
  model::JobId NewId() { return *model::JobId::Parse(ids_.Next(clock_.WallMs())); }

  // Before Start: the store has the end of this job.
  void HasEnded(const model::JobId& id, const std::string& task) {
    const auto lease = store_->Acquire(0, "tracker", "", 0);
    ASSERT_TRUE(lease.ok());
    store::HistoryRow ended;
    ended.key = {id, 0};
    ended.attempt = 1;
    ended.group = "g";
    ended.task_id = task;
    store::MutationBatch batch;
    batch.mutations.emplace_back(store::InsertHistory{ended});
    batch.next_seq = 1;
    ASSERT_TRUE(store_->Commit(0, lease->epoch, 1, batch).ok());
    ASSERT_TRUE(store_->Release(0, lease->epoch, true).ok());
  }
  void Submit(std::vector<core::SubmitItem> items) {
    core::SubmitEvent event;
    event.request = ++requests_;
    event.items = std::move(items);
    host_->Handle(std::move(event));
  }
  void Hello(const std::vector<core::AttemptRef>& results = {}) {
    core::HelloEvent event;
    event.stream = ++streams_;
    event.group = "g";
    event.identity = "w";
    event.incarnation = "1";
    event.number = streams_;
    event.capacity = 10;
    for (const core::AttemptRef& ref : results) {
      event.results.push_back({});
      event.results.back().ref = ref;
    }
    host_->Handle(std::move(event));
    strand_.Run();
  }
  void Report(const std::vector<core::AttemptRef>& refs) {
    core::WorkerEvent event;
    event.stream = streams_;
    for (const core::AttemptRef& ref : refs) {
      core::AttemptResult result;
      result.ref = ref;
      event.results.push_back(std::move(result));
    }
    host_->Handle(std::move(event));
    strand_.Run();
  }

  testing::ManualClock clock_;
  testing::ManualStrand strand_;
  std::unique_ptr<store::JobStore> store_;
  KeepingOutbox outbox_;
  PartitionHostOptions options_;
  UuidGenerator ids_{1};
  core::RequestId requests_ = 0;
  core::StreamId streams_ = 0;
  std::unique_ptr<PartitionHost> host_;
};

TEST_F(Host, AJobOfWhichTheStoreTakesNoEndIsLeftAloneAndTheOthersCount) {
  // A job that has ended already, and comes again later under an id that counts as new then.
  constexpr DurationMs kLaterMs = 120'000;
  const model::JobId twice = *model::JobId::Parse(ids_.Next(clock_.WallMs() + kLaterMs));
  ASSERT_NO_FATAL_FAILURE(HasEnded(twice, "twice"));

  Start();
  strand_.Advance(kLaterMs);
  const model::JobId once = NewId();
  Submit({Item(twice, "twice"), Item(once, "once")});
  strand_.Run();
  Hello();
  ASSERT_EQ(outbox_.assigned.size(), 2U);
  std::vector<core::AttemptRef> refs = {outbox_.assigned[0].ref, outbox_.assigned[1].ref};
  Report(refs);
  EXPECT_EQ(outbox_.resets.size(), 1U);  // refused together: nobody knows yet which it was
  EXPECT_TRUE(outbox_.acks.empty());

  strand_.Advance(1'000);
  Hello(refs);
  EXPECT_EQ(host_->counters().offenders, 1U);
  strand_.Advance(1'000);
  ASSERT_TRUE(host_->serving());
  // Its row is left alone from now on: the result is stale, and it is not given out again.
  outbox_.assigned.clear();
  Hello(refs);
  strand_.Advance(60'000);
  EXPECT_EQ(outbox_.acks, refs);
  EXPECT_TRUE(outbox_.assigned.empty());
  EXPECT_EQ(host_->counters().offenders, 1U);
  EXPECT_EQ(host_->counters().reloads, 2U);
  const store::JobRow row = store_->FindJobRows(twice)->at(0);
  EXPECT_EQ(host_->partition()->Explain(row, host_->now()).at(0).code, "STORE_REFUSES");
  const auto history = store_->FindHistory(once, 10);
  ASSERT_TRUE(history.ok());
  ASSERT_EQ(history->size(), 1U);
  EXPECT_EQ(history->at(0).state, model::JobState::kSucceeded);
}

TEST_F(Host, BytesThatWaitToBeStoredAreBounded) {
  options_.pending_bytes_max = 1'000;
  Start();
  Submit({Item(NewId(), "a", 600)});
  Submit({Item(NewId(), "b", 600)});
  ASSERT_EQ(outbox_.submitted.size(), 1U);
  EXPECT_EQ(outbox_.submitted[0].code, StatusCode::kResourceExhausted);
  EXPECT_NE(outbox_.submitted[0].message.find("partition.pending.bytes.max"), std::string::npos);
  strand_.Run();
  ASSERT_EQ(outbox_.submitted.size(), 2U);
  EXPECT_EQ(outbox_.submitted[1].code, StatusCode::kOk);
  Submit({Item(NewId(), "b", 600)});
  strand_.Run();
  ASSERT_EQ(outbox_.submitted.size(), 3U);
  EXPECT_EQ(outbox_.submitted[2].code, StatusCode::kOk);
  EXPECT_EQ(host_->counters().pending_bytes, 0U);
}

TEST_F(Host, WhatOneCommitGathersIsBounded) {
  options_.commit_mutations_max = 10;
  Start();
  const std::uint64_t before = host_->counters().commits;
  for (int i = 0; i < 100; ++i) Submit({Item(NewId(), "t" + std::to_string(i))});
  strand_.Run();
  EXPECT_EQ(outbox_.submitted.size(), 100U);
  EXPECT_GE(host_->counters().commits - before, 10U);
}

TEST_F(Host, StopFailsWhatIsOpenAndReleases) {
  Start();
  Submit({Item(NewId(), "a")});
  bool stopped = false;
  host_->Stop([&] { stopped = true; });
  strand_.Run();
  EXPECT_TRUE(stopped);
  ASSERT_EQ(outbox_.submitted.size(), 1U);  // the commit under way was waited for
  EXPECT_EQ(outbox_.submitted[0].code, StatusCode::kOk);
  ASSERT_FALSE(outbox_.resets.empty());
  const auto partitions = store_->Partitions();
  ASSERT_TRUE(partitions.ok());
  EXPECT_EQ(partitions->at(0).owner, "");
}

class Leased : public Host {
 protected:
  Leased() { options_.lease_ms = 1'000; }

  void LeaseEnds() { clock_.Set(clock_.MonotonicUs() + 2'000'000); }
  void Heartbeat() {
    core::WorkerEvent event;
    event.stream = streams_;
    event.heartbeat = 1;
    host_->Handle(std::move(event));
    strand_.Run();
  }
};

TEST_F(Leased, WhatIsAssignedElsewhereIsServedAsLongAsItsLeaseHolds) {
  Start();
  host_->Assign({5, true, true});
  host_->Assign({6, false, true});
  strand_.Run();
  EXPECT_TRUE(host_->serving());
}

// Cut off from the store it never hears that it is asked for.
TEST_F(Leased, WhatIsAssignedElsewhereIsGivenUpOnceItsLeaseHasEnded) {
  Start();
  Hello();
  host_->Assign({5, true, true});
  LeaseEnds();
  host_->Assign({6, false, true});
  EXPECT_FALSE(host_->serving());
  ASSERT_FALSE(outbox_.resets.empty());  // its TaskTrackers are free to find the new owner
  EXPECT_EQ(host_->HeldNow().epoch, 0U);
}

TEST_F(Leased, WhatIsAssignedElsewhereIsGivenUpWhenItsLeaseEnds) {
  Start();
  Hello();
  host_->Assign({5, true, true});
  host_->Assign({6, false, true});
  LeaseEnds();
  Heartbeat();
  EXPECT_FALSE(host_->serving());
  EXPECT_FALSE(outbox_.resets.empty());
}

// With the session to the registry over too, nobody could tell it that it was replaced; should it
// not be, it has it again as soon as the store answers.
TEST_F(Leased, WithoutARegistryWhatHasLapsedIsLetGoAndTakenBackFromTheStore) {
  Start();
  Hello();
  host_->Assign({5, true, true});
  host_->Assign({5, true, false});
  strand_.Run();
  EXPECT_TRUE(host_->serving());
  const std::uint64_t before = host_->epoch();
  LeaseEnds();
  Heartbeat();
  ASSERT_FALSE(outbox_.resets.empty());  // its TaskTrackers are free to find the new owner
  strand_.Advance(200);
  EXPECT_TRUE(host_->serving());
  EXPECT_GT(host_->epoch(), before);
}

// Somebody asked for it by an assignment of the time before, and nobody has cleared his name.
TEST_F(Leased, WithoutARegistryAnOldQuestionTakesNothing) {
  Start();
  host_->Assign({5, true, true});
  host_->Assign({5, true, false});
  host_->AskedBy("other", 4);
  strand_.Run();
  EXPECT_TRUE(host_->serving());
  host_->AskedBy("other", 6);
  strand_.Run();
  EXPECT_FALSE(host_->serving());
}

// A row that the store refuses makes the partition load anew; nobody else can have it meanwhile.
TEST_F(Leased, WithoutARegistryWhatIsLoadedAnewIsTakenBack) {
  constexpr DurationMs kLaterMs = 120'000;
  const model::JobId twice = *model::JobId::Parse(ids_.Next(clock_.WallMs() + kLaterMs));
  ASSERT_NO_FATAL_FAILURE(HasEnded(twice, "t"));

  Start();
  host_->Assign({5, true, false});
  strand_.Advance(kLaterMs);
  Submit({Item(twice, "t")});
  strand_.Run();
  Hello();
  ASSERT_EQ(outbox_.assigned.size(), 1U);
  const std::uint64_t before = host_->epoch();
  Report({outbox_.assigned[0].ref});  // of which the store takes no end
  strand_.Advance(200);
  EXPECT_FALSE(outbox_.resets.empty());
  EXPECT_TRUE(host_->serving());
  EXPECT_GT(host_->epoch(), before);
}

}  // namespace
}  // namespace lts

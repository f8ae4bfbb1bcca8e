// How a JobTracker learns that its store does not answer.
#include "jobtracker/lease_keeper.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "store/memory/memory_store.h"
#include "unit/tasktracker/manual_strand.h"

namespace lts {
namespace {

// The store looks at this clock within its calls: what happens meanwhile is put there.
class StoreSide final : public Clock {
 public:
  explicit StoreSide(const Clock& clock) : clock_(clock) {}
  std::int64_t MonotonicUs() const override { return clock_.MonotonicUs(); }
  TimeMs WallMs() const override {
    if (meanwhile) meanwhile();
    return clock_.WallMs();
  }
  std::function<void()> meanwhile;

 private:
  const Clock& clock_;
};

class IdleOutbox final : public Outbox {
 public:
  void Submitted(std::vector<core::SubmitReply>) override {}
  void Operated(std::vector<core::OperateReply>) override {}
  void ToWorker(core::WorkerSend) override {}
  void ToFeedback(core::FeedbackSend) override {}
  void Ended(const store::HistoryRow&) override {}
  void Reset(std::uint32_t, const Status&) override {}
};

class Keeper : public ::testing::Test {
 protected:
  Keeper() : looks_(clock_), core_(clock_), store_side_(clock_), store_clock_(clock_), routes_(1) {
    store::MemoryStoreOptions options;
    options.identity.partitions = 1;
    store_ = store::MakeMemoryStore(options, store_side_);
    host_ = std::make_unique<PartitionHost>(PartitionHostOptions{}, *store_, core_, core_, core_,
                                            clock_, outbox_);
    LeaseKeeperOptions keeping;
    keeping.owner = "tracker";
    keeping.lease_ms = 4'000;
    LeaseKeeper::Listeners listeners;
    listeners.on_store_answers = [this](bool answers) { told_.push_back(answers); };
    keeper_ = std::make_unique<LeaseKeeper>(keeping, *store_, looks_, clock_, store_clock_, routes_,
                                            std::vector<LeaseKeeper::Host>{{host_.get(), &core_}},
                                            std::move(listeners));
    keeper_->Start();
    looks_.Run();
    core_.Run();
  }

  testing::ManualClock clock_;
  testing::ManualStrand looks_;
  testing::ManualStrand core_;
  StoreSide store_side_;
  StoreClock store_clock_;
  Routes routes_;
  std::unique_ptr<store::JobStore> store_;
  IdleOutbox outbox_;
  std::unique_ptr<PartitionHost> host_;
  std::vector<bool> told_;
  std::unique_ptr<LeaseKeeper> keeper_;
};

TEST_F(Keeper, TellsThatTheStoreAnswersOnce) {
  for (int i = 0; i < 5; ++i) {
    looks_.Advance(1'000);
    core_.Run();
  }
  EXPECT_EQ(told_, std::vector<bool>{true});
}

TEST_F(Keeper, ACallThatHangsIsToldOfAfterALease) {
  std::vector<bool> during;
  store_side_.meanwhile = [&] {
    store_side_.meanwhile = nullptr;
    core_.Advance(6'000);
    during = told_;
  };
  looks_.Advance(1'000);
  EXPECT_EQ(during, (std::vector<bool>{true, false}));
  core_.Run();
  EXPECT_EQ(told_, (std::vector<bool>{true, false, true}));  // it came back with an answer
}

TEST_F(Keeper, APauseOfTheProcessIsNoSilenceOfTheStore) {
  clock_.Set(clock_.MonotonicUs() + 60'000'000);
  core_.Run();
  EXPECT_EQ(told_, std::vector<bool>{true});
}

}  // namespace
}  // namespace lts

// The rules of a stream without gRPC: what thread sanitizer can see in full (tests/tsan.supp).
#include "rpc/stream_core.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "common/strand.h"

namespace lts::rpc {
namespace {

struct Message {
  int sender = 0;
  int number = 0;
  std::size_t ByteSizeLong() const { return 10; }
};
using Core = StreamCore<Message, int>;
using Step = Core::Step;

// Drives a core as the reactors do; the "wire" reports the end of each write from a thread of its
// own.
class Driver {
 public:
  explicit Driver(int writes_that_succeed = 1 << 30) : writes_left_(writes_that_succeed) {}
  ~Driver() { wire_.Drain(); }

  void Start() { Run(core.Part(true)); }
  void Run(Step step) {
    for (;;) {
      switch (step) {
        case Step::kNone: return;
        case Step::kWrite: {
          EXPECT_EQ(under_way_.fetch_add(1), 0) << "two writes at a time";
          EXPECT_FALSE(released) << "a write after the release";
          wire_.Post([this, message = core.Front().first] {
            const bool ok = --writes_left_ >= 0;
            if (ok) written.push_back(*message);
            --under_way_;
            Run(core.Part(ok));
          });
          break;
        }
        case Step::kEnd:
          EXPECT_EQ(under_way_.fetch_add(1), 0) << "the end while a write is under way";
          wire_.Post([this] {
            ++ended;
            --under_way_;
            Run(core.Part(true));
          });
          break;
        case Step::kRelease:
          EXPECT_FALSE(released.exchange(true));
          release_.set_value();
          return;
      }
      step = core.Part(true);
    }
  }
  void AwaitRelease() {
    release_.get_future().wait();
    wire_.Drain();
  }

  Core core;
  std::vector<Message> written;  // the wire's; to be read after AwaitRelease
  std::atomic<int> ended = 0;
  std::atomic<bool> released = false;

 private:
  int writes_left_;
  std::atomic<int> under_way_ = 0;
  std::promise<void> release_;
  ThreadStrand wire_{"wire"};
};

void SendFromFourThreads(Driver* driver, int each) {
  std::vector<std::thread> senders;
  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([driver, sender, each] {
      for (int i = 0; i < each; ++i) driver->Run(driver->core.Push({sender, i}));
    });
  }
  for (std::thread& sender : senders) sender.join();
}

TEST(StreamCore, EverySendersMessagesAreWrittenInOrderThenTheEnd) {
  Driver driver;
  driver.Start();
  SendFromFourThreads(&driver, 2000);
  driver.Run(driver.core.Close());
  driver.Run(driver.core.Push({9, 9}));
  driver.AwaitRelease();
  EXPECT_EQ(driver.ended, 1);
  ASSERT_EQ(driver.written.size(), 8000U);
  int next[4] = {};
  for (const Message& message : driver.written) EXPECT_EQ(message.number, next[message.sender]++);
  EXPECT_EQ(driver.core.PendingBytes(), 0U);
}

TEST(StreamCore, NothingIsWrittenBeforeTheStart) {
  Driver driver;
  EXPECT_EQ(driver.core.Push({0, 0}), Step::kNone);
  EXPECT_EQ(driver.core.Close(), Step::kNone);
  EXPECT_EQ(driver.core.PendingBytes(), 10U);
  driver.Start();
  driver.AwaitRelease();
  EXPECT_EQ(driver.written.size(), 1U);
  EXPECT_EQ(driver.ended, 1);
}

TEST(StreamCore, AnAbandonedStreamIsReleasedOnceAndWritesNothingMore) {
  for (int round = 0; round < 50; ++round) {
    Driver driver;
    driver.Start();
    std::thread other([&] {
      if (round % 2 == 0) driver.Run(driver.core.Close());
      driver.Run(driver.core.Abandon());
    });
    SendFromFourThreads(&driver, 50);
    other.join();
    driver.AwaitRelease();
    EXPECT_EQ(driver.core.PendingBytes(), 0U);
    EXPECT_EQ(driver.core.Push({0, 0}), Step::kNone);
    EXPECT_EQ(driver.core.Close(), Step::kNone);
  }
}

TEST(StreamCore, AfterAFailedWriteWhatWaitsIsDropped) {
  Driver driver(3);
  driver.Start();
  SendFromFourThreads(&driver, 100);
  driver.Run(driver.core.Close());
  driver.AwaitRelease();
  EXPECT_EQ(driver.written.size(), 3U);
  EXPECT_EQ(driver.core.PendingBytes(), 0U);
}

TEST(StreamCore, TheHandleWaitsUntilOnClosedHasReturned) {
  for (int round = 0; round < 100; ++round) {
    Core core;
    int delivered = 0;
    int closed = 0;
    core.SetCallbacks({[&](int) { ++delivered; }, [&](const Status&) { ++closed; }});
    std::thread rpc([&] {
      for (int i = 0; i < 10; ++i) core.Deliver(i);
      core.Closed(Status::Ok());
    });
    core.AwaitClosed();
    EXPECT_EQ(delivered, 10);
    EXPECT_EQ(closed, 1);
    rpc.join();
  }
}

TEST(StreamCore, AHandleDestroyedInACallbackHearsNothingMore) {
  Core core;
  int delivered = 0;
  core.SetCallbacks({[&](int) {
                       ++delivered;
                       core.AwaitClosed();
                     },
                     [](const Status&) { FAIL() << "told although the handle is gone"; }});
  core.Deliver(1);
  core.Deliver(2);
  core.Closed(Status::Ok());
  EXPECT_EQ(delivered, 1);
}

}  // namespace
}  // namespace lts::rpc

#include "registry/callback_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

namespace lts::registry {
namespace {

TEST(CallbackGate, AClosedGateLetsNothingThrough) {
  ThreadStrand strand("gate");
  CallbackGate gate(strand);
  std::promise<void> go;
  strand.Post([&go] { go.get_future().wait(); });
  std::atomic<int> calls = 0;
  gate.Post([&calls] { ++calls; });
  gate.Close();
  go.set_value();
  strand.Drain();
  EXPECT_EQ(calls, 0);
}

TEST(CallbackGate, CloseWaitsForTheCallbackUnderWay) {
  ThreadStrand strand("gate");
  CallbackGate gate(strand);
  std::promise<void> begun;
  std::promise<void> go;
  std::atomic<bool> ended = false;
  gate.Post([&] {
    begun.set_value();
    go.get_future().wait();
    ended = true;
  });
  begun.get_future().wait();
  auto closed = std::async(std::launch::async, [&] {
    gate.Close();
    return ended.load();
  });
  go.set_value();
  EXPECT_TRUE(closed.get());
}

TEST(CallbackGate, CanBeClosedByItsOwnCallback) {
  ThreadStrand strand("gate");
  auto gate = std::make_unique<CallbackGate>(strand);
  std::atomic<int> calls = 0;
  gate->Post([&] {
    ++calls;
    gate->Post([&calls] { ++calls; });
    gate.reset();
  });
  strand.Drain();
  strand.Drain();
  EXPECT_EQ(calls, 1);
}

TEST(CallbackGate, AStrandThatWasStoppedDropsWhatComes) {
  ThreadStrand strand("gate");
  CallbackGate gate(strand);
  strand.Stop();
  gate.Post([] { FAIL(); });
  gate.Close();
}

}  // namespace
}  // namespace lts::registry

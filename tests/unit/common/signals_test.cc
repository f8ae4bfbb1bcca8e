#include "common/signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <future>

namespace lts {
namespace {

// Each case runs in a child process: signal masks and pending signals are of the whole process.
TEST(SignalsDeathTest, WaitReturnsTheSignalThatAsksForTheEnd) {
  EXPECT_EXIT(
      {
        BlockSignals();
        kill(getpid(), SIGTERM);
        std::_Exit(WaitForStopSignal({}) == SIGTERM ? 7 : 1);
      },
      ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(
      {
        BlockSignals();
        kill(getpid(), SIGINT);
        std::_Exit(WaitForStopSignal({}) == SIGINT ? 7 : 1);
      },
      ::testing::ExitedWithCode(7), "");
}

TEST(SignalsDeathTest, AHangupIsHandedOnAndDoesNotEndTheWait) {
  EXPECT_EXIT(
      {
        std::signal(SIGHUP, SIG_IGN);  // as nohup leaves it
        BlockSignals();
        int hangups = 0;
        kill(getpid(), SIGHUP);
        WaitForStopSignal([&] {
          ++hangups;
          kill(getpid(), SIGTERM);
        });
        std::_Exit(hangups == 1 ? 7 : 1);
      },
      ::testing::ExitedWithCode(7), "");
}

TEST(SignalsDeathTest, TheUsersSignalIsHandedOnAndCanEndTheWait) {
  EXPECT_EXIT(
      {
        BlockSignals();
        int signals = 0;
        kill(getpid(), SIGUSR1);
        const int end = WaitForStopSignal({}, [&] {
          ++signals;
          SendStopSignal();
        });
        std::_Exit(signals == 1 && end == SIGTERM ? 7 : 1);
      },
      ::testing::ExitedWithCode(7), "");
}

TEST(SignalsDeathTest, ASecondInterruptEndsTheProcess) {
  EXPECT_EXIT(
      {
        BlockSignals();
        kill(getpid(), SIGTERM);
        WaitForStopSignal({});
        raise(SIGINT);
        std::_Exit(1);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST(SignalsDeathTest, AnyThreadMayAskForTheEnd) {
  EXPECT_EXIT(
      {
        BlockSignals();
        auto asked = std::async(std::launch::async, [] { kill(getpid(), SIGTERM); });
        std::_Exit(WaitForStopSignal({}) == SIGTERM ? 7 : 1);
      },
      ::testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace lts

#include "tasktracker/resource_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/temp_folder.h"
#include "tasktracker/host_load.h"

namespace lts::tasktracker {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Optional;

TEST(ResourceGate, IsOpenBelowItsMaxima) {
  ResourceGate gate({90, 80});
  EXPECT_TRUE(gate.open());
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(gate.Look({90, 80}));
  EXPECT_TRUE(gate.open());
  EXPECT_EQ(gate.reason(), "");
}

TEST(ResourceGate, MemoryAboveItsMaximumClosesItAtOnce) {
  ResourceGate gate({90, 80});
  EXPECT_TRUE(gate.Look({10, 80.5}));
  EXPECT_FALSE(gate.open());
  EXPECT_EQ(gate.reason(), "memory in use: 80.5 % (lb.memoryUsedRate.max=80)");
  EXPECT_FALSE(gate.Look({10, 81}));
  EXPECT_THAT(gate.reason(), HasSubstr("81.0 %"));
}

TEST(ResourceGate, ABurstOnTheProcessorDoesNotCloseIt) {
  ResourceGate gate({90, 90});
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(gate.Look({100, 10})) << i;
  EXPECT_FALSE(gate.Look({10, 10}));
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(gate.Look({100, 10})) << i;
  EXPECT_TRUE(gate.Look({100, 10}));
  EXPECT_THAT(gate.reason(), HasSubstr("processor in use: 100.0 % (lb.cpuUsedRate.max=90)"));
}

TEST(ResourceGate, OpensOnlyClearlyBelow) {
  ResourceGate gate({90, 90});
  EXPECT_TRUE(gate.Look({{}, 91}));
  EXPECT_FALSE(gate.Look({{}, 89}));
  EXPECT_FALSE(gate.Look({{}, 85.1}));
  EXPECT_FALSE(gate.open());
  EXPECT_TRUE(gate.Look({{}, 85}));
  EXPECT_TRUE(gate.open());
  EXPECT_FALSE(gate.Look({{}, 89}));
}

TEST(ResourceGate, EachOfThemKeepsItClosed) {
  ResourceGate gate({90, 90});
  for (int i = 0; i < 5; ++i) gate.Look({95, 95});
  EXPECT_THAT(gate.reason(), ::testing::AllOf(HasSubstr("processor"), HasSubstr("memory")));
  EXPECT_FALSE(gate.Look({95, 10}));
  EXPECT_TRUE(gate.cpu_over());
  EXPECT_FALSE(gate.memory_over());
  bool changed = false;
  for (int i = 0; i < 5; ++i) changed = gate.Look({10, 10}) || changed;
  EXPECT_TRUE(changed);
  EXPECT_TRUE(gate.open());
}

TEST(ResourceGate, WhatCannotBeToldClosesNothing) {
  ResourceGate gate({90, 90});
  for (int i = 0; i < 6; ++i) EXPECT_FALSE(gate.Look({}));
  EXPECT_TRUE(gate.Look({{}, 99}));
  EXPECT_TRUE(gate.Look({}));
  EXPECT_TRUE(gate.open());
}

TEST(ResourceGate, OptionsAreSharesOrPercentages) {
  EXPECT_EQ(PercentOf(0.9), 90);
  EXPECT_EQ(PercentOf(1), 100);
  EXPECT_EQ(PercentOf(90), 90);
}

class HostLoadTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::string whole = folder_.Below(path.substr(1));
    std::filesystem::create_directories(whole.substr(0, whole.rfind('/')));
    std::ofstream(whole) << text;
  }
  std::string Root() const { return folder_.path(); }
  testing::TempFolder folder_;
};

TEST_F(HostLoadTest, CountsWhatTheHostUses) {
  Write("/proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1 1\n");
  Write("/proc/meminfo", "MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  250 kB\n");
  HostLoad host(Root());
  ResourceUse use = host.Look(0);
  EXPECT_FALSE(use.cpu);
  EXPECT_THAT(use.memory, Optional(DoubleNear(75, 0.01)));
  Write("/proc/stat", "cpu  130 10 110 720 130 5 5 0 50 0\n");
  use = host.Look(1'000'000);
  // 60 of 110 ticks; waiting for disks is not use, and guests are among the users.
  EXPECT_THAT(use.cpu, Optional(DoubleNear(100.0 * 60 / 110, 0.01)));
}

TEST_F(HostLoadTest, ALimitedControlGroupCountsWhenItIsScarcer) {
  Write("/proc/stat", "cpu  0 0 0 1000 0 0 0 0 0 0\n");
  Write("/proc/meminfo", "MemTotal:  1000 kB\nMemAvailable:  900 kB\n");
  Write("/proc/self/cgroup", "0::/pod/box\n");
  const std::string top = "/sys/fs/cgroup/pod";
  Write(top + "/cpu.max", "200000 100000\n");
  Write(top + "/cpu.stat", "usage_usec 1000000\nuser_usec 1\n");
  Write(top + "/memory.max", "max\n");
  Write(top + "/memory.current", "999999\n");
  Write(top + "/box/cpu.max", "max 100000\n");
  Write(top + "/box/cpu.stat", "usage_usec 1\n");
  Write(top + "/box/memory.max", "1000\n");
  Write(top + "/box/memory.current", "900\n");
  Write(top + "/box/memory.stat", "anon 1\ninactive_file 100\n");
  HostLoad host(Root());
  ResourceUse use = host.Look(5'000'000);
  EXPECT_FALSE(use.cpu);
  EXPECT_THAT(use.memory, Optional(DoubleNear(80, 0.01)));
  Write(top + "/cpu.stat", "usage_usec 4000000\n");
  Write("/proc/stat", "cpu  1 0 0 1099 0 0 0 0 0 0\n");
  use = host.Look(7'000'000);
  // 3 s of the 4 that two processors have in 2 s.
  EXPECT_THAT(use.cpu, Optional(DoubleNear(75, 0.01)));
}

TEST_F(HostLoadTest, WhatIsMissingOrOddIsNotTold) {
  HostLoad none(Root());
  EXPECT_FALSE(none.Look(0).memory);
  Write("/proc/stat", "cpu  a b\n");
  Write("/proc/meminfo", "MemTotal:  x kB\n");
  HostLoad odd(Root());
  odd.Look(0);
  const ResourceUse use = odd.Look(1);
  EXPECT_FALSE(use.cpu);
  EXPECT_FALSE(use.memory);
}

TEST(HostLoad, OfThisHostCanBeTold) {
  HostLoad host;
  EXPECT_TRUE(host.Look(0).memory);
}

}  // namespace
}  // namespace lts::tasktracker

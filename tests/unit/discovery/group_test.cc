#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "discovery/group_teller.h"
#include "discovery/nodes_poll.h"
#include "support/fake_tracker.h"
#include "support/heard.h"

namespace lts::discovery {
namespace {

using ::testing::ElementsAre;
using testing::FakeTracker;
using testing::Heard;

NodeInfo Info(const std::string& identity, const std::string& version = "1") {
  NodeInfo info;
  info.node_type = "JOB_CLIENT";
  info.group = "g";
  info.identity = identity;
  info.version = version;
  return info;
}

std::string Text(const NodeInfo& node, NodeChange change) {
  constexpr const char* kSigns[] = {"+", "-", "~"};
  return kSigns[static_cast<int>(change)] + node.identity + node.version;
}

TEST(GroupTeller, TellsWhatDiffers) {
  Heard<std::string> heard;
  GroupTeller teller(
      {nullptr, [&](const NodeInfo& node, NodeChange change) { heard.Add(Text(node, change)); }});
  const auto told = [&](const std::vector<std::string>& wanted) {
    return heard.AwaitAll([&](const auto& all) { return all == wanted; });
  };
  teller.SetNodes({Info("a"), Info("b")});
  ASSERT_TRUE(told({"+a1", "+b1"}));
  teller.SetNodes({Info("b"), Info("a")});
  teller.SetNodes({Info("b", "2"), Info("c")});
  ASSERT_TRUE(told({"+a1", "+b1", "-a1", "~b2", "+c1"}));
  teller.SetNodes({});
  ASSERT_TRUE(told({"+a1", "+b1", "-a1", "~b2", "+c1", "-b2", "-c1"}));
}

TEST(GroupTeller, WhatHappensDuringACallIsToldAsOne) {
  std::promise<void> entered;
  std::promise<void> release;
  Heard<std::string> heard;
  GroupTeller teller({[&, first = true](const NodeInfo& master, bool is_me) mutable {
                        if (std::exchange(first, false)) {
                          entered.set_value();
                          release.get_future().wait();
                        }
                        heard.Add(master.identity + (is_me ? " me" : ""));
                      },
                      nullptr});
  teller.SetMaster(Info("a"), false);
  entered.get_future().wait();
  teller.SetMaster(Info("b"), false);
  teller.SetMaster(std::nullopt, false);
  teller.SetMaster(Info("c"), true);
  release.set_value();
  ASSERT_TRUE(heard.Await([](const std::string& last) { return last == "c me"; }));
  EXPECT_THAT(heard.All(), ElementsAre("a", "c me"));
}

v1::NodeInfo Wire(const std::string& type, const std::string& group, const std::string& identity,
                  bool master) {
  v1::NodeInfo node;
  node.set_node_type(type);
  node.set_group(group);
  node.set_identity(identity);
  node.set_version("1");
  node.set_master(master);
  return node;
}

TEST(NodesPoll, AsksAJobTrackerWhoIsThere) {
  FakeTracker tracker;
  std::atomic<bool> two_is_there{true};
  tracker.on_nodes = [&](const v1::NodesRequest&) {
    v1::NodesResponse response;
    *response.add_nodes() = Wire("JOB_TRACKER", "g", "jt", true);
    *response.add_nodes() = Wire("JOB_CLIENT", "other", "x", true);
    if (two_is_there) *response.add_nodes() = Wire("JOB_CLIENT", "g", "two", true);
    *response.add_nodes() = Wire("JOB_CLIENT", "g", "one", !two_is_there);
    return response;
  };
  tracker.SetDownAddresses({"a:1"});  // the next one is asked
  Heard<std::string> heard;
  GroupTeller teller(
      {[&](const NodeInfo& master, bool is_me) {
         heard.Add("master " + master.identity + (is_me ? " me" : ""));
       },
       [&](const NodeInfo& node, NodeChange change) { heard.Add(Text(node, change)); }});
  ThreadStrand strand("poll");
  NodesPollOptions options;
  options.addresses = {"a:1", "b:2"};
  options.node_type = "JOB_CLIENT";
  options.group = "g";
  options.identity = "one";
  options.interval_ms = 1;
  const NodesPoll poll(options, tracker.Factory(), teller, strand);
  ASSERT_TRUE(heard.AwaitAll([](const auto& all) { return all.size() == 3; }));
  EXPECT_THAT(heard.All(), ElementsAre("+two1", "+one1", "master two"));
  two_is_there = false;
  ASSERT_TRUE(heard.AwaitAll([](const auto& all) { return all.size() == 5; }));
  EXPECT_EQ(heard.All()[3], "-two1");
  EXPECT_EQ(heard.All()[4], "master one me");
  strand.Stop();
}

}  // namespace
}  // namespace lts::discovery

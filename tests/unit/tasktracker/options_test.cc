#include "tasktracker/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace lts::tasktracker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(TaskTrackerOptions, TakesTheShippedKeys) {
  const testing::TempFolder folder;
  const std::string path = folder.Write(
      "tasktracker.cfg",
      "registryAddress=jobtracker://127.0.0.1:35001\nnodeGroup=demo\nworkThreads=10\n"
      "runner.plugins=lib/plugins/*.so\nrunner.exec.enable=true\n"
      "runner.exec.allow=/usr/bin/sha256sum\nrunner.word_count.max_bytes=1m\nbizLoggerLevel=WARN\n"
      "configs.job.fail.store=leveldb\ntasktracker.stop.working.enable=false\n");
  const OptionTable table(Daemon::kTaskTracker, OptionRows());
  const auto loaded = table.Load({{}, {}, path});
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const lts::TaskTrackerOptions options = OptionsFrom(*loaded, "/home/lts", "n1");
  EXPECT_EQ(options.node_group, "demo");
  EXPECT_EQ(options.work_threads, 10);
  EXPECT_THAT(options.plugins, ElementsAre("lib/plugins/*.so"));
  EXPECT_EQ(options.plugin_folder, "/home/lts");
  EXPECT_TRUE(options.exec_enable);
  EXPECT_THAT(options.exec_allow, ElementsAre("/usr/bin/sha256sum"));
  EXPECT_EQ(options.runner_config.at("runner.word_count.max_bytes"), "1m");
  EXPECT_EQ(options.biz_logger_level, "WARN");
  EXPECT_EQ(options.fail_store, "leveldb");
  EXPECT_FALSE(options.stop_working);
  EXPECT_EQ(options.data_path, "/home/lts/data/n1");
  EXPECT_TRUE(CheckOptions(options).ok());
}

TEST(TaskTrackerOptions, IsolateRunners) {
  const testing::TempFolder folder;
  const OptionTable table(Daemon::kTaskTracker, OptionRows());
  const auto none = table.Load({{}, {}, folder.Write("none.cfg", "nodeGroup=g\n")});
  ASSERT_TRUE(none.ok()) << none.status().ToString();
  lts::TaskTrackerOptions options = OptionsFrom(*none, "/home/lts", "n1");
  EXPECT_EQ(options.isolation, "process");
  EXPECT_EQ(options.runner_host, "");
  EXPECT_EQ(options.runner_memory_limit, 0);
  const auto loaded = table.Load(
      {{},
       {},
       folder.Write("tasktracker.cfg",
                    "runner.isolation=thread\nrunner.a.isolation=process\nrunner.a.limit.cpu=3s\n"
                    "runner.host.program=bin/host\nrunner.host.idle=5s\nrunner.limit.memory=2GiB\n"
                    "runner.limit.cpu=1500ms\nrunner.limit.files=64\n")});
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  options = OptionsFrom(*loaded, "/home/lts", "n1");
  EXPECT_EQ(options.isolation, "thread");
  EXPECT_EQ(options.runner_host, "/home/lts/bin/host");
  EXPECT_EQ(options.runner_host_idle, std::chrono::seconds(5));
  EXPECT_EQ(options.runner_memory_limit, 2LL << 30);
  EXPECT_EQ(options.runner_cpu_limit, std::chrono::seconds(2));
  EXPECT_EQ(options.runner_files_limit, 64);
  EXPECT_THAT(options.runner_config, ElementsAre(::testing::Pair("runner.a.isolation", "process"),
                                                 ::testing::Pair("runner.a.limit.cpu", "3s")));
}

TEST(TaskTrackerOptions, BoundsAreChecked) {
  lts::TaskTrackerOptions options;
  options.node_group = "g";
  options.data_path = "/d";
  EXPECT_TRUE(CheckOptions(options).ok());
  options.work_threads = 0;
  EXPECT_THAT(CheckOptions(options).message(), HasSubstr("work_threads"));
  options.work_threads = 1;
  options.node_group = "../g";
  EXPECT_THAT(CheckOptions(options).message(), HasSubstr("node_group"));
}

TEST(TaskTrackerOptions, BusinessLogLevels) {
  EXPECT_EQ(*BizLogLevel("DEBUG"), 0);
  EXPECT_EQ(*BizLogLevel("NO"), 4);
  EXPECT_FALSE(BizLogLevel("info").ok());
}

TEST(TaskTrackerOptions, NameTheClusterInZooKeeper) {
  const testing::TempFolder folder;
  const OptionTable table(Daemon::kTaskTracker, OptionRows());
  folder.Write("digest", "lts:secret\n");
  const auto loaded =
      table.Load({{},
                  {},
                  folder.Write("tasktracker.cfg",
                               "registryAddress=zookeeper://h1:2181,h2:2181\nclusterName=shop\n"
                               "zk.session.timeout=10s\nzk.digest_file=digest\n")});
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_THAT(loaded->Describe(), Not(HasSubstr("lts:secret")));
  lts::TaskTrackerOptions options = OptionsFrom(*loaded, "/home/lts", "n1");
  EXPECT_EQ(options.registry_address, "zookeeper://h1:2181,h2:2181");
  EXPECT_EQ(options.cluster_name, "shop");
  EXPECT_EQ(options.zk_session_timeout, std::chrono::seconds(10));
  EXPECT_EQ(options.zk_digest, "lts:secret");
  EXPECT_TRUE(CheckOptions(options).ok());
  options.zk_session_timeout = std::chrono::milliseconds(1);
  EXPECT_THAT(CheckOptions(options).message(), HasSubstr("zk_session_timeout"));
}

TEST(TaskTrackerOptions, NameTheTokenAndTheFilesOfTls) {
  const testing::TempFolder folder;
  const OptionTable table(Daemon::kTaskTracker, OptionRows());
  folder.Write("lts.token", "0123456789abcdef\n");
  const auto loaded = table.Load(
      {{},
       {},
       folder.Write("tasktracker.cfg",
                    "security.token_file=lts.token\nsecurity.tls.ca=conf/ca.pem\n"
                    "security.tls.cert=/etc/lts/cert.pem\nsecurity.tls.key=conf/key.pem\n"
                    "security.insecure=true\n")});
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_THAT(loaded->Describe(), Not(HasSubstr("0123456789abcdef")));
  EXPECT_THAT(loaded->notices(), Contains(HasSubstr("security.insecure")));
  lts::TaskTrackerOptions options = OptionsFrom(*loaded, "/home/lts", "n1");
  EXPECT_EQ(options.token, "0123456789abcdef");
  EXPECT_EQ(options.tls_ca, "/home/lts/conf/ca.pem");
  EXPECT_EQ(options.tls_cert, "/etc/lts/cert.pem");
  EXPECT_EQ(options.tls_key, "/home/lts/conf/key.pem");
  EXPECT_THAT(CredentialsFrom(options).status().message(), HasSubstr("/home/lts/conf/ca.pem"));
}

}  // namespace
}  // namespace lts::tasktracker

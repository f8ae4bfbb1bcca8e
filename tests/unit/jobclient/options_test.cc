#include <gmock/gmock.h>

#include "client_fixture.h"

namespace lts::jobclient {
namespace {

using ::testing::HasSubstr;

using OptionsTest = ClientTest;

TEST_F(OptionsTest, AFileGivesTheOptions) {
  const std::string path = folder_.Write("jobclient.cfg",
                                         "registryAddress=jobtracker://h:7\nnodeGroup=shop\n"
                                         "dataPath=/var/lib/shop\nconfigs.job.submit.timeout=3s\n");
  const auto options = JobClientOptions::FromFile(path);
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->registry_address, "jobtracker://h:7");
  EXPECT_EQ(options->node_group, "shop");
  EXPECT_EQ(options->data_path, "/var/lib/shop");
  EXPECT_EQ(options->fail_store, "rocksdb");
  EXPECT_EQ(options->submit_timeout, std::chrono::seconds(3));
}

TEST_F(OptionsTest, TheOtherEnginesOfTheFailStore) {
  const auto engine = [&](const std::string& line) {
    return JobClientOptions::FromFile(folder_.Write("c", line + "\n"));
  };
  EXPECT_EQ(engine("configs.job.fail.store=leveldb")->fail_store, "leveldb");
  EXPECT_EQ(engine("job.fail.store=none")->fail_store, "");
  EXPECT_THAT(engine("job.fail.store=berkeleydb").status().message(),
              HasSubstr("use rocksdb or leveldb"));
}

TEST_F(OptionsTest, AFileWithMistakesOrNoFileIsAnError) {
  EXPECT_EQ(JobClientOptions::FromFile(folder_.Below("none")).status().code(),
            StatusCode::kNotFound);
  const auto wrong =
      JobClientOptions::FromFile(folder_.Write("c", "nodeGruop=x\njob.submit.timeout=no\n"));
  EXPECT_EQ(wrong.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(wrong.status().message(), HasSubstr("nodeGroup"));
  EXPECT_THAT(wrong.status().message(), HasSubstr("job.submit.timeout"));
}

TEST_F(OptionsTest, OpenRefusesWhatCannotWork) {
  const auto message = [&](JobClientOptions options) {
    const auto opened = Access::Open(std::move(options), tracker_.Factory());
    EXPECT_EQ(opened.status().code(), StatusCode::kInvalidArgument);
    return opened.status().message();
  };
  JobClientOptions options = Options();
  options.registry_address = "jobtracker://h";
  EXPECT_THAT(message(options), HasSubstr("no port"));
  options = Options();
  options.fail_store = "rocksdb";
  EXPECT_THAT(message(options), HasSubstr("data_path"));
  options.fail_store = "nosuch";
  options.data_path = folder_.path();
  EXPECT_THAT(message(options), HasSubstr("rocksdb"));
  options = Options();
  options.node_group = "a/b";
  EXPECT_THAT(message(options), HasSubstr("node_group"));
  options = Options();
  options.submit_timeout = Milliseconds(0);
  EXPECT_THAT(message(options), HasSubstr("submit_timeout"));
}

TEST_F(OptionsTest, AZooKeeperRegistryIsNotInThisBuild) {
  JobClientOptions options = Options();
  options.registry_address = "zookeeper://h:2181";
  const auto opened = Access::Open(options, tracker_.Factory());
  EXPECT_EQ(opened.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(opened.status().message(), HasSubstr("no ZooKeeper registry"));
}

TEST_F(OptionsTest, ASecondProcessOfTheGroupTakesTheNextFolder) {
  const auto first = Open(StoringOptions());
  const auto second = Open(StoringOptions());
  EXPECT_EQ(first->fail_store_path(), folder_.Below("JOB_CLIENT/clients/0"));
  EXPECT_EQ(second->fail_store_path(), folder_.Below("JOB_CLIENT/clients/1"));
}

}  // namespace
}  // namespace lts::jobclient

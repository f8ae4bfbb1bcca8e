#include <gmock/gmock.h>

#include <functional>

#include "client_fixture.h"

namespace lts::jobclient {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

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

TEST_F(OptionsTest, AFileNamesTheTokenAndTheFilesOfTls) {
  folder_.Write("lts.token", "0123456789abcdef\n");
  const auto options = JobClientOptions::FromFile(
      folder_.Write("c",
                    "security.token_file=lts.token\nsecurity.tls.ca=/etc/lts/ca.pem\n"
                    "security.tls.cert=/etc/lts/cert.pem\nsecurity.tls.key=/etc/lts/key.pem\n"));
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->token, "0123456789abcdef");
  EXPECT_EQ(options->tls_ca, "/etc/lts/ca.pem");
  EXPECT_EQ(options->tls_cert, "/etc/lts/cert.pem");
  EXPECT_EQ(options->tls_key, "/etc/lts/key.pem");
}

TEST_F(OptionsTest, OpenRefusesATokenThatIsNoneAndFilesThatCannotBeRead) {
  JobClientOptions options = Options();
  options.token = "too-short";
  Status status = JobClient::Open(options).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("security.token_file"));
  EXPECT_THAT(status.message(), Not(HasSubstr("too-short")));
  options.token.clear();
  options.tls_ca = folder_.Below("none.pem");
  status = JobClient::Open(options).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr(options.tls_ca));
}

TEST_F(OptionsTest, AFileNamesTheClusterInZooKeeper) {
  const auto defaults = JobClientOptions::FromFile(folder_.Write("empty.cfg", "\n"));
  ASSERT_TRUE(defaults.ok()) << defaults.status().ToString();
  EXPECT_EQ(defaults->cluster_name, "defaultCluster");
  EXPECT_EQ(defaults->zk_session_timeout, std::chrono::seconds(6));
  EXPECT_EQ(defaults->zk_digest, "");
  folder_.Write("digest", "lts:secret\n");
  const auto options = JobClientOptions::FromFile(folder_.Write(
      "zoo.cfg",
      "registryAddress=zookeeper://h:2181/lts\nclusterName=shop\nzk.session.timeout=10s\n"
      "zk.digest_file=digest\n"));
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->cluster_name, "shop");
  EXPECT_EQ(options->zk_session_timeout, std::chrono::seconds(10));
  EXPECT_EQ(options->zk_digest, "lts:secret");
}

TEST_F(OptionsTest, AZooKeeperThatIsAwayIsNoReasonNotToOpen) {
  JobClientOptions options = Options();
  options.registry_address = "zookeeper://127.0.0.1:1";  // nobody listens there
  EXPECT_TRUE(Access::Open(options, tracker_.Factory()).ok());
}

TEST_F(OptionsTest, OpenRefusesAClusterInZooKeeperThatCannotBe) {
  const auto message = [&](const std::function<void(JobClientOptions&)>& spoil) {
    JobClientOptions options = Options();
    options.registry_address = "zookeeper://127.0.0.1:1";
    spoil(options);
    const auto opened = Access::Open(options, tracker_.Factory());
    EXPECT_EQ(opened.status().code(), StatusCode::kInvalidArgument);
    return opened.status().message();
  };
  EXPECT_THAT(message([](JobClientOptions& o) { o.zk_digest = "secret"; }), HasSubstr("zk.digest"));
  EXPECT_THAT(message([](JobClientOptions& o) { o.zk_digest = "secret"; }),
              Not(HasSubstr("secret")));
  EXPECT_THAT(message([](JobClientOptions& o) { o.cluster_name = "a/b"; }),
              HasSubstr("clusterName"));
  EXPECT_THAT(message([](JobClientOptions& o) { o.zk_session_timeout = Milliseconds(1); }),
              HasSubstr("zk_session_timeout"));
  EXPECT_THAT(message([](JobClientOptions& o) { o.identity = "a b"; }), HasSubstr("identity"));
}

TEST_F(OptionsTest, ASecondProcessOfTheGroupTakesTheNextFolder) {
  const auto first = Open(StoringOptions());
  const auto second = Open(StoringOptions());
  EXPECT_EQ(first->fail_store_path(), folder_.Below("JOB_CLIENT/clients/0"));
  EXPECT_EQ(second->fail_store_path(), folder_.Below("JOB_CLIENT/clients/1"));
}

}  // namespace
}  // namespace lts::jobclient

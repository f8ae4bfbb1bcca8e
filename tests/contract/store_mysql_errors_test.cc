// What a user meets who sets up the database: each mistake gives one message that names the
// setting.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "contract/mysql_database.h"
#include "contract/store_fixture.h"
#include "support/certificates.h"

namespace lts::store::testing {
namespace {

using ::lts::testing::MariadbServer;
using ::lts::testing::TempFolder;
using ::lts::testing::TestDatabaseServer;

// A server of its own: it is made read-only, and its users are changed.
MariadbServer& Server() {
  static MariadbServer server;
  return server;
}

TestDatabaseServer Reach(const MariadbServer& server) {
  return {"127.0.0.1:" + std::to_string(server.port()), "errors_", MariadbServer::kUser,
          MariadbServer::kPassword};
}

class MysqlSetup : public ::testing::Test {
 protected:
  MysqlSetup()
      : database_(Reach(Server())), admin_(database_.As()), options_(database_.Options()) {}

  void Refused(StatusCode code, const std::vector<std::string>& parts,
               const StoreIdentity& wanted = TestIdentity()) {
    const auto store = OpenMysqlStore(wanted, options_);
    ASSERT_FALSE(store.ok());
    EXPECT_EQ(store.status().code(), code) << store.status().ToString();
    for (const std::string& part : parts) {
      EXPECT_NE(store.status().message().find(part), std::string::npos)
          << "'" << part << "' is not in: " << store.status().message();
    }
    EXPECT_EQ(store.status().message().find(options_.password), std::string::npos);
  }
  void Made() {
    const auto store = OpenMysqlStore(TestIdentity(), options_);
    ASSERT_TRUE(store.ok()) << store.status().ToString();
  }
  // A user with these rights on the database of the test.
  void Use(const std::string& rights) {
    admin_.Run("CREATE OR REPLACE USER someone@'%' IDENTIFIED BY 'pass word'");
    if (!rights.empty()) {
      admin_.Run("GRANT " + rights + " ON `" + database_.name() + "`.* TO someone@'%'");
    }
    options_.user = "someone";
    options_.password = "pass word";
  }

  TestDatabase database_;
  Admin admin_;
  MysqlStoreOptions options_;
};

TEST_F(MysqlSetup, WrongPassword) {
  options_.password = "not the password";
  Refused(StatusCode::kPermissionDenied,
          {"configs.jdbc.username", "configs.jdbc.password", MariadbServer::kUser});
}

TEST_F(MysqlSetup, UserIsNotSet) {
  options_.user.clear();
  Refused(StatusCode::kInvalidArgument, {"configs.jdbc.username"});
}

TEST_F(MysqlSetup, UrlWithoutDatabase) {
  options_.url = "jdbc:mysql://127.0.0.1:3306";
  Refused(StatusCode::kInvalidArgument, {"configs.jdbc.url", "jdbc:mysql://host:3306/database"});
}

TEST_F(MysqlSetup, MissingDatabase) {
  options_.url = Server().Url("nowhere");
  Refused(StatusCode::kFailedPrecondition, {"configs.jdbc.url", "'nowhere'", "CREATE DATABASE"});
}

TEST_F(MysqlSetup, NoRightsOnTheDatabase) {
  Use("");
  Refused(StatusCode::kPermissionDenied,
          {"configs.jdbc.username", "'someone'", database_.name(), "configs.jdbc.url"});
}

TEST_F(MysqlSetup, NoRightsToCreateTables) {
  Use("SELECT, INSERT, UPDATE, DELETE");
  Refused(StatusCode::kPermissionDenied, {"configs.jdbc.username", "'someone'", "create",
                                          "configs.jdbc.create.db.table", "conf/mysql/"});
}

TEST_F(MysqlSetup, RightsToUseTheTablesAreEnoughOnceTheyAreThere) {
  Made();
  Use("SELECT, INSERT, UPDATE, DELETE");
  options_.create_tables = false;
  Made();
}

TEST_F(MysqlSetup, NoRightsToWrite) {
  Made();
  Use("SELECT");
  Refused(StatusCode::kPermissionDenied, {"configs.jdbc.username", "'someone'"});
}

TEST_F(MysqlSetup, MissingTables) {
  options_.create_tables = false;
  Refused(StatusCode::kFailedPrecondition,
          {"configs.jdbc.create.db.table=true", "conf/mysql/", database_.name()});
}

TEST_F(MysqlSetup, TablesMadeByHandAreTakenAsTheyAre) {
  for (const mysql::Migration& migration : mysql::Migrations()) {
    for (const std::string_view statement : mysql::SplitStatements(migration.sql)) {
      admin_.Run(std::string(statement));
    }
  }
  options_.create_tables = false;
  Made();
}

TEST_F(MysqlSetup, ReadOnlyServer) {
  for (const bool made : {false, true}) {
    if (made) Made();
    const MysqlStoreOptions as_admin = options_;
    Use("ALL");  // which the mode does not exempt
    admin_.Run("SET GLOBAL read_only = 1");
    Refused(StatusCode::kFailedPrecondition, {"read-only", "configs.jdbc.url"});
    admin_.Run("SET GLOBAL read_only = 0");
    options_ = as_admin;
  }
}

TEST_F(MysqlSetup, ServerThatBecomesReadOnlyIsUnavailableUntilItIsNot) {
  Made();
  Use("ALL");
  auto store = OpenMysqlStore(TestIdentity(), options_);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  Owner owner(**store, 0);
  admin_.Run("SET GLOBAL read_only = 1");
  const Status refused = owner.Commit({InsertJob{Job(1)}});
  EXPECT_TRUE(refused.code() == StatusCode::kUnavailable) << refused.ToString();
  EXPECT_NE(refused.message().find("configs.jdbc.url"), std::string::npos) << refused.message();
  admin_.Run("SET GLOBAL read_only = 0");
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
}

TEST_F(MysqlSetup, SchemaOfANewerVersion) {
  Made();
  admin_.Run("UPDATE lts_store SET schema_version = 99");
  Refused(StatusCode::kFailedPrecondition,
          {"version 99", "newer program", database_.name(), "configs.jdbc.url"});
}

TEST_F(MysqlSetup, DatabaseOfAnotherCluster) {
  Made();
  StoreIdentity wanted = TestIdentity();
  wanted.cluster_name = "other_cluster";
  Refused(StatusCode::kFailedPrecondition,
          {"clusterName is other_cluster", "test_cluster", "configs.jdbc.url"}, wanted);
  wanted = TestIdentity();
  wanted.cluster_id = "another id";
  Refused(StatusCode::kFailedPrecondition, {"cluster id", TestIdentity().cluster_id}, wanted);
}

TEST_F(MysqlSetup, OtherPartitionCount) {
  Made();
  StoreIdentity wanted = TestIdentity();
  wanted.partitions = 16;
  Refused(StatusCode::kFailedPrecondition, {"configs.cluster.partitions is 16", "count is 4"},
          wanted);
}

TEST_F(MysqlSetup, ServerIsNotReachable) {
  options_.url = "jdbc:mysql://127.0.0.1:1/lts";
  Refused(StatusCode::kUnavailable, {"127.0.0.1:1", "configs.jdbc.url"});
  options_.url = "jdbc:mysql://no-such-host.invalid:3306/lts";
  Refused(StatusCode::kUnavailable, {"no-such-host.invalid", "configs.jdbc.url"});
}

TEST_F(MysqlSetup, AccountIsLocked) {
  Use("ALL");
  admin_.Run("ALTER USER someone@'%' ACCOUNT LOCK");
  Refused(StatusCode::kPermissionDenied, {"configs.jdbc.username", "'someone'", "locked"});
}

TEST_F(MysqlSetup, PasswordHasExpired) {
  Use("ALL");
  admin_.Run("ALTER USER someone@'%' PASSWORD EXPIRE");
  Refused(StatusCode::kPermissionDenied,
          {"configs.jdbc.username", "'someone'", "expired", "configs.jdbc.password"});
}

TEST_F(MysqlSetup, UserMayNotConnectFromHere) {
  admin_.Run("CREATE OR REPLACE USER elsewhere@'192.0.2.1' IDENTIFIED BY 'p'");
  options_.user = "elsewhere";
  Refused(StatusCode::kPermissionDenied,
          {"configs.jdbc.username", "configs.jdbc.password", "'elsewhere'"});
}

// What answers at the address speaks another protocol.
TEST_F(MysqlSetup, ServerOfAnotherKind) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 8), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::thread server([listener] {
    while (true) {
      const int peer = ::accept(listener, nullptr, nullptr);
      if (peer < 0) return;  // shut down
      const std::string_view answer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
      EXPECT_EQ(::write(peer, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
      ::close(peer);
    }
  });
  const std::string where = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  options_.url = "jdbc:mysql://" + where + "/lts";
  Refused(StatusCode::kUnavailable, {where, "configs.jdbc.url"});
  ::shutdown(listener, SHUT_RDWR);
  server.join();
  ::close(listener);
}

TEST_F(MysqlSetup, TlsAskedOfAServerThatHasNone) {
  const TempFolder temp;
  options_.tls_ca = temp.Write("ca.pem", "");
  Refused(StatusCode::kFailedPrecondition, {"TLS", "configs.jdbc.tls.ca"});
}

TEST_F(MysqlSetup, TlsSettingsThatDoNotGoTogether) {
  options_.tls_cert = "client.pem";
  Refused(StatusCode::kInvalidArgument, {"configs.jdbc.tls.ca"});
  options_.tls_ca = "ca.pem";
  Refused(StatusCode::kInvalidArgument, {"configs.jdbc.tls.key"});
  options_ = database_.Options();
  options_.url += "?useSSL=true";
  Refused(StatusCode::kInvalidArgument, {"configs.jdbc.tls.ca", "configs.jdbc.url"});
}

// ---- TLS

class MysqlTls : public ::testing::Test {
 protected:
  static MariadbServer ServerWith(const std::string& certificate) {
    return MariadbServer(
        {{"--ssl-ca=" + Files().Cert("ca"), "--ssl-cert=" + Files().Cert(certificate),
          "--ssl-key=" + Files().PrivateKey(certificate)},
         ""});
  }
  static const lts::testing::Certificates& Files() {
    static const lts::testing::Certificates files;
    return files;
  }
  static Result<std::unique_ptr<JobStore>> Open(
      const TestDatabase& database, const std::function<void(MysqlStoreOptions&)>& edit) {
    MysqlStoreOptions options = database.Options();
    options.tls_ca = Files().Cert("ca");
    edit(options);
    return OpenMysqlStore(TestIdentity(), options);
  }
  static void ExpectRefused(const Result<std::unique_ptr<JobStore>>& store) {
    ASSERT_FALSE(store.ok());
    EXPECT_EQ(store.status().code(), StatusCode::kFailedPrecondition) << store.status().ToString();
    for (const char* part : {"TLS", "configs.jdbc.tls.ca", "configs.jdbc.url"}) {
      EXPECT_NE(store.status().message().find(part), std::string::npos) << store.status().message();
    }
  }
};

TEST_F(MysqlTls, ServerOfTheRightCaAndNameIsUsedAndTheWrongCaRefused) {
  const MariadbServer server = ServerWith("server");
  const TestDatabase database(Reach(server));
  database.As().Run(std::string("ALTER USER ") + MariadbServer::kUser + "@'%' REQUIRE SSL");
  auto store = Open(database, [](MysqlStoreOptions&) {});
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  {
    Owner owner(**store, 0);
    EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  }
  ExpectRefused(Open(database, [](MysqlStoreOptions& o) { o.tls_ca = Files().Cert("other-ca"); }));
  // Without TLS this user is not admitted: the commit above went over it.
  EXPECT_EQ(Open(database, [](MysqlStoreOptions& o) { o.tls_ca.clear(); }).status().code(),
            StatusCode::kPermissionDenied);
  Admin tls(database.Options().url, MariadbServer::kUser, MariadbServer::kPassword,
            Files().Cert("ca"));
  tls.Run(std::string("ALTER USER ") + MariadbServer::kUser + "@'%' REQUIRE NONE");
}

TEST_F(MysqlTls, CertificateForAnotherNameIsRefused) {
  const MariadbServer server = ServerWith("elsewhere");
  const TestDatabase database(Reach(server));
  ExpectRefused(Open(database, [](MysqlStoreOptions&) {}));
  // Its chain is right: it is the name alone.
  const auto store = Open(database, [](MysqlStoreOptions& o) { o.tls_verify_name = false; });
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  ExpectRefused(Open(database, [](MysqlStoreOptions& o) {
    o.tls_verify_name = false;
    o.tls_ca = Files().Cert("other-ca");
  }));
}

TEST_F(MysqlTls, ClientShowsItsCertificateWhereTheServerAsksForOne) {
  const MariadbServer server = ServerWith("server");
  const TestDatabase database(Reach(server));
  database.As().Run("CREATE USER certified@'%' IDENTIFIED BY 'p' REQUIRE X509");
  database.As().Run("GRANT ALL ON `" + database.name() + "`.* TO certified@'%'");
  const auto as_certified = [](MysqlStoreOptions& o) {
    o.user = "certified";
    o.password = "p";
  };
  EXPECT_EQ(Open(database, as_certified).status().code(), StatusCode::kPermissionDenied);
  const auto store = Open(database, [&](MysqlStoreOptions& o) {
    as_certified(o);
    o.tls_cert = Files().Cert("client");
    o.tls_key = Files().PrivateKey("client");
  });
  EXPECT_TRUE(store.ok()) << store.status().ToString();
}

}  // namespace
}  // namespace lts::store::testing

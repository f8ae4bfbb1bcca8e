// An empty database for one test, dropped at its end.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "store/mysql/connection.h"
#include "store/mysql/mysql_store.h"
#include "store/mysql/schema.h"
#include "support/mariadb_server.h"

namespace lts::store::testing {

// Runs statements as an administrator.
class Admin {
 public:
  Admin(const std::string& url, const std::string& user, const std::string& password,
        const std::string& tls_ca = "") {
    MysqlStoreOptions options;
    options.tls_ca = tls_ca;
    options.user = user;
    options.password = password;
    auto parsed = mysql::ParseJdbcUrl(url);
    EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
    options.lease_ms = 3'600'000;  // how long it may be idle
    auto connection = mysql::Connection::Open({*parsed, options}, mysql::Use::kRead);
    EXPECT_TRUE(connection.ok()) << connection.status().ToString();
    if (connection.ok()) connection_ = std::move(*connection);
  }

  void Run(const std::string& sql) {
    const mysql::Failure failure = connection_->ExecuteScript(sql);
    EXPECT_FALSE(failure.failed()) << sql << ": " << failure.ToString();
  }
  mysql::Connection& connection() { return *connection_; }

 private:
  std::unique_ptr<mysql::Connection> connection_;
};

class TestDatabase {
 public:
  TestDatabase() : TestDatabase(::lts::testing::TestDatabaseServer::Shared()) {}
  explicit TestDatabase(::lts::testing::TestDatabaseServer server)
      : server_(std::move(server)), name_(server_.prefix + std::to_string(++Made())) {
    Admin(server_.Url("information_schema"), server_.user, server_.password)
        .Run("CREATE DATABASE `" + name_ + "` CHARACTER SET utf8mb4");
  }
  ~TestDatabase() {
    Admin(server_.Url("information_schema"), server_.user, server_.password)
        .Run("DROP DATABASE `" + name_ + "`");
  }
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  const std::string& name() const { return name_; }
  MysqlStoreOptions Options() const {
    MysqlStoreOptions options;
    options.url = server_.Url(name_);
    options.user = server_.user;
    options.password = server_.password;
    return options;
  }
  Admin As() const { return Admin(server_.Url(name_), server_.user, server_.password); }

 private:
  static std::atomic<int>& Made() {
    static std::atomic<int> made = 0;
    return made;
  }
  const ::lts::testing::TestDatabaseServer server_;
  const std::string name_;
};

}  // namespace lts::store::testing

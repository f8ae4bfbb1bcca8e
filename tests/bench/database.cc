#include "bench/database.h"

#include <cstdlib>

#include "bench/measure.h"
#include "store/mysql/sql_text.h"
#include "store/mysql/url.h"

namespace lts::bench {

using store::mysql::Connection;
using store::mysql::Failure;
using store::mysql::Row;
using store::mysql::SqlText;
using store::mysql::Use;
using testing::MariadbServer;

namespace {

constexpr std::int64_t kPurgeTimeoutNs = 30'000'000'000;
constexpr std::int64_t kPurgeLookNs = 50'000'000;
constexpr std::uint64_t kHistoryMax = 50;  // old versions of rows, in transactions

Status StatusOf(const Failure& failure) {
  return failure.failed() ? Status::Unavailable(failure.ToString()) : Status::Ok();
}

}  // namespace

Database::Database(const std::string& folder)
    : server_({{"--innodb-flush-log-at-trx-commit=1",
                std::string("--innodb-buffer-pool-size=") + kBufferPool,
                std::string("--innodb-log-file-size=") + kLogFile},
               folder}) {}

Result<std::unique_ptr<Database>> Database::Start(const std::string& folder) {
  std::unique_ptr<Database> database(new Database(folder));
  auto admin = database->Connect("information_schema", Use::kRead);
  if (!admin.ok()) return admin.status();
  database->admin_ = std::move(*admin);
  Facts& facts = database->facts_;
  facts.version = database->admin_->facts().version;
  LTS_RETURN_IF_ERROR(StatusOf(database->admin_->Query(
      SqlText("SELECT @@innodb_flush_log_at_trx_commit, @@log_bin"), [&](const Row& row) {
        facts.flush_log_at_commit = row.Bytes(0);
        facts.log_bin = row.Bytes(1);
      })));
  return database;
}

store::MysqlStoreOptions Database::OptionsFor(const std::string& name) const {
  store::MysqlStoreOptions options;
  options.url = server_.Url(name);
  options.user = MariadbServer::kUser;
  options.password = MariadbServer::kPassword;
  options.read_timeout_ms = 60'000;
  options.lease_ms = 3'600'000;  // decides how long a connection may be idle
  return options;
}

Status Database::Admin(const std::string& sql) const {
  return StatusOf(admin_->ExecuteScript(sql)).WithContext(sql);
}

Status Database::MakeFresh(const std::string& name) {
  LTS_RETURN_IF_ERROR(Admin("DROP DATABASE IF EXISTS " + name));
  LTS_RETURN_IF_ERROR(Admin("CREATE DATABASE " + name + " CHARACTER SET utf8mb4"));
  const Pacer pacer;
  const std::int64_t end_ns = NowNs() + kPurgeTimeoutNs;
  while (true) {
    std::uint64_t history = 0;
    LTS_RETURN_IF_ERROR(
        StatusOf(admin_->Query(SqlText("SHOW GLOBAL STATUS LIKE 'Innodb_history_list_length'"),
                               [&](const Row& row) { history = row.U64(1); })));
    if (history <= kHistoryMax || NowNs() > end_ns) return Status::Ok();
    pacer.Until(NowNs() + kPurgeLookNs);
  }
}

Result<std::unique_ptr<Connection>> Database::Connect(const std::string& name, Use use) const {
  const store::MysqlStoreOptions options = OptionsFor(name);
  auto url = store::mysql::ParseJdbcUrl(options.url);
  if (!url.ok()) return url.status();
  return Connection::Open({*url, options}, use);
}

Status Database::MakeTables(const std::string& name) const {
  store::StoreIdentity identity;
  identity.cluster_name = "bench";
  return store::OpenMysqlStore(identity, OptionsFor(name)).status();
}

Result<Database::Counts> Database::ReadCounts() const {
  Counts counts;
  const Failure failure =
      admin_->Query(SqlText("SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_commit',"
                            " 'Innodb_data_fsyncs')"),
                    [&](const Row& row) {
                      (row.Bytes(0) == "Com_commit" ? counts.commits : counts.syncs) = row.U64(1);
                    });
  if (failure.failed()) return StatusOf(failure);
  return counts;
}

}  // namespace lts::bench

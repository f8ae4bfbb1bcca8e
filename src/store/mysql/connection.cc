#include "store/mysql/connection.h"

#include <cppconn/exception.h>
#include <cppconn/resultset.h>
#include <cppconn/statement.h>
#include <fmt/core.h>
#include <mysql_connection.h>
#include <mysql_driver.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <mutex>
#include <utility>

namespace lts::store::mysql {
namespace {

// The look-up of the driver is not thread-safe; its connect() is.
sql::mysql::MySQL_Driver* TheDriver() {
  static std::once_flag once;
  static sql::mysql::MySQL_Driver* driver = nullptr;
  std::call_once(once, [] { driver = sql::mysql::get_driver_instance(); });
  return driver;
}

int Seconds(DurationMs ms) {
  return static_cast<int>(std::clamp<DurationMs>((ms + 999) / 1000, 1, 3600));
}

Failure FailureFrom(const std::exception& e) {
  if (const auto* s = dynamic_cast<const sql::SQLException*>(&e)) {
    Failure failure{KindOf(s->getErrorCode(), s->getSQLState(), s->what()), s->getErrorCode(),
                    s->what()};
    // The connector's own complaints have no number: "Statement has been closed", …
    if (failure.code == 0 && failure.kind == FailureKind::kOther) failure.kind = FailureKind::kLost;
    return failure;
  }
  return {FailureKind::kOther, 0, e.what()};
}

template <typename Body>
Failure Guarded(const Body& body) {
  try {
    body();
    return {};
  } catch (const std::exception& e) {
    return FailureFrom(e);
  }
}

class ResultRow final : public Row {
 public:
  explicit ResultRow(const sql::ResultSet& result) : result_(result) {}
  std::string Bytes(std::size_t column) const override {
    return result_.getString(static_cast<std::uint32_t>(column + 1)).asStdString();
  }

 private:
  const sql::ResultSet& result_;
};

template <typename Number>
Number Parse(const std::string& text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Status RefusedTls(const Target& target, const Failure& failure) {
  return Status::FailedPrecondition(fmt::format(
      "TLS to {} failed ({}); configs.jdbc.tls.ca={} must hold the CA of the server's certificate, "
      "and the certificate be made out for '{}' (configs.jdbc.url)",
      target.url.HostAndPort(), failure.text, target.options.tls_ca, target.url.host));
}

// Why no connection came about, in terms of the settings.
Status ConnectStatus(const Target& target, const Failure& failure) {
  const std::string server = target.url.HostAndPort();
  switch (failure.code) {
    case 1045:
    case 1698:
      return Status::PermissionDenied(
          fmt::format("the database server {} refuses the user '{}'; check configs.jdbc.username "
                      "and configs.jdbc.password ({})",
                      server, target.options.user, failure.ToString()));
    case 1044:
      return Status::PermissionDenied(
          fmt::format("the user '{}' (configs.jdbc.username) has no rights on the database '{}' of "
                      "configs.jdbc.url, or it does not exist ({})",
                      target.options.user, target.url.database, failure.ToString()));
    case 1049:
      return Status::FailedPrecondition(
          fmt::format("the database '{0}' of configs.jdbc.url does not exist on {1}; create it: "
                      "CREATE DATABASE `{0}` CHARACTER SET utf8mb4",
                      target.url.database, server));
    case 1820:
    case 1862:
      return Status::PermissionDenied(
          fmt::format("the password of the user '{}' (configs.jdbc.username) on {} has expired; "
                      "give the user a new one, and set that as configs.jdbc.password ({})",
                      target.options.user, server, failure.ToString()));
    case 1130:
      return Status::PermissionDenied(
          fmt::format("the database server {} admits no user from this host; see "
                      "configs.jdbc.url and the host part of the user '{}' ({})",
                      server, target.options.user, failure.ToString()));
    case 1040:
    case 1203:
    case 1226:
      return Status::Unavailable(
          fmt::format("the database server {} of configs.jdbc.url takes no more connections ({})",
                      server, failure.ToString()));
    case 2005:
      return Status::Unavailable(fmt::format(
          "the host '{}' of configs.jdbc.url cannot be found ({})", target.url.host, failure.text));
    case 2026: return RefusedTls(target, failure);
    default: break;
  }
  if (failure.kind == FailureKind::kDenied) {
    return Status::PermissionDenied(
        fmt::format("the database server {} refuses the user '{}' of configs.jdbc.username ({})",
                    server, target.options.user, failure.ToString()));
  }
  return Status::Unavailable(fmt::format("no database server answers at {} (configs.jdbc.url): {}",
                                         server, failure.ToString()));
}

}  // namespace

std::int64_t Row::I64(std::size_t column) const { return Parse<std::int64_t>(Bytes(column)); }
std::uint64_t Row::U64(std::size_t column) const { return Parse<std::uint64_t>(Bytes(column)); }

model::JobId Row::Id(std::size_t column) const {
  const std::string bytes = Bytes(column);
  model::JobId id;
  for (std::size_t i = 0; i < 16 && i < bytes.size(); ++i) {
    std::uint64_t& half = i < 8 ? id.high : id.low;
    half = half << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return id;
}

struct Connection::Driver {
  Use use = Use::kRead;
  ServerFacts facts;
  std::unique_ptr<sql::Connection> connection;
  std::unique_ptr<sql::Statement> statement;
};

Connection::Connection(std::unique_ptr<Driver> driver) : driver_(std::move(driver)) {}

Connection::~Connection() {
  // Closing says good-bye to the server, which may be gone.
  const Failure ignored = Guarded([this] {
    driver_->statement.reset();
    driver_->connection.reset();
  });
  static_cast<void>(ignored);
}

Use Connection::use() const { return driver_->use; }
const ServerFacts& Connection::facts() const { return driver_->facts; }

std::int64_t Connection::IdleSecondsMax(const MysqlStoreOptions& options) {
  return Seconds(options.lease_ms);
}

Result<std::unique_ptr<Connection>> Connection::Open(const Target& target, Use use) {
  const MysqlStoreOptions& options = target.options;
  auto driver = std::make_unique<Driver>();
  driver->use = use;
  const Failure failure = Guarded([&] {
    sql::ConnectOptionsMap map;
    map["hostName"] = sql::SQLString(target.url.host);
    map["port"] = static_cast<int>(target.url.port);
    map["userName"] = sql::SQLString(options.user);
    map["password"] = sql::SQLString(options.password);
    map["schema"] = sql::SQLString(target.url.database);
    map["OPT_CONNECT_TIMEOUT"] = Seconds(options.connect_timeout_ms);
    map["OPT_READ_TIMEOUT"] = Seconds(options.read_timeout_ms);
    map["OPT_WRITE_TIMEOUT"] = Seconds(options.write_timeout_ms);
    if (!options.tls_ca.empty()) {
      map["sslCA"] = sql::SQLString(options.tls_ca);
      if (!options.tls_cert.empty()) map["sslCert"] = sql::SQLString(options.tls_cert);
      if (!options.tls_key.empty()) map["sslKey"] = sql::SQLString(options.tls_key);
      // libmariadb checks the chain whenever a CA is given; this adds the name, and refuses a
      // server without TLS.
      map["sslVerify"] = options.tls_verify_name;
      map["sslEnforce"] = true;
    }
    driver->connection.reset(TheDriver()->connect(map));
    driver->statement.reset(driver->connection->createStatement());
  });
  if (failure.failed()) return ConnectStatus(target, failure);

  std::unique_ptr<Connection> connection(new Connection(std::move(driver)));
  if (const Failure set_up = connection->SetUp(options); set_up.failed()) {
    return ConnectStatus(target, set_up);
  }
  if (!options.tls_ca.empty()) {
    std::string cipher;
    const Failure asked = connection->Query(SqlText("SHOW SESSION STATUS LIKE 'Ssl_cipher'"),
                                            [&](const Row& row) { cipher = row.Bytes(1); });
    if (asked.failed()) return ConnectStatus(target, asked);
    if (cipher.empty()) {
      return RefusedTls(target, {FailureKind::kOther, 2026, "the server does not offer TLS"});
    }
  }
  return connection;
}

Failure Connection::SetUp(const MysqlStoreOptions& options) {
  ServerFacts& facts = driver_->facts;
  Failure failure = Query(SqlText("SELECT VERSION(), @@max_allowed_packet"), [&](const Row& row) {
    facts.version = row.Bytes(0);
    facts.packet_max = static_cast<std::size_t>(row.U64(1));
  });
  if (failure.failed()) return failure;
  facts.maria_db = facts.version.find("MariaDB") != std::string::npos;

  // A process that was paused or cut off within a transaction must not keep others from the rows it
  // locked for longer than its lease: that is what wait_timeout and the network time-outs are for.
  const int idle = static_cast<int>(IdleSecondsMax(options));
  const int answer = Seconds(options.read_timeout_ms);
  SqlText sql(
      "SET SESSION time_zone='+00:00', sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
      " wait_timeout=",
      idle, ", net_read_timeout=", idle, ", net_write_timeout=", idle,
      ", innodb_lock_wait_timeout=", std::max(1, answer / 4),
      ", autocommit=", driver_->use == Use::kRead);
  if (facts.maria_db) {
    // The second keeps look-ups of many keys on the index.
    sql.Add(", max_statement_time=", answer, ", in_predicate_conversion_threshold=0");
  } else {
    sql.Add(", max_execution_time=", std::int64_t{answer} * 1000);
  }
  failure = Execute(sql);
  if (failure.failed()) return failure;
  return Execute(driver_->use == Use::kWrite
                     ? SqlText("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                     : SqlText("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
}

Failure Connection::Execute(const SqlText& sql, std::int64_t* changed) {
  return Guarded([&] {
    const int rows = driver_->statement->executeUpdate(sql.text());
    if (changed != nullptr) *changed = rows;
  });
}

Failure Connection::ExecuteScript(std::string_view sql) {
  return Guarded([&] { driver_->statement->execute(std::string(sql)); });
}

Failure Connection::Query(const SqlText& sql, const std::function<void(const Row&)>& take) {
  return Guarded([&] {
    const std::unique_ptr<sql::ResultSet> result(driver_->statement->executeQuery(sql.text()));
    const ResultRow row(*result);
    while (result->next()) take(row);
  });
}

Failure Connection::BeginSnapshot() {
  return Execute(SqlText("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"));
}

Failure Connection::EndSnapshot() { return Execute(SqlText("COMMIT")); }

}  // namespace lts::store::mysql

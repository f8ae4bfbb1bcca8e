// One connection to the server: the only file pair that knows MySQL Connector/C++ (1.1, the
// JDBC-like API, over libmariadb). Its exceptions end here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "lts/status.h"
#include "model/job_id.h"
#include "store/mysql/failure.h"
#include "store/mysql/mysql_store.h"
#include "store/mysql/sql_text.h"
#include "store/mysql/url.h"

namespace lts::store::mysql {

// One row of a result, columns from 0. A NULL reads as 0 or "".
class Row {
 public:
  virtual ~Row() = default;
  virtual std::string Bytes(std::size_t column) const = 0;
  std::int64_t I64(std::size_t column) const;
  std::uint64_t U64(std::size_t column) const;
  std::int32_t I32(std::size_t column) const { return static_cast<std::int32_t>(I64(column)); }
  std::uint32_t U32(std::size_t column) const { return static_cast<std::uint32_t>(U64(column)); }
  model::JobId Id(std::size_t column) const;
};

// What connections are opened with. Immutable.
struct Target {
  JdbcUrl url;
  MysqlStoreOptions options;
};

// What a server told at connect.
struct ServerFacts {
  std::string version;  // "10.11.6-MariaDB-…", "8.0.36"
  bool maria_db = false;
  std::size_t packet_max = 0;
};

// kWrite: every statement is part of a transaction that Commit or Rollback ends, READ COMMITTED.
// kRead: every statement is its own, but for those between BeginSnapshot and EndSnapshot.
enum class Use { kRead, kWrite };

// Used by one thread at a time. After a failure of kind kLost it is of no further use.
class Connection {
 public:
  // The status says what to mend, naming settings; see OpenMysqlStore for the codes.
  static Result<std::unique_ptr<Connection>> Open(const Target& target, Use use);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // `changed`: the rows that the statement inserted, changed or deleted.
  Failure Execute(const SqlText& sql, std::int64_t* changed = nullptr);
  Failure Query(const SqlText& sql, const std::function<void(const Row&)>& take);
  // A statement of a file that is built into the program.
  Failure ExecuteScript(std::string_view sql);

  // All queries between the two see one state of the database.
  Failure BeginSnapshot();
  Failure EndSnapshot();

  Use use() const;
  const ServerFacts& facts() const;
  // A connection that was idle for longer is closed by the server.
  static std::int64_t IdleSecondsMax(const MysqlStoreOptions& options);

 private:
  struct Driver;  // what the connector needs
  explicit Connection(std::unique_ptr<Driver> driver);
  Failure SetUp(const MysqlStoreOptions& options);

  std::unique_ptr<Driver> driver_;
};

}  // namespace lts::store::mysql

// The MariaDB of a benchmark: a server of its own that syncs its log at every commit, and fresh
// databases in it, one per measurement.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "lts/status.h"
#include "store/mysql/connection.h"
#include "store/mysql/mysql_store.h"
#include "support/mariadb_server.h"

namespace lts::bench {

// Used by one thread, that which made it: the server ends with it.
class Database {
 public:
  static constexpr const char* kBufferPool = "1G";
  static constexpr const char* kLogFile = "512M";

  // What the server says of itself.
  struct Facts {
    std::string version;
    std::string flush_log_at_commit;  // innodb_flush_log_at_trx_commit
    std::string log_bin;
  };
  // What it has done since it was started.
  struct Counts {
    std::uint64_t commits = 0;  // COMMIT statements
    std::uint64_t syncs = 0;    // fsync and the like, of the log and of the tables
  };

  // Starts a server whose data are below `folder`; ends the program with a message when MariaDB is
  // not installed or does not start.
  static Result<std::unique_ptr<Database>> Start(const std::string& folder);

  // An empty database of that name, in the place of one that is there. Before it returns the server
  // has cleared away what earlier ones left behind, or has had 30 seconds for it.
  Status MakeFresh(const std::string& name);

  store::MysqlStoreOptions OptionsFor(const std::string& name) const;
  // A connection to that database.
  Result<std::unique_ptr<store::mysql::Connection>> Connect(const std::string& name,
                                                            store::mysql::Use use) const;
  // Makes the tables in it.
  Status MakeTables(const std::string& name) const;

  Result<Counts> ReadCounts() const;
  const Facts& facts() const { return facts_; }
  pid_t pid() const { return server_.pid(); }

 private:
  explicit Database(const std::string& folder);
  Status Admin(const std::string& sql) const;

  testing::MariadbServer server_;
  std::unique_ptr<store::mysql::Connection> admin_;
  Facts facts_;
};

}  // namespace lts::bench

// The tables of the original LTS (Java) in the database of this store. LTS does not read them: who
// points it at the original's database must hear that jobs are left there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lts/status.h"
#include "store/mysql/mysql_store.h"

namespace lts::store {

struct OriginalTable {
  enum class Holds : std::uint8_t {
    kJobs,      // lts_wjq_*, and the queues of executing, cron, repeat and suspended jobs
    kFeedback,  // lts_fjq_*: results that no client has taken yet
    kOther,     // logs, node groups, figures of the monitor
  };
  std::string name;
  Holds holds = Holds::kOther;
  std::int64_t rows = 0;
  bool exact = true;  // else `rows` is the server's estimate, and above 10,000
};

struct OriginalTables {
  std::string database;
  std::string server;                 // host:port
  std::vector<OriginalTable> tables;  // those with rows: jobs first, then feedback; by name
  bool more = false;                  // of over 500 tables only that many were looked at
};

// Looks on a connection of its own, reading at most 10,001 entries of an index of each table. What
// a table holds is told by its name. Tables that the user may not read are left out. Errors as of
// OpenMysqlStore, which is to be called before. Blocks; any thread.
Result<OriginalTables> FindOriginalTables(const MysqlStoreOptions& options);

// One line for the log and for `status`: how many jobs and results are left in which tables, and
// what to do. Empty when there are none, even when other tables have rows.
std::string OriginalTablesWarning(const OriginalTables& found);

}  // namespace lts::store

// What taking in and ending jobs takes of a database at the least: one multi-row INSERT per batch,
// and at their end one DELETE and one INSERT of history, each with its COMMIT, on the schema of the
// MySQL engine, over the same connector. The statements are made before the clock runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "bench/store_rows.h"
#include "lts/status.h"
#include "store/mysql/connection.h"
#include "store/mysql/sql_text.h"
#include "store/records/codec.h"

namespace lts::bench {

// What the statements of some jobs took, in seconds.
struct StatementFigures {
  double insert_s = 0;
  double end_s = 0;
  double jobs = 0;
  double WholeJobs() const { return jobs / (insert_s + end_s); }  // per second
  void Print(const char* what) const;
};

// Used by one thread, over a connection of kWrite to a database that has the tables.
class BareStatements {
 public:
  explicit BareStatements(store::mysql::Connection& connection) : connection_(connection) {}

  // Makes `jobs` jobs, takes them in and ends them, `batch` a statement; `jobs` is a multiple of
  // `batch`. Adds what that took. kUnavailable with the database's words when it refuses.
  Status Round(std::size_t jobs, std::size_t batch, StatementFigures* figures);

 private:
  Status Run(const store::mysql::SqlText& sql);

  store::mysql::Connection& connection_;
  RowMaker maker_;
  store::records::Scratch scratch_;
  std::string value_;
  std::uint64_t seq_ = 0;
};

}  // namespace lts::bench

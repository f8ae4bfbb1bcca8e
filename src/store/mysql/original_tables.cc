#include "store/mysql/original_tables.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "store/mysql/connection.h"

namespace lts::store {
namespace {

using Holds = OriginalTable::Holds;

constexpr std::size_t kTablesMax = 500;
constexpr std::int64_t kRowsCounted = 10'000;
constexpr std::size_t kTablesNamed = 8;

struct NamePattern {
  std::string_view name;  // ends in '_': the beginning of a name
  Holds holds;
};
constexpr std::array kPatterns = {
    NamePattern{"lts_wjq_", Holds::kJobs},
    NamePattern{"lts_executing_job_queue", Holds::kJobs},
    NamePattern{"lts_cron_job_queue", Holds::kJobs},
    NamePattern{"lts_repeat_job_queue", Holds::kJobs},
    NamePattern{"lts_suspend_job_queue", Holds::kJobs},
    NamePattern{"lts_fjq_", Holds::kFeedback},
    NamePattern{"lts_job_log_po", Holds::kOther},
    NamePattern{"lts_node_group_store", Holds::kOther},
    NamePattern{"lts_admin_", Holds::kOther},
};

Status FailedTo(std::string_view what, const mysql::Target& target, const mysql::Failure& failure) {
  return mysql::ToStatus(failure).WithContext(
      fmt::format("could not {} the original's tables in '{}' on {} (configs.jdbc.url)", what,
                  target.url.database, target.url.HostAndPort()));
}

// `rows` holds the server's estimate.
Result<std::vector<OriginalTable>> ListTables(mysql::Connection& connection,
                                              const mysql::Target& target) {
  mysql::SqlText where;
  for (const NamePattern& pattern : kPatterns) {
    if (where.size() != 0) where.Add(" OR ");
    where.Add("LEFT(CAST(table_name AS BINARY), ", pattern.name.size(), ") = ", pattern.name);
    if (!pattern.name.ends_with('_')) where.Add(" AND LENGTH(table_name) = ", pattern.name.size());
  }
  std::vector<OriginalTable> tables;
  const mysql::Failure failure = connection.Query(
      mysql::SqlText("SELECT table_name, table_rows FROM information_schema.tables WHERE "
                     "table_schema = DATABASE() AND table_type = 'BASE TABLE' AND (",
                     where, ") ORDER BY table_name LIMIT ", kTablesMax + 1),
      [&](const mysql::Row& row) {
        OriginalTable table;
        table.name = row.Bytes(0);
        table.rows = row.I64(1);
        for (const NamePattern& pattern : kPatterns) {
          if (table.name.starts_with(pattern.name)) table.holds = pattern.holds;
        }
        tables.push_back(std::move(table));
      });
  if (failure.failed()) return FailedTo("look for", target, failure);
  return tables;
}

// Sets `rows`; leaves 0 when the table has gone or may not be read.
Status CountRows(mysql::Connection& connection, const mysql::Target& target, OriginalTable* table) {
  std::int64_t counted = 0;
  const mysql::Failure failure = connection.Query(
      mysql::SqlText("SELECT COUNT(*) FROM (SELECT 1 FROM ", mysql::SqlName{table->name}, " LIMIT ",
                     kRowsCounted + 1, ") AS some"),
      [&](const mysql::Row& row) { counted = row.I64(0); });
  if (failure.kind == mysql::FailureKind::kMissing || failure.kind == mysql::FailureKind::kDenied) {
    table->rows = 0;
    return Status::Ok();
  }
  if (failure.failed()) return FailedTo("count the rows of", target, failure);
  table->exact = counted <= kRowsCounted;
  table->rows = table->exact ? counted : std::max(table->rows, counted);
  return Status::Ok();
}

// Of `holds`, and how sure that is: "12", "about 40000".
std::string Total(const OriginalTables& found, Holds holds) {
  std::int64_t rows = 0;
  bool exact = true;
  for (const OriginalTable& table : found.tables) {
    if (table.holds != holds) continue;
    rows += table.rows;
    exact = exact && table.exact;
  }
  return rows == 0 ? std::string() : fmt::format("{}{}", exact ? "" : "about ", rows);
}

std::string Printable(std::string name) {
  for (char& c : name) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  }
  return name;
}

}  // namespace

Result<OriginalTables> FindOriginalTables(const MysqlStoreOptions& options) {
  auto url = mysql::ParseJdbcUrl(options.url);
  if (!url.ok()) return url.status();
  const mysql::Target target{*std::move(url), options};
  auto connection = mysql::Connection::Open(target, mysql::Use::kRead);
  if (!connection.ok()) return connection.status();
  auto tables = ListTables(**connection, target);
  if (!tables.ok()) return tables.status();
  OriginalTables found;
  found.database = target.url.database;
  found.server = target.url.HostAndPort();
  found.more = tables->size() > kTablesMax;
  if (found.more) tables->resize(kTablesMax);
  for (OriginalTable& table : *tables) {
    LTS_RETURN_IF_ERROR(CountRows(**connection, target, &table));
    if (table.rows != 0) found.tables.push_back(std::move(table));
  }
  std::stable_sort(
      found.tables.begin(), found.tables.end(),
      [](const OriginalTable& a, const OriginalTable& b) { return a.holds < b.holds; });
  return found;
}

std::string OriginalTablesWarning(const OriginalTables& found) {
  const std::string jobs = Total(found, Holds::kJobs);
  const std::string results = Total(found, Holds::kFeedback);
  if (jobs.empty() && results.empty()) return {};
  std::string what = jobs.empty() ? std::string() : jobs + " jobs";
  if (!results.empty()) what += (what.empty() ? "" : " and ") + results + " results";
  std::string names;
  std::size_t left_out = 0;
  std::size_t named = 0;
  for (const OriginalTable& table : found.tables) {
    if (table.holds == Holds::kOther) continue;
    if (named == kTablesNamed) {
      ++left_out;
      continue;
    }
    ++named;
    names += fmt::format("{}{} ({}{})", names.empty() ? "" : ", ", Printable(table.name),
                         table.exact ? "" : "about ", table.rows);
  }
  if (left_out != 0 || found.more) {
    names += fmt::format(" and {}{} more", found.more ? "at least " : "", left_out);
  }
  return fmt::format(
      "the database '{}' on {} (configs.jdbc.url) holds {} of the original LTS, which this one "
      "does not read: {}; let the original's JobTrackers finish them or submit the jobs again, "
      "then "
      "drop these tables",
      found.database, found.server, what, names);
}

}  // namespace lts::store

#include <algorithm>

#include "store/mysql/multi_row.h"
#include "store/mysql/store_impl.h"
#include "store/paging.h"

namespace lts::store::mysql {

Step WriteLogs(Connection& connection, std::vector<const LogRow*> rows) {
  // In the order of keys: appends of two JobTrackers do not lock each other out. Of two lines with
  // one number the first is kept, so the order of equal ones stays.
  std::stable_sort(rows.begin(), rows.end(), [](const LogRow* a, const LogRow* b) {
    return std::tie(a->key, a->attempt, a->line) < std::tie(b->key, b->attempt, b->line);
  });
  records::Scratch scratch;
  std::string value;
  MultiRow insert(
      connection,
      SqlText("INSERT INTO lts_job_log (job_id, cycle, attempt, line, time_ms, record) VALUES "),
      SqlText(" ON DUPLICATE KEY UPDATE line = VALUES(line)"));
  return insert.Run(
      rows,
      [&](const LogRow* row, SqlText* sql) {
        records::Encode(*row, scratch, &value);
        sql->Add("(", row->key.id, ", ", row->key.cycle, ", ", row->attempt, ", ", row->line, ", ",
                 row->time_ms, ", ", value, ")");
      },
      [](const LogRow* row) { return "a log line of " + NameOf(row->key); });
}

Status MysqlJobStore::AppendLogs(const std::vector<LogRow>& rows) {
  if (rows.empty()) return Status::Ok();
  std::vector<const LogRow*> all;
  all.reserve(rows.size());
  for (const LogRow& row : rows) all.push_back(&row);
  // Each statement is its own transaction: lines that were told again change nothing.
  return Read([&](Connection& connection) -> Step { return WriteLogs(connection, all); });
}

Result<std::vector<LogRow>> MysqlJobStore::FindLogs(const model::JobKey& key, std::int32_t attempt,
                                                    std::uint64_t after_line, std::size_t limit) {
  std::vector<LogRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    records::Scratch scratch;
    Status damage;
    Failure failure = connection.Query(
        SqlText("SELECT line, record FROM lts_job_log WHERE job_id = ", key.id,
                " AND cycle = ", key.cycle, " AND attempt = ", attempt, " AND line > ", after_line,
                " ORDER BY line LIMIT ", ClampPage(limit)),
        [&](const Row& row) {
          auto line = records::DecodeLog(key, attempt, row.U64(0), row.Bytes(1), scratch);
          if (line.ok()) {
            rows.push_back(std::move(*line));
          } else {
            damage = line.status().WithContext("a log line of " + NameOf(key));
          }
        });
    if (failure.failed()) return failure;
    return damage;
  }));
  return rows;
}

}  // namespace lts::store::mysql

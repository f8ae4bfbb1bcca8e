// Deletes by age, in small transactions that hold the partition's row: a commit waits for one of
// them at most, and an owner that was replaced deletes nothing.
#include <algorithm>

#include "store/mysql/multi_row.h"
#include "store/mysql/store_impl.h"

namespace lts::store::mysql {
namespace {

constexpr std::int64_t kStepRows = 256;

}  // namespace

Step MysqlJobStore::RetainStep(Connection& connection, std::uint32_t partition, std::uint64_t epoch,
                               const SqlText& which, std::int64_t rows_max,
                               std::int64_t* gone) const {
  *gone = 0;
  PartitionState state;
  TimeMs now_ms = 0;
  Step read = ReadState(connection, partition, /*for_update=*/true, &state, &now_ms);
  if (!read.ok()) return read;
  if (Status check = state.CheckEpoch(partition, epoch); !check.ok()) return check;
  if (rows_max <= 0) return {};

  std::vector<std::pair<model::JobKey, std::int32_t>> keys;
  CounterChanges counters;
  Failure failure = connection.Query(
      SqlText("SELECT job_id, cycle, attempt, grp, state, final FROM lts_attempt", which,
              " ORDER BY ended_ms, job_id, cycle, attempt LIMIT ", std::min(kStepRows, rows_max)),
      [&](const Row& row) {
        keys.push_back({{row.Id(0), row.I64(1)}, row.I32(2)});
        if (row.I64(5) != 0) {
          --counters[{row.Bytes(3), static_cast<std::uint8_t>(kCountEnded + row.I64(4))}];
        }
      });
  if (failure.failed()) return failure;
  if (keys.empty()) return {};
  std::sort(keys.begin(), keys.end());
  SqlText sql("DELETE FROM lts_attempt WHERE part = ", partition,
              " AND (job_id, cycle, attempt) IN (");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) sql.Add(", ");
    sql.Add("(", keys[i].first.id, ", ", keys[i].first.cycle, ", ", keys[i].second, ")");
  }
  sql.Add(")");
  failure = connection.Execute(sql, gone);
  if (failure.failed()) return failure;
  return WriteCounters(connection, partition, counters);
}

Step MysqlJobStore::GroupsOver(Connection& connection, std::uint32_t partition,
                               std::int64_t ended_max,
                               std::vector<std::pair<std::string, std::int64_t>>* groups) const {
  groups->clear();
  return connection.Query(
      SqlText("SELECT grp, SUM(n) FROM lts_counter WHERE part = ", partition,
              " AND what >= ", kCountEnded, " GROUP BY grp HAVING SUM(n) > ", ended_max),
      [&](const Row& row) { groups->emplace_back(row.Bytes(0), row.I64(1) - ended_max); });
}

Result<std::int64_t> MysqlJobStore::Retain(std::uint32_t partition, std::uint64_t epoch,
                                           const RetentionPolicy& policy) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::int64_t total = 0;
  // Up to `rows` of the oldest that `which` names.
  const auto remove = [&](const SqlText& which, std::int64_t rows) -> Status {
    for (bool more = true; more;) {
      std::int64_t gone = 0;
      const std::int64_t left = std::min(rows, policy.rows_max - total);
      const Status done = Write([&](Connection& connection) {
        return RetainStep(connection, partition, epoch, which, left, &gone);
      });
      // Whatever it did, the next call goes on from there.
      if (done.code() == StatusCode::kUnknownOutcome) return Status::Unavailable(done.message());
      LTS_RETURN_IF_ERROR(done);
      total += gone;
      rows -= gone;
      more = gone > 0 && rows > 0 && total < policy.rows_max;
    }
    return Status::Ok();
  };
  LTS_RETURN_IF_ERROR(remove(SqlText(" FORCE INDEX (by_end) WHERE part = ", partition,
                                     " AND ended_ms < ", policy.history_before_ms),
                             policy.rows_max));
  if (policy.ended_per_group > 0) {
    std::vector<std::pair<std::string, std::int64_t>> groups;
    LTS_RETURN_IF_ERROR(Read([&](Connection& connection) {
      return GroupsOver(connection, partition, policy.ended_per_group, &groups);
    }));
    // Attempts go with the ended jobs, and count like these here: the rest goes with the next call.
    for (const auto& [group, excess] : groups) {
      if (total >= policy.rows_max) break;
      LTS_RETURN_IF_ERROR(
          remove(SqlText(" FORCE INDEX (by_group) WHERE part = ", partition, " AND grp = ", group,
                         " AND ended_ms < ", policy.ended_before_ms),
                 excess));
    }
  }
  // Log lines do not say their partition: each owner's call takes its share of all of them.
  while (total < policy.rows_max) {
    std::int64_t gone = 0;
    LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
      return connection.Execute(SqlText("DELETE FROM lts_job_log WHERE time_ms < ",
                                        policy.logs_before_ms, " ORDER BY time_ms LIMIT ",
                                        std::min<std::int64_t>(kStepRows, policy.rows_max - total)),
                                &gone);
    }));
    if (gone == 0) break;
    total += gone;
  }
  return total;
}

}  // namespace lts::store::mysql

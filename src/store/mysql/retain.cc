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
                               TimeMs before_ms, std::int64_t rows_max, std::int64_t* gone) const {
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
      SqlText("SELECT job_id, cycle, attempt, grp, state, final FROM lts_attempt"
              " FORCE INDEX (by_end) WHERE part = ",
              partition, " AND ended_ms < ", before_ms,
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

Result<std::int64_t> MysqlJobStore::Retain(std::uint32_t partition, std::uint64_t epoch,
                                           const RetentionPolicy& policy) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::int64_t total = 0;
  for (bool more = true; more;) {
    std::int64_t gone = 0;
    const std::int64_t left = policy.rows_max - total;
    const Status done = Write([&](Connection& connection) {
      return RetainStep(connection, partition, epoch, policy.history_before_ms, left, &gone);
    });
    // Whatever it did, the next call goes on from there.
    if (done.code() == StatusCode::kUnknownOutcome) return Status::Unavailable(done.message());
    LTS_RETURN_IF_ERROR(done);
    total += gone;
    more = gone > 0 && total < policy.rows_max;
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

// Leases: rows of lts_partition, on the server's clock.
#include <fmt/core.h>

#include <algorithm>

#include "store/mysql/store_impl.h"

namespace lts::store::mysql {

SqlText MysqlJobStore::NowSql() const {
  const Clock* clock = pool_.target().options.store_clock;
  // The session's time zone is UTC. The time is that of the statement's start.
  return clock != nullptr ? SqlText(clock->WallMs())
                          : SqlText("CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)");
}

SqlText MysqlJobStore::LeaseEndSql() const {
  return SqlText(NowSql(), " + ", pool_.target().options.lease_ms);
}

Result<TimeMs> MysqlJobStore::Now() {
  TimeMs now = 0;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    return connection.Query(SqlText("SELECT ", NowSql()),
                            [&](const Row& row) { now = row.I64(0); });
  }));
  return now;
}

Step MysqlJobStore::ReadState(Connection& connection, std::uint32_t partition, bool for_update,
                              PartitionState* state, TimeMs* now_ms) const {
  SqlText sql(
      "SELECT owner, owner_address, epoch, commit_no, next_seq, clean, lease_end_ms, asker,"
      " asker_assignment, ",
      NowSql(), " FROM lts_partition WHERE part = ", partition);
  if (for_update) sql.Add(" FOR UPDATE");
  bool found = false;
  Failure failure = connection.Query(sql, [&](const Row& row) {
    found = true;
    state->owner = row.Bytes(0);
    state->owner_address = row.Bytes(1);
    state->epoch = row.U64(2);
    state->commit_no = row.U64(3);
    state->next_seq = row.U64(4);
    state->clean = row.I64(5) != 0;
    state->lease_end_us = row.I64(6) * 1000;
    state->asker = row.Bytes(7);
    state->asker_assignment = row.U64(8);
    *now_ms = row.I64(9);
  });
  if (failure.failed()) return failure;
  if (!found) {
    return Status::DataLoss(fmt::format("partition {} is not in lts_partition", partition));
  }
  return {};
}

Result<PartitionLease> MysqlJobStore::Acquire(std::uint32_t partition, const std::string& owner,
                                              const std::string& address,
                                              std::uint64_t assignment) {
  LTS_RETURN_IF_ERROR(Known(partition));
  PartitionLease lease;
  Status answer;
  const Status done = Write([&](Connection& connection) -> Step {
    PartitionState state;
    TimeMs now_ms = 0;
    Step read = ReadState(connection, partition, /*for_update=*/true, &state, &now_ms);
    if (!read.ok()) return read;
    const std::string asker = state.asker;
    const std::uint64_t asker_assignment = state.asker_assignment;
    answer = state.Ask(partition, owner, assignment, now_ms * 1000);
    if (!answer.ok()) {
      if (answer.code() != StatusCode::kUnavailable) return answer;
      if (state.asker == asker && state.asker_assignment == asker_assignment) return {};
      return connection.Execute(SqlText("UPDATE lts_partition SET asker = ", state.asker,
                                        ", asker_assignment = ", state.asker_assignment,
                                        " WHERE part = ", partition));
    }
    const PartitionState next = state.Acquired(owner, address, 0);
    lease = next.LeaseFor(state);
    return connection.Execute(
        SqlText("UPDATE lts_partition SET owner = ", owner, ", owner_address = ", address,
                ", epoch = ", next.epoch, ", clean = 0, lease_end_ms = ", LeaseEndSql(),
                ", asker = '', asker_assignment = 0 WHERE part = ", partition));
  });
  // Asked again by the same owner it only takes a further epoch.
  if (done.code() == StatusCode::kUnknownOutcome) return Status::Unavailable(done.message());
  LTS_RETURN_IF_ERROR(done);
  LTS_RETURN_IF_ERROR(answer);
  return lease;
}

Result<RenewReply> MysqlJobStore::Renew(
    const std::vector<std::pair<std::uint32_t, std::uint64_t>>& partition_epochs,
    const std::string& owner) {
  RenewReply reply;
  if (partition_epochs.empty()) return reply;
  SqlText update("UPDATE lts_partition SET lease_end_ms = ", LeaseEndSql(),
                 " WHERE owner = ", owner, " AND (part, epoch) IN (");
  bool first = true;
  for (const auto& [partition, epoch] : partition_epochs) {
    LTS_RETURN_IF_ERROR(Known(partition));
    if (!first) update.Add(", ");
    first = false;
    update.Add("(", partition, ", ", epoch, ")");
  }
  update.Add(")");
  // Over a connection of each use: asked for each second, that keeps one of either open for a lone
  // job and its look-up.
  const Status renewed =
      Write([&](Connection& connection) -> Step { return connection.Execute(update); });
  if (renewed.code() == StatusCode::kUnknownOutcome) return Status::Unavailable(renewed.message());
  LTS_RETURN_IF_ERROR(renewed);
  // A partition that is shown as held now was held when it was renewed: an epoch never comes back.
  std::map<std::uint32_t, std::uint64_t> held;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    held.clear();
    return connection.Query(SqlText("SELECT part, epoch FROM lts_partition WHERE owner = ", owner),
                            [&](const Row& row) { held[row.U32(0)] = row.U64(1); });
  }));
  for (const auto& [partition, epoch] : partition_epochs) {
    const auto it = held.find(partition);
    const bool is_held = it != held.end() && it->second == epoch && !owner.empty();
    reply.held.push_back(is_held || !pool_.target().options.fencing);
  }
  return reply;
}

Status MysqlJobStore::Release(std::uint32_t partition, std::uint64_t epoch, bool clean) {
  LTS_RETURN_IF_ERROR(Known(partition));
  Status done = Write([&](Connection& connection) -> Step {
    PartitionState state;
    TimeMs now_ms = 0;
    Step read = ReadState(connection, partition, /*for_update=*/true, &state, &now_ms);
    if (!read.ok()) return read;
    if (Status check = state.CheckRelease(partition, epoch); !check.ok()) return check;
    return connection.Execute(SqlText(
        "UPDATE lts_partition SET owner = '', owner_address = '', lease_end_ms = 0, clean = ",
        clean, " WHERE part = ", partition));
  });
  if (done.code() == StatusCode::kUnknownOutcome) return Status::Unavailable(done.message());
  return done;
}

Result<std::vector<PartitionRow>> MysqlJobStore::Partitions() {
  std::vector<PartitionRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    return connection.Query(
        SqlText("SELECT part, owner, owner_address, epoch, commit_no, asker, asker_assignment"
                " FROM lts_partition ORDER BY part"),
        [&](const Row& row) {
          rows.push_back({row.U32(0), row.Bytes(1), row.Bytes(2), row.U64(3), row.U64(4),
                          row.Bytes(5), row.U64(6)});
        });
  }));
  return rows;
}

}  // namespace lts::store::mysql

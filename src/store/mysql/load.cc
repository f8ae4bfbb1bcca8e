// Reads of a partition's owner, and how rows are read at all.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "store/mysql/store_impl.h"

namespace lts::store::mysql {
namespace {

// Runs `decode` for each row; stops taking rows at the first that cannot be read.
template <typename Decode>
Step TakeRows(Connection& connection, const SqlText& sql, const Decode& decode) {
  Status damage;
  Failure failure = connection.Query(sql, [&](const Row& row) {
    if (damage.ok()) damage = decode(row);
  });
  if (failure.failed()) return failure;
  return damage;
}

constexpr std::size_t kSelectsPerStatement = 8;

// Of LTS_JOB_COLUMNS.
Result<JobRow> DecodeJobRow(const Row& row, records::Scratch& scratch) {
  const model::JobKey key{row.Id(0), row.I64(1)};
  auto job = records::DecodeJob({row.I32(2), row.I64(3), row.U64(4)}, key, row.Bytes(5), scratch);
  if (!job.ok()) return job.status().WithContext(NameOf(key));
  return job;
}

}  // namespace

Step MysqlJobStore::TakeJobs(Connection& connection, const SqlText& sql,
                             std::vector<JobRow>* rows) const {
  records::Scratch scratch;
  return TakeRows(connection, sql, [&](const Row& row) -> Status {
    auto job = DecodeJobRow(row, scratch);
    if (!job.ok()) return job.status();
    rows->push_back(std::move(*job));
    return Status::Ok();
  });
}

Step MysqlJobStore::TakeSchedules(Connection& connection, const SqlText& sql,
                                  std::vector<ScheduleRow>* rows) const {
  records::Scratch scratch;
  return TakeRows(connection, sql, [&](const Row& row) -> Status {
    const model::JobId id = row.Id(0);
    auto schedule = records::DecodeSchedule(id, row.Bytes(1), scratch);
    if (!schedule.ok()) return schedule.status().WithContext("schedule " + id.ToString());
    rows->push_back(std::move(*schedule));
    return Status::Ok();
  });
}

Step MysqlJobStore::TakeHistory(Connection& connection, const SqlText& sql,
                                std::vector<HistoryRow>* rows) const {
  records::Scratch scratch;
  return TakeRows(connection, sql, [&](const Row& row) -> Status {
    const model::JobKey key{row.Id(0), row.I64(1)};
    auto attempt =
        records::DecodeHistory(row.Bytes(3), row.I64(4), key, row.I32(2), row.Bytes(5), scratch);
    if (!attempt.ok()) return attempt.status().WithContext("history of " + NameOf(key));
    rows->push_back(std::move(*attempt));
    return Status::Ok();
  });
}

Result<LookupReply> MysqlJobStore::Lookup(std::uint32_t partition,
                                          const std::vector<model::JobId>& ids,
                                          const std::vector<TaskKey>& tasks) {
  LTS_RETURN_IF_ERROR(Known(partition));
  LookupReply reply;
  // Selects of one form: 0 and a job row, or 1 and the id of a job that has ended. Their keys have
  // the partition in them: beside the list it, or the group, would be a way into the index by
  // itself, and a server whose statistics are from when that was short takes it, and reads all of
  // it each time.
  std::vector<SqlText> selects;
  for (std::size_t at = 0; at < ids.size(); at += kRowsPerStatement) {
    SqlText list;
    for (std::size_t i = at; i < std::min(ids.size(), at + kRowsPerStatement); ++i) {
      if (i > at) list.Add(", ");
      list.Add("(", partition, ", ", ids[i], ")");
    }
    selects.emplace_back("SELECT 0, " LTS_JOB_COLUMNS
                         " FROM lts_job FORCE INDEX (PRIMARY) WHERE (part, job_id) IN (",
                         list, ")");
    selects.emplace_back(
        "SELECT DISTINCT 1, job_id, 0, 0, 0, 0, '' FROM lts_attempt"
        " FORCE INDEX (PRIMARY) WHERE (part, job_id) IN (",
        list, ")");
  }
  // Groups in statements of their own: keys that differ in the middle take the server's optimizer
  // time that grows with the square of their number.
  std::vector<TaskKey> by_group = tasks;
  std::sort(by_group.begin(), by_group.end());
  for (std::size_t at = 0; at < by_group.size();) {
    const std::string& group = by_group[at].group;
    SqlText sql("SELECT 0, " LTS_JOB_COLUMNS
                " FROM lts_job FORCE INDEX (by_task) WHERE (part, grp, task_id) IN (");
    for (std::size_t n = 0;
         n < kRowsPerStatement && at < by_group.size() && by_group[at].group == group; ++n, ++at) {
      if (n > 0) sql.Add(", ");
      sql.Add("(", partition, ", ", group, ", ", by_group[at].task_id, ")");
    }
    selects.push_back(std::move(sql.Add(")")));
  }
  if (selects.empty()) return reply;

  std::map<model::JobKey, JobRow> jobs;
  std::set<model::JobId> ended;
  const auto run = [&](Connection& connection, const SqlText& sql) {
    records::Scratch scratch;
    return TakeRows(connection, sql, [&](const Row& full) -> Status {
      const Shifted row(full);
      if (full.I64(0) == 1) {
        ended.insert(row.Id(0));
        return Status::Ok();
      }
      auto job = DecodeJobRow(row, scratch);
      if (!job.ok()) return job.status();
      const model::JobKey key = job->key;
      jobs.try_emplace(key, std::move(*job));
      return Status::Ok();
    });
  };
  // A row that ends between two queries must not be missed by both: a few selects make one
  // statement, which sees one state; more of them need a snapshot.
  Status done;
  if (selects.size() <= kSelectsPerStatement) {
    SqlText all(selects[0]);
    for (std::size_t i = 1; i < selects.size(); ++i) all.Add(" UNION ALL ", selects[i]);
    done = Read([&](Connection& connection) -> Step {
      jobs.clear();
      ended.clear();
      return run(connection, all);
    });
  } else {
    done = ReadSnapshot([&](Connection& connection) -> Step {
      jobs.clear();
      ended.clear();
      for (const SqlText& sql : selects) {
        Step step = run(connection, sql);
        if (!step.ok()) return step;
      }
      return {};
    });
  }
  LTS_RETURN_IF_ERROR(done);
  for (auto& [key, row] : jobs) reply.jobs.push_back(std::move(row));
  reply.ended.assign(ended.begin(), ended.end());
  return reply;
}

Result<std::vector<ScheduleRow>> MysqlJobStore::LoadSchedules(std::uint32_t partition,
                                                              const model::JobId& after,
                                                              std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<ScheduleRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    return TakeSchedules(
        connection,
        SqlText("SELECT " LTS_SCHEDULE_COLUMNS " FROM lts_schedule WHERE part = ", partition,
                " AND job_id > ", after, " ORDER BY job_id LIMIT ", limit),
        &rows);
  }));
  return rows;
}

Result<std::vector<WorkerRow>> MysqlJobStore::LoadWorkers(std::uint32_t partition) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<WorkerRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    records::Scratch scratch;
    return TakeRows(connection,
                    SqlText("SELECT grp, identity, record FROM lts_worker WHERE part = ", partition,
                            " ORDER BY grp, identity"),
                    [&](const Row& row) -> Status {
                      auto worker =
                          records::DecodeWorker(row.Bytes(0), row.Bytes(1), row.Bytes(2), scratch);
                      if (!worker.ok()) {
                        return worker.status().WithContext("TaskTracker " + row.Bytes(1));
                      }
                      rows.push_back(std::move(*worker));
                      return Status::Ok();
                    });
  }));
  return rows;
}

Result<std::vector<JobRow>> MysqlJobStore::LoadRunning(std::uint32_t partition,
                                                       const model::JobKey& after,
                                                       std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<JobRow> rows;
  LTS_RETURN_IF_ERROR(ReadSnapshot([&](Connection& connection) -> Step {
    rows.clear();
    // Marked and resident rows are as many as an owner holds in memory: their keys are sorted out
    // of the index, then the rows of this page are read.
    std::vector<model::JobKey> keys;
    Failure failure = connection.Query(
        SqlText("SELECT job_id, cycle FROM lts_job FORCE INDEX (by_due) WHERE part = ", partition,
                " AND (pool = ", kPoolRunning, " OR pool >= ", kPoolResident, ") AND (job_id > ",
                after.id, " OR (job_id = ", after.id, " AND cycle > ", after.cycle,
                ")) ORDER BY job_id, cycle LIMIT ", limit),
        [&](const Row& row) {
          keys.push_back({row.Id(0), row.I64(1)});
        });
    if (failure.failed()) return failure;
    for (std::size_t at = 0; at < keys.size(); at += kRowsPerStatement) {
      const std::vector<model::JobKey> some(
          keys.begin() + static_cast<std::ptrdiff_t>(at),
          keys.begin() +
              static_cast<std::ptrdiff_t>(std::min(keys.size(), at + kRowsPerStatement)));
      Step step =
          TakeJobs(connection,
                   SqlText("SELECT " LTS_JOB_COLUMNS " FROM lts_job WHERE part = ", partition,
                           " AND ", KeyList(some), " ORDER BY job_id, cycle"),
                   &rows);
      if (!step.ok()) return step;
    }
    return {};
  }));
  return rows;
}

Result<std::vector<std::string>> MysqlJobStore::LoadGroups(std::uint32_t partition) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<std::string> groups;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    groups.clear();
    // Counters change in the commit that changes the rows.
    return connection.Query(SqlText("SELECT grp FROM lts_counter WHERE part = ", partition,
                                    " AND what = ", kCountJobs, " AND n > 0 ORDER BY grp"),
                            [&](const Row& row) { groups.push_back(row.Bytes(0)); });
  }));
  return groups;
}

Result<std::vector<JobRow>> MysqlJobStore::LoadWaiting(std::uint32_t partition,
                                                       const std::string& group,
                                                       const std::optional<ReadyPosition>& after,
                                                       TimeMs due_before, std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<JobRow> rows;
  const SqlText where(" FROM lts_job FORCE INDEX (by_ready) WHERE part = ", partition,
                      " AND pool = ", kPoolWaiting, " AND grp = ", group);
  LTS_RETURN_IF_ERROR(ReadSnapshot([&](Connection& connection) -> Step {
    rows.clear();
    std::optional<std::int32_t> priority;  // whose rows are read next
    if (after) priority = after->priority;
    for (bool first = true;; first = false) {
      if (priority && (!first || after)) {
        SqlText sql("SELECT " LTS_JOB_COLUMNS, where, " AND priority = ", *priority,
                    " AND due_ms <= ", due_before);
        if (first) {
          sql.Add(" AND due_ms >= ", after->due_ms, " AND (due_ms > ", after->due_ms, " OR seq > ",
                  after->seq, ")");
        }
        sql.Add(" ORDER BY due_ms, seq, job_id, cycle LIMIT ", limit - rows.size());
        Step step = TakeJobs(connection, sql, &rows);
        if (!step.ok()) return step;
        if (rows.size() >= limit) return {};
      }
      // The next priority, by a seek; the first row of it says whether any of it is due.
      bool due = false;
      while (!due) {
        SqlText sql("SELECT priority, due_ms", where);
        if (priority) sql.Add(" AND priority > ", *priority);
        sql.Add(" ORDER BY priority, due_ms, seq, job_id, cycle LIMIT 1");
        bool found = false;
        Failure failure = connection.Query(sql, [&](const Row& row) {
          found = true;
          priority = row.I32(0);
          due = row.I64(1) <= due_before;
        });
        if (failure.failed()) return failure;
        if (!found) return {};
      }
    }
  }));
  return rows;
}

Result<std::vector<JobRow>> MysqlJobStore::LoadDated(std::uint32_t partition,
                                                     const std::string& group, TimeMs due_after,
                                                     std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<JobRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    return TakeJobs(
        connection,
        SqlText("SELECT " LTS_JOB_COLUMNS " FROM lts_job FORCE INDEX (by_due) WHERE part = ",
                partition, " AND pool = ", kPoolWaiting, " AND grp = ", group, " AND due_ms > ",
                due_after, " ORDER BY due_ms, seq, job_id, cycle LIMIT ", limit),
        &rows);
  }));
  return rows;
}

Result<std::vector<TaskPosition>> MysqlJobStore::LoadTasks(std::uint32_t partition,
                                                           const std::string& group,
                                                           const std::optional<TaskPosition>& after,
                                                           std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  SqlText sql("SELECT task_id, job_id, cycle FROM lts_job FORCE INDEX (by_task) WHERE part = ",
              partition, " AND grp = ", group);
  if (after) {
    sql.Add(" AND task_id >= ", after->task_id, " AND (task_id > ", after->task_id, " OR job_id > ",
            after->key.id, " OR (job_id = ", after->key.id, " AND cycle > ", after->key.cycle,
            "))");
  }
  sql.Add(" ORDER BY task_id, job_id, cycle LIMIT ", limit);
  std::vector<TaskPosition> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    return connection.Query(sql, [&](const Row& row) {
      rows.push_back({row.Bytes(0), {row.Id(1), row.I64(2)}});
    });
  }));
  return rows;
}

Result<std::vector<FeedbackRow>> MysqlJobStore::LoadFeedback(std::uint32_t partition,
                                                             const std::string& submit_group,
                                                             std::uint64_t after_seq,
                                                             std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<FeedbackRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    records::Scratch scratch;
    return TakeRows(
        connection,
        SqlText("SELECT seq, job_id, cycle, attempt, record FROM lts_feedback WHERE part = ",
                partition, " AND submit_group = ", submit_group, " AND seq > ", after_seq,
                " ORDER BY seq, job_id, cycle, attempt LIMIT ", limit),
        [&](const Row& row) -> Status {
          const model::JobKey key{row.Id(1), row.I64(2)};
          auto feedback = records::DecodeFeedback(submit_group, row.U64(0), key, row.I32(3),
                                                  row.Bytes(4), scratch);
          if (!feedback.ok()) return feedback.status().WithContext("feedback of " + NameOf(key));
          rows.push_back(std::move(*feedback));
          return Status::Ok();
        });
  }));
  return rows;
}

Result<std::vector<std::string>> MysqlJobStore::LoadFeedbackGroups(std::uint32_t partition) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<std::string> groups;
  LTS_RETURN_IF_ERROR(ReadSnapshot([&](Connection& connection) -> Step {
    groups.clear();
    // A seek per group: a group may have any number of rows.
    for (bool found = true; found;) {
      found = false;
      SqlText sql("SELECT submit_group FROM lts_feedback WHERE part = ", partition);
      if (!groups.empty()) sql.Add(" AND submit_group > ", groups.back());
      sql.Add(" ORDER BY submit_group LIMIT 1");
      Failure failure = connection.Query(sql, [&](const Row& row) {
        found = true;
        groups.push_back(row.Bytes(0));
      });
      if (failure.failed()) return failure;
    }
    return {};
  }));
  return groups;
}

}  // namespace lts::store::mysql

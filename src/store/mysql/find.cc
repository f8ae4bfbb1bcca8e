// Reads of console and CLI. A listing first takes the positions of candidates out of an index, the
// newest of all partitions in one order; a filter that no index has is applied to at most
// kExaminedMax of them, and the page then ends early, with a token to go on. Rows are read for what
// is left, a few at a time, until the page is full.
#include <fmt/core.h>

#include <algorithm>

#include "store/mysql/store_impl.h"
#include "store/paging.h"

namespace lts::store::mysql {
namespace {

constexpr std::size_t kExaminedMax = 2'000;
// Rows read at a time: their sizes are not known before.
constexpr std::size_t kRowsAtATime = 16;

// A candidate of a listing, with what filters look at.
template <typename Position>
struct Candidate {
  Position position;
  std::string group;
  std::uint8_t state = 0;
  TimeMs time_ms = 0;
  bool final = false;
};

// "(…) UNION ALL (…)" over the partitions.
template <typename PartSql>
SqlText OverPartitions(std::uint32_t partitions, const PartSql& part_sql) {
  SqlText sql;
  for (std::uint32_t part = 0; part < partitions; ++part) {
    if (partitions == 1) return part_sql(part);
    if (part > 0) sql.Add(" UNION ALL ");
    sql.Add("(", part_sql(part), ")");
  }
  return sql;
}

// job_id, cycle below the position of a page, in descending order of (key, partition).
SqlText BelowJob(const std::optional<JobPosition>& start, std::uint32_t part) {
  if (!start) return SqlText("1 = 1");
  const model::JobKey& key = start->key;
  SqlText sql("job_id <= ", key.id, " AND (job_id < ", key.id, " OR cycle < ", key.cycle);
  if (part < start->partition) sql.Add(" OR cycle = ", key.cycle);
  sql.Add(")");
  return sql;
}

// ended_ms, job_id, cycle, attempt below it.
SqlText BelowEnd(const std::optional<EndedPosition>& start, std::uint32_t part) {
  if (!start) return SqlText("1 = 1");
  SqlText sql("ended_ms <= ", start->ended_ms, " AND (ended_ms < ", start->ended_ms,
              " OR job_id < ", start->key.id, " OR (job_id = ", start->key.id, " AND (cycle < ",
              start->key.cycle, " OR (cycle = ", start->key.cycle, " AND attempt ");
  if (part < start->partition) {
    sql.Add("<= ");
  } else {
    sql.Add("< ");
  }
  sql.Add(start->attempt, "))))");
  return sql;
}

// Reads the rows of `candidates` through `read`, which appends those that are there, in order,
// until the page has no room. Gives the token of the next page: `more` when rows may follow the
// candidates.
template <typename Position, typename RowT, typename Read, typename PositionOf>
Step FillPage(const std::vector<Candidate<Position>>& candidates, std::size_t limit,
              const std::optional<Position>& more_after, const Read& read,
              const PositionOf& position_of, std::vector<RowT>* rows, PageToken* next) {
  PageRoom room(limit);
  std::optional<Position> before;
  for (std::size_t at = 0; at < candidates.size(); at += kRowsAtATime) {
    const std::vector<Candidate<Position>> some(
        candidates.begin() + static_cast<std::ptrdiff_t>(at),
        candidates.begin() +
            static_cast<std::ptrdiff_t>(std::min(candidates.size(), at + kRowsAtATime)));
    std::map<Position, RowT> found;
    Step step = read(some, [&](std::uint32_t part, RowT row) {
      const Position position = position_of(row, part);
      found.emplace(position, std::move(row));
    });
    if (!step.ok()) return step;
    for (const Candidate<Position>& candidate : some) {
      const auto it = found.find(candidate.position);
      if (it == found.end()) continue;
      if (!room.Take(it->second)) {
        *next = ToToken(*before);
        return {};
      }
      rows->push_back(std::move(it->second));
      before = candidate.position;
    }
  }
  if (more_after) *next = ToToken(*more_after);
  return {};
}

// Cuts the candidates to those that pass, at most `limit` and among the first kExaminedMax, and
// says after which the listing goes on, if it does.
template <typename Position, typename Pass>
std::optional<Position> Sift(std::vector<Candidate<Position>>* candidates, std::size_t limit,
                             const Pass& pass) {
  std::vector<Candidate<Position>> passed;
  std::optional<Position> more_after;
  for (std::size_t i = 0; i < candidates->size(); ++i) {
    Candidate<Position>& candidate = (*candidates)[i];
    if (passed.size() == limit || i == kExaminedMax) {
      more_after = (*candidates)[i - 1].position;
      break;
    }
    if (pass(candidate)) passed.push_back(std::move(candidate));
  }
  *candidates = std::move(passed);
  return more_after;
}

// "(part = 0 AND (…) IN (…)) OR …" of some candidates.
template <typename Position, typename Put>
SqlText Rows(const std::vector<Candidate<Position>>& some, std::uint32_t partitions,
             const SqlText& columns, const Put& put) {
  SqlText sql;
  bool any = false;
  for (std::uint32_t part = 0; part < partitions; ++part) {
    bool first = true;
    for (const Candidate<Position>& candidate : some) {
      if (candidate.position.partition != part) continue;
      if (first) {
        if (any) sql.Add(" UNION ALL ");
        sql.Add("SELECT part, ", columns, " WHERE part = ", part, " AND (");
      } else {
        sql.Add(" OR ");
      }
      first = false;
      any = true;
      sql.Add("(");
      put(candidate.position, &sql);
      sql.Add(")");
    }
    if (!first) sql.Add(")");
  }
  return sql;
}

}  // namespace

Result<std::vector<JobRow>> MysqlJobStore::FindJobRows(const model::JobId& id) {
  std::vector<JobRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    return TakeJobs(
        connection,
        OverPartitions(identity_.partitions,
                       [&](std::uint32_t part) {
                         return SqlText(
                             "SELECT " LTS_JOB_COLUMNS " FROM lts_job WHERE part = ", part,
                             " AND job_id = ", id, " ORDER BY cycle LIMIT ", kPageRowsMax);
                       }),
        &rows);
  }));
  if (rows.size() > kPageRowsMax) rows.resize(kPageRowsMax);
  return rows;
}

Result<std::optional<ScheduleRow>> MysqlJobStore::FindSchedule(const model::JobId& id) {
  std::vector<ScheduleRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    return TakeSchedules(connection,
                         OverPartitions(identity_.partitions,
                                        [&](std::uint32_t part) {
                                          return SqlText("SELECT " LTS_SCHEDULE_COLUMNS
                                                         " FROM lts_schedule WHERE part = ",
                                                         part, " AND job_id = ", id);
                                        }),
                         &rows);
  }));
  if (rows.empty()) return std::optional<ScheduleRow>();
  return std::optional<ScheduleRow>(std::move(rows.front()));
}

Result<std::vector<HistoryRow>> MysqlJobStore::FindHistory(const model::JobId& id,
                                                           std::size_t limit) {
  std::vector<HistoryRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    return TakeHistory(
        connection,
        OverPartitions(identity_.partitions,
                       [&](std::uint32_t part) {
                         return SqlText(
                             "SELECT " LTS_ATTEMPT_COLUMNS " FROM lts_attempt WHERE part = ", part,
                             " AND job_id = ", id, " ORDER BY cycle DESC, attempt DESC LIMIT ",
                             ClampPage(limit));
                       }),
        &rows);
  }));
  if (rows.size() > ClampPage(limit)) rows.resize(ClampPage(limit));
  return rows;
}

Result<std::optional<HistoryRow>> MysqlJobStore::FindAttempt(const model::JobKey& key,
                                                             std::int32_t attempt) {
  std::vector<HistoryRow> rows;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    rows.clear();
    return TakeHistory(
        connection,
        OverPartitions(identity_.partitions,
                       [&](std::uint32_t part) {
                         return SqlText(
                             "SELECT " LTS_ATTEMPT_COLUMNS " FROM lts_attempt WHERE part = ", part,
                             " AND job_id = ", key.id, " AND cycle = ", key.cycle,
                             " AND attempt = ", attempt);
                       }),
        &rows);
  }));
  if (rows.empty()) return std::optional<HistoryRow>();
  return std::optional<HistoryRow>(std::move(rows.front()));
}

Result<JobPage> MysqlJobStore::FindJobs(const JobFilter& filter, const PageToken& page,
                                        std::size_t limit) {
  LTS_RETURN_IF_ERROR(CheckFilter(filter));
  const auto start = JobPositionFrom(page);
  if (!start.ok()) return start.status();
  const bool by_task = !filter.task_id.empty();
  const bool by_running = !by_task && filter.state == model::JobState::kRunning;
  const bool sifts = filter.state || filter.since_ms > 0 || (!by_task && !filter.group.empty());
  const std::size_t examined = (sifts ? kExaminedMax : ClampPage(limit)) + 1;
  SqlText candidates_sql("SELECT * FROM (");
  candidates_sql.Add(OverPartitions(identity_.partitions, [&](std::uint32_t part) {
    SqlText sql("SELECT part, job_id, cycle, grp, pool, accepted_ms FROM lts_job");
    if (by_task) {
      sql.Add(" FORCE INDEX (by_task) WHERE part = ", part, " AND grp = ", filter.group,
              " AND task_id = ", filter.task_id);
    } else if (by_running) {
      sql.Add(" FORCE INDEX (by_due) WHERE part = ", part, " AND pool IN (", kPoolRunning, ", ",
              kPoolRunning + kPoolResident, ")");
    } else {
      sql.Add(" FORCE INDEX (PRIMARY) WHERE part = ", part);
    }
    sql.Add(" AND ", BelowJob(*start, part), " ORDER BY job_id DESC, cycle DESC LIMIT ", examined);
    return sql;
  }));
  candidates_sql.Add(") AS u ORDER BY job_id DESC, cycle DESC, part DESC LIMIT ", examined);

  JobPage result;
  LTS_RETURN_IF_ERROR(ReadSnapshot([&](Connection& connection) -> Step {
    result = {};
    std::vector<Candidate<JobPosition>> candidates;
    Failure failure = connection.Query(candidates_sql, [&](const Row& row) {
      Candidate<JobPosition> c;
      c.position = {{row.Id(1), row.I64(2)}, row.U32(0)};
      c.group = row.Bytes(3);
      c.state = static_cast<std::uint8_t>(row.U64(4) & ~std::uint64_t{kPoolResident});
      c.time_ms = row.I64(5);
      candidates.push_back(std::move(c));
    });
    if (failure.failed()) return failure;
    const auto more_after =
        Sift(&candidates, ClampPage(limit), [&](const Candidate<JobPosition>& c) {
          return (filter.group.empty() || c.group == filter.group) &&
                 (!filter.state || c.state == static_cast<std::uint8_t>(*filter.state)) &&
                 c.time_ms >= filter.since_ms;
        });
    const SqlText columns(LTS_JOB_COLUMNS " FROM lts_job");
    return FillPage(
        candidates, limit, more_after,
        [&](const auto& some, const auto& take) -> Step {
          records::Scratch scratch;
          Status damage;
          Failure failed =
              connection.Query(Rows(some, identity_.partitions, columns,
                                    [](const JobPosition& p, SqlText* sql) {
                                      sql->Add("job_id = ", p.key.id, " AND cycle = ", p.key.cycle);
                                    }),
                               [&](const Row& full) {
                                 const Shifted row(full);
                                 const model::JobKey key{row.Id(0), row.I64(1)};
                                 auto job = records::DecodeJob({row.I32(2), row.I64(3), row.U64(4)},
                                                               key, row.Bytes(5), scratch);
                                 if (job.ok()) {
                                   take(full.U32(0), std::move(*job));
                                 } else {
                                   damage = job.status().WithContext(NameOf(key));
                                 }
                               });
          if (failed.failed()) return failed;
          return damage;
        },
        [](const JobRow& row, std::uint32_t part) {
          return JobPosition{row.key, part};
        },
        &result.rows, &result.next);
  }));
  return result;
}

Result<SchedulePage> MysqlJobStore::FindSchedules(const JobFilter& filter, const PageToken& page,
                                                  std::size_t limit) {
  LTS_RETURN_IF_ERROR(CheckFilter(filter));
  const auto start = JobPositionFrom(page);
  if (!start.ok()) return start.status();
  const bool by_task = !filter.task_id.empty();
  const bool sifts = filter.state || filter.since_ms > 0 || !filter.group.empty();
  const std::size_t examined = (sifts ? kExaminedMax : ClampPage(limit)) + 1;
  SqlText candidates_sql("SELECT * FROM (");
  candidates_sql.Add(OverPartitions(identity_.partitions, [&](std::uint32_t part) {
    SqlText sql("SELECT part, job_id, grp, state, accepted_ms FROM lts_schedule");
    if (by_task) {
      sql.Add(" WHERE part = ", part, " AND grp = ", filter.group,
              " AND task_id = ", filter.task_id);
    } else {
      sql.Add(" FORCE INDEX (PRIMARY) WHERE part = ", part);
    }
    if (*start) {
      // Schedules have no cycle: the keys are those of cycle 0.
      const bool with_equal =
          0 < (*start)->key.cycle || ((*start)->key.cycle == 0 && part < (*start)->partition);
      if (with_equal) {
        sql.Add(" AND job_id <= ", (*start)->key.id);
      } else {
        sql.Add(" AND job_id < ", (*start)->key.id);
      }
    }
    sql.Add(" ORDER BY job_id DESC LIMIT ", examined);
    return sql;
  }));
  candidates_sql.Add(") AS u ORDER BY job_id DESC, part DESC LIMIT ", examined);

  SchedulePage result;
  LTS_RETURN_IF_ERROR(ReadSnapshot([&](Connection& connection) -> Step {
    result = {};
    std::vector<Candidate<JobPosition>> candidates;
    Failure failure = connection.Query(candidates_sql, [&](const Row& row) {
      Candidate<JobPosition> c;
      c.position = {{row.Id(1), 0}, row.U32(0)};
      c.group = row.Bytes(2);
      c.state = static_cast<std::uint8_t>(row.U64(3));
      c.time_ms = row.I64(4);
      candidates.push_back(std::move(c));
    });
    if (failure.failed()) return failure;
    const auto more_after =
        Sift(&candidates, ClampPage(limit), [&](const Candidate<JobPosition>& c) {
          return (filter.group.empty() || c.group == filter.group) &&
                 (!filter.state || c.state == static_cast<std::uint8_t>(*filter.state)) &&
                 c.time_ms >= filter.since_ms;
        });
    const SqlText columns(LTS_SCHEDULE_COLUMNS " FROM lts_schedule");
    return FillPage(
        candidates, limit, more_after,
        [&](const auto& some, const auto& take) -> Step {
          records::Scratch scratch;
          Status damage;
          Failure failed = connection.Query(
              Rows(some, identity_.partitions, columns,
                   [](const JobPosition& p, SqlText* sql) { sql->Add("job_id = ", p.key.id); }),
              [&](const Row& full) {
                const Shifted row(full);
                auto schedule = records::DecodeSchedule(row.Id(0), row.Bytes(1), scratch);
                if (schedule.ok()) {
                  take(full.U32(0), std::move(*schedule));
                } else {
                  damage = schedule.status().WithContext("schedule " + row.Id(0).ToString());
                }
              });
          if (failed.failed()) return failed;
          return damage;
        },
        [](const ScheduleRow& row, std::uint32_t part) {
          return JobPosition{{row.id, 0}, part};
        },
        &result.rows, &result.next);
  }));
  return result;
}

Result<HistoryPage> MysqlJobStore::FindEnded(const JobFilter& filter, bool finals_only,
                                             const PageToken& page, std::size_t limit) {
  LTS_RETURN_IF_ERROR(CheckFilter(filter));
  const auto start = EndedPositionFrom(page);
  if (!start.ok()) return start.status();
  const bool sifts = filter.state || finals_only;
  const std::size_t examined = (sifts ? kExaminedMax : ClampPage(limit)) + 1;
  SqlText candidates_sql("SELECT * FROM (");
  candidates_sql.Add(OverPartitions(identity_.partitions, [&](std::uint32_t part) {
    SqlText sql("SELECT part, job_id, cycle, attempt, ended_ms, state, final FROM lts_attempt");
    if (filter.group.empty()) {
      sql.Add(" FORCE INDEX (by_end) WHERE part = ", part);
    } else if (filter.task_id.empty()) {
      sql.Add(" FORCE INDEX (by_group) WHERE part = ", part, " AND grp = ", filter.group);
    } else {
      sql.Add(" FORCE INDEX (by_task) WHERE part = ", part, " AND grp = ", filter.group,
              " AND task_id = ", filter.task_id);
    }
    if (filter.since_ms > 0) sql.Add(" AND ended_ms >= ", filter.since_ms);
    sql.Add(" AND ", BelowEnd(*start, part),
            " ORDER BY ended_ms DESC, job_id DESC, cycle DESC, attempt DESC LIMIT ", examined);
    return sql;
  }));
  candidates_sql.Add(
      ") AS u ORDER BY ended_ms DESC, job_id DESC, cycle DESC, attempt DESC, part DESC LIMIT ",
      examined);

  HistoryPage result;
  LTS_RETURN_IF_ERROR(ReadSnapshot([&](Connection& connection) -> Step {
    result = {};
    std::vector<Candidate<EndedPosition>> candidates;
    Failure failure = connection.Query(candidates_sql, [&](const Row& row) {
      Candidate<EndedPosition> c;
      c.position = {row.I64(4), {row.Id(1), row.I64(2)}, row.I32(3), row.U32(0)};
      c.state = static_cast<std::uint8_t>(row.U64(5));
      c.final = row.U64(6) != 0;
      candidates.push_back(std::move(c));
    });
    if (failure.failed()) return failure;
    const auto more_after =
        Sift(&candidates, ClampPage(limit), [&](const Candidate<EndedPosition>& c) {
          return (!finals_only || c.final) &&
                 (!filter.state || c.state == static_cast<std::uint8_t>(*filter.state));
        });
    const SqlText columns(LTS_ATTEMPT_COLUMNS " FROM lts_attempt");
    return FillPage(
        candidates, limit, more_after,
        [&](const auto& some, const auto& take) -> Step {
          records::Scratch scratch;
          Status damage;
          Failure failed = connection.Query(
              Rows(some, identity_.partitions, columns,
                   [](const EndedPosition& p, SqlText* sql) {
                     sql->Add("job_id = ", p.key.id, " AND cycle = ", p.key.cycle,
                              " AND attempt = ", p.attempt);
                   }),
              [&](const Row& full) {
                const Shifted row(full);
                const model::JobKey key{row.Id(0), row.I64(1)};
                auto attempt = records::DecodeHistory(row.Bytes(3), row.I64(4), key, row.I32(2),
                                                      row.Bytes(5), scratch);
                if (attempt.ok()) {
                  take(full.U32(0), std::move(*attempt));
                } else {
                  damage = attempt.status().WithContext("history of " + NameOf(key));
                }
              });
          if (failed.failed()) return failed;
          return damage;
        },
        [](const HistoryRow& row, std::uint32_t part) {
          return EndedPosition{row.ended_ms, row.key, row.attempt, part};
        },
        &result.rows, &result.next);
  }));
  return result;
}

Result<std::map<std::string, GroupCount>> MysqlJobStore::Counters() {
  std::map<std::string, GroupCount> counts;
  LTS_RETURN_IF_ERROR(Read([&](Connection& connection) -> Step {
    counts.clear();
    return connection.Query(
        SqlText("SELECT grp, what, SUM(n) FROM lts_counter GROUP BY grp, what HAVING SUM(n) <> 0"),
        [&](const Row& row) {
          GroupCount& count = counts[row.Bytes(0)];
          const std::uint64_t what = row.U64(1);
          if (what == kCountJobs) {
            count.jobs = row.I64(2);
          } else if (what == kCountSchedules) {
            count.schedules = row.I64(2);
          } else if (what >= kCountEnded) {
            count.ended[static_cast<model::JobState>(what - kCountEnded)] = row.I64(2);
          }
        });
  }));
  return counts;
}

}  // namespace lts::store::mysql

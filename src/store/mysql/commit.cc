// The write path: a MutationBatch becomes one transaction of a few multi-row statements. Mutations
// are applied in order to a picture of the rows first, so that each row is written once, whatever
// the batch does to it; statements take their rows in the order of primary keys.
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <variant>

#include "common/log.h"
#include "store/mysql/multi_row.h"
#include "store/mysql/store_impl.h"

namespace lts::store::mysql {
namespace {

using model::JobId;
using model::JobKey;

using AttemptKey = std::pair<JobKey, std::int32_t>;
using FeedbackKey = std::tuple<std::string, std::uint64_t, JobKey, std::int32_t>;
using WorkerKey = std::pair<std::string, std::string>;

std::string NameOf(const AttemptKey& key) {
  return fmt::format("attempt {} of {}", key.second, mysql::NameOf(key.first));
}

// What a batch makes of each row that it touches. Borrows the batch.
class Picture {
 public:
  // A batch that contradicts itself is refused.
  Status Take(const MutationBatch& batch) {
    for (const Mutation& mutation : batch.mutations) {
      LTS_RETURN_IF_ERROR(std::visit([this](const auto& m) { return Apply(m); }, mutation));
    }
    std::map<TaskKey, const ScheduleRow*> tasks;
    for (const auto& [id, row] : schedules) {
      if (row == nullptr) continue;
      const auto [it, first] = tasks.try_emplace({row->spec->group, row->spec->task_id}, row);
      if (!first) {
        return Status::InvalidArgument(
            fmt::format("task {} of group {} has the schedule {} already", it->first.task_id,
                        it->first.group, it->second->id.ToString()));
      }
    }
    return Status::Ok();
  }

  struct Job {
    bool was_there = false;       // before the batch
    const JobRow* row = nullptr;  // after it; null: gone
    const JobRow* last = nullptr;
  };
  std::map<JobKey, Job> jobs;
  std::map<AttemptKey, const HistoryRow*> history;
  std::map<JobId, const ScheduleRow*> schedules;  // null: gone
  std::map<FeedbackKey, const FeedbackRow*> feedback;
  std::map<WorkerKey, const WorkerRow*> workers;
  std::vector<const LogRow*> logs;
  CounterChanges counters;

 private:
  Status Apply(const InsertJob& m) {
    if (m.row.spec == nullptr) {
      return Status::InvalidArgument(mysql::NameOf(m.row.key) + " has no spec");
    }
    Job& job = jobs[m.row.key];
    if (job.row != nullptr) {
      return Status::InvalidArgument(mysql::NameOf(m.row.key) + " is there already");
    }
    job.row = job.last = &m.row;
    ++counters[{m.row.spec->group, kCountJobs}];
    return Status::Ok();
  }

  // The entry of a row that must be there now.
  Result<Job*> Present(const JobRow& row) {
    if (row.spec == nullptr) {
      return Status::InvalidArgument(mysql::NameOf(row.key) + " has no spec");
    }
    const auto [it, first] = jobs.try_emplace(row.key);
    if (first) {
      it->second.was_there = true;
    } else if (it->second.row == nullptr) {
      return Status::InvalidArgument(mysql::NameOf(row.key) + " is not there");
    }
    return &it->second;
  }

  Status Apply(const UpdateJob& m) {
    const auto job = Present(m.row);
    if (!job.ok()) return job.status();
    (*job)->row = (*job)->last = &m.row;
    return Status::Ok();
  }

  Status Apply(const DeleteJob& m) {
    const auto job = Present(m.row);
    if (!job.ok()) return job.status();
    (*job)->row = nullptr;
    (*job)->last = &m.row;
    --counters[{m.row.spec->group, kCountJobs}];
    return Status::Ok();
  }

  Status Apply(const InsertHistory& m) {
    const AttemptKey key(m.row.key, m.row.attempt);
    if (!history.try_emplace(key, &m.row).second) {
      return Status::InvalidArgument(NameOf(key) + " has ended already");
    }
    if (m.row.final) {
      ++counters[{m.row.group,
                  static_cast<std::uint8_t>(kCountEnded + static_cast<std::uint8_t>(m.row.state))}];
    }
    return Status::Ok();
  }

  Status Apply(const PutSchedule& m) {
    if (m.row.spec == nullptr) {
      return Status::InvalidArgument("schedule " + m.row.id.ToString() + " has no spec");
    }
    schedules[m.row.id] = &m.row;
    return Status::Ok();
  }
  Status Apply(const DeleteSchedule& m) {
    schedules[m.id] = nullptr;
    return Status::Ok();
  }

  Status Apply(const InsertFeedback& m) {
    feedback[{m.row.submit_group, m.row.seq, m.row.key, m.row.attempt}] = &m.row;
    return Status::Ok();
  }
  Status Apply(const InsertLog& m) {
    logs.push_back(&m.row);
    return Status::Ok();
  }
  Status Apply(const DeleteFeedback& m) {
    feedback[{m.submit_group, m.seq, m.key, m.attempt}] = nullptr;
    return Status::Ok();
  }

  Status Apply(const PutWorker& m) {
    workers[{m.row.group, m.row.identity}] = &m.row;
    return Status::Ok();
  }
  Status Apply(const DeleteWorker& m) {
    workers[{m.group, m.identity}] = nullptr;
    return Status::Ok();
  }
};

// Carries a picture into the database.
class Writer {
 public:
  Writer(Connection& connection, std::uint32_t part, std::uint64_t commit_no)
      : connection_(connection), part_(part), commit_no_(commit_no) {}

  Step Write(const Picture& picture) {
    CounterChanges counters = picture.counters;
    Step step = WriteJobs(picture.jobs);
    if (step.ok()) step = WriteHistory(picture.history);
    if (step.ok()) step = WriteSchedules(picture.schedules, &counters);
    if (step.ok()) step = WriteFeedback(picture.feedback);
    if (step.ok()) step = WriteWorkers(picture.workers);
    if (step.ok()) step = WriteLogs(connection_, picture.logs);
    if (step.ok()) step = WriteCounters(connection_, part_, counters);
    return step;
  }

 private:
  using Jobs = std::map<JobKey, Picture::Job>;

  // A row that is not as the owner says: what it knows is not what is stored.
  Step MissingJob(const std::vector<JobKey>& keys) {
    // What was changed so far is undone first: it may have made or removed the rows looked for.
    if (Failure failure = connection_.Execute(SqlText("ROLLBACK")); failure.failed())
      return failure;
    std::map<JobKey, bool> there;
    Failure failure = connection_.Query(
        SqlText("SELECT job_id, cycle FROM lts_job WHERE part = ", part_, " AND ", KeyList(keys)),
        [&](const Row& row) {
          there[{row.Id(0), row.I64(1)}] = true;
        });
    if (failure.failed()) return failure;
    for (const JobKey& key : keys) {
      if (there.count(key) == 0) {
        return Status::InvalidArgument(mysql::NameOf(key) + " is not there");
      }
    }
    return Status::DataLoss("lts_job changed while its owner held it");
  }

  Step DeleteJobs(const std::vector<JobKey>& keys) {
    for (std::size_t at = 0; at < keys.size(); at += kRowsPerStatement) {
      const std::vector<JobKey> some(keys.begin() + static_cast<std::ptrdiff_t>(at),
                                     keys.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                        keys.size(), at + kRowsPerStatement)));
      std::int64_t changed = 0;
      Failure failure = connection_.Execute(
          SqlText("DELETE FROM lts_job WHERE part = ", part_, " AND ", KeyList(some)), &changed);
      if (failure.failed()) return failure;
      if (changed != static_cast<std::int64_t>(some.size())) return MissingJob(some);
    }
    return {};
  }

  void PutJob(const JobRow& row, SqlText* sql) {
    records::Encode(row, scratch_, &value_);
    sql->Add("(", part_, ", ", row.key.id, ", ", row.key.cycle, ", ", row.spec->group, ", ",
             row.spec->task_id, ", ", PoolOf(row), ", ", row.priority, ", ", row.due_ms, ", ",
             row.seq, ", ", row.accepted_ms, ", ", commit_no_, ", ", value_, ")");
  }

  Step WriteJobs(const Jobs& jobs) {
    std::vector<JobKey> deleted;
    std::vector<JobKey>
        passing;  // made and removed by this batch: only that they were not there counts
    std::vector<const JobRow*> updated;
    std::vector<const JobRow*> inserted;
    for (const auto& [key, job] : jobs) {
      if (job.was_there) {
        if (job.row == nullptr) {
          deleted.push_back(key);
        } else {
          updated.push_back(job.row);
        }
      } else {
        inserted.push_back(job.last);
        if (job.row == nullptr) passing.push_back(key);
      }
    }
    Step step = DeleteJobs(deleted);
    if (!step.ok()) return step;

    const SqlText head(
        "INSERT INTO lts_job (part, job_id, cycle, grp, task_id, pool, priority, due_ms, seq,"
        " accepted_ms, commit_no, record) VALUES ");
    const auto put = [this](const JobRow* row, SqlText* sql) { PutJob(*row, sql); };
    const auto name = [](const JobRow* row) { return mysql::NameOf(row->key); };
    // commit_no changes with every update, so that each row counts as changed: 2, or 1 when it was
    // not there and is inserted.
    MultiRow update(connection_, head,
                    SqlText(" ON DUPLICATE KEY UPDATE grp = VALUES(grp), task_id = VALUES(task_id),"
                            " pool = VALUES(pool), priority = VALUES(priority),"
                            " due_ms = VALUES(due_ms), seq = VALUES(seq),"
                            " accepted_ms = VALUES(accepted_ms), commit_no = VALUES(commit_no),"
                            " record = VALUES(record)"));
    std::int64_t changed = 0;
    step = update.Run(updated, put, name, &changed);
    if (!step.ok()) return step;
    if (changed != 2 * static_cast<std::int64_t>(updated.size())) {
      for (std::size_t at = 0; at < updated.size(); at += kRowsPerStatement) {
        std::vector<JobKey> keys;
        for (std::size_t i = at; i < std::min(updated.size(), at + kRowsPerStatement); ++i) {
          keys.push_back(updated[i]->key);
        }
        step = MissingJob(keys);
        if (step.failure.failed() || step.refused.code() == StatusCode::kInvalidArgument)
          return step;
      }
      return step;
    }

    MultiRow insert(connection_, head, SqlText());
    step = insert.Run(inserted, put, name, nullptr, "is there already");
    if (!step.ok()) return step;
    return DeleteJobs(passing);
  }

  Step WriteHistory(const std::map<AttemptKey, const HistoryRow*>& history) {
    MultiRow insert(connection_,
                    SqlText("INSERT INTO lts_attempt (part, job_id, cycle, attempt, grp, task_id,"
                            " state, final, ended_ms, record) VALUES "),
                    SqlText());
    return insert.Run(
        history,
        [this](const auto& entry, SqlText* sql) {
          const HistoryRow& row = *entry.second;
          records::Encode(row, scratch_, &value_);
          sql->Add("(", part_, ", ", row.key.id, ", ", row.key.cycle, ", ", row.attempt, ", ",
                   row.group, ", ", row.task_id, ", ", static_cast<int>(row.state), ", ", row.final,
                   ", ", row.ended_ms, ", ", value_, ")");
        },
        [](const auto& entry) { return NameOf(entry.first); }, nullptr, "has ended already");
  }

  Step WriteSchedules(const std::map<JobId, const ScheduleRow*>& schedules,
                      CounterChanges* counters) {
    if (schedules.empty()) return {};
    // Which of them are there, and under which task.
    std::unordered_map<JobId, TaskKey> there;
    std::vector<JobId> ids;
    ids.reserve(schedules.size());
    for (const auto& [id, row] : schedules) ids.push_back(id);
    for (std::size_t at = 0; at < ids.size(); at += kRowsPerStatement) {
      SqlText sql("SELECT job_id, grp, task_id FROM lts_schedule WHERE part = ", part_,
                  " AND job_id IN (");
      for (std::size_t i = at; i < std::min(ids.size(), at + kRowsPerStatement); ++i) {
        if (i > at) sql.Add(", ");
        sql.Add(ids[i]);
      }
      sql.Add(")");
      Failure failure = connection_.Query(sql, [&](const Row& row) {
        there[row.Id(0)] = {row.Bytes(1), row.Bytes(2)};
      });
      if (failure.failed()) return failure;
    }

    std::vector<JobId> deleted;
    std::vector<const ScheduleRow*> kept;
    std::vector<const ScheduleRow*> inserted;
    for (const auto& [id, row] : schedules) {
      const auto before = there.find(id);
      if (row == nullptr) {
        if (before == there.end()) continue;
        deleted.push_back(id);
        --(*counters)[{before->second.group, kCountSchedules}];
      } else if (before == there.end()) {
        inserted.push_back(row);
        ++(*counters)[{row->spec->group, kCountSchedules}];
      } else if (before->second == TaskKey{row->spec->group, row->spec->task_id}) {
        kept.push_back(row);
      } else {
        // Under another task now: first away, or it could take the place of a third.
        deleted.push_back(id);
        inserted.push_back(row);
        --(*counters)[{before->second.group, kCountSchedules}];
        ++(*counters)[{row->spec->group, kCountSchedules}];
      }
    }
    for (std::size_t at = 0; at < deleted.size(); at += kRowsPerStatement) {
      SqlText sql("DELETE FROM lts_schedule WHERE part = ", part_, " AND job_id IN (");
      for (std::size_t i = at; i < std::min(deleted.size(), at + kRowsPerStatement); ++i) {
        if (i > at) sql.Add(", ");
        sql.Add(deleted[i]);
      }
      sql.Add(")");
      if (Failure failure = connection_.Execute(sql); failure.failed()) return failure;
    }

    const SqlText head(
        "INSERT INTO lts_schedule (part, job_id, grp, task_id, state, accepted_ms, record) "
        "VALUES ");
    const auto put = [this](const ScheduleRow* row, SqlText* sql) {
      records::Encode(*row, 0, scratch_, &value_);
      sql->Add("(", part_, ", ", row->id, ", ", row->spec->group, ", ", row->spec->task_id, ", ",
               static_cast<int>(row->state), ", ", row->accepted_ms, ", ", value_, ")");
    };
    const auto name = [](const ScheduleRow* row) {
      return fmt::format("schedule {} of task {} in group {}", row->id.ToString(),
                         row->spec->task_id, row->spec->group);
    };
    MultiRow update(connection_, head,
                    SqlText(" ON DUPLICATE KEY UPDATE state = VALUES(state),"
                            " accepted_ms = VALUES(accepted_ms), record = VALUES(record)"));
    Step step = update.Run(kept, put, name);
    if (!step.ok()) return step;
    MultiRow insert(connection_, head, SqlText());
    return insert.Run(inserted, put, name, nullptr, "meets another schedule of its task");
  }

  Step WriteFeedback(const std::map<FeedbackKey, const FeedbackRow*>& feedback) {
    std::vector<const FeedbackRow*> put_rows;
    std::vector<const FeedbackKey*> deleted;
    for (const auto& [key, row] : feedback) {
      if (row != nullptr) {
        put_rows.push_back(row);
      } else {
        deleted.push_back(&key);
      }
    }
    MultiRow remove(connection_,
                    SqlText("DELETE FROM lts_feedback WHERE part = ", part_,
                            " AND (submit_group, seq, job_id, cycle, attempt) IN ("),
                    SqlText(")"));
    Step step = remove.Run(
        deleted,
        [](const FeedbackKey* key, SqlText* sql) {
          const auto& [group, seq, job, attempt] = *key;
          sql->Add("(", group, ", ", seq, ", ", job.id, ", ", job.cycle, ", ", attempt, ")");
        },
        [](const FeedbackKey* key) { return "feedback of " + mysql::NameOf(std::get<2>(*key)); });
    if (!step.ok()) return step;
    MultiRow insert(connection_,
                    SqlText("INSERT INTO lts_feedback (part, submit_group, seq, job_id, cycle,"
                            " attempt, record) VALUES "),
                    SqlText(" ON DUPLICATE KEY UPDATE record = VALUES(record)"));
    return insert.Run(
        put_rows,
        [this](const FeedbackRow* row, SqlText* sql) {
          records::Encode(*row, scratch_, &value_);
          sql->Add("(", part_, ", ", row->submit_group, ", ", row->seq, ", ", row->key.id, ", ",
                   row->key.cycle, ", ", row->attempt, ", ", value_, ")");
        },
        [](const FeedbackRow* row) { return "feedback of " + mysql::NameOf(row->key); });
  }

  Step WriteWorkers(const std::map<WorkerKey, const WorkerRow*>& workers) {
    std::vector<const WorkerRow*> put_rows;
    std::vector<const WorkerKey*> deleted;
    for (const auto& [key, row] : workers) {
      if (row != nullptr) {
        put_rows.push_back(row);
      } else {
        deleted.push_back(&key);
      }
    }
    MultiRow remove(
        connection_,
        SqlText("DELETE FROM lts_worker WHERE part = ", part_, " AND (grp, identity) IN ("),
        SqlText(")"));
    Step step = remove.Run(
        deleted,
        [](const WorkerKey* key, SqlText* sql) {
          sql->Add("(", key->first, ", ", key->second, ")");
        },
        [](const WorkerKey* key) { return "TaskTracker " + key->second; });
    if (!step.ok()) return step;
    MultiRow insert(connection_,
                    SqlText("INSERT INTO lts_worker (part, grp, identity, record) VALUES "),
                    SqlText(" ON DUPLICATE KEY UPDATE record = VALUES(record)"));
    return insert.Run(
        put_rows,
        [this](const WorkerRow* row, SqlText* sql) {
          records::Encode(*row, scratch_, &value_);
          sql->Add("(", part_, ", ", row->group, ", ", row->identity, ", ", value_, ")");
        },
        [](const WorkerRow* row) { return "TaskTracker " + row->identity; });
  }

  Connection& connection_;
  const std::uint32_t part_;
  const std::uint64_t commit_no_;
  records::Scratch scratch_;
  std::string value_;
};

}  // namespace

Step WriteCounters(Connection& connection, std::uint32_t part, const CounterChanges& changes) {
  std::vector<const CounterChanges::value_type*> rows;
  for (const auto& change : changes) {
    if (change.second != 0) rows.push_back(&change);
  }
  MultiRow add(connection, SqlText("INSERT INTO lts_counter (part, grp, what, n) VALUES "),
               SqlText(" ON DUPLICATE KEY UPDATE n = n + VALUES(n)"));
  return add.Run(
      rows,
      [part](const auto* change, SqlText* sql) {
        sql->Add("(", part, ", ", change->first.first, ", ", change->first.second, ", ",
                 change->second, ")");
      },
      [](const auto* change) { return "the counter of group " + change->first.first; });
}

Status MysqlJobStore::Commit(std::uint32_t partition, std::uint64_t epoch, std::uint64_t commit_no,
                             const MutationBatch& batch) {
  LTS_RETURN_IF_ERROR(Known(partition));
  Picture picture;
  const Status taken = picture.Take(batch);
  Status done = Write([&](Connection& connection) -> Step {
    SqlText fence("UPDATE lts_partition SET commit_no = ", commit_no,
                  ", lease_end_ms = ", LeaseEndSql());
    if (batch.next_seq > 0) fence.Add(", next_seq = GREATEST(next_seq, ", batch.next_seq, ")");
    const bool fencing = pool_.target().options.fencing;
    fence.Add(" WHERE part = ", partition);
    if (fencing) {
      fence.Add(" AND epoch = ", epoch, " AND commit_no = ", commit_no - 1, " AND owner <> ''");
    }
    std::int64_t changed = 0;
    if (Failure failure = connection.Execute(fence, &changed); failure.failed()) return failure;
    if (changed == 1 || !fencing) {
      if (!taken.ok()) return taken;
      return Writer(connection, partition, commit_no).Write(picture);
    }
    PartitionState state;
    TimeMs now_ms = 0;
    Step read = ReadState(connection, partition, /*for_update=*/true, &state, &now_ms);
    if (!read.ok()) return read;
    const auto verdict = state.CheckCommit(partition, epoch, commit_no);
    if (!verdict.ok()) return verdict.status();
    if (*verdict == PartitionState::Commit::kApply) {
      // It was not so a moment ago: a transaction of this number was rolled back meanwhile.
      return Failure{FailureKind::kAgain, 0, "the partition's row changed under the commit"};
    }
    return connection.Execute(SqlText("UPDATE lts_partition SET lease_end_ms = ", LeaseEndSql(),
                                      " WHERE part = ", partition));
  });

  const std::lock_guard lock(unsettled_mutex_);
  const auto open = unsettled_.find(partition);
  const bool was_open = open != unsettled_.end() && open->second.epoch == epoch &&
                        open->second.commit_no == commit_no;
  if (done.code() == StatusCode::kUnknownOutcome) {
    unsettled_[partition] = {epoch, commit_no};
  } else if (was_open && done.code() == StatusCode::kUnavailable) {
    // "Nothing happened now" does not settle what an earlier try of this number did.
    return Status::UnknownOutcome(done.message());
  } else if (open != unsettled_.end()) {
    unsettled_.erase(open);
  }
  return done;
}

}  // namespace lts::store::mysql

#include "bench/bare_statements.h"

#include <cstdio>
#include <utility>
#include <vector>

#include "bench/measure.h"
#include "common/clock.h"

namespace lts::bench {

using store::HistoryRow;
using store::JobRow;
using store::mysql::Failure;
using store::mysql::SqlText;

void StatementFigures::Print(const char* what) const {
  std::printf("%-28s insert %7.0f/s  delete+history %7.0f/s  whole jobs %7.0f/s\n", what,
              jobs / insert_s, jobs / end_s, WholeJobs());
  std::fflush(stdout);
}

Status BareStatements::Run(const SqlText& sql) {
  const Failure failure = connection_.Execute(sql);
  return failure.failed() ? Status::Unavailable(failure.ToString()) : Status::Ok();
}

Status BareStatements::Round(std::size_t jobs, std::size_t batch, StatementFigures* figures) {
  std::vector<SqlText> inserts;
  std::vector<SqlText> ends;
  const TimeMs now = SystemClock().WallMs();
  for (std::size_t at = 0; at < jobs; at += batch) {
    SqlText insert(
        "INSERT INTO lts_job (part, job_id, cycle, grp, task_id, pool, priority, due_ms, seq,"
        " accepted_ms, commit_no, record) VALUES ");
    SqlText remove("DELETE FROM lts_job WHERE part = 0 AND (job_id, cycle) IN (");
    SqlText history(
        "INSERT INTO lts_attempt (part, job_id, cycle, attempt, grp, task_id, state, final,"
        " ended_ms, record) VALUES ");
    for (std::size_t i = 0; i < batch; ++i) {
      const JobRow row = maker_.NewRow(++seq_);
      const HistoryRow end = EndOf(row, now);
      if (i > 0) {
        insert.Add(", ");
        remove.Add(", ");
        history.Add(", ");
      }
      store::records::Encode(row, scratch_, &value_);
      insert.Add("(0, ", row.key.id, ", ", row.key.cycle, ", ", row.spec->group, ", ",
                 row.spec->task_id, ", 0, ", row.priority, ", ", row.due_ms, ", ", row.seq, ", ",
                 row.accepted_ms, ", 1, ", value_, ")");
      remove.Add("(", row.key.id, ", ", row.key.cycle, ")");
      store::records::Encode(end, scratch_, &value_);
      history.Add("(0, ", end.key.id, ", ", end.key.cycle, ", ", end.attempt, ", ", end.group, ", ",
                  end.task_id, ", ", static_cast<int>(end.state), ", 1, ", end.ended_ms, ", ",
                  value_, ")");
    }
    remove.Add(")");
    inserts.push_back(std::move(insert));
    ends.push_back(std::move(remove));
    ends.push_back(std::move(history));
  }
  const SqlText commit("COMMIT");
  const std::int64_t begun_ns = NowNs();
  for (const SqlText& sql : inserts) {
    LTS_RETURN_IF_ERROR(Run(sql));
    LTS_RETURN_IF_ERROR(Run(commit));
  }
  const std::int64_t inserted_ns = NowNs();
  for (std::size_t i = 0; i < ends.size(); i += 2) {
    LTS_RETURN_IF_ERROR(Run(ends[i]));
    LTS_RETURN_IF_ERROR(Run(ends[i + 1]));
    LTS_RETURN_IF_ERROR(Run(commit));
  }
  figures->insert_s += static_cast<double>(inserted_ns - begun_ns) / 1e9;
  figures->end_s += static_cast<double>(NowNs() - inserted_ns) / 1e9;
  figures->jobs += static_cast<double>(jobs);
  return Status::Ok();
}

}  // namespace lts::bench

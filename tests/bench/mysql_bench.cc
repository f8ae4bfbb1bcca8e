// How many jobs per second the MySQL engine takes in and ends, against the statements that this
// takes at the least: one multi-row INSERT per 500 jobs, and at their end one DELETE and one INSERT
// of history, each with its COMMIT, on the same schema, over the same connector, made before the
// clock runs. Both in one run, in turns, one connection each, on a MariaDB of the program's own.
//
//   mysql_bench [folder] [seconds per figure]
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/store_rows.h"
#include "common/clock.h"
#include "store/mysql/connection.h"
#include "store/mysql/mysql_store.h"
#include "store/mysql/sql_text.h"
#include "store/mysql/store_impl.h"
#include "store/records/codec.h"
#include "support/mariadb_server.h"

namespace {

using lts::bench::EndOf;
using lts::bench::RowMaker;
using lts::store::DeleteJob;
using lts::store::HistoryRow;
using lts::store::InsertHistory;
using lts::store::InsertJob;
using lts::store::JobRow;
using lts::store::JobStore;
using lts::store::MutationBatch;
using lts::store::MysqlStoreOptions;
using lts::store::mysql::Connection;
using lts::store::mysql::Failure;
using lts::store::mysql::SqlText;
using lts::testing::MariadbServer;

constexpr std::size_t kRound = 4000;  // jobs made, taken in and ended in turn

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

struct Figures {
  double insert_s = 0;
  double end_s = 0;
  double jobs = 0;
  double WholeJobs() const { return jobs / (insert_s + end_s); }
  void Print(const char* what) const {
    std::printf("%-28s insert %7.0f/s  delete+history %7.0f/s  whole jobs %7.0f/s\n", what,
                jobs / insert_s, jobs / end_s, WholeJobs());
    std::fflush(stdout);
  }
};

class Bare {
 public:
  explicit Bare(Connection& connection) : connection_(connection) {}

  void Round(std::size_t batch, Figures* figures) {
    std::vector<SqlText> inserts;
    std::vector<SqlText> ends;
    const lts::TimeMs now = lts::SystemClock().WallMs();
    for (std::size_t at = 0; at < kRound; at += batch) {
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
        lts::store::records::Encode(row, scratch_, &value_);
        insert.Add("(0, ", row.key.id, ", ", row.key.cycle, ", ", row.spec->group, ", ",
                   row.spec->task_id, ", 0, ", row.priority, ", ", row.due_ms, ", ", row.seq, ", ",
                   row.accepted_ms, ", 1, ", value_, ")");
        remove.Add("(", row.key.id, ", ", row.key.cycle, ")");
        lts::store::records::Encode(end, scratch_, &value_);
        history.Add("(0, ", end.key.id, ", ", end.key.cycle, ", ", end.attempt, ", ", end.group,
                    ", ", end.task_id, ", ", static_cast<int>(end.state), ", 1, ", end.ended_ms,
                    ", ", value_, ")");
      }
      remove.Add(")");
      inserts.push_back(std::move(insert));
      ends.push_back(std::move(remove));
      ends.push_back(std::move(history));
    }
    auto start = std::chrono::steady_clock::now();
    for (const SqlText& sql : inserts) {
      Run(sql);
      Run(SqlText("COMMIT"));
    }
    figures->insert_s += Seconds(start);
    start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < ends.size(); i += 2) {
      Run(ends[i]);
      Run(ends[i + 1]);
      Run(SqlText("COMMIT"));
    }
    figures->end_s += Seconds(start);
    figures->jobs += static_cast<double>(kRound);
  }

 private:
  void Run(const SqlText& sql) {
    if (const Failure failure = connection_.Execute(sql); failure.failed()) {
      Fail(failure.ToString());
    }
  }

  Connection& connection_;
  RowMaker maker_;
  lts::store::records::Scratch scratch_;
  std::string value_;
  std::uint64_t seq_ = 0;
};

class Engine {
 public:
  Engine(JobStore& store, std::uint32_t part) : store_(store), part_(part) {
    const auto lease = store_.Acquire(part_, "bench", "", 1);
    if (!lease.ok()) Fail(lease.status().ToString());
    epoch_ = lease->epoch;
    commit_no_ = lease->commit_no;
  }

  void Round(std::size_t batch, Figures* figures, std::size_t jobs = kRound) {
    std::vector<JobRow> rows;
    for (std::size_t i = 0; i < jobs; ++i) rows.push_back(maker_.NewRow(++seq_));
    auto start = std::chrono::steady_clock::now();
    for (std::size_t at = 0; at < rows.size(); at += batch) {
      MutationBatch insert;
      for (std::size_t i = at; i < at + batch; ++i) insert.mutations.push_back(InsertJob{rows[i]});
      insert.next_seq = seq_ + 1;
      Commit(insert);
    }
    figures->insert_s += Seconds(start);
    const lts::TimeMs now = lts::SystemClock().WallMs();
    start = std::chrono::steady_clock::now();
    for (std::size_t at = 0; at < rows.size(); at += batch) {
      MutationBatch end;
      for (std::size_t i = at; i < at + batch; ++i) {
        end.mutations.push_back(DeleteJob{rows[i]});
        end.mutations.push_back(InsertHistory{EndOf(rows[i], now)});
      }
      Commit(end);
    }
    figures->end_s += Seconds(start);
    figures->jobs += static_cast<double>(jobs);
  }

  void Backlog(std::size_t jobs) {
    for (std::size_t at = 0; at < jobs; at += 500) {
      MutationBatch insert;
      for (std::size_t i = 0; i < 500; ++i) {
        insert.mutations.push_back(InsertJob{maker_.NewRow(++seq_)});
      }
      insert.next_seq = seq_ + 1;
      Commit(insert);
    }
    std::optional<lts::store::ReadyPosition> after;
    for (const char* which : {"first", "next"}) {
      const auto start = std::chrono::steady_clock::now();
      const auto rows = store_.LoadWaiting(part_, "bench_group", after, INT64_MAX, 2000);
      if (!rows.ok() || rows->size() != 2000) Fail("a window could not be read");
      std::printf("backlog of %zu: %s window of 2000 read in %.1f ms\n", jobs, which,
                  Seconds(start) * 1e3);
      const JobRow& last = rows->back();
      after = lts::store::ReadyPosition{last.priority, last.due_ms, last.seq};
    }
  }

 private:
  void Commit(const MutationBatch& batch) {
    const lts::Status status = store_.Commit(part_, epoch_, ++commit_no_, batch);
    if (!status.ok()) Fail(status.ToString());
  }

  JobStore& store_;
  const std::uint32_t part_;
  RowMaker maker_;
  std::uint64_t epoch_ = 0;
  std::uint64_t commit_no_ = 0;
  std::uint64_t seq_ = 0;
};

std::unique_ptr<JobStore> Open(const MysqlStoreOptions& options) {
  lts::store::StoreIdentity identity;
  identity.cluster_name = "bench";
  auto store = lts::store::OpenMysqlStore(identity, options);
  if (!store.ok()) Fail(store.status().ToString());
  return std::move(*store);
}

MysqlStoreOptions OptionsFor(const MariadbServer& server, const std::string& database) {
  MysqlStoreOptions options;
  options.url = server.Url(database);
  options.user = MariadbServer::kUser;
  options.password = MariadbServer::kPassword;
  options.read_timeout_ms = 60'000;
  options.lease_ms = 600'000;  // what a bare connection may be idle
  return options;
}

std::unique_ptr<Connection> Connect(const MysqlStoreOptions& options, lts::store::mysql::Use use) {
  auto connection = Connection::Open({*lts::store::mysql::ParseJdbcUrl(options.url), options}, use);
  if (!connection.ok()) Fail(connection.status().ToString());
  return std::move(*connection);
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path base =
      argc > 1 ? std::filesystem::path(argv[1]) : std::filesystem::current_path();
  const double seconds = argc > 2 ? std::atof(argv[2]) : 6.0;
  const std::string folder =
      std::filesystem::absolute(base) / ("mysql_bench." + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  {
    MariadbServer server({{"--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=1G",
                           "--innodb-log-file-size=512M"},
                          folder});
    const auto admin =
        Connect(OptionsFor(server, "information_schema"), lts::store::mysql::Use::kRead);
    for (const char* sql : {"CREATE DATABASE bare", "CREATE DATABASE engine"}) {
      if (admin->ExecuteScript(sql).failed()) Fail(sql);
    }
    std::string flush;
    std::string binlog;
    const Failure asked =
        admin->Query(SqlText("SELECT @@innodb_flush_log_at_trx_commit, @@log_bin"),
                     [&](const lts::store::mysql::Row& row) {
                       flush = row.Bytes(0);
                       binlog = row.Bytes(1);
                     });
    if (asked.failed()) Fail(asked.ToString());
    std::printf(
        "MariaDB %s on this machine (%u cores, shared with the program), TCP loopback, no TLS;\n"
        "folder %s, file system %s; innodb_flush_log_at_trx_commit=%s log_bin=%s\n"
        "buffer pool 1G; 200-byte payload, one group, one partition, one connection\n",
        admin->facts().version.c_str(), std::thread::hardware_concurrency(), folder.c_str(),
        lts::bench::FileSystemOf(folder).c_str(), flush.c_str(), binlog.c_str());

    Open(OptionsFor(server, "bare"));  // the tables
    const auto bare_connection =
        Connect(OptionsFor(server, "bare"), lts::store::mysql::Use::kWrite);
    const auto store = Open(OptionsFor(server, "engine"));
    Bare bare(*bare_connection);
    Engine engine(*store, 0);
    Figures warm_up;
    bare.Round(500, &warm_up);
    engine.Round(500, &warm_up);
    for (const std::size_t batch : {std::size_t{1}, std::size_t{50}}) {
      Figures one;
      while (one.insert_s + one.end_s < seconds / 2) engine.Round(batch, &one, batch * 100);
      one.Print(("engine, " + std::to_string(batch) + " jobs a commit").c_str());
    }
    Figures of_bare;
    Figures of_engine;
    while (of_bare.insert_s + of_bare.end_s + of_engine.insert_s + of_engine.end_s < 2 * seconds) {
      bare.Round(500, &of_bare);
      engine.Round(500, &of_engine);
    }
    of_bare.Print("bare, 500 jobs a commit");
    of_engine.Print("engine, 500 jobs a commit");
    std::printf("ratio of whole jobs, engine to bare: %.2f\n",
                of_engine.WholeJobs() / of_bare.WholeJobs());
    engine.Backlog(200'000);
  }
  std::filesystem::remove_all(folder);
  return 0;
}

// How many jobs per second the MySQL engine takes in and ends, against the statements that this
// takes at the least (bare_statements.h), 500 jobs each. Both in one run, in turns, one connection
// each, on a MariaDB of the program's own.
//
//   mysql_bench [folder] [seconds per figure]
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/bare_statements.h"
#include "bench/database.h"
#include "bench/measure.h"
#include "bench/store_rows.h"
#include "common/clock.h"
#include "store/job_store.h"
#include "store/mysql/mysql_store.h"

namespace {

using lts::bench::BareStatements;
using lts::bench::Database;
using lts::bench::EndOf;
using lts::bench::RowMaker;
using lts::bench::StatementFigures;
using lts::store::DeleteJob;
using lts::store::InsertHistory;
using lts::store::InsertJob;
using lts::store::JobRow;
using lts::store::JobStore;
using lts::store::MutationBatch;

constexpr std::size_t kRound = 4000;  // jobs made, taken in and ended in turn

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

void Check(const lts::Status& status) {
  if (!status.ok()) Fail(status.ToString());
}

class Engine {
 public:
  Engine(JobStore& store, std::uint32_t part) : store_(store), part_(part) {
    const auto lease = store_.Acquire(part_, "bench", "", 1);
    if (!lease.ok()) Fail(lease.status().ToString());
    epoch_ = lease->epoch;
    commit_no_ = lease->commit_no;
  }

  void Round(std::size_t batch, StatementFigures* figures, std::size_t jobs = kRound) {
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
    std::vector<lts::model::JobId> ids;
    std::vector<lts::store::TaskKey> tasks;
    for (std::size_t i = 0; i < 500; ++i) {
      const JobRow row = maker_.NewRow(seq_ + 1 + i);
      ids.push_back(row.key.id);
      tasks.push_back({row.spec->group, row.spec->task_id});
    }
    std::vector<double> lookup_ms;
    for (int i = 0; i < 5; ++i) {
      const auto start = std::chrono::steady_clock::now();
      Check(store_.Lookup(part_, ids, tasks).status());
      lookup_ms.push_back(Seconds(start) * 1e3);
    }
    const auto [least, most] = std::minmax_element(lookup_ms.begin(), lookup_ms.end());
    std::printf("backlog of %zu: 500 new jobs looked up in %.1f to %.1f ms\n", jobs, *least, *most);
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
    Check(store_.Commit(part_, epoch_, ++commit_no_, batch));
  }

  JobStore& store_;
  const std::uint32_t part_;
  RowMaker maker_;
  std::uint64_t epoch_ = 0;
  std::uint64_t commit_no_ = 0;
  std::uint64_t seq_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path base =
      argc > 1 ? std::filesystem::path(argv[1]) : std::filesystem::current_path();
  const double seconds = argc > 2 ? std::atof(argv[2]) : 6.0;
  const std::string folder =
      std::filesystem::absolute(base) / ("mysql_bench." + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  {
    auto database = Database::Start(folder);
    Check(database.status());
    Database& server = **database;
    std::printf(
        "MariaDB %s on this machine (%u cores, shared with the program), TCP loopback, no TLS;\n"
        "folder %s, file system %s; innodb_flush_log_at_trx_commit=%s log_bin=%s\n"
        "buffer pool %s; 200-byte payload, one group, one partition, one connection\n",
        server.facts().version.c_str(), std::thread::hardware_concurrency(), folder.c_str(),
        lts::bench::FileSystemOf(folder).ToString().c_str(),
        server.facts().flush_log_at_commit.c_str(), server.facts().log_bin.c_str(),
        Database::kBufferPool);

    for (const char* name : {"bare", "engine"}) Check(server.MakeFresh(name));
    Check(server.MakeTables("bare"));
    auto bare_connection = server.Connect("bare", lts::store::mysql::Use::kWrite);
    Check(bare_connection.status());
    lts::store::StoreIdentity identity;
    identity.cluster_name = "bench";
    const auto store = lts::store::OpenMysqlStore(identity, server.OptionsFor("engine"));
    Check(store.status());
    BareStatements bare(**bare_connection);
    Engine engine(**store, 0);
    StatementFigures warm_up;
    Check(bare.Round(kRound, 500, &warm_up));
    engine.Round(500, &warm_up);
    for (const std::size_t batch : {std::size_t{1}, std::size_t{50}}) {
      StatementFigures one;
      while (one.insert_s + one.end_s < seconds / 2) engine.Round(batch, &one, batch * 100);
      one.Print(("engine, " + std::to_string(batch) + " jobs a commit").c_str());
    }
    StatementFigures of_bare;
    StatementFigures of_engine;
    while (of_bare.insert_s + of_bare.end_s + of_engine.insert_s + of_engine.end_s < 2 * seconds) {
      Check(bare.Round(kRound, 500, &of_bare));
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

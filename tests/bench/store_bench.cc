// How many jobs per second the embedded store takes in and ends, by rows per commit. The two halves
// of a real-time job: one InsertJob; and, at its end, one DeleteJob with one InsertHistory. Every
// commit is durable when it returns.
//
//   store_bench [folder] [seconds per figure]
//
// Prints the file system of the folder: on a tmpfs nothing is durable and the figures mean little.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/store_rows.h"
#include "common/clock.h"
#include "store/rocksdb/rocksdb_store.h"

namespace {

using lts::bench::EndOf;
using lts::bench::FileSystemOf;
using lts::bench::RowMaker;
using lts::store::DeleteJob;
using lts::store::InsertHistory;
using lts::store::InsertJob;
using lts::store::JobRow;
using lts::store::MutationBatch;

[[noreturn]] void Fail(const lts::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

class Bench {
 public:
  explicit Bench(lts::store::JobStore& store) : store_(store) {
    const auto lease = store_.Acquire(0, "bench", "", 1);
    if (!lease.ok()) Fail(lease.status());
    epoch_ = lease->epoch;
    commit_no_ = lease->commit_no;
    seq_ = lease->next_seq;
  }

  JobRow NewRow() { return maker_.NewRow(seq_++); }

  void Commit(const MutationBatch& batch) {
    const lts::Status status = store_.Commit(0, epoch_, ++commit_no_, batch);
    if (!status.ok()) Fail(status);
  }

  // Rounds of `rows` jobs taken in by commits of `rows_per_commit`, then ended likewise.
  void Run(std::size_t rows_per_commit, double seconds) {
    const std::size_t round = std::max<std::size_t>(rows_per_commit * 4, 512);
    double insert_s = 0;
    double end_s = 0;
    std::size_t jobs = 0;
    std::size_t commits = 0;
    double cpu = 0;
    while (insert_s + end_s < seconds) {
      std::vector<JobRow> rows;
      for (std::size_t i = 0; i < round; ++i) rows.push_back(NewRow());
      const double cpu_before = CpuSeconds();
      auto start = std::chrono::steady_clock::now();
      for (std::size_t at = 0; at < round;) {
        MutationBatch batch;
        for (; at < round && batch.mutations.size() < rows_per_commit; ++at) {
          batch.mutations.push_back(InsertJob{rows[at]});
        }
        batch.next_seq = seq_;
        Commit(batch);
        ++commits;
      }
      insert_s += Seconds(start);
      start = std::chrono::steady_clock::now();
      const lts::TimeMs now = clock_.WallMs();
      for (std::size_t at = 0; at < round;) {
        MutationBatch batch;
        for (std::size_t n = 0; at < round && n < rows_per_commit; ++at, ++n) {
          batch.mutations.push_back(DeleteJob{rows[at]});
          batch.mutations.push_back(InsertHistory{EndOf(rows[at], now)});
        }
        Commit(batch);
        ++commits;
      }
      end_s += Seconds(start);
      cpu += CpuSeconds() - cpu_before;
      jobs += round;
    }
    const auto n = static_cast<double>(jobs);
    std::printf(
        "%6zu rows/commit: insert %8.0f/s  delete+history %8.0f/s  whole jobs %7.0f/s  "
        "cpu %5.1f us/job  %5.0f commits/s\n",
        rows_per_commit, n / insert_s, n / end_s, n / (insert_s + end_s), cpu * 1e6 / n,
        static_cast<double>(commits) / (insert_s + end_s));
    std::fflush(stdout);
  }

  // A backlog, read window by window and from the top while its head goes.
  void Backlog(std::size_t jobs) {
    std::vector<JobRow> head;
    for (std::size_t made = 0; made < jobs;) {
      MutationBatch batch;
      for (; made < jobs && batch.mutations.size() < 1000; ++made) {
        JobRow row = NewRow();
        if (head.size() < 100'000) head.push_back(row);
        batch.mutations.push_back(InsertJob{std::move(row)});
      }
      batch.next_seq = seq_;
      Commit(batch);
    }
    std::printf("backlog of %zu:\n", jobs);
    ReadWindows("  before its head went");
    for (std::size_t at = 0; at < head.size();) {
      MutationBatch batch;
      for (std::size_t n = 0; at < head.size() && n < 500; ++at, ++n) {
        batch.mutations.push_back(DeleteJob{head[at]});
        batch.mutations.push_back(InsertHistory{EndOf(head[at], clock_.WallMs())});
      }
      Commit(batch);
    }
    ReadWindows("  after its head went  ");
    ReadWindows("  once more            ");
    const auto start = std::chrono::steady_clock::now();
    std::vector<lts::store::TaskKey> tasks;
    for (int i = 0; i < 500; ++i) tasks.push_back({"bench_group", "absent-" + std::to_string(i)});
    for (int i = 0; i < 20; ++i) {
      if (const auto reply = store_.Lookup(0, {}, tasks); !reply.ok()) Fail(reply.status());
    }
    std::printf("  look-ups of absent tasks, 500 at a time: %.0f/s\n", 20 * 500 / Seconds(start));
  }

  void ReadWindows(const char* when) {
    auto start = std::chrono::steady_clock::now();
    auto rows = store_.LoadWaiting(0, "bench_group", std::nullopt, INT64_MAX, 2000);
    if (!rows.ok()) Fail(rows.status());
    const double first = Seconds(start);
    start = std::chrono::steady_clock::now();
    std::size_t read = 0;
    while (!rows->empty() && read < 200'000) {
      const JobRow& last = rows->back();
      const lts::store::ReadyPosition after{last.priority, last.due_ms, last.seq};
      rows = store_.LoadWaiting(0, "bench_group", after, INT64_MAX, 2000);
      if (!rows.ok()) Fail(rows.status());
      read += rows->size();
    }
    std::printf("%s: first 2000 in %.1f ms, then %.0f rows/s\n", when, first * 1e3,
                static_cast<double>(read) / Seconds(start));
    std::fflush(stdout);
  }

 private:
  const lts::SystemClock clock_;
  RowMaker maker_;
  lts::store::JobStore& store_;
  std::uint64_t epoch_ = 0;
  std::uint64_t commit_no_ = 0;
  std::uint64_t seq_ = 1;
};

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path base =
      argc > 1 ? std::filesystem::path(argv[1]) : std::filesystem::current_path();
  const double seconds = argc > 2 ? std::atof(argv[2]) : 3.0;
  const std::string folder = base / ("store_bench." + std::to_string(getpid()));
  const lts::SystemClock clock;
  {
    lts::store::StoreIdentity identity;
    identity.cluster_name = "bench";
    auto store = lts::store::OpenRocksdbStore(folder, identity, clock);
    if (!store.ok()) Fail(store.status());
    std::printf("folder %s, file system %s, one thread, sync per commit, 200-byte payload\n",
                folder.c_str(), FileSystemOf(folder).ToString().c_str());
    Bench bench(**store);
    for (const std::size_t rows : {1, 50, 500, 1000}) bench.Run(rows, seconds);
    bench.Backlog(argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 500'000);
  }
  std::filesystem::remove_all(folder);
  return 0;
}

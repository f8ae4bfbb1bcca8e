// What the suites of the JobStore share: the engines, a clock that tests move, rows with every
// field set.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "store/job_store.h"
#include "store/memory/memory_store.h"

namespace lts::store::testing {

class HandClock final : public Clock {
 public:
  std::int64_t MonotonicUs() const override { return now_ms_ * 1000; }
  TimeMs WallMs() const override { return now_ms_; }
  void Advance(DurationMs by) { now_ms_ += by; }

 private:
  TimeMs now_ms_ = 1'700'000'000'000;
};

inline constexpr std::uint32_t kPartitions = 4;
inline constexpr DurationMs kLeaseMs = 4'000;

inline StoreIdentity TestIdentity() {
  StoreIdentity identity;
  identity.cluster_id = "0190a1b2-0000-7000-8000-00000000c1d0";
  identity.cluster_name = "test_cluster";
  identity.partitions = kPartitions;
  return identity;
}

// Job ids that grow with `n`.
inline model::JobId Id(std::uint64_t n) {
  return {0x0190000000007000ULL + (n << 16), 0x8000000000000000ULL + n};
}
inline model::JobKey Key(std::uint64_t n, TimeMs cycle = 0) { return {Id(n), cycle}; }

inline model::JobSpecPtr Spec(std::uint64_t n, const std::string& group, const std::string& task) {
  auto spec = std::make_shared<model::JobSpec>();
  spec->job_id = Id(n).ToString();
  spec->task_id = task;
  spec->group = group;
  return spec;
}

inline JobRow Job(std::uint64_t n, const std::string& group = "g", std::string task = "") {
  JobRow row;
  row.key = Key(n);
  if (task.empty()) task = "task-" + std::to_string(n);
  row.spec = Spec(n, group, task);
  row.seq = n;
  row.accepted_ms = 1000;
  row.due_ms = 1000;
  return row;
}

inline HistoryRow Ended(const JobRow& job, TimeMs ended_ms, bool final = true,
                        model::JobState state = model::JobState::kSucceeded) {
  HistoryRow row;
  row.key = job.key;
  row.attempt = job.attempt;
  row.outcome = model::Outcome::kExecuteSuccess;
  row.final = final;
  row.state = state;
  row.group = job.spec->group;
  row.task_id = job.spec->task_id;
  row.ended_ms = ended_ms;
  if (final) row.spec = job.spec;
  return row;
}

inline UpdateJob Change(const JobRow& before, JobRow after) {
  return {std::move(after), before.priority, before.due_ms, before.resident, before.state};
}

inline ScheduleRow Schedule(std::uint64_t n, const std::string& group, const std::string& task) {
  ScheduleRow row;
  row.id = Id(n);
  row.spec = Spec(n, group, task);
  row.seq = n;
  return row;
}

// Rows compare by what their specs say, not by where they lie.
inline bool SameSpec(const model::JobSpecPtr& a, const model::JobSpecPtr& b) {
  return (a == nullptr) == (b == nullptr) && (a == nullptr || *a == *b);
}
template <typename Row>
bool Same(Row a, const Row& b) {
  if constexpr (requires { a.spec; }) {
    if (!SameSpec(a.spec, b.spec)) return false;
    a.spec = b.spec;
  }
  return a == b;
}
template <typename Row>
bool Same(const std::vector<Row>& a, const std::vector<Row>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!Same(a[i], b[i])) return false;
  }
  return true;
}

template <typename Row>
std::vector<std::uint64_t> Numbers(const std::vector<Row>& rows) {
  std::vector<std::uint64_t> numbers;
  for (const Row& row : rows) {
    if constexpr (requires { row.key; }) {
      numbers.push_back(row.key.id.low & 0xffffffffULL);
    } else {
      numbers.push_back(row.id.low & 0xffffffffULL);
    }
  }
  return numbers;
}
using Ns = std::vector<std::uint64_t>;

// One engine under test, with a store of its own. Which engines a test program runs over is said by
// the file that it links: store_engines_embedded.cc or store_engines_mysql.cc.
class Engine {
 public:
  virtual ~Engine() = default;
  // Opens the store, or opens it again with what is in it. Leases follow `clock`, which is the
  // store's clock too: engines whose store has a clock of its own take this one in its place.
  virtual JobStore& Open(const Clock& clock) = 0;
};
std::vector<std::string> EngineNames();
std::unique_ptr<Engine> MakeEngine(const std::string& name);

class MemoryEngine final : public Engine {
 public:
  JobStore& Open(const Clock& clock) override {
    if (store_ == nullptr) store_ = MakeMemoryStore({TestIdentity(), kLeaseMs}, clock);
    return *store_;
  }

 private:
  std::unique_ptr<JobStore> store_;
};

// The owner of a partition, numbering its commits.
class Owner {
 public:
  Owner(JobStore& store, std::uint32_t partition, const std::string& name = "owner")
      : store_(store), partition_(partition) {
    const auto lease = store.Acquire(partition, name, "host:1", 1);
    EXPECT_TRUE(lease.ok()) << lease.status().ToString();
    if (lease.ok()) lease_ = *lease;
    commit_no_ = lease_.commit_no;
  }

  Status Commit(std::vector<Mutation> mutations, std::uint64_t next_seq = 0) {
    MutationBatch batch;
    batch.mutations = std::move(mutations);
    batch.next_seq = next_seq;
    const Status status = store_.Commit(partition_, lease_.epoch, commit_no_ + 1, batch);
    if (status.ok()) ++commit_no_;
    return status;
  }

  std::uint64_t epoch() const { return lease_.epoch; }
  std::uint64_t commit_no() const { return commit_no_; }
  const PartitionLease& lease() const { return lease_; }

 private:
  JobStore& store_;
  const std::uint32_t partition_;
  PartitionLease lease_;
  std::uint64_t commit_no_ = 0;
};

// All pages of a listing, as one list; each page is bounded.
template <typename Row, typename Find>
std::vector<Row> AllPages(Find find) {
  std::vector<Row> rows;
  PageToken token;
  do {
    auto page = find(token);
    EXPECT_TRUE(page.ok()) << page.status().ToString();
    if (!page.ok()) break;
    for (Row& row : page->rows) rows.push_back(std::move(row));
    token = page->next;
  } while (!token.empty());
  return rows;
}

// What every engine is tested with.
class StoreContract : public ::testing::TestWithParam<std::string> {
 protected:
  StoreContract() : engine_(MakeEngine(GetParam())), store_(&engine_->Open(clock_)) {}

  JobStore& store() { return *store_; }
  void Reopen() { store_ = &engine_->Open(clock_); }

  Ns Waiting(TimeMs due_before = INT64_MAX, std::size_t limit = 1000,
             const std::optional<ReadyPosition>& after = std::nullopt) {
    const auto rows = store().LoadWaiting(0, "g", after, due_before, limit);
    EXPECT_TRUE(rows.ok()) << rows.status().ToString();
    return Numbers(*rows);
  }

  HandClock clock_;
  const std::unique_ptr<Engine> engine_;
  JobStore* store_;
};

}  // namespace lts::store::testing

#define EXPECT_OK(expr)                      \
  do {                                       \
    const ::lts::Status ok_ = (expr);        \
    EXPECT_TRUE(ok_.ok()) << ok_.ToString(); \
  } while (false)

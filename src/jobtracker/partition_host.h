// Runs one Partition against a JobStore: loads it, commits its mutations in numbered group commits,
// and releases its other effects once they are durable (DESIGN 2.2 and section 5).
//
// While one commit is under way, the mutations of later events gather for the next one. Everything
// else that an event led to is released, in order, when the mutations issued up to it are durable.
//
// Threads: all methods but Query() are called, and all state is touched, on `strand`. Store calls
// run on `io` (commits) and `reads`. The Outbox is called on `strand`. In the simulator all three
// are strands of one virtual-time loop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "jobtracker/core/partition.h"
#include "store/job_store.h"

namespace lts {

// Where released effects go: the services in the daemon, the network in the simulator. Called on
// the host's strand.
class Outbox {
 public:
  virtual ~Outbox() = default;
  virtual void Submitted(std::vector<core::SubmitReply> replies) = 0;
  virtual void Cancelled(std::vector<core::CancelReply> replies) = 0;
  virtual void ToWorker(core::WorkerSend message) = 0;
  virtual void ToFeedback(core::FeedbackSend message) = 0;
  // A cycle of a watched job ended, durably.
  virtual void Ended(const store::HistoryRow& row) = 0;
  // The partition serves no more: every request it has not answered has failed, every stream of it
  // is closed. It may come back under a new epoch by itself.
  virtual void Reset(std::uint32_t partition, const Status& why) = 0;
};

struct PartitionHostOptions {
  core::PartitionOptions core;
  std::string owner;  // identity of this JobTracker
  std::string address;
  std::size_t pending_jobs_max =
      100'000;  // submit items accepted and not answered; partition.pending.max
  std::int64_t retry_initial_us = 50'000;  // after a commit that did not go through
  std::int64_t retry_max_us = 2'000'000;
  bool ack_before_commit = false;  // planted fault: replies are released before they are durable
};

class PartitionHost {
 public:
  struct Counters {
    std::uint64_t commits = 0;
    std::uint64_t mutations = 0;
    std::uint64_t commit_retries = 0;
    std::uint64_t reloads = 0;
    std::uint64_t refused = 0;
    std::size_t pending_jobs = 0;
  };

  PartitionHost(PartitionHostOptions options, store::JobStore& store, Strand& strand, Strand& io,
                Strand& reads, const Clock& clock, Outbox& outbox);
  ~PartitionHost();
  PartitionHost(const PartitionHost&) = delete;
  PartitionHost& operator=(const PartitionHost&) = delete;

  // Acquires and loads; `on_first` runs on the strand when it serves, or could not at the first
  // try.
  void Start(std::function<void(Status)> on_first);
  // Ends new work, commits what is under way, flushes all marks and releases clean; then `done`
  // runs on the strand.
  void Stop(std::function<void()> done);

  // From any thread: `query` runs on the strand with the core, or null while it does not serve.
  void Query(std::function<void(const core::Partition*, core::Now)> query);

  // On the strand.
  void Handle(core::Event event);
  bool serving() const { return state_ == State::kServing; }
  const core::Partition* partition() const { return core_.get(); }
  std::uint64_t epoch() const { return lease_.epoch; }
  core::Now now() const;
  Counters counters() const { return counters_; }
  // Why nothing can be stored at the moment, or Ok.
  const Status& Trouble() const { return store_trouble_; }
  // Tells Outbox::Ended of the next end of a cycle of this job; may be called more than once for
  // one job.
  void Watch(const model::JobId& id);
  void Unwatch(const model::JobId& id);

 private:
  enum class State { kLoading, kServing, kStopping, kStopped };

  void Load();
  void OnLoaded(Result<core::LoadedState> loaded);
  void Reload(const Status& why);
  void Refuse(core::Event event, StatusCode code, const std::string& message);
  void Flush();
  void Commit();
  void OnCommitted(const Status& status);
  void Release(core::Effects effects);
  void StartReads(core::Effects& effects);
  void ArmTimer();
  void OnTimer(std::uint64_t generation);
  void FinishStop();
  // Wraps a task so that it does nothing once the host is gone or has reloaded.
  std::function<void()> Guarded(std::function<void()> task) const;

  const PartitionHostOptions options_;
  store::JobStore& store_;
  Strand& strand_;
  Strand& io_;
  Strand& reads_;
  const Clock& clock_;
  Outbox& outbox_;

  State state_ = State::kLoading;
  store::PartitionLease lease_;
  std::unique_ptr<core::Partition> core_;
  core::Effects gathering_;
  core::Effects committing_;
  bool commit_under_way_ = false;
  std::int64_t retry_us_ = 0;  // > 0: the store refuses; delay before the next try
  Status store_trouble_;
  std::uint64_t armed_us_ = UINT64_MAX;  // monotonic time of the armed tick
  std::uint64_t timer_generation_ = 0;
  std::unordered_map<model::JobId, int> watches_;
  std::function<void(Status)> on_first_;
  std::function<void()> on_stopped_;
  bool flushed_marks_ = false;
  bool all_known_ = false;  // when the marks were flushed: nothing ran that was not marked
  Counters counters_;
  // Never replaced, so that any thread may take a copy: expires with the host.
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  // Replaced at each reload: tasks of an earlier life find it expired.
  std::shared_ptr<int> life_ = std::make_shared<int>(0);
};

}  // namespace lts

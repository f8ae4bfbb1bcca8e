// Runs one Partition against a JobStore: loads it, commits its mutations in numbered group commits,
// and releases its other effects once they are durable (DESIGN 2.2 and section 5).
//
// While one commit is under way, the mutations of later events gather for the next one. Everything
// else that an event led to is released, in order, when the mutations issued up to it are durable.
//
// A commit that the store refuses for good names no culprit, and the core has moved on: it is
// loaded anew, and for a while one event at a time is handled and committed. The event that is
// refused alone is the one: its requests are refused by name; the rows of its results and timers
// are left alone from then on (LoadedState::refused), and the partition goes on without them.
//
// In a cluster it serves only what it is assigned (Want) and could acquire in the store, and only
// while its lease holds: counted on the own monotonic clock, from before the last commit or renewal
// that the store took was sent. After that nothing is given out, fires or is declared lost, until
// the store says that the epoch is still the present one. It hands over when a newer assignment
// asks (AskedBy), never by itself.
//
// Threads: all methods but those that say otherwise are called, and all state is touched, on
// `strand`. Store calls run on `io` (ownership, loading, commits) and `reads`. The Outbox is called
// on `strand`. In the simulator all three are strands of one virtual-time loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
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
  virtual void Operated(std::vector<core::OperateReply> replies) = 0;
  virtual void ToWorker(core::WorkerSend message) = 0;
  virtual void ToFeedback(core::FeedbackSend message) = 0;
  // A cycle of a watched job ended, durably.
  virtual void Ended(const store::HistoryRow& row) = 0;
  // The partition serves from now on.
  virtual void Serving() {}
  // The partition serves no more: every request it has not answered has failed, every stream of it
  // is closed. It may come back under a new epoch by itself.
  virtual void Reset(std::uint32_t partition, const Status& why) = 0;
};

// Of one partition.
struct PartitionAssignment {
  std::uint64_t number = 0;  // grows with each assignment
  bool mine = false;
  // Whether this process may acquire: the others see it. Without, it keeps what it has.
  bool live = true;
  bool operator==(const PartitionAssignment&) const = default;
};

struct PartitionHostOptions {
  core::PartitionOptions core;
  std::string owner;  // identity of this JobTracker
  // Of the store; 0: it never ends (one process alone has the store).
  DurationMs lease_ms = 0;
  // Of submits accepted and not answered: items (partition.pending.max) and bytes of their payloads
  // and parameters (partition.pending.bytes.max).
  std::size_t pending_jobs_max = 100'000;
  std::size_t pending_bytes_max = 64 << 20;
  // What one commit gathers; more waits for the next. One event may go beyond it.
  std::size_t commit_mutations_max = 20'000;
  std::size_t commit_bytes_max = 16 << 20;
  std::int64_t retry_initial_us = 50'000;  // after a commit that did not go through
  std::int64_t retry_max_us = 2'000'000;
  std::int64_t acquire_min_us = 100'000;  // between tries while another one holds the partition
  std::int64_t acquire_max_us = 500'000;
  // Planted faults: replies are released before they are durable; the lease is not looked at.
  bool ack_before_commit = false;
  bool unleased_dispatch = false;
};

class PartitionHost {
 public:
  struct Counters {
    std::uint64_t commits = 0;
    std::uint64_t mutations = 0;
    std::uint64_t commit_retries = 0;
    std::uint64_t reloads = 0;
    std::uint64_t refused = 0;        // submits over pending_jobs_max
    std::uint64_t refused_bytes = 0;  // and over pending_bytes_max
    std::uint64_t offenders = 0;      // events that the store refused for good
    std::uint64_t failed_reads = 0;
    std::size_t pending_jobs = 0;
    std::size_t pending_bytes = 0;
  };

  PartitionHost(PartitionHostOptions options, store::JobStore& store, Strand& strand, Strand& io,
                Strand& reads, const Clock& clock, Outbox& outbox);
  ~PartitionHost();
  PartitionHost(const PartitionHost&) = delete;
  PartitionHost& operator=(const PartitionHost&) = delete;

  // It is this process's alone; `on_first` runs on the strand when it serves, or could not at the
  // first try.
  void Start(std::function<void(Status)> on_first);
  // The address with the port really taken; before it is assigned.
  void SetAddress(std::string address) { address_ = std::move(address); }
  // What is known of the assignment now; tells it as often as it changes, and may repeat it. While
  // it is assigned here and this process may acquire, it is acquired, its owner asked to hand it
  // over, and served. What is served, and assigned to somebody else or without a session to the
  // registry, is served on until somebody asks for it, or until its lease has ended: cut off from
  // the store it would never hear that it was asked, and would keep the TaskTrackers from the new
  // owner.
  void Assign(PartitionAssignment assignment);
  // Somebody asks for it, by the assignment of that number. Unless this process knows a newer one,
  // or one as new that leaves it here, new work ends, what is under way is committed, all marks are
  // flushed, and it is released clean.
  void AskedBy(const std::string& asker, std::uint64_t assignment);
  // What the store said to a renewal that was sent at that time of the monotonic clock.
  void Renewed(std::uint64_t epoch, std::int64_t sent_us, bool held);
  // Notices that the lease has ended also when nothing else happens here.
  void CheckLease();
  // As when asked, and for good; then `done` runs on the strand.
  void Stop(std::function<void()> done);

  // From any thread: `query` runs on the strand with the core, or null while it does not serve.
  void Query(std::function<void(const core::Partition*, core::Now)> query);

  // On the strand.
  void Handle(core::Event event);
  bool serving() const { return state_ == State::kServing; }
  bool wanted() const { return assigned_.mine; }
  // From any thread: the same, and what there is to renew. Epoch 0: nothing.
  bool ServesNow() const { return serves_.load(std::memory_order_relaxed); }
  struct Held {
    std::uint64_t epoch = 0;
    std::int64_t renewed_us = 0;  // when the last renewal that the store took was sent
    bool committing = false;      // a commit is under way, which renews it
  };
  Held HeldNow() const {
    return {held_epoch_.load(std::memory_order_acquire),
            renewed_us_.load(std::memory_order_relaxed),
            commit_under_way_.load(std::memory_order_relaxed)};
  }
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
  // kIdle: another one's, or nobody's. kReleasing: the commit under way and the release.
  enum class State { kIdle, kAcquiring, kLoading, kServing, kStopping, kReleasing, kStopped };

  struct PendingRequest {
    std::size_t items = 0;
    std::size_t bytes = 0;
  };

  void SetState(State state);
  bool LeaseHolds() const;
  bool Frozen() const { return !store_trouble_.ok() || !LeaseHolds(); }
  // Whether it may be tried to acquire it: it is assigned here, or was lost for a reason of its
  // own.
  bool MayAcquire() const;
  void Acquire();
  void AcquireAfter(std::int64_t delay_us);
  void OnAcquired(const Result<store::PartitionLease>& acquired, std::int64_t sent_us);
  void Thaw();
  void GiveUpLapsed();
  void DropCore();
  void ReleaseLease(const store::PartitionLease& lease, bool clean);
  void Load();
  void OnLoaded(Result<core::LoadedState> loaded);
  void Reload(const Status& why);
  void Refuse(core::Event event, StatusCode code, const std::string& message);
  // False, and answered, when a limit or the store's state does not allow it.
  bool Admit(core::Event& event);
  // Whether an event must wait for the commit under way.
  bool MustWait(const core::Event& event) const;
  void Enqueue(core::Event event);
  void Take(core::Event event);
  void TakeWaiting();
  void RefuseOffender(const Status& why);
  void Flush();
  void Commit();
  void OnCommitted(const Status& status);
  void NoLongerPending(core::RequestId request);
  void Release(core::Effects effects);
  void StartReads(core::Effects& effects);
  void ArmTimer();
  void OnTimer(std::uint64_t generation);
  void BeginStop();
  void FinishStop();
  void OnReleased();
  // Wraps a task so that it does nothing once the host is gone or has reloaded.
  std::function<void()> Guarded(std::function<void()> task) const;

  const PartitionHostOptions options_;
  store::JobStore& store_;
  Strand& strand_;
  Strand& io_;
  Strand& reads_;
  const Clock& clock_;
  Outbox& outbox_;

  State state_ = State::kIdle;
  std::atomic<bool> serves_{false};
  std::string address_;
  PartitionAssignment assigned_;
  std::uint64_t yielded_to_ = 0;  // the newest assignment by which it was handed over
  bool reacquires_ = false;       // it was this process's until it was loaded anew
  bool stop_for_good_ = false;
  std::int64_t started_us_ = 0;
  std::int64_t acquire_delay_us_ = 0;
  bool acquire_under_way_ = false;
  bool acquire_armed_ = false;
  bool told_held_ = false;  // that another one holds it
  store::PartitionLease lease_;
  std::atomic<std::uint64_t> held_epoch_{0};
  std::atomic<std::int64_t> renewed_us_{0};
  bool lapsed_ = false;  // the lease ended since the core was last told the time
  std::int64_t commit_sent_us_ = 0;
  std::unique_ptr<core::Partition> core_;
  core::Effects gathering_;
  std::size_t gathering_bytes_ = 0;  // of the rows in it, about
  core::Effects committing_;
  std::deque<core::Event> waiting_;  // events that MustWait
  int careful_ = 0;                  // > 0: so many commits are still made of one event each
  std::unordered_set<model::JobKey> refused_;  // for LoadedState, over all loads
  std::unordered_map<core::RequestId, PendingRequest> pending_;
  std::int64_t reload_delay_us_ = 0;
  bool reads_fail_ = false;
  std::atomic<bool> commit_under_way_{false};
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

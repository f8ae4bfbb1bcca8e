// The TaskTracker's side of the Work stream: everything that is decided about attempts here.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/strand.h"
#include "discovery/discovery.h"
#include "lts/status.h"
#include "lts/v1/worker.pb.h"
#include "rpc/channel.h"
#include "tasktracker/attempt.h"
#include "tasktracker/log_shipper.h"
#include "tasktracker/progress_board.h"
#include "tasktracker/result_store.h"
#include "tasktracker/slots.h"

namespace lts::tasktracker {

struct LinkOptions {
  std::string group;
  std::string identity;
  std::string incarnation;
  std::string version;
  std::string address;  // of the ops page, "" none
  TimeMs started_ms = 0;
  discovery::JobTrackers job_trackers;  // tried in turn; see SetJobTrackers
  bool stop_working = true;             // stop everything at the end of the lease
  DurationMs kill_grace_ms = 5'000;     // for attempts that were asked to stop
  DurationMs ack_wait_ms = 5'000;       // a result without acknowledgement goes into the FailStore
  DurationMs goodbye_ms = 2'000;        // for the last acknowledgements, and for the goodbye
  DurationMs reconnect_min_ms = 100;
  DurationMs reconnect_max_ms = 5'000;
  DurationMs hello_timeout_ms = 10'000;
  DurationMs progress_ms = 500;       // at most one message with progress in this time
  std::int64_t unacked_max = 10'000;  // results in memory; at this many no new jobs are taken
  std::size_t message_bytes_max = 1U << 20;  // of the results in one message, hello included
  std::uint64_t seed = 0;
};

// What a stop has left undone.
struct StopReport {
  int running = 0;           // attempts that did not stop
  std::int64_t unsaved = 0;  // results that are neither acknowledged nor stored
};

// Lives on `strand`: every private member is used there alone. Blocking calls go to `disk`. Owns
// the attempts, the channel and the stream; borrows the rest. Life: Start, BeginStop, then both
// strands are stopped and the slots joined, then this is destroyed.
//
// A result is kept until it is acknowledged; it is in the FailStore as soon as the stream is down
// or the acknowledgement takes long, and is told again in every hello.
class Link {
 public:
  // The runner for a job, whose own choice stands in its input.
  using Resolve = std::function<Result<std::string>(const runners::AttemptInput& input)>;
  // connected, and else why not. Called on the strand.
  using OnConnection = std::function<void(bool connected, const std::string& reason)>;

  // The end of the lease on the monotonic clock, each time that it has moved; 0 once it has ended
  // and nothing runs any more that it could stop. Called on the strand; not when the lease stops
  // nothing (LinkOptions::stop_working).
  using OnLease = std::function<void(std::int64_t until_us)>;

  struct Parts {
    rpc::ChannelFactory channels;
    Slots& slots;
    LogShipper& log;
    ProgressBoard& progress;
    ResultStore& results;  // used on `disk` alone
    Resolve resolve;
    OnConnection on_connection;
    OnLease on_lease;  // may be empty
    Strand& strand;
    Strand& disk;
    const Clock& clock;
    MetricsRegistry& metrics;
  };

  Link(LinkOptions options, Parts parts);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // `left`: results of an earlier process, from ResultStore::LoadNew. Connects, and goes on trying.
  void Start(std::vector<std::unique_ptr<Attempt>> left);

  // From any thread.
  void SlotsHaveEnded();    // Slots::TakeEnded has something
  void ProgressHasCome();   // the ProgressBoard is not empty any more
  void AddStoredResults();  // results have come into the FailStore from elsewhere
  // While it is closed, no new jobs are taken.
  void SetGate(bool open);
  // Who is there now. A connection that stands is left alone; without one, a change is a reason to
  // try again at once.
  void SetJobTrackers(discovery::JobTrackers found);
  // Takes no new work, lets attempts end for `limit_ms`, then stops them; results are acknowledged
  // or stored; says goodbye when nothing runs any more. Called again, the sooner of the limits
  // counts. Each `done` runs on the strand, once.
  void BeginStop(DurationMs limit_ms, std::function<void(StopReport)> done);

 private:
  enum class Phase : std::uint8_t { kDown, kHello, kLive };
  enum class StopStep : std::uint8_t {
    kNone,
    kEnding,
    kCancelling,
    kAcks,
    kStoring,
    kClosing,
    kDone
  };
  enum Timer : std::uint8_t {
    kReconnect,
    kHelloTimeout,
    kHeartbeat,
    kLease,
    kTimeouts,
    kScan,
    kStoreRetry,
    kProgress,
    kSend,
    kStop,
    kTimerCount,
  };

  // link.cc: connection
  void Connect();
  void Disconnect(const std::string& reason);
  void ScheduleReconnect();
  void SendHello();
  void OnMessage(std::uint64_t generation, v1::TrackerMessage& message);
  void OnClosed(std::uint64_t generation, const Status& status);
  void OnHello(const v1::HelloReply& reply);
  void OnRefusal(const v1::HelloReply& reply);
  bool Present(const std::string& address) const;
  void OnHeartbeatAnswer(std::uint64_t number, bool frozen);
  void SendHeartbeat();
  void OnLeaseEnd();
  void SetLease(std::int64_t until_us);
  void TellLease();

  // link_attempts.cc: attempts and results
  void OnAssignments(v1::TrackerMessage& message);
  bool Accept(v1::Assignment& assignment, std::vector<Attempt*>* to_run);
  void HandBack(Attempt& attempt);
  void OnStop(const v1::AttemptKey& key);
  void OnAcks(const v1::TrackerMessage& message);
  void OnEnded();
  void Finish(Attempt& attempt, runners::RunOutcome outcome, bool ran, std::int64_t ended_us);
  void RequestStop(Attempt& attempt, StopCause cause);
  void OnTimeouts();
  void Scan();
  void FindStuck(std::int64_t now_us);
  void Gather(Attempt& attempt);
  void SendGathered(bool at_once);
  void SendProgress();
  bool WantsStore(const Attempt& attempt, std::int64_t now_us) const;
  void StoreResults();
  void OnStored(const std::vector<v1::AttemptKey>& keys, const Status& status);
  void AddStored(std::vector<std::unique_ptr<Attempt>> found);
  int Capacity();
  void TellCapacity();
  void UpdateGauges();

  // link_stop.cc
  void AdvanceStop();

  std::int64_t NowUs() const { return clock_.MonotonicUs(); }
  bool Stopping() const { return stop_step_ != StopStep::kNone; }
  void SetTimer(Timer timer, std::int64_t at_us);
  void ClearTimer(Timer timer) { due_us_[timer] = kNever; }
  void Arm();
  void RunTimers();
  void RunTimer(Timer timer);

  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  const LinkOptions options_;
  const rpc::ChannelFactory channels_;
  Slots& slots_;
  LogShipper& log_;
  ProgressBoard& progress_;
  ResultStore& results_;
  const Resolve resolve_;
  const OnConnection on_connection_;
  const OnLease on_lease_;
  Strand& strand_;
  Strand& disk_;
  const Clock& clock_;

  // Connection.
  Phase phase_ = Phase::kDown;
  std::uint64_t generation_ = 0;  // of the stream; callbacks of older ones are ignored
  discovery::JobTrackers job_trackers_;
  std::size_t next_address_ = 0;
  std::string redirect_;                 // where the last refusal sent us
  int redirects_ = 0;                    // in a row
  std::string left_;                     // the owner that was frozen and gone from the list
  std::int64_t undecided_since_us_ = 0;  // refused without an owner since then; 0: not
  DurationMs backoff_ms_ = 0;
  bool reported_down_ = false;
  std::mt19937_64 random_;

  std::uint64_t hellos_ = 0;  // sent by this process

  // What the owner has told.
  std::uint64_t session_ = 0;
  std::uint64_t epoch_ = 0;
  std::string cluster_id_;

  // Lease.
  DurationMs lease_ms_ = 0;
  DurationMs heartbeat_ms_ = 0;
  std::int64_t hello_sent_us_ = 0;
  std::int64_t lease_until_us_ = 0;
  bool lease_ended_ = false;
  bool frozen_ = false;
  std::uint64_t heartbeat_number_ = 0;
  std::deque<std::pair<std::uint64_t, std::int64_t>> unanswered_;  // number, sent

  // Attempts.
  AttemptSet attempts_;  // running ones, and ended ones without acknowledgement
  int running_ = 0;      // queued ones included
  std::int64_t unacked_ = 0;
  std::int64_t unstored_ = 0;  // of those: not in the FailStore
  int stopping_attempts_ = 0;  // asked to stop, still running
  int stuck_ = 0;
  Attempt::TimeoutIndex timeouts_;  // not before this time
  std::vector<Attempt*> gathered_;  // results for the next message
  std::vector<Slots::Ended> ended_;
  bool store_under_way_ = false;
  bool store_refused_ = false;
  bool unacked_over_ = false;
  bool gate_open_ = true;
  int capacity_told_ = 0;
  bool drain_told_ = false;
  std::int64_t progress_sent_us_ = 0;

  StopStep stop_step_ = StopStep::kNone;
  std::int64_t stop_deadline_us_ = 0;
  DurationMs stop_limit_ms_ = 0;  // of kEnding
  bool closed_ = false;           // the stream has ended after the goodbye
  std::vector<std::function<void(StopReport)>> stop_done_;
  StopReport stop_report_;  // once kDone

  std::array<std::int64_t, kTimerCount> due_us_;
  std::int64_t armed_us_ = kNever;

  Gauge& connected_gauge_;
  Gauge& frozen_gauge_;
  Gauge& stuck_gauge_;
  Counter& connects_;
  Counter& dropped_assignments_;
  Counter& lease_ends_;
  std::array<Counter*, v1::Outcome_ARRAYSIZE> outcomes_;
  LimitMetrics limit_slots_;
  LimitMetrics limit_unacked_;

  // Last: they end first, and no callback runs afterwards.
  std::unique_ptr<rpc::Channel> channel_;
  std::unique_ptr<rpc::Stream<v1::WorkerMessage>> stream_;
};

}  // namespace lts::tasktracker

// Brings the business log of attempts to a JobTracker, in batches; what cannot be sent now goes
// into the FailStore.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/strand.h"
#include "failstore/fail_store.h"
#include "failstore/forwarder.h"
#include "lts/v1/worker.pb.h"
#include "rpc/channel.h"
#include "tasktracker/attempt.h"
#include "tasktracker/runners/runner.h"

namespace lts::tasktracker {

struct LogShipperOptions {
  std::string group;
  std::string node;                    // identity of this TaskTracker
  int level_min = 1;                   // a runners::LogLevel; 4: nothing at all
  std::int64_t lines_max = 20'000;     // waiting in memory; beyond it lines are dropped
  std::int64_t bytes_max = 8LL << 20;  // of their texts
  std::size_t batch_lines_max = 1'000;
  std::size_t batch_bytes_max = 512U << 10;
  DurationMs gather_ms = 100;           // a lone line waits this long for company
  DurationMs deadline_ms = 5'000;       // of one call
  DurationMs stop_deadline_ms = 2'000;  // of a call at Stop
  DurationMs retry_ms = 1'000;          // after the FailStore refused
  // Above this use of the FailStore, by whatever kind of record, no lines go there: results have
  // to.
  std::int64_t store_bytes_max = 512LL << 20;
  std::int64_t store_count_max = 500'000;
  std::uint64_t seed = 0;
};

// Add and AttemptEnded are called by the slots, the other functions by the Link; all of them from
// any thread. Network and disk are on `strand`, which may block. Lines of one attempt are numbered
// from 1 in the order of Add; a JobTracker that gets a line twice keeps one.
//
// Borrows all that is handed in. To end: Stop, then the strand is stopped, then this is destroyed.
class LogShipper {
 public:
  LogShipper(LogShipperOptions options, rpc::ChannelFactory channels, FailStore& store,
             Strand& strand, const Clock& clock, MetricsRegistry& metrics);
  ~LogShipper();
  LogShipper(const LogShipper&) = delete;
  LogShipper& operator=(const LogShipper&) = delete;

  // Never blocks. Over the bound the line is dropped and counted; the attempt's log says so with
  // its next line or at its end.
  void Add(Attempt& attempt, runners::LogLevel level, std::string text);
  // No line of this attempt comes any more.
  void AttemptEnded(Attempt& attempt);

  // There is a JobTracker at `address`, or (empty) none.
  void SetWay(const std::string& address);
  // Records have come into the FailStore from elsewhere.
  void StoreChanged();
  // What waits is sent, or stored when that fails. `done` runs on the strand once nothing is in
  // memory, or the FailStore has refused it. Lines that come later, of attempts that do not stop,
  // are dropped and counted as refused.
  void Stop(std::function<void()> done);

 private:
  struct Line {
    v1::LogLine line;
    std::int64_t at_us = 0;
  };

  void PushLocked(Attempt& attempt, runners::LogLevel level, std::string text, bool only_notice);
  void PostFlushLocked();
  // The rest on the strand.
  void Flush();
  bool TakeBatch();
  void Send();
  void OnSent(const Status& status);
  void Store();
  void RetryLater();
  void FinishStop();
  void SendStored(std::vector<FailRecord> records, Forwarder::Done done);

  const LogShipperOptions options_;
  const rpc::ChannelFactory channels_;
  FailStore& store_;
  Strand& strand_;
  const Clock& clock_;
  LimitMetrics limit_lines_;
  LimitMetrics limit_bytes_;

  mutable std::mutex mutex_;
  std::deque<Line> lines_;
  std::int64_t bytes_ = 0;
  bool flush_posted_ = false;  // a Flush will run, now or after gather_ms
  bool flush_soon_ = false;    // it runs now
  bool closed_ = false;        // after Stop; changed on the strand alone, which reads it unlocked

  // On the strand.
  std::unique_ptr<rpc::Channel> channel_;
  bool way_open_ = false;
  bool stopping_ = false;
  bool in_flight_ = false;
  v1::AppendLogsRequest batch_;  // taken from lines_, not yet anywhere else
  std::int64_t batch_at_us_ = 0;
  std::function<void()> stopped_;
  bool warned_ = false;        // that lines cannot be sent
  bool refused_ = false;       // and not be stored either
  std::int64_t retry_us_ = 0;  // neither sent nor stored: not again before this time
  std::unique_ptr<Forwarder> forwarder_;
};

}  // namespace lts::tasktracker

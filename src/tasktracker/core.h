// Wires the parts of a TaskTracker together, in the order of their lives.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/strand.h"
#include "discovery/discovery.h"
#include "failstore/adopt.h"
#include "failstore/fail_store.h"
#include "lts/status.h"
#include "lts/task_tracker.h"
#include "rpc/channel.h"
#include "rpc/ops_server.h"
#include "tasktracker/link.h"
#include "tasktracker/log_shipper.h"
#include "tasktracker/progress_board.h"
#include "tasktracker/resource_watch.h"
#include "tasktracker/result_store.h"
#include "tasktracker/runner_set.h"
#include "tasktracker/slots.h"

namespace lts::tasktracker {

// One TaskTracker. Decides nothing. Thread-safe; Stop may be called again and returns the same. The
// destructor stops, and then waits for jobs that do not end.
class Core {
 public:
  // `clock` is borrowed for the life of the object.
  static Result<std::unique_ptr<Core>> Start(TaskTrackerOptions options,
                                             rpc::ChannelFactory channels, const Clock& clock);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void Drain(std::function<void()> on_drained);
  TaskTrackerStopReport Stop();
  Status Connection() const;
  // Ok while new jobs are taken, else kUnavailable with the reason.
  Status Ready() const;
  const std::string& identity() const { return identity_; }
  std::string ops_listen() const;
  const MetricsRegistry& metrics() const { return metrics_; }

 private:
  Core(TaskTrackerOptions options, const Clock& clock);
  Status Open(const rpc::ChannelFactory& channels);
  Status Join(const LinkOptions& as, const rpc::ChannelFactory& channels);
  void AddMetrics();
  void SetLease(std::int64_t until_us);
  void SetConnection(bool connected, const std::string& reason);
  void SetRoom(const std::string& why_not);
  // False when it was ending already.
  bool SetEnding(const char* what);

  const TaskTrackerOptions options_;
  const Clock& clock_;
  std::string identity_;
  MetricsRegistry metrics_;
  std::unique_ptr<FailStore> store_;
  std::unique_ptr<RunnerSet> runners_;

  mutable std::mutex connection_mutex_;
  Status connection_;
  std::string ending_;   // what it is about to do, empty as long as it takes jobs
  std::string no_room_;  // why the host has none, empty when it has

  // Stopped by Stop; their objects outlive all that posts to them.
  ThreadStrand disk_;    // FailStore and log lines: may block
  ThreadStrand strand_;  // the Link
  std::unique_ptr<ProgressBoard> progress_;
  std::unique_ptr<LogShipper> log_;
  std::unique_ptr<ResultStore> results_;
  std::unique_ptr<Link> link_;  // owns the attempts, so it goes after the slots have been joined
  std::unique_ptr<Slots> slots_;
  std::unique_ptr<SiblingWatch> siblings_;
  std::unique_ptr<ResourceWatch> host_;  // tells the link; ends before it
  std::vector<MetricCallback> metric_callbacks_;
  std::unique_ptr<OpsServer> ops_;
  // Tells the link who is there; ends before it.
  std::unique_ptr<discovery::Discovery> discovery_;

  std::mutex stop_mutex_;
  bool stopped_ = false;
  TaskTrackerStopReport report_;
};

}  // namespace lts::tasktracker

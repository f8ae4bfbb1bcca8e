// One simulated cluster under one seed: JobTrackers with their partitions over a store and a
// registry, TaskTrackers, clients, the network between them, and the faults that befall them.
// Everything runs in one thread on virtual time, and a JobTracker is the real PartitionHost with
// the real core, in a cluster also the real ClusterMember and LeaseKeeper.
#pragma once

#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checker.h"
#include "config.h"
#include "jobtracker/core/events.h"
#include "sim_loop.h"
#include "store/job_store.h"

namespace lts::sim {

class SimRegistry;
class SimTracker;
class SimTaskTracker;
class SimClient;

// What a run exercised, by name; summed over seeds.
using Coverage = std::map<std::string, std::uint64_t>;

// A bidirectional stream. Order holds within a direction; it breaks as a whole, and each side
// learns of it in its own time: what a side is sent after that is gone.
struct Stream {
  core::StreamId id = 0;
  std::uint32_t partition = 0;
  int tracker = 0;        // to which JobTracker
  std::string far_place;  // of the other side, for cuts
  bool far_open = true;   // the TaskTracker's or client's side
  bool tracker_open = true;
  bool breaking = false;
  std::int64_t last_to_far_us = 0;
  std::int64_t last_to_tracker_us = 0;
  std::deque<std::function<void()>> to_far, to_tracker;  // under way, in order
  std::function<void(std::function<void()>)> post_far;   // onto the far process's strand
  // Set by the far side; run on its strand.
  std::function<void()> on_far_closed;
  std::function<void(const core::WorkerSend&)> on_worker;
  std::function<void(const core::FeedbackSend&)> on_feedback;
};
using StreamPtr = std::shared_ptr<Stream>;

class World {
 public:
  World(Config config, bool trace);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Runs the seed to its end; false when a check failed (see failure()).
  bool Run();
  const std::string& failure() const { return failure_; }
  std::uint64_t trace_hash() const { return hash_; }
  const Coverage& coverage() const { return coverage_; }

  // ---- for the parts
  const Config& config() const { return config_; }
  SimLoop& loop() { return loop_; }
  Random& random() { return random_; }
  Checker& checker() { return checker_; }
  // What the cores go by: the clock of the JobTracker's host, in a cluster that of the store.
  const SimClock& core_clock() const {
    return config_.cluster() ? true_clock_ : slots_.front()->clock;
  }
  SimClock& clock_of(int tracker) { return slots_[static_cast<std::size_t>(tracker)]->clock; }
  SimClock& true_clock() { return true_clock_; }
  store::JobStore& store();
  SimRegistry& registry() { return *registry_; }
  int trackers() const { return config_.trackers; }
  // Null while it is down.
  SimTracker* tracker(int i) { return slots_[static_cast<std::size_t>(i)]->live.get(); }
  static std::string PlaceOf(int tracker) { return fmt::format("t{}", tracker); }
  // The core of the present owner, when it serves.
  const core::Partition* OwnerCore(std::uint32_t partition);
  std::uint64_t EpochOf(std::uint32_t partition);
  const std::vector<std::unique_ptr<SimTaskTracker>>& task_trackers() const { return workers_; }
  const std::vector<std::unique_ptr<SimClient>>& clients() const { return clients_; }
  bool active() const { return active_; }  // faults may happen
  bool settling() const { return settling_; }
  std::uint32_t PartitionOfGroup(const std::string& group) const;
  std::string GroupName(int i) const { return fmt::format("group{}", i); }

  SimStrand& NewStrand(std::shared_ptr<const Process> process, bool blocks = false);
  void Count(const char* what) { ++coverage_[what]; }
  void Count(const std::string& what) { ++coverage_[what]; }
  void Fail(const std::string& invariant, const model::JobId& job, const std::string& what);
  // An event for the trace hash; with tracing on also a line.
  template <typename... Args>
  void Note(const model::JobId& job, std::uint64_t detail, const char* format,
            const Args&... args) {
    Mix(static_cast<std::uint64_t>(loop_.now_us()));
    Mix(job.high);
    Mix(job.low);
    Mix(detail);
    Mix(reinterpret_cast<std::uintptr_t>(format) == 0 ? 0 : HashText(format));
    if (trace_) AddLine(job, fmt::format(fmt::runtime(format), args...));
  }
  void PrintLines(const model::JobId& job, std::size_t last) const;
  const model::JobId& failed_job() const { return failed_job_; }

  // ---- network
  std::int64_t NetDelayUs();
  // A unary message: may be lost, doubled, late.
  void SendDatagram(const std::string& from, const std::string& to, std::function<void()> deliver) {
    SendDatagram(from, to, deliver, deliver);
  }
  // `again` is what a doubled message delivers: the one that a client sends anew.
  void SendDatagram(const std::string& from, const std::string& to, std::function<void()> deliver,
                    std::function<void()> again);
  StreamPtr OpenStream(std::uint32_t partition, int tracker, const std::string& far_place);
  void SendToTracker(const StreamPtr& stream, std::function<void()> deliver);
  void SendToFar(const StreamPtr& stream, std::function<void()> deliver);
  // The tracker's side is told by its own means when `tell_tracker` is false (its process died).
  void Break(const StreamPtr& stream, bool tell_far, bool tell_tracker);
  // A JobTracker's process died.
  void BreakAll(int tracker);
  // Nothing gets through between the two places.
  bool IsCut(const std::string& a, const std::string& b) const {
    return CutUntil(a, b) > loop_.now_us();
  }
  // Whether it was so at some time within the last `within_us`.
  bool WasCut(const std::string& a, const std::string& b, std::int64_t within_us) const {
    return CutUntil(a, b) + within_us > loop_.now_us();
  }

  // ---- faults
  void KillTracker(int tracker, const std::string& where);
  std::int64_t store_outage_until_us() const { return store_outage_until_us_; }
  // Something happened to JobTrackers, or to their ways to the store: what they own may move.
  void Disturbed() { disturbed_us_ = std::max(disturbed_us_, loop_.now_us()); }
  void DisturbedUntil(std::int64_t time_us) { disturbed_us_ = std::max(disturbed_us_, time_us); }

 private:
  struct Line {
    std::int64_t time_us;
    model::JobId job;
    std::string text;
  };
  void Mix(std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0x100000001b3ULL;
    hash_ ^= hash_ >> 29;
  }
  static std::uint64_t HashText(const char* text);
  void AddLine(const model::JobId& job, std::string text);
  struct Slot {
    explicit Slot(const SimLoop& loop);
    ~Slot();
    SimClock clock;
    std::unique_ptr<SimTracker> live;
    bool stopping = false;
  };
  std::int64_t CutUntil(const std::string& a, const std::string& b) const {
    const auto found = cuts_.find(std::minmax(a, b));
    return found == cuts_.end() ? 0 : found->second;
  }
  void Cut(const std::string& a, const std::string& b, std::int64_t for_us);
  void PumpToTracker(const StreamPtr& stream);
  void PumpToFar(const StreamPtr& stream);
  void StartTracker(int i);
  int SomeTracker() { return static_cast<int>(random_.Below(slots_.size())); }
  void ArmFault(DurationMs mean_ms, std::function<void()> fault);
  void ArmFaults();
  void StopFaults();
  bool Quiet();
  // Once served, a partition stays so while nothing happens but to the registry.
  void CheckOwners();
  std::string WhatIsNotQuiet();

  const Config config_;
  const bool trace_;
  SimLoop loop_;
  Random random_;
  SimClock true_clock_;
  Checker checker_;
  Coverage coverage_;
  std::vector<std::unique_ptr<SimStrand>> strands_;  // to the end: tasks of the dead refer to them
  std::unique_ptr<store::JobStore> memory_;
  std::unique_ptr<SimRegistry> registry_;
  // Until when; those that go ask it.
  std::map<std::pair<std::string, std::string>, std::int64_t> cuts_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::unique_ptr<SimTracker>> dead_trackers_;
  std::vector<std::unique_ptr<SimTaskTracker>> workers_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::vector<StreamPtr> streams_;
  std::vector<std::weak_ptr<Stream>> all_streams_;
  core::StreamId last_stream_ = 0;
  std::int64_t store_outage_until_us_ = 0;
  std::int64_t disturbed_us_ = 0;
  std::int64_t registry_back_us_ = INT64_MIN / 2;    // when the last outage of it ends
  std::map<std::uint32_t, std::int64_t> served_us_;  // when each was last seen to be served
  bool active_ = true;
  bool settling_ = false;
  std::string failure_;
  model::JobId failed_job_;
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
  std::vector<Line> lines_;
};

}  // namespace lts::sim

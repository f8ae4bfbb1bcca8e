// A TaskTracker process after proto/lts/v1/worker.proto and DESIGN section 4: hello, credits,
// lease, results kept in the FailStore until they are acknowledged. Its jobs are timers with a
// drawn outcome.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "sim_fail_store.h"
#include "world.h"

namespace lts::sim {

class SimTaskTracker {
 public:
  SimTaskTracker(World& world, std::string group, std::string name);

  const std::string& name() const { return name_; }
  // It was out of touch for longer than its lease: what it runs may run elsewhere.
  bool CutOff() const;
  // The same from the partition's present owner: the one that it is connected to was replaced.
  bool CutOffFromOwner() const;
  bool alive() const { return process_ != nullptr && process_->alive; }
  bool Idle() const { return running_.empty() && fail_store_.Usage().count == 0; }
  std::size_t running() const { return running_.size(); }

  void Start();
  void Kill();
  void Pause(DurationMs for_ms);
  void Drain();
  void BreakStream();
  void Resume();  // no pause, no drain: the run settles

 private:
  using RunKey = std::tuple<model::JobKey, std::int32_t, model::Token>;
  struct Running {
    core::Assignment assignment;
    std::size_t execution = 0;
    std::int64_t started_us = 0;
    bool stopping = false;
    core::AttemptResult planned;
  };

  static RunKey KeyOf(const core::AttemptRef& ref) { return {ref.key, ref.attempt, ref.token}; }
  std::int64_t now_us() const { return world_.loop().now_us(); }
  // Runs `task` on the strand unless this life has ended meanwhile.
  void After(std::int64_t delay_us, std::function<void()> task);
  void Connect();
  void Disconnect();
  void NextTracker();
  void OnClosed(const StreamPtr& stream);
  void OnMessage(const StreamPtr& stream, const core::WorkerSend& message);
  void Begin(const core::Assignment& assignment);
  void End(const RunKey& key, core::AttemptResult result);
  void StopAttempt(const RunKey& key, const std::string& why);
  // First thing in whatever it does: a lease that ran out ends everything. False when it did.
  bool CheckLease();
  void Heartbeat();
  std::vector<core::AttemptResult> Unacknowledged();
  void MaybeGoodbye();

  World& world_;
  const std::string group_;
  const std::string name_;
  const std::uint32_t partition_;
  SimFailStore fail_store_;
  std::uint64_t incarnations_ = 0;
  std::uint64_t highest_epoch_ = 0;
  int target_ = 0;  // the JobTracker that it tries

  // Of this life.
  std::shared_ptr<Process> process_;
  SimStrand* strand_ = nullptr;
  std::map<RunKey, Running> running_;
  StreamPtr stream_;
  bool welcomed_ = false;
  std::uint64_t session_ = 0;
  std::uint64_t hellos_ = 0;
  std::uint64_t connection_ = 0;
  std::int64_t hello_sent_us_ = 0;
  std::int64_t lease_from_us_ = -1;  // < 0: has none
  std::uint64_t last_heartbeat_ = 0;
  std::map<std::uint64_t, std::int64_t> heartbeats_;
  std::int32_t hello_capacity_ = 0;
  bool draining_ = false;
};

}  // namespace lts::sim

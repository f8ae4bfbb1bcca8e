// A client process: submits, sends again what got no answer from its FailStore in order, cancels,
// and takes feedback. What users were told is kept here, outside of the process's lives.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/ids.h"
#include "failstore/forwarder.h"
#include "sim_fail_store.h"
#include "world.h"

namespace lts::sim {

class SimClient {
 public:
  SimClient(World& world, int number);
  ~SimClient();

  void Start();
  void Kill();
  bool alive() const { return process_ != nullptr && process_->alive; }
  // Nothing of it is under way, and nothing waits to be sent again.
  bool Idle() const { return calls_.empty() && Waiting() == 0; }
  std::int64_t Waiting() const { return fail_store_.Usage().count - fail_store_.Usage().parked; }
  // What was told to users holds.
  void AtEnd();
  // If the schedule is one of its own.
  void OperateSchedule(const model::JobId& id, core::OperationKind kind, bool reset = false);
  void Resume(const std::string& group, const std::string& task, const model::JobId& id);

 private:
  struct Submission {
    model::JobSpecPtr spec;
    model::JobId id;
    bool stored = false;
    bool answered = false;
    StatusCode code = StatusCode::kOk;
    core::SubmitOutcome outcome = core::SubmitOutcome::kAccepted;
  };
  struct Call {
    std::vector<std::string> ids;
    std::uint32_t partition = 0;
  };

  void After(std::int64_t delay_us, std::function<void()> task);
  void Act();
  void SubmitSome();
  void OperateSome();
  void Send(core::OperateEvent event, int tries);
  std::shared_ptr<const model::JobUpdate> DrawUpdate(const model::JobSpec& spec);
  model::JobSpec DrawSpec();
  void Store(const std::string& id);
  void Answered(std::uint64_t call, const std::vector<core::SubmitReply>& replies);
  void Forward(std::vector<FailRecord> batch, Forwarder::Done done);
  void Subscribe(std::uint32_t partition);
  std::string place() const { return fmt::format("c{}", number_); }
  int TargetOf(std::uint32_t partition) { return targets_[partition] % world_.trackers(); }
  void OnFeedback(const StreamPtr& stream, const core::FeedbackSend& send);
  static std::string KeyOf(const model::JobSpec& spec) { return spec.group + '\0' + spec.task_id; }

  World& world_;
  const int number_;
  SimClock clock_;
  UuidGenerator ids_;
  SimFailStore fail_store_;
  std::map<std::string, Submission> submissions_;
  std::vector<std::string> order_;
  std::map<model::JobId, bool> runs_made_;  // by triggers; whether one was told so
  int acts_left_;
  std::uint64_t fresh_ = 0;
  std::uint64_t operations_ = 0;

  // Of this life.
  std::shared_ptr<Process> process_;
  SimStrand* strand_ = nullptr;
  std::unique_ptr<Forwarder> forwarder_;
  std::vector<std::unique_ptr<Forwarder>> dead_forwarders_;
  std::map<std::uint32_t, int> targets_;  // the JobTracker tried, by partition
  std::map<std::uint64_t, Call> calls_;
  std::uint64_t last_call_ = 0;
  std::map<std::uint32_t, StreamPtr> feedback_;
};

}  // namespace lts::sim

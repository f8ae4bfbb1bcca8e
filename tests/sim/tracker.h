// A JobTracker process: the real PartitionHosts of all partitions, in a cluster the real
// ClusterMember and LeaseKeeper, and in place of the gRPC services an edge that routes requests and
// streams and passes on once what belongs to another one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/metrics.h"
#include "jobtracker/cluster_member.h"
#include "jobtracker/lease_keeper.h"
#include "jobtracker/partition_host.h"
#include "jobtracker/routes.h"
#include "jobtracker/store_clock.h"
#include "sim_registry.h"
#include "sim_store.h"
#include "world.h"

namespace lts::sim {

class SimTracker {
 public:
  using SubmitDone = std::function<void(std::vector<core::SubmitReply>)>;
  using OperateDone = std::function<void(core::OperateReply)>;

  SimTracker(World& world, int index);
  ~SimTracker();

  void Start();
  // SIGTERM; `done` when all partitions are released or given up.
  void Stop(std::function<void()> done);
  // kill -9: nothing of it runs any more.
  void Die();

  const std::shared_ptr<Process>& process() const { return process_; }
  const core::Partition* core(std::uint32_t partition) const {
    return hosts_[partition]->partition();
  }
  int index() const { return index_; }
  bool stopping() const { return stopping_; }

  // From the network. The done functions run at the JobTracker; sending the answer is theirs.
  void Submit(std::uint32_t partition, std::vector<core::SubmitItem> items, SubmitDone done,
              bool forwarded = false);
  void Operate(std::uint32_t partition, core::OperateEvent event, OperateDone done,
               bool forwarded = false);
  void FromStream(const StreamPtr& stream, core::Event event);
  void StreamClosed(const StreamPtr& stream);

 private:
  class PartOutbox;
  struct Pending {
    std::uint32_t partition = 0;
    std::size_t missing = 0;
    std::vector<core::SubmitReply> replies;
    SubmitDone submit_done;
    OperateDone operate_done;
    core::OperateEvent operation;
  };

  void Answer(const core::SubmitReply& reply);
  void Answer(const core::OperateReply& reply);
  void ToWorker(std::uint32_t partition, core::WorkerSend message);
  void ToFeedback(core::FeedbackSend message);
  void OnReset(std::uint32_t partition);
  void StartCluster();
  // Who owns it, when that is another one and known.
  std::optional<int> OwnerElsewhere(std::uint32_t partition) const;

  World& world_;
  const int index_;
  const std::shared_ptr<Process> process_ = std::make_shared<Process>();
  SimStore store_;
  StoreClock store_clock_;
  MetricsRegistry metrics_;
  Routes routes_;
  std::vector<SimStrand*> strands_;  // of the hosts
  std::vector<std::unique_ptr<PartOutbox>> outboxes_;
  std::vector<std::unique_ptr<PartitionHost>> hosts_;
  std::unique_ptr<LeaseKeeper> keeper_;
  std::unique_ptr<ClusterMember> member_;
  std::unique_ptr<SimRegistryHandle> registry_;
  core::RequestId last_request_ = 0;
  std::map<core::RequestId, Pending> pending_;
  std::map<core::StreamId, StreamPtr> streams_;  // known to their host
  std::size_t to_stop_ = 0;
  bool stopping_ = false;
};

}  // namespace lts::sim

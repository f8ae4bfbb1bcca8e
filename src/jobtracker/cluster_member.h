// This JobTracker as a node of its cluster: registers it, learns the assignment of partitions, and
// writes it when it is the master (DESIGN section 4).
//
// Two may believe to be master for a moment: the record is written over the version that was read,
// so one of them is told so and reads again.
//
// Threads: state belongs to `strand`, on which the listeners of the registry run too. To end:
// Leave, then the registry's handle goes, then the strand is stopped, then this.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/metrics.h"
#include "common/strand.h"
#include "jobtracker/assignment.h"
#include "registry/registry.h"

namespace lts {

class ClusterMember {
 public:
  // On the strand, when it changes: by this version of the assignment (from 1), the partitions that
  // are to be owned here. None while there is no session: who is not seen by the others acquires
  // nothing.
  using OnAssigned =
      std::function<void(std::uint64_t version, const std::vector<bool>& mine_by_partition)>;

  ClusterMember(std::uint32_t partitions, Strand& strand, MetricsRegistry& metrics,
                OnAssigned on_assigned);
  ClusterMember(const ClusterMember&) = delete;
  ClusterMember& operator=(const ClusterMember&) = delete;

  // For the opening of the registry.
  registry::Listeners ForRegistry();
  // Once, from any thread: registers `node` (a JobTracker) and watches. `done` as of
  // Registry::Register. `registry` is borrowed until it goes.
  void Start(registry::Registry& registry, registry::Node node, registry::Registry::Done done);
  // From any thread: whether it can write its store. Who cannot is left out of the next assignment.
  void SetServing(bool serving);

  // From any thread: the registry is used no more once `left` has run, on the strand.
  void Leave(std::function<void()> left);

  bool is_master() const { return is_master_.load(std::memory_order_relaxed); }

 private:
  void OnSession(const registry::SessionInfo& session);
  void OnMaster(const registry::MasterUpdate& update);
  void OnNodes(const registry::NodesUpdate& update);
  void OnRecord(const registry::Record& record);
  void Reassign();
  void OnWritten(const Result<std::int64_t>& written);
  void Tell();

  const std::uint32_t partitions_;
  Strand& strand_;
  const OnAssigned on_assigned_;

  registry::Registry* registry_ = nullptr;
  registry::Node node_;
  bool live_ = false;  // has a session
  std::optional<std::vector<registry::Node>> nodes_;
  std::int64_t version_ = registry::kNoRecord;
  bool record_read_ = false;
  Assignment assignment_;
  bool writing_ = false;
  bool retry_armed_ = false;
  std::optional<std::pair<std::uint64_t, std::vector<bool>>> told_;
  std::atomic<bool> is_master_{false};

  Gauge& session_gauge_;
  Gauge& master_gauge_;
  Counter& assignments_;
};

}  // namespace lts

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
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/strand.h"
#include "jobtracker/assignment.h"
#include "registry/registry.h"

namespace lts {

class ClusterMember {
 public:
  // What is known of the assignment now, on the strand, when it changes.
  struct Assigned {
    std::uint64_t number = 0;
    std::vector<bool> mine;  // by partition
    // Whether this node may acquire what is its own: it has a session, so that the others see it,
    // and is the node that they see under its identity.
    bool live = false;
    bool operator==(const Assigned&) const = default;
  };
  using OnAssigned = std::function<void(const Assigned&)>;

  // `clock`: that of the cluster; numbers of assignments grow with its time. Borrowed.
  ClusterMember(std::uint32_t partitions, Strand& strand, const Clock& clock,
                MetricsRegistry& metrics, OnAssigned on_assigned);
  ClusterMember(const ClusterMember&) = delete;
  ClusterMember& operator=(const ClusterMember&) = delete;

  // For the opening of the registry.
  registry::Listeners ForRegistry();
  // Once, from any thread: registers `node` (a JobTracker) and watches. `done` as of
  // Registry::Register. `registry` is borrowed until it goes.
  void Start(registry::Registry& registry, registry::Node node, registry::Registry::Done done);
  // From any thread: whether it can write its store. Who cannot is left out of the next assignment.
  void SetServing(bool serving);

  // From any thread: attempts a second given out, by partition. The others are told when that
  // changes by much, so that the master can even it out.
  void SetLoads(const PartitionLoads& loads);
  // From any thread: the registry is used no more once `left` has run, on the strand.
  void Leave(std::function<void()> left);

  bool is_master() const { return is_master_.load(std::memory_order_relaxed); }

 private:
  void OnSession(const registry::SessionInfo& session);
  void OnMaster(const registry::MasterUpdate& update);
  void OnNodes(const registry::NodesUpdate& update);
  void OnRecord(const registry::Record& record);
  void UpdateNode();
  void Reassign();
  std::vector<std::string> Eligible();
  void OnWritten(const Result<std::int64_t>& written);
  void Tell();

  const std::uint32_t partitions_;
  Strand& strand_;
  const Clock& clock_;
  const OnAssigned on_assigned_;

  registry::Registry* registry_ = nullptr;
  registry::Node node_;
  bool serving_ = true;
  bool session_live_ = false;
  bool displaced_ = false;  // another process is the node of this identity
  std::optional<std::vector<registry::Node>> nodes_;
  // Since when, on the monotonic clock, each node has been able to write its store, or unable.
  struct Since {
    bool serving = true;
    std::int64_t us = 0;
  };
  std::map<std::string, Since> since_;
  std::int64_t version_ = registry::kNoRecord;
  bool record_read_ = false;
  Assignment assignment_;
  bool writing_ = false;
  bool retry_armed_ = false;
  bool look_armed_ = false;
  std::optional<Assigned> told_;
  std::atomic<bool> is_master_{false};

  Gauge& session_gauge_;
  Gauge& master_gauge_;
  Counter& assignments_;
};

}  // namespace lts

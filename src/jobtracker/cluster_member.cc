#include "jobtracker/cluster_member.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "common/log.h"

namespace lts {

using registry::SessionState;

namespace {

constexpr std::int64_t kRetryUs = 500'000;  // of a write that did not go through

// A node that cannot write its store is left out when it has been so for this time, and another one
// has been able to: when the store is away for all of them they tell so one after the other, and
// nothing is gained by moving anything.
constexpr std::int64_t kUnableUs = 3'000'000;

// What a partition does at least to be told of, in attempts a second.
constexpr std::uint32_t kLoadMin = 5;

// Of a JobTracker `slots` says only this: 1, or 0 while it cannot write its store.
constexpr std::uint32_t SlotsOf(bool serving) { return serving ? 1 : 0; }

}  // namespace

ClusterMember::ClusterMember(std::uint32_t partitions, Strand& strand, const Clock& clock,
                             MetricsRegistry& metrics, OnAssigned on_assigned)
    : partitions_(partitions),
      strand_(strand),
      clock_(clock),
      on_assigned_(std::move(on_assigned)),
      session_gauge_(metrics.AddGauge("lts_registry_session",
                                      "1 while this node has a session with the registry")),
      master_gauge_(
          metrics.AddGauge("lts_master", "1 while this node is the master of the JobTrackers")),
      assignments_(metrics.AddCounter("lts_assignments_total",
                                      "Assignments of partitions written by this master")) {}

registry::Listeners ClusterMember::ForRegistry() {
  registry::Listeners listeners;
  listeners.strand = &strand_;
  listeners.on_session = [this](const registry::SessionInfo& session) { OnSession(session); };
  listeners.on_master = [this](const registry::MasterUpdate& update) { OnMaster(update); };
  return listeners;
}

void ClusterMember::Start(registry::Registry& registry, registry::Node node,
                          registry::Registry::Done done) {
  strand_.Post([this, &registry, node = std::move(node), done = std::move(done)]() mutable {
    registry_ = &registry;
    node_ = std::move(node);
    node_.slots = SlotsOf(serving_);
    // The first answers come on this strand, after this task.
    const auto nodes =
        registry.WatchNodes(registry::NodeType::kJobTracker, node_.group,
                            [this](const registry::NodesUpdate& update) { OnNodes(update); });
    const auto record =
        registry.WatchRecord(std::string(registry::kAssignmentRecord),
                             [this](const registry::Record& read) { OnRecord(read); });
    if (!nodes.ok() || !record.ok()) {
      done(nodes.ok() ? record.status() : nodes.status());
      return;
    }
    registry.Register(node_, std::move(done));
  });
}

void ClusterMember::SetServing(bool serving) {
  strand_.Post([this, serving] {
    serving_ = serving;
    if (registry_ == nullptr || node_.slots == SlotsOf(serving)) return;
    node_.slots = SlotsOf(serving);
    UpdateNode();
  });
}

void ClusterMember::SetLoads(const PartitionLoads& loads) {
  strand_.Post([this, loads] {
    PartitionLoads busy;
    for (const auto& [partition, load] : loads) {
      if (load >= kLoadMin) busy[partition] = load;
    }
    const auto close = [](const auto& a, const auto& b) {
      const std::uint64_t low = std::min(a.second, b.second);
      const std::uint64_t high = std::max(a.second, b.second);
      return a.first == b.first && (high - low) * 4 <= high;
    };
    if (registry_ == nullptr ||
        std::equal(busy.begin(), busy.end(), node_.loads.begin(), node_.loads.end(), close)) {
      return;
    }
    node_.loads = std::move(busy);
    UpdateNode();
  });
}

void ClusterMember::UpdateNode() {
  if (const Status updated = registry_->Update(node_); !updated.ok()) {
    LTS_WARN("the registry does not take what changed about this node error=\"{}\"",
             updated.ToString());
  }
}

void ClusterMember::Leave(std::function<void()> left) {
  strand_.Post([this, left = std::move(left)] {
    registry_ = nullptr;
    left();
  });
}

void ClusterMember::OnSession(const registry::SessionInfo& session) {
  const bool live =
      session.state == SessionState::kConnected || session.state == SessionState::kSuspended;
  switch (session.state) {
    case SessionState::kConnected:
      LTS_INFO("connected to the registry session={} timeout_ms={}", session.generation,
               session.timeout_ms);
      break;
    case SessionState::kConnecting:
    case SessionState::kSuspended:
    case SessionState::kExpired:
      LTS_WARN("no connection to the registry state={} session={} reason=\"{}\"",
               registry::Name(session.state), session.generation, session.reason.message());
      break;
  }
  session_gauge_.Set(live ? 1 : 0);
  session_live_ = live;
  Tell();
}

void ClusterMember::OnMaster(const registry::MasterUpdate& update) {
  if (update.is_me != is_master()) {
    LTS_INFO("{} master={}",
             update.is_me ? "this JobTracker is the master now"
                          : "this JobTracker is not the master any more",
             update.master ? update.master->identity : "");
  }
  is_master_ = update.is_me;
  master_gauge_.Set(update.is_me ? 1 : 0);
  Reassign();
}

void ClusterMember::OnNodes(const registry::NodesUpdate& update) {
  nodes_ = update.nodes;
  for (const registry::Node& node : update.added) {
    LTS_INFO("a JobTracker is there identity={} address={}", node.identity, node.address);
  }
  for (const registry::Node& node : update.removed) {
    LTS_INFO("a JobTracker has gone identity={} address={}", node.identity, node.address);
  }
  bool displaced = false;
  std::map<std::string, Since> since;
  for (const registry::Node& node : update.nodes) {
    const bool serving = node.slots > 0;
    const auto known = since_.find(node.identity);
    since[node.identity] = known != since_.end() && known->second.serving == serving
                               ? known->second
                               : Since{serving, clock_.MonotonicUs()};
    // The later process counts; of an earlier one only its node is left.
    if (node.identity != node_.identity || std::tie(node.started_ms, node.incarnation) <=
                                               std::tie(node_.started_ms, node_.incarnation)) {
      continue;
    }
    displaced = true;
    if (!displaced_) {
      LTS_ERROR(
          "another JobTracker has the identity of this one, which owns nothing any more: give each "
          "its own identity identity={} address={} the_other={}",
          node.identity, node_.address, node.address);
    }
  }
  since_ = std::move(since);
  displaced_ = displaced;
  Tell();
  Reassign();
}

void ClusterMember::OnRecord(const registry::Record& record) {
  version_ = record.version;
  record_read_ = true;
  assignment_ = {};
  if (record.version != registry::kNoRecord) {
    auto read = DecodeAssignment(record.bytes);
    if (read.ok()) {
      assignment_ = *std::move(read);
    } else {
      LTS_ERROR("{}; the master writes it anew", read.status().message());
    }
  }
  Tell();
  Reassign();
}

std::vector<std::string> ClusterMember::Eligible() {
  // Since when somebody has been able to.
  std::int64_t could_us = std::numeric_limits<std::int64_t>::max();
  for (const auto& [identity, since] : since_) {
    if (since.serving) could_us = std::min(could_us, since.us);
  }
  const bool nobody = could_us == std::numeric_limits<std::int64_t>::max();
  const std::int64_t now_us = clock_.MonotonicUs();
  std::vector<std::string> eligible;
  std::int64_t look_us = std::numeric_limits<std::int64_t>::max();
  for (const registry::Node& node : *nodes_) {
    const Since& since = since_.at(node.identity);
    if (!since.serving && !nobody) {
      const std::int64_t out_us = std::max(since.us, could_us) + kUnableUs;
      if (now_us >= out_us) continue;
      look_us = std::min(look_us, out_us - now_us);
    }
    eligible.push_back(node.identity);
  }
  if (look_us != std::numeric_limits<std::int64_t>::max() && !std::exchange(look_armed_, true)) {
    strand_.PostAfter(look_us, [this] {
      look_armed_ = false;
      Reassign();
    });
  }
  return eligible;
}

void ClusterMember::Reassign() {
  if (registry_ == nullptr || !is_master() || !nodes_ || !record_read_ || writing_) return;
  const std::vector<std::string> eligible = Eligible();
  PartitionLoads loads;
  for (const registry::Node& node : *nodes_) {
    for (const auto& [partition, load] : node.loads) {
      // Of what it has handed over since it told, the new owner tells.
      if (partition < assignment_.owners.size() && assignment_.owners[partition] == node.identity) {
        loads[partition] = load;
      }
    }
  }
  Assignment next = Assign(assignment_, eligible, partitions_, loads);
  if (next.owners == assignment_.owners || eligible.empty()) return;
  // Also greater than all numbers of a registry that was lost.
  next.number = std::max(assignment_.number + 1,
                         static_cast<std::uint64_t>(std::max<TimeMs>(clock_.WallMs(), 0)));
  writing_ = true;
  registry_->WriteRecord(std::string(registry::kAssignmentRecord), EncodeAssignment(next), version_,
                         [this](const Result<std::int64_t>& written) { OnWritten(written); });
}

void ClusterMember::OnWritten(const Result<std::int64_t>& written) {
  writing_ = false;
  if (written.ok()) {
    assignments_.Add(1);
    LTS_INFO("partitions assigned version={}", *written);
    return;  // the watch brings it
  }
  LTS_WARN("the assignment of partitions was not written, trying again error=\"{}\"",
           written.status().ToString());
  // What somebody else wrote comes by the watch; but should it not, this looks again too.
  if (std::exchange(retry_armed_, true)) return;
  strand_.PostAfter(kRetryUs, [this] {
    retry_armed_ = false;
    Reassign();
  });
}

void ClusterMember::Tell() {
  if (!record_read_) return;
  Assigned now;
  now.number = assignment_.number;
  now.live = session_live_ && !displaced_;
  now.mine.assign(partitions_, false);
  for (std::uint32_t i = 0; i < std::min<std::size_t>(partitions_, assignment_.owners.size());
       ++i) {
    now.mine[i] = assignment_.owners[i] == node_.identity;
  }
  if (told_ == now) return;
  told_ = std::move(now);
  on_assigned_(*told_);
}

}  // namespace lts

// The registry: which nodes are there, who is master of a group, and a few small records that
// everybody must agree on (the assignment of partitions, the cluster's identity).
//
// Two implementations pass one contract suite (tests/contract/registry_contract_test.cc): embedded/
// for the standalone JobTracker and tests, zookeeper/ for a cluster.
//
// What it is not: a lock. Two processes may believe to be master at the same time for a moment (a
// paused one, one that is cut off), so what a master does must be safe twice: records are written
// against the version that was read, and the store fences owners by epochs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "lts/status.h"

namespace lts::registry {

enum class NodeType : std::uint8_t { kJobTracker, kTaskTracker, kJobClient, kAdmin };
inline constexpr NodeType kNodeTypes[] = {NodeType::kJobTracker, NodeType::kTaskTracker,
                                          NodeType::kJobClient, NodeType::kAdmin};
// "JOB_TRACKER" …
std::string_view Name(NodeType type);

// All JobTrackers of a cluster are one group, whatever their `nodeGroup` says: one master assigns
// the partitions to them.
inline constexpr std::string_view kJobTrackerGroup{"lts"};

// A long-lived process as the others see it.
struct Node {
  NodeType type = NodeType::kJobTracker;
  std::string group;
  // Unique within type and group. Of two nodes with one identity only the one that was started
  // later counts (the later `started_ms`, then the greater incarnation): a process that was started
  // again replaces what its predecessor left at once.
  std::string identity;
  std::string incarnation;  // random per process
  std::string address;      // "host:port", or empty
  std::uint32_t slots = 0;
  // Of a JobTracker: attempts a second that it gives out, by partition; those with hardly any are
  // left out.
  std::map<std::uint32_t, std::uint32_t> loads;
  std::string version;
  TimeMs started_ms = 0;

  bool operator==(const Node&) const = default;
};

inline constexpr std::size_t kAddressBytesMax = 256;
inline constexpr std::size_t kVersionBytesMax = 64;
inline constexpr std::size_t kLoadsMax = 1'024;
inline constexpr std::size_t kRecordBytesMax = 256U << 10;
inline constexpr std::size_t kWatchesMax = 256;           // per handle
inline constexpr std::size_t kRequestsInFlightMax = 256;  // per handle

// kInvalidArgument when a field of the node breaks its limit.
Status ValidateNode(const Node& node);

enum class SessionState : std::uint8_t {
  kConnecting,  // no session yet
  kConnected,   // confirmed by a server within the time-out
  kSuspended,   // the connection is gone; nodes stand while the time-out runs
  kExpired,     // the session is over for this process; the next one is being made
};
std::string_view Name(SessionState state);

struct SessionInfo {
  SessionState state = SessionState::kConnecting;
  // Of the session told about; the first is 1, each later one is greater. kExpired carries the one
  // that has ended.
  std::uint64_t generation = 1;
  // As negotiated with the server; 0 when sessions cannot end by time, or there was none yet.
  DurationMs timeout_ms = 0;
  // Why there is no connection, for the operator. kPermissionDenied and kInvalidArgument: somebody
  // has to mend a setting; it is tried again nevertheless, more and more seldom.
  Status reason;
};

// The nodes of a group after a change. The first update has everything in `added`.
struct NodesUpdate {
  std::vector<Node> nodes;  // all, in the order of election: the first is master
  std::vector<Node> added;
  std::vector<Node> removed;  // as last told
  std::vector<Node> changed;  // the same identity with other facts, as they are now
};

// The master of this node's group; none while this process has no session or is not registered.
struct MasterUpdate {
  std::optional<Node> master;
  bool is_me = false;
};

// A small record. Versions count writes, from 0; kNoRecord stands for "there is none".
inline constexpr std::int64_t kNoRecord = -1;
struct Record {
  std::string bytes;
  std::int64_t version = kNoRecord;
};

// A node's membership, taken at Open. `strand` runs every callback of the handle, in the order of
// what they tell; it outlives the handle, or is stopped before.
struct Listeners {
  Strand* strand = nullptr;
  // Every change of the state, or of the reason.
  std::function<void(const SessionInfo&)> on_session;
  // Whoever is master of the own group, once registered; each change.
  std::function<void(const MasterUpdate&)> on_master;
};

using WatchId = std::uint64_t;

// A handle of one process. Thread-safe. No call blocks, WaitConnected and the destructor apart.
//
// Callbacks run on the strand handed in, never on a thread of a library, and after the destructor
// has returned none runs any more; answers that are still due then are never given. The destructor
// waits for a callback under way (not when it runs in that callback), ends the session in an
// orderly way, so that the others see this node go at once, and may take seconds when servers do
// not answer.
//
// After a session has expired, the handle makes a new one by itself, registers the node again and
// goes on with every watch: a listener is told what differs from what it was told last. While there
// is no connection nothing is told as removed.
class Registry {
 public:
  using Done = std::function<void(Status)>;
  using NodesListener = std::function<void(const NodesUpdate&)>;
  using RecordListener = std::function<void(const Record&)>;

  virtual ~Registry() = default;

  // Decided at the time of the call, not when it was last told: a process that was paused for
  // longer than the time-out reads kExpired at once.
  virtual SessionInfo session() const = 0;
  // Waits until the session stands. Otherwise kUnavailable after `timeout`, or, at once, why
  // somebody has to mend a setting. Not from the strand.
  virtual Status WaitConnected(DurationMs timeout) = 0;

  // Makes this process a node of its group and has it take part in the group's election. Once per
  // handle; kFailedPrecondition the second time. `done` runs once: ok when the node stands for the
  // first time, which may take as long as there is no session; kInvalidArgument;
  // kPermissionDenied; kAlreadyExists when a process that was started later holds the identity:
  // this one stands by until it goes.
  virtual void Register(Node node, Done done) = 0;
  // New facts (address, slots, loads, version) of the registered node. Type, group, identity,
  // incarnation and start stay as they were registered; a difference is kInvalidArgument. They
  // reach the others as soon as the session allows.
  virtual Status Update(const Node& node) = 0;

  // One look, in the order of election. kUnavailable without a connection.
  virtual void ListNodes(NodeType type, const std::string& group,
                         std::function<void(Result<std::vector<Node>>)> done) = 0;
  // The groups of a type, sorted; one whose last node went a moment ago may still be among them.
  virtual void ListGroups(NodeType type,
                          std::function<void(Result<std::vector<std::string>>)> done) = 0;

  // The nodes of a group now and after each change; changes in quick succession may come as one.
  // A group that nobody is in has no nodes. kInvalidArgument for a bad name, kResourceExhausted
  // beyond kWatchesMax.
  virtual Result<WatchId> WatchNodes(NodeType type, const std::string& group,
                                     NodesListener listener) = 0;
  // The record now, and each version after it that is still the latest when it is read.
  virtual Result<WatchId> WatchRecord(const std::string& name, RecordListener listener) = 0;
  // The listener is not called any more; when this runs on the strand, that holds at once.
  virtual void Unwatch(WatchId id) = 0;

  // A record that is not there is no error: its version is kNoRecord. kUnavailable without a
  // connection.
  virtual void ReadRecord(const std::string& name, std::function<void(Result<Record>)> done) = 0;
  // Writes over `version`, kNoRecord to create it; answers with the new version.
  // kFailedPrecondition: somebody else wrote, read again. kUnknownOutcome: the connection broke
  // before the answer came. kUnavailable: nothing was written. kInvalidArgument: a bad name, or
  // more than kRecordBytesMax.
  virtual void WriteRecord(const std::string& name, std::string bytes, std::int64_t version,
                           std::function<void(Result<std::int64_t>)> done) = 0;
};

// The cluster's identity, a record that the first JobTracker writes. Fixed from then on.
inline constexpr std::string_view kClusterRecord = "cluster";
inline constexpr std::string_view kAssignmentRecord = "assignment";
struct ClusterRecord {
  std::string cluster_id;
  std::uint32_t partitions = 0;

  bool operator==(const ClusterRecord&) const = default;
};
// Writes `wanted` when there is no such record yet, and answers with the one that stands: the
// caller compares. kDataLoss when it cannot be read; the errors of ReadRecord and WriteRecord.
// `registry` must outlive the answer.
void EnsureCluster(Registry& registry, const ClusterRecord& wanted,
                   std::function<void(Result<ClusterRecord>)> done);
// kNotFound when no JobTracker has written it yet.
void ReadCluster(Registry& registry, std::function<void(Result<ClusterRecord>)> done);

}  // namespace lts::registry

// A ZooKeeper ensemble as the JobTrackers of a simulation see it: sessions that end by time, nodes
// that go with them, one record, and news that reach whoever is not cut off.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "registry/registry.h"
#include "sim_loop.h"

namespace lts::sim {

class World;
class SimRegistryHandle;

// What the servers hold. Lives as long as the world.
class SimRegistry {
 public:
  SimRegistry(World& world, DurationMs session_timeout_ms)
      : world_(world), timeout_us_(session_timeout_ms * 1000) {}

  struct Picture {
    std::vector<registry::Node> nodes;  // in the order of election
    registry::Record record;
  };
  struct Session {
    std::int64_t heard_us = 0;
    std::weak_ptr<SimRegistryHandle*> handle;
    std::string place;  // who is at the other end, for cuts
  };

  DurationMs timeout_us() const { return timeout_us_; }
  Picture Now() const;
  // The session lives on, or begins. Returns its number.
  std::uint64_t Hear(std::uint64_t session, const std::shared_ptr<SimRegistryHandle*>& handle,
                     const std::string& place);
  void End(std::uint64_t session);
  // Of one identity only the node that came last counts.
  void Put(std::uint64_t session, const registry::Node& node);
  Result<std::int64_t> Write(std::string bytes, std::int64_t version);

 private:
  void Expire();
  void Changed();

  World& world_;
  const std::int64_t timeout_us_;
  std::uint64_t last_session_ = 0;
  std::map<std::uint64_t, Session> sessions_;
  std::vector<std::pair<std::uint64_t, registry::Node>> nodes_;
  registry::Record record_;
};

// The handle of one process; its callbacks run on the strand of the listeners. Of the interface it
// has what a JobTracker uses.
class SimRegistryHandle final : public registry::Registry {
 public:
  SimRegistryHandle(World& world, SimRegistry& server, std::shared_ptr<const Process> process,
                    std::string place, registry::Listeners listeners);
  ~SimRegistryHandle() override;

  registry::SessionInfo session() const override;
  Status WaitConnected(DurationMs) override { return Status::Ok(); }
  void Register(registry::Node node, Done done) override;
  Status Update(const registry::Node& node) override;
  void ListNodes(registry::NodeType, const std::string&,
                 std::function<void(Result<std::vector<registry::Node>>)> done) override {
    done(Status::Unavailable("not simulated"));
  }
  void ListGroups(registry::NodeType,
                  std::function<void(Result<std::vector<std::string>>)> done) override {
    done(Status::Unavailable("not simulated"));
  }
  Result<registry::WatchId> WatchNodes(registry::NodeType, const std::string&,
                                       NodesListener listener) override;
  Result<registry::WatchId> WatchRecord(const std::string&, RecordListener listener) override;
  void Unwatch(registry::WatchId) override {}
  void ReadRecord(const std::string&, std::function<void(Result<registry::Record>)> done) override {
    done(Status::Unavailable("not simulated"));
  }
  void WriteRecord(const std::string& name, std::string bytes, std::int64_t version,
                   std::function<void(Result<std::int64_t>)> done) override;

  // News from the servers; on the strand.
  void OnPicture(const SimRegistry::Picture& picture);
  void PostPicture(SimRegistry::Picture picture);

 private:
  bool Reachable() const;
  void Beat();
  void BeatLater();
  void Tell(registry::SessionState state);
  void TellMaster(const SimRegistry::Picture& picture);

  World& world_;
  SimRegistry& server_;
  const std::shared_ptr<const Process> process_;
  const std::string place_;
  const registry::Listeners listeners_;
  Strand& strand_;
  const std::shared_ptr<SimRegistryHandle*> self_;
  registry::SessionState state_ = registry::SessionState::kConnecting;
  std::uint64_t generation_ = 1;
  std::uint64_t session_ = 0;
  std::int64_t confirmed_us_ = 0;  // when the last beat that was answered was sent
  std::unique_ptr<registry::Node> node_;
  NodesListener on_nodes_;
  RecordListener on_record_;
  std::vector<registry::Node> nodes_told_;
  std::int64_t record_told_ = -2;
  bool nodes_told_once_ = false;
  std::string master_told_ = "?";
};

}  // namespace lts::sim

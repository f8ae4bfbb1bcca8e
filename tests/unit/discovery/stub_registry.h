// A registry whose session and nodes are what the test says.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "registry/registry.h"

namespace lts::discovery {

// Borrowed by the handle; the test calls Tell… after the handle was opened.
class StubRegistry {
 public:
  std::unique_ptr<registry::Registry> Open(registry::Listeners listeners) {
    listeners_ = std::move(listeners);
    return std::make_unique<Handle>(*this);
  }
  void TellSession(registry::SessionState state, Status reason) {
    registry::SessionInfo info;
    info.state = state;
    info.reason = std::move(reason);
    listeners_.strand->Post([this, info] { listeners_.on_session(info); });
  }
  void TellMaster(std::optional<registry::Node> master, bool is_me) {
    listeners_.strand->Post([this, update = registry::MasterUpdate{std::move(master), is_me}] {
      listeners_.on_master(update);
    });
  }
  void TellJobTrackers(std::vector<registry::Node> nodes) {
    listeners_.strand->Post([this, nodes = std::move(nodes)] {
      registry::NodesUpdate update;
      update.nodes = nodes;
      job_trackers_(update);
    });
  }

 private:
  class Handle final : public registry::Registry {
   public:
    explicit Handle(StubRegistry& stub) : stub_(stub) {}
    registry::SessionInfo session() const override { return {}; }
    Status WaitConnected(DurationMs) override { return Status::Ok(); }
    void Register(registry::Node, Done) override {}
    Status Update(const registry::Node&) override { return Status::Ok(); }
    void ListNodes(registry::NodeType, const std::string&,
                   std::function<void(Result<std::vector<registry::Node>>)>) override {}
    void ListGroups(registry::NodeType,
                    std::function<void(Result<std::vector<std::string>>)>) override {}
    Result<registry::WatchId> WatchNodes(registry::NodeType type, const std::string& group,
                                         NodesListener listener) override {
      if (type == registry::NodeType::kJobTracker && group == registry::kJobTrackerGroup) {
        stub_.job_trackers_ = std::move(listener);
      }
      return registry::WatchId{1};
    }
    Result<registry::WatchId> WatchRecord(const std::string&, RecordListener) override {
      return registry::WatchId{2};
    }
    void Unwatch(registry::WatchId) override {}
    void ReadRecord(const std::string&, std::function<void(Result<registry::Record>)>) override {}
    void WriteRecord(const std::string&, std::string, std::int64_t,
                     std::function<void(Result<std::int64_t>)>) override {}

   private:
    StubRegistry& stub_;
  };

  registry::Listeners listeners_;
  registry::Registry::NodesListener job_trackers_;
};

}  // namespace lts::discovery

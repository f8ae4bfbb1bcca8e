// Who is there, who serves what, and what runs in each group: asked of the store, the registry, and
// the JobTrackers that serve.
#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "jobtracker/queries.h"
#include "jobtracker/registry_nodes.h"

namespace lts {

template <typename Request, typename Response>
void Queries::AskOwners(void (rpc::Channel::*method)(const Request&, std::int64_t,
                                                     rpc::Channel::Done<Response>),
                        Request request, std::function<void(std::vector<Response>)> done) {
  struct Asked {
    std::mutex mutex;
    std::size_t open = 0;
    std::vector<Response> answers;
    std::function<void(std::vector<Response>)> done;
  };
  std::set<std::string> addresses;
  if (edge_.cluster().routes != nullptr) {
    for (const Route& route : edge_.cluster().routes->All()) {
      if (!route.address.empty() && route.owner != options_.identity) {
        addresses.insert(route.address);
      }
    }
  }
  if (addresses.empty()) {
    done({});
    return;
  }
  auto asked = std::make_shared<Asked>();
  asked->open = addresses.size();
  asked->done = std::move(done);
  request.set_forwarded(true);
  for (const std::string& address : addresses) {
    edge_.cluster().peers->Call(address, method, request, kPeerMs,
                                [asked](const Status& status, Response response) {
                                  bool last;
                                  {
                                    const std::lock_guard lock(asked->mutex);
                                    if (status.ok()) asked->answers.push_back(std::move(response));
                                    last = --asked->open == 0;
                                  }
                                  if (last) asked->done(std::move(asked->answers));
                                });
  }
}

void Queries::Routes(Done<v1::RoutesResponse> done) {
  Read(done, [this, done] {
    v1::RoutesResponse response;
    const store::StoreIdentity identity = store_.Identity();
    response.set_cluster_id(identity.cluster_id);
    response.set_cluster_name(identity.cluster_name);
    response.set_partitions(identity.partitions);
    auto rows = store_.Partitions();
    rpc::PutStatus(rows.status(), &response);
    if (rows.ok()) {
      for (const store::PartitionRow& row : *rows) {
        v1::Route& route = *response.add_routes();
        route.set_partition(row.partition);
        route.set_owner(row.owner);
        // In the embedded registry the owner is always this node.
        route.set_address(row.owner == options_.identity ? Address() : row.owner_address);
        route.set_epoch(row.epoch);
      }
    }
    done(std::move(response));
  });
}

void Queries::OwnNodes(Done<v1::NodesResponse> done) {
  auto response = std::make_shared<v1::NodesResponse>();
  v1::NodeInfo& self = *response->add_nodes();
  self.set_node_type("JOB_TRACKER");
  self.set_group(options_.node_group);
  self.set_identity(options_.identity);
  self.set_address(Address());
  self.set_version(options_.version);
  self.set_started_ms(options_.started_ms);
  self.set_master(true);  // the only one: this registry is embedded in it
  using Workers = std::map<std::pair<std::string, std::string>, core::WorkerView>;
  const auto workers = std::make_shared<Workers>();  // by group and identity
  WithEveryCore(
      [workers](std::uint32_t, const core::Partition* core) {
        if (core == nullptr) return;
        for (const core::WorkerView& worker : core->Workers()) {
          if (worker.connected) workers->try_emplace({worker.group, worker.identity}, worker);
        }
      },
      [this, response, workers, done = std::move(done)] {
        std::set<std::pair<std::string, std::string>> mastered;  // type and group
        for (v1::NodeInfo& node : edge_.nodes().List()) {
          if (node.node_type() == "TASK_TRACKER") {
            // One whose hello was not accepted is not there.
            const auto worker = workers->find({node.group(), node.identity()});
            if (worker == workers->end()) continue;
            node.set_slots(worker->second.slots);
            node.set_running(worker->second.running);
            if (node.state().empty())
              node.set_state(worker->second.slots > 0 ? "READY" : "NO_ROOM");
          }
          node.set_master(mastered.emplace(node.node_type(), node.group()).second);
          *response->add_nodes() = std::move(node);
        }
        done(std::move(*response));
      });
}

namespace {

v1::NodeInfo InfoOf(const registry::Node& node) {
  v1::NodeInfo info;
  info.set_node_type(std::string(registry::Name(node.type)));
  info.set_group(node.group);
  info.set_identity(node.identity);
  info.set_address(node.address);
  info.set_version(node.version);
  info.set_started_ms(node.started_ms);
  if (node.type == registry::NodeType::kTaskTracker) {
    info.set_slots(static_cast<std::int32_t>(node.slots));
  }
  return info;
}

using NodeKey = std::tuple<std::string, std::string, std::string>;
NodeKey KeyOf(const v1::NodeInfo& node) {
  return {node.node_type(), node.group(), node.identity()};
}

}  // namespace

void Queries::Nodes(const v1::NodesRequest& request, Done<v1::NodesResponse> done) {
  if (request.forwarded() || !in_cluster_) {
    OwnNodes(std::move(done));
    return;
  }
  // Who is there says the registry, what runs there the JobTrackers they are connected to. Whom
  // only these know (a client that dials JobTrackers) comes last and is master of nothing.
  using Connected = std::map<NodeKey, v1::NodeInfo>;
  const auto merge = [done = std::move(done)](Connected connected,
                                              const Result<std::vector<registry::Node>>& listed) {
    v1::NodesResponse response;
    std::set<std::pair<std::string, std::string>> mastered;
    if (listed.ok()) {
      for (const registry::Node& node : *listed) {
        v1::NodeInfo info = InfoOf(node);
        const auto found = connected.find(KeyOf(info));
        if (found != connected.end()) {
          info.set_running(found->second.running());
          info.set_state(found->second.state());
          connected.erase(found);
        }
        info.set_master(mastered.emplace(info.node_type(), info.group()).second);
        *response.add_nodes() = std::move(info);
      }
    }
    for (auto& [key, node] : connected) *response.add_nodes() = std::move(node);
    done(std::move(response));
  };
  OwnNodes([this, merge](v1::NodesResponse own) {
    AskOwners<v1::NodesRequest, v1::NodesResponse>(
        &rpc::Channel::Nodes, {},
        [this, merge, own = std::move(own)](std::vector<v1::NodesResponse> others) {
          others.push_back(own);
          Connected connected;
          for (v1::NodesResponse& other : others) {
            for (v1::NodeInfo& node : *other.mutable_nodes()) {
              node.set_master(false);
              connected.insert_or_assign(KeyOf(node), std::move(node));
            }
          }
          const std::lock_guard lock(registry_mutex_);
          if (registry_ == nullptr) {
            merge(std::move(connected), Status::Unavailable("no registry"));
            return;
          }
          ListRegistryNodes(*registry_, [merge, connected = std::move(connected)](
                                            const Result<std::vector<registry::Node>>& listed) {
            merge(connected, listed);
          });
        });
  });
}

void Queries::OwnGroups(std::function<void(std::map<std::string, v1::GroupView>)> done) {
  auto groups = std::make_shared<std::map<std::string, v1::GroupView>>();
  WithEveryCore(
      [groups](std::uint32_t, const core::Partition* core) {
        if (core == nullptr) return;
        for (const core::GroupView& group : core->Groups()) {
          v1::GroupView& view = (*groups)[group.group];
          view.set_group(group.group);
          view.set_task_trackers(group.workers);
          view.set_slots(static_cast<std::int32_t>(group.slots));
          view.set_running(group.running);
        }
      },
      [groups, done = std::move(done)] { done(std::move(*groups)); });
}

void Queries::Groups(const v1::GroupsRequest& request, Done<v1::GroupsResponse> done) {
  if (request.forwarded()) {
    OwnGroups([done = std::move(done)](std::map<std::string, v1::GroupView> own) {
      v1::GroupsResponse response;
      for (auto& [name, view] : own) *response.add_groups() = std::move(view);
      done(std::move(response));
    });
    return;
  }
  Read(done, [this, done] {
    std::map<std::string, v1::GroupView> counted;
    auto counters = store_.Counters();
    if (counters.ok()) {
      for (const auto& [name, count] : *counters) {
        v1::GroupView& view = counted[name];
        view.set_jobs(count.jobs);
        view.set_schedules(count.schedules);
        for (const auto& [state, n] : count.ended) {
          if (state == model::JobState::kSucceeded) view.set_succeeded(n);
          if (state == model::JobState::kFailed || state == model::JobState::kDead)
            view.set_failed(view.failed() + n);
        }
      }
    }
    OwnGroups([this, counted = std::move(counted), done](std::map<std::string, v1::GroupView> own) {
      AskOwners<v1::GroupsRequest, v1::GroupsResponse>(
          &rpc::Channel::Groups, {},
          [this, counted, own = std::move(own), done](std::vector<v1::GroupsResponse> others) {
            std::map<std::string, v1::GroupView> groups = counted;
            const auto add = [&groups](const v1::GroupView& served) {
              v1::GroupView& view = groups[served.group()];
              view.set_task_trackers(served.task_trackers());
              view.set_slots(served.slots());
              view.set_running(served.running());
            };
            for (const v1::GroupsResponse& other : others) {
              for (const v1::GroupView& view : other.groups()) add(view);
            }
            for (const auto& [name, view] : own) add(view);
            v1::GroupsResponse response;
            for (auto& [name, view] : groups) {
              view.set_group(name);
              view.set_partition(edge_.PartitionOf(name));
              *response.add_groups() = view;
            }
            done(std::move(response));
          });
    });
  });
}

}  // namespace lts

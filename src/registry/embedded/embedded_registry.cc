#include "registry/embedded/embedded_registry.h"

#include <fmt/core.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "model/validate.h"
#include "registry/callback_gate.h"
#include "registry/election.h"

namespace lts::registry {
namespace {

using GroupKey = std::pair<NodeType, std::string>;

class Handle;

}  // namespace

// All state, under one lock. Listeners are posted with the lock held: so each strand gets them in
// the order in which things happened.
class EmbeddedRegistry::Hub {
 public:
  struct Group {
    std::int64_t next_sequence = 0;
    std::map<Handle*, Member> members;
  };

  std::mutex mutex;
  std::set<Handle*> handles;
  std::map<GroupKey, Group> groups;
  std::map<std::string, Record> records;

  // After anything changed in a group: who stands now, and who has to be told.
  void Settle(const GroupKey& key);
  void TellRecord(const std::string& name);
  std::vector<Node> NodesOf(const GroupKey& key) const {
    const auto group = groups.find(key);
    if (group == groups.end()) return {};
    std::vector<Member> members;
    for (const auto& [handle, member] : group->second.members) members.push_back(member);
    return StandingNodes(members);
  }
};

namespace {

using Hub = EmbeddedRegistry::Hub;

class Handle final : public Registry {
 public:
  Handle(std::shared_ptr<Hub> hub, Listeners listeners)
      : hub_(std::move(hub)),
        listeners_(std::make_shared<const Listeners>(std::move(listeners))),
        gate_(*listeners_->strand) {
    const std::lock_guard lock(hub_->mutex);
    hub_->handles.insert(this);
    info_.state = SessionState::kConnected;
    TellSession();
  }

  ~Handle() override {
    gate_.Close();
    const std::lock_guard lock(hub_->mutex);
    hub_->handles.erase(this);
    if (wanted_) Leave();
  }

  SessionInfo session() const override {
    const std::lock_guard lock(hub_->mutex);
    return info_;
  }
  Status WaitConnected(DurationMs /*timeout*/) override { return Status::Ok(); }

  void Register(Node node, Done done) override {
    Status status = ValidateNode(node);
    const std::lock_guard lock(hub_->mutex);
    if (status.ok() && wanted_) {
      status = Status::FailedPrecondition(
          fmt::format("this handle has registered {} already", wanted_->identity));
    }
    if (!status.ok()) return gate_.Post([done = std::move(done), status] { done(status); });
    wanted_ = std::move(node);
    registered_ = std::move(done);
    hub_->Settle(key());
  }

  Status Update(const Node& node) override {
    LTS_RETURN_IF_ERROR(ValidateNode(node));
    const std::lock_guard lock(hub_->mutex);
    if (!wanted_) return Status::FailedPrecondition("there is no node to update: register first");
    Node expected = node;
    expected.address = wanted_->address;
    expected.slots = wanted_->slots;
    expected.loads = wanted_->loads;
    expected.version = wanted_->version;
    if (expected != *wanted_) {
      return Status::InvalidArgument(fmt::format(
          "node {}: only address, slots, loads and version can change", wanted_->identity));
    }
    wanted_ = node;
    Hub::Group& group = hub_->groups[key()];
    const auto mine = group.members.find(this);
    if (mine != group.members.end()) mine->second.node = node;
    hub_->Settle(key());
    return Status::Ok();
  }

  void ListNodes(NodeType type, const std::string& group,
                 std::function<void(Result<std::vector<Node>>)> done) override {
    const std::lock_guard lock(hub_->mutex);
    if (const Status status = model::ValidateName("nodeGroup", group); !status.ok()) {
      return gate_.Post([done = std::move(done), status] { done(status); });
    }
    gate_.Post([done = std::move(done), nodes = hub_->NodesOf({type, group})] { done(nodes); });
  }

  void ListGroups(NodeType type,
                  std::function<void(Result<std::vector<std::string>>)> done) override {
    const std::lock_guard lock(hub_->mutex);
    std::vector<std::string> names;
    for (const auto& [key, group] : hub_->groups) {
      if (key.first == type && !group.members.empty()) names.push_back(key.second);
    }
    gate_.Post([done = std::move(done), names = std::move(names)] { done(names); });
  }

  Result<WatchId> WatchNodes(NodeType type, const std::string& group,
                             NodesListener listener) override {
    LTS_RETURN_IF_ERROR(model::ValidateName("nodeGroup", group));
    const std::lock_guard lock(hub_->mutex);
    LTS_RETURN_IF_ERROR(RoomForWatch());
    Watch& watch = watches_[++last_watch_];
    watch.key = {type, group};
    watch.on_nodes = std::move(listener);
    TellNodes(watch.key);
    return last_watch_;
  }

  Result<WatchId> WatchRecord(const std::string& name, RecordListener listener) override {
    LTS_RETURN_IF_ERROR(model::ValidateName("record", name));
    const std::lock_guard lock(hub_->mutex);
    LTS_RETURN_IF_ERROR(RoomForWatch());
    Watch& watch = watches_[++last_watch_];
    watch.record = name;
    watch.on_record = std::move(listener);
    TellRecord(watch);
    return last_watch_;
  }

  void Unwatch(WatchId id) override {
    const std::lock_guard lock(hub_->mutex);
    const auto watch = watches_.find(id);
    if (watch == watches_.end()) return;
    *watch->second.live = false;
    watches_.erase(watch);
  }

  void ReadRecord(const std::string& name, std::function<void(Result<Record>)> done) override {
    const std::lock_guard lock(hub_->mutex);
    if (const Status status = model::ValidateName("record", name); !status.ok()) {
      return gate_.Post([done = std::move(done), status] { done(status); });
    }
    gate_.Post([done = std::move(done), record = Find(name)] { done(record); });
  }

  void WriteRecord(const std::string& name, std::string bytes, std::int64_t version,
                   std::function<void(Result<std::int64_t>)> done) override {
    Status status = model::ValidateName("record", name);
    if (status.ok() && bytes.size() > kRecordBytesMax) {
      status = Status::InvalidArgument(
          fmt::format("record {}: {} bytes, at most {}", name, bytes.size(), kRecordBytesMax));
    }
    const std::lock_guard lock(hub_->mutex);
    const std::int64_t found = Find(name).version;
    if (status.ok() && found != version) {
      status = Status::FailedPrecondition(fmt::format(
          "record {}: version {} was to be replaced, but {} stands", name, version, found));
    }
    if (!status.ok()) return gate_.Post([done = std::move(done), status] { done(status); });
    hub_->records[name] = {std::move(bytes), version + 1};
    gate_.Post([done = std::move(done), version] { done(version + 1); });
    hub_->TellRecord(name);
  }

  // ---- for the hub, under its lock

  void Expire() {
    info_.state = SessionState::kExpired;
    TellSession();
    if (wanted_) hub_->groups[key()].members.erase(this);
    TellMaster(std::nullopt);
    if (wanted_) {
      const std::optional<Node> wanted = std::exchange(wanted_, std::nullopt);
      hub_->Settle({wanted->type, wanted->group});
      wanted_ = wanted;
    }
    ++info_.generation;
    info_.state = SessionState::kConnected;
    TellSession();
    if (wanted_) hub_->Settle(key());
  }

  bool wants(const GroupKey& key_asked) const { return wanted_ && key() == key_asked; }

  // What this handle would register now.
  Member Wish(std::int64_t sequence) const {
    return {
        {wanted_->identity, wanted_->started_ms, wanted_->incarnation, info_.generation, sequence},
        *wanted_};
  }

  void TellRegistered(const Status& status) {
    if (registered_ == nullptr) return;
    gate_.Post([done = std::exchange(registered_, nullptr), status] { done(status); });
  }

  void TellMaster(const std::optional<Node>& master) {
    const bool is_me = master && wanted_ && master->identity == wanted_->identity &&
                       master->incarnation == wanted_->incarnation;
    auto update = master_diff_.Next(master, is_me);
    if (!update || listeners_->on_master == nullptr) return;
    gate_.Post([kept = listeners_, update = *std::move(update)] { kept->on_master(update); });
  }

  void TellNodes(const GroupKey& key_changed) {
    for (auto& [id, watch] : watches_) {
      if (watch.on_nodes == nullptr || watch.key != key_changed) continue;
      auto update = watch.diff.Next(hub_->NodesOf(key_changed));
      if (!update) continue;
      gate_.Post([live = watch.live, listener = watch.on_nodes, update = *std::move(update)] {
        if (*live) listener(update);
      });
    }
  }

  void TellRecord(const std::string& name) {
    for (auto& [id, watch] : watches_) {
      if (watch.on_record != nullptr && watch.record == name) TellRecord(watch);
    }
  }

 private:
  struct Watch {
    GroupKey key;
    NodesListener on_nodes;
    NodesDiff diff;
    std::string record;
    RecordListener on_record;
    std::shared_ptr<std::atomic<bool>> live = std::make_shared<std::atomic<bool>>(true);
  };

  GroupKey key() const { return {wanted_->type, wanted_->group}; }

  Record Find(const std::string& name) const {
    const auto record = hub_->records.find(name);
    return record == hub_->records.end() ? Record() : record->second;
  }

  Status RoomForWatch() const {
    if (watches_.size() < kWatchesMax) return Status::Ok();
    return Status::ResourceExhausted(fmt::format("{} watches, no more are allowed", kWatchesMax));
  }

  void Leave() {
    const GroupKey left = key();
    wanted_.reset();
    hub_->groups[left].members.erase(this);
    hub_->Settle(left);
  }

  void TellSession() {
    if (listeners_->on_session == nullptr) return;
    gate_.Post([kept = listeners_, info = info_] { kept->on_session(info); });
  }

  void TellRecord(const Watch& watch) {
    gate_.Post([live = watch.live, listener = watch.on_record, record = Find(watch.record)] {
      if (*live) listener(record);
    });
  }

  const std::shared_ptr<Hub> hub_;
  // Shared with the callbacks: one of them may close the handle.
  const std::shared_ptr<const Listeners> listeners_;
  // The rest is guarded by the hub's lock.
  SessionInfo info_;
  std::optional<Node> wanted_;
  Done registered_;  // not called yet
  MasterDiff master_diff_;
  std::map<WatchId, Watch> watches_;
  WatchId last_watch_ = 0;
  CallbackGate gate_;
};

}  // namespace

void EmbeddedRegistry::Hub::Settle(const GroupKey& key) {
  Group& group = groups[key];
  // Of each identity the latest process stands; the others of that identity stand by.
  std::map<std::string, Handle*> latest;
  for (Handle* handle : handles) {
    if (!handle->wants(key)) continue;
    const Member wish = handle->Wish(0);
    Handle*& entry = latest[wish.candidate.identity];
    if (entry == nullptr || Supersedes(wish.candidate, entry->Wish(0).candidate)) entry = handle;
  }
  for (Handle* handle : handles) {
    if (!handle->wants(key)) continue;
    const std::string identity = handle->Wish(0).candidate.identity;
    if (latest[identity] != handle) {
      group.members.erase(handle);
      handle->TellRegistered(Status::AlreadyExists(
          fmt::format("node {}: a process that was started later has this identity", identity)));
    } else if (group.members.find(handle) == group.members.end()) {
      group.members.emplace(handle, handle->Wish(group.next_sequence++));
      handle->TellRegistered(Status::Ok());
    }
  }
  const std::vector<Node> nodes = NodesOf(key);
  const std::optional<Node> master = nodes.empty() ? std::nullopt : std::optional(nodes.front());
  for (Handle* handle : handles) {
    if (group.members.find(handle) != group.members.end()) {
      handle->TellMaster(master);
    } else if (handle->wants(key)) {
      handle->TellMaster(std::nullopt);
    }
    handle->TellNodes(key);
  }
}

void EmbeddedRegistry::Hub::TellRecord(const std::string& name) {
  for (Handle* handle : handles) handle->TellRecord(name);
}

EmbeddedRegistry::EmbeddedRegistry() : hub_(std::make_shared<Hub>()) {}
EmbeddedRegistry::~EmbeddedRegistry() = default;

std::unique_ptr<Registry> EmbeddedRegistry::Join(Listeners listeners) {
  return std::make_unique<Handle>(hub_, std::move(listeners));
}

void EmbeddedRegistry::ExpireSession(Registry& handle) {
  const std::lock_guard lock(hub_->mutex);
  for (Handle* one : hub_->handles) {
    if (one == &handle) return one->Expire();
  }
}

}  // namespace lts::registry

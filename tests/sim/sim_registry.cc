#include "sim_registry.h"

#include <algorithm>

#include "world.h"

namespace lts::sim {

using registry::SessionState;

// ---- the servers

SimRegistry::Picture SimRegistry::Now() const {
  Picture picture;
  picture.record = record_;
  for (auto it = nodes_.begin(); it != nodes_.end(); ++it) {
    const bool replaced = std::any_of(std::next(it), nodes_.end(), [&](const auto& later) {
      return later.second.identity == it->second.identity;
    });
    if (!replaced) picture.nodes.push_back(it->second);
  }
  return picture;
}

std::uint64_t SimRegistry::Hear(std::uint64_t session,
                                const std::shared_ptr<SimRegistryHandle*>& handle,
                                const std::string& place) {
  Expire();
  if (!sessions_.contains(session)) session = ++last_session_;
  sessions_[session] = {world_.loop().now_us(), handle, place};
  return session;
}

void SimRegistry::End(std::uint64_t session) {
  if (sessions_.erase(session) == 0) return;
  if (std::erase_if(nodes_, [&](const auto& node) { return node.first == session; }) > 0) {
    Changed();
  }
}

void SimRegistry::Put(std::uint64_t session, const registry::Node& node) {
  if (!sessions_.contains(session)) return;
  const auto known = std::find_if(nodes_.begin(), nodes_.end(),
                                  [&](const auto& each) { return each.first == session; });
  if (known != nodes_.end()) {
    if (known->second == node) return;
    known->second = node;
  } else {
    nodes_.emplace_back(session, node);
  }
  Changed();
}

Result<std::int64_t> SimRegistry::Write(std::string bytes, std::int64_t version) {
  if (version != record_.version) return Status::FailedPrecondition("somebody else wrote");
  record_ = {std::move(bytes), version + 1};
  Changed();
  return record_.version;
}

void SimRegistry::Expire() {
  std::vector<std::uint64_t> over;
  for (const auto& [session, state] : sessions_) {
    if (world_.loop().now_us() - state.heard_us > timeout_us_) over.push_back(session);
  }
  for (const std::uint64_t session : over) {
    world_.Count("session expired");
    End(session);
  }
}

void SimRegistry::Changed() {
  for (const auto& [session, state] : sessions_) {
    const auto handle = state.handle.lock();
    if (!handle || world_.IsCut(state.place, "registry")) continue;
    world_.loop().After(world_.NetDelayUs(), [weak = state.handle, picture = Now()] {
      if (const auto there = weak.lock()) (*there)->PostPicture(picture);
    });
  }
}

// ---- a handle

SimRegistryHandle::SimRegistryHandle(World& world, SimRegistry& server,
                                     std::shared_ptr<const Process> process, std::string place,
                                     registry::Listeners listeners)
    : world_(world),
      server_(server),
      process_(std::move(process)),
      place_(std::move(place)),
      listeners_(std::move(listeners)),
      strand_(*listeners_.strand),
      self_(std::make_shared<SimRegistryHandle*>(this)) {
  strand_.Post([this] { Beat(); });
}

SimRegistryHandle::~SimRegistryHandle() {
  // In an orderly end the others see it go at once.
  if (process_->alive && Reachable()) server_.End(session_);
}

bool SimRegistryHandle::Reachable() const { return !world_.IsCut(place_, "registry"); }

registry::SessionInfo SimRegistryHandle::session() const {
  registry::SessionInfo info;
  info.state = state_;
  info.generation = generation_;
  info.timeout_ms = server_.timeout_us() / 1000;
  return info;
}

void SimRegistryHandle::BeatLater() {
  strand_.PostAfter(server_.timeout_us() / 4, [this, weak = std::weak_ptr(self_)] {
    if (weak.lock()) Beat();
  });
}

// A question to the servers and its answer; the own count of the time-out runs from the question.
void SimRegistryHandle::Beat() {
  const std::int64_t sent_us = world_.loop().now_us();
  if (state_ != SessionState::kConnecting && state_ != SessionState::kExpired &&
      sent_us - confirmed_us_ > server_.timeout_us()) {
    Tell(SessionState::kExpired);
    session_ = 0;
    ++generation_;
  }
  if (Reachable()) {
    world_.loop().After(
        world_.NetDelayUs(), [this, sent_us, weak = std::weak_ptr(self_), session = session_] {
          const auto there = weak.lock();
          if (!there || !process_->alive || !Reachable()) return;
          const std::uint64_t heard = server_.Hear(session, there, place_);
          if (node_) server_.Put(heard, *node_);
          world_.loop().After(world_.NetDelayUs(),
                              [this, weak, sent_us, heard, picture = server_.Now()] {
                                if (!weak.lock() || !Reachable()) return;
                                strand_.Post([this, weak, sent_us, heard, picture] {
                                  if (!weak.lock()) return;
                                  // It came too late: by the own count this session is over.
                                  if (world_.loop().now_us() - sent_us > server_.timeout_us())
                                    return;
                                  session_ = heard;
                                  confirmed_us_ = std::max(confirmed_us_, sent_us);
                                  Tell(SessionState::kConnected);
                                  OnPicture(picture);
                                });
                              });
        });
  } else if (state_ == SessionState::kConnected) {
    Tell(SessionState::kSuspended);
  }
  BeatLater();
}

void SimRegistryHandle::Tell(SessionState state) {
  if (state == state_) return;
  state_ = state;
  listeners_.on_session(session());
  if (state == SessionState::kExpired) {
    master_told_ = "?";
    listeners_.on_master({});
  }
}

void SimRegistryHandle::PostPicture(SimRegistry::Picture picture) {
  if (!process_->alive) return;
  strand_.Post([this, weak = std::weak_ptr(self_), picture = std::move(picture)] {
    if (weak.lock() && state_ == SessionState::kConnected) OnPicture(picture);
  });
}

void SimRegistryHandle::OnPicture(const SimRegistry::Picture& picture) {
  TellMaster(picture);
  if (on_nodes_ && (!nodes_told_once_ || picture.nodes != nodes_told_)) {
    nodes_told_once_ = true;
    nodes_told_ = picture.nodes;
    registry::NodesUpdate update;
    update.nodes = picture.nodes;
    on_nodes_(update);
  }
  if (on_record_ && picture.record.version > record_told_) {
    record_told_ = picture.record.version;
    on_record_(picture.record);
  }
}

void SimRegistryHandle::TellMaster(const SimRegistry::Picture& picture) {
  if (!node_) return;
  const bool registered =
      std::any_of(picture.nodes.begin(), picture.nodes.end(),
                  [&](const auto& node) { return node.incarnation == node_->incarnation; });
  if (!registered) return;
  const registry::Node& master = picture.nodes.front();
  if (master.incarnation == master_told_) return;
  master_told_ = master.incarnation;
  listeners_.on_master({master, master.incarnation == node_->incarnation});
}

void SimRegistryHandle::Register(registry::Node node, Done done) {
  node_ = std::make_unique<registry::Node>(std::move(node));
  done(Status::Ok());
}

Status SimRegistryHandle::Update(const registry::Node& node) {
  *node_ = node;
  return Status::Ok();
}

Result<registry::WatchId> SimRegistryHandle::WatchNodes(registry::NodeType, const std::string&,
                                                        NodesListener listener) {
  on_nodes_ = std::move(listener);
  return registry::WatchId{1};
}

Result<registry::WatchId> SimRegistryHandle::WatchRecord(const std::string&,
                                                         RecordListener listener) {
  on_record_ = std::move(listener);
  return registry::WatchId{2};
}

void SimRegistryHandle::WriteRecord(const std::string&, std::string bytes, std::int64_t version,
                                    std::function<void(Result<std::int64_t>)> done) {
  const auto answer = [this, weak = std::weak_ptr(self_), done](Result<std::int64_t> written) {
    if (!weak.lock() || !process_->alive) return;
    strand_.Post([weak, done, written = std::move(written)] {
      if (weak.lock()) done(written);
    });
  };
  if (!Reachable()) {
    answer(Status::Unavailable("cut off"));
    return;
  }
  World& world = world_;
  world.loop().After(world.NetDelayUs(), [&world, &server = server_, place = place_, answer,
                                          bytes = std::move(bytes), version] {
    auto written = server.Write(bytes, version);
    // The answer may get lost on its way.
    world.loop().After(world.NetDelayUs(), [&world, place, answer, written] {
      answer(world.IsCut(place, "registry")
                 ? Result<std::int64_t>(Status::UnknownOutcome("no answer"))
                 : written);
    });
  });
}

}  // namespace lts::sim

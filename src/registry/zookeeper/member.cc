#include "registry/zookeeper/member.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace lts::registry::zookeeper {

MemberNode::MemberNode(Session& session, const Tree& tree, Hooks hooks)
    : session_(session), tree_(tree), hooks_(std::move(hooks)) {}

void MemberNode::Register(Node node) {
  wanted_ = std::move(node);
  group_path_ = tree_.Group(wanted_->type, wanted_->group);
  Step();
}

void MemberNode::Update(const Node& node) {
  wanted_ = node;
  payload_dirty_ = true;
  Step();
}

void MemberNode::OnReady() { Step(); }

void MemberNode::OnExpired() {
  // What is under way belongs to the old handle and is never answered.
  busy_ = again_ = false;
  watched_.clear();
  TellMaster(std::nullopt, false);
}

void MemberNode::OnChanged(const std::string& path) {
  if (watched_.find(path) != watched_.end()) Step();
}

Candidate MemberNode::Own() const {
  return {wanted_->identity, wanted_->started_ms, wanted_->incarnation, session_.generation(), 0};
}

void MemberNode::Step() {
  if (!wanted_ || session_.handle() == nullptr) return;
  if (busy_) {
    again_ = true;
    return;
  }
  busy_ = true;
  again_ = false;
  watched_.clear();
  Look();
}

// The end of a chain of requests.
void MemberNode::Again() {
  busy_ = false;
  if (again_) Step();
}

// OnReady or the next session begins anew; the timer, should the connection have survived.
void MemberNode::Lost() {
  busy_ = again_ = false;
  session_.After(kRefusedPauseMs, [this] { Step(); });
}

void MemberNode::Failed(const Reply& reply, const std::string& what) {
  Lost();
  if (reply.code == Code::kConnectionLoss || reply.code == Code::kNotSent) return;
  const Status status = session_.StatusOf(reply, what);
  LTS_WARN("the node cannot be registered identity={} again_in_ms={} reason=\"{}\"",
           wanted_->identity, kRefusedPauseMs, status.message());
  Settled(status);
}

void MemberNode::Settled(const Status& status) {
  if (!settled_) hooks_.registered(status);
  settled_ = true;
}

void MemberNode::TellMaster(const std::optional<Node>& master, bool is_me) {
  if (const auto update = told_.Next(master, is_me)) hooks_.master(*update);
}

void MemberNode::Look() {
  Handle* const handle = session_.handle();
  if (handle == nullptr) return Lost();
  handle->Children(group_path_, false, [this](const Reply& reply) {
    if (reply.code == Code::kOk) return Looked(reply.children);
    if (reply.code != Code::kNoNode) return Failed(reply, "access to " + group_path_);
    Handle* const now = session_.handle();
    if (now == nullptr) return Lost();
    now->Create(group_path_, {}, Mode::kContainer, [this](const Reply& created) {
      if (created.code != Code::kOk && created.code != Code::kNodeExists) {
        return Failed(created, "to create " + group_path_);
      }
      Look();
    });
  });
}

void MemberNode::Looked(const std::vector<std::string>& names) {
  const Candidate me = Own();
  std::vector<Found> found;
  const Found* own = nullptr;
  const Found* rival = nullptr;
  found.reserve(names.size());
  for (const std::string& name : names) {
    if (auto candidate = ParseNodeName(name)) found.push_back({name, *std::move(candidate)});
  }
  std::vector<std::string> left_over;
  for (const Found& one : found) {
    const Candidate& candidate = one.candidate;
    if (candidate.identity != me.identity) continue;
    const bool same_process =
        candidate.incarnation == me.incarnation && candidate.started_ms == me.started_ms;
    if (same_process && candidate.generation == me.generation) {
      // A creation whose answer was lost may have been repeated: the first one counts.
      if (own == nullptr || candidate.sequence < own->candidate.sequence) {
        if (own != nullptr) left_over.push_back(own->name);
        own = &one;
      } else {
        left_over.push_back(one.name);
      }
    } else if (Supersedes(candidate, me)) {
      if (rival == nullptr || Supersedes(candidate, rival->candidate)) rival = &one;
    } else {
      left_over.push_back(one.name);
    }
  }
  if (rival != nullptr) {
    if (own != nullptr) left_over.push_back(own->name);
    for (const std::string& name : left_over) Removed(name);
    return StandBy(*rival);
  }
  if (own == nullptr) return Create();
  for (const std::string& name : left_over) Removed(name);
  found.erase(std::remove_if(found.begin(), found.end(),
                             [&left_over](const Found& one) {
                               return std::find(left_over.begin(), left_over.end(), one.name) !=
                                      left_over.end();
                             }),
              found.end());
  const Found own_copy = *std::find_if(found.begin(), found.end(), [&me](const Found& one) {
    return one.candidate.identity == me.identity;
  });
  Standing(found, own_copy);
}

// Whether it works is seen at the next look, if it matters.
void MemberNode::Removed(const std::string& name) {
  Handle* const handle = session_.handle();
  if (handle == nullptr) return;
  LTS_INFO("a left-over node is removed path={}", PathOf(name));
  handle->Delete(PathOf(name), [](const Reply&) {});
}

void MemberNode::StandBy(const Found& rival) {
  if (!standing_by_) {
    LTS_WARN(
        "stands by: a process that was started later has this identity identity={} "
        "its_incarnation={} its_started_ms={}",
        wanted_->identity, rival.candidate.incarnation, rival.candidate.started_ms);
  }
  standing_by_ = true;
  Settled(Status::AlreadyExists("node " + wanted_->identity +
                                ": a process that was started later has this identity"));
  TellMaster(std::nullopt, false);
  WatchGone(rival.name);
}

void MemberNode::Create() {
  Handle* const handle = session_.handle();
  if (handle == nullptr) return Lost();
  payload_dirty_ = false;
  handle->Create(PathOf(NodePrefix(Own())), FormatPayload(*wanted_), Mode::kEphemeralSequential,
                 [this](const Reply& created) {
                   // The container may have been taken away before its first node came.
                   if (created.code != Code::kOk && created.code != Code::kNoNode) {
                     return Failed(created, "to create a node in " + group_path_);
                   }
                   if (created.code == Code::kOk) {
                     LTS_INFO("registered path={}", created.text);
                   }
                   Look();
                 });
}

void MemberNode::Standing(const std::vector<Found>& found, const Found& own) {
  standing_by_ = false;
  Settled(Status::Ok());
  Handle* const handle = session_.handle();
  if (handle == nullptr) return Lost();
  if (payload_dirty_) {
    payload_dirty_ = false;
    handle->Set(PathOf(own.name), FormatPayload(*wanted_), -1, [this](const Reply& reply) {
      if (reply.code != Code::kOk) payload_dirty_ = true;
    });
  }
  std::vector<Candidate> all;
  all.reserve(found.size());
  for (const Found& one : found) all.push_back(one.candidate);
  const std::vector<Candidate> order = registry::Standing(all);
  const auto by_sequence = [&found](const Candidate& candidate) {
    return *std::find_if(found.begin(), found.end(),
                         [&candidate](const Found& one) { return one.candidate == candidate; });
  };
  std::size_t place = 0;
  while (place < order.size() && !(order[place] == own.candidate)) ++place;
  const Found master = by_sequence(order.front());
  watched_.insert(PathOf(own.name));
  WatchMaster(master, place > 1 ? by_sequence(order[place - 1]).name : std::string(), place == 0);
  if (place > 0 && session_.handle() != nullptr) {
    // Somebody may remove our own node by hand; then it is made again.
    session_.handle()->Exists(PathOf(own.name), true, [this](const Reply& reply) {
      if (reply.code == Code::kNoNode) Step();
    });
  }
}

void MemberNode::WatchMaster(const Found& master, const std::string& predecessor, bool is_me) {
  Handle* const handle = session_.handle();
  if (handle == nullptr) return Lost();
  watched_.insert(PathOf(master.name));
  handle->Get(PathOf(master.name), true,
              [this, candidate = master.candidate, predecessor, is_me](const Reply& reply) {
                if (reply.code == Code::kNoNode) return Look();  // gone since: look again
                if (reply.code != Code::kOk) return Failed(reply, "access to " + group_path_);
                TellMaster(is_me
                               ? *wanted_
                               : ParsePayload(wanted_->type, wanted_->group, candidate, reply.text),
                           is_me);
                if (predecessor.empty()) return Again();
                WatchGone(predecessor);
              });
}

void MemberNode::WatchGone(const std::string& name) {
  Handle* const handle = session_.handle();
  if (handle == nullptr) return Lost();
  watched_.insert(PathOf(name));
  handle->Exists(PathOf(name), true, [this](const Reply& reply) {
    if (reply.code == Code::kNoNode) return Look();
    if (reply.code != Code::kOk) return Failed(reply, "access to " + group_path_);
    Again();
  });
}

}  // namespace lts::registry::zookeeper

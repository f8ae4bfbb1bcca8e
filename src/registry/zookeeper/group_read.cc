#include "registry/zookeeper/group_read.h"

#include <deque>
#include <optional>
#include <utility>

namespace lts::registry::zookeeper {
namespace {

constexpr std::size_t kReadsInFlightMax = 64;

class Reading final : public std::enable_shared_from_this<Reading> {
 public:
  Reading(Session& session, GroupToRead group, bool watch, MembersByName known,
          std::function<void(Result<MembersByName>)> done)
      : session_(session),
        group_(std::move(group)),
        watch_(watch),
        known_(std::move(known)),
        done_(std::move(done)) {}

  void Begin() {
    Handle* const handle = session_.handle();
    if (handle == nullptr) return End(session_.NotConnected());
    handle->Children(group_.path, watch_, [self = shared_from_this()](const Reply& reply) {
      if (reply.code == Code::kOk) return self->Sort(reply.children);
      if (reply.code != Code::kNoNode) return self->Fail(reply);
      if (!self->watch_) return self->End(MembersByName());
      self->WatchForCreation();
    });
  }

 private:
  void WatchForCreation() {
    Handle* const handle = session_.handle();
    if (handle == nullptr) return End(session_.NotConnected());
    handle->Exists(group_.path, true, [self = shared_from_this()](const Reply& reply) {
      if (reply.code == Code::kNoNode) return self->End(MembersByName());
      if (reply.code != Code::kOk) return self->Fail(reply);
      self->Begin();  // it was created in between
    });
  }

  void Sort(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const auto known = known_.find(name);
      if (known != known_.end()) {
        members_.insert(*known);
      } else if (const std::optional<Candidate> candidate = ParseNodeName(name)) {
        unread_.emplace_back(name, *candidate);
      }
    }
    ReadSome();
  }

  void ReadSome() {
    if (done_ == nullptr) return;
    if (unread_.empty() && in_flight_ == 0) return End(std::move(members_));
    while (!unread_.empty() && in_flight_ < kReadsInFlightMax) {
      Handle* const handle = session_.handle();
      if (handle == nullptr) return End(session_.NotConnected());
      const auto [name, candidate] = std::move(unread_.front());
      unread_.pop_front();
      ++in_flight_;
      handle->Get(
          group_.path + "/" + name, watch_,
          [self = shared_from_this(), name = name, candidate = candidate](const Reply& reply) {
            --self->in_flight_;
            if (reply.code == Code::kOk) {
              self->members_[name] = {candidate, ParsePayload(self->group_.type, self->group_.group,
                                                              candidate, reply.text)};
            } else if (reply.code != Code::kNoNode) {  // gone since: no member
              return self->Fail(reply);
            }
            self->ReadSome();
          });
    }
  }

  void Fail(const Reply& reply) { End(session_.StatusOf(reply, "access to " + group_.path)); }

  void End(Result<MembersByName> result) {
    if (done_ == nullptr) return;
    const auto done = std::exchange(done_, nullptr);
    done(std::move(result));
  }

  Session& session_;
  const GroupToRead group_;
  const bool watch_;
  const MembersByName known_;
  std::function<void(Result<MembersByName>)> done_;  // null when answered
  MembersByName members_;
  std::deque<std::pair<std::string, Candidate>> unread_;
  std::size_t in_flight_ = 0;
};

}  // namespace

void ReadGroup(Session& session, GroupToRead group, bool watch, MembersByName known,
               std::function<void(Result<MembersByName>)> done) {
  std::make_shared<Reading>(session, std::move(group), watch, std::move(known), std::move(done))
      ->Begin();
}

std::vector<Member> MembersOf(const MembersByName& by_name) {
  std::vector<Member> members;
  members.reserve(by_name.size());
  for (const auto& [name, member] : by_name) members.push_back(member);
  return members;
}

}  // namespace lts::registry::zookeeper

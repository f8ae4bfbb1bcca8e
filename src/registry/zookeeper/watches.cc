#include "registry/zookeeper/watches.h"

#include <memory>
#include <utility>

#include "common/log.h"

namespace lts::registry::zookeeper {

NodesWatch::NodesWatch(Session& session, GroupToRead group,
                       std::function<void(const NodesUpdate&)> tell)
    : session_(session), group_(std::move(group)), tell_(std::move(tell)) {}

void NodesWatch::OnReady() {
  // Payloads may have changed unseen.
  members_.clear();
  Read();
}

void NodesWatch::OnExpired() {
  reading_ = again_ = false;
  members_.clear();
  stale_.clear();
}

void NodesWatch::OnChanged(const std::string& path) {
  if (path.compare(0, group_.path.size(), group_.path) != 0) return;
  if (path.size() > group_.path.size()) {
    if (path[group_.path.size()] != '/') return;  // a group whose name begins like this one's
    const std::string name = path.substr(group_.path.size() + 1);
    members_.erase(name);
    if (reading_) stale_.insert(name);
  }
  Read();
}

void NodesWatch::Read() {
  if (session_.handle() == nullptr) return;
  if (reading_) {
    again_ = true;
    return;
  }
  reading_ = true;
  again_ = false;
  stale_.clear();
  ReadGroup(session_, group_, true, members_,
            [weak = std::weak_ptr(self_)](Result<MembersByName> read) {
              const auto self = weak.lock();
              if (self == nullptr) return;
              NodesWatch& watch = **self;
              watch.reading_ = false;
              if (!read.ok()) {
                // After a break of the connection OnReady reads again.
                if (read.status().code() != StatusCode::kUnavailable) {
                  LTS_WARN("a group cannot be read path={} reason=\"{}\"", watch.group_.path,
                           read.status().message());
                }
                return watch.ReadLater();
              }
              watch.members_ = *std::move(read);
              if (const auto update = watch.told_.Next(StandingNodes(MembersOf(watch.members_)))) {
                watch.tell_(*update);
              }
              for (const std::string& name : watch.stale_) watch.members_.erase(name);
              if (watch.again_) watch.Read();
            });
}

void NodesWatch::ReadLater() {
  session_.After(kRefusedPauseMs, [weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->Read();
  });
}

RecordWatch::RecordWatch(Session& session, std::string name, std::string path,
                         std::function<void(const Record&)> tell)
    : session_(session), name_(std::move(name)), path_(std::move(path)), tell_(std::move(tell)) {}

void RecordWatch::OnReady() { Read(); }

void RecordWatch::OnExpired() { reading_ = again_ = false; }

void RecordWatch::OnChanged(const std::string& path) {
  if (path == path_) Read();
}

void RecordWatch::Read() {
  Handle* const handle = session_.handle();
  if (handle == nullptr) return;
  if (reading_) {
    again_ = true;
    return;
  }
  reading_ = true;
  again_ = false;
  handle->Get(path_, true, [weak = std::weak_ptr(self_)](const Reply& reply) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    RecordWatch& watch = **self;
    watch.reading_ = false;
    if (reply.code == Code::kOk) {
      watch.Tell({reply.text, reply.version});
    } else if (reply.code == Code::kNoNode && watch.session_.handle() != nullptr) {
      watch.reading_ = true;
      watch.session_.handle()->Exists(watch.path_, true, [weak](const Reply& exists) {
        const auto still = weak.lock();
        if (still == nullptr) return;
        RecordWatch& again = **still;
        again.reading_ = false;
        if (exists.code == Code::kNoNode) again.Tell(Record());
        if (exists.code == Code::kOk || again.again_) return again.Read();
        if (exists.code != Code::kNoNode) again.ReadLater();
      });
      return;
    } else {
      if (reply.code != Code::kConnectionLoss && reply.code != Code::kNotSent) {
        LTS_WARN("a record cannot be read record={} reason=\"{}\"", watch.name_,
                 watch.session_.StatusOf(reply, "access to " + watch.path_).message());
      }
      return watch.ReadLater();
    }
    if (watch.again_) watch.Read();
  });
}

void RecordWatch::ReadLater() {
  session_.After(kRefusedPauseMs, [weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->Read();
  });
}

void RecordWatch::Tell(Record record) {
  if (told_ && told_->version == record.version && told_->bytes == record.bytes) return;
  told_ = std::move(record);
  tell_(*told_);
}

}  // namespace lts::registry::zookeeper

// What a handle's user watches: each reads again when something changed, and after every break of
// the connection, and tells what differs.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "registry/election.h"
#include "registry/zookeeper/group_read.h"
#include "registry/zookeeper/session.h"

namespace lts::registry::zookeeper {

// State belongs to the session's strand.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual void OnReady() = 0;
  virtual void OnExpired() = 0;
  virtual void OnChanged(const std::string& path) = 0;
};

class NodesWatch final : public Watch {
 public:
  NodesWatch(Session& session, GroupToRead group, std::function<void(const NodesUpdate&)> tell);
  void OnReady() override;
  void OnExpired() override;
  void OnChanged(const std::string& path) override;

 private:
  void Read();
  void ReadLater();

  Session& session_;
  const GroupToRead group_;
  const std::function<void(const NodesUpdate&)> tell_;
  MembersByName members_;  // what need not be read again
  bool reading_ = false;
  bool again_ = false;
  std::set<std::string> stale_;  // names whose payload changed while a reading was under way
  NodesDiff told_;
  // Readings hold it weakly: one may end after Unwatch.
  const std::shared_ptr<NodesWatch*> self_ = std::make_shared<NodesWatch*>(this);
};

class RecordWatch final : public Watch {
 public:
  RecordWatch(Session& session, std::string name, std::string path,
              std::function<void(const Record&)> tell);
  void OnReady() override;
  void OnExpired() override;
  void OnChanged(const std::string& path) override;

 private:
  void Read();
  void ReadLater();
  void Tell(Record record);

  Session& session_;
  const std::string name_;
  const std::string path_;
  const std::function<void(const Record&)> tell_;
  bool reading_ = false;
  bool again_ = false;
  std::optional<Record> told_;
  const std::shared_ptr<RecordWatch*> self_ = std::make_shared<RecordWatch*>(this);
};

}  // namespace lts::registry::zookeeper

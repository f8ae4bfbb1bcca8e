// Reads the members of a group: the children, and the payloads that are not known.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lts/status.h"
#include "registry/election.h"
#include "registry/zookeeper/session.h"
#include "registry/zookeeper/tree.h"

namespace lts::registry::zookeeper {

using MembersByName = std::map<std::string, Member>;  // by the node's name in ZooKeeper

struct GroupToRead {
  NodeType type = NodeType::kJobTracker;
  std::string group;
  std::string path;
};

// One reading; `known` holds the payloads that need not be read again. With `watch` the group and
// each payload read are watched, so that an event names what changed since. A group that is not
// there has no members. Runs on the session's strand; `done` runs once, or never when the session's
// handle changes meanwhile.
void ReadGroup(Session& session, GroupToRead group, bool watch, MembersByName known,
               std::function<void(Result<MembersByName>)> done);

std::vector<Member> MembersOf(const MembersByName& by_name);

}  // namespace lts::registry::zookeeper

// Who counts in a group and in which order: the rules that both implementations share. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "registry/registry.h"

namespace lts::registry {

// What decides about a node that has registered, without its facts.
struct Candidate {
  std::string identity;
  TimeMs started_ms = 0;
  std::string incarnation;
  std::uint64_t generation = 0;  // of the session that registered it, within its incarnation
  std::int64_t sequence = 0;     // order of registration within the group

  bool operator==(const Candidate&) const = default;
};

// Of two candidates with the same identity: whether `a` makes `b` not count. The process that was
// started later wins, of one process the later session. It is not the later registration, or two
// processes that were given one identity by mistake would replace each other for ever.
bool Supersedes(const Candidate& a, const Candidate& b);

struct Member {
  Candidate candidate;
  Node node;
};

// Those that count, by sequence: the first is master, and each one's predecessor stands before it.
std::vector<Candidate> Standing(const std::vector<Candidate>& all);
std::vector<Node> StandingNodes(const std::vector<Member>& all);

// What a listener has been told of a group, so that it is told differences only.
class NodesDiff {
 public:
  // What to tell now; nothing when nothing differs. The first time there is always something.
  std::optional<NodesUpdate> Next(std::vector<Node> nodes);

 private:
  bool told_any_ = false;
  std::map<std::string, Node> told_;  // by identity
  std::vector<std::string> order_;
};

// The same for the master.
class MasterDiff {
 public:
  std::optional<MasterUpdate> Next(const std::optional<Node>& master, bool is_me);

 private:
  MasterUpdate told_;
};

}  // namespace lts::registry

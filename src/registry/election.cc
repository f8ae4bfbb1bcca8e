#include "registry/election.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace lts::registry {
namespace {

auto Rank(const Candidate& c) {
  return std::tie(c.started_ms, c.incarnation, c.generation, c.sequence);
}

}  // namespace

bool Supersedes(const Candidate& a, const Candidate& b) {
  return a.identity == b.identity && Rank(a) > Rank(b);
}

std::vector<Candidate> Standing(const std::vector<Candidate>& all) {
  std::map<std::string, const Candidate*> best;
  for (const Candidate& candidate : all) {
    const Candidate*& entry = best[candidate.identity];
    if (entry == nullptr || Supersedes(candidate, *entry)) entry = &candidate;
  }
  std::vector<Candidate> standing;
  standing.reserve(best.size());
  for (const auto& [identity, candidate] : best) standing.push_back(*candidate);
  std::sort(standing.begin(), standing.end(),
            [](const Candidate& a, const Candidate& b) { return a.sequence < b.sequence; });
  return standing;
}

std::vector<Node> StandingNodes(const std::vector<Member>& all) {
  std::vector<Candidate> candidates;
  std::map<std::int64_t, const Node*> by_sequence;
  candidates.reserve(all.size());
  for (const Member& member : all) {
    candidates.push_back(member.candidate);
    by_sequence[member.candidate.sequence] = &member.node;
  }
  std::vector<Node> nodes;
  for (const Candidate& candidate : Standing(candidates)) {
    nodes.push_back(*by_sequence[candidate.sequence]);
  }
  return nodes;
}

std::optional<NodesUpdate> NodesDiff::Next(std::vector<Node> nodes) {
  NodesUpdate update;
  std::map<std::string, Node> now;
  std::vector<std::string> order;
  for (const Node& node : nodes) {
    const auto before = told_.find(node.identity);
    if (before == told_.end()) {
      update.added.push_back(node);
    } else if (before->second != node) {
      update.changed.push_back(node);
    }
    now.emplace(node.identity, node);
    order.push_back(node.identity);
  }
  for (const auto& [identity, node] : told_) {
    if (now.find(identity) == now.end()) update.removed.push_back(node);
  }
  // The order alone may differ too: a node that lost its session and came back is last.
  if (told_any_ && update.added.empty() && update.removed.empty() && update.changed.empty() &&
      order == order_) {
    return std::nullopt;
  }
  told_any_ = true;
  told_ = std::move(now);
  order_ = std::move(order);
  update.nodes = std::move(nodes);
  return update;
}

std::optional<MasterUpdate> MasterDiff::Next(const std::optional<Node>& master, bool is_me) {
  if (told_.master == master && told_.is_me == is_me) return std::nullopt;
  told_ = {master, is_me};
  return told_;
}

}  // namespace lts::registry

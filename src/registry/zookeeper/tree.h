// What lies where in ZooKeeper, and how it is written. Pure.
//
//   <chroot>/lts.v1/<clusterName>/nodes/<TYPE>/<group>/<node>   ephemeral sequential, a JSON
//   payload
//                                 records/<name>                persistent, the record's bytes
//
// Everything above the nodes is persistent, but the groups are containers: ZooKeeper removes one
// some time after its last node has gone. A node's name says who it is, so that an election reads
// no payload, and so that a create whose answer was lost finds what it made:
//
//   <identity>~<started, hex>~<incarnation>~<generation, hex>~<sequence>
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registry/election.h"
#include "registry/registry.h"

namespace lts::registry::zookeeper {

// A name as one part of a path: what ZooKeeper does not take there (and '%' and '~') is
// percent-encoded byte by byte. Letters of any script stay readable as far as ZooKeeper takes them.
std::string EncodeName(std::string_view name);
// Nothing when it is no such text.
std::optional<std::string> DecodeName(std::string_view text);

class Tree {
 public:
  Tree(const std::string& chroot, const std::string& cluster);

  // What must exist, parents first.
  const std::vector<std::string>& persistent() const { return persistent_; }
  const std::string& base() const { return base_; }
  std::string nodes() const { return base_ + "/nodes"; }
  std::string Type(NodeType type) const;
  std::string Group(NodeType type, const std::string& group) const;
  std::string Record(const std::string& name) const;

 private:
  std::string base_;
  std::vector<std::string> persistent_;
};

// The name without its sequence, for the creation.
std::string NodePrefix(const Candidate& candidate);
std::optional<Candidate> ParseNodeName(std::string_view name);

// {"v":1,"identity":…}: fields that are not known are ignored, those that are missing have their
// defaults.
std::string FormatPayload(const Node& node);
// A payload that cannot be read still leaves a node, with what its name and place tell.
Node ParsePayload(NodeType type, const std::string& group, const Candidate& candidate,
                  std::string_view payload);

}  // namespace lts::registry::zookeeper

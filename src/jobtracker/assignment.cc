#include "jobtracker/assignment.h"

#include <algorithm>
#include <map>
#include <set>

namespace lts {

namespace {

// Text, so that an operator can read it in ZooKeeper: an owner a line, in the order of partitions.
constexpr std::string_view kHeader = "lts-assignment 1\n";

}  // namespace

Assignment Assign(const Assignment& current, const std::vector<std::string>& eligible,
                  std::uint32_t partitions) {
  Assignment next = current;
  next.owners.resize(partitions);
  if (eligible.empty()) return next;

  // What each holds, in the order of identities: ties are broken by name and number alone.
  std::map<std::string, std::set<std::uint32_t>> held;
  for (const std::string& identity : eligible) held[identity];
  const auto by_size = [](const auto& a, const auto& b) {
    return a.second.size() < b.second.size();
  };
  std::vector<std::uint32_t> free;
  for (std::uint32_t i = 0; i < partitions; ++i) {
    const auto owner = held.find(next.owners[i]);
    if (owner == held.end()) {
      free.push_back(i);
    } else {
      owner->second.insert(i);
    }
  }
  for (const std::uint32_t partition : free) {
    std::min_element(held.begin(), held.end(), by_size)->second.insert(partition);
  }
  for (;;) {
    const auto least = std::min_element(held.begin(), held.end(), by_size);
    const auto most = std::max_element(held.begin(), held.end(), by_size);
    if (most->second.size() < least->second.size() + 2) break;
    least->second.insert(most->second.extract(std::prev(most->second.end())));
  }
  for (const auto& [identity, owned] : held) {
    for (const std::uint32_t partition : owned) next.owners[partition] = identity;
  }
  return next;
}

std::string EncodeAssignment(const Assignment& assignment) {
  std::string text(kHeader);
  for (const std::string& owner : assignment.owners) text.append(owner).append("\n");
  return text;
}

Result<Assignment> DecodeAssignment(std::string_view bytes) {
  if (!bytes.starts_with(kHeader) || !bytes.ends_with('\n')) {
    return Status::DataLoss("the assignment of partitions in the registry cannot be read");
  }
  Assignment assignment;
  for (bytes.remove_prefix(kHeader.size()); !bytes.empty();) {
    const std::size_t end = bytes.find('\n');
    assignment.owners.emplace_back(bytes.substr(0, end));
    bytes.remove_prefix(end + 1);
  }
  return assignment;
}

}  // namespace lts

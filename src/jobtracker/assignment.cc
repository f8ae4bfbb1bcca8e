#include "jobtracker/assignment.h"

#include <algorithm>
#include <map>
#include <set>

#include "lts/v1/cluster.pb.h"

namespace lts {

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
  v1::AssignmentRecord record;
  for (const std::string& owner : assignment.owners) record.add_owners(owner);
  return record.SerializeAsString();
}

Result<Assignment> DecodeAssignment(std::string_view bytes) {
  v1::AssignmentRecord record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Status::DataLoss("the assignment of partitions in the registry cannot be read");
  }
  return Assignment{{record.owners().begin(), record.owners().end()}};
}

}  // namespace lts

#include "jobtracker/assignment.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <system_error>
#include <utility>

namespace lts {

namespace {

// Text, so that an operator can read it in ZooKeeper: the number, then an owner a line, in the
// order of partitions.
constexpr std::string_view kHeader = "lts-assignment 1 ";

using Held = std::map<std::string, std::set<std::uint32_t>>;

// Below so many attempts a second nobody has much to do.
constexpr std::uint64_t kBusy = 100;

std::uint64_t LoadOf(const PartitionLoads& loads, std::uint32_t partition) {
  const auto found = loads.find(partition);
  return found == loads.end() ? 0 : found->second;
}

// One exchange between the most and the least loaded, if it takes a fifth off the most.
void EvenLoad(const PartitionLoads& loads, Held* held) {
  std::map<std::string, std::uint64_t> sums;
  for (const auto& [identity, owned] : *held) {
    for (const std::uint32_t partition : owned) sums[identity] += LoadOf(loads, partition);
    sums[identity] += 0;
  }
  const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto most = std::max_element(sums.begin(), sums.end(), less);
  const auto least = std::min_element(sums.begin(), sums.end(), less);
  if (most->second < kBusy || most == least) return;
  std::uint64_t best = most->second - most->second / 5;
  std::pair<std::uint32_t, std::uint32_t> pair;
  bool found = false;
  for (const std::uint32_t give : held->at(most->first)) {
    for (const std::uint32_t take : held->at(least->first)) {
      const std::uint64_t given = LoadOf(loads, give);
      const std::uint64_t taken = LoadOf(loads, take);
      if (given <= taken) continue;
      const std::uint64_t after =
          std::max(most->second - given + taken, least->second + given - taken);
      if (after >= best) continue;
      best = after;
      pair = {give, take};
      found = true;
    }
  }
  if (!found) return;
  held->at(least->first).insert(held->at(most->first).extract(pair.first));
  held->at(most->first).insert(held->at(least->first).extract(pair.second));
}

}  // namespace

Assignment Assign(const Assignment& current, const std::vector<std::string>& eligible,
                  std::uint32_t partitions, const PartitionLoads& loads) {
  Assignment next = current;
  next.owners.resize(partitions);
  if (eligible.empty()) return next;

  // What each holds, in the order of identities: ties are broken by name and number alone.
  Held held;
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
  const auto write = [&] {
    for (const auto& [identity, owned] : held) {
      for (const std::uint32_t partition : owned) next.owners[partition] = identity;
    }
  };
  write();
  // Who comes or goes moves enough at a time.
  if (next.owners == current.owners) {
    EvenLoad(loads, &held);
    write();
  }
  return next;
}

std::string EncodeAssignment(const Assignment& assignment) {
  std::string text = fmt::format("{}{}\n", kHeader, assignment.number);
  for (const std::string& owner : assignment.owners) text.append(owner).append("\n");
  return text;
}

Result<Assignment> DecodeAssignment(std::string_view bytes) {
  const Status unreadable =
      Status::DataLoss("the assignment of partitions in the registry cannot be read");
  if (!bytes.starts_with(kHeader) || !bytes.ends_with('\n')) return unreadable;
  bytes.remove_prefix(kHeader.size());
  Assignment assignment;
  const std::string_view number = bytes.substr(0, bytes.find('\n'));
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), assignment.number);
  if (error != std::errc() || end != number.data() + number.size()) return unreadable;
  for (bytes.remove_prefix(number.size() + 1); !bytes.empty();) {
    const std::size_t line = bytes.find('\n');
    assignment.owners.emplace_back(bytes.substr(0, line));
    bytes.remove_prefix(line + 1);
  }
  return assignment;
}

}  // namespace lts

// Which JobTracker shall own which partition: what the master of the JobTrackers decides. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lts/status.h"

namespace lts {

struct Assignment {
  // Grows with each assignment, whatever becomes of the registry: who asks for a partition says by
  // which one, and owners compare.
  std::uint64_t number = 0;
  std::vector<std::string> owners;  // identity by partition, "" nobody
  bool operator==(const Assignment&) const = default;
};

// The next assignment. What it promises:
// - each partition goes to one of `eligible` (identities, each once); with none of them there the
//   assignment stays as it is, for there is nobody to move anything to;
// - a partition leaves an eligible owner only to even things out, and never more of them than that
//   takes: afterwards nobody has two partitions more than another one;
// - when one has far more to do than the others by `loads` (attempts a second by partition), it
//   exchanges one partition for a quieter one of the least loaded, if that evens it out by much:
//   one pair at a time, so that the next is judged by new figures;
// - the same input gives the same output, whichever JobTracker is master.
// `current` may have any number of entries (a record of another time); the result has `partitions`,
// and the number of `current`.
using PartitionLoads = std::map<std::uint32_t, std::uint32_t>;
Assignment Assign(const Assignment& current, const std::vector<std::string>& eligible,
                  std::uint32_t partitions, const PartitionLoads& loads = {});

// As it stands in the registry; identities are names, without line ends.
std::string EncodeAssignment(const Assignment& assignment);
// kDataLoss when it cannot be read.
Result<Assignment> DecodeAssignment(std::string_view bytes);

}  // namespace lts

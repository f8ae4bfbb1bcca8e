#include "model/partition.h"

#include <xxhash.h>

#include <algorithm>

namespace lts::model {

std::uint32_t PartitionOf(std::string_view group, std::string_view task_id, std::uint32_t spread,
                          std::uint32_t partitions) {
  const std::uint64_t count = std::max<std::uint32_t>(partitions, 1);
  const std::uint64_t home = XXH64(group.data(), group.size(), 0) % count;
  if (spread <= 1) return static_cast<std::uint32_t>(home);
  const std::uint64_t offset = XXH64(task_id.data(), task_id.size(), 0) % spread;
  return static_cast<std::uint32_t>((home + offset) % count);
}

}  // namespace lts::model

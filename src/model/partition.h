// Which partition a job lives in. Fixed when a store is created: the function must never change.
#pragma once

#include <cstdint>
#include <string_view>

namespace lts::model {

// The name of the function below, recorded once in each store and compared at start.
inline constexpr std::string_view kPartitionHashName = "xxh64";

// XXH64 (seed 0) of the UTF-8 group, modulo `partitions`. With `spread` 1, the only value in use,
// every job of a group lives in one partition and the task id plays no part. With a larger `spread`
// the jobs of a group lie on up to `spread` neighbouring partitions, chosen by XXH64 of the task
// id. `partitions` and `spread` are at least 1; 0 counts as 1.
std::uint32_t PartitionOf(std::string_view group, std::string_view task_id, std::uint32_t spread,
                          std::uint32_t partitions);

}  // namespace lts::model

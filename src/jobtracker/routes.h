// Who owns which partition, as far as this JobTracker knows: from the partition rows of the store,
// read once a second and when somebody finds it wrong.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "store/job_store.h"

namespace lts {

struct Route {
  std::string owner;  // identity, "" nobody
  std::string address;
  std::uint64_t epoch = 0;
};

// Thread-safe. The higher epoch wins: news may come out of order.
class Routes {
 public:
  explicit Routes(std::uint32_t partitions) : routes_(partitions) {}

  void Update(const std::vector<store::PartitionRow>& rows) {
    const std::lock_guard lock(mutex_);
    for (const store::PartitionRow& row : rows) {
      if (row.partition >= routes_.size() || row.epoch < routes_[row.partition].epoch) continue;
      routes_[row.partition] = {row.owner, row.owner_address, row.epoch};
    }
  }
  Route Of(std::uint32_t partition) const {
    const std::lock_guard lock(mutex_);
    return routes_[partition];
  }
  std::vector<Route> All() const {
    const std::lock_guard lock(mutex_);
    return routes_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Route> routes_;
};

}  // namespace lts

// The embedded engine: a RocksDB database in one folder. Its folder lock is the lease of the store:
// one process has it open, all partitions of that process live behind it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "common/clock.h"
#include "lts/status.h"
#include "store/job_store.h"

namespace rocksdb {
class Env;
}

namespace lts::store {

struct RocksdbStoreOptions {
  // Between owners within the process; another process is kept out by the folder lock.
  DurationMs lease_ms = 4'000;
  std::size_t block_cache_bytes = 64U << 20;   // blocks, indexes and filters of the files
  std::size_t write_buffer_bytes = 32U << 20;  // one memory table; together about twice this
  rocksdb::Env* env = nullptr;  // borrowed; null: the host's (tests inject faults here)
};

// Opens `folder`, or creates the store in it; with an empty `wanted.cluster_id` a new id is made at
// creation and any id accepted later. The clock is borrowed and must outlive the store.
//
// Errors: kFailedPrecondition when another process has the folder open (folder and process id
// named) or when the store was created with another identity (each difference named); kDataLoss
// when stored bytes are damaged; kResourceExhausted on a full disk; kUnavailable when the folder
// cannot be used otherwise.
//
// The store is thread-safe. Commits of different partitions share a sync when they meet. It is
// closed by its destructor; no call may be under way then.
Result<std::unique_ptr<JobStore>> OpenRocksdbStore(const std::string& folder,
                                                   const StoreIdentity& wanted, const Clock& clock,
                                                   const RocksdbStoreOptions& options = {});

}  // namespace lts::store

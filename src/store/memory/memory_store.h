// MemoryJobStore: the JobStore of tests and of the simulator. Deterministic; nothing survives the
// object, so a simulated crash of a JobTracker is: the JobTracker goes, the store stays.
//
// Stricter than the engines on disk: an UpdateJob or DeleteJob that names a row which is not there,
// or other indexed values than the row has, is refused with kInvalidArgument. There it would leave
// a stale index entry behind; here it shows the defect of the caller at once.
#pragma once

#include <memory>

#include "common/clock.h"
#include "store/job_store.h"

namespace lts::store {

struct MemoryStoreOptions {
  StoreIdentity identity;
  DurationMs lease_ms = 4'000;  // after the last Acquire, Renew or Commit of the owner
};

// Owns its rows, borrows `clock` (leases on the monotonic one, Now() is the wall one). Thread-safe
// by one lock; needs no stopping.
std::unique_ptr<JobStore> MakeMemoryStore(MemoryStoreOptions options, const Clock& clock);

}  // namespace lts::store

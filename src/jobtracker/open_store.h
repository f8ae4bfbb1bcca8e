// The store that the options ask for.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/options.h"
#include "lts/status.h"
#include "store/job_store.h"

namespace lts {

// Whether the queues are in a database that several processes can reach, so that partitions are
// leased.
bool StoreIsShared(const Options& options);

// Faults that end-to-end tests plant to see that their checkers find them (LTS_TEST_FAULTS, names
// divided by commas).
bool FaultIsPlanted(std::string_view name);

// Opens or creates it. `data_path`: of RocksDB. `clock`, borrowed: of an embedded store. Errors
// name the setting; kInvalidArgument, kPermissionDenied, kFailedPrecondition, kUnavailable,
// kResourceExhausted, kDataLoss.
Result<std::unique_ptr<store::JobStore>> OpenStore(const Options& options,
                                                   const std::string& data_path,
                                                   const Clock& clock);

// What the operator should know of the database, "" nothing: jobs of the original LTS in it, which
// nobody runs. Also logged. After OpenStore; blocks.
std::string StoreWarning(const Options& options);

}  // namespace lts

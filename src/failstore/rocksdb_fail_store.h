// The FailStore engine "rocksdb": one folder, one RocksDB.
#pragma once

#include <memory>
#include <string>

#include "failstore/fail_store.h"

namespace rocksdb {
class Env;
}

namespace lts {

// As OpenFailStore. `env` is borrowed for the life of the store; null = the host's. Tests hand in
// one that fails.
Result<std::unique_ptr<FailStore>> OpenRocksdbFailStore(const std::string& folder,
                                                        const FailStoreLimits& limits,
                                                        const Clock* clock,
                                                        rocksdb::Env* env = nullptr);

}  // namespace lts

// The FailStore engine "leveldb": one folder, one LevelDB.
#pragma once

#include <memory>
#include <string>

#include "failstore/fail_store.h"

namespace leveldb {
class Env;
}

namespace lts {

// As OpenFailStore. `env` is borrowed for the life of the store; null = the host's. Tests hand in
// one that fails.
Result<std::unique_ptr<FailStore>> OpenLeveldbFailStore(const std::string& folder,
                                                        const FailStoreLimits& limits,
                                                        const Clock* clock,
                                                        leveldb::Env* env = nullptr);

}  // namespace lts

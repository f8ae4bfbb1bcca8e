// The choice of an engine and of a folder.
#include "failstore/fail_store.h"

#include "common/log.h"
#include "failstore/rocksdb_fail_store.h"

namespace lts {

Result<std::unique_ptr<FailStore>> OpenFailStore(const std::string& engine,
                                                 const std::string& folder,
                                                 const FailStoreLimits& limits,
                                                 const Clock* clock) {
  if (engine == "rocksdb") return OpenRocksdbFailStore(folder, limits, clock);
  return Status::InvalidArgument("unknown FailStore engine \"" + engine + "\"; known: rocksdb");
}

Result<std::unique_ptr<FailStore>> OpenFirstFreeFailStore(const std::string& engine,
                                                          const std::string& base,
                                                          const FailStoreLimits& limits,
                                                          const Clock* clock) {
  constexpr int kFoldersMax = 64;
  Status last;
  for (int number = 0; number < kFoldersMax; ++number) {
    auto store = OpenFailStore(engine, base + "/" + std::to_string(number), limits, clock);
    if (store.ok()) return store;
    last = store.status();
    if (last.code() == StatusCode::kDataLoss) {
      // Its records stay where they are; this process must be able to keep new ones.
      LTS_ERROR("failstore damaged, next folder taken error=\"{}\"", last.message());
    } else if (last.code() != StatusCode::kFailedPrecondition) {
      return last;
    }
  }
  return Status::ResourceExhausted("none of the " + std::to_string(kFoldersMax) +
                                   " FailStore folders under " + base +
                                   " is free; the last: " + last.message());
}

}  // namespace lts

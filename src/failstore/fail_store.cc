// The choice of an engine and of a folder.
#include "failstore/fail_store.h"

#include "common/log.h"
#include "failstore/folder_lock.h"
#include "failstore/leveldb_fail_store.h"
#include "failstore/rocksdb_fail_store.h"

namespace lts {
namespace {

// What goes wrong here shows again when the folder is opened.
void RemoveIfEmptyOfAnotherEngine(const std::string& engine, const std::string& folder,
                                  const Clock* clock) {
  const Result<std::string> made_by = FolderEngine(folder);
  if (!made_by.ok() || made_by->empty() || *made_by == engine) return;
  auto other = OpenFailStore(*made_by, folder, FailStoreLimits::None(), clock);
  if (!other.ok() || !(*other)->CloseAndRemoveEmpty().ok()) return;
  LTS_INFO("failstore folder of another engine was empty, removed folder={} engine={}", folder,
           *made_by);
}

}  // namespace

Result<std::unique_ptr<FailStore>> OpenFailStore(const std::string& engine,
                                                 const std::string& folder,
                                                 const FailStoreLimits& limits,
                                                 const Clock* clock) {
  if (engine == "rocksdb") return OpenRocksdbFailStore(folder, limits, clock);
  if (engine == "leveldb") return OpenLeveldbFailStore(folder, limits, clock);
  return Status::InvalidArgument("unknown FailStore engine \"" + engine +
                                 "\" (job.fail.store); known: rocksdb, leveldb");
}

Result<std::string> FailStoreEngineOf(const std::string& folder) { return FolderEngine(folder); }

Result<std::unique_ptr<FailStore>> OpenFirstFreeFailStore(const std::string& engine,
                                                          const std::string& base,
                                                          const FailStoreLimits& limits,
                                                          const Clock* clock) {
  constexpr int kFoldersMax = 64;
  Status last;
  for (int number = 0; number < kFoldersMax; ++number) {
    const std::string folder = base + "/" + std::to_string(number);
    RemoveIfEmptyOfAnotherEngine(engine, folder, clock);
    auto store = OpenFailStore(engine, folder, limits, clock);
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

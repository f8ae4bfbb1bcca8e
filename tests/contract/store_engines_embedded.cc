// The engines that need no server.
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include "contract/store_fixture.h"
#include "store/rocksdb/rocksdb_store.h"
#include "support/temp_folder.h"

namespace lts::store::testing {
namespace {

// Files without sync: these tests close the store or kill its process, never the machine.
class UnsyncedFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
};
class UnsyncedFiles final : public rocksdb::FileSystemWrapper {
 public:
  UnsyncedFiles() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "UnsyncedFiles"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSWritableFile> real;
    rocksdb::IOStatus s = FileSystemWrapper::NewWritableFile(name, options, &real, debug);
    if (s.ok()) *file = std::make_unique<UnsyncedFile>(std::move(real));
    return s;
  }
};

class RocksdbEngine final : public Engine {
 public:
  JobStore& Open(const Clock& clock) override {
    store_.reset();
    RocksdbStoreOptions options;
    options.lease_ms = kLeaseMs;
    options.env = env_.get();
    options.write_buffer_bytes = 256U << 10;  // small: tests reach flushes and compactions
    auto opened = OpenRocksdbStore(folder_.Below("store"), TestIdentity(), clock, options);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(*opened);
    return *store_;
  }

 private:
  const std::unique_ptr<rocksdb::Env> env_ =
      rocksdb::NewCompositeEnv(std::make_shared<UnsyncedFiles>());
  ::lts::testing::TempFolder folder_;
  std::unique_ptr<JobStore> store_;
};

}  // namespace

std::vector<std::string> EngineNames() { return {"memory", "rocksdb"}; }

std::unique_ptr<Engine> MakeEngine(const std::string& name) {
  if (name == "memory") return std::make_unique<MemoryEngine>();
  return std::make_unique<RocksdbEngine>();
}

}  // namespace lts::store::testing

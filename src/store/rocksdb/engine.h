// Engine: the open RocksDB database under the store, its settings, and what RocksDB's errors mean
// to us.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "lts/status.h"
#include "store/rocksdb/rocksdb_store.h"

namespace lts::store::rocks {

// Hears of write failures, also of those in the background, on RocksDB's threads.
class FaultListener;

// Owns the database; closes it in the destructor. Thread-safe.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Open(const std::string& folder,
                                              const RocksdbStoreOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const std::string& folder() const { return folder_; }
  rocksdb::DB& db() { return *db_; }
  rocksdb::ColumnFamilyHandle* live() const { return live_; }
  rocksdb::ColumnFamilyHandle* history() const { return history_; }
  rocksdb::ColumnFamilyHandle* logs() const { return logs_; }

  // All or nothing. After a failure that RocksDB has stopped at, the next write first tries to take
  // it up again, so that a disk with space again needs no restart. kResourceExhausted and
  // kUnavailable: nothing was written; kUnknownOutcome: it may be found after a restart.
  Status Write(rocksdb::WriteBatch& batch, bool sync);

  // What a failed read means: kDataLoss, or kUnavailable.
  Status ReadFailure(const rocksdb::Status& status) const;
  // `status` with the folder named; for records that were read but make no sense.
  Status Damaged(const Status& status) const;

 private:
  Engine(std::string folder, std::shared_ptr<FaultListener> listener);
  Status Resume();

  const std::string folder_;
  const std::shared_ptr<FaultListener> listener_;
  std::mutex resume_mutex_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* live_ = nullptr;  // owned through db_, see the destructor
  rocksdb::ColumnFamilyHandle* history_ = nullptr;
  rocksdb::ColumnFamilyHandle* logs_ = nullptr;
};

}  // namespace lts::store::rocks

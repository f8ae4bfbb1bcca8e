// The FailStore engine "rocksdb".
//
// Why point-in-time recovery of the log: of the two modes that refuse to invent data,
// kTolerateCorruptedTailRecords takes a torn last entry but refuses to open when the tail's bytes
// are wrong, which would leave a node without FailStore for one bad sector. Point-in-time cuts the
// log before the first bad entry and opens. What it can lose is bounded by the log, a write buffer
// (2 MiB); everything older is in checksummed table files.
//
// After a failed write DB::Resume does not always start a new log; opening again does.
#include "failstore/rocksdb_fail_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <system_error>
#include <utility>

#include "common/log.h"
#include "failstore/fail_database.h"

namespace lts {
namespace {

constexpr std::size_t kWriteBufferBytes = 2U << 20;

Status Mapped(const rocksdb::Status& status) {
  if (status.ok()) return Status::Ok();
  const std::string text = status.ToString();
  if (status.IsNotFound()) return Status::NotFound(text);
  if (status.IsNoSpace() ||
      text.find(std::generic_category().message(EDQUOT)) != std::string::npos) {
    return Status::ResourceExhausted(text);
  }
  // RocksDB's own lock, held by a program that does not know ours (a RocksDB tool).
  if (status.IsIOError() && text.find("/LOCK: ") != std::string::npos) {
    return Status::FailedPrecondition(text);
  }
  // InvalidArgument at open: a database file that RocksDB cannot make sense of.
  if (status.IsCorruption() || status.IsInvalidArgument() || status.IsPathNotFound()) {
    return Status::DataLoss(text);
  }
  return Status::Internal(text);
}

// RocksDB's log: no file that grows, only warnings and errors, passed to ours. Counts what recovery
// throws away. Called from RocksDB's threads.
class RocksdbLogger final : public rocksdb::Logger {
 public:
  explicit RocksdbLogger(std::string folder)
      : Logger(rocksdb::InfoLogLevel::WARN_LEVEL), folder_(std::move(folder)) {}
  using Logger::Logv;
  void Logv(const char* format, va_list ap) override {
    Logv(rocksdb::InfoLogLevel::INFO_LEVEL, format, ap);
  }
  __attribute__((format(printf, 3, 0))) void Logv(const rocksdb::InfoLogLevel level,
                                                  const char* format, va_list ap) override {
    if (level < rocksdb::InfoLogLevel::WARN_LEVEL || level > rocksdb::InfoLogLevel::FATAL_LEVEL) {
      return;
    }
    char line[1024];
    std::vsnprintf(line, sizeof(line), format, ap);
    std::string_view text(line);
    text = text.substr(0, text.find('\n'));  // some texts dump structures on lines of their own
    if (text.find("dropping ") != std::string_view::npos) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
    }
    LTS_WARN("failstore: {} folder={}", text, folder_);
  }
  // Log entries that recovery found damaged.
  int dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  const std::string folder_;
  std::atomic<int> dropped_{0};
};

rocksdb::Options DatabaseOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // Small: this lives inside other people's programs.
  options.write_buffer_size = kWriteBufferBytes;
  options.max_write_buffer_number = 2;
  options.max_total_wal_size = 2 * kWriteBufferBytes;
  options.target_file_size_base = 4U << 20;
  options.max_bytes_for_level_base = 16U << 20;
  options.max_open_files = 64;
  options.max_background_jobs = 2;
  options.max_file_opening_threads = 1;
  options.keep_log_file_num = 1;
  options.max_manifest_file_size = 1U << 20;
  options.manifest_preallocation_size = 64U << 10;
  options.allow_fallocate = false;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  // Depends on no compression library that another program may bring in another version.
  options.compression = rocksdb::kNoCompression;
  // A compaction that cannot run (full disk) must not make Put wait for ever: the limits of the
  // store bound the files, and a flush that cannot run is an error that the caller sees.
  options.level0_slowdown_writes_trigger = 2000;
  options.level0_stop_writes_trigger = 4000;
  options.soft_pending_compaction_bytes_limit = 0;
  options.hard_pending_compaction_bytes_limit = 0;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(1U << 20, 0);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class RocksdbCursor final : public FailDatabase::Cursor {
 public:
  explicit RocksdbCursor(rocksdb::Iterator* it) : it_(it) {}
  void Seek(std::string_view key) override { it_->Seek({key.data(), key.size()}); }
  void Next() override { it_->Next(); }
  bool Valid() const override { return it_->Valid(); }
  std::string_view key() const override { return it_->key().ToStringView(); }
  std::string_view value() const override { return it_->value().ToStringView(); }
  Status status() const override { return Mapped(it_->status()); }

 private:
  const std::unique_ptr<rocksdb::Iterator> it_;
};

class RocksdbDatabase final : public FailDatabase {
 public:
  explicit RocksdbDatabase(rocksdb::DB* db) : db_(db) {}

  Status Write(const std::vector<Change>& changes) override {
    rocksdb::WriteBatch batch;
    for (const Change& change : changes) {
      const rocksdb::Slice key(change.key.data(), change.key.size());
      const rocksdb::Status added =
          change.value ? batch.Put(key, {change.value->data(), change.value->size()})
                       : batch.Delete(key);
      if (!added.ok()) return Mapped(added);
    }
    rocksdb::WriteOptions options;
    options.sync = true;
    return Mapped(db_->Write(options, &batch));
  }

  Result<std::string> Get(std::string_view key) override {
    std::string value;
    Status status = Mapped(db_->Get({}, {key.data(), key.size()}, &value));
    if (!status.ok()) return status;
    return value;
  }

  std::unique_ptr<Cursor> NewCursor(bool whole_scan) override {
    rocksdb::ReadOptions read;
    if (whole_scan) {
      read.fill_cache = false;
      read.readahead_size = 1U << 20;
    }
    return std::make_unique<RocksdbCursor>(db_->NewIterator(read));
  }

  Status Close() override { return Mapped(db_->Close()); }

 private:
  const std::unique_ptr<rocksdb::DB> db_;
};

// RocksDB's background threads call nothing here but the logger, and have ended when the database
// is closed.
class RocksdbEngine final : public FailEngine {
 public:
  explicit RocksdbEngine(rocksdb::Env* env) : env_(env) {}

  std::string name() const override { return "rocksdb"; }

  Result<std::unique_ptr<FailDatabase>> Open(const std::string& folder, bool* tail_cut) override {
    const auto logger = std::make_shared<RocksdbLogger>(folder);
    rocksdb::Options options = DatabaseOptions();
    options.info_log = logger;
    if (env_ != nullptr) options.env = env_;
    rocksdb::DB* db = nullptr;
    const rocksdb::Status opened = rocksdb::DB::Open(options, folder, &db);
    auto database = std::make_unique<RocksdbDatabase>(db);
    if (!opened.ok()) return Mapped(opened);
    *tail_cut = logger->dropped() != 0;
    return std::unique_ptr<FailDatabase>(std::move(database));
  }

 private:
  rocksdb::Env* const env_;
};

}  // namespace

Result<std::unique_ptr<FailStore>> OpenRocksdbFailStore(const std::string& folder,
                                                        const FailStoreLimits& limits,
                                                        const Clock* clock, rocksdb::Env* env) {
  return OpenDatabaseFailStore(std::make_unique<RocksdbEngine>(env), folder, limits, clock);
}

}  // namespace lts

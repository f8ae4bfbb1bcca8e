// The FailStore engine "leveldb".
//
// Recovery of the log: what fails its checksum is left out with the rest of its 32-KiB block, and
// what lies in later blocks is kept. paranoid_checks would refuse to open instead, which would
// leave a node without FailStore for one bad sector. What it can lose is bounded by the log, a
// write buffer (2 MiB); everything older is in checksummed table files.
//
// LevelDB says nothing of a log that ends in the middle of a record; LogIsTorn looks for that.
#include "failstore/leveldb_fail_store.h"

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/iterator.h>
#include <leveldb/options.h>
#include <leveldb/write_batch.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "common/log.h"
#include "failstore/fail_database.h"

namespace lts {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kWriteBufferBytes = 2U << 20;

leveldb::Slice SliceOf(std::string_view text) { return {text.data(), text.size()}; }
std::string_view ViewOf(const leveldb::Slice& slice) { return {slice.data(), slice.size()}; }

// LevelDB tells kinds of failures apart by the system's words only.
Status Mapped(const leveldb::Status& status) {
  if (status.ok()) return Status::Ok();
  const std::string text = status.ToString();
  for (const int error : {ENOSPC, EDQUOT}) {
    if (text.find(std::generic_category().message(error)) != std::string::npos) {
      return Status::ResourceExhausted(text);
    }
  }
  // LevelDB's own lock, held by a program that does not know ours (a LevelDB tool).
  if (status.IsIOError() && text.find("/LOCK: ") != std::string::npos) {
    return Status::FailedPrecondition(text);
  }
  // NotFound: a file that another one names. InvalidArgument: a file that makes no sense.
  if (status.IsCorruption() || status.IsInvalidArgument() || status.IsNotFound()) {
    return Status::DataLoss(text);
  }
  return Status::Internal(text);
}

// Whether a log ends inside a record (doc/log_format.md of LevelDB: blocks of 32 KiB; fragments of
// checksum(4) length(2) type(1) and bytes; at the end of a block, less than a header is padding).
// Reads the headers only: at most a write buffer and one record, so a few hundred in practice. A
// length that is damaged itself leads astray; that is for the checksums to find.
bool LogIsTorn(const fs::path& path) {
  constexpr std::uint64_t kBlock = 32U << 10;
  constexpr std::uint64_t kHeader = 7;
  constexpr char kFirst = 2;
  constexpr char kMiddle = 3;
  std::error_code error;
  const std::uint64_t size = fs::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  if (error || !file) return false;  // opening the database will tell
  bool in_record = false;
  for (std::uint64_t at = 0; at < size;) {
    const std::uint64_t left_in_block = kBlock - at % kBlock;
    if (left_in_block < kHeader) {
      at += left_in_block;
      continue;
    }
    if (size - at < kHeader) return true;
    char header[kHeader];
    if (!file.seekg(static_cast<std::streamoff>(at)).read(header, kHeader)) return false;
    const std::uint64_t length =
        static_cast<unsigned char>(header[4]) | static_cast<unsigned char>(header[5]) << 8U;
    in_record = header[6] == kFirst || header[6] == kMiddle;
    at += kHeader + length;
    if (at > size) return true;
  }
  return in_record;
}

bool AnyLogIsTorn(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".log" && LogIsTorn(it->path())) return true;
  }
  return false;
}

// LevelDB's log: no file that grows. It has no levels, so its words decide: what went wrong is
// passed to ours as a warning. Counts what recovery throws away. Called from LevelDB's thread too.
class LeveldbLogger final : public leveldb::Logger {
 public:
  explicit LeveldbLogger(std::string folder) : folder_(std::move(folder)) {}
  __attribute__((format(printf, 2, 0))) void Logv(const char* format, va_list ap) override {
    char line[1024];
    std::vsnprintf(line, sizeof(line), format, ap);
    std::string_view text(line);
    text = text.substr(0, text.find('\n'));
    const bool dropping = text.find("dropping ") != std::string_view::npos;
    if (dropping) dropped_.fetch_add(1, std::memory_order_relaxed);
    if (dropping || text.find("error") != std::string_view::npos ||
        text.find("orruption") != std::string_view::npos) {
      LTS_WARN("failstore: {} folder={}", text, folder_);
    }
  }
  // Log entries that recovery found damaged.
  int dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  const std::string folder_;
  std::atomic<int> dropped_{0};
};

class LeveldbCursor final : public FailDatabase::Cursor {
 public:
  explicit LeveldbCursor(leveldb::Iterator* it) : it_(it) {}
  void Seek(std::string_view key) override { it_->Seek(SliceOf(key)); }
  void Next() override { it_->Next(); }
  bool Valid() const override { return it_->Valid(); }
  std::string_view key() const override { return ViewOf(it_->key()); }
  std::string_view value() const override { return ViewOf(it_->value()); }
  Status status() const override { return Mapped(it_->status()); }

 private:
  const std::unique_ptr<leveldb::Iterator> it_;
};

// Owns the database and what that borrows. LevelDB's background work has ended when the database
// is destroyed; its thread is one of the process and stays.
class LeveldbDatabase final : public FailDatabase {
 public:
  LeveldbDatabase(const std::string& folder, leveldb::Env* env)
      : logger_(folder), cache_(leveldb::NewLRUCache(1U << 20)) {
    options_.create_if_missing = true;
    options_.info_log = &logger_;
    options_.block_cache = cache_.get();
    if (env != nullptr) options_.env = env;
    // Small: this lives inside other people's programs.
    options_.write_buffer_size = kWriteBufferBytes;
    options_.max_open_files = 74;  // LevelDB takes no fewer
    // Depends on no compression library that another program may bring in another version.
    options_.compression = leveldb::kNoCompression;
  }

  Status Open(const std::string& folder, bool* tail_cut) {
    const bool torn = AnyLogIsTorn(folder);
    leveldb::DB* db = nullptr;
    const leveldb::Status opened = leveldb::DB::Open(options_, folder, &db);
    db_.reset(db);
    *tail_cut = torn || logger_.dropped() != 0;
    return Mapped(opened);
  }

  Status Write(const std::vector<Change>& changes) override {
    leveldb::WriteBatch batch;
    for (const Change& change : changes) {
      if (change.value) {
        batch.Put(SliceOf(change.key), SliceOf(*change.value));
      } else {
        batch.Delete(SliceOf(change.key));
      }
    }
    leveldb::WriteOptions options;
    options.sync = true;
    return Mapped(db_->Write(options, &batch));
  }

  Result<std::string> Get(std::string_view key) override {
    std::string value;
    const leveldb::Status got = db_->Get(Reading(true), SliceOf(key), &value);
    if (got.ok()) return value;
    // A file that is not there is an error of its own kind, with the system's words.
    const bool no_file =
        got.ToString().find(std::generic_category().message(ENOENT)) != std::string::npos;
    if (got.IsNotFound() && !no_file) return Status::NotFound(got.ToString());
    return Mapped(got);
  }

  std::unique_ptr<Cursor> NewCursor(bool whole_scan) override {
    return std::make_unique<LeveldbCursor>(db_->NewIterator(Reading(!whole_scan)));
  }

  // LevelDB closes without a word: everything was synced when it was written.
  Status Close() override {
    db_.reset();
    return Status::Ok();
  }

 private:
  static leveldb::ReadOptions Reading(bool fill_cache) {
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    options.fill_cache = fill_cache;
    return options;
  }

  LeveldbLogger logger_;
  const std::unique_ptr<leveldb::Cache> cache_;
  leveldb::Options options_;
  std::unique_ptr<leveldb::DB> db_;
};

class LeveldbEngine final : public FailEngine {
 public:
  explicit LeveldbEngine(leveldb::Env* env) : env_(env) {}

  std::string name() const override { return "leveldb"; }

  Result<std::unique_ptr<FailDatabase>> Open(const std::string& folder, bool* tail_cut) override {
    auto database = std::make_unique<LeveldbDatabase>(folder, env_);
    LTS_RETURN_IF_ERROR(database->Open(folder, tail_cut));
    return std::unique_ptr<FailDatabase>(std::move(database));
  }

 private:
  leveldb::Env* const env_;
};

}  // namespace

Result<std::unique_ptr<FailStore>> OpenLeveldbFailStore(const std::string& folder,
                                                        const FailStoreLimits& limits,
                                                        const Clock* clock, leveldb::Env* env) {
  return OpenDatabaseFailStore(std::make_unique<LeveldbEngine>(env), folder, limits, clock);
}

}  // namespace lts

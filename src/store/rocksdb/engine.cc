#include "store/rocksdb/engine.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "common/log.h"
#include "store/rocksdb/keys.h"

namespace lts::store::rocks {

class FaultListener final : public rocksdb::EventListener {
 public:
  explicit FaultListener(std::string folder) : folder_(std::move(folder)) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                         rocksdb::Status* error) override {
    if (!failed_.exchange(true)) {
      LTS_ERROR("store cannot write folder={} error={}", folder_, error->ToString());
    }
  }
  // RocksDB would look for space itself every few seconds, and refuse Resume() meanwhile.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
  bool failed() const { return failed_.load(); }
  void Clear() {
    if (failed_.exchange(false)) LTS_INFO("store writes again folder={}", folder_);
  }

 private:
  const std::string folder_;
  std::atomic<bool> failed_ = false;
};

namespace {

// The beginnings that look-ups ask for, so that filters answer for absent ones: of J, A and H the
// job id, of T the task. Everything else is read in total order.
class LookupPrefix final : public rocksdb::SliceTransform {
 public:
  // `task_tail`: bytes of a T key behind the task.
  LookupPrefix(const char* name, std::size_t task_tail) : name_(name), task_tail_(task_tail) {}
  const char* Name() const override { return name_; }
  bool InDomain(const rocksdb::Slice& key) const override {
    if (key.empty()) return false;
    if (key[0] == 'J' || key[0] == 'A' || key[0] == 'H') return key.size() >= kIdPrefixBytes;
    return key[0] == 'T' && key.size() > task_tail_;
  }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), key[0] == 'T' ? key.size() - task_tail_ : kIdPrefixBytes};
  }

 private:
  const char* const name_;
  const std::size_t task_tail_;
};

// The kinds of keys, told apart per partition and, where rows queue up, per group: within each of
// these new keys mostly follow the one before, and a memory table that remembers where that was
// finds the place of the next with a few comparisons instead of twenty (half of the time of a
// commit before).
class InsertPrefix final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "lts.insert.1"; }
  bool InDomain(const rocksdb::Slice& key) const override { return key.size() >= 7; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    const bool by_group = key[0] == 'P' || key[0] == 'T' || key[0] == 'D' || key[0] == 'E';
    return {key.data(), by_group ? 7U : 3U};
  }
};

// Who holds the database's LOCK file; nothing when it cannot be told. Never called when this
// process itself holds it: closing the file would drop the lock.
std::optional<pid_t> LockHolder(const std::string& folder) {
  const int file = ::open((folder + "/LOCK").c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const int asked = ::fcntl(file, F_GETLK, &lock);
  ::close(file);
  if (asked != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  return lock.l_pid;
}

Status OpenFailure(const std::string& folder, const rocksdb::Status& status) {
  const std::string text = status.ToString();
  if (status.IsIOError() && text.find("LOCK") != std::string::npos &&
      text.find("No such file") == std::string::npos) {
    std::string holder = "another process";
    if (text.find("current process") != std::string::npos) {
      holder = fmt::format("this process (pid {})", ::getpid());
    } else if (const auto pid = LockHolder(folder)) {
      holder = fmt::format("process {}", *pid);
    }
    return Status::FailedPrecondition(
        fmt::format("the store in {} is open in {}; stop it, or use another data folder ({})",
                    folder, holder, text));
  }
  if (status.IsCorruption()) {
    return Status::DataLoss(
        fmt::format("the store in {} is damaged; restore it from a backup ({})", folder, text));
  }
  if (status.IsNoSpace()) {
    return Status::ResourceExhausted(fmt::format("no space to open the store in {}", folder));
  }
  if (status.IsInvalidArgument()) {
    return Status::FailedPrecondition(
        fmt::format("the folder {} holds another kind of store ({})", folder, text));
  }
  return Status::Unavailable(fmt::format("cannot open the store in {}: {}", folder, text));
}

rocksdb::ColumnFamilyOptions FamilyOptions(const RocksdbStoreOptions& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache,
                                           std::size_t write_buffer_bytes) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 16 << 10;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // Filters and indexes in small pieces: a whole filter of a large file would not fit into the
  // cache beside others, and an absent key would cost reading it again.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.metadata_block_size = 4096;
  table.cache_index_and_filter_blocks = true;
  table.pin_top_level_index_and_filter = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.optimize_filters_for_memory = true;
  table.format_version = 5;

  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.write_buffer_size = write_buffer_bytes;
  family.max_write_buffer_number = 2;
  family.level_compaction_dynamic_level_bytes = true;
  family.target_file_size_base = 32U << 20;
  family.level0_file_num_compaction_trigger = 8;
  family.max_bytes_for_level_base = 8 * options.write_buffer_bytes;
  family.memtable_prefix_bloom_size_ratio = 0.02;
  family.memtable_insert_with_hint_prefix_extractor = std::make_shared<InsertPrefix>();
  family.compression = rocksdb::kNoCompression;
  for (const rocksdb::CompressionType type : rocksdb::GetSupportedCompressions()) {
    if (type == rocksdb::kLZ4Compression) family.compression = type;
  }
  return family;
}

// Whether a file of `bytes` can be written and synced in the database's folder now.
rocksdb::Status ProbeDisk(rocksdb::DB& db, std::uint64_t bytes) {
  rocksdb::Env* const env = db.GetEnv();
  std::uint64_t free_bytes = 0;
  if (env->GetFreeSpace(db.GetName(), &free_bytes).ok() && free_bytes < bytes) {
    return rocksdb::Status::NoSpace();
  }
  const std::string path = db.GetName() + "/PROBE";
  std::unique_ptr<rocksdb::WritableFile> file;
  rocksdb::Status status = env->NewWritableFile(path, &file, rocksdb::EnvOptions());
  const std::string chunk(1U << 20, '\0');
  for (std::uint64_t done = 0; status.ok() && done < bytes; done += chunk.size()) {
    status = file->Append(chunk);
  }
  if (status.ok()) status = file->Sync();
  file.reset();
  const rocksdb::Status removed = env->DeleteFile(path);
  return status.ok() ? removed : status;
}

}  // namespace

Engine::Engine(std::string folder, std::shared_ptr<FaultListener> listener)
    : folder_(std::move(folder)), listener_(std::move(listener)) {}

Result<std::unique_ptr<Engine>> Engine::Open(const std::string& folder,
                                             const RocksdbStoreOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return Status::Unavailable(
        fmt::format("cannot create the store's folder {}: {}", folder, error.message()));
  }
  std::unique_ptr<Engine> engine(new Engine(folder, std::make_shared<FaultListener>(folder)));

  rocksdb::DBOptions db_options;
  if (options.env != nullptr) db_options.env = options.env;
  db_options.create_if_missing = true;
  db_options.create_missing_column_families = true;
  db_options.max_background_jobs = 2;
  db_options.allow_concurrent_memtable_write = false;  // or else insert hints are not used
  db_options.max_open_files = 256;
  db_options.max_total_wal_size = 4 * options.write_buffer_bytes;
  db_options.db_write_buffer_size = 2 * options.write_buffer_bytes;
  db_options.bytes_per_sync = 1 << 20;
  db_options.info_log_level = rocksdb::WARN_LEVEL;
  db_options.max_log_file_size = 4U << 20;
  db_options.keep_log_file_num = 2;
  db_options.stats_dump_period_sec = 0;
  db_options.stats_persist_period_sec = 0;
  db_options.max_bgerror_resume_count = 0;  // Write() resumes when somebody needs it
  // A breach of the single-delete rule is logged; it must not stop compaction.
  db_options.enforce_single_del_contracts = false;
  db_options.listeners.push_back(engine->listener_);

  const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes, /*num_shard_bits=*/2);
  rocksdb::ColumnFamilyOptions live = FamilyOptions(options, cache, options.write_buffer_bytes);
  live.prefix_extractor = std::make_shared<LookupPrefix>("lts.live.2", kJobKeyBytes);
  rocksdb::ColumnFamilyOptions history = FamilyOptions(options, cache, options.write_buffer_bytes);
  history.prefix_extractor = std::make_shared<LookupPrefix>("lts.history.1", kEndedTailBytes);
  const rocksdb::ColumnFamilyOptions logs =
      FamilyOptions(options, cache, options.write_buffer_bytes / 4);

  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(
      db_options, folder,
      {{rocksdb::kDefaultColumnFamilyName, live}, {"history", history}, {"logs", logs}}, &handles,
      &db);
  if (!opened.ok()) return OpenFailure(folder, opened);
  engine->db_.reset(db);
  engine->live_ = handles[0];
  engine->history_ = handles[1];
  engine->logs_ = handles[2];
  return engine;
}

Engine::~Engine() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* family : {live_, history_, logs_}) {
    if (const rocksdb::Status s = db_->DestroyColumnFamilyHandle(family); !s.ok()) {
      LTS_WARN("column family was not closed folder={} error={}", folder_, s.ToString());
    }
  }
  if (const rocksdb::Status s = db_->Close(); !s.ok()) {
    LTS_WARN("store was not closed cleanly folder={} error={}", folder_, s.ToString());
  }
}

Status Engine::Resume() {
  const std::lock_guard lock(resume_mutex_);
  if (!listener_->failed()) return Status::Ok();
  // Resume() flushes what is in memory and fails for good when it meets the fault again, so the
  // disk is tried first with as much as that flush can write.
  std::uint64_t in_memory = 0;
  db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &in_memory);
  rocksdb::Status status = ProbeDisk(*db_, in_memory + (4U << 20));
  if (!status.ok() && !status.IsNoSpace()) {
    return Status::Unavailable(
        fmt::format("the disk of {} still fails ({})", folder_, status.ToString()));
  }
  if (status.ok()) status = db_->Resume();
  if (status.ok()) {
    listener_->Clear();
    return Status::Ok();
  }
  if (status.IsNoSpace()) {
    return Status::ResourceExhausted(
        fmt::format("no space on the disk of {}; make room, nothing else is needed", folder_));
  }
  return Status::Unavailable(fmt::format(
      "the store in {} has stopped after a failed write; see to the disk and restart ({})", folder_,
      status.ToString()));
}

Status Engine::Write(rocksdb::WriteBatch& batch, bool sync) {
  if (listener_->failed()) LTS_RETURN_IF_ERROR(Resume());
  // Of this thread. By default RocksDB counts each comparison of two keys in a thread-local object
  // that nobody here reads; that took a seventh of the processor time of a commit.
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
  rocksdb::WriteOptions options;
  options.sync = sync;
  const rocksdb::Status status = db_->Write(options, &batch);
  if (status.ok()) return Status::Ok();
  const std::string text = status.ToString();
  if (status.IsNoSpace()) {
    return Status::ResourceExhausted(
        fmt::format("no space on the disk of {}; make room, nothing else is needed", folder_));
  }
  if (status.IsCorruption()) {
    return Status::DataLoss(fmt::format("the store in {} is damaged ({})", folder_, text));
  }
  if (status.IsShutdownInProgress() || status.IsIncomplete() || status.IsBusy()) {
    return Status::Unavailable(fmt::format("the store in {} did not write ({})", folder_, text));
  }
  return Status::UnknownOutcome(
      fmt::format("a write to {} failed and may be found after a restart ({})", folder_, text));
}

Status Engine::ReadFailure(const rocksdb::Status& status) const {
  if (status.IsCorruption()) {
    return Status::DataLoss(
        fmt::format("the store in {} is damaged ({})", folder_, status.ToString()));
  }
  return Status::Unavailable(
      fmt::format("cannot read the store in {}: {}", folder_, status.ToString()));
}

Status Engine::Damaged(const Status& status) const {
  return Status::DataLoss(fmt::format("the store in {} is damaged: {}", folder_, status.message()));
}

}  // namespace lts::store::rocks

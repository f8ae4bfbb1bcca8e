// The FailStore engine "rocksdb".
//
// Keys: 'w' kind(1) id(8, big endian) → a record that waits
//       'p' id(8, big endian)         → a record that is parked
// An id is a sequence number followed by the kind in its low four bits: ids ascend in the order of
// Put over all kinds, and the kind of an id needs no look-up.
//
// Value: version(1) checksum(8) stored_ms(8) flags(1) key_len(4) reason_len(4) key reason bytes,
// little endian. The checksum (XXH64) covers the database key and everything behind it, so a value
// under the wrong key is recognised too. RocksDB's own checksums find what the disk damages; this
// one finds the rest, and values of a newer version.
//
// Why point-in-time recovery of the log: of the two modes that refuse to invent data,
// kTolerateCorruptedTailRecords takes a torn last entry but refuses to open when the tail's bytes
// are wrong, which would leave a node without FailStore for one bad sector. Point-in-time cuts the
// log before the first bad entry and opens. What it can lose is bounded by the log, a write buffer
// (2 MiB); everything older is in checksummed table files.
//
// Why a failed write leads to a reopen: after a failed append the log may end in half an entry, and
// what is appended behind that would be cut off by the next recovery although it was acknowledged.
// DB::Resume does not always start a new log; opening again does, and says what is there.
#include "failstore/rocksdb_fail_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>
#include <xxhash.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <optional>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "common/log.h"
#include "failstore/folder_lock.h"

namespace lts {
namespace {

constexpr std::uint8_t kValueVersion = 1;
constexpr std::uint8_t kFlagUnreadable = 1;
constexpr std::size_t kHeaderBytes = 26;
constexpr std::size_t kChecksummedFrom = 9;
constexpr std::uint64_t kIdStep = 16;  // the low four bits of an id are the kind
constexpr std::size_t kParkAtOnce = 256;
constexpr std::size_t kWriteBufferBytes = 2U << 20;
// An emptied store starts with a fresh folder once this much has passed through it, so that disk
// space comes back and looking for the first record does not step over the graves of old ones.
constexpr std::int64_t kStartOverBytes = 16 << 20;
constexpr std::int64_t kStartOverRecords = 100'000;
// Below this much free space opening again is not even tried.
constexpr std::uint64_t kReopenFreeBytes = 1U << 20;

template <typename T>
void PutLittle(std::string* out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out->push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

template <typename T>
T GetLittle(std::string_view in, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(in[at + i])) << (8 * i);
  }
  return static_cast<T>(value);
}

void PutBig(std::string* out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

FailKind KindOf(std::uint64_t id) { return static_cast<FailKind>(id % kIdStep); }

std::string WaitingPrefix(FailKind kind) { return {'w', static_cast<char>(kind)}; }

std::string WaitingKey(std::uint64_t id) {
  std::string key = WaitingPrefix(KindOf(id));
  PutBig(&key, id);
  return key;
}

std::string ParkedKey(std::uint64_t id) {
  std::string key = "p";
  PutBig(&key, id);
  return key;
}

// The id in a database key, or nothing when the key is none of ours.
std::optional<std::uint64_t> IdOf(std::string_view db_key) {
  const bool waiting = db_key.size() == 10 && db_key[0] == 'w';
  if (!waiting && !(db_key.size() == 9 && db_key[0] == 'p')) return std::nullopt;
  std::uint64_t id = 0;
  for (const char c : db_key.substr(db_key.size() - 8)) {
    id = id << 8 | static_cast<unsigned char>(c);
  }
  if (waiting && WaitingKey(id) != db_key) return std::nullopt;
  return id;
}

std::uint64_t Checksum(std::string_view db_key, std::string_view value) {
  const std::string_view body = value.substr(kChecksummedFrom);
  return XXH64(body.data(), body.size(), XXH64(db_key.data(), db_key.size(), 0));
}

std::string Encode(std::string_view db_key, const FailRecord& record) {
  std::string value;
  value.reserve(kHeaderBytes + record.key.size() + record.parked_reason.size() +
                record.bytes.size());
  value.push_back(static_cast<char>(kValueVersion));
  PutLittle(&value, std::uint64_t{0});
  PutLittle(&value, record.stored_ms);
  value.push_back(static_cast<char>(record.unreadable ? kFlagUnreadable : 0));
  PutLittle(&value, static_cast<std::uint32_t>(record.key.size()));
  PutLittle(&value, static_cast<std::uint32_t>(record.parked_reason.size()));
  value.append(record.key).append(record.parked_reason).append(record.bytes);
  std::string checksum;
  PutLittle(&checksum, Checksum(db_key, value));
  value.replace(1, checksum.size(), checksum);
  return value;
}

// kDataLoss with the reason when the value cannot be read; its bytes are then still in `value`.
Result<FailRecord> Decode(std::string_view db_key, std::uint64_t id, std::string_view value) {
  if (value.empty()) return Status::DataLoss("unreadable: empty");
  const auto version = static_cast<std::uint8_t>(value[0]);
  if (version != kValueVersion) {
    return Status::DataLoss("unreadable: written in format " + std::to_string(version) +
                            ", this program reads format " + std::to_string(kValueVersion));
  }
  if (value.size() < kHeaderBytes) return Status::DataLoss("unreadable: too short");
  if (GetLittle<std::uint64_t>(value, 1) != Checksum(db_key, value)) {
    return Status::DataLoss("unreadable: the checksum differs");
  }
  const std::size_t key_size = GetLittle<std::uint32_t>(value, 18);
  const std::size_t reason_size = GetLittle<std::uint32_t>(value, 22);
  if (value.size() - kHeaderBytes < key_size + reason_size) {
    return Status::DataLoss("unreadable: lengths beyond the end");
  }
  FailRecord record;
  record.id = id;
  record.kind = KindOf(id);
  record.stored_ms = GetLittle<std::int64_t>(value, 9);
  record.unreadable = (static_cast<std::uint8_t>(value[17]) & kFlagUnreadable) != 0;
  record.key = value.substr(kHeaderBytes, key_size);
  record.parked_reason = value.substr(kHeaderBytes + key_size, reason_size);
  record.bytes = value.substr(kHeaderBytes + key_size + reason_size);
  record.parked = db_key[0] == 'p';
  return record;
}

FailRecord UnreadableRecord(std::uint64_t id, std::string_view value, std::string reason) {
  FailRecord record;
  record.id = id;
  record.kind = KindOf(id);
  record.bytes = value;
  record.parked = true;
  record.parked_reason = std::move(reason);
  record.unreadable = true;
  return record;
}

std::string AgeText(DurationMs age_ms) {
  for (const auto& [unit_ms, name] : {std::pair<DurationMs, const char*>{24 * 3600 * 1000, "days"},
                                      {3600 * 1000, "hours"},
                                      {60 * 1000, "minutes"},
                                      {1000, "seconds"}}) {
    if (age_ms >= unit_ms && age_ms % unit_ms == 0) {
      return std::to_string(age_ms / unit_ms) + " " + name;
    }
  }
  return std::to_string(age_ms) + " ms";
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
  // Log entries that recovery found damaged since the last call.
  int TakeDropped() { return dropped_.exchange(0, std::memory_order_relaxed); }

 private:
  const std::string folder_;
  std::atomic<int> dropped_{0};
};

// Thread-safe: `mutex_` is held for the whole of every call that touches the database,
// `index_mutex_` only for a moment, so that Contains and Usage never wait for the disk. Owns the
// database, the lock of the folder and the index; borrows the clock and the environment. RocksDB's
// background threads call nothing here but the logger, and have ended when the database is closed.
class RocksdbFailStore final : public FailStore {
 public:
  RocksdbFailStore(std::string folder, const FailStoreLimits& limits, const Clock* clock,
                   rocksdb::Env* env, std::unique_ptr<FolderLock> lock)
      : folder_(std::move(folder)),
        limits_(limits),
        clock_(clock != nullptr ? *clock : own_clock_),
        env_(env),
        lock_(std::move(lock)),
        logger_(std::make_shared<RocksdbLogger>(folder_)) {}

  ~RocksdbFailStore() override {
    const Status closed = Close();
    if (!closed.ok()) LTS_WARN("failstore closed with error=\"{}\"", closed.ToString());
  }

  Status Start() {
    const std::lock_guard lock(mutex_);
    return OpenDatabase();
  }

  Status Put(FailKind kind, std::string_view key, std::string_view bytes) override {
    FailRecord record;
    record.kind = kind;
    record.key = key;
    record.bytes = bytes;
    record.stored_ms = clock_.WallMs();
    std::vector<FailRecord> records;
    records.push_back(std::move(record));
    return Append(std::move(records));
  }

  Status PutAll(FailKind kind,
                const std::vector<std::pair<std::string, std::string>>& key_bytes) override {
    std::vector<FailRecord> records(key_bytes.size());
    const TimeMs now = clock_.WallMs();
    for (std::size_t i = 0; i < records.size(); ++i) {
      records[i].kind = kind;
      records[i].key = key_bytes[i].first;
      records[i].bytes = key_bytes[i].second;
      records[i].stored_ms = now;
    }
    return Append(std::move(records));
  }

  Status Adopt(const std::vector<FailRecord>& records) override { return Append(records); }

  Result<std::vector<FailRecord>> Peek(FailKind kind, std::size_t n, std::uint64_t after_id,
                                       std::size_t bytes_max) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Ready());
    std::vector<FailRecord> found;
    std::vector<FailRecord> to_park;
    std::size_t found_bytes = 0;
    const std::string prefix = WaitingPrefix(kind);
    std::string from = prefix;
    PutBig(&from, after_id + 1);
    const TimeMs now = clock_.WallMs();
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
    Status parked;
    const auto park = [&] {
      // When it fails they stay unsent all the same, and the next look tries again.
      if (parked.ok() && !to_park.empty()) parked = ParkLocked(to_park);
      to_park.clear();
    };
    for (it->Seek(from); found.size() < n && it->Valid(); it->Next()) {
      const std::string_view db_key = it->key().ToStringView();
      if (!db_key.starts_with(prefix)) break;
      const auto id = IdOf(db_key);
      if (!id) continue;  // warned of at open
      auto record = Decode(db_key, *id, it->value().ToStringView());
      if (!record.ok()) {
        to_park.push_back(
            UnreadableRecord(*id, it->value().ToStringView(), record.status().message()));
      } else if (now - record->stored_ms > limits_.age_max_ms) {
        record->parked_reason = "older than " + AgeText(limits_.age_max_ms);
        to_park.push_back(*std::move(record));
      } else {
        if (!found.empty() && found_bytes + record->bytes.size() > bytes_max) break;
        found_bytes += record->bytes.size();
        found.push_back(*std::move(record));
      }
      // A whole backlog may be too old: memory stays small.
      if (to_park.size() >= kParkAtOnce) park();
    }
    park();
    // What was read before the damage is still good; the next look begins at the damage.
    if (!it->status().ok() && found.empty()) return Mapped(it->status(), "cannot read");
    if (!parked.ok() && found.empty()) return parked;
    return found;
  }

  bool Contains(FailKind kind, std::string_view key) const override {
    const std::lock_guard lock(index_mutex_);
    return index_.waiting_keys.count(KeyHash(kind, key)) != 0;
  }

  Status Ack(const std::vector<std::uint64_t>& ids) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Ready());
    rocksdb::WriteBatch batch;
    std::unordered_map<std::uint64_t, Stored> gone;
    for (const std::uint64_t id : ids) {
      for (const bool parked : {false, true}) {
        const auto stored = Find(id, parked);
        if (!stored.ok()) {
          if (stored.status().code() == StatusCode::kNotFound) continue;
          return stored.status();
        }
        batch.Delete(stored->db_key);
        gone.emplace(id, *stored);
        break;
      }
    }
    if (gone.empty()) return Status::Ok();
    LTS_RETURN_IF_ERROR(Write(&batch, {}));
    bool empty;
    {
      const std::lock_guard index_lock(index_mutex_);
      for (const auto& [id, stored] : gone) {
        index_.Remove(stored);
        passed_bytes_ += stored.SizeOnDisk();
        ++passed_records_;
      }
      empty = index_.usage.count == 0;
    }
    if (empty && (passed_bytes_ >= kStartOverBytes || passed_records_ >= kStartOverRecords)) {
      return StartOver();
    }
    return Status::Ok();
  }

  Status Park(std::uint64_t id, std::string_view reason) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Ready());
    const auto stored = Find(id, false);
    if (!stored.ok()) return stored.status();
    auto record = Decode(stored->db_key, id, stored->value);
    if (!record.ok()) {
      return ParkLocked({UnreadableRecord(id, stored->value, record.status().message())});
    }
    record->parked_reason = reason;
    return ParkLocked({*record});
  }

  Status Unpark(std::uint64_t id) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Ready());
    const auto stored = Find(id, true);
    if (!stored.ok()) return stored.status();
    const std::string db_key = WaitingKey(id);
    std::string value;
    auto record = Decode(stored->db_key, id, stored->value);
    if (!record.ok()) return record.status().WithContext(Name(id));
    if (record->unreadable) {
      // As it was found: a newer program may be able to read it; otherwise it is parked again.
      value = record->bytes;
    } else {
      record->parked_reason.clear();
      record->stored_ms = clock_.WallMs();
      value = Encode(db_key, *record);
    }
    rocksdb::WriteBatch batch;
    batch.Delete(stored->db_key);
    batch.Put(db_key, value);
    LTS_RETURN_IF_ERROR(Write(&batch, {}));
    const std::lock_guard index_lock(index_mutex_);
    index_.Remove(*stored);
    index_.Add(Describe(db_key, id, std::move(value)));
    return Status::Ok();
  }

  Result<std::vector<FailRecord>> ListParked(std::size_t n, std::uint64_t after_id) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Ready());
    std::vector<FailRecord> found;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
    for (it->Seek(ParkedKey(after_id + 1)); found.size() < n && it->Valid(); it->Next()) {
      const std::string_view db_key = it->key().ToStringView();
      if (db_key[0] != 'p') break;
      const auto id = IdOf(db_key);
      if (!id) continue;
      auto record = Decode(db_key, *id, it->value().ToStringView());
      found.push_back(record.ok() ? *std::move(record)
                                  : UnreadableRecord(*id, it->value().ToStringView(),
                                                     record.status().message()));
    }
    if (!it->status().ok()) return Mapped(it->status(), "cannot read");
    return found;
  }

  FailStoreUsage Usage() const override {
    const std::lock_guard lock(index_mutex_);
    FailStoreUsage usage = index_.usage;
    usage.refused_count = refused_count_;
    usage.refused_bytes = refused_bytes_;
    return usage;
  }

  const std::string& path() const override { return folder_; }

  Status Close() override {
    const std::lock_guard lock(mutex_);
    if (closed_) return Status::Ok();
    closed_ = true;
    const Status status = CloseDatabase();
    lock_.reset();
    return status;
  }

  Status CloseAndRemoveEmpty() override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Ready());
    if (const std::int64_t held = Usage().count; held != 0) {
      return Status::FailedPrecondition("the FailStore folder " + folder_ + " holds " +
                                        std::to_string(held) + " records");
    }
    closed_ = true;
    LTS_RETURN_IF_ERROR(CloseDatabase());
    const Status removed = RemoveFolder(folder_);
    lock_.reset();
    return removed;
  }

 private:
  // A record as it lies in the database.
  struct Stored {
    std::string db_key;
    std::string value;
    std::optional<std::uint64_t> key_hash;  // only of a waiting record that can be read
    bool parked() const { return db_key[0] == 'p'; }
    std::int64_t SizeOnDisk() const {
      return static_cast<std::int64_t>(db_key.size() + value.size());
    }
  };

  struct Index {
    FailStoreUsage usage;
    std::unordered_map<std::uint64_t, std::uint32_t> waiting_keys;  // hash → records

    void Add(const Stored& stored) {
      ++usage.count;
      usage.bytes += stored.SizeOnDisk();
      if (stored.parked()) ++usage.parked;
      if (stored.key_hash) ++waiting_keys[*stored.key_hash];
    }
    void Remove(const Stored& stored) {
      --usage.count;
      usage.bytes -= stored.SizeOnDisk();
      if (stored.parked()) --usage.parked;
      if (!stored.key_hash) return;
      const auto it = waiting_keys.find(*stored.key_hash);
      if (it != waiting_keys.end() && --it->second == 0) waiting_keys.erase(it);
    }
  };

  static std::uint64_t KeyHash(FailKind kind, std::string_view key) {
    return XXH64(key.data(), key.size(), static_cast<std::uint64_t>(kind));
  }

  static Stored Describe(std::string db_key, std::uint64_t id, std::string value) {
    Stored stored{std::move(db_key), std::move(value), std::nullopt};
    if (stored.parked()) return stored;
    const auto record = Decode(stored.db_key, id, stored.value);
    if (record.ok()) stored.key_hash = KeyHash(record->kind, record->key);
    return stored;
  }

  std::string Name(std::uint64_t id) const {
    return "FailStore record " + std::to_string(id) + " in " + folder_;
  }

  Status Mapped(const rocksdb::Status& status, const std::string& what) const {
    if (status.ok()) return Status::Ok();
    const std::string text = "FailStore folder " + folder_ + ": " + what + ": " + status.ToString();
    if (status.IsNoSpace() ||
        text.find(std::generic_category().message(EDQUOT)) != std::string::npos) {
      return Status::ResourceExhausted(text + "; free some space on this disk");
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

  // Makes the database usable, opening it again after a failure. Needs mutex_.
  Status Ready() {
    if (closed_) {
      return Status::FailedPrecondition("the FailStore in " + folder_ + " is closed");
    }
    if (!broken_ && db_ != nullptr) return Status::Ok();
    struct statvfs space {};
    if (::statvfs(folder_.c_str(), &space) == 0 &&
        static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize < kReopenFreeBytes) {
      return Status::ResourceExhausted("FailStore folder " + folder_ +
                                       ": no space left on this disk");
    }
    const Status closed = CloseDatabase();
    if (!closed.ok()) LTS_DEBUG("failstore closed after a failure error=\"{}\"", closed.ToString());
    LTS_RETURN_IF_ERROR(OpenDatabase());
    LTS_INFO("failstore works again folder={}", folder_);
    return Status::Ok();
  }

  static rocksdb::Options DatabaseOptions() {
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

  // Opens, takes back what a failed write may have left, and reads the index. Needs mutex_.
  Status OpenDatabase() {
    broken_ = true;
    LTS_RETURN_IF_ERROR(MakeFolders(folder_));
    rocksdb::Options options = DatabaseOptions();
    options.info_log = logger_;
    if (env_ != nullptr) options.env = env_;
    rocksdb::DB* db = nullptr;
    const rocksdb::Status opened = rocksdb::DB::Open(options, folder_, &db);
    db_.reset(db);
    const int dropped = logger_->TakeDropped();
    if (!opened.ok()) return Mapped(opened, "cannot open");
    if (dropped != 0) {
      LTS_WARN(
          "failstore: damaged tail of the log cut off, records stored last may be missing "
          "folder={}",
          folder_);
    }
    if (!undo_.empty()) {
      rocksdb::WriteBatch batch;
      for (const std::string& db_key : undo_) batch.Delete(db_key);
      const rocksdb::Status undone = db_->Write(Synced(), &batch);
      if (!undone.ok()) return Mapped(undone, "cannot write");
      undo_.clear();
    }
    LTS_RETURN_IF_ERROR(ReadIndex());
    broken_ = false;
    return Status::Ok();
  }

  // Reads everything once: a full store of 1 GiB takes a second or a few. Needs mutex_.
  Status ReadIndex() {
    Index index;
    std::uint64_t last_id = 0;
    rocksdb::ReadOptions read;
    read.fill_cache = false;
    read.readahead_size = 1U << 20;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read));
    int strange = 0;
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      const auto id = IdOf(it->key().ToStringView());
      if (!id) {
        ++strange;
        continue;
      }
      last_id = std::max(last_id, *id);
      index.Add(Describe(it->key().ToString(), *id, it->value().ToString()));
    }
    if (!it->status().ok()) return Mapped(it->status(), "cannot read");
    if (strange != 0) {
      LTS_WARN("failstore: entries of unknown form left alone folder={} count={}", folder_,
               strange);
    }
    // Each Put takes at least one of RocksDB's sequence numbers, so ids stay ascending over
    // restarts even when the last records are gone.
    const std::uint64_t sequence =
        std::max(last_id / kIdStep, static_cast<std::uint64_t>(db_->GetLatestSequenceNumber()));
    next_sequence_ = std::max(next_sequence_, sequence + 1);
    const std::lock_guard lock(index_mutex_);
    index_ = std::move(index);
    return Status::Ok();
  }

  Status CloseDatabase() {
    if (db_ == nullptr) return Status::Ok();
    const rocksdb::Status status = db_->Close();
    db_.reset();
    return Mapped(status, "cannot close");
  }

  // An emptied store begins anew. Needs mutex_.
  Status StartOver() {
    passed_bytes_ = 0;
    passed_records_ = 0;
    broken_ = true;
    const Status closed = CloseDatabase();
    if (!closed.ok()) LTS_DEBUG("failstore closed error=\"{}\"", closed.ToString());
    // When one of these fails the records are forgotten all the same, which is what the caller
    // asked for; the next call opens again and reports.
    Status again = RemoveFolder(folder_);
    if (again.ok()) again = OpenDatabase();
    if (!again.ok()) LTS_WARN("failstore not started over error=\"{}\"", again.ToString());
    return Status::Ok();
  }

  static rocksdb::WriteOptions Synced() {
    rocksdb::WriteOptions options;
    options.sync = true;
    return options;
  }

  // `added`: database keys that must not be there if the write fails. Needs mutex_.
  Status Write(rocksdb::WriteBatch* batch, std::vector<std::string> added) {
    const rocksdb::Status status = db_->Write(Synced(), batch);
    if (status.ok()) return Status::Ok();
    broken_ = true;
    undo_ = std::move(added);
    return Mapped(status, "cannot write");
  }

  Result<Stored> Find(std::uint64_t id, bool parked) {
    std::string db_key = parked ? ParkedKey(id) : WaitingKey(id);
    std::string value;
    const rocksdb::Status status = db_->Get({}, db_key, &value);
    if (status.IsNotFound()) {
      return Status::NotFound(std::string("no ") + (parked ? "parked" : "waiting") + " " +
                              Name(id));
    }
    if (!status.ok()) return Mapped(status, "cannot read");
    return Describe(std::move(db_key), id, std::move(value));
  }

  Status Append(std::vector<FailRecord> records) {
    if (records.empty()) return Status::Ok();
    std::int64_t bytes = 0;
    for (const FailRecord& record : records) {
      if (record.kind == FailKind{} || static_cast<std::uint64_t>(record.kind) >= kIdStep) {
        return Status::InvalidArgument("FailStore: unknown kind " +
                                       std::to_string(static_cast<int>(record.kind)));
      }
      const std::size_t size =
          record.key.size() + record.bytes.size() + record.parked_reason.size() + kHeaderBytes + 10;
      if (static_cast<std::int64_t>(size) > limits_.bytes_max || size >= (1U << 31)) {
        return Status::InvalidArgument("a record of " + std::to_string(size) + " bytes about \"" +
                                       record.key.substr(0, 128) + "\" is above the limit of " +
                                       std::to_string(limits_.bytes_max) +
                                       " bytes of the FailStore");
      }
      bytes += static_cast<std::int64_t>(size);
    }
    const auto count = static_cast<std::int64_t>(records.size());

    const std::lock_guard lock(mutex_);
    if (Status ready = Ready(); !ready.ok()) {
      return Refused(count, &refused_bytes_, std::move(ready));
    }
    const FailStoreUsage usage = Usage();
    if (usage.count + count > limits_.count_max) {
      return Refused(count, &refused_count_,
                     Status::ResourceExhausted("the FailStore in " + folder_ +
                                               " is full: " + std::to_string(usage.count) + " of " +
                                               std::to_string(limits_.count_max) + " records"));
    }
    if (usage.bytes + bytes > limits_.bytes_max) {
      return Refused(count, &refused_bytes_,
                     Status::ResourceExhausted("the FailStore in " + folder_ +
                                               " is full: " + std::to_string(usage.bytes) + " of " +
                                               std::to_string(limits_.bytes_max) + " bytes"));
    }
    rocksdb::WriteBatch batch;
    std::vector<std::string> added;
    std::vector<Stored> stored;
    for (FailRecord& record : records) {
      const std::uint64_t id = next_sequence_++ * kIdStep + static_cast<std::uint64_t>(record.kind);
      if (!record.parked) {
        record.parked_reason.clear();
        record.unreadable = false;
      }
      std::string db_key = record.parked ? ParkedKey(id) : WaitingKey(id);
      std::string value = Encode(db_key, record);
      batch.Put(db_key, value);
      added.push_back(db_key);
      Stored entry{std::move(db_key), std::move(value), std::nullopt};
      if (!record.parked) entry.key_hash = KeyHash(record.kind, record.key);
      stored.push_back(std::move(entry));
    }
    if (Status written = Write(&batch, std::move(added)); !written.ok()) {
      return Refused(count, &refused_bytes_, std::move(written));
    }
    const std::lock_guard index_lock(index_mutex_);
    for (const Stored& entry : stored) index_.Add(entry);
    return Status::Ok();
  }

  Status Refused(std::int64_t count, std::int64_t* refused, Status why) {
    if (why.code() == StatusCode::kResourceExhausted) {
      const std::lock_guard lock(index_mutex_);
      *refused += count;
    }
    return why;
  }

  // Moves waiting records aside, each with the reason it carries. Needs mutex_.
  Status ParkLocked(const std::vector<FailRecord>& records) {
    rocksdb::WriteBatch batch;
    std::vector<std::pair<Stored, Stored>> moves;
    for (const FailRecord& record : records) {
      auto before = Find(record.id, false);
      if (!before.ok()) return before.status();
      const std::string after_key = ParkedKey(record.id);
      Stored after{after_key, Encode(after_key, record), std::nullopt};
      batch.Delete(before->db_key);
      batch.Put(after.db_key, after.value);
      moves.emplace_back(*std::move(before), std::move(after));
    }
    LTS_RETURN_IF_ERROR(Write(&batch, {}));
    const std::lock_guard index_lock(index_mutex_);
    for (const auto& [before, after] : moves) {
      index_.Remove(before);
      index_.Add(after);
    }
    LTS_WARN("failstore records parked folder={} count={} first_id={} key=\"{}\" reason=\"{}\"",
             folder_, records.size(), records[0].id, records[0].key, records[0].parked_reason);
    return Status::Ok();
  }

  const std::string folder_;
  const FailStoreLimits limits_;
  const SystemClock own_clock_;
  const Clock& clock_;
  rocksdb::Env* const env_;
  std::unique_ptr<FolderLock> lock_;
  const std::shared_ptr<RocksdbLogger> logger_;

  std::mutex mutex_;                 // before index_mutex_
  std::unique_ptr<rocksdb::DB> db_;  // null only when broken_ or closed_
  bool closed_ = false;
  bool broken_ = false;  // a write failed; nothing is written before the database was opened again
  std::vector<std::string> undo_;  // keys of that write
  std::uint64_t next_sequence_ = 1;
  std::int64_t passed_bytes_ = 0;  // acknowledged since the folder was fresh
  std::int64_t passed_records_ = 0;

  mutable std::mutex index_mutex_;
  Index index_;
  std::int64_t refused_count_ = 0;
  std::int64_t refused_bytes_ = 0;
};

}  // namespace

Result<std::unique_ptr<FailStore>> OpenRocksdbFailStore(const std::string& folder,
                                                        const FailStoreLimits& limits,
                                                        const Clock* clock, rocksdb::Env* env) {
  auto lock = FolderLock::Acquire(folder);
  if (!lock.ok()) return lock.status();
  auto store = std::make_unique<RocksdbFailStore>(folder, limits, clock, env, *std::move(lock));
  LTS_RETURN_IF_ERROR(store->Start());
  return std::unique_ptr<FailStore>(std::move(store));
}

}  // namespace lts

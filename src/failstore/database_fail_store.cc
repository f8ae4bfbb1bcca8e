// The one FailStore over the databases of all engines: what is in it, its limits, its failures.
#include <sys/statvfs.h>
#include <xxhash.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "common/log.h"
#include "failstore/fail_database.h"
#include "failstore/folder_lock.h"
#include "failstore/stored_record.h"

namespace lts {
namespace {

constexpr std::size_t kParkAtOnce = 256;
// An emptied store starts with a fresh folder once this much has passed through it, so that disk
// space comes back and looking for the first record does not step over the graves of old ones.
constexpr std::int64_t kStartOverBytes = 16 << 20;
constexpr std::int64_t kStartOverRecords = 100'000;
// Below this much free space opening again is not even tried.
constexpr std::uint64_t kReopenFreeBytes = 1U << 20;

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

// Thread-safe: `mutex_` is held for the whole of every call that touches the database,
// `index_mutex_` only for a moment, so that Contains and Usage never wait for the disk. Owns the
// engine, the database, the lock of the folder and the index; borrows the clock.
//
// Why a failed write leads to a reopen: after a failed append the engine's log may end in half an
// entry, and what is appended behind that would be cut off by the next recovery although it was
// acknowledged. Opening again starts a new log, and says what is there.
class DatabaseFailStore final : public FailStore {
 public:
  DatabaseFailStore(std::unique_ptr<FailEngine> engine, std::string folder,
                    const FailStoreLimits& limits, const Clock* clock,
                    std::unique_ptr<FolderLock> lock)
      : engine_(std::move(engine)),
        folder_(std::move(folder)),
        limits_(limits),
        clock_(clock != nullptr ? *clock : own_clock_),
        lock_(std::move(lock)) {}

  ~DatabaseFailStore() override {
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
    const TimeMs now = clock_.WallMs();
    const auto it = db_->NewCursor(false);
    Status parked;
    const auto park = [&] {
      // When it fails they stay unsent all the same, and the next look tries again.
      if (parked.ok() && !to_park.empty()) parked = ParkLocked(to_park);
      to_park.clear();
    };
    for (it->Seek(WaitingAfter(kind, after_id)); found.size() < n && it->Valid(); it->Next()) {
      const std::string_view db_key = it->key();
      if (!db_key.starts_with(prefix)) break;
      const auto id = IdOf(db_key);
      if (!id) continue;  // warned of at open
      auto record = DecodeRecord(db_key, *id, it->value());
      if (!record.ok()) {
        to_park.push_back(UnreadableRecord(*id, it->value(), record.status().message()));
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
    std::unordered_map<std::uint64_t, Stored> gone;
    for (const std::uint64_t id : ids) {
      for (const bool parked : {false, true}) {
        const auto stored = Find(id, parked);
        if (!stored.ok()) {
          if (stored.status().code() == StatusCode::kNotFound) continue;
          return stored.status();
        }
        gone.emplace(id, *stored);
        break;
      }
    }
    if (gone.empty()) return Status::Ok();
    std::vector<FailDatabase::Change> changes;
    for (const auto& [id, stored] : gone) changes.push_back({stored.db_key, std::nullopt});
    LTS_RETURN_IF_ERROR(Write(changes, {}));
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
    auto record = DecodeRecord(stored->db_key, id, stored->value);
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
    auto record = DecodeRecord(stored->db_key, id, stored->value);
    if (!record.ok()) return record.status().WithContext(Name(id));
    if (record->unreadable) {
      // As it was found: a newer program may be able to read it; otherwise it is parked again.
      value = record->bytes;
    } else {
      record->parked_reason.clear();
      record->stored_ms = clock_.WallMs();
      value = EncodeRecord(db_key, *record);
    }
    LTS_RETURN_IF_ERROR(Write({{stored->db_key, std::nullopt}, {db_key, value}}, {}));
    const std::lock_guard index_lock(index_mutex_);
    index_.Remove(*stored);
    index_.Add(Describe(db_key, id, std::move(value)));
    return Status::Ok();
  }

  Result<std::vector<FailRecord>> ListParked(std::size_t n, std::uint64_t after_id) override {
    const std::lock_guard lock(mutex_);
    LTS_RETURN_IF_ERROR(Ready());
    std::vector<FailRecord> found;
    const auto it = db_->NewCursor(false);
    for (it->Seek(ParkedKey(after_id + 1)); found.size() < n && it->Valid(); it->Next()) {
      const std::string_view db_key = it->key();
      if (db_key[0] != 'p') break;
      const auto id = IdOf(db_key);
      if (!id) continue;
      auto record = DecodeRecord(db_key, *id, it->value());
      found.push_back(record.ok() ? *std::move(record)
                                  : UnreadableRecord(*id, it->value(), record.status().message()));
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
    const auto record = DecodeRecord(stored.db_key, id, stored.value);
    if (record.ok()) stored.key_hash = KeyHash(record->kind, record->key);
    return stored;
  }

  std::string Name(std::uint64_t id) const {
    return "FailStore record " + std::to_string(id) + " in " + folder_;
  }

  // The engine's words in the place where they happened.
  Status Mapped(const Status& status, const std::string& what) const {
    if (status.ok()) return status;
    const std::string text = "FailStore folder " + folder_ + ": " + what + ": " + status.message();
    if (status.code() == StatusCode::kResourceExhausted) {
      return Status::ResourceExhausted(text + "; free some space on this disk");
    }
    return {status.code(), text};
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

  // Opens, takes back what a failed write may have left, and reads the index. Needs mutex_.
  Status OpenDatabase() {
    broken_ = true;
    LTS_RETURN_IF_ERROR(MakeFolders(folder_));
    LTS_RETURN_IF_ERROR(ClaimFolder(folder_, engine_->name()));
    bool tail_cut = false;
    auto opened = engine_->Open(folder_, &tail_cut);
    if (!opened.ok()) return Mapped(opened.status(), "cannot open");
    db_ = *std::move(opened);
    // After a Put that was refused the tail is what it left, and nothing is missing.
    if (tail_cut && undo_.empty()) {
      LTS_WARN(
          "failstore: damaged tail of the log cut off, records stored last may be missing "
          "folder={}",
          folder_);
    }
    if (!undo_.empty()) {
      std::vector<FailDatabase::Change> changes;
      for (const std::string& db_key : undo_) changes.push_back({db_key, std::nullopt});
      LTS_RETURN_IF_ERROR(Mapped(db_->Write(changes), "cannot write"));
      undo_.clear();
    }
    LTS_RETURN_IF_ERROR(ReadIndex());
    broken_ = false;
    return Status::Ok();
  }

  // Reads everything once: a full store of 1 GiB takes a second or a few. Needs mutex_.
  Status ReadIndex() {
    Index index;
    std::uint64_t last_sequence = 0;
    const auto it = db_->NewCursor(true);
    int strange = 0;
    for (it->Seek({}); it->Valid(); it->Next()) {
      if (it->key() == kSequenceKey) {
        last_sequence = std::max(last_sequence, DecodeSequence(it->value()).value_or(0));
        continue;
      }
      const auto id = IdOf(it->key());
      if (!id) {
        ++strange;
        continue;
      }
      last_sequence = std::max(last_sequence, SequenceOf(*id));
      index.Add(Describe(std::string(it->key()), *id, std::string(it->value())));
    }
    if (!it->status().ok()) return Mapped(it->status(), "cannot read");
    if (strange != 0) {
      LTS_WARN("failstore: entries of unknown form left alone folder={} count={}", folder_,
               strange);
    }
    next_sequence_ = std::max(next_sequence_, last_sequence + 1);
    const std::lock_guard lock(index_mutex_);
    index_ = std::move(index);
    return Status::Ok();
  }

  Status CloseDatabase() {
    if (db_ == nullptr) return Status::Ok();
    const Status status = db_->Close();
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

  // `added`: database keys that must not be there if the write fails. Needs mutex_.
  Status Write(const std::vector<FailDatabase::Change>& changes, std::vector<std::string> added) {
    const Status status = db_->Write(changes);
    if (status.ok()) return Status::Ok();
    broken_ = true;
    undo_ = std::move(added);
    return Mapped(status, "cannot write");
  }

  Result<Stored> Find(std::uint64_t id, bool parked) {
    std::string db_key = parked ? ParkedKey(id) : WaitingKey(id);
    auto value = db_->Get(db_key);
    if (value.status().code() == StatusCode::kNotFound) {
      return Status::NotFound(std::string("no ") + (parked ? "parked" : "waiting") + " " +
                              Name(id));
    }
    if (!value.ok()) return Mapped(value.status(), "cannot read");
    return Describe(std::move(db_key), id, *std::move(value));
  }

  Status Append(std::vector<FailRecord> records) {
    if (records.empty()) return Status::Ok();
    std::int64_t bytes = 0;
    for (const FailRecord& record : records) {
      if (record.kind == FailKind{} || static_cast<std::uint64_t>(record.kind) >= kIdStep) {
        return Status::InvalidArgument("FailStore: unknown kind " +
                                       std::to_string(static_cast<int>(record.kind)));
      }
      const std::size_t size = record.key.size() + record.bytes.size() +
                               record.parked_reason.size() + kStoredHeaderBytes + 10;
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
    std::vector<std::string> added;
    std::vector<Stored> stored;
    for (FailRecord& record : records) {
      const std::uint64_t id = RecordId(next_sequence_++, record.kind);
      if (!record.parked) {
        record.parked_reason.clear();
        record.unreadable = false;
      }
      std::string db_key = record.parked ? ParkedKey(id) : WaitingKey(id);
      std::string value = EncodeRecord(db_key, record);
      added.push_back(db_key);
      Stored entry{std::move(db_key), std::move(value), std::nullopt};
      if (!record.parked) entry.key_hash = KeyHash(record.kind, record.key);
      stored.push_back(std::move(entry));
    }
    const std::string sequence = EncodeSequence(next_sequence_ - 1);
    std::vector<FailDatabase::Change> changes{{kSequenceKey, sequence}};
    for (const Stored& entry : stored) changes.push_back({entry.db_key, entry.value});
    if (Status written = Write(changes, std::move(added)); !written.ok()) {
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
    std::vector<std::pair<Stored, Stored>> moves;
    for (const FailRecord& record : records) {
      auto before = Find(record.id, false);
      if (!before.ok()) return before.status();
      const std::string after_key = ParkedKey(record.id);
      Stored after{after_key, EncodeRecord(after_key, record), std::nullopt};
      moves.emplace_back(*std::move(before), std::move(after));
    }
    std::vector<FailDatabase::Change> changes;
    for (const auto& [before, after] : moves) {
      changes.push_back({before.db_key, std::nullopt});
      changes.push_back({after.db_key, after.value});
    }
    LTS_RETURN_IF_ERROR(Write(changes, {}));
    const std::lock_guard index_lock(index_mutex_);
    for (const auto& [before, after] : moves) {
      index_.Remove(before);
      index_.Add(after);
    }
    LTS_WARN("failstore records parked folder={} count={} first_id={} key=\"{}\" reason=\"{}\"",
             folder_, records.size(), records[0].id, records[0].key, records[0].parked_reason);
    return Status::Ok();
  }

  const std::unique_ptr<FailEngine> engine_;
  const std::string folder_;
  const FailStoreLimits limits_;
  const SystemClock own_clock_;
  const Clock& clock_;
  std::unique_ptr<FolderLock> lock_;

  std::mutex mutex_;                  // before index_mutex_
  std::unique_ptr<FailDatabase> db_;  // null only when broken_ or closed_
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

Result<std::unique_ptr<FailStore>> OpenDatabaseFailStore(std::unique_ptr<FailEngine> engine,
                                                         const std::string& folder,
                                                         const FailStoreLimits& limits,
                                                         const Clock* clock) {
  auto lock = FolderLock::Acquire(folder);
  if (!lock.ok()) return lock.status();
  auto store = std::make_unique<DatabaseFailStore>(std::move(engine), folder, limits, clock,
                                                   *std::move(lock));
  LTS_RETURN_IF_ERROR(store->Start());
  return std::unique_ptr<FailStore>(std::move(store));
}

}  // namespace lts

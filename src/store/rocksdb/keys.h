// The keys of the RocksDB engine. Integers are big-endian, signed ones with the sign bit turned, so
// that bytes sort as values do. `part` 2 bytes, `gid` 4 (a group's number in the dictionary), times
// and sequences 8, a job key 24 (id 16, cycle 8).
//
// Column family "default": what changes as jobs live.
//   I                                     → Identity
//   N name                                → gid
//   M part                                → Partition
//   C part gid                            → Counter
//   P part gid priority due seq jobkey    → Job       a row that waits, in the ready order
//   J part jobkey                         → place     (gid priority due seq) of such a row
//   D part gid due seq jobkey             → priority  such a row that is due later than it was
//                                                     accepted
//   A part jobkey                         → place Job a row that the owner holds in memory anyway
//   T part gid task jobkey                → –         the rows of a task, of both kinds
//   S part id                             → Schedule
//   U part gid task                       → id        the schedule of a task
//   F part gid seq jobkey n               → Feedback  gid of the submit group
//   W part gid identity                   → Worker
// Column family "history": what is inserted once and goes with age.
//   E part gid ended jobkey n             → History   the row itself, in the order of its end
//   H part jobkey n                       → gid ended
//   T part gid task ended jobkey n        → –
// Column family "logs":
//   L jobkey n line                       → Log
//   X time jobkey n line                  → –
//
// Rows stand in the order in which the owner reads them: a refill of its window and a page of
// history read neighbours. Rows that no refill must see (resident, suspended, marked running) stand
// aside, under A: that is all that the fire of a schedule writes beside T and S.
//
// The keys P, J, D, A and T are put once between two removals and removed with SingleDelete: a job
// that comes and goes within one memory table leaves nothing behind on disk. An update that keeps a
// key removes it before it puts it again, which keeps to that rule.
#pragma once

#include <rocksdb/slice.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "model/job_id.h"
#include "store/rows.h"

namespace lts::store::rocks {

using GroupId = std::uint32_t;

// Of all this; recorded in the store.
inline constexpr std::int32_t kLayout = 1;

// Where a job row stands: in the ready order, or aside.
struct Place {
  GroupId gid = 0;
  bool aside = false;  // told by the kind of the key
  std::int32_t priority = 0;
  TimeMs due_ms = 0;
  std::uint64_t seq = 0;
  bool operator==(const Place&) const = default;
};

// Appends the parts of a key to a string.
class KeyWriter {
 public:
  explicit KeyWriter(std::string* out) : out_(*out) {}

  KeyWriter& U8(std::uint8_t v) {
    out_.push_back(static_cast<char>(v));
    return *this;
  }
  KeyWriter& U16(std::uint32_t v) { return BigEndian<2>(v); }
  KeyWriter& U32(std::uint32_t v) { return BigEndian<4>(v); }
  KeyWriter& U64(std::uint64_t v) { return BigEndian<8>(v); }
  KeyWriter& I32(std::int32_t v) { return U32(static_cast<std::uint32_t>(v) ^ 0x80000000U); }
  KeyWriter& I64(std::int64_t v) {
    return U64(static_cast<std::uint64_t>(v) ^ 0x8000000000000000ULL);
  }
  KeyWriter& Bytes(std::string_view v) {
    out_.append(v);
    return *this;
  }
  // With its length in front: no text is the beginning of another.
  KeyWriter& Text(std::string_view v) {
    U16(static_cast<std::uint32_t>(v.size()));
    return Bytes(v);
  }
  KeyWriter& Id(const model::JobId& id) { return U64(id.high).U64(id.low); }
  KeyWriter& Key(const model::JobKey& key) { return Id(key.id).I64(key.cycle); }

 private:
  template <int kBytes>
  KeyWriter& BigEndian(std::uint64_t v) {
    char bytes[kBytes];
    for (int i = 0; i < kBytes; ++i) bytes[i] = static_cast<char>(v >> (8 * (kBytes - 1 - i)));
    out_.append(bytes, kBytes);
    return *this;
  }

  std::string& out_;
};

// Takes the parts of a key off again. After a read beyond the end ok() is false and values are 0.
class KeyReader {
 public:
  explicit KeyReader(rocksdb::Slice key) : rest_(key) {}

  bool ok() const { return ok_; }
  std::string_view rest() const { return {rest_.data(), rest_.size()}; }
  KeyReader& Skip(std::size_t bytes);
  std::uint32_t U16() { return static_cast<std::uint32_t>(BigEndian(2)); }
  std::uint32_t U32() { return static_cast<std::uint32_t>(BigEndian(4)); }
  std::uint64_t U64() { return BigEndian(8); }
  std::int32_t I32() { return static_cast<std::int32_t>(U32() ^ 0x80000000U); }
  std::int64_t I64() { return static_cast<std::int64_t>(U64() ^ 0x8000000000000000ULL); }
  model::JobId Id() {
    const std::uint64_t high = U64();
    return {high, U64()};
  }
  model::JobKey Key() {
    const model::JobId id = Id();
    return {id, I64()};
  }

 private:
  std::uint64_t BigEndian(std::size_t bytes);

  rocksdb::Slice rest_;
  bool ok_ = true;
};

// Sizes that prefixes and readers rely on.
inline constexpr std::size_t kJobKeyBytes = 24;
inline constexpr std::size_t kPlaceBytes = 24;
inline constexpr std::size_t kIdPrefixBytes = 1 + 2 + 16;             // J, A and H up to the id
inline constexpr std::size_t kEndedTailBytes = 8 + kJobKeyBytes + 4;  // ended jobkey n

std::string IdentityKey();
std::string GroupNameKey(std::string_view name);
std::string PartitionKey(std::uint32_t part);
std::string CounterKey(std::uint32_t part, GroupId gid);

void PutPlace(KeyWriter& out, const Place& place);
Place GetPlace(KeyReader& in);  // of a row in the ready order

// Each writes a whole key over `out`.
void RowKey(std::string* out, std::uint32_t part, const Place& place, const model::JobKey& key);
void JobKeyKey(std::string* out, std::uint32_t part, const model::JobKey& key);
void AsideKey(std::string* out, std::uint32_t part, const model::JobKey& key);
void TaskKeyKey(std::string* out, std::uint32_t part, GroupId gid, std::string_view task,
                const model::JobKey& key);
void DatedKey(std::string* out, std::uint32_t part, const Place& place, const model::JobKey& key);
void ScheduleKey(std::string* out, std::uint32_t part, const model::JobId& id);
void ScheduleTaskKey(std::string* out, std::uint32_t part, GroupId gid, std::string_view task);
void FeedbackKey(std::string* out, std::uint32_t part, GroupId gid, std::uint64_t seq,
                 const model::JobKey& key, std::int32_t attempt);
void WorkerKey(std::string* out, std::uint32_t part, GroupId gid, std::string_view identity);
void EndedKey(std::string* out, std::uint32_t part, GroupId gid, TimeMs ended_ms,
              const model::JobKey& key, std::int32_t attempt);
void AttemptKey(std::string* out, std::uint32_t part, const model::JobKey& key,
                std::int32_t attempt);
void EndedTaskKey(std::string* out, std::uint32_t part, GroupId gid, std::string_view task,
                  TimeMs ended_ms, const model::JobKey& key, std::int32_t attempt);
void LogKey(std::string* out, const model::JobKey& key, std::int32_t attempt, std::uint64_t line);
void LogTimeKey(std::string* out, TimeMs time_ms, const model::JobKey& key, std::int32_t attempt,
                std::uint64_t line);

// The smallest key that is greater than all keys beginning with `prefix` ("" when there is none).
std::string After(std::string prefix);

}  // namespace lts::store::rocks

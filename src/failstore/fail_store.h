// The FailStore: where what could not be sent waits on disk until it can (DESIGN section 8).
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "lts/status.h"

namespace lts {

// Kinds are kept apart: order holds within a kind, and one kind never blocks another.
enum class FailKind : std::uint8_t { kSubmit = 1, kResult = 2, kBizLog = 3 };
inline constexpr FailKind kAllFailKinds[] = {FailKind::kSubmit, FailKind::kResult,
                                             FailKind::kBizLog};

struct FailRecord {
  std::uint64_t id = 0;  // ascending in the order of Put among the records of the store
  FailKind kind{};
  std::string key;  // what the record is about (a task, an attempt); for listings and ordering
  std::string bytes;
  TimeMs stored_ms = 0;  // wall clock at Put
  bool parked = false;   // refused for good by the receiver; kept, never sent by itself
  std::string parked_reason;
  bool unreadable = false;  // parked only: `bytes` is the stored value as found, `key` is unknown
};

struct FailStoreLimits {
  std::int64_t bytes_max = 1LL << 30;
  std::int64_t count_max = 1'000'000;
  DurationMs age_max_ms = 6LL * 24 * 3600 * 1000;  // older records are parked, not sent

  // For who looks at a store, or empties it, and does not send.
  static FailStoreLimits None() {
    FailStoreLimits none;
    none.bytes_max = std::numeric_limits<std::int64_t>::max();
    none.count_max = std::numeric_limits<std::int64_t>::max();
    none.age_max_ms = std::numeric_limits<DurationMs>::max();
    return none;
  }
};

struct FailStoreUsage {
  std::int64_t count = 0;   // records held, parked ones included
  std::int64_t bytes = 0;   // of keys, contents and record headers, parked ones included
  std::int64_t parked = 0;  // of `count`
  // Records refused since Open: over count_max, and over bytes_max or by a full disk.
  std::int64_t refused_count = 0;
  std::int64_t refused_bytes = 0;
};

// One open store. Thread-safe. Every call that writes returns after a sync, and such calls run one
// at a time: who has many records uses PutAll. Nothing here waits for the network. Contains and
// Usage never wait for the disk.
//
// Errors of the calls: kResourceExhausted over a limit or on a full disk (the message names the
// folder; once there is room the same object works again), kInvalidArgument for a record that could
// never be stored, kDataLoss when the files are damaged, kFailedPrecondition after Close, kInternal
// for other failures of the disk. A Put that returned an error has stored nothing, as far as the
// process lives on to take back what a failed sync may have left.
class FailStore {
 public:
  virtual ~FailStore() = default;

  // Appends one record and makes it durable: once this returned Ok it survives kill -9 and power
  // loss.
  virtual Status Put(FailKind kind, std::string_view key, std::string_view bytes) = 0;
  // Appends all or none, in order, with one sync.
  virtual Status PutAll(FailKind kind,
                        const std::vector<std::pair<std::string, std::string>>& key_bytes) = 0;
  // Appends records of another store, all or none, in order, under new ids. Everything else of them
  // is kept: stored_ms, and whether and why they are parked.
  virtual Status Adopt(const std::vector<FailRecord>& records) = 0;
  // The oldest records of a kind that are not parked, in order, with id > after_id: at most n, and
  // no more than bytes_max of contents unless the first alone is larger. Records older than the
  // limit and unreadable ones are parked on the way.
  virtual Result<std::vector<FailRecord>> Peek(
      FailKind kind, std::size_t n, std::uint64_t after_id = 0,
      std::size_t bytes_max = std::numeric_limits<std::size_t>::max()) = 0;
  // Whether any record of this kind with this key waits (parked ones do not count). Keys are
  // compared by a 64-bit hash: once in 10^13 the answer is a needless yes, never a wrong no.
  virtual bool Contains(FailKind kind, std::string_view key) const = 0;
  // Forgets delivered records, parked ones too; unknown ids are ignored.
  virtual Status Ack(const std::vector<std::uint64_t>& ids) = 0;
  // Sets a record aside with the receiver's words; it is listed, never sent, until unparked or
  // dropped with Ack. kNotFound when no such record waits.
  virtual Status Park(std::uint64_t id, std::string_view reason) = 0;
  // Puts a parked record back at its old place in the order, counted as stored now, so that one
  // parked for its age is really sent. kNotFound when no such record is parked.
  virtual Status Unpark(std::uint64_t id) = 0;
  virtual Result<std::vector<FailRecord>> ListParked(std::size_t n, std::uint64_t after_id = 0) = 0;
  virtual FailStoreUsage Usage() const = 0;
  virtual const std::string& path() const = 0;
  // Releases the folder. Further calls fail with kFailedPrecondition; a second Close is Ok.
  virtual Status Close() = 0;
  // Close, and removes the folder, all under its lock. kFailedPrecondition, and nothing is done,
  // while records are held.
  virtual Status CloseAndRemoveEmpty() = 0;
};

// engine: "rocksdb" or "leveldb". `folder` is created; a lock file `folder`.lock stands beside it
// and is never removed. `clock` is borrowed for the life of the store; null = the host's.
// kFailedPrecondition when somebody holds the folder (the message names it, and the process if that
// is known), kInvalidArgument for an unknown engine (the message lists the known ones) and for a
// folder that another engine made (the message names job.fail.store), kDataLoss when the files are
// damaged beyond a cut tail.
Result<std::unique_ptr<FailStore>> OpenFailStore(const std::string& engine,
                                                 const std::string& folder,
                                                 const FailStoreLimits& limits,
                                                 const Clock* clock = nullptr);

// The engine that made the store in `folder`; "" when there is none. kDataLoss when that cannot be
// told. Takes no lock.
Result<std::string> FailStoreEngineOf(const std::string& folder);

// Opens `base`/0, or the next free number when a live process holds it (at most 64 tried). A
// damaged folder is passed over with an error line and left for a person to look at. A free folder
// of another engine is removed when it is empty; with records in it, which this engine would never
// send, it is kInvalidArgument as above. kResourceExhausted when none is free.
Result<std::unique_ptr<FailStore>> OpenFirstFreeFailStore(const std::string& engine,
                                                          const std::string& base,
                                                          const FailStoreLimits& limits,
                                                          const Clock* clock = nullptr);

}  // namespace lts

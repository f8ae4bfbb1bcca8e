// The FailStore: where what could not be sent waits on disk until it can (DESIGN section 8).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lts/status.h"

namespace lts {

// Kinds are kept apart: order holds within a kind, and one kind never blocks another.
enum class FailKind : std::uint8_t { kSubmit = 1, kResult = 2, kBizLog = 3, kCancel = 4 };

struct FailRecord {
  std::uint64_t id = 0;        // ascending in the order of Put within the store
  FailKind kind{};
  std::string key;             // what the record is about (a task, an attempt); for listings and ordering
  std::string bytes;
  std::int64_t stored_ms = 0;  // wall clock at Put
  bool parked = false;         // refused for good by the receiver; kept, never sent by itself
  std::string parked_reason;
};

struct FailStoreLimits {
  std::int64_t bytes_max = 1LL << 30;
  std::int64_t count_max = 1'000'000;
  std::int64_t age_max_ms = 6LL * 24 * 3600 * 1000;  // older records are parked, not sent
};

struct FailStoreUsage {
  std::int64_t count = 0;
  std::int64_t bytes = 0;
  std::int64_t parked = 0;
  std::int64_t refused = 0;  // Puts refused over a limit since Open
};

// One open store. Thread-safe. A Put that returned Ok survives kill -9 and power loss. Put never
// blocks on the network. Full disk and limits are errors (kResourceExhausted) that the caller sees.
class FailStore {
 public:
  virtual ~FailStore() = default;

  // Appends one record and makes it durable.
  virtual Status Put(FailKind kind, std::string_view key, std::string_view bytes) = 0;
  // Appends all or none, in order, with one sync.
  virtual Status PutAll(FailKind kind, const std::vector<std::pair<std::string, std::string>>& key_bytes) = 0;
  // The oldest records of a kind that are not parked, in order, at most n, with id > after_id.
  virtual Result<std::vector<FailRecord>> Peek(FailKind kind, std::size_t n, std::uint64_t after_id = 0) = 0;
  // Whether any record of this kind with this key waits (parked ones do not count).
  virtual bool Contains(FailKind kind, std::string_view key) const = 0;
  // Forgets delivered records; unknown ids are ignored.
  virtual Status Ack(const std::vector<std::uint64_t>& ids) = 0;
  // Sets a record aside with the receiver's words; it is listed, never sent, until unparked or dropped.
  virtual Status Park(std::uint64_t id, std::string_view reason) = 0;
  virtual Status Unpark(std::uint64_t id) = 0;
  virtual Result<std::vector<FailRecord>> ListParked(std::size_t n, std::uint64_t after_id = 0) = 0;
  virtual FailStoreUsage Usage() const = 0;
  virtual const std::string& path() const = 0;
  virtual Status Close() = 0;
};

// engine: "rocksdb". `folder` is created. kFailedPrecondition when another process holds it (the message
// names the folder), kInvalidArgument for an unknown engine (the message lists the known ones).
Result<std::unique_ptr<FailStore>> OpenFailStore(const std::string& engine, const std::string& folder,
                                                 const FailStoreLimits& limits);

// Opens `base`/0, or the next free number when a live process holds it (at most 64 tried).
Result<std::unique_ptr<FailStore>> OpenFirstFreeFailStore(const std::string& engine, const std::string& base,
                                                          const FailStoreLimits& limits);

}  // namespace lts

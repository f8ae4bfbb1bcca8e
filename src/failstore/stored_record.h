// How a record of the FailStore lies in the database of its engine; the same for all engines.
//
// Keys: 'w' kind(1) id(8, big endian) → a record that waits
//       'p' id(8, big endian)         → a record that is parked
//       'n'                           → sequence(8, big endian): the last one given to a record
// An id is a sequence number followed by the kind in its low four bits: ids ascend in the order of
// Put over all kinds, and the kind of an id needs no look-up.
//
// Value: version(1) checksum(8) stored_ms(8) flags(1) key_len(4) reason_len(4) key reason bytes,
// little endian. The checksum (XXH64) covers the database key and everything behind it, so a value
// under the wrong key is recognised too. The engine's own checksums find what the disk damages;
// this one finds the rest, and values of a newer version.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "failstore/fail_store.h"

namespace lts {

// Of a value, without key, reason and bytes.
inline constexpr std::size_t kStoredHeaderBytes = 26;

inline constexpr std::string_view kSequenceKey = "n";
std::string EncodeSequence(std::uint64_t sequence);
std::optional<std::uint64_t> DecodeSequence(std::string_view value);

// Kinds are below this.
inline constexpr std::uint64_t kIdStep = 16;
inline std::uint64_t RecordId(std::uint64_t sequence, FailKind kind) {
  return sequence * kIdStep + static_cast<std::uint64_t>(kind);
}
inline std::uint64_t SequenceOf(std::uint64_t id) { return id / kIdStep; }

std::string WaitingPrefix(FailKind kind);
// Where a scan of the waiting records of a kind, with ids above `after_id`, begins.
std::string WaitingAfter(FailKind kind, std::uint64_t after_id);
std::string WaitingKey(std::uint64_t id);
std::string ParkedKey(std::uint64_t id);
// The id in a database key, or nothing when the key is not one of a record.
std::optional<std::uint64_t> IdOf(std::string_view db_key);

std::string EncodeRecord(std::string_view db_key, const FailRecord& record);
// kDataLoss with the reason when the value cannot be read.
Result<FailRecord> DecodeRecord(std::string_view db_key, std::uint64_t id, std::string_view value);
// The parked record that stands for a value which cannot be read.
FailRecord UnreadableRecord(std::uint64_t id, std::string_view value, std::string reason);

}  // namespace lts

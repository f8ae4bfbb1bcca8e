#include "failstore/stored_record.h"

#include <xxhash.h>

#include <utility>

namespace lts {
namespace {

constexpr std::uint8_t kValueVersion = 1;
constexpr std::uint8_t kFlagUnreadable = 1;
constexpr std::size_t kChecksummedFrom = 9;

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

// `in`: 8 bytes.
std::uint64_t GetBig(std::string_view in) {
  std::uint64_t value = 0;
  for (const char c : in) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

FailKind KindOf(std::uint64_t id) { return static_cast<FailKind>(id % kIdStep); }

std::uint64_t Checksum(std::string_view db_key, std::string_view value) {
  const std::string_view body = value.substr(kChecksummedFrom);
  return XXH64(body.data(), body.size(), XXH64(db_key.data(), db_key.size(), 0));
}

}  // namespace

std::string EncodeSequence(std::uint64_t sequence) {
  std::string value;
  PutBig(&value, sequence);
  return value;
}

std::optional<std::uint64_t> DecodeSequence(std::string_view value) {
  if (value.size() != 8) return std::nullopt;
  return GetBig(value);
}

std::string WaitingPrefix(FailKind kind) { return {'w', static_cast<char>(kind)}; }

std::string WaitingAfter(FailKind kind, std::uint64_t after_id) {
  std::string key = WaitingPrefix(kind);
  PutBig(&key, after_id + 1);
  return key;
}

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

std::optional<std::uint64_t> IdOf(std::string_view db_key) {
  const bool waiting = db_key.size() == 10 && db_key[0] == 'w';
  if (!waiting && !(db_key.size() == 9 && db_key[0] == 'p')) return std::nullopt;
  const std::uint64_t id = GetBig(db_key.substr(db_key.size() - 8));
  if (waiting && WaitingKey(id) != db_key) return std::nullopt;
  return id;
}

std::string EncodeRecord(std::string_view db_key, const FailRecord& record) {
  std::string value;
  value.reserve(kStoredHeaderBytes + record.key.size() + record.parked_reason.size() +
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

Result<FailRecord> DecodeRecord(std::string_view db_key, std::uint64_t id, std::string_view value) {
  if (value.empty()) return Status::DataLoss("unreadable: empty");
  const auto version = static_cast<std::uint8_t>(value[0]);
  if (version != kValueVersion) {
    return Status::DataLoss("unreadable: written in format " + std::to_string(version) +
                            ", this program reads format " + std::to_string(kValueVersion));
  }
  if (value.size() < kStoredHeaderBytes) return Status::DataLoss("unreadable: too short");
  if (GetLittle<std::uint64_t>(value, 1) != Checksum(db_key, value)) {
    return Status::DataLoss("unreadable: the checksum differs");
  }
  const std::size_t key_size = GetLittle<std::uint32_t>(value, 18);
  const std::size_t reason_size = GetLittle<std::uint32_t>(value, 22);
  if (value.size() - kStoredHeaderBytes < key_size + reason_size) {
    return Status::DataLoss("unreadable: lengths beyond the end");
  }
  FailRecord record;
  record.id = id;
  record.kind = KindOf(id);
  record.stored_ms = GetLittle<std::int64_t>(value, 9);
  record.unreadable = (static_cast<std::uint8_t>(value[17]) & kFlagUnreadable) != 0;
  record.key = value.substr(kStoredHeaderBytes, key_size);
  record.parked_reason = value.substr(kStoredHeaderBytes + key_size, reason_size);
  record.bytes = value.substr(kStoredHeaderBytes + key_size + reason_size);
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

}  // namespace lts

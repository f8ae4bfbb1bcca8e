#include "store/rocksdb/keys.h"

namespace lts::store::rocks {
namespace {

KeyWriter Start(std::string* out, char kind) {
  out->clear();
  return KeyWriter(out).U8(static_cast<std::uint8_t>(kind));
}

}  // namespace

KeyReader& KeyReader::Skip(std::size_t bytes) {
  if (rest_.size() < bytes) {
    ok_ = false;
    bytes = rest_.size();
  }
  rest_.remove_prefix(bytes);
  return *this;
}

std::uint64_t KeyReader::BigEndian(std::size_t bytes) {
  if (rest_.size() < bytes) {
    ok_ = false;
    return 0;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value = (value << 8) | static_cast<unsigned char>(rest_[i]);
  }
  rest_.remove_prefix(bytes);
  return value;
}

std::string IdentityKey() { return "I"; }

std::string GroupNameKey(std::string_view name) {
  std::string key;
  Start(&key, 'N').Bytes(name);
  return key;
}

std::string PartitionKey(std::uint32_t part) {
  std::string key;
  Start(&key, 'M').U16(part);
  return key;
}

std::string CounterKey(std::uint32_t part, GroupId gid) {
  std::string key;
  Start(&key, 'C').U16(part).U32(gid);
  return key;
}

void PutPlace(KeyWriter& out, const Place& p) {
  out.U32(p.gid).I32(p.priority).I64(p.due_ms).U64(p.seq);
}

Place GetPlace(KeyReader& in) {
  Place p;
  p.gid = in.U32();
  p.priority = in.I32();
  p.due_ms = in.I64();
  p.seq = in.U64();
  return p;
}

void RowKey(std::string* out, std::uint32_t part, const Place& place, const model::JobKey& key) {
  if (place.aside) return AsideKey(out, part, key);
  KeyWriter writer = Start(out, 'P').U16(part);
  PutPlace(writer, place);
  writer.Key(key);
}

void JobKeyKey(std::string* out, std::uint32_t part, const model::JobKey& key) {
  Start(out, 'J').U16(part).Key(key);
}

void AsideKey(std::string* out, std::uint32_t part, const model::JobKey& key) {
  Start(out, 'A').U16(part).Key(key);
}

void TaskKeyKey(std::string* out, std::uint32_t part, GroupId gid, std::string_view task,
                const model::JobKey& key) {
  Start(out, 'T').U16(part).U32(gid).Text(task).Key(key);
}

void DatedKey(std::string* out, std::uint32_t part, const Place& place, const model::JobKey& key) {
  Start(out, 'D').U16(part).U32(place.gid).I64(place.due_ms).U64(place.seq).Key(key);
}

void ScheduleKey(std::string* out, std::uint32_t part, const model::JobId& id) {
  Start(out, 'S').U16(part).Id(id);
}

void ScheduleTaskKey(std::string* out, std::uint32_t part, GroupId gid, std::string_view task) {
  Start(out, 'U').U16(part).U32(gid).Bytes(task);
}

void FeedbackKey(std::string* out, std::uint32_t part, GroupId gid, std::uint64_t seq,
                 const model::JobKey& key, std::int32_t attempt) {
  Start(out, 'F').U16(part).U32(gid).U64(seq).Key(key).I32(attempt);
}

void WorkerKey(std::string* out, std::uint32_t part, GroupId gid, std::string_view identity) {
  Start(out, 'W').U16(part).U32(gid).Bytes(identity);
}

void EndedKey(std::string* out, std::uint32_t part, GroupId gid, TimeMs ended_ms,
              const model::JobKey& key, std::int32_t attempt) {
  Start(out, 'E').U16(part).U32(gid).I64(ended_ms).Key(key).I32(attempt);
}

void AttemptKey(std::string* out, std::uint32_t part, const model::JobKey& key,
                std::int32_t attempt) {
  Start(out, 'H').U16(part).Key(key).I32(attempt);
}

void EndedTaskKey(std::string* out, std::uint32_t part, GroupId gid, std::string_view task,
                  TimeMs ended_ms, const model::JobKey& key, std::int32_t attempt) {
  Start(out, 'T').U16(part).U32(gid).Text(task).I64(ended_ms).Key(key).I32(attempt);
}

void LogKey(std::string* out, const model::JobKey& key, std::int32_t attempt, std::uint64_t line) {
  Start(out, 'L').Key(key).I32(attempt).U64(line);
}

void LogTimeKey(std::string* out, TimeMs time_ms, const model::JobKey& key, std::int32_t attempt,
                std::uint64_t line) {
  Start(out, 'X').I64(time_ms).Key(key).I32(attempt).U64(line);
}

std::string After(std::string prefix) {
  while (!prefix.empty()) {
    const auto last = static_cast<unsigned char>(prefix.back());
    if (last != 0xff) {
      prefix.back() = static_cast<char>(last + 1);
      return prefix;
    }
    prefix.pop_back();
  }
  return prefix;
}

}  // namespace lts::store::rocks

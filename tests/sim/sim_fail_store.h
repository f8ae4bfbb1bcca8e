// A FailStore in memory: what Put returned Ok for outlives the simulated process.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "failstore/fail_store.h"

namespace lts::sim {

class SimFailStore final : public FailStore {
 public:
  explicit SimFailStore(const Clock& clock) : clock_(clock) {}

  Status Put(FailKind kind, std::string_view key, std::string_view bytes) override {
    FailRecord record;
    record.id = ++last_id_;
    record.kind = kind;
    record.key = std::string(key);
    record.bytes = std::string(bytes);
    record.stored_ms = clock_.WallMs();
    records_.emplace(record.id, std::move(record));
    return Status::Ok();
  }
  Status PutAll(FailKind kind,
                const std::vector<std::pair<std::string, std::string>>& key_bytes) override {
    for (const auto& [key, bytes] : key_bytes) LTS_RETURN_IF_ERROR(Put(kind, key, bytes));
    return Status::Ok();
  }
  Status Adopt(const std::vector<FailRecord>& records) override {
    for (FailRecord record : records) {
      record.id = ++last_id_;
      records_.emplace(record.id, std::move(record));
    }
    return Status::Ok();
  }
  Result<std::vector<FailRecord>> Peek(FailKind kind, std::size_t n, std::uint64_t after_id,
                                       std::size_t bytes_max) override {
    std::vector<FailRecord> found;
    std::size_t bytes = 0;
    for (auto it = records_.upper_bound(after_id); it != records_.end() && found.size() < n; ++it) {
      if (it->second.kind != kind || it->second.parked) continue;
      bytes += it->second.bytes.size();
      if (!found.empty() && bytes > bytes_max) break;
      found.push_back(it->second);
    }
    return found;
  }
  bool Contains(FailKind kind, std::string_view key) const override {
    for (const auto& [id, record] : records_) {
      if (record.kind == kind && !record.parked && record.key == key) return true;
    }
    return false;
  }
  Status Ack(const std::vector<std::uint64_t>& ids) override {
    for (const std::uint64_t id : ids) records_.erase(id);
    return Status::Ok();
  }
  Status Park(std::uint64_t id, std::string_view reason) override {
    const auto found = records_.find(id);
    if (found == records_.end() || found->second.parked) return Status::NotFound("no such record");
    found->second.parked = true;
    found->second.parked_reason = std::string(reason);
    return Status::Ok();
  }
  Status Unpark(std::uint64_t id) override {
    const auto found = records_.find(id);
    if (found == records_.end() || !found->second.parked) return Status::NotFound("no such record");
    found->second.parked = false;
    return Status::Ok();
  }
  Result<std::vector<FailRecord>> ListParked(std::size_t n, std::uint64_t after_id) override {
    std::vector<FailRecord> found;
    for (auto it = records_.upper_bound(after_id); it != records_.end() && found.size() < n; ++it) {
      if (it->second.parked) found.push_back(it->second);
    }
    return found;
  }
  FailStoreUsage Usage() const override {
    FailStoreUsage usage;
    usage.count = static_cast<std::int64_t>(records_.size());
    for (const auto& [id, record] : records_) usage.parked += record.parked ? 1 : 0;
    return usage;
  }
  const std::string& path() const override { return path_; }
  Status Close() override { return Status::Ok(); }
  Status CloseAndRemoveEmpty() override { return Status::Ok(); }

 private:
  const Clock& clock_;
  const std::string path_ = "memory";
  std::map<std::uint64_t, FailRecord> records_;
  std::uint64_t last_id_ = 0;
};

}  // namespace lts::sim

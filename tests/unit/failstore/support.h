// What the tests of the FailStore share.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/strand.h"
#include "failstore/fail_store.h"

namespace lts {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lts_failstore_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A strand that runs when told, on a clock of its own.
class HandStrand final : public Strand {
 public:
  void Post(Task task) override { ready_.push_back(std::move(task)); }
  void PostAfter(std::int64_t delay_us, Task task) override {
    timers_.emplace(now_us_ + delay_us, std::move(task));
  }

  void RunReady() {
    while (!ready_.empty()) {
      const Task task = std::move(ready_.front());
      ready_.pop_front();
      task();
    }
  }
  void Advance(std::int64_t us) {
    const std::int64_t until = now_us_ + us;
    while (!timers_.empty() && timers_.begin()->first <= until) {
      now_us_ = timers_.begin()->first;
      ready_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
      RunReady();
    }
    now_us_ = until;
  }
  // The delay of the timer due last; -1 when there is none.
  std::int64_t LongestWaitUs() const {
    return timers_.empty() ? -1 : timers_.rbegin()->first - now_us_;
  }

 private:
  std::deque<Task> ready_;
  std::multimap<std::int64_t, Task> timers_;
  std::int64_t now_us_ = 0;
};

inline std::unique_ptr<FailStore> OpenStore(const std::string& folder,
                                            const FailStoreLimits& limits = {}) {
  auto store = OpenFailStore("rocksdb", folder, limits);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return store.ok() ? *std::move(store) : nullptr;
}

inline std::vector<std::string> BytesOf(const std::vector<FailRecord>& records) {
  std::vector<std::string> bytes;
  for (const FailRecord& record : records) bytes.push_back(record.bytes);
  return bytes;
}

inline std::vector<std::string> Waiting(FailStore& store, FailKind kind) {
  const auto records = store.Peek(kind, 1'000'000);
  EXPECT_TRUE(records.ok()) << records.status().ToString();
  return records.ok() ? BytesOf(*records) : std::vector<std::string>();
}

}  // namespace lts

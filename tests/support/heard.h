// What a listener was told, in order, and the wait for more.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace lts::testing {

// Thread-safe.
template <typename T>
class Heard {
 public:
  void Add(T value) {
    {
      const std::lock_guard lock(mutex_);
      values_.push_back(std::move(value));
    }
    heard_.notify_all();
  }
  std::vector<T> All() const {
    const std::lock_guard lock(mutex_);
    return values_;
  }
  // Waits until the last value is as wanted; false after half a minute, which no healthy test comes
  // near.
  bool Await(const std::function<bool(const T&)>& is_wanted) const {
    return AwaitAll(
        [&is_wanted](const std::vector<T>& all) { return !all.empty() && is_wanted(all.back()); });
  }
  bool AwaitAll(const std::function<bool(const std::vector<T>&)>& are_wanted) const {
    std::unique_lock lock(mutex_);
    return heard_.wait_for(lock, std::chrono::seconds(30), [&] { return are_wanted(values_); });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable heard_;
  std::vector<T> values_;
};

}  // namespace lts::testing

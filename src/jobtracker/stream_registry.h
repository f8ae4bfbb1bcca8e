// Open streams of the services, so that a stopping server can end them before it waits for its
// calls.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace lts {

// Thread-safe.
class StreamRegistry {
 public:
  // `close` must not block; it may still be called shortly after Remove() returned.
  std::uint64_t Add(std::function<void()> close) {
    std::uint64_t id;
    bool closed;
    {
      const std::lock_guard lock(mutex_);
      closed = closed_;
      id = ++last_;
      open_.emplace(id, close);
    }
    if (closed) close();
    return id;
  }
  void Remove(std::uint64_t id) {
    std::function<void()>
        dropped;  // destroyed outside the lock: it may hold the last reference to a stream
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    dropped = std::move(found->second);
    open_.erase(found);
  }
  // Closes all, and whatever is added from now on.
  void CloseAll() {
    // Called outside the lock: the end of a stream comes back here through Remove().
    std::map<std::uint64_t, std::function<void()>> open;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      open = open_;
    }
    for (const auto& [id, close] : open) close();
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::function<void()>> open_;
  std::uint64_t last_ = 0;
  bool closed_ = false;
};

}  // namespace lts

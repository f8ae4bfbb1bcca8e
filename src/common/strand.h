// A strand: tasks posted to it run one at a time, in the order posted. State has one owner strand
// and everybody else posts to it, so the state itself needs no lock.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/clock.h"

namespace lts {

// Thread-safe. Tasks must not throw. What is posted after the strand was stopped is dropped.
class Strand {
 public:
  using Task = std::function<void()>;
  virtual ~Strand() = default;

  // Runs `task` after everything posted before it.
  virtual void Post(Task task) = 0;
  // Runs `task` once `delay_us` microseconds have passed on the monotonic clock; never early.
  virtual void PostAfter(std::int64_t delay_us, Task task) = 0;
};

// A strand with a thread of its own. Stop() lets the running task end, drops what waits, and joins;
// it must not be called from the strand itself. The destructor stops.
class ThreadStrand final : public Strand {
 public:
  explicit ThreadStrand(std::string thread_name);
  ~ThreadStrand() override;
  ThreadStrand(const ThreadStrand&) = delete;
  ThreadStrand& operator=(const ThreadStrand&) = delete;

  void Post(Task task) override;
  void PostAfter(std::int64_t delay_us, Task task) override;

  // Waits until all tasks posted before the call have run. Not from the strand itself.
  void Drain();
  void Stop();
  // Tasks waiting to run now (timers not counted).
  std::size_t Backlog() const;

 private:
  void Run();

  const std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> queue_;
  std::multimap<std::chrono::steady_clock::time_point, Task> timers_;
  bool sleeping_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lts

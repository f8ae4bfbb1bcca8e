#include "common/strand.h"

#include <pthread.h>

#include <future>

namespace lts {

ThreadStrand::ThreadStrand(std::string thread_name) : name_(std::move(thread_name)) {
  thread_ = std::thread([this] { Run(); });
}

ThreadStrand::~ThreadStrand() { Stop(); }

void ThreadStrand::Post(Task task) {
  bool wake;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    queue_.push_back(std::move(task));
    wake = sleeping_;
    sleeping_ = false;
  }
  if (wake) wake_.notify_one();
}

void ThreadStrand::PostAfter(std::int64_t delay_us, Task task) {
  const auto when = std::chrono::steady_clock::now() + std::chrono::microseconds(delay_us);
  bool wake;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    const bool first = timers_.empty() || when < timers_.begin()->first;
    timers_.emplace(when, std::move(task));
    wake = sleeping_ && first;
    if (wake) sleeping_ = false;
  }
  if (wake) wake_.notify_one();
}

void ThreadStrand::Drain() {
  // A drop at stop destroys the promise, which also ends the wait.
  auto done = std::make_shared<std::promise<void>>();
  auto reached = done->get_future();
  Post([done = std::move(done)] { done->set_value(); });
  reached.wait();
}

void ThreadStrand::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    sleeping_ = false;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  // Destroyed outside the lock: a task's captures may post.
  std::vector<Task> queue;
  std::multimap<std::chrono::steady_clock::time_point, Task> timers;
  {
    const std::lock_guard lock(mutex_);
    queue.swap(queue_);
    timers.swap(timers_);
  }
}

std::size_t ThreadStrand::Backlog() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

void ThreadStrand::Run() {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  std::vector<Task> batch;
  std::unique_lock lock(mutex_);
  while (true) {
    if (stopping_) return;
    if (!timers_.empty() && timers_.begin()->first <= std::chrono::steady_clock::now()) {
      const auto now = std::chrono::steady_clock::now();
      while (!timers_.empty() && timers_.begin()->first <= now) {
        queue_.push_back(std::move(timers_.begin()->second));
        timers_.erase(timers_.begin());
      }
    }
    if (queue_.empty()) {
      sleeping_ = true;
      if (timers_.empty()) {
        wake_.wait(lock, [this] { return !sleeping_; });
      } else {
        wake_.wait_until(lock, timers_.begin()->first, [this] { return !sleeping_; });
      }
      sleeping_ = false;
      continue;
    }
    batch.swap(queue_);
    lock.unlock();
    for (Task& task : batch) {
      task();
      task = nullptr;
    }
    batch.clear();
    lock.lock();
  }
}

}  // namespace lts

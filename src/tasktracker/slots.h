// The threads that run attempts.
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
#include <vector>

#include "common/clock.h"
#include "lts/status.h"
#include "tasktracker/attempt.h"
#include "tasktracker/runners/runner.h"

namespace lts::tasktracker {

class LogShipper;
class ProgressBoard;

// Up to `count` threads that take attempts from one queue. Each has its own runner object per
// runner name. Threads are started when there is work for them, and park afterwards; the one that
// parked last is woken first. A wake is asked for by whoever sees work left in the queue, and only
// one wake is under way at a time: slots that are busy with short jobs empty the queue without
// waking anybody, and long jobs still spread over all slots, one after the other.
//
// Borrows everything handed in, and the attempts until they come out of TakeEnded. Run and
// TakeEnded are for the Link's strand, the rest for its owner. The destructor joins every thread:
// it waits for attempts that do not stop.
class Slots {
 public:
  struct Ended {
    Attempt* attempt = nullptr;
    runners::RunOutcome outcome;
    bool ran = false;  // false: it was asked to stop before it began
    std::int64_t ended_us = 0;
  };
  using CreateRunner =
      std::function<Result<std::unique_ptr<runners::Runner>>(const std::string& runner)>;

  Slots(int count, CreateRunner create, const Clock& clock, LogShipper& log,
        ProgressBoard& progress);
  ~Slots();
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  // Starts the first thread and makes its runner objects, so that a runner that refuses to start is
  // found now. `on_ended` is called on a slot's thread when TakeEnded has something, once until the
  // next TakeEnded; it must not block.
  Status Start(const std::vector<std::string>& runners, std::function<void()> on_ended);

  // Queues attempts, in order. Any number may be queued; not more than `count` run.
  void Run(const std::vector<Attempt*>& attempts);
  // What has ended since the last call, in order of end; `ended` is replaced.
  void TakeEnded(std::vector<Ended>* ended);

  int count() const { return count_; }
  // Attempts in a runner now.
  int busy() const;
  // Ends the threads that are parked; a busy one ends after its attempt. Nothing may be queued.
  void Close();

 private:
  struct Slot {
    std::condition_variable wake;
    bool woken = false;
    std::map<std::string, std::unique_ptr<runners::Runner>, std::less<>> runners;
    std::thread thread;
  };

  void Main(Slot& slot);
  Ended Execute(Slot& slot, Attempt& attempt);
  Result<runners::Runner*> RunnerOf(Slot& slot, const std::string& name);
  // Under the lock. The parked slot to notify after it is released, or null.
  Slot* ChooseToWake();

  const int count_;
  const CreateRunner create_;
  const Clock& clock_;
  LogShipper& log_;
  ProgressBoard& progress_;
  std::function<void()> on_ended_;

  mutable std::mutex mutex_;
  std::deque<Attempt*> queue_;
  std::vector<std::unique_ptr<Slot>> slots_;  // started ones
  std::vector<Slot*> parked_;                 // a stack
  bool waking_ = false;    // a slot was woken or started and has not looked at the queue yet
  bool notified_ = false;  // on_ended_ was called and TakeEnded has not been yet
  bool closing_ = false;
  int busy_ = 0;
  std::vector<Ended> ended_;
};

}  // namespace lts::tasktracker

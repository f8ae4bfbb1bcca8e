// The processes of a benchmark: a JobTracker and a TaskTracker of their own, started and stopped by
// the driver, and what they say about themselves.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/board.h"
#include "lts/status.h"

namespace lts::bench {

// One child process, its standard output read by lines, its standard error in a file. It gets
// SIGTERM when the driver dies, and from the destructor.
class Child {
 public:
  // `path` is run with `arguments`; `log` takes what it writes to standard error.
  static Result<std::unique_ptr<Child>> Start(const std::string& name, const std::string& path,
                                              const std::vector<std::string>& arguments,
                                              const std::string& log);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  // The rest of the first line that begins with `word` and a blank, or is `word`. kDeadlineExceeded
  // after `timeout_ms`, kUnavailable with the end of the log when the process ends before.
  Result<std::string> AwaitLine(const std::string& word, int timeout_ms);
  // Waits `ms`; kUnavailable, with the end of the log, when the process has ended.
  Status AliveFor(int ms);
  // SIGTERM, waits up to 30 s, then SIGKILL. Ok when it ended with code 0.
  Status Stop();
  // SIGKILL; waits until it is gone.
  void Kill();

 private:
  Child(std::string name, std::string log, pid_t pid, int process, int output);
  Status Ended() const;

  const std::string name_;
  const std::string log_;
  pid_t pid_;
  int process_;  // pidfd
  int output_;
  std::string unread_;
};

// A JobTracker with a store that is empty at first, and a TaskTracker with one runner: "noop" of
// the jobs of a Board, "fire" of the schedules of a FireLog.
class Cluster {
 public:
  struct Options {
    std::string jobtracker;  // the program
    std::string self;        // this program
    std::string folder;      // new; data and logs
    int slots = 1'024;
    std::vector<std::string> jobtracker_options;  // behind ours
    // The plugin and lts-runner-host: isolation process; empty: thread.
    std::vector<std::string> hosted;
  };
  // What all partitions have counted. The JobTracker copies its counts once a second.
  struct Counts {
    std::uint64_t accepted = 0;
    std::uint64_t dispatched = 0;
    std::uint64_t succeeded = 0;
    std::uint64_t commits = 0;
    std::uint64_t mutations = 0;
    std::uint64_t lost = 0;
    std::uint64_t stale = 0;
    std::uint64_t retried = 0;
    std::uint64_t fires = 0;
    std::uint64_t fires_skipped = 0;
    std::uint64_t ready = 0;  // due jobs in memory
  };

  static Result<std::unique_ptr<Cluster>> Start(const Options& options, const Board& board);
  // The JobTracker alone.
  static Result<std::unique_ptr<Cluster>> StartAlone(const Options& options);
  Status StartTaskTracker(const Board& board);
  Status StartTaskTracker(const FireLog& log);
  Status StopTaskTracker();
  // The JobTracker ends, by SIGKILL or SIGTERM, and starts on the same store, at another address.
  // No TaskTracker may be there.
  Status RestartJobTracker(bool kill);
  // When the JobTracker of now was started, and how long it took until it said READY.
  std::int64_t started_ns() const { return started_ns_; }
  double ready_ms() const { return ready_ms_; }

  const std::string& address() const { return address_; }
  std::string registry() const { return "jobtracker://" + address_; }
  pid_t jobtracker() const { return jobtracker_->pid(); }
  pid_t tasktracker() const { return tasktracker_ != nullptr ? tasktracker_->pid() : 0; }
  // Waits `ms`; the error of a process that has ended.
  Status AliveFor(int ms);
  // From /metrics, once they say that `succeeded` jobs have ended.
  Result<Counts> CountsAt(std::uint64_t succeeded);
  // As they are on the page.
  Result<Counts> ReadCounts() const;
  Status Stop();

  static constexpr const char* kGroup = "bench_workers";

 private:
  explicit Cluster(Options options) : options_(std::move(options)) {}
  Status StartJobTracker();
  Status StartTaskTracker(const std::string& runner, int fd, std::size_t entries);

  const Options options_;
  std::int64_t started_ns_ = 0;
  double ready_ms_ = 0;
  std::string address_;
  std::string ops_;
  std::unique_ptr<Child> jobtracker_;
  std::unique_ptr<Child> tasktracker_;  // stops first
};

}  // namespace lts::bench

// The runner hosts of a TaskTracker: started when there is work for them, kept for the next attempt
// of the same runner, ended when they are idle for long.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "lts/status.h"
#include "tasktracker/runners/host_process.h"
#include "tasktracker/runners/isolation.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

struct HostPoolOptions {
  std::string program;  // lts-runner-host
  // Hosts that are kept, busy ones included; a busy one is never refused.
  int hosts_max = 64;
  DurationMs idle_ms = 60'000;  // the last host of each runner stays all the same
  RunnerLimits limits;
};

// What a host is for.
struct HostedRunner {
  std::string name;
  std::string plugin;                         // path; empty: exec
  std::map<std::string, std::string> config;  // without prefix
  std::vector<std::string> exec_allow;
  ResourceLimits limits;
};

// Thread-safe. Held by everybody who may hold a host. Its last holder ends what is idle, which
// takes at most kill_grace_ms.
class HostPool : public std::enable_shared_from_this<HostPool> {
 public:
  // A host in use. Not returned, its process is killed.
  class Loan {
   public:
    Loan(std::shared_ptr<HostPool> pool, const HostedRunner& runner,
         std::unique_ptr<HostProcess> host)
        : pool_(std::move(pool)), runner_(&runner), host_(std::move(host)) {}
    ~Loan();
    Loan(Loan&&) = default;
    Loan& operator=(Loan&&) = delete;

    HostProcess& host() { return *host_; }
    // It has ended its attempt and can take the next one.
    void Return() &&;

   private:
    std::shared_ptr<HostPool> pool_;
    const HostedRunner* runner_;
    std::unique_ptr<HostProcess> host_;
  };

  struct Counts {
    std::int64_t alive = 0;
    std::uint64_t started = 0;
    std::uint64_t failed = 0;  // crashed, refused to start, or killed
  };

  static Result<std::shared_ptr<HostPool>> Open(HostPoolOptions options, const Clock& clock);
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

  // The runners that a plugin offers, asked for in a process that ends with the answer.
  Result<std::vector<std::string>> List(const std::string& plugin);
  // That the runner can be created, which is tried once per pool. `runner` is borrowed for the
  // call.
  Status Check(const HostedRunner& runner);
  // A host with a runner object. `runner` must outlive the loan. Errors: HostProcess::Open, Create.
  Result<Loan> Borrow(const HostedRunner& runner, const HostPatience& patience);

  // Every host, busy or not, is killed by its keeper at this time of CLOCK_MONOTONIC, whatever
  // becomes of this process meanwhile. 0: never. Does not block.
  void SetEndBy(std::int64_t end_by_us);

  // Takes the lock on the file `path`, which is made, and keeps it as long as this process or one
  // of its hosts lives that are started from now on. Waits up to 20 s, and says so in the log,
  // for what is left of an earlier process that had it. Once, before attempts are run.
  Status TakeLock(const std::string& path);

  Counts counts() const;

 private:
  struct Idle {
    std::unique_ptr<HostProcess> host;
    std::int64_t since_us = 0;
  };
  using Hosts = std::vector<std::unique_ptr<HostProcess>>;

  HostPool(HostPoolOptions options, UniqueFd lease_fd, LeasePage* lease, const Clock& clock);
  Result<std::unique_ptr<HostProcess>> StartHost();
  void Drop(std::unique_ptr<HostProcess> host);
  void Return(const std::string& runner, std::unique_ptr<HostProcess> host);
  void TakeSurplus(Hosts* out);
  void End(Hosts hosts);
  void EndLater(Hosts hosts);
  void Sweep();

  const HostPoolOptions options_;
  const Clock& clock_;
  const UniqueFd lease_fd_;
  LeasePage* const lease_;
  std::atomic<int> lock_fd_{-1};  // owned; set once

  mutable std::mutex mutex_;
  std::map<std::string, std::vector<Idle>> idle_;  // by runner; the last was used last
  std::set<const HostProcess*> alive_;
  std::set<std::string> checked_;
  int busy_ = 0;
  int idle_count_ = 0;
  bool sweeping_ = false;  // a sweep is to come
  std::uint64_t started_ = 0;
  std::uint64_t failed_ = 0;

  // A process ends with the thread that started it, so that thread is this one; and ending hosts,
  // which may take them a while, holds up no start.
  ThreadStrand starter_{"lts-host-start"};
  ThreadStrand ender_{"lts-host-end"};
};

}  // namespace lts::runners

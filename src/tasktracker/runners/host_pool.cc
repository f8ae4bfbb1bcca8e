#include "tasktracker/runners/host_pool.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <new>

#include "common/log.h"

namespace lts::runners {
namespace {

// For a plugin to load and a runner to be made; beyond, it hangs.
constexpr std::int64_t kStartUs = 60'000'000;
// For what is left of an earlier process, which is killed already; beyond, something hangs in the
// kernel, or a process that is no runner holds the descriptor.
constexpr std::int64_t kLockUs = 20'000'000;
constexpr int kLockLookMs = 20;

}  // namespace

HostPool::Loan::~Loan() {
  if (host_ != nullptr) pool_->Drop(std::move(host_));
}

void HostPool::Loan::Return() && { pool_->Return(runner_->name, std::move(host_)); }

Result<std::shared_ptr<HostPool>> HostPool::Open(HostPoolOptions options, const Clock& clock) {
  if (access(options.program.c_str(), X_OK) != 0) {
    return Status::NotFound(options.program + " cannot be started: " + std::strerror(errno));
  }
  UniqueFd memory(memfd_create("lts-lease", MFD_CLOEXEC));
  if (!memory.valid() || ftruncate(memory.get(), sizeof(LeasePage)) != 0) {
    return Status::ResourceExhausted(std::string("memory for the lease: ") + std::strerror(errno));
  }
  void* const page =
      mmap(nullptr, sizeof(LeasePage), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (page == MAP_FAILED) {
    return Status::ResourceExhausted(std::string("memory for the lease: ") + std::strerror(errno));
  }
  return std::shared_ptr<HostPool>(
      new HostPool(std::move(options), std::move(memory), new (page) LeasePage{}, clock));
}

HostPool::HostPool(HostPoolOptions options, UniqueFd lease_fd, LeasePage* lease, const Clock& clock)
    : options_(std::move(options)), clock_(clock), lease_fd_(std::move(lease_fd)), lease_(lease) {}

HostPool::~HostPool() {
  ender_.Stop();
  Hosts left;
  for (auto& [runner, hosts] : idle_) {
    for (Idle& idle : hosts) left.push_back(std::move(idle.host));
  }
  End(std::move(left));
  starter_.Stop();
  munmap(lease_, sizeof(LeasePage));
  const UniqueFd lock(lock_fd_);
}

Status HostPool::TakeLock(const std::string& path) {
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid()) return Status::Unavailable(path + ": " + std::strerror(errno));
  // The lock belongs to what was opened, which all who have got the descriptor share.
  const std::int64_t until_us = clock_.MonotonicUs() + kLockUs;
  bool said = false;
  while (flock(file.get(), LOCK_EX | LOCK_NB) == -1) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return Status::Unavailable(path + ": " + std::strerror(errno));
    }
    if (!std::exchange(said, true)) {
      LTS_WARN("waiting for the runners of an earlier process to end lock={}", path);
    }
    if (clock_.MonotonicUs() >= until_us) {
      LTS_ERROR("runners of an earlier process have not ended, going on beside them lock={}", path);
      break;
    }
    poll(nullptr, 0, kLockLookMs);  // a lock that can be given up has no other way to wait
  }
  lock_fd_ = std::move(file).Release();
  return Status::Ok();
}

Result<std::unique_ptr<HostProcess>> HostPool::StartHost() {
  using Started = Result<std::unique_ptr<HostProcess>>;
  std::promise<Started> promise;
  std::future<Started> started = promise.get_future();
  starter_.Post([&] {
    promise.set_value(
        HostProcess::Start(options_.program, lease_fd_.get(), lock_fd_, options_.limits, clock_));
  });
  Started host = started.get();
  if (!host.ok()) return host.status().WithContext(options_.program);
  const std::lock_guard lock(mutex_);
  alive_.insert(host->get());
  ++started_;
  return host;
}

Result<std::vector<std::string>> HostPool::List(const std::string& plugin) {
  Result<std::unique_ptr<HostProcess>> host = StartHost();
  if (!host.ok()) return host.status();
  auto names = (*host)->Open({plugin, {}}, {clock_.MonotonicUs() + kStartUs, -1, 0});
  Hosts done;
  done.push_back(*std::move(host));
  EndLater(std::move(done));
  return names;
}

Status HostPool::Check(const HostedRunner& runner) {
  {
    const std::lock_guard lock(mutex_);
    if (checked_.contains(runner.name)) return Status::Ok();
  }
  Result<Loan> loan = Borrow(runner, {clock_.MonotonicUs() + kStartUs, -1, 0});
  if (!loan.ok()) return loan.status();
  std::move(*loan).Return();
  const std::lock_guard lock(mutex_);
  checked_.insert(runner.name);
  return Status::Ok();
}

Result<HostPool::Loan> HostPool::Borrow(const HostedRunner& runner, const HostPatience& patience) {
  Hosts surplus;
  {
    std::unique_lock lock(mutex_);
    std::vector<Idle>& idle = idle_[runner.name];
    while (!idle.empty()) {
      std::unique_ptr<HostProcess> host = std::move(idle.back().host);
      idle.pop_back();
      --idle_count_;
      ++busy_;
      if (host->Usable()) return Loan(shared_from_this(), runner, std::move(host));
      lock.unlock();
      LTS_WARN("an idle runner host has ended, or speaks unasked runner={} pid={}", runner.name,
               host->keeper());
      Drop(std::move(host));
      lock.lock();
    }
    ++busy_;
    TakeSurplus(&surplus);
  }
  EndLater(std::move(surplus));

  const auto give_up = [this](const Status& status) {
    const std::lock_guard lock(mutex_);
    --busy_;
    return status;
  };
  Result<std::unique_ptr<HostProcess>> started = StartHost();
  if (!started.ok()) return give_up(started.status());
  HostPatience bounded = patience;
  bounded.until_us = std::min(patience.until_us, clock_.MonotonicUs() + kStartUs);
  Loan loan(shared_from_this(), runner, *std::move(started));
  const auto opened = loan.host().Open({runner.plugin, runner.limits}, bounded);
  if (!opened.ok()) return opened.status();
  LTS_RETURN_IF_ERROR(loan.host().Create(
      {runner.name, runner.config, runner.exec_allow, options_.limits}, bounded));
  return loan;
}

void HostPool::Drop(std::unique_ptr<HostProcess> host) {
  {
    const std::lock_guard lock(mutex_);
    alive_.erase(host.get());
    --busy_;
    ++failed_;
  }
  host.reset();
}

void HostPool::Return(const std::string& runner, std::unique_ptr<HostProcess> host) {
  Hosts surplus;
  {
    const std::lock_guard lock(mutex_);
    --busy_;
    ++idle_count_;
    idle_[runner].push_back({std::move(host), clock_.MonotonicUs()});
    TakeSurplus(&surplus);
    if (idle_count_ > 1 && !sweeping_) {
      sweeping_ = true;
      ender_.PostAfter(options_.idle_ms * 1000, [this] { Sweep(); });
    }
  }
  EndLater(std::move(surplus));
}

// Under the lock.
void HostPool::TakeSurplus(Hosts* out) {
  while (idle_count_ > 0 && busy_ + idle_count_ > options_.hosts_max) {
    std::vector<Idle>* oldest = nullptr;
    for (auto& [runner, hosts] : idle_) {
      if (hosts.empty()) continue;
      if (oldest == nullptr || hosts.front().since_us < oldest->front().since_us) oldest = &hosts;
    }
    out->push_back(std::move(oldest->front().host));
    oldest->erase(oldest->begin());
    --idle_count_;
  }
}

void HostPool::Sweep() {
  Hosts surplus;
  {
    const std::lock_guard lock(mutex_);
    const std::int64_t before_us = clock_.MonotonicUs() - options_.idle_ms * 1000;
    bool more = false;
    for (auto& [runner, hosts] : idle_) {
      while (hosts.size() > 1 && hosts.front().since_us <= before_us) {
        surplus.push_back(std::move(hosts.front().host));
        hosts.erase(hosts.begin());
        --idle_count_;
      }
      more = more || hosts.size() > 1;
    }
    sweeping_ = more;
    // Not more often than this: a host may stay for twice the time.
    if (more) ender_.PostAfter(options_.idle_ms * 1000, [this] { Sweep(); });
  }
  End(std::move(surplus));
}

void HostPool::EndLater(Hosts hosts) {
  if (hosts.empty()) return;
  auto shared = std::make_shared<Hosts>(std::move(hosts));
  ender_.Post([this, shared] { End(std::move(*shared)); });
}

// All at once, so that several that do not end take no longer than one.
void HostPool::End(Hosts hosts) {
  for (const auto& host : hosts) host->AskToEnd();
  const std::int64_t until_us = clock_.MonotonicUs() + options_.limits.kill_grace_ms * 1000;
  for (const auto& host : hosts) host->AwaitEnd(until_us);
  const std::lock_guard lock(mutex_);
  for (const auto& host : hosts) alive_.erase(host.get());
}

void HostPool::SetEndBy(std::int64_t end_by_us) {
  const std::int64_t before_us = lease_->end_by_us.exchange(end_by_us, std::memory_order_acq_rel);
  Hosts ended;
  {
    const std::lock_guard lock(mutex_);
    if (before_us != 0 && clock_.MonotonicUs() >= before_us) {
      // Their keepers kill them, or have done so: an attempt that got one now would end with it.
      for (auto& [runner, hosts] : idle_) {
        for (Idle& idle : hosts) ended.push_back(std::move(idle.host));
        hosts.clear();
      }
      idle_count_ = 0;
    }
    const bool later = before_us != 0 && (end_by_us == 0 || end_by_us >= before_us);
    if (!later && end_by_us != before_us) {
      for (const HostProcess* host : alive_) host->WakeKeeper();
    }
  }
  EndLater(std::move(ended));
}

HostPool::Counts HostPool::counts() const {
  const std::lock_guard lock(mutex_);
  return {static_cast<std::int64_t>(alive_.size()), started_, failed_};
}

}  // namespace lts::runners

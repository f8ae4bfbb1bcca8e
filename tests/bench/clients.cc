#include "bench/clients.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "bench/processes.h"
#include "lts/v1/cluster.pb.h"
#include "rpc/channel.h"

namespace lts::bench {
namespace {

constexpr std::int64_t kCallMs = 30'000;

}  // namespace

Result<std::unique_ptr<JobClient>> OpenClient(const std::string& registry) {
  JobClientOptions options;
  options.registry_address = registry;
  options.node_group = "bench_client";
  options.submit_timeout = std::chrono::seconds(60);
  return JobClient::Open(std::move(options));
}

Status SubmitInBatches(JobClient& client, const BatchPlan& plan,
                       const std::function<Job(std::uint64_t)>& make,
                       const std::function<void(std::uint64_t, const SubmitReceipt&)>& accepted) {
  std::atomic<std::uint64_t> next{plan.first};
  std::mutex mutex;
  Status refused;
  const auto size = static_cast<std::uint64_t>(plan.batch);
  const auto submit = [&] {
    for (std::uint64_t i; (i = next.fetch_add(size, std::memory_order_relaxed)) < plan.end;) {
      const std::uint64_t stop = std::min(i + size, plan.end);
      std::vector<Job> jobs;
      jobs.reserve(size);
      for (std::uint64_t n = i; n < stop; ++n) jobs.push_back(make(n));
      const auto receipts = client.SubmitAll(jobs);
      for (std::uint64_t n = i; n < stop; ++n) {
        const Result<SubmitReceipt>& receipt = receipts[n - i];
        if (receipt.ok() && receipt->outcome == SubmitOutcome::kAccepted) {
          if (accepted) accepted(n, *receipt);
          continue;
        }
        const std::lock_guard lock(mutex);
        if (!refused.ok()) return;
        refused = receipt.ok() ? Status::Internal(fmt::format("job {}: {}", n,
                                                              SubmitOutcomeName(receipt->outcome)))
                               : receipt.status();
        next.store(plan.end, std::memory_order_relaxed);
        return;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < plan.threads; ++i) threads.emplace_back(submit);
  for (std::thread& thread : threads) thread.join();
  return refused;
}

std::unique_ptr<jobclient::Trackers> OpenTrackers(const std::string& address) {
  return std::make_unique<jobclient::Trackers>(std::vector<std::string>{address},
                                               rpc::MakeGrpcChannel);
}

Result<v1::GroupView> ViewOfGroup(jobclient::Trackers& trackers) {
  auto groups = trackers.Call(&rpc::Channel::Groups, v1::GroupsRequest(), kCallMs);
  if (!groups.ok()) return groups.status();
  for (const v1::GroupView& group : groups->groups()) {
    if (group.group() == Cluster::kGroup) return group;
  }
  return v1::GroupView();
}

}  // namespace lts::bench

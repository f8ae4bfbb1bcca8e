// What the driver does as a client: submits many jobs, and asks the JobTracker what it holds.
#pragma once

#include <lts/job_client.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "jobclient/trackers.h"
#include "lts/status.h"
#include "lts/v1/types.pb.h"

namespace lts::bench {

Result<std::unique_ptr<JobClient>> OpenClient(const std::string& registry);

// Jobs [first, end) by SubmitAll, `batch` a call, shared out among the threads.
struct BatchPlan {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  int batch = 2'000;
  int threads = 2;
};
// Returns when all are answered. `make` and `accepted` (may be empty) are called from all of these
// threads, for each number once. An error when one was not accepted.
Status SubmitInBatches(JobClient& client, const BatchPlan& plan,
                       const std::function<Job(std::uint64_t)>& make,
                       const std::function<void(std::uint64_t, const SubmitReceipt&)>& accepted);

// What the JobTracker says of the group of this benchmark; all zero when it does not know it.
Result<v1::GroupView> ViewOfGroup(jobclient::Trackers& trackers);
std::unique_ptr<jobclient::Trackers> OpenTrackers(const std::string& address);

}  // namespace lts::bench

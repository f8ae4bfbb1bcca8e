// What happens to a job in the client before anything is sent.
#pragma once

#include <mutex>
#include <string>

#include "common/clock.h"
#include "common/ids.h"
#include "lts/job_client.h"
#include "lts/status.h"
#include "model/job.h"
#include "model/validate.h"

namespace lts::jobclient {

// Gives jobs what their submitters left open, and validates them. Thread-safe.
class JobChecker {
 public:
  // `options` lives longer.
  explicit JobChecker(const JobClientOptions& options);

  // Fills in the id and the group that is told of the end; then the errors of model::ValidateJob.
  Status Complete(TimeMs now_ms, model::JobSpec* spec);
  // A new id.
  std::string NextId(TimeMs now_ms);

 private:
  const JobClientOptions& options_;
  model::JobLimits limits_;
  std::mutex ids_mutex_;
  UuidGenerator ids_;
};

}  // namespace lts::jobclient

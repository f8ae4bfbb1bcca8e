#include "jobclient/job_checker.h"

namespace lts::jobclient {

JobChecker::JobChecker(const JobClientOptions& options) : options_(options), ids_(RandomSeed()) {
  limits_.payload_bytes_max = static_cast<std::size_t>(options_.payload_bytes_max);
}

std::string JobChecker::NextId(TimeMs now_ms) {
  const std::lock_guard lock(ids_mutex_);
  return ids_.Next(now_ms);
}

Status JobChecker::Complete(TimeMs now_ms, model::JobSpec* spec) {
  if (spec->job_id.empty()) spec->job_id = NextId(now_ms);
  if (spec->submit_group.empty()) spec->submit_group = options_.node_group;
  return model::ValidateJob(*spec, limits_, now_ms);
}

}  // namespace lts::jobclient

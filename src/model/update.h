// Changes of a job that was accepted: which fields may change, and what the job is then. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/clock.h"
#include "lts/status.h"
#include "model/job.h"
#include "model/validate.h"

namespace lts::model {

// The new values of the named fields; other fields of `values` mean nothing. Names are those of the
// protobuf message lts.v1.Job ("priority", "cron_expression" …). "params" stands for all
// parameters, "params.KEY" for one: it goes when `values` does not have it.
struct JobUpdate {
  JobSpec values;
  std::vector<std::string> fields;
};

// What an update leads to, and what of the job has to be judged anew for it.
struct UpdatedSpec {
  JobSpecPtr spec;
  bool timing = false;  // of a schedule: its fires; of a one-shot: its trigger time or delay
  bool expiry = false;  // expires_in_ms is counted anew
  bool priority = false;
  // What is different, for people: "priority 100 -> 50, params {k=1} -> {k=2}". Values are cut off
  // after 80 bytes, of payloads only the size is told.
  std::string changes;
};

// kInvalidArgument: no field is named, one is unknown or cannot change, or the job would not be
// valid with it (as ValidateJob says); also when it would turn a one-shot into a schedule or the
// other way round.
Result<UpdatedSpec> ApplyUpdate(const JobSpec& spec, const JobUpdate& update,
                                const JobLimits& limits, TimeMs now_ms);

// A separate run of `spec` under an id of its own, due at once, with `params` over those of the
// job. kInvalidArgument or kFailedPrecondition as ValidateJob says.
Result<JobSpecPtr> RunOnce(const JobSpec& spec, const std::string& job_id,
                           const std::map<std::string, std::string>& params,
                           const JobLimits& limits);

}  // namespace lts::model

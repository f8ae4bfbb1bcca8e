// When a CRON or REPEAT job fires. Pure: times in, times out.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "lts/status.h"
#include "model/job.h"

namespace lts::model {

// The fire times of one schedule: parsed once, asked many times. Immutable, thread-safe.
class FireTimes {
 public:
  virtual ~FireTimes() = default;
  // The first fire strictly after `after_ms`, or nothing when there is none. start_time_ms and
  // end_time_ms of the definition are respected; repeat_count is not (skips do not count towards
  // it).
  virtual std::optional<TimeMs> Next(TimeMs after_ms) const = 0;
};

// For a spec with IsSchedule(). `accepted_ms` is when the schedule was accepted: the base of REPEAT
// is its trigger time, raised to `accepted_ms` when absent or past; later fires are base + k *
// interval. The base may itself be a fire, also when it equals `accepted_ms`: ask first for
// Next(accepted_ms - 1). Cron fires are later than `accepted_ms`; those of @every are one interval,
// two … after it, or after start_time_ms. `default_zone` is used when the spec names none. Errors:
// kInvalidArgument with position and reason.
Result<std::shared_ptr<const FireTimes>> MakeFireTimes(const JobSpec& spec, TimeMs accepted_ms,
                                                       const std::string& default_zone);

}  // namespace lts::model

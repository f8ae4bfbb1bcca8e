// Between the public types of libjobclient, the model and the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/clock.h"
#include "lts/job.h"
#include "lts/status.h"
#include "lts/v1/client.pb.h"
#include "lts/v1/feedback.pb.h"
#include "lts/v1/types.pb.h"
#include "model/job.h"

namespace lts::jobclient {

model::JobSpec SpecFrom(const Job::Values& values);

JobState JobStateFrom(v1::JobState state);
JobView JobViewFrom(const v1::JobView& view);
JobResult JobResultFrom(const v1::FeedbackItem& item);

// 0 is "none" on the wire.
std::optional<SystemTime> TimeFrom(TimeMs time);

}  // namespace lts::jobclient

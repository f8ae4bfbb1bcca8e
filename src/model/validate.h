// What a job and its names may look like. Checked where a job enters: in the client library, so
// that mistakes come back at once, and again by the JobTracker, which trusts nobody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/duration.h"
#include "lts/status.h"
#include "model/job.h"

namespace lts::model {

inline constexpr std::size_t kNameCharactersMax = 64;
inline constexpr std::size_t kParamKeyBytesMax = 256;
inline constexpr std::int32_t kPriorityMin = -10'000;
inline constexpr std::int32_t kPriorityMax = 10'000;
inline constexpr std::int32_t kRetryTimesMax = 1'000;
inline constexpr std::int64_t kRepeatCountMax = 1'000'000'000;
inline constexpr DurationMs kRepeatIntervalMsMin = 10;
inline constexpr DurationMs kJobDurationMsMax = 3'650 * kDayMs;  // of delays, intervals, time-outs

// The limits that the configuration can change.
struct JobLimits {
  std::size_t payload_bytes_max = std::size_t{64} << 10;  // job.payload.max: payload and parameters
  std::int32_t catch_up_max = 1'000;
  std::string default_time_zone = "UTC";
};

// The name of a group, cluster or runner: 1–64 characters, letters of any script, digits, `.` `_`
// `:`
// `-`. Beyond ASCII the rule is conservative and needs no Unicode tables of its own: refused are
// the blocks of punctuation, symbols, blanks, invisible and private characters; what remains are
// letters, their marks and digits (and a few signs of single scripts). `field` is put in front of
// the message.
Status ValidateName(std::string_view field, std::string_view name);

// A task id: 1–64 characters of valid UTF-8 without control characters, kept byte for byte.
Status ValidateTaskId(std::string_view task_id);

// kInvalidArgument naming the field (as in the protobuf message lts.v1.Job), the value, and what
// would be right. kFailedPrecondition for a payload over the configured limit: the job is well
// formed, and another cluster may take it. A cron expression must have a fire after `now_ms`.
// kUnavailable when the host has no time zone files. May read a time zone file, once for each zone;
// otherwise pure. Thread-safe.
Status ValidateJob(const JobSpec& spec, const JobLimits& limits, TimeMs now_ms = 0);

}  // namespace lts::model

#include "model/schedule.h"

#include <algorithm>
#include <utility>

#include "common/duration.h"
#include "model/cron.h"
#include "model/time_zone.h"

namespace lts::model {
namespace {

constexpr TimeMs kEndOfFiresMs = 7'258'118'400'000;  // 2200-01-01T00:00:00Z
// Local times and UTC differ by less than this everywhere.
constexpr TimeMs kZoneReachMs = 2 * kDayMs;

std::int64_t FloorSeconds(TimeMs time_ms) {
  return time_ms >= 0 ? time_ms / 1000 : -((999 - time_ms) / 1000);
}

// The times between which a schedule may fire, both included.
struct Bounds {
  TimeMs first = 0;
  TimeMs last = 0;
};

Bounds BoundsOf(const JobSpec& spec, TimeMs accepted_ms) {
  return {std::max(accepted_ms, std::min(spec.start_time_ms, kEndOfFiresMs)),
          spec.end_time_ms > 0 ? std::min(spec.end_time_ms, kEndOfFiresMs) : kEndOfFiresMs};
}

class CronFireTimes final : public FireTimes {
 public:
  CronFireTimes(const CronExpression& cron, std::shared_ptr<const TimeZone> zone, Bounds bounds)
      : cron_(cron), zone_(std::move(zone)), bounds_(bounds) {}

  std::optional<TimeMs> Next(TimeMs after_ms) const override {
    if (after_ms >= bounds_.last) return std::nullopt;
    const auto next = cron_.NextAfter(FloorSeconds(std::max(after_ms, bounds_.first - 1)), *zone_);
    if (!next || *next * 1000 > bounds_.last) return std::nullopt;
    return *next * 1000;
  }

 private:
  const CronExpression cron_;
  const std::shared_ptr<const TimeZone> zone_;
  const Bounds bounds_;
};

// base + k * interval, k = 0, 1, 2 …
class ElapsedFireTimes final : public FireTimes {
 public:
  ElapsedFireTimes(TimeMs base_ms, DurationMs interval_ms, Bounds bounds)
      : base_ms_(base_ms), interval_ms_(interval_ms), bounds_(bounds) {}

  std::optional<TimeMs> Next(TimeMs after_ms) const override {
    if (after_ms >= bounds_.last) return std::nullopt;  // also keeps the sums below in range
    const TimeMs at_least = std::max(after_ms, bounds_.first - 1) + 1;
    TimeMs next = base_ms_;
    if (at_least > base_ms_) {
      const std::int64_t cycles = (at_least - base_ms_ + interval_ms_ - 1) / interval_ms_;
      next += cycles * interval_ms_;
    }
    if (next > bounds_.last) return std::nullopt;
    return next;
  }

 private:
  const TimeMs base_ms_;
  const DurationMs interval_ms_;
  const Bounds bounds_;
};

TimeMs BaseOf(const JobSpec& spec, TimeMs accepted_ms) {
  if (spec.trigger_delay_ms) {
    return accepted_ms + std::clamp<DurationMs>(*spec.trigger_delay_ms, 0, kEndOfFiresMs);
  }
  return std::clamp(spec.trigger_time_ms.value_or(accepted_ms), accepted_ms,
                    std::max(accepted_ms, kEndOfFiresMs + 1));
}

}  // namespace

Result<std::shared_ptr<const FireTimes>> MakeFireTimes(const JobSpec& spec, TimeMs accepted_ms,
                                                       const std::string& default_zone) {
  const Bounds bounds = BoundsOf(spec, accepted_ms);
  if (spec.IsRepeat()) {
    if (spec.repeat_interval_ms > kEndOfFiresMs) {
      return Status::InvalidArgument("repeat_interval " + std::to_string(spec.repeat_interval_ms) +
                                     " ms never ends");
    }
    return std::shared_ptr<const FireTimes>(std::make_shared<ElapsedFireTimes>(
        BaseOf(spec, accepted_ms), spec.repeat_interval_ms, bounds));
  }
  if (!spec.IsCron()) {
    return Status::InvalidArgument("job " + spec.job_id +
                                   " has neither a cron expression nor a "
                                   "repeat_interval with a repeat_count");
  }

  auto cron = CronExpression::Parse(spec.cron);
  if (!cron.ok()) return cron.status().WithContext("cron \"" + spec.cron + "\"");
  if (const auto interval_ms = cron->interval_ms()) {
    // Like "the next fire after now" of the other forms: the first fire is one interval after the
    // base.
    return std::shared_ptr<const FireTimes>(
        std::make_shared<ElapsedFireTimes>(bounds.first + *interval_ms, *interval_ms, bounds));
  }
  const auto zone = FindTimeZone(spec.time_zone.empty() ? default_zone : spec.time_zone);
  if (!zone.ok()) return zone.status();
  // Strictly after the acceptance, as the user's "now" has passed by then; at the start time
  // itself.
  Bounds cron_bounds = bounds;
  // The last year ends in local time, which the expression knows.
  if (spec.end_time_ms <= 0) cron_bounds.last = kEndOfFiresMs + kZoneReachMs;
  if (accepted_ms >= spec.start_time_ms) cron_bounds.first = accepted_ms + 1;
  return std::shared_ptr<const FireTimes>(
      std::make_shared<CronFireTimes>(*cron, *zone, cron_bounds));
}

}  // namespace lts::model

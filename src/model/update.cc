#include "model/update.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "model/retry.h"

namespace lts::model {
namespace {

enum class Part : std::uint8_t {
  kContents,  // what the runner gets and how its end is judged
  kPriority,
  kExpiry,
  kTrigger,   // the due time of a one-shot, the base of a REPEAT
  kSchedule,  // when a schedule fires
  kPolicy,    // what a schedule does with its fires
};

struct Field {
  std::string_view name;
  Part part;
  void (*copy)(const JobSpec& from, JobSpec* to);
  std::string (*text)(const JobSpec& of);
};

// Not in the middle of a character.
std::string Cut(std::string text) {
  constexpr std::size_t kBytes = 80;
  if (text.size() <= kBytes) return text;
  std::size_t at = kBytes;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U) --at;
  return text.erase(at) + "...";
}

std::string Text(bool value) { return value ? "true" : "false"; }
std::string Text(std::int64_t value) { return std::to_string(value); }
std::string Text(std::int32_t value) { return std::to_string(value); }
std::string Text(const std::string& value) { return '"' + Cut(value) + '"'; }
std::string Text(const RetryPolicy& value) { return ToString(value); }
std::string Text(MisfirePolicy value) {
  constexpr std::array kNames = {"default", "fire_once", "skip", "catch_up"};
  return kNames.at(static_cast<std::size_t>(value));
}
std::string Text(const std::map<std::string, std::string>& params) {
  std::string text;
  for (const auto& [key, value] : params) text += (text.empty() ? "" : ", ") + key + "=" + value;
  return '{' + Cut(std::move(text)) + '}';
}
template <typename Value>
std::string Text(const std::optional<Value>& value) {
  return value ? Text(*value) : "none";
}

#define LTS_UPDATE_FIELD(name, part, member)                                        \
  Field {                                                                           \
    name, part, [](const JobSpec& from, JobSpec* to) { to->member = from.member; }, \
        [](const JobSpec& of) { return Text(of.member); }                           \
  }

// What can change, by the names of lts.v1.Job.
constexpr std::array kFields = {
    LTS_UPDATE_FIELD("submit_node_group", Part::kContents, submit_group),
    LTS_UPDATE_FIELD("runner", Part::kContents, runner),
    LTS_UPDATE_FIELD("params", Part::kContents, params),
    Field{"payload", Part::kContents,
          [](const JobSpec& from, JobSpec* to) { to->payload = from.payload; },
          [](const JobSpec& of) { return std::to_string(of.payload.size()) + " bytes"; }},
    LTS_UPDATE_FIELD("priority", Part::kPriority, priority),
    LTS_UPDATE_FIELD("max_retry_times", Part::kContents, max_retry_times),
    LTS_UPDATE_FIELD("retry", Part::kContents, retry),
    LTS_UPDATE_FIELD("need_feedback", Part::kContents, need_feedback),
    LTS_UPDATE_FIELD("at_most_once", Part::kContents, at_most_once),
    LTS_UPDATE_FIELD("timeout_ms", Part::kContents, timeout_ms),
    LTS_UPDATE_FIELD("expires_in_ms", Part::kExpiry, expires_in_ms),
    LTS_UPDATE_FIELD("trigger_time_ms", Part::kTrigger, trigger_time_ms),
    LTS_UPDATE_FIELD("trigger_delay_ms", Part::kTrigger, trigger_delay_ms),
    LTS_UPDATE_FIELD("cron_expression", Part::kSchedule, cron),
    LTS_UPDATE_FIELD("time_zone", Part::kSchedule, time_zone),
    LTS_UPDATE_FIELD("repeat_interval_ms", Part::kSchedule, repeat_interval_ms),
    LTS_UPDATE_FIELD("repeat_count", Part::kPolicy, repeat_count),
    LTS_UPDATE_FIELD("start_time_ms", Part::kSchedule, start_time_ms),
    LTS_UPDATE_FIELD("end_time_ms", Part::kSchedule, end_time_ms),
    LTS_UPDATE_FIELD("rely_on_prev_cycle", Part::kPolicy, rely_on_prev_cycle),
    LTS_UPDATE_FIELD("misfire", Part::kPolicy, misfire),
    LTS_UPDATE_FIELD("catch_up_max", Part::kPolicy, catch_up_max),
};

#undef LTS_UPDATE_FIELD

struct Fixed {
  std::string_view name;
  std::string_view why;
};
constexpr std::array kFixed = {
    Fixed{"job_id", "it names the job"},
    Fixed{"task_id", "it names the task; submit a job under the other task and cancel this one"},
    Fixed{"task_tracker_node_group",
          "a job stays in its group; submit it to the other one and cancel this one"},
    Fixed{"replace_on_exist", "it was answered when the job was submitted"},
    Fixed{"fail_if_exists", "it was answered when the job was submitted"},
};

constexpr std::string_view kOneParam = "params.";

// Of all fields that are named, or have changed with one that is.
std::string Changes(const JobSpec& before, const JobSpec& after,
                    const std::vector<std::string>& named) {
  std::string changes;
  for (const Field& field : kFields) {
    const std::string from = field.text(before);
    const std::string to = field.text(after);
    const bool is_named = std::any_of(named.begin(), named.end(), [&](const std::string& name) {
      return name == field.name || (field.name == "params" && name.starts_with(kOneParam));
    });
    if (from == to && !is_named) continue;
    if (!changes.empty()) changes += ", ";
    changes += std::string(field.name) + ' ' + from + " -> " + to;
  }
  return changes;
}

std::string Names() {
  std::string names;
  for (const Field& field : kFields) {
    if (!names.empty()) names += ", ";
    names += field.name;
  }
  return names;
}

}  // namespace

Result<UpdatedSpec> ApplyUpdate(const JobSpec& spec, const JobUpdate& update,
                                const JobLimits& limits, TimeMs now_ms) {
  if (update.fields.empty()) {
    return Status::InvalidArgument("fields: an update names what it changes; one or more of " +
                                   Names());
  }
  auto after = std::make_shared<JobSpec>(spec);
  UpdatedSpec result;
  for (const std::string& name : update.fields) {
    const auto fixed = std::find_if(kFixed.begin(), kFixed.end(),
                                    [&](const Fixed& each) { return each.name == name; });
    if (fixed != kFixed.end()) {
      return Status::InvalidArgument("fields \"" + name + "\": cannot change, " +
                                     std::string(fixed->why));
    }
    if (name.starts_with(kOneParam) && name.size() > kOneParam.size()) {
      const std::string key = name.substr(kOneParam.size());
      after->params.erase(key);
      if (const auto value = update.values.params.find(key); value != update.values.params.end())
        after->params.insert(*value);
      continue;
    }
    const auto field = std::find_if(kFields.begin(), kFields.end(),
                                    [&](const Field& each) { return each.name == name; });
    if (field == kFields.end()) {
      return Status::InvalidArgument("fields \"" + name + "\": a job has no such field; one of " +
                                     Names());
    }
    const bool of_schedules = field->part == Part::kSchedule || field->part == Part::kPolicy;
    if (of_schedules && !spec.IsSchedule()) {
      return Status::InvalidArgument("fields \"" + name + "\": job " + spec.job_id +
                                     " is not a schedule; submit one under its task, or cancel "
                                     "this and submit it as a schedule");
    }
    field->copy(update.values, after.get());
    // Of two ways to say it the new one counts.
    const auto named = [&](std::string_view other) {
      return std::find(update.fields.begin(), update.fields.end(), other) != update.fields.end();
    };
    if (name == "trigger_time_ms" && !named("trigger_delay_ms")) after->trigger_delay_ms.reset();
    if (name == "trigger_delay_ms" && !named("trigger_time_ms")) after->trigger_time_ms.reset();
    if (name == "cron_expression" && !after->cron.empty() && !named("repeat_interval_ms")) {
      after->repeat_interval_ms = 0;
      after->repeat_count = 0;
    }
    if (name == "repeat_interval_ms" && !named("cron_expression")) after->cron.clear();
    switch (field->part) {
      case Part::kContents:
      case Part::kPolicy: break;
      case Part::kPriority: result.priority = true; break;
      case Part::kExpiry: result.expiry = true; break;
      case Part::kTrigger: result.timing = result.timing || !spec.IsCron(); break;
      case Part::kSchedule: result.timing = true; break;
    }
  }
  if (after->IsSchedule() != spec.IsSchedule()) {
    return Status::InvalidArgument(
        "cron_expression \"\": a schedule needs a cron expression, or a repeat_interval_ms with a "
        "repeat_count; to end it, cancel it");
  }
  LTS_RETURN_IF_ERROR(ValidateJob(*after, limits, now_ms));
  result.changes = Changes(spec, *after, update.fields);
  result.spec = std::move(after);
  return result;
}

Result<JobSpecPtr> RunOnce(const JobSpec& spec, const std::string& job_id,
                           const std::map<std::string, std::string>& params,
                           const JobLimits& limits) {
  auto run = std::make_shared<JobSpec>(spec);
  run->job_id = job_id;
  for (const auto& [key, value] : params) run->params[key] = value;
  run->trigger_time_ms.reset();
  run->trigger_delay_ms.reset();
  run->cron.clear();
  run->time_zone.clear();
  run->repeat_count = 0;
  run->repeat_interval_ms = 0;
  run->start_time_ms = run->end_time_ms = 0;
  run->misfire = MisfirePolicy::kDefault;
  run->catch_up_max = 0;
  run->replace_on_exist = run->fail_if_exists = false;
  LTS_RETURN_IF_ERROR(ValidateJob(*run, limits));
  return JobSpecPtr(std::move(run));
}

}  // namespace lts::model

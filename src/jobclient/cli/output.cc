#include "jobclient/cli/output.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "common/daemon.h"
#include "model/job.h"

namespace lts::jobclient::cli {
namespace {

constexpr std::int64_t kExactMax = 1LL << 53;

std::string Base64(const std::string& bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t word = 0;
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) {
      word = word << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text.push_back(k <= count ? kDigits[word >> (18 - 6 * k) & 63U] : '=');
    }
  }
  return text;
}

// Numbers of a newer JobTracker stay numbers.
template <typename Enum>
std::string EnumText(const std::string& name, Enum value) {
  return name.empty() ? std::to_string(static_cast<int>(value)) : name;
}

std::string OutcomeText(v1::Outcome outcome) {
  if (!v1::Outcome_IsValid(outcome)) return std::to_string(static_cast<int>(outcome));
  return std::string(model::Name(static_cast<model::Outcome>(outcome)));
}

std::string TypeText(const v1::Job& job) {
  model::JobSpec spec;
  spec.cron = job.cron_expression();
  spec.repeat_count = job.repeat_count();
  spec.repeat_interval_ms = job.repeat_interval_ms();
  if (job.has_trigger_time_ms()) spec.trigger_time_ms = job.trigger_time_ms();
  if (job.has_trigger_delay_ms()) spec.trigger_delay_ms = job.trigger_delay_ms();
  return std::string(model::Name(spec.Type()));
}

// Tells a schedule from its runs.
std::string KindText(const v1::JobView& view) {
  if (view.schedule()) {
    const std::string type = TypeText(view.job());
    return type == "CRON" || type == "REPEAT" ? type : "SCHEDULE";  // its definition is gone
  }
  switch (view.kind()) {
    case v1::RUN_OCCURRENCE: return "RUN";
    case v1::RUN_TRIGGERED: return "TRIGGER";
    default: return view.cycle_ms() != 0 ? "RUN" : "ONE_SHOT";  // an older JobTracker says no kind
  }
}

// Counted in characters, as far as a terminal shows each in one cell.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

Json TimeJson(TimeMs time) { return time == 0 ? Json(nullptr) : Json(FormatUtc(time)); }

Json NumberJson(std::int64_t number) {
  if (number > kExactMax || number < -kExactMax) return std::to_string(number);
  return number;
}

Json NumberJson(std::uint64_t number) {
  if (number > static_cast<std::uint64_t>(kExactMax)) return std::to_string(number);
  return number;
}

Json TokenJson(const v1::Token& token) {
  const model::Token value{token.epoch(), token.sequence()};
  return value.empty() ? Json(nullptr) : Json(model::ToString(value));
}

std::string StateText(v1::JobState state) {
  if (!v1::JobState_IsValid(state)) return std::to_string(static_cast<int>(state));
  return std::string(model::Name(static_cast<model::JobState>(state)));
}

Json AttemptJson(const v1::AttemptView& attempt) {
  Json json;
  json["attempt"] = attempt.attempt();
  json["cycle"] = TimeJson(attempt.cycle_ms());
  json["token"] = TokenJson(attempt.token());
  json["node"] = attempt.node();
  json["outcome"] = OutcomeText(attempt.outcome());
  json["message"] = attempt.message();
  json["dueAt"] = TimeJson(attempt.due_ms());
  json["startedAt"] = TimeJson(attempt.started_ms());
  json["endedAt"] = TimeJson(attempt.ended_ms());
  json["final"] = attempt.final();
  json["state"] = attempt.final() ? Json(StateText(attempt.state())) : Json(nullptr);
  json["skipped"] = NumberJson(attempt.skipped());
  json["skippedLast"] = TimeJson(attempt.skipped_last_ms());
  json["progressPercent"] =
      attempt.has_progress_percent() ? Json(attempt.progress_percent()) : Json(nullptr);
  json["progressText"] = attempt.progress_text();
  return json;
}

Json JobJson(const v1::JobView& view) {
  const v1::Job& job = view.job();
  Json json;
  json["jobId"] = job.job_id();
  json["taskId"] = job.task_id();
  json["taskTrackerNodeGroup"] = job.task_tracker_node_group();
  json["submitNodeGroup"] = job.submit_node_group();
  json["type"] = TypeText(job);
  json["kind"] = KindText(view);
  json["state"] = StateText(view.state());
  json["message"] = view.message();
  json["nextFireTime"] = TimeJson(view.next_fire_ms());
  json["acceptedAt"] = TimeJson(view.accepted_ms());
  json["endedAt"] = TimeJson(view.ended_ms());
  json["schedule"] = view.schedule();
  json["cycle"] = TimeJson(view.cycle_ms());
  json["runs"] = NumberJson(view.runs());
  json["retries"] = view.retries();
  json["cancelRequested"] = view.cancel_requested();
  json["runner"] = job.runner();
  Json params = Json::object();
  std::vector<std::string> keys;
  for (const auto& [key, value] : job.params()) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) params[key] = job.params().at(key);
  json["params"] = std::move(params);
  json["payload"] = Base64(job.payload());
  json["priority"] = job.has_priority() ? job.priority() : 100;
  json["maxRetryTimes"] = job.max_retry_times();
  json["retry"] = nullptr;
  if (job.has_retry()) {
    Json retry;
    retry["kind"] = EnumText(v1::RetryPolicy::Kind_Name(job.retry().kind()), job.retry().kind());
    retry["initialMs"] = NumberJson(job.retry().initial_ms());
    retry["maxMs"] = NumberJson(job.retry().max_ms());
    json["retry"] = std::move(retry);
  }
  json["needFeedback"] = job.need_feedback();
  json["replaceOnExist"] = job.replace_on_exist();
  json["failIfExists"] = job.fail_if_exists();
  json["relyOnPrevCycle"] = job.has_rely_on_prev_cycle() ? job.rely_on_prev_cycle() : true;
  json["atMostOnce"] = job.at_most_once();
  json["triggerTime"] = TimeJson(job.trigger_time_ms());
  json["triggerDelayMs"] =
      job.has_trigger_delay_ms() ? NumberJson(job.trigger_delay_ms()) : Json(nullptr);
  json["cronExpression"] = job.cron_expression();
  json["timeZone"] = job.time_zone();
  json["repeatCount"] = NumberJson(job.repeat_count());
  json["repeatIntervalMs"] = NumberJson(job.repeat_interval_ms());
  json["startTime"] = TimeJson(job.start_time_ms());
  json["endTime"] = TimeJson(job.end_time_ms());
  json["misfire"] = EnumText(v1::MisfirePolicy_Name(job.misfire()), job.misfire());
  json["catchUpMax"] = job.catch_up_max();
  json["timeoutMs"] = NumberJson(job.timeout_ms());
  json["expiresInMs"] = job.has_expires_in_ms() ? NumberJson(job.expires_in_ms()) : Json(nullptr);
  return json;
}

Json FeedbackJson(const v1::FeedbackItem& item) {
  Json json;
  json["jobId"] = item.job_id();
  json["cycle"] = TimeJson(item.cycle_ms());
  json["attempt"] = item.attempt();
  json["taskId"] = item.task_id();
  json["taskTrackerNodeGroup"] = item.group();
  json["state"] = StateText(item.state());
  json["success"] = item.success();
  json["message"] = item.message();
  json["endedAt"] = TimeJson(item.ended_ms());
  return json;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string CellText(const Json& json) {
  if (json.is_null()) return "-";
  std::string text = json.is_string() ? json.get<std::string>() : Dump(json);
  if (text.empty()) return "-";
  // Messages of jobs must not move the cursor of a terminal or break the table.
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

void Printer::Print(const Json& object) {
  if (format_ == Format::kJson) {
    out_ << Dump(object) << '\n';
    return;
  }
  std::vector<std::string> row;
  row.reserve(columns_.size());
  for (const Column& column : columns_) {
    const auto member = object.find(column.member);
    row.push_back(member == object.end() ? "-" : CellText(*member));
  }
  rows_.push_back(std::move(row));
}

void Printer::EndPage() {
  if (format_ == Format::kJson || (rows_.empty() && headed_)) return;
  if (!headed_) {
    std::vector<std::string> heading;
    for (const Column& column : columns_) heading.push_back(column.heading);
    rows_.insert(rows_.begin(), std::move(heading));
    headed_ = true;
  }
  std::vector<std::size_t> widths(columns_.size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out_ << row[i];
      if (i + 1 < row.size()) out_ << std::string(widths[i] - Width(row[i]) + 2, ' ');
    }
    out_ << '\n';
  }
  rows_.clear();
}

}  // namespace lts::jobclient::cli

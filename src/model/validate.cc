#include "model/validate.h"

#include <algorithm>
#include <array>

#include "common/ids.h"
#include "model/cron.h"
#include "model/retry.h"
#include "model/schedule.h"
#include "model/time_zone.h"
#include "model/utf8.h"

namespace lts::model {
namespace {

constexpr TimeMs kTimeMsMax = 7'258'118'400'000;  // 2200-01-01T00:00:00Z
constexpr std::size_t kQuotedBytesMax = 80;
constexpr std::string_view kNameRule =
    "letters of any script, digits, '.', '_', ':' and '-' are allowed, 1 to 64 characters";

struct CodeRange {
  char32_t first;
  char32_t last;
};
// Beyond ASCII: blocks and places of punctuation, symbols, blanks, invisible and private
// characters.
constexpr std::array kNotInNames = {
    CodeRange{0x0080, 0x00a9},  // C1 controls, Latin-1 signs
    CodeRange{0x00ab, 0x00b4},  // … around the letters ª µ º
    CodeRange{0x00b6, 0x00b9},    CodeRange{0x00bb, 0x00bf},   CodeRange{0x00d7, 0x00d7},  // ×
    CodeRange{0x00f7, 0x00f7},                                                             // ÷
    CodeRange{0x02c2, 0x02c5},  // spacing signs between the modifier letters
    CodeRange{0x02d2, 0x02df},    CodeRange{0x034f, 0x034f},  // invisible joiner
    CodeRange{0x037e, 0x037e},                                // Greek question mark
    CodeRange{0x0387, 0x0387},    CodeRange{0x055a, 0x055f},  // Armenian punctuation
    CodeRange{0x0589, 0x058f},    CodeRange{0x0600, 0x060f},  // Arabic signs and punctuation
    CodeRange{0x061b, 0x061f},    CodeRange{0x066a, 0x066d},   CodeRange{0x06d4, 0x06d4},
    CodeRange{0x0700, 0x070f},  // Syriac punctuation
    CodeRange{0x0964, 0x0965},  // danda
    CodeRange{0x115f, 0x1160},  // Hangul fillers
    CodeRange{0x1680, 0x1680},  // Ogham blank
    CodeRange{0x17b4, 0x17b5},  // invisible Khmer vowels
    CodeRange{0x180b, 0x180f},  // Mongolian separators
    CodeRange{0x2000, 0x2bff},  // punctuation, blanks, symbols, arrows, boxes, dingbats
    CodeRange{0x2e00, 0x2e7f},  // more punctuation
    CodeRange{0x2ff0, 0x3004},  // ideographic description, blank and punctuation
    CodeRange{0x3008, 0x3020},    CodeRange{0x3030, 0x3030},   CodeRange{0x303d, 0x3040},
    CodeRange{0x309b, 0x309c},                                // kana sound marks that stand alone
    CodeRange{0x30a0, 0x30a0},    CodeRange{0x30fb, 0x30fb},  // katakana middle dot
    CodeRange{0x3164, 0x3164},                                // Hangul filler
    CodeRange{0x3200, 0x33ff},                                // enclosed and squared signs
    CodeRange{0xd800, 0xf8ff},                                // surrogates, private use
    CodeRange{0xfd3e, 0xfd4f},                                // Arabic ornaments
    CodeRange{0xfdd0, 0xfdef},                                // non-characters
    CodeRange{0xfe00, 0xfe1f},                                // variation selectors, vertical forms
    CodeRange{0xfe30, 0xfe6f},                                // compatibility and small forms
    CodeRange{0xfeff, 0xff0f},  // byte order mark, full-width punctuation
    CodeRange{0xff1a, 0xff20},    CodeRange{0xff3b, 0xff40},   CodeRange{0xff5b, 0xff65},
    CodeRange{0xffa0, 0xffa0},                                  // half-width Hangul filler
    CodeRange{0xffe0, 0xffff},    CodeRange{0x1d000, 0x1d24f},  // musical notation
    CodeRange{0x1f000, 0x1faff},                                // game tiles, emoji, pictographs
    CodeRange{0xe0000, 0x10ffff},  // tags, variation selectors, private use
};

bool IsNameCharacter(char32_t c) {
  if (c < 0x80) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '-';
  }
  return std::none_of(kNotInNames.begin(), kNotInNames.end(),
                      [c](const CodeRange& range) { return c >= range.first && c <= range.last; });
}

bool IsControl(char32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

// `text` for a message: in quotes, short, anything but visible ASCII and valid UTF-8 as '?'.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    if (quoted.size() > kQuotedBytesMax) {
      quoted += "…";
      break;
    }
    const std::string_view before = text;
    const auto code = TakeCodePoint(text);
    if (!code) text.remove_prefix(1);
    const bool shown = code && !IsControl(*code);
    quoted += shown ? before.substr(0, before.size() - text.size()) : std::string_view("?");
  }
  return quoted + "\"";
}

std::string CodeName(char32_t code) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string name = "U+";
  for (int shift = code > 0xffff ? 20 : 12; shift >= 0; shift -= 4) {
    name.push_back(kHex[code >> shift & 0xf]);
  }
  return name;
}

Status Bad(std::string_view field, std::string_view value, std::string_view right) {
  return Status::InvalidArgument(std::string(field) + " " + std::string(value) + ": " +
                                 std::string(right));
}

template <typename Allowed>
Status ValidateText(std::string_view field, std::string_view text, std::string_view rule,
                    Allowed allowed) {
  if (text.empty()) return Bad(field, "\"\"", "must not be empty; " + std::string(rule));
  std::size_t count = 0;
  for (std::string_view rest = text; !rest.empty(); ++count) {
    const auto code = TakeCodePoint(rest);
    if (!code) {
      return Bad(field, Quoted(text),
                 "not valid UTF-8 at byte " + std::to_string(text.size() - rest.size() + 1));
    }
    if (!allowed(*code)) {
      return Bad(field, Quoted(text),
                 "character " + std::to_string(count + 1) + " (" + CodeName(*code) +
                     ") is not allowed; " + std::string(rule));
    }
  }
  if (count > kNameCharactersMax) {
    return Bad(field, Quoted(text), std::to_string(count) + " characters; at most 64");
  }
  return Status::Ok();
}

Status CheckRange(std::string_view field, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value >= min && value <= max) return Status::Ok();
  return Bad(field, std::to_string(value),
             "must be " + std::to_string(min) + " to " + std::to_string(max));
}

Status ValidateContents(const JobSpec& spec, const JobLimits& limits) {
  const std::size_t bytes = spec.PayloadBytes();
  for (const auto& [key, value] : spec.params) {
    if (key.empty() || key.size() > kParamKeyBytesMax || !CountCodePoints(key)) {
      return Bad("params", Quoted(key), "a key is 1 to 256 bytes of valid UTF-8");
    }
    if (!CountCodePoints(value)) {
      return Bad("params", Quoted(key), "the value is not valid UTF-8; put bytes into the payload");
    }
  }
  if (bytes > limits.payload_bytes_max) {
    return Status::FailedPrecondition("payload of " + std::to_string(bytes) +
                                      " bytes: payload and params together have at most " +
                                      std::to_string(limits.payload_bytes_max) +
                                      " (job.payload.max)");
  }
  return Status::Ok();
}

Status ValidateTimes(const JobSpec& spec) {
  if (spec.trigger_time_ms) {
    LTS_RETURN_IF_ERROR(CheckRange("trigger_time_ms", *spec.trigger_time_ms, 0, kTimeMsMax));
  }
  if (spec.trigger_delay_ms) {
    LTS_RETURN_IF_ERROR(
        CheckRange("trigger_delay_ms", *spec.trigger_delay_ms, 0, kJobDurationMsMax));
  }
  if (spec.expires_in_ms) {
    LTS_RETURN_IF_ERROR(CheckRange("expires_in_ms", *spec.expires_in_ms, 1, kJobDurationMsMax));
  }
  LTS_RETURN_IF_ERROR(CheckRange("timeout_ms", spec.timeout_ms, 0, kJobDurationMsMax));
  LTS_RETURN_IF_ERROR(CheckRange("start_time_ms", spec.start_time_ms, 0, kTimeMsMax));
  LTS_RETURN_IF_ERROR(CheckRange("end_time_ms", spec.end_time_ms, 0, kTimeMsMax));
  if (spec.end_time_ms != 0 && spec.end_time_ms < spec.start_time_ms) {
    return Bad("end_time_ms", std::to_string(spec.end_time_ms),
               "is before start_time_ms " + std::to_string(spec.start_time_ms));
  }
  return Status::Ok();
}

Status ValidateRepeat(const JobSpec& spec) {
  if (spec.repeat_count == 0 && spec.repeat_interval_ms == 0) return Status::Ok();
  if (spec.repeat_count != -1 && (spec.repeat_count < 1 || spec.repeat_count > kRepeatCountMax)) {
    return Bad("repeat_count", std::to_string(spec.repeat_count),
               "must be 1 to " + std::to_string(kRepeatCountMax) + ", or -1 for no end");
  }
  return CheckRange("repeat_interval_ms", spec.repeat_interval_ms, kRepeatIntervalMsMin,
                    kJobDurationMsMax);
}

Status ValidateSchedule(const JobSpec& spec, const JobLimits& limits, TimeMs now_ms) {
  if (!spec.IsCron()) LTS_RETURN_IF_ERROR(ValidateRepeat(spec));
  if (!spec.time_zone.empty()) {
    const auto zone = FindTimeZone(spec.time_zone);
    if (!zone.ok()) return zone.status().WithContext("time_zone");
  }
  LTS_RETURN_IF_ERROR(CheckRange("catch_up_max", spec.catch_up_max, 0, limits.catch_up_max));
  if (!spec.IsSchedule()) return Status::Ok();
  if (spec.IsCron()) {
    const auto cron = CronExpression::Parse(spec.cron);
    if (!cron.ok()) return cron.status().WithContext("cron_expression " + Quoted(spec.cron));
  }
  const auto fires = MakeFireTimes(spec, now_ms, limits.default_time_zone);
  if (!fires.ok()) return fires.status();
  if (!(*fires)->Next(now_ms - 1)) {
    const std::string right =
        "expected one from now on, up to " +
        (spec.end_time_ms > 0 ? "end_time_ms " + std::to_string(spec.end_time_ms)
                              : "the year 2199");
    if (spec.IsCron()) {
      return Bad("cron_expression", Quoted(spec.cron), "there is no fire time left; " + right);
    }
    return Bad("end_time_ms", std::to_string(spec.end_time_ms),
               "there is no fire time left; " + right);
  }
  return Status::Ok();
}

}  // namespace

Status ValidateName(std::string_view field, std::string_view name) {
  return ValidateText(field, name, kNameRule, IsNameCharacter);
}

Status ValidateTaskId(std::string_view task_id) {
  return ValidateText("task_id", task_id,
                      "any text without control characters is allowed, 1 to 64 characters",
                      [](char32_t c) { return !IsControl(c); });
}

Status ValidateJob(const JobSpec& spec, const JobLimits& limits, TimeMs now_ms) {
  if (!UuidV7Time(spec.job_id)) {
    return Bad("job_id", Quoted(spec.job_id), "must be a UUID of version 7 (36 characters)");
  }
  LTS_RETURN_IF_ERROR(ValidateTaskId(spec.task_id));
  LTS_RETURN_IF_ERROR(ValidateName("task_tracker_node_group", spec.group));
  if (!spec.submit_group.empty()) {
    LTS_RETURN_IF_ERROR(ValidateName("submit_node_group", spec.submit_group));
  }
  if (!spec.runner.empty()) LTS_RETURN_IF_ERROR(ValidateName("runner", spec.runner));
  LTS_RETURN_IF_ERROR(ValidateContents(spec, limits));
  LTS_RETURN_IF_ERROR(CheckRange("priority", spec.priority, kPriorityMin, kPriorityMax));
  LTS_RETURN_IF_ERROR(CheckRange("max_retry_times", spec.max_retry_times, 0, kRetryTimesMax));
  if (spec.retry) LTS_RETURN_IF_ERROR(ValidateRetryPolicy(*spec.retry));
  LTS_RETURN_IF_ERROR(ValidateTimes(spec));
  return ValidateSchedule(spec, limits, now_ms);
}

}  // namespace lts::model

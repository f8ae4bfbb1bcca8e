#include "tasktracker/runners/http_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "common/duration.h"
#include "tasktracker/runners/text.h"

namespace lts::runners {
namespace {

constexpr std::string_view kHeaderPrefix = "header.";
constexpr std::int64_t kRetryAfterMaxS = 24LL * 3600;
constexpr DurationMs kTimeoutMaxMs = 24LL * 3600 * 1000;

// Those that say where a message goes and where it ends, and ours.
constexpr std::array<std::string_view, 10> kOwnHeaders = {
    "host",    "content-length", "transfer-encoding",   "connection", "expect",
    "upgrade", "trailer",        "proxy-authorization", "te",         "keep-alive"};

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

// RFC 9110, 5.6.2.
bool IsToken(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool IsControl(char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f; }

Status CheckHeader(std::string_view name, std::string_view value) {
  const auto refuse = [&](const char* why) {
    return Status::InvalidArgument(fmt::format("job parameter 'header.{}': {}", name, why));
  };
  if (!IsToken(name)) return refuse("not the name of a header");
  const std::string lower = Lower(name);
  if (lower.rfind("x-lts-", 0) == 0 || lower == "idempotency-key" ||
      std::find(kOwnHeaders.begin(), kOwnHeaders.end(), lower) != kOwnHeaders.end()) {
    return refuse("is set by the runner");
  }
  if (std::any_of(value.begin(), value.end(), IsControl)) return refuse("has control characters");
  return Status::Ok();
}

// Printable ASCII as it is, the rest and '%' escaped as in a URL.
std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c >= ' ' && c < 0x7f && c != '%') {
      escaped += c;
    } else {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

}  // namespace

Result<HttpRequest> MakeHttpRequest(const AttemptInput& input, DurationMs default_timeout_ms) {
  const auto param = [&](const char* name) -> const std::string* {
    const auto found = input.params.find(name);
    return found == input.params.end() ? nullptr : &found->second;
  };
  HttpRequest request;
  const std::string* const url = param("url");
  if (url == nullptr) return Status::InvalidArgument("job parameter 'url' is missing");
  Result<HttpUrl> parsed = ParseHttpUrl(*url);
  if (!parsed.ok()) return parsed.status().WithContext("job parameter 'url'");
  request.url = *std::move(parsed);

  const std::string* const method = param("method");
  request.method = method == nullptr ? "POST" : *method;
  constexpr std::array<std::string_view, 6> kMethods = {"GET", "HEAD",  "POST",
                                                        "PUT", "PATCH", "DELETE"};
  if (std::find(kMethods.begin(), kMethods.end(), request.method) == kMethods.end()) {
    return Status::InvalidArgument(
        "job parameter 'method': expected GET, HEAD, POST, PUT, PATCH or DELETE");
  }
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (reads && !input.payload.empty()) {
    return Status::InvalidArgument("job parameter 'method': " + request.method +
                                   " takes no payload");
  }
  request.has_body = !reads && (request.method != "DELETE" || !input.payload.empty());

  request.timeout_ms = default_timeout_ms;
  if (const std::string* const timeout = param("timeout"); timeout != nullptr) {
    const Result<DurationMs> limit = ParseDuration(*timeout);
    if (!limit.ok() || *limit <= 0 || *limit > kTimeoutMaxMs) {
      return Status::InvalidArgument(
          "job parameter 'timeout': expected a time like 30s, 24h at most");
    }
    request.timeout_ms = *limit;
  }

  bool has_type = false;
  for (auto item = input.params.lower_bound(std::string(kHeaderPrefix));
       item != input.params.end() && item->first.rfind(kHeaderPrefix, 0) == 0; ++item) {
    const std::string name = item->first.substr(kHeaderPrefix.size());
    LTS_RETURN_IF_ERROR(CheckHeader(name, item->second));
    has_type = has_type || Lower(name) == "content-type";
    // libcurl's form of a header without a value.
    request.headers.push_back(item->second.empty() ? name + ";" : name + ": " + item->second);
  }
  if (request.has_body && !has_type) {
    request.headers.emplace_back("Content-Type: application/octet-stream");
  }
  request.headers.push_back("X-LTS-Job-Id: " + Escaped(input.job_id));
  request.headers.push_back("X-LTS-Task-Id: " + Escaped(input.task_id));
  request.headers.push_back("X-LTS-Attempt: " + std::to_string(input.attempt));
  request.headers.push_back("X-LTS-Token: " + model::ToString(input.token));
  request.headers.push_back("X-LTS-Fire-Time-Ms: " + std::to_string(input.fire_time_ms));
  request.headers.push_back(
      fmt::format("Idempotency-Key: {}-{}", Escaped(input.job_id), input.fire_time_ms));
  return request;
}

RunOutcome OutcomeOf(const HttpAnswer& answer, const RunnerLimits& limits) {
  RunOutcome outcome;
  const auto max = static_cast<std::size_t>(limits.message_bytes_max);
  if (answer.status >= 200 && answer.status < 300) {
    outcome.action = model::Action::kExecuteSuccess;
    outcome.message = FirstBytes(ValidUtf8(answer.body), max);
    return outcome;
  }
  std::string what = fmt::format("HTTP status {}", answer.status);
  const bool asks_for_later = answer.status == 429 || answer.status == 503 ||
                              (answer.status >= 400 && answer.retry_after_s > 0);
  if (asks_for_later) {
    outcome.action = model::Action::kExecuteLater;
    outcome.later_delay_ms =
        std::clamp<std::int64_t>(answer.retry_after_s, 0, kRetryAfterMaxS) * 1000;
  } else if (answer.status >= 500) {
    outcome.action = model::Action::kExecuteException;
  } else {
    outcome.action = model::Action::kExecuteFailed;
    if (!answer.location.empty()) {
      what += ", redirects are not followed: " + answer.location;
    } else if (answer.status >= 300 && answer.status < 400) {
      what += ", redirects are not followed";
    }
  }
  if (!answer.body.empty()) what += ": " + answer.body;
  outcome.message = FirstBytes(ValidUtf8(what), max);
  return outcome;
}

}  // namespace lts::runners

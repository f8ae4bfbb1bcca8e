// What an http job asks for, and what an answer means for it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lts/status.h"
#include "tasktracker/runners/http_url.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

struct HttpRequest {
  HttpUrl url;
  std::string method;
  std::vector<std::string> headers;  // "Name: value"
  bool has_body = false;             // the payload, possibly empty
  DurationMs timeout_ms = 0;
};

// From the parameters url, method (POST), header.NAME and timeout, with the headers that name the
// attempt. kInvalidArgument naming the parameter.
Result<HttpRequest> MakeHttpRequest(const AttemptInput& input, DurationMs default_timeout_ms);

struct HttpAnswer {
  int status = 0;
  std::string body;  // its beginning
  std::int64_t retry_after_s = 0;
  std::string location;  // where a redirect points
};

// 2xx success with the body as message. 429 and 503, and any other status from 400 on that comes
// with Retry-After, LATER after that time, or when the job's retry policy says. Other 5xx
// exception; all else failed, redirects too.
RunOutcome OutcomeOf(const HttpAnswer& answer, const RunnerLimits& limits);

}  // namespace lts::runners

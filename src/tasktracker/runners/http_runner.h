// The built-in runner `http`: one request, whose answer is the result.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "lts/status.h"
#include "tasktracker/runners/http_allow.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

inline constexpr char kHttpRunnerName[] = "http";

struct HttpOptions {
  std::vector<std::string> allow;  // runner.http.allow; empty: nothing
  bool allow_private = false;      // runner.http.allow.private
  DurationMs timeout_ms = 60'000;  // runner.http.timeout
  std::string ca_file;             // runner.http.ca; empty: the system's
  std::string user_agent = "lts";
};

// Job parameters: http_request.h. The payload is the body. The attempt runs in this process. It
// connects anew each time, so that nothing is ever sent twice; by no proxy; follows no redirect;
// and checks each address that it connects to, not only the name. Stopped or out of time it closes
// the connection. At most 1 MiB of an answer is read. Borrows the clock.
class HttpRunner final : public Runner {
 public:
  // kInvalidArgument naming the option.
  static Result<std::unique_ptr<HttpRunner>> Create(const HttpOptions& options,
                                                    const RunnerLimits& limits, const Clock& clock);

  RunOutcome Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) override;

 private:
  HttpRunner(HttpOptions options, HttpAllow allow, const RunnerLimits& limits, const Clock& clock)
      : options_(std::move(options)), allow_(std::move(allow)), limits_(limits), clock_(clock) {}

  const HttpOptions options_;
  const HttpAllow allow_;
  const RunnerLimits limits_;
  const Clock& clock_;
};

}  // namespace lts::runners

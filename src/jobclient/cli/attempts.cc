// jobclient attempts
#include <fmt/core.h>

#include <memory>
#include <utility>

#include "jobclient/cli/pages.h"
#include "lts/v1/query.pb.h"
#include "model/job.h"

namespace lts::jobclient::cli {
namespace {

struct AttemptsFlags : PageFlags {
  std::string job_id;
  std::string outcome;
};

constexpr const char* kOutcomes =
    "EXECUTE_SUCCESS|EXECUTE_FAILED|EXECUTE_LATER|EXECUTE_EXCEPTION|TIMED_OUT|LOST|KILLED|STALE";

int Attempts(const Context& context, AttemptsFlags flags) {
  if (model::OutcomeFromName(flags.state)) {
    if (!flags.outcome.empty()) return context.Usage("--state and --outcome both name an outcome");
    flags.outcome = std::exchange(flags.state, {});
  }
  Printer printer(context, {{"JOB ID", "jobId"},
                            {"TASK", "taskId"},
                            {"CYCLE", "cycle"},
                            {"ATTEMPT", "attempt"},
                            {"NODE", "node"},
                            {"OUTCOME", "outcome"},
                            {"STARTED", "startedAt"},
                            {"ENDED", "endedAt"},
                            {"MESSAGE", "message"}});
  v1::ListAttemptsRequest request;
  request.set_job_id(flags.job_id);
  request.set_outcome(flags.outcome);
  return RunPages(context, flags, &rpc::Channel::ListAttempts, request,
                  [&printer](const v1::ListAttemptsResponse& response) -> std::int64_t {
                    for (const v1::AttemptView& attempt : response.attempts()) {
                      Json json;
                      json["jobId"] = attempt.job_id();
                      json["taskId"] = attempt.task_id();
                      json["taskTrackerNodeGroup"] = attempt.group();
                      json.update(AttemptJson(attempt));
                      printer.Print(json);
                    }
                    printer.EndPage();
                    return response.attempts_size();
                  });
}

}  // namespace

Verb AttemptsVerb() {
  return {.name = "attempts",
          .summary = "list attempts, newest first",
          .usage =
              "[JOB_ID | --group G --task T] [--state S] [--outcome O] [--since TIME] [--limit N | "
              "--all]",
          .examples = {"jobclient attempts --group demo --since 1h -o json",
                       "jobclient attempts --group demo --outcome LOST --since 1h"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto flags = std::make_shared<AttemptsFlags>();
            verb.add_option("JOB_ID", flags->job_id, "of this job");
            AddPageFlags(verb, *flags, fmt::format("{}|{}", kStates, kOutcomes));
            AddChoice(verb, "--outcome", kOutcomes, flags->outcome,
                      "that ended like this; --state of a run is that of its last attempt");
            return [&context, flags] { return Attempts(context, *flags); };
          }};
}

}  // namespace lts::jobclient::cli

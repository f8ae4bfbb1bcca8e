// jobclient attempts
#include <memory>

#include "jobclient/cli/pages.h"
#include "lts/v1/query.pb.h"

namespace lts::jobclient::cli {
namespace {

int Attempts(const Context& context, const PageFlags& flags) {
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
          .usage = "[JOB_ID | --group G --task T] [--state S] [--since TIME] [--limit N | --all]",
          .examples = {"jobclient attempts --group demo --since 1h -o json"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto flags = std::make_shared<PageFlags>();
            verb.add_option("JOB_ID", flags->job_id, "of this job");
            AddPageFlags(verb, *flags);
            return [&context, flags] { return Attempts(context, *flags); };
          }};
}

}  // namespace lts::jobclient::cli

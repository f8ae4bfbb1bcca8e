// jobclient list
#include <memory>

#include "jobclient/cli/pages.h"
#include "lts/v1/query.pb.h"

namespace lts::jobclient::cli {
namespace {

int List(const Context& context, const PageFlags& flags) {
  Printer printer(context, {{"JOB ID", "jobId"},
                            {"TASK", "taskId"},
                            {"GROUP", "taskTrackerNodeGroup"},
                            {"KIND", "kind"},
                            {"CYCLE", "cycle"},
                            {"STATE", "state"},
                            {"NEXT FIRE", "nextFireTime"},
                            {"ENDED", "endedAt"},
                            {"MESSAGE", "message"}});
  return RunPages(context, flags, &rpc::Channel::List, v1::ListRequest(),
                  [&printer](const v1::ListResponse& response) -> std::int64_t {
                    for (const v1::JobView& job : response.jobs()) printer.Print(JobJson(job));
                    printer.EndPage();
                    return response.jobs_size();
                  });
}

}  // namespace

Verb ListVerb() {
  return {.name = "list",
          .summary = "list jobs and schedules",
          .usage = "[--group G] [--task T] [--state S] [--since TIME] [--limit N | --all]",
          .examples = {"jobclient list --group demo --state FAILED --since 2h"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto flags = std::make_shared<PageFlags>();
            AddPageFlags(verb, *flags);
            return [&context, flags] { return List(context, *flags); };
          }};
}

}  // namespace lts::jobclient::cli

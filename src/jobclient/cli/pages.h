// Listing page by page, for `list` and `attempts`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {

// What both verbs filter by.
struct PageFlags {
  std::string group;
  std::string task_id;
  std::string state;
  std::string since;
  std::int64_t limit = 100;
  bool all = false;
};

inline constexpr const char* kStates =
    "WAITING|RUNNING|SUSPENDED|SUCCEEDED|FAILED|CANCELLED|EXPIRED|DEAD|REPLACED|SKIPPED|ACTIVE|"
    "ENDED|RETRY_YIELDED";

inline void AddPageFlags(CLI::App& verb, PageFlags& flags, const std::string& states = kStates) {
  verb.add_option("--group", flags.group, "of this TaskTracker node group")->type_name("G");
  verb.add_option("--task", flags.task_id, "of this task")->type_name("T");
  AddChoice(verb, "--state", states, flags.state, "in this state");
  verb.add_option("--since", flags.since, "since this time (RFC 3339), or this long ago (2h)")
      ->type_name("TIME");
  AddNumber(verb, "--limit", flags.limit, "at most so many (default: 100)", 1, 1'000'000'000);
  verb.add_flag("--all", flags.all, "without a limit");
}

// Asks page after page until the limit or the end; `print` prints one page and tells how many there
// were.
template <typename Request, typename Response, typename PrintPage>
int RunPages(const Context& context, const PageFlags& flags,
             void (rpc::Channel::*method)(const Request&, std::int64_t,
                                          rpc::Channel::Done<Response>),
             Request request, const PrintPage& print) {
  request.set_group(flags.group);
  request.set_task_id(flags.task_id);
  request.set_state(flags.state);
  if (!flags.since.empty()) {
    const Result<TimeMs> since = ParseSince(flags.since, context.env.clock.WallMs());
    if (!since.ok()) return context.Fail(since.status());
    request.set_since_ms(*since);
  }
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  constexpr std::int64_t kPage = 1'000;
  std::int64_t left = flags.all ? std::numeric_limits<std::int64_t>::max() : flags.limit;
  while (true) {
    request.set_limit(static_cast<std::int32_t>(std::min(left, kPage)));
    const Result<Response> response = (*trackers)->Call(method, request, kCallTimeoutMs);
    if (!response.ok()) return context.Fail(response.status());
    if (const Status status = rpc::StatusOf(*response); !status.ok()) return context.Fail(status);
    left -= print(*response);
    if (response->next_page().empty() || !context.env.out) return kOk;
    if (left <= 0) {
      context.env.err << "jobclient: there are more; --limit or --all shows them\n";
      return kOk;
    }
    request.set_page(response->next_page());
  }
}

}  // namespace lts::jobclient::cli

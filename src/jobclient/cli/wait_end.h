// Waiting for the end of a job, for `wait` and `submit --wait`.
#pragma once

#include <string>

#include "jobclient/cli/cli.h"
#include "jobclient/client_core.h"

namespace lts::jobclient::cli {

inline constexpr DurationMs kWaitForever = 100LL * 365 * 86'400'000;

// Prints the final message alone, or as JSON the whole job. Exit code 0 when the job succeeded, 8
// when it ended otherwise, 7 when the time is up. Of a schedule it waits for one run, from now on
// or, with `runs_so_far`, the first there is.
int WaitForEnd(const Context& context, ClientCore& client, const std::string& job_id,
               DurationMs timeout_ms, bool runs_so_far);

}  // namespace lts::jobclient::cli

// What lts_bench does in its child processes. Each returns the exit code.
#pragma once

#include <string>
#include <vector>

namespace lts::bench {

// A TaskTracker with one runner. Arguments: registry address, group, slots, data folder, runner, fd
// and size of what it tells the driver through. The runner "noop" stamps its start on the Board and
// returns, "fire" appends to the FireLog. It runs in threads of the TaskTracker; with two more
// arguments, the plugin and lts-runner-host, "noop" runs in processes of its own. Prints one line
// when connected; ends at SIGTERM.
int RunWorker(const std::vector<std::string>& arguments);

// A gRPC server with one method that does nothing. Prints its address; ends at SIGTERM.
int RunEcho();

}  // namespace lts::bench

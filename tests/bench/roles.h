// What lts_bench does in its child processes. Each returns the exit code.
#pragma once

#include <string>
#include <vector>

namespace lts::bench {

// A TaskTracker with one runner, "noop": it stamps its start on the board and returns. Arguments:
// registry address, group, slots, data folder, board's fd, board's cells. It runs in threads of the
// TaskTracker; with two more, the plugin and lts-runner-host, in processes of its own.
// Prints one line when connected; ends at SIGTERM.
int RunWorker(const std::vector<std::string>& arguments);

// A gRPC server with one method that does nothing. Prints its address; ends at SIGTERM.
int RunEcho();

}  // namespace lts::bench

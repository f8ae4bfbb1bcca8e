// `tasktracker try PLUGIN.so --runner NAME --param k=v`: one attempt without any daemon.
#pragma once

#include <iosfwd>
#include <map>
#include <stop_token>
#include <string>

#include "common/clock.h"

namespace lts::runners {

struct TryOptions {
  std::string plugin;  // path
  std::string runner;  // empty: the plugin's only one
  std::map<std::string, std::string> params;
  std::string payload;
  // runner.<name>.* by their whole keys, and runner.isolation, which is `process` without it.
  std::map<std::string, std::string> config;
  std::string host_program;   // lts-runner-host; empty: FindRunnerHost
  DurationMs timeout_ms = 0;  // 0 none
  std::stop_token stop;       // e.g. requested on Ctrl-C
};

inline constexpr int kTrySuccess = 0;
inline constexpr int kTryError = 1;   // the plugin cannot be loaded, or its runner refuses to start
inline constexpr int kTryUsage = 2;   // no such file, not a plugin, no such runner
inline constexpr int kTryFailed = 8;  // the attempt ended in anything but success

// Runs one attempt, in a process of its own as a TaskTracker does. The result goes to `out` as one
// line "EXECUTE_SUCCESS message"; log lines, progress and errors go to `err`. Returns the exit
// status of the command.
int TryRunner(const TryOptions& options, std::ostream& out, std::ostream& err);

}  // namespace lts::runners

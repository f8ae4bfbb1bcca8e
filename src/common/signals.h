// Signals of a daemon: blocked first in main, taken by one thread that waits for them. No handlers.
#pragma once

#include <functional>

namespace lts {

// Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR1 in the calling thread and in every thread it starts
// later, and ignores SIGPIPE. First thing in main, before any thread exists.
void BlockSignals();

// Waits for SIGTERM or SIGINT and returns its number; each SIGHUP before that calls `on_hangup`,
// each SIGUSR1 `on_user` (both may be empty). Afterwards SIGINT has its default effect again, so
// that a second Ctrl-C ends a process whose orderly stop takes too long. One thread calls it, once.
int WaitForStopSignal(const std::function<void()>& on_hangup,
                      const std::function<void()>& on_user = {});

// Ends WaitForStopSignal, now or when it is called, as SIGTERM does. From any thread.
void SendStopSignal();

}  // namespace lts

// Signals of a daemon: blocked first in main, taken by one thread that waits for them. No handlers.
#pragma once

#include <functional>

namespace lts {

// Blocks SIGTERM, SIGINT and SIGHUP in the calling thread and in every thread it starts later, and
// ignores SIGPIPE. First thing in main, before any thread exists.
void BlockSignals();

// Waits for SIGTERM or SIGINT and returns its number; each SIGHUP before that calls `on_hangup`
// (may be empty). Afterwards SIGINT has its default effect again, so that a second Ctrl-C ends a
// process whose orderly stop takes too long. One thread calls it, once.
int WaitForStopSignal(const std::function<void()>& on_hangup);

}  // namespace lts

// The part of lts-runner-host that runs no code of a runner, so that nothing a runner does to
// itself can hurt it: it starts the worker, and leaves nothing behind.
#pragma once

#include <functional>

namespace lts::runners {

// Forks; runs `work` in the child and exits with what it returns. The parent stays here, with one
// thread, until
//   - the worker has ended,
//   - our end of the control socket is shut down or closed, as kill -9 of the TaskTracker does,
//   - the thread that started us ends (SIGHUP, by PR_SET_PDEATHSIG), or
//   - the lease page says that the time is over.
// Then it kills every process that came of the worker, wherever it has moved: orphans come back to
// this process (PR_SET_CHILD_SUBREAPER), and it goes on until it has no child. Last it sends a
// HostEnd. Returns the exit code of the process. SIGTERM and SIGINT are left to the TaskTracker.
//
// What escapes: a process with other rights (set-user-ID), and one that somebody else starts for
// the runner (systemd-run, docker, at). When this process itself is killed with -9 the worker dies
// with it, but not what the worker has started.
int Keep(const std::function<int()>& work);

}  // namespace lts::runners

// The part of lts-runner-host in which a runner runs.
#pragma once

namespace lts::runners {

// Answers what comes over kFramesFd, one after the other, until its other end is closed: OPEN loads
// a plugin, CREATE makes a runner, RUN runs an attempt. Returns the exit code of the process.
int Work();

}  // namespace lts::runners

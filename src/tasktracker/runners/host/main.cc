// lts-runner-host: the process in which a TaskTracker lets a runner run (host_protocol.h). Not for
// people: it is started by TaskTrackers.
#include <cstdio>
#include <string_view>

#include "tasktracker/runners/host/keeper.h"
#include "tasktracker/runners/host/worker.h"
#include "tasktracker/runners/host_protocol.h"

int main(int argc, char** argv) {
  using namespace lts::runners;  // NOLINT(google-build-using-namespace)
  if (argc != 2) {
    std::fprintf(stderr, "lts-runner-host is started by TaskTrackers\n");
    return 64;
  }
  if (std::string_view(argv[1]) != kHostProtocol) return kHostExitVersion;
  return Keep(&Work);
}

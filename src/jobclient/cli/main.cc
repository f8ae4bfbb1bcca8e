#include <unistd.h>

#include <iostream>

#include "common/clock.h"
#include "common/daemon.h"
#include "common/options.h"
#include "common/signals.h"
#include "jobclient/cli/cli.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const lts::SystemClock clock;
  lts::jobclient::cli::Environment env{std::cin,
                                       std::cout,
                                       std::cerr,
                                       lts::rpc::GrpcChannels,
                                       lts::LtsEnvironment(),
                                       lts::HomeFolder(),
                                       clock,
                                       [] { lts::BlockSignals(); },
                                       [] { lts::WaitForStopSignal({}); },
                                       isatty(STDERR_FILENO) == 1};
  return lts::jobclient::cli::Run({argv + 1, argv + argc}, env);
}

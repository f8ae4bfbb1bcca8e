#include "common/signals.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>

namespace lts {
namespace {

sigset_t WaitedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  sigaddset(&signals, SIGUSR1);
  return signals;
}

}  // namespace

void BlockSignals() {
  const sigset_t signals = WaitedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // A signal that the parent ignored (nohup, a background job) would never reach sigwait.
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) std::signal(number, SIG_DFL);
  std::signal(SIGPIPE, SIG_IGN);
}

int WaitForStopSignal(const std::function<void()>& on_hangup,
                      const std::function<void()>& on_user) {
  const sigset_t signals = WaitedSignals();
  while (true) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) continue;
    if (number == SIGHUP) {
      if (on_hangup) on_hangup();
      continue;
    }
    if (number == SIGUSR1) {
      if (on_user) on_user();
      continue;
    }
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
    return number;
  }
}

// Not raise(), which would leave it with the calling thread.
void SendStopSignal() { kill(getpid(), SIGTERM); }

}  // namespace lts

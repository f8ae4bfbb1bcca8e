// The jobtracker daemon.
#include <fmt/core.h>

#include <cstdio>
#include <string>
#include <variant>

#include "common/clock.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/signals.h"
#include "jobtracker/jobtracker.h"
#include "jobtracker/options.h"

namespace {

int Fail(const lts::Status& status) {
  fmt::print(stderr, "jobtracker: {}\n", status.message());
  LTS_ERROR("jobtracker could not start error=\"{}\"", status.ToString());
  return lts::ExitCodeFor(status);
}

}  // namespace

int main(int argc, char** argv) {
  lts::BlockSignals();
  const lts::OptionTable table = lts::JobTrackerOptionTable();
  const auto begun = lts::BeginDaemon(table, argc, argv);
  if (const int* code = std::get_if<int>(&begun)) return *code;
  const lts::DaemonStart& start = std::get<lts::DaemonStart>(begun);

  lts::log::Options log;
  lts::log::ParseLevel(start.options.String("log.level"), &log.level);
  lts::log::Configure(log);
  for (const std::string& notice : start.options.notices()) LTS_INFO("{}", notice);
  for (const std::string& warning : start.options.warnings()) LTS_WARN("{}", warning);

  lts::ReadyFiles::Info info;
  info.folder = lts::PathBelow(start.home, "pid");
  info.daemon = "jobtracker";
  info.name = start.name;
  info.started_ms = lts::SystemClock().WallMs();
  auto ready = lts::ReadyFiles::Open(info);
  if (!ready.ok()) return Fail(ready.status());

  const std::string data = start.options.String("dataPath").empty()
                               ? lts::PathBelow(start.home, "data/" + start.name)
                               : lts::PathBelow(start.home, start.options.String("dataPath"));
  auto tracker = lts::JobTracker::Start(start.options, start.name, data);
  if (!tracker.ok()) return Fail(tracker.status());
  if (lts::Status told = (*ready)->Ready((*tracker)->address(), (*tracker)->ops_address());
      !told.ok()) {
    return Fail(told);
  }
  if (lts::Status told = (*ready)->Warning((*tracker)->warning()); !told.ok()) return Fail(told);
  lts::WaitForStopSignal({});
  (*tracker)->Stop();
  return lts::kExitOk;
}

// The program `tasktracker`: a TaskTracker from a configuration file, and `tasktracker try`.
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/signals.h"
#include "common/strand.h"
#include "lts/task_tracker.h"
#include "tasktracker/options.h"
#include "tasktracker/runners/try_runner.h"

namespace {

using lts::Result;
using lts::Status;

constexpr char kTryUsage[] =
    "usage: tasktracker try PLUGIN.so [--runner NAME] [--param KEY=VALUE]… [--payload FILE] "
    "[--timeout 30s] [--config KEY=VALUE]…\n"
    "KEY: runner.NAME.KEY, or runner.isolation (process, or thread for a debugger)\n";

bool SplitPair(const std::string& text, std::map<std::string, std::string>* into) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return false;
  (*into)[text.substr(0, equals)] = text.substr(equals + 1);
  return true;
}

// One attempt without any daemon: the arguments after `try`.
int Try(const std::vector<std::string>& arguments) {
  lts::runners::TryOptions options;
  const auto usage = [](const std::string& complaint) {
    std::cerr << "tasktracker try: " << complaint << '\n' << kTryUsage;
    return lts::runners::kTryUsage;
  };
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i];
    if (name == "--help") {
      std::cout << kTryUsage;
      return lts::runners::kTrySuccess;
    }
    if (name.rfind("--", 0) != 0) {
      if (!options.plugin.empty()) return usage("one plugin is expected, not also " + name);
      options.plugin = name;
      continue;
    }
    std::string value;
    if (const std::size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return usage(name + " lacks its value");
    }
    if (name == "--runner") {
      options.runner = value;
    } else if (name == "--param") {
      if (!SplitPair(value, &options.params))
        return usage("--param " + value + " is not KEY=VALUE");
    } else if (name == "--config") {
      if (!SplitPair(value, &options.config))
        return usage("--config " + value + " is not KEY=VALUE");
    } else if (name == "--payload") {
      std::ifstream file(value, std::ios::binary);
      if (!file) return usage("cannot read " + value);
      options.payload.assign(std::istreambuf_iterator<char>(file), {});
    } else if (name == "--timeout") {
      const Result<lts::DurationMs> timeout = lts::ParseDuration(value);
      if (!timeout.ok()) return usage("--timeout " + value + ": " + timeout.status().message());
      options.timeout_ms = *timeout;
    } else {
      return usage("unknown flag " + name);
    }
  }
  if (options.plugin.empty()) return usage("a plugin is expected");
  return lts::runners::TryRunner(options, std::cout, std::cerr);
}

int Fail(const Status& status, int code) {
  std::cerr << "tasktracker: " << status.ToString() << std::endl;
  return code;
}

void LogFiles(const Status& status) {
  if (!status.ok()) LTS_ERROR("cannot write the pid folder error={}", status.ToString());
}

// A runner's process takes five descriptors here, exec in a thread seven. Not more than that: what
// a runner starts gets the same limit, and some programs look at every number below it.
void AllowDescriptors(int slots) {
  const auto wanted = static_cast<rlim_t>(7 * slots + 512);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
    LTS_WARN("few descriptors for so many jobs at a time (ulimit -n) workThreads={} limit={}",
             slots, limit.rlim_cur);
  }
}

int Run(const lts::DaemonStart& start) {
  lts::log::Options logging;
  lts::log::ParseLevel(start.options.String("log.level"), &logging.level);
  if (const std::string& file = start.options.String("log.file"); !file.empty()) {
    logging.file = lts::PathBelow(start.home, file);
  }
  lts::log::Configure(logging);
  for (const std::string& notice : start.options.notices()) LTS_INFO("{}", notice);
  for (const std::string& warning : start.options.warnings()) LTS_WARN("{}", warning);

  lts::TaskTrackerOptions options =
      lts::tasktracker::OptionsFrom(start.options, start.home, start.name);
  AllowDescriptors(options.work_threads);
  const lts::SystemClock clock;
  auto opened = lts::ReadyFiles::Open(
      {lts::PathBelow(start.home, "pid"), "tasktracker", start.name, clock.WallMs()});
  if (!opened.ok()) return Fail(opened.status(), lts::kExitUnavailable);
  std::unique_ptr<lts::ReadyFiles> files = *std::move(opened);
  // The files' thread: the connection comes and goes on threads of the TaskTracker. Its first task
  // waits for nothing, so READY comes before any change of the connection.
  std::string ops;
  std::unique_ptr<lts::TaskTracker> tracker;
  lts::ThreadStrand files_strand("lts-tt-files");
  // On files_strand.
  bool ready = false;
  bool ending = false;
  std::string reason = "not connected yet";
  options.on_connection_change = [&](bool connected, const std::string& why) {
    files_strand.Post([&, connected, why] {
      reason = connected ? std::string() : why;
      if (ready && !ending) LogFiles(connected ? files->Ready("", ops) : files->Waiting(reason));
    });
  };

  Result<std::unique_ptr<lts::TaskTracker>> started = lts::TaskTracker::Start(std::move(options));
  if (!started.ok()) return Fail(started.status(), lts::ExitCodeFor(started.status()));
  tracker = *std::move(started);
  ops = tracker->ops_listen();
  files_strand.Post([&] {
    ready = true;
    LogFiles(files->Ready("", ops, reason));
    if (!reason.empty()) {
      LTS_WARN(
          "started, but not connected to a JobTracker yet: it goes on trying registryAddress={}",
          start.options.String("registryAddress"));
    }
  });
  LTS_INFO("started identity={} version={}", tracker->identity(), lts::Version());

  const auto tell_ending = [&](std::string what) {
    files_strand.Post([&, what = std::move(what)] {
      ending = true;
      LogFiles(files->Waiting(what));
    });
  };
  bool draining = false;
  const int signal = lts::WaitForStopSignal(nullptr, [&] {
    if (std::exchange(draining, true)) return;
    const lts::DurationMs limit_ms = start.options.Duration("tasktracker.drain.timeout");
    tell_ending("draining until " + lts::FormatUtc(clock.WallMs() + limit_ms) + " at the latest");
    tracker->Drain(&lts::SendStopSignal);
  });
  LTS_INFO("stopping signal={}", signal);
  tell_ending("stopping");
  const lts::TaskTrackerStopReport report = tracker->Stop();
  files_strand.Stop();
  const int code = report.results_unsaved > 0 ? lts::kExitError : lts::kExitOk;
  if (report.running > 0) {
    LTS_WARN("jobs that do not stop are cut off running={}", report.running);
    lts::log::Flush();
    // Their threads cannot be joined, and nothing may be torn down under them.
    static_cast<void>(tracker.release());
    files.reset();
    std::fflush(nullptr);
    std::_Exit(code);
  }
  LTS_INFO("stopped");
  lts::log::Flush();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "try") {
    return Try(std::vector<std::string>(argv + 2, argv + argc));
  }
  lts::BlockSignals();
  const lts::OptionTable table(lts::Daemon::kTaskTracker, lts::tasktracker::OptionRows());
  const auto begun = lts::BeginDaemon(table, argc, argv);
  if (const int* code = std::get_if<int>(&begun)) return *code;
  return Run(std::get<lts::DaemonStart>(begun));
}

// The runners this process can offer: those of its plugins, and the built-in ones that are switched
// on.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "lts/runner_abi.h"
#include "lts/status.h"
#include "tasktracker/runners/host_pool.h"
#include "tasktracker/runners/isolation.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

inline constexpr char kExecRunnerName[] = "exec";

struct RunnerOptions {
  std::vector<std::string>
      plugins;              // runner.plugins: paths or globs; relative ones below base_folder
  std::string base_folder;  // empty: the working folder
  std::string
      default_runner;  // runner.default: for jobs that name none; empty: the only plugin runner
  bool exec_enable = false;                   // runner.exec.enable
  std::vector<std::string> exec_allow;        // runner.exec.allow: resolved paths, empty: nothing
  std::map<std::string, std::string> config;  // every runner.* option by its whole key
  RunnerLimits limits;
  IsolationOptions isolation;  // where config says nothing else
  std::string host_program;    // lts-runner-host; empty: FindRunnerHost
  int hosts_max = 64;          // processes that are kept, see HostPoolOptions
  DurationMs host_idle_ms = 60'000;
};

// Loads at Open, then never changes: thread-safe. Borrows the clock, which must outlive it and
// every runner it made. The runners do not need the registry any more once made.
//
// A plugin is loaded into this process only when one of its runners has isolation `thread`; what it
// offers is otherwise asked for in a process of its own.
class RunnerRegistry {
 public:
  // Errors name the plugin (plugin.h lists them), the runner that two plugins offer
  // (kAlreadyExists), or the option; kNotFound too when lts-runner-host is needed and missing.
  static Result<std::unique_ptr<RunnerRegistry>> Open(RunnerOptions options, const Clock& clock);

  // Every runner by name, sorted.
  std::vector<std::string> names() const;
  // Empty when there is none: a job must name its runner then.
  const std::string& default_runner() const { return default_runner_; }

  // The runner that a job with `wanted` (possibly empty) gets. kNotFound with what there is.
  Result<std::string> Resolve(const std::string& wanted) const;

  // A new object of the runner `name` (as Resolve gives it), for one slot. kFailedPrecondition with
  // the constructor's text when it refuses: a daemon makes its objects at start, so that it refuses
  // then.
  Result<std::unique_ptr<Runner>> Create(const std::string& name) const;

  // The processes of the runners; null when they all run in this one.
  const std::shared_ptr<HostPool>& hosts() const { return hosts_; }

 private:
  struct Entry {
    std::string origin;                            // the plugin's resolved path, or "built in"
    const lts_runner_type* type = nullptr;         // in this process; null: exec, or hosted
    std::shared_ptr<Strand> cancels;               // of the objects of `type`
    std::shared_ptr<const HostedRunner> hosted{};  // in a process of its own
  };

  RunnerRegistry(RunnerOptions options, const Clock& clock)
      : options_(std::move(options)), clock_(clock) {}
  Status Load();
  Status LoadFile(const std::string& path);
  Status LoadExec();
  Status OpenHosts();
  Result<IsolationOptions> IsolationFor(const std::string& runner) const;
  Result<std::vector<std::string>> NamesIn(const std::string& path) const;
  Status ChooseDefault();
  // The options of the runner, without prefix and without those that are not for its code.
  std::map<std::string, std::string> ConfigOf(const std::string& runner) const;
  std::string KnownNames() const;

  const RunnerOptions options_;
  const Clock& clock_;
  std::shared_ptr<HostPool> hosts_;
  std::map<std::string, Entry> entries_;
  std::string default_runner_;
};

}  // namespace lts::runners

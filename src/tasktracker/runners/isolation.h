// Where a runner runs, and what its process may use: the options runner.isolation, runner.limit.*,
// and the same for one runner alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "lts/status.h"

namespace lts::runners {

enum class Isolation : std::uint8_t {
  kThread,   // in this process: quickest, and a crash takes everything along
  kProcess,  // in a process of lts-runner-host
};

// "thread" or "process". kInvalidArgument naming `option`.
Result<Isolation> ParseIsolation(std::string_view option, std::string_view text);

// Of each process of a runner, its programs included; 0 is no limit of ours.
struct ResourceLimits {
  // Bytes of memory of its own that it may write to (RLIMIT_DATA: heap, stacks of threads, private
  // mappings; neither what is shared nor address space that is only reserved). Beyond, an
  // allocation fails.
  std::int64_t memory_bytes = 0;
  // Seconds of processor time of one attempt (RLIMIT_CPU). Beyond, SIGXCPU ends the process.
  std::int64_t cpu_s = 0;
  std::int64_t files = 0;  // open descriptors (RLIMIT_NOFILE)
};

struct IsolationOptions {
  Isolation isolation = Isolation::kThread;
  ResourceLimits limits;
};

// kInvalidArgument naming the option below `prefix` ("runner.", "runner.NAME.") whose limit is
// neither 0 nor one with which a host can work.
Status CheckLimits(const std::string& prefix, const ResourceLimits& limits);

// What holds for the runner with the options `items` (runner.<runner>.*, without that prefix).
// kInvalidArgument naming the whole key; also for limits of a runner without a process.
Result<IsolationOptions> IsolationOf(const std::string& runner,
                                     const std::map<std::string, std::string>& items,
                                     const IsolationOptions& common);

// Whether the option `key` of a runner (without its prefix) is meant for us, not for its code.
bool IsIsolationKey(std::string_view key);

// The program lts-runner-host of this installation: beside the running program, in $LTS_HOME/bin,
// or in ../bin or ../libexec of the folder of the library that holds this function. kNotFound, with
// where it was looked for.
Result<std::string> FindRunnerHost();

}  // namespace lts::runners

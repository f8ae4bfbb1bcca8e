// lts_sim: runs the scheduler of one or many seeds in simulated clusters and checks its invariants.
//
//   lts_sim --seed N [--trace]     one seed, with everything that happened on standard error
//   lts_sim --seeds N [--first M]  N seeds from M on (1); also checks what they exercised
//   lts_sim --twice N              the same seeds twice: their traces must be equal
//   --fault NAME                   plants a fault; with --seeds the run succeeds when it is caught
//   --calm                         no faults of network, store or processes
//   --jobs N                       seeds at a time
#include <fmt/core.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/log.h"
#include "world.h"

namespace lts::sim {
namespace {

struct Options {
  std::uint64_t first = 1;
  std::uint64_t seeds = 1;
  bool one = false;
  bool twice = false;
  bool trace = false;
  bool calm = false;
  unsigned jobs = 0;
  std::string fault;
};

bool PlantFault(const std::string& name, Config* config) {
  core::PlantedFaults& faults = config->core.faults;
  if (name == "ack_before_commit") {
    config->ack_before_commit = true;
  } else if (name == "unleased_dispatch") {
    config->unleased_dispatch = true;
  } else if (name == "result_without_token_check") {
    faults.result_without_token_check = true;
  } else if (name == "occurrence_without_fire_time") {
    faults.occurrence_without_fire_time = true;
  } else if (name == "forget_running_at_restart") {
    faults.forget_running_at_restart = true;
  } else if (name == "dispatch_before_hello") {
    faults.dispatch_before_hello = true;
  } else if (name == "retry_survives_cancel") {
    faults.retry_survives_cancel = true;
  } else if (name == "fire_while_suspended") {
    faults.fire_while_suspended = true;
  } else if (name == "snooze_counts_as_retry") {
    faults.snooze_counts_as_retry = true;
  } else if (name == "result_ends_other_cycle") {
    faults.result_ends_other_cycle = true;
  } else if (name == "fire_lost_when_clock_steps_back") {
    faults.fire_lost_when_clock_steps_back = true;
  } else if (name == "at_most_once_again") {
    faults.at_most_once_again = true;
  } else if (name == "forget_task_outside") {
    faults.forget_task_outside = true;
  } else {
    return name.empty();
  }
  return true;
}

struct Outcome {
  std::string failure;
  std::uint64_t hash = 0;
  Coverage coverage;
};

Outcome RunSeed(const Options& options, std::uint64_t seed) {
  Config config = Config::Draw(seed, !options.calm);
  PlantFault(options.fault, &config);
  World world(config, false);
  world.Run();
  return {world.failure(), world.trace_hash(), world.coverage()};
}

// The run of a seed is repeated with a trace: it takes the same course.
void Explain(const Options& options, std::uint64_t seed, std::size_t lines) {
  Config config = Config::Draw(seed, !options.calm);
  PlantFault(options.fault, &config);
  World world(config, true);
  world.Run();
  std::fprintf(stderr, "%s\n", config.ToString().c_str());
  world.PrintLines(options.trace ? model::JobId{} : world.failed_job(), lines);
  std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed),
               world.failure().empty() ? "ok" : world.failure().c_str());
}

// What 200 seeds must have met at least once.
std::vector<std::string> Required() {
  std::vector<std::string> names = {"message lost",
                                    "message doubled",
                                    "message late",
                                    "message reordered",
                                    "unknown outcome, nothing happened",
                                    "unknown outcome, it happened",
                                    "commit of the dead applied",
                                    "commit of the dead fenced",
                                    "store unavailable",
                                    "store outage",
                                    "store slow",
                                    "TaskTracker death while running",
                                    "TaskTracker pause while running",
                                    "TaskTracker drain",
                                    "lease ended while running",
                                    "JobTracker killed",
                                    "JobTracker stopped",
                                    "JobTracker paused",
                                    "client death with a call under way",
                                    "submit kept in a FailStore",
                                    "stream broken",
                                    "feedback asked for again",
                                    "clock stepped back",
                                    "clock stepped forth",
                                    "order checked",
                                    "refill",
                                    "look-up",
                                    "deferred until a group opened",
                                    "adopted",
                                    "result of an earlier owner's attempt",
                                    "stale result",
                                    "attempt lost",
                                    "handed back",
                                    "yielded",
                                    "expired",
                                    "skipped fire",
                                    "replaced",
                                    "session expired",
                                    "request passed on",
                                    "handed over",
                                    "commit of a replaced owner fenced",
                                    "cut from the registry",
                                    "cut from the store",
                                    "cut from a TaskTracker",
                                    "cut from a client",
                                    "cut from another JobTracker",
                                    "registry outage",
                                    "owners looked at without a registry",
                                    "row refused for good",
                                    "submit refused by name",
                                    "suspended",
                                    "resumed",
                                    "updated",
                                    "triggered",
                                    "terminated",
                                    "reset after a step back"};
  for (const char* when : {"before", "inside", "after"}) {
    for (const char* kind : {"submit", "fire", "mark", "next attempt", "cancel", "end", "history",
                             "schedule", "feedback", "worker", "operation"}) {
      names.push_back(fmt::format("crash {} commit: {}", when, kind));
    }
  }
  return names;
}

int RunMany(const Options& options) {
  std::atomic<std::uint64_t> next{options.first};
  const std::uint64_t end = options.first + options.seeds;
  std::mutex mutex;
  std::vector<std::pair<std::uint64_t, std::string>> failures;
  std::vector<std::uint64_t> unequal;
  Coverage coverage;
  std::vector<std::thread> threads;
  const unsigned jobs =
      options.jobs != 0 ? options.jobs : std::max(1U, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < jobs; ++i) {
    threads.emplace_back([&] {
      while (true) {
        const std::uint64_t seed = next++;
        if (seed >= end) return;
        const Outcome outcome = RunSeed(options, seed);
        const bool differs = options.twice && RunSeed(options, seed).hash != outcome.hash;
        const std::lock_guard lock(mutex);
        if (differs) unequal.push_back(seed);
        for (const auto& [name, n] : outcome.coverage) coverage[name] += n;
        if (outcome.failure.empty()) continue;
        failures.emplace_back(seed, outcome.failure);
        // A planted fault needs to be caught once.
        if (!options.fault.empty()) next = end;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::sort(failures.begin(), failures.end());

  if (!options.fault.empty()) {
    if (failures.empty()) {
      std::printf("the planted fault %s was not caught by %llu seeds\n", options.fault.c_str(),
                  static_cast<unsigned long long>(options.seeds));
      return 1;
    }
    std::printf("the planted fault %s was caught by seed %llu: %s\n", options.fault.c_str(),
                static_cast<unsigned long long>(failures.front().first),
                failures.front().second.c_str());
    return 0;
  }
  for (const auto& [name, n] : coverage)
    std::printf("%10llu  %s\n", static_cast<unsigned long long>(n), name.c_str());
  bool ok = failures.empty() && unequal.empty();
  for (const auto& [seed, failure] : failures) {
    std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed), failure.c_str());
  }
  for (const std::uint64_t seed : unequal) {
    std::fprintf(stderr, "seed %llu: two runs took different courses\n",
                 static_cast<unsigned long long>(seed));
  }
  if (!failures.empty()) Explain(options, failures.front().first, 60);
  if (options.seeds >= 200 && !options.calm && !options.twice) {
    for (const std::string& name : Required()) {
      if (coverage[name] > 0) continue;
      ok = false;
      std::fprintf(stderr, "no seed exercised: %s\n", name.c_str());
    }
  }
  std::printf("seeds %llu to %llu: %s, %zu failed\n",
              static_cast<unsigned long long>(options.first),
              static_cast<unsigned long long>(end - 1), ok ? "ok" : "FAILED", failures.size());
  return ok ? 0 : 1;
}

int Main(int argc, char** argv) {
  Options options;
  const auto usage = [] {
    std::fprintf(stderr,
                 "usage: lts_sim [--seed N | --seeds N | --twice N] [--first N] [--trace] [--fault "
                 "NAME] [--calm] "
                 "[--jobs N]\n");
    return 2;
  };
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--trace") {
      options.trace = true;
    } else if (flag == "--calm") {
      options.calm = true;
    } else if (i + 1 >= argc) {
      return usage();
    } else if (flag == "--fault") {
      options.fault = argv[++i];
    } else {
      const std::uint64_t value = std::strtoull(argv[++i], nullptr, 10);
      if (flag == "--seed") {
        options.first = value;
        options.one = true;
      } else if (flag == "--seeds" || flag == "--twice") {
        options.seeds = value;
        options.twice = flag == "--twice";
      } else if (flag == "--first") {
        options.first = value;
      } else if (flag == "--jobs") {
        options.jobs = static_cast<unsigned>(value);
      } else {
        return usage();
      }
    }
  }
  Config probe;
  if (!PlantFault(options.fault, &probe)) {
    std::fprintf(stderr, "no such fault: %s\n", options.fault.c_str());
    return 2;
  }
  log::Options quiet;
  quiet.level = options.one && options.trace ? log::Level::kInfo : log::Level::kOff;
  log::Configure(quiet);
  if (!options.one) return RunMany(options);
  const Outcome outcome = RunSeed(options, options.first);
  std::printf("seed %llu trace %016llx %s\n", static_cast<unsigned long long>(options.first),
              static_cast<unsigned long long>(outcome.hash),
              outcome.failure.empty() ? "ok" : outcome.failure.c_str());
  if (options.trace || !outcome.failure.empty())
    Explain(options, options.first, options.trace ? SIZE_MAX : 60);
  return outcome.failure.empty() ? 0 : 1;
}

}  // namespace
}  // namespace lts::sim

int main(int argc, char** argv) { return lts::sim::Main(argc, argv); }

// The options of `submit` and `update` that say what a job is.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <istream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lts/status.h"
#include "model/job.h"

namespace lts::jobclient::cli {

struct JobFlags {
  std::string runner;
  std::vector<std::string> params;
  std::string payload;
  std::string at;
  std::string in;
  std::string cron;
  std::string zone;
  std::string every;
  std::optional<std::int64_t> count;
  std::string start;
  std::string end;
  std::string misfire;
  std::optional<std::int32_t> priority;
  std::optional<std::int32_t> retries;
  std::string retry;
  std::string timeout;
  std::string expires;
};

// Adds them; `flags` lives as long as `verb`.
void AddJobFlags(CLI::App& verb, JobFlags& flags);

// The names of the options.
const std::vector<std::string>& JobFlagNames();

// "KEY=VALUE", each key once.
Result<std::map<std::string, std::string>> ParseParams(const std::vector<std::string>& texts);

// Puts what was given into `spec`. Reads the payload, perhaps from `standard_input`. Errors name
// the option.
Status ApplyJobFlags(const JobFlags& flags, std::istream& standard_input, model::JobSpec* spec);

// A refusal that begins with a field of the job, as lts.v1.Job names it, begins with the option
// that says it.
Status WithOption(const Status& status);

}  // namespace lts::jobclient::cli

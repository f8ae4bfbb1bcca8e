// The options of conf/tasktracker.cfg.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/options.h"
#include "discovery/discovery.h"
#include "lts/status.h"
#include "lts/task_tracker.h"
#include "rpc/security.h"

namespace lts::tasktracker {

// The rows of the program `tasktracker`.
std::vector<OptionRow> OptionRows();

// `home`: what relative paths are below. `name`: of the instance.
TaskTrackerOptions OptionsFrom(const Options& options, const std::string& home,
                               const std::string& name);

// Bounds and names that must hold whoever filled the options in. kInvalidArgument naming the field.
Status CheckOptions(const TaskTrackerOptions& options);

// How this TaskTracker finds its cluster.
discovery::DiscoveryOptions DiscoveryOptionsFrom(const TaskTrackerOptions& options);

// By which this TaskTracker and its JobTrackers know each other; reads the files. kInvalidArgument.
Result<rpc::Credentials> CredentialsFrom(const TaskTrackerOptions& options);

// DEBUG INFO WARN ERROR -> 0 … 3, NO -> 4.
Result<int> BizLogLevel(std::string_view text);

}  // namespace lts::tasktracker

// The options of a JobClient in files and the environment.
#pragma once

#include <string>

#include "common/options.h"
#include "discovery/discovery.h"
#include "lts/job_client.h"
#include "lts/status.h"

namespace lts::jobclient {

// The rows of conf/jobclient.cfg.
const OptionTable& ClientOptionTable();

// `home` is where a relative dataPath starts, and the default one, home/data/jobclient.
JobClientOptions ClientOptionsFrom(const Options& options, const std::string& home);

// kInvalidArgument, naming the field, its value and its bounds.
Status CheckClientOptions(const JobClientOptions& options);

// How this client finds its cluster.
discovery::DiscoveryOptions DiscoveryOptionsFrom(const JobClientOptions& options);

// "host-pid-random": unlike that of any other process.
std::string MakeIdentity();

}  // namespace lts::jobclient

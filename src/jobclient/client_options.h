// The options of a JobClient in files and the environment.
#pragma once

#include <string>

#include "common/options.h"
#include "discovery/discovery.h"
#include "lts/job_client.h"
#include "lts/status.h"
#include "rpc/security.h"

namespace lts::jobclient {

// The rows of conf/jobclient.cfg.
const OptionTable& ClientOptionTable();

// `home` is where relative paths start, and the default dataPath, home/data/jobclient.
JobClientOptions ClientOptionsFrom(const Options& options, const std::string& home);

// kInvalidArgument, naming the field, its value and its bounds.
Status CheckClientOptions(const JobClientOptions& options);

// How this client finds its cluster.
discovery::DiscoveryOptions DiscoveryOptionsFrom(const JobClientOptions& options);

// By which this client and its JobTrackers know each other; reads the files. kInvalidArgument.
Result<rpc::Credentials> CredentialsFrom(const JobClientOptions& options);

// "host-pid-random": unlike that of any other process.
std::string MakeIdentity();

}  // namespace lts::jobclient

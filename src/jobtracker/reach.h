// How a JobTracker is reached: where it listens and whom it lets in, which address it tells the
// others, and how it calls them.
#pragma once

#include <string>

#include "common/options.h"
#include "lts/status.h"
#include "rpc/channel.h"
#include "rpc/server.h"

namespace lts {

struct Reach {
  rpc::ServerOptions server;
  rpc::ChannelFactory peers;  // to other JobTrackers
  // What others dial, "host:port"; port 0: the one that is really listened on. Without a host: the
  // address that is listened on.
  std::string advertise_host;
  int advertise_port = 0;
};

// From bindIp, listenPort, advertise.address and security.*; nothing is opened but files. `home`:
// where relative paths start. `cluster`: whether other JobTrackers are called. kInvalidArgument,
// with the lines to add when other hosts could connect and nothing guards against that.
Result<Reach> ReachFrom(const Options& options, const std::string& home, bool cluster);

// The address to register and to store, for a server that listens on `address` ("host:port").
std::string AdvertisedAddress(const Reach& reach, const std::string& address, int port);

}  // namespace lts

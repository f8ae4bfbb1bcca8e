// A ZooKeeper of one server or three, from Debian's package, for the length of a test.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "lts/status.h"
#include "support/temp_folder.h"

namespace lts::testing {

// On loopback ports that were free, in a temp folder. The servers end with this object, and with
// the thread that started them however that ends: start them on the test's main thread.
class ZookeeperServers {
 public:
  // Gives them when they serve. An error when the package `zookeeper` is missing, or with the end
  // of the server's log.
  static Result<std::unique_ptr<ZookeeperServers>> Start(int count, DurationMs tick_ms = 200);
  ~ZookeeperServers();
  ZookeeperServers(const ZookeeperServers&) = delete;
  ZookeeperServers& operator=(const ZookeeperServers&) = delete;

  int port(int server = 0) const { return servers_[static_cast<std::size_t>(server)].client_port; }
  // "127.0.0.1:p1,127.0.0.1:p2…".
  std::vector<std::string> hosts() const;

  // The server that leads, of three.
  int Leader() const;

  void Kill(int server = 0);
  // With the same ports and data, after Kill; gives ok when it serves.
  Status Restart(int server = 0);
  // SIGSTOP and SIGCONT.
  void Pause(int server = 0);
  void Resume(int server = 0);

 private:
  struct Server {
    int client_port = 0;
    int quorum_port = 0;
    int election_port = 0;
    pid_t pid = 0;
    std::string folder;
  };

  ZookeeperServers() = default;
  Status Configure(int count, DurationMs tick_ms);
  Status Spawn(Server& server) const;
  // Until it says which mode it is in.
  Status AwaitServing(Server& server) const;
  static std::string Mode(const Server& server);
  static void End(Server& server);

  TempFolder folder_;
  std::vector<Server> servers_;
};

}  // namespace lts::testing

#include "support/zookeeper_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace lts::testing {
namespace {

constexpr const char* kJar = "/usr/share/java/zookeeper.jar";
constexpr const char* kLogJar = "/usr/share/java/slf4j-simple.jar";
constexpr const char* kJava = "/usr/bin/java";
constexpr auto kServesWithin = std::chrono::seconds(60);

// Ports that were free a moment ago, all different.
std::vector<int> FreePorts(std::size_t count) {
  std::vector<int> ports;
  std::vector<int> sockets;
  while (ports.size() < count) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      std::abort();
    }
    sockets.push_back(fd);
    ports.push_back(ntohs(address.sin_port));
  }
  for (const int fd : sockets) ::close(fd);
  return ports;
}

std::string Tail(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return text.size() > 2000 ? text.substr(text.size() - 2000) : text;
}

}  // namespace

Result<std::unique_ptr<ZookeeperServers>> ZookeeperServers::Start(int count, DurationMs tick_ms) {
  for (const char* file : {kJar, kLogJar, kJava}) {
    if (!std::filesystem::exists(file)) {
      return Status::FailedPrecondition(
          fmt::format("{} is missing: scripts/install-deps.sh cluster installs ZooKeeper", file));
    }
  }
  // Somebody else may have taken a port since it was found free.
  Status last;
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::unique_ptr<ZookeeperServers> servers(new ZookeeperServers);
    last = servers->Configure(count, tick_ms);
    for (Server& server : servers->servers_) {
      if (last.ok()) last = servers->Spawn(server);
    }
    for (Server& server : servers->servers_) {
      if (last.ok()) last = servers->AwaitServing(server);
    }
    if (last.ok()) return servers;
  }
  return last;
}

ZookeeperServers::~ZookeeperServers() {
  for (Server& server : servers_) End(server);
}

std::vector<std::string> ZookeeperServers::hosts() const {
  std::vector<std::string> hosts;
  for (const Server& server : servers_) {
    hosts.push_back("127.0.0.1:" + std::to_string(server.client_port));
  }
  return hosts;
}

Status ZookeeperServers::Configure(int count, DurationMs tick_ms) {
  const std::vector<int> ports = FreePorts(static_cast<std::size_t>(count) * 3);
  servers_.resize(static_cast<std::size_t>(count));
  std::string quorum;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    Server& server = servers_[i];
    server.client_port = ports[i * 3];
    server.quorum_port = ports[i * 3 + 1];
    server.election_port = ports[i * 3 + 2];
    server.folder = folder_.Below("server" + std::to_string(i + 1));
    quorum +=
        fmt::format("server.{}=127.0.0.1:{}:{}\n", i + 1, server.quorum_port, server.election_port);
  }
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const Server& server = servers_[i];
    std::filesystem::create_directories(server.folder + "/data");
    std::ofstream(server.folder + "/data/myid") << i + 1 << '\n';
    std::ofstream(server.folder + "/zoo.cfg") << fmt::format(
        "tickTime={}\ninitLimit=50\nsyncLimit=10\nmaxSessionTimeout=60000\n"
        "dataDir={}/data\nclientPortAddress=127.0.0.1\nclientPort={}\nmaxClientCnxns=0\n"
        "admin.enableServer=false\n4lw.commands.whitelist=srvr\n{}",
        tick_ms, server.folder, server.client_port, count > 1 ? quorum : std::string());
  }
  return Status::Ok();
}

Status ZookeeperServers::Spawn(Server& server) const {
  const std::string config = server.folder + "/zoo.cfg";
  const std::string log = server.folder + "/log";
  const std::string class_path = std::string(kJar) + ":" + kLogJar;
  const char* const argv[] = {
      kJava, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
      "-Djava.net.preferIPv4Stack=true", "-Dzookeeper.jmx.log4j.disable=true",
      // These tests end processes, never the machine.
      "-Dzookeeper.forceSync=no", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp",
      class_path.c_str(), "org.apache.zookeeper.server.quorum.QuorumPeerMain", config.c_str(),
      nullptr};
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (out < 0) return Status::Internal("cannot write " + log);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    // Other threads' locks may be held: system calls only.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    ::setpgid(0, 0);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execv(kJava, const_cast<char* const*>(argv));
    ::_exit(127);
  }
  ::close(out);
  if (pid < 0) return Status::Internal("cannot fork");
  server.pid = pid;
  return Status::Ok();
}

Status ZookeeperServers::AwaitServing(Server& server) const {
  const auto deadline = std::chrono::steady_clock::now() + kServesWithin;
  const int process = static_cast<int>(::syscall(SYS_pidfd_open, server.pid, 0));
  bool ended = false;
  while (!ended && std::chrono::steady_clock::now() < deadline) {
    if (!Mode(server).empty()) {
      ::close(process);
      return Status::Ok();
    }
    // A pause between two looks that ends early with the server.
    pollfd fd = {process, POLLIN, 0};
    ended = ::poll(&fd, 1, 20) > 0;
  }
  ::close(process);
  return Status::Unavailable(
      fmt::format("the ZooKeeper server on port {} {}:\n{}", server.client_port,
                  ended ? "has ended" : "does not serve in time", Tail(server.folder + "/log")));
}

std::string ZookeeperServers::Mode(const Server& server) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(server.client_port));
  const timeval timeout = {2, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  std::string text;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      ::send(fd, "srvr", 4, MSG_NOSIGNAL) == 4) {
    char bytes[1024];
    for (ssize_t n; (n = ::read(fd, bytes, sizeof(bytes))) > 0;) {
      text.append(bytes, static_cast<std::size_t>(n));
    }
  }
  ::close(fd);
  const std::size_t mode = text.find("Mode: ");
  if (mode == std::string::npos) return {};
  return text.substr(mode + 6, text.find('\n', mode) - mode - 6);
}

int ZookeeperServers::Leader() const {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (Mode(servers_[i]) == "leader") return static_cast<int>(i);
  }
  return -1;
}

void ZookeeperServers::End(Server& server) {
  if (server.pid == 0) return;
  ::kill(server.pid, SIGKILL);
  ::waitpid(server.pid, nullptr, 0);
  server.pid = 0;
}

void ZookeeperServers::Kill(int server) { End(servers_[static_cast<std::size_t>(server)]); }

Status ZookeeperServers::Restart(int server) {
  Server& one = servers_[static_cast<std::size_t>(server)];
  LTS_RETURN_IF_ERROR(Spawn(one));
  return AwaitServing(one);
}

void ZookeeperServers::Pause(int server) {
  ::kill(servers_[static_cast<std::size_t>(server)].pid, SIGSTOP);
}
void ZookeeperServers::Resume(int server) {
  ::kill(servers_[static_cast<std::size_t>(server)].pid, SIGCONT);
}

}  // namespace lts::testing

#include "support/mysql_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace lts::testing {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

bool ReadAll(int fd, char* out, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::recv(fd, out, size, 0);
    if (n <= 0) return false;
    out += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool WriteAll(int fd, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::send(fd, bytes, size, MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

MysqlProxy::MysqlProxy(int server_port) : server_port_(server_port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

MysqlProxy::~MysqlProxy() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  for (Pair& pair : pairs_) {
    ::shutdown(pair.client, SHUT_RDWR);
    ::shutdown(pair.server, SHUT_RDWR);
    pair.up.join();
    pair.down.join();
    ::close(pair.client);
    ::close(pair.server);
  }
}

void MysqlProxy::OnQuery(std::function<Cut(std::string_view)> decide) {
  const std::lock_guard lock(mutex_);
  decide_ = std::move(decide);
}

void MysqlProxy::CutOnce(std::string sql, Cut cut) {
  OnQuery([sql = std::move(sql), cut, done = false](std::string_view query) mutable {
    if (done || query != sql) return Cut::kNone;
    done = true;
    return cut;
  });
}

Cut MysqlProxy::Decide(std::string_view sql) {
  const std::lock_guard lock(mutex_);
  return decide_ ? decide_(sql) : Cut::kNone;
}

void MysqlProxy::Accept() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(server);
      ::close(client);
      continue;
    }
    Pair& pair = pairs_.emplace_back();
    pair.client = client;
    pair.server = server;
    pair.up = std::thread([this, &pair] { PumpUp(pair); });
    pair.down = std::thread([this, &pair] { PumpDown(pair); });
  }
}

void MysqlProxy::PumpUp(Pair& pair) {
  std::string packet;
  for (;;) {
    // Three bytes of length, one of sequence: 0 begins a command. 3 is COM_QUERY.
    packet.resize(4);
    if (!ReadAll(pair.client, packet.data(), 4)) break;
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(packet[i]); };
    const std::size_t size = byte(0) | byte(1) << 8U | byte(2) << 16U;
    packet.resize(4 + size);
    if (!ReadAll(pair.client, packet.data() + 4, size)) break;
    if (byte(3) == 0 && size > 0 && byte(4) == 3) {
      const Cut cut = Decide(std::string_view(packet).substr(5));
      if (cut == Cut::kBefore) {
        ++cuts_;
        break;
      }
      if (cut == Cut::kAfter) pair.swallow = true;
    }
    if (!WriteAll(pair.server, packet.data(), packet.size())) break;
  }
  ::shutdown(pair.client, SHUT_RDWR);
  ::shutdown(pair.server, SHUT_RDWR);
}

void MysqlProxy::PumpDown(Pair& pair) {
  char bytes[16384];
  for (;;) {
    const ssize_t n = ::recv(pair.server, bytes, sizeof bytes, 0);
    if (n <= 0) break;
    if (pair.swallow) {
      ++cuts_;
      break;
    }
    if (!WriteAll(pair.client, bytes, static_cast<std::size_t>(n))) break;
  }
  ::shutdown(pair.client, SHUT_RDWR);
  ::shutdown(pair.server, SHUT_RDWR);
}

}  // namespace lts::testing

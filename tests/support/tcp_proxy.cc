#include "support/tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace lts::testing {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

}  // namespace

class TcpProxy::Impl {
 public:
  explicit Impl(int target) : target_(target) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(0);
    socklen_t length = sizeof(address);
    if (listener_ < 0 ||
        ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
        ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread_ = std::thread([this] { Run(); });
  }

  ~Impl() {
    Become(Mode::kEnd);
    thread_.join();
    ::close(listener_);
    ::close(wake_);
  }

  enum class Mode { kPass, kHold, kCut, kEnd };
  void Become(Mode mode) {
    {
      const std::lock_guard lock(mutex_);
      mode_ = mode;
    }
    const std::uint64_t one = 1;
    if (::write(wake_, &one, sizeof(one)) < 0) std::abort();
  }

  int port() const { return port_; }

 private:
  struct Pair {
    int a;
    int b;
    bool broken = false;
  };

  void Run() {
    while (true) {
      Mode mode;
      {
        const std::lock_guard lock(mutex_);
        mode = mode_;
      }
      if (mode == Mode::kCut || mode == Mode::kEnd) CloseAll();
      if (mode == Mode::kEnd) return;
      std::vector<pollfd> fds = {{wake_, POLLIN, 0}};
      if (mode != Mode::kHold) {
        fds.push_back({listener_, POLLIN, 0});
        for (const Pair& pair : pairs_) {
          fds.push_back({pair.a, POLLIN, 0});
          fds.push_back({pair.b, POLLIN, 0});
        }
      }
      ::poll(fds.data(), fds.size(), -1);
      if ((fds[0].revents & POLLIN) != 0) {
        std::uint64_t count;
        if (::read(wake_, &count, sizeof(count)) < 0) std::abort();
        continue;  // the mode may be another one
      }
      if (mode == Mode::kHold) continue;
      std::size_t i = 2;
      for (Pair& pair : pairs_) {
        if (fds[i].revents != 0) Forward(pair, pair.a, pair.b);
        if (fds[i + 1].revents != 0 && !pair.broken) Forward(pair, pair.b, pair.a);
        i += 2;
      }
      for (auto pair = pairs_.begin(); pair != pairs_.end();) {
        if (!pair->broken) {
          ++pair;
          continue;
        }
        ::close(pair->a);
        ::close(pair->b);
        pair = pairs_.erase(pair);
      }
      if (fds[1].revents != 0) Accept(mode);
    }
  }

  void Accept(Mode mode) {
    const int a = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (a < 0) return;
    const int b = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(target_);
    if (mode == Mode::kCut ||
        ::connect(b, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      ::close(a);
      ::close(b);
      return;
    }
    const int on = 1;
    ::setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ::setsockopt(b, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    pairs_.push_back({a, b});
  }

  static void Forward(Pair& pair, int from, int to) {
    char bytes[16 << 10];
    const ssize_t count = ::read(from, bytes, sizeof(bytes));
    if (count <= 0) {
      pair.broken = true;
      return;
    }
    for (ssize_t sent = 0; sent < count;) {
      const ssize_t n =
          ::send(to, bytes + sent, static_cast<std::size_t>(count - sent), MSG_NOSIGNAL);
      if (n <= 0) {
        pair.broken = true;
        return;
      }
      sent += n;
    }
  }

  void CloseAll() {
    for (const Pair& pair : pairs_) {
      ::close(pair.a);
      ::close(pair.b);
    }
    pairs_.clear();
  }

  const int target_;
  int listener_ = -1;
  int wake_ = -1;
  int port_ = 0;
  std::mutex mutex_;
  Mode mode_ = Mode::kPass;  // guarded by mutex_
  std::list<Pair> pairs_;    // the thread's
  std::thread thread_;
};

TcpProxy::TcpProxy(int port) : impl_(std::make_unique<Impl>(port)) {}
TcpProxy::~TcpProxy() = default;
int TcpProxy::port() const { return impl_->port(); }
void TcpProxy::Hold() { impl_->Become(Impl::Mode::kHold); }
void TcpProxy::Cut() { impl_->Become(Impl::Mode::kCut); }
void TcpProxy::Pass() { impl_->Become(Impl::Mode::kPass); }

}  // namespace lts::testing

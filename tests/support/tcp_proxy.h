// A TCP proxy on loopback within the test's process, to hold up or cut the connections through it.
#pragma once

#include <memory>
#include <string>

namespace lts::testing {

class TcpProxy {
 public:
  // To 127.0.0.1:`port`. Aborts when there is no socket to have.
  explicit TcpProxy(int port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  int port() const;
  std::string address() const { return "127.0.0.1:" + std::to_string(port()); }

  // Bytes stay where they are, both ways, and nobody is told: a network that swallows packets.
  void Hold();
  // Breaks every connection, and each new one at once.
  void Cut();
  // Bytes that were held go on; new connections are made.
  void Pass();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace lts::testing

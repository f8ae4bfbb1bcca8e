// A TCP proxy within the test program that reads the commands of a MySQL connection and cuts it
// where a test wants: before a command reaches the server, or after the server has answered it and
// before the client learns of that. Without TLS only.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace lts::testing {

enum class Cut { kNone, kBefore, kAfter };

class MysqlProxy {
 public:
  explicit MysqlProxy(int server_port);
  ~MysqlProxy();
  MysqlProxy(const MysqlProxy&) = delete;
  MysqlProxy& operator=(const MysqlProxy&) = delete;

  int port() const { return port_; }
  // Asked for the text of each query; may be set while connections are open. Called on threads of
  // the proxy, one at a time.
  void OnQuery(std::function<Cut(std::string_view sql)> decide);
  // Cuts at the next query that is `sql`.
  void CutOnce(std::string sql, Cut cut);
  int cuts() const { return cuts_; }

 private:
  struct Pair {
    int client = -1;
    int server = -1;
    std::atomic<bool> swallow = false;  // the next answer of the server ends the connection
    std::thread up;
    std::thread down;
  };
  void Accept();
  void PumpUp(Pair& pair);
  void PumpDown(Pair& pair);
  Cut Decide(std::string_view sql);

  const int server_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> cuts_ = 0;
  std::mutex mutex_;
  std::function<Cut(std::string_view)> decide_;
  std::list<Pair> pairs_;
  std::thread acceptor_;
};

}  // namespace lts::testing

// A MariaDB server of Debian's package for tests: a temp folder, a free loopback port, nothing of
// the system's configuration. It dies with the test program, whatever happens.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/temp_folder.h"

namespace lts::testing {

class MariadbServer {
 public:
  struct Options {
    std::vector<std::string> arguments;  // of mariadbd, behind ours
    std::string folder;                  // of its data; empty: a temp folder
  };
  // Ends the program with a message when the package is missing or the server does not start: a
  // test that needs a database must not look green without one.
  explicit MariadbServer(Options options);
  MariadbServer() : MariadbServer(Options{}) {}
  ~MariadbServer();
  MariadbServer(const MariadbServer&) = delete;
  MariadbServer& operator=(const MariadbServer&) = delete;

  int port() const { return port_; }
  pid_t pid() const { return pid_; }  // -1 while it is stopped
  // A user with all rights, by password, over TCP.
  static constexpr const char* kUser = "lts_test";
  static constexpr const char* kPassword = "a 'quoted' password";
  std::string Url(const std::string& database) const {
    return "jdbc:mysql://127.0.0.1:" + std::to_string(port_) + "/" + database;
  }

  // What the server wrote since it was started last.
  std::string Log() const;

  void Stop();    // orderly, waits for its end
  void Kill();    // SIGKILL
  void Start();   // after one of these; waits until it answers, same port, same data
  void Freeze();  // SIGSTOP
  void Thaw();    // SIGCONT

 private:
  bool TryStart();
  void End(int signal);

  TempFolder temp_;
  const Options options_;
  std::string data_;
  int port_ = 0;
  pid_t pid_ = -1;
  std::thread reader_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string log_;
  bool ended_ = false;
};

// The database server of a test program: one for all its cases, or the one of LTS_TEST_MYSQL_URL
// (jdbc:mysql://host:port/prefix, with LTS_TEST_MYSQL_USER and LTS_TEST_MYSQL_PASSWORD), whose user
// may create and drop databases that begin with the prefix.
struct TestDatabaseServer {
  std::string host_and_port;
  std::string prefix;
  std::string user;
  std::string password;

  std::string Url(const std::string& database) const {
    return "jdbc:mysql://" + host_and_port + "/" + database;
  }
  static const TestDatabaseServer& Shared();
};

}  // namespace lts::testing

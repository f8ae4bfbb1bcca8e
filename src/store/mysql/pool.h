// A few connections, each used by one call at a time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "lts/status.h"
#include "store/mysql/connection.h"

namespace lts::store::mysql {

class Pool;

// A connection for the length of a call; goes back to the pool when it is still of use.
class Lease {
 public:
  Lease(Pool& pool, std::unique_ptr<Connection> connection, bool fresh)
      : pool_(&pool), connection_(std::move(connection)), fresh_(fresh) {}
  ~Lease();
  Lease(Lease&& other) noexcept = default;
  Lease& operator=(Lease&&) = delete;

  Connection& operator*() const { return *connection_; }
  Connection* operator->() const { return connection_.get(); }
  // Whether it was opened for this call: a failure then is no sign of an old connection.
  bool fresh() const { return fresh_; }
  // It is closed rather than given back: lost, or in a state nobody knows.
  void Drop() { drop_ = true; }

 private:
  Pool* pool_;
  std::unique_ptr<Connection> connection_;
  bool fresh_;
  bool drop_ = false;
};

// Thread-safe. Outlives its leases.
class Pool {
 public:
  explicit Pool(Target target) : target_(std::move(target)) {}

  // The connection that was used last, or a new one. Waits for a free place up to the read
  // time-out; kUnavailable after it. Connections whose idle time may have been too long for the
  // server are closed.
  Result<Lease> Take(Use use);
  // Closes what is idle: the server was restarted, or an address leads elsewhere now.
  void Purge();
  const Target& target() const { return target_; }

 private:
  friend class Lease;
  using Clock = std::chrono::steady_clock;
  struct Idle {
    std::unique_ptr<Connection> connection;
    Clock::time_point since;
  };

  void GiveBack(std::unique_ptr<Connection> connection, bool drop);

  const Target target_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::size_t used_ = 0;    // in leases
  std::vector<Idle> idle_;  // oldest first
};

}  // namespace lts::store::mysql

#include "store/mysql/pool.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace lts::store::mysql {

Lease::~Lease() {
  if (connection_ != nullptr) pool_->GiveBack(std::move(connection_), drop_);
}

Result<Lease> Pool::Take(Use use) {
  const MysqlStoreOptions& options = target_.options;
  std::vector<Idle> old;  // closed after the lock is gone: that is I/O
  {
    std::unique_lock lock(mutex_);
    const bool free =
        freed_.wait_for(lock, std::chrono::milliseconds(options.read_timeout_ms),
                        [&] { return used_ < std::max<std::size_t>(options.connections_max, 1); });
    if (!free) {
      return Status::Unavailable(
          fmt::format("all {} connections to the database were busy for {} ms", used_,
                      options.read_timeout_ms));
    }
    const auto idle_max = std::chrono::milliseconds(Connection::IdleSecondsMax(options) * 1000 / 2);
    const Clock::time_point now = Clock::now();
    while (!idle_.empty() && now - idle_.front().since > idle_max) {
      old.push_back(std::move(idle_.front()));
      idle_.erase(idle_.begin());
    }
    const auto last = std::find_if(idle_.rbegin(), idle_.rend(), [use](const Idle& idle) {
      return idle.connection->use() == use;
    });
    if (last != idle_.rend()) {
      std::unique_ptr<Connection> connection = std::move(last->connection);
      idle_.erase(std::next(last).base());
      ++used_;
      return Lease(*this, std::move(connection), /*fresh=*/false);
    }
    if (used_ + idle_.size() >= options.connections_max && !idle_.empty()) {
      old.push_back(std::move(idle_.front()));  // of the other use
      idle_.erase(idle_.begin());
    }
    ++used_;
  }
  auto opened = Connection::Open(target_, use);
  if (opened.ok()) return Lease(*this, std::move(*opened), /*fresh=*/true);
  GiveBack(nullptr, /*drop=*/true);
  return opened.status();
}

void Pool::Purge() {
  std::vector<Idle> old;  // closed after the lock is gone
  const std::lock_guard lock(mutex_);
  old.swap(idle_);
}

void Pool::GiveBack(std::unique_ptr<Connection> connection, bool drop) {
  {
    const std::lock_guard lock(mutex_);
    --used_;
    if (!drop && connection != nullptr) idle_.push_back({std::move(connection), Clock::now()});
  }
  freed_.notify_one();
}

}  // namespace lts::store::mysql

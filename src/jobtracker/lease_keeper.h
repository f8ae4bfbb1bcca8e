// Keeps what a JobTracker owns: renews the leases of its partitions in the store, learns there who
// asks for one and who owns the others, and measures the store's clock (DESIGN section 4).
//
// Threads: Start and Look may be called from any thread; the store is asked on `strand`, which may
// block, and on_routes runs there. The hosts are told on their own strands; on that of the first
// one, which never blocks, it is watched how long the store has not answered. To end, stop the
// strands.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "jobtracker/partition_host.h"
#include "jobtracker/routes.h"
#include "jobtracker/store_clock.h"
#include "store/job_store.h"

namespace lts {

struct LeaseKeeperOptions {
  std::string owner;
  DurationMs lease_ms = 4'000;
  DurationMs period_ms = 1'000;  // between looks; the lease is at least three of them
  bool fencing = true;           // false: a planted fault, newer owners are not noticed
};

class LeaseKeeper {
 public:
  struct Host {
    PartitionHost* host = nullptr;
    Strand* strand = nullptr;
  };
  struct Listeners {
    // Whether the store has answered within the last lease; at each change, and once at the start.
    // On the strand of the first host.
    std::function<void(bool)> on_store_answers;
    // After each look that found the rows.
    std::function<void()> on_routes;
  };

  // Borrows everything. `clock`: the own one, on which leases are counted; `store_clock` is set.
  LeaseKeeper(LeaseKeeperOptions options, store::JobStore& store, Strand& strand,
              const Clock& clock, StoreClock& store_clock, Routes& routes, std::vector<Host> hosts,
              Listeners listeners);

  // Looks now and from then on once in a period.
  void Start();
  // Looks soon, out of turn: a route was found to be wrong. Any thread; many calls make one look.
  void Look();

 private:
  void Tick();
  void Watch();
  void Judge(const Status& last);
  Status LookOnce();
  Status Renew();
  void StoreAnswers(bool answers, const std::string& reason);

  const LeaseKeeperOptions options_;
  store::JobStore& store_;
  Strand& strand_;
  const Clock& clock_;
  StoreClock& store_clock_;
  Routes& routes_;
  const std::vector<Host> hosts_;  // by partition
  const Listeners listeners_;

  std::atomic<bool> look_asked_{false};
  std::atomic<std::int64_t> answered_us_{0};  // when the last look that succeeded began
  std::atomic<bool> open_{false};             // a look is under way, or the last one failed

  // Of the strand of the first host.
  bool told_ = false;
  bool answers_ = false;
};

}  // namespace lts

// What one seed draws: sizes, loads and its own mix of faults (swarm testing).
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "common/clock.h"
#include "jobtracker/core/partition.h"

namespace lts::sim {

// All randomness of a run comes from here.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  // 0 … n-1; n > 0.
  std::uint64_t Below(std::uint64_t n) { return engine_() % n; }
  std::int64_t Between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(Below(static_cast<std::uint64_t>(high - low + 1)));
  }
  bool Chance(double p) { return p > 0 && static_cast<double>(engine_() >> 11) * 0x1.0p-53 < p; }
  template <typename T>
  T Pick(std::initializer_list<T> values) {
    return *(values.begin() + Below(values.size()));
  }
  std::uint64_t Next() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

struct Config {
  std::uint64_t seed = 1;
  bool faults = true;

  int trackers = 1;  // JobTrackers; more than one: a cluster with registry and leases
  DurationMs cluster_lease_ms = 4'000;
  DurationMs session_timeout_ms = 6'000;
  std::uint32_t partitions = 1;
  int groups = 1;
  int workers_per_group = 1;
  int slots = 4;
  int clients = 1;
  int submits = 100;        // calls, not jobs: some carry several
  int tasks = 20;           // task ids that are used again and again, per group
  double fresh_task = 0.5;  // share of submits under a task id of their own
  double schedule_share = 0.2;
  DurationMs active_ms = 60'000;
  DurationMs run_max_ms = 500;

  core::PartitionOptions core;
  bool ack_before_commit = false;
  std::size_t commit_mutations_max = 20'000;

  std::int64_t net_delay_max_us = 1'000;
  double net_loss = 0, net_double = 0, net_late = 0;
  std::int64_t store_delay_max_us = 2'000;
  double store_slow = 0;  // a call that takes up to a second
  double commit_unavailable = 0, commit_unknown_before = 0, commit_unknown_after = 0;
  double read_unavailable = 0;
  double poison = 0;  // share of submits whose row the store refuses for good
  double crash_in_commit = 0;

  // Mean time between such events; 0 never.
  DurationMs tracker_kill_ms = 0, tracker_stop_ms = 0, tracker_pause_ms = 0;
  DurationMs worker_kill_ms = 0, worker_pause_ms = 0, worker_drain_ms = 0;
  DurationMs client_kill_ms = 0, stream_break_ms = 0, store_outage_ms = 0, wall_step_ms = 0;
  DurationMs cut_ms = 0, registry_outage_ms = 0;  // of clusters
  bool unleased_dispatch = false;  // planted fault: gives jobs out although its lease has ended

  bool cluster() const { return trackers > 1; }

  static Config Draw(std::uint64_t seed, bool faults);
  std::string ToString() const;
};

}  // namespace lts::sim

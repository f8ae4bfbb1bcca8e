#include "config.h"

#include <fmt/core.h>

namespace lts::sim {

Config Config::Draw(std::uint64_t seed, bool with_faults) {
  Config c;
  c.seed = seed;
  c.faults = with_faults;
  Random r(seed * 0x9e3779b97f4a7c15ULL + 1);
  c.partitions = static_cast<std::uint32_t>(r.Between(1, 4));
  c.groups = static_cast<int>(r.Between(1, 3));
  c.workers_per_group = static_cast<int>(r.Between(1, 3));
  c.slots = r.Pick({1, 2, 4, 8, 32});
  c.clients = static_cast<int>(r.Between(1, 3));
  c.submits = static_cast<int>(r.Between(40, 240));
  c.tasks = static_cast<int>(r.Pick({2, 5, 20}));
  c.fresh_task = r.Pick({0.1, 0.5, 0.9});
  c.schedule_share = r.Pick({0.0, 0.1, 0.3});
  c.active_ms = r.Pick({30'000, 60'000, 90'000});
  c.run_max_ms = r.Pick({20, 300, 2'000});

  core::PartitionOptions& o = c.core;
  o.window_max = r.Pick<std::size_t>({4, 8, 16, 1'000});
  o.memory_bytes_max = r.Pick<std::size_t>({30'000, 100'000, 100'000'000});
  o.outside_bytes_max = r.Pick<std::size_t>({200, 64 << 20});
  c.commit_mutations_max = r.Pick<std::size_t>({2, 20, 20'000});
  o.feedback_window_max = r.Pick<std::size_t>({2, 4, 10, 1'000});
  o.tasktracker_lease_ms = r.Pick({2'000, 5'000, 20'000});
  o.kill_grace_ms = r.Pick({500, 2'000});
  o.mark_delay_ms = r.Pick({10, 100, 1'000});
  o.misfire_grace_ms = r.Pick({2'000, 10'000, 60'000});
  o.catch_up_max = static_cast<std::int32_t>(r.Pick({1, 3, 10}));
  o.lost_times_max = static_cast<std::int32_t>(r.Pick({2, 5}));
  o.later_times_max = 5;
  o.default_retry = {model::RetryPolicy::Kind::kExponential, 100, 2'000};
  o.feedback_retry_ms = 200;

  if (r.Chance(0.5)) {
    c.trackers = static_cast<int>(r.Between(2, 3));
    c.cluster_lease_ms = r.Pick({1'000, 4'000});
    c.session_timeout_ms = c.cluster_lease_ms + r.Pick({1'000, 2'000});
  }
  c.net_delay_max_us = r.Pick({200, 5'000, 50'000});
  c.store_delay_max_us = r.Pick({100, 3'000, 30'000});
  if (!with_faults) return c;

  // Each kind of fault is on in some seeds only, so that rare combinations are not drowned.
  const auto sometimes = [&](double share, double value) { return r.Chance(share) ? value : 0.0; };
  const auto every = [&](double share, DurationMs value) {
    return r.Chance(share) ? r.Between(value / 2, value * 2) : 0;
  };
  c.net_loss = sometimes(0.5, 0.05);
  c.net_double = sometimes(0.5, 0.05);
  c.net_late = sometimes(0.5, 0.03);
  c.store_slow = sometimes(0.4, 0.02);
  c.commit_unavailable = sometimes(0.4, 0.03);
  c.commit_unknown_before = sometimes(0.4, 0.03);
  c.commit_unknown_after = sometimes(0.4, 0.03);
  c.read_unavailable = sometimes(0.3, 0.05);
  c.poison = sometimes(0.3, 0.03);
  c.crash_in_commit = sometimes(0.5, 0.01);
  c.tracker_kill_ms = every(0.5, 15'000);
  c.tracker_stop_ms = every(0.3, 20'000);
  c.tracker_pause_ms = every(0.3, 20'000);
  c.worker_kill_ms = every(0.5, 10'000);
  c.worker_pause_ms = every(0.5, 10'000);
  c.worker_drain_ms = every(0.3, 15'000);
  c.client_kill_ms = every(0.4, 15'000);
  c.stream_break_ms = every(0.5, 5'000);
  c.store_outage_ms = every(0.3, 20'000);
  c.wall_step_ms = every(0.3, 20'000);
  if (c.cluster()) {
    c.cut_ms = every(0.6, 8'000);
    c.tracker_pause_ms = every(0.6, 10'000);
    c.registry_outage_ms = every(0.3, 20'000);
    if (r.Chance(0.1)) {
      // Nothing but the registry fails, so that nobody has a reason to lose what he owns.
      c.registry_outage_ms = 10'000;
      c.active_ms = 90'000;
      c.cut_ms = c.tracker_kill_ms = c.tracker_stop_ms = c.tracker_pause_ms = c.store_outage_ms = 0;
      c.store_slow = c.commit_unavailable = c.commit_unknown_before = c.commit_unknown_after = 0;
      c.read_unavailable = c.poison = c.crash_in_commit = 0;
    }
  }
  return c;
}

std::string Config::ToString() const {
  return fmt::format(
      "seed={} trackers={} cluster_lease={} session={} cut={} registry_outage={} partitions={} "
      "groups={} workers={} slots={} clients={} submits={} tasks={} "
      "window={} "
      "lease={} grace={} mark={} schedules={} run_max={} loss={} double={} late={} slow={} "
      "unavailable={} unknown={}/{} read={} poison={} crash_in_commit={} kill={} stop={} pause={} "
      "wkill={} "
      "wpause={} wdrain={} ckill={} break={} outage={} step={}",
      seed, trackers, cluster_lease_ms, session_timeout_ms, cut_ms, registry_outage_ms, partitions,
      groups, workers_per_group, slots, clients, submits, tasks, core.window_max,
      core.tasktracker_lease_ms, core.kill_grace_ms, core.mark_delay_ms, schedule_share, run_max_ms,
      net_loss, net_double, net_late, store_slow, commit_unavailable, commit_unknown_before,
      commit_unknown_after, read_unavailable, poison, crash_in_commit, tracker_kill_ms,
      tracker_stop_ms, tracker_pause_ms, worker_kill_ms, worker_pause_ms, worker_drain_ms,
      client_kill_ms, stream_break_ms, store_outage_ms, wall_step_ms);
}

}  // namespace lts::sim

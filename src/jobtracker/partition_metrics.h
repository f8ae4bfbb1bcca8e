// What /metrics shows of a partition.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <utility>

#include "common/log.h"
#include "common/metrics.h"
#include "jobtracker/partition_host.h"

namespace lts {

// What one partition shows, copied on its strand once a second and read by the metrics thread.
struct PartitionMetrics {
  PartitionMetrics(MetricsRegistry& registry, std::uint32_t partition,
                   const PartitionHostOptions& options)
      : labels{{"partition", std::to_string(partition)}},
        pending(registry, fmt::format("partition.pending.max/{}", partition),
                static_cast<std::int64_t>(options.pending_jobs_max)),
        pending_bytes(registry, fmt::format("partition.pending.bytes.max/{}", partition),
                      static_cast<std::int64_t>(options.pending_bytes_max)),
        memory(registry, fmt::format("partition.memory.max/{}", partition),
               static_cast<std::int64_t>(options.core.memory_bytes_max)),
        outside(registry, fmt::format("partition.outside.max/{}", partition),
                static_cast<std::int64_t>(options.core.outside_bytes_max)),
        lookups(registry, fmt::format("partition.lookups.max/{}", partition),
                static_cast<std::int64_t>(options.core.lookups_max)),
        resident(registry, fmt::format("partition.resident.max/{}", partition),
                 static_cast<std::int64_t>(options.core.resident_max)),
        schedules(registry, fmt::format("schedules.max/{}", partition),
                  static_cast<std::int64_t>(options.core.schedules_max)),
        groups(registry, fmt::format("groups.max/{}", partition),
               static_cast<std::int64_t>(options.core.groups_max)),
        trackers(registry, fmt::format("tasktrackers.max/{}", partition),
                 static_cast<std::int64_t>(options.core.workers_max)),
        window(registry, fmt::format("partition.window.max/{}", partition),
               static_cast<std::int64_t>(options.core.window_max)),
        feedback(registry, fmt::format("feedback.window.max/{}", partition),
                 static_cast<std::int64_t>(options.core.feedback_window_max)),
        accepted(
            registry.AddCounter("lts_jobs_accepted_total", "Jobs and schedules accepted", labels)),
        dispatched(registry.AddCounter("lts_jobs_dispatched_total",
                                       "Attempts given to TaskTrackers", labels)),
        succeeded(
            registry.AddCounter("lts_jobs_succeeded_total", "Runs that ended SUCCEEDED", labels)),
        failed(
            registry.AddCounter("lts_jobs_failed_total", "Runs that ended FAILED or DEAD", labels)),
        retried(registry.AddCounter("lts_attempts_retried_total", "Attempts followed by a retry",
                                    labels)),
        lost(registry.AddCounter("lts_attempts_lost_total", "Attempts lost with their TaskTracker",
                                 labels)),
        stale(registry.AddCounter("lts_results_stale_total", "Results that came too late to count",
                                  labels)),
        fires(
            registry.AddCounter("lts_fires_total", "Fires of schedules that became runs", labels)),
        skipped(registry.AddCounter("lts_fires_skipped_total",
                                    "Fires of schedules that were skipped", labels)),
        commits(registry.AddCounter("lts_commits_total", "Group commits", labels)),
        mutations(registry.AddCounter("lts_mutations_total", "Rows changed by commits", labels)),
        offenders(registry.AddCounter("lts_store_refused_total",
                                      "Requests and results that the store refused for good",
                                      labels)),
        failed_reads(registry.AddCounter("lts_store_failed_reads_total",
                                         "Reads of the scheduler that failed", labels)),
        executing(registry.AddGauge("lts_jobs_executing", "Attempts under way", labels)),
        ready(registry.AddGauge("lts_jobs_ready", "Due jobs held in memory", labels)),
        silent(registry.AddGauge("lts_schedules_zone_unknown",
                                 "Schedules that do not fire: this host lacks their time zone",
                                 labels)),
        ahead(registry.AddGauge("lts_schedules_ahead_of_clock",
                                "Schedules that are silent until the clock, which went back, has "
                                "come as far as their last fire",
                                labels)),
        out_of_time(
            registry.AddCounter("lts_attempts_out_of_time_total",
                                "Attempts that outlived their time-out and were told to stop "
                                "by the JobTracker",
                                labels)),
        feedback_dropped(registry.AddCounter("lts_feedback_dropped_total",
                                             "Ends that no client has taken in feedback.retention",
                                             labels)),
        operations(registry.AddCounter(
            "lts_operations_total", "Suspends, resumes, updates, triggers and terminates", labels)),
        serving(registry.AddGauge("lts_partition_serving", "1 while the partition is served",
                                  labels)) {}

  void Update(const PartitionHost& host) {
    serving.Set(host.serving() ? 1 : 0);
    const PartitionHost::Counters counters = host.counters();
    Raise(commits, counters.commits);
    Raise(mutations, counters.mutations);
    pending.SetCurrent(static_cast<std::int64_t>(counters.pending_jobs));
    if (counters.refused > pending.refused()) pending.Refused(counters.refused - pending.refused());
    pending_bytes.SetCurrent(static_cast<std::int64_t>(counters.pending_bytes));
    if (counters.refused_bytes > pending_bytes.refused()) {
      pending_bytes.Refused(counters.refused_bytes - pending_bytes.refused());
    }
    Raise(offenders, counters.offenders);
    Raise(failed_reads, counters.failed_reads);
    if (host.partition() == nullptr) return;
    const core::PartitionStats stats = host.partition()->Stats();
    // The counts of a core start at nothing after a reload: what it counted since then is added.
    const auto since = [](std::uint64_t now, std::uint64_t& before) {
      const std::uint64_t delta = now >= before ? now - before : now;
      before = now;
      return delta;
    };
    accepted.Add(since(stats.accepted, last.accepted));
    dispatched.Add(since(stats.dispatched, last.dispatched));
    succeeded.Add(since(stats.succeeded, last.succeeded));
    failed.Add(since(stats.failed + stats.dead, last.failed));
    retried.Add(since(stats.retried, last.retried));
    lost.Add(since(stats.lost, last.lost));
    stale.Add(since(stats.stale_results, last.stale_results));
    fires.Add(since(stats.fires, last.fires));
    skipped.Add(since(stats.skipped_fires, last.skipped_fires));
    lookups.Refused(since(stats.over_lookups, last.over_lookups));
    groups.Refused(since(stats.over_groups, last.over_groups));
    resident.Refused(since(stats.over_resident, last.over_resident));
    schedules.Refused(since(stats.over_schedules, last.over_schedules));
    trackers.Refused(since(stats.over_workers, last.over_workers));
    memory.Refused(since(stats.over_memory, last.over_memory));
    memory.SetCurrent(static_cast<std::int64_t>(stats.memory_bytes));
    outside.Refused(since(stats.over_outside, last.over_outside));
    outside.SetCurrent(static_cast<std::int64_t>(stats.outside_bytes));
    silent.Set(static_cast<std::int64_t>(stats.schedules_without_fires));
    ahead.Set(static_cast<std::int64_t>(stats.schedules_ahead));
    out_of_time.Add(since(stats.out_of_time, last.out_of_time));
    feedback_dropped.Add(since(stats.feedback_dropped, last.feedback_dropped));
    operations.Add(
        since(stats.suspended + stats.resumed + stats.updated + stats.triggered + stats.terminated,
              last_operations));
    if (stats.schedules_ahead > 0 && !std::exchange(told_ahead, true)) {
      LTS_WARN(
          "the clock went back: schedules are silent until it has come as far as their last fire; "
          "jobclient resume --reset lets one fire at once partition={} schedules={}",
          labels.front().second, stats.schedules_ahead);
    }
    if (stats.schedules_ahead == 0) told_ahead = false;
    lookups.SetCurrent(static_cast<std::int64_t>(stats.waiting_operations));
    resident.SetCurrent(static_cast<std::int64_t>(stats.resident));
    schedules.SetCurrent(static_cast<std::int64_t>(stats.schedules));
    groups.SetCurrent(static_cast<std::int64_t>(stats.groups));
    trackers.SetCurrent(static_cast<std::int64_t>(stats.registered_workers));
    window.SetCurrent(static_cast<std::int64_t>(stats.window));
    feedback.SetCurrent(static_cast<std::int64_t>(stats.feedback));
    executing.Set(static_cast<std::int64_t>(stats.executing));
    ready.Set(static_cast<std::int64_t>(stats.ready));
  }

  // Attempts given out since the last call. One thread, the one that reads `dispatched`.
  std::uint64_t TakeDispatched() {
    const std::uint64_t now = dispatched.value();
    return now - std::exchange(dispatched_taken, now);
  }

  static void Raise(Counter& counter, std::uint64_t to) {
    if (to > counter.value()) counter.Add(to - counter.value());
  }

  const Labels labels;
  LimitMetrics pending, pending_bytes, memory, outside, lookups, resident, schedules, groups,
      trackers, window, feedback;
  Counter &accepted, &dispatched, &succeeded, &failed, &retried, &lost, &stale, &fires, &skipped,
      &commits, &mutations, &offenders, &failed_reads;
  Gauge &executing, &ready, &silent, &ahead;
  Counter &out_of_time, &feedback_dropped, &operations;
  Gauge& serving;
  core::PartitionStats last;
  std::uint64_t last_operations = 0;
  bool told_ahead = false;
  std::uint64_t dispatched_taken = 0;
};

}  // namespace lts

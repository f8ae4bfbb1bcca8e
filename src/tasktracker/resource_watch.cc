#include "tasktracker/resource_watch.h"

#include <cmath>

#include "common/log.h"

namespace lts::tasktracker {
namespace {

constexpr std::int64_t kPeriodUs = 1'000'000;

std::int64_t Rounded(double percent) { return std::llround(percent); }

}  // namespace

ResourceWatch::ResourceWatch(const ResourceMax& max, const Clock& clock, MetricsRegistry& metrics,
                             OnChange on_change)
    : clock_(clock),
      on_change_(std::move(on_change)),
      gate_(max),
      cpu_(metrics, "lb.cpuUsedRate.max", Rounded(max.cpu)),
      memory_(metrics, "lb.memoryUsedRate.max", Rounded(max.memory)),
      closed_(metrics.AddGauge("lts_tasktracker_gate_closed",
                               "1 while no new jobs are taken since the host has no room (lb.*).")),
      strand_("lts-tt-gate") {
  Look();
  Again();
}

ResourceWatch::~ResourceWatch() { strand_.Stop(); }

void ResourceWatch::Again() {
  strand_.PostAfter(kPeriodUs, [this] {
    Look();
    Again();
  });
}

void ResourceWatch::Look() {
  const bool cpu_was_over = gate_.cpu_over();
  const bool memory_was_over = gate_.memory_over();
  const bool changed = gate_.Look(host_.Look(clock_.MonotonicUs()));
  const ResourceUse& use = gate_.use();
  if (!use.memory && !told_blind_) {
    LTS_WARN("how much memory is in use cannot be told: it does not count");
    told_blind_ = true;
  }
  cpu_.SetCurrent(Rounded(use.cpu.value_or(0)));
  memory_.SetCurrent(Rounded(use.memory.value_or(0)));
  if (gate_.cpu_over() && !cpu_was_over) cpu_.Refused();
  if (gate_.memory_over() && !memory_was_over) memory_.Refused();
  closed_.Set(gate_.open() ? 0 : 1);
  if (!changed) return;
  if (gate_.open()) {
    LTS_INFO("the host has room again, new jobs are taken");
  } else {
    LTS_WARN("the host has no room, no new jobs are taken reason=\"{}\"", gate_.reason());
  }
  on_change_(gate_.reason());
}

}  // namespace lts::tasktracker

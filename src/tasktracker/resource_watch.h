// Looks at the host once a second, and says when new jobs are taken and when not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/strand.h"
#include "tasktracker/host_load.h"
#include "tasktracker/resource_gate.h"

namespace lts::tasktracker {

// Has a thread of its own, so that neither a slow disk nor a slow /proc holds anything up. Borrows
// clock and metrics. Destroyed before what `on_change` uses.
class ResourceWatch {
 public:
  // Why no new jobs are to be taken; empty: they are.
  using OnChange = std::function<void(const std::string& why_not)>;

  // The first look is taken here, so `on_change` may be called before this returns; later from the
  // thread.
  ResourceWatch(const ResourceMax& max, const Clock& clock, MetricsRegistry& metrics,
                OnChange on_change);
  ~ResourceWatch();
  ResourceWatch(const ResourceWatch&) = delete;
  ResourceWatch& operator=(const ResourceWatch&) = delete;

 private:
  void Look();
  void Again();

  const Clock& clock_;
  const OnChange on_change_;
  HostLoad host_;
  ResourceGate gate_;
  bool told_blind_ = false;
  LimitMetrics cpu_;
  LimitMetrics memory_;
  Gauge& closed_;
  ThreadStrand strand_;  // last: its thread ends first
};

}  // namespace lts::tasktracker

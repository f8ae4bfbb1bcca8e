// A named limit on things under way: each holds a slot, and one that gets none is refused.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "common/metrics.h"
#include "lts/status.h"

namespace lts {

// Thread-safe. The registry outlives the slots; the slots may outlive this object.
class LimitSlots {
 public:
  // Given back when the last copy goes.
  using Slot = std::shared_ptr<void>;

  LimitSlots(MetricsRegistry& registry, std::string name, std::int64_t max)
      : name_(std::move(name)), shared_(std::make_shared<Shared>(registry, name_, max)) {}

  // Null when all are taken.
  Slot Take() {
    if (shared_->taken.fetch_add(1) >= shared_->metrics.max()) {
      shared_->taken.fetch_sub(1);
      shared_->metrics.Refused();
      return nullptr;
    }
    shared_->metrics.Add(1);
    return Slot(shared_.get(), [shared = shared_](void*) {
      shared->metrics.Add(-1);
      shared->taken.fetch_sub(1);
    });
  }
  // What to answer then; `things` is what there are too many of.
  Status Refusal(std::string_view things) const {
    return Status::ResourceExhausted(fmt::format("{} {} (limit {}={}); retry later",
                                                 shared_->metrics.max(), things, name_,
                                                 shared_->metrics.max()));
  }

 private:
  struct Shared {
    Shared(MetricsRegistry& registry, const std::string& name, std::int64_t max)
        : metrics(registry, name, max) {}
    std::atomic<std::int64_t> taken{0};
    LimitMetrics metrics;
  };

  const std::string name_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace lts

// Whether this host has room for new jobs: the options lb.*.
#pragma once

#include <deque>
#include <optional>
#include <string>

namespace lts::tasktracker {

// What is in use, in percent of what there is; empty when it cannot be told (yet).
struct ResourceUse {
  std::optional<double> cpu;
  std::optional<double> memory;
};

// In percent, above 0.
struct ResourceMax {
  double cpu = 90;
  double memory = 90;
};

// Decides, from one look after the other. Closes when one of both is above its maximum, the
// processor on the average of the last five looks, since jobs come in bursts; opens when what was
// above is clearly below, so that a host at its limit does not do so in turns. What cannot be told
// closes nothing. Pure, not thread-safe.
class ResourceGate {
 public:
  explicit ResourceGate(const ResourceMax& max) : max_(max) {}

  // One more look. True when the gate has opened or closed by it.
  bool Look(const ResourceUse& use);

  bool open() const { return !cpu_over_ && !memory_over_; }
  bool cpu_over() const { return cpu_over_; }
  bool memory_over() const { return memory_over_; }
  // Why it is closed, with the names of the options.
  const std::string& reason() const { return reason_; }
  // As it decides by them.
  const ResourceUse& use() const { return use_; }

 private:
  const ResourceMax max_;
  std::deque<double> cpu_;
  ResourceUse use_;
  bool cpu_over_ = false;
  bool memory_over_ = false;
  std::string reason_;
};

// A value of the options: up to 1 it is a share, as in the original's documents, beyond a
// percentage, as in its code.
double PercentOf(double value);

}  // namespace lts::tasktracker

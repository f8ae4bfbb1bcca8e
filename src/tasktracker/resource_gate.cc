#include "tasktracker/resource_gate.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

namespace lts::tasktracker {
namespace {

constexpr std::size_t kLooks = 5;
constexpr double kMarginMax = 5;

// What was over its maximum is so until it is clearly below.
bool IsOver(double use, double max, bool was_over) {
  return use > (was_over ? max - std::min(kMarginMax, max / 10) : max);
}

std::string Why(const char* what, double use, const char* option, double max) {
  return fmt::format("{} in use: {:.1f} % ({}={:g})", what, use, option, max);
}

}  // namespace

double PercentOf(double value) { return value <= 1 ? value * 100 : value; }

bool ResourceGate::Look(const ResourceUse& use) {
  if (use.cpu) {
    cpu_.push_back(*use.cpu);
    if (cpu_.size() > kLooks) cpu_.pop_front();
    use_.cpu = std::accumulate(cpu_.begin(), cpu_.end(), 0.0) / static_cast<double>(cpu_.size());
  }
  use_.memory = use.memory;
  const bool was_open = open();
  // A full window: the first looks of a process that has just started say little.
  cpu_over_ = cpu_.size() == kLooks && IsOver(*use_.cpu, max_.cpu, cpu_over_);
  memory_over_ = use_.memory && IsOver(*use_.memory, max_.memory, memory_over_);
  reason_.clear();
  if (cpu_over_) reason_ = Why("processor", *use_.cpu, "lb.cpuUsedRate.max", max_.cpu);
  if (memory_over_) {
    if (cpu_over_) reason_ += ", ";
    reason_ += Why("memory", *use_.memory, "lb.memoryUsedRate.max", max_.memory);
  }
  return open() != was_open;
}

}  // namespace lts::tasktracker

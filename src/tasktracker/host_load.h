// How much of the host's processors and memory is in use: /proc, and the limits of our control
// groups (version 2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tasktracker/resource_gate.h"

namespace lts::tasktracker {

// Not thread-safe.
class HostLoad {
 public:
  // `root`: what stands before /proc and /sys, for tests.
  explicit HostLoad(std::string root = "");

  // Since the last look, whatever is scarcest: the host, or a control group that is limited.
  // `now_us` is monotonic.
  ResourceUse Look(std::int64_t now_us);

 private:
  struct Group {
    std::string folder;
    std::int64_t used_us = -1;  // at the last look
  };
  std::string Read(const std::string& path) const;
  std::optional<double> HostCpu();
  std::optional<double> GroupCpu(Group& group, std::int64_t passed_us) const;
  std::optional<double> GroupMemory(const Group& group) const;

  const std::string root_;
  std::vector<Group> groups_;  // ours and those above
  std::int64_t last_us_ = 0;
  std::int64_t busy_ = -1;
  std::int64_t total_ = 0;
};

// The number after `key` on a line of its own, as in /proc/meminfo and memory.stat.
std::optional<std::int64_t> NumberOf(std::string_view text, std::string_view key);

}  // namespace lts::tasktracker

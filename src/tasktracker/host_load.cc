#include "tasktracker/host_load.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <utility>

namespace lts::tasktracker {
namespace {

constexpr char kGroups[] = "/sys/fs/cgroup";

std::string_view NextWord(std::string_view* text) {
  const std::size_t begin = std::min(text->find_first_not_of(" \t\n"), text->size());
  text->remove_prefix(begin);
  const std::string_view word = text->substr(0, text->find_first_of(" \t\n"));
  text->remove_prefix(word.size());
  return word;
}

std::optional<std::int64_t> Number(std::string_view word) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

double Percent(std::int64_t part, std::int64_t whole) {
  return std::clamp(100.0 * static_cast<double>(part) / static_cast<double>(whole), 0.0, 100.0);
}

// The scarcer of both.
void Raise(std::optional<double>* use, std::optional<double> other) {
  if (other && (!*use || **use < *other)) *use = other;
}

}  // namespace

std::optional<std::int64_t> NumberOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (NextWord(&line) == key) return Number(NextWord(&line));
  }
  return std::nullopt;
}

HostLoad::HostLoad(std::string root) : root_(std::move(root)) {
  // "0::/path" is our group of version 2; there is none where only version 1 is in use.
  const std::string text = Read("/proc/self/cgroup");
  const std::size_t at = text.rfind("0::/", 0) == 0 ? 0 : text.find("\n0::/");
  if (at == std::string::npos) return;
  const std::size_t begin = text.find('/', at);
  std::string path = text.substr(begin, text.find('\n', begin) - begin);
  while (path.size() > 1) {
    groups_.push_back({kGroups + path});
    path.resize(path.rfind('/'));
  }
  groups_.push_back({kGroups});
}

std::string HostLoad::Read(const std::string& path) const {
  std::ifstream file(root_ + path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::optional<double> HostLoad::HostCpu() {
  const std::string text = Read("/proc/stat");
  std::string_view rest = text;
  if (NextWord(&rest) != "cpu") return std::nullopt;
  // user nice system idle iowait irq softirq steal
  std::array<std::int64_t, 8> times{};
  for (std::int64_t& each : times) {
    const std::optional<std::int64_t> value = Number(NextWord(&rest));
    if (!value) return std::nullopt;
    each = *value;
  }
  std::int64_t total = 0;
  for (const std::int64_t each : times) total += each;
  const std::int64_t busy = total - times[3] - times[4];
  const std::int64_t busy_before = std::exchange(busy_, busy);
  const std::int64_t total_before = std::exchange(total_, total);
  if (busy_before < 0 || total <= total_before) return std::nullopt;
  return Percent(busy - busy_before, total - total_before);
}

std::optional<double> HostLoad::GroupCpu(Group& group, std::int64_t passed_us) const {
  const std::string max = Read(group.folder + "/cpu.max");
  std::string_view rest = max;
  const std::optional<std::int64_t> quota_us = Number(NextWord(&rest));  // "max": none
  const std::optional<std::int64_t> period_us = Number(NextWord(&rest));
  const std::optional<std::int64_t> used_us =
      NumberOf(Read(group.folder + "/cpu.stat"), "usage_usec");
  if (!quota_us || !period_us || *quota_us <= 0 || *period_us <= 0 || !used_us) return std::nullopt;
  const std::int64_t before_us = std::exchange(group.used_us, *used_us);
  if (before_us < 0 || passed_us <= 0) return std::nullopt;
  const double there_us = static_cast<double>(passed_us) * static_cast<double>(*quota_us) /
                          static_cast<double>(*period_us);
  return std::clamp(100.0 * static_cast<double>(*used_us - before_us) / there_us, 0.0, 100.0);
}

std::optional<double> HostLoad::GroupMemory(const Group& group) const {
  const std::string max_text = Read(group.folder + "/memory.max");
  const std::string current_text = Read(group.folder + "/memory.current");
  std::string_view max_rest = max_text;
  std::string_view current_rest = current_text;
  const std::optional<std::int64_t> max = Number(NextWord(&max_rest));  // "max": none
  const std::optional<std::int64_t> current = Number(NextWord(&current_rest));
  if (!max || *max <= 0 || !current) return std::nullopt;
  // The kernel takes it back when it needs it, as it does what is "available" of the host.
  const std::int64_t cache =
      NumberOf(Read(group.folder + "/memory.stat"), "inactive_file").value_or(0);
  return Percent(*current - cache, *max);
}

ResourceUse HostLoad::Look(std::int64_t now_us) {
  const std::int64_t passed_us = now_us - std::exchange(last_us_, now_us);
  ResourceUse use;
  use.cpu = HostCpu();
  const std::string memory = Read("/proc/meminfo");
  const std::optional<std::int64_t> total = NumberOf(memory, "MemTotal:");
  const std::optional<std::int64_t> available = NumberOf(memory, "MemAvailable:");
  if (total && available && *total > 0) use.memory = Percent(*total - *available, *total);
  for (Group& group : groups_) {
    Raise(&use.cpu, GroupCpu(group, passed_us));
    Raise(&use.memory, GroupMemory(group));
  }
  return use;
}

}  // namespace lts::tasktracker

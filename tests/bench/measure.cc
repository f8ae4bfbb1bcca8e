#include "bench/measure.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

namespace lts::bench {
namespace {

constexpr double kMib = 1024.0 * 1024.0;

double Ticks(double ticks) { return ticks / static_cast<double>(sysconf(_SC_CLK_TCK)); }

double Rank(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::min(sorted.size(), std::max<std::size_t>(rank, 1)) - 1];
}

// A line of /proc/PID/status.
double MibOf(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(name, 0) == 0) return std::atof(line.c_str() + name.size()) / 1024;
  }
  return 0;
}

}  // namespace

std::int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

std::int64_t WallNs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

Pacer::Pacer() : timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {}

Pacer::~Pacer() {
  if (timer_ >= 0) close(timer_);
}

void Pacer::Until(std::int64_t when_ns) const {
  itimerspec when{};
  when.it_value.tv_sec = when_ns / 1'000'000'000;
  when.it_value.tv_nsec = when_ns % 1'000'000'000;
  timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  std::uint64_t expirations = 0;
  while (NowNs() < when_ns) {
    if (read(timer_, &expirations, sizeof expirations) < 0 && errno != EINTR) return;
  }
}

Spread SpreadOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values.size(), Rank(values, 0.5), Rank(values, 0.99), values.back()};
}

FileSystem FileSystemOf(const std::string& folder) {
  struct statfs fs {};
  if (statfs(folder.c_str(), &fs) != 0) return {"unknown", false};
  switch (static_cast<unsigned long>(fs.f_type)) {
    case 0xEF53: return {"ext4", true};
    case 0x58465342: return {"xfs", true};
    case 0x9123683E: return {"btrfs", true};
    case 0x794C7630: return {"overlay", true};
    case 0x01021994: return {"tmpfs", false};
    case 0x858458F6: return {"ramfs", false};
    default: break;
  }
  std::ostringstream text;
  text << "type 0x" << std::hex << static_cast<unsigned long>(fs.f_type);
  return {text.str(), true};
}

Spread BareCommit(const std::string& folder, int count) {
  const std::string path = folder + "/bare_commit";
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return {};
  const std::array<char, 300> record{};
  std::vector<double> ms;
  for (int i = 0; i < count; ++i) {
    const std::int64_t begun = NowNs();
    if (write(file, record.data(), record.size()) != static_cast<ssize_t>(record.size())) break;
    if (fdatasync(file) != 0) break;
    ms.push_back(static_cast<double>(NowNs() - begun) / 1e6);
  }
  close(file);
  unlink(path.c_str());
  return SpreadOf(std::move(ms));
}

Folder::~Folder() {
  std::error_code ignored;  // it is in the way of nothing
  std::filesystem::remove_all(path_, ignored);
}

namespace {

struct ProcessTimes {
  pid_t parent = 0;
  double cpu_s = 0;
};

ProcessTimes TimesOf(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string line;
  std::getline(file, line);
  // The name in parentheses may hold blanks; behind it the 2nd word is the parent, the 12th and
  // 13th are the times.
  std::istringstream words(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  std::string word;
  ProcessTimes times;
  words >> word >> times.parent;
  for (int i = 0; i < 9; ++i) words >> word;
  double user = 0;
  double system = 0;
  words >> user >> system;
  times.cpu_s = Ticks(user + system);
  return times;
}

}  // namespace

double CpuSecondsOf(pid_t pid) { return TimesOf(std::to_string(pid)).cpu_s; }

double CpuSecondsOfTree(pid_t pid) {
  std::multimap<pid_t, std::pair<pid_t, double>> children;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const ProcessTimes times = TimesOf(name);
    children.emplace(times.parent, std::make_pair(std::atoi(name.c_str()), times.cpu_s));
  }
  double all_s = CpuSecondsOf(pid);
  std::vector<pid_t> parents = {pid};
  while (!parents.empty()) {
    const auto [first, last] = children.equal_range(parents.back());
    parents.pop_back();
    for (auto child = first; child != last; ++child) {
      all_s += child->second.second;
      parents.push_back(child->second.first);
    }
  }
  return all_s;
}

double PeakMemoryMibOf(pid_t pid) { return MibOf(pid, "VmHWM:"); }

double MemoryMibOf(pid_t pid) { return MibOf(pid, "VmRSS:"); }

double FolderMib(const std::string& folder) {
  double bytes = 0;
  std::error_code ignored;  // files come and go while it is looked at
  for (std::filesystem::recursive_directory_iterator file(folder, ignored), end; file != end;
       file.increment(ignored)) {
    struct stat info {};
    if (stat(file->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      bytes += 512.0 * static_cast<double>(info.st_blocks);
    }
  }
  return bytes / kMib;
}

double FreeMib(const std::string& folder) {
  struct statfs fs {};
  if (statfs(folder.c_str(), &fs) != 0) return 0;
  return static_cast<double>(fs.f_bavail) * static_cast<double>(fs.f_bsize) / kMib;
}

double MachineBusySeconds() {
  std::ifstream file("/proc/stat");
  std::string word;
  // cpu user nice system idle iowait irq softirq steal
  std::array<double, 8> ticks{};
  file >> word;
  for (double& each : ticks) file >> each;
  return Ticks(ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7]);
}

int Cores() { return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)); }

double LoadAverage() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

bool WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "lts_bench: cannot write %s\n", path.c_str());
  return static_cast<bool>(file);
}

}  // namespace lts::bench

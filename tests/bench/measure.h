// What every benchmark needs: percentiles, the cost of the machine's own commit, and what else the
// machine was doing.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lts::bench {

// Of CLOCK_MONOTONIC, which all processes of a host share.
std::int64_t NowNs();
// Of the wall clock, by which schedules fire.
std::int64_t WallNs();

// Waits until that moment on CLOCK_MONOTONIC; at once when it has passed. For the pace of an open
// loop, where the moment itself is what is measured from.
class Pacer {
 public:
  Pacer();
  ~Pacer();
  Pacer(const Pacer&) = delete;
  Pacer& operator=(const Pacer&) = delete;
  void Until(std::int64_t when_ns) const;

 private:
  int timer_;
};

struct Spread {
  std::size_t count = 0;
  double p50 = 0;
  double p99 = 0;
  double max = 0;
};
// Nearest rank; all zero without values.
Spread SpreadOf(std::vector<double> values);

// "ext4", …; durable is false for file systems in memory.
struct FileSystem {
  std::string type;
  bool durable = true;
  std::string ToString() const { return durable ? type : type + ", NOT DURABLE"; }
};
FileSystem FileSystemOf(const std::string& folder);

// Milliseconds of `count` appends of 300 bytes, each with an fdatasync: about what one commit of
// one job asks of the disk.
Spread BareCommit(const std::string& folder, int count);

// A folder that goes with this object, whether somebody has made it or not.
class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

// User and system time of a process so far, in seconds; exact to 10 ms. 0 when it is gone.
double CpuSecondsOf(pid_t pid);
// The same with all its descendants that are alive.
double CpuSecondsOfTree(pid_t pid);
// Largest resident set so far, in MiB; 0 when it cannot be read.
double PeakMemoryMibOf(pid_t pid);
// Resident set now, in MiB; 0 when it cannot be read.
double MemoryMibOf(pid_t pid);
// What the files of a folder take on the disk, and what is free there, in MiB.
double FolderMib(const std::string& folder);
double FreeMib(const std::string& folder);
// Seconds that the cores of this machine were not idle, together, time taken by its host included.
double MachineBusySeconds();
int Cores();
double LoadAverage();

// false, and said on standard error, when it cannot.
bool WriteFile(const std::string& path, const std::string& text);

}  // namespace lts::bench

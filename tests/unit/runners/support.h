// A sink that remembers, and small helpers for the tests of the runners.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

class RecordingSink final : public AttemptSink {
 public:
  // Called for each log line, in the thread that logs.
  explicit RecordingSink(std::function<void(const std::string&)> on_line = {})
      : on_line_(std::move(on_line)) {}

  void Log(LogLevel level, std::string line) override {
    if (on_line_) on_line_(line);
    const std::lock_guard lock(mutex_);
    lines_.emplace_back(level, std::move(line));
  }
  void Progress(int percent, std::string text) override {
    const std::lock_guard lock(mutex_);
    progress_.emplace_back(percent, std::move(text));
  }

  std::vector<std::pair<LogLevel, std::string>> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  std::vector<std::pair<int, std::string>> progress() const {
    const std::lock_guard lock(mutex_);
    return progress_;
  }

 private:
  const std::function<void(const std::string&)> on_line_;
  mutable std::mutex mutex_;
  std::vector<std::pair<LogLevel, std::string>> lines_;
  std::vector<std::pair<int, std::string>> progress_;
};

// Stands still until it is moved.
class ManualClock final : public Clock {
 public:
  std::int64_t MonotonicUs() const override { return now_us_; }
  TimeMs WallMs() const override { return now_us_ / 1000; }
  void Advance(DurationMs ms) { now_us_ += ms * 1000; }

 private:
  std::atomic<std::int64_t> now_us_{1'000'000};
};

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lts-runners-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
    path_ = pattern;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string Path(const std::string& name) const { return (path_ / name).string(); }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return Path(name);
  }

 private:
  std::filesystem::path path_;
};

inline std::string TestPlugin(const std::string& name) {
  return std::string(LTS_TEST_PLUGIN_DIR) + "/" + name + ".so";
}

}  // namespace lts::runners

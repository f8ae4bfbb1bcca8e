// The program `jobclient` over a FakeTracker.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "jobclient/cli/cli.h"
#include "support/fake_tracker.h"
#include "support/temp_folder.h"

namespace lts::jobclient::cli {

class FixedClock final : public Clock {
 public:
  std::int64_t MonotonicUs() const override { return monotonic_us.fetch_add(step_us); }
  TimeMs WallMs() const override { return 1'767'225'600'000; }  // 2026-01-01T00:00:00Z
  mutable std::atomic<std::int64_t> monotonic_us = 0;
  std::int64_t step_us = 0;  // from one look to the next
};

class CliTest : public ::testing::Test {
 protected:
  // Runs the program and keeps what it wrote.
  int Run(const std::vector<std::string>& arguments, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    Environment env{in,
                    out,
                    err,
                    [this](const rpc::Credentials&) { return tracker_.Factory(); },
                    variables_,
                    folder_.path(),
                    clock_,
                    [this] { ++blocked_; },
                    [this] { on_wait_for_stop_(); },
                    err_is_terminal_};
    const int code = cli::Run(arguments, env);
    out_ = out.str();
    err_ = err.str();
    return code;
  }
  std::vector<nlohmann::json> Lines() const {
    std::vector<nlohmann::json> lines;
    std::istringstream text(out_);
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  testing::TempFolder folder_;
  testing::FakeTracker tracker_;
  FixedClock clock_;
  std::map<std::string, std::string> variables_;
  std::function<void()> on_wait_for_stop_ = [] {};
  int blocked_ = 0;
  bool err_is_terminal_ = false;
  std::string out_;
  std::string err_;
};

}  // namespace lts::jobclient::cli

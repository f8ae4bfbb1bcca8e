// The log facade. spdlog stays behind log.cc: this header costs half a second a file, spdlog almost
// three.
//
//   LTS_INFO("partition acquired partition={} epoch={}", id, epoch);
//
// A line is an event in words, then key=value pairs. No payloads, no secrets. WARN and ERROR are
// counted.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace lts::log {

enum class Level : int { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3, kOff = 4 };

struct Options {
  Level level = Level::kInfo;
  std::string file;                          // empty: standard error
  std::int64_t file_bytes_max = 64LL << 20;  // rotated beyond, 5 files kept
};

// Once, before other threads start. Without it lines of WARN and above go to standard error.
void Configure(const Options& options);
// "debug", "info", "warn", "error", "off"; false when it is none of them.
bool ParseLevel(std::string_view text, Level* level);
void Flush();

bool Enabled(Level level);
void Write(Level level, std::string_view line);

// How many lines of this level were written since the start of the process.
std::uint64_t Count(Level level);

}  // namespace lts::log

#define LTS_LOG_AT(level, ...)                                                            \
  do {                                                                                    \
    if (::lts::log::Enabled(level)) ::lts::log::Write(level, ::fmt::format(__VA_ARGS__)); \
  } while (false)
#define LTS_DEBUG(...) LTS_LOG_AT(::lts::log::Level::kDebug, __VA_ARGS__)
#define LTS_INFO(...) LTS_LOG_AT(::lts::log::Level::kInfo, __VA_ARGS__)
#define LTS_WARN(...) LTS_LOG_AT(::lts::log::Level::kWarn, __VA_ARGS__)
#define LTS_ERROR(...) LTS_LOG_AT(::lts::log::Level::kError, __VA_ARGS__)

#include "common/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>

namespace lts::log {
namespace {

std::atomic<int> g_level{static_cast<int>(Level::kWarn)};
std::array<std::atomic<std::uint64_t>, 5> g_counts{};

std::shared_ptr<spdlog::logger> MakeLogger(const Options& options) {
  std::shared_ptr<spdlog::logger> logger;
  if (options.file.empty()) {
    logger =
        std::make_shared<spdlog::logger>("lts", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  } else {
    logger = std::make_shared<spdlog::logger>(
        "lts", std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
                   options.file, static_cast<std::size_t>(options.file_bytes_max), 5));
  }
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %L [%t] %v");
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::info);
  return logger;
}

// Kept for the life of the process: destructors of other statics may log.
std::shared_ptr<spdlog::logger>& Logger() {
  static auto* logger = new std::shared_ptr<spdlog::logger>(MakeLogger({}));
  return *logger;
}

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarn: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
    case Level::kOff: return spdlog::level::off;
  }
  return spdlog::level::off;
}

}  // namespace

void Configure(const Options& options) {
  Logger() = MakeLogger(options);
  g_level = static_cast<int>(options.level);
}

bool ParseLevel(std::string_view text, Level* level) {
  constexpr std::array<std::string_view, 5> kNames = {"debug", "info", "warn", "error", "off"};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (text == kNames[i]) {
      *level = static_cast<Level>(i);
      return true;
    }
  }
  return false;
}

void Flush() { Logger()->flush(); }

bool Enabled(Level level) {
  return static_cast<int>(level) >= g_level.load(std::memory_order_relaxed);
}

void Write(Level level, std::string_view line) {
  g_counts[static_cast<std::size_t>(level)].fetch_add(1, std::memory_order_relaxed);
  Logger()->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

std::uint64_t Count(Level level) {
  return g_counts[static_cast<std::size_t>(level)].load(std::memory_order_relaxed);
}

}  // namespace lts::log

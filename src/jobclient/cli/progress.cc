#include "jobclient/cli/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <string>

namespace lts::jobclient::cli {
namespace {

constexpr std::uint64_t kShortLines = 1'000;
constexpr std::int64_t kShortUs = 1'000'000;
constexpr std::int64_t kDrawAgainUs = 100'000;
constexpr std::uint64_t kCells = 30;

}  // namespace

Progress::Progress(const Environment& env, bool wanted, std::optional<std::uint64_t> bytes_all)
    : env_(env),
      wanted_(wanted && env.err_is_terminal),
      bytes_all_(bytes_all),
      begun_us_(env.clock.MonotonicUs()) {}

void Progress::Show(std::uint64_t lines, std::uint64_t bytes) {
  if (!wanted_) return;
  const std::int64_t now_us = env_.clock.MonotonicUs();
  const std::int64_t spent_us = now_us - begun_us_;
  if (lines <= kShortLines && spent_us < kShortUs) return;
  // Between two drawings the last one is put back after what has been printed.
  if (text_.empty() || now_us - shown_us_ >= kDrawAgainUs) {
    shown_us_ = now_us;
    text_.clear();
    if (bytes_all_ && *bytes_all_ > 0) {
      const std::uint64_t done = std::min(bytes, *bytes_all_);
      const std::uint64_t cells = kCells * done / *bytes_all_;
      text_ = fmt::format("[{}{}] {:3} %  ", std::string(cells, '#'),
                          std::string(kCells - cells, '.'), 100 * done / *bytes_all_);
    }
    text_ += fmt::format("{} lines", lines);
    if (spent_us > 0) {
      text_ += fmt::format(", {:.0f} a second",
                           static_cast<double>(lines) * 1e6 / static_cast<double>(spent_us));
    }
  }
  env_.err << '\r' << text_ << "\x1b[K" << std::flush;
  visible_ = true;
}

void Progress::Clear() {
  if (!visible_) return;
  env_.err << "\r\x1b[K" << std::flush;
  visible_ = false;
}

}  // namespace lts::jobclient::cli

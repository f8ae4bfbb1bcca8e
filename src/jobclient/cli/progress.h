// How far a long submit has come, on a terminal.
#pragma once

#include <cstdint>
#include <optional>

#include "jobclient/cli/cli.h"

namespace lts::jobclient::cli {

// A line at the end of standard error that is drawn over and over. Nothing is drawn when standard
// error is no terminal, and none is drawn of what is soon done.
class Progress {
 public:
  // `bytes_all`: of the input, when that is known.
  Progress(const Environment& env, bool wanted, std::optional<std::uint64_t> bytes_all);
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // So many lines are done, of so many bytes.
  void Show(std::uint64_t lines, std::uint64_t bytes);
  // Makes room for other output.
  void Clear();

 private:
  const Environment& env_;
  const bool wanted_;
  const std::optional<std::uint64_t> bytes_all_;
  const std::int64_t begun_us_;
  std::int64_t shown_us_ = 0;
  std::string text_;  // as last drawn
  bool visible_ = false;
};

}  // namespace lts::jobclient::cli

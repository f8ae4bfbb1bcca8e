// What a process prints: cut into lines, and its end kept.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "lts/status.h"
#include "tasktracker/runners/child_process.h"
#include "tasktracker/runners/runner.h"

namespace lts::runners {

// Makes reads of this end return at once when there is nothing; the writer's end is another
// description.
Status SetNonBlocking(int fd);

// One output of a process. Lines are valid UTF-8 of at most limits.log_line_bytes_max; a longer one
// goes on in the next. Not thread-safe.
class Output {
 public:
  using OnLine = std::function<void(std::string line)>;

  // `fd` does not block.
  Output(UniqueFd fd, OnLine on_line, const RunnerLimits& limits)
      : fd_(std::move(fd)),
        on_line_(std::move(on_line)),
        line_max_(static_cast<std::size_t>(limits.log_line_bytes_max)),
        tail_max_(static_cast<std::size_t>(limits.message_bytes_max)) {}

  bool open() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }

  // Reads once; false when there is nothing (more) to read now.
  bool ReadSome();
  // Reads what is there, up to a bound for a writer that never ends.
  void ReadAvailable();
  // Gives out a last line without its newline.
  void EndLine();
  void Drain() {
    ReadAvailable();
    EndLine();
  }
  // The last bytes without the final newline, at most limits.message_bytes_max.
  std::string Tail() const;
  // Nothing printed so far is in Tail any more.
  void ForgetTail() { tail_.clear(); }

 private:
  void Take(std::string_view bytes);
  void SplitLongLine();
  void EmitLine(const std::string& line);

  UniqueFd fd_;
  const OnLine on_line_;
  const std::size_t line_max_;
  const std::size_t tail_max_;
  std::string line_;
  std::string tail_;
  std::size_t taken_ = 0;
};

}  // namespace lts::runners

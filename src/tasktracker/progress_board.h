// The newest progress of each running attempt, until the Link sends it.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "lts/v1/worker.pb.h"

namespace lts::tasktracker {

struct Attempt;

// Thread-safe. Holds at most one entry per running attempt, so it needs no further bound.
class ProgressBoard {
 public:
  // `on_first` is called, outside the lock, when something has come to an empty board.
  explicit ProgressBoard(std::function<void()> on_first) : on_first_(std::move(on_first)) {}

  void Set(const Attempt& attempt, int percent, std::string text);
  // The attempt has ended: what was not sent is of no interest any more.
  void Remove(const Attempt& attempt);
  // Moves everything into `message`.
  void Take(v1::WorkerMessage* message);

 private:
  struct Entry {
    int percent = -1;
    std::string text;
  };
  const std::function<void()> on_first_;
  std::mutex mutex_;
  std::unordered_map<const Attempt*, Entry> entries_;
};

}  // namespace lts::tasktracker

#include "tasktracker/progress_board.h"

#include "tasktracker/attempt.h"

namespace lts::tasktracker {

void ProgressBoard::Set(const Attempt& attempt, int percent, std::string text) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = entries_.empty();
    entries_[&attempt] = {percent, std::move(text)};
  }
  if (first) on_first_();
}

void ProgressBoard::Remove(const Attempt& attempt) {
  const std::lock_guard lock(mutex_);
  entries_.erase(&attempt);
}

void ProgressBoard::Take(v1::WorkerMessage* message) {
  const std::lock_guard lock(mutex_);
  for (auto& [attempt, entry] : entries_) {
    v1::WorkerProgress* progress = message->add_progress();
    *progress->mutable_key() = attempt->key;
    progress->set_percent(entry.percent);
    progress->set_text(std::move(entry.text));
  }
  entries_.clear();
}

}  // namespace lts::tasktracker

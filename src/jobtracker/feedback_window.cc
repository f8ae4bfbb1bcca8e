#include "jobtracker/feedback_window.h"

#include <algorithm>

#include "rpc/codec.h"

namespace lts {

FeedbackWindow::FeedbackWindow(Sink sink, std::int32_t window)
    : sink_(std::move(sink)), window_(static_cast<std::size_t>(std::clamp(window, 1, kMax))) {}

void FeedbackWindow::Offer(std::uint32_t partition, std::vector<store::FeedbackRow> rows) {
  const std::lock_guard lock(mutex_);
  for (store::FeedbackRow& row : rows) {
    Held held{{row.key, row.attempt}, partition, {}};
    held.item.set_job_id(row.key.id.ToString());
    held.item.set_cycle_ms(row.key.cycle);
    held.item.set_attempt(row.attempt);
    held.item.set_task_id(std::move(row.task_id));
    held.item.set_group(std::move(row.group));
    held.item.set_state(rpc::ToProto(row.state));
    held.item.set_success(row.state == model::JobState::kSucceeded);
    held.item.set_message(std::move(row.message));
    held.item.set_ended_ms(row.ended_ms);
    held_.push_back(std::move(held));
  }
  SendHeld();
}

std::optional<std::uint32_t> FeedbackWindow::Acknowledged(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = sent_.find(key);
  if (found == sent_.end()) return std::nullopt;
  const std::uint32_t partition = found->second;
  sent_.erase(found);
  if (partition == kNobody) return std::nullopt;
  return partition;
}

void FeedbackWindow::Drop(std::uint32_t partition) {
  const std::lock_guard lock(mutex_);
  std::erase_if(held_, [partition](const Held& held) { return held.partition == partition; });
  for (auto& [key, of] : sent_) {
    if (of == partition) of = kNobody;
  }
}

void FeedbackWindow::Refill() {
  const std::lock_guard lock(mutex_);
  SendHeld();
}

// Under the lock, so that rows leave in the order in which they came; Send does not block.
void FeedbackWindow::SendHeld() {
  v1::FeedbackTrackerMessage message;
  while (!held_.empty() && sent_.size() < window_) {
    Held& held = held_.front();
    sent_[held.key] = held.partition;
    *message.add_items() = std::move(held.item);
    held_.pop_front();
  }
  if (message.items_size() > 0) sink_->Send(std::move(message));
}

}  // namespace lts

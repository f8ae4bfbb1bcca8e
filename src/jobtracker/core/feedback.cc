// Telling the submitting group how its jobs ended: rows are offered to one stream of the group at a
// time, kept until it has acknowledged them (I4).
#include <algorithm>

#include "jobtracker/core/state.h"

namespace lts::core {

Partition::FeedbackGroup& Partition::FeedbackGroupOf(const std::string& name) {
  std::unique_ptr<FeedbackGroup>& slot = feedback_[name];
  if (!slot) {
    slot = std::make_unique<FeedbackGroup>();
    slot->name = name;
  }
  return *slot;
}

void Partition::AddFeedback(const Job& job, model::JobState state, const std::string& message,
                            std::int32_t attempt) {
  const model::JobSpec& spec = *job.row.spec;
  if (!spec.need_feedback || spec.submit_group.empty()) return;
  store::FeedbackRow row;
  row.key = job.row.key;
  row.attempt = attempt;
  row.seq = next_seq_++;
  row.submit_group = spec.submit_group;
  row.group = spec.group;
  row.task_id = spec.task_id;
  row.state = state;
  row.message = message;
  row.ended_ms = now_.wall_ms;
  effects_->batch.mutations.emplace_back(store::InsertFeedback{row});
  FeedbackGroup& group = FeedbackGroupOf(spec.submit_group);
  if (!group.refilling && (!group.complete || group.items.size() >= options_.feedback_window_max)) {
    group.complete = false;
    return;
  }
  group.loaded_seq = std::max(group.loaded_seq, row.seq);
  const std::uint64_t seq = row.seq;
  group.items.emplace(seq, FeedbackGroup::Item{std::move(row), 0, 0, 0});
  Offer(group);
}

void Partition::Offer(FeedbackGroup& group) {
  if (group.timer_mono_ms != kNever) feedback_timers_.erase({group.timer_mono_ms, group.name});
  group.timer_mono_ms = kNever;
  if (group.streams.empty()) return;
  FeedbackStream& stream = group.streams.front();
  FeedbackSend* send = nullptr;
  for (auto& [seq, item] : group.items) {
    if (item.offered_to != 0) continue;
    if (item.not_before_mono_ms > now_.mono_ms) {
      group.timer_mono_ms = std::min(group.timer_mono_ms, item.not_before_mono_ms);
      continue;
    }
    if (stream.in_flight >= stream.window) break;
    ++stream.in_flight;
    item.offered_to = stream.id;
    if (send == nullptr) {
      if (effects_->feedback_sends.empty() || effects_->feedback_sends.back().stream != stream.id) {
        effects_->feedback_sends.push_back({stream.id, {}});
      }
      send = &effects_->feedback_sends.back();
    }
    send->rows.push_back(item.row);
  }
  if (group.timer_mono_ms != kNever) feedback_timers_.emplace(group.timer_mono_ms, group.name);
  if (group.items.size() < options_.feedback_window_max / 2) ReadFeedback(group);
}

void Partition::ReadFeedback(FeedbackGroup& group) {
  if (group.complete || group.refilling) return;
  auto read = std::make_unique<PendingRead>();
  read->feedback_group = group.name;
  read->feedback = {0, group.name, group.loaded_seq, options_.feedback_window_max};
  group.refilling = true;
  wanted_reads_.push_back(std::move(read));
}

DurationMs Partition::FeedbackCheckMs() const {
  return std::clamp<DurationMs>(options_.feedback_retention_ms / 4, 1'000, 3'600'000);
}

void Partition::CheckFeedback() {
  feedback_check_mono_ms_ = now_.mono_ms + FeedbackCheckMs();
  for (const auto& [name, group] : feedback_) {
    if (group->items.empty()) ReadFeedback(*group);
    DropOldFeedback(*group);
  }
}

void Partition::DropOldFeedback(FeedbackGroup& group) {
  const TimeMs before_ms = now_.wall_ms - options_.feedback_retention_ms;
  while (!group.items.empty()) {
    const auto first = group.items.begin();
    const store::FeedbackRow& row = first->second.row;
    if (row.ended_ms >= before_ms || first->second.offered_to != 0) return;
    ++stats_.feedback_dropped;
    effects_->batch.mutations.emplace_back(
        store::DeleteFeedback{row.key, row.attempt, row.submit_group, row.seq});
    group.items.erase(first);
  }
  ReadFeedback(group);
}

// Rows that were read only to see how old they are wait in the store for a client.
void Partition::ForgetFeedback(FeedbackGroup& group) {
  if (!group.streams.empty() || group.items.empty() || group.refilling) return;
  group.items.clear();
  group.complete = false;
  group.loaded_seq = 0;
}

void Partition::OnFeedbackHello(FeedbackHelloEvent event) {
  if (feedback_streams_.contains(event.stream)) return;
  FeedbackGroup& group = FeedbackGroupOf(event.submit_group);
  group.streams.push_back({event.stream, std::clamp(event.window, 1, 1'000), 0});
  feedback_streams_[event.stream] = &group;
  Offer(group);
}

void Partition::OnFeedbackAck(FeedbackAckEvent event) {
  const auto found = feedback_streams_.find(event.stream);
  if (found == feedback_streams_.end()) return;
  FeedbackGroup& group = *found->second;
  for (const FeedbackAck& ack : event.acks) {
    const auto item = std::find_if(group.items.begin(), group.items.end(), [&](const auto& entry) {
      return entry.second.row.key == ack.key && entry.second.row.attempt == ack.attempt;
    });
    if (item == group.items.end() || item->second.offered_to != event.stream) continue;
    for (FeedbackStream& stream : group.streams) {
      if (stream.id == event.stream) --stream.in_flight;
    }
    if (ack.again) {
      item->second.offered_to = 0;
      const std::int32_t refusals = std::min(item->second.refusals++, 6);
      item->second.not_before_mono_ms =
          now_.mono_ms + std::min<DurationMs>(options_.feedback_retry_ms << refusals, 60'000);
      continue;
    }
    const store::FeedbackRow& row = item->second.row;
    effects_->batch.mutations.emplace_back(
        store::DeleteFeedback{row.key, row.attempt, row.submit_group, row.seq});
    group.items.erase(item);
  }
  Offer(group);
}

void Partition::OnFeedbackClosed(StreamId stream) {
  const auto found = feedback_streams_.find(stream);
  if (found == feedback_streams_.end()) return;
  FeedbackGroup& group = *found->second;
  feedback_streams_.erase(found);
  std::erase_if(group.streams, [&](const FeedbackStream& each) { return each.id == stream; });
  for (auto& [seq, item] : group.items) {
    if (item.offered_to == stream) item.offered_to = 0;
  }
  Offer(group);
}

void Partition::OnFeedbackRefill(FeedbackRefillAnswer answer) {
  auto node = reads_.extract(answer.id);
  if (node.empty()) return;
  const PendingRead read = std::move(node.mapped());
  EndRead();
  FeedbackGroup& group = FeedbackGroupOf(read.feedback_group);
  group.refilling = false;
  // Rows added while the read was under way are in `items` already.
  group.complete = answer.rows.size() < read.feedback.limit;
  const std::uint64_t end =
      group.complete || answer.rows.empty() ? UINT64_MAX : answer.rows.back().seq;
  for (store::FeedbackRow& row : answer.rows) {
    group.loaded_seq = std::max(group.loaded_seq, row.seq);
    const std::uint64_t seq = row.seq;
    group.items.try_emplace(seq, FeedbackGroup::Item{std::move(row), 0, 0, 0});
  }
  if (!group.complete) {
    // What lies behind the page is read again with the next one, in order.
    std::erase_if(group.items, [&](const auto& entry) {
      return entry.first > end && entry.second.offered_to == 0;
    });
    group.loaded_seq = end;
  }
  if (!frozen_) DropOldFeedback(group);
  ForgetFeedback(group);
  Offer(group);
}

}  // namespace lts::core

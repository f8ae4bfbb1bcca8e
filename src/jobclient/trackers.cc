#include "jobclient/trackers.h"

#include <chrono>

namespace lts::jobclient {

Trackers::Trackers(const std::vector<std::string>& addresses, const rpc::ChannelFactory& factory) {
  channels_.reserve(addresses.size());
  for (const std::string& address : addresses) channels_.push_back(factory(address));
}

Trackers::~Trackers() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  unused_.wait(lock, [this] { return users_ == 0; });
}

bool Trackers::BeginUse() {
  const std::lock_guard lock(mutex_);
  if (ending_) return false;
  ++users_;
  return true;
}

void Trackers::EndUse() {
  const std::lock_guard lock(mutex_);
  if (--users_ == 0) unused_.notify_all();
}

void Trackers::MoveOnFrom(std::size_t failed) {
  current_.compare_exchange_strong(failed, (failed + 1) % channels_.size(),
                                   std::memory_order_relaxed);
}

std::string Trackers::Addresses() const {
  std::string text;
  for (const auto& channel : channels_) {
    if (!text.empty()) text.append(", ");
    text.append(channel->address());
  }
  return text;
}

bool Trackers::Pause(std::int64_t ms) {
  std::unique_lock lock(mutex_);
  return !interrupt_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return interrupted_; });
}

void Trackers::Interrupt() {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  interrupt_.notify_all();
  for (const auto& answer : waiting_) {
    const std::lock_guard answer_lock(answer->mutex);
    answer->interrupted = true;
    answer->changed.notify_one();
  }
}

bool Trackers::Enter(const std::shared_ptr<AnswerBase>& answer) {
  const std::lock_guard lock(mutex_);
  if (interrupted_) return false;
  waiting_.insert(answer);
  return true;
}

void Trackers::Leave(const std::shared_ptr<AnswerBase>& answer) {
  const std::lock_guard lock(mutex_);
  waiting_.erase(answer);
}

bool Trackers::Await(AnswerBase& answer) {
  std::unique_lock lock(answer.mutex);
  answer.changed.wait(lock, [&answer] { return answer.done || answer.interrupted; });
  return answer.done;
}

}  // namespace lts::jobclient

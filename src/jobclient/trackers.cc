#include "jobclient/trackers.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "common/ids.h"

namespace lts::jobclient {

Trackers::Trackers(const std::vector<std::string>& addresses, rpc::ChannelFactory factory)
    : Trackers(discovery::JobTrackers{addresses, false, Status::Ok()}, std::move(factory)) {}

Trackers::Trackers(const discovery::JobTrackers& found, rpc::ChannelFactory factory)
    : factory_(std::move(factory)) {
  const std::lock_guard lock(mutex_);
  std::vector<TrackerPtr> ended;
  TakeLocked(found, &ended);
}

Trackers::~Trackers() {
  std::vector<TrackerPtr> all;
  {
    std::unique_lock lock(mutex_);
    ending_ = true;
    unused_.wait(lock, [this] { return users_ == 0; });
    all = present_;
    all.insert(all.end(), retired_.begin(), retired_.end());
  }
  // What is under way may hold on to the pointers; the channels end here.
  for (const TrackerPtr& tracker : all) tracker->channel_.reset();
}

void Trackers::Set(const discovery::JobTrackers& found) {
  std::vector<TrackerPtr> ended;  // outside the lock: the end of a channel waits for its callbacks
  std::vector<std::function<void()>> run;
  {
    const std::lock_guard lock(mutex_);
    run = TakeLocked(found, &ended);
  }
  for (const auto& then : run) then();
}

std::vector<std::function<void()>> Trackers::TakeLocked(const discovery::JobTrackers& found,
                                                        std::vector<TrackerPtr>* ended) {
  const TrackerPtr was = present_.empty() ? nullptr : present_[current_];
  const bool first = present_.empty();
  std::vector<TrackerPtr> before = std::move(present_);
  before.insert(before.end(), retired_.begin(), retired_.end());
  present_.clear();
  retired_.clear();
  for (const std::string& address : found.addresses) {
    const auto known = std::find_if(before.begin(), before.end(), [&](const TrackerPtr& tracker) {
      return tracker->address() == address;
    });
    if (known != before.end()) {
      present_.push_back(std::move(*known));
      before.erase(known);
    } else {
      present_.push_back(std::make_shared<Tracker>(address, factory_));
    }
  }
  // Where it was, if that one is still there. Who follows a registry begins anywhere, so that not
  // all clients ask the same one.
  const auto place = std::find(present_.begin(), present_.end(), was);
  if (place != present_.end()) {
    current_ = static_cast<std::size_t>(place - present_.begin());
  } else {
    const bool configured = first && !looking_ && why_none_.ok();
    current_ = present_.empty() || configured ? 0 : RandomSeed() % present_.size();
  }
  for (TrackerPtr& tracker : before) {
    // Nobody can begin to use one that only this list knows. (`was` is one more.)
    const long own = tracker == was ? 2 : 1;
    (tracker.use_count() == own ? *ended : retired_).push_back(std::move(tracker));
  }
  ++version_;
  many_.store(present_.size() > 1, std::memory_order_relaxed);
  looking_ = found.looking && !gave_up_looking_;
  why_none_ = found.why_none;
  if (looking_) return {};
  found_.notify_all();
  return std::exchange(when_found_, {});
}

std::size_t Trackers::size() const {
  const std::lock_guard lock(mutex_);
  return present_.size();
}

std::uint64_t Trackers::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

std::vector<TrackerPtr> Trackers::All() const {
  const std::lock_guard lock(mutex_);
  return present_;
}

TrackerPtr Trackers::current() const {
  const std::lock_guard lock(mutex_);
  return present_.empty() ? nullptr : present_[current_];
}

void Trackers::MoveOnFrom(const TrackerPtr& failed) {
  const std::lock_guard lock(mutex_);
  if (present_.empty() || present_[current_] != failed) return;
  current_ = (current_ + 1) % present_.size();
}

TrackerPtr Trackers::After(const TrackerPtr& failed) {
  const std::lock_guard lock(mutex_);
  if (present_.empty()) return nullptr;
  const auto place = std::find(present_.begin(), present_.end(), failed);
  if (place == present_.end()) return present_[current_];
  const auto index = static_cast<std::size_t>(place - present_.begin());
  const std::size_t next = (index + 1) % present_.size();
  if (current_ == index) current_ = next;
  return present_[next];
}

std::string Trackers::Addresses() const {
  std::string text;
  for (const TrackerPtr& tracker : All()) {
    if (!text.empty()) text.append(", ");
    text.append(tracker->address());
  }
  return text;
}

Status Trackers::WhyNone() const {
  const std::lock_guard lock(mutex_);
  return why_none_.ok() ? Status::Unavailable("no JobTracker is known") : why_none_;
}

Status Trackers::NoneAnswers(const Status& last) const {
  // The channel says "CALL at ADDRESS: why". The call means nothing to who reads this, and the
  // address stands in the sentence already.
  std::string_view why = last.message();
  const std::vector<TrackerPtr> all = All();
  for (const TrackerPtr& tracker : all) {
    const std::string where = fmt::format(" at {}: ", tracker->address());
    const std::size_t at = why.find(where);
    if (at == std::string_view::npos) continue;
    why.remove_prefix(at + (all.size() > 1 ? 4 : where.size()));
    break;
  }
  if (all.size() > 1) {
    return Status::Unavailable(fmt::format("no JobTracker answers at {} ({})", Addresses(), why));
  }
  return Status::Unavailable(fmt::format("no JobTracker answers at {}: {}", Addresses(), why));
}

bool Trackers::WhenFound(std::function<void()> then) {
  const std::lock_guard lock(mutex_);
  if (!looking_ || !present_.empty()) return false;
  when_found_.push_back(std::move(then));
  return true;
}

void Trackers::StopLooking() {
  std::vector<std::function<void()>> run;
  {
    const std::lock_guard lock(mutex_);
    looking_ = false;
    gave_up_looking_ = true;
    found_.notify_all();
    run = std::exchange(when_found_, {});
  }
  for (const auto& then : run) then();
}

Status Trackers::AwaitFound() {
  std::unique_lock lock(mutex_);
  found_.wait(lock, [this] { return !looking_ || !present_.empty() || interrupted_; });
  if (!present_.empty()) return Status::Ok();
  if (interrupted_) return Interrupted();
  return why_none_.ok() ? Status::Unavailable("no JobTracker is known") : why_none_;
}

Result<TrackerPtr> Trackers::AwaitCurrent() {
  LTS_RETURN_IF_ERROR(AwaitFound());
  TrackerPtr now = current();
  if (now == nullptr) return WhyNone();
  return now;
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

bool Trackers::Pause(std::int64_t ms) {
  std::unique_lock lock(mutex_);
  return !interrupt_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return interrupted_; });
}

void Trackers::Interrupt() {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  interrupt_.notify_all();
  found_.notify_all();
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

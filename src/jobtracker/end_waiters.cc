#include "jobtracker/end_waiters.h"

#include <algorithm>
#include <vector>

namespace lts {

namespace {

// Deadlines are rounded up to it. A timer cannot be taken back, so one that an earlier deadline has
// overtaken stays until it has run: this bounds how many there can be.
constexpr std::int64_t kGrainUs = 10'000;

}  // namespace

void EndWaiters::Add(Strand& strand, const model::JobId& id, DurationMs timeout_ms, Done done) {
  const std::int64_t end_us = clock_.MonotonicUs() + timeout_ms * 1000;
  const Key key((end_us + kGrainUs - 1) / kGrainUs * kGrainUs, ++last_);
  waiters_.emplace(key, Waiter{id, std::move(done)});
  by_job_.emplace(id, key);
  Arm(strand);
}

void EndWaiters::Ended(const store::HistoryRow& row) {
  std::vector<Waiter> told;
  const auto [begin, end] = by_job_.equal_range(row.key.id);
  for (auto it = begin; it != end; ++it) {
    told.push_back(std::move(waiters_.extract(it->second).mapped()));
  }
  by_job_.erase(begin, end);
  for (const Waiter& waiter : told) {
    over_(waiter.id);
    waiter.done(row);
  }
}

void EndWaiters::Fail(const Status& why) {
  by_job_.clear();
  for (auto& [key, waiter] : std::exchange(waiters_, {})) {
    over_(waiter.id);
    waiter.done(why);
  }
}

void EndWaiters::Arm(Strand& strand) {
  if (waiters_.empty()) return;
  const std::int64_t first_us = waiters_.begin()->first.first;
  if (first_us >= armed_us_) return;
  armed_us_ = first_us;
  strand.PostAfter(std::max<std::int64_t>(first_us - clock_.MonotonicUs(), 0),
                   [this, &strand] { OnTimer(strand); });
}

void EndWaiters::OnTimer(Strand& strand) {
  const std::int64_t now_us = clock_.MonotonicUs();
  if (armed_us_ <= now_us) armed_us_ = INT64_MAX;
  while (!waiters_.empty() && waiters_.begin()->first.first <= now_us) {
    const auto node = waiters_.extract(waiters_.begin());
    const Waiter& waiter = node.mapped();
    const auto [begin, end] = by_job_.equal_range(waiter.id);
    by_job_.erase(
        std::find_if(begin, end, [&](const auto& entry) { return entry.second == node.key(); }));
    over_(waiter.id);
    waiter.done(Status::DeadlineExceeded("not ended yet"));
  }
  Arm(strand);
}

}  // namespace lts

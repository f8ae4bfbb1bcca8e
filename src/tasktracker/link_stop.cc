// The orderly stop, step by step. Each step waits for its condition or its deadline.
#include <utility>

#include "common/log.h"
#include "tasktracker/link.h"

namespace lts::tasktracker {

void Link::BeginStop(DurationMs limit_ms, std::function<void(StopReport)> done) {
  strand_.Post([this, limit_ms, done = std::move(done)]() mutable {
    if (stop_step_ == StopStep::kDone) return done(stop_report_);
    stop_done_.push_back(std::move(done));
    const std::int64_t deadline_us = NowUs() + limit_ms * 1000;
    const bool first = !Stopping();
    if (!first && (stop_step_ != StopStep::kEnding || deadline_us >= stop_deadline_us_)) return;
    stop_step_ = StopStep::kEnding;
    stop_deadline_us_ = deadline_us;
    stop_limit_ms_ = limit_ms;
    SetTimer(kStop, stop_deadline_us_);
    LTS_INFO("no new jobs are taken, what runs may end running={} limit_ms={}", running_, limit_ms);
    if (first) TellCapacity();
    AdvanceStop();
  });
}

void Link::AdvanceStop() {
  const std::int64_t now_us = NowUs();
  const auto up = [&] { return now_us >= stop_deadline_us_; };
  const auto enter = [&](StopStep step, DurationMs limit_ms) {
    stop_step_ = step;
    stop_deadline_us_ = now_us + limit_ms * 1000;
    SetTimer(kStop, stop_deadline_us_);
  };
  switch (stop_step_) {
    case StopStep::kNone:
    case StopStep::kDone: return;
    case StopStep::kEnding:
      if (running_ > 0) {
        if (!up()) return;
        LTS_WARN("attempts are asked to stop: they have not ended in time running={} limit_ms={}",
                 running_, stop_limit_ms_);
        for (const auto& attempt : attempts_) {
          if (!attempt->ended) RequestStop(*attempt, StopCause::kShutdown);
        }
        enter(StopStep::kCancelling, options_.kill_grace_ms + 1'000);
        return;
      }
      [[fallthrough]];
    case StopStep::kCancelling:
      if (running_ > 0 && !up()) return;
      SendGathered(true);
      enter(StopStep::kAcks, options_.goodbye_ms);
      [[fallthrough]];
    case StopStep::kAcks:
      if (unstored_ > 0 && phase_ == Phase::kLive && !up()) return;
      enter(StopStep::kStoring, options_.goodbye_ms);
      StoreResults();
      [[fallthrough]];
    case StopStep::kStoring:
      // A result is durable before it is forgotten; a disk that hangs is waited for.
      if (store_under_way_) return;
      if (unstored_ > 0 && !store_refused_) {
        StoreResults();
        if (store_under_way_) return;
      }
      ClearTimer(kReconnect);
      ClearTimer(kStoreRetry);
      closed_ = phase_ != Phase::kLive || running_ > 0;
      enter(StopStep::kClosing, options_.goodbye_ms);
      if (!closed_) {
        v1::WorkerMessage message;
        message.set_goodbye(true);
        stream_->Send(std::move(message));
        stream_->Close();
      }
      [[fallthrough]];
    case StopStep::kClosing:
      if (!closed_ && !up()) return;
      break;
  }
  stop_step_ = StopStep::kDone;
  ++generation_;
  phase_ = Phase::kDown;
  stream_.reset();
  due_us_.fill(kNever);
  if (unstored_ > 0)
    LTS_ERROR("results are lost: neither acknowledged nor stored results={}", unstored_);
  stop_report_ = {running_, unstored_};
  for (const auto& done : std::exchange(stop_done_, {})) done(stop_report_);
}

}  // namespace lts::tasktracker

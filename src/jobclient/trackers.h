// The JobTrackers that a client may ask, and blocking calls to them.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "discovery/discovery.h"
#include "lts/status.h"
#include "rpc/channel.h"

namespace lts::jobclient {

// A JobTracker and the channel to it. Whoever keeps the pointer may go on to use it after the
// JobTracker has gone from the list, until the Trackers end.
class Tracker {
 public:
  Tracker(std::string address, const rpc::ChannelFactory& factory)
      : address_(std::move(address)), channel_(factory(address_)) {}
  const std::string& address() const { return address_; }
  rpc::Channel& channel() { return *channel_; }

 private:
  friend class Trackers;
  const std::string address_;
  std::unique_ptr<rpc::Channel> channel_;
};
using TrackerPtr = std::shared_ptr<Tracker>;

// Owns a channel to each JobTracker that is there. One of them is the current one; who finds that
// it does not answer moves on to the next. Any JobTracker takes any request, so every one will do.
//
// Thread-safe. Interrupt() ends the blocking calls; the destructor cancels what is under way. The
// channels go one after the other, so answers still come while some are gone: who calls on from an
// answer does so through With. The channel of a JobTracker that has gone from the list ends at a
// later Set, when nobody uses it any more.
class Trackers {
 public:
  // A list that stays.
  Trackers(const std::vector<std::string>& addresses, rpc::ChannelFactory factory);
  // What is found changes: by Set.
  Trackers(const discovery::JobTrackers& found, rpc::ChannelFactory factory);
  ~Trackers();
  Trackers(const Trackers&) = delete;
  Trackers& operator=(const Trackers&) = delete;

  // Not from an RPC thread: channels may end here, and wait for their callbacks.
  void Set(const discovery::JobTrackers& found);

  std::size_t size() const;
  // More than one. Takes no lock.
  bool Many() const { return many_.load(std::memory_order_relaxed); }
  // Counts the changes of the list.
  std::uint64_t version() const;
  std::vector<TrackerPtr> All() const;
  // Null when none is known.
  TrackerPtr current() const;
  // Makes the next one current, unless somebody else has moved on from `failed` already.
  void MoveOnFrom(const TrackerPtr& failed);
  // Whom to ask after `failed` did not answer, the current one or not: the next in the list. Null
  // when none is known.
  TrackerPtr After(const TrackerPtr& failed);
  // "host:port, host:port": for messages.
  std::string Addresses() const;
  // Why there is none.
  Status WhyNone() const;
  // What to say when none that is there answers: where they are, and what the `last` one asked met
  // with (an error of its channel).
  Status NoneAnswers(const Status& last) const;

  // While none is known but one may be at any moment: has `then` called once that is over, from the
  // thread that calls Set or StopLooking, and gives true.
  bool WhenFound(std::function<void()> then);
  // Nobody waits for a first JobTracker any more.
  void StopLooking();

  // Calls `use` with the channel, which it must not keep; false, and nothing is done, once the
  // destructor has begun, which waits for those that are at it. `use` must not block. The pointer
  // is a copy: the answer may come, and take the caller's away, while `use` is still at it.
  template <typename Use>
  bool With(const TrackerPtr tracker, const Use& use) {
    if (!BeginUse()) return false;
    use(tracker->channel());
    EndUse();
    return true;
  }

  // Blocks until the answer is there; asks the next JobTracker when one is not reachable, each once
  // more after a moment. The errors are those of the channel, that of WhyNone(), and
  // kFailedPrecondition after Interrupt(). Not from an RPC thread.
  template <typename Request, typename Response>
  Result<Response> Call(void (rpc::Channel::*method)(const Request&, std::int64_t,
                                                     rpc::Channel::Done<Response>),
                        const Request& request, std::int64_t deadline_ms) {
    Status status;
    // Twice round: a connection may fail in passing, as that to a JobTracker that is just
    // restarted.
    for (std::size_t tries = 0; tries == 0 || tries < 2 * size(); ++tries) {
      if (tries > 0 && tries == size() && !Pause(kAgainMs)) return Interrupted();
      const Result<TrackerPtr> target = AwaitCurrent();
      if (!target.ok()) return target.status();
      auto answer = std::make_shared<Answer<Response>>();
      if (!Enter(answer)) return Interrupted();
      ((*target)->channel().*method)(request, deadline_ms, [answer](Status got, Response response) {
        {
          const std::lock_guard lock(answer->mutex);
          answer->status = std::move(got);
          answer->response = std::move(response);
          answer->done = true;
        }
        answer->changed.notify_one();
      });
      const bool answered = Await(*answer);
      Leave(answer);
      if (!answered) return Interrupted();
      if (answer->status.ok()) return std::move(answer->response);
      status = answer->status;
      if (status.code() != StatusCode::kUnavailable) break;
      MoveOnFrom(*target);
    }
    if (status.code() == StatusCode::kUnavailable) {
      return NoneAnswers(status);
    }
    return status;
  }

  // Waits that long, or until Interrupt(); false then.
  bool Pause(std::int64_t ms);
  // Waits while none is known but one may be at any moment. Ok when there is one, else WhyNone().
  Status AwaitFound();
  void Interrupt();

 private:
  struct AnswerBase {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    bool interrupted = false;
    Status status;
  };
  template <typename Response>
  struct Answer : AnswerBase {
    Response response;
  };

  // Longer than the channels wait before they connect again.
  static constexpr std::int64_t kAgainMs = 150;

  static Status Interrupted() { return Status::FailedPrecondition("the client is closed"); }
  Result<TrackerPtr> AwaitCurrent();
  std::vector<std::function<void()>> TakeLocked(const discovery::JobTrackers& found,
                                                std::vector<TrackerPtr>* ended);
  bool BeginUse();
  void EndUse();
  bool Enter(const std::shared_ptr<AnswerBase>& answer);
  void Leave(const std::shared_ptr<AnswerBase>& answer);
  static bool Await(AnswerBase& answer);

  const rpc::ChannelFactory factory_;

  mutable std::mutex mutex_;
  std::vector<TrackerPtr> present_;
  std::vector<TrackerPtr> retired_;  // not there any more, but perhaps in use
  std::size_t current_ = 0;          // in present_
  std::uint64_t version_ = 0;
  std::atomic<bool> many_{false};
  bool looking_ = false;
  bool gave_up_looking_ = false;
  Status why_none_;
  std::vector<std::function<void()>> when_found_;
  std::condition_variable found_;

  std::condition_variable interrupt_;
  bool interrupted_ = false;
  std::condition_variable unused_;
  int users_ = 0;
  bool ending_ = false;
  std::set<std::shared_ptr<AnswerBase>> waiting_;
};

}  // namespace lts::jobclient

// The JobTrackers that a client may ask, and blocking calls to them.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lts/status.h"
#include "rpc/channel.h"

namespace lts::jobclient {

// Owns one channel to each configured JobTracker. One of them is the current one; who finds that it
// does not answer moves on to the next. Any JobTracker takes any request, so every one will do.
// Thread-safe. Interrupt() ends the blocking calls; the destructor cancels what is under way. The
// channels go one after the other, so answers still come while some are gone: who calls on from an
// answer does so through With.
class Trackers {
 public:
  Trackers(const std::vector<std::string>& addresses, const rpc::ChannelFactory& factory);
  ~Trackers();
  Trackers(const Trackers&) = delete;
  Trackers& operator=(const Trackers&) = delete;

  std::size_t size() const { return channels_.size(); }
  rpc::Channel& at(std::size_t i) { return *channels_[i]; }
  // Calls `use` with the channel, which it must not keep; false, and nothing is done, once the
  // destructor has begun, which waits for those that are at it. `use` must not block.
  template <typename Use>
  bool With(std::size_t i, const Use& use) {
    if (!BeginUse()) return false;
    use(at(i));
    EndUse();
    return true;
  }
  std::size_t current() const { return current_.load(std::memory_order_relaxed); }
  // Makes the next one current, unless somebody else has moved on from `failed` already.
  void MoveOnFrom(std::size_t failed);
  // "host:port, host:port": for messages.
  std::string Addresses() const;

  // Blocks until the answer is there; asks the next JobTracker when one is not reachable, each once
  // more after a moment. The
  // errors are those of the channel, and kFailedPrecondition after Interrupt(). Not from an RPC
  // thread.
  template <typename Request, typename Response>
  Result<Response> Call(void (rpc::Channel::*method)(const Request&, std::int64_t,
                                                     rpc::Channel::Done<Response>),
                        const Request& request, std::int64_t deadline_ms) {
    Status status;
    // Twice round: a connection may fail in passing, as that to a JobTracker that is just
    // restarted.
    for (std::size_t tries = 0; tries < 2 * size(); ++tries) {
      if (tries == size() && !Pause(kAgainMs)) return Interrupted();
      const std::size_t target = current();
      auto answer = std::make_shared<Answer<Response>>();
      if (!Enter(answer)) return Interrupted();
      (at(target).*method)(request, deadline_ms, [answer](Status got, Response response) {
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
      MoveOnFrom(target);
    }
    if (status.code() == StatusCode::kUnavailable) {
      return Status::Unavailable(
          fmt::format("no JobTracker answers at {}: {}", Addresses(), status.message()));
    }
    return status;
  }

  // Waits that long, or until Interrupt(); false then.
  bool Pause(std::int64_t ms);
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
  bool BeginUse();
  void EndUse();
  bool Enter(const std::shared_ptr<AnswerBase>& answer);
  void Leave(const std::shared_ptr<AnswerBase>& answer);
  static bool Await(AnswerBase& answer);

  std::atomic<std::size_t> current_{0};
  std::mutex mutex_;
  std::condition_variable interrupt_;
  bool interrupted_ = false;
  std::condition_variable unused_;
  int users_ = 0;
  bool ending_ = false;
  std::set<std::shared_ptr<AnswerBase>> waiting_;
  // Last: its destructor waits for callbacks, which use nothing of this object but their own
  // answer.
  std::vector<std::unique_ptr<rpc::Channel>> channels_;
};

}  // namespace lts::jobclient

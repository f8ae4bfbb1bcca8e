// What the two ends of a gRPC stream have in common, without a gRPC type: the queue of messages
// that wait to be written, which write may start when, the callbacks, and the wait of the
// destructor.
//
// A gRPC reactor may have one write under way. A step that starts one ("write", "end") is over when
// *both* the call that starts it has returned and gRPC has reported its end; whichever comes second
// takes the next step. So no thread is ever inside a Start… call of a stream that another thread
// lets go, and messages are serialised outside the lock.
//
// Thread-safe. Owned jointly by the handle that users hold and by the reactor.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "lts/status.h"
#include "rpc/channel.h"

namespace lts::rpc {

template <typename Out, typename In>
class StreamCore {
 public:
  enum class Step {
    kNone,     // nothing to do now
    kWrite,    // start writing Front(), then call Part()
    kEnd,      // everything is written: start the end of this side, then call Part()
    kRelease,  // told once, after the end: no step will follow
  };

  StreamCore() = default;
  StreamCore(const StreamCore&) = delete;
  StreamCore& operator=(const StreamCore&) = delete;

  // ---- towards gRPC

  // Queues a message; dropped once the stream was closed or is broken.
  Step Push(Out message) {
    const std::size_t bytes = message.ByteSizeLong();
    const std::lock_guard lock(mutex_);
    if (closing_ || broken_) return Step::kNone;
    queue_.push_back({std::move(message), bytes});
    pending_bytes_ += bytes;
    return Next();
  }

  // Ends this side once what was pushed before is written.
  Step Close() {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    return Next();
  }

  // The stream is over: what waits is dropped, and no end needs to be written.
  Step Abandon() {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    ended_ = true;
    DropWaiting();
    return Next();
  }

  // One of the two parts of a step is over. A new core waits for one part: that the stream was
  // started.
  Step Part(bool ok) {
    const std::lock_guard lock(mutex_);
    --parts_;
    if (!ok) {
      broken_ = true;
      DropWaiting();
    }
    if (parts_ == 0 && writing_) {
      pending_bytes_ -= queue_.front().bytes;
      queue_.pop_front();
      writing_ = false;
    }
    return Next();
  }

  // The message to write, and whether another one waits behind it. Only in answer to kWrite.
  std::pair<const Out*, bool> Front() const {
    const std::lock_guard lock(mutex_);
    return {&queue_.front().message, queue_.size() > 1};
  }

  std::size_t PendingBytes() const {
    const std::lock_guard lock(mutex_);
    return pending_bytes_;
  }

  // ---- towards the user

  // Before the first message can arrive.
  void SetCallbacks(StreamCallbacks<In> callbacks) {
    const std::lock_guard lock(mutex_);
    callbacks_ = std::move(callbacks);
  }

  void Deliver(In message) {
    if (!EnterCallback()) return;
    if (callbacks_.on_message) callbacks_.on_message(std::move(message));
    LeaveCallback();
  }

  // Last. The callbacks are destroyed here, so that what they hold on to does not outlive the
  // stream.
  void Closed(Status status) {
    const bool tell = EnterCallback();
    if (tell && callbacks_.on_closed) callbacks_.on_closed(std::move(status));
    callbacks_ = {};
    const std::lock_guard lock(mutex_);
    callback_thread_ = {};
    closed_ = true;
    callback_over_.notify_all();
  }

  // For destructors of handles: no callback runs after this returned, except the one it is called
  // from.
  void AwaitClosed() {
    std::unique_lock lock(mutex_);
    if (callback_thread_ == std::this_thread::get_id()) {
      silenced_ = true;
      return;
    }
    callback_over_.wait(lock, [this] { return closed_; });
  }

 private:
  struct Item {
    Out message;
    std::size_t bytes;
  };

  Step Next() {
    if (parts_ > 0) return Step::kNone;
    if (!queue_.empty()) {
      writing_ = true;
      parts_ = 2;
      return Step::kWrite;
    }
    if (closing_ && !ended_) {
      ended_ = true;
      parts_ = 2;
      return Step::kEnd;
    }
    if (ended_ && !released_) {
      released_ = true;
      return Step::kRelease;
    }
    return Step::kNone;
  }

  void DropWaiting() {
    while (queue_.size() > (writing_ ? 1U : 0U)) {
      pending_bytes_ -= queue_.back().bytes;
      queue_.pop_back();
    }
  }

  bool EnterCallback() {
    const std::lock_guard lock(mutex_);
    if (silenced_) return false;
    callback_thread_ = std::this_thread::get_id();
    return true;
  }
  void LeaveCallback() {
    const std::lock_guard lock(mutex_);
    callback_thread_ = {};
  }

  mutable std::mutex mutex_;
  std::condition_variable callback_over_;
  std::deque<Item> queue_;
  std::size_t pending_bytes_ = 0;
  int parts_ = 1;
  bool writing_ = false;  // the front of the queue is being written
  bool closing_ = false;  // nothing more is taken
  bool broken_ = false;   // a write has failed: no further one can succeed
  bool ended_ = false;    // the end was started, or is not needed
  bool released_ = false;
  StreamCallbacks<In> callbacks_;
  std::thread::id callback_thread_;
  bool silenced_ = false;  // the handle was destroyed in a callback
  bool closed_ = false;
};

}  // namespace lts::rpc

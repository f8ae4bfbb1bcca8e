// Runs a handle's callbacks on its user's strand, and none after the handle has gone.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "common/strand.h"

namespace lts::registry {

// Thread-safe. Borrows the strand; one that was stopped drops what is posted.
class CallbackGate {
 public:
  explicit CallbackGate(Strand& strand) : strand_(strand) {}
  ~CallbackGate() { Close(); }
  CallbackGate(const CallbackGate&) = delete;
  CallbackGate& operator=(const CallbackGate&) = delete;

  // Runs `callback` on the strand, unless the gate is closed by then.
  void Post(std::function<void()> callback) {
    strand_.Post([state = state_, callback = std::move(callback)] {
      {
        const std::lock_guard lock(state->mutex);
        if (state->closed) return;
        state->running = std::this_thread::get_id();
      }
      callback();
      const std::lock_guard lock(state->mutex);
      state->running = std::thread::id();
      state->idle.notify_all();
    });
  }

  // From now on no callback starts; waits for the one under way, unless it is the caller.
  void Close() {
    std::unique_lock lock(state_->mutex);
    state_->closed = true;
    if (state_->running == std::this_thread::get_id()) return;
    state_->idle.wait(lock, [this] { return state_->running == std::thread::id(); });
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable idle;
    bool closed = false;
    std::thread::id running;  // the thread that is in a callback
  };

  Strand& strand_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace lts::registry

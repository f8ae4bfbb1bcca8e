// A JobTracker as a TaskTracker sees it: takes its streams and log lines, says what the test wants.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "lts/v1/client.pb.h"
#include "lts/v1/cluster.pb.h"
#include "lts/v1/feedback.pb.h"
#include "lts/v1/query.pb.h"
#include "lts/v1/worker.pb.h"
#include "rpc/channel.h"

namespace lts::testing {

// Thread-safe. Outlives the channels made by Factory().
class FakeWorkTracker {
 public:
  rpc::ChannelFactory Factory() {
    return [this](const std::string& address) {
      return std::make_unique<FakeChannel>(*this, address);
    };
  }

  // Nobody listens: streams and calls fail at once.
  void SetDown(bool down) {
    const std::lock_guard lock(mutex_);
    down_ = down;
  }
  // How many bytes each stream pretends to have pending.
  void SetPendingBytes(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    pending_bytes_ = bytes;
  }
  void SetLogStatus(Status status) {
    const std::lock_guard lock(mutex_);
    log_status_ = std::move(status);
  }

  // What was sent on any stream and not taken yet, in order.
  std::vector<v1::WorkerMessage> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(messages_, {});
  }
  // The same, but waits for the first one; empty only when none comes for a very long time.
  std::vector<v1::WorkerMessage> WaitAndTake() {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::minutes(1), [this] { return !messages_.empty(); });
    return std::exchange(messages_, {});
  }
  std::vector<v1::LogLine> log_lines() const {
    const std::lock_guard lock(mutex_);
    return log_lines_;
  }
  // Addresses of the streams that were opened.
  std::vector<std::string> dialed() const {
    const std::lock_guard lock(mutex_);
    return dialed_;
  }
  bool HasStream() const {
    const std::lock_guard lock(mutex_);
    return stream_ != nullptr;
  }
  bool closed_by_peer() const {
    const std::lock_guard lock(mutex_);
    return closed_by_peer_;
  }

  // To the newest stream.
  void Send(v1::TrackerMessage message) {
    const std::shared_ptr<StreamState> stream = Stream();
    if (stream == nullptr) return;
    const std::lock_guard lock(stream->mutex);
    if (stream->open) stream->callbacks.on_message(std::move(message));
  }
  void Break(Status status = Status::Unavailable("cut")) { End(Stream(), std::move(status)); }

 private:
  struct StreamState {
    std::mutex mutex;  // held during callbacks, so that none runs after the stream is gone
    bool open = true;
    rpc::StreamCallbacks<v1::TrackerMessage> callbacks;
  };

  class FakeStream final : public rpc::Stream<v1::WorkerMessage> {
   public:
    FakeStream(FakeWorkTracker& tracker, std::shared_ptr<StreamState> state)
        : tracker_(tracker), state_(std::move(state)) {}
    ~FakeStream() override {
      {
        const std::lock_guard lock(state_->mutex);
        state_->open = false;
      }
      tracker_.Forget(state_);
    }
    void Send(v1::WorkerMessage message) override {
      {
        const std::lock_guard lock(state_->mutex);
        if (!state_->open) return;
      }
      const std::lock_guard lock(tracker_.mutex_);
      tracker_.messages_.push_back(std::move(message));
      tracker_.arrived_.notify_all();
    }
    std::size_t PendingBytes() const override {
      const std::lock_guard lock(tracker_.mutex_);
      return tracker_.pending_bytes_;
    }
    void Close() override {
      {
        const std::lock_guard lock(tracker_.mutex_);
        tracker_.closed_by_peer_ = true;
      }
      tracker_.End(state_, Status::Ok());
    }

   private:
    FakeWorkTracker& tracker_;
    const std::shared_ptr<StreamState> state_;
  };

  class FakeChannel final : public rpc::Channel {
   public:
    FakeChannel(FakeWorkTracker& tracker, std::string address)
        : tracker_(tracker), address_(std::move(address)) {}
    const std::string& address() const override { return address_; }

    void Submit(const v1::SubmitRequest&, std::int64_t, Done<v1::SubmitResponse> done) override {
      No(done);
    }
    void Operate(const v1::OperateRequest&, std::int64_t, Done<v1::OperateResponse> done) override {
      No(done);
    }
    void Wait(const v1::WaitRequest&, std::int64_t, Done<v1::WaitResponse> done) override {
      No(done);
    }
    void Get(const v1::GetRequest&, std::int64_t, Done<v1::GetResponse> done) override { No(done); }
    void List(const v1::ListRequest&, std::int64_t, Done<v1::ListResponse> done) override {
      No(done);
    }
    void ListAttempts(const v1::ListAttemptsRequest&, std::int64_t,
                      Done<v1::ListAttemptsResponse> done) override {
      No(done);
    }
    void Explain(const v1::ExplainRequest&, std::int64_t, Done<v1::ExplainResponse> done) override {
      No(done);
    }
    void Logs(const v1::LogsRequest&, std::int64_t, Done<v1::LogsResponse> done) override {
      No(done);
    }
    void Routes(const v1::RoutesRequest&, std::int64_t, Done<v1::RoutesResponse> done) override {
      No(done);
    }
    void Nodes(const v1::NodesRequest&, std::int64_t, Done<v1::NodesResponse> done) override {
      No(done);
    }
    void Groups(const v1::GroupsRequest&, std::int64_t, Done<v1::GroupsResponse> done) override {
      No(done);
    }

    void AppendLogs(const v1::AppendLogsRequest& request, std::int64_t,
                    Done<v1::AppendLogsResponse> done) override {
      Status status;
      {
        const std::lock_guard lock(tracker_.mutex_);
        status = tracker_.down_ ? Status::Unavailable("down") : tracker_.log_status_;
        if (status.ok()) {
          tracker_.log_lines_.insert(tracker_.log_lines_.end(), request.lines().begin(),
                                     request.lines().end());
        }
      }
      done(status, {});
    }

    std::unique_ptr<rpc::Stream<v1::WorkerMessage>> Work(
        rpc::StreamCallbacks<v1::TrackerMessage> callbacks) override {
      auto state = std::make_shared<StreamState>();
      state->callbacks = std::move(callbacks);
      bool down;
      {
        const std::lock_guard lock(tracker_.mutex_);
        tracker_.dialed_.push_back(address_);
        tracker_.closed_by_peer_ = false;
        down = tracker_.down_;
        if (!down) tracker_.stream_ = state;
      }
      auto stream = std::make_unique<FakeStream>(tracker_, state);
      if (down) tracker_.End(state, Status::Unavailable("nobody listens"));
      return stream;
    }
    std::unique_ptr<rpc::Stream<v1::FeedbackClientMessage>> Feedback(
        rpc::StreamCallbacks<v1::FeedbackTrackerMessage> callbacks) override {
      callbacks.on_closed(Status::Internal("not part of this fake"));
      return nullptr;
    }

   private:
    template <typename Response>
    static void No(const Done<Response>& done) {
      done(Status::Internal("not part of this fake"), {});
    }
    FakeWorkTracker& tracker_;
    const std::string address_;
  };

  std::shared_ptr<StreamState> Stream() const {
    const std::lock_guard lock(mutex_);
    return stream_;
  }
  void Forget(const std::shared_ptr<StreamState>& state) {
    const std::lock_guard lock(mutex_);
    if (stream_ == state) stream_ = nullptr;
  }
  void End(const std::shared_ptr<StreamState>& state, Status status) {
    if (state == nullptr) return;
    Forget(state);
    const std::lock_guard lock(state->mutex);
    if (!state->open) return;
    state->open = false;
    state->callbacks.on_closed(std::move(status));
  }

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  bool down_ = false;
  bool closed_by_peer_ = false;
  std::size_t pending_bytes_ = 0;
  Status log_status_;
  std::shared_ptr<StreamState> stream_;
  std::vector<v1::WorkerMessage> messages_;
  std::vector<v1::LogLine> log_lines_;
  std::vector<std::string> dialed_;
};

}  // namespace lts::testing

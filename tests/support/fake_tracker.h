// A JobTracker in the process of a test: channels to it behave like those to a real one, and the
// test says what it answers and when.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/strand.h"
#include "lts/status.h"
#include "lts/v1/client.pb.h"
#include "lts/v1/cluster.pb.h"
#include "lts/v1/feedback.pb.h"
#include "lts/v1/query.pb.h"
#include "lts/v1/worker.pb.h"
#include "rpc/channel.h"

namespace lts::testing {

// Thread-safe. Outlives the channels made by Factory(). Every address leads to it, unless it is in
// `down_addresses`. Answers come on a thread of the channel.
class FakeTracker {
 public:
  enum class Mode {
    kAnswer,
    kDown,    // nobody listens: kUnavailable
    kSilent,  // calls arrive and are carried out, the answers are lost: kDeadlineExceeded in the
              // end
    kHold,    // calls arrive and wait for Release()
  };

  // What is answered; may be replaced before the first call. Called with the lock held.
  std::function<v1::SubmitAnswer(const v1::SubmitItem&)> on_submit =
      [](const v1::SubmitItem& item) {
        v1::SubmitAnswer answer;
        answer.set_job_id(item.job().job_id());
        return answer;
      };
  std::function<v1::OperateResponse(const v1::OperateRequest&)> on_cancel =
      [](const v1::OperateRequest& request) {
        v1::OperateResponse response;
        response.set_job_id(request.job_id().empty() ? "cancelled-id" : request.job_id());
        response.set_state(v1::CANCELLED);
        return response;
      };
  std::function<v1::WaitResponse(const v1::WaitRequest&)> on_wait;
  std::function<v1::GetResponse(const v1::GetRequest&)> on_get;
  std::function<v1::ListResponse(const v1::ListRequest&)> on_list;
  std::function<v1::ListAttemptsResponse(const v1::ListAttemptsRequest&)> on_list_attempts;
  std::function<v1::ExplainResponse(const v1::ExplainRequest&)> on_explain;
  std::function<v1::LogsResponse(const v1::LogsRequest&)> on_logs;
  std::function<v1::RoutesResponse(const v1::RoutesRequest&)> on_routes;
  std::function<v1::NodesResponse(const v1::NodesRequest&)> on_nodes;
  std::function<v1::GroupsResponse(const v1::GroupsRequest&)> on_groups;
  // What a feedback stream offers when it is opened.
  std::function<std::vector<v1::FeedbackItem>(const v1::FeedbackHello&)> on_hello;
  std::set<std::string> down_addresses;
  // What is held is answered when its channel ends, instead of cancelled: an answer that was on its
  // way just then.
  bool answers_at_the_end = false;
  // What is held fails instead: its JobTracker has gone.
  bool fails_held = false;

  rpc::ChannelFactory Factory();

  void SetMode(Mode mode) {
    const std::lock_guard lock(mutex_);
    mode_ = mode;
    changed_.notify_all();
  }
  void SetDownAddresses(std::set<std::string> addresses) {
    const std::lock_guard lock(mutex_);
    down_addresses = std::move(addresses);
  }
  // Those are as with kSilent, whatever the mode.
  void SetSilentAddresses(std::set<std::string> addresses) {
    const std::lock_guard lock(mutex_);
    silent_addresses_ = std::move(addresses);
  }
  // Answers what is held, and everything from now on.
  void Release();

  // Submits and cancels in the order in which they arrived: "+task" and "-task".
  std::vector<std::string> Log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }
  std::vector<v1::SubmitRequest> Submits() {
    const std::lock_guard lock(mutex_);
    return submits_;
  }
  std::size_t JobsSeen() {
    const std::lock_guard lock(mutex_);
    return log_.size();
  }
  // To which address each request of Submits() came.
  std::vector<std::string> SubmitAddresses() {
    const std::lock_guard lock(mutex_);
    return submit_addresses_;
  }
  // And how long each was to wait for its answer.
  std::vector<std::int64_t> SubmitDeadlinesMs() {
    const std::lock_guard lock(mutex_);
    return submit_deadlines_ms_;
  }
  int SubmitsAtOnceMax() {
    const std::lock_guard lock(mutex_);
    return at_once_max_;
  }

  // Feedback: sends items on every open stream, breaks the streams, and what came back.
  void Offer(const std::vector<v1::FeedbackItem>& items);
  void BreakStreams();
  std::vector<v1::FeedbackAck> Acks() {
    const std::lock_guard lock(mutex_);
    return acks_;
  }
  // Where feedback streams are open, and channels.
  std::multiset<std::string> StreamAddresses() {
    const std::lock_guard lock(mutex_);
    std::multiset<std::string> addresses;
    for (const auto& [stream, address] : streams_) addresses.insert(address);
    return addresses;
  }
  std::multiset<std::string> ChannelAddresses() {
    const std::lock_guard lock(mutex_);
    std::multiset<std::string> addresses;
    for (const auto& [channel, address] : channels_) addresses.insert(address);
    return addresses;
  }
  std::vector<v1::FeedbackHello> Hellos() {
    const std::lock_guard lock(mutex_);
    return hellos_;
  }

  // Waits until `reached` holds; called with no lock, after every change. False after half a
  // minute, which no healthy test comes near.
  bool Await(const std::function<bool()>& reached) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    std::unique_lock lock(mutex_);
    while (true) {
      const std::uint64_t seen = changes_;
      lock.unlock();
      if (reached()) return true;
      lock.lock();
      if (!changed_.wait_until(lock, end, [&] { return changes_ != seen; })) {
        lock.unlock();
        return reached();
      }
    }
  }
  // For state of the test itself that Await looks at.
  void Changed() {
    const std::lock_guard lock(mutex_);
    ChangedLocked();
  }

 private:
  class FakeChannel;
  class FeedbackStream;

  static v1::FeedbackTrackerMessage MessageOf(const std::vector<v1::FeedbackItem>& items) {
    v1::FeedbackTrackerMessage message;
    for (const v1::FeedbackItem& item : items) *message.add_items() = item;
    return message;
  }
  void ChangedLocked() {
    ++changes_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t changes_ = 0;
  Mode mode_ = Mode::kAnswer;
  std::set<std::string> silent_addresses_;
  std::vector<std::string> log_;
  std::vector<v1::SubmitRequest> submits_;
  std::vector<std::string> submit_addresses_;
  std::vector<std::int64_t> submit_deadlines_ms_;
  int at_once_ = 0;
  int at_once_max_ = 0;
  std::map<FakeChannel*, std::string> channels_;  // and their addresses
  std::map<FeedbackStream*, std::string> streams_;
  std::vector<v1::FeedbackAck> acks_;
  std::vector<v1::FeedbackHello> hellos_;
};

class FakeTracker::FeedbackStream final : public rpc::Stream<v1::FeedbackClientMessage> {
 public:
  FeedbackStream(FakeTracker& tracker, std::string address,
                 rpc::StreamCallbacks<v1::FeedbackTrackerMessage> callbacks)
      : tracker_(tracker), address_(std::move(address)), callbacks_(std::move(callbacks)) {}
  ~FeedbackStream() override {
    {
      const std::lock_guard lock(tracker_.mutex_);
      tracker_.streams_.erase(this);
      tracker_.ChangedLocked();
    }
    End(Status::Unavailable("stream destroyed"));
    strand_.Drain();
  }
  // Apart from the constructor: the factory adds it when the stream is whole.
  void Open(bool up) {
    if (!up) return End(Status::Unavailable("connection refused"));
    const std::lock_guard lock(tracker_.mutex_);
    tracker_.streams_.emplace(this, address_);
  }
  void Send(v1::FeedbackClientMessage message) override {
    const std::lock_guard lock(tracker_.mutex_);
    if (ended_) return;
    if (message.has_hello()) {
      tracker_.hellos_.push_back(message.hello());
      if (tracker_.on_hello) Deliver(MessageOf(tracker_.on_hello(message.hello())));
    }
    for (const v1::FeedbackAck& ack : message.acks()) tracker_.acks_.push_back(ack);
    tracker_.ChangedLocked();
  }
  std::size_t PendingBytes() const override { return 0; }
  void Close() override { End(Status::Ok()); }

  void Deliver(const v1::FeedbackTrackerMessage& message) {
    strand_.Post([this, message] { callbacks_.on_message(message); });
  }
  void End(const Status& status) {
    if (ended_.exchange(true)) return;
    strand_.Post([this, status] { callbacks_.on_closed(status); });
  }

 private:
  FakeTracker& tracker_;
  const std::string address_;
  const rpc::StreamCallbacks<v1::FeedbackTrackerMessage> callbacks_;
  std::atomic<bool> ended_{false};
  ThreadStrand strand_{"fake-stream"};
};

class FakeTracker::FakeChannel final : public rpc::Channel {
 public:
  FakeChannel(FakeTracker& tracker, std::string address)
      : tracker_(tracker), address_(std::move(address)) {
    const std::lock_guard lock(tracker_.mutex_);
    tracker_.channels_.emplace(this, address_);
    tracker_.ChangedLocked();
  }
  ~FakeChannel() override {
    {
      const std::lock_guard lock(tracker_.mutex_);
      tracker_.channels_.erase(this);
      tracker_.ChangedLocked();
    }
    strand_.Post([this] {
      cancelled_ = true;
      auto held = std::move(held_);
      if (tracker_.answers_at_the_end) {
        for (auto& answer : held) answer();
      }
      auto pending = std::move(pending_);
      for (auto& [id, end] : pending) end(Status::Unavailable("cancelled"));
    });
    strand_.Drain();
  }
  const std::string& address() const override { return address_; }

  void Submit(const v1::SubmitRequest& request, std::int64_t deadline_ms,
              Done<v1::SubmitResponse> done) override {
    strand_.Post([this, request, deadline_ms, done = std::move(done)]() mutable {
      if (!Arrives(done)) return;
      v1::SubmitResponse response;
      Mode mode;
      {
        const std::lock_guard lock(tracker_.mutex_);
        mode = ModeLocked();
        tracker_.submits_.push_back(request);
        tracker_.submit_addresses_.push_back(address_);
        tracker_.submit_deadlines_ms_.push_back(deadline_ms);
        tracker_.at_once_max_ = std::max(tracker_.at_once_max_, ++tracker_.at_once_);
        for (const v1::SubmitItem& item : request.items()) {
          tracker_.log_.push_back("+" + item.job().task_id());
          *response.add_answers() = tracker_.on_submit(item);
        }
        tracker_.ChangedLocked();
      }
      Answer<v1::SubmitResponse>(
          mode, std::move(response), deadline_ms,
          [this, done = std::move(done)](Status status, v1::SubmitResponse answer) {
            {
              const std::lock_guard lock(tracker_.mutex_);
              --tracker_.at_once_;
            }
            done(std::move(status), std::move(answer));
          });
    });
  }
  void Operate(const v1::OperateRequest& request, std::int64_t deadline_ms,
               Done<v1::OperateResponse> done) override {
    strand_.Post([this, request, deadline_ms, done = std::move(done)]() mutable {
      if (!Arrives(done)) return;
      v1::OperateResponse response;
      Mode mode;
      {
        const std::lock_guard lock(tracker_.mutex_);
        mode = ModeLocked();
        tracker_.log_.push_back("-" + request.task_id());
        response = tracker_.on_cancel(request);
        tracker_.ChangedLocked();
      }
      Answer<v1::OperateResponse>(mode, std::move(response), deadline_ms, std::move(done));
    });
  }
  void Wait(const v1::WaitRequest& request, std::int64_t deadline_ms,
            Done<v1::WaitResponse> done) override {
    Plain(tracker_.on_wait, request, deadline_ms, std::move(done));
  }
  void Get(const v1::GetRequest& request, std::int64_t deadline_ms,
           Done<v1::GetResponse> done) override {
    Plain(tracker_.on_get, request, deadline_ms, std::move(done));
  }
  void List(const v1::ListRequest& request, std::int64_t deadline_ms,
            Done<v1::ListResponse> done) override {
    Plain(tracker_.on_list, request, deadline_ms, std::move(done));
  }
  void ListAttempts(const v1::ListAttemptsRequest& request, std::int64_t deadline_ms,
                    Done<v1::ListAttemptsResponse> done) override {
    Plain(tracker_.on_list_attempts, request, deadline_ms, std::move(done));
  }
  void Explain(const v1::ExplainRequest& request, std::int64_t deadline_ms,
               Done<v1::ExplainResponse> done) override {
    Plain(tracker_.on_explain, request, deadline_ms, std::move(done));
  }
  void Logs(const v1::LogsRequest& request, std::int64_t deadline_ms,
            Done<v1::LogsResponse> done) override {
    Plain(tracker_.on_logs, request, deadline_ms, std::move(done));
  }
  void Routes(const v1::RoutesRequest& request, std::int64_t deadline_ms,
              Done<v1::RoutesResponse> done) override {
    Plain(tracker_.on_routes, request, deadline_ms, std::move(done));
  }
  void Nodes(const v1::NodesRequest& request, std::int64_t deadline_ms,
             Done<v1::NodesResponse> done) override {
    Plain(tracker_.on_nodes, request, deadline_ms, std::move(done));
  }
  void Groups(const v1::GroupsRequest& request, std::int64_t deadline_ms,
              Done<v1::GroupsResponse> done) override {
    Plain(tracker_.on_groups, request, deadline_ms, std::move(done));
  }
  void AppendLogs(const v1::AppendLogsRequest&, std::int64_t,
                  Done<v1::AppendLogsResponse> done) override {
    strand_.Post([done = std::move(done)] { done(Status::Internal("not a client's call"), {}); });
  }
  std::unique_ptr<rpc::Stream<v1::WorkerMessage>> Work(
      rpc::StreamCallbacks<v1::TrackerMessage>) override {
    return nullptr;  // not a client's call
  }
  std::unique_ptr<rpc::Stream<v1::FeedbackClientMessage>> Feedback(
      rpc::StreamCallbacks<v1::FeedbackTrackerMessage> callbacks) override {
    auto stream = std::make_unique<FeedbackStream>(tracker_, address_, std::move(callbacks));
    stream->Open(Up());
    return stream;
  }

  void ReleaseHeld() {
    strand_.Post([this] {
      auto held = std::move(held_);
      for (auto& answer : held) answer();
    });
  }

 private:
  bool Up() {
    const std::lock_guard lock(tracker_.mutex_);
    return tracker_.mode_ != Mode::kDown && tracker_.down_addresses.count(address_) == 0;
  }
  Mode ModeLocked() const {
    return tracker_.silent_addresses_.count(address_) != 0 ? Mode::kSilent : tracker_.mode_;
  }
  template <typename DoneFunction>
  bool Arrives(DoneFunction& done) {
    if (Up() && !cancelled_) return true;
    done(Status::Unavailable("Call at " + address_ + ": connection refused"), {});
    return false;
  }
  template <typename Handler, typename Request, typename Response>
  void Plain(const Handler& handler, const Request& request, std::int64_t deadline_ms,
             std::function<void(Status, Response)> done) {
    strand_.Post([this, &handler, request, deadline_ms, done = std::move(done)]() mutable {
      if (!Arrives(done)) return;
      if (!handler) return done(Status::Internal("the test has no answer to this call"), {});
      Response response;
      Mode mode;
      {
        const std::lock_guard lock(tracker_.mutex_);
        mode = ModeLocked();
        response = handler(request);
        tracker_.ChangedLocked();
      }
      Answer<Response>(mode, std::move(response), deadline_ms, std::move(done));
    });
  }
  // On the strand: answers now or later, as the mode said when the call was seen to arrive; exactly
  // once.
  template <typename Response>
  void Answer(Mode mode, Response response, std::int64_t deadline_ms,
              std::function<void(Status, Response)> done) {
    if (mode == Mode::kAnswer || mode == Mode::kDown) {
      return done(Status::Ok(), std::move(response));
    }
    const std::uint64_t id = ++last_call_;
    pending_[id] = [done](const Status& status) { done(status, {}); };
    const auto end = [this, id](const Status& status) {
      const auto found = pending_.find(id);
      if (found == pending_.end()) return;
      const auto fail = std::move(found->second);
      pending_.erase(found);
      fail(status);
    };
    strand_.PostAfter(deadline_ms * 1000,
                      [end] { end(Status::DeadlineExceeded("deadline exceeded")); });
    if (mode == Mode::kHold) {
      held_.push_back([this, id, done, response = std::move(response)] {
        if (pending_.erase(id) == 0) return;
        if (tracker_.fails_held) return done(Status::Unavailable("Connection refused"), {});
        done(Status::Ok(), response);
      });
    }
  }

  FakeTracker& tracker_;
  const std::string address_;
  // Of the strand.
  bool cancelled_ = false;
  std::uint64_t last_call_ = 0;
  std::map<std::uint64_t, std::function<void(const Status&)>> pending_;
  std::vector<std::function<void()>> held_;
  ThreadStrand strand_{"fake-rpc"};
};

inline rpc::ChannelFactory FakeTracker::Factory() {
  return [this](const std::string& address) -> std::unique_ptr<rpc::Channel> {
    return std::make_unique<FakeChannel>(*this, address);
  };
}

inline void FakeTracker::Release() {
  const std::lock_guard lock(mutex_);
  mode_ = Mode::kAnswer;
  for (const auto& [channel, address] : channels_) channel->ReleaseHeld();
}

inline void FakeTracker::Offer(const std::vector<v1::FeedbackItem>& items) {
  const v1::FeedbackTrackerMessage message = MessageOf(items);
  const std::lock_guard lock(mutex_);
  for (const auto& [stream, address] : streams_) stream->Deliver(message);
}

inline void FakeTracker::BreakStreams() {
  const std::lock_guard lock(mutex_);
  for (const auto& [stream, address] : streams_)
    stream->End(Status::Unavailable("connection reset"));
  streams_.clear();
}

}  // namespace lts::testing

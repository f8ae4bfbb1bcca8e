// The ways out to a JobTracker, without a gRPC type: what libjobclient and libtasktracker are
// written against. One implementation speaks gRPC (MakeGrpcChannel), the others are fakes of tests
// and the simulator.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lts/status.h"
#include "rpc/security.h"

namespace lts::v1 {
class SubmitRequest;
class SubmitResponse;
class OperateRequest;
class OperateResponse;
class WaitRequest;
class WaitResponse;
class GetRequest;
class GetResponse;
class ListRequest;
class ListResponse;
class ListAttemptsRequest;
class ListAttemptsResponse;
class ExplainRequest;
class ExplainResponse;
class LogsRequest;
class LogsResponse;
class RoutesRequest;
class RoutesResponse;
class NodesRequest;
class NodesResponse;
class GroupsRequest;
class GroupsResponse;
class AppendLogsRequest;
class AppendLogsResponse;
class WorkerMessage;
class TrackerMessage;
class FeedbackClientMessage;
class FeedbackTrackerMessage;
}  // namespace lts::v1

namespace lts::rpc {

// A two-way stream of messages. Send never blocks: messages are queued and written in order;
// Pending() tells how many bytes wait, so that a sender can hold back (the stream itself refuses
// nothing). Thread-safe. After Close(), or once on_closed was called, Send does nothing.
template <typename Out>
class Stream {
 public:
  virtual ~Stream() = default;  // closes; no callback runs after the destructor returned
  virtual void Send(Out message) = 0;
  virtual std::size_t PendingBytes() const = 0;
  // Ends the stream in an orderly way: what was sent before is written first. on_closed follows.
  virtual void Close() = 0;
};

// Called on an RPC thread, one at a time and in order per stream; they must not block: post to a
// strand.
template <typename In>
struct StreamCallbacks {
  std::function<void(In)> on_message;
  std::function<void(Status)> on_closed;  // exactly once, last
};

// Errors of every call: kUnavailable (nobody there, nothing happened or it is not known; also when
// who is there is not known by the CA or not made out for that name), kDeadlineExceeded (may have
// happened), kPermissionDenied (the token), kInternal. Answers of the peer are in
// the response's own code. Thread-safe. The callback runs once, on an RPC thread; it must not
// block. The destructor cancels what is under way, streams included, and waits for its callbacks;
// so it must not be called from one. The handle of a stream may be destroyed later.
class Channel {
 public:
  virtual ~Channel() = default;
  virtual const std::string& address() const = 0;

  template <typename Response>
  using Done = std::function<void(Status, Response)>;

  virtual void Submit(const v1::SubmitRequest&, std::int64_t deadline_ms,
                      Done<v1::SubmitResponse>) = 0;
  virtual void Operate(const v1::OperateRequest&, std::int64_t deadline_ms,
                       Done<v1::OperateResponse>) = 0;
  virtual void Wait(const v1::WaitRequest&, std::int64_t deadline_ms, Done<v1::WaitResponse>) = 0;
  virtual void Get(const v1::GetRequest&, std::int64_t deadline_ms, Done<v1::GetResponse>) = 0;
  virtual void List(const v1::ListRequest&, std::int64_t deadline_ms, Done<v1::ListResponse>) = 0;
  virtual void ListAttempts(const v1::ListAttemptsRequest&, std::int64_t deadline_ms,
                            Done<v1::ListAttemptsResponse>) = 0;
  virtual void Explain(const v1::ExplainRequest&, std::int64_t deadline_ms,
                       Done<v1::ExplainResponse>) = 0;
  virtual void Logs(const v1::LogsRequest&, std::int64_t deadline_ms, Done<v1::LogsResponse>) = 0;
  virtual void Routes(const v1::RoutesRequest&, std::int64_t deadline_ms,
                      Done<v1::RoutesResponse>) = 0;
  virtual void Nodes(const v1::NodesRequest&, std::int64_t deadline_ms,
                     Done<v1::NodesResponse>) = 0;
  virtual void Groups(const v1::GroupsRequest&, std::int64_t deadline_ms,
                      Done<v1::GroupsResponse>) = 0;
  virtual void AppendLogs(const v1::AppendLogsRequest&, std::int64_t deadline_ms,
                          Done<v1::AppendLogsResponse>) = 0;

  virtual std::unique_ptr<Stream<v1::WorkerMessage>> Work(
      StreamCallbacks<v1::TrackerMessage> callbacks) = 0;
  virtual std::unique_ptr<Stream<v1::FeedbackClientMessage>> Feedback(
      StreamCallbacks<v1::FeedbackTrackerMessage> callbacks) = 0;
};

// address: "host:port". Without token and TLS. Never fails by itself: calls fail with kUnavailable
// while nobody listens there, and succeed again as soon as somebody does (reconnect backoff 100 ms
// … 2 s).
std::unique_ptr<Channel> MakeGrpcChannel(const std::string& address);

// Makes channels; the seam that tests replace.
using ChannelFactory = std::function<std::unique_ptr<Channel>(const std::string& address)>;

// The same channels with these credentials (as for Side::kClient): each call carries the token, and
// with a CA TLS is spoken, with servers alone whose certificate it has signed for the host of the
// address.
ChannelFactory GrpcChannels(Credentials credentials);

}  // namespace lts::rpc

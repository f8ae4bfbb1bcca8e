// The server's end of a two-way stream, for *_service.cc files.
//
//   grpc::ServerBidiReactor<v1::WorkerMessage, v1::TrackerMessage>*
//   Work(grpc::CallbackServerContext* context) {
//     auto accepted = ServerStream<v1::TrackerMessage, v1::WorkerMessage>::Accept(context);
//     strand_.Post([this, stream = accepted.stream] { AddSession(stream); });   // …
//     stream->Start({…}) return accepted.reactor;
//   }
//
// The same promises as a client's stream (rpc/channel.h), and: nothing is read before Start. When
// the client ends its side, what was sent before is still written, then the stream ends. A stream
// that is destroyed without Start is refused with UNAVAILABLE. Start it or drop it soon:
// Server::Stop waits for that.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "rpc/grpc_status.h"
#include "rpc/stream_core.h"

namespace lts::rpc {

// The gRPC side; keeps itself alive until gRPC has told it that the call is over.
template <typename Out, typename In>
class ServerStreamReactor final : public grpc::ServerBidiReactor<In, Out> {
 public:
  using Core = StreamCore<Out, In>;
  using Step = typename Core::Step;

  explicit ServerStreamReactor(grpc::CallbackServerContext* context)
      : context_(context), peer_(context->peer()) {}

  void KeepAlive(std::shared_ptr<ServerStreamReactor> self) { self_ = std::move(self); }

  void Start(StreamCallbacks<In> callbacks) {
    core_.SetCallbacks(std::move(callbacks));
    this->StartRead(&incoming_);
    Run(core_.Part(true));
  }
  void Refuse(const Status& status) { this->Finish(ToGrpc(status)); }
  void Send(Out message) { Run(core_.Push(std::move(message))); }
  void Close() { Run(core_.Close()); }
  void Cancel() {
    const std::lock_guard lock(mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }
  Core& core() { return core_; }
  const std::string& peer() const { return peer_; }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Run(core_.Close());
      return;
    }
    core_.Deliver(std::exchange(incoming_, In()));
    this->StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override { Run(core_.Part(ok)); }
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  void OnDone() override {
    const std::shared_ptr<ServerStreamReactor> self = std::move(self_);
    bool cancelled = false;
    {
      const std::lock_guard lock(mutex_);
      context_ = nullptr;
      cancelled = cancelled_;
    }
    core_.Closed(cancelled ? Status::Unavailable("the stream of " + peer_ + " broke off")
                           : Status::Ok());
  }

 private:
  void Run(Step step) {
    for (;;) {
      switch (step) {
        case Step::kNone:
        case Step::kRelease: return;
        case Step::kWrite: {
          const auto [message, more] = core_.Front();
          grpc::WriteOptions options;
          if (more)
            options.set_buffer_hint();  // the next one follows at once: one system call for both
          this->StartWrite(message, options);
          break;
        }
        // Nothing is started after Finish, so its second part is never counted.
        case Step::kEnd: this->Finish(grpc::Status::OK); return;
      }
      step = core_.Part(true);
    }
  }

  Core core_;
  In incoming_;
  std::mutex mutex_;
  grpc::CallbackServerContext* context_;  // gRPC's; gone after OnDone
  bool cancelled_ = false;
  const std::string peer_;
  std::shared_ptr<ServerStreamReactor> self_;
};

// What a service holds of a stream. Thread-safe; Start once. The destructor cancels what is under
// way and waits for the callback that runs, unless it is called from that callback.
template <typename Out, typename In>
class ServerStream final : public Stream<Out> {
 public:
  using Reactor = ServerStreamReactor<Out, In>;
  struct Accepted {
    std::shared_ptr<ServerStream> stream;
    grpc::ServerBidiReactor<In, Out>* reactor;  // what the handler returns to gRPC
  };

  static Accepted Accept(grpc::CallbackServerContext* context) {
    auto reactor = std::make_shared<Reactor>(context);
    reactor->KeepAlive(reactor);
    grpc::ServerBidiReactor<In, Out>* const raw = reactor.get();
    return {std::shared_ptr<ServerStream>(new ServerStream(std::move(reactor))), raw};
  }
  ~ServerStream() override {
    if (!started_) {
      reactor_->Refuse(Status::Unavailable("the server is stopping"));
      return;
    }
    reactor_->Cancel();
    reactor_->core().AwaitClosed();
  }
  ServerStream(const ServerStream&) = delete;
  ServerStream& operator=(const ServerStream&) = delete;

  // Begins to read. What was sent before is written now.
  void Start(StreamCallbacks<In> callbacks) {
    started_ = true;
    reactor_->Start(std::move(callbacks));
  }

  void Send(Out message) override { reactor_->Send(std::move(message)); }
  std::size_t PendingBytes() const override { return reactor_->core().PendingBytes(); }
  void Close() override { reactor_->Close(); }
  // "ipv4:127.0.0.1:41234"
  const std::string& peer() const { return reactor_->peer(); }

 private:
  explicit ServerStream(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  const std::shared_ptr<Reactor> reactor_;
  bool started_ = false;
};

}  // namespace lts::rpc

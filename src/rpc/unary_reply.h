// The answer to one unary call, as something that can be carried to another thread and given later,
// so that handlers decode, post and return, and never block one of gRPC's two threads.
//
//   grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext*, const v1::SubmitRequest*
//   request,
//                                    v1::SubmitResponse* response) override {
//     auto [reply, reactor] = UnaryReply<v1::SubmitResponse>::Make(response);
//     strand_.Post([this, batch = Decode(*request), reply = reply] { …
//     reply.Send(std::move(answer)); }); return reactor;
//   }
//
// The request belongs to gRPC and goes with the answer: take what is needed out of it in the
// handler.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <mutex>
#include <utility>

#include "lts/status.h"
#include "rpc/grpc_status.h"

namespace lts::rpc {

// Copyable, thread-safe. All copies stand for one answer: the first Send or Fail counts, later ones
// do nothing. When the last copy goes without an answer, or the caller or the server has cancelled
// the call, it is answered UNAVAILABLE here; nobody has to wait for a reply that was forgotten.
template <typename Response>
class UnaryReply {
 public:
  struct Made;
  static Made Make(Response* response) {
    auto reactor = std::make_shared<Reactor>(response);
    reactor->self = reactor;
    grpc::ServerUnaryReactor* const raw = reactor.get();
    return {UnaryReply(std::move(reactor)), raw};
  }

  void Send(Response response) const { owner_->reactor->Answer(&response, grpc::Status::OK); }
  // For what keeps the call from being answered at all; a refusal travels in the response's own
  // code.
  void Fail(const Status& status) const { owner_->reactor->Answer(nullptr, ToGrpc(status)); }
  // Nobody waits for the answer any more.
  bool done() const {
    const std::lock_guard lock(owner_->reactor->mutex);
    return owner_->reactor->answered;
  }

 private:
  // gRPC's side; keeps itself alive until gRPC is done with it, which is never before the answer.
  struct Reactor final : grpc::ServerUnaryReactor {
    explicit Reactor(Response* call_response) : response(call_response) {}

    void Answer(Response* answer, const grpc::Status& status) {
      {
        const std::lock_guard lock(mutex);
        if (answered) return;
        answered = true;
      }
      if (answer != nullptr) *response = std::move(*answer);
      this->Finish(status);
    }
    void OnCancel() override {
      Answer(nullptr, {grpc::StatusCode::UNAVAILABLE, "the call was cancelled"});
    }
    void OnDone() override { const std::shared_ptr<Reactor> last = std::move(self); }

    std::mutex mutex;
    bool answered = false;
    Response* const response;  // gRPC's; valid until the call was finished
    std::shared_ptr<Reactor> self;
  };
  // One for all copies: its end is the end of the last one.
  struct Owner {
    explicit Owner(std::shared_ptr<Reactor> of) : reactor(std::move(of)) {}
    ~Owner() {
      reactor->Answer(nullptr, {grpc::StatusCode::UNAVAILABLE, "the server is stopping"});
    }
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    const std::shared_ptr<Reactor> reactor;
  };

  explicit UnaryReply(std::shared_ptr<Reactor> reactor)
      : owner_(std::make_shared<Owner>(std::move(reactor))) {}

  std::shared_ptr<Owner> owner_;
};

template <typename Response>
struct UnaryReply<Response>::Made {
  UnaryReply reply;
  grpc::ServerUnaryReactor* reactor;  // what the handler returns to gRPC
};

}  // namespace lts::rpc

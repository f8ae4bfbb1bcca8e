// The channel over gRPC: generated stubs with the callback API, so no thread of ours waits for an
// answer.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "common/host_name.h"
#include "lts/v1/client_service.grpc.pb.h"
#include "lts/v1/cluster_service.grpc.pb.h"
#include "lts/v1/feedback_service.grpc.pb.h"
#include "lts/v1/query_service.grpc.pb.h"
#include "lts/v1/worker_service.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"
#include "rpc/limits.h"
#include "rpc/stream_core.h"
#include "rpc/token_metadata.h"

namespace lts::rpc {
namespace {

// The calls and streams of one channel that are under way. A ClientContext holds on to gRPC's
// channel, and gRPC's channel must not come to its end on one of gRPC's own threads (it would wait
// there for itself). So each context is destroyed here, before the channel that waits for it goes
// on.
class Calls {
 public:
  // False when the channel is closing.
  bool Add(grpc::ClientContext* context) {
    const std::lock_guard lock(mutex_);
    if (closing_) return false;
    contexts_.insert(context);
    return true;
  }
  void Remove(std::unique_ptr<grpc::ClientContext> context) {
    const std::lock_guard lock(mutex_);
    contexts_.erase(context.get());
    context.reset();
    if (contexts_.empty()) idle_.notify_all();
  }
  void CancelAndWait() {
    std::unique_lock lock(mutex_);
    closing_ = true;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
    idle_.wait(lock, [this] { return contexts_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  std::unordered_set<grpc::ClientContext*> contexts_;
  bool closing_ = false;
};

// ---- the end of a call

// gRPC's words about a connection that did not come about because of TLS, in ours; "" for all else.
// `tls`: whether it is spoken here.
std::string_view TlsTrouble(std::string_view message, bool tls) {
  const auto says = [message](std::string_view words) {
    return message.find(words) != std::string_view::npos;
  };
  if (says("certificate verify failed")) {
    return "its certificate does not come from the CA of security.tls.ca, or has expired";
  }
  if (says("is not in peer certificate")) {
    return "its certificate is not made out for the host of this address";
  }
  if (says("wrong version number")) {
    return "it does not speak TLS, which security.tls.ca asks for";
  }
  if (tls && says("empty address list")) {
    return "the files of security.tls.ca, security.tls.cert and security.tls.key cannot be used "
           "together";
  }
  if (!says("failed to connect") || !says("Socket closed")) return {};
  return tls ? "it hangs up, perhaps for want of a certificate: security.tls.cert"
             : "it hangs up, perhaps because it speaks TLS: security.tls.ca";
}

// Of gRPC's words about a connection that did not come about, those of the system: "Connection
// refused".
std::string WhyNoConnection(std::string message) {
  for (const std::string_view words :
       {"Failed to connect to remote host: ", "C-ares status is not ARES_SUCCESS "}) {
    const std::size_t at = message.find(words);
    if (at == std::string::npos) continue;
    if (words.front() == 'F') return message.substr(at + words.size());
    return "its host name cannot be resolved: " + message.substr(message.rfind(": ") + 2);
  }
  return message;
}

Status EndOf(const grpc::Status& status, std::string_view what, bool tls) {
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    const std::string_view trouble = TlsTrouble(status.error_message(), tls);
    if (!trouble.empty()) {
      return Status::Unavailable(std::string(trouble) + " (" + status.error_message() + ")")
          .WithContext(what);
    }
    return Status::Unavailable(WhyNoConnection(status.error_message())).WithContext(what);
  }
  return FromGrpc(status, what);
}

// ---- streams

// The gRPC side of a stream. It keeps itself alive until gRPC has told it that the call is over.
// `calls` lives as long as the call.
template <typename Out, typename In>
class ClientStreamReactor final : public grpc::ClientBidiReactor<Out, In> {
 public:
  using Core = StreamCore<Out, In>;
  using Step = typename Core::Step;

  ClientStreamReactor(std::string what, bool tls, Calls* calls,
                      std::unique_ptr<grpc::ClientContext> context, StreamCallbacks<In> callbacks)
      : what_(std::move(what)), tls_(tls), calls_(calls), context_(std::move(context)) {
    core_.SetCallbacks(std::move(callbacks));
  }

  // `bind` hands this reactor to the stub.
  template <typename Bind>
  void Start(std::shared_ptr<ClientStreamReactor> self, const Bind& bind) {
    if (!calls_->Add(context_.get())) {
      Run(core_.Abandon());  // not started, so there is nothing to release
      core_.Closed(Status::Unavailable(what_ + ": the channel is closing"));
      return;
    }
    self_ = std::move(self);
    bind(context_.get(), this);
    this->AddHold();  // for the writes that start outside of gRPC's callbacks; let go at kRelease
    this->StartRead(&incoming_);
    this->StartCall();
    Run(core_.Part(true));
  }

  void Send(Out message) { Run(core_.Push(std::move(message))); }
  void Close() { Run(core_.Close()); }
  void Cancel() {
    const std::lock_guard lock(context_mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }
  Core& core() { return core_; }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Run(core_.Abandon());
      return;
    }
    core_.Deliver(std::exchange(incoming_, In()));
    this->StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override { Run(core_.Part(ok)); }
  void OnWritesDoneDone(bool ok) override { Run(core_.Part(ok)); }
  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<ClientStreamReactor> self = std::move(self_);
    core_.Closed(EndOf(status, what_, tls_));
    std::unique_ptr<grpc::ClientContext> context;
    {
      const std::lock_guard lock(context_mutex_);
      context = std::move(context_);
    }
    calls_->Remove(std::move(context));
  }

 private:
  void Run(Step step) {
    for (;;) {
      switch (step) {
        case Step::kNone: return;
        case Step::kWrite: {
          const auto [message, more] = core_.Front();
          grpc::WriteOptions options;
          if (more)
            options.set_buffer_hint();  // the next one follows at once: one system call for both
          this->StartWrite(message, options);
          break;
        }
        case Step::kEnd: this->StartWritesDone(); break;
        case Step::kRelease: this->RemoveHold(); return;
      }
      step = core_.Part(true);
    }
  }

  const std::string what_;
  const bool tls_;
  Calls* const calls_;
  Core core_;
  std::mutex context_mutex_;
  std::unique_ptr<grpc::ClientContext> context_;
  In incoming_;
  std::shared_ptr<ClientStreamReactor> self_;
};

template <typename Out, typename In>
class ClientStream final : public Stream<Out> {
 public:
  using Reactor = ClientStreamReactor<Out, In>;

  explicit ClientStream(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}
  ~ClientStream() override {
    reactor_->Cancel();
    reactor_->core().AwaitClosed();
  }
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  void Send(Out message) override { reactor_->Send(std::move(message)); }
  std::size_t PendingBytes() const override { return reactor_->core().PendingBytes(); }
  void Close() override { reactor_->Close(); }

 private:
  const std::shared_ptr<Reactor> reactor_;
};

// ---- the channel

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveIntervalMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectBackoffMinMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectBackoffMaxMs);
  // In spite of its name gRPC takes this as how long one attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kReconnectBackoffMaxMs);
  // Whoever calls knows what may be sent again and says so in the message (maybe_sent); gRPC does
  // not.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // The way to a JobTracker never leads through the web proxy of the environment.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // By which the log of a JobTracker names who was denied.
  arguments.SetUserAgentPrefix("lts/" + HostName() + "/" + std::to_string(getpid()));
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  return arguments;
}

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentialsOf(const Credentials& credentials) {
  if (credentials.ca.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = credentials.ca;
  tls.pem_cert_chain = credentials.cert;
  tls.pem_private_key = credentials.key;
  return grpc::SslCredentials(tls);
}

// Owns the connection and what is under way on it. A stream's handle may outlive it, closed.
class GrpcChannel final : public Channel {
 public:
  GrpcChannel(const std::string& address, const Credentials& credentials)
      : address_(address),
        tls_(!credentials.ca.empty()),
        authorization_(credentials.token.empty() ? "" : TokenMetadata(credentials.token)),
        channel_(
            grpc::CreateCustomChannel(address, ChannelCredentialsOf(credentials), Arguments())),
        client_(channel_),
        worker_(channel_),
        query_(channel_),
        cluster_(channel_),
        feedback_(channel_) {}

  ~GrpcChannel() override { calls_.CancelAndWait(); }
  GrpcChannel(const GrpcChannel&) = delete;
  GrpcChannel& operator=(const GrpcChannel&) = delete;

  const std::string& address() const override { return address_; }

  void Submit(const v1::SubmitRequest& request, std::int64_t deadline_ms,
              Done<v1::SubmitResponse> done) override {
    Call("Submit", request, deadline_ms, std::move(done),
         [this](auto... call) { client_.async()->Submit(std::move(call)...); });
  }
  void Operate(const v1::OperateRequest& request, std::int64_t deadline_ms,
               Done<v1::OperateResponse> done) override {
    Call("Operate", request, deadline_ms, std::move(done),
         [this](auto... call) { client_.async()->Operate(std::move(call)...); });
  }
  void Wait(const v1::WaitRequest& request, std::int64_t deadline_ms,
            Done<v1::WaitResponse> done) override {
    Call("Wait", request, deadline_ms, std::move(done),
         [this](auto... call) { client_.async()->Wait(std::move(call)...); });
  }
  void Get(const v1::GetRequest& request, std::int64_t deadline_ms,
           Done<v1::GetResponse> done) override {
    Call("Get", request, deadline_ms, std::move(done),
         [this](auto... call) { query_.async()->Get(std::move(call)...); });
  }
  void List(const v1::ListRequest& request, std::int64_t deadline_ms,
            Done<v1::ListResponse> done) override {
    Call("List", request, deadline_ms, std::move(done),
         [this](auto... call) { query_.async()->List(std::move(call)...); });
  }
  void ListAttempts(const v1::ListAttemptsRequest& request, std::int64_t deadline_ms,
                    Done<v1::ListAttemptsResponse> done) override {
    Call("ListAttempts", request, deadline_ms, std::move(done),
         [this](auto... call) { query_.async()->ListAttempts(std::move(call)...); });
  }
  void Explain(const v1::ExplainRequest& request, std::int64_t deadline_ms,
               Done<v1::ExplainResponse> done) override {
    Call("Explain", request, deadline_ms, std::move(done),
         [this](auto... call) { query_.async()->Explain(std::move(call)...); });
  }
  void Logs(const v1::LogsRequest& request, std::int64_t deadline_ms,
            Done<v1::LogsResponse> done) override {
    Call("Logs", request, deadline_ms, std::move(done),
         [this](auto... call) { query_.async()->Logs(std::move(call)...); });
  }
  void Routes(const v1::RoutesRequest& request, std::int64_t deadline_ms,
              Done<v1::RoutesResponse> done) override {
    Call("Routes", request, deadline_ms, std::move(done),
         [this](auto... call) { cluster_.async()->Routes(std::move(call)...); });
  }
  void Nodes(const v1::NodesRequest& request, std::int64_t deadline_ms,
             Done<v1::NodesResponse> done) override {
    Call("Nodes", request, deadline_ms, std::move(done),
         [this](auto... call) { cluster_.async()->Nodes(std::move(call)...); });
  }
  void Groups(const v1::GroupsRequest& request, std::int64_t deadline_ms,
              Done<v1::GroupsResponse> done) override {
    Call("Groups", request, deadline_ms, std::move(done),
         [this](auto... call) { cluster_.async()->Groups(std::move(call)...); });
  }
  void AppendLogs(const v1::AppendLogsRequest& request, std::int64_t deadline_ms,
                  Done<v1::AppendLogsResponse> done) override {
    Call("AppendLogs", request, deadline_ms, std::move(done),
         [this](auto... call) { worker_.async()->AppendLogs(std::move(call)...); });
  }

  std::unique_ptr<Stream<v1::WorkerMessage>> Work(
      StreamCallbacks<v1::TrackerMessage> callbacks) override {
    return Open<v1::WorkerMessage, v1::TrackerMessage>(
        "Work", std::move(callbacks), [this](auto... call) { worker_.async()->Work(call...); });
  }
  std::unique_ptr<Stream<v1::FeedbackClientMessage>> Feedback(
      StreamCallbacks<v1::FeedbackTrackerMessage> callbacks) override {
    return Open<v1::FeedbackClientMessage, v1::FeedbackTrackerMessage>(
        "Feedback", std::move(callbacks),
        [this](auto... call) { feedback_.async()->Feedback(call...); });
  }

 private:
  template <typename Response>
  struct UnaryCall {
    std::unique_ptr<grpc::ClientContext> context;
    Response response;
    Done<Response> done;
  };

  // `start` calls the stub with (context, request, response, callback).
  template <typename Request, typename Response, typename Start>
  void Call(const char* method, const Request& request, std::int64_t deadline_ms,
            Done<Response> done, const Start& start) {
    auto call = std::make_shared<UnaryCall<Response>>();
    call->context = NewContext();
    call->context->set_deadline(std::chrono::system_clock::now() +
                                std::chrono::milliseconds(deadline_ms));
    call->done = std::move(done);
    if (!calls_.Add(call->context.get())) {  // called from a callback that the destructor waits for
      call->done(Status::Unavailable(What(method) + ": the channel is closing"), Response());
      return;
    }
    // The stub serialises the request before it returns (without client interceptors, of which
    // there are none here), so the caller may let go of it then. RequestMayBeDestroyedAtOnce in the
    // tests watches over it.
    start(call->context.get(), &request, &call->response,
          [this, method, call](const grpc::Status& status) {
            call->done(FromGrpcOf(method, status), std::move(call->response));
            call->done = nullptr;  // what it holds must not outlive the channel
            calls_.Remove(std::move(call->context));
          });
  }

  template <typename Out, typename In, typename Bind>
  std::unique_ptr<Stream<Out>> Open(const char* method, StreamCallbacks<In> callbacks,
                                    const Bind& bind) {
    auto reactor = std::make_shared<ClientStreamReactor<Out, In>>(
        What(method), tls_, &calls_, NewContext(), std::move(callbacks));
    reactor->Start(reactor, bind);
    return std::make_unique<ClientStream<Out, In>>(std::move(reactor));
  }

  // gRPC's own credentials of a call want TLS below them, so the token goes as what it is on the
  // wire.
  std::unique_ptr<grpc::ClientContext> NewContext() const {
    auto context = std::make_unique<grpc::ClientContext>();
    if (!authorization_.empty()) context->AddMetadata(kTokenMetadataKey, authorization_);
    return context;
  }
  std::string What(const char* method) const { return std::string(method) + " at " + address_; }
  Status FromGrpcOf(const char* method, const grpc::Status& status) const {
    if (status.ok()) return Status::Ok();
    return EndOf(status, What(method), tls_);
  }

  const std::string address_;
  const bool tls_;
  const std::string authorization_;  // empty: no token
  const std::shared_ptr<grpc::Channel> channel_;
  v1::ClientService::Stub client_;
  v1::WorkerService::Stub worker_;
  v1::QueryService::Stub query_;
  v1::ClusterService::Stub cluster_;
  v1::FeedbackService::Stub feedback_;

  Calls calls_;
};

}  // namespace

std::unique_ptr<Channel> MakeGrpcChannel(const std::string& address) {
  return std::make_unique<GrpcChannel>(address, Credentials());
}

ChannelFactory GrpcChannels(Credentials credentials) {
  return [credentials = std::move(credentials)](const std::string& address) {
    return std::make_unique<GrpcChannel>(address, credentials);
  };
}

}  // namespace lts::rpc

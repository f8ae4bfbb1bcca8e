// The channel against real in-process servers over loopback.
#include "rpc/channel.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/strand.h"
#include "lts/v1/client_service.grpc.pb.h"
#include "lts/v1/worker_service.grpc.pb.h"
#include "rpc/server.h"
#include "rpc/server_stream.h"
#include "rpc/unary_reply.h"

namespace lts::rpc {
namespace {

constexpr std::int64_t kPatienceMs = 60'000;  // a deadline that no passing test reaches

using WorkStream = ServerStream<v1::TrackerMessage, v1::WorkerMessage>;

// Collects what callbacks tell and lets the test's thread wait for it.
template <typename In>
class Inbox {
 public:
  // For the callbacks of one stream; the inbox must outlive it.
  StreamCallbacks<In> Callbacks() {
    return {[this](In message) {
              const std::lock_guard lock(mutex_);
              EXPECT_FALSE(closed_) << "a message after on_closed";
              messages_.push_back(std::move(message));
              changed_.notify_all();
            },
            [this](Status status) {
              const std::lock_guard lock(mutex_);
              EXPECT_FALSE(closed_) << "on_closed twice";
              closed_ = std::move(status);
              changed_.notify_all();
            }};
  }
  void AwaitMessages(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return messages_.size() >= count || closed_; });
    ASSERT_GE(messages_.size(), count) << (closed_ ? closed_->ToString() : "");
  }
  Status AwaitClosed() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_.has_value(); });
    return *closed_;
  }
  bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_.has_value();
  }
  std::vector<In> messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<In> messages_;
  std::optional<Status> closed_;
};

class ClientService final : public v1::ClientService::CallbackService {
 public:
  std::function<void(UnaryReply<v1::SubmitResponse>, const v1::SubmitRequest&)> on_submit;
  std::function<void(UnaryReply<v1::WaitResponse>)> on_wait;

  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext*, const v1::SubmitRequest* request,
                                   v1::SubmitResponse* response) override {
    auto [reply, reactor] = UnaryReply<v1::SubmitResponse>::Make(response);
    if (on_submit) {
      on_submit(reply, *request);
    } else {
      v1::SubmitResponse answer;
      for (const v1::SubmitItem& item : request->items()) {
        answer.add_answers()->set_job_id(item.job().job_id());
      }
      reply.Send(std::move(answer));
    }
    return reactor;
  }
  grpc::ServerUnaryReactor* Wait(grpc::CallbackServerContext*, const v1::WaitRequest*,
                                 v1::WaitResponse* response) override {
    auto [reply, reactor] = UnaryReply<v1::WaitResponse>::Make(response);
    if (on_wait) on_wait(reply);
    return reactor;
  }
};

class WorkerService final : public v1::WorkerService::CallbackService {
 public:
  std::function<void(std::shared_ptr<WorkStream>)> on_stream;

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::TrackerMessage>* Work(
      grpc::CallbackServerContext* context) override {
    auto accepted = WorkStream::Accept(context);
    on_stream(std::move(accepted.stream));
    return accepted.reactor;
  }
};

std::unique_ptr<Server> StartServer(const std::vector<grpc::Service*>& services,
                                    const std::string& listen = "127.0.0.1:0") {
  auto server = Server::Start({listen}, services);
  EXPECT_TRUE(server.ok()) << server.status().ToString();
  return server.ok() ? std::move(server).value() : nullptr;
}

// A listening socket that answers nobody, so that a call can only end by its deadline.
class SilentListener {
 public:
  SilentListener() {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~SilentListener() { close(fd_); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int fd_ = -1;
  int port_ = 0;
};

struct SubmitEnd {
  Status status;
  v1::SubmitResponse response;
};

std::future<SubmitEnd> SubmitAsync(Channel& channel, const v1::SubmitRequest& request,
                                   std::int64_t deadline_ms = kPatienceMs) {
  auto done = std::make_shared<std::promise<SubmitEnd>>();
  channel.Submit(request, deadline_ms, [done](Status status, v1::SubmitResponse response) {
    done->set_value({std::move(status), std::move(response)});
  });
  return done->get_future();
}

SubmitEnd Submit(Channel& channel, const v1::SubmitRequest& request,
                 std::int64_t deadline_ms = kPatienceMs) {
  return SubmitAsync(channel, request, deadline_ms).get();
}

v1::SubmitRequest RequestOf(const std::string& job_id) {
  v1::SubmitRequest request;
  request.add_items()->mutable_job()->set_job_id(job_id);
  return request;
}

v1::WorkerMessage Numbered(std::uint64_t number) {
  v1::WorkerMessage message;
  message.set_heartbeat(number);
  return message;
}
v1::TrackerMessage Answer(std::uint64_t number) {
  v1::TrackerMessage message;
  message.set_heartbeat(number);
  return message;
}

// ---- unary

TEST(Channel, AUnaryCallIsAnswered) {
  ClientService service;
  const auto server = StartServer({&service});
  const auto channel = MakeGrpcChannel(server->address());
  EXPECT_EQ(channel->address(), server->address());
  const SubmitEnd end = Submit(*channel, RequestOf("a"));
  ASSERT_TRUE(end.status.ok()) << end.status.ToString();
  ASSERT_EQ(end.response.answers_size(), 1);
  EXPECT_EQ(end.response.answers(0).job_id(), "a");
}

TEST(Channel, RequestMayBeDestroyedAtOnce) {
  ClientService service;
  const auto server = StartServer({&service});
  const auto channel = MakeGrpcChannel(server->address());
  std::vector<std::future<SubmitEnd>> ends;
  for (int i = 0; i < 100; ++i) {
    auto request =
        std::make_unique<v1::SubmitRequest>(RequestOf(std::string(5000, 'a') + std::to_string(i)));
    ends.push_back(SubmitAsync(*channel, *request));
    request->mutable_items(0)->mutable_job()->mutable_job_id()->assign(5000, 'z');
  }
  for (int i = 0; i < 100; ++i) {
    const SubmitEnd end = ends[static_cast<std::size_t>(i)].get();
    ASSERT_TRUE(end.status.ok()) << end.status.ToString();
    EXPECT_EQ(end.response.answers(0).job_id(), std::string(5000, 'a') + std::to_string(i));
  }
}

TEST(Channel, AnAnswerMayComeLaterFromAnotherThread) {
  ClientService service;
  ThreadStrand strand("answers");
  service.on_submit = [&](UnaryReply<v1::SubmitResponse> reply, const v1::SubmitRequest& request) {
    strand.Post([reply, id = request.items(0).job().job_id()] {
      v1::SubmitResponse response;
      response.add_answers()->set_job_id(id);
      reply.Send(std::move(response));
      reply.Fail(Status::Internal("a second answer counts for nothing"));
    });
  };
  const auto server = StartServer({&service});
  const auto channel = MakeGrpcChannel(server->address());
  const SubmitEnd end = Submit(*channel, RequestOf("a"));
  ASSERT_TRUE(end.status.ok()) << end.status.ToString();
  EXPECT_EQ(end.response.answers(0).job_id(), "a");
}

TEST(Channel, ADroppedReplyIsUnavailable) {
  ClientService service;
  service.on_submit = [](const UnaryReply<v1::SubmitResponse>&, const v1::SubmitRequest&) {};
  const auto server = StartServer({&service});
  const auto channel = MakeGrpcChannel(server->address());
  const SubmitEnd end = Submit(*channel, RequestOf("a"));
  EXPECT_EQ(end.status.code(), StatusCode::kUnavailable);
  EXPECT_NE(end.status.message().find("the server is stopping"), std::string::npos)
      << end.status.message();
}

TEST(Channel, AFailedReplyKeepsItsCodeAndMessage) {
  ClientService service;
  service.on_submit = [](const UnaryReply<v1::SubmitResponse>& reply, const v1::SubmitRequest&) {
    reply.Fail(Status::PermissionDenied("not with this token"));
  };
  const auto server = StartServer({&service});
  const auto channel = MakeGrpcChannel(server->address());
  const SubmitEnd end = Submit(*channel, RequestOf("a"));
  EXPECT_EQ(end.status.code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(end.status.message(), "Submit at " + server->address() + ": not with this token");
}

TEST(Channel, AServiceThatIsNotThereIsAnInternalError) {
  v1::WorkerService::CallbackService other;
  const auto server = StartServer({&other});
  const auto channel = MakeGrpcChannel(server->address());
  EXPECT_EQ(Submit(*channel, RequestOf("a")).status.code(), StatusCode::kInternal);
}

TEST(Channel, ACallNobodyAnswersEndsAtItsDeadline) {
  ClientService service;
  std::optional<UnaryReply<v1::WaitResponse>> held;
  service.on_wait = [&](UnaryReply<v1::WaitResponse> reply) { held = std::move(reply); };
  const auto server = StartServer({&service});
  const auto channel = MakeGrpcChannel(server->address());
  std::promise<Status> ended;
  channel->Wait(
      {}, 50, [&](Status status, const v1::WaitResponse&) { ended.set_value(std::move(status)); });
  EXPECT_EQ(ended.get_future().get().code(), StatusCode::kDeadlineExceeded);
}

TEST(Channel, AListenerThatSaysNothingEndsAtTheDeadline) {
  const SilentListener listener;
  const auto channel = MakeGrpcChannel(listener.address());
  const Status status = Submit(*channel, RequestOf("a"), 50).status;
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded) << status.ToString();
}

TEST(Channel, WhereNobodyListensACallIsUnavailableAtOnce) {
  ClientService service;
  auto server = StartServer({&service});
  const std::string address = server->address();
  server.reset();
  const auto channel = MakeGrpcChannel(address);
  const Status status = Submit(*channel, RequestOf("a")).status;
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "Submit at " + address + ": Connection refused");
}

TEST(Channel, AHostThatNobodyKnowsIsNamed) {
  const auto channel = MakeGrpcChannel("nowhere.invalid:1");
  const Status status = Submit(*channel, RequestOf("a")).status;
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(
      status.message().rfind("Submit at nowhere.invalid:1: its host name cannot be resolved", 0),
      0U)
      << status.message();
}

TEST(Channel, AMessageOverTheLimitIsRefusedAndTheChannelGoesOn) {
  ClientService service;
  const auto server = StartServer({&service});
  const auto channel = MakeGrpcChannel(server->address());
  EXPECT_EQ(Submit(*channel, RequestOf(std::string(17U << 20, 'a'))).status.code(),
            StatusCode::kInternal);
  EXPECT_TRUE(Submit(*channel, RequestOf(std::string(15U << 20, 'a'))).status.ok());
}

TEST(Channel, AServerRestartedOnItsPortIsFoundAgain) {
  ClientService service;
  auto server = StartServer({&service});
  const std::string address = server->address();
  const auto channel = MakeGrpcChannel(address);
  ASSERT_TRUE(Submit(*channel, RequestOf("a")).status.ok());
  server->Stop(0);
  EXPECT_EQ(Submit(*channel, RequestOf("b")).status.code(), StatusCode::kUnavailable);
  server = StartServer({&service}, address);
  ASSERT_NE(server, nullptr);
  Status status;
  do {  // within the reconnect backoff calls are refused at once
    status = Submit(*channel, RequestOf("c")).status;
  } while (status.code() == StatusCode::kUnavailable);
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(Channel, ItsDestructorCancelsCallsAndWaitsForTheirCallbacks) {
  ClientService service;
  std::promise<void> arrived;
  std::optional<UnaryReply<v1::WaitResponse>> held;
  service.on_wait = [&](UnaryReply<v1::WaitResponse> reply) {
    held = std::move(reply);
    arrived.set_value();
  };
  const auto server = StartServer({&service});
  auto channel = MakeGrpcChannel(server->address());
  std::optional<Status> ended;
  channel->Wait({}, kPatienceMs,
                [&](Status status, const v1::WaitResponse&) { ended = std::move(status); });
  arrived.get_future().wait();
  channel.reset();
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code(), StatusCode::kUnavailable);
}

TEST(Channel, MayBeDestroyedAsSoonAsTheLastCallbackHasRun) {
  ClientService service;
  auto server = StartServer({&service});
  const std::string address = server->address();
  server.reset();
  // No server in this process: each channel takes gRPC's callback threads to their end with it.
  for (int i = 0; i < 500; ++i) {
    const auto channel = MakeGrpcChannel(address);
    EXPECT_EQ(Submit(*channel, RequestOf("a")).status.code(), StatusCode::kUnavailable);
  }
  for (int i = 0; i < 500; ++i) {
    Inbox<v1::TrackerMessage> inbox;
    const auto channel = MakeGrpcChannel(address);
    const auto stream = channel->Work(inbox.Callbacks());
    EXPECT_EQ(inbox.AwaitClosed().code(), StatusCode::kUnavailable);
  }
}

TEST(Channel, ACallMadeFromACallbackWhileTheDestructorWaitsIsUnavailable) {
  ClientService service;
  std::promise<void> arrived;
  std::optional<UnaryReply<v1::WaitResponse>> held;
  service.on_wait = [&](UnaryReply<v1::WaitResponse> reply) {
    held = std::move(reply);
    arrived.set_value();
  };
  const auto server = StartServer({&service});
  auto channel = MakeGrpcChannel(server->address());
  std::optional<Status> second;
  channel->Wait({}, kPatienceMs, [&, raw = channel.get()](const Status&, const v1::WaitResponse&) {
    raw->Wait({}, kPatienceMs,
              [&](Status status, const v1::WaitResponse&) { second = std::move(status); });
  });
  arrived.get_future().wait();
  channel.reset();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->code(), StatusCode::kUnavailable);
}

// ---- streams

// A worker service that hands its streams to the test, unstarted.
class StreamTest : public testing::Test {
 protected:
  StreamTest() {
    service_.on_stream = [this](std::shared_ptr<WorkStream> stream) {
      const std::lock_guard lock(mutex_);
      accepted_ = std::move(stream);
      changed_.notify_all();
    };
    server_ = StartServer({&service_});
    channel_ = MakeGrpcChannel(server_->address());
  }
  std::shared_ptr<WorkStream> Accepted() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return accepted_ != nullptr; });
    return std::exchange(accepted_, nullptr);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<WorkStream> accepted_;
  WorkerService service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
  // Outlive the streams of the tests.
  Inbox<v1::TrackerMessage> at_client_;
  Inbox<v1::WorkerMessage> at_server_;
};

TEST_F(StreamTest, MessagesArriveInOrderBothWays) {
  constexpr std::uint64_t kCount = 10'000;
  const auto client = channel_->Work(at_client_.Callbacks());
  const auto server = Accepted();
  server->Start(at_server_.Callbacks());
  std::thread up([&] {
    for (std::uint64_t i = 1; i <= kCount; ++i) client->Send(Numbered(i));
  });
  std::thread down([&] {
    for (std::uint64_t i = 1; i <= kCount; ++i) server->Send(Answer(i));
  });
  up.join();
  down.join();
  at_server_.AwaitMessages(kCount);
  at_client_.AwaitMessages(kCount);
  const auto received = at_server_.messages();
  const auto answered = at_client_.messages();
  for (std::uint64_t i = 1; i <= kCount; ++i) {
    ASSERT_EQ(received[i - 1].heartbeat(), i);
    ASSERT_EQ(answered[i - 1].heartbeat(), i);
  }
}

TEST_F(StreamTest, TheServersEndTellsWhoIsThere) {
  const auto client = channel_->Work(at_client_.Callbacks());
  const auto server = Accepted();
  EXPECT_NE(server->peer().find("127.0.0.1"), std::string::npos) << server->peer();
}

TEST_F(StreamTest, WhatWasSentBeforeTheClientClosesIsStillWritten) {
  const auto client = channel_->Work(at_client_.Callbacks());
  for (std::uint64_t i = 1; i <= 1000; ++i) client->Send(Numbered(i));
  client->Close();
  client->Send(Numbered(1001));
  const auto server = Accepted();
  server->Send(Answer(1));
  server->Start(at_server_.Callbacks());
  EXPECT_TRUE(at_server_.AwaitClosed().ok());
  EXPECT_TRUE(at_client_.AwaitClosed().ok());
  EXPECT_EQ(at_server_.messages().size(), 1000U) << "what is sent after Close goes nowhere";
  EXPECT_EQ(at_client_.messages().size(), 1U);
}

TEST_F(StreamTest, WhatWasSentBeforeTheServerClosesIsStillWritten) {
  const auto client = channel_->Work(at_client_.Callbacks());
  const auto server = Accepted();
  server->Start(at_server_.Callbacks());
  for (std::uint64_t i = 1; i <= 1000; ++i) server->Send(Answer(i));
  server->Close();
  server->Send(Answer(1001));
  EXPECT_TRUE(at_client_.AwaitClosed().ok());
  EXPECT_TRUE(at_server_.AwaitClosed().ok());
  EXPECT_EQ(at_client_.messages().size(), 1000U);
  client->Send(Numbered(1));  // on a stream that is over: nothing
  EXPECT_EQ(client->PendingBytes(), 0U);
}

TEST_F(StreamTest, BothMayCloseAtOnceAndTwice) {
  const auto client = channel_->Work(at_client_.Callbacks());
  const auto server = Accepted();
  server->Start(at_server_.Callbacks());
  std::thread other([&] { client->Close(); });
  server->Close();
  server->Close();
  other.join();
  client->Close();
  EXPECT_TRUE(at_client_.AwaitClosed().ok());
  (void)at_server_.AwaitClosed();  // orderly or cut off: it depends on whose end came first
}

TEST_F(StreamTest, PendingBytesTellWhatThePeerDoesNotRead) {
  const auto client = channel_->Work(at_client_.Callbacks());
  const auto server = Accepted();  // and not started: nobody reads
  EXPECT_EQ(client->PendingBytes(), 0U);
  v1::WorkerMessage message;
  message.mutable_hello()->set_identity(std::string(1 << 20, 'x'));
  for (int i = 0; i < 20; ++i) client->Send(message);
  EXPECT_GT(client->PendingBytes(), 10U << 20);  // windows of HTTP/2 and sockets hold a few
  server->Start(at_server_.Callbacks());
  at_server_.AwaitMessages(20);
  client->Close();
  EXPECT_TRUE(at_client_.AwaitClosed().ok());
  EXPECT_EQ(client->PendingBytes(), 0U);
}

TEST_F(StreamTest, AStreamToNobodyIsClosedAsUnavailable) {
  server_->Stop(0);
  const auto client = channel_->Work(at_client_.Callbacks());
  client->Send(Numbered(1));
  const Status status = at_client_.AwaitClosed();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(status.message().find(channel_->address()), std::string::npos) << status.message();
}

TEST_F(StreamTest, AStreamThatTheServiceDropsIsRefused) {
  service_.on_stream = [](const std::shared_ptr<WorkStream>&) {};
  const auto client = channel_->Work(at_client_.Callbacks());
  EXPECT_EQ(at_client_.AwaitClosed().code(), StatusCode::kUnavailable);
}

TEST_F(StreamTest, StartingAStreamWhoseClientHasGoneTellsItsEnd) {
  auto client = channel_->Work(at_client_.Callbacks());
  const auto server = Accepted();
  client.reset();
  server->Start(at_server_.Callbacks());
  EXPECT_EQ(at_server_.AwaitClosed().code(), StatusCode::kUnavailable);
}

TEST_F(StreamTest, StoppingTheServerBreaksOpenStreamsOff) {
  const auto client = channel_->Work(at_client_.Callbacks());
  const auto server = Accepted();
  server->Start(at_server_.Callbacks());
  client->Send(Numbered(1));
  at_server_.AwaitMessages(1);
  server_->Stop(0);
  EXPECT_TRUE(at_server_.closed()) << "no callback of a stream runs after Stop";
  EXPECT_EQ(at_client_.AwaitClosed().code(), StatusCode::kUnavailable);
}

// Both ends answer each message with two until one of them is destroyed, so that callbacks and
// writes are under way at that moment.
class Flow {
 public:
  void Run(Channel& channel, const std::function<std::shared_ptr<WorkStream>()>& accept,
           bool destroy_client) {
    auto client = channel.Work({[this](const v1::TrackerMessage&) { ++client_messages_; },
                                [this](const Status&) { ++client_closed_; }});
    auto server = accept();
    server->Start({[this](const v1::WorkerMessage&) {
                     ++server_messages_;
                     server_messages_.notify_all();
                   },
                   [this](const Status&) { ++server_closed_; }});
    std::atomic<bool> stop = false;
    std::mutex mutex;  // the handles themselves are not to be used while they are destroyed
    std::thread sender([&] {
      while (!stop) {
        const std::lock_guard lock(mutex);
        if (client != nullptr && client->PendingBytes() < 10'000) client->Send(Numbered(1));
        if (server != nullptr && server->PendingBytes() < 10'000) server->Send(Answer(1));
      }
    });
    server_messages_.wait(0);
    {
      const std::lock_guard lock(mutex);
      if (destroy_client) {
        client.reset();
        EXPECT_EQ(client_closed_, 1);
      } else {
        server.reset();
        EXPECT_EQ(server_closed_, 1);
      }
    }
    const int after = destroy_client ? client_messages_.load() : server_messages_.load();
    stop = true;
    sender.join();
    client.reset();
    server.reset();
    EXPECT_EQ(destroy_client ? client_messages_.load() : server_messages_.load(), after);
    EXPECT_EQ(client_closed_, 1);
    EXPECT_EQ(server_closed_, 1);
  }

 private:
  std::atomic<int> client_messages_ = 0;
  std::atomic<int> server_messages_ = 0;
  std::atomic<int> client_closed_ = 0;
  std::atomic<int> server_closed_ = 0;
};

TEST_F(StreamTest, AfterTheDestructorNoCallbackRunsWhileMessagesFlow) {
  for (int i = 0; i < 100; ++i) {
    Flow().Run(
        *channel_, [this] { return Accepted(); }, i % 2 == 0);
  }
}

TEST_F(StreamTest, AStreamMayBeDestroyedInItsOwnCallback) {
  std::shared_ptr<Stream<v1::WorkerMessage>> client;
  std::promise<void> ready;
  std::promise<void> gone;
  client = channel_->Work({[&](const v1::TrackerMessage&) {
                             ready.get_future().wait();  // only here: until `client` is set
                             client.reset();
                             gone.set_value();
                           },
                           [](const Status&) { FAIL() << "told although it was destroyed"; }});
  ready.set_value();
  const auto server = Accepted();
  server->Start(at_server_.Callbacks());
  server->Send(Answer(1));
  gone.get_future().wait();
  EXPECT_EQ(at_server_.AwaitClosed().code(), StatusCode::kUnavailable);
}

TEST_F(StreamTest, TheChannelsDestructorClosesItsStreams) {
  const auto client = channel_->Work(at_client_.Callbacks());
  const auto server = Accepted();
  server->Start(at_server_.Callbacks());
  channel_.reset();
  EXPECT_TRUE(at_client_.closed()) << "no callback of a stream runs afterwards";
  client->Send(Numbered(7));
  EXPECT_EQ(client->PendingBytes(), 0U);
  EXPECT_EQ(at_server_.AwaitClosed().code(), StatusCode::kUnavailable);
}

TEST_F(StreamTest, CallbacksAreDestroyedWithTheStreamsEnd) {
  auto held = std::make_shared<int>(0);
  const auto client =
      channel_->Work({[held](const v1::TrackerMessage&) {}, [held](const Status&) {}});
  const auto server = Accepted();
  server->Start(at_server_.Callbacks());
  server->Close();
  (void)at_server_.AwaitClosed();
  const std::weak_ptr<int> watched = held;
  held.reset();
  while (!watched.expired()) std::this_thread::yield();
}

}  // namespace
}  // namespace lts::rpc

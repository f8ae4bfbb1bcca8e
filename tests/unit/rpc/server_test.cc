#include "rpc/server.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <thread>

#include "lts/v1/client_service.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/unary_reply.h"

namespace lts::rpc {
namespace {

// What a server needs at least; all calls are unimplemented.
class ServerTest : public testing::Test {
 protected:
  v1::ClientService::CallbackService service_;
};

TEST_F(ServerTest, PortZeroTakesAFreeOneAndTellsIt) {
  auto server = Server::Start({"127.0.0.1:0"}, {&service_});
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  EXPECT_GT((*server)->port(), 0);
  EXPECT_EQ((*server)->address(), "127.0.0.1:" + std::to_string((*server)->port()));
}

TEST_F(ServerTest, LocalhostIsTheAddressThatAllClientsMean) {
  auto server = Server::Start({"localhost:0"}, {&service_});
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  EXPECT_EQ((*server)->address(), "127.0.0.1:" + std::to_string((*server)->port()));
}

TEST_F(ServerTest, ASecondOneOnTheSameAddressFailsAndNamesIt) {
  auto first = Server::Start({"127.0.0.1:0"}, {&service_});
  ASSERT_TRUE(first.ok());
  auto second = Server::Start({(*first)->address()}, {&service_});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(second.status().message(),
            "cannot listen on " + (*first)->address() + ": Address already in use");
}

TEST_F(ServerTest, AnAddressIsFreeAgainAfterStop) {
  auto first = Server::Start({"127.0.0.1:0"}, {&service_});
  ASSERT_TRUE(first.ok());
  (*first)->Stop(0);
  (*first)->Stop(0);
  auto second = Server::Start({(*first)->address()}, {&service_});
  EXPECT_TRUE(second.ok()) << second.status().ToString();
}

TEST_F(ServerTest, ListeningElsewhereIsRefusedWithTheLinesThatItNeeds) {
  for (const char* const listen : {"0.0.0.0:0", "[::]:0", "192.0.2.1:35001", "128.0.0.1:0"}) {
    const auto server = Server::Start({listen}, {&service_});
    ASSERT_FALSE(server.ok()) << listen;
    EXPECT_EQ(server.status().code(), StatusCode::kInvalidArgument) << listen;
    EXPECT_NE(server.status().message().find("security.token_file="), std::string::npos);
    EXPECT_NE(server.status().message().find("security.insecure=true"), std::string::npos);
  }
}

TEST_F(ServerTest, AServerWithoutServicesIsRefused) {
  EXPECT_EQ(Server::Start({"127.0.0.1:0"}, {}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(ServerTest, WhatIsNoAddressIsRefused) {
  for (const char* const listen :
       {"", ":", ":35001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
        "example.org:35001", "127.0.0.1:-1", "[::1:0", "[]:0", "[x]:0"}) {
    const auto server = Server::Start({listen}, {&service_});
    ASSERT_FALSE(server.ok()) << listen;
    EXPECT_EQ(server.status().code(), StatusCode::kInvalidArgument)
        << listen << server.status().ToString();
  }
}

// Holds every Wait until the test answers or drops it.
class HoldingService final : public v1::ClientService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Wait(grpc::CallbackServerContext*, const v1::WaitRequest*,
                                 v1::WaitResponse* response) override {
    auto [reply, reactor] = UnaryReply<v1::WaitResponse>::Make(response);
    held = std::move(reply);
    arrived.set_value();
    return reactor;
  }
  std::optional<UnaryReply<v1::WaitResponse>> held;
  std::promise<void> arrived;
};

struct Held {
  HoldingService service;
  std::unique_ptr<Server> server;
  std::unique_ptr<Channel> channel;
  std::promise<Status> ended;

  void Call() {
    auto started = Server::Start({"127.0.0.1:0"}, {&service});
    ASSERT_TRUE(started.ok());
    server = std::move(started).value();
    channel = MakeGrpcChannel(server->address());
    channel->Wait({}, 60'000, [this](Status status, const v1::WaitResponse&) {
      ended.set_value(std::move(status));
    });
    service.arrived.get_future().wait();
  }
};

TEST_F(ServerTest, StopLetsACallUnderWayEnd) {
  Held held;
  held.Call();
  std::thread stopper([&] { held.server->Stop(60'000); });
  held.service.held->Send({});
  EXPECT_TRUE(held.ended.get_future().get().ok());
  stopper.join();
}

TEST_F(ServerTest, StopCancelsWhatDoesNotEndInTime) {
  Held held;
  held.Call();
  EXPECT_FALSE(held.service.held->done());
  held.server->Stop(1);  // returns although the service holds the reply for ever
  EXPECT_EQ(held.ended.get_future().get().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(held.service.held->done());
  held.service.held->Send({});  // too late; goes nowhere
  held.service.held.reset();
}

TEST_F(ServerTest, AReplyKnowsThatItsCallerHasGone) {
  Held held;
  held.Call();
  held.channel.reset();
  EXPECT_EQ(held.ended.get_future().get().code(), StatusCode::kUnavailable);
  while (!held.service.held->done())
    std::this_thread::yield();  // until the news has crossed the wire
}

}  // namespace
}  // namespace lts::rpc

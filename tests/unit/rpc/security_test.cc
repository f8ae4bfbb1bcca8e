// The token and TLS: their rules, and real servers and channels over them.
#include "rpc/security.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "lts/v1/client_service.grpc.pb.h"
#include "lts/v1/cluster.pb.h"
#include "lts/v1/feedback_service.grpc.pb.h"
#include "lts/v1/worker_service.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/server.h"
#include "rpc/server_stream.h"
#include "rpc/unary_reply.h"
#include "support/certificates.h"
#include "support/temp_folder.h"

namespace lts::rpc {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kPatienceMs = 60'000;  // a deadline that no passing test reaches
constexpr char kToken[] = "0123456789abcdef-the-token";
constexpr char kOtherToken[] = "0123456789abcdef-no-token!";

MATCHER(Succeeds, "") {
  *result_listener << arg.ToString();
  return arg.ok();
}

const lts::testing::Certificates& Files() {
  static const lts::testing::Certificates files;
  return files;
}

Credentials Loaded(const SecuritySettings& settings, Side side) {
  auto loaded = LoadCredentials(settings, side);
  EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
  return loaded.ok() ? *std::move(loaded) : Credentials();
}

// ---- the rules

TEST(LoadCredentials, ATokenIsLongAndPrintable) {
  const auto check = [](const std::string& token) {
    return LoadCredentials({token, "", "", ""}, Side::kClient).status();
  };
  for (const std::string& good :
       {std::string(), std::string(16, 'x'), std::string(1024, '~'), std::string(kToken)}) {
    EXPECT_TRUE(check(good).ok()) << good;
  }
  for (const std::string& bad :
       {std::string("fifteen-letters"), std::string(1025, 'x'), std::string("with a blank in it"),
        std::string("with-a-control\tone"), std::string("with-an-umlaut-\xc3\xa4\xc3\xa4")}) {
    EXPECT_EQ(check(bad).code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(check(bad).message(), HasSubstr("security.token_file"));
    EXPECT_THAT(check(bad).message(), Not(HasSubstr(bad)));
  }
}

TEST(LoadCredentials, FilesThatDoNotBelongTogetherAreRefused) {
  const auto refused = [](const SecuritySettings& settings, Side side, const std::string& names) {
    const Status status = LoadCredentials(settings, side).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << names;
    EXPECT_THAT(status.message(), HasSubstr(names));
  };
  const std::string ca = Files().Cert("ca");
  const std::string cert = Files().Cert("server");
  const std::string key = Files().PrivateKey("server");
  refused({"", ca, cert, ""}, Side::kServer, "security.tls.cert is set without security.tls.key");
  refused({"", ca, "", key}, Side::kClient, "security.tls.key is set without security.tls.cert");
  refused({"", ca, "", ""}, Side::kServer, "security.tls.ca is set without security.tls.cert");
  refused({"", "", cert, key}, Side::kClient, "security.tls.cert is set without security.tls.ca");
  refused({"", "/nowhere/ca.pem", "", ""}, Side::kClient, "security.tls.ca=/nowhere/ca.pem: ");
  refused({"", key, "", ""}, Side::kClient, "not a PEM file with a CERTIFICATE");
  refused({"", "", cert, cert}, Side::kServer, "not a PEM file with a PRIVATE KEY");
}

TEST(SameToken, NothingButTheTokenIsTheToken) {
  EXPECT_TRUE(SameToken("abc", "abc"));
  for (const char* other : {"", "ab", "abcd", "abcabc", "abd", "xbc"}) {
    EXPECT_FALSE(SameToken("abc", other)) << other;
  }
  EXPECT_TRUE(SameToken("", ""));
  EXPECT_FALSE(SameToken("", "a"));
}

TEST(CheckServerOptions, OtherHostsTakeATokenAndTlsOrAWord) {
  ServerOptions options;
  options.listen = "0.0.0.0:35001";
  const auto message = [&options] { return CheckServerOptions(options).message(); };
  EXPECT_EQ(CheckServerOptions(options).code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(message(), HasSubstr("\n  security.token_file=lts.token\n"));
  EXPECT_THAT(message(), HasSubstr("\n  security.tls.cert="));
  EXPECT_THAT(message(), HasSubstr("\n  security.tls.key="));
  EXPECT_THAT(message(), HasSubstr("\n  security.insecure=true\n"));
  options.insecure = true;
  EXPECT_THAT(message(), HasSubstr("\n  security.token_file=lts.token\n"));
  EXPECT_THAT(message(), Not(HasSubstr("security.insecure")));
  options.credentials.token = kToken;
  EXPECT_TRUE(CheckServerOptions(options).ok());
  options.insecure = false;
  EXPECT_THAT(message(), Not(HasSubstr("security.token")));
  EXPECT_THAT(message(), HasSubstr("\n  security.insecure=true\n"));
  options.credentials.cert = "a certificate";
  EXPECT_TRUE(CheckServerOptions(options).ok());
  options.credentials.token.clear();
  EXPECT_THAT(message(), HasSubstr("\n  security.token_file=lts.token\n"));
  for (const char* const loopback : {"127.0.0.1:0", "127.0.0.2:0", "localhost:0", "[::1]:0"}) {
    EXPECT_TRUE(CheckServerOptions({loopback}).ok()) << loopback;
  }
}

// ---- over the wire

// Counts what reaches its handlers.
class EchoClients final : public v1::ClientService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context, const v1::SubmitRequest*,
                                   v1::SubmitResponse* response) override {
    ++reached;
    token_seen = context->client_metadata().count("authorization") != 0;
    auto [reply, reactor] = UnaryReply<v1::SubmitResponse>::Make(response);
    reply.Send({});
    return reactor;
  }
  std::atomic<int> reached{0};
  std::atomic<bool> token_seen{false};
};

class EchoWorkers final : public v1::WorkerService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::WorkerMessage, v1::TrackerMessage>* Work(
      grpc::CallbackServerContext* context) override {
    ++reached;
    auto accepted = ServerStream<v1::TrackerMessage, v1::WorkerMessage>::Accept(context);
    streams.push_back(accepted.stream);
    accepted.stream->Start(
        {[stream = accepted.stream.get()](const v1::WorkerMessage&) { stream->Close(); },
         [](const Status&) {}});
    return accepted.reactor;
  }
  std::atomic<int> reached{0};
  std::vector<std::shared_ptr<ServerStream<v1::TrackerMessage, v1::WorkerMessage>>> streams;
};

class EchoFeedback final : public v1::FeedbackService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::FeedbackClientMessage, v1::FeedbackTrackerMessage>* Feedback(
      grpc::CallbackServerContext* context) override {
    ++reached;
    auto accepted =
        ServerStream<v1::FeedbackTrackerMessage, v1::FeedbackClientMessage>::Accept(context);
    streams.push_back(accepted.stream);
    accepted.stream->Start(
        {[stream = accepted.stream.get()](const v1::FeedbackClientMessage&) { stream->Close(); },
         [](const Status&) {}});
    return accepted.reactor;
  }
  std::atomic<int> reached{0};
  std::vector<std::shared_ptr<ServerStream<v1::FeedbackTrackerMessage, v1::FeedbackClientMessage>>>
      streams;
};

class SecureServer : public ::testing::Test {
 protected:
  void StartServer(const SecuritySettings& settings) {
    ServerOptions options;
    options.credentials = Loaded(settings, Side::kServer);
    options.denied = &denied_;
    auto server = Server::Start(options, {&clients_, &workers_, &feedback_});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
  }
  std::unique_ptr<Channel> ChannelWith(const SecuritySettings& settings) const {
    return GrpcChannels(Loaded(settings, Side::kClient))(server_->address());
  }
  static Status Submit(Channel& channel) {
    std::promise<Status> ended;
    channel.Submit({}, kPatienceMs,
                   [&](Status status, const v1::SubmitResponse&) { ended.set_value(status); });
    return ended.get_future().get();
  }
  Status Submit(const SecuritySettings& settings) const { return Submit(*ChannelWith(settings)); }
  // How a stream ends that says one word.
  template <typename Out, typename In>
  static Status EndOf(Channel& channel, std::unique_ptr<Stream<Out>> (Channel::*open)(
                                            StreamCallbacks<In> callbacks)) {
    std::promise<Status> ended;
    const auto stream = (channel.*open)(
        {[](const In&) {}, [&](Status status) { ended.set_value(std::move(status)); }});
    stream->Send({});
    return ended.get_future().get();
  }
  int reached() const { return clients_.reached + workers_.reached + feedback_.reached; }

  Counter denied_;
  EchoClients clients_;
  EchoWorkers workers_;
  EchoFeedback feedback_;
  std::unique_ptr<Server> server_;
};

TEST_F(SecureServer, TheTokenOpensEveryKindOfCall) {
  StartServer({kToken, "", "", ""});
  const auto channel = ChannelWith({kToken, "", "", ""});
  EXPECT_THAT(Submit(*channel), Succeeds());
  EXPECT_FALSE(clients_.token_seen);
  EXPECT_THAT(EndOf(*channel, &Channel::Work), Succeeds());
  EXPECT_THAT(EndOf(*channel, &Channel::Feedback), Succeeds());
  EXPECT_EQ(reached(), 3);
  EXPECT_EQ(denied_.value(), 0U);
}

TEST_F(SecureServer, WithoutTheTokenNoCallReachesAHandler) {
  StartServer({kToken, "", "", ""});
  std::uint64_t calls = 0;
  for (const char* const token : {"", kOtherToken, "0123456789abcdef-the-toke"}) {
    const auto channel = ChannelWith({token, "", "", ""});
    for (const Status& status :
         {Submit(*channel), EndOf(*channel, &Channel::Work), EndOf(*channel, &Channel::Feedback)}) {
      ++calls;
      EXPECT_EQ(status.code(), StatusCode::kPermissionDenied) << status.ToString();
      EXPECT_THAT(status.message(), HasSubstr("security.token_file"));
      EXPECT_THAT(status.message(), HasSubstr(*token == 0 ? "asks for the token" : "is not that"));
      EXPECT_THAT(status.message(), HasSubstr(server_->address()));
      EXPECT_THAT(status.message(), Not(HasSubstr(kToken)));
    }
  }
  EXPECT_EQ(reached(), 0);
  EXPECT_EQ(denied_.value(), calls);
}

TEST_F(SecureServer, ACallOfNoServiceIsDeniedLikeAnyOther) {
  StartServer({kToken, "", "", ""});
  std::promise<Status> ended;
  const auto channel = ChannelWith({});
  channel->Nodes({}, kPatienceMs,
                 [&](Status status, const v1::NodesResponse&) { ended.set_value(status); });
  EXPECT_EQ(ended.get_future().get().code(), StatusCode::kPermissionDenied);
}

TEST_F(SecureServer, WhoAsksForNoTokenTakesCallsWithOne) {
  StartServer({});
  EXPECT_THAT(Submit({kToken, "", "", ""}), Succeeds());
  EXPECT_THAT(Submit(SecuritySettings{}), Succeeds());
}

TEST_F(SecureServer, OnAllAddressesTheTokenIsAskedForToo) {
  ServerOptions options;
  options.listen = "0.0.0.0:0";
  options.credentials.token = kToken;
  options.insecure = true;
  auto server = Server::Start(options, {&clients_});
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  const std::string address = "127.0.0.1:" + std::to_string((*server)->port());
  EXPECT_EQ(Submit(*MakeGrpcChannel(address)).code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(Submit(*GrpcChannels({kToken, "", "", ""})(address)), Succeeds());
}

class SecureTls : public SecureServer {
 protected:
  static SecuritySettings Shows(const std::string& name, const std::string& ca = "") {
    return {"", ca.empty() ? "" : Files().Cert(ca), Files().Cert(name), Files().PrivateKey(name)};
  }
  static SecuritySettings Believes(const std::string& ca) { return {"", Files().Cert(ca), "", ""}; }
};

TEST_F(SecureTls, TheRightCaAndNameAreBelieved) {
  StartServer(Shows("server"));
  const auto channel = ChannelWith(Believes("ca"));
  EXPECT_THAT(Submit(*channel), Succeeds());
  EXPECT_THAT(EndOf(*channel, &Channel::Work), Succeeds());
}

TEST_F(SecureTls, AnotherCaIsNot) {
  StartServer(Shows("server"));
  const Status status = Submit(Believes("other-ca"));
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("security.tls.ca")) << status.message();
  EXPECT_EQ(reached(), 0);
}

TEST_F(SecureTls, AnotherNameIsNot) {
  StartServer(Shows("elsewhere"));
  const Status status = Submit(Believes("ca"));
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("not made out for")) << status.message();
  EXPECT_EQ(reached(), 0);
}

TEST_F(SecureTls, WhoSpeaksInTheClearIsNotServed) {
  StartServer(Shows("server"));
  const Status status = Submit(SecuritySettings{});
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("speaks TLS: security.tls.ca"));
  EXPECT_EQ(reached(), 0);
}

TEST_F(SecureTls, AServerInTheClearIsNotUsed) {
  StartServer({});
  const Status status = Submit(Believes("ca"));
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("does not speak TLS"));
  EXPECT_EQ(reached(), 0);
}

TEST_F(SecureTls, TheTokenIsAskedForAsWell) {
  SecuritySettings server = Shows("server");
  server.token = kToken;
  StartServer(server);
  EXPECT_EQ(Submit(Believes("ca")).code(), StatusCode::kPermissionDenied);
  SecuritySettings client = Believes("ca");
  client.token = kToken;
  EXPECT_THAT(Submit(client), Succeeds());
}

TEST_F(SecureTls, WithACaClientsMustShowACertificateOfIt) {
  StartServer(Shows("server", "ca"));
  EXPECT_THAT(Submit(Shows("client", "ca")), Succeeds());
  const Status status = Submit(Believes("ca"));
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("security.tls.cert"));
  EXPECT_EQ(reached(), 1);
}

TEST_F(SecureTls, ACertificateWithTheKeyOfAnotherIsRefusedAtTheStart) {
  ServerOptions options;
  options.credentials =
      Loaded({"", "", Files().Cert("server"), Files().PrivateKey("elsewhere")}, Side::kServer);
  const auto server = Server::Start(options, {&clients_});
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(server.status().message(), HasSubstr("security.tls.key"));
  StartServer(Shows("server"));
  const Status status =
      Submit({"", Files().Cert("ca"), Files().Cert("client"), Files().PrivateKey("server")});
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("security.tls.key"));
}

}  // namespace
}  // namespace lts::rpc

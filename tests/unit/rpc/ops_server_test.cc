#include "rpc/ops_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace lts {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

int Connect(int port) {
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(socket_fd);
    return -1;
  }
  return socket_fd;
}

// The whole answer, head and body. A plain socket: what is tested is what goes over the wire.
std::string Ask(int port, const std::string& method, const std::string& path) {
  const int socket_fd = Connect(port);
  if (socket_fd < 0) return "no connection";
  const std::string request = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  EXPECT_EQ(send(socket_fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = recv(socket_fd, buffer, sizeof buffer, 0)) > 0;) {
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  close(socket_fd);
  return answer;
}

class OpsServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = OpsServer::Start({}, metrics_, [this] {
      return ready_ ? Status::Ok() : Status::Unavailable("no partition is owned");
    });
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = *std::move(server);
  }
  std::string Get(const std::string& path) { return Ask(server_->port(), "GET", path); }

  MetricsRegistry metrics_;
  std::atomic<bool> ready_ = true;
  std::unique_ptr<OpsServer> server_;
};

TEST_F(OpsServerTest, TellsThePortItTook) {
  EXPECT_GT(server_->port(), 0);
  EXPECT_EQ(server_->listen(), "127.0.0.1:" + std::to_string(server_->port()));
}

TEST_F(OpsServerTest, HealthzAnswersOk) {
  EXPECT_THAT(Get("/healthz"), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\n\r\nok\n")));
}

TEST_F(OpsServerTest, ReadyzIs503WithTheReasonUntilReady) {
  ready_ = false;
  EXPECT_THAT(Get("/readyz"),
              AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("\r\n\r\nno partition is owned\n")));
  ready_ = true;
  EXPECT_THAT(Get("/readyz"), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\n\r\nready\n")));
}

TEST_F(OpsServerTest, MetricsArePrometheusText) {
  metrics_.AddCounter("lts_x_total", "X.").Add(4);
  EXPECT_THAT(Get("/metrics"), AllOf(StartsWith("HTTP/1.1 200"),
                                     HasSubstr("Content-Type: text/plain; version=0.0.4"),
                                     HasSubstr("\nlts_x_total 4\n")));
}

TEST_F(OpsServerTest, AnUnknownPageIs404AndListsThePages) {
  EXPECT_THAT(Get("/"), AllOf(StartsWith("HTTP/1.1 404"), HasSubstr("/healthz"),
                              HasSubstr("/readyz"), HasSubstr("/metrics")));
}

TEST_F(OpsServerTest, OnlyGetIsAnswered) {
  EXPECT_THAT(Ask(server_->port(), "POST", "/healthz"),
              AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: GET, HEAD")));
  EXPECT_THAT(Ask(server_->port(), "DELETE", "/metrics"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask(server_->port(), "HEAD", "/healthz"),
              AllOf(StartsWith("HTTP/1.1 200"), ::testing::EndsWith("\r\n\r\n")));
}

TEST_F(OpsServerTest, AnswersManyMoreClientsThanItHasThreads) {
  std::atomic<int> good = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back([&] {
      if (Get("/healthz").starts_with("HTTP/1.1 200")) ++good;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 40);
}

TEST_F(OpsServerTest, StopsWhileAClientIsConnectedAndSilentAndTwice) {
  const int silent = Connect(server_->port());
  ASSERT_GE(silent, 0);
  server_->Stop();
  server_->Stop();
  close(silent);
  EXPECT_EQ(Get("/healthz"), "no connection");
}

TEST_F(OpsServerTest, ATakenPortIsAnError) {
  const auto second = OpsServer::Start({.listen = server_->listen()}, metrics_, {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr(server_->listen()));
}

TEST(OpsServer, StartAndStopAtOnceNeverHangs) {
  const MetricsRegistry metrics;
  for (int i = 0; i < 50; ++i) {
    auto server = OpsServer::Start({}, metrics, {});
    ASSERT_TRUE(server.ok());
  }
}

TEST(OpsServer, RefusesAddressesBeyondTheLoopbackUnlessAllowed) {
  const MetricsRegistry metrics;
  for (const char* listen : {"0.0.0.0:0", "192.0.2.1:0", "example.org:0", "[::]:0"}) {
    const auto server = OpsServer::Start({.listen = listen}, metrics, {});
    ASSERT_FALSE(server.ok()) << listen;
    EXPECT_EQ(server.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(server.status().message(), HasSubstr("127.0.0.1:0"));
  }
  EXPECT_TRUE(
      OpsServer::Start({.listen = "0.0.0.0:0", .allow_non_loopback = true}, metrics, {}).ok());
  EXPECT_TRUE(OpsServer::Start({.listen = "127.8.9.1:0"}, metrics, {}).ok());
  EXPECT_TRUE(OpsServer::Start({.listen = "localhost:0"}, metrics, {}).ok());
}

TEST(OpsServer, RefusesMalformedAddresses) {
  const MetricsRegistry metrics;
  for (const char* listen :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", ":1", "::1:0", "[]:0"}) {
    const auto server = OpsServer::Start({.listen = listen}, metrics, {});
    ASSERT_FALSE(server.ok()) << listen;
    EXPECT_EQ(server.status().code(), StatusCode::kInvalidArgument) << listen;
  }
}

}  // namespace
}  // namespace lts

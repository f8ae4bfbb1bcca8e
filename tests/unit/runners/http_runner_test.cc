#include "tasktracker/runners/http_runner.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstdlib>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "tasktracker/runners/child_process.h"
#include "unit/runners/support.h"

namespace lts::runners {
namespace {

using model::Action;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// Answers each connection with the same bytes once it has read a request; keeps it open for good
// when they are empty. Requests are told in the order in which they came.
class Server {
 public:
  explicit Server(std::string answer, std::function<void()> on_request = {})
      : answer_(std::move(answer)), on_request_(std::move(on_request)) {
    listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_.get(), plain, size), 0);
    EXPECT_EQ(listen(listener_.get(), 16), 0);
    EXPECT_EQ(getsockname(listener_.get(), plain, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~Server() {
    const std::uint64_t one = 1;
    EXPECT_EQ(write(end_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string Host() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string Url(const std::string& path = "/") const { return "http://" + Host() + path; }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  bool Ready(int fd) const {
    std::array<pollfd, 2> fds = {pollfd{end_.get(), POLLIN, 0}, pollfd{fd, POLLIN, 0}};
    poll(fds.data(), fds.size(), -1);
    return fds[0].revents == 0;
  }
  static bool IsWhole(const std::string& request) {
    const std::size_t end = request.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::size_t length = request.find("Content-Length: ");
    const std::size_t body =
        length == std::string::npos ? 0 : std::stoul(request.substr(length + 16));
    return request.size() >= end + 4 + body;
  }
  void Serve() {
    while (Ready(listener_.get())) {
      connections_.emplace_back(accept(listener_.get(), nullptr, nullptr));
      const int fd = connections_.back().get();
      std::string request;
      while (!IsWhole(request) && Ready(fd)) {
        std::array<char, 4096> bytes{};
        const ssize_t count = read(fd, bytes.data(), bytes.size());
        if (count <= 0) break;
        request.append(bytes.data(), static_cast<std::size_t>(count));
      }
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      if (on_request_) on_request_();
      if (answer_.empty()) continue;
      std::size_t sent = 0;
      while (sent < answer_.size()) {
        const ssize_t count = send(fd, answer_.data() + sent, answer_.size() - sent, MSG_NOSIGNAL);
        if (count <= 0) break;
        sent += static_cast<std::size_t>(count);
      }
      connections_.pop_back();
    }
  }

  const std::string answer_;
  const std::function<void()> on_request_;
  UniqueFd listener_;
  const UniqueFd end_{eventfd(0, EFD_CLOEXEC)};
  int port_ = 0;
  std::vector<UniqueFd> connections_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

std::string Answer(const std::string& status, const std::string& body,
                   const std::string& more = "") {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         more + "\r\n" + body;
}

class HttpRunnerTest : public ::testing::Test {
 protected:
  RunOutcome Run(const HttpOptions& options, std::map<std::string, std::string> params,
                 std::stop_token stop = {}, DurationMs timeout_ms = 0) {
    const auto runner = HttpRunner::Create(options, {}, clock_);
    EXPECT_TRUE(runner.ok()) << runner.status().ToString();
    AttemptInput input;
    input.job_id = "job-1";
    input.task_id = "task";
    input.token = {1, 2};
    input.params = std::move(params);
    input.payload = payload_;
    input.timeout_ms = timeout_ms;
    return (*runner)->Run(input, sink_, std::move(stop));
  }
  static HttpOptions Allowing(const std::string& entry) {
    HttpOptions options;
    options.allow = {entry};
    return options;
  }
  SystemClock clock_;
  RecordingSink sink_;
  std::string payload_;
};

TEST_F(HttpRunnerTest, SendsThePayloadAndTakesTheAnswerAsMessage) {
  const Server server(Answer("200 OK", "thank you"));
  payload_ = std::string("some\0bytes", 10);
  const RunOutcome outcome =
      Run(Allowing(server.Host()), {{"url", server.Url("/a?key=1")}, {"header.X-Mine", "yes"}});
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess);
  EXPECT_EQ(outcome.message, "thank you");
  ASSERT_THAT(server.requests(), SizeIs(1));
  const std::string request = server.requests()[0];
  EXPECT_THAT(request, ::testing::StartsWith("POST /a?key=1 HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nX-Mine: yes\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nX-LTS-Job-Id: job-1\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nX-LTS-Token: 1-2\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nUser-Agent: lts\r\n"));
  EXPECT_THAT(request, ::testing::EndsWith("\r\n\r\n" + payload_));
  EXPECT_THAT(request, Not(HasSubstr("Expect:")));
  ASSERT_THAT(sink_.lines(), SizeIs(1));
  EXPECT_THAT(sink_.lines()[0].second, HasSubstr("/a: 200 in "));
  EXPECT_THAT(sink_.lines()[0].second, Not(HasSubstr("key=1")));
}

TEST_F(HttpRunnerTest, AnswersWithAnErrorAreNoSuccess) {
  const Server busy(Answer("503 Busy", "", "Retry-After: 7\r\n"));
  RunOutcome outcome = Run(Allowing(busy.Host()), {{"url", busy.Url()}, {"method", "GET"}});
  EXPECT_EQ(outcome.action, Action::kExecuteLater);
  EXPECT_EQ(outcome.later_delay_ms, 7'000);
  EXPECT_THAT(busy.requests().at(0), ::testing::StartsWith("GET / HTTP/1.1"));
  const Server gone(Answer("410 Gone", "not here"));
  outcome = Run(Allowing(gone.Host()), {{"url", gone.Url()}});
  EXPECT_EQ(outcome.action, Action::kExecuteFailed);
  EXPECT_EQ(outcome.message, "HTTP status 410: not here");
}

TEST_F(HttpRunnerTest, AHeadHasNoBodyAndAnEmptyPostSaysSo) {
  const Server head("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(Run(Allowing(head.Host()), {{"url", head.Url()}, {"method", "HEAD"}}).action,
            Action::kExecuteSuccess);
  EXPECT_THAT(head.requests().at(0), ::testing::StartsWith("HEAD / "));
  EXPECT_EQ(Run(Allowing(head.Host()), {{"url", head.Url()}}).action, Action::kExecuteSuccess);
  EXPECT_THAT(head.requests().at(1), HasSubstr("Content-Length: 0\r\n"));
}

TEST_F(HttpRunnerTest, ARedirectIsNotFollowed) {
  const Server target(Answer("200 OK", "reached"));
  const Server server(Answer("302 Found", "", "Location: " + target.Url("/next") + "\r\n"));
  HttpOptions options = Allowing(server.Host());
  options.allow.push_back(target.Host());
  const RunOutcome outcome = Run(options, {{"url", server.Url()}});
  EXPECT_EQ(outcome.action, Action::kExecuteFailed);
  EXPECT_THAT(outcome.message, HasSubstr(target.Url("/next")));
  EXPECT_THAT(target.requests(), SizeIs(0));
}

TEST_F(HttpRunnerTest, WhatIsNotAllowedIsNotAsked) {
  const Server server(Answer("200 OK", ""));
  const RunOutcome outcome = Run(Allowing("example.com"), {{"url", server.Url()}});
  EXPECT_EQ(outcome.action, Action::kExecuteFailed);
  EXPECT_THAT(outcome.message, HasSubstr("runner.http.allow"));
  EXPECT_THAT(server.requests(), SizeIs(0));
}

// As a name does whose owner makes it point inwards.
TEST_F(HttpRunnerTest, AnAllowedNameWithAPrivateAddressIsNotConnectedTo) {
  const Server server(Answer("200 OK", ""));
  const std::string port = server.Host().substr(server.Host().find(':'));
  for (const std::string host : {"127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"}) {
    const RunOutcome outcome = Run(Allowing("*:*"), {{"url", "http://" + host + port + "/"}});
    EXPECT_EQ(outcome.action, Action::kExecuteFailed) << host;
    EXPECT_THAT(outcome.message, HasSubstr("private address")) << host;
  }
  EXPECT_THAT(server.requests(), SizeIs(0));
  HttpOptions options = Allowing("*:*");
  options.allow_private = true;
  EXPECT_EQ(Run(options, {{"url", "http://localhost" + port + "/"}}).action,
            Action::kExecuteSuccess);
}

TEST_F(HttpRunnerTest, NoProxyOfTheEnvironmentIsUsed) {
  const Server proxy(Answer("200 OK", "by a proxy"));
  const Server server(Answer("200 OK", "directly"));
  ASSERT_EQ(setenv("http_proxy", proxy.Url().c_str(), 1), 0);
  const RunOutcome outcome = Run(Allowing(server.Host()), {{"url", server.Url()}});
  unsetenv("http_proxy");
  EXPECT_EQ(outcome.message, "directly");
  EXPECT_THAT(proxy.requests(), SizeIs(0));
}

TEST_F(HttpRunnerTest, NobodyThereIsAnException) {
  std::string host;
  { host = Server("").Host(); }
  const RunOutcome outcome = Run(Allowing(host), {{"url", "http://" + host + "/"}});
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_THAT(outcome.message, HasSubstr("onnect"));
  EXPECT_FALSE(outcome.timed_out);
}

TEST_F(HttpRunnerTest, ARequestThatIsCutShortIsSentOnlyOnce) {
  const Server server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  const RunOutcome outcome = Run(Allowing(server.Host()), {{"url", server.Url()}});
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST_F(HttpRunnerTest, AStopCutsTheRequestOff) {
  std::stop_source stop;
  const Server server("", [&stop] { stop.request_stop(); });
  const RunOutcome outcome =
      Run(Allowing(server.Host()), {{"url", server.Url()}}, stop.get_token());
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_THAT(outcome.message, HasSubstr("stopped"));
  EXPECT_FALSE(outcome.timed_out);
}

TEST_F(HttpRunnerTest, AStopBeforeItBeganSendsNothing) {
  const Server server("");
  std::stop_source stop;
  stop.request_stop();
  Run(Allowing(server.Host()), {{"url", server.Url()}}, stop.get_token());
  EXPECT_THAT(server.requests(), SizeIs(0));
}

TEST_F(HttpRunnerTest, TheTimeOutOfTheJobIsTold) {
  const Server server("");
  RunOutcome outcome = Run(Allowing(server.Host()), {{"url", server.Url()}}, {}, 50);
  EXPECT_TRUE(outcome.timed_out);
  outcome = Run(Allowing(server.Host()), {{"url", server.Url()}, {"timeout", "50ms"}}, {}, 60'000);
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.action, Action::kExecuteException);
  EXPECT_THAT(outcome.message, HasSubstr("no answer within 50 ms"));
}

TEST_F(HttpRunnerTest, OfALongAnswerOnlyTheBeginningIsRead) {
  const Server server("HTTP/1.1 200 OK\r\n\r\n" + std::string(8U << 20, 'x'));
  const RunOutcome outcome = Run(Allowing(server.Host()), {{"url", server.Url()}});
  EXPECT_EQ(outcome.action, Action::kExecuteSuccess);
  EXPECT_LE(outcome.message.size(), 4096U);
  EXPECT_THAT(outcome.message, ::testing::StartsWith("xxxx"));
}

TEST_F(HttpRunnerTest, WhatIsNoHttpIsAnException) {
  const Server server("SSH-2.0-server\r\n");
  EXPECT_EQ(Run(Allowing(server.Host()), {{"url", server.Url()}}).action,
            Action::kExecuteException);
}

TEST(HttpOptions, AreCheckedAtStart) {
  const SystemClock clock;
  HttpOptions options;
  options.allow = {"not a host"};
  EXPECT_THAT(HttpRunner::Create(options, {}, clock).status().message(),
              HasSubstr("runner.http.allow"));
  options.allow = {};
  options.ca_file = "/no/such/file";
  EXPECT_THAT(HttpRunner::Create(options, {}, clock).status().message(),
              HasSubstr("runner.http.ca"));
}

}  // namespace
}  // namespace lts::runners

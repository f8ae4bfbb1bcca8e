#include "rpc/ops_server.h"

#include <fmt/core.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <future>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "common/log.h"
#include "common/options.h"

namespace lts {
namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kWaitingMax = 16;  // accepted connections, those being answered included
constexpr int kTimeoutSeconds = 2;       // of a read or write; a page is small and near
constexpr std::size_t kRequestBytesMax = 1024;
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kPages =
    "/healthz  whether the process lives\n"
    "/readyz   whether it can work, or why not\n"
    "/metrics  Prometheus text\n";

// httplib's pool with a bound: when too many connections wait, the accepting thread does, and the
// kernel refuses what exceeds its own queue. The queue is emptied by the workers, whose reads time
// out, so the wait always ends.
class BoundedPool final : public httplib::ThreadPool {
 public:
  BoundedPool() : httplib::ThreadPool(kThreads) {}

  void enqueue(std::function<void()> fn) override {
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return waiting_ < kWaitingMax; });
      ++waiting_;
    }
    httplib::ThreadPool::enqueue([this, fn = std::move(fn)] {
      fn();
      const std::lock_guard lock(mutex_);
      --waiting_;
      room_.notify_one();
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable room_;
  std::size_t waiting_ = 0;
};

struct Address {
  std::string host;  // without brackets
  int port = 0;
  bool ipv6 = false;
};

Result<Address> ParseAddress(std::string_view text) {
  const auto fail = [&](std::string_view why) {
    return Status::InvalidArgument(
        fmt::format("ops.listen={}: {}; expected host:port like 127.0.0.1:0", text, why));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return fail("no port");
  const Result<std::int64_t> port = ParseInteger(text.substr(colon + 1));
  if (!port.ok() || *port < 0 || *port > 65535) return fail("not a port");
  Address address;
  address.port = static_cast<int>(*port);
  std::string_view host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    address.ipv6 = true;
  }
  if (host.empty() || (!address.ipv6 && host.find(':') != std::string_view::npos)) {
    return fail("a malformed host");
  }
  // No name service is asked, which may answer otherwise tomorrow, or not be there.
  address.host = host == "localhost" ? "127.0.0.1" : host;
  return address;
}

// Only what is of the loopback by its form.
bool IsLoopback(const Address& address) {
  if (address.ipv6) return address.host == "::1";
  in_addr parsed{};
  if (inet_pton(AF_INET, address.host.c_str(), &parsed) != 1) return false;
  return (ntohl(parsed.s_addr) >> 24) == 127;
}

}  // namespace

class OpsServer::Impl {
 public:
  Impl(const MetricsRegistry& metrics, ReadyCheck ready)
      : metrics_(metrics), ready_(std::move(ready)) {}

  Status Start(const OpsServerOptions& options) {
    Result<Address> address = ParseAddress(options.listen);
    if (!address.ok()) return address.status();
    if (!IsLoopback(*address) && !options.allow_non_loopback) {
      return Status::InvalidArgument(fmt::format(
          "ops.listen={}: not an address of the loopback, and these pages have no login; "
          "use 127.0.0.1:{}",
          options.listen, address->port));
    }
    SetUpServer();
    if (address->port == 0) {
      port_ = server_.bind_to_any_port(address->host);
    } else if (server_.bind_to_port(address->host, address->port)) {
      port_ = address->port;
    }
    if (port_ <= 0) {
      return Status::Unavailable(fmt::format("ops.listen={}: cannot listen there: {}",
                                             options.listen, std::strerror(errno)));
    }
    listen_ = address->ipv6 ? fmt::format("[{}]:{}", address->host, port_)
                            : fmt::format("{}:{}", address->host, port_);
    std::future<void> serving = serving_.get_future();
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // httplib forgets a stop() that comes before its loop has begun.
    serving.wait();
    return Status::Ok();
  }

  void Stop() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

  const std::string& listen() const { return listen_; }
  int port() const { return port_; }

 private:
  void SetUpServer() {
    // Called once, by the serving thread, when its loop begins.
    server_.new_task_queue = [this]() -> httplib::TaskQueue* {
      serving_.set_value();
      return new BoundedPool;  // httplib owns and deletes it
    };
    // Not httplib's default, SO_REUSEPORT: with it two daemons could share a port unnoticed.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.set_keep_alive_max_count(1);  // an idle connection would keep one of the two threads
    server_.set_read_timeout(kTimeoutSeconds);
    server_.set_write_timeout(kTimeoutSeconds);
    server_.set_payload_max_length(kRequestBytesMax);

    server_.set_pre_routing_handler(
        [](const httplib::Request& request, httplib::Response& response) {
          if (request.method == "GET" || request.method == "HEAD") {
            return httplib::Server::HandlerResponse::Unhandled;
          }
          response.status = 405;
          response.set_header("Allow", "GET, HEAD");
          response.set_content("only GET is answered here\n", kText);
          return httplib::Server::HandlerResponse::Handled;
        });
    server_.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", kText);
    });
    server_.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const Status status = ready_ ? ready_() : Status::Ok();
      if (status.ok()) return response.set_content("ready\n", kText);
      response.status = 503;
      response.set_content(status.message() + "\n", kText);
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(metrics_.Text(), "text/plain; version=0.0.4; charset=utf-8");
    });
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.status == 404) response.set_content(kPages, kText);
    });
    server_.set_exception_handler([](const httplib::Request& request, httplib::Response& response,
                                     const std::exception_ptr& error) {
      std::string what = "not a std::exception";
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& e) {
        what = e.what();
      } catch (...) {  // lint: the text above says all that is known of it
      }
      LTS_ERROR("ops page failed path={} error={}", request.path, what);
      response.status = 500;
      response.set_content("internal error, see the log\n", kText);
    });
  }

  const MetricsRegistry& metrics_;
  const ReadyCheck ready_;
  httplib::Server server_;
  std::promise<void> serving_;
  std::string listen_;
  int port_ = -1;
  std::thread thread_;
};

OpsServer::OpsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

OpsServer::~OpsServer() { Stop(); }

Result<std::unique_ptr<OpsServer>> OpsServer::Start(const OpsServerOptions& options,
                                                    const MetricsRegistry& metrics,
                                                    ReadyCheck ready) {
  auto impl = std::make_unique<Impl>(metrics, std::move(ready));
  LTS_RETURN_IF_ERROR(impl->Start(options));
  return std::unique_ptr<OpsServer>(new OpsServer(std::move(impl)));
}

const std::string& OpsServer::listen() const { return impl_->listen(); }

int OpsServer::port() const { return impl_->port(); }

void OpsServer::Stop() { impl_->Stop(); }

}  // namespace lts

// The pages for operators: /healthz, /readyz and /metrics over plain HTTP, on the loopback.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/metrics.h"
#include "lts/status.h"

namespace lts {

struct OpsServerOptions {
  std::string listen = "127.0.0.1:0";  // host:port or [v6 address]:port; port 0 takes a free one
  bool allow_non_loopback =
      false;  // the pages have no login: only behind a network that is trusted
};

// Answers GET and HEAD only:
//   /healthz  200 "ok" as long as the process answers
//   /readyz   200 "ready", or 503 with the reason
//   /metrics  Prometheus text
// anything else is 404 and lists the pages, other methods are 405. One request a connection; two
// threads answer, a few requests wait, the rest stays in the kernel's queue.
//
// Borrows the registry, which must outlive it. The destructor stops. stop() and the destructor are
// called from one thread, the others from any.
class OpsServer {
 public:
  // Ok when ready to work, else an error whose message is shown. Called on the server's threads,
  // must be thread-safe and must not block.
  using ReadyCheck = std::function<Status()>;

  // Listens and serves at once. kInvalidArgument when the address is malformed or is not of the
  // loopback and that is not allowed; kUnavailable when it cannot be taken.
  static Result<std::unique_ptr<OpsServer>> Start(const OpsServerOptions& options,
                                                  const MetricsRegistry& metrics, ReadyCheck ready);
  ~OpsServer();
  OpsServer(const OpsServer&) = delete;
  OpsServer& operator=(const OpsServer&) = delete;

  // The address with the port actually taken: "127.0.0.1:40123".
  const std::string& listen() const;
  int port() const;

  // Ends what is being answered, then the threads. Does nothing the second time.
  void Stop();

 private:
  class Impl;  // keeps httplib.h out of this header
  explicit OpsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lts

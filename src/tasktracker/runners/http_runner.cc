#include "tasktracker/runners/http_runner.h"

#include <curl/curl.h>
#include <fmt/core.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>
#include <limits>
#include <optional>
#include <utility>

#include "tasktracker/runners/http_request.h"
#include "tasktracker/runners/text.h"

namespace lts::runners {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kAnswerBytesMax = 1U << 20;
constexpr long kConnectTimeoutMs = 10'000;  // NOLINT(google-runtime-int): libcurl's type

using Easy = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Multi = std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)>;
using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

// What the TLS library writes to a connection that is gone must not end a program that has not
// ignored the signal.
class WithoutSigPipe {
 public:
  WithoutSigPipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigPipe() {
    const timespec none{};
    if (sigismember(&before_, SIGPIPE) == 0) sigtimedwait(&pipe_, nullptr, &none);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutSigPipe(const WithoutSigPipe&) = delete;
  WithoutSigPipe& operator=(const WithoutSigPipe&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
};

std::string AddressText(const curl_sockaddr& address) {
  std::array<char, NI_MAXHOST> text{};
  const int failed = getnameinfo(&address.addr, address.addrlen, text.data(), text.size(), nullptr,
                                 0, NI_NUMERICHOST);
  return failed == 0 ? text.data() : "an address of another kind";
}

// One request from its start to its end.
class Exchange {
 public:
  Exchange(const HttpRequest& request, const std::string& body, const HttpAllow& allow,
           const HttpOptions& options, const RunnerLimits& limits)
      : request_(request),
        body_(body),
        allow_(allow),
        options_(options),
        bytes_max_(static_cast<std::size_t>(limits.message_bytes_max)) {}

  // False: libcurl has no memory.
  bool Prepare() {
    if (multi_ == nullptr || easy_ == nullptr) return false;
    for (const std::string& header : request_.headers) {
      if (!AddHeader(header)) return false;
    }
    // Asking first whether the body is wanted costs a second when a server does not answer that.
    if (!AddHeader("Expect:")) return false;
    CURL* const easy = easy_.get();
    const auto set = [easy](CURLoption option, auto value) {
      return curl_easy_setopt(easy, option, value) == CURLE_OK;
    };
    bool set_all = set(CURLOPT_URL, request_.url.text.c_str()) &&
                   set(CURLOPT_PROTOCOLS_STR, "http,https") &&
                   set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1}) &&
                   set(CURLOPT_HTTPHEADER, headers_.get()) &&
                   set(CURLOPT_USERAGENT, options_.user_agent.c_str()) &&
                   // Not the environment's: the address of a proxy says nothing.
                   set(CURLOPT_PROXY, "") && set(CURLOPT_FOLLOWLOCATION, 0L) &&
                   // A request on a connection that turns out to be gone would be sent again.
                   set(CURLOPT_FRESH_CONNECT, 1L) && set(CURLOPT_FORBID_REUSE, 1L) &&
                   set(CURLOPT_NOSIGNAL, 1L) && set(CURLOPT_QUICK_EXIT, 1L) &&
                   set(CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs) &&
                   set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2}) &&
                   set(CURLOPT_ERRORBUFFER, error_.data()) && set(CURLOPT_OPENSOCKETDATA, this) &&
                   set(CURLOPT_OPENSOCKETFUNCTION, &Exchange::OpenSocket) &&
                   set(CURLOPT_WRITEDATA, this) && set(CURLOPT_WRITEFUNCTION, &Exchange::Write);
    if (!options_.ca_file.empty()) {
      set_all = set_all && set(CURLOPT_CAINFO, options_.ca_file.c_str());
    }
    if (request_.has_body) {
      set_all = set_all && set(CURLOPT_POSTFIELDS, body_.data()) &&
                set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_.size()));
    }
    set_all = set_all &&
              (request_.method == "HEAD" ? set(CURLOPT_NOBODY, 1L)
                                         : set(CURLOPT_CUSTOMREQUEST, request_.method.c_str()));
    added_ = set_all && curl_multi_add_handle(multi_.get(), easy) == CURLM_OK;
    return added_;
  }

  ~Exchange() {
    if (added_) curl_multi_remove_handle(multi_.get(), easy_.get());
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // From any thread: ends a wait that is under way, or the next one.
  void Wake() { curl_multi_wakeup(multi_.get()); }

  // Goes on until something happens or `wait_ms` have passed. True when it is over.
  bool Go(int wait_ms) {
    int running = 0;
    CURLMcode code = curl_multi_perform(multi_.get(), &running);
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg == CURLMSG_DONE) ended_ = message->data.result;
    }
    if (ended_) return true;
    if (code == CURLM_OK) code = curl_multi_poll(multi_.get(), nullptr, 0, wait_ms, nullptr);
    if (code == CURLM_OK) return false;
    ended_ = CURLE_FAILED_INIT;
    return true;
  }

  // The rest once Go has said that it is over.
  bool answered() const { return ended_ == CURLE_OK || (ended_ == CURLE_WRITE_ERROR && cut_off_); }
  HttpAnswer Answer() const {
    HttpAnswer answer;
    long status = 0;  // NOLINT(google-runtime-int): libcurl's type
    curl_off_t retry_after_s = 0;
    const char* location = nullptr;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &retry_after_s);
    curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &location);
    answer.status = static_cast<int>(status);
    answer.retry_after_s = retry_after_s;
    if (location != nullptr) answer.location = location;
    answer.body = answer_;
    return answer;
  }
  // The address that was not connected to, when it was tried with no other.
  const std::string& denied() const { return connected_ ? none_ : denied_; }
  std::string Error() const {
    return error_[0] != 0 ? error_.data() : curl_easy_strerror(ended_.value_or(CURLE_OK));
  }
  std::size_t bytes() const { return bytes_; }

 private:
  bool AddHeader(const std::string& header) {
    curl_slist* const longer = curl_slist_append(headers_.get(), header.c_str());
    if (longer == nullptr) return false;
    static_cast<void>(headers_.release());
    headers_.reset(longer);
    return true;
  }

  // Here and not at the name: whoever owns the name may give another address each time.
  static curl_socket_t OpenSocket(void* self, curlsocktype /*purpose*/, curl_sockaddr* address) {
    auto& exchange = *static_cast<Exchange*>(self);
    if (!exchange.allow_.MayConnect(exchange.request_.url, address->addr)) {
      exchange.denied_ = AddressText(*address);
      return CURL_SOCKET_BAD;
    }
    exchange.connected_ = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  static std::size_t Write(const char* data, std::size_t /*one*/, std::size_t size, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    const std::size_t room =
        exchange.bytes_max_ + 1 - std::min(exchange.answer_.size(), exchange.bytes_max_ + 1);
    exchange.answer_.append(data, std::min(size, room));
    exchange.bytes_ += size;
    exchange.cut_off_ = exchange.bytes_ > kAnswerBytesMax;
    return exchange.cut_off_ ? 0 : size;
  }

  const HttpRequest& request_;
  const std::string& body_;
  const HttpAllow& allow_;
  const HttpOptions& options_;
  const std::size_t bytes_max_;
  const std::string none_;

  std::array<char, CURL_ERROR_SIZE> error_{};
  std::string denied_;
  bool connected_ = false;
  std::string answer_;
  std::size_t bytes_ = 0;
  bool cut_off_ = false;
  std::optional<CURLcode> ended_;

  Headers headers_{nullptr, &curl_slist_free_all};
  Multi multi_{curl_multi_init(), &curl_multi_cleanup};
  Easy easy_{curl_easy_init(), &curl_easy_cleanup};
  bool added_ = false;
};

RunOutcome Ended(model::Action action, const std::string& message, const RunnerLimits& limits) {
  RunOutcome outcome;
  outcome.action = action;
  outcome.message =
      FirstBytes(ValidUtf8(message), static_cast<std::size_t>(limits.message_bytes_max));
  return outcome;
}

}  // namespace

Result<std::unique_ptr<HttpRunner>> HttpRunner::Create(const HttpOptions& options,
                                                       const RunnerLimits& limits,
                                                       const Clock& clock) {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialized != CURLE_OK) {
    return Status::FailedPrecondition(std::string("libcurl: ") + curl_easy_strerror(initialized));
  }
  Result<HttpAllow> allow = HttpAllow::Parse(options.allow, options.allow_private);
  if (!allow.ok()) return allow.status();
  if (!options.ca_file.empty() && access(options.ca_file.c_str(), R_OK) != 0) {
    return Status::InvalidArgument("option runner.http.ca: cannot read " + options.ca_file);
  }
  return std::unique_ptr<HttpRunner>(new HttpRunner(options, *std::move(allow), limits, clock));
}

RunOutcome HttpRunner::Run(const AttemptInput& input, AttemptSink& sink, std::stop_token stop) {
  using model::Action;
  const Result<HttpRequest> request = MakeHttpRequest(input, options_.timeout_ms);
  if (!request.ok()) return Ended(Action::kExecuteFailed, request.status().message(), limits_);
  const Status allowed = allow_.Check(request->url);
  if (!allowed.ok()) return Ended(Action::kExecuteFailed, allowed.message(), limits_);

  const WithoutSigPipe without_sig_pipe;
  Exchange exchange(*request, input.payload, allow_, options_, limits_);
  if (!exchange.Prepare()) return Ended(Action::kExecuteException, "no memory", limits_);
  const std::int64_t begun_us = clock_.MonotonicUs();
  const std::int64_t own_us = begun_us + request->timeout_ms * 1000;
  const std::int64_t job_us = input.timeout_ms > 0 ? begun_us + input.timeout_ms * 1000 : kNever;
  const std::int64_t until_us = std::min(own_us, job_us);
  // Without the query, which may hold what nobody should read.
  const std::string what = fmt::format("{} {}://{}:{}{}", request->method, request->url.scheme,
                                       request->url.host, request->url.port, request->url.path);
  const auto cut_off = [&](const std::string& why) {
    sink.Log(LogLevel::kWarn, what + ": " + why);
    return Ended(Action::kExecuteException, why + "; whether it took effect is not known", limits_);
  };
  {
    const std::stop_callback on_stop(stop, [&exchange] { exchange.Wake(); });
    for (bool over = false; !over;) {
      if (stop.stop_requested()) return cut_off("stopped, the request was cut off");
      const std::int64_t now_us = clock_.MonotonicUs();
      if (now_us >= until_us) {
        RunOutcome outcome =
            cut_off(fmt::format("no answer within {} ms", (until_us - begun_us) / 1000));
        outcome.timed_out = job_us <= own_us;
        return outcome;
      }
      over = exchange.Go(
          static_cast<int>(std::min<std::int64_t>((until_us - now_us + 999) / 1000, INT_MAX)));
    }
  }
  if (exchange.answered()) {
    const HttpAnswer answer = exchange.Answer();
    RunOutcome outcome = OutcomeOf(answer, limits_);
    const bool well = outcome.action == Action::kExecuteSuccess;
    sink.Log(well ? LogLevel::kInfo : LogLevel::kWarn,
             fmt::format("{}: {} in {} ms, {} bytes", what, answer.status,
                         (clock_.MonotonicUs() - begun_us) / 1000, exchange.bytes()));
    return outcome;
  }
  if (!exchange.denied().empty()) {
    return Ended(Action::kExecuteFailed,
                 fmt::format("{} has the private address {}, which is not allowed here "
                             "(runner.http.allow with host and port, or runner.http.allow.private)",
                             request->url.host, exchange.denied()),
                 limits_);
  }
  sink.Log(LogLevel::kWarn, what + ": " + ValidUtf8(exchange.Error()));
  return Ended(Action::kExecuteException, exchange.Error(), limits_);
}

}  // namespace lts::runners

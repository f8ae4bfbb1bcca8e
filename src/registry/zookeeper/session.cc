#include "registry/zookeeper/session.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/log.h"

namespace lts::registry::zookeeper {
namespace {

// How long a new handle may look for a server, in time-outs of the session. The client gives each
// server a third of one.
constexpr int kWindowTimeouts = 2;

}  // namespace

Session::Session(const SessionOptions& options, const Tree& tree, const Clock& clock,
                 Strand& strand, Strand& helper, Hooks hooks)
    : options_(options),
      tree_(tree),
      clock_(clock),
      strand_(strand),
      helper_(helper),
      hooks_(std::move(hooks)),
      random_(options.seed) {
  info_.reason = Status::Unavailable(
      fmt::format("registryAddress {}: no ZooKeeper server has answered yet", options_.address));
}

void Session::Start() { OpenHandle(); }

std::unique_ptr<Handle> Session::TakeHandle() { return std::move(handle_); }

Status Session::NotConnected() const {
  const SessionInfo now = info();
  if (!now.reason.ok()) return Status::Unavailable(now.reason.message());
  return Status::Unavailable(
      fmt::format("registryAddress {}: no connection to ZooKeeper", options_.address));
}

Status Session::StatusOf(const Reply& reply, const std::string& what) const {
  switch (reply.code) {
    case Code::kOk: return Status::Ok();
    case Code::kNoNode: return Status::NotFound(fmt::format("{}: not there", what));
    case Code::kNodeExists: return Status::AlreadyExists(fmt::format("{}: there already", what));
    case Code::kBadVersion:
      return Status::FailedPrecondition(fmt::format("{}: somebody else has written it", what));
    case Code::kNoAuth:
      return Status::PermissionDenied(fmt::format(
          "registryAddress {}: ZooKeeper refuses {}: it belongs to another user; {}",
          options_.address, what,
          options_.digest.empty() ? "set the user and password that made it (zk.digest)"
                                  : "user or password (zk.digest) are not those that made it"));
    case Code::kConnectionLoss:
      return Status::Unavailable(fmt::format("registryAddress {}: the connection broke during {}",
                                             options_.address, what));
    case Code::kNotSent: return NotConnected();
    case Code::kBadArguments:
      return Status::InvalidArgument(
          fmt::format("registryAddress {}: ZooKeeper does not take {}: {}", options_.address, what,
                      reply.text));
    case Code::kOther:
      return Status::Internal(
          fmt::format("registryAddress {}: {}: {}", options_.address, what, reply.text));
  }
  return Status::Internal(what);
}

SessionInfo Session::info() const {
  const std::lock_guard lock(mutex_);
  SessionInfo now = info_;
  if ((now.state == SessionState::kConnected || now.state == SessionState::kSuspended) &&
      clock_.MonotonicUs() >= valid_until_us_) {
    now.state = SessionState::kExpired;
  }
  return now;
}

Status Session::WaitConnected(DurationMs timeout) const {
  std::unique_lock lock(mutex_);
  const auto needs_mending = [this] {
    return info_.reason.code() == StatusCode::kPermissionDenied ||
           info_.reason.code() == StatusCode::kInvalidArgument;
  };
  told_.wait_for(lock, std::chrono::milliseconds(timeout), [this, &needs_mending] {
    return info_.state == SessionState::kConnected || needs_mending();
  });
  if (info_.state == SessionState::kConnected) return Status::Ok();
  if (needs_mending()) return info_.reason;
  return Status::Unavailable(info_.reason.message());
}

void Session::Tell(SessionState state, Status reason) {
  SessionInfo info;
  {
    const std::lock_guard lock(mutex_);
    if (info_.state == state && info_.generation == generation_ &&
        info_.reason.ToString() == reason.ToString()) {
      return;
    }
    info_.state = state;
    info_.generation = generation_;
    info_.timeout_ms = negotiated_ms_;
    info_.reason = std::move(reason);
    info = info_;
  }
  told_.notify_all();
  hooks_.told(info);
}

void Session::After(DurationMs delay_ms, std::function<void()> task) {
  strand_.PostAfter(delay_ms * 1000,
                    [current = current_, number = current_->load(), task = std::move(task)] {
                      if (*current == number) task();
                    });
}

void Session::OpenHandle() {
  HandleOptions options;
  options.hosts = options_.hosts;
  options.digest = options_.digest;
  options.timeout_ms = options_.timeout_ms;
  options.number = ++*current_;
  helper_.Post([this, options] {
    auto opened = std::make_shared<Result<std::unique_ptr<Handle>>>(
        Handle::Open(options, strand_, current_, [this](const Event& event) { OnEvent(event); }));
    strand_.Post([this, opened, number = options.number] {
      if (*current_ == number) {
        Opened(std::move(*opened));
      } else if (opened->ok()) {
        Dispose(std::move(**opened));
      }
    });
  });
}

void Session::Opened(Result<std::unique_ptr<Handle>> opened) {
  if (!opened.ok()) {
    return GiveUp(opened.status().WithContext("registryAddress " + options_.address));
  }
  handle_ = *std::move(opened);
  Tick();
  After(kWindowTimeouts * options_.timeout_ms, [this] {
    if (established_) return;
    GiveUp(Status::Unavailable(
        fmt::format("registryAddress {}: no ZooKeeper server of it answers", options_.address)));
  });
  if (early_event_.session != SessionEvent::kNone) {
    OnEvent(std::exchange(early_event_, Event()));
  }
}

void Session::OnEvent(const Event& event) {
  if (handle_ == nullptr) {
    early_event_ = event;
  } else if (event.session != SessionEvent::kNone) {
    OnSessionEvent(event);
  } else if (ready_) {
    // Without a connection nothing can be read; Ready has everything read again.
    hooks_.changed(event.path);
  }
}

void Session::OnSessionEvent(const Event& event) {
  switch (event.session) {
    case SessionEvent::kNone: return;
    case SessionEvent::kConnected:
      connected_ = true;
      negotiated_ms_ = event.negotiated_ms;
      probe_out_ = false;
      Probe();
      return;
    case SessionEvent::kDisconnected:
      connected_ = false;
      if (!ready_) return;
      ready_ = false;
      LTS_INFO("ZooKeeper connection lost generation={}", generation_);
      Tell(SessionState::kSuspended,
           Status::Unavailable(fmt::format(
               "registryAddress {}: the connection to ZooKeeper is lost", options_.address)));
      return;
    case SessionEvent::kExpired:
      if (established_) {
        Expire("the server says so");
      } else {
        GiveUp(Status::Unavailable(
            fmt::format("registryAddress {}: ZooKeeper ended the session before it was used",
                        options_.address)));
      }
      return;
    case SessionEvent::kAuthFailed:
      if (established_) {
        Expire("the server refuses user and password");
      } else {
        GiveUp(Status::PermissionDenied(
            fmt::format("registryAddress {}: ZooKeeper refuses the user and password (zk.digest)",
                        options_.address)));
      }
      return;
  }
}

void Session::Tick() {
  Probe();
  const DurationMs timeout = negotiated_ms_ > 0 ? negotiated_ms_ : options_.timeout_ms;
  After(std::max<DurationMs>(timeout / 4, 1), [this] { Tick(); });
}

void Session::Probe() {
  if (!connected_ || probe_out_) return;
  probe_out_ = true;
  handle_->Sync([this, sent_us = clock_.MonotonicUs()](const Reply& reply) {
    probe_out_ = false;
    if (reply.code == Code::kOk) Confirm(sent_us);
  });
}

void Session::Confirm(std::int64_t sent_us) {
  // An answer that is read too late saves nothing: info() may have told somebody that it is over.
  if (established_ && clock_.MonotonicUs() >= ValidUntilUs()) return CheckExpiry();
  {
    const std::lock_guard lock(mutex_);
    confirmed_us_ = std::max(confirmed_us_, sent_us);
    valid_until_us_ = confirmed_us_ + negotiated_ms_ * 1000;
  }
  if (!connected_ || ready_) return;
  if (established_) {
    Ready();
  } else if (!tree_busy_) {
    tree_busy_ = true;
    EnsureTree(0);
  }
}

void Session::EnsureTree(std::size_t index) {
  if (index == tree_.persistent().size()) return CheckAccess();
  const std::string& path = tree_.persistent()[index];
  // Looked up before it is created: a folder above may be one that only others may write to.
  handle_->Exists(path, false, [this, index, &path](const Reply& reply) {
    if (reply.code == Code::kOk) return EnsureTree(index + 1);
    if (reply.code != Code::kNoNode) return TreeFailed(reply, "access to " + path);
    handle_->Create(path, {}, Mode::kPersistent, [this, index, &path](const Reply& created) {
      if (created.code == Code::kOk) {
        LTS_INFO("created in ZooKeeper path={}", path);
      } else if (created.code != Code::kNodeExists) {
        return TreeFailed(created, "to create " + path);
      }
      EnsureTree(index + 1);
    });
  });
}

void Session::CheckAccess() {
  // Whether a folder is there everybody may ask; only this shows that it is open to us.
  const std::string path = tree_.nodes();
  handle_->Children(path, false, [this, path](const Reply& reply) {
    if (reply.code != Code::kOk) return TreeFailed(reply, "access to " + path);
    tree_busy_ = false;
    if (connected_) Ready();
  });
}

void Session::TreeFailed(const Reply& reply, const std::string& what) {
  tree_busy_ = false;
  // Connected again, the next confirmation begins anew.
  if (reply.code != Code::kConnectionLoss) GiveUp(StatusOf(reply, what));
}

void Session::Ready() {
  const bool first = !established_;
  if (first && clock_.MonotonicUs() >= ValidUntilUs()) return Probe();
  established_ = true;
  ready_ = true;
  failures_ = 0;
  if (first) {
    LTS_INFO("ZooKeeper session begins generation={} timeout_ms={} requested_ms={}", generation_,
             negotiated_ms_, options_.timeout_ms);
    CheckExpiry();
    if (!established_) return;
  }
  Tell(SessionState::kConnected, Status::Ok());
  hooks_.ready();
}

std::int64_t Session::ValidUntilUs() const {
  const std::lock_guard lock(mutex_);
  return valid_until_us_;
}

void Session::CheckExpiry() {
  const std::int64_t left_us = ValidUntilUs() - clock_.MonotonicUs();
  if (left_us <= 0) return Expire("no server has confirmed it within the time-out");
  After(left_us / 1000 + 1, [this] { CheckExpiry(); });
}

void Session::Expire(const std::string& why) {
  LTS_WARN("ZooKeeper session is over generation={} timeout_ms={} reason=\"{}\"", generation_,
           negotiated_ms_, why);
  std::unique_ptr<Handle> old = Abandon();
  hooks_.expired();
  Tell(SessionState::kExpired,
       Status::Unavailable(
           fmt::format("registryAddress {}: the session is over: {}", options_.address, why)));
  ++generation_;
  // The next one first: the farewell to a server that does not answer may take a while.
  OpenHandle();
  Dispose(std::move(old));
}

void Session::GiveUp(Status reason) {
  ++failures_;
  Dispose(Abandon());
  // Half to all of a back-off that doubles.
  DurationMs backoff = options_.backoff_min_ms;
  for (int i = 1; i < failures_ && backoff < options_.backoff_max_ms; ++i) backoff *= 2;
  backoff = std::min(backoff, options_.backoff_max_ms);
  const DurationMs delay = std::uniform_int_distribution<DurationMs>(backoff / 2, backoff)(random_);
  // More and more seldom in the log too.
  const bool is_power_of_two = (failures_ & (failures_ - 1)) == 0;
  LTS_LOG_AT(is_power_of_two ? log::Level::kWarn : log::Level::kDebug,
             "no ZooKeeper session attempt={} again_in_ms={} reason=\"{}\"", failures_, delay,
             reason.message());
  Tell(SessionState::kConnecting, std::move(reason));
  After(delay, [this] { OpenHandle(); });
}

std::unique_ptr<Handle> Session::Abandon() {
  ++*current_;
  early_event_ = Event();
  connected_ = false;
  tree_busy_ = false;
  established_ = false;
  ready_ = false;
  probe_out_ = false;
  confirmed_us_ = 0;
  return std::move(handle_);
}

void Session::Dispose(std::unique_ptr<Handle> handle) {
  if (handle == nullptr) return;
  helper_.Post(
      [owned = std::make_shared<std::unique_ptr<Handle>>(std::move(handle))] { owned->reset(); });
}

}  // namespace lts::registry::zookeeper

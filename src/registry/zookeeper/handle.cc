#include "registry/zookeeper/handle.h"

#include <fmt/core.h>
#include <zookeeper/zookeeper.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "common/log.h"

namespace lts::registry::zookeeper {
namespace {

constexpr auto kDrain = std::chrono::seconds(1);

Code CodeOf(int rc) {
  switch (rc) {
    case ZOK: return Code::kOk;
    case ZNONODE: return Code::kNoNode;
    case ZNODEEXISTS: return Code::kNodeExists;
    case ZBADVERSION: return Code::kBadVersion;
    case ZNOAUTH:
    case ZAUTHFAILED: return Code::kNoAuth;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZCLOSING:
    case ZSESSIONMOVED: return Code::kConnectionLoss;
    case ZSESSIONEXPIRED: return Code::kConnectionLoss;
    case ZINVALIDSTATE: return Code::kNotSent;
    case ZBADARGUMENTS:
    case ZINVALIDACL: return Code::kBadArguments;
    default: return Code::kOther;
  }
}

// The client's log lines, "date:pid(thread):ZOO_WARN@function@line: text". While servers are away
// it writes the same ones several times a second, so each place in its source speaks once in ten
// seconds. The client gives its callback no context, hence the one static table, of some dozens of
// places. It is never destroyed: a handle that is still open at exit may log.
void OnLogLine(const char* message) {
  using std::chrono::steady_clock;
  struct Place {
    steady_clock::time_point next;
    std::uint64_t left_out = 0;
  };
  struct Table {
    std::mutex mutex;
    std::map<std::string, Place, std::less<>> places;
  };
  static Table& table = *new Table;

  std::string_view line(message);
  const std::size_t level_at = line.find("ZOO_");
  if (level_at == std::string_view::npos) return;
  line.remove_prefix(level_at + 4);
  // What the client calls an error is a server that cannot be reached, mostly; whether that is bad
  // the session knows, and says it in one line of its own.
  log::Level level = log::Level::kDebug;
  if (line.substr(0, 5) == "ERROR") level = log::Level::kWarn;
  if (line.substr(0, 4) == "WARN") level = log::Level::kInfo;
  if (!log::Enabled(level)) return;
  const std::size_t text_at = line.find(": ");
  if (text_at == std::string_view::npos) return;
  const std::string_view where = line.substr(0, text_at);
  std::string_view text = line.substr(text_at + 2);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);

  std::uint64_t left_out = 0;
  {
    const std::lock_guard lock(table.mutex);
    const auto now = steady_clock::now();
    auto place = table.places.find(where);
    if (place == table.places.end()) {
      place = table.places.emplace(std::string(where), Place()).first;
    }
    if (now < place->second.next) {
      ++place->second.left_out;
      return;
    }
    place->second.next = now + std::chrono::seconds(10);
    left_out = std::exchange(place->second.left_out, 0);
  }
  log::Write(level, fmt::format("ZooKeeper client: {} left_out={}", text, left_out));
}

}  // namespace

class Handle::Impl {
 public:
  Impl(const HandleOptions& options, Strand& strand, CurrentHandle current,
       std::function<void(const Event&)> on_event)
      : number_(options.number),
        with_digest_(!options.digest.empty()),
        strand_(strand),
        current_(std::move(current)),
        on_event_(std::make_shared<std::function<void(const Event&)>>(std::move(on_event))) {}

  ~Impl() {
    if (zh_ == nullptr) return;
    {
      // The client leaks what it has to say about requests that are under way when it is closed, so
      // they get a moment to be answered. With servers that do not answer it is lost.
      std::unique_lock lock(mutex_);
      drained_.wait_for(lock, kDrain, [this] { return waiting_.empty(); });
    }
    // Whatever it still calls, it calls before it returns; what it does not call is in waiting_.
    zookeeper_close(zh_);
  }

  Status Init(const HandleOptions& options) {
    zoo_set_debug_level(log::Enabled(log::Level::kDebug) ? ZOO_LOG_LEVEL_INFO : ZOO_LOG_LEVEL_WARN);
    errno = 0;
    // The client finds the port behind the last colon, and takes no brackets.
    std::string hosts;
    for (const char c : options.hosts) {
      if (c != '[' && c != ']') hosts += c;
    }
    zh_ = zookeeper_init2(hosts.c_str(), OnWatch, static_cast<int>(options.timeout_ms), nullptr,
                          this, ZOO_NO_LOG_CLIENTENV, OnLogLine);
    if (zh_ == nullptr) {
      return Status::Unavailable(
          fmt::format("no host of {} can be resolved ({})", options.hosts, std::strerror(errno)));
    }
    if (with_digest_) {
      // The server takes any digest; whether it opens anything shows at the first request.
      const int rc = zoo_add_auth(zh_, "digest", options.digest.data(),
                                  static_cast<int>(options.digest.size()), nullptr, nullptr);
      if (rc != ZOK) return Status::Internal(fmt::format("zoo_add_auth: {}", zerror(rc)));
    }
    return Status::Ok();
  }

  // What the client carries to a completion. Owned by waiting_, as the client does not promise to
  // call every completion when a handle is closed.
  struct Call {
    Impl* impl;
    OnReply done;
  };

  Call* Begin(OnReply done) {
    auto call = std::make_unique<Call>(Call{this, std::move(done)});
    Call* const raw = call.get();
    const std::lock_guard lock(mutex_);
    waiting_.emplace(raw, std::move(call));
    return raw;
  }

  // The request has not been taken.
  void Check(int rc, Call* call) {
    if (rc == ZOK) return;
    Reply reply;
    reply.code = CodeOf(rc);
    reply.text = zerror(rc);
    End(call, std::move(reply));
  }

  static Call* CallOf(const void* data) { return static_cast<Call*>(const_cast<void*>(data)); }

  static Reply ReplyOf(int rc) {
    Reply reply;
    reply.code = CodeOf(rc);
    if (rc != ZOK) reply.text = zerror(rc);
    return reply;
  }

  void End(Call* call, Reply reply) {
    std::unique_ptr<Call> owned;
    {
      const std::lock_guard lock(mutex_);
      const auto found = waiting_.find(call);
      if (found == waiting_.end()) return;
      owned = std::move(found->second);
      waiting_.erase(found);
      if (waiting_.empty()) drained_.notify_all();
    }
    strand_.Post([current = current_, number = number_, done = std::move(owned->done),
                  reply = std::move(reply)] {
      if (*current == number) done(reply);
    });
  }

  static void OnWatch(zhandle_t* zh, int type, int state, const char* path, void* context) {
    auto* const impl = static_cast<Impl*>(context);
    Event event;
    if (type == ZOO_SESSION_EVENT) {
      if (state == ZOO_CONNECTED_STATE) {
        event.session = SessionEvent::kConnected;
        event.negotiated_ms = zoo_recv_timeout(zh);
      } else if (state == ZOO_EXPIRED_SESSION_STATE) {
        event.session = SessionEvent::kExpired;
      } else if (state == ZOO_AUTH_FAILED_STATE) {
        event.session = SessionEvent::kAuthFailed;
      } else {
        event.session = SessionEvent::kDisconnected;
      }
    } else if (path != nullptr) {
      event.path = path;
    }
    impl->strand_.Post([current = impl->current_, number = impl->number_,
                        on_event = impl->on_event_, event = std::move(event)] {
      if (*current == number) (*on_event)(event);
    });
  }

  static void OnVoid(int rc, const void* data) {
    Call* const call = CallOf(data);
    call->impl->End(call, ReplyOf(rc));
  }
  static void OnString(int rc, const char* value, const void* data) {
    Reply reply = ReplyOf(rc);
    if (rc == ZOK && value != nullptr) reply.text = value;
    CallOf(data)->impl->End(CallOf(data), std::move(reply));
  }
  static void OnStat(int rc, const Stat* stat, const void* data) {
    Reply reply = ReplyOf(rc);
    if (rc == ZOK && stat != nullptr) reply.version = stat->version;
    CallOf(data)->impl->End(CallOf(data), std::move(reply));
  }
  static void OnData(int rc, const char* value, int length, const Stat* stat, const void* data) {
    Reply reply = ReplyOf(rc);
    if (rc == ZOK && value != nullptr && length > 0) {
      reply.text.assign(value, static_cast<std::size_t>(length));
    }
    if (rc == ZOK && stat != nullptr) reply.version = stat->version;
    CallOf(data)->impl->End(CallOf(data), std::move(reply));
  }
  static void OnStrings(int rc, const String_vector* strings, const void* data) {
    Reply reply = ReplyOf(rc);
    if (rc == ZOK && strings != nullptr) {
      reply.children.reserve(static_cast<std::size_t>(strings->count));
      for (int i = 0; i < strings->count; ++i) reply.children.emplace_back(strings->data[i]);
    }
    CallOf(data)->impl->End(CallOf(data), std::move(reply));
  }

  zhandle_t* zh() const { return zh_; }
  const ACL_vector* acl() const {
    return with_digest_ ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE;
  }

 private:
  const std::uint64_t number_;
  const bool with_digest_;
  Strand& strand_;
  const CurrentHandle current_;
  const std::shared_ptr<std::function<void(const Event&)>> on_event_;
  std::mutex mutex_;
  std::condition_variable drained_;
  std::unordered_map<const Call*, std::unique_ptr<Call>> waiting_;
  zhandle_t* zh_ = nullptr;
};

Handle::Handle(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Handle::~Handle() = default;

Result<std::unique_ptr<Handle>> Handle::Open(const HandleOptions& options, Strand& strand,
                                             CurrentHandle current,
                                             std::function<void(const Event&)> on_event) {
  auto impl = std::make_unique<Impl>(options, strand, std::move(current), std::move(on_event));
  LTS_RETURN_IF_ERROR(impl->Init(options));
  return std::unique_ptr<Handle>(new Handle(std::move(impl)));
}

void Handle::Create(const std::string& path, const std::string& data, Mode mode, OnReply done) {
  int flags = ZOO_PERSISTENT;
  if (mode == Mode::kContainer) flags = ZOO_CONTAINER;
  if (mode == Mode::kEphemeralSequential) flags = ZOO_EPHEMERAL_SEQUENTIAL;
  Impl::Call* const call = impl_->Begin(std::move(done));
  impl_->Check(zoo_acreate(impl_->zh(), path.c_str(), data.data(), static_cast<int>(data.size()),
                           impl_->acl(), flags, Impl::OnString, call),
               call);
}

void Handle::Delete(const std::string& path, OnReply done) {
  Impl::Call* const call = impl_->Begin(std::move(done));
  impl_->Check(zoo_adelete(impl_->zh(), path.c_str(), -1, Impl::OnVoid, call), call);
}

void Handle::Set(const std::string& path, const std::string& data, std::int64_t version,
                 OnReply done) {
  Impl::Call* const call = impl_->Begin(std::move(done));
  impl_->Check(zoo_aset(impl_->zh(), path.c_str(), data.data(), static_cast<int>(data.size()),
                        static_cast<int>(version), Impl::OnStat, call),
               call);
}

void Handle::Get(const std::string& path, bool watch, OnReply done) {
  Impl::Call* const call = impl_->Begin(std::move(done));
  impl_->Check(zoo_aget(impl_->zh(), path.c_str(), watch ? 1 : 0, Impl::OnData, call), call);
}

void Handle::Exists(const std::string& path, bool watch, OnReply done) {
  Impl::Call* const call = impl_->Begin(std::move(done));
  impl_->Check(zoo_aexists(impl_->zh(), path.c_str(), watch ? 1 : 0, Impl::OnStat, call), call);
}

void Handle::Children(const std::string& path, bool watch, OnReply done) {
  Impl::Call* const call = impl_->Begin(std::move(done));
  impl_->Check(zoo_aget_children(impl_->zh(), path.c_str(), watch ? 1 : 0, Impl::OnStrings, call),
               call);
}

void Handle::Sync(OnReply done) {
  Impl::Call* const call = impl_->Begin(std::move(done));
  impl_->Check(zoo_async(impl_->zh(), "/", Impl::OnString, call), call);
}

}  // namespace lts::registry::zookeeper

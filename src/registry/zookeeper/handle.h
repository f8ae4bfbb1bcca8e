// The door to the ZooKeeper C client: one zhandle, its asynchronous calls only, its events and
// answers copied and posted to a strand.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "lts/status.h"

namespace lts::registry::zookeeper {

enum class Code : std::uint8_t {
  kOk,
  kNoNode,
  kNodeExists,
  kBadVersion,
  kNoAuth,
  kConnectionLoss,  // it may or may not have happened
  kNotSent,         // the client took no request: the session is over
  kBadArguments,    // the server, or the client, finds it malformed
  kOther,
};

// What a call brought; each call fills what it has.
struct Reply {
  Code code = Code::kOk;
  std::string text;  // the error in words, the path created, or the data read
  std::vector<std::string> children;
  std::int64_t version = 0;  // of the data
};
using OnReply = std::function<void(const Reply&)>;

enum class SessionEvent : std::uint8_t { kNone, kConnected, kDisconnected, kExpired, kAuthFailed };
struct Event {
  SessionEvent session = SessionEvent::kNone;
  DurationMs negotiated_ms = 0;  // with kConnected
  std::string path;              // of a watch that fired
};

enum class Mode : std::uint8_t { kPersistent, kContainer, kEphemeralSequential };

// The number of the handle that is in use. What comes from any other, however late, is dropped on
// the strand before anybody sees it.
using CurrentHandle = std::shared_ptr<std::atomic<std::uint64_t>>;

struct HandleOptions {
  std::string hosts;   // "h1:2181,[::1]:2181"
  std::string digest;  // "user:password", or empty
  DurationMs timeout_ms = 0;
  std::uint64_t number = 0;
};

// Calls come from the strand. Open and Close block (names are looked up, threads joined, the
// farewell is sent), so they run elsewhere, and never on a thread of the client.
class Handle {
 public:
  // kUnavailable when no name can be resolved.
  static Result<std::unique_ptr<Handle>> Open(const HandleOptions& options, Strand& strand,
                                              CurrentHandle current,
                                              std::function<void(const Event&)> on_event);
  // Ends the session when connected; after it no answer or event is posted any more. Answers that
  // are still due are never given.
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  // Each is answered once by a task on the strand, while the handle is the current one.
  void Create(const std::string& path, const std::string& data, Mode mode, OnReply done);
  void Delete(const std::string& path, OnReply done);
  void Set(const std::string& path, const std::string& data, std::int64_t version, OnReply done);
  // With `watch` one event names the path when it changes.
  void Get(const std::string& path, bool watch, OnReply done);
  void Exists(const std::string& path, bool watch, OnReply done);
  void Children(const std::string& path, bool watch, OnReply done);
  // A round trip to the leader, without a write.
  void Sync(OnReply done);

 private:
  class Impl;
  explicit Handle(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace lts::registry::zookeeper

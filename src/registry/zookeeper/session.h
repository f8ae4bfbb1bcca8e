// One session after another with a ZooKeeper ensemble: connects, keeps the time-out itself, makes a
// new session when one is over.
//
// The time-out. The C client learns that its session has expired from a server, so only after it
// can connect again; a process that is cut off would believe in its session for ever. So this class
// counts: a session is over when `timeout` has passed since the *sending* of the last request that
// was answered. The server counts from when it received it, which is later: this side gives up
// first. The client's own pings do not help: it tells nobody about them, and a follower answers
// them, and reads, alone while it does not notice yet that it has lost its leader, which is where
// sessions expire. So a quarter of the time-out apart a `sync` is sent, which goes to the leader
// and back and writes nothing.
//
// A handle (the client's two threads) is thrown away when no server took its session within a
// window, and with it its reconnecting several times a second; the next is made after a back-off
// with jitter.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>

#include "common/clock.h"
#include "common/strand.h"
#include "registry/registry.h"
#include "registry/zookeeper/handle.h"
#include "registry/zookeeper/tree.h"

namespace lts::registry::zookeeper {

// Before something is tried again that the server refused, or failed, with the connection standing.
inline constexpr DurationMs kRefusedPauseMs = 5'000;

struct SessionOptions {
  std::string address;  // registryAddress, for messages
  std::string hosts;    // "h1:2181,h2:2181"
  std::string digest;
  DurationMs timeout_ms = 0;
  DurationMs backoff_min_ms = 0;
  DurationMs backoff_max_ms = 0;
  std::uint64_t seed = 0;
};

// State belongs to the strand, everything marked otherwise apart. Borrows all it is given.
class Session {
 public:
  // Called on the strand.
  struct Hooks {
    std::function<void(const SessionInfo&)> told;  // each change of state or reason
    std::function<void()> ready;    // requests may be sent; also after a break of the connection
    std::function<void()> expired;  // before `told`
    std::function<void(const std::string&)> changed;  // the path of a watch that fired
  };

  // `helper` is where handles are opened and closed.
  Session(const SessionOptions& options, const Tree& tree, const Clock& clock, Strand& strand,
          Strand& helper, Hooks hooks);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Start();
  // The handle, for its destruction when the strand and the helper have stopped. Any thread.
  std::unique_ptr<Handle> TakeHandle();

  // Null without a confirmed connection.
  Handle* handle() const { return ready_ ? handle_.get() : nullptr; }
  std::uint64_t generation() const { return generation_; }
  // Runs `task` on the strand after the delay, if the same handle is in use then.
  void After(DurationMs delay_ms, std::function<void()> task);
  // What a request gets that cannot be sent.
  Status NotConnected() const;
  // What an answer means, in words for the operator.
  Status StatusOf(const Reply& reply, const std::string& what) const;

  // Thread-safe.
  SessionInfo info() const;
  Status WaitConnected(DurationMs timeout) const;

 private:
  void OpenHandle();
  void Opened(Result<std::unique_ptr<Handle>> opened);
  void OnEvent(const Event& event);
  void OnSessionEvent(const Event& event);
  void Tick();
  void Probe();
  void Confirm(std::int64_t sent_us);
  void EnsureTree(std::size_t index);
  void CheckAccess();
  void TreeFailed(const Reply& reply, const std::string& what);
  void Ready();
  std::int64_t ValidUntilUs() const;
  void CheckExpiry();
  void Expire(const std::string& why);
  void GiveUp(Status reason);
  std::unique_ptr<Handle> Abandon();
  void Dispose(std::unique_ptr<Handle> handle);
  void Tell(SessionState state, Status reason);

  const SessionOptions options_;
  const Tree& tree_;
  const Clock& clock_;
  Strand& strand_;
  Strand& helper_;
  const Hooks hooks_;

  const CurrentHandle current_ = std::make_shared<std::atomic<std::uint64_t>>(0);
  std::unique_ptr<Handle> handle_;
  std::mt19937_64 random_;
  int failures_ = 0;  // handles given up since the last session
  std::uint64_t generation_ = 1;
  Event early_event_;         // came before the handle itself
  bool connected_ = false;    // a server has taken the session
  bool tree_busy_ = false;    // EnsureTree is at work
  bool established_ = false;  // this handle's session has been told as connected
  bool ready_ = false;
  bool probe_out_ = false;
  DurationMs negotiated_ms_ = 0;
  std::int64_t confirmed_us_ = 0;

  mutable std::mutex mutex_;
  mutable std::condition_variable told_;
  SessionInfo info_;                 // guarded by mutex_
  std::int64_t valid_until_us_ = 0;  // guarded by mutex_; of the session told as connected
};

}  // namespace lts::registry::zookeeper

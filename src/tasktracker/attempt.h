// One attempt of a job on this TaskTracker, from its assignment until the owner has acknowledged
// its result.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_set>

#include "common/clock.h"
#include "lts/v1/worker.pb.h"
#include "tasktracker/runners/runner.h"

namespace lts::tasktracker {

// Why an attempt was asked to stop. The first reason stays.
enum class StopCause : std::uint8_t {
  kNone = 0,
  kTimedOut = 1,    // its time-out
  kStopped = 2,     // the owner said so: cancelled, or not its attempt any more
  kLeaseEnded = 3,  // cut off from the owner for too long
  kShutdown = 4,    // this TaskTracker is stopping
};

// Owned by the Link. The slot that runs it borrows it until it has handed it back as ended.
struct Attempt {
  using TimeoutIndex = std::multimap<std::int64_t, Attempt*>;

  // Set before the slot gets it, and not changed while it runs.
  v1::AttemptKey key;
  runners::AttemptInput input;  // emptied when the attempt has ended
  std::stop_source stop;

  // Shared between slot and Link.
  std::atomic<std::int64_t> started_us{0};  // monotonic; 0 as long as it waits for a slot
  std::atomic<StopCause> cause{StopCause::kNone};

  // The LogShipper's, under its lock.
  std::uint64_t log_lines = 0;
  std::uint64_t log_lines_dropped = 0;

  // The rest is the Link's.
  bool ended = false;
  std::int64_t stop_us = 0;        // when it was asked to stop
  bool stuck = false;              // asked to stop longer ago than the grace, and still running
  std::int64_t stuck_told_us = 0;  // when its owner was told that last; 0 not on this stream
  std::optional<TimeoutIndex::iterator> timeout;

  // The result, once ended.
  v1::Outcome outcome = v1::NONE;
  std::string message;
  std::int64_t later_delay_ms = 0;
  std::int64_t run_ms = 0;
  std::int64_t ended_us = 0;
  std::int64_t ended_ago_ms = 0;  // of a result of an earlier process: its age when it was loaded
  bool to_send = false;           // gathered for the next message
  std::int64_t sent_us = 0;       // on the present stream; 0 not sent
  bool storing = false;           // on its way into the FailStore
  bool stored = false;            // durable in the FailStore
};

// "job/cycle/attempt/epoch-sequence": the key of a result in the FailStore.
std::string KeyText(const v1::AttemptKey& key);

// Attempts by their whole key, token included, for look-up by the key alone.
struct AttemptHash {
  using is_transparent = void;
  std::size_t operator()(const v1::AttemptKey& key) const {
    // Sequences are unique within an owner; the epoch keeps leftovers of earlier ones apart.
    return static_cast<std::size_t>((key.token().sequence() ^ (key.token().epoch() << 40)) *
                                    0x9e3779b97f4a7c15ULL);
  }
  std::size_t operator()(const std::unique_ptr<Attempt>& attempt) const {
    return (*this)(attempt->key);
  }
};
struct AttemptEqual {
  using is_transparent = void;
  static bool Same(const v1::AttemptKey& a, const v1::AttemptKey& b) {
    return a.token().sequence() == b.token().sequence() && a.token().epoch() == b.token().epoch() &&
           a.attempt() == b.attempt() && a.cycle_ms() == b.cycle_ms() && a.job_id() == b.job_id();
  }
  bool operator()(const std::unique_ptr<Attempt>& a, const std::unique_ptr<Attempt>& b) const {
    return Same(a->key, b->key);
  }
  bool operator()(const v1::AttemptKey& a, const std::unique_ptr<Attempt>& b) const {
    return Same(a, b->key);
  }
  bool operator()(const std::unique_ptr<Attempt>& a, const v1::AttemptKey& b) const {
    return Same(a->key, b);
  }
};
using AttemptSet = std::unordered_set<std::unique_ptr<Attempt>, AttemptHash, AttemptEqual>;

// An attempt from what the owner sent; takes the texts out of `assignment`.
std::unique_ptr<Attempt> MakeAttempt(v1::Assignment& assignment);

// An attempt that ended in an earlier process, from its record in the FailStore.
std::unique_ptr<Attempt> MakeEnded(v1::AttemptResult result, DurationMs stored_ago_ms);

// The words of the wire for how it ended. For an ended attempt.
void FillResult(const Attempt& attempt, std::int64_t now_us, v1::AttemptResult* result);

// What a stuck attempt shows as its progress, before what it says itself.
std::string StuckText(const Attempt& attempt, std::int64_t now_us);

// Settles outcome and message from what the runner said and why it was asked to stop. `ran` is
// false when it was stopped before it began.
void SetOutcome(Attempt& attempt, runners::RunOutcome outcome, bool ran, std::int64_t ended_us);

}  // namespace lts::tasktracker

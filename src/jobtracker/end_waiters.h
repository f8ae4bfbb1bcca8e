// Who waits for the end of a job of one partition, and until when.
//
// Everything is called on the strand of the partition. One timer serves all deadlines; a wait that
// is answered leaves nothing behind.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>

#include "common/clock.h"
#include "common/strand.h"
#include "lts/status.h"
#include "model/job_id.h"
#include "store/rows.h"

namespace lts {

class EndWaiters {
 public:
  // kDeadlineExceeded when the time is up, or why nobody can tell any more.
  using Done = std::function<void(Result<store::HistoryRow>)>;
  // Called for each wait that is over, with its job.
  using Over = std::function<void(const model::JobId&)>;

  EndWaiters(const Clock& clock, Over over) : clock_(clock), over_(std::move(over)) {}

  void Add(Strand& strand, const model::JobId& id, DurationMs timeout_ms, Done done);
  void Ended(const store::HistoryRow& row);
  // All of them are over.
  void Fail(const Status& why);

 private:
  // Deadline on the monotonic clock, and a number that tells equal ones apart.
  using Key = std::pair<std::int64_t, std::uint64_t>;
  struct Waiter {
    model::JobId id;
    Done done;
  };
  void Arm(Strand& strand);
  void OnTimer(Strand& strand);

  const Clock& clock_;
  const Over over_;
  std::map<Key, Waiter> waiters_;
  std::unordered_multimap<model::JobId, Key> by_job_;
  std::uint64_t last_ = 0;
  std::int64_t armed_us_ = INT64_MAX;
};

}  // namespace lts

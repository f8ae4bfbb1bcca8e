// Sends what waits in a FailStore, in order, when the way is open.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/strand.h"
#include "failstore/fail_store.h"

namespace lts {

struct ForwarderOptions {
  std::size_t batch_records_max = 256;
  std::size_t batch_bytes_max = 1U << 20;  // a larger record goes alone
  DurationMs backoff_min_ms = 1'000;
  DurationMs backoff_max_ms = 30'000;
  // Records that the receiver wants later are passed over up to this many; then the forwarder waits
  // until they are taken.
  std::size_t passed_over_max = 4'096;
  std::uint64_t seed = 0;  // of the jitter: each wait is between half and all of the back-off
};

// Forwards one kind. One batch is in flight at a time; what the receiver has taken is acknowledged
// in the store, what it refuses for good is parked, what it wants later is kept and sent again. A
// kept record never blocks those behind it, but records with the same key do wait behind it (from
// the next batch on; within a batch it is the receiver that refuses what depends on a refused
// record).
//
// What an answer means:
//   overall not ok: nothing of the batch counts as taken. When it may pass (common/may_pass.h), and
//     for kPermissionDenied, all is kept and sent again after a back-off; else the batch is sent
//     again record by record, and a record that is refused alone is parked.
//   per record: ok → Ack; when it may pass → kept; else → Park.
//
// Borrows store and strand; all work, the blocking store calls included, is done on the strand, so
// hand in one that may block. The functions may be called from any thread. To end: Stop, and
// destroy the Forwarder, the store or what the sender uses after `stopped` has run or the strand
// has been stopped.
class Forwarder {
 public:
  // Answers once, from any thread, with one status per record in the order of the batch when
  // `overall` is ok. Must answer in the end: give the call a deadline.
  using Done = std::function<void(Status overall, std::vector<Status> per_record)>;
  // Called on the strand; must not block.
  using Sender = std::function<void(std::vector<FailRecord> batch, Done done)>;
  // Called on the strand each time a look at the store, with the way open, finds nothing waiting.
  using OnEmpty = std::function<void()>;

  Forwarder(FailStore& store, FailKind kind, Strand& strand, Sender sender,
            const ForwarderOptions& options, OnEmpty on_empty = nullptr);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // There is somebody to send to: sends at once, a back-off ends. The way is closed at first.
  void WayOpen();
  // Nothing more is sent until WayOpen; the answer of the batch in flight still counts.
  void WayClosed();
  // Something was put into the store. Cheap; a running back-off is not cut short.
  void Wake();
  // Nothing more is sent. `stopped` (may be null) runs on the strand when the batch in flight has
  // been answered and the answer recorded.
  void Stop(std::function<void()> stopped);

 private:
  class Core;
  const std::shared_ptr<Core> core_;
};

}  // namespace lts

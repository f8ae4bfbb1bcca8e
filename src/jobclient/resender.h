// Sends what waits in a client's FailStore.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/strand.h"
#include "failstore/adopt.h"
#include "failstore/fail_store.h"
#include "failstore/forwarder.h"
#include "jobclient/trackers.h"
#include "lts/v1/client.pb.h"

namespace lts::jobclient {

struct ResenderOptions {
  std::string identity;
  std::string node_group;
  std::string engine;       // of the FailStore
  std::string base_folder;  // beside whose folder the siblings are
  DurationMs adopt_period_ms = 60'000;
  std::int64_t deadline_ms = 10'000;  // of one request
  DurationMs backoff_min_ms = 200;
  DurationMs backoff_max_ms = 5'000;
};

// Forwards stored submits and operations in order, as `maybe_sent`, and adopts what dead processes
// of the same name left, at start and each adopt_period_ms. What the JobTracker refuses for good is
// parked; a stored operation that finds nothing to act on any more is done with.
//
// Borrows store, strand (which may block) and trackers. Destroy it after the strand has been
// stopped; an answer that comes later is not recorded, and its records are sent again by the next
// process.
class Resender {
 public:
  Resender(ResenderOptions options, FailStore& store, Strand& disk, Trackers& trackers);
  Resender(const Resender&) = delete;
  Resender& operator=(const Resender&) = delete;

  // Something was stored. Any thread.
  void Wake() { forwarder_.Wake(); }
  // A JobTracker has answered, or another one is there: a back-off after failures to reach one
  // ends. Cheap. Any thread.
  void WayMayBeOpen();

 private:
  struct Relay;
  using RelayPtr = std::shared_ptr<Relay>;

  void Send(std::vector<FailRecord> batch, Forwarder::Done done);
  void SendNext(const RelayPtr& relay);
  void SendSubmits(const RelayPtr& relay);
  void SendOperation(const RelayPtr& relay);
  Status NobodyKnown() const;
  void NoteDuplicates(const v1::SubmitRequest& request, const v1::SubmitResponse& response);
  // The first `count` unanswered records of the relay have these answers.
  void Answered(const RelayPtr& relay, const Status& overall, std::vector<Status> per_record);

  const ResenderOptions options_;
  Trackers& trackers_;
  std::atomic<bool> out_of_reach_{false};
  // Jobs that gave way to one that stood already, and which that is: an operation behind such a
  // submit is one of that job. Touched only on the way of the batch, of which there is one at a
  // time.
  std::unordered_map<std::string, std::string> stands_for_;
  Forwarder forwarder_;
  SiblingWatch siblings_;
};

}  // namespace lts::jobclient

// Which JobTracker owns which partition, as far as a client knows.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "jobclient/trackers.h"
#include "lts/status.h"
#include "lts/v1/cluster.pb.h"

namespace lts::jobclient {

// A table of the owners' addresses, learnt from any JobTracker at first need, a few seconds after
// the last time, and soon after an owner did not answer or refused. Of two epochs the higher one
// counts; another cluster id starts the table anew. An owner that is in doubt, or that is not among
// the JobTrackers that are there, counts as unknown: any other one passes requests on.
//
// With a single JobTracker there is nothing to learn, and nothing is asked. Thread-safe; borrows
// what it is given. Destroy it after the trackers, whose calls bring it answers.
class Routes {
 public:
  Routes(Trackers& trackers, const Clock& clock) : trackers_(trackers), clock_(clock) {}
  Routes(const Routes&) = delete;
  Routes& operator=(const Routes&) = delete;

  // Where requests go, at a moment.
  struct View {
    TrackerPtr any;                  // null when no JobTracker is known
    std::vector<TrackerPtr> owners;  // by partition; null where it is not known

    // Of the requests about the jobs of a group.
    const TrackerPtr& TargetOf(std::string_view group) const;
  };
  std::shared_ptr<const View> Look();

  // Whether there may be different targets at all.
  bool Many() const { return trackers_.Many(); }
  // Asks for the table if it is time to. Returns at once. Not under a lock of the caller's.
  void RefreshIfDue();
  // The list of JobTrackers is about to change: those that go are not held on to.
  void TrackersChange();
  // `tracker` did not answer, or said that it is not the owner.
  void Suspect(const TrackerPtr& tracker);

 private:
  struct Entry {
    std::string address;
    std::uint64_t epoch = 0;
    std::int64_t doubted_until_us = 0;
  };

  void Learn(const TrackerPtr& asked, const Status& status, const v1::RoutesResponse& response);

  Trackers& trackers_;
  const Clock& clock_;

  std::mutex mutex_;
  // Guarded by mutex_.
  std::string cluster_id_;
  std::vector<Entry> entries_;
  std::shared_ptr<const View> view_;  // null: to be made anew
  std::uint64_t view_version_ = 0;    // of the trackers, of which it was made
  bool asking_ = false;
  std::int64_t asked_us_ = 0;
  std::int64_t ask_at_us_ = 0;
};

}  // namespace lts::jobclient

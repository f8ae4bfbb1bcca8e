// Hears from the JobTrackers how jobs of the client's group ended, and tells the handler.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>

#include "common/clock.h"
#include "common/strand.h"
#include "jobclient/trackers.h"
#include "lts/job_client.h"
#include "lts/v1/feedback.pb.h"

namespace lts::jobclient {

struct FeedbackOptions {
  std::string node_group;
  std::string identity;
  std::int32_t window = 100;
  // Runs on the receiver's own thread, one item at a time. A throw counts as kAgain.
  std::function<Ack(const v1::FeedbackItem&)> handler;
  DurationMs backoff_min_ms = 200;
  DurationMs backoff_max_ms = 5'000;
};

// One stream to each JobTracker that is there, opened again with backoff when it breaks. An item is
// acknowledged after the handler has returned; items of a broken stream that the handler has not
// seen yet are dropped, since they are offered again. `window` items per stream are asked for;
// another implementation of a JobTracker may send some more, so a stream is ended only far beyond,
// at what OverrunMax says.
//
// Owns the handler's thread; borrows trackers and `control`, a strand for everything but the
// handler. Stop() waits for the running handler and ends the streams in order; not from the handler
// or `control`.
class FeedbackReceiver {
 public:
  FeedbackReceiver(FeedbackOptions options, Trackers& trackers, Strand& control);
  ~FeedbackReceiver() { Stop(); }
  FeedbackReceiver(const FeedbackReceiver&) = delete;
  FeedbackReceiver& operator=(const FeedbackReceiver&) = delete;

  void Start();
  // The list of JobTrackers may have changed: new ones are connected to, the streams to those that
  // have gone end. Any thread.
  void TrackersChanged();
  void Stop();

  // Items of one stream that may wait here before it is ended.
  static std::int32_t OverrunMax(std::int32_t window) { return 2 * window + 1024; }

 private:
  // One life of one stream. Shared by the callbacks, the handler's tasks and `sessions_`.
  struct Session {
    TrackerPtr target;
    std::atomic<bool> live{true};
    std::atomic<std::int32_t> waiting{0};  // items not handled yet
    std::atomic<bool> heard{false};        // it worked: the next backoff starts small
    std::mutex mutex;  // held while the stream is made, so that nobody acks too early
    std::condition_variable closed_changed;
    bool closed = false;
    std::unique_ptr<rpc::Stream<v1::FeedbackClientMessage>> stream;
  };
  using SessionPtr = std::shared_ptr<Session>;
  // What is known of a JobTracker that is there.
  struct Peer {
    SessionPtr session;  // the present one, or the one before a back-off
    DurationMs backoff_ms = 0;
  };

  void Sync();
  void Connect(const TrackerPtr& target);
  void OnMessage(const SessionPtr& session, v1::FeedbackTrackerMessage message);
  void OnClosed(const SessionPtr& session, const Status& status);
  void Reconnect(const SessionPtr& session, const Status& status);
  static void EndStream(Session& session);
  void Handle(const SessionPtr& session, const v1::FeedbackTrackerMessage& message);
  Ack CallHandler(const v1::FeedbackItem& item) const;
  static void SendAcks(Session& session, v1::FeedbackClientMessage* acks);

  const FeedbackOptions options_;
  const TimeMs started_ms_ = SystemClock().WallMs();
  Trackers& trackers_;
  Strand& control_;
  std::atomic<bool> stopping_{false};
  // Of `control`; Stop reads them when that does nothing any more.
  std::map<TrackerPtr, Peer> peers_;
  std::minstd_rand random_;
  ThreadStrand handler_;
};

}  // namespace lts::jobclient

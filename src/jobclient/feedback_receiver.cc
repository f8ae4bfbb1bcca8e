#include "jobclient/feedback_receiver.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <future>

#include "common/daemon.h"
#include "common/ids.h"
#include "common/log.h"

namespace lts::jobclient {
namespace {

// Acks gather while the handler is quick; nobody waits for one longer than this.
constexpr int kAcksPerMessageMax = 64;
constexpr std::chrono::milliseconds kAckDelayMax{50};
// How long Stop lets the last acks go out.
constexpr std::chrono::seconds kCloseTimeout{2};

}  // namespace

FeedbackReceiver::FeedbackReceiver(FeedbackOptions options, Trackers& trackers, Strand& control)
    : options_(std::move(options)),
      trackers_(trackers),
      control_(control),
      random_(static_cast<std::uint32_t>(RandomSeed())),
      handler_("lts-feedback") {}

void FeedbackReceiver::Start() { TrackersChanged(); }

void FeedbackReceiver::TrackersChanged() {
  control_.Post([this] { Sync(); });
}

void FeedbackReceiver::Sync() {
  if (stopping_) return;
  const std::vector<TrackerPtr> present = trackers_.All();
  for (auto peer = peers_.begin(); peer != peers_.end();) {
    if (std::find(present.begin(), present.end(), peer->first) != present.end()) {
      ++peer;
      continue;
    }
    LTS_INFO("feedback ends, the JobTracker has gone address={}", peer->first->address());
    peer->second.session->live = false;
    EndStream(*peer->second.session);
    peer = peers_.erase(peer);
  }
  for (const TrackerPtr& target : present) {
    if (!peers_.try_emplace(target, Peer{nullptr, options_.backoff_min_ms}).second) continue;
    Connect(target);
  }
}

// Also when Stop has begun meanwhile: it waits, and ends what is made here.
void FeedbackReceiver::Connect(const TrackerPtr& target) {
  const auto peer = peers_.find(target);
  if (peer == peers_.end()) return;
  auto session = std::make_shared<Session>();
  session->target = target;
  peer->second.session = session;
  v1::FeedbackClientMessage hello;
  hello.mutable_hello()->set_node_group(options_.node_group);
  hello.mutable_hello()->set_identity(options_.identity);
  hello.mutable_hello()->set_window(options_.window);
  hello.mutable_hello()->set_version(std::string(Version()));
  hello.mutable_hello()->set_started_ms(started_ms_);
  const std::lock_guard lock(session->mutex);
  session->stream = target->channel().Feedback(
      {[this, session](v1::FeedbackTrackerMessage message) {
         OnMessage(session, std::move(message));
       },
       [this, session](const Status& status) { OnClosed(session, status); }});
  session->stream->Send(std::move(hello));
}

void FeedbackReceiver::OnMessage(const SessionPtr& session, v1::FeedbackTrackerMessage message) {
  session->heard = true;
  const int count = message.items_size();
  if (count == 0 || !session->live) return;
  const std::int32_t waiting = session->waiting.fetch_add(count) + count;
  if (waiting > OverrunMax(options_.window)) {
    // What is dropped is offered again on the next stream.
    session->live = false;
    control_.Post([this, session, waiting] {
      LTS_WARN(
          "the JobTracker sends feedback far beyond the window, connecting again address={} "
          "waiting={} window={} max={}",
          session->target->address(), waiting, options_.window, OverrunMax(options_.window));
      const std::lock_guard lock(session->mutex);
      if (session->stream) session->stream->Close();
    });
    return;
  }
  handler_.Post([this, session, message = std::move(message)] { Handle(session, message); });
}

void FeedbackReceiver::OnClosed(const SessionPtr& session, const Status& status) {
  session->live = false;
  control_.Post([this, session, status] { Reconnect(session, status); });
  // Last, and not under a lock of the receiver: Stop may be waiting for just this.
  const std::lock_guard lock(session->mutex);
  session->closed = true;
  session->closed_changed.notify_all();
}

// Outside the session's lock: the end of a stream waits for its callbacks, one of which takes it.
void FeedbackReceiver::EndStream(Session& session) {
  std::unique_ptr<rpc::Stream<v1::FeedbackClientMessage>> stream;
  {
    const std::lock_guard lock(session.mutex);
    stream = std::move(session.stream);
  }
  stream.reset();
}

void FeedbackReceiver::Reconnect(const SessionPtr& session, const Status& status) {
  if (stopping_) return;  // Stop ends the stream
  EndStream(*session);
  const auto peer = peers_.find(session->target);
  if (peer == peers_.end() || peer->second.session != session) return;  // it has gone
  DurationMs& backoff = peer->second.backoff_ms;
  if (session->heard) backoff = options_.backoff_min_ms;
  if (status.code() == StatusCode::kPermissionDenied) {
    LTS_WARN("feedback refused address={} error=\"{}\"", session->target->address(),
             status.ToString());
    backoff = options_.backoff_max_ms;
  } else {
    LTS_DEBUG("feedback stream ended address={} status=\"{}\" again_in_ms={}",
              session->target->address(), status.ToString(), backoff);
  }
  const DurationMs wait_ms =
      std::uniform_int_distribution<DurationMs>(backoff / 2, backoff)(random_);
  backoff = std::min(backoff * 2, options_.backoff_max_ms);
  control_.PostAfter(wait_ms * 1000, [this, session] {
    if (stopping_) return;
    // Not when the JobTracker went and came meanwhile.
    const auto now = peers_.find(session->target);
    if (now != peers_.end() && now->second.session == session) Connect(session->target);
  });
}

void FeedbackReceiver::Handle(const SessionPtr& session,
                              const v1::FeedbackTrackerMessage& message) {
  v1::FeedbackClientMessage acks;
  auto last_sent = std::chrono::steady_clock::now();
  for (const v1::FeedbackItem& item : message.items()) {
    if (stopping_ || !session->live) break;
    const Ack answer = CallHandler(item);
    session->waiting.fetch_sub(1);
    v1::FeedbackAck* ack = acks.add_acks();
    ack->set_job_id(item.job_id());
    ack->set_cycle_ms(item.cycle_ms());
    ack->set_attempt(item.attempt());
    ack->set_again(answer == Ack::kAgain);
    const auto now = std::chrono::steady_clock::now();
    if (acks.acks_size() >= kAcksPerMessageMax || now - last_sent >= kAckDelayMax) {
      SendAcks(*session, &acks);
      last_sent = now;
    }
  }
  if (acks.acks_size() > 0) SendAcks(*session, &acks);
}

Ack FeedbackReceiver::CallHandler(const v1::FeedbackItem& item) const {
  try {
    return options_.handler(item);
  } catch (const std::exception& error) {
    LTS_WARN("feedback handler threw, offered again job={} error=\"{}\"", item.job_id(),
             error.what());
  } catch (...) {
    // The handler is the user's code: whatever it throws, the result must stay with the JobTracker.
    LTS_WARN("feedback handler threw, offered again job={} error=\"not a std::exception\"",
             item.job_id());
  }
  return Ack::kAgain;
}

void FeedbackReceiver::SendAcks(Session& session, v1::FeedbackClientMessage* acks) {
  v1::FeedbackClientMessage message;
  message.Swap(acks);
  const std::lock_guard lock(session.mutex);
  if (session.stream) session.stream->Send(std::move(message));
}

void FeedbackReceiver::Stop() {
  if (stopping_.exchange(true)) return;
  handler_.Stop();
  // A round through `control`: nobody makes sessions any more. (A strand stopped already makes none
  // either.)
  auto round = std::make_shared<std::promise<void>>();
  auto done = round->get_future();
  control_.Post([round = std::move(round)] { round->set_value(); });
  done.wait();
  for (const auto& [target, peer] : peers_) {
    Session& session = *peer.session;
    {
      std::unique_lock lock(session.mutex);
      if (session.stream) {
        session.stream->Close();
        session.closed_changed.wait_for(lock, kCloseTimeout, [&session] { return session.closed; });
      }
    }
    EndStream(session);
  }
}

}  // namespace lts::jobclient

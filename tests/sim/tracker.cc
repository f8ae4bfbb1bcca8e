#include "tracker.h"

#include <utility>

#include "checker.h"

namespace lts::sim {

class SimTracker::PartOutbox final : public Outbox {
 public:
  PartOutbox(SimTracker& tracker, std::uint32_t partition)
      : tracker_(tracker), partition_(partition) {}
  void Submitted(std::vector<core::SubmitReply> replies) override {
    for (const core::SubmitReply& reply : replies) tracker_.Answer(reply);
  }
  void Cancelled(std::vector<core::CancelReply> replies) override {
    for (const core::CancelReply& reply : replies) tracker_.Answer(reply);
  }
  void ToWorker(core::WorkerSend message) override {
    tracker_.ToWorker(partition_, std::move(message));
  }
  void ToFeedback(core::FeedbackSend message) override { tracker_.ToFeedback(std::move(message)); }
  void Ended(const store::HistoryRow&) override {}
  void Reset(std::uint32_t partition, const Status&) override { tracker_.OnReset(partition); }

 private:
  SimTracker& tracker_;
  const std::uint32_t partition_;
};

SimTracker::SimTracker(World& world) : world_(world), store_(world, world.store(), process_) {
  for (std::uint32_t i = 0; i < world.config().partitions; ++i) {
    PartitionHostOptions options;
    options.core = world.config().core;
    options.core.partition = i;
    options.core.seed = world.random().Next();
    options.owner = "tracker";
    options.commit_mutations_max = world.config().commit_mutations_max;
    options.ack_before_commit = world.config().ack_before_commit;
    outboxes_.push_back(std::make_unique<PartOutbox>(*this, i));
    strands_.push_back(&world.NewStrand(process_));
    hosts_.push_back(std::make_unique<PartitionHost>(
        options, store_, *strands_.back(), world.NewStrand(process_, true),
        world.NewStrand(process_, true), world.tracker_clock(), *outboxes_.back()));
  }
}

SimTracker::~SimTracker() = default;

void SimTracker::Start() {
  for (const auto& host : hosts_) host->Start([](const Status&) {});
}

void SimTracker::Stop(std::function<void()> done) {
  stopping_ = true;
  to_stop_ = hosts_.size();
  for (const auto& host : hosts_) {
    host->Stop([this, done] {
      if (--to_stop_ == 0) done();
    });
  }
}

void SimTracker::Die() {
  process_->alive = false;
  pending_.clear();
  streams_.clear();
  world_.BreakAll();
}

bool SimTracker::AllServing() const {
  for (const auto& host : hosts_) {
    if (!host->serving()) return false;
  }
  return true;
}

void SimTracker::Submit(std::uint32_t partition, std::vector<core::SubmitItem> items,
                        SubmitDone done) {
  strands_[partition]->Post(
      [this, partition, items = std::move(items), done = std::move(done)]() mutable {
        core::SubmitEvent event;
        event.request = ++last_request_;
        event.items = std::move(items);
        Pending& pending = pending_[event.request];
        pending.partition = partition;
        pending.missing = event.items.size();
        pending.submit_done = std::move(done);
        hosts_[partition]->Handle(std::move(event));
      });
}

void SimTracker::Cancel(std::uint32_t partition, core::CancelEvent event, CancelDone done) {
  strands_[partition]->Post(
      [this, partition, event = std::move(event), done = std::move(done)]() mutable {
        event.request = ++last_request_;
        Pending& pending = pending_[event.request];
        pending.partition = partition;
        pending.cancel_done = std::move(done);
        pending.group = event.group;
        pending.task = event.task_id;
        hosts_[partition]->Handle(std::move(event));
      });
}

void SimTracker::Answer(const core::SubmitReply& reply) {
  world_.checker().OnSubmitReply(reply);
  const auto found = pending_.find(reply.request);
  if (found == pending_.end()) return;
  found->second.replies.push_back(reply);
  if (found->second.replies.size() < found->second.missing) return;
  Pending done = std::move(found->second);
  pending_.erase(found);
  done.submit_done(std::move(done.replies));
}

void SimTracker::Answer(const core::CancelReply& reply) {
  const auto found = pending_.find(reply.request);
  if (found == pending_.end()) return;
  world_.checker().OnCancelReply(reply, found->second.group, found->second.task);
  Pending done = std::move(found->second);
  pending_.erase(found);
  done.cancel_done(reply);
}

void SimTracker::FromStream(const StreamPtr& stream, core::Event event) {
  strands_[stream->partition]->Post([this, stream, event = std::move(event)]() mutable {
    if (!stream->tracker_open) return;
    streams_[stream->id] = stream;
    hosts_[stream->partition]->Handle(std::move(event));
  });
}

void SimTracker::StreamClosed(const StreamPtr& stream) {
  strands_[stream->partition]->Post([this, stream] {
    stream->tracker_open = false;
    if (streams_.erase(stream->id) == 0) return;
    hosts_[stream->partition]->Handle(core::WorkerClosedEvent{stream->id});
    hosts_[stream->partition]->Handle(core::FeedbackClosedEvent{stream->id});
  });
}

void SimTracker::ToWorker(std::uint32_t partition, core::WorkerSend message) {
  const auto found = streams_.find(message.stream);
  if (found == streams_.end()) {
    for (const core::Assignment& assignment : message.assignments) {
      world_.checker().OnAssignedNowhere(assignment);
    }
    return;
  }
  const StreamPtr stream = found->second;
  const bool close = message.close;
  for (const core::Assignment& assignment : message.assignments) {
    world_.checker().OnAssign(partition, assignment);
  }
  world_.SendToFar(stream, [stream, message = std::move(message)] { stream->on_worker(message); });
  if (!close) return;
  streams_.erase(stream->id);
  stream->tracker_open = false;
  world_.Break(stream, true, false);
}

void SimTracker::ToFeedback(core::FeedbackSend message) {
  const auto found = streams_.find(message.stream);
  if (found == streams_.end()) return;
  const StreamPtr stream = found->second;
  if (message.close) {
    streams_.erase(found);
    stream->tracker_open = false;
    world_.Break(stream, true, false);
    return;
  }
  world_.SendToFar(stream,
                   [stream, message = std::move(message)] { stream->on_feedback(message); });
}

void SimTracker::OnReset(std::uint32_t partition) {
  world_.Note({}, partition, "partition {} is loaded anew", partition);
  world_.Count("partition loaded anew");
  world_.checker().OnTrackerLoaded(partition);
  for (auto it = pending_.begin(); it != pending_.end();) {
    if (it->second.partition != partition) {
      ++it;
      continue;
    }
    Pending failed = std::move(it->second);
    it = pending_.erase(it);
    if (failed.cancel_done) {
      core::CancelReply reply;
      reply.code = StatusCode::kUnavailable;
      failed.cancel_done(reply);
    } else {
      failed.submit_done(std::move(failed.replies));
    }
  }
  for (auto it = streams_.begin(); it != streams_.end();) {
    const StreamPtr stream = it->second;
    if (stream->partition != partition) {
      ++it;
      continue;
    }
    it = streams_.erase(it);
    stream->tracker_open = false;
    world_.Break(stream, true, false);
  }
}

}  // namespace lts::sim

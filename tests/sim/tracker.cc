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
  void Operated(std::vector<core::OperateReply> replies) override {
    for (const core::OperateReply& reply : replies) tracker_.Answer(reply);
  }
  void ToWorker(core::WorkerSend message) override {
    tracker_.ToWorker(partition_, std::move(message));
  }
  void ToFeedback(core::FeedbackSend message) override { tracker_.ToFeedback(std::move(message)); }
  void Ended(const store::HistoryRow&) override {}
  void Serving() override { tracker_.world_.checker().OnTrackerLoaded(partition_); }
  void Reset(std::uint32_t partition, const Status& why) override {
    if (why.message().starts_with("it is handed over")) tracker_.world_.Count("handed over");
    tracker_.OnReset(partition);
  }

 private:
  SimTracker& tracker_;
  const std::uint32_t partition_;
};

SimTracker::SimTracker(World& world, int index)
    : world_(world),
      index_(index),
      store_(world, world.store(), process_, index),
      store_clock_(world.clock_of(index)),
      routes_(world.config().partitions) {
  const Config& config = world.config();
  const Clock& clock =
      config.cluster() ? static_cast<const Clock&>(store_clock_) : world.clock_of(index);
  for (std::uint32_t i = 0; i < config.partitions; ++i) {
    PartitionHostOptions options;
    options.core = config.core;
    options.core.partition = i;
    options.core.seed = world.random().Next();
    options.owner = fmt::format("tracker{}", index);
    if (config.cluster()) options.lease_ms = config.cluster_lease_ms;
    options.commit_mutations_max = config.commit_mutations_max;
    options.ack_before_commit = config.ack_before_commit;
    options.unleased_dispatch = config.unleased_dispatch;
    outboxes_.push_back(std::make_unique<PartOutbox>(*this, i));
    strands_.push_back(&world.NewStrand(process_));
    hosts_.push_back(std::make_unique<PartitionHost>(
        options, store_, *strands_.back(), world.NewStrand(process_, true),
        world.NewStrand(process_, true), clock, *outboxes_.back()));
  }
}

SimTracker::~SimTracker() = default;

void SimTracker::Start() {
  if (world_.config().cluster()) {
    StartCluster();
    return;
  }
  for (const auto& host : hosts_) host->Start([](const Status&) {});
}

// As the daemon does.
void SimTracker::StartCluster() {
  const std::int64_t now_us = store_clock_.MonotonicUs();
  store_clock_.Measured(world_.true_clock().WallMs(), now_us, now_us);
  LeaseKeeperOptions keeping;
  keeping.owner = fmt::format("tracker{}", index_);
  keeping.lease_ms = world_.config().cluster_lease_ms;
  keeping.period_ms = std::min<DurationMs>(1'000, keeping.lease_ms / 4);
  std::vector<LeaseKeeper::Host> kept;
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    hosts_[i]->SetAddress(std::to_string(index_));
    kept.push_back({hosts_[i].get(), strands_[i]});
  }
  member_ = std::make_unique<ClusterMember>(
      world_.config().partitions, world_.NewStrand(process_), store_clock_, metrics_,
      [this](const ClusterMember::Assigned& now) {
        for (std::size_t i = 0; i < hosts_.size(); ++i) {
          strands_[i]->Post([host = hosts_[i].get(),
                             assignment = PartitionAssignment{now.number, now.mine[i], now.live}] {
            host->Assign(assignment);
          });
        }
      });
  LeaseKeeper::Listeners listeners;
  listeners.on_store_answers = [this](bool answers) { member_->SetServing(answers); };
  keeper_ = std::make_unique<LeaseKeeper>(keeping, store_, world_.NewStrand(process_, true),
                                          world_.clock_of(index_), store_clock_, routes_,
                                          std::move(kept), std::move(listeners));
  registry_ = std::make_unique<SimRegistryHandle>(world_, world_.registry(), process_,
                                                  World::PlaceOf(index_), member_->ForRegistry());
  keeper_->Start();
  registry::Node node;
  node.identity = keeping.owner;
  node.incarnation = std::to_string(world_.random().Next());
  node.address = std::to_string(index_);
  member_->Start(*registry_, node, [](const Status&) {});
}

void SimTracker::Stop(std::function<void()> done) {
  stopping_ = true;
  if (member_) member_->Leave([this] { registry_.reset(); });
  to_stop_ = hosts_.size();
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    strands_[i]->Post([this, host = hosts_[i].get(), done] {
      host->Stop([this, done] {
        if (--to_stop_ == 0) done();
      });
    });
  }
}

std::optional<int> SimTracker::OwnerElsewhere(std::uint32_t partition) const {
  if (!world_.config().cluster() || hosts_[partition]->ServesNow()) return std::nullopt;
  const Route route = routes_.Of(partition);
  if (route.owner.empty() || route.address == std::to_string(index_)) return std::nullopt;
  return std::stoi(route.address);
}

void SimTracker::Die() {
  process_->alive = false;
  pending_.clear();
  streams_.clear();
  world_.BreakAll(index_);
}

void SimTracker::Submit(std::uint32_t partition, std::vector<core::SubmitItem> items,
                        SubmitDone done, bool forwarded) {
  if (const auto owner = OwnerElsewhere(partition); owner && !forwarded) {
    world_.Count("request passed on");
    World& world = world_;
    const std::string here = World::PlaceOf(index_);
    const std::string there = World::PlaceOf(*owner);
    world.SendDatagram(here, there,
                       [&world, here, there, owner = *owner, partition, items = std::move(items),
                        done = std::move(done)] {
                         SimTracker* tracker = world.tracker(owner);
                         if (tracker == nullptr) return;
                         tracker->Submit(
                             partition, items,
                             [&world, here, there, done](std::vector<core::SubmitReply> replies) {
                               world.SendDatagram(
                                   there, here,
                                   [done, replies = std::move(replies)] { done(replies); });
                             },
                             true);
                       });
    return;
  }
  strands_[partition]->Post([this, partition, items = std::move(items),
                             done = std::move(done)]() mutable {
    core::SubmitEvent event;
    event.request = ++last_request_;
    for (const core::SubmitItem& item : items) {
      world_.Note(item.id, 50, "arrives at JobTracker {} maybe_sent={}", index_, item.maybe_sent);
    }
    event.items = std::move(items);
    Pending& pending = pending_[event.request];
    pending.partition = partition;
    pending.missing = event.items.size();
    pending.submit_done = std::move(done);
    hosts_[partition]->Handle(std::move(event));
  });
}

void SimTracker::Operate(std::uint32_t partition, core::OperateEvent event, OperateDone done,
                         bool forwarded) {
  if (const auto owner = OwnerElsewhere(partition); owner && !forwarded) {
    World& world = world_;
    const std::string here = World::PlaceOf(index_);
    const std::string there = World::PlaceOf(*owner);
    world.SendDatagram(here, there,
                       [&world, here, there, owner = *owner, partition, event = std::move(event),
                        done = std::move(done)] {
                         SimTracker* tracker = world.tracker(owner);
                         if (tracker == nullptr) return;
                         tracker->Operate(
                             partition, event,
                             [&world, here, there, done](core::OperateReply reply) {
                               world.SendDatagram(
                                   there, here, [done, reply = std::move(reply)] { done(reply); });
                             },
                             true);
                       });
    return;
  }
  strands_[partition]->Post(
      [this, partition, event = std::move(event), done = std::move(done)]() mutable {
        event.request = ++last_request_;
        Pending& pending = pending_[event.request];
        pending.partition = partition;
        pending.operate_done = std::move(done);
        pending.operation = event;
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

void SimTracker::Answer(const core::OperateReply& reply) {
  const auto found = pending_.find(reply.request);
  if (found == pending_.end()) return;
  world_.checker().OnOperateReply(reply, found->second.operation);
  Pending done = std::move(found->second);
  pending_.erase(found);
  done.operate_done(reply);
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
    if (failed.operate_done) {
      core::OperateReply reply;
      reply.code = StatusCode::kUnavailable;
      failed.operate_done(reply);
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

#include "tasktracker/link.h"

#include <algorithm>

#include "common/log.h"
#include "model/job.h"

namespace lts::tasktracker {
namespace {

// Refusals in a row that are followed at once; then it is a loop, and the back-off counts.
constexpr int kRedirectsMax = 3;
constexpr DurationMs kHeartbeatMinMs = 20;
// While the partition is on its way from one owner to the next, the back-off stays short for as
// long as a hand-over takes.
constexpr DurationMs kUndecidedMs = 2'000;
constexpr DurationMs kUndecidedBackoffMs = 200;

}  // namespace

Link::Link(LinkOptions options, Parts parts)
    : options_(std::move(options)),
      channels_(std::move(parts.channels)),
      slots_(parts.slots),
      log_(parts.log),
      progress_(parts.progress),
      results_(parts.results),
      resolve_(std::move(parts.resolve)),
      on_connection_(std::move(parts.on_connection)),
      on_lease_(std::move(parts.on_lease)),
      strand_(parts.strand),
      disk_(parts.disk),
      clock_(parts.clock),
      job_trackers_(options_.job_trackers),
      random_(options_.seed),
      connected_gauge_(parts.metrics.AddGauge(
          "lts_tasktracker_connected", "1 while the owner of the group has accepted the hello.")),
      frozen_gauge_(parts.metrics.AddGauge("lts_tasktracker_frozen",
                                           "1 while the owner answers but may not assign.")),
      stuck_gauge_(parts.metrics.AddGauge(
          "lts_tasktracker_stuck",
          "Attempts that were asked to stop and have not within kill.grace.")),
      connects_(parts.metrics.AddCounter("lts_tasktracker_hellos_total", "Accepted hellos.")),
      dropped_assignments_(parts.metrics.AddCounter(
          "lts_tasktracker_assignments_dropped_total",
          "Assignments of an old epoch, known already, or come while stopping.")),
      lease_ends_(parts.metrics.AddCounter("lts_tasktracker_lease_ends_total",
                                           "Times the lease ended and attempts were stopped.")),
      limit_slots_(parts.metrics, "tasktracker.slots", parts.slots.count()),
      limit_unacked_(parts.metrics, "tasktracker.unacked", options_.unacked_max) {
  for (int i = 0; i < v1::Outcome_ARRAYSIZE; ++i) {
    const std::string name(model::Name(static_cast<model::Outcome>(i)));
    outcomes_[static_cast<std::size_t>(i)] = &parts.metrics.AddCounter(
        "lts_tasktracker_attempts_total", "Ended attempts by outcome.", {{"outcome", name}});
  }
  due_us_.fill(kNever);
}

Link::~Link() = default;

void Link::Start(std::vector<std::unique_ptr<Attempt>> left) {
  strand_.Post(
      [this, shared = std::make_shared<std::vector<std::unique_ptr<Attempt>>>(std::move(left))] {
        AddStored(std::move(*shared));
        Connect();
      });
}

void Link::SetJobTrackers(discovery::JobTrackers found) {
  strand_.Post([this, found = std::move(found)] {
    const bool others = found.addresses != job_trackers_.addresses;
    job_trackers_ = found;
    const bool waits = phase_ == Phase::kDown && due_us_[kReconnect] != kNever;
    if (!waits || (!others && !found.addresses.empty())) return;
    if (others) backoff_ms_ = 0;
    Connect();
  });
}

void Link::Connect() {
  ClearTimer(kReconnect);
  const std::vector<std::string>& known = job_trackers_.addresses;
  if (redirect_.empty() && known.empty()) {
    const std::string& reason = job_trackers_.why_none.message();
    if (!job_trackers_.looking && !reported_down_) {
      LTS_WARN("no JobTracker is known reason=\"{}\"", reason);
      reported_down_ = true;
    }
    on_connection_(false, "no JobTracker is known: " + reason);
    return ScheduleReconnect();
  }
  const std::string address = !redirect_.empty() ? redirect_ : known[next_address_ % known.size()];
  if (channel_ == nullptr || channel_->address() != address) {
    channel_.reset();
    channel_ = channels_(address);
  }
  const std::uint64_t generation = ++generation_;
  rpc::StreamCallbacks<v1::TrackerMessage> callbacks;
  callbacks.on_message = [this, generation](v1::TrackerMessage message) {
    auto shared = std::make_shared<v1::TrackerMessage>(std::move(message));
    strand_.Post([this, generation, shared] { OnMessage(generation, *shared); });
  };
  callbacks.on_closed = [this, generation](Status status) {
    strand_.Post([this, generation, status = std::move(status)] { OnClosed(generation, status); });
  };
  stream_ = channel_->Work(std::move(callbacks));
  phase_ = Phase::kHello;
  SetTimer(kHelloTimeout, NowUs() + options_.hello_timeout_ms * 1000);
  SendHello();
}

void Link::SendHello() {
  hello_sent_us_ = NowUs();
  v1::WorkerMessage message;
  v1::WorkerHello& hello = *message.mutable_hello();
  hello.set_group(options_.group);
  hello.set_identity(options_.identity);
  hello.set_incarnation(options_.incarnation);
  hello.set_session(session_);
  hello.set_number(++hellos_);
  capacity_told_ = Capacity();
  hello.set_capacity(capacity_told_);
  drain_told_ = Stopping();
  hello.set_draining(drain_told_);
  hello.set_version(options_.version);
  hello.set_address(options_.address);
  hello.set_started_ms(options_.started_ms);
  hello.set_cluster_id(cluster_id_);
  hello.set_epoch(epoch_);
  gathered_.clear();
  std::size_t bytes = 0;
  for (const auto& attempt : attempts_) {
    attempt->to_send = false;
    attempt->sent_us = 0;
    if (!attempt->ended) {
      *hello.add_running() = attempt->key;
      continue;
    }
    if (bytes < options_.message_bytes_max) {
      v1::AttemptResult* result = hello.add_results();
      FillResult(*attempt, hello_sent_us_, result);
      bytes += result->ByteSizeLong();
      attempt->sent_us = hello_sent_us_;
    } else {
      // Told as running, so that the owner adopts it; the result follows in a message of its own.
      *hello.add_running() = attempt->key;
    }
  }
  stream_->Send(std::move(message));
}

void Link::Disconnect(const std::string& reason) {
  const bool was_live = phase_ == Phase::kLive;
  ++generation_;
  stream_.reset();
  phase_ = Phase::kDown;
  frozen_ = false;
  unanswered_.clear();
  gathered_.clear();
  for (const Timer timer : {kHelloTimeout, kHeartbeat, kSend, kProgress}) ClearTimer(timer);
  for (const auto& attempt : attempts_) {
    attempt->to_send = false;
    attempt->stuck_told_us = 0;
  }
  connected_gauge_.Set(0);
  frozen_gauge_.Set(0);
  if (was_live) log_.SetWay("");
  if (was_live || !reported_down_) {
    LTS_WARN("not connected to a JobTracker address={} reason={}", channel_->address(), reason);
    reported_down_ = true;
  }
  on_connection_(false, "not connected to " + channel_->address() + ": " + reason);
  StoreResults();
  if (Stopping()) {
    AdvanceStop();
    if (stop_step_ >= StopStep::kStoring) return;
  }
  ScheduleReconnect();
}

void Link::ScheduleReconnect() {
  backoff_ms_ = backoff_ms_ == 0 ? options_.reconnect_min_ms
                                 : std::min(backoff_ms_ * 2, options_.reconnect_max_ms);
  std::uniform_int_distribution<DurationMs> jitter(backoff_ms_ / 2, backoff_ms_);
  SetTimer(kReconnect, NowUs() + jitter(random_) * 1000);
}

void Link::OnClosed(std::uint64_t generation, const Status& status) {
  if (generation != generation_) return;
  if (stop_step_ == StopStep::kClosing) {
    closed_ = true;
    AdvanceStop();
    return;
  }
  // Whoever was there is gone, or never was: the next one in the list.
  redirect_.clear();
  ++next_address_;
  Disconnect(status.ok() ? "the JobTracker has closed the stream" : status.ToString());
}

void Link::OnMessage(std::uint64_t generation, v1::TrackerMessage& message) {
  if (generation != generation_) return;
  if (message.has_hello()) {
    if (phase_ != Phase::kHello) return;
    OnHello(message.hello());
  }
  if (phase_ != Phase::kLive) return;
  // After a pause the messages that came meanwhile stand before the timer of the lease.
  if (options_.stop_working && NowUs() >= lease_until_us_) {
    OnLeaseEnd();
    return;
  }
  if (message.heartbeat() != 0) OnHeartbeatAnswer(message.heartbeat(), message.frozen());
  if (phase_ != Phase::kLive) return;
  if (message.acks_size() > 0) OnAcks(message);
  if (message.assignments_size() > 0) OnAssignments(message);
  // Last: one of them may be about what the same message has brought.
  for (const v1::AttemptKey& key : message.stops()) OnStop(key);
  AdvanceStop();
}

void Link::OnHello(const v1::HelloReply& reply) {
  ClearTimer(kHelloTimeout);
  if (reply.code() != v1::OK) {
    OnRefusal(reply);
    return;
  }
  if (!cluster_id_.empty() && reply.cluster_id() != cluster_id_) {
    // Epochs compare within one cluster only.
    LTS_WARN("the JobTracker belongs to another cluster than before was={} is={}", cluster_id_,
             reply.cluster_id());
    epoch_ = 0;
    session_ = 0;
  }
  if (reply.epoch() < epoch_) {
    redirect_.clear();
    ++next_address_;
    Disconnect(fmt::format("its epoch {} is older than {}: not the owner any more", reply.epoch(),
                           epoch_));
    return;
  }
  cluster_id_ = reply.cluster_id();
  epoch_ = reply.epoch();
  session_ = reply.session();
  lease_ms_ = std::max<DurationMs>(1, reply.lease_ms());
  heartbeat_ms_ = std::max(kHeartbeatMinMs, std::min(reply.heartbeat_ms(), lease_ms_ / 3));
  lease_ended_ = false;
  SetLease(hello_sent_us_ + lease_ms_ * 1000);
  backoff_ms_ = 0;
  redirects_ = 0;
  left_.clear();
  undecided_since_us_ = 0;
  reported_down_ = false;
  phase_ = Phase::kLive;
  connects_.Add();
  connected_gauge_.Set(1);
  LTS_INFO(
      "connected to the JobTracker address={} group={} identity={} session={} epoch={} lease_ms={}",
      channel_->address(), options_.group, options_.identity, session_, epoch_, lease_ms_);
  SetTimer(kHeartbeat, NowUs() + heartbeat_ms_ * 1000);
  log_.SetWay(channel_->address());
  on_connection_(true, "");
  // What ended since the hello was sent, and what had no room in it.
  for (const auto& attempt : attempts_) {
    if (attempt->ended && attempt->sent_us == 0) Gather(*attempt);
  }
  TellCapacity();
  SendGathered(true);
  SendProgress();
  if (unacked_ > 0) SetTimer(kScan, NowUs() + 1'000'000);
}

void Link::OnRefusal(const v1::HelloReply& reply) {
  const std::string reason = fmt::format("{}: {}", v1::Code_Name(reply.code()), reply.message());
  const std::string owner = reply.owner_address();
  const bool left = !owner.empty() && owner == left_ && !Present(owner);
  const bool follow =
      !owner.empty() && !left && owner != channel_->address() && redirects_ < kRedirectsMax;
  if (follow) {
    ++redirects_;
    redirect_ = owner;
    Disconnect(reason + ", the owner is " + owner);
    if (phase_ == Phase::kDown && due_us_[kReconnect] != kNever) SetTimer(kReconnect, NowUs());
    return;
  }
  if (reply.code() == v1::UNAVAILABLE && (owner.empty() || left)) {
    if (undecided_since_us_ == 0) undecided_since_us_ = NowUs();
    // It is doubled before it is used.
    if (NowUs() - undecided_since_us_ < kUndecidedMs * 1000) {
      backoff_ms_ = std::min(backoff_ms_, kUndecidedBackoffMs / 2);
    }
  }
  redirects_ = 0;
  redirect_.clear();
  ++next_address_;
  Disconnect(reason);
}

void Link::SendHeartbeat() {
  const std::int64_t now_us = NowUs();
  const DurationMs patience_ms = std::max(3 * heartbeat_ms_, lease_ms_ / 2);
  if (!unanswered_.empty() && now_us - unanswered_.front().second > patience_ms * 1000) {
    redirect_.clear();
    ++next_address_;
    Disconnect(fmt::format("no answer to heartbeats for {} ms",
                           (now_us - unanswered_.front().second) / 1000));
    return;
  }
  v1::WorkerMessage message;
  message.set_heartbeat(++heartbeat_number_);
  unanswered_.emplace_back(heartbeat_number_, now_us);
  stream_->Send(std::move(message));
  SetTimer(kHeartbeat, now_us + heartbeat_ms_ * 1000);
}

bool Link::Present(const std::string& address) const {
  const std::vector<std::string>& known = job_trackers_.addresses;
  return std::find(known.begin(), known.end(), address) != known.end();
}

void Link::OnHeartbeatAnswer(std::uint64_t number, bool frozen) {
  // Cut off from the store and from the registry another one takes over, which waits for the end of
  // the lease: this one must not renew it.
  if (frozen && job_trackers_.registered && !job_trackers_.addresses.empty() &&
      !Present(channel_->address())) {
    left_ = channel_->address();
    redirect_.clear();
    ++next_address_;
    Disconnect("it is frozen, and not registered as a JobTracker any more");
    return;
  }
  while (!unanswered_.empty() && unanswered_.front().first <= number) {
    if (unanswered_.front().first == number) {
      SetLease(std::max(lease_until_us_, unanswered_.front().second + lease_ms_ * 1000));
    }
    unanswered_.pop_front();
  }
  if (frozen == frozen_) return;
  frozen_ = frozen;
  frozen_gauge_.Set(frozen ? 1 : 0);
  LTS_INFO("the JobTracker {} group={}",
           frozen ? "is frozen: it assigns nothing for now" : "assigns again", options_.group);
}

void Link::SetLease(std::int64_t until_us) {
  lease_until_us_ = until_us;
  SetTimer(kLease, until_us);
  TellLease();
}

void Link::TellLease() {
  if (!on_lease_ || !options_.stop_working) return;
  on_lease_(lease_ended_ && running_ == 0 ? 0 : lease_until_us_);
}

void Link::OnLeaseEnd() {
  if (!options_.stop_working) {
    LTS_WARN(
        "the lease has ended, attempts go on (tasktracker.stop.working.enable=false) running={}",
        running_);
    return;
  }
  lease_ended_ = true;
  lease_ends_.Add();
  LTS_ERROR(
      "the lease has ended: cut off from the JobTracker, stopping what runs running={} lease_ms={}",
      running_, lease_ms_);
  for (const auto& attempt : attempts_) {
    if (!attempt->ended) RequestStop(*attempt, StopCause::kLeaseEnded);
  }
  TellLease();
  // Nothing starts before a new hello, so there has to be one.
  if (phase_ == Phase::kLive) Disconnect("the lease has ended");
}

void Link::SetTimer(Timer timer, std::int64_t at_us) {
  due_us_[timer] = at_us;
  Arm();
}

void Link::Arm() {
  const std::int64_t next_us = *std::min_element(due_us_.begin(), due_us_.end());
  // A later timer that is armed already fires in vain, which is cheaper than taking it back.
  if (next_us >= armed_us_) return;
  armed_us_ = next_us;
  strand_.PostAfter(std::max<std::int64_t>(0, next_us - NowUs()), [this, next_us] {
    if (armed_us_ == next_us) armed_us_ = kNever;
    RunTimers();
  });
}

void Link::RunTimers() {
  for (std::uint8_t timer = 0; timer < kTimerCount; ++timer) {
    if (due_us_[timer] > NowUs()) continue;
    due_us_[timer] = kNever;
    RunTimer(static_cast<Timer>(timer));
  }
  Arm();
}

void Link::RunTimer(Timer timer) {
  switch (timer) {
    case kReconnect: Connect(); return;
    case kHelloTimeout:
      redirect_.clear();
      ++next_address_;
      Disconnect("no answer to the hello");
      return;
    case kHeartbeat: SendHeartbeat(); return;
    case kLease: OnLeaseEnd(); return;
    case kTimeouts: OnTimeouts(); return;
    case kScan: Scan(); return;
    case kStoreRetry: StoreResults(); return;
    case kProgress: SendProgress(); return;
    case kSend: SendGathered(true); return;
    case kStop: AdvanceStop(); return;
    case kTimerCount: return;
  }
}

}  // namespace lts::tasktracker

#include "task_tracker.h"

#include <fmt/core.h>

#include <cstdio>
#include <utility>

#include "tracker.h"

namespace lts::sim {

using model::Outcome;

namespace {

constexpr std::int64_t kHelloTimeoutUs = 3'000'000;

std::string Encode(const core::AttemptResult& r) {
  return fmt::format("{} {} {} {} {} {} {} {} {}", r.ref.key.id.high, r.ref.key.id.low,
                     r.ref.key.cycle, r.ref.attempt, r.ref.token.epoch, r.ref.token.sequence,
                     static_cast<int>(r.outcome), r.later_delay_ms, r.run_ms);
}

core::AttemptResult Decode(const std::string& text) {
  core::AttemptResult r;
  unsigned long long high = 0, low = 0, epoch = 0, sequence = 0;
  long long cycle = 0, later = 0, run = 0;
  int attempt = 0, outcome = 0;
  std::sscanf(text.c_str(), "%llu %llu %lld %d %llu %llu %d %lld %lld", &high, &low, &cycle,
              &attempt, &epoch, &sequence, &outcome, &later, &run);
  r.ref = {{{high, low}, cycle}, attempt, {epoch, sequence}};
  r.outcome = static_cast<Outcome>(outcome);
  r.later_delay_ms = later;
  r.run_ms = run;
  r.message = "said " + std::string(model::Name(r.outcome));
  return r;
}

std::string RecordKey(const core::AttemptRef& ref) {
  return fmt::format("{}/{}/{}/{}", ref.key.id.ToString(), ref.key.cycle, ref.attempt,
                     model::ToString(ref.token));
}

}  // namespace

SimTaskTracker::SimTaskTracker(World& world, std::string group, std::string name)
    : world_(world),
      group_(std::move(group)),
      name_(std::move(name)),
      partition_(world.PartitionOfGroup(group_)),
      fail_store_(world.true_clock()) {}

void SimTaskTracker::After(std::int64_t delay_us, std::function<void()> task) {
  strand_->PostAfter(delay_us, std::move(task));
}

bool SimTaskTracker::CutOff() const {
  return lease_from_us_ < 0 ||
         now_us() > lease_from_us_ + world_.config().core.tasktracker_lease_ms * 1000;
}

bool SimTaskTracker::CutOffFromOwner() const {
  if (CutOff()) return true;
  // An owner that has been replaced and does not know it still answers: cut off from store and
  // registry both, and for as long as its session to the registry stands by its own count.
  if ((session_ >> 32U) >= world_.EpochOf(partition_)) return false;
  const std::int64_t lease_us = world_.config().core.tasktracker_lease_ms * 1000;
  if (now_us() - world_.checker().acquired_us(partition_) <= lease_us) return false;
  if (target_ < 0) return true;
  const std::string owner = World::PlaceOf(target_);
  const std::int64_t within_us = lease_us + world_.config().core.kill_grace_ms * 1000 + 20'000'000;
  SimTracker* tracker = world_.tracker(target_);
  const bool paused =
      tracker != nullptr && tracker->process()->paused_until_us + within_us > now_us();
  return paused || (world_.WasCut(owner, "registry", within_us) &&
                    (world_.WasCut(owner, "store", within_us) ||
                     world_.store_outage_until_us() + within_us > now_us()));
}

void SimTaskTracker::Start() {
  process_ = std::make_shared<Process>();
  strand_ = &world_.NewStrand(process_);
  ++incarnations_;
  session_ = 0;
  hellos_ = 0;
  lease_from_us_ = -1;
  heartbeats_.clear();
  draining_ = false;
  strand_->Post([this] { Connect(); });
}

void SimTaskTracker::Kill() {
  if (!alive()) return;
  if (!running_.empty()) world_.Count("TaskTracker death while running");
  process_->alive = false;
  for (const auto& [key, running] : running_) world_.checker().OnVanish(running.execution);
  running_.clear();
  if (stream_) {
    const StreamPtr stream = std::exchange(stream_, nullptr);
    stream->far_open = false;
    world_.Break(stream, false, true);
  }
  welcomed_ = false;
}

void SimTaskTracker::Pause(DurationMs for_ms) {
  if (!alive()) return;
  if (!running_.empty()) world_.Count("TaskTracker pause while running");
  process_->paused_until_us = now_us() + for_ms * 1000;
}

void SimTaskTracker::Resume() {
  if (!alive()) {
    Start();
    return;
  }
  process_->paused_until_us = 0;
  if (draining_ && stream_) {
    draining_ = false;
    core::WorkerEvent event;
    event.stream = stream_->id;
    event.capacity = world_.config().slots;
    if (welcomed_) {
      world_.SendToTracker(stream_, [this, stream = stream_, event] {
        if (SimTracker* tracker = world_.tracker(stream->tracker))
          tracker->FromStream(stream, event);
      });
    }
  }
  draining_ = false;
}

void SimTaskTracker::BreakStream() {
  if (stream_) world_.Break(stream_, true, true);
}

void SimTaskTracker::Drain() {
  if (!alive() || !welcomed_ || draining_) return;
  strand_->Post([this] {
    if (!welcomed_ || !CheckLease()) return;
    draining_ = true;
    world_.Count("TaskTracker drain");
    core::WorkerEvent event;
    event.stream = stream_->id;
    event.capacity = 0;
    world_.SendToTracker(stream_, [this, stream = stream_, event] {
      if (SimTracker* tracker = world_.tracker(stream->tracker)) tracker->FromStream(stream, event);
    });
    MaybeGoodbye();
  });
}

void SimTaskTracker::MaybeGoodbye() {
  if (!draining_ || !welcomed_ || !Idle()) return;
  core::WorkerEvent event;
  event.stream = stream_->id;
  event.goodbye = true;
  world_.Note({}, 20, "{} says goodbye", name_);
  world_.SendToTracker(stream_, [this, stream = stream_, event] {
    if (SimTracker* tracker = world_.tracker(stream->tracker)) tracker->FromStream(stream, event);
  });
  // What still arrives on this stream was never started here and is handed back by the goodbye.
  stream_->far_open = false;
  welcomed_ = false;
  stream_ = nullptr;
  session_ = 0;
  lease_from_us_ = -1;
  ++connection_;
  After(world_.random().Between(10'000, 3'000'000), [this] {
    draining_ = false;
    if (!stream_) Connect();
  });
}

std::vector<core::AttemptResult> SimTaskTracker::Unacknowledged() {
  std::vector<core::AttemptResult> results;
  auto records = fail_store_.Peek(FailKind::kResult, SIZE_MAX, 0, SIZE_MAX);
  for (const FailRecord& record : *records) results.push_back(Decode(record.bytes));
  return results;
}

void SimTaskTracker::Connect() {
  if (stream_) return;
  CheckLease();
  if (stream_) return;
  const std::uint64_t connection = ++connection_;
  StreamPtr stream = world_.OpenStream(partition_, target_, name_);
  stream_ = stream;
  welcomed_ = false;
  const std::shared_ptr<Process> process = process_;
  SimStrand* strand = strand_;
  stream->post_far = [strand](std::function<void()> task) { strand->Post(std::move(task)); };
  stream->on_far_closed = [this, stream_weak = std::weak_ptr<Stream>(stream)] {
    if (const StreamPtr closed = stream_weak.lock()) OnClosed(closed);
  };
  stream->on_worker = [this, stream_weak =
                                 std::weak_ptr<Stream>(stream)](const core::WorkerSend& message) {
    if (const StreamPtr from = stream_weak.lock()) OnMessage(from, message);
  };
  core::HelloEvent hello;
  hello.stream = stream->id;
  hello.group = group_;
  hello.identity = name_;
  hello.incarnation = fmt::format("{}-{}", name_, incarnations_);
  hello.session = session_;
  hello.number = ++hellos_;
  hello.capacity = hello_capacity_ = draining_ ? 0 : world_.config().slots;
  for (const auto& [key, running] : running_) hello.running.push_back(running.assignment.ref);
  hello.results = Unacknowledged();
  hello_sent_us_ = now_us();
  heartbeats_.clear();
  world_.Note({}, 21, "{} says hello on {}: {} running, {} results", name_, stream->id,
              hello.running.size(), hello.results.size());
  world_.SendToTracker(stream, [this, stream, hello] {
    if (SimTracker* tracker = world_.tracker(stream->tracker)) {
      tracker->FromStream(stream, hello);
    } else {
      world_.Break(stream, true, false);
    }
  });
  After(kHelloTimeoutUs, [this, connection] {
    if (connection == connection_ && stream_ && !welcomed_) Disconnect();
  });
}

// Whoever was there does not answer, or is not the owner: the next one in the list.
void SimTaskTracker::NextTracker() { target_ = (target_ + 1) % world_.trackers(); }

void SimTaskTracker::Disconnect() {
  if (!stream_) return;
  NextTracker();
  const StreamPtr stream = std::exchange(stream_, nullptr);
  welcomed_ = false;
  stream->far_open = false;
  world_.Break(stream, false, true);
  ++connection_;
  After(world_.random().Between(1'000, 500'000), [this] { Connect(); });
}

void SimTaskTracker::OnClosed(const StreamPtr& stream) {
  if (stream != stream_) return;
  CheckLease();
  if (stream != stream_) return;
  NextTracker();
  stream_ = nullptr;
  welcomed_ = false;
  ++connection_;
  After(world_.random().Between(1'000, 500'000), [this] { Connect(); });
}

bool SimTaskTracker::CheckLease() {
  if (lease_from_us_ < 0 || !CutOff()) return true;
  world_.Note({}, 22, "{} notices the end of its lease, {} running", name_, running_.size());
  if (!running_.empty()) world_.Count("lease ended while running");
  lease_from_us_ = -1;
  std::vector<RunKey> keys;
  for (const auto& [key, running] : running_) keys.push_back(key);
  for (const RunKey& key : keys) {
    const auto found = running_.find(key);
    core::AttemptResult result = found->second.planned;
    result.outcome = Outcome::kKilled;
    End(key, std::move(result));
  }
  Disconnect();
  return false;
}

void SimTaskTracker::Heartbeat() {
  const std::uint64_t connection = connection_;
  const std::int64_t interval_us = world_.config().core.tasktracker_lease_ms * 1000 / 5;
  After(interval_us, [this, connection] {
    if (connection != connection_ || !welcomed_ || !CheckLease()) return;
    if (heartbeats_.size() >= 3) {
      world_.Count("heartbeats not answered");
      Disconnect();
      return;
    }
    core::WorkerEvent event;
    event.stream = stream_->id;
    event.heartbeat = ++last_heartbeat_;
    heartbeats_[event.heartbeat] = now_us();
    world_.SendToTracker(stream_, [this, stream = stream_, event] {
      if (SimTracker* tracker = world_.tracker(stream->tracker)) tracker->FromStream(stream, event);
    });
    Heartbeat();
  });
  // The end of the lease is noticed in time even when nobody answers.
  After(world_.config().core.tasktracker_lease_ms * 1000 + 1'000, [this] { CheckLease(); });
}

void SimTaskTracker::OnMessage(const StreamPtr& stream, const core::WorkerSend& message) {
  if (stream != stream_ || !CheckLease()) return;
  if (message.hello) {
    if (message.hello->code != StatusCode::kOk) {
      Disconnect();
      return;
    }
    welcomed_ = true;
    session_ = message.hello->session;
    lease_from_us_ = hello_sent_us_;
    if (!CheckLease()) return;
    Heartbeat();
    // What ended between hello and its answer.
    core::WorkerEvent event;
    event.stream = stream->id;
    event.results = Unacknowledged();
    const std::int32_t capacity = draining_ ? 0 : world_.config().slots;
    if (capacity != hello_capacity_) event.capacity = capacity;
    if (!event.results.empty() || event.capacity) {
      world_.SendToTracker(stream, [this, stream, event] {
        if (SimTracker* tracker = world_.tracker(stream->tracker))
          tracker->FromStream(stream, event);
      });
    }
  }
  if (!welcomed_) return;
  if (const auto sent = heartbeats_.find(message.heartbeat); sent != heartbeats_.end()) {
    lease_from_us_ = std::max(lease_from_us_, sent->second);
    heartbeats_.erase(heartbeats_.begin(), std::next(sent));
    After(world_.config().core.tasktracker_lease_ms * 1000 + 1'000, [this] { CheckLease(); });
  }
  for (const core::AttemptRef& ref : message.stops) StopAttempt(KeyOf(ref), "told to");
  for (const core::AttemptRef& ref : message.acks) {
    const std::string key = RecordKey(ref);
    auto records = fail_store_.Peek(FailKind::kResult, SIZE_MAX, 0, SIZE_MAX);
    std::vector<std::uint64_t> ids;
    for (const FailRecord& record : *records) {
      if (record.key == key) ids.push_back(record.id);
    }
    const Status acked = fail_store_.Ack(ids);
    if (!acked.ok()) world_.Fail("I11", ref.key.id, acked.ToString());
  }
  for (const core::Assignment& assignment : message.assignments) Begin(assignment);
  MaybeGoodbye();
}

void SimTaskTracker::Begin(const core::Assignment& assignment) {
  const core::AttemptRef& ref = assignment.ref;
  if (ref.token.epoch < highest_epoch_) {
    world_.Count("assignment of an old epoch dropped");
    return;
  }
  highest_epoch_ = ref.token.epoch;
  std::size_t busy = 1;
  for (const auto& [key, running] : running_) busy += running.stopping ? 0 : 1;
  if (busy > static_cast<std::size_t>(world_.config().slots)) {
    world_.Fail("credits", ref.key.id, name_ + " was given more than its slots");
  }
  Random& random = world_.random();
  Running running;
  running.assignment = assignment;
  running.started_us = now_us();
  running.execution = world_.checker().OnStart(*this, partition_, assignment);
  core::AttemptResult& planned = running.planned;
  planned.ref = ref;
  const bool calm = world_.settling();
  const std::uint64_t dice = calm ? 99 : random.Below(100);
  planned.outcome = dice < 5    ? Outcome::kExecuteFailed
                    : dice < 10 ? Outcome::kExecuteLater
                    : dice < 22 ? Outcome::kExecuteException
                                : Outcome::kExecuteSuccess;
  if (planned.outcome == Outcome::kExecuteLater && random.Chance(0.6)) {
    planned.later_delay_ms = random.Between(1, 2'000);
  }
  std::int64_t run_us = random.Between(0, world_.config().run_max_ms * 1000);
  if (random.Chance(0.05)) run_us *= 10;
  if (assignment.spec->timeout_ms > 0 && run_us > assignment.spec->timeout_ms * 1000) {
    run_us = assignment.spec->timeout_ms * 1000;
    planned.outcome = Outcome::kTimedOut;
    planned.later_delay_ms = 0;
  }
  const RunKey key = KeyOf(ref);
  running_.emplace(key, std::move(running));
  After(run_us, [this, key] {
    if (!CheckLease()) return;
    const auto found = running_.find(key);
    if (found != running_.end()) End(key, found->second.planned);
  });
}

void SimTaskTracker::StopAttempt(const RunKey& key, const std::string&) {
  const auto found = running_.find(key);
  if (found == running_.end() || found->second.stopping) return;
  found->second.stopping = true;
  const std::int64_t linger_us =
      world_.random().Between(0, world_.config().core.kill_grace_ms * 1000);
  After(linger_us, [this, key] {
    if (!CheckLease()) return;
    const auto again = running_.find(key);
    if (again == running_.end()) return;
    core::AttemptResult result = again->second.planned;
    result.outcome = Outcome::kKilled;
    End(key, std::move(result));
  });
}

void SimTaskTracker::End(const RunKey& key, core::AttemptResult result) {
  const auto found = running_.find(key);
  result.run_ms = (now_us() - found->second.started_us) / 1000;
  if (result.outcome == Outcome::kKilled) result.later_delay_ms = 0;
  result.message = "said " + std::string(model::Name(result.outcome));
  world_.checker().OnFinish(found->second.execution, result.outcome, result.later_delay_ms);
  running_.erase(found);
  const Status stored = fail_store_.Put(FailKind::kResult, RecordKey(result.ref), Encode(result));
  if (!stored.ok()) world_.Fail("I11", result.ref.key.id, stored.ToString());
  if (!welcomed_) return;
  core::WorkerEvent event;
  event.stream = stream_->id;
  event.results.push_back(std::move(result));
  world_.SendToTracker(stream_, [this, stream = stream_, event] {
    if (SimTracker* tracker = world_.tracker(stream->tracker)) tracker->FromStream(stream, event);
  });
}

}  // namespace lts::sim

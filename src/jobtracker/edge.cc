#include "jobtracker/edge.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/log.h"
#include "lts/v1/types.pb.h"
#include "model/partition.h"
#include "rpc/codec.h"
#include "rpc/limits.h"

namespace lts {

using model::JobId;

// One SubmitRequest: its items may belong to several partitions. The answers are filled in place;
// the last one sends them.
struct Edge::SubmitCall {
  v1::SubmitResponse response;
  std::function<void(v1::SubmitResponse)> done;
  std::atomic<std::size_t> open{0};

  void Answered(std::size_t n) {
    if (n > 0 && open.fetch_sub(n, std::memory_order_acq_rel) == n) done(std::move(response));
  }
};

namespace {

// How long the owner may take to answer what was passed on to it: less than a client waits for this
// one.
constexpr DurationMs kPassOnMs = 2'000;

void PutAnswer(const core::SubmitReply& reply, v1::SubmitAnswer* answer) {
  if (reply.code != StatusCode::kOk) {
    answer->set_code(rpc::ToProto(reply.code));
    answer->set_message(reply.message);
  }
  switch (reply.outcome) {
    case core::SubmitOutcome::kAccepted: answer->set_outcome(v1::ACCEPTED); break;
    case core::SubmitOutcome::kReplaced: answer->set_outcome(v1::REPLACED_WAITING); break;
    case core::SubmitOutcome::kDuplicate: answer->set_outcome(v1::DUPLICATE); break;
  }
  if (!reply.id.empty()) answer->set_job_id(reply.id.ToString());
}

// What a node says about itself is shown and decides nothing: it is only kept short.
constexpr std::size_t kNodeTextBytesMax = 256;
constexpr char kDraining[] = "DRAINING";  // NodeInfo.state

template <typename Hello>
v1::NodeInfo NodeOf(const char* type, const std::string& group, const Hello& hello) {
  v1::NodeInfo node;
  node.set_node_type(type);
  node.set_group(group);
  node.set_identity(hello.identity());
  node.set_version(hello.version());
  node.set_started_ms(hello.started_ms());
  if constexpr (requires { hello.address(); }) node.set_address(hello.address());
  for (std::string* text : {node.mutable_version(), node.mutable_address()}) {
    rpc::CutText(kNodeTextBytesMax, text);
  }
  return node;
}

void PutRef(const core::AttemptRef& ref, v1::AttemptKey* out) {
  rpc::ToProto({ref.key, ref.attempt, ref.token}, out);
}

}  // namespace

// All state is of the partition's strand.
class Edge::Desk final : public Outbox {
 public:
  Desk(std::uint32_t partition, const Edge& edge, const Clock& clock)
      : waiters(clock, [this](const JobId& id) { host->Unwatch(id); }),
        partition_(partition),
        edge_(edge),
        options_(edge.options_) {}

  PartitionHost* host = nullptr;
  Strand* strand = nullptr;

  struct PendingSubmit {
    std::shared_ptr<SubmitCall> call;
    std::vector<std::uint32_t> slots;  // of the event's items in the call's response
    std::size_t open = 0;
  };
  std::unordered_map<core::RequestId, PendingSubmit> submits;
  std::unordered_map<core::RequestId, std::function<void(core::OperateReply)>> operations;
  std::unordered_map<core::StreamId, WorkerSink> workers;
  // Feedback streams, known to the core; and those that are told to it when it serves.
  struct Subscription {
    std::shared_ptr<FeedbackWindow> shared;
    std::string group;
    std::int32_t window = 0;
  };
  std::unordered_map<core::StreamId, Subscription> feedback;
  std::unordered_map<core::StreamId, Subscription> subscriptions;
  EndWaiters waiters;

  void Subscribe(core::StreamId stream, const Subscription& subscription) {
    feedback.emplace(stream, subscription);
    host->Handle(core::FeedbackHelloEvent{stream, subscription.group, subscription.window});
  }
  void Serving() override {
    for (const auto& [stream, subscription] : std::exchange(subscriptions, {})) {
      Subscribe(stream, subscription);
    }
    if (edge_.cluster_.on_serving) edge_.cluster_.on_serving();
  }

  void Submitted(std::vector<core::SubmitReply> replies) override {
    // Replies of one request mostly stand together.
    for (std::size_t i = 0; i < replies.size();) {
      const core::RequestId request = replies[i].request;
      const auto pending = submits.find(request);
      std::size_t n = 0;
      for (; i < replies.size() && replies[i].request == request; ++i) {
        if (pending == submits.end()) continue;
        PutAnswer(replies[i], pending->second.call->response.mutable_answers(
                                  static_cast<int>(pending->second.slots[replies[i].index])));
        ++n;
      }
      if (pending == submits.end()) continue;
      const std::shared_ptr<SubmitCall> call = pending->second.call;
      pending->second.open -= n;
      if (pending->second.open == 0) submits.erase(pending);
      call->Answered(n);
    }
  }

  void Operated(std::vector<core::OperateReply> replies) override {
    for (core::OperateReply& reply : replies) {
      const auto found = operations.find(reply.request);
      if (found == operations.end()) continue;
      const auto done = std::move(found->second);
      operations.erase(found);
      done(std::move(reply));
    }
  }

  void ToWorker(core::WorkerSend send) override {
    const auto found = workers.find(send.stream);
    if (found == workers.end()) return;
    v1::TrackerMessage message;
    if (send.hello) {
      v1::HelloReply& hello = *message.mutable_hello();
      hello.set_code(rpc::ToProto(send.hello->code));
      hello.set_message(send.hello->message);
      hello.set_cluster_id(options_.cluster_id);
      hello.set_epoch(host->epoch());
      hello.set_session(send.hello->session);
      hello.set_lease_ms(options_.tasktracker_lease_ms);
      hello.set_heartbeat_ms(std::max<DurationMs>(options_.tasktracker_lease_ms / 5, 50));
      if (send.hello->code == StatusCode::kUnavailable) {
        if (const auto owner = edge_.OwnerElsewhere(partition_)) {
          hello.set_owner_address(owner->address);
          hello.set_message(fmt::format("partition {} is served by {}", partition_, owner->owner));
        } else {
          edge_.Look();
        }
      }
    }
    for (const core::AttemptRef& ref : send.stops) PutRef(ref, message.add_stops());
    for (const core::AttemptRef& ref : send.acks) PutRef(ref, message.add_acks());
    if (send.heartbeat != 0) message.set_heartbeat(send.heartbeat);
    message.set_frozen(send.frozen);
    // A round may fill many slots with large payloads. Every message carries `frozen`; the hello,
    // which must come first, and all that is small stand in the first one.
    std::size_t bytes = message.ByteSizeLong();
    for (const core::Assignment& assignment : send.assignments) {
      if (bytes >= rpc::kBatchBytes) {
        found->second->Send(std::exchange(message, v1::TrackerMessage()));
        message.set_frozen(send.frozen);
        bytes = 0;
      }
      v1::Assignment& out = *message.add_assignments();
      rpc::ToProto(*assignment.spec, out.mutable_job());
      out.set_cycle_ms(assignment.ref.key.cycle);
      if (assignment.ref.key.id != IdOf(*assignment.spec))
        out.mutable_job()->set_job_id(assignment.ref.key.id.ToString());
      out.set_attempt(assignment.ref.attempt);
      rpc::ToProto(assignment.ref.token, out.mutable_token());
      bytes += out.ByteSizeLong();
    }
    found->second->Send(std::move(message));
    if (send.close) {
      found->second->Close();
      workers.erase(found);
    }
  }

  void ToFeedback(core::FeedbackSend send) override {
    const auto found = feedback.find(send.stream);
    if (found == feedback.end()) return;
    if (send.close) {
      found->second.shared->CloseSink();
      feedback.erase(found);
      return;
    }
    found->second.shared->Offer(partition_, std::move(send.rows));
  }

  void Ended(const store::HistoryRow& row) override { waiters.Ended(row); }

  void Reset(std::uint32_t, const Status& why) override {
    const std::string message = "the partition was lost before this was stored: " + why.message();
    for (auto& [request, pending] : std::exchange(submits, {})) {
      for (const std::uint32_t slot : pending.slots) {
        v1::SubmitAnswer& answer = *pending.call->response.mutable_answers(static_cast<int>(slot));
        if (answer.code() != v1::OK || !answer.job_id().empty()) continue;  // answered already
        answer.set_code(v1::UNAVAILABLE);
        answer.set_message(message);
      }
      pending.call->Answered(pending.open);
    }
    for (auto& [request, done] : std::exchange(operations, {})) {
      done({request, StatusCode::kUnavailable, model::JobState::kWaiting, {}, message});
    }
    for (auto& [id, sink] : std::exchange(workers, {})) sink->Close();
    // A stream is of all partitions: this one is subscribed again when it is served again.
    for (auto& [id, subscription] : std::exchange(feedback, {})) {
      subscription.shared->Drop(partition_);
      subscriptions.emplace(id, std::move(subscription));
    }
    waiters.Fail(Status::Unavailable("the partition was lost: " + why.message()));
  }

 private:
  static JobId IdOf(const model::JobSpec& spec) {
    return JobId::Parse(spec.job_id).value_or(JobId{});
  }

  const std::uint32_t partition_;
  const Edge& edge_;
  const EdgeOptions& options_;
};

Edge::Edge(EdgeOptions options, const Clock& clock, MetricsRegistry& metrics)
    : options_(std::move(options)),
      clock_(clock),
      items_limit_(metrics, "submit.items.max",
                   static_cast<std::int64_t>(options_.items_per_submit_max)),
      payload_limit_(metrics, "job.payload.max",
                     static_cast<std::int64_t>(options_.limits.payload_bytes_max)),
      waits_(metrics, "waits.max", options_.waits_max) {
  for (std::uint32_t i = 0; i < options_.partitions; ++i) {
    desks_.push_back(std::make_unique<Desk>(i, *this, clock_));
  }
}

Edge::~Edge() = default;

Outbox& Edge::OutboxOf(std::uint32_t partition) { return DeskOf(partition); }

void Edge::Attach(std::uint32_t partition, PartitionHost& host, Strand& strand) {
  DeskOf(partition).host = &host;
  DeskOf(partition).strand = &strand;
}

PartitionHost& Edge::HostOf(std::uint32_t partition) const { return *DeskOf(partition).host; }

std::uint32_t Edge::PartitionOf(const std::string& group) const {
  return model::PartitionOf(group, {}, 1, options_.partitions);
}

std::optional<Route> Edge::OwnerElsewhere(std::uint32_t partition) const {
  if (cluster_.routes == nullptr || HostOf(partition).ServesNow()) return std::nullopt;
  Route route = cluster_.routes->Of(partition);
  if (route.owner.empty() || route.owner == cluster_.identity || route.address.empty()) {
    return std::nullopt;
  }
  return route;
}

void Edge::Look() const {
  if (cluster_.look) cluster_.look();
}

// ---- submit, operate, wait
// -------------------------------------------------------------------------------------------

void Edge::Submit(v1::SubmitRequest request, std::function<void(v1::SubmitResponse)> done) {
  auto call = std::make_shared<SubmitCall>();
  call->done = std::move(done);
  const auto count = static_cast<std::size_t>(request.items_size());
  call->response.mutable_answers()->Reserve(request.items_size());
  for (std::size_t i = 0; i < count; ++i) call->response.add_answers();
  // One for this function, so that the call cannot end before everything is on its way.
  call->open = count + 1;

  struct Part {
    core::SubmitEvent event;
    std::vector<std::uint32_t> slots;
  };
  std::vector<std::unique_ptr<Part>> parts(options_.partitions);
  // What is to be passed on, by the address of the owner.
  struct Away {
    Route to;
    v1::SubmitRequest request;
    std::vector<std::uint32_t> slots;
  };
  std::map<std::string, Away> away;
  const auto refuse = [&](std::uint32_t slot, const Status& status) {
    v1::SubmitAnswer& answer = *call->response.mutable_answers(static_cast<int>(slot));
    rpc::PutStatus(status, &answer);
    call->Answered(1);
  };
  items_limit_.SetCurrent(static_cast<std::int64_t>(count));
  if (count > options_.items_per_submit_max) items_limit_.Refused(count);
  std::size_t payload_max = 0;
  const TimeMs now = clock_.WallMs();
  for (std::uint32_t slot = 0; slot < count; ++slot) {
    if (count > options_.items_per_submit_max) {
      refuse(slot, Status::ResourceExhausted(
                       fmt::format("{} jobs in one request (limit submit.items.max={}); send fewer "
                                   "at a time",
                                   count, options_.items_per_submit_max)));
      continue;
    }
    v1::SubmitItem& item = *request.mutable_items(static_cast<int>(slot));
    const std::uint32_t partition = PartitionOf(item.job().task_tracker_node_group());
    if (!HostOf(partition).ServesNow()) {
      const auto owner = OwnerElsewhere(partition);
      if (owner && !request.forwarded()) {
        Away& part = away[owner->address];
        part.to = *owner;
        *part.request.add_items() = std::move(item);
        part.slots.push_back(slot);
        continue;
      }
      Look();
      if (owner) {
        refuse(slot, Status::Unavailable(fmt::format("partition {} is served by {} at {}",
                                                     partition, owner->owner, owner->address)));
        continue;
      }
    }
    auto spec = rpc::JobFromProto(std::move(*item.mutable_job()));
    if (!spec.ok()) {
      refuse(slot, spec.status());
      continue;
    }
    if ((*spec)->submit_group.empty()) (*spec)->submit_group = request.node_group();
    const std::size_t payload = (*spec)->PayloadBytes();
    payload_max = std::max(payload_max, payload);
    if (payload > options_.limits.payload_bytes_max) payload_limit_.Refused();
    const Status valid = model::ValidateJob(**spec, options_.limits, now);
    if (!valid.ok()) {
      refuse(slot, valid);
      continue;
    }
    const auto id = JobId::Parse((*spec)->job_id);
    if (!id) {
      refuse(slot,
             Status::InvalidArgument(fmt::format("job_id '{}' is not a UUID", (*spec)->job_id)));
      continue;
    }
    std::unique_ptr<Part>& part = parts[partition];
    if (!part) {
      part = std::make_unique<Part>();
      part->event.request = ++last_request_;
      part->event.items.reserve(count);
    }
    part->event.items.push_back({*std::move(spec), *id, item.maybe_sent()});
    part->slots.push_back(slot);
  }
  payload_limit_.SetCurrent(static_cast<std::int64_t>(payload_max));
  for (std::uint32_t partition = 0; partition < options_.partitions; ++partition) {
    if (!parts[partition]) continue;
    Desk& desk = DeskOf(partition);
    desk.strand->Post([&desk, call, part = std::shared_ptr<Part>(std::move(parts[partition]))] {
      const std::size_t n = part->slots.size();
      desk.submits.emplace(part->event.request,
                           Desk::PendingSubmit{call, std::move(part->slots), n});
      desk.host->Handle(std::move(part->event));
    });
  }
  for (auto& [address, part] : away) {
    part.request.set_identity(request.identity());
    part.request.set_node_group(request.node_group());
    part.request.set_forwarded(true);
    PassOn(part.to, std::move(part.request), std::move(part.slots), call);
  }
  call->Answered(1);
}

void Edge::PassOn(const Route& to, v1::SubmitRequest request, std::vector<std::uint32_t> slots,
                  const std::shared_ptr<SubmitCall>& call) const {
  cluster_.peers->Call(
      to.address, &rpc::Channel::Submit, request, kPassOnMs,
      [this, to, slots = std::move(slots), call](Status status, v1::SubmitResponse response) {
        if (status.ok() && static_cast<std::size_t>(response.answers_size()) != slots.size()) {
          status = Status::Internal("it answered another number of jobs than it was asked");
        }
        if (!status.ok()) {
          // Whether it was stored there is not known: whoever asked sends it again as such.
          Look();
          status = Status::Unavailable(fmt::format("the JobTracker {} at {} does not answer: {}",
                                                   to.owner, to.address, status.message()));
        }
        for (std::size_t i = 0; i < slots.size(); ++i) {
          v1::SubmitAnswer& answer = *call->response.mutable_answers(static_cast<int>(slots[i]));
          if (status.ok()) {
            answer = std::move(*response.mutable_answers(static_cast<int>(i)));
          } else {
            rpc::PutStatus(status, &answer);
          }
        }
        call->Answered(slots.size());
      });
}

void Edge::Operate(core::OperateEvent event, std::function<DurationMs()> left_ms,
                   std::function<void(core::OperateReply)> done) {
  Desk& desk = DeskOf(PartitionOf(event.group));
  event.request = ++last_request_;
  desk.strand->Post([&desk, event = std::move(event), left_ms = std::move(left_ms),
                     done = std::move(done)]() mutable {
    if (left_ms() <= 0) {
      return done({event.request, StatusCode::kUnavailable, model::JobState::kWaiting, event.id,
                   "nobody waits for it any more"});
    }
    desk.operations.emplace(event.request, std::move(done));
    desk.host->Handle(std::move(event));
  });
}

void Edge::AwaitEnd(const std::string& group, const JobId& id, DurationMs timeout_ms,
                    std::function<void()> armed, EndWaiters::Done done) {
  LimitSlots::Slot slot = waits_.Take();
  if (!slot) {
    done(waits_.Refusal("calls wait for the end of a job"));
    return;
  }
  Desk& desk = DeskOf(PartitionOf(group));
  desk.strand->Post([&desk, id, timeout_ms, armed = std::move(armed),
                     done = [slot = std::move(slot), done = std::move(done)](
                                Result<store::HistoryRow> end) { done(std::move(end)); }] {
    if (!desk.host->serving()) {
      done(Status::Unavailable("the partition is not served here at the moment"));
      return;
    }
    desk.host->Watch(id);
    desk.waiters.Add(*desk.strand, id, timeout_ms, done);
    armed();
  });
}

// ---- TaskTrackers
// ---------------------------------------------------------------------------------------------------

namespace {

Result<core::AttemptRef> RefOf(const v1::AttemptKey& key) {
  auto attempt = rpc::FromProto(key);
  if (!attempt.ok()) return attempt.status();
  return core::AttemptRef{attempt->key, attempt->attempt, attempt->token};
}

// What an attempt can have come to at a TaskTracker. The other words are the tracker's own: a
// result that claims one of them would end a job in a way that no TaskTracker may decide.
bool IsReported(model::Outcome outcome) {
  switch (outcome) {
    case model::Outcome::kExecuteSuccess:
    case model::Outcome::kExecuteFailed:
    case model::Outcome::kExecuteLater:
    case model::Outcome::kExecuteException:
    case model::Outcome::kTimedOut:
    case model::Outcome::kKilled: return true;
    case model::Outcome::kNone:
    case model::Outcome::kLost:
    case model::Outcome::kStale: return false;
  }
  return false;
}

DurationMs WithinBounds(DurationMs told) {
  return std::clamp<DurationMs>(told, 0, model::kJobDurationMsMax);
}

// Results that can never count are answered, so that the sender forgets them. Numbers and texts of
// the others are brought within bounds: nothing is known of who wrote them.
std::vector<core::AttemptResult> ResultsOf(
    google::protobuf::RepeatedPtrField<v1::AttemptResult>* results,
    std::vector<v1::AttemptKey>* hopeless) {
  std::vector<core::AttemptResult> out;
  out.reserve(static_cast<std::size_t>(results->size()));
  for (v1::AttemptResult& result : *results) {
    auto ref = RefOf(result.key());
    const auto outcome = rpc::FromProto(result.outcome());
    if (!ref.ok() || !outcome || !IsReported(*outcome)) {
      LTS_WARN("a result that cannot count is dropped job={} attempt={} outcome={}",
               result.key().job_id(), result.key().attempt(), static_cast<int>(result.outcome()));
      hopeless->push_back(result.key());
      continue;
    }
    rpc::CutText(rpc::kResultMessageBytesMax, result.mutable_message());
    out.push_back({*ref, *outcome, std::move(*result.mutable_message()),
                   WithinBounds(result.later_delay_ms()), WithinBounds(result.run_ms()),
                   WithinBounds(result.ended_ago_ms())});
  }
  return out;
}

}  // namespace

void Edge::WorkerConnection::Refuse(const Status& status) {
  v1::TrackerMessage message;
  rpc::PutStatus(status, message.mutable_hello());
  sink_->Send(std::move(message));
  sink_->Close();
}

void Edge::WorkerConnection::Message(v1::WorkerMessage message) {
  std::vector<v1::AttemptKey> hopeless;
  if (stream_ == 0) {
    if (!message.has_hello()) {
      Refuse(Status::InvalidArgument("the first message of a Work stream must be a hello"));
      return;
    }
    v1::WorkerHello& hello = *message.mutable_hello();
    Status valid = model::ValidateName("group", hello.group());
    if (valid.ok() && (hello.identity().empty() || hello.identity().size() > kNodeTextBytesMax)) {
      valid = Status::InvalidArgument(fmt::format("identity has {} bytes; it must have 1 to {}",
                                                  hello.identity().size(), kNodeTextBytesMax));
    }
    if (!valid.ok()) {
      Refuse(valid);
      return;
    }
    core::HelloEvent event;
    event.stream = stream_ = ++edge_.last_stream_;
    edge_.nodes_.Add(stream_, NodeOf("TASK_TRACKER", hello.group(), hello));
    if (hello.draining()) edge_.nodes_.SetState(stream_, kDraining);
    event.group = std::move(*hello.mutable_group());
    event.identity = std::move(*hello.mutable_identity());
    event.incarnation = std::move(*hello.mutable_incarnation());
    event.session = hello.session();
    event.number = hello.number();
    event.capacity = hello.capacity();
    for (const v1::AttemptKey& key : hello.running()) {
      if (auto ref = RefOf(key); ref.ok()) event.running.push_back(*ref);
    }
    event.results = ResultsOf(hello.mutable_results(), &hopeless);
    partition_ = edge_.PartitionOf(event.group);
    Desk& desk = edge_.DeskOf(partition_);
    desk.strand->Post([&desk, sink = sink_, event = std::move(event)]() mutable {
      desk.workers.emplace(event.stream, sink);
      desk.host->Handle(std::move(event));
    });
  } else {
    core::WorkerEvent event;
    event.stream = stream_;
    event.heartbeat = message.heartbeat();
    if (message.has_capacity()) event.capacity = message.capacity();
    if (message.draining()) edge_.nodes_.SetState(stream_, kDraining);
    event.results = ResultsOf(message.mutable_results(), &hopeless);
    for (v1::WorkerProgress& progress : *message.mutable_progress()) {
      auto ref = RefOf(progress.key());
      if (!ref.ok()) continue;
      rpc::CutText(rpc::kProgressTextBytesMax, progress.mutable_text());
      event.progress.push_back({*ref, progress.percent(), std::move(*progress.mutable_text())});
    }
    event.goodbye = message.goodbye();
    Desk& desk = edge_.DeskOf(partition_);
    desk.strand->Post(
        [&desk, event = std::move(event)]() mutable { desk.host->Handle(std::move(event)); });
  }
  if (!hopeless.empty()) {
    v1::TrackerMessage acks;
    for (v1::AttemptKey& key : hopeless) *acks.add_acks() = std::move(key);
    sink_->Send(std::move(acks));
  }
}

void Edge::WorkerConnection::Closed() {
  if (stream_ != 0) {
    edge_.nodes_.Remove(stream_);
    Desk& desk = edge_.DeskOf(partition_);
    desk.strand->Post([&desk, stream = stream_] {
      desk.workers.erase(stream);
      desk.host->Handle(core::WorkerClosedEvent{stream});
    });
  }
  sink_.reset();
}

// ---- feedback
// -------------------------------------------------------------------------------------------------------

void Edge::FeedbackConnection::Message(const v1::FeedbackClientMessage& message) {
  if (message.has_hello() && stream_ == 0) {
    const v1::FeedbackHello& hello = message.hello();
    Status valid = model::ValidateName("node_group", hello.node_group());
    if (valid.ok() && hello.identity().size() > kNodeTextBytesMax) {
      valid = Status::InvalidArgument("the identity is too long");
    }
    if (!valid.ok()) {
      // The core keeps what it knows of a group: no names that no job can have.
      LTS_WARN("a feedback stream is refused error=\"{}\"", valid.message());
      sink_->Close();
      return;
    }
    stream_ = ++edge_.last_stream_;
    if (!hello.version().empty()) {
      edge_.nodes_.Add(stream_, NodeOf("JOB_CLIENT", hello.node_group(), hello));
    }
    window_ = std::make_shared<FeedbackWindow>(sink_, hello.window());
    for (std::uint32_t i = 0; i < edge_.partitions(); ++i) {
      Desk& desk = edge_.DeskOf(i);
      desk.strand->Post([&desk, shared = window_, stream = stream_, group = hello.node_group(),
                         window = hello.window()] {
        const Desk::Subscription subscription{shared, group, window};
        if (desk.host->serving()) {
          desk.Subscribe(stream, subscription);
        } else {
          desk.subscriptions.emplace(stream, subscription);
        }
      });
    }
  }
  if (stream_ == 0 || message.acks().empty()) return;
  std::unordered_map<std::uint32_t, core::FeedbackAckEvent> events;
  for (const v1::FeedbackAck& ack : message.acks()) {
    const auto id = JobId::Parse(ack.job_id());
    if (!id) continue;
    const model::JobKey key{*id, ack.cycle_ms()};
    const auto partition = window_->Acknowledged({key, ack.attempt()});
    if (!partition) continue;
    core::FeedbackAckEvent& event = events[*partition];
    event.stream = stream_;
    event.acks.push_back({key, ack.attempt(), ack.again()});
  }
  window_->Refill();
  for (auto& [partition, event] : events) {
    Desk& desk = edge_.DeskOf(partition);
    desk.strand->Post(
        [&desk, event = std::move(event)]() mutable { desk.host->Handle(std::move(event)); });
  }
}

void Edge::FeedbackConnection::Closed() {
  if (stream_ != 0) {
    edge_.nodes_.Remove(stream_);
    for (std::uint32_t i = 0; i < edge_.partitions(); ++i) {
      Desk& desk = edge_.DeskOf(i);
      desk.strand->Post([&desk, stream = stream_] {
        desk.subscriptions.erase(stream);
        if (desk.feedback.erase(stream) > 0) {
          desk.host->Handle(core::FeedbackClosedEvent{stream});
        }
      });
    }
  }
  window_.reset();
  sink_.reset();
}

}  // namespace lts

#include "jobclient/resender.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "common/ids.h"
#include "common/log.h"
#include "common/may_pass.h"
#include "jobclient/convert.h"
#include "jobclient/fail_records.h"
#include "rpc/codec.h"

namespace lts::jobclient {
namespace {

// Another record of the same task came back before this one: it waits for that.
Status BehindAnother() { return Status::Unavailable("behind an earlier record of the same task"); }

// To nobody: the strand on which it would be recorded has been stopped.
Status Closed() { return Status::Unavailable("the client is closed"); }

constexpr std::size_t kStandsForMax = 10'000;

}  // namespace

// A batch on its way: a chain of requests, each for a run of submits of different tasks, or one
// cancel.
struct Resender::Relay {
  std::vector<FailRecord> batch;
  std::vector<StoredRequest> requests;  // of the readable records, in order
  std::vector<Status> answers;          // one per record; those from `next` on are not given yet
  std::vector<bool> readable;
  Forwarder::Done done;
  std::size_t next = 0;
  std::vector<std::size_t> under_way;         // of the request being sent
  std::unordered_set<std::string> held_keys;  // of records that have to wait
  v1::SubmitRequest submits;
  TrackerPtr target;
};

Resender::Resender(ResenderOptions options, FailStore& store, Strand& disk, Trackers& trackers)
    : options_(std::move(options)),
      trackers_(trackers),
      forwarder_(
          store, FailKind::kSubmit, disk,
          [this](std::vector<FailRecord> batch, Forwarder::Done done) {
            Send(std::move(batch), std::move(done));
          },
          [this] {
            ForwarderOptions forwarding;
            forwarding.backoff_min_ms = options_.backoff_min_ms;
            forwarding.backoff_max_ms = options_.backoff_max_ms;
            forwarding.seed = RandomSeed();
            return forwarding;
          }()),
      siblings_(
          [this] {
            SiblingWatchOptions watching;
            watching.engine = options_.engine;
            watching.base = options_.base_folder;
            watching.period_ms = options_.adopt_period_ms;
            return watching;
          }(),
          store, disk, [this] { forwarder_.Wake(); }) {
  forwarder_.WayOpen();
}

void Resender::WayMayBeOpen() {
  if (out_of_reach_.load(std::memory_order_relaxed) && out_of_reach_.exchange(false)) {
    forwarder_.WayOpen();
  }
}

void Resender::Send(std::vector<FailRecord> batch, Forwarder::Done done) {
  auto relay = std::make_shared<Relay>();
  relay->batch = std::move(batch);
  relay->done = std::move(done);
  const std::size_t count = relay->batch.size();
  relay->answers.resize(count);
  relay->readable.resize(count);
  relay->requests.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    Result<StoredRequest> request = DecodeRecord(relay->batch[i].bytes);
    relay->readable[i] = request.ok();
    if (request.ok()) {
      relay->requests[i] = std::move(request).value();
    } else {
      relay->answers[i] = request.status();  // parked
    }
  }
  SendNext(relay);
}

void Resender::SendNext(const RelayPtr& relay) {
  while (relay->next < relay->batch.size()) {
    const std::size_t i = relay->next;
    if (!relay->readable[i]) {
      ++relay->next;
      continue;
    }
    if (relay->held_keys.count(relay->batch[i].key) != 0) {
      relay->answers[i] = BehindAnother();
      ++relay->next;
      continue;
    }
    if (std::holds_alternative<v1::OperateRequest>(relay->requests[i])) return SendOperation(relay);
    return SendSubmits(relay);
  }
  relay->done(Status::Ok(), std::move(relay->answers));
}

void Resender::SendSubmits(const RelayPtr& relay) {
  relay->submits.Clear();
  relay->submits.set_identity(options_.identity);
  relay->submits.set_node_group(options_.node_group);
  relay->under_way.clear();
  std::unordered_set<std::string> keys;
  while (relay->next < relay->batch.size()) {
    const std::size_t i = relay->next;
    if (relay->readable[i]) {
      auto* job = std::get_if<v1::Job>(&relay->requests[i]);
      // A second record of a task waits for the answer to the first.
      if (job == nullptr || keys.count(relay->batch[i].key) != 0 ||
          relay->held_keys.count(relay->batch[i].key) != 0) {
        break;
      }
      keys.insert(relay->batch[i].key);
      v1::SubmitItem* item = relay->submits.add_items();
      *item->mutable_job() = std::move(*job);
      item->set_maybe_sent(true);
      relay->under_way.push_back(i);
    }
    ++relay->next;
  }
  relay->target = trackers_.current();
  if (relay->target == nullptr) return Answered(relay, NobodyKnown(), {});
  const auto answered = [this, relay](const Status& status, const v1::SubmitResponse& response) {
    Status overall = status;
    std::vector<Status> answers;
    for (const v1::SubmitAnswer& answer : response.answers()) {
      answers.push_back(rpc::StatusOf(answer));
    }
    NoteDuplicates(relay->submits, response);
    if (overall.ok() && answers.size() != relay->under_way.size()) {
      overall = Status::Internal("the JobTracker gave a wrong number of answers");
    }
    Answered(relay, overall, std::move(answers));
  };
  const bool sent = trackers_.With(relay->target, [&](rpc::Channel& channel) {
    channel.Submit(relay->submits, options_.deadline_ms, answered);
  });
  if (!sent) relay->done(Closed(), {});
}

Status Resender::NobodyKnown() const { return Status::Unavailable(trackers_.WhyNone().message()); }

void Resender::NoteDuplicates(const v1::SubmitRequest& request,
                              const v1::SubmitResponse& response) {
  const int count = std::min(request.items_size(), response.answers_size());
  for (int i = 0; i < count; ++i) {
    const v1::SubmitAnswer& answer = response.answers(i);
    const std::string& job_id = request.items(i).job().job_id();
    if (answer.code() != v1::OK || answer.job_id().empty() || answer.job_id() == job_id) continue;
    LTS_WARN("stored job ignored: another job of its task waits already job={} task={} other={}",
             job_id, request.items(i).job().task_id(), answer.job_id());
    // Few of them have an operation behind them: forgetting all is a bound that is hardly ever met.
    if (stands_for_.size() >= kStandsForMax) stands_for_.clear();
    stands_for_[job_id] = answer.job_id();
  }
}

void Resender::SendOperation(const RelayPtr& relay) {
  relay->under_way = {relay->next};
  relay->target = trackers_.current();
  auto& operation = std::get<v1::OperateRequest>(relay->requests[relay->next]);
  if (const auto other = stands_for_.find(operation.job_id()); other != stands_for_.end()) {
    operation.set_job_id(other->second);
  }
  operation.set_maybe_sent(true);
  ++relay->next;
  if (relay->target == nullptr) return Answered(relay, NobodyKnown(), {});
  const bool ends = operation.operation() == v1::CANCEL || operation.operation() == v1::TERMINATE;
  const auto answered = [this, relay, ends](const Status& status,
                                            const v1::OperateResponse& response) {
    Status answer = rpc::StatusOf(response);
    // What was to be ended has ended. Whatever else was asked for is parked, and can be looked at.
    if (ends && (answer.code() == StatusCode::kNotFound ||
                 answer.code() == StatusCode::kFailedPrecondition)) {
      LTS_INFO("stored operation found nothing to act on any more task={} answer=\"{}\"",
               relay->batch[relay->under_way.front()].key, answer.ToString());
      answer = Status::Ok();
    }
    Answered(relay, status, {std::move(answer)});
  };
  const bool sent = trackers_.With(relay->target, [&](rpc::Channel& channel) {
    channel.Operate(operation, options_.deadline_ms, answered);
  });
  if (!sent) relay->done(Closed(), {});
}

void Resender::Answered(const RelayPtr& relay, const Status& overall,
                        std::vector<Status> per_record) {
  for (std::size_t n = 0; n < relay->under_way.size(); ++n) {
    const std::size_t i = relay->under_way[n];
    relay->answers[i] = overall.ok() ? std::move(per_record[n]) : overall;
    if (!overall.ok() || MayPassLater(relay->answers[i].code())) {
      relay->held_keys.insert(relay->batch[i].key);
    }
    if (relay->answers[i].ok()) {
      LTS_DEBUG("stored request delivered task={}", relay->batch[i].key);
    }
  }
  if (overall.ok()) return SendNext(relay);
  if (overall.code() == StatusCode::kUnavailable && relay->target != nullptr) {
    trackers_.MoveOnFrom(relay->target);
  }
  out_of_reach_ = true;
  // Nobody is there: the rest need not be tried. When nothing was delivered, the whole batch has
  // failed, and the forwarder backs off; a denied call must not look like refused records.
  bool delivered = false;
  for (std::size_t i = 0; i < relay->next; ++i) {
    delivered = delivered || (relay->readable[i] && relay->answers[i].ok());
  }
  if (!delivered) {
    // The codes for "refused for good" are about records; here they are about the call.
    const bool passes =
        MayPassLater(overall.code()) || overall.code() == StatusCode::kPermissionDenied;
    return relay->done(passes ? overall : Status::Unavailable(overall.message()), {});
  }
  const Status later = Status::Unavailable(overall.message());
  for (std::size_t i : relay->under_way) relay->answers[i] = later;
  for (std::size_t i = relay->next; i < relay->batch.size(); ++i) {
    if (relay->readable[i]) relay->answers[i] = later;
  }
  relay->done(Status::Ok(), std::move(relay->answers));
}

}  // namespace lts::jobclient

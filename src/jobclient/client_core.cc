#include "jobclient/client_core.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/daemon.h"
#include "common/log.h"
#include "jobclient/client_options.h"
#include "jobclient/convert.h"
#include "lts/v1/query.pb.h"
#include "rpc/codec.h"

namespace lts::jobclient {
namespace {

constexpr std::int64_t kWaitCallMaxMs = 60'000;  // the JobTracker answers a Wait at the latest then
constexpr std::int64_t kWaitGraceMs = 5'000;     // on top, for the way
constexpr std::int64_t kWaitRetryMinMs = 100;    // while no JobTracker answers
constexpr std::int64_t kWaitRetryMaxMs = 2'000;
// How many jobs of one SubmitAll are in flight at a time, and how many are handed over at once. Of
// the bytes that may be in flight it takes half too, in so many parts.
constexpr std::size_t kWindow = 8'000;
constexpr std::size_t kChunk = 1'000;
constexpr std::size_t kByteChunks = 8;

Result<SubmitReceipt> ReceiptFrom(Answer answer) {
  if (!answer.status.ok()) return std::move(answer.status);
  return SubmitReceipt{std::move(answer.job_id), answer.outcome};
}

}  // namespace

Result<std::unique_ptr<ClientCore>> ClientCore::Open(JobClientOptions options,
                                                     const rpc::ChannelFactory& channels,
                                                     Presence presence) {
  LTS_RETURN_IF_ERROR(CheckClientOptions(options));
  static const SystemClock clock;  // outlives every registry
  auto discovery = discovery::Discovery::Open(DiscoveryOptionsFrom(options), clock);
  if (!discovery.ok()) return discovery.status();
  return OpenWith(std::move(options), *std::move(discovery), channels, presence);
}

Result<std::unique_ptr<ClientCore>> ClientCore::OpenWith(
    JobClientOptions options, std::unique_ptr<discovery::Discovery> discovery,
    const rpc::ChannelFactory& channels, Presence presence) {
  LTS_RETURN_IF_ERROR(CheckClientOptions(options));
  if (options.identity.empty()) options.identity = MakeIdentity();
  std::unique_ptr<FailStore> store;
  std::string base;
  if (!options.fail_store.empty()) {
    base = fmt::format("{}/JOB_CLIENT/{}", options.data_path, options.node_group);
    FailStoreLimits limits;
    limits.bytes_max = options.fail_store_bytes_max;
    limits.count_max = options.fail_store_count_max;
    auto opened = OpenFirstFreeFailStore(options.fail_store, base, limits);
    if (!opened.ok()) return opened.status().WithContext("FailStore");
    store = std::move(opened).value();
  }
  std::unique_ptr<ClientCore> core(
      new ClientCore(std::move(options), std::move(store), std::move(discovery)));
  LTS_RETURN_IF_ERROR(core->Start(base, channels, presence));
  return core;
}

ClientCore::ClientCore(JobClientOptions options, std::unique_ptr<FailStore> store,
                       std::unique_ptr<discovery::Discovery> discovery)
    : options_(std::move(options)),
      identity_(options_.identity),
      store_(std::move(store)),
      discovery_(std::move(discovery)) {}

Status ClientCore::Start(const std::string& store_base, const rpc::ChannelFactory& channels,
                         Presence presence) {
  trackers_ = std::make_unique<Trackers>(discovery_->Found(), channels);
  routes_ = std::make_unique<Routes>(*trackers_, clock_);
  Submitter::Listeners listeners;
  if (store_) {
    ResenderOptions resending;
    resending.identity = identity_;
    resending.node_group = options_.node_group;
    resending.engine = options_.fail_store;
    resending.base_folder = store_base;
    resending.adopt_period_ms = options_.fail_store_adopt_period.count();
    resending.deadline_ms = options_.submit_timeout.count();
    resender_ = std::make_unique<Resender>(std::move(resending), *store_, disk_, *trackers_);
    listeners.on_stored = [this] { resender_->Wake(); };
    listeners.on_delivered = [this] { resender_->WayMayBeOpen(); };
  }
  SubmitterOptions submitting;
  submitting.identity = identity_;
  submitting.node_group = options_.node_group;
  submitting.count_max = options_.submit_in_flight_max;
  submitting.bytes_max = options_.submit_in_flight_bytes_max;
  submitter_ = std::make_unique<Submitter>(std::move(submitting), clock_, *trackers_, *routes_,
                                           store_.get(), disk_, callbacks_, std::move(listeners));
  if (options_.on_job_completed) {
    FeedbackOptions feedback;
    feedback.node_group = options_.node_group;
    feedback.identity = identity_;
    feedback.window = options_.feedback_window;
    feedback.handler = [this](const v1::FeedbackItem& item) {
      return options_.on_job_completed(JobResultFrom(item));
    };
    feedback_ = std::make_unique<FeedbackReceiver>(std::move(feedback), *trackers_, disk_);
    feedback_->Start();
  }
  discovery_->Listen([this](const discovery::JobTrackers& found) {
    routes_->TrackersChange();
    trackers_->Set(found);
    if (resender_ != nullptr && !found.addresses.empty()) resender_->WayMayBeOpen();
    if (feedback_ != nullptr) feedback_->TrackersChanged();
  });
  if (presence == Presence::kPassing) return Status::Ok();
  return discovery_->Join(OwnNode(), {options_.on_master_change, options_.on_node_change},
                          channels);
}

registry::Node ClientCore::OwnNode() const {
  registry::Node node;
  node.type = registry::NodeType::kJobClient;
  node.group = options_.node_group;
  node.identity = identity_;
  node.incarnation = fmt::format("{:016x}{:016x}", RandomSeed(), RandomSeed());
  node.version = Version();
  node.started_ms = clock_.WallMs();
  return node;
}

ClientCore::~ClientCore() {
  Close();
  // First: calls that were given up at Close still bring answers to the other parts until then.
  trackers_.reset();
}

void ClientCore::Close() {
  const std::lock_guard lock(close_mutex_);
  if (closed_) return;
  closed_ = true;
  trackers_->Interrupt();
  if (submitter_ != nullptr) submitter_->Close(options_.shutdown_timeout.count());
  // Before what it tells.
  discovery_.reset();
  feedback_.reset();
  callbacks_.Stop();
  disk_.Stop();
  if (store_) {
    if (const Status closed = store_->Close(); !closed.ok()) {
      LTS_WARN("failstore not closed path={} error=\"{}\"", store_->path(), closed.ToString());
    }
  }
}

std::int64_t ClientCore::DeadlineUs() const {
  return clock_.MonotonicUs() + options_.submit_timeout.count() * 1000;
}

Result<Entry> ClientCore::MakeEntry(model::JobSpec spec) {
  // An id of the caller's own may have been sent before; one made here cannot have been.
  const bool own_id = !spec.job_id.empty();
  LTS_RETURN_IF_ERROR(checker_.Complete(clock_.WallMs(), &spec));
  Entry entry;
  entry.item = std::make_unique<v1::SubmitItem>();
  rpc::ToProto(std::move(spec), entry.item->mutable_job());
  entry.item->set_maybe_sent(own_id);
  entry.bytes = entry.item->ByteSizeLong();
  entry.deadline_us = DeadlineUs();
  return entry;
}

Result<SubmitReceipt> ClientCore::Submit(model::JobSpec spec) {
  Result<Entry> entry = MakeEntry(std::move(spec));
  if (!entry.ok()) return entry.status();
  auto latch = std::make_shared<Latch>(1);
  entry->latch = latch;
  latch->AddBytes(entry->bytes);
  LTS_RETURN_IF_ERROR(submitter_->Add(std::move(entry).value()));
  latch->AwaitAll();
  return ReceiptFrom(std::move(latch->answers().front()));
}

std::vector<Result<SubmitReceipt>> ClientCore::SubmitAll(
    std::vector<Result<model::JobSpec>> specs) {
  auto latch = std::make_shared<Latch>(specs.size());
  // A list longer than the limits must not fill them with its own jobs.
  const auto half_count = static_cast<std::size_t>(options_.submit_in_flight_max + 1) / 2;
  const std::size_t window = std::min(kWindow, half_count);
  const std::size_t chunk = std::min(kChunk, window);
  const auto window_bytes = static_cast<std::size_t>(options_.submit_in_flight_bytes_max) / 2;
  const std::size_t chunk_bytes = window_bytes / kByteChunks;
  std::size_t next = 0;
  while (next < specs.size()) {
    std::vector<Entry> entries;
    std::vector<std::pair<std::size_t, std::size_t>> index_bytes;
    std::size_t bytes = 0;
    for (; next < specs.size() && entries.size() < chunk && bytes <= chunk_bytes; ++next) {
      Result<Entry> entry = specs[next].ok() ? MakeEntry(std::move(specs[next]).value())
                                             : Result<Entry>(specs[next].status());
      if (!entry.ok()) {
        Answer answer;
        answer.status = entry.status();
        latch->Set(next, std::move(answer), 0);
        continue;
      }
      entry->latch = latch;
      entry->index = next;
      bytes += entry->bytes;
      index_bytes.emplace_back(next, entry->bytes);
      entries.push_back(std::move(entry).value());
    }
    // Room for them; those not handed over yet are missing too. A job larger than the window goes
    // when nothing else of this list is in flight.
    latch->Await(specs.size() - next + window, std::max(window_bytes, bytes) - bytes);
    for (Entry& entry : entries) entry.deadline_us = DeadlineUs();
    latch->AddBytes(bytes);
    const std::vector<Status> taken = submitter_->AddAll(std::move(entries));
    for (std::size_t n = 0; n < taken.size(); ++n) {
      if (taken[n].ok()) continue;
      Answer answer;
      answer.status = taken[n];
      latch->Set(index_bytes[n].first, std::move(answer), index_bytes[n].second);
    }
  }
  latch->AwaitAll();
  std::vector<Result<SubmitReceipt>> receipts;
  receipts.reserve(specs.size());
  for (Answer& answer : latch->answers()) receipts.push_back(ReceiptFrom(std::move(answer)));
  return receipts;
}

void ClientCore::SubmitAsync(model::JobSpec spec, std::function<void(Result<SubmitReceipt>)> done) {
  Result<Entry> entry = MakeEntry(std::move(spec));
  Status refused = entry.status();
  if (entry.ok()) {
    entry->done = [done](Answer answer) { done(ReceiptFrom(std::move(answer))); };
    refused = submitter_->Add(std::move(entry).value());
    if (refused.ok()) return;
  }
  // On the caller's thread: nothing of what is refused here may pile up anywhere.
  done(std::move(refused));
}

bool ClientCore::MayStillBeSent() const {
  if (!store_) return false;
  const FailStoreUsage usage = store_->Usage();
  return usage.count > usage.parked;
}

Result<v1::JobView> ClientCore::Wait(const std::string& job_id, Milliseconds timeout,
                                     TimeMs since_ms) {
  const std::int64_t end_ms =
      clock_.MonotonicUs() / 1000 +
      std::clamp<std::int64_t>(timeout.count(), 0, 100LL * 365 * 86'400'000);
  std::int64_t retry_ms = kWaitRetryMinMs;
  while (true) {
    const std::int64_t left_ms = std::max<std::int64_t>(0, end_ms - clock_.MonotonicUs() / 1000);
    v1::WaitRequest request;
    request.set_job_id(job_id);
    request.set_timeout_ms(std::min(left_ms, kWaitCallMaxMs));
    request.set_since_ms(since_ms);
    Result<v1::WaitResponse> response =
        trackers_->Call(&rpc::Channel::Wait, request, request.timeout_ms() + kWaitGraceMs);
    Status status = response.ok() ? rpc::StatusOf(*response) : response.status();
    if (status.ok()) return std::move(*response->mutable_job());
    if (since_ms == 0 && response.ok()) since_ms = response->since_ms();
    bool pause = false;
    switch (status.code()) {
      case StatusCode::kDeadlineExceeded: retry_ms = kWaitRetryMinMs; break;
      case StatusCode::kUnavailable:  // it will be back; a 4-hour wait does not end with a restart
      case StatusCode::kResourceExhausted:
      case StatusCode::kFenced:
      case StatusCode::kUnknownOutcome: pause = true; break;
      case StatusCode::kNotFound:
        if (!MayStillBeSent()) return status;
        pause = true;
        break;
      case StatusCode::kOk:
      case StatusCode::kInvalidArgument:
      case StatusCode::kAlreadyExists:
      case StatusCode::kFailedPrecondition:
      case StatusCode::kPermissionDenied:
      case StatusCode::kTooOld:
      case StatusCode::kDataLoss:
      case StatusCode::kInternal: return status;
    }
    const std::int64_t now_left_ms = end_ms - clock_.MonotonicUs() / 1000;
    if (now_left_ms <= 0) {
      if (status.code() == StatusCode::kUnavailable) return status;
      return Status::DeadlineExceeded(
          fmt::format("job {} has not ended within {} ms; it goes on", job_id, timeout.count()));
    }
    if (pause) {
      if (!trackers_->Pause(std::min(retry_ms, now_left_ms))) {
        return Status::FailedPrecondition("the client is closed");
      }
      retry_ms = std::min(retry_ms * 2, kWaitRetryMaxMs);
    }
  }
}

Result<v1::JobView> ClientCore::Get(const std::string& job_id, const TaskKey& task) {
  v1::GetRequest request;
  request.set_job_id(job_id);
  request.set_group(task.group);
  request.set_task_id(task.task_id);
  Result<v1::GetResponse> response =
      trackers_->Call(&rpc::Channel::Get, request, options_.submit_timeout.count());
  if (!response.ok()) return response.status();
  LTS_RETURN_IF_ERROR(rpc::StatusOf(*response));
  return std::move(*response->mutable_job());
}

OperationReceipt ClientCore::Operate(const JobRef& job, v1::OperateRequest request) {
  const TaskKey& task = job.task();
  if (job.job_id().empty() && (task.group.empty() || task.task_id.empty())) {
    return Status::InvalidArgument("give a job id, or a group and a task id");
  }
  if (request.operation() == v1::TRIGGER || request.operation() == v1::RERUN) {
    request.set_new_job_id(checker_.NextId(clock_.WallMs()));
  }
  auto latch = std::make_shared<Latch>(1);
  Entry entry;
  entry.operation = std::make_unique<v1::OperateRequest>(std::move(request));
  entry.operation->set_job_id(job.job_id());
  entry.operation->set_group(task.group);
  entry.operation->set_task_id(task.task_id);
  entry.operation->set_client(incarnation_);
  entry.bytes = entry.operation->ByteSizeLong();
  entry.deadline_us = DeadlineUs();
  entry.latch = latch;
  latch->AddBytes(entry.bytes);
  LTS_RETURN_IF_ERROR(submitter_->Add(std::move(entry)));
  latch->AwaitAll();
  Answer& answer = latch->answers().front();
  if (!answer.status.ok()) return answer.status;
  return {std::move(answer.job_id), answer.state, answer.outcome == SubmitOutcome::kStored};
}

}  // namespace lts::jobclient

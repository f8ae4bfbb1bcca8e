#include "lts/job_client.h"

#include <utility>

#include "jobclient/client_core.h"
#include "jobclient/convert.h"
#include "lts/v1/client.pb.h"
#include "model/job.h"
#include "rpc/codec.h"

namespace lts {
namespace {

Result<JobView> ViewFrom(const Result<v1::JobView>& view) {
  if (!view.ok()) return view.status();
  return jobclient::JobViewFrom(*view);
}

v1::OperateRequest RequestOf(v1::Operation operation) {
  v1::OperateRequest request;
  request.set_operation(operation);
  return request;
}

}  // namespace

std::string_view JobStateName(JobState state) {
  return model::Name(static_cast<model::JobState>(state));
}

std::string_view AttemptOutcomeName(AttemptOutcome outcome) {
  return model::Name(static_cast<model::Outcome>(outcome));
}

std::string_view SubmitOutcomeName(SubmitOutcome outcome) {
  switch (outcome) {
    case SubmitOutcome::kAccepted: return "ACCEPTED";
    case SubmitOutcome::kReplaced: return "REPLACED";
    case SubmitOutcome::kDuplicate: return "DUPLICATE";
    case SubmitOutcome::kStored: return "STORED";
  }
  return "ACCEPTED";
}

JobClient::JobClient(std::unique_ptr<jobclient::ClientCore> core) : core_(std::move(core)) {}
JobClient::~JobClient() = default;

Result<SubmitReceipt> JobClient::Submit(const Job& job) {
  return core_->Submit(jobclient::SpecFrom(job.values()));
}

std::vector<Result<SubmitReceipt>> JobClient::SubmitAll(const std::vector<Job>& jobs) {
  std::vector<Result<model::JobSpec>> specs;
  specs.reserve(jobs.size());
  for (const Job& job : jobs) specs.emplace_back(jobclient::SpecFrom(job.values()));
  return core_->SubmitAll(std::move(specs));
}

void JobClient::SubmitAsync(const Job& job, std::function<void(Result<SubmitReceipt>)> done) {
  core_->SubmitAsync(jobclient::SpecFrom(job.values()), std::move(done));
}

Result<JobView> JobClient::Wait(const std::string& job_id, Milliseconds timeout) {
  return ViewFrom(core_->Wait(job_id, timeout));
}

Result<JobView> JobClient::Get(const TaskKey& task) { return ViewFrom(core_->Get({}, task)); }

Result<JobView> JobClient::GetById(const std::string& job_id) {
  return ViewFrom(core_->Get(job_id, {}));
}

OperationReceipt JobClient::Cancel(const JobRef& job) {
  return core_->Operate(job, RequestOf(v1::CANCEL));
}

OperationReceipt JobClient::Suspend(const JobRef& job) {
  return core_->Operate(job, RequestOf(v1::SUSPEND));
}

OperationReceipt JobClient::Resume(const JobRef& job, bool reset) {
  v1::OperateRequest request = RequestOf(v1::RESUME);
  request.set_reset(reset);
  return core_->Operate(job, std::move(request));
}

OperationReceipt JobClient::Update(const JobRef& job, const JobUpdate& update) {
  v1::OperateRequest request = RequestOf(v1::UPDATE);
  rpc::ToProto(jobclient::SpecFrom(update.values()), request.mutable_changes());
  request.mutable_fields()->Assign(update.fields().begin(), update.fields().end());
  return core_->Operate(job, std::move(request));
}

OperationReceipt JobClient::Trigger(const JobRef& job, std::map<std::string, std::string> params) {
  v1::OperateRequest request = RequestOf(v1::TRIGGER);
  request.mutable_params()->insert(params.begin(), params.end());
  return core_->Operate(job, std::move(request));
}

OperationReceipt JobClient::Terminate(const JobRef& job) {
  return core_->Operate(job, RequestOf(v1::TERMINATE));
}

OperationReceipt JobClient::Rerun(const JobRef& job, std::map<std::string, std::string> params) {
  v1::OperateRequest request = RequestOf(v1::RERUN);
  request.mutable_params()->insert(params.begin(), params.end());
  return core_->Operate(job, std::move(request));
}

std::string JobClient::fail_store_path() const {
  const FailStore* store = core_->fail_store();
  return store == nullptr ? std::string() : store->path();
}

void JobClient::Close() { core_->Close(); }

namespace jobclient {

Result<std::unique_ptr<JobClient>> Access::Open(JobClientOptions options,
                                                const rpc::ChannelFactory& channels) {
  auto core = ClientCore::Open(std::move(options), channels, Presence::kNode);
  if (!core.ok()) return core.status();
  return std::unique_ptr<JobClient>(new JobClient(std::move(core).value()));
}

Result<std::unique_ptr<JobClient>> Access::OpenWith(JobClientOptions options,
                                                    std::unique_ptr<discovery::Discovery> discovery,
                                                    const rpc::ChannelFactory& channels) {
  auto core =
      ClientCore::OpenWith(std::move(options), std::move(discovery), channels, Presence::kNode);
  if (!core.ok()) return core.status();
  return std::unique_ptr<JobClient>(new JobClient(std::move(core).value()));
}

}  // namespace jobclient
}  // namespace lts

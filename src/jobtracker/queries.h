// Reads for clients: what the store knows, completed with what only the cores know (that a job
// runs, a next fire).
//
// Threads: methods may be called from any thread and do not block; store calls run on `reads`, and
// on `logs` where they wait for the disk; callbacks on some strand. Over a limit they are answered
// kResourceExhausted before the method returns.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/duration.h"
#include "common/metrics.h"
#include "common/strand.h"
#include "jobtracker/edge.h"
#include "jobtracker/limit_slots.h"
#include "lts/v1/cluster.pb.h"
#include "lts/v1/query.pb.h"
#include "registry/registry.h"
#include "rpc/codec.h"
#include "store/job_store.h"

namespace lts {

struct QueriesOptions {
  std::string identity;  // of this JobTracker
  std::string address;   // until SetAddress()
  std::string node_group;
  std::string cluster_name;
  std::string version;
  TimeMs started_ms = 0;
  std::string default_time_zone = "UTC";
  DurationMs log_retention_ms = 30 * kDayMs;
  std::int64_t pending_max = 10'000;    // queries.pending.max
  std::int64_t logs_pending_max = 100;  // logs.pending.max
};

class Queries {
 public:
  Queries(QueriesOptions options, store::JobStore& store, Edge& edge, Strand& reads, Strand& logs,
          MetricsRegistry& metrics);

  // Before the first request: who is there is asked of the registry, and what runs is asked of the
  // JobTrackers that the edge knows. Borrowed until LeaveCluster. Any thread.
  void JoinCluster(registry::Registry& registry) { SetRegistry(&registry); }
  void LeaveCluster() { SetRegistry(nullptr); }
  // The address with the port really taken, once the server listens. Any thread.
  void SetAddress(std::string address);

  template <typename Response>
  using Done = std::function<void(Response)>;

  void Get(v1::GetRequest request, Done<v1::GetResponse> done);
  void List(v1::ListRequest request, Done<v1::ListResponse> done);
  void ListAttempts(v1::ListAttemptsRequest request, Done<v1::ListAttemptsResponse> done);
  void Explain(v1::ExplainRequest request, Done<v1::ExplainResponse> done);
  void Logs(v1::LogsRequest request, Done<v1::LogsResponse> done);
  void Wait(v1::WaitRequest request, Done<v1::WaitResponse> done);
  // A job is found by its id first; then the operation goes where it lives.
  // `left_ms` (any thread): for how long its answer is still waited for. With none left it is not
  // carried out: whoever asked has asked another JobTracker meanwhile, and perhaps for the contrary
  // since.
  using LeftMs = std::function<DurationMs()>;
  void Operate(v1::OperateRequest request, LeftMs left_ms, Done<v1::OperateResponse> done);
  void Routes(Done<v1::RoutesResponse> done);
  void Nodes(const v1::NodesRequest& request, Done<v1::NodesResponse> done);
  void Groups(const v1::GroupsRequest& request, Done<v1::GroupsResponse> done);
  void AppendLogs(v1::AppendLogsRequest request, Done<v1::AppendLogsResponse> done);

 private:
  static constexpr DurationMs kPeerMs = 5'000;  // of questions to other JobTrackers

  void SetRegistry(registry::Registry* registry) {
    const std::lock_guard lock(registry_mutex_);
    in_cluster_ = in_cluster_ || registry != nullptr;
    registry_ = registry;
  }

  // Everything that stands under one id; blocks on the store.
  struct Found {
    std::vector<store::JobRow> rows;
    std::optional<store::ScheduleRow> schedule;
    std::vector<store::HistoryRow> history;  // newest first
    bool any() const { return !rows.empty() || schedule || !history.empty(); }
    const std::string& group() const;
    const std::string& task_id() const;
    // The row that ended the job or schedule, when it has ended.
    const store::HistoryRow* End() const;
  };
  Result<Found> Find(const model::JobId& id);
  // By id, or by group and task: the schedule, else the newest job.
  Result<std::pair<model::JobId, Found>> Resolve(const std::string& job_id,
                                                 const std::string& group,
                                                 const std::string& task_id);
  // Runs `on_core` on the strand of the group's partition, then `then` there too.
  void WithCore(const std::string& group,
                std::function<void(const core::Partition*, core::Now)> on_core);
  // `on_core` for each partition, `then` once after all of them.
  void WithEveryCore(std::function<void(std::uint32_t, const core::Partition*)> on_core,
                     std::function<void()> then);
  // What became of it, from the store.
  Status AddLife(const model::JobId& id, const Found& found, v1::LogsResponse* response);
  // Submits a job that has ended once more, under the new id.
  void Rerun(const v1::OperateRequest& request, const Done<v1::OperateResponse>& done);
  // What a wait is answered with now: the end of a job; of a schedule its earliest run beyond the
  // `known` ones, else its own end.
  using KnownRuns = std::set<std::pair<model::JobKey, std::int32_t>>;
  std::optional<v1::WaitResponse> EndFor(const model::JobId& id, const Found& found,
                                         const KnownRuns& known) const;
  std::optional<v1::JobView> EndedView(const model::JobId& id, const Found& found) const;

  // Passes a request about a job of `group` on to the JobTracker that serves it, unless that is
  // this one, it is not known, or the request was passed on before: false then. `otherwise` when
  // the other one does not answer.
  template <typename Request, typename Response>
  bool PassOn(const std::string& group,
              void (rpc::Channel::*method)(const Request&, std::int64_t,
                                           rpc::Channel::Done<Response>),
              const Request& request, DurationMs deadline_ms, const Done<Response>& done,
              std::function<void(Status)> otherwise);
  // The answers of all other owners, of those that answer; `done` once.
  template <typename Request, typename Response>
  void AskOwners(void (rpc::Channel::*method)(const Request&, std::int64_t,
                                              rpc::Channel::Done<Response>),
                 Request request, std::function<void(std::vector<Response>)> done);
  // Who is connected here, and this node itself.
  void OwnNodes(Done<v1::NodesResponse> done);
  void OwnGroups(std::function<void(std::map<std::string, v1::GroupView>)> done);

  // Runs `query` on `reads`, or answers that too many wait.
  template <typename Response>
  void Read(const Done<Response>& done, std::function<void()> query);

  std::string Address() const;

  const QueriesOptions options_;
  mutable std::mutex address_mutex_;
  std::string address_;
  store::JobStore& store_;
  Edge& edge_;
  Strand& reads_;
  Strand& logs_;
  std::mutex registry_mutex_;  // held while the registry is called
  registry::Registry* registry_ = nullptr;
  std::atomic<bool> in_cluster_{false};
  LimitSlots pending_;
  LimitSlots logs_pending_;
};

template <typename Response>
void Queries::Read(const Done<Response>& done, std::function<void()> query) {
  LimitSlots::Slot slot = pending_.Take();
  if (!slot) {
    Response response;
    rpc::PutStatus(pending_.Refusal("queries wait for their turn"), &response);
    done(std::move(response));
    return;
  }
  reads_.Post([slot = std::move(slot), query = std::move(query)] { query(); });
}

template <typename Request, typename Response>
bool Queries::PassOn(const std::string& group,
                     void (rpc::Channel::*method)(const Request&, std::int64_t,
                                                  rpc::Channel::Done<Response>),
                     const Request& request, DurationMs deadline_ms, const Done<Response>& done,
                     std::function<void(Status)> otherwise) {
  if (request.forwarded()) return false;
  const auto owner = edge_.OwnerElsewhere(edge_.PartitionOf(group));
  if (!owner) return false;
  Request passed_on = request;
  passed_on.set_forwarded(true);
  edge_.cluster().peers->Call(
      owner->address, method, passed_on, deadline_ms,
      [this, owner = *owner, done, otherwise = std::move(otherwise)](const Status& status,
                                                                     Response response) {
        if (status.ok()) {
          done(std::move(response));
          return;
        }
        edge_.Look();
        otherwise(Status::Unavailable(fmt::format("the JobTracker {} at {} does not answer: {}",
                                                  owner.owner, owner.address, status.message())));
      });
  return true;
}

}  // namespace lts

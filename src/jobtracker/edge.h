// Between the services and the partitions: decodes requests into events, sends each to the
// partition it belongs to, and turns released effects into answers and messages. No gRPC type: the
// services and in-process tests call it alike.
//
// Threads: the public methods may be called from any thread and do not block; they decode, post to
// the strand of a partition and return. What waits for an answer belongs to the strand of its
// partition.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/strand.h"
#include "jobtracker/connected_nodes.h"
#include "jobtracker/end_waiters.h"
#include "jobtracker/feedback_window.h"
#include "jobtracker/limit_slots.h"
#include "jobtracker/partition_host.h"
#include "jobtracker/peers.h"
#include "jobtracker/routes.h"
#include "lts/v1/client.pb.h"
#include "lts/v1/worker.pb.h"
#include "model/validate.h"
#include "rpc/channel.h"
#include "store/job_store.h"

namespace lts {

struct EdgeOptions {
  std::uint32_t partitions = 4;
  model::JobLimits limits;
  std::string cluster_id;
  DurationMs tasktracker_lease_ms = 20'000;
  std::size_t items_per_submit_max = 10'000;  // of one SubmitRequest
  std::int64_t waits_max = 10'000;
};

// What the edge needs to know of the other JobTrackers. Borrowed.
struct EdgeCluster {
  std::string identity;  // of this one
  const Routes* routes = nullptr;
  Peers* peers = nullptr;
  // Neither may block: a route was found to be wrong or missing; a partition is served from now on.
  std::function<void()> look;
  std::function<void()> on_serving;
};

class Edge {
 public:
  using WorkerSink = std::shared_ptr<rpc::Stream<v1::TrackerMessage>>;
  using FeedbackSink = FeedbackWindow::Sink;

  Edge(EdgeOptions options, const Clock& clock, MetricsRegistry& metrics);
  ~Edge();
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;

  // Before the first request: the outbox of each partition goes into its host, the host back here.
  Outbox& OutboxOf(std::uint32_t partition);
  void Attach(std::uint32_t partition, PartitionHost& host, Strand& strand);

  // Before the first request; without it this is the only JobTracker.
  void JoinCluster(EdgeCluster cluster) { cluster_ = std::move(cluster); }
  const EdgeCluster& cluster() const { return cluster_; }
  // The owner of a partition that is not served here; nothing when it is, or when nobody is known
  // to own it. Any thread.
  std::optional<Route> OwnerElsewhere(std::uint32_t partition) const;
  // A route was found to be wrong, or missing. Any thread.
  void Look() const;

  PartitionHost& HostOf(std::uint32_t partition) const;
  std::uint32_t PartitionOf(const std::string& group) const;
  std::uint32_t partitions() const { return options_.partitions; }
  const model::JobLimits& limits() const { return options_.limits; }

  // Each callback is called once, on the strand of a partition, on a thread of RPC, or before the
  // method returns. A submit goes to the owners of its items' partitions, once; one that was passed
  // on already, and all other methods, are for what is served here.
  void Submit(v1::SubmitRequest request, std::function<void(v1::SubmitResponse)> done);
  // `event.request` is given here.
  // Refused when `left_ms` (any thread) says, as its turn comes, that nobody waits any more.
  void Operate(core::OperateEvent event, std::function<DurationMs()> left_ms,
               std::function<void(core::OperateReply)> done);
  // Calls `done` with the next final row of the job, kDeadlineExceeded after `timeout_ms`,
  // kUnavailable when the partition is lost, or kResourceExhausted. `armed` is called first, when
  // nothing that ends from then on can be missed.
  void AwaitEnd(const std::string& group, const model::JobId& id, DurationMs timeout_ms,
                std::function<void()> armed, EndWaiters::Done done);

  // Who has a stream here.
  const ConnectedNodes& nodes() const { return nodes_; }

  // A TaskTracker's stream: Message() with each message in order, Closed() last.
  class WorkerConnection {
   public:
    WorkerConnection(Edge& edge, WorkerSink sink) : edge_(edge), sink_(std::move(sink)) {}
    void Message(v1::WorkerMessage message);
    void Closed();

   private:
    void Refuse(const Status& status);
    Edge& edge_;
    WorkerSink sink_;
    core::StreamId stream_ = 0;
    std::uint32_t partition_ = 0;
  };

  // A client's feedback stream: it is offered the rows of every partition, within its one window.
  class FeedbackConnection {
   public:
    FeedbackConnection(Edge& edge, FeedbackSink sink) : edge_(edge), sink_(std::move(sink)) {}
    void Message(const v1::FeedbackClientMessage& message);
    void Closed();

   private:
    Edge& edge_;
    FeedbackSink sink_;
    core::StreamId stream_ = 0;
    std::shared_ptr<FeedbackWindow> window_;
  };

 private:
  class Desk;  // of one partition: its outbox and what waits for it
  Desk& DeskOf(std::uint32_t partition) const { return *desks_[partition]; }
  struct SubmitCall;
  void PassOn(const Route& to, v1::SubmitRequest request, std::vector<std::uint32_t> slots,
              const std::shared_ptr<SubmitCall>& call) const;

  const EdgeOptions options_;
  EdgeCluster cluster_;
  const Clock& clock_;
  // Their current values are those of the newest submit.
  LimitMetrics items_limit_;
  LimitMetrics payload_limit_;
  LimitSlots waits_;
  ConnectedNodes nodes_;
  std::vector<std::unique_ptr<Desk>> desks_;
  std::atomic<std::uint64_t> last_request_{0};
  std::atomic<std::uint64_t> last_stream_{0};
};

}  // namespace lts

// The shell of a JobTracker without its wire: a memory store, partitions, Edge and Queries on one
// strand under a clock that the test moves, and streams that keep what was sent to them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "common/metrics.h"
#include "jobtracker/edge.h"
#include "jobtracker/partition_host.h"
#include "jobtracker/queries.h"
#include "rpc/codec.h"
#include "store/memory/memory_store.h"
#include "unit/tasktracker/manual_strand.h"

namespace lts {

template <typename Out>
class RecordingStream final : public rpc::Stream<Out> {
 public:
  void Send(Out message) override { sent.push_back(std::move(message)); }
  std::size_t PendingBytes() const override { return 0; }
  void Close() override { closed = true; }

  std::vector<Out> sent;
  bool closed = false;
};

// A TaskTracker as its stream shows it.
struct TestWorker {
  std::shared_ptr<RecordingStream<v1::TrackerMessage>> stream =
      std::make_shared<RecordingStream<v1::TrackerMessage>>();
  std::unique_ptr<Edge::WorkerConnection> connection;

  std::vector<v1::Assignment> Given() const {
    std::vector<v1::Assignment> given;
    for (const v1::TrackerMessage& message : stream->sent) {
      given.insert(given.end(), message.assignments().begin(), message.assignments().end());
    }
    return given;
  }
  std::vector<v1::AttemptKey> Acks() const {
    std::vector<v1::AttemptKey> acks;
    for (const v1::TrackerMessage& message : stream->sent) {
      acks.insert(acks.end(), message.acks().begin(), message.acks().end());
    }
    return acks;
  }
};

// A client's feedback stream.
struct TestListener {
  std::shared_ptr<RecordingStream<v1::FeedbackTrackerMessage>> stream =
      std::make_shared<RecordingStream<v1::FeedbackTrackerMessage>>();
  std::unique_ptr<Edge::FeedbackConnection> connection;

  std::vector<v1::FeedbackItem> Items() const {
    std::vector<v1::FeedbackItem> items;
    for (const v1::FeedbackTrackerMessage& message : stream->sent) {
      items.insert(items.end(), message.items().begin(), message.items().end());
    }
    return items;
  }
};

class ShellTest : public ::testing::Test {
 protected:
  // Before the first use of anything else.
  void Start(EdgeOptions edge_options = {}, QueriesOptions query_options = {}) {
    edge_options.partitions = kPartitions;
    store::MemoryStoreOptions store_options;
    store_options.identity.partitions = kPartitions;
    store = store::MakeMemoryStore(store_options, clock);
    edge = std::make_unique<Edge>(edge_options, clock, metrics);
    for (std::uint32_t i = 0; i < kPartitions; ++i) {
      PartitionHostOptions options;
      options.core.partition = i;
      options.core.default_time_zone = "UTC";
      options.owner = "tracker";
      hosts.push_back(std::make_unique<PartitionHost>(options, *store, strand, strand, strand,
                                                      clock, edge->OutboxOf(i)));
      edge->Attach(i, *hosts[i], strand);
      hosts[i]->Start([](Status status) { ASSERT_TRUE(status.ok()) << status.ToString(); });
    }
    strand.Run();
    query_options.identity = "tracker";
    query_options.node_group = "lts";
    queries = std::make_unique<Queries>(query_options, *store, *edge, strand, log_strand, metrics);
  }
  ~ShellTest() override {
    strand.Clear();
    log_strand.Clear();
  }

  // A group of the partition: "g0", "g1" …
  std::string GroupIn(std::uint32_t partition, int nth = 0) const {
    for (int i = 0;; ++i) {
      std::string group = "g" + std::to_string(i);
      if (edge->PartitionOf(group) == partition && nth-- == 0) return group;
    }
  }

  v1::SubmitItem Job(const std::string& group, const std::string& task) {
    v1::SubmitItem item;
    v1::Job& job = *item.mutable_job();
    job.set_job_id(ids.Next(clock.WallMs()));
    job.set_task_id(task);
    job.set_task_tracker_node_group(group);
    job.set_submit_node_group("shop");
    return item;
  }
  v1::SubmitResponse Submit(v1::SubmitRequest request) {
    v1::SubmitResponse response;
    bool answered = false;
    edge->Submit(std::move(request), [&](v1::SubmitResponse answer) {
      response = std::move(answer);
      answered = true;
    });
    strand.Run();
    EXPECT_TRUE(answered);
    return response;
  }
  // The id of the job, which must be accepted.
  std::string Accept(v1::SubmitItem item) {
    v1::SubmitRequest request;
    *request.add_items() = std::move(item);
    const v1::SubmitResponse response = Submit(std::move(request));
    EXPECT_EQ(response.answers(0).code(), v1::OK) << response.answers(0).message();
    return response.answers(0).job_id();
  }

  std::unique_ptr<TestWorker> Connect(const std::string& group, int capacity,
                                      const std::string& identity = "w") {
    v1::WorkerHello hello;
    hello.set_group(group);
    hello.set_identity(identity);
    hello.set_incarnation("1");
    hello.set_number(++hellos_);
    hello.set_capacity(capacity);
    return Connect(std::move(hello));
  }
  std::unique_ptr<TestWorker> Connect(v1::WorkerHello hello) {
    auto worker = std::make_unique<TestWorker>();
    worker->connection = std::make_unique<Edge::WorkerConnection>(*edge, worker->stream);
    v1::WorkerMessage message;
    *message.mutable_hello() = std::move(hello);
    worker->connection->Message(std::move(message));
    strand.Run();
    return worker;
  }
  static v1::AttemptKey KeyOf(const v1::Assignment& assignment) {
    v1::AttemptKey key;
    key.set_job_id(assignment.job().job_id());
    key.set_cycle_ms(assignment.cycle_ms());
    key.set_attempt(assignment.attempt());
    *key.mutable_token() = assignment.token();
    return key;
  }
  static v1::AttemptResult ResultOf(const v1::Assignment& assignment, v1::Outcome outcome) {
    v1::AttemptResult result;
    *result.mutable_key() = KeyOf(assignment);
    result.set_outcome(outcome);
    return result;
  }
  void Report(TestWorker& worker, v1::AttemptResult result) {
    v1::WorkerMessage message;
    *message.add_results() = std::move(result);
    worker.connection->Message(std::move(message));
    strand.Run();
  }
  // Everything that the worker was given from its `first` assignment on.
  void SucceedAll(TestWorker& worker, std::size_t first = 0) {
    const std::vector<v1::Assignment> given = worker.Given();
    v1::WorkerMessage message;
    for (std::size_t i = first; i < given.size(); ++i) {
      *message.add_results() = ResultOf(given[i], v1::OUTCOME_EXECUTE_SUCCESS);
    }
    worker.connection->Message(std::move(message));
    strand.Run();
  }

  std::unique_ptr<TestListener> Listen(const std::string& group, int window) {
    v1::FeedbackHello hello;
    hello.set_node_group(group);
    hello.set_identity("listener");
    hello.set_window(window);
    return Listen(std::move(hello));
  }
  std::unique_ptr<TestListener> Listen(v1::FeedbackHello hello) {
    auto listener = std::make_unique<TestListener>();
    listener->connection = std::make_unique<Edge::FeedbackConnection>(*edge, listener->stream);
    v1::FeedbackClientMessage message;
    *message.mutable_hello() = std::move(hello);
    listener->connection->Message(message);
    strand.Run();
    return listener;
  }
  void Acknowledge(TestListener& listener, const v1::FeedbackItem& item, bool again = false) {
    v1::FeedbackClientMessage message;
    v1::FeedbackAck& ack = *message.add_acks();
    ack.set_job_id(item.job_id());
    ack.set_cycle_ms(item.cycle_ms());
    ack.set_attempt(item.attempt());
    ack.set_again(again);
    listener.connection->Message(message);
    strand.Run();
  }

  // Calls a query and runs until it is answered.
  template <typename Request, typename Response>
  Response Ask(void (Queries::*method)(Request, std::function<void(Response)>), Request request) {
    std::optional<Response> response;
    ((*queries).*method)(std::move(request),
                         [&](Response answer) { response = std::move(answer); });
    log_strand.Run();
    strand.Run();
    EXPECT_TRUE(response.has_value());
    return response.value_or(Response());
  }

  v1::JobView View(const std::string& id) {
    v1::GetRequest request;
    request.set_job_id(id);
    const v1::GetResponse response = Ask(&Queries::Get, request);
    EXPECT_EQ(response.code(), v1::OK) << response.message();
    return response.job();
  }

  static constexpr std::uint32_t kPartitions = 2;
  testing::ManualClock clock;
  testing::ManualStrand strand{clock};
  testing::ManualStrand log_strand{clock};
  MetricsRegistry metrics;
  std::unique_ptr<store::JobStore> store;
  std::unique_ptr<Edge> edge;
  std::vector<std::unique_ptr<PartitionHost>> hosts;
  std::unique_ptr<Queries> queries;
  UuidGenerator ids{1};

 private:
  std::uint64_t hellos_ = 0;
};

}  // namespace lts

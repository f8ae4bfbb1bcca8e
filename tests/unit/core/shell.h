// The simplest shell around a core: each event's mutations are committed at once to a memory store,
// reads are answered at once, and everything else is kept for the test to look at.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "jobtracker/core/partition.h"
#include "store/memory/memory_store.h"

namespace lts::core {

class TestClock final : public Clock {
 public:
  std::int64_t MonotonicUs() const override { return mono_ms * 1000; }
  TimeMs WallMs() const override { return wall_ms; }
  TimeMs wall_ms = 1'700'000'000'000;  // 2023-11-14T22:13:20Z
  std::int64_t mono_ms = 1'000;
};

// A TaskTracker as the core sees it: what it was sent.
struct FakeWorker {
  std::string identity;
  std::string incarnation;
  StreamId stream = 0;
  std::uint64_t session = 0;
  std::vector<Assignment> given;
  std::vector<AttemptRef> stops;
  std::vector<AttemptRef> acks;
  bool refused = false;
  bool closed = false;
};

class Shell {
 public:
  Shell() {
    options.tasktracker_lease_ms = 20'000;
    options.kill_grace_ms = 5'000;
    options.default_retry = {model::RetryPolicy::Kind::kFixed, 1'000, 1'000};
    store::MemoryStoreOptions store_options;
    store_options.identity.partitions = 1;
    store = store::MakeMemoryStore(store_options, clock);
  }

  // Loads the core as a new owner does. An earlier core is dropped as by a crash.
  void Load(bool clean = false) {
    if (clean) {
      Effects effects;
      const bool all_known = core->FlushMarks(&effects);
      Apply(std::move(effects));
      ASSERT_TRUE(store->Release(0, lease.epoch, all_known).ok());
    }
    core.reset();
    auto acquired = store->Acquire(0, "tracker", "", 0);
    ASSERT_TRUE(acquired.ok()) << acquired.status().ToString();
    lease = *acquired;
    LoadedState loaded;
    loaded.epoch = lease.epoch;
    loaded.next_seq = lease.next_seq;
    loaded.clean = lease.clean;
    loaded.schedules = store->LoadSchedules(0, {}, 1'000).value();
    loaded.workers = store->LoadWorkers(0).value();
    loaded.resident = store->LoadRunning(0, {}, 1'000).value();
    loaded.groups = store->LoadGroups(0).value();
    loaded.feedback_groups = store->LoadFeedbackGroups(0).value();
    core = std::make_unique<Partition>(options, std::move(loaded), now());
    Tick();
  }

  Now now() const { return {clock.wall_ms, clock.mono_ms}; }
  void Handle(Event event) {
    Effects effects;
    core->Handle(std::move(event), now(), &effects);
    Apply(std::move(effects));
  }
  void Tick() { Handle(TickEvent{}); }
  // Time passes, with a tick whenever the core wants one.
  void Advance(DurationMs by_ms) {
    const std::int64_t end = clock.mono_ms + by_ms;
    while (true) {
      const Partition::Timers timers = core->NextTimer();
      std::int64_t step = end - clock.mono_ms;
      if (timers.mono_ms != Partition::kNever)
        step = std::min(step, timers.mono_ms - clock.mono_ms);
      if (timers.wall_ms != Partition::kNever)
        step = std::min(step, timers.wall_ms - clock.wall_ms);
      step = std::max<std::int64_t>(step, clock.mono_ms < end ? 1 : 0);
      clock.mono_ms += step;
      clock.wall_ms += step;
      Tick();
      if (clock.mono_ms >= end) return;
    }
  }

  model::JobId NewId() { return *model::JobId::Parse(ids.Next(clock.wall_ms)); }
  static model::JobSpec Spec(const std::string& task) {
    model::JobSpec spec;
    spec.group = "g";
    spec.task_id = task;
    spec.submit_group = "clients";
    return spec;
  }
  SubmitReply Submit(model::JobSpec spec) { return SubmitAs(NewId(), std::move(spec), false); }
  SubmitReply SubmitAs(const model::JobId& id, model::JobSpec spec, bool maybe_sent) {
    spec.job_id = id.ToString();
    SubmitEvent event;
    event.request = ++requests;
    event.items.push_back({std::make_shared<model::JobSpec>(std::move(spec)), id, maybe_sent});
    submit_replies.clear();
    Handle(std::move(event));
    EXPECT_LE(submit_replies.size(), 1U);
    return submit_replies.empty() ? SubmitReply{} : submit_replies.front();
  }
  model::JobId Accept(model::JobSpec spec) {
    const SubmitReply reply = Submit(std::move(spec));
    EXPECT_EQ(reply.code, StatusCode::kOk) << reply.message;
    EXPECT_NE(reply.outcome, SubmitOutcome::kDuplicate);
    return reply.id;
  }
  OperateReply Operate(OperateEvent event) {
    event.request = ++requests;
    event.group = "g";
    operate_replies.clear();
    Handle(std::move(event));
    EXPECT_LE(operate_replies.size(), 1U);
    return operate_replies.empty() ? OperateReply{} : operate_replies.front();
  }
  OperateReply Operate(OperationKind kind, const std::string& task, const model::JobId& id = {}) {
    OperateEvent event;
    event.task_id = task;
    event.id = id;
    event.kind = kind;
    return Operate(std::move(event));
  }
  OperateReply Cancel(const std::string& task, const model::JobId& id = {}) {
    return Operate(OperationKind::kCancel, task, id);
  }
  OperateReply Trigger(const std::string& task, const model::JobId& new_id,
                       std::map<std::string, std::string> params = {}) {
    OperateEvent event;
    event.task_id = task;
    event.kind = OperationKind::kTrigger;
    event.new_id = new_id;
    event.params = std::move(params);
    return Operate(std::move(event));
  }
  OperateReply Update(const std::string& task, model::JobSpec values,
                      std::vector<std::string> fields) {
    OperateEvent event;
    event.task_id = task;
    event.kind = OperationKind::kUpdate;
    event.update =
        std::make_shared<model::JobUpdate>(model::JobUpdate{std::move(values), std::move(fields)});
    return Operate(std::move(event));
  }

  // Connects a TaskTracker of group "g", or connects it again.
  FakeWorker& Hello(const std::string& identity, int capacity, std::vector<AttemptRef> running = {},
                    std::vector<AttemptResult> results = {}, const std::string& incarnation = "1",
                    const std::string& group = "g") {
    FakeWorker& worker = workers[identity];
    worker.identity = identity;
    worker.incarnation = incarnation;
    worker.stream = ++streams;
    worker.refused = worker.closed = false;
    worker.given.clear();
    worker.stops.clear();
    worker.acks.clear();
    HelloEvent event;
    event.stream = worker.stream;
    event.group = group;
    event.identity = identity;
    event.incarnation = incarnation;
    event.number = streams;
    event.capacity = capacity;
    event.running = std::move(running);
    event.results = std::move(results);
    Handle(std::move(event));
    return worker;
  }
  void Close(FakeWorker& worker) { Handle(WorkerClosedEvent{worker.stream}); }
  void Heartbeat(FakeWorker& worker) {
    WorkerEvent event;
    event.stream = worker.stream;
    event.heartbeat = ++heartbeats;
    Handle(std::move(event));
  }
  static AttemptResult ResultOf(const AttemptRef& ref, model::Outcome outcome,
                                DurationMs later_ms = 0) {
    AttemptResult result;
    result.ref = ref;
    result.outcome = outcome;
    result.message = "said";
    result.later_delay_ms = later_ms;
    return result;
  }
  void Report(FakeWorker& worker, const AttemptRef& ref, model::Outcome outcome,
              DurationMs later_ms = 0) {
    WorkerEvent event;
    event.stream = worker.stream;
    event.results.push_back(ResultOf(ref, outcome, later_ms));
    Handle(std::move(event));
  }
  void Succeed(FakeWorker& worker, const AttemptRef& ref) {
    Report(worker, ref, model::Outcome::kExecuteSuccess);
  }

  // Of a job, oldest first.
  std::vector<store::HistoryRow> History(const model::JobId& id) {
    auto rows = store->FindHistory(id, 1'000).value();
    std::reverse(rows.begin(), rows.end());
    return rows;
  }
  model::JobState EndOf(const model::JobId& id) {
    for (const store::HistoryRow& row : History(id)) {
      if (row.final) return row.state;
    }
    return model::JobState::kWaiting;
  }
  std::vector<store::JobRow> Rows(const model::JobId& id) { return store->FindJobRows(id).value(); }
  std::vector<std::string> Codes(const model::JobId& id) {
    std::vector<std::string> codes;
    for (const Explanation& reason : core->Explain(Rows(id).at(0), now()))
      codes.push_back(reason.code);
    return codes;
  }

  PartitionOptions options;
  TestClock clock;
  std::unique_ptr<store::JobStore> store;
  store::PartitionLease lease;
  std::unique_ptr<Partition> core;
  UuidGenerator ids{1};
  RequestId requests = 0;
  StreamId streams = 0;
  std::uint64_t heartbeats = 0;
  std::uint64_t heartbeats_answered = 0;
  std::map<std::string, FakeWorker> workers;
  // Reads of tasks: fail as it says, or are answered by AnswerHeldTasks() as they are now.
  std::function<Status(const TasksRequest&)> fail_tasks;
  bool hold_tasks = false;
  std::vector<TasksAnswer> held_tasks;
  void AnswerHeldTasks() {
    hold_tasks = false;
    for (TasksAnswer& answer : std::exchange(held_tasks, {})) Handle(std::move(answer));
  }
  std::vector<SubmitReply> submit_replies;
  std::vector<OperateReply> operate_replies;
  std::vector<std::pair<StreamId, store::FeedbackRow>> feedback;
  // Reads are kept here instead of being answered while this is true.
  bool hold_reads = false;
  std::vector<LookupRequest> held_lookups;
  // How the next reads fail, if they do.
  std::function<Status(const LookupRequest&)> fail_lookup;
  std::function<Status(const RefillRequest&)> fail_refill;
  void AnswerReads() {
    hold_reads = false;
    for (const LookupRequest& request : std::exchange(held_lookups, {})) {
      Handle(LookupAnswer{request.id, store->Lookup(0, request.ids, request.tasks).value()});
    }
  }

 private:
  void Apply(Effects effects) {
    if (!effects.batch.empty()) {
      const Status status = store->Commit(0, lease.epoch, ++lease.commit_no, effects.batch);
      ASSERT_TRUE(status.ok()) << status.ToString();
    }
    for (SubmitReply& reply : effects.submit_replies) submit_replies.push_back(std::move(reply));
    for (OperateReply& reply : effects.operate_replies) operate_replies.push_back(std::move(reply));
    heartbeats_answered += effects.heartbeats.size();
    for (const WorkerSend& send : effects.worker_sends) {
      for (auto& [name, worker] : workers) {
        if (worker.stream != send.stream) continue;
        if (send.hello) {
          worker.refused = send.hello->code != StatusCode::kOk;
          worker.session = send.hello->session;
        }
        worker.given.insert(worker.given.end(), send.assignments.begin(), send.assignments.end());
        worker.stops.insert(worker.stops.end(), send.stops.begin(), send.stops.end());
        worker.acks.insert(worker.acks.end(), send.acks.begin(), send.acks.end());
        worker.closed = worker.closed || send.close;
      }
    }
    for (const FeedbackSend& send : effects.feedback_sends) {
      for (const store::FeedbackRow& row : send.rows) feedback.emplace_back(send.stream, row);
    }
    for (const LookupRequest& request : effects.lookups) {
      const Status failed = fail_lookup ? fail_lookup(request) : Status::Ok();
      if (hold_reads) {
        held_lookups.push_back(request);
      } else if (!failed.ok()) {
        Handle(ReadFailed{request.id, failed});
      } else {
        Handle(LookupAnswer{request.id, store->Lookup(0, request.ids, request.tasks).value()});
      }
    }
    for (const RefillRequest& request : effects.refills) {
      if (const Status failed = fail_refill ? fail_refill(request) : Status::Ok(); !failed.ok()) {
        Handle(ReadFailed{request.id, failed});
        continue;
      }
      RefillAnswer answer;
      answer.id = request.id;
      answer.ready =
          store->LoadWaiting(0, request.group, request.after, request.now_ms, request.ready_limit)
              .value();
      answer.ready_more = answer.ready.size() == request.ready_limit;
      answer.dated =
          store->LoadDated(0, request.group, request.now_ms, request.dated_limit).value();
      answer.dated_more = answer.dated.size() == request.dated_limit;
      Handle(std::move(answer));
    }
    for (const TasksRequest& request : effects.tasks) {
      const Status failed = fail_tasks ? fail_tasks(request) : Status::Ok();
      if (hold_tasks) {
        held_tasks.push_back(
            {request.id, store->LoadTasks(0, request.group, request.after, request.limit).value()});
      } else if (!failed.ok()) {
        Handle(ReadFailed{request.id, failed});
      } else {
        Handle(TasksAnswer{
            request.id, store->LoadTasks(0, request.group, request.after, request.limit).value()});
      }
    }
    for (const FeedbackRefillRequest& request : effects.feedback_refills) {
      Handle(FeedbackRefillAnswer{
          request.id,
          store->LoadFeedback(0, request.submit_group, request.after_seq, request.limit).value()});
    }
  }
};

}  // namespace lts::core

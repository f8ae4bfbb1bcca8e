// A Link with everything around it: real slots, a real FailStore, a fake JobTracker, time by hand.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/metrics.h"
#include "failstore/fail_store.h"
#include "support/fake_work_channel.h"
#include "support/temp_folder.h"
#include "tasktracker/link.h"
#include "unit/tasktracker/manual_strand.h"

namespace lts::testing {

// What the test's runners do: "noop" succeeds at once, "gate" waits until released or stopped,
// "stubborn" waits until released, "logger" writes as many lines as its parameter n says.
// Thread-safe.
class Jobs {
 public:
  class JobRunner final : public runners::Runner {
   public:
    JobRunner(Jobs& jobs, std::string name) : jobs_(jobs), name_(std::move(name)) {}
    runners::RunOutcome Run(const runners::AttemptInput& input, runners::AttemptSink& sink,
                            std::stop_token stop) override {
      return jobs_.Run(name_, input, sink, std::move(stop));
    }

   private:
    Jobs& jobs_;
    const std::string name_;
  };

  void Release(const std::string& task) {
    const std::lock_guard lock(mutex_);
    released_.insert(task);
    changed_.notify_all();
  }
  // A task that waits tells progress.
  void Say(const std::string& task) {
    const std::lock_guard lock(mutex_);
    said_.insert(task);
    changed_.notify_all();
  }
  void WaitStarted(const std::string& task) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return inputs_.count(task) != 0; });
  }
  runners::AttemptInput Input(const std::string& task) {
    const std::lock_guard lock(mutex_);
    return inputs_[task];
  }
  int runs() const {
    const std::lock_guard lock(mutex_);
    return runs_;
  }
  int running_max() const {
    const std::lock_guard lock(mutex_);
    return running_max_;
  }

 private:
  runners::RunOutcome Run(const std::string& name, const runners::AttemptInput& input,
                          runners::AttemptSink& sink, std::stop_token stop) {
    const std::stop_callback wake(stop, [this] {
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
    });
    if (name == "logger") {
      for (int i = std::stoi(input.params.at("n")); i > 0; --i) {
        sink.Log(runners::LogLevel::kInfo, "line of " + input.task_id);
      }
    }
    if (input.params.count("progress") != 0) sink.Progress(50, "half");
    std::unique_lock lock(mutex_);
    ++runs_;
    running_max_ = std::max(running_max_, ++running_);
    inputs_[input.task_id] = input;
    changed_.notify_all();
    const bool waits = name == "gate" || name == "stubborn";
    if (waits) {
      const auto over = [&] {
        return released_.count(input.task_id) != 0 || (name == "gate" && stop.stop_requested());
      };
      while (!over()) {
        changed_.wait(lock, [&] { return over() || said_.count(input.task_id) != 0; });
        if (said_.erase(input.task_id) != 0) sink.Progress(75, "more");
      }
    }
    --running_;
    runners::RunOutcome outcome;
    const bool done = !waits || released_.count(input.task_id) != 0;
    outcome.action = done ? model::Action::kExecuteSuccess : model::Action::kExecuteLater;
    outcome.message = done ? "done" : "interrupted";
    return outcome;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> released_;
  std::set<std::string> said_;
  std::map<std::string, runners::AttemptInput> inputs_;
  int runs_ = 0;
  int running_ = 0;
  int running_max_ = 0;
};

using tasktracker::LinkOptions;
using tasktracker::LogShipperOptions;

class World {
 public:
  LinkOptions options;
  LogShipperOptions logging;
  FailStoreLimits limits;
  int slot_count = 4;

  World() {
    options.group = "g";
    options.identity = "g-default-host-0";
    options.incarnation = "i1";
    options.job_trackers.addresses = {"jt1:1"};
    options.kill_grace_ms = 5'000;
    logging.group = "g";
    logging.node = options.identity;
  }
  ~World() { Close(); }

  void Open() {
    auto opened = OpenFirstFreeFailStore("rocksdb", folder.Below("fs"), limits, &clock);
    if (!opened.ok()) abort();
    store = *std::move(opened);
    metrics = std::make_unique<MetricsRegistry>();
    progress = std::make_unique<tasktracker::ProgressBoard>([this] { link->ProgressHasCome(); });
    log = std::make_unique<tasktracker::LogShipper>(logging, tracker.Factory(), *store, strand,
                                                    clock, *metrics);
    results = std::make_unique<tasktracker::ResultStore>(*store, clock);
    slots = std::make_unique<tasktracker::Slots>(
        slot_count,
        [this](const std::string& name) {
          return Result<std::unique_ptr<runners::Runner>>(
              std::make_unique<Jobs::JobRunner>(jobs, name));
        },
        clock, *log, *progress);
    link = std::make_unique<tasktracker::Link>(
        options, tasktracker::Link::Parts{
                     tracker.Factory(), *slots, *log, *progress, *results,
                     [](const runners::AttemptInput& input) -> Result<std::string> {
                       const std::string& name = input.runner;
                       if (name.empty()) return std::string("noop");
                       if (name == "nosuch") {
                         return Status::NotFound("no runner nosuch here (there are: noop)");
                       }
                       return name;
                     },
                     [this](bool is, const std::string& why) {
                       connected = is;
                       reason = why;
                     },
                     [this](std::int64_t until_us) { leases.push_back(until_us); }, strand, strand,
                     clock, *metrics});
    auto left = results->LoadNew();
    if (!left.ok()) abort();
    if (!slots->Start({"noop"}, [this] { link->SlotsHaveEnded(); }).ok()) abort();
    link->Start(*std::move(left));
    strand.Run();
  }

  // As the process would end by a crash: nothing is said to anybody. All jobs must have ended.
  void Close() {
    if (link == nullptr) return;
    slots.reset();
    strand.Clear();
    link.reset();
    log.reset();
    results.reset();
    store.reset();
  }

  // The hello of the newest stream; what was sent before it is dropped.
  v1::WorkerHello Hello() {
    std::optional<v1::WorkerHello> hello;
    strand.RunUntil([&] {
      for (v1::WorkerMessage& message : tracker.Take()) {
        if (message.has_hello()) hello = message.hello();
      }
      return hello.has_value();
    });
    return *hello;
  }
  void Accept(std::uint64_t session = 7, std::uint64_t epoch = 3, DurationMs lease_ms = 20'000,
              DurationMs heartbeat_ms = 2'000) {
    v1::TrackerMessage message;
    v1::HelloReply& reply = *message.mutable_hello();
    reply.set_cluster_id("c1");
    reply.set_epoch(epoch);
    reply.set_session(session);
    reply.set_lease_ms(lease_ms);
    reply.set_heartbeat_ms(heartbeat_ms);
    Send(message);
  }
  void Connect() {
    Open();
    Hello();
    Accept();
  }
  void Send(const v1::TrackerMessage& message) {
    tracker.Send(message);
    strand.Run();
  }
  static v1::Assignment Assignment(const std::string& task, const std::string& runner,
                                   std::uint64_t sequence, std::uint64_t epoch = 3) {
    v1::Assignment assignment;
    assignment.mutable_job()->set_job_id("job-" + task);
    assignment.mutable_job()->set_task_id(task);
    assignment.mutable_job()->set_runner(runner);
    assignment.set_attempt(1);
    assignment.mutable_token()->set_epoch(epoch);
    assignment.mutable_token()->set_sequence(sequence);
    return assignment;
  }
  void Assign(const v1::Assignment& assignment) {
    v1::TrackerMessage message;
    *message.add_assignments() = assignment;
    Send(message);
  }
  void Ack(const v1::AttemptKey& key) {
    v1::TrackerMessage message;
    *message.add_acks() = key;
    Send(message);
  }
  // Messages until `count` results have come; keeps capacities, heartbeats and goodbyes seen on the
  // way.
  std::vector<v1::AttemptResult> Results(std::size_t count) {
    std::vector<v1::AttemptResult> found;
    strand.RunUntil([&] {
      Look(&found);
      return found.size() >= count;
    });
    return found;
  }
  void Look(std::vector<v1::AttemptResult>* found = nullptr) {
    for (v1::WorkerMessage& message : tracker.Take()) {
      if (message.has_capacity()) capacities.push_back(message.capacity());
      if (message.heartbeat() != 0) heartbeats.push_back(message.heartbeat());
      if (message.draining()) draining = true;
      if (message.goodbye()) goodbye = true;
      for (const v1::WorkerProgress& each : message.progress()) progresses.push_back(each);
      if (found != nullptr)
        found->insert(found->end(), message.results().begin(), message.results().end());
    }
  }
  // Answers every heartbeat for `ms`.
  void AliveFor(DurationMs ms, bool frozen = false) {
    for (DurationMs passed = 0; passed < ms; passed += 100) {
      strand.Advance(100);
      heartbeats.clear();
      Look();
      for (const std::uint64_t number : heartbeats) {
        v1::TrackerMessage answer;
        answer.set_heartbeat(number);
        answer.set_frozen(frozen);
        Send(answer);
      }
    }
  }
  std::vector<FailRecord> Stored(FailKind kind) {
    auto records = store->Peek(kind, 10'000);
    return records.ok() ? *std::move(records) : std::vector<FailRecord>();
  }

  TempFolder folder;
  ManualClock clock;
  ManualStrand strand{clock};
  FakeWorkTracker tracker;
  Jobs jobs;
  bool connected = false;
  std::vector<std::int64_t> leases;  // as the link has told them
  std::string reason;
  std::vector<int> capacities;
  std::vector<std::uint64_t> heartbeats;
  std::vector<v1::WorkerProgress> progresses;
  bool draining = false;
  bool goodbye = false;
  std::unique_ptr<FailStore> store;
  std::unique_ptr<MetricsRegistry> metrics;
  std::unique_ptr<tasktracker::ProgressBoard> progress;
  std::unique_ptr<tasktracker::LogShipper> log;
  std::unique_ptr<tasktracker::ResultStore> results;
  std::unique_ptr<tasktracker::Link> link;
  std::unique_ptr<tasktracker::Slots> slots;
};

}  // namespace lts::testing

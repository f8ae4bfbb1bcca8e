// TaskTrackers: hello and adoption, results and heartbeats, leases and losses (DESIGN section 4,
// Takeover).
#include <fmt/core.h>

#include <algorithm>

#include "jobtracker/core/state.h"

namespace lts::core {

using model::JobState;

// ---- hello
// ----------------------------------------------------------------------------------------------------------

void Partition::OnHello(HelloEvent event) {
  if (streams_.contains(event.stream)) return;  // a second hello on one stream means nothing
  RunHello(event, false);
}

void Partition::RunHello(HelloEvent& event, bool looked_up) {
  // What it names must be in memory before it is judged.
  Group& group = GroupOf(event.group);
  if (!looked_up && !AllInMemory(group)) {
    PendingRead read;
    const auto want = [&](const AttemptRef& ref) {
      if (!jobs_.contains(ref.key)) read.lookup.ids.push_back(ref.key.id);
    };
    for (const AttemptRef& ref : event.running) want(ref);
    for (const AttemptRef& ref : event.results_follow) want(ref);
    for (const AttemptResult& result : event.results) want(result.ref);
    if (!read.lookup.ids.empty()) {
      read.hello = std::move(event);
      WantLookup(std::move(read));
      return;
    }
  }

  const auto name = std::pair(event.group, event.identity);
  const auto found = workers_.find(name);
  Worker* worker = found == workers_.end() ? nullptr : found->second.get();
  const bool same_process = worker != nullptr && worker->incarnation == event.incarnation;
  if (worker != nullptr && !same_process && worker->stream != 0) {
    // The other one is connected. A process that died closes its stream at once; one that lives
    // keeps the name.
    WorkerSend& send = SendTo(event.stream);
    send.hello = HelloReply{
        StatusCode::kUnavailable,
        fmt::format(
            "another process is connected as {} of group {}; give each its own dataPath, or "
            "wait until the other one is gone",
            event.identity, event.group),
        0};
    send.close = true;
    return;
  }
  if (same_process && event.number != 0 && event.number <= worker->hello_number) {
    // A hello that was overtaken by a later one of the same process: what it lists is history.
    SendTo(event.stream).close = true;
    return;
  }
  const bool newcomer = worker == nullptr;
  if (newcomer && workers_.size() >= options_.workers_max) {
    ++stats_.over_workers;
    WorkerSend& send = SendTo(event.stream);
    send.hello = HelloReply{
        StatusCode::kResourceExhausted,
        fmt::format("{} TaskTrackers are connected to this partition (limit tasktrackers.max={})",
                    workers_.size(), options_.workers_max),
        0};
    send.close = true;
    return;
  }
  std::vector<model::JobKey> before;
  if (newcomer) {
    auto owned = std::make_unique<Worker>();
    worker = owned.get();
    worker->group_name = event.group;
    worker->identity = event.identity;
    worker->group = &group;
    group.workers.push_back(worker);
    workers_.emplace(name, std::move(owned));
  } else {
    for (const Job* job : InOrder(worker->outstanding)) before.push_back(job->row.key);
  }
  if (worker->stream != 0) {
    streams_.erase(worker->stream);
    CloseStream(worker->stream);
  }
  worker->incarnation = event.incarnation;
  worker->hello_number = event.number;
  worker->continues_epoch = newcomer ? 0 : EpochOfSession(worker->session);
  worker->session = NextSession();
  worker->stream = event.stream;
  worker->capacity = std::max(0, event.capacity);
  streams_[event.stream] = worker;
  ArmWorker(*worker, now_.mono_ms);
  effects_->batch.mutations.emplace_back(store::PutWorker{
      {worker->group_name, worker->identity, worker->incarnation, worker->session}});
  SendTo(event.stream).hello = HelloReply{StatusCode::kOk, {}, worker->session};

  HoldRows();
  std::unordered_set<model::JobKey> named;
  for (const AttemptResult& result : event.results) {
    ApplyResult(result, *worker);
    SendTo(event.stream).acks.push_back(result.ref);
  }
  for (const AttemptRef& ref : event.running) {
    // Without a row nobody waited for this process: what it runs was given to others, or will be.
    if (same_process && Adopt(*worker, ref)) {
      named.insert(ref.key);
    } else {
      SendTo(event.stream).stops.push_back(ref);
    }
  }
  for (const AttemptRef& ref : event.results_follow) {
    if (Adopt(*worker, ref)) named.insert(ref.key);
  }
  for (const model::JobKey& key : before) {
    Job* job = FindJob(key);
    // A result may have ended it, or begun its next attempt.
    if (job == nullptr || job->worker != worker || named.contains(key)) continue;
    if (same_process && !job->row.spec->at_most_once) {
      // The process lives, and neither runs it nor has a result: it never arrived there.
      Requeue(*job);
    } else {
      Lose(*job, model::Outcome::kLost,
           same_process ? "not known at its TaskTracker" : "its TaskTracker was restarted");
    }
  }
  ReleaseRows();
  ExpectedArrived(group, *worker);
  WantDispatch(group);
}

// Takes over an attempt that the process says it runs; false when it must be stopped.
bool Partition::Adopt(Worker& worker, const AttemptRef& ref) {
  Job* job = FindJob(ref.key);
  if (job == nullptr || job->row.attempt != ref.attempt || refused_.contains(ref.key)) return false;
  if (job->place == Job::Place::kExecuting) {
    if (job->worker != &worker || job->token != ref.token) return false;
  } else {
    if (!CountsUnasked(*job, ref.token, worker)) return false;
    if (SharesRunKey(job->row) && job->task->holder != nullptr && job->task->holder != job)
      return false;
    AttachExecuting(*job, worker, ref.token);
    ++stats_.adopted;
    // At once: a later owner knows a result of it by this mark.
    Mark(*job);
  }
  if (job->row.cancel_requested || OutOfTime(*job, now_)) {
    SendTo(worker.stream).stops.push_back(ref);
  }
  return true;
}

// ---- messages
// -------------------------------------------------------------------------------------------------------

void Partition::OnWorker(WorkerEvent event) {
  const auto found = streams_.find(event.stream);
  if (found == streams_.end()) return;
  Worker& worker = *found->second;
  ArmWorker(worker, now_.mono_ms);
  if (event.heartbeat != 0) {
    effects_->heartbeats.push_back({event.stream, event.heartbeat});
    if (!frozen_) StopOutOfTime(worker);
  }
  if (event.capacity) {
    worker.capacity = std::max(0, *event.capacity);
    WantDispatch(*worker.group);
  }
  for (AttemptProgress& progress : event.progress) KeepProgress(progress, worker);
  if (!event.results.empty()) RunResults(event.stream, event.results, false);
  if (event.goodbye) {
    for (Job* job : InOrder(worker.outstanding)) Requeue(*job);
    CloseStream(event.stream);
    RemoveWorker(worker);
  }
}

void Partition::KeepProgress(AttemptProgress& progress, const Worker& worker) {
  Job* job = FindJob(progress.ref.key);
  if (job == nullptr || job->worker != &worker || job->token != progress.ref.token) return;
  job->progress_percent = std::clamp(progress.percent, -1, 100);
  job->progress_text = std::move(progress.text);
}

void Partition::RunResults(StreamId stream, std::vector<AttemptResult>& results, bool looked_up) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;  // gone meanwhile: it tells them again in its next hello
  Worker& worker = *found->second;
  PendingRead read;
  for (AttemptResult& result : results) {
    if (!looked_up && !jobs_.contains(result.ref.key) && !AllInMemory(*worker.group)) {
      read.lookup.ids.push_back(result.ref.key.id);
      read.results.push_back(std::move(result));
      continue;
    }
    ApplyResult(result, worker);
    SendTo(stream).acks.push_back(result.ref);
  }
  if (!read.results.empty()) {
    read.results_stream = stream;
    WantLookup(std::move(read));
  }
}

// What was given to it in the same effects and is taken back is not sent any more.
void Partition::CloseStream(StreamId stream) {
  WorkerSend& send = SendTo(stream);
  send.assignments.clear();
  send.close = true;
}

void Partition::OnWorkerClosed(StreamId stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) {
    // Its hello may wait for a look-up; nobody listens to the answer any more.
    const auto forget = [&](PendingRead& read) {
      if (read.hello && read.hello->stream == stream) read.hello.reset();
    };
    for (auto& [id, read] : reads_) forget(read);
    for (auto& [time, read] : read_retries_) forget(read);
    return;
  }
  found->second->stream = 0;  // it may come back within its lease
  streams_.erase(found);
}

// ---- leases
// ---------------------------------------------------------------------------------------------------------

void Partition::ArmWorker(Worker& worker, std::int64_t from_mono_ms) {
  const auto name = std::pair(worker.group_name, worker.identity);
  if (worker.deadline_mono_ms != 0) worker_timers_.erase({worker.deadline_mono_ms, name});
  worker.deadline_mono_ms = from_mono_ms + options_.tasktracker_lease_ms + options_.kill_grace_ms;
  worker_timers_.emplace(worker.deadline_mono_ms, name);
}

void Partition::LoseWorker(Worker& worker, const std::string& why) {
  for (Job* job : InOrder(worker.outstanding)) Lose(*job, model::Outcome::kLost, why);
  if (worker.stream != 0) CloseStream(worker.stream);
  RemoveWorker(worker);
}

void Partition::RemoveWorker(Worker& worker) {
  Group& group = *worker.group;
  const auto name = std::pair(worker.group_name, worker.identity);
  effects_->batch.mutations.emplace_back(store::DeleteWorker{worker.group_name, worker.identity});
  if (worker.stream != 0) streams_.erase(worker.stream);
  worker_timers_.erase({worker.deadline_mono_ms, name});
  std::erase(group.workers, &worker);
  group.next_worker = 0;
  ExpectedArrived(group, worker);
  workers_.erase(name);
}

void Partition::ExpectedArrived(Group& group, Worker& worker) {
  worker.expected = false;
  if (group.expected.erase(worker.identity) > 0 && group.expected.empty()) OpenGroup(group);
}

// All TaskTrackers that may run something of an earlier owner have told what, or are lost: the rest
// runs nowhere.
void Partition::OpenGroup(Group& group) {
  if (!group.opening) return;
  group.opening = false;
  WantDispatch(group);  // which also keeps the group from being swept
  for (Job* job : std::vector<Job*>(group.held.begin(), group.held.end())) Place(*job);
  // Dated jobs that came due meanwhile were held too; run keys taken by adoption were settled by
  // Place.
  std::deque<Operation> deferred;
  deferred.swap(group.deferred);
  deferred_operations_ -= deferred.size();
  group.deferred_tasks.clear();
  for (Operation& operation : deferred) {
    operation.looked_up = false;
    Begin(std::move(operation));
  }
  DropOutside(group);
  Shed(group);
}

}  // namespace lts::core

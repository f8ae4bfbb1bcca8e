// The event switch, timers, loading and views of a Partition.
#include "jobtracker/core/partition.h"

#include <algorithm>
#include <climits>

#include "jobtracker/core/state.h"

namespace lts::core {

using model::JobState;
using store::JobRow;

namespace {

// A clock that is kept right goes back by less.
constexpr DurationMs kAheadMs = 1'000;

}  // namespace

Partition::Partition(PartitionOptions options, LoadedState loaded, Now now)
    : options_(std::move(options)),
      epoch_(loaded.epoch),
      refused_(std::move(loaded.refused)),
      first_seq_(loaded.next_seq),
      next_seq_(loaded.next_seq),
      now_(now),
      random_(options_.seed) {
  feedback_check_mono_ms_ = now.mono_ms + FeedbackCheckMs();
  // What an earlier owner accepted and saw end is only in the history.
  if (loaded.next_seq > 1) lookup_all_until_mono_ms_ = now.mono_ms + options_.late_copy_ms;
  for (store::ScheduleRow& row : loaded.schedules) AddSchedule(std::move(row));
  loaded_groups_ = loaded.groups;
  if (!loaded_groups_.empty()) recheck_mono_ms_ = now.mono_ms + recheck_every_ms_;
  for (const std::string& name : loaded.groups) {
    Group& group = GroupOf(name);
    group.ready_complete = group.dated_complete = false;
    group.outside = Group::OutsideTasks::kUnread;
    group.ready_end = {INT_MIN, INT64_MIN, 0};
    group.dated_end = {INT64_MIN, 0};
    group.top_wanted = true;
    WantDispatch(group);
  }
  if (!options_.faults.forget_running_at_restart) {
    for (store::WorkerRow& row : loaded.workers) {
      Group& group = GroupOf(row.group);
      auto owned = std::make_unique<Worker>();
      owned->group_name = row.group;
      owned->identity = row.identity;
      owned->incarnation = row.incarnation;
      owned->session = row.session;
      owned->expected = true;
      owned->group = &group;
      group.workers.push_back(owned.get());
      // After a clean release every running job is marked: nothing else can be out there.
      if (!loaded.clean) group.opening = true;
      group.expected.insert(row.identity);
      ArmWorker(*owned, now.mono_ms);
      workers_.emplace(std::pair(row.group, row.identity), std::move(owned));
    }
  }
  for (JobRow& row : loaded.resident) {
    const bool marked =
        row.state == JobState::kRunning && !options_.faults.forget_running_at_restart;
    const model::JobKey key = row.key;
    const std::string worker_name = row.mark_worker;
    const model::Token mark = row.mark;
    Job* job = AddJob(std::move(row));
    if (job->row.kind == store::JobKind::kOccurrence) {
      const auto schedule = schedules_.find(key.id);
      if (schedule != schedules_.end()) schedule->second->occurrences.insert(key);
    }
    if (!marked || refused_.contains(key)) continue;
    const auto worker = workers_.find(std::pair(job->row.spec->group, worker_name));
    // A worker row goes in the same commit as the loss of its attempts, so a marked row has its
    // worker.
    if (worker != workers_.end()) AttachExecuting(*job, *worker->second, mark);
  }
  for (auto& [id, schedule] : schedules_) ArmSchedule(*schedule);
  for (const std::string& name : loaded.feedback_groups) {
    FeedbackGroup& group = FeedbackGroupOf(name);
    group.complete = false;
  }
}

Partition::~Partition() = default;

void Partition::Handle(Event event, Now now, Effects* effects) {
  now_ = now;
  max_wall_ms_ = std::max(max_wall_ms_, now.wall_ms);
  effects_ = effects;
  struct Visitor {
    Partition& core;
    void operator()(SubmitEvent& e) { core.OnSubmit(std::move(e)); }
    void operator()(OperateEvent& e) { core.OnOperate(std::move(e)); }
    void operator()(HelloEvent& e) { core.OnHello(std::move(e)); }
    void operator()(WorkerEvent& e) { core.OnWorker(std::move(e)); }
    void operator()(WorkerClosedEvent& e) { core.OnWorkerClosed(e.stream); }
    void operator()(FeedbackHelloEvent& e) { core.OnFeedbackHello(std::move(e)); }
    void operator()(FeedbackAckEvent& e) { core.OnFeedbackAck(std::move(e)); }
    void operator()(FeedbackClosedEvent& e) { core.OnFeedbackClosed(e.stream); }
    void operator()(LookupAnswer& e) { core.OnLookup(std::move(e)); }
    void operator()(RefillAnswer& e) { core.OnRefill(std::move(e)); }
    void operator()(TasksAnswer& e) { core.OnTasks(std::move(e)); }
    void operator()(FeedbackRefillAnswer& e) { core.OnFeedbackRefill(std::move(e)); }
    void operator()(ReadFailed& e) { core.OnReadFailed(std::move(e)); }
    void operator()(TickEvent&) {}
  };
  std::visit(Visitor{*this}, event);
  if (!frozen_) OnTick();
  Finish(effects);
}

// Whatever is due by now, after every event: a late tick changes nothing but latency.
void Partition::OnTick() {
  FireDue();
  while (!group_timers_.empty() && group_timers_.begin()->first <= now_.wall_ms) {
    Group& group = *groups_.at(group_timers_.begin()->second);
    group_timers_.erase(group_timers_.begin());
    group.timer_ms = kNever;
    Promote(group);
  }
  while (!expiry_timers_.empty() && expiry_timers_.begin()->first <= now_.wall_ms) {
    const model::JobKey key = expiry_timers_.begin()->second;
    expiry_timers_.erase(expiry_timers_.begin());
    Job* job = FindJob(key);
    // Started in time is in time; one that may be running is judged when its group opens.
    if (job == nullptr || job->row.Started() || job->place == Job::Place::kExecuting ||
        MayRunUnseen(*job)) {
      continue;
    }
    EndWithoutAttempt(*job, model::JobEvent::kExpire, "not started before it expired");
  }
  while (!worker_timers_.empty() && worker_timers_.begin()->first <= now_.mono_ms) {
    const auto worker = workers_.find(worker_timers_.begin()->second);
    LoseWorker(*worker->second, "its TaskTracker was not heard of for longer than its lease");
  }
  FlushDueMarks(false);
  if (feedback_check_mono_ms_ <= now_.mono_ms) CheckFeedback();
  if (recheck_mono_ms_ <= now_.mono_ms) Recheck();
  while (!feedback_timers_.empty() && feedback_timers_.begin()->first <= now_.mono_ms) {
    FeedbackGroup& group = *feedback_.at(feedback_timers_.begin()->second);
    Offer(group);
  }
  while (!read_retries_.empty() && read_retries_.begin()->first <= now_.mono_ms) {
    PendingRead read = std::move(read_retries_.begin()->second);
    read_retries_.erase(read_retries_.begin());
    if (!read.refill_group.empty()) {
      const auto group = groups_.find(read.refill_group);
      if (group != groups_.end()) WantDispatch(*group->second);  // it asks from the top
      continue;
    }
    wanted_reads_.push_back(std::make_unique<PendingRead>(std::move(read)));
  }
}

// The clock of the owner before may have been ahead of ours: rows that it accepted as due then are
// neither due nor dated in the store for us, until our clock has come as far. Nobody knows how far;
// so groups with rows of an earlier owner are read again, in ever longer intervals.
void Partition::Recheck() {
  recheck_every_ms_ *= 2;
  recheck_mono_ms_ = now_.mono_ms + recheck_every_ms_;
  for (const std::string& name : loaded_groups_) {
    const auto group = groups_.find(name);
    if (group == groups_.end()) continue;
    group->second->top_wanted = true;
    WantDispatch(*group->second);
  }
}

void Partition::Finish(Effects* effects) {
  // Dispatching may end jobs (expired) and so open run keys of the same group.
  while (!frozen_ && !to_dispatch_.empty()) {
    Group* group = to_dispatch_.back();
    to_dispatch_.pop_back();
    Dispatch(*group);
  }
  if (gathering_) wanted_reads_.push_back(std::move(gathering_));
  for (std::unique_ptr<PendingRead>& read : wanted_reads_) {
    const ReadId id = ReadIdNext();
    read->ordinal = ordinal_;
    if (!read->refill_group.empty()) {
      read->refill.id = id;
      read->refill.now_ms = now_.wall_ms;
      read->clock_behind = now_.wall_ms < max_wall_ms_;
      effects->refills.push_back(read->refill);
    } else if (!read->feedback_group.empty()) {
      read->feedback.id = id;
      effects->feedback_refills.push_back(read->feedback);
    } else if (!read->tasks_group.empty()) {
      read->tasks.id = id;
      effects->tasks.push_back(read->tasks);
    } else {
      read->lookup.id = id;
      effects->lookups.push_back(read->lookup);
    }
    reads_.emplace(id, std::move(*read));
  }
  wanted_reads_.clear();
  if (groups_.size() + feedback_.size() >= sweep_at_) SweepGroups();
  effects->batch.next_seq = next_seq_;
}

void Partition::SweepGroups() {
  std::erase_if(groups_, [&](const auto& entry) {
    const Group& group = *entry.second;
    return group.tasks.empty() && group.workers.empty() && group.Complete() && !group.refilling &&
           group.outside == Group::OutsideTasks::kKnown && !group.top_wanted && !group.opening &&
           group.deferred.empty() && group.timer_ms == kNever && !group.dispatch_wanted;
  });
  std::erase_if(feedback_, [](const auto& entry) {
    const FeedbackGroup& group = *entry.second;
    return group.items.empty() && group.complete && !group.refilling && group.streams.empty() &&
           group.timer_mono_ms == kNever;
  });
  sweep_at_ = std::max<std::size_t>(256, 2 * (groups_.size() + feedback_.size()));
}

WorkerSend& Partition::SendTo(StreamId stream) {
  for (auto it = effects_->worker_sends.rbegin(); it != effects_->worker_sends.rend(); ++it) {
    if (it->stream == stream) return *it;
  }
  effects_->worker_sends.push_back({});
  effects_->worker_sends.back().stream = stream;
  return effects_->worker_sends.back();
}

Partition::Timers Partition::NextTimer() const {
  Timers timers;
  if (!fire_timers_.empty()) timers.wall_ms = std::min(timers.wall_ms, fire_timers_.begin()->first);
  if (!group_timers_.empty())
    timers.wall_ms = std::min(timers.wall_ms, group_timers_.begin()->first);
  if (!expiry_timers_.empty())
    timers.wall_ms = std::min(timers.wall_ms, expiry_timers_.begin()->first);
  if (!worker_timers_.empty())
    timers.mono_ms = std::min(timers.mono_ms, worker_timers_.begin()->first);
  timers.mono_ms = std::min(timers.mono_ms, recheck_mono_ms_);
  if (!feedback_.empty()) timers.mono_ms = std::min(timers.mono_ms, feedback_check_mono_ms_);
  if (!mark_timers_.empty()) timers.mono_ms = std::min(timers.mono_ms, mark_timers_.front().first);
  if (!feedback_timers_.empty())
    timers.mono_ms = std::min(timers.mono_ms, feedback_timers_.begin()->first);
  if (!read_retries_.empty())
    timers.mono_ms = std::min(timers.mono_ms, read_retries_.begin()->first);
  return timers;
}

void Partition::Fault(std::string what) {
  if (effects_->fault.empty()) effects_->fault = std::move(what);
}

bool Partition::FlushMarks(Effects* effects) {
  effects_ = effects;
  FlushDueMarks(true);
  effects->batch.next_seq = next_seq_;
  return std::none_of(groups_.begin(), groups_.end(),
                      [](const auto& entry) { return entry.second->opening; });
}

PartitionStats Partition::Stats() const {
  PartitionStats stats = stats_;
  stats.jobs_in_memory = jobs_.size();
  stats.executing = executing_;
  for (const auto& [name, group] : groups_) {
    stats.ready += group->ready.size();
    stats.dated += group->dated.size();
    stats.held += group->held.size();
    stats.window = std::max({stats.window, group->ready.size(), group->dated.size()});
  }
  for (const auto& [name, group] : feedback_)
    stats.feedback = std::max(stats.feedback, group->items.size());
  stats.groups = groups_.size();
  stats.registered_workers = workers_.size();
  stats.workers = streams_.size();
  stats.schedules = schedules_.size();
  stats.schedules_without_fires = without_fires_;
  if (max_last_fire_ms_ > now_.wall_ms + kAheadMs) {
    for (const auto& [id, schedule] : schedules_) {
      if (AheadOfClock(id, now_) > kAheadMs) ++stats.schedules_ahead;
    }
  }
  stats.waiting_operations = waiting_operations_ + deferred_operations_;
  stats.memory_bytes = memory_bytes_;
  stats.outside_bytes = outside_.bytes();
  stats.resident = resident_;
  return stats;
}

std::optional<LiveJob> Partition::Find(const model::JobKey& key) const {
  const Job* job = FindJob(key);
  if (job == nullptr) return std::nullopt;
  LiveJob live;
  live.row = job->row;
  live.executing = job->place == Job::Place::kExecuting;
  if (live.executing) {
    live.worker = job->worker->identity;
    live.token = job->token;
    live.started_ms = job->started_ms;
    live.stuck = OutOfTime(*job, now_);
    live.progress_percent = job->progress_percent;
    live.progress_text = job->progress_text;
  }
  return live;
}

std::optional<TimeMs> Partition::NextFire(const model::JobId& schedule) const {
  const auto found = schedules_.find(schedule);
  if (found == schedules_.end()) return std::nullopt;
  return found->second->next_ms;
}

DurationMs Partition::AheadOfClock(const model::JobId& schedule, Now now) const {
  const auto found = schedules_.find(schedule);
  if (found == schedules_.end()) return 0;
  return std::max<DurationMs>(found->second->row.last_fire_ms - now.wall_ms, 0);
}

bool Partition::ZoneUnknown(const model::JobId& schedule) const {
  const auto found = schedules_.find(schedule);
  return found != schedules_.end() && found->second->fires == nullptr;
}

std::vector<GroupView> Partition::Groups() const {
  std::vector<GroupView> views;
  for (const auto& [name, group] : groups_) {
    GroupView view;
    view.group = name;
    for (const Worker* worker : group->workers) {
      if (worker->stream == 0) continue;
      ++view.workers;
      view.slots += worker->capacity;
    }
    view.running = static_cast<std::int64_t>(group->executing);
    views.push_back(std::move(view));
  }
  std::sort(views.begin(), views.end(),
            [](const GroupView& a, const GroupView& b) { return a.group < b.group; });
  return views;
}

std::vector<WorkerView> Partition::Workers() const {
  std::vector<WorkerView> views;
  for (const auto& [name, worker] : workers_) {
    views.push_back({worker->group_name, worker->identity, worker->capacity,
                     static_cast<std::int32_t>(worker->outstanding.size()), worker->stream != 0});
  }
  return views;
}

}  // namespace lts::core

#include "client.h"

#include <fmt/core.h>

#include <set>
#include <utility>

#include "tracker.h"

namespace lts::sim {

namespace {
constexpr std::int64_t kCallTimeoutUs = 2'000'000;
}  // namespace

SimClient::SimClient(World& world, int number)
    : world_(world),
      number_(number),
      clock_(world.loop()),
      ids_(world.random().Next()),
      fail_store_(world.true_clock()),
      acts_left_(world.config().submits) {
  clock_.Step(world.random().Between(-1'500, 1'500));
}

SimClient::~SimClient() = default;

void SimClient::After(std::int64_t delay_us, std::function<void()> task) {
  strand_->PostAfter(delay_us, std::move(task));
}

void SimClient::Start() {
  process_ = std::make_shared<Process>();
  strand_ = &world_.NewStrand(process_);
  ForwarderOptions options;
  options.batch_records_max = static_cast<std::size_t>(world_.random().Between(1, 16));
  options.backoff_min_ms = 100;
  options.backoff_max_ms = 2'000;
  options.seed = world_.random().Next();
  forwarder_ = std::make_unique<Forwarder>(
      fail_store_, FailKind::kSubmit, *strand_,
      [this](std::vector<FailRecord> batch, Forwarder::Done done) {
        Forward(std::move(batch), std::move(done));
      },
      options);
  forwarder_->WayOpen();
  feedback_.clear();
  for (std::uint32_t i = 0; i < world_.config().partitions; ++i) Subscribe(i);
  strand_->Post([this] { Act(); });
}

void SimClient::Kill() {
  if (!alive()) return;
  if (!calls_.empty()) world_.Count("client death with a call under way");
  process_->alive = false;
  calls_.clear();
  dead_forwarders_.push_back(std::move(forwarder_));
  for (const auto& [partition, stream] : std::exchange(feedback_, {})) {
    if (!stream) continue;
    stream->far_open = false;
    world_.Break(stream, false, true);
  }
}

void SimClient::Act() {
  if (!world_.active() || acts_left_ <= 0) return;
  --acts_left_;
  if (world_.random().Chance(0.25)) {
    OperateSome();
  } else {
    SubmitSome();
  }
  const std::int64_t mean_us = world_.config().active_ms * 1000 / world_.config().submits;
  // Bursts: several acts at one moment now and then.
  After(world_.random().Chance(0.3) ? 0 : world_.random().Between(0, mean_us * 2),
        [this] { Act(); });
}

model::JobSpec SimClient::DrawSpec() {
  Random& r = world_.random();
  const Config& config = world_.config();
  model::JobSpec spec;
  spec.group =
      world_.GroupName(static_cast<int>(r.Below(static_cast<std::uint64_t>(config.groups))));
  spec.task_id = r.Chance(config.fresh_task)
                     ? fmt::format("fresh{}-{}", number_, ++fresh_)
                     : fmt::format("task{}", r.Below(static_cast<std::uint64_t>(config.tasks)));
  spec.submit_group = r.Chance(0.9) ? fmt::format("client{}", number_) : "client0";
  spec.need_feedback = r.Chance(0.5);
  spec.priority = r.Pick({100, 100, 100, 1, 500});
  spec.max_retry_times = static_cast<std::int32_t>(r.Pick({0, 1, 3}));
  if (r.Chance(0.5)) {
    spec.retry = model::RetryPolicy{
        r.Pick({model::RetryPolicy::Kind::kFixed, model::RetryPolicy::Kind::kLinear}),
        r.Between(1, 3'000), 5'000};
  }
  if (r.Chance(config.poison)) spec.params[kPoison] = "";
  spec.replace_on_exist = r.Chance(0.3);
  spec.fail_if_exists = r.Chance(0.1);
  spec.at_most_once = r.Chance(0.1);
  if (r.Chance(0.1)) spec.timeout_ms = r.Between(10, 1'000);
  if (r.Chance(0.1)) spec.expires_in_ms = r.Between(100, 10'000);
  if (r.Chance(config.schedule_share)) {
    spec.rely_on_prev_cycle = r.Chance(0.5);
    spec.misfire = r.Pick({model::MisfirePolicy::kDefault, model::MisfirePolicy::kFireOnce,
                           model::MisfirePolicy::kSkip, model::MisfirePolicy::kCatchUp});
    spec.catch_up_max = static_cast<std::int32_t>(r.Pick({0, 0, 1, 3}));
    if (r.Chance(0.5)) {
      spec.cron =
          r.Pick({"* * * * * ?", "*/2 * * * * ?", "0/5 * * * * ?", "@every 3s", "0 * * * * ?"});
    } else {
      spec.repeat_interval_ms = r.Pick({200, 1'000, 7'000});
      spec.repeat_count = r.Pick({-1, 1, 3, 10});
      if (r.Chance(0.3)) spec.trigger_delay_ms = r.Between(0, 5'000);
    }
    if (r.Chance(0.3)) spec.end_time_ms = clock_.WallMs() + r.Between(0, 40'000);
  } else if (r.Chance(0.3)) {
    spec.trigger_delay_ms = r.Between(0, 15'000);
  } else if (r.Chance(0.2)) {
    spec.trigger_time_ms = clock_.WallMs() + r.Between(-5'000, 20'000);
  }
  return spec;
}

void SimClient::SubmitSome() {
  Random& r = world_.random();
  const int count = r.Chance(0.2) ? static_cast<int>(r.Between(2, 8)) : 1;
  std::map<std::uint32_t, std::vector<core::SubmitItem>> by_partition;
  for (int i = 0; i < count; ++i) {
    auto spec = std::make_shared<model::JobSpec>(DrawSpec());
    spec->job_id = ids_.Next(clock_.WallMs());
    Submission submission;
    submission.id = *model::JobId::Parse(spec->job_id);
    submission.spec = spec;
    submissions_[spec->job_id] = submission;
    order_.push_back(spec->job_id);
    world_.Note(submission.id, 30, "client {} submits {} {} replace={} cron=\"{}\"", number_,
                spec->group, spec->task_id, spec->replace_on_exist, spec->cron);
    if (fail_store_.Contains(FailKind::kSubmit, KeyOf(*spec))) {
      Store(spec->job_id);  // behind the one of its task that waits there
      continue;
    }
    by_partition[world_.PartitionOfGroup(spec->group)].push_back({spec, submission.id, false});
  }
  for (auto& [partition, items] : by_partition) {
    const std::uint64_t call = ++last_call_;
    calls_[call].partition = partition;
    for (const core::SubmitItem& item : items) calls_[call].ids.push_back(item.spec->job_id);
    const int target = TargetOf(partition);
    const std::string there = World::PlaceOf(target);
    const auto send = [&, partition = partition](const std::vector<core::SubmitItem>& sent) {
      return [this, partition, sent, call, target, there, process = process_] {
        SimTracker* tracker = world_.tracker(target);
        if (tracker == nullptr) return;
        tracker->Submit(partition, sent,
                        [this, call, there, process](std::vector<core::SubmitReply> replies) {
                          world_.SendDatagram(
                              there, place(), [this, call, process, replies = std::move(replies)] {
                                if (process->alive)
                                  strand_->Post([this, call, replies] { Answered(call, replies); });
                              });
                        });
      };
    };
    // Sent a second time by the library, it is marked; and yet it may arrive first.
    std::vector<core::SubmitItem> marked = items;
    for (core::SubmitItem& item : marked) item.maybe_sent = true;
    world_.SendDatagram(place(), there, send(items), send(marked));
    After(kCallTimeoutUs, [this, call] { Answered(call, {}); });
  }
}

void SimClient::Answered(std::uint64_t call, const std::vector<core::SubmitReply>& replies) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  std::set<std::string> open(found->second.ids.begin(), found->second.ids.end());
  const std::vector<std::string> order = found->second.ids;
  const std::uint32_t partition = found->second.partition;
  calls_.erase(found);
  for (const core::SubmitReply& reply : replies) {
    if (reply.index >= order.size()) continue;
    const std::string& id = order[reply.index];
    if (reply.code == StatusCode::kUnavailable || reply.code == StatusCode::kResourceExhausted)
      continue;
    Submission& submission = submissions_.at(id);
    submission.answered = true;
    submission.code = reply.code;
    submission.outcome = reply.outcome;
    open.erase(id);
  }
  if (!open.empty()) ++targets_[partition];
  for (const std::string& id : order) {
    if (open.contains(id)) Store(id);
  }
}

void SimClient::Store(const std::string& id) {
  Submission& submission = submissions_.at(id);
  const Status stored = fail_store_.Put(FailKind::kSubmit, KeyOf(*submission.spec), id);
  if (!stored.ok()) {
    world_.Fail("I11", submission.id, stored.ToString());
    return;
  }
  world_.Note(submission.id, 31, "kept in the FailStore of client {}", number_);
  world_.Count("submit kept in a FailStore");
  submission.stored = true;
  forwarder_->Wake();
}

void SimClient::Forward(std::vector<FailRecord> batch, Forwarder::Done done) {
  struct Under {
    std::vector<Status> statuses;
    std::size_t missing = 0;
    bool over = false;
    Forwarder::Done done;
  };
  auto under = std::make_shared<Under>();
  under->done = std::move(done);
  under->statuses.assign(batch.size(), Status::Unavailable("no answer"));
  std::map<std::uint32_t, std::vector<std::size_t>> by_partition;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    by_partition[world_.PartitionOfGroup(submissions_.at(batch[i].bytes).spec->group)].push_back(i);
  }
  under->missing = by_partition.size();
  for (const auto& [partition, indexes] : by_partition) {
    std::vector<core::SubmitItem> items;
    for (const std::size_t i : indexes) {
      const Submission& submission = submissions_.at(batch[i].bytes);
      items.push_back({submission.spec, submission.id, true});
    }
    const int target = TargetOf(partition);
    const std::string there = World::PlaceOf(target);
    world_.SendDatagram(
        place(), there,
        [this, partition = partition, indexes = indexes, items, under, batch, target, there,
         process = process_] {
          SimTracker* tracker = world_.tracker(target);
          if (tracker == nullptr) return;
          tracker->Submit(
              partition, items,
              [this, partition, indexes, under, batch, there,
               process](std::vector<core::SubmitReply> replies) {
                world_.SendDatagram(
                    there, place(),
                    [this, partition, indexes, under, batch, process,
                     replies = std::move(replies)] {
                      if (!process->alive) return;
                      strand_->Post([this, partition, indexes, under, batch, replies] {
                        if (under->over) return;
                        for (const core::SubmitReply& reply : replies) {
                          if (reply.index >= indexes.size()) continue;
                          const std::size_t i = indexes[reply.index];
                          Submission& submission = submissions_.at(batch[i].bytes);
                          under->statuses[i] = Status(reply.code, reply.message);
                          if (reply.code == StatusCode::kUnavailable) ++targets_[partition];
                          if (reply.code == StatusCode::kUnavailable ||
                              reply.code == StatusCode::kResourceExhausted)
                            continue;
                          submission.answered = true;
                          submission.code = reply.code;
                          submission.outcome = reply.outcome;
                          // I11: nothing of the task that was stored before it still waits, but in
                          // this batch.
                          auto waiting = fail_store_.Peek(FailKind::kSubmit, SIZE_MAX, 0, SIZE_MAX);
                          for (const FailRecord& record : *waiting) {
                            if (record.id >= batch[i].id) break;
                            if (record.key == batch[i].key && record.id < batch.front().id) {
                              world_.Fail("I11", submission.id,
                                          "was sent before an older record of its task");
                            }
                          }
                        }
                        if (--under->missing > 0) return;
                        under->over = true;
                        under->done(Status::Ok(), under->statuses);
                      });
                    });
              });
        });
  }
  After(kCallTimeoutUs, [this, under, by_partition] {
    if (std::exchange(under->over, true)) return;
    for (const auto& [partition, indexes] : by_partition) ++targets_[partition];
    under->done(Status::Ok(), under->statuses);
  });
}

void SimClient::OperateSome() {
  if (order_.empty()) return;
  Random& r = world_.random();
  const std::size_t recent = std::min<std::size_t>(order_.size(), 20);
  const Submission& submission = submissions_.at(order_[order_.size() - 1 - r.Below(recent)]);
  core::OperateEvent event;
  event.group = submission.spec->group;
  event.task_id = submission.spec->task_id;
  using Kind = core::OperationKind;
  event.kind = r.Pick({Kind::kCancel, Kind::kCancel, Kind::kSuspend, Kind::kResume, Kind::kResume,
                       Kind::kTerminate, Kind::kTrigger, Kind::kUpdate});
  if (r.Chance(0.5)) event.id = submission.id;
  if (event.kind == Kind::kResume) event.reset = r.Chance(0.3);
  if (event.kind == Kind::kTrigger) {
    event.new_id = *model::JobId::Parse(ids_.Next(clock_.WallMs()));
    runs_made_[event.new_id] = false;
    if (submission.spec->IsSchedule() && r.Chance(0.5)) event.params["by"] = "hand";
  }
  if (event.kind == Kind::kUpdate) event.update = DrawUpdate(*submission.spec);
  world_.Note(submission.id, 32, "client {} operates {} on task {} by_id={}", number_,
              static_cast<int>(event.kind), event.task_id, !event.id.empty());
  event.client = place();
  event.number = ++operations_;
  world_.checker().OnOperationAsked(event);
  Send(std::move(event), 3);
}

std::shared_ptr<const model::JobUpdate> SimClient::DrawUpdate(const model::JobSpec& spec) {
  Random& r = world_.random();
  auto update = std::make_shared<model::JobUpdate>();
  model::JobSpec& values = update->values;
  const auto change = [&](double share, const char* field) {
    if (!r.Chance(share)) return false;
    update->fields.emplace_back(field);
    return true;
  };
  if (change(0.4, "priority")) values.priority = r.Pick({1, 100, 500});
  if (change(0.2, "max_retry_times")) {
    values.max_retry_times = static_cast<std::int32_t>(r.Pick({0, 2}));
  }
  if (change(0.2, "expires_in_ms")) values.expires_in_ms = r.Between(100, 10'000);
  if (spec.IsSchedule()) {
    if (spec.IsCron() && change(0.5, "cron_expression")) {
      values.cron = r.Pick({"* * * * * ?", "*/3 * * * * ?", "@every 2s"});
    }
    if (spec.IsRepeat() && change(0.5, "repeat_interval_ms"))
      values.repeat_interval_ms = r.Pick({300, 2'000});
    if (change(0.2, "rely_on_prev_cycle")) values.rely_on_prev_cycle = r.Chance(0.5);
    if (change(0.2, "misfire")) values.misfire = model::MisfirePolicy::kSkip;
  } else if (change(0.4, "trigger_delay_ms")) {
    values.trigger_delay_ms = r.Between(0, 5'000);
  }
  return update;
}

void SimClient::Send(core::OperateEvent event, int tries) {
  if (tries == 0) return;
  auto answered = std::make_shared<bool>(false);
  const std::uint32_t partition = world_.PartitionOfGroup(event.group);
  const int target = TargetOf(partition);
  world_.SendDatagram(place(), World::PlaceOf(target), [this, event, answered, partition, target] {
    SimTracker* tracker = world_.tracker(target);
    if (tracker == nullptr) return;
    tracker->Operate(partition, event,
                     [this, answered, made = event.new_id](const core::OperateReply& reply) {
                       *answered = *answered || (reply.code != StatusCode::kUnavailable &&
                                                 reply.code != StatusCode::kResourceExhausted);
                       if (reply.code == StatusCode::kOk && !made.empty() && reply.id == made) {
                         runs_made_[made] = true;
                       }
                     });
  });
  After(kCallTimeoutUs, [this, event, answered, partition, tries]() mutable {
    if (*answered) return;
    ++targets_[partition];
    event.maybe_sent = true;
    Send(std::move(event), tries - 1);
  });
}

void SimClient::OperateSchedule(const model::JobId& id, core::OperationKind kind, bool reset) {
  for (const auto& [text, submission] : submissions_) {
    if (submission.id != id) continue;
    core::OperateEvent event;
    event.group = submission.spec->group;
    event.task_id = submission.spec->task_id;
    event.id = id;
    event.kind = kind;
    event.reset = reset;
    world_.checker().OnOperationAsked(event);
    Send(std::move(event), 3);
    return;
  }
}

void SimClient::Resume(const std::string& group, const std::string& task, const model::JobId& id) {
  core::OperateEvent event;
  event.group = group;
  event.task_id = task;
  event.id = id;
  event.kind = core::OperationKind::kResume;
  world_.checker().OnOperationAsked(event);
  Send(std::move(event), 3);
}

void SimClient::Subscribe(std::uint32_t partition) {
  StreamPtr stream = world_.OpenStream(partition, TargetOf(partition), place());
  feedback_[partition] = stream;
  SimStrand* strand = strand_;
  stream->post_far = [strand](std::function<void()> task) { strand->Post(std::move(task)); };
  stream->on_far_closed = [this, partition] {
    feedback_[partition] = nullptr;
    ++targets_[partition];
    After(world_.random().Between(10'000, 1'000'000), [this, partition] { Subscribe(partition); });
  };
  stream->on_feedback = [this,
                         weak = std::weak_ptr<Stream>(stream)](const core::FeedbackSend& send) {
    if (const StreamPtr from = weak.lock()) OnFeedback(from, send);
  };
  core::FeedbackHelloEvent hello;
  hello.stream = stream->id;
  hello.submit_group = fmt::format("client{}", number_);
  hello.window = static_cast<std::int32_t>(world_.random().Between(1, 10));
  world_.SendToTracker(stream, [this, stream, hello] {
    if (SimTracker* tracker = world_.tracker(stream->tracker)) {
      tracker->FromStream(stream, hello);
    } else {
      world_.Break(stream, true, false);
    }
  });
  // A stream that nobody serves, or that broke unnoticed at the other side, is opened anew.
  if (world_.random().Chance(0.2) && world_.active()) {
    After(world_.random().Between(1'000'000, 20'000'000),
          [this, stream] { world_.Break(stream, true, true); });
  }
}

void SimClient::OnFeedback(const StreamPtr& stream, const core::FeedbackSend& send) {
  for (const store::FeedbackRow& row : send.rows) {
    world_.Note(row.key.id, 33, "feedback {} cycle={} at client {}", model::Name(row.state),
                row.key.cycle, number_);
    world_.checker().OnFeedbackDelivered(row);
    const bool again = !world_.settling() && world_.random().Chance(0.1);
    After(world_.random().Between(0, 20'000),
          [this, stream, again, key = row.key, attempt = row.attempt] {
            core::FeedbackAckEvent event;
            event.stream = stream->id;
            event.acks.push_back({key, attempt, again});
            if (again) {
              world_.Count("feedback asked for again");
            } else {
              world_.checker().OnFeedbackAcked(key, attempt);
            }
            world_.SendToTracker(stream, [this, stream, event] {
              if (SimTracker* tracker = world_.tracker(stream->tracker))
                tracker->FromStream(stream, event);
            });
          });
  }
}

void SimClient::AtEnd() {
  for (const auto& [id, told] : runs_made_) {
    if (told && !world_.checker().WasInserted(id)) {
      world_.Fail("I1", id, "a trigger was told that its run was made, and it is nowhere");
    }
  }
  for (const auto& [text, submission] : submissions_) {
    if (submission.stored && !submission.answered) {
      world_.Fail("I11", submission.id, "was told STORED and never got through");
    }
    const bool poison = submission.spec->params.contains(kPoison);
    if (poison && world_.checker().WasInserted(submission.id)) {
      world_.Fail("I1", submission.id, "is in a store that refuses it");
    }
    if (poison && submission.answered && submission.code == StatusCode::kInvalidArgument) {
      world_.Count("submit refused by name");
    } else if (submission.answered && submission.code == StatusCode::kInvalidArgument) {
      world_.Fail("I1", submission.id, "was refused in place of another");
    }
    if (submission.answered && submission.code == StatusCode::kOk &&
        submission.outcome != core::SubmitOutcome::kDuplicate &&
        !world_.checker().WasInserted(submission.id)) {
      world_.Fail("I1", submission.id, "was told ACCEPTED and is nowhere");
    }
  }
}

}  // namespace lts::sim

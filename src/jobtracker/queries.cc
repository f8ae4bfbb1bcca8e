#include "jobtracker/queries.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "jobtracker/views.h"
#include "lts/v1/types.pb.h"
#include "model/schedule.h"
#include "rpc/codec.h"
#include "rpc/limits.h"
#include "store/paging.h"

namespace lts {

using jobtracker::ToView;
using model::JobId;
using store::HistoryRow;
using store::JobRow;
using store::ScheduleRow;

namespace {

constexpr std::size_t kHistoryMax = 1'000;
constexpr DurationMs kWaitMaxMs = 60'000;

// Of the names in a log line: 64 characters of UTF-8.
constexpr std::size_t kNameBytesMax = 256;

// Of the attempts in one answer. A thousand messages of 4 KiB fit, and beside them the largest job.
constexpr std::size_t kAttemptsBytesMax = std::size_t{6} << 20;

Status NoSuchJob(const std::string& id) { return Status::NotFound("no job " + id); }

std::size_t LimitOf(int asked) {
  return static_cast<std::size_t>(std::clamp(asked <= 0 ? 100 : asked, 1, 1'000));
}

// The attempt under way, as an attempt that has not ended.
void AddRunning(const core::LiveJob& live, v1::AttemptView* view) {
  view->set_job_id(live.row.key.id.ToString());
  view->set_task_id(live.row.spec->task_id);
  view->set_group(live.row.spec->group);
  view->set_attempt(live.row.attempt);
  view->set_cycle_ms(live.row.key.cycle);
  rpc::ToProto(live.token, view->mutable_token());
  view->set_node(live.worker);
  view->set_due_ms(live.row.due_ms);
  view->set_started_ms(live.started_ms);
  view->set_state(v1::RUNNING);
  if (live.progress_percent >= 0) view->set_progress_percent(live.progress_percent);
  view->set_progress_text(live.progress_text);
}

// Two ways lead to the answer of a wait; the first one there gives it.
struct OneAnswer {
  std::mutex mutex;
  std::function<void(v1::WaitResponse)> done;
  void Answer(v1::WaitResponse answer) {
    std::function<void(v1::WaitResponse)> call;
    {
      const std::lock_guard lock(mutex);
      call.swap(done);
    }
    if (call) call(std::move(answer));
  }
};

// What a listing of attempts is asked for beyond its page.
struct AttemptFilter {
  store::JobFilter stored;  // what the store goes by
  std::optional<model::Outcome> outcome;

  bool Wants(const HistoryRow& row) const {
    return !row.is_schedule && (!outcome || row.outcome == *outcome) &&
           (!stored.state || row.state == *stored.state) && row.ended_ms >= stored.since_ms;
  }
};

Result<AttemptFilter> FilterFrom(const v1::ListAttemptsRequest& request) {
  AttemptFilter filter;
  filter.stored.group = request.group();
  filter.stored.task_id = request.task_id();
  filter.stored.since_ms = request.since_ms();
  if (!request.state().empty()) {
    filter.stored.state = model::JobStateFromName(request.state());
    if (!filter.stored.state) {
      return Status::InvalidArgument(
          fmt::format("state '{}' is none of the job states", request.state()));
    }
  }
  if (!request.outcome().empty()) {
    filter.outcome = model::OutcomeFromName(request.outcome());
    if (!filter.outcome) {
      return Status::InvalidArgument(
          fmt::format("outcome '{}' is none of the outcomes of attempts", request.outcome()));
    }
  }
  return filter;
}

// The attempts of a history (newest first), at most `limit` and as many as one answer takes.
void AddAttempts(const std::vector<HistoryRow>& history, const AttemptFilter& filter,
                 std::size_t limit, google::protobuf::RepeatedPtrField<v1::AttemptView>* out) {
  std::size_t bytes = 0;
  for (const HistoryRow& row : history) {
    if (!filter.Wants(row)) continue;
    if (static_cast<std::size_t>(out->size()) >= limit) return;
    v1::AttemptView view;
    ToView(row, &view);
    bytes += view.ByteSizeLong();
    if (bytes > kAttemptsBytesMax) return;
    *out->Add() = std::move(view);
  }
}

// Of a schedule that another JobTracker serves: what its row says. Where a fire is being caught up
// with its owner knows better.
std::optional<TimeMs> NextFireOf(const ScheduleRow& row, const std::string& default_zone) {
  const auto fires = model::MakeFireTimes(*row.spec, row.accepted_ms, default_zone);
  if (!fires.ok() || row.state != model::JobState::kActive) return std::nullopt;
  return (*fires)->Next(row.last_fire_ms);
}

// What the core knows better of a row's view.
void Overlay(const core::Partition* core, const JobRow& row, v1::JobView* view) {
  if (core == nullptr) return;
  const auto live = core->Find(row.key);
  if (!live) return;
  if (live->executing) {
    view->set_state(v1::RUNNING);
    v1::AttemptView running;
    AddRunning(*live, &running);
    *view->add_attempts() = std::move(running);
  }
}

}  // namespace

Queries::Queries(QueriesOptions options, store::JobStore& store, Edge& edge, Strand& reads,
                 Strand& logs, MetricsRegistry& metrics)
    : options_(std::move(options)),
      address_(options_.address),
      store_(store),
      edge_(edge),
      reads_(reads),
      logs_(logs),
      pending_(metrics, "queries.pending.max", options_.pending_max),
      logs_pending_(metrics, "logs.pending.max", options_.logs_pending_max) {}

void Queries::SetAddress(std::string address) {
  const std::lock_guard lock(address_mutex_);
  address_ = std::move(address);
}

std::string Queries::Address() const {
  const std::lock_guard lock(address_mutex_);
  return address_;
}

const std::string& Queries::Found::group() const {
  return schedule        ? schedule->spec->group
         : !rows.empty() ? rows.front().spec->group
                         : history.front().group;
}

const std::string& Queries::Found::task_id() const {
  return schedule        ? schedule->spec->task_id
         : !rows.empty() ? rows.front().spec->task_id
                         : history.front().task_id;
}

const HistoryRow* Queries::Found::End() const {
  if (schedule) return nullptr;
  for (const HistoryRow& row : history) {
    if (row.is_schedule) return &row;
  }
  if (!rows.empty()) return nullptr;
  for (const HistoryRow& row : history) {
    if (row.final) return &row;
  }
  return nullptr;
}

Result<Queries::Found> Queries::Find(const JobId& id) {
  Found found;
  auto schedule = store_.FindSchedule(id);
  if (!schedule.ok()) return schedule.status();
  found.schedule = *std::move(schedule);
  auto rows = store_.FindJobRows(id);
  if (!rows.ok()) return rows.status();
  found.rows = *std::move(rows);
  // Last: a job that ends meanwhile is then seen in one of the two.
  auto history = store_.FindHistory(id, kHistoryMax);
  if (!history.ok()) return history.status();
  found.history = *std::move(history);
  if (!found.schedule && found.history.size() == kHistoryMax) {
    // Of a schedule with so long a history the end is not among them.
    auto end = store_.FindAttempt({id, 0}, 0);
    if (!end.ok()) return end.status();
    if (*end && (*end)->is_schedule && !found.history.back().is_schedule) {
      found.history.push_back(**std::move(end));
    }
  }
  return found;
}

Result<std::pair<JobId, Queries::Found>> Queries::Resolve(const std::string& job_id,
                                                          const std::string& group,
                                                          const std::string& task_id) {
  JobId id;
  if (!job_id.empty()) {
    const auto parsed = JobId::Parse(job_id);
    if (!parsed) {
      return Status::InvalidArgument(fmt::format(
          "job id '{}' is not a UUID; by its task a job is named with group and task", job_id));
    }
    id = *parsed;
  } else {
    if (group.empty() || task_id.empty()) {
      return Status::InvalidArgument("give a job id, or a group and a task id");
    }
    store::JobFilter filter;
    filter.group = group;
    filter.task_id = task_id;
    auto schedules = store_.FindSchedules(filter, {}, 1);
    if (!schedules.ok()) return schedules.status();
    auto jobs = store_.FindJobs(filter, {}, 1);
    if (!jobs.ok()) return jobs.status();
    auto ended = store_.FindEnded(filter, true, {}, 1);
    if (!ended.ok()) return ended.status();
    if (!schedules->rows.empty()) {
      id = schedules->rows.front().id;
    } else if (!jobs->rows.empty()) {
      id = jobs->rows.front().key.id;
    } else if (!ended->rows.empty()) {
      id = ended->rows.front().key.id;
    } else {
      return Status::NotFound(fmt::format("no job of task {} in group {}", task_id, group));
    }
  }
  auto found = Find(id);
  if (!found.ok()) return found.status();
  if (!found->any()) return NoSuchJob(id.ToString());
  return std::pair(id, *std::move(found));
}

void Queries::WithCore(const std::string& group,
                       std::function<void(const core::Partition*, core::Now)> on_core) {
  edge_.HostOf(edge_.PartitionOf(group)).Query(std::move(on_core));
}

void Queries::WithEveryCore(std::function<void(std::uint32_t, const core::Partition*)> on_core,
                            std::function<void()> then) {
  struct Join {
    std::mutex mutex;
    std::uint32_t open;
  };
  auto join = std::make_shared<Join>();
  join->open = edge_.partitions();
  for (std::uint32_t i = 0; i < edge_.partitions(); ++i) {
    edge_.HostOf(i).Query([join, i, on_core, then](const core::Partition* core, core::Now) {
      bool last;
      {
        const std::lock_guard lock(join->mutex);
        on_core(i, core);
        last = --join->open == 0;
      }
      if (last) then();
    });
  }
}

std::optional<v1::JobView> Queries::EndedView(const JobId& id, const Found& found) const {
  const HistoryRow* end = found.End();
  if (end == nullptr) return std::nullopt;
  v1::JobView view;
  ToView(*end, &view);
  view.mutable_job()->set_job_id(id.ToString());
  AddAttempts(found.history, {}, kHistoryMax, view.mutable_attempts());
  return view;
}

void Queries::Get(v1::GetRequest request, Done<v1::GetResponse> done) {
  Read(done, [this, request = std::move(request), done] {
    auto resolved = Resolve(request.job_id(), request.group(), request.task_id());
    if (!resolved.ok()) {
      v1::GetResponse response;
      rpc::PutStatus(resolved.status(), &response);
      done(std::move(response));
      return;
    }
    auto& [id, found] = *resolved;
    if (auto view = EndedView(id, found)) {
      v1::GetResponse response;
      *response.mutable_job() = *std::move(view);
      done(std::move(response));
      return;
    }
    const auto here = [this, id = id, found = found, done](const Status&) {
      WithCore(found.group(), [id, found, done](const core::Partition* core, core::Now) {
        v1::GetResponse response;
        v1::JobView& view = *response.mutable_job();
        if (found.schedule) {
          const auto next = core != nullptr ? core->NextFire(id) : std::nullopt;
          ToView(*found.schedule, next.value_or(0), &view);
          for (const JobRow& row : found.rows) {
            const auto live = core != nullptr ? core->Find(row.key) : std::nullopt;
            if (live && live->executing) AddRunning(*live, view.add_attempts());
          }
        } else if (!found.rows.empty()) {
          const auto live = core != nullptr ? core->Find(found.rows.front().key) : std::nullopt;
          ToView(found.rows.front(), &view);
          if (live && live->executing) {
            view.set_state(v1::RUNNING);
            AddRunning(*live, view.add_attempts());
          }
        } else {
          // Between two reads: history rows without an end.
          ToView(found.history.front(), &view);
        }
        AddAttempts(found.history, {}, kHistoryMax, view.mutable_attempts());
        done(std::move(response));
      });
    };
    if (!PassOn(found.group(), &rpc::Channel::Get, request, kPeerMs, done, here)) here({});
  });
}

void Queries::List(v1::ListRequest request, Done<v1::ListResponse> done) {
  Read(done, [this, request = std::move(request), done] {
    struct Work {
      v1::ListResponse response;
      std::vector<std::pair<int, JobRow>> rows;  // place in the response
      std::vector<std::pair<int, ScheduleRow>> schedules;
      std::optional<model::JobState> state;
    };
    auto work = std::make_shared<Work>();
    v1::ListResponse& response = work->response;
    const auto fail = [&](const Status& status) {
      rpc::PutStatus(status, &response);
      done(std::move(response));
    };
    store::JobFilter filter;
    filter.group = request.group();
    filter.task_id = request.task_id();
    filter.since_ms = request.since_ms();
    if (!request.state().empty()) {
      work->state = model::JobStateFromName(request.state());
      if (!work->state)
        return fail(Status::InvalidArgument(
            fmt::format("state '{}' is none of the job states", request.state())));
      filter.state = work->state;
    }
    if (filter.group.empty() && !filter.task_id.empty()) {
      return fail(Status::InvalidArgument("task_id needs its group"));
    }
    const std::size_t limit = LimitOf(request.limit());
    // Three sources one after the other: schedules, waiting and running jobs, ended ones. The page
    // token names the source and the place in it.
    char source = request.page().empty() ? 's' : request.page().front();
    std::string inner = request.page().size() > 1 ? request.page().substr(1) : "";
    const auto wanted = [&](char candidate) {
      if (!work->state) return true;
      switch (*work->state) {
        case model::JobState::kActive: return candidate == 's';
        case model::JobState::kSuspended: return candidate == 's' || candidate == 'j';
        case model::JobState::kWaiting:
        case model::JobState::kRunning: return candidate == 'j';
        case model::JobState::kSucceeded:
        case model::JobState::kFailed:
        case model::JobState::kCancelled:
        case model::JobState::kExpired:
        case model::JobState::kDead:
        case model::JobState::kReplaced:
        case model::JobState::kSkipped:
        case model::JobState::kEnded:
        case model::JobState::kYielded: return candidate == 'e';
      }
      return true;
    };
    for (const char candidate : {'s', 'j', 'e'}) {
      if (source != candidate) continue;
      const std::size_t room = limit - static_cast<std::size_t>(response.jobs_size());
      std::string next;
      if (wanted(candidate) && room > 0) {
        if (candidate == 's') {
          auto page = store_.FindSchedules(filter, inner, room);
          if (!page.ok()) return fail(page.status());
          for (ScheduleRow& row : page->rows) {
            ToView(row, 0, response.add_jobs());
            work->schedules.emplace_back(response.jobs_size() - 1, std::move(row));
          }
          next = page->next;
        } else if (candidate == 'j') {
          auto page = store_.FindJobs(filter, inner, room);
          if (!page.ok()) return fail(page.status());
          for (JobRow& row : page->rows) {
            ToView(row, response.add_jobs());
            work->rows.emplace_back(response.jobs_size() - 1, std::move(row));
          }
          next = page->next;
        } else {
          auto page = store_.FindEnded(filter, true, inner, room);
          if (!page.ok()) return fail(page.status());
          for (const HistoryRow& row : page->rows) ToView(row, response.add_jobs());
          next = page->next;
        }
      }
      if (!next.empty()) {
        response.set_next_page(std::string(1, candidate) + next);
        break;
      }
      if (candidate == 'e') break;
      source = candidate == 's' ? 'j' : 'e';
      inner.clear();
      if (static_cast<std::size_t>(response.jobs_size()) >= limit ||
          response.ByteSizeLong() >= store::kPageBytesMax) {
        response.set_next_page(std::string(1, source));
        break;
      }
    }
    WithEveryCore(
        [this, work](std::uint32_t partition, const core::Partition* core) {
          for (auto& [place, row] : work->rows) {
            if (edge_.PartitionOf(row.spec->group) == partition)
              Overlay(core, row, work->response.mutable_jobs(place));
          }
          for (auto& [place, row] : work->schedules) {
            if (edge_.PartitionOf(row.spec->group) != partition) continue;
            const auto next = core != nullptr ? core->NextFire(row.id)
                                              : NextFireOf(row, options_.default_time_zone);
            work->response.mutable_jobs(place)->set_next_fire_ms(next.value_or(0));
          }
        },
        [work, done] { done(std::move(work->response)); });
  });
}

void Queries::ListAttempts(v1::ListAttemptsRequest request, Done<v1::ListAttemptsResponse> done) {
  Read(done, [this, request = std::move(request), done] {
    v1::ListAttemptsResponse response;
    const auto fail = [&](const Status& status) {
      rpc::PutStatus(status, &response);
      done(std::move(response));
    };
    const Result<AttemptFilter> filter = FilterFrom(request);
    if (!filter.ok()) return fail(filter.status());
    const std::size_t limit = LimitOf(request.limit());
    if (!request.job_id().empty()) {
      const auto id = JobId::Parse(request.job_id());
      if (!id)
        return fail(
            Status::InvalidArgument(fmt::format("job id '{}' is not a UUID", request.job_id())));
      auto found = Find(*id);
      if (!found.ok()) return fail(found.status());
      if (!found->any()) return fail(NoSuchJob(request.job_id()));
      AddAttempts(found->history, *filter, limit, response.mutable_attempts());
      done(std::move(response));
      return;
    }
    // No index knows outcomes: a full page is read, and what has the outcome is taken out of it.
    auto page = store_.FindEnded(filter->stored, false, request.page(),
                                 filter->outcome ? kHistoryMax : limit);
    if (!page.ok()) return fail(page.status());
    response.set_next_page(page->next);
    const HistoryRow* last = nullptr;
    for (const HistoryRow& row : page->rows) {
      if (!filter->Wants(row)) continue;
      if (static_cast<std::size_t>(response.attempts_size()) == limit) {
        response.set_next_page(store::ToToken(store::EndedPosition{
            last->ended_ms, last->key, last->attempt, edge_.PartitionOf(last->group)}));
        break;
      }
      ToView(row, response.add_attempts());
      last = &row;
    }
    done(std::move(response));
  });
}

void Queries::Explain(v1::ExplainRequest request, Done<v1::ExplainResponse> done) {
  Read(done, [this, request = std::move(request), done] {
    v1::ExplainResponse response;
    auto resolved = Resolve(request.job_id(), request.group(), request.task_id());
    if (!resolved.ok()) {
      rpc::PutStatus(resolved.status(), &response);
      done(std::move(response));
      return;
    }
    const auto& [id, found] = *resolved;
    if (const HistoryRow* end = found.End()) {
      response.set_state(rpc::ToProto(end->state));
      v1::Reason& reason = *response.add_reasons();
      reason.set_code("ENDED");
      reason.set_text(fmt::format("ended {}{}{}", model::Name(end->state),
                                  end->message.empty() ? "" : ": ", end->message));
      done(std::move(response));
      return;
    }
    const auto here = [this, id = id, found = found, done](const Status&) {
      WithCore(found.group(), [id, found, done](const core::Partition* core, core::Now now) {
        v1::ExplainResponse answer;
        const auto add = [&](const std::string& code, const std::string& text) {
          v1::Reason& reason = *answer.add_reasons();
          reason.set_code(code);
          reason.set_text(text);
        };
        if (core == nullptr) {
          answer.set_state(v1::WAITING);
          add("PARTITION_NOT_SERVED",
              "no JobTracker serves the partition of this group at the moment");
          done(std::move(answer));
          return;
        }
        if (found.schedule) {
          answer.set_state(rpc::ToProto(found.schedule->state));
          if (const DurationMs ahead_ms = core->AheadOfClock(id, now); ahead_ms > 0) {
            add("CLOCK_BEHIND",
                fmt::format("silent for {} ms more: the clock went back behind its last fire; "
                            "resume --reset lets it fire from now on",
                            ahead_ms));
          }
          if (found.schedule->state == model::JobState::kSuspended) {
            add("SUSPENDED", "suspended; resume it to let it fire");
          } else if (const auto next = core->NextFire(id)) {
            add("NEXT_FIRE", fmt::format("fires next in {} ms", *next - now.wall_ms));
          } else if (core->ZoneUnknown(id)) {
            add("ZONE_UNKNOWN",
                "does not fire: the host of its JobTracker does not know its time zone (install "
                "tzdata and restart, or replace the schedule)");
          } else {
            add("NO_FURTHER_FIRE", "no further fire; it ends when its last run has ended");
          }
        }
        for (const JobRow& row : found.rows) {
          const auto live = core->Find(row.key);
          if (!found.schedule)
            answer.set_state(live && live->executing ? v1::RUNNING : rpc::ToProto(row.state));
          for (const core::Explanation& reason : core->Explain(row, now))
            add(reason.code, reason.text);
        }
        done(std::move(answer));
      });
    };
    if (!PassOn(found.group(), &rpc::Channel::Explain, request, kPeerMs, done, here)) here({});
  });
}

void Queries::Logs(v1::LogsRequest request, Done<v1::LogsResponse> done) {
  Read(done, [this, request = std::move(request), done] {
    v1::LogsResponse response;
    const auto fail = [&](const Status& status) {
      rpc::PutStatus(status, &response);
      done(std::move(response));
    };
    auto resolved = Resolve(request.job_id(), {}, {});
    if (!resolved.ok()) return fail(resolved.status());
    const auto& [id, found] = *resolved;
    if (request.life()) {
      const Status added = AddLife(id, found, &response);
      return added.ok() ? done(std::move(response)) : fail(added);
    }
    model::JobKey key{id, request.cycle_ms()};
    std::int32_t attempt = request.attempt();
    // The newest attempt: the one of a row that stands, else the newest of history.
    const JobRow* live = nullptr;
    for (const JobRow& row : found.rows) {
      if (request.cycle_ms() == 0 || row.key.cycle == request.cycle_ms()) live = &row;
    }
    if (attempt == 0) {
      if (live != nullptr) {
        key = live->key;
        attempt = live->attempt;
      } else {
        for (const HistoryRow& row : found.history) {
          if (row.outcome == model::Outcome::kNone ||
              (request.cycle_ms() != 0 && row.key.cycle != request.cycle_ms()))
            continue;
          key = row.key;
          attempt = row.attempt;
          break;
        }
      }
    }
    bool ended = true;
    for (const JobRow& row : found.rows)
      ended = ended && !(row.key == key && row.attempt <= attempt);
    auto lines = store_.FindLogs(key, attempt, request.after_line(), LimitOf(request.limit()));
    if (!lines.ok()) return fail(lines.status());
    for (const store::LogRow& line : *lines) {
      v1::LogEntry& entry = *response.add_entries();
      entry.set_time_ms(line.time_ms);
      entry.set_level(line.level);
      entry.set_type(line.type);
      entry.set_attempt(line.attempt);
      entry.set_line(line.line);
      entry.set_node(line.node);
      entry.set_message(line.message);
      entry.set_cycle_ms(line.key.cycle);
    }
    response.set_attempt(attempt);
    response.set_cycle_ms(key.cycle);
    response.set_ended(ended);
    done(std::move(response));
  });
}

// The life-cycle log of the original. Attempts tell theirs by the history, at no cost of their own;
// operations have rows.
Status Queries::AddLife(const JobId& id, const Found& found, v1::LogsResponse* response) {
  std::vector<v1::LogEntry> entries;
  const auto add = [&](TimeMs time_ms, const char* type, std::string message) -> v1::LogEntry& {
    v1::LogEntry& entry = entries.emplace_back();
    entry.set_time_ms(time_ms);
    entry.set_level("INFO");
    entry.set_type(type);
    entry.set_message(std::move(message));
    return entry;
  };
  const auto received = [&](TimeMs accepted_ms, TimeMs cycle_ms) {
    add(accepted_ms, "RECEIVE", cycle_ms == 0 ? "accepted" : "fired").set_cycle_ms(cycle_ms);
  };
  // Of the same time: as they are added. What stands above its runs is first.
  if (found.schedule) received(found.schedule->accepted_ms, 0);
  for (const bool of_schedule : {true, false}) {
    for (const HistoryRow& row : found.history) {
      if (row.is_schedule == of_schedule && row.final && row.accepted_ms != 0)
        received(row.accepted_ms, row.key.cycle);
    }
  }
  for (const JobRow& row : found.rows) received(row.accepted_ms, row.key.cycle);
  for (auto at = found.history.rbegin(); at != found.history.rend(); ++at) {
    const HistoryRow& row = *at;
    if (row.started_ms != 0) {
      v1::LogEntry& sent = add(row.started_ms, "SENT", "started at " + row.node);
      sent.set_cycle_ms(row.key.cycle);
      sent.set_attempt(row.attempt);
      sent.set_node(row.node);
    }
    const bool lost = row.outcome == model::Outcome::kLost;
    const std::string what =
        row.skipped > 0 ? fmt::format("{} fires skipped: {}", row.skipped, row.message)
        : row.final
            ? fmt::format("{}{}{}", model::Name(row.state), row.message.empty() ? "" : ": ",
                          row.message)
            : fmt::format("{}, another attempt follows: {}", model::Name(row.outcome), row.message);
    v1::LogEntry& end = add(row.ended_ms,
                            lost        ? "FIXED_DEAD"
                            : row.final ? "FINISHED"
                                        : "RESEND",
                            what);
    end.set_level(row.final && row.state != model::JobState::kSucceeded && !row.is_schedule
                      ? "WARN"
                      : "INFO");
    end.set_cycle_ms(row.key.cycle);
    end.set_attempt(row.attempt);
    end.set_node(row.node);
  }
  for (std::uint64_t after = 0;;) {
    const auto operations = store_.FindLogs({id, 0}, 0, after, kHistoryMax);
    if (!operations.ok()) return operations.status();
    for (const store::LogRow& row : *operations) {
      v1::LogEntry& entry = add(row.time_ms, row.type.c_str(), row.message);
      entry.set_level(row.level);
      entry.set_line(row.line);
      after = row.line;
    }
    if (operations->size() < kHistoryMax) break;
    // The newest count.
    entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(kHistoryMax));
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.time_ms() < b.time_ms(); });
  const std::size_t skip = entries.size() - std::min<std::size_t>(entries.size(), kHistoryMax);
  for (std::size_t i = skip; i < entries.size(); ++i) {
    *response->add_entries() = std::move(entries[i]);
  }
  response->set_ended(found.End() != nullptr);
  return Status::Ok();
}

void Queries::Wait(v1::WaitRequest request, Done<v1::WaitResponse> done) {
  const auto id = JobId::Parse(request.job_id());
  if (!id) {
    v1::WaitResponse response;
    rpc::PutStatus(
        Status::InvalidArgument(fmt::format("job id '{}' is not a UUID", request.job_id())),
        &response);
    done(std::move(response));
    return;
  }
  auto once = std::make_shared<OneAnswer>();
  once->done = done;
  Read(done, [this, id = *id, since_ms = request.since_ms(), request, done,
              timeout = std::clamp<DurationMs>(request.timeout_ms(), 0, kWaitMaxMs), once] {
    // What ends from here on counts when it is asked again.
    const TimeMs since = since_ms != 0 ? since_ms : edge_.HostOf(0).now().wall_ms;
    auto found = Find(id);
    if (!found.ok() || !found->any()) {
      v1::WaitResponse response;
      rpc::PutStatus(found.ok() ? NoSuchJob(id.ToString()) : found.status(), &response);
      once->Answer(std::move(response));
      return;
    }
    auto known = std::make_shared<KnownRuns>();
    for (const HistoryRow& row : found->history) {
      if (since_ms == 0 || row.ended_ms < since_ms) known->emplace(row.key, row.attempt);
    }
    if (auto answer = EndFor(id, *found, *known)) {
      once->Answer(*std::move(answer));
      return;
    }
    // Who asks again passes the time on, so that no run of a schedule is missed.
    const auto unavailable = [once, since](const Status& status) {
      v1::WaitResponse response;
      rpc::PutStatus(status, &response);
      response.set_since_ms(since);
      once->Answer(std::move(response));
    };
    if (PassOn(found->group(), &rpc::Channel::Wait, request, timeout + kPeerMs, done,
               unavailable)) {
      return;
    }
    edge_.AwaitEnd(
        found->group(), id, timeout,
        // It may have ended between the look above and the watch: look once more. Not counted once
        // more: bounded by waits.max.
        [this, id, known, once] {
          reads_.Post([this, id, known, once] {
            auto again = Find(id);
            if (!again.ok()) return;
            if (auto answer = EndFor(id, *again, *known)) once->Answer(*std::move(answer));
          });
        },
        [since, once, id](const Result<HistoryRow>& row) {
          v1::WaitResponse answer;
          if (row.ok()) {
            ToView(*row, answer.mutable_job());
            answer.mutable_job()->mutable_job()->set_job_id(id.ToString());
          } else {
            rpc::PutStatus(row.status(), &answer);
            answer.set_since_ms(since);
          }
          once->Answer(std::move(answer));
        });
  });
}

std::optional<v1::WaitResponse> Queries::EndFor(const JobId& id, const Found& found,
                                                const KnownRuns& known) const {
  v1::WaitResponse response;
  const HistoryRow* const end = found.End();
  if (found.schedule || (end != nullptr && end->is_schedule)) {
    const HistoryRow* first = nullptr;
    for (const HistoryRow& row : found.history) {
      if (!row.final || row.is_schedule || row.state == model::JobState::kSkipped) continue;
      if (known.contains({row.key, row.attempt})) continue;
      if (first == nullptr || row.ended_ms <= first->ended_ms) first = &row;
    }
    if (first != nullptr) {
      ToView(*first, response.mutable_job());
      return response;
    }
  }
  auto view = EndedView(id, found);
  if (!view) return std::nullopt;
  *response.mutable_job() = *std::move(view);
  return response;
}

void Queries::AppendLogs(v1::AppendLogsRequest request, Done<v1::AppendLogsResponse> done) {
  LimitSlots::Slot slot = logs_pending_.Take();
  if (!slot) {
    v1::AppendLogsResponse response;
    rpc::PutStatus(logs_pending_.Refusal("batches of log lines wait to be stored"), &response);
    done(std::move(response));
    return;
  }
  logs_.Post([this, slot = std::move(slot), request = std::move(request),
              done = std::move(done)]() mutable {
    v1::AppendLogsResponse response;
    std::vector<store::LogRow> rows;
    rows.reserve(static_cast<std::size_t>(request.lines_size()));
    auto now = store_.Now();
    if (!now.ok()) {
      rpc::PutStatus(now.status(), &response);
      done(std::move(response));
      return;
    }
    for (v1::LogLine& line : *request.mutable_lines()) {
      const auto ref = rpc::FromProto(line.key());
      if (!ref.ok()) continue;  // belongs to no job: nobody could ask for it
      store::LogRow row;
      row.key = ref->key;
      row.attempt = ref->attempt;
      row.line = line.line();
      // A line of the future would never go, one beyond the retention would go at once.
      row.time_ms = *now - std::clamp<DurationMs>(line.ago_ms(), 0, options_.log_retention_ms);
      row.type = "BIZ";
      for (std::string* name : {line.mutable_level(), line.mutable_group(), line.mutable_task_id(),
                                line.mutable_node()}) {
        rpc::CutText(kNameBytesMax, name);
      }
      rpc::CutText(rpc::kLogMessageBytesMax, line.mutable_message());
      row.level = std::move(*line.mutable_level());
      row.group = std::move(*line.mutable_group());
      row.task_id = std::move(*line.mutable_task_id());
      row.node = std::move(*line.mutable_node());
      row.message = std::move(*line.mutable_message());
      rows.push_back(std::move(row));
    }
    rpc::PutStatus(store_.AppendLogs(rows), &response);
    done(std::move(response));
  });
}

}  // namespace lts

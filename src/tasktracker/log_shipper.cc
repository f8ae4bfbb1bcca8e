#include "tasktracker/log_shipper.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace lts::tasktracker {
namespace {

const char* LevelName(runners::LogLevel level) {
  switch (level) {
    case runners::LogLevel::kDebug: return "DEBUG";
    case runners::LogLevel::kInfo: return "INFO";
    case runners::LogLevel::kWarn: return "WARN";
    case runners::LogLevel::kError: return "ERROR";
  }
  return "INFO";
}

Status StatusOf(const v1::AppendLogsResponse& response) {
  if (response.code() == v1::OK) return Status::Ok();
  return {static_cast<StatusCode>(response.code()), response.message()};
}

}  // namespace

LogShipper::LogShipper(LogShipperOptions options, rpc::ChannelFactory channels, FailStore& store,
                       Strand& strand, const Clock& clock, MetricsRegistry& metrics)
    : options_(std::move(options)),
      channels_(std::move(channels)),
      store_(store),
      strand_(strand),
      clock_(clock),
      limit_lines_(metrics, "tasktracker.log.lines", options_.lines_max),
      limit_bytes_(metrics, "tasktracker.log.bytes", options_.bytes_max) {
  ForwarderOptions forwarding;
  forwarding.batch_records_max = 16;  // each is a whole batch of lines
  forwarding.batch_bytes_max = options_.batch_bytes_max;
  forwarding.seed = options_.seed;
  forwarder_ = std::make_unique<Forwarder>(
      store_, FailKind::kBizLog, strand_,
      [this](std::vector<FailRecord> records, Forwarder::Done done) {
        SendStored(std::move(records), std::move(done));
      },
      forwarding);
}

LogShipper::~LogShipper() = default;

void LogShipper::Add(Attempt& attempt, runners::LogLevel level, std::string text) {
  if (static_cast<int>(level) < options_.level_min) return;
  const std::lock_guard lock(mutex_);
  const auto size = static_cast<std::int64_t>(text.size());
  const bool no_line = closed_ || static_cast<std::int64_t>(lines_.size()) >= options_.lines_max;
  const bool no_room = bytes_ + size > options_.bytes_max;
  if (no_line || no_room) {
    (no_line ? limit_lines_ : limit_bytes_).Refused();
    ++attempt.log_lines_dropped;
    return;
  }
  PushLocked(attempt, level, std::move(text), false);
}

void LogShipper::AttemptEnded(Attempt& attempt) {
  const std::lock_guard lock(mutex_);
  // One line over the bound per attempt at most, and only as many attempts end as there are slots.
  if (closed_) return;
  if (attempt.log_lines_dropped > 0) PushLocked(attempt, runners::LogLevel::kWarn, {}, true);
}

void LogShipper::PushLocked(Attempt& attempt, runners::LogLevel level, std::string text,
                            bool only_notice) {
  const auto push = [&](runners::LogLevel at_level, std::string message) {
    bytes_ += static_cast<std::int64_t>(message.size());
    Line& entry = lines_.emplace_back();
    entry.at_us = clock_.MonotonicUs();
    *entry.line.mutable_key() = attempt.key;
    entry.line.set_line(++attempt.log_lines);
    entry.line.set_level(LevelName(at_level));
    entry.line.set_group(options_.group);
    entry.line.set_task_id(attempt.input.task_id);
    entry.line.set_node(options_.node);
    entry.line.set_message(std::move(message));
  };
  if (attempt.log_lines_dropped > 0) {
    push(runners::LogLevel::kWarn, fmt::format("{} log lines dropped here: the log buffer was full",
                                               std::exchange(attempt.log_lines_dropped, 0)));
  }
  if (!only_notice) push(level, std::move(text));
  limit_lines_.SetCurrent(static_cast<std::int64_t>(lines_.size()));
  limit_bytes_.SetCurrent(bytes_);
  PostFlushLocked();
}

void LogShipper::PostFlushLocked() {
  const bool full = lines_.size() >= options_.batch_lines_max;
  if (full && !flush_soon_) {
    flush_soon_ = flush_posted_ = true;
    strand_.Post([this] { Flush(); });
  } else if (!flush_posted_) {
    flush_posted_ = true;
    strand_.PostAfter(options_.gather_ms * 1000, [this] { Flush(); });
  }
}

void LogShipper::SetWay(const std::string& address) {
  strand_.Post([this, address] {
    if (closed_) return;
    if (address.empty()) {
      way_open_ = false;
      forwarder_->WayClosed();
      return;
    }
    // The end of the old channel cancels what is under way on it: those lines are stored.
    if (channel_ == nullptr || channel_->address() != address) channel_ = channels_(address);
    way_open_ = true;
    forwarder_->WayOpen();
    Flush();
  });
}

void LogShipper::StoreChanged() {
  strand_.Post([this] { forwarder_->Wake(); });
}

bool LogShipper::TakeBatch() {
  if (batch_.lines_size() > 0) return true;
  const std::lock_guard lock(mutex_);
  flush_posted_ = flush_soon_ = false;
  const std::int64_t now_us = clock_.MonotonicUs();
  std::size_t bytes = 0;
  while (!lines_.empty() &&
         static_cast<std::size_t>(batch_.lines_size()) < options_.batch_lines_max &&
         (bytes == 0 || bytes < options_.batch_bytes_max)) {
    Line& first = lines_.front();
    bytes += first.line.message().size() + 128;
    bytes_ -= static_cast<std::int64_t>(first.line.message().size());
    first.line.set_ago_ms((now_us - first.at_us) / 1000);
    *batch_.add_lines() = std::move(first.line);
    lines_.pop_front();
  }
  batch_at_us_ = now_us;
  limit_lines_.SetCurrent(static_cast<std::int64_t>(lines_.size()));
  limit_bytes_.SetCurrent(bytes_);
  return batch_.lines_size() > 0;
}

void LogShipper::Flush() {
  if (in_flight_ || closed_) return;  // OnSent goes on
  if (!stopping_ && clock_.MonotonicUs() < retry_us_) return;
  while (TakeBatch()) {
    if (way_open_) {
      Send();
      return;
    }
    Store();
    if (batch_.lines_size() > 0) {  // refused
      if (stopping_) break;
      RetryLater();
      return;
    }
  }
  if (stopping_) FinishStop();
}

void LogShipper::Send() {
  in_flight_ = true;
  channel_->AppendLogs(batch_, stopping_ ? options_.stop_deadline_ms : options_.deadline_ms,
                       [this](Status status, v1::AppendLogsResponse response) {
                         if (status.ok()) status = StatusOf(response);
                         strand_.Post([this, status] { OnSent(status); });
                       });
}

void LogShipper::OnSent(const Status& status) {
  in_flight_ = false;
  if (status.ok()) {
    batch_.Clear();
    warned_ = refused_ = false;
  } else {
    if (!warned_)
      LTS_WARN("job log lines not sent, kept in the FailStore error={}", status.ToString());
    warned_ = true;
    if (stopping_) way_open_ = false;  // no second try
    Store();
    forwarder_->Wake();
    if (batch_.lines_size() > 0 && !stopping_) RetryLater();
  }
  Flush();
}

void LogShipper::RetryLater() {
  retry_us_ = clock_.MonotonicUs() + options_.retry_ms * 1000;
  strand_.PostAfter(options_.retry_ms * 1000, [this] { Flush(); });
}

void LogShipper::Store() {
  const std::int64_t waited_ms = (clock_.MonotonicUs() - batch_at_us_) / 1000;
  for (v1::LogLine& line : *batch_.mutable_lines()) line.set_ago_ms(line.ago_ms() + waited_ms);
  batch_at_us_ += waited_ms * 1000;
  const FailStoreUsage usage = store_.Usage();
  Status stored = Status::ResourceExhausted("the share of log lines in the FailStore is used up");
  if (usage.bytes < options_.store_bytes_max && usage.count < options_.store_count_max) {
    stored =
        store_.Put(FailKind::kBizLog, KeyText(batch_.lines(0).key()), batch_.SerializeAsString());
  }
  if (stored.ok()) {
    batch_.Clear();
    refused_ = false;
    return;
  }
  if (!refused_) {
    LTS_WARN(
        "job log lines can be neither sent nor stored, kept in memory as far as they go error={}",
        stored.ToString());
  }
  refused_ = true;
}

void LogShipper::SendStored(std::vector<FailRecord> records, Forwarder::Done done) {
  if (channel_ == nullptr) {
    done(Status::Unavailable("no JobTracker"), {});
    return;
  }
  v1::AppendLogsRequest request;
  std::vector<Status> each;
  const TimeMs now = clock_.WallMs();
  for (const FailRecord& record : records) {
    v1::AppendLogsRequest stored;
    if (!stored.ParseFromString(record.bytes)) {
      each.push_back(Status::DataLoss("not a batch of log lines"));
      continue;
    }
    each.push_back(Status::Ok());
    const DurationMs age = std::max<DurationMs>(0, now - record.stored_ms);
    for (v1::LogLine& line : *stored.mutable_lines()) {
      line.set_ago_ms(line.ago_ms() + age);
      *request.add_lines() = std::move(line);
    }
  }
  if (request.lines_size() == 0) {
    done(Status::Ok(), std::move(each));
    return;
  }
  channel_->AppendLogs(request, options_.deadline_ms,
                       [done = std::move(done), each = std::move(each)](
                           Status status, v1::AppendLogsResponse response) {
                         if (status.ok()) status = StatusOf(response);
                         done(status, status.ok() ? each : std::vector<Status>());
                       });
}

void LogShipper::Stop(std::function<void()> done) {
  strand_.Post([this, done = std::move(done)]() mutable {
    stopping_ = true;
    stopped_ = std::move(done);
    Flush();
  });
}

void LogShipper::FinishStop() {
  if (!stopped_) return;
  std::int64_t left = batch_.lines_size();
  {
    // An attempt that does not stop may go on to log: there is no channel and soon no strand for
    // it.
    const std::lock_guard lock(mutex_);
    closed_ = true;
    left += static_cast<std::int64_t>(lines_.size());
  }
  if (left > 0) LTS_ERROR("job log lines are lost: neither sent nor stored lines={}", left);
  // Cancels what the forwarder has under way: it stays stored, and is sent by the next process.
  way_open_ = false;
  channel_.reset();
  forwarder_->Stop(std::exchange(stopped_, nullptr));
}

}  // namespace lts::tasktracker

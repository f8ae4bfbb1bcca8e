// Rows to stored records and back, for the engines on disk. A record is two bytes, the format
// version and the row's state with one flag in the top bit, then a protobuf message of
// lts/store/records.proto: scans that look for a state need not parse. What stands in an engine's
// keys or columns (ids, group, position) is not in the record. Reading never trusts the bytes:
// damage is kDataLoss.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lts/status.h"
#include "lts/store/records.pb.h"
#include "store/rows.h"

namespace lts::store::records {

// The messages that rows pass through, kept for the sake of their buffers. One per thread or lock.
struct Scratch {
  pb::Job job;
  pb::Schedule schedule;
  pb::History history;
  pb::Feedback feedback;
  pb::Worker worker;
  pb::Log log;
};

// Where a job row stands in the ready order of its group.
struct Position {
  std::int32_t priority = 0;
  TimeMs due_ms = 0;
  std::uint64_t seq = 0;
};

// The two bytes in front, for scans.
struct Head {
  model::JobState state = model::JobState::kWaiting;
  bool flag = false;  // of a job: resident; of history: final
};
Result<Head> ReadHead(std::string_view value);

// Each writes a whole value over `out`.
void Encode(const JobRow& row, Scratch& scratch, std::string* out);
// `gid`: the number of the group in an engine that numbers groups, else 0.
void Encode(const ScheduleRow& row, std::uint32_t gid, Scratch& scratch, std::string* out);
void Encode(const HistoryRow& row, Scratch& scratch, std::string* out);
void Encode(const FeedbackRow& row, Scratch& scratch, std::string* out);
void Encode(const WorkerRow& row, Scratch& scratch, std::string* out);
void Encode(const LogRow& row, Scratch& scratch, std::string* out);

Result<JobRow> DecodeJob(const Position& at, const model::JobKey& key, std::string_view value,
                         Scratch& scratch);
Result<ScheduleRow> DecodeSchedule(const model::JobId& id, std::string_view value,
                                   Scratch& scratch);
Result<HistoryRow> DecodeHistory(const std::string& group, TimeMs ended_ms,
                                 const model::JobKey& key, std::int32_t attempt,
                                 std::string_view value, Scratch& scratch);
Result<FeedbackRow> DecodeFeedback(const std::string& submit_group, std::uint64_t seq,
                                   const model::JobKey& key, std::int32_t attempt,
                                   std::string_view value, Scratch& scratch);
Result<WorkerRow> DecodeWorker(const std::string& group, const std::string& identity,
                               std::string_view value, Scratch& scratch);
Result<LogRow> DecodeLog(const model::JobKey& key, std::int32_t attempt, std::uint64_t line,
                         std::string_view value, Scratch& scratch);

}  // namespace lts::store::records

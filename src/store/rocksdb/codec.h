// Rows to stored records and back. A record is two bytes, the format version and the row's state
// with one flag in the top bit, then a protobuf message of lts/store/records.proto: scans that look
// for a state need not parse. Reading never trusts the bytes: damage is kDataLoss.
#pragma once

#include <rocksdb/slice.h>

#include <memory>
#include <string>

#include "lts/status.h"
#include "lts/store/records.pb.h"
#include "store/rocksdb/keys.h"
#include "store/rows.h"

namespace lts::store::rocks {

// The messages that rows pass through, kept for the sake of their buffers. One per thread or lock.
struct Scratch {
  pb::Job job;
  pb::Schedule schedule;
  pb::History history;
  pb::Feedback feedback;
  pb::Worker worker;
  pb::Log log;
};

Place PlaceOf(const JobRow& row, GroupId gid);
inline bool IsAside(model::JobState state, bool resident) {
  return resident || state == model::JobState::kSuspended;
}
inline bool IsBusy(model::JobState state, bool resident) {
  return resident || state == model::JobState::kRunning;
}
inline bool IsDated(const Place& place, TimeMs accepted_ms) {
  return !place.aside && place.due_ms > accepted_ms;
}

// The two bytes in front, for scans.
struct Head {
  model::JobState state = model::JobState::kWaiting;
  bool flag = false;  // of a job: resident; of history: final
};
Result<Head> ReadHead(rocksdb::Slice value);

// Each writes a whole value over `out`.
void Encode(const JobRow& row, Scratch& scratch, std::string* out);
void Encode(const ScheduleRow& row, GroupId gid, Scratch& scratch, std::string* out);
void Encode(const HistoryRow& row, Scratch& scratch, std::string* out);
void Encode(const FeedbackRow& row, Scratch& scratch, std::string* out);
void Encode(const WorkerRow& row, Scratch& scratch, std::string* out);
void Encode(const LogRow& row, Scratch& scratch, std::string* out);

Result<JobRow> DecodeJob(const Place& place, const model::JobKey& key, rocksdb::Slice value,
                         Scratch& scratch);
Result<ScheduleRow> DecodeSchedule(const model::JobId& id, rocksdb::Slice value, Scratch& scratch);
Result<HistoryRow> DecodeHistory(const std::string& group, TimeMs ended_ms,
                                 const model::JobKey& key, std::int32_t attempt,
                                 rocksdb::Slice value, Scratch& scratch);
Result<FeedbackRow> DecodeFeedback(const std::string& submit_group, std::uint64_t seq,
                                   const model::JobKey& key, std::int32_t attempt,
                                   rocksdb::Slice value, Scratch& scratch);
Result<WorkerRow> DecodeWorker(const std::string& group, const std::string& identity,
                               rocksdb::Slice value, Scratch& scratch);
Result<LogRow> DecodeLog(const model::JobKey& key, std::int32_t attempt, std::uint64_t line,
                         rocksdb::Slice value, Scratch& scratch);

}  // namespace lts::store::rocks

// The records of store/records, and what this engine derives from rows for its keys.
#pragma once

#include <algorithm>
#include <string_view>

#include "store/records/codec.h"
#include "store/rocksdb/keys.h"

namespace lts::store::rocks {

using records::DecodeFeedback;
using records::DecodeHistory;
using records::DecodeJob;
using records::DecodeLog;
using records::DecodeSchedule;
using records::DecodeWorker;
using records::Encode;
using records::ReadHead;
using records::Scratch;

inline bool IsAside(model::JobState state, bool resident) {
  return resident || state != model::JobState::kWaiting;
}
inline bool IsDated(const Place& place, TimeMs accepted_ms) {
  return !place.aside && place.due_ms > accepted_ms;
}
inline Place PlaceOf(const JobRow& row, GroupId gid) {
  return {gid, IsAside(row.state, row.resident), row.priority, row.due_ms, row.seq};
}

// The record in the value of a row's key; aside, its place stands before it.
inline std::string_view RecordIn(std::string_view value, const Place& place) {
  return place.aside ? value.substr(std::min(kPlaceBytes, value.size())) : value;
}

inline records::Position PositionOf(const Place& place) {
  return {place.priority, place.due_ms, place.seq};
}

}  // namespace lts::store::rocks

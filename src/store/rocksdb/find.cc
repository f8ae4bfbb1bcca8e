// Reads of console and CLI: across partitions, newest first, in pages. A filter without an index of
// its own is applied to at most kExaminedMax candidates; the page then ends early, with a token to
// go on.
#include <algorithm>
#include <queue>

#include "store/paging.h"
#include "store/rocksdb/store_impl.h"

namespace lts::store::rocks {
namespace {

constexpr std::size_t kExaminedMax = 20'000;

// Walks job keys of several partitions in one descending order. The ranges' keys are their prefix
// and a job key (or only its id, for schedules).
class NewestFirst {
 public:
  explicit NewestFirst(bool ids_only) : ids_only_(ids_only) {}

  void Add(std::uint32_t part, std::unique_ptr<Range> range,
           const std::optional<JobPosition>& start) {
    if (start) {
      std::string from = range->prefix();
      KeyWriter writer(&from);
      writer.Id(start->key.id);
      if (!ids_only_) writer.I64(start->key.cycle);
      range->SeekBack(from, /*strictly=*/part >= start->partition);
    } else {
      range->SeekToLast();
    }
    sources_.push_back({part, std::move(range)});
  }

  // The greatest position left, or nothing at the end.
  std::optional<JobPosition> Top() {
    std::optional<JobPosition> best;
    for (Source& source : sources_) {
      if (!source.range->Valid()) continue;
      KeyReader rest = source.range->Rest();
      const JobPosition position = {{rest.Id(), ids_only_ ? 0 : rest.I64()}, source.part};
      if (!best || position > *best) {
        best = position;
        top_ = &source;
      }
    }
    return best;
  }
  rocksdb::Slice TopValue() const { return top_->range->value(); }
  char TopKind() const { return top_->range->prefix().front(); }
  void Pop() { top_->range->Prev(); }

  Status status() const {
    for (const Source& source : sources_) LTS_RETURN_IF_ERROR(source.range->status());
    return Status::Ok();
  }

 private:
  struct Source {
    std::uint32_t part;
    std::unique_ptr<Range> range;
  };
  const bool ids_only_;
  std::vector<Source> sources_;
  Source* top_ = nullptr;
};

std::string Prefix(char kind, std::uint32_t part) {
  std::string prefix(1, kind);
  KeyWriter(&prefix).U16(part);
  return prefix;
}

}  // namespace

Result<std::vector<JobRow>> RocksdbJobStore::FindJobRows(const model::JobId& id) {
  const View view(*engine_);
  std::vector<JobRow> rows;
  for (std::uint32_t part = 0; part < identity_.partitions; ++part) {
    std::vector<PlacedKey> placed;
    const auto it = view.Prefixed(engine_->live());
    LTS_RETURN_IF_ERROR(FindPlaces(view, *it, part, id, kPageRowsMax - rows.size(), &placed));
    auto read = ReadRows(view, part, placed);
    if (!read.ok()) return read.status();
    std::move(read->begin(), read->end(), std::back_inserter(rows));
  }
  return rows;
}

Result<std::optional<ScheduleRow>> RocksdbJobStore::FindSchedule(const model::JobId& id) {
  const View view(*engine_);
  Scratch scratch;
  std::string key;
  for (std::uint32_t part = 0; part < identity_.partitions; ++part) {
    ScheduleKey(&key, part, id);
    const auto value = view.Get(engine_->live(), key);
    if (!value.ok()) return value.status();
    if (!value->has_value()) continue;
    auto row = DecodeSchedule(id, **value, scratch);
    if (!row.ok()) return engine_->Damaged(row.status());
    return std::optional<ScheduleRow>(std::move(*row));
  }
  return std::optional<ScheduleRow>();
}

Result<std::vector<HistoryRow>> RocksdbJobStore::FindHistory(const model::JobId& id,
                                                             std::size_t limit) {
  const View view(*engine_);
  std::vector<HistoryRow> rows;
  Scratch scratch;
  for (std::uint32_t part = 0; part < identity_.partitions; ++part) {
    std::string prefix = Prefix('H', part);
    KeyWriter(&prefix).Id(id);
    Range range(view, engine_->history(), prefix);
    for (range.SeekToLast(); range.Valid() && rows.size() < ClampPage(limit); range.Prev()) {
      KeyReader rest = range.Rest();
      const model::JobKey job{id, rest.I64()};
      const std::int32_t attempt = rest.I32();
      auto row = ReadAttempt(view, part, job, attempt, range.value(), &scratch);
      if (!row.ok()) return row.status();
      rows.push_back(std::move(*row));
    }
    LTS_RETURN_IF_ERROR(range.status());
  }
  return rows;
}

Result<std::optional<HistoryRow>> RocksdbJobStore::FindAttempt(const model::JobKey& key,
                                                               std::int32_t attempt) {
  const View view(*engine_);
  Scratch scratch;
  std::string text;
  for (std::uint32_t part = 0; part < identity_.partitions; ++part) {
    AttemptKey(&text, part, key, attempt);
    const auto named = view.Get(engine_->history(), text);
    if (!named.ok()) return named.status();
    if (!named->has_value()) continue;
    auto row = ReadAttempt(view, part, key, attempt, **named, &scratch);
    if (!row.ok()) return row.status();
    return std::optional<HistoryRow>(std::move(*row));
  }
  return std::optional<HistoryRow>();
}

Result<HistoryRow> RocksdbJobStore::ReadAttempt(const View& view, std::uint32_t part,
                                                const model::JobKey& key, std::int32_t attempt,
                                                rocksdb::Slice named, Scratch* scratch) const {
  KeyReader reader(named);
  const GroupId gid = reader.U32();
  const TimeMs ended_ms = reader.I64();
  const auto group = groups_.Name(gid);
  if (!group.ok()) return group.status();
  std::string text;
  EndedKey(&text, part, gid, ended_ms, key, attempt);
  const auto stored = view.Get(engine_->history(), text);
  if (!stored.ok()) return stored.status();
  if (!stored->has_value()) {
    return engine_->Damaged(Status::DataLoss("the record of an ended attempt is not there"));
  }
  auto row = DecodeHistory(*group, ended_ms, key, attempt, **stored, *scratch);
  if (!row.ok()) return engine_->Damaged(row.status());
  return row;
}

Result<JobPage> RocksdbJobStore::FindJobs(const JobFilter& filter, const PageToken& page,
                                          std::size_t limit) {
  LTS_RETURN_IF_ERROR(CheckFilter(filter));
  const auto start = JobPositionFrom(page);
  if (!start.ok()) return start.status();
  JobPage result;
  std::optional<GroupId> gid;
  if (!filter.group.empty() && !(gid = groups_.Find(filter.group))) return result;

  const View view(*engine_);
  NewestFirst candidates(/*ids_only=*/false);
  const bool by_task = !filter.task_id.empty();
  const bool aside_only = !by_task && filter.state && *filter.state != model::JobState::kWaiting;
  for (std::uint32_t part = 0; part < identity_.partitions; ++part) {
    for (const char kind : {'T', 'J', 'A'}) {
      if ((kind == 'T') != by_task || (kind == 'J' && aside_only)) continue;
      std::string prefix = Prefix(kind, part);
      if (by_task) KeyWriter(&prefix).U32(*gid).Text(filter.task_id);
      candidates.Add(part, std::make_unique<Range>(view, engine_->live(), prefix), *start);
    }
  }

  Scratch scratch;
  std::string key;
  std::size_t examined = 0;
  PageRoom room(limit);
  std::optional<JobPosition> before;
  for (std::optional<JobPosition> at; (at = candidates.Top()); candidates.Pop()) {
    std::optional<Place> place;
    if (by_task) {
      const auto found = FindPlace(view, at->partition, at->key);
      if (!found.ok()) return found.status();
      place = *found;
    } else {
      const auto found = PlaceIn(candidates.TopValue(), candidates.TopKind() == 'A');
      if (!found.ok()) return found.status();
      place = *found;
    }
    if (place && (!gid || place->gid == *gid)) {
      std::optional<std::string> read;
      if (by_task || !place->aside) {
        RowKey(&key, at->partition, *place, at->key);
        auto value = view.Get(engine_->live(), key);
        if (!value.ok()) return value.status();
        if (!value->has_value()) {
          return engine_->Damaged(Status::DataLoss("an index names a job that is not there"));
        }
        read = *std::move(value);
      }
      const std::string_view record =
          RecordIn(read ? *read : candidates.TopValue().ToStringView(), *place);
      const auto head = ReadHead(record);
      if (!head.ok()) return engine_->Damaged(head.status());
      if (!filter.state || head->state == *filter.state) {
        auto row = DecodeJob(PositionOf(*place), at->key, record, scratch);
        if (!row.ok()) return engine_->Damaged(row.status());
        if (row->accepted_ms >= filter.since_ms) {
          if (!room.Take(*row)) {
            result.next = ToToken(*before);
            break;
          }
          result.rows.push_back(std::move(*row));
        }
      }
    }
    if (room.Full() || ++examined == kExaminedMax) {
      candidates.Pop();
      if (candidates.Top()) result.next = ToToken(*at);
      break;
    }
    before = at;
  }
  LTS_RETURN_IF_ERROR(candidates.status());
  return result;
}

Result<SchedulePage> RocksdbJobStore::FindSchedules(const JobFilter& filter, const PageToken& page,
                                                    std::size_t limit) {
  LTS_RETURN_IF_ERROR(CheckFilter(filter));
  const auto start = JobPositionFrom(page);
  if (!start.ok()) return start.status();
  SchedulePage result;
  std::optional<GroupId> gid;
  if (!filter.group.empty() && !(gid = groups_.Find(filter.group))) return result;

  const View view(*engine_);
  NewestFirst candidates(/*ids_only=*/true);
  for (std::uint32_t part = 0; part < identity_.partitions; ++part) {
    std::string prefix = Prefix('S', part);
    if (!filter.task_id.empty()) {  // at most one: its key is the range
      std::string key;
      ScheduleTaskKey(&key, part, *gid, filter.task_id);
      const auto id = view.Get(engine_->live(), key);
      if (!id.ok()) return id.status();
      if (!id->has_value()) continue;
      const model::JobId only = KeyReader(**id).Id();
      if (*start && JobPosition{{only, 0}, part} >= **start) continue;
      const auto row = FindSchedule(only);
      if (!row.ok()) return row.status();
      if (row->has_value() && (!filter.state || (*row)->state == *filter.state) &&
          (*row)->accepted_ms >= filter.since_ms) {
        result.rows.push_back(**row);
      }
      continue;
    }
    candidates.Add(part, std::make_unique<Range>(view, engine_->live(), prefix), *start);
  }

  Scratch scratch;
  std::size_t examined = 0;
  PageRoom room(limit);
  std::optional<JobPosition> before;
  for (std::optional<JobPosition> at; (at = candidates.Top()); candidates.Pop()) {
    const auto head = ReadHead(candidates.TopValue().ToStringView());
    if (!head.ok()) return engine_->Damaged(head.status());
    if (!filter.state || head->state == *filter.state) {
      auto row = DecodeSchedule(at->key.id, candidates.TopValue().ToStringView(), scratch);
      if (!row.ok()) return engine_->Damaged(row.status());
      if ((!gid || scratch.schedule.gid() == *gid) && row->accepted_ms >= filter.since_ms) {
        if (!room.Take(*row)) {
          result.next = ToToken(*before);
          break;
        }
        result.rows.push_back(std::move(*row));
      }
    }
    if (room.Full() || ++examined == kExaminedMax) {
      candidates.Pop();
      if (candidates.Top()) result.next = ToToken(*at);
      break;
    }
    before = at;
  }
  LTS_RETURN_IF_ERROR(candidates.status());
  return result;
}

namespace {

// Walks the ends of many (partition, group) lists in one descending order with a single iterator:
// lists are as many as groups, so each keeps only the position it stands at.
class NewestEnds {
 public:
  NewestEnds(const View& view, rocksdb::ColumnFamilyHandle* family, TimeMs since_ms)
      : it_(view.engine().db().NewIterator(view.options(), family)), since_ms_(since_ms) {}

  struct List {
    std::uint32_t part;
    GroupId gid;
    std::string prefix;  // keys: prefix, ended, job key, attempt
  };

  void Add(List list, const std::optional<EndedPosition>& start) {
    const std::size_t index = lists_.size();
    std::string from = list.prefix;
    bool strictly = false;
    if (start) {
      KeyWriter(&from).I64(start->ended_ms).Key(start->key).I32(start->attempt);
      strictly = list.part >= start->partition;
    } else {
      from = After(from);
    }
    lists_.push_back(std::move(list));
    it_->SeekForPrev(from);
    if (it_->Valid() && strictly && it_->key() == rocksdb::Slice(from)) it_->Prev();
    Push(index);
  }

  bool empty() const { return heap_.empty(); }
  const EndedPosition& position() const { return heap_.top().first; }
  const List& list() const { return lists_[heap_.top().second]; }

  void Pop() {
    const auto [position, index] = heap_.top();
    heap_.pop();
    if (standing_at_ != index) {
      std::string key = lists_[index].prefix;
      KeyWriter(&key).I64(position.ended_ms).Key(position.key).I32(position.attempt);
      it_->SeekForPrev(key);
    }
    if (it_->Valid()) it_->Prev();
    Push(index);
  }

  rocksdb::Status status() const { return it_->status(); }

 private:
  // Puts the row that the iterator stands at on the heap, if it belongs to the list and is new
  // enough.
  void Push(std::size_t index) {
    standing_at_ = index;
    const List& list = lists_[index];
    if (!it_->Valid() || !it_->key().starts_with(list.prefix)) return;
    KeyReader rest = KeyReader(it_->key()).Skip(list.prefix.size());
    EndedPosition position;
    position.ended_ms = rest.I64();
    position.key = rest.Key();
    position.attempt = rest.I32();
    position.partition = list.part;
    if (position.ended_ms >= since_ms_) heap_.push({position, index});
  }

  const std::unique_ptr<rocksdb::Iterator> it_;
  const TimeMs since_ms_;
  std::vector<List> lists_;
  std::priority_queue<std::pair<EndedPosition, std::size_t>> heap_;
  std::size_t standing_at_ = 0;
};

}  // namespace

Result<HistoryPage> RocksdbJobStore::FindEnded(const JobFilter& filter, bool finals_only,
                                               const PageToken& page, std::size_t limit) {
  LTS_RETURN_IF_ERROR(CheckFilter(filter));
  const auto start = EndedPositionFrom(page);
  if (!start.ok()) return start.status();
  HistoryPage result;
  std::optional<GroupId> gid;
  if (!filter.group.empty() && !(gid = groups_.Find(filter.group))) return result;

  const View view(*engine_);
  NewestEnds ends(view, engine_->history(), filter.since_ms);
  for (std::uint32_t part = 0; part < identity_.partitions; ++part) {
    std::vector<GroupId> gids;
    if (gid) {
      gids.push_back(*gid);
    } else {
      auto all = GroupsWith(view, engine_->history(), 'E', part);
      if (!all.ok()) return all.status();
      gids = std::move(*all);
    }
    for (const GroupId group : gids) {
      std::string prefix = Prefix(filter.task_id.empty() ? 'E' : 'T', part);
      KeyWriter writer(&prefix);
      writer.U32(group);
      if (!filter.task_id.empty()) writer.Text(filter.task_id);
      ends.Add({part, group, std::move(prefix)}, *start);
    }
  }

  Scratch scratch;
  std::string key;
  std::size_t examined = 0;
  PageRoom room(limit);
  std::optional<EndedPosition> before;
  while (!ends.empty()) {
    const EndedPosition at = ends.position();
    const GroupId group = ends.list().gid;
    EndedKey(&key, at.partition, group, at.ended_ms, at.key, at.attempt);
    const auto value = view.Get(engine_->history(), key);
    if (!value.ok()) return value.status();
    if (!value->has_value()) {
      return engine_->Damaged(Status::DataLoss("the record of an ended attempt is not there"));
    }
    const auto head = ReadHead(**value);
    if (!head.ok()) return engine_->Damaged(head.status());
    if ((!finals_only || head->flag) && (!filter.state || head->state == *filter.state)) {
      const auto name = groups_.Name(group);
      if (!name.ok()) return name.status();
      auto row = DecodeHistory(*name, at.ended_ms, at.key, at.attempt, **value, scratch);
      if (!row.ok()) return engine_->Damaged(row.status());
      if (!room.Take(*row)) {
        result.next = ToToken(*before);
        break;
      }
      result.rows.push_back(std::move(*row));
    }
    ends.Pop();
    if (room.Full() || ++examined == kExaminedMax) {
      if (!ends.empty()) result.next = ToToken(at);
      break;
    }
    before = at;
  }
  if (!ends.status().ok()) return engine_->ReadFailure(ends.status());
  return result;
}

Result<std::map<std::string, GroupCount>> RocksdbJobStore::Counters() {
  std::map<GroupId, Counts> sums;
  {
    const std::lock_guard lock(counts_mutex_);
    for (const auto& [part_gid, counts] : counts_) {
      if (!counts.IsZero()) sums[part_gid.second].Add(counts);
    }
  }
  std::map<std::string, GroupCount> result;
  for (const auto& [gid, counts] : sums) {
    const auto name = groups_.Name(gid);
    if (!name.ok()) return name.status();
    GroupCount& count = result[*name];
    count.jobs = counts.jobs;
    count.schedules = counts.schedules;
    for (std::size_t i = 0; i < Counts::kStates; ++i) {
      if (counts.ended[i] != 0) {
        count.ended[static_cast<model::JobState>(i)] = counts.ended[i];
      }
    }
  }
  return result;
}

}  // namespace lts::store::rocks

// Reads of a partition's owner, and what all reads are made of.
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "store/rocksdb/store_impl.h"

namespace lts::store::rocks {

std::unique_ptr<rocksdb::Iterator> View::Prefixed(rocksdb::ColumnFamilyHandle* family) const {
  rocksdb::ReadOptions options;
  options.snapshot = options_.snapshot;
  options.prefix_same_as_start = true;
  return std::unique_ptr<rocksdb::Iterator>(engine_.db().NewIterator(options, family));
}

Result<std::optional<std::string>> View::Get(rocksdb::ColumnFamilyHandle* family,
                                             const std::string& key) const {
  std::string value;
  const rocksdb::Status s = engine_.db().Get(options_, family, key, &value);
  if (s.IsNotFound()) return std::optional<std::string>();
  if (!s.ok()) return engine_.ReadFailure(s);
  return std::optional<std::string>(std::move(value));
}

Range::Range(const View& view, rocksdb::ColumnFamilyHandle* family, std::string prefix)
    : view_(view),
      prefix_(std::move(prefix)),
      upper_(After(prefix_)),
      upper_slice_(upper_),
      lower_slice_(prefix_) {
  rocksdb::ReadOptions options = view.options();
  options.iterate_lower_bound = &lower_slice_;
  options.iterate_upper_bound = &upper_slice_;
  it_.reset(view.engine().db().NewIterator(options, family));
}

void Range::SeekBack(const std::string& key, bool strictly) {
  it_->SeekForPrev(key);
  if (strictly && it_->Valid() && it_->key() == rocksdb::Slice(key)) it_->Prev();
}

Status Range::status() const {
  return it_->status().ok() ? Status::Ok() : view_.engine().ReadFailure(it_->status());
}

Result<std::vector<JobRow>> RocksdbJobStore::ReadRows(const View& view, std::uint32_t part,
                                                      const std::vector<PlacedKey>& keys) const {
  constexpr std::size_t kChunk = 128;
  std::vector<JobRow> rows;
  rows.reserve(keys.size());
  Scratch scratch;
  for (std::size_t at = 0; at < keys.size(); at += kChunk) {
    const std::size_t n = std::min(kChunk, keys.size() - at);
    std::vector<std::string> texts(n);
    std::vector<rocksdb::Slice> slices(n);
    std::vector<rocksdb::PinnableSlice> values(n);
    std::vector<rocksdb::Status> statuses(n);
    for (std::size_t i = 0; i < n; ++i) {
      RowKey(&texts[i], part, keys[at + i].place, keys[at + i].key);
      slices[i] = texts[i];
    }
    engine_->db().MultiGet(view.options(), engine_->live(), n, slices.data(), values.data(),
                           statuses.data());
    for (std::size_t i = 0; i < n; ++i) {
      const PlacedKey& placed = keys[at + i];
      if (statuses[i].IsNotFound()) {
        return engine_->Damaged(
            Status::DataLoss(fmt::format("an index names job {} cycle {}, whose row is not there",
                                         placed.key.id.ToString(), placed.key.cycle)));
      }
      if (!statuses[i].ok()) return engine_->ReadFailure(statuses[i]);
      auto row = DecodeJob(PositionOf(placed.place), placed.key,
                           RecordIn(values[i].ToStringView(), placed.place), scratch);
      if (!row.ok()) return engine_->Damaged(row.status());
      rows.push_back(std::move(*row));
    }
  }
  return rows;
}

Result<std::optional<Place>> RocksdbJobStore::FindPlace(const View& view, std::uint32_t part,
                                                        const model::JobKey& key) const {
  std::string text;
  for (const bool aside : {false, true}) {
    if (aside) {
      AsideKey(&text, part, key);
    } else {
      JobKeyKey(&text, part, key);
    }
    const auto value = view.Get(engine_->live(), text);
    if (!value.ok()) return value.status();
    if (!value->has_value()) continue;
    const auto place = PlaceIn(**value, aside);
    if (!place.ok()) return place.status();
    return std::optional<Place>(*place);
  }
  return std::optional<Place>();
}

Result<Place> RocksdbJobStore::PlaceIn(rocksdb::Slice value, bool aside) const {
  KeyReader reader(value);
  Place place = GetPlace(reader);
  place.aside = aside;
  if (!reader.ok()) return engine_->Damaged(Status::DataLoss("an index entry is cut off"));
  return place;
}

Status RocksdbJobStore::FindPlaces(const View& view, rocksdb::Iterator& it, std::uint32_t part,
                                   const model::JobId& id, std::size_t limit,
                                   std::vector<PlacedKey>* out) const {
  for (const char kind : {'J', 'A'}) {
    std::string prefix(1, kind);
    KeyWriter(&prefix).U16(part).Id(id);
    for (it.Seek(prefix); it.Valid() && it.key().starts_with(prefix); it.Next()) {
      if (out->size() >= limit) break;
      const auto place = PlaceIn(it.value(), kind == 'A');
      if (!place.ok()) return place.status();
      out->push_back({*place, KeyReader(it.key()).Skip(3).Key()});
    }
    if (!it.status().ok()) return view.engine().ReadFailure(it.status());
  }
  return Status::Ok();
}

Result<std::vector<GroupId>> RocksdbJobStore::GroupsWith(const View& view,
                                                         rocksdb::ColumnFamilyHandle* family,
                                                         char kind, std::uint32_t part) const {
  std::string prefix(1, kind);
  KeyWriter(&prefix).U16(part);
  std::vector<GroupId> groups;
  Range range(view, family, prefix);
  range.SeekToFirst();
  while (range.Valid()) {
    groups.push_back(range.Rest().U32());
    std::string whole = prefix;
    KeyWriter(&whole).U32(groups.back());
    range.Seek(After(whole));
  }
  LTS_RETURN_IF_ERROR(range.status());
  return groups;
}

Result<LookupReply> RocksdbJobStore::Lookup(std::uint32_t partition,
                                            const std::vector<model::JobId>& ids,
                                            const std::vector<TaskKey>& tasks) {
  LTS_RETURN_IF_ERROR(Known(partition));
  const View view(*engine_);
  std::map<model::JobKey, Place> jobs;
  std::set<model::JobId> ended;
  const auto it = view.Prefixed(engine_->live());

  if (!ids.empty()) {
    const auto past = view.Prefixed(engine_->history());
    std::vector<PlacedKey> placed;
    for (const model::JobId& id : ids) {
      LTS_RETURN_IF_ERROR(FindPlaces(view, *it, partition, id, SIZE_MAX, &placed));
      std::string prefix = "H";
      KeyWriter(&prefix).U16(partition).Id(id);
      past->Seek(prefix);
      if (past->Valid() && past->key().starts_with(prefix)) ended.insert(id);
      if (!past->status().ok()) return engine_->ReadFailure(past->status());
    }
    for (const PlacedKey& found : placed) jobs.emplace(found.key, found.place);
  }
  std::string key;
  std::vector<model::JobKey> of_tasks;
  for (const TaskKey& task : tasks) {
    const auto gid = groups_.Find(task.group);
    if (!gid) continue;
    TaskKeyKey(&key, partition, *gid, task.task_id, {{0, 0}, INT64_MIN});
    const std::string prefix = key.substr(0, key.size() - kJobKeyBytes);
    for (it->Seek(key); it->Valid() && it->key().starts_with(prefix); it->Next()) {
      of_tasks.push_back(KeyReader(it->key()).Skip(prefix.size()).Key());
    }
    if (!it->status().ok()) return engine_->ReadFailure(it->status());
  }
  for (const model::JobKey& job : of_tasks) {
    if (jobs.contains(job)) continue;
    const auto place = FindPlace(view, partition, job);
    if (!place.ok()) return place.status();
    if (!place->has_value()) {
      return engine_->Damaged(
          Status::DataLoss(fmt::format("job {} is listed under its task only", job.id.ToString())));
    }
    jobs.emplace(job, **place);
  }

  LookupReply reply;
  std::vector<PlacedKey> placed;
  placed.reserve(jobs.size());
  for (const auto& [job, place] : jobs) placed.push_back({place, job});
  auto rows = ReadRows(view, partition, placed);
  if (!rows.ok()) return rows.status();
  reply.jobs = std::move(*rows);
  reply.ended.assign(ended.begin(), ended.end());
  return reply;
}

Result<std::vector<ScheduleRow>> RocksdbJobStore::LoadSchedules(std::uint32_t partition,
                                                                const model::JobId& after,
                                                                std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  const View view(*engine_);
  std::string prefix = "S";
  KeyWriter(&prefix).U16(partition);
  Range range(view, engine_->live(), prefix);
  std::string from;
  ScheduleKey(&from, partition, after);
  std::vector<ScheduleRow> rows;
  Scratch scratch;
  for (range.Seek(from); range.Valid() && rows.size() < limit; range.Next()) {
    const model::JobId id = range.Rest().Id();
    if (id == after) continue;
    auto row = DecodeSchedule(id, range.value().ToStringView(), scratch);
    if (!row.ok()) return engine_->Damaged(row.status());
    rows.push_back(std::move(*row));
  }
  LTS_RETURN_IF_ERROR(range.status());
  return rows;
}

Result<std::vector<WorkerRow>> RocksdbJobStore::LoadWorkers(std::uint32_t partition) {
  LTS_RETURN_IF_ERROR(Known(partition));
  const View view(*engine_);
  std::string prefix = "W";
  KeyWriter(&prefix).U16(partition);
  Range range(view, engine_->live(), prefix);
  std::vector<WorkerRow> rows;
  Scratch scratch;
  for (range.SeekToFirst(); range.Valid(); range.Next()) {
    KeyReader key = range.Rest();
    const auto group = groups_.Name(key.U32());
    if (!group.ok()) return group.status();
    auto row = DecodeWorker(*group, std::string(key.rest()), range.value().ToStringView(), scratch);
    if (!row.ok()) return engine_->Damaged(row.status());
    rows.push_back(std::move(*row));
  }
  LTS_RETURN_IF_ERROR(range.status());
  std::sort(rows.begin(), rows.end(), [](const WorkerRow& a, const WorkerRow& b) {
    return std::tie(a.group, a.identity) < std::tie(b.group, b.identity);
  });
  return rows;
}

Result<std::vector<JobRow>> RocksdbJobStore::LoadRunning(std::uint32_t partition,
                                                         const model::JobKey& after,
                                                         std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  const View view(*engine_);
  std::string prefix = "A";
  KeyWriter(&prefix).U16(partition);
  Range range(view, engine_->live(), prefix);
  std::string from;
  AsideKey(&from, partition, after);
  std::vector<JobRow> rows;
  Scratch scratch;
  for (range.Seek(from); range.Valid() && rows.size() < limit; range.Next()) {
    const model::JobKey key = range.Rest().Key();
    if (key == after) continue;
    const auto place = PlaceIn(range.value(), /*aside=*/true);
    if (!place.ok()) return place.status();
    auto row =
        DecodeJob(PositionOf(*place), key, RecordIn(range.value().ToStringView(), *place), scratch);
    if (!row.ok()) return engine_->Damaged(row.status());
    // One that is suspended and not resident is read when it is asked for.
    if (row->resident || row->state == model::JobState::kRunning) rows.push_back(std::move(*row));
  }
  LTS_RETURN_IF_ERROR(range.status());
  return rows;
}

Result<std::vector<std::string>> RocksdbJobStore::LoadGroups(std::uint32_t partition) {
  // From the rows, not from the counters: those are for people, and a group that is left out here
  // would stand still.
  return NamesWith('T', partition);
}

Result<std::vector<JobRow>> RocksdbJobStore::LoadWaiting(std::uint32_t partition,
                                                         const std::string& group,
                                                         const std::optional<ReadyPosition>& after,
                                                         TimeMs due_before, std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  const auto gid = groups_.Find(group);
  if (!gid) return std::vector<JobRow>();
  std::string prefix = "P";
  KeyWriter(&prefix).U16(partition).U32(*gid);
  if (after) {
    std::string from = prefix;
    KeyWriter(&from).I32(after->priority).I64(after->due_ms).U64(after->seq);
    return ReadReady(View(*engine_), prefix, After(from), due_before, limit, nullptr);
  }
  ReadyFloors& floors = partitions_[partition]->floors;
  const std::string floor = floors.StartRead(*gid);
  const View view(*engine_);
  const std::string from = std::max(floors.FloorFor(*gid, floor), prefix);
  std::string first;
  auto rows = ReadReady(view, prefix, from, due_before, limit, &first);
  floors.EndRead(*gid, rows.ok() ? std::optional<std::string>(first) : std::nullopt);
  return rows;
}

// `first`, when asked for: the first key there is at or behind `from`, or the end of the order.
Result<std::vector<JobRow>> RocksdbJobStore::ReadReady(const View& view, const std::string& prefix,
                                                       const std::string& from, TimeMs due_before,
                                                       std::size_t limit,
                                                       std::string* first) const {
  Range range(view, engine_->live(), prefix);
  range.Seek(from);
  if (first != nullptr) *first = range.Valid() ? range.key().ToString() : After(prefix);
  std::vector<JobRow> rows;
  Scratch scratch;
  while (range.Valid() && rows.size() < limit) {
    KeyReader key = KeyReader(range.key()).Skip(3);
    const Place place = GetPlace(key);
    const model::JobKey job = key.Key();
    if (place.due_ms > due_before) {  // the rest of this priority is not due either
      std::string whole = prefix;
      KeyWriter(&whole).I32(place.priority);
      range.Seek(After(whole));
      continue;
    }
    auto row = DecodeJob(PositionOf(place), job, range.value().ToStringView(), scratch);
    if (!row.ok()) return engine_->Damaged(row.status());
    rows.push_back(std::move(*row));
    range.Next();
  }
  LTS_RETURN_IF_ERROR(range.status());
  return rows;
}

Result<std::vector<JobRow>> RocksdbJobStore::LoadDated(std::uint32_t partition,
                                                       const std::string& group, TimeMs due_after,
                                                       std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  const auto gid = groups_.Find(group);
  if (!gid) return std::vector<JobRow>();
  const View view(*engine_);
  std::string prefix = "D";
  KeyWriter(&prefix).U16(partition).U32(*gid);
  Range range(view, engine_->live(), prefix);
  std::string from = prefix;
  KeyWriter(&from).I64(due_after);
  range.Seek(After(from));
  std::vector<PlacedKey> placed;
  for (; range.Valid() && placed.size() < limit; range.Next()) {
    KeyReader key = range.Rest();
    Place place;
    place.gid = *gid;
    place.due_ms = key.I64();
    place.seq = key.U64();
    const model::JobKey job = key.Key();
    place.priority = KeyReader(range.value()).I32();
    placed.push_back({place, job});
  }
  LTS_RETURN_IF_ERROR(range.status());
  return ReadRows(view, partition, placed);
}

Result<std::vector<TaskPosition>> RocksdbJobStore::LoadTasks(
    std::uint32_t partition, const std::string& group, const std::optional<TaskPosition>& after,
    std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<TaskPosition> rows;
  const auto gid = groups_.Find(group);
  if (!gid) return rows;
  std::string prefix = "T";
  KeyWriter(&prefix).U16(partition).U32(*gid);
  std::string from = prefix;
  if (after) TaskKeyKey(&from, partition, *gid, after->task_id, after->key);
  const View view(*engine_);
  Range range(view, engine_->live(), prefix);
  for (range.Seek(from); range.Valid() && rows.size() < limit; range.Next()) {
    if (after && range.key() == from) continue;
    KeyReader rest = range.Rest();
    const std::size_t task_bytes = rest.U16();
    const std::string_view task = rest.rest().substr(0, task_bytes);
    const model::JobKey key = rest.Skip(task_bytes).Key();
    if (!rest.ok()) return engine_->Damaged(Status::DataLoss("the key of a task cannot be read"));
    rows.push_back({std::string(task), key});
  }
  LTS_RETURN_IF_ERROR(range.status());
  return rows;
}

Result<std::vector<FeedbackRow>> RocksdbJobStore::LoadFeedback(std::uint32_t partition,
                                                               const std::string& submit_group,
                                                               std::uint64_t after_seq,
                                                               std::size_t limit) {
  LTS_RETURN_IF_ERROR(Known(partition));
  std::vector<FeedbackRow> rows;
  const auto gid = groups_.Find(submit_group);
  if (!gid) return rows;
  const View view(*engine_);
  std::string prefix = "F";
  KeyWriter(&prefix).U16(partition).U32(*gid);
  Range range(view, engine_->live(), prefix);
  std::string from = prefix;
  KeyWriter(&from).U64(after_seq);
  Scratch scratch;
  for (range.Seek(After(from)); range.Valid() && rows.size() < limit; range.Next()) {
    KeyReader key = range.Rest();
    const std::uint64_t seq = key.U64();
    const model::JobKey job = key.Key();
    const std::int32_t attempt = key.I32();
    auto row =
        DecodeFeedback(submit_group, seq, job, attempt, range.value().ToStringView(), scratch);
    if (!row.ok()) return engine_->Damaged(row.status());
    rows.push_back(std::move(*row));
  }
  LTS_RETURN_IF_ERROR(range.status());
  return rows;
}

Result<std::vector<std::string>> RocksdbJobStore::LoadFeedbackGroups(std::uint32_t partition) {
  return NamesWith('F', partition);
}

Result<std::vector<std::string>> RocksdbJobStore::NamesWith(char kind,
                                                            std::uint32_t partition) const {
  LTS_RETURN_IF_ERROR(Known(partition));
  const View view(*engine_);
  const auto gids = GroupsWith(view, engine_->live(), kind, partition);
  if (!gids.ok()) return gids.status();
  std::vector<std::string> groups;
  for (const GroupId gid : *gids) {
    auto name = groups_.Name(gid);
    if (!name.ok()) return name.status();
    groups.push_back(std::move(*name));
  }
  std::sort(groups.begin(), groups.end());
  return groups;
}

}  // namespace lts::store::rocks

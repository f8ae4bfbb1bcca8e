// Random batches over an engine and memory at once: every answer of the two must be the same, and
// the counters must equal a recount. The seed is printed; LTS_TEST_SEED repeats a run.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "common/ids.h"
#include "contract/store_fixture.h"

namespace lts::store::testing {
namespace {

using model::JobState;

std::uint64_t Seed() {
  const char* text = std::getenv("LTS_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : RandomSeed() % 1'000'000'000;
}

// Makes valid batches: it knows the rows of one partition as the core would.
class Model {
 public:
  Model(std::uint64_t seed, std::uint64_t first_id) : random_(seed), next_id_(first_id) {}

  std::vector<Mutation> Batch() {
    std::vector<Mutation> batch;
    const std::size_t n = Below(12);
    for (std::size_t i = 0; i < n; ++i) Add(&batch);
    return batch;
  }

  std::size_t Below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  std::string Group() { return "group-" + std::to_string(Below(3)); }
  std::string Task() { return "task-" + std::to_string(Below(12)); }
  std::uint64_t next_id() const { return next_id_; }
  const std::map<model::JobKey, JobRow>& jobs() const { return jobs_; }

 private:
  void Shape(JobRow* row) {
    row->priority = static_cast<std::int32_t>(Below(4)) - 2;
    row->due_ms = 900 + static_cast<TimeMs>(Below(5)) * 100;
    row->resident = Below(6) == 0;
    const JobState states[] = {JobState::kWaiting, JobState::kWaiting, JobState::kRunning,
                               JobState::kSuspended};
    row->state = states[Below(4)];
  }

  void Add(std::vector<Mutation>* batch) {
    switch (Below(10)) {
      case 0:
      case 1:
      case 2: {
        JobRow row = Job(next_id_++, Group(), Task());
        row.key.cycle = Below(3) == 0 ? static_cast<TimeMs>(Below(1000)) : 0;
        Shape(&row);
        if (Below(3) == 0) row.due_ms = row.accepted_ms;
        jobs_[row.key] = row;
        batch->push_back(InsertJob{row});
        return;
      }
      case 3:
      case 4: {
        if (jobs_.empty()) return;
        JobRow& row = Pick(jobs_)->second;
        const JobRow before = row;
        if (Below(3) != 0) Shape(&row);
        ++row.attempt;
        batch->push_back(Change(before, row));
        batch->push_back(InsertHistory{Ended(before, EndTime(), false)});
        return;
      }
      case 5:
      case 6: {
        if (jobs_.empty()) return;
        const auto it = Pick(jobs_);
        const JobState ends[] = {JobState::kSucceeded, JobState::kFailed, JobState::kDead};
        batch->push_back(DeleteJob{it->second});
        batch->push_back(InsertHistory{Ended(it->second, EndTime(), true, ends[Below(3)])});
        jobs_.erase(it);
        return;
      }
      case 7: {
        if (Below(2) == 0 && !schedules_.empty()) {
          const auto it = Pick(schedules_);
          if (Below(2) == 0) {
            batch->push_back(DeleteSchedule{it->second.id, it->first.group, it->first.task_id});
            schedules_.erase(it);
          } else {
            ++it->second.runs;
            batch->push_back(PutSchedule{it->second, /*stands=*/Below(2) == 0});
          }
          return;
        }
        const TaskKey task{Group(), Task()};
        if (schedules_.count(task) != 0) return;
        schedules_[task] = Schedule(next_id_++, task.group, task.task_id);
        batch->push_back(PutSchedule{schedules_[task]});
        return;
      }
      case 8: {
        FeedbackRow row;
        row.key = Key(next_id_);
        row.seq = next_id_++;
        row.submit_group = Group();
        if (Below(2) == 0 && !feedback_.empty()) {
          const FeedbackRow gone = feedback_.back();
          feedback_.pop_back();
          batch->push_back(DeleteFeedback{gone.key, gone.attempt, gone.submit_group, gone.seq});
        } else {
          feedback_.push_back(row);
          batch->push_back(InsertFeedback{row});
        }
        return;
      }
      default: {
        const std::string group = Group();
        const std::string worker = Task();
        if (Below(2) == 0) {
          batch->push_back(DeleteWorker{group, worker});
        } else {
          batch->push_back(PutWorker{{group, worker, "i", next_id_}});
        }
      }
    }
  }

  TimeMs EndTime() { return 2000 + static_cast<TimeMs>(Below(50)); }
  template <typename Map>
  typename Map::iterator Pick(Map& map) {
    return std::next(map.begin(), static_cast<std::ptrdiff_t>(Below(map.size())));
  }

  std::mt19937_64 random_;
  std::uint64_t next_id_;
  std::map<model::JobKey, JobRow> jobs_;
  std::map<TaskKey, ScheduleRow> schedules_;
  std::vector<FeedbackRow> feedback_;
};

#define SAME(call, ...)                                                    \
  do {                                                                     \
    const auto from_a = a.call(__VA_ARGS__);                               \
    const auto from_b = b.call(__VA_ARGS__);                               \
    ASSERT_TRUE(from_a.ok() && from_b.ok()) << from_b.status().ToString(); \
    ASSERT_TRUE(Same(*from_a, *from_b)) << #call;                          \
  } while (false)

void CompareStores(JobStore& a, JobStore& b, Model& model, std::uint32_t part) {
  const std::string group = model.Group();
  const std::string task = model.Task();
  const std::size_t limit = 1 + model.Below(40);
  const std::size_t page = 25 + model.Below(100);
  const TimeMs due = 850 + static_cast<TimeMs>(model.Below(6)) * 100;
  std::optional<ReadyPosition> after;
  if (model.Below(2) == 0) {
    after = ReadyPosition{static_cast<std::int32_t>(model.Below(4)) - 2, due,
                          model.Below(model.next_id())};
  }
  const model::JobId after_id = Id(model.Below(model.next_id()));
  const std::uint64_t after_seq = model.Below(model.next_id());
  SAME(LoadWaiting, part, group, after, due, limit);
  SAME(LoadWaiting, part, group, after, INT64_MAX, 1000);
  SAME(LoadDated, part, group, std::max<TimeMs>(due, 1000), limit);
  SAME(LoadRunning, part, {}, limit);
  SAME(LoadSchedules, part, after_id, limit);
  SAME(LoadFeedback, part, group, after_seq, limit);
  SAME(LoadWorkers, part);
  ASSERT_EQ(*a.LoadGroups(part), *b.LoadGroups(part));
  // Each engine has an order of its own.
  auto tasks_in_a = *a.LoadTasks(part, group, std::nullopt, 100'000);
  auto tasks_in_b = *b.LoadTasks(part, group, std::nullopt, 100'000);
  std::sort(tasks_in_a.begin(), tasks_in_a.end());
  std::sort(tasks_in_b.begin(), tasks_in_b.end());
  ASSERT_EQ(tasks_in_a, tasks_in_b);
  ASSERT_EQ(*a.LoadFeedbackGroups(part), *b.LoadFeedbackGroups(part));

  std::vector<model::JobId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(Id(model.Below(model.next_id())));
  const std::vector<TaskKey> tasks = {{group, task}, {group, model.Task()}, {"none", task}};
  const auto in_a = a.Lookup(part, ids, tasks);
  const auto in_b = b.Lookup(part, ids, tasks);
  ASSERT_TRUE(in_a.ok() && in_b.ok()) << in_b.status().ToString();
  ASSERT_TRUE(Same(in_a->jobs, in_b->jobs));
  ASSERT_EQ(in_a->ended, in_b->ended);
  SAME(FindHistory, ids[0], limit);
  SAME(FindJobRows, ids[1]);

  JobFilter filter;
  if (model.Below(3) != 0) filter.group = group;
  if (!filter.group.empty() && model.Below(2) == 0) filter.task_id = task;
  const JobState states[] = {JobState::kWaiting, JobState::kRunning, JobState::kSuspended};
  if (model.Below(2) == 0) filter.state = states[model.Below(3)];
  const auto jobs = [&](JobStore& store) {
    return AllPages<JobRow>([&](const PageToken& t) { return store.FindJobs(filter, t, page); });
  };
  ASSERT_TRUE(Same(jobs(a), jobs(b)));
  const JobState ends[] = {JobState::kSucceeded, JobState::kFailed, JobState::kDead};
  if (filter.state) filter.state = ends[model.Below(3)];
  const bool finals = model.Below(2) == 0;
  if (model.Below(2) == 0) filter.since_ms = 2000 + static_cast<TimeMs>(model.Below(50));
  const auto ended = [&](JobStore& store) {
    return AllPages<HistoryRow>(
        [&](const PageToken& t) { return store.FindEnded(filter, finals, t, page); });
  };
  ASSERT_TRUE(Same(ended(a), ended(b)));
}

// What the counters should say, by listing everything.
std::map<std::string, GroupCount> Recount(JobStore& store) {
  std::map<std::string, GroupCount> counts;
  for (const JobRow& row :
       AllPages<JobRow>([&](const PageToken& t) { return store.FindJobs({}, t, 1000); })) {
    ++counts[row.spec->group].jobs;
  }
  for (const ScheduleRow& row : AllPages<ScheduleRow>(
           [&](const PageToken& t) { return store.FindSchedules({}, t, 1000); })) {
    ++counts[row.spec->group].schedules;
  }
  for (const HistoryRow& row : AllPages<HistoryRow>(
           [&](const PageToken& t) { return store.FindEnded({}, true, t, 1000); })) {
    ++counts[row.group].ended[row.state];
  }
  return counts;
}

void ExpectCountersEqualRecount(JobStore& store) {
  const auto counters = store.Counters();
  ASSERT_TRUE(counters.ok());
  const auto recount = Recount(store);
  ASSERT_EQ(counters->size(), recount.size());
  for (const auto& [group, count] : recount) {
    ASSERT_EQ(counters->count(group), 1U) << group;
    const GroupCount& kept = counters->at(group);
    EXPECT_EQ(kept.jobs, count.jobs) << group;
    EXPECT_EQ(kept.schedules, count.schedules) << group;
    EXPECT_EQ(kept.ended, count.ended) << group;
  }
}

class StoreRandom : public ::testing::TestWithParam<std::string> {};

std::vector<std::string> EnginesButMemory() {
  std::vector<std::string> names = EngineNames();
  names.erase(std::remove(names.begin(), names.end(), "memory"), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Engines, StoreRandom, ::testing::ValuesIn(EnginesButMemory()),
                         [](const auto& engine) { return engine.param; });

TEST_P(StoreRandom, AnswersAsMemoryDoes) {
  const std::uint64_t seed = Seed();
  std::printf("LTS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  SCOPED_TRACE("LTS_TEST_SEED=" + std::to_string(seed));
  HandClock clock;
  MemoryEngine memory;
  const std::unique_ptr<Engine> engine = MakeEngine(GetParam());
  JobStore* a = &memory.Open(clock);
  JobStore* b = &engine->Open(clock);
  std::vector<Model> models;
  std::vector<std::unique_ptr<Owner>> of_a;
  std::vector<std::unique_ptr<Owner>> of_b;
  for (std::uint32_t part = 0; part < 2; ++part) {
    models.emplace_back(seed + part, 1 + part * 1'000'000);
    of_a.push_back(std::make_unique<Owner>(*a, part));
    of_b.push_back(std::make_unique<Owner>(*b, part));
  }
  for (int round = 0; round < 2000; ++round) {
    const std::uint32_t part = static_cast<std::uint32_t>(round % 2);
    Model& model = models[part];
    const std::vector<Mutation> batch = model.Batch();
    const Status in_a = of_a[part]->Commit(batch);
    const Status in_b = of_b[part]->Commit(batch);
    ASSERT_TRUE(in_a.ok()) << in_a.ToString();
    ASSERT_TRUE(in_b.ok()) << in_b.ToString();
    if (round % 11 == 0) {
      CompareStores(*a, *b, model, part);
      if (HasFatalFailure()) return;
    }
    if (round % 400 == 399) {
      const RetentionPolicy policy{2000 + static_cast<TimeMs>(model.Below(25)), 0, 50};
      const auto gone_a = a->Retain(part, of_a[part]->epoch(), policy);
      const auto gone_b = b->Retain(part, of_b[part]->epoch(), policy);
      ASSERT_TRUE(gone_a.ok() && gone_b.ok());
      ASSERT_EQ(*gone_a, *gone_b);
      // The engines may take different rows when there are more than the bound: take the rest too.
      while (*a->Retain(part, of_a[part]->epoch(), policy) > 0) continue;
      while (*b->Retain(part, of_b[part]->epoch(), policy) > 0) continue;
    }
    if (round % 1000 == 999) {
      ExpectCountersEqualRecount(*a);
      ExpectCountersEqualRecount(*b);
      b = &engine->Open(clock);
      for (std::uint32_t p = 0; p < 2; ++p) {
        of_a[p] = std::make_unique<Owner>(*a, p);
        of_b[p] = std::make_unique<Owner>(*b, p);
        EXPECT_EQ(of_a[p]->commit_no(), of_b[p]->commit_no());
        EXPECT_EQ(of_a[p]->epoch(), of_b[p]->epoch());
      }
      ExpectCountersEqualRecount(*b);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace lts::store::testing

#include <set>
#include <string>

#include "shell.h"

namespace lts::core {
namespace {

using model::JobState;
using model::MisfirePolicy;
using model::Outcome;

class Plan : public testing::Test {
 protected:
  void SetUp() override { s.Load(); }
  // Every second, the clock being at a whole one.
  static model::JobSpec EverySecond(bool rely) {
    model::JobSpec spec = Shell::Spec("s");
    spec.cron = "* * * * * ?";
    spec.rely_on_prev_cycle = rely;
    return spec;
  }
  std::int64_t SkippedOf(const model::JobId& id) {
    std::int64_t skipped = 0;
    for (const store::HistoryRow& row : s.History(id)) skipped += row.skipped;
    const auto schedule = s.store->FindSchedule(id).value();
    return skipped + (schedule ? schedule->skip_count : 0);
  }
  Shell s;
};

TEST_F(Plan, CronFiresAfterItsAcceptanceAndNotAtIt) {
  FakeWorker& worker = s.Hello("w", 5);
  const model::JobId id = s.Accept(EverySecond(true));
  EXPECT_TRUE(worker.given.empty());
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(worker.given[0].ref.key.id, id);
  EXPECT_EQ(worker.given[0].ref.key.cycle, s.clock.wall_ms);
}

// More than one tick takes: the rest comes with the next ones, which are wanted at once.
TEST_F(Plan, EachOfVeryManySchedulesThatAreDueTogetherFiresOnce) {
  constexpr std::size_t kMany = 450;
  FakeWorker& worker = s.Hello("w", static_cast<std::int32_t>(kMany));
  std::set<model::JobId> ids;
  for (std::size_t i = 0; i < kMany; ++i) {
    model::JobSpec spec = Shell::Spec("s" + std::to_string(i));
    spec.cron = "* * * * * ?";
    ids.insert(s.Accept(std::move(spec)));
  }
  s.clock.wall_ms += 1'000;
  s.clock.mono_ms += 1'000;
  s.Tick();
  EXPECT_LT(worker.given.size(), kMany);
  for (int i = 0; i < 2; ++i) {
    EXPECT_LE(s.core->NextTimer().wall_ms, s.clock.wall_ms);
    s.Tick();
  }
  EXPECT_EQ(worker.given.size(), kMany);
  for (const auto& given : worker.given) {
    EXPECT_EQ(ids.erase(given.ref.key.id), 1U);
    EXPECT_EQ(given.ref.key.cycle, s.clock.wall_ms);
  }
  EXPECT_TRUE(ids.empty());
  EXPECT_EQ(s.core->Stats().skipped_fires, 0U);
}

TEST_F(Plan, FireDuringARunningCycleIsSkippedAsOverlap) {
  FakeWorker& worker = s.Hello("w", 5);
  const model::JobId id = s.Accept(EverySecond(true));
  s.Advance(3'000);
  ASSERT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(SkippedOf(id), 2);
  s.Succeed(worker, worker.given[0].ref);
  s.Advance(1'000);
  EXPECT_EQ(worker.given.size(), 2U);
  // Consecutive skipped fires are one row.
  std::vector<store::HistoryRow> rows;
  for (const store::HistoryRow& row : s.History(id)) {
    if (row.state == JobState::kSkipped) rows.push_back(row);
  }
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].skipped, 2);
  EXPECT_EQ(rows[0].skipped_last_ms - rows[0].key.cycle, 1'000);
  EXPECT_NE(rows[0].message.find("overlap"), std::string::npos);
}

TEST_F(Plan, NonRelyCyclesRunBesideEachOther) {
  FakeWorker& worker = s.Hello("w", 5);
  const model::JobId id = s.Accept(EverySecond(false));
  s.Advance(3'000);
  EXPECT_EQ(worker.given.size(), 3U);
  EXPECT_EQ(SkippedOf(id), 0);
}

TEST_F(Plan, PendingRetryYieldsToTheNextFire) {
  FakeWorker& worker = s.Hello("w", 5);
  model::JobSpec spec = EverySecond(true);
  spec.max_retry_times = 3;
  spec.retry = model::RetryPolicy{model::RetryPolicy::Kind::kFixed, 60'000, 60'000};
  const model::JobId id = s.Accept(spec);
  s.Advance(1'000);
  s.Report(worker, worker.given.at(0).ref, Outcome::kExecuteException);
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 2U);
  EXPECT_EQ(s.EndOf(id), JobState::kYielded);
}

TEST_F(Plan, RelyFiresOnceAfterAnOutage) {
  s.options.misfire_grace_ms = 5'000;
  s.Load();
  FakeWorker& worker = s.Hello("w", 50);
  const model::JobId id = s.Accept(EverySecond(true));
  s.clock.wall_ms += 100'000;
  s.clock.mono_ms += 1'000;
  s.Tick();
  ASSERT_EQ(worker.given.size(), 1U);
  EXPECT_EQ(worker.given[0].ref.key.cycle, s.clock.wall_ms);
  EXPECT_EQ(SkippedOf(id), 99);
}

TEST_F(Plan, NonRelyCatchesUpWithinItsLimit) {
  s.options.misfire_grace_ms = 5'000;
  s.options.catch_up_max = 10;
  s.Load();
  FakeWorker& worker = s.Hello("w", 50);
  const model::JobId id = s.Accept(EverySecond(false));
  s.clock.wall_ms += 100'000;
  s.clock.mono_ms += 1'000;
  s.Tick();
  EXPECT_EQ(worker.given.size(), 10U);
  EXPECT_EQ(static_cast<std::int64_t>(worker.given.size()) + SkippedOf(id), 100);
}

TEST_F(Plan, SkipPolicyRunsNoMissedFire) {
  s.options.misfire_grace_ms = 5'000;
  s.Load();
  FakeWorker& worker = s.Hello("w", 50);
  model::JobSpec spec = Shell::Spec("s");
  spec.cron = "0 * * * * ?";
  spec.misfire = MisfirePolicy::kSkip;
  const model::JobId id = s.Accept(spec);
  s.clock.wall_ms += 3 * 60'000 - 10'000;  // ten seconds after a fire
  s.clock.mono_ms += 1'000;
  s.Tick();
  EXPECT_TRUE(worker.given.empty());
  EXPECT_EQ(SkippedOf(id), 3);
}

TEST_F(Plan, RepeatCountIsTheNumberOfRunsAndSkipsDoNotCount) {
  FakeWorker& worker = s.Hello("w", 5);
  model::JobSpec spec = Shell::Spec("s");
  spec.repeat_interval_ms = 1'000;
  spec.repeat_count = 3;
  const model::JobId id = s.Accept(spec);
  ASSERT_EQ(worker.given.size(), 1U);  // the first run is due at once
  s.Advance(2'500);                    // two fires are skipped meanwhile
  s.Succeed(worker, worker.given[0].ref);
  s.Advance(1'000);
  s.Succeed(worker, worker.given.at(1).ref);
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 3U);
  s.Succeed(worker, worker.given[2].ref);
  s.Advance(5'000);
  EXPECT_EQ(worker.given.size(), 3U);
  EXPECT_FALSE(s.store->FindSchedule(id).value().has_value());
}

TEST_F(Plan, FireIsGeneratedOnceAcrossATakeover) {
  FakeWorker* worker = &s.Hello("w", 5);
  s.Accept(EverySecond(false));
  s.Advance(2'000);
  ASSERT_EQ(worker->given.size(), 2U);
  const AttemptRef first = worker->given[0].ref;
  const AttemptRef second = worker->given[1].ref;
  s.Load();
  worker = &s.Hello("w", 5, {first, second});
  EXPECT_TRUE(worker->given.empty());
  s.Advance(1'000);
  ASSERT_EQ(worker->given.size(), 1U);
  EXPECT_EQ(worker->given[0].ref.key.cycle, second.key.cycle + 1'000);
}

TEST_F(Plan, ScheduleIsSilentAfterAStepBackUntilPassed) {
  FakeWorker& worker = s.Hello("w", 5);
  s.Accept(EverySecond(false));
  s.Advance(2'000);
  const TimeMs last = worker.given.at(1).ref.key.cycle;
  s.clock.wall_ms -= 10'000;
  s.Advance(10'000);
  EXPECT_EQ(worker.given.size(), 2U);
  s.Advance(1'000);
  ASSERT_EQ(worker.given.size(), 3U);
  EXPECT_EQ(worker.given[2].ref.key.cycle, last + 1'000);
}

TEST_F(Plan, CancelOfAScheduleEndsItAndItsWaitingCycles) {
  const model::JobId id = s.Accept(EverySecond(true));
  s.Advance(1'000);
  ASSERT_EQ(s.Rows(id).size(), 1U);
  EXPECT_EQ(s.Cancel("s").code, StatusCode::kOk);
  EXPECT_TRUE(s.Rows(id).empty());
  EXPECT_FALSE(s.store->FindSchedule(id).value().has_value());
  s.Advance(5'000);
  EXPECT_TRUE(s.Rows(id).empty());
}

TEST_F(Plan, ScheduleWithoutAFireEndsAtOnce) {
  model::JobSpec spec = EverySecond(true);
  spec.end_time_ms = s.clock.wall_ms;
  const model::JobId id = s.Accept(spec);
  EXPECT_FALSE(s.store->FindSchedule(id).value().has_value());
  EXPECT_EQ(s.EndOf(id), JobState::kEnded);
}

TEST_F(Plan, OneShotAndRelyScheduleOfOneTaskShareTheRunKey) {
  FakeWorker& worker = s.Hello("w", 5);
  s.Accept(EverySecond(true));
  s.Accept(Shell::Spec("s"));
  ASSERT_EQ(worker.given.size(), 1U);
  s.Advance(1'000);  // its fire waits for the one-shot
  EXPECT_EQ(worker.given.size(), 1U);
  s.Succeed(worker, worker.given[0].ref);
  EXPECT_EQ(worker.given.size(), 2U);
}

TEST_F(Plan, AScheduleWhoseZoneIsNotKnownAnyMoreStaysAndIsCounted) {
  model::JobSpec spec = Shell::Spec("a");
  spec.cron = "* * * * * ?";
  spec.time_zone = "Europe/Berlin";
  const model::JobId id = s.Accept(spec);
  // As after an update of the host's zones that dropped its name.
  store::ScheduleRow row = s.store->FindSchedule(id).value().value();
  spec.time_zone = "Europe/Berln";
  row.spec = std::make_shared<model::JobSpec>(spec);
  store::MutationBatch batch;
  batch.mutations.emplace_back(store::PutSchedule{row});
  ASSERT_TRUE(s.store->Commit(0, s.lease.epoch, ++s.lease.commit_no, batch).ok());
  s.Load();
  s.Advance(5'000);
  EXPECT_EQ(s.core->Stats().schedules_without_fires, 1U);
  EXPECT_TRUE(s.core->ZoneUnknown(id));
  EXPECT_TRUE(s.store->FindSchedule(id).value().has_value());
  EXPECT_EQ(s.Cancel("a").code, StatusCode::kOk);
  EXPECT_EQ(s.core->Stats().schedules_without_fires, 0U);
}

}  // namespace
}  // namespace lts::core

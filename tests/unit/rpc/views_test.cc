#include "jobtracker/views.h"

#include <gtest/gtest.h>

#include <map>

namespace lts::jobtracker {
namespace {

constexpr char kId[] = "01970000-0000-7000-8000-000000000001";
constexpr char kOtherId[] = "01970000-0000-7000-8000-000000000002";

model::JobSpecPtr Spec() {
  auto spec = std::make_shared<model::JobSpec>();
  spec->job_id = kOtherId;
  spec->task_id = "report";
  spec->group = "reports";
  return spec;
}

TEST(Views, ARunShowsItsOwnIdAndNotThatOfTheDefinitionItComesFrom) {
  store::JobRow row;
  row.key = {*model::JobId::Parse(kId), 1000};
  row.spec = Spec();
  row.state = model::JobState::kRunning;
  row.priority = 5;
  row.due_ms = 2000;
  row.accepted_ms = 1500;
  row.retries = 2;
  row.cancel_requested = true;
  v1::JobView view;
  ToView(row, &view);
  EXPECT_EQ(view.job().job_id(), kId);
  EXPECT_EQ(view.job().task_id(), "report");
  EXPECT_EQ(view.job().priority(), 5);
  EXPECT_EQ(view.state(), v1::RUNNING);
  EXPECT_EQ(view.cycle_ms(), 1000);
  EXPECT_EQ(view.next_fire_ms(), 2000);
  EXPECT_EQ(view.accepted_ms(), 1500);
  EXPECT_EQ(view.retries(), 2);
  EXPECT_TRUE(view.cancel_requested());
  EXPECT_FALSE(view.schedule());
}

TEST(Views, ARunTellsWhatMadeIt) {
  const std::map<store::JobKind, v1::RunKind> kinds = {
      {store::JobKind::kOneShot, v1::RUN_ONE_SHOT},
      {store::JobKind::kOccurrence, v1::RUN_OCCURRENCE},
      {store::JobKind::kTrigger, v1::RUN_TRIGGERED}};
  for (const auto& [stored, shown] : kinds) {
    store::JobRow row;
    row.spec = Spec();
    row.kind = stored;
    v1::JobView view;
    ToView(row, &view);
    EXPECT_EQ(view.kind(), shown);
    store::HistoryRow ended;
    ended.kind = stored;
    v1::JobView ended_view;
    ToView(ended, &ended_view);
    EXPECT_EQ(ended_view.kind(), shown);
  }
}

TEST(Views, AScheduleShowsItsNextFireAndRuns) {
  store::ScheduleRow row;
  row.id = *model::JobId::Parse(kId);
  row.spec = Spec();
  row.state = model::JobState::kSuspended;
  row.accepted_ms = 10;
  row.runs = 42;
  v1::JobView view;
  ToView(row, 3000, &view);
  EXPECT_EQ(view.job().job_id(), kId);
  EXPECT_TRUE(view.schedule());
  EXPECT_EQ(view.state(), v1::SUSPENDED);
  EXPECT_EQ(view.next_fire_ms(), 3000);
  EXPECT_EQ(view.accepted_ms(), 10);
  EXPECT_EQ(view.runs(), 42);
}

store::HistoryRow History() {
  store::HistoryRow row;
  row.key = {*model::JobId::Parse(kId), 1000};
  row.attempt = 3;
  row.outcome = model::Outcome::kTimedOut;
  row.final = true;
  row.state = model::JobState::kDead;
  row.group = "reports";
  row.task_id = "report";
  row.node = "tt-1";
  row.token = {7, 42};
  row.message = "too slow";
  row.due_ms = 1;
  row.started_ms = 2;
  row.ended_ms = 3;
  row.skipped = 4;
  row.skipped_last_ms = 5;
  row.accepted_ms = 6;
  row.retries = 7;
  row.runs = 8;
  return row;
}

TEST(Views, AnAttemptShowsEveryColumnOfItsHistoryRow) {
  v1::AttemptView view;
  ToView(History(), &view);
  EXPECT_EQ(view.job_id(), kId);
  EXPECT_EQ(view.cycle_ms(), 1000);
  EXPECT_EQ(view.attempt(), 3);
  EXPECT_EQ(view.outcome(), v1::TIMED_OUT);
  EXPECT_TRUE(view.final());
  EXPECT_EQ(view.state(), v1::DEAD);
  EXPECT_EQ(view.group(), "reports");
  EXPECT_EQ(view.task_id(), "report");
  EXPECT_EQ(view.node(), "tt-1");
  EXPECT_EQ(view.token().epoch(), 7U);
  EXPECT_EQ(view.token().sequence(), 42U);
  EXPECT_EQ(view.message(), "too slow");
  EXPECT_EQ(view.due_ms(), 1);
  EXPECT_EQ(view.started_ms(), 2);
  EXPECT_EQ(view.ended_ms(), 3);
  EXPECT_EQ(view.skipped(), 4);
  EXPECT_EQ(view.skipped_last_ms(), 5);
}

TEST(Views, AnEndedRunIsShownWithAndWithoutItsDefinition) {
  store::HistoryRow row = History();
  for (const bool with_spec : {false, true}) {
    if (with_spec) row.spec = Spec();
    v1::JobView view;
    ToView(row, &view);
    EXPECT_EQ(view.job().job_id(), kId);
    EXPECT_EQ(view.job().task_id(), "report");
    EXPECT_EQ(view.job().task_tracker_node_group(), "reports");
    EXPECT_EQ(view.job().has_priority(), with_spec);
    EXPECT_EQ(view.state(), v1::DEAD);
    EXPECT_EQ(view.message(), "too slow");
    EXPECT_EQ(view.ended_ms(), 3);
    EXPECT_EQ(view.cycle_ms(), 1000);
  }
}

}  // namespace
}  // namespace lts::jobtracker

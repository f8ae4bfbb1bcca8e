// The contract of JobStore's listings, over every engine.
#include "contract/store_fixture.h"

namespace lts::store::testing {
namespace {

using model::JobState;

TEST_P(StoreContract, ListingsRefuseForeignTokensAndTasksWithoutGroup) {
  for (const char* token : {"nonsense", "j", "j.1.2", "e.1.2.3.4", "j.1.2.3.zz"}) {
    EXPECT_EQ(store().FindJobs({}, token, 10).status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(store().FindSchedules({}, token, 10).status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(store().FindEnded({}, false, token, 10).status().code(),
              StatusCode::kInvalidArgument);
  }
  JobFilter filter;
  filter.task_id = "t";
  EXPECT_EQ(store().FindJobs(filter, "", 10).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store().FindSchedules(filter, "", 10).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store().FindEnded(filter, false, "", 10).status().code(), StatusCode::kInvalidArgument);
}

TEST_P(StoreContract, JobListingsFilterAndGoFromTheNewest) {
  Owner a(store(), 0);
  Owner b(store(), 2);
  JobRow running = Job(3, "g");
  running.state = JobState::kRunning;
  JobRow suspended = Job(5, "g", "task-1");
  suspended.state = JobState::kSuspended;
  suspended.accepted_ms = 5000;
  EXPECT_OK(a.Commit({InsertJob{Job(1, "g")}, InsertJob{running}, InsertJob{suspended}}));
  EXPECT_OK(b.Commit({InsertJob{Job(2, "h")}, InsertJob{Job(4, "h")}}));
  const auto find = [&](const JobFilter& filter) {
    return Numbers(AllPages<JobRow>(
        [&](const PageToken& token) { return store().FindJobs(filter, token, 2); }));
  };
  EXPECT_EQ(find({}), (Ns{5, 4, 3, 2, 1}));
  EXPECT_EQ(find({"g", "", {}, 0}), (Ns{5, 3, 1}));
  EXPECT_EQ(find({"g", "task-1", {}, 0}), (Ns{5, 1}));
  EXPECT_EQ(find({"", "", JobState::kRunning, 0}), Ns{3});
  EXPECT_EQ(find({"h", "", JobState::kRunning, 0}), Ns{});
  EXPECT_EQ(find({"g", "", JobState::kSuspended, 0}), Ns{5});
  EXPECT_EQ(find({"g", "", {}, 2000}), Ns{5});
  EXPECT_EQ(find({"nobody", "", {}, 0}), Ns{});
}

TEST_P(StoreContract, ScheduleListingsFilterAndGoFromTheNewest) {
  Owner a(store(), 0);
  Owner b(store(), 2);
  ScheduleRow suspended = Schedule(3, "g", "c");
  suspended.state = JobState::kSuspended;
  EXPECT_OK(a.Commit({PutSchedule{Schedule(1, "g", "a")}, PutSchedule{suspended}}));
  EXPECT_OK(b.Commit({PutSchedule{Schedule(2, "h", "a")}, PutSchedule{Schedule(4, "h", "b")}}));
  const auto find = [&](const JobFilter& filter) {
    return Numbers(AllPages<ScheduleRow>(
        [&](const PageToken& token) { return store().FindSchedules(filter, token, 1); }));
  };
  EXPECT_EQ(find({}), (Ns{4, 3, 2, 1}));
  EXPECT_EQ(find({"g", "", {}, 0}), (Ns{3, 1}));
  EXPECT_EQ(find({"g", "a", {}, 0}), Ns{1});
  EXPECT_EQ(find({"g", "", JobState::kSuspended, 0}), Ns{3});
  EXPECT_EQ(find({"g", "c", JobState::kActive, 0}), Ns{});
}

TEST_P(StoreContract, EndedListingsFilterAndGoFromTheNewestEnd) {
  Owner a(store(), 0);
  Owner b(store(), 2);
  EXPECT_OK(a.Commit({InsertHistory{Ended(Job(1, "g"), 500)},
                      InsertHistory{Ended(Job(2, "g"), 300, false)},
                      InsertHistory{Ended(Job(3, "g", "task-1"), 100, true, JobState::kFailed)},
                      InsertHistory{Ended(Job(7, "k"), 450)}}));
  EXPECT_OK(
      b.Commit({InsertHistory{Ended(Job(4, "h"), 400)}, InsertHistory{Ended(Job(5, "h"), 600)},
                InsertHistory{Ended(Job(6, "h"), 500)}}));
  const auto find = [&](const JobFilter& filter, bool finals_only = false) {
    return Numbers(AllPages<HistoryRow>(
        [&](const PageToken& token) { return store().FindEnded(filter, finals_only, token, 2); }));
  };
  EXPECT_EQ(find({}), (Ns{5, 6, 1, 7, 4, 2, 3}));
  EXPECT_EQ(find({}, true), (Ns{5, 6, 1, 7, 4, 3}));
  EXPECT_EQ(find({"g", "", {}, 0}), (Ns{1, 2, 3}));
  EXPECT_EQ(find({"g", "", {}, 0}, true), (Ns{1, 3}));
  EXPECT_EQ(find({"g", "task-1", {}, 0}), (Ns{1, 3}));
  EXPECT_EQ(find({"g", "", JobState::kFailed, 0}), Ns{3});
  EXPECT_EQ(find({"", "", {}, 450}), (Ns{5, 6, 1, 7}));
  EXPECT_EQ(find({"h", "task-5", {}, 450}), Ns{5});
}

TEST_P(StoreContract, PagesOfLargeRowsEndEarlyAndLoseNothing) {
  Owner a(store(), 0);
  const auto large = [](std::uint64_t n) {
    auto spec = std::make_shared<model::JobSpec>(*Spec(n, "g", "task-" + std::to_string(n)));
    // Every third is larger than a page.
    spec->payload = std::string(n % 3 == 0 ? kPageBytesMax + 1 : kPageBytesMax / 3, 'x');
    return spec;
  };
  Ns newest_first;
  for (std::uint64_t n = 1; n <= 7; ++n) {
    newest_first.insert(newest_first.begin(), n);
    JobRow job = Job(n);
    job.spec = large(n);
    ScheduleRow schedule = Schedule(n, "g", job.spec->task_id);
    schedule.spec = job.spec;
    EXPECT_OK(a.Commit({InsertJob{job}, InsertHistory{Ended(job, static_cast<TimeMs>(n))},
                        PutSchedule{schedule}}));
  }
  const auto bytes_of = [](const auto& rows) {
    std::size_t bytes = 0;
    for (const auto& row : rows) bytes += row.spec->payload.size();
    return bytes;
  };
  const auto bounded = [&](auto page) {
    if (page.ok() && page->rows.size() > 1) {
      EXPECT_LE(bytes_of(page->rows), kPageBytesMax);
    }
    return page;
  };
  EXPECT_EQ(Numbers(AllPages<JobRow>(
                [&](const PageToken& token) { return bounded(store().FindJobs({}, token, 100)); })),
            newest_first);
  EXPECT_EQ(Numbers(AllPages<ScheduleRow>([&](const PageToken& token) {
              return bounded(store().FindSchedules({}, token, 100));
            })),
            newest_first);
  EXPECT_EQ(Numbers(AllPages<HistoryRow>([&](const PageToken& token) {
              return bounded(store().FindEnded({}, false, token, 100));
            })),
            newest_first);
}

TEST_P(StoreContract, PagesHaveNoGapsOrRepeatsWhileRowsComeAndGo) {
  Owner a(store(), 0);
  std::vector<Mutation> inserts;
  for (std::uint64_t n = 100; n < 200; ++n) {
    inserts.push_back(InsertJob{Job(n)});
    inserts.push_back(InsertHistory{Ended(Job(n), static_cast<TimeMs>(n / 10))});
  }
  EXPECT_OK(a.Commit(inserts));
  Ns jobs;
  Ns ended;
  PageToken job_token;
  PageToken ended_token;
  std::uint64_t fresh = 1000;
  do {
    const auto page = store().FindJobs({"g", "", {}, 0}, job_token, 7);
    const auto past = store().FindEnded({"g", "", {}, 0}, true, ended_token, 7);
    ASSERT_TRUE(page.ok() && past.ok());
    for (const std::uint64_t n : Numbers(page->rows)) jobs.push_back(n);
    for (const std::uint64_t n : Numbers(past->rows)) ended.push_back(n);
    job_token = page->next;
    ended_token = past->next;
    // New rows come at the newer end; the very row that the token names goes.
    std::vector<Mutation> changes = {InsertJob{Job(fresh)}, InsertHistory{Ended(Job(fresh), 9000)}};
    if (!page->rows.empty()) changes.push_back(DeleteJob{page->rows.back()});
    EXPECT_OK(a.Commit(changes));
    ++fresh;
  } while (!job_token.empty());
  Ns expected;
  for (std::uint64_t n = 199; n >= 100; --n) expected.push_back(n);
  EXPECT_EQ(jobs, expected);
  EXPECT_EQ(ended, expected);
}

}  // namespace
}  // namespace lts::store::testing

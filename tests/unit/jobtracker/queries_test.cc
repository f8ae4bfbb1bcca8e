#include <gmock/gmock.h>

#include <set>

#include "rpc/limits.h"
#include "world.h"

namespace lts {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class QueriesTest : public ShellTest {};

TEST_F(QueriesTest, AListingOfLargeJobsComesInPagesThatFit) {
  Start();
  std::set<std::string> accepted;
  for (std::uint32_t partition = 0; partition < kPartitions; ++partition) {
    const std::string group = GroupIn(partition);
    for (int i = 0; i < 150; ++i) {
      v1::SubmitItem item = Job(group, "t" + std::to_string(i));
      item.mutable_job()->set_payload(std::string(std::size_t{64} << 10, 'x'));
      if (i % 3 == 0) item.mutable_job()->set_cron_expression("0 0 3 * * ?");
      accepted.insert(Accept(std::move(item)));
    }
    SucceedAll(*Connect(group, 50));
  }
  std::set<std::string> listed;
  v1::ListRequest request;
  request.set_limit(1'000);
  do {
    const v1::ListResponse page = Ask(&Queries::List, request);
    ASSERT_EQ(page.code(), v1::OK) << page.message();
    EXPECT_LT(page.ByteSizeLong(), static_cast<std::size_t>(rpc::kMessageBytesMax) / 2);
    for (const v1::JobView& job : page.jobs()) {
      EXPECT_EQ(job.job().payload().size(), std::size_t{64} << 10);
      EXPECT_TRUE(listed.insert(job.job().job_id()).second);
    }
    request.set_page(page.next_page());
  } while (!request.page().empty());
  EXPECT_EQ(listed, accepted);
}

TEST_F(QueriesTest, AttemptsOfAnOutcomeAreFoundHoweverManyOthersLieBetween) {
  Start();
  const std::string group = GroupIn(1);
  std::set<std::string> failed;
  for (int i = 0; i < 2'500; ++i) {
    const std::string id = Accept(Job(group, "t" + std::to_string(i)));
    // Three beside each other at either end, and none among the thousands between.
    if (i < 3 || i >= 2'497) failed.insert(id);
  }
  const auto worker = Connect(group, 3'000);
  v1::WorkerMessage results;
  for (const v1::Assignment& given : worker->Given()) {
    *results.add_results() =
        ResultOf(given, failed.count(given.job().job_id()) != 0 ? v1::OUTCOME_EXECUTE_FAILED
                                                                : v1::OUTCOME_EXECUTE_SUCCESS);
  }
  ASSERT_EQ(results.results_size(), 2'500);
  worker->connection->Message(std::move(results));
  strand.Run();
  std::set<std::string> listed;
  std::vector<int> on_pages;
  v1::ListAttemptsRequest request;
  request.set_group(group);
  request.set_outcome("EXECUTE_FAILED");
  request.set_limit(2);
  do {
    const v1::ListAttemptsResponse page = Ask(&Queries::ListAttempts, request);
    ASSERT_EQ(page.code(), v1::OK) << page.message();
    on_pages.push_back(page.attempts_size());
    for (const v1::AttemptView& attempt : page.attempts()) {
      EXPECT_EQ(attempt.outcome(), v1::OUTCOME_EXECUTE_FAILED);
      EXPECT_TRUE(listed.insert(attempt.job_id()).second);
    }
    request.set_page(page.next_page());
  } while (!request.page().empty());
  EXPECT_EQ(listed, failed);
  EXPECT_THAT(on_pages, ElementsAre(2, 1, 0, 2, 1));

  request.set_outcome("LOST");
  request.set_job_id(*failed.begin());
  EXPECT_EQ(Ask(&Queries::ListAttempts, request).attempts_size(), 0);
  request.set_outcome("EXECUTE_FAILED");
  EXPECT_EQ(Ask(&Queries::ListAttempts, request).attempts_size(), 1);
  request.set_state("SUCCEEDED");
  EXPECT_EQ(Ask(&Queries::ListAttempts, request).attempts_size(), 0);
  request.set_outcome("FAILED");
  EXPECT_EQ(Ask(&Queries::ListAttempts, request).code(), v1::INVALID_ARGUMENT);
}

TEST_F(QueriesTest, LogLinesAreBroughtWithinBounds) {
  Start();
  const std::string group = GroupIn(0);
  const std::string id = Accept(Job(group, "t"));
  const auto worker = Connect(group, 1);
  v1::AppendLogsRequest append;
  std::uint64_t number = 0;
  for (const std::int64_t ago : {std::int64_t{0}, std::int64_t{-5'000}, INT64_MIN, INT64_MAX}) {
    v1::LogLine& line = *append.add_lines();
    *line.mutable_key() = KeyOf(worker->Given().at(0));
    line.set_line(++number);
    line.set_ago_ms(ago);
    line.set_message(std::string(20'000, 'x'));
    line.set_node(std::string(20'000, 'n'));
  }
  EXPECT_EQ(Ask(&Queries::AppendLogs, append).code(), v1::OK);
  v1::LogsRequest request;
  request.set_job_id(id);
  const v1::LogsResponse lines = Ask(&Queries::Logs, request);
  ASSERT_EQ(lines.entries_size(), 4);
  for (const v1::LogEntry& entry : lines.entries()) {
    EXPECT_LE(entry.time_ms(), clock.WallMs());
    EXPECT_GE(entry.time_ms(), clock.WallMs() - 30 * kDayMs);
    EXPECT_EQ(entry.message().size(), 8'192U);
    EXPECT_EQ(entry.node().size(), 256U);
  }
}

TEST_F(QueriesTest, AnEndedScheduleIsShownAsEndedHoweverLongItsHistory) {
  Start();
  const std::uint32_t partition = 1;
  v1::SubmitItem item = Job(GroupIn(partition), "ticks");
  item.mutable_job()->set_repeat_interval_ms(1'000);
  item.mutable_job()->set_repeat_count(1'200);
  item.mutable_job()->set_rely_on_prev_cycle(false);
  const std::string id = Accept(std::move(item));
  const auto worker = Connect(GroupIn(partition), 1);
  for (std::size_t run = 0; run < 1'200; ++run) {
    while (worker->Given().size() <= run) strand.Advance(1'000);
    SucceedAll(*worker, run);
  }
  strand.Advance(5'000);
  const v1::JobView view = View(id);
  EXPECT_EQ(view.state(), v1::ENDED);
  EXPECT_TRUE(view.schedule());
  EXPECT_EQ(view.runs(), 1'200);
  EXPECT_EQ(view.attempts_size(), 1'000);
}

TEST_F(QueriesTest, ExplainsSchedulesAndWhatHasEnded) {
  Start();
  const std::string group = GroupIn(0);
  const auto codes = [this](const std::string& id) {
    v1::ExplainRequest request;
    request.set_job_id(id);
    std::vector<std::string> found;
    const v1::ExplainResponse response = Ask(&Queries::Explain, request);
    for (const v1::Reason& reason : response.reasons()) {
      EXPECT_NE(reason.text(), "");
      found.push_back(reason.code());
    }
    return found;
  };
  const auto schedule = [&](const std::string& task) {
    v1::SubmitItem item = Job(group, task);
    item.mutable_job()->set_cron_expression("0 0 3 * * ?");
    return Accept(std::move(item));
  };
  const std::string nightly = schedule("nightly");
  EXPECT_THAT(codes(nightly), ElementsAre("NEXT_FIRE"));
  v1::OperateRequest suspend;
  suspend.set_job_id(nightly);
  suspend.set_operation(v1::SUSPEND);
  v1::Code suspended = v1::INTERNAL;
  queries->Operate(
      suspend, [] { return 1'000; },
      [&](const v1::OperateResponse& answer) { suspended = answer.code(); });
  strand.Run();
  EXPECT_EQ(suspended, v1::OK);
  EXPECT_THAT(codes(nightly), ElementsAre("SUSPENDED"));
  v1::SubmitItem once = Job(group, "once");
  once.mutable_job()->set_repeat_interval_ms(1'000);
  once.mutable_job()->set_repeat_count(1);
  const std::string last = Accept(std::move(once));
  const auto worker = Connect(group, 1);
  EXPECT_THAT(codes(last), ElementsAre("NO_FURTHER_FIRE", "RUNNING"));
  SucceedAll(*worker);
  EXPECT_THAT(codes(last), ElementsAre("ENDED"));

  const std::string ahead = schedule("ahead");
  const std::string nowhere = schedule("nowhere");
  hosts[0]->Stop([] {});
  strand.Run();
  EXPECT_THAT(codes(ahead), ElementsAre("PARTITION_NOT_SERVED"));
  // As an owner with a clock that was ahead, on a host with other time zones, leaves them.
  auto lease = store->Acquire(0, "other", "", 1);
  ASSERT_TRUE(lease.ok()) << lease.status().ToString();
  store::MutationBatch batch;
  for (const std::string& id : {ahead, nowhere}) {
    store::ScheduleRow row = store->FindSchedule(*model::JobId::Parse(id)).value().value();
    auto spec = std::make_shared<model::JobSpec>(*row.spec);
    if (id == nowhere) spec->time_zone = "Europe/Berln";
    if (id == ahead) row.last_fire_ms = clock.WallMs() + 3'600'000;
    row.spec = std::move(spec);
    batch.mutations.emplace_back(store::PutSchedule{std::move(row)});
  }
  ASSERT_TRUE(store->Commit(0, lease->epoch, lease->commit_no + 1, batch).ok());
  ASSERT_TRUE(store->Release(0, lease->epoch, true).ok());
  PartitionHostOptions options;
  options.core.default_time_zone = "UTC";
  options.owner = "tracker";
  hosts.push_back(std::make_unique<PartitionHost>(options, *store, strand, strand, strand, clock,
                                                  edge->OutboxOf(0)));
  edge->Attach(0, *hosts.back(), strand);
  hosts.back()->Start([](Status status) { ASSERT_TRUE(status.ok()) << status.ToString(); });
  strand.Run();
  EXPECT_THAT(codes(ahead), ElementsAre("CLOCK_BEHIND", "NEXT_FIRE"));
  EXPECT_THAT(codes(nowhere), ElementsAre("ZONE_UNKNOWN"));
}

TEST_F(QueriesTest, MoreWaitsThanTheLimitAreRefusedUntilOneIsOver) {
  EdgeOptions options;
  options.waits_max = 2;
  Start(options);
  v1::WaitRequest request;
  request.set_job_id(Accept(Job(GroupIn(0), "t")));
  request.set_timeout_ms(1'000);
  std::vector<v1::WaitResponse> answers;
  const auto wait = [&] {
    queries->Wait(request, [&](v1::WaitResponse answer) { answers.push_back(std::move(answer)); });
    strand.Run();
  };
  wait();
  wait();
  EXPECT_TRUE(answers.empty());
  wait();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].code(), v1::RESOURCE_EXHAUSTED);
  EXPECT_THAT(answers[0].message(), HasSubstr("waits.max=2"));
  EXPECT_THAT(metrics.Text(), HasSubstr("lts_limit_current{limit=\"waits.max\"} 2"));
  EXPECT_THAT(metrics.Text(), HasSubstr("lts_limit_refused_total{limit=\"waits.max\"} 1"));
  strand.Advance(1'500);
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[2].code(), v1::DEADLINE_EXCEEDED);
  EXPECT_THAT(metrics.Text(), HasSubstr("lts_limit_current{limit=\"waits.max\"} 0"));
  wait();
  EXPECT_EQ(answers.size(), 3U);
}

TEST_F(QueriesTest, MoreQueriesThanTheLimitAreRefusedAtOnce) {
  QueriesOptions options;
  options.pending_max = 1;
  options.logs_pending_max = 1;
  Start({}, options);
  const std::string id = Accept(Job(GroupIn(0), "t"));
  std::vector<v1::Code> codes;
  const auto note = [&](const auto& response) { codes.push_back(response.code()); };
  v1::GetRequest get;
  get.set_job_id(id);
  v1::OperateRequest cancel;
  cancel.set_job_id(id);
  queries->Get(get, note);
  queries->Get(get, note);
  queries->List({}, note);
  queries->Operate(
      cancel, [] { return 1'000; }, note);
  queries->Groups({}, note);
  queries->AppendLogs({}, note);
  queries->AppendLogs({}, note);
  EXPECT_THAT(codes,
              ElementsAre(v1::RESOURCE_EXHAUSTED, v1::RESOURCE_EXHAUSTED, v1::RESOURCE_EXHAUSTED,
                          v1::RESOURCE_EXHAUSTED, v1::RESOURCE_EXHAUSTED));
  EXPECT_THAT(metrics.Text(),
              HasSubstr("lts_limit_refused_total{limit=\"queries.pending.max\"} 4"));
  EXPECT_THAT(metrics.Text(), HasSubstr("lts_limit_refused_total{limit=\"logs.pending.max\"} 1"));
  strand.Run();
  log_strand.Run();
  EXPECT_EQ(codes.size(), 7U);
  queries->Get(get, note);
  strand.Run();
  EXPECT_EQ(codes.back(), v1::OK);
}

// A JobTracker that stood still carries out nothing that was given up meanwhile: it may have been
// done elsewhere, and undone since.
TEST_F(QueriesTest, AnOperationThatNobodyWaitsForIsNotCarriedOut) {
  Start();
  const std::string group = GroupIn(0);
  const std::string id = Accept(Job(group, "t"));
  bool wanted = true;
  std::vector<v1::Code> codes;
  const auto suspend = [&](bool by_id) {
    v1::OperateRequest request;
    if (by_id) {
      request.set_job_id(id);
    } else {
      request.set_group(group);
      request.set_task_id("t");
    }
    request.set_operation(v1::SUSPEND);
    queries->Operate(
        request, [&wanted] { return wanted ? 1'000 : 0; },
        [&](const v1::OperateResponse& answer) { codes.push_back(answer.code()); });
  };
  for (const bool by_id : {false, true}) {
    wanted = true;
    suspend(by_id);
    EXPECT_THAT(codes, ::testing::IsEmpty());
    wanted = false;
    strand.Run();
    EXPECT_THAT(codes, ElementsAre(v1::UNAVAILABLE));
    EXPECT_EQ(View(id).state(), v1::WAITING);
    codes.clear();
  }
  wanted = true;
  suspend(false);
  strand.Run();
  EXPECT_THAT(codes, ElementsAre(v1::OK));
  EXPECT_EQ(View(id).state(), v1::SUSPENDED);
}

TEST_F(QueriesTest, LogLinesDoNotWaitBehindQueries) {
  Start();
  int gets = 0;
  int appends = 0;
  v1::GetRequest get;
  get.set_job_id(Accept(Job(GroupIn(0), "t")));
  queries->Get(get, [&](const v1::GetResponse&) { ++gets; });
  queries->AppendLogs({}, [&](const v1::AppendLogsResponse&) { ++appends; });
  log_strand.Run();
  EXPECT_EQ(appends, 1);
  EXPECT_EQ(gets, 0);
}

TEST_F(QueriesTest, NodesTellWhatTheyIntroducedThemselvesWithAndWhoIsMaster) {
  Start();
  const auto nodes = [this] {
    v1::NodesResponse response;
    queries->Nodes({}, [&](v1::NodesResponse answer) { response = std::move(answer); });
    strand.Run();
    std::vector<std::string> lines;
    for (const v1::NodeInfo& node : response.nodes()) {
      lines.push_back(node.node_type() + " " + node.group() + " " + node.identity() + " " +
                      node.address() + " " + node.version() + " " +
                      std::to_string(node.started_ms()) + " " + std::to_string(node.slots()) +
                      (node.master() ? " master" : ""));
    }
    return lines;
  };
  const std::string group = GroupIn(0);
  const auto connect = [&](const std::string& identity, std::uint64_t number) {
    v1::WorkerHello hello;
    hello.set_group(group);
    hello.set_identity(identity);
    hello.set_incarnation("1");
    hello.set_number(number);
    hello.set_capacity(3);
    hello.set_address("host:1");
    hello.set_version("2.0");
    hello.set_started_ms(7);
    return Connect(hello);
  };
  const auto listen = [&](const std::string& identity, const std::string& version) {
    v1::FeedbackHello hello;
    hello.set_node_group("shop");
    hello.set_identity(identity);
    hello.set_version(version);
    hello.set_started_ms(9);
    return Listen(hello);
  };
  const std::string tracker = "JOB_TRACKER lts tracker   0 0 master";
  const auto peek = listen("peek", "");
  const auto client = listen("c1", "2.1");
  const auto other = listen("c2", "2.1");
  const auto first = connect("w1", 1);
  const auto second = connect("w2", 1);
  EXPECT_THAT(nodes(), ElementsAre(tracker, "JOB_CLIENT shop c1  2.1 9 0 master",
                                   "JOB_CLIENT shop c2  2.1 9 0",
                                   "TASK_TRACKER " + group + " w1 host:1 2.0 7 3 master",
                                   "TASK_TRACKER " + group + " w2 host:1 2.0 7 3"));
  // The next one takes over; who comes back is the youngest.
  client->connection->Closed();
  const auto again = connect("w1", 2);
  strand.Run();
  EXPECT_THAT(nodes(), ElementsAre(tracker, "JOB_CLIENT shop c2  2.1 9 0 master",
                                   "TASK_TRACKER " + group + " w2 host:1 2.0 7 3 master",
                                   "TASK_TRACKER " + group + " w1 host:1 2.0 7 3"));
}

TEST_F(QueriesTest, NodesTellWhetherATaskTrackerTakesJobsAndWhyNot) {
  Start();
  const auto states = [this] {
    v1::NodesResponse response;
    queries->Nodes({}, [&](v1::NodesResponse answer) { response = std::move(answer); });
    strand.Run();
    std::vector<std::string> lines;
    for (const v1::NodeInfo& node : response.nodes()) {
      lines.push_back(node.identity() + " " + node.state());
    }
    return lines;
  };
  const std::string group = GroupIn(0);
  const auto worker = Connect(group, 2, "w1");
  v1::WorkerHello hello;
  hello.set_group(group);
  hello.set_identity("w2");
  hello.set_incarnation("1");
  hello.set_number(1);
  hello.set_draining(true);
  const auto comes_back = Connect(hello);
  EXPECT_THAT(states(), ElementsAre("tracker ", "w1 READY", "w2 DRAINING"));
  v1::WorkerMessage full;
  full.set_capacity(0);
  worker->connection->Message(full);
  strand.Run();
  EXPECT_THAT(states(), ElementsAre("tracker ", "w1 NO_ROOM", "w2 DRAINING"));
  v1::WorkerMessage drains;
  drains.set_draining(true);
  worker->connection->Message(drains);
  v1::WorkerMessage heartbeat;
  heartbeat.set_heartbeat(1);
  worker->connection->Message(heartbeat);
  strand.Run();
  EXPECT_THAT(states(), ElementsAre("tracker ", "w1 DRAINING", "w2 DRAINING"));
}

TEST_F(QueriesTest, WaitingForAScheduleMeansItsFirstRunFromNow) {
  Start();
  v1::SubmitItem item = Job(GroupIn(0), "ticks");
  item.mutable_job()->set_repeat_interval_ms(10'000);
  item.mutable_job()->set_repeat_count(-1);
  v1::WaitRequest request;
  request.set_job_id(Accept(std::move(item)));
  request.set_timeout_ms(60'000);
  const auto worker = Connect(GroupIn(0), 1);
  while (worker->Given().empty()) strand.Advance(1'000);
  SucceedAll(*worker);  // a run that is over
  std::vector<v1::WaitResponse> answers;
  queries->Wait(request, [&](v1::WaitResponse answer) { answers.push_back(std::move(answer)); });
  strand.Run();
  EXPECT_TRUE(answers.empty());
  while (worker->Given().size() < 2) strand.Advance(1'000);
  EXPECT_TRUE(answers.empty());
  SucceedAll(*worker, 1);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].job().state(), v1::SUCCEEDED);
  EXPECT_EQ(answers[0].job().cycle_ms(), worker->Given()[1].cycle_ms());
}

TEST_F(QueriesTest, ARunBetweenTwoWaitsForAScheduleIsNotMissed) {
  Start();
  v1::SubmitItem item = Job(GroupIn(0), "ticks");
  item.mutable_job()->set_repeat_interval_ms(10'000);
  item.mutable_job()->set_repeat_count(3);
  v1::WaitRequest request;
  request.set_job_id(Accept(std::move(item)));
  request.set_timeout_ms(100);
  const auto worker = Connect(GroupIn(0), 1);
  std::vector<v1::WaitResponse> answers;
  const auto wait = [&] {
    queries->Wait(request, [&](v1::WaitResponse answer) { answers.push_back(std::move(answer)); });
    strand.Run();
  };
  while (worker->Given().empty()) strand.Advance(1'000);
  SucceedAll(*worker);
  strand.Advance(1'000);
  wait();
  strand.Advance(1'000);
  ASSERT_EQ(answers.size(), 1U);
  ASSERT_EQ(answers[0].code(), v1::DEADLINE_EXCEEDED);
  request.set_since_ms(answers[0].since_ms());
  for (std::size_t run = 1; run < 3; ++run) {  // the last of which ends the schedule
    while (worker->Given().size() == run) strand.Advance(1'000);
    SucceedAll(*worker, run);
  }
  strand.Advance(1'000);
  wait();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1].job().cycle_ms(), worker->Given()[1].cycle_ms());
  // From the beginning, as after the submit; and from now on there is only its own end.
  request.set_since_ms(1);
  wait();
  EXPECT_EQ(answers[2].job().cycle_ms(), worker->Given()[0].cycle_ms());
  request.set_since_ms(0);
  wait();
  EXPECT_EQ(answers[3].job().state(), v1::ENDED);
}

}  // namespace
}  // namespace lts

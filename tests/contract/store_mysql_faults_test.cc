// What only the engine on a server can show: connections that are cut at a chosen statement, a
// server that restarts or stands still, two owners on the server's clock, rows that the database
// rejects.
#include <chrono>
#include <random>
#include <set>
#include <thread>

#include "common/ids.h"
#include "contract/mysql_database.h"
#include "contract/store_fixture.h"
#include "store/paging.h"
#include "support/mysql_proxy.h"

namespace lts::store::testing {
namespace {

using ::lts::testing::Cut;
using ::lts::testing::MariadbServer;
using ::lts::testing::MysqlProxy;
using ::lts::testing::TestDatabaseServer;

// The server of this program: tests stop it, so it is never one that somebody else runs.
MariadbServer& Server() {
  static MariadbServer server;
  return server;
}

TestDatabaseServer Reach(int port) {
  return {"127.0.0.1:" + std::to_string(port), "faults_", MariadbServer::kUser,
          MariadbServer::kPassword};
}

std::unique_ptr<JobStore> OpenStore(const MysqlStoreOptions& options) {
  auto store = OpenMysqlStore(TestIdentity(), options);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return store.ok() ? std::move(*store) : nullptr;
}

class MysqlStore : public ::testing::Test {
 protected:
  MysqlStore() : database_(Reach(Server().port())) {}

  // Through the proxy.
  MysqlStoreOptions Options() const {
    MysqlStoreOptions options = database_.Options();
    options.url =
        "jdbc:mysql://127.0.0.1:" + std::to_string(proxy_.port()) + "/" + database_.name();
    return options;
  }
  // As somebody else sees it.
  std::int64_t CountRows(const std::string& table) {
    std::int64_t rows = -1;
    Admin admin = database_.As();
    admin.Run("USE `" + database_.name() + "`");
    const mysql::Failure failure =
        table == "lts_job"
            ? admin.connection().Query(mysql::SqlText("SELECT COUNT(*) FROM lts_job"),
                                       [&](const mysql::Row& row) { rows = row.I64(0); })
            : admin.connection().Query(mysql::SqlText("SELECT COUNT(*) FROM lts_attempt"),
                                       [&](const mysql::Row& row) { rows = row.I64(0); });
    EXPECT_FALSE(failure.failed()) << failure.ToString();
    return rows;
  }

  TestDatabase database_;
  MysqlProxy proxy_{Server().port()};
};

// ---- connections that are cut

TEST_F(MysqlStore, CutBeforeCommitIsUnknownAndTheRepeatDoesIt) {
  const auto store = OpenStore(Options());
  Owner owner(*store, 0);
  proxy_.CutOnce("COMMIT", Cut::kBefore);
  EXPECT_EQ(owner.Commit({InsertJob{Job(1)}}).code(), StatusCode::kUnknownOutcome);
  EXPECT_EQ(proxy_.cuts(), 1);
  EXPECT_EQ(CountRows("lts_job"), 0);
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  EXPECT_EQ(CountRows("lts_job"), 1);
  EXPECT_EQ(store->Counters()->at("g").jobs, 1);
}

TEST_F(MysqlStore, CutAfterCommitIsUnknownAndTheRepeatChangesNothing) {
  const auto store = OpenStore(Options());
  Owner owner(*store, 0);
  proxy_.CutOnce("COMMIT", Cut::kAfter);
  EXPECT_EQ(owner.Commit({InsertJob{Job(1)}}).code(), StatusCode::kUnknownOutcome);
  EXPECT_EQ(CountRows("lts_job"), 1);
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  EXPECT_EQ(CountRows("lts_job"), 1);
  EXPECT_EQ(store->Counters()->at("g").jobs, 1);
  EXPECT_EQ((*store->Partitions())[0].commit_no, 1U);
  EXPECT_OK(owner.Commit({DeleteJob{Job(1)}}));
}

TEST_F(MysqlStore, CutWithinTheTransactionNothingHappenedAndAnOldConnectionIsReplaced) {
  const auto store = OpenStore(Options());
  Owner owner(*store, 0);
  // The connection is an old one: the commit goes over a new one by itself.
  proxy_.OnQuery([done = false](std::string_view sql) mutable {
    if (done || sql.find("INSERT INTO lts_job ") != 0) return Cut::kNone;
    done = true;
    return Cut::kAfter;
  });
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  EXPECT_EQ(proxy_.cuts(), 1);
  // New ones are cut too: nothing happened.
  proxy_.OnQuery([](std::string_view sql) {
    return sql.find("INSERT INTO lts_job ") == 0 ? Cut::kBefore : Cut::kNone;
  });
  EXPECT_EQ(owner.Commit({InsertJob{Job(2)}}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(CountRows("lts_job"), 1);
  proxy_.OnQuery(nullptr);
  EXPECT_OK(owner.Commit({InsertJob{Job(2)}}));
  EXPECT_EQ(CountRows("lts_job"), 2);
}

TEST_F(MysqlStore, UnknownOutcomeStaysUnknownUntilARepeatGotThrough) {
  const auto store = OpenStore(Options());
  Owner owner(*store, 0);
  proxy_.CutOnce("COMMIT", Cut::kAfter);
  EXPECT_EQ(owner.Commit({InsertJob{Job(1)}}).code(), StatusCode::kUnknownOutcome);
  proxy_.OnQuery([](std::string_view sql) {
    return sql.find("UPDATE lts_partition ") == 0 ? Cut::kBefore : Cut::kNone;
  });
  EXPECT_EQ(owner.Commit({InsertJob{Job(1)}}).code(), StatusCode::kUnknownOutcome);
  proxy_.OnQuery(nullptr);
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  EXPECT_EQ(CountRows("lts_job"), 1);
}

TEST_F(MysqlStore, AcquireAndReleaseWhoseRepliesWereLostMayBeRepeated) {
  const auto store = OpenStore(Options());
  proxy_.CutOnce("COMMIT", Cut::kAfter);
  EXPECT_EQ(store->Acquire(0, "a", "", 1).status().code(), StatusCode::kUnavailable);
  const auto lease = store->Acquire(0, "a", "", 1);
  ASSERT_TRUE(lease.ok()) << lease.status().ToString();
  EXPECT_EQ(lease->epoch, 2U);
  proxy_.CutOnce("COMMIT", Cut::kAfter);
  EXPECT_EQ(store->Release(0, lease->epoch, true).code(), StatusCode::kUnavailable);
  EXPECT_OK(store->Release(0, lease->epoch, true));
  EXPECT_TRUE(store->Acquire(0, "b", "", 1)->clean);
}

TEST_F(MysqlStore, EveryCommitHappensOnceWhereverConnectionsAreCut) {
  const std::uint64_t seed = RandomSeed() % 1'000'000;
  SCOPED_TRACE("seed " + std::to_string(seed));
  const auto store = OpenStore(Options());
  Owner owner(*store, 0);
  std::mt19937_64 random(seed);
  proxy_.OnQuery([&random](std::string_view) {
    const auto draw = random() % 12;
    return draw == 0 ? Cut::kBefore : draw == 1 ? Cut::kAfter : Cut::kNone;
  });
  int unknown = 0;
  constexpr std::uint64_t kJobs = 150;
  for (std::uint64_t n = 1; n <= kJobs; ++n) {
    std::vector<Mutation> batch = {InsertJob{Job(n)}};
    if (n > 1) {
      batch.push_back(DeleteJob{Job(n - 1)});
      batch.push_back(InsertHistory{Ended(Job(n - 1), 5)});
    }
    Status status;
    do {
      status = owner.Commit(batch);
      ASSERT_TRUE(status.ok() || status.code() == StatusCode::kUnknownOutcome ||
                  status.code() == StatusCode::kUnavailable)
          << status.ToString();
      if (status.code() == StatusCode::kUnknownOutcome) ++unknown;
    } while (!status.ok());
  }
  proxy_.OnQuery(nullptr);
  EXPECT_GT(unknown, 0);
  EXPECT_GT(proxy_.cuts(), 50);
  EXPECT_EQ(CountRows("lts_job"), 1);
  EXPECT_EQ(CountRows("lts_attempt"), static_cast<std::int64_t>(kJobs - 1));
  EXPECT_EQ(store->Counters()->at("g").jobs, 1);
  EXPECT_EQ(store->Counters()->at("g").ended.at(model::JobState::kSucceeded),
            static_cast<std::int64_t>(kJobs - 1));
  EXPECT_EQ((*store->Partitions())[0].commit_no, kJobs);
}

// ---- a server that goes away

TEST_F(MysqlStore, ServerMayRestartUnderAnOpenStore) {
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  for (const bool orderly : {true, false}) {
    const auto rows = store->FindJobRows(Id(1));
    ASSERT_TRUE(rows.ok());
    if (orderly) {
      Server().Stop();
    } else {
      Server().Kill();
    }
    const Status away = owner.Commit({InsertJob{Job(2)}});
    EXPECT_EQ(away.code(), StatusCode::kUnavailable) << away.ToString();
    EXPECT_EQ(store->FindJobRows(Id(1)).status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(store->Renew({{0, owner.epoch()}}, "owner").status().code(),
              StatusCode::kUnavailable);
    Server().Start();
    EXPECT_EQ(store->FindJobRows(Id(1))->size(), 1U);
    EXPECT_EQ(store->Renew({{0, owner.epoch()}}, "owner")->held, std::vector<bool>{true});
    EXPECT_OK(owner.Commit({InsertJob{Job(2)}}));
    EXPECT_OK(owner.Commit({DeleteJob{Job(2)}}));
  }
}

TEST_F(MysqlStore, ServerThatStandsStillIsGivenUpAfterTheTimeout) {
  MysqlStoreOptions options = database_.Options();
  options.read_timeout_ms = 1000;
  options.connect_timeout_ms = 1000;
  const auto store = OpenStore(options);
  Owner owner(*store, 0);
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  Server().Freeze();
  const auto began = std::chrono::steady_clock::now();
  const Status frozen = owner.Commit({InsertJob{Job(2)}});
  const auto took = std::chrono::steady_clock::now() - began;
  Server().Thaw();
  EXPECT_TRUE(frozen.code() == StatusCode::kUnavailable ||
              frozen.code() == StatusCode::kUnknownOutcome)
      << frozen.ToString();
  EXPECT_LT(took, std::chrono::seconds(30));
  Status again;
  for (int i = 0; i < 20 && !(again = owner.Commit({InsertJob{Job(2)}})).ok(); ++i) continue;
  EXPECT_OK(again);
  EXPECT_EQ(CountRows("lts_job"), 2);
}

// ---- owners, on the server's clock

TEST_F(MysqlStore, LeaseEndsOnTheServersClockAndTheOldOwnerIsFenced) {
  MysqlStoreOptions options = database_.Options();
  options.lease_ms = 1000;
  const auto first = OpenStore(options);
  const auto second = OpenStore(options);
  Owner a(*first, 0, "a");
  EXPECT_OK(a.Commit({InsertJob{Job(1)}}));
  const TimeMs renewed_after = *second->Now();
  EXPECT_TRUE(first->Renew({{0, a.epoch()}}, "a").ok());
  auto lease = second->Acquire(0, "b", "", 1);
  EXPECT_EQ(lease.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(first->Partitions()->at(0).asker, "b");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!lease.ok() && std::chrono::steady_clock::now() < deadline) {
    lease = second->Acquire(0, "b", "", 1);
  }
  ASSERT_TRUE(lease.ok()) << lease.status().ToString();
  EXPECT_GE(*second->Now(), renewed_after + options.lease_ms);
  EXPECT_FALSE(lease->clean);
  EXPECT_EQ(a.Commit({InsertJob{Job(2)}}).code(), StatusCode::kFenced);
  EXPECT_EQ(first->Renew({{0, a.epoch()}}, "a")->held, std::vector<bool>{false});
  EXPECT_EQ(second->FindJobRows(Id(2))->size(), 0U);
}

TEST_F(MysqlStore, PausedOwnersOpenTransactionKeepsNobodyOutForLong) {
  MysqlStoreOptions options = database_.Options();
  options.lease_ms = 1000;
  const auto store = OpenStore(options);
  // As a process that was stopped between the first statement and COMMIT leaves it.
  const auto paused =
      mysql::Connection::Open({*mysql::ParseJdbcUrl(options.url), options}, mysql::Use::kWrite);
  ASSERT_TRUE(paused.ok()) << paused.status().ToString();
  ASSERT_FALSE(
      (*paused)
          ->Execute(mysql::SqlText("UPDATE lts_partition SET commit_no = 9 WHERE part = 0"))
          .failed());
  Result<PartitionLease> lease = Status::Unavailable("not asked");
  for (int i = 0; i < 5 && !lease.ok(); ++i) lease = store->Acquire(0, "b", "", 1);
  ASSERT_TRUE(lease.ok()) << lease.status().ToString();
  EXPECT_EQ(lease->commit_no, 0U);
}

TEST_F(MysqlStore, ManyPartitionsCommitAtOnceOverFewConnections) {
  MysqlStoreOptions options = database_.Options();
  options.connections_max = 2;
  const auto store = OpenStore(options);
  std::vector<std::thread> threads;
  for (std::uint32_t part = 0; part < kPartitions; ++part) {
    threads.emplace_back([&, part] {
      Owner owner(*store, part, "owner");
      for (std::uint64_t i = 0; i < 25; ++i) {
        std::vector<Mutation> batch;
        for (std::uint64_t n = 0; n < 20; ++n) {
          const JobRow job = Job(1 + part * 10'000 + i * 20 + n);
          batch.push_back(InsertJob{job});
          batch.push_back(InsertHistory{Ended(job, 5)});
        }
        EXPECT_OK(owner.Commit(batch));
        EXPECT_TRUE(store->Renew({{part, owner.epoch()}}, "owner")->held[0]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store->Counters()->at("g").jobs, 4 * 25 * 20);
  EXPECT_EQ(CountRows("lts_attempt"), 4 * 25 * 20);
}

// Waits until the server runs a statement that begins so.
void AwaitStatement(Admin& admin, const std::string& begin) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::int64_t running = 0;
  while (running == 0 && std::chrono::steady_clock::now() < deadline) {
    const mysql::Failure failure = admin.connection().Query(
        mysql::SqlText("SELECT COUNT(*) FROM information_schema.processlist"
                       " WHERE LEFT(info, ",
                       begin.size(), ") = ", begin),
        [&](const mysql::Row& row) { running = row.I64(0); });
    ASSERT_FALSE(failure.failed()) << failure.ToString();
  }
  ASSERT_EQ(running, 1) << begin;
}

TEST_F(MysqlStore, LockedRowsAreWaitedFor) {
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  Admin other = database_.As();
  other.Run("START TRANSACTION");
  other.Run("UPDATE lts_partition SET asker = 'x' WHERE part = 0");
  std::thread commit([&] { EXPECT_OK(owner.Commit({InsertJob{Job(1)}})); });
  AwaitStatement(other, "UPDATE lts_partition SET commit_no");
  other.Run("ROLLBACK");
  commit.join();
  EXPECT_EQ(CountRows("lts_job"), 1);
}

TEST_F(MysqlStore, DeadlockIsTriedAgain) {
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  Admin other = database_.As();
  const auto deadlocks = [&] {
    std::int64_t count = -1;
    const mysql::Failure failure =
        other.connection().Query(mysql::SqlText("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'"),
                                 [&](const mysql::Row& row) { count = row.I64(1); });
    EXPECT_FALSE(failure.failed()) << failure.ToString();
    return count;
  };
  const std::int64_t before = deadlocks();
  // This side has written more, so that the server gives up the other.
  other.Run("START TRANSACTION");
  for (int i = 0; i < 50; ++i) {
    other.Run("INSERT INTO lts_worker VALUES (3, 'g', 'w" + std::to_string(i) + "', '')");
  }
  other.Run("UPDATE lts_counter SET n = n + 1 WHERE part = 0");
  std::thread commit([&] { EXPECT_OK(owner.Commit({InsertJob{Job(2)}})); });
  AwaitStatement(other, "INSERT INTO lts_counter");
  other.Run("UPDATE lts_partition SET asker = 'x' WHERE part = 0");
  EXPECT_GT(deadlocks(), before);
  other.Run("ROLLBACK");
  commit.join();
  EXPECT_EQ(CountRows("lts_job"), 2);
  EXPECT_EQ(store->Counters()->at("g").jobs, 2);
}

// ---- the schema

TEST_F(MysqlStore, JobTrackersThatStartAtOnceMakeOneStore) {
  StoreIdentity wanted = TestIdentity();
  wanted.cluster_id.clear();
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<std::string> ids;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      const auto store = OpenMysqlStore(wanted, database_.Options());
      EXPECT_TRUE(store.ok()) << store.status().ToString();
      const std::lock_guard lock(mutex);
      if (store.ok()) ids.insert((*store)->Identity().cluster_id);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), 1U);
  EXPECT_EQ(ids.count(""), 0U);
}

TEST_F(MysqlStore, HalfMadeSchemaIsFinished) {
  Admin admin = database_.As();
  admin.Run(
      "CREATE TABLE lts_worker (part SMALLINT UNSIGNED NOT NULL, grp VARBINARY(256) NOT NULL,"
      " identity VARBINARY(512) NOT NULL, record BLOB NOT NULL,"
      " PRIMARY KEY (part, grp, identity)) ENGINE=InnoDB");
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  EXPECT_OK(owner.Commit({PutWorker{{"g", "w", "i", 1}}, InsertJob{Job(1)}}));
}

// ---- rows

TEST_F(MysqlStore, RejectedRowIsNamedWhereverItStands) {
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  EXPECT_OK(owner.Commit({InsertJob{Job(900)}, InsertHistory{Ended(Job(900), 1)}}));
  const auto refused = [&](std::vector<Mutation> batch, std::uint64_t culprit) {
    const Status status = owner.Commit(std::move(batch));
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    EXPECT_NE(status.message().find(Id(culprit).ToString()), std::string::npos) << status.message();
  };
  std::vector<Mutation> many;
  for (std::uint64_t n = 1; n <= 1200; ++n) {
    if (n != 777) many.push_back(InsertJob{Job(n)});
  }
  refused(many, 900);  // there already
  many.erase(many.begin() + 898);
  auto with_long_task = many;
  with_long_task.push_back(InsertJob{Job(777, "g", std::string(300, 't'))});
  refused(with_long_task, 777);
  refused({InsertHistory{Ended(Job(901), 1)}, InsertHistory{Ended(Job(900), 1)}}, 900);
  JobRow later = Job(902);
  later.due_ms = 5;
  refused({InsertJob{Job(903)}, Change(Job(902), later)}, 902);  // is not there
  refused({InsertJob{Job(903)}, DeleteJob{Job(904)}}, 904);
  EXPECT_EQ(CountRows("lts_job"), 1);
  EXPECT_EQ(store->Counters()->at("g").jobs, 1);
  EXPECT_OK(owner.Commit(many));
  EXPECT_EQ(CountRows("lts_job"), 1 + 1198);
}

TEST_F(MysqlStore, RowBeyondWhatThePacketOfTheServerHoldsIsRefusedByName) {
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  JobRow huge = Job(2);
  auto spec = std::make_shared<model::JobSpec>(*huge.spec);
  spec->payload.assign(9U << 20, 'x');
  huge.spec = spec;
  const Status status = owner.Commit({InsertJob{Job(1)}, InsertJob{huge}});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
  EXPECT_NE(status.message().find(Id(2).ToString()), std::string::npos);
  EXPECT_NE(status.message().find("max_allowed_packet"), std::string::npos);
  EXPECT_EQ(CountRows("lts_job"), 0);
}

TEST_F(MysqlStore, StatementsStayBelowASmallPacketOfTheServer) {
  Admin admin = database_.As();
  admin.Run("SET GLOBAL max_allowed_packet = 1048576");  // counts for new connections
  {
    const auto store = OpenStore(database_.Options());
    Owner owner(*store, 0);
    std::vector<Mutation> inserts;
    for (std::uint64_t n = 1; n <= 300; ++n) {
      JobRow job = Job(n);
      auto spec = std::make_shared<model::JobSpec>(*job.spec);
      spec->payload.assign(n == 150 ? 450'000 : 5'000, 'x');
      job.spec = spec;
      inserts.push_back(InsertJob{job});
    }
    EXPECT_OK(owner.Commit(inserts));
    EXPECT_EQ(CountRows("lts_job"), 300);
  }
  admin.Run("SET GLOBAL max_allowed_packet = 16777216");
}

TEST_F(MysqlStore, StoreOfOnePartitionHasListings) {
  StoreIdentity one = TestIdentity();
  one.partitions = 1;
  auto store = OpenMysqlStore(one, database_.Options());
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  Owner owner(**store, 0);
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}, InsertJob{Job(2)}, PutSchedule{Schedule(3, "g", "s")},
                          InsertHistory{Ended(Job(4), 5)}, InsertHistory{Ended(Job(5), 6)}}));
  EXPECT_EQ(Numbers((*store)->FindJobs({}, "", 10)->rows), (Ns{2, 1}));
  EXPECT_EQ(Numbers((*store)->FindSchedules({}, "", 10)->rows), Ns{3});
  EXPECT_EQ(Numbers((*store)->FindEnded({}, true, "", 10)->rows), (Ns{5, 4}));
  EXPECT_EQ((*store)->FindHistory(Id(4), 10)->size(), 1U);
  EXPECT_EQ((*store)->FindJobRows(Id(1))->size(), 1U);
  EXPECT_TRUE((*store)->FindSchedule(Id(3))->has_value());
}

TEST_F(MysqlStore, NamesAreKeptByteForByte) {
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  const std::vector<std::string> tasks = {"a",  "A", "a ", " a",   "\xc3\xa4",        "a\xcc\x88",
                                          "a'", "%", "\\", "0x41", "\xf0\x9f\x98\x80"};
  std::vector<Mutation> inserts;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    inserts.push_back(InsertJob{Job(i + 1, "g", tasks[i])});
    inserts.push_back(PutSchedule{Schedule(100 + i, "g", tasks[i])});
  }
  EXPECT_OK(owner.Commit(inserts));
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    EXPECT_EQ(Numbers(store->Lookup(0, {}, {{"g", tasks[i]}})->jobs), Ns{i + 1}) << tasks[i];
  }
  EXPECT_TRUE(store->Lookup(0, {}, {{"G", "a"}, {"g ", "a"}})->jobs.empty());
}

TEST_F(MysqlStore, BatchOfManyStatementsIsOneCommit) {
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  std::vector<Mutation> inserts;
  std::vector<Mutation> updates;
  std::vector<Mutation> ends;
  std::vector<model::JobId> ids;
  std::vector<TaskKey> tasks;
  for (std::uint64_t n = 1; n <= 1300; ++n) {
    JobRow later = Job(n);
    later.priority = static_cast<std::int32_t>(n % 300);
    later.due_ms = static_cast<TimeMs>(n % 2 == 0 ? 10'000 : 10);
    inserts.push_back(InsertJob{Job(n)});
    updates.push_back(Change(Job(n), later));
    ends.push_back(DeleteJob{later});
    ends.push_back(InsertHistory{Ended(later, 5)});
    ids.push_back(Id(n));
    tasks.push_back({"g", later.spec->task_id});
  }
  EXPECT_OK(owner.Commit(inserts));
  EXPECT_OK(owner.Commit(updates));
  // A seek per priority passes over those of which nothing is due.
  EXPECT_EQ(store->LoadWaiting(0, "g", std::nullopt, 5000, 2000)->size(), 650U);
  EXPECT_EQ(store->LoadWaiting(0, "g", std::nullopt, 20'000, 2000)->size(), 1300U);
  EXPECT_EQ(store->LoadWaiting(0, "g", std::nullopt, 5000, 77)->size(), 77U);
  EXPECT_EQ(store->Lookup(0, ids, {})->jobs.size(), 1300U);
  EXPECT_EQ(store->Lookup(0, ids, tasks)->jobs.size(), 1300U);
  EXPECT_OK(owner.Commit(ends));
  EXPECT_EQ(store->Lookup(0, ids, {})->ended.size(), 1300U);
  EXPECT_EQ(CountRows("lts_job"), 0);
  EXPECT_TRUE(store->LoadGroups(0)->empty());
}

// The server's optimizer chooses; this looks at what it read.
TEST_F(MysqlStore, ReadsLookAtFewRowsHoweverManyThereAre) {
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  constexpr std::uint64_t kRows = 12'000;
  for (std::uint64_t n = 1; n <= kRows;) {
    std::vector<Mutation> batch;
    for (; n <= kRows && batch.size() < 4000; ++n) {
      JobRow job = Job(n, n % 3 == 0 ? "h" : "g");
      job.priority = static_cast<std::int32_t>(n % 4);
      job.due_ms = n % 2 == 0 ? 1'000'000 + static_cast<TimeMs>(n) : 1000;
      if (n % 1000 == 0) job.state = model::JobState::kRunning;
      batch.push_back(InsertJob{job});
      batch.push_back(InsertHistory{Ended(Job(100'000 + n), static_cast<TimeMs>(n))});
    }
    EXPECT_OK(owner.Commit(std::move(batch)));
  }
  Admin admin = database_.As();
  const auto rows_read = [&] {
    std::int64_t rows = 0;
    const mysql::Failure failure =
        admin.connection().Query(mysql::SqlText("SHOW GLOBAL STATUS LIKE 'Handler_read%'"),
                                 [&](const mysql::Row& row) { rows += row.I64(1); });
    EXPECT_FALSE(failure.failed()) << failure.ToString();
    return rows;
  };
  // What asking itself reads.
  const std::int64_t first = rows_read();
  const std::int64_t asking = rows_read() - first;
  const std::int64_t before_a_scan = rows_read();
  EXPECT_EQ(CountRows("lts_job"), static_cast<std::int64_t>(kRows));
  EXPECT_GE(rows_read() - before_a_scan, static_cast<std::int64_t>(kRows));  // it would show
  const auto few = [&](const char* what, const auto& result_of, std::int64_t most) {
    const std::int64_t before = rows_read();
    const auto result = result_of();
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_LE(rows_read() - before - asking, most) << what;
  };
  for (const bool analyzed : {false, true}) {
    few(
        "LoadWaiting", [&] { return store->LoadWaiting(0, "g", std::nullopt, 2000, 10); }, 60);
    few(
        "LoadWaiting of what is not due",
        [&] {
          return store->LoadWaiting(0, "g", ReadyPosition{1, 1000, kRows}, 2000, 10);
        },
        60);
    few(
        "LoadDated", [&] { return store->LoadDated(0, "g", 1'000'500, 10); }, 60);
    few(
        "LoadRunning", [&] { return store->LoadRunning(0, Key(0), 10); }, 100);
    few(
        "LoadTasks",
        [&] {
          return store->LoadTasks(0, "g", TaskPosition{"task-7", Key(0)}, 10);
        },
        30);
    few(
        "LoadGroups", [&] { return store->LoadGroups(0); }, 20);
    few(
        "LoadFeedbackGroups", [&] { return store->LoadFeedbackGroups(0); }, 20);
    few(
        "Lookup",
        [&] {
          return store->Lookup(0, {Id(5), Id(100'005), Id(999'999)},
                               {{"g", "task-7"}, {"g", "no"}});
        },
        60);
    few(
        "FindJobRows", [&] { return store->FindJobRows(Id(7)); }, 20);
    few(
        "FindHistory", [&] { return store->FindHistory(Id(100'007), 10); }, 20);
    few(
        "FindJobs", [&] { return store->FindJobs({}, "", 10); }, 120);
    few(
        "FindJobs of a task",
        [&] {
          return store->FindJobs({"g", "task-7", {}, 0}, "", 10);
        },
        60);
    few(
        "FindJobs that run",
        [&] {
          return store->FindJobs({"", "", model::JobState::kRunning, 0}, "", 10);
        },
        120);
    few(
        "FindEnded", [&] { return store->FindEnded({}, false, "", 10); }, 120);
    few(
        "FindEnded of a group",
        [&] {
          return store->FindEnded({"g", "", {}, 0}, false, "", 10);
        },
        120);
    few(
        "FindEnded of a task",
        [&] {
          return store->FindEnded({"g", "task-100007", {}, 0}, false, "", 10);
        },
        60);
    few(
        "FindEnded, a later page",
        [&] {
          return store->FindEnded({}, false, ToToken(EndedPosition{6000, Key(106'000), 1, 0}), 10);
        },
        120);
    few(
        "Counters", [&] { return store->Counters(); }, 60);
    if (analyzed) break;
    const mysql::Failure failure = admin.connection().Query(
        mysql::SqlText("ANALYZE TABLE lts_job, lts_attempt"), [](const mysql::Row&) {});
    ASSERT_FALSE(failure.failed()) << failure.ToString();
  }
}

TEST_F(MysqlStore, UnreadableRecordIsDataLossNamingTheJobAndTheDatabase) {
  const auto store = OpenStore(database_.Options());
  Owner owner(*store, 0);
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  Admin admin = database_.As();
  admin.Run("UPDATE lts_job SET record = X'0100ffffff'");
  for (const Status& status :
       {store->LoadWaiting(0, "g", std::nullopt, INT64_MAX, 10).status(),
        store->FindJobRows(Id(1)).status(), store->FindJobs({}, "", 10).status()}) {
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
    EXPECT_NE(status.message().find(database_.name()), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(Id(1).ToString()), std::string::npos) << status.message();
  }
}

TEST(MysqlStoreOfAServer, FullTablespaceRefusesAndNothingOfTheBatchStays) {
  MariadbServer server(
      {{"--innodb-data-file-path=ibdata1:12M;ibdata2:24M", "--innodb-file-per-table=0"}, ""});
  TestDatabase database(Reach(server.port()));
  const auto store = OpenStore(database.Options());
  Owner owner(*store, 0);
  Status full;
  std::uint64_t done = 0;
  for (std::uint64_t n = 0; n < 400 && full.ok(); ++n) {
    JobRow job = Job(n + 1);
    auto spec = std::make_shared<model::JobSpec>(*job.spec);
    spec->payload.assign(100'000, 'x');
    job.spec = spec;
    full = owner.Commit({InsertJob{job}});
    if (full.ok()) ++done;
  }
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted) << full.ToString();
  EXPECT_GT(done, 0U);
  EXPECT_EQ(store->Counters()->at("g").jobs, static_cast<std::int64_t>(done));
  EXPECT_EQ((*store->Partitions())[0].commit_no, done);
}

}  // namespace
}  // namespace lts::store::testing

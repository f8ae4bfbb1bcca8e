// What only the engine on disk can show: its folder, its process, its disk.
#include <fcntl.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "contract/store_fixture.h"
#include "store/rocksdb/rocksdb_store.h"
#include "support/temp_folder.h"

namespace lts::store::testing {
namespace {

using ::lts::testing::TempFolder;

Result<std::unique_ptr<JobStore>> Open(const std::string& folder, const Clock& clock,
                                       rocksdb::Env* env = nullptr) {
  RocksdbStoreOptions options;
  options.write_buffer_bytes = 256U << 10;
  options.env = env;
  return OpenRocksdbStore(folder, TestIdentity(), clock, options);
}

// Runs `body` in a child process and gives its pid. The child ends without the parent's
// destructors.
template <typename Body>
pid_t Fork(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    body();
    ::_exit(0);
  }
  return pid;
}

TEST(RocksdbStore, SecondProcessIsRefusedWithFolderAndPid) {
  const TempFolder temp;
  const HandClock clock;
  const std::string folder = temp.Below("store");
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = Fork([&] {
    const auto store = Open(folder, clock);
    const char answer = store.ok() ? 'y' : 'n';
    if (::write(ready[1], &answer, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  });
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  const auto second = Open(folder, clock);
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition) << second.status().ToString();
  EXPECT_NE(second.status().message().find(folder), std::string::npos);
  EXPECT_NE(second.status().message().find("process " + std::to_string(child)), std::string::npos)
      << second.status().message();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(Open(folder, clock).ok());  // a lock dies with its process
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(RocksdbStore, SecondOpenInOneProcessIsRefusedAndLeavesTheLock) {
  const TempFolder temp;
  const HandClock clock;
  const auto first = Open(temp.Below("store"), clock);
  ASSERT_TRUE(first.ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Open(temp.Below("store"), clock).status().code(), StatusCode::kFailedPrecondition);
  }
  const pid_t child = Fork([&] { ::_exit(Open(temp.Below("store"), clock).ok() ? 1 : 0); });
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(RocksdbStore, OtherIdentityIsRefusedNamingEachDifference) {
  const TempFolder temp;
  const HandClock clock;
  StoreIdentity identity = TestIdentity();
  identity.schema_version = 2;
  ASSERT_TRUE(OpenRocksdbStore(temp.path(), identity, clock).ok());
  StoreIdentity wanted = identity;
  wanted.cluster_name = "other_cluster";
  wanted.partitions = 16;
  wanted.schema_version = 1;
  const auto refused = OpenRocksdbStore(temp.path(), wanted, clock);
  ASSERT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  for (const char* part : {"test_cluster", "other_cluster", "16", "schema version"}) {
    EXPECT_NE(refused.status().message().find(part), std::string::npos)
        << refused.status().message();
  }
  wanted = identity;
  wanted.cluster_id = "another id";
  EXPECT_FALSE(OpenRocksdbStore(temp.path(), wanted, clock).ok());
  wanted.cluster_id.clear();
  const auto opened = OpenRocksdbStore(temp.path(), wanted, clock);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->Identity(), identity);
}

TEST(RocksdbStore, ClusterIdIsMadeAtCreation) {
  const TempFolder temp;
  const HandClock clock;
  StoreIdentity wanted = TestIdentity();
  wanted.cluster_id.clear();
  std::string made;
  {
    const auto store = OpenRocksdbStore(temp.path(), wanted, clock);
    ASSERT_TRUE(store.ok());
    made = (*store)->Identity().cluster_id;
    EXPECT_EQ(made.size(), 36U);
  }
  const auto store = OpenRocksdbStore(temp.path(), wanted, clock);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ((*store)->Identity().cluster_id, made);
}

TEST(RocksdbStore, NobodyHoldsAPartitionAfterACrashAndItIsNotClean) {
  const TempFolder temp;
  const HandClock clock;
  {
    const auto store = Open(temp.path(), clock);
    ASSERT_TRUE(store.ok());
    ASSERT_TRUE((*store)->Acquire(0, "before", "", 1).ok());
  }
  const auto store = Open(temp.path(), clock);
  ASSERT_TRUE(store.ok());
  const auto lease = (*store)->Acquire(0, "after", "", 1);  // at once: the folder lock is the lease
  ASSERT_TRUE(lease.ok()) << lease.status().ToString();
  EXPECT_FALSE(lease->clean);
}

// The child commits job n with the end of job n − 1, and tells each number once its commit has
// returned.
TEST(RocksdbStore, ReportedCommitsSurviveKillAndNoneIsThereByHalf) {
  const TempFolder temp;
  const HandClock clock;
  const std::string folder = temp.Below("store");
  std::uint64_t told = 0;
  for (int round = 0; round < 5; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = Fork([&] {
      const auto store = Open(folder, clock);
      if (!store.ok()) ::_exit(1);
      Owner owner(**store, 0);
      for (;;) {
        const std::uint64_t n = owner.commit_no() + 1;
        std::vector<Mutation> batch = {InsertJob{Job(n)}};
        if (n > 1) {
          batch.push_back(DeleteJob{Job(n - 1)});
          batch.push_back(InsertHistory{Ended(Job(n - 1), static_cast<TimeMs>(n))});
        }
        if (!owner.Commit(std::move(batch), n + 1).ok()) ::_exit(1);
        if (::write(pipe[1], &n, sizeof n) != sizeof n) ::_exit(1);
      }
    });
    ::close(pipe[1]);
    const std::uint64_t until = told + 40;
    while (told < until) ASSERT_EQ(::read(pipe[0], &told, sizeof told), ssize_t{sizeof told});
    ::kill(child, SIGKILL);
    std::uint64_t late = 0;
    while (::read(pipe[0], &late, sizeof late) == ssize_t{sizeof late}) told = late;
    ::close(pipe[0]);
    ::waitpid(child, nullptr, 0);

    // In a child too: this process must stay without threads for the next round to fork.
    ASSERT_EQ(::pipe(pipe), 0);
    const auto look = [&] {
      const auto store = Open(folder, clock);
      ASSERT_TRUE(store.ok()) << store.status().ToString();
      const std::uint64_t recorded = (*(*store)->Partitions())[0].commit_no;
      EXPECT_GE(recorded, told);
      EXPECT_LE(recorded, told + 1);
      EXPECT_EQ(Numbers(*(*store)->LoadWaiting(0, "g", std::nullopt, INT64_MAX, 100)),
                Ns{recorded});
      Ns ended;
      for (std::uint64_t n = recorded - 1; n >= 1; --n) ended.push_back(n);
      EXPECT_EQ(Numbers(AllPages<HistoryRow>(
                    [&](const PageToken& t) { return (*store)->FindEnded({}, true, t, 1000); })),
                ended);
      EXPECT_EQ((*store)->Counters()->at("g").jobs, 1);
      EXPECT_EQ((*store)->Counters()->at("g").ended.at(model::JobState::kSucceeded),
                static_cast<std::int64_t>(recorded) - 1);
      told = recorded;
    };
    const pid_t looker = Fork([&] {
      look();
      std::fflush(nullptr);
      const bool sent = ::write(pipe[1], &told, sizeof told) == sizeof told;
      ::_exit(HasFailure() || !sent ? 1 : 0);
    });
    ::close(pipe[1]);
    ASSERT_EQ(::read(pipe[0], &told, sizeof told), ssize_t{sizeof told});
    ::close(pipe[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(looker, &status, 0), looker);
    ASSERT_EQ(status, 0);
  }
}

// ---- a disk that fails

enum class Fault { kNone, kNoSpace, kIoError };

class FaultyFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, const std::atomic<Fault>& fault)
      : FSWritableFileOwnerWrapper(std::move(file)), fault_(fault) {}
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    switch (fault_.load()) {
      case Fault::kNone: break;
      case Fault::kNoSpace: return rocksdb::IOStatus::NoSpace("injected");
      case Fault::kIoError: return rocksdb::IOStatus::IOError("injected");
    }
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& /*info*/,
                           rocksdb::IODebugContext* debug) override {
    return Append(data, options, debug);
  }

 private:
  const std::atomic<Fault>& fault_;
};

class FaultyFiles final : public rocksdb::FileSystemWrapper {
 public:
  FaultyFiles() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FaultyFiles"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (fault == Fault::kNoSpace) return rocksdb::IOStatus::NoSpace("injected");
    std::unique_ptr<rocksdb::FSWritableFile> real;
    rocksdb::IOStatus s = FileSystemWrapper::NewWritableFile(name, options, &real, debug);
    if (s.ok()) *file = std::make_unique<FaultyFile>(std::move(real), fault);
    return s;
  }
  std::atomic<Fault> fault = Fault::kNone;
};

TEST(RocksdbStore, FullDiskRefusesAndGoesOnWithoutRestartOnceThereIsSpace) {
  const TempFolder temp;
  const HandClock clock;
  const auto files = std::make_shared<FaultyFiles>();
  const auto env = rocksdb::NewCompositeEnv(files);
  auto store = Open(temp.path(), clock, env.get());
  ASSERT_TRUE(store.ok());
  {
    Owner owner(**store, 0);
    EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
    for (int full = 0; full < 2; ++full) {
      files->fault = Fault::kNoSpace;
      for (int i = 0; i < 3; ++i) {
        const Status refused = owner.Commit({InsertJob{Job(2)}, DeleteJob{Job(1)}});
        EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted) << refused.ToString();
      }
      EXPECT_EQ(Numbers(*(*store)->LoadWaiting(0, "g", std::nullopt, INT64_MAX, 10)), Ns{1});
      EXPECT_EQ((*store)->Counters()->at("g").jobs, 1);
      EXPECT_EQ((*(*store)->Partitions())[0].commit_no, owner.commit_no());
      files->fault = Fault::kNone;
      EXPECT_OK(owner.Commit({InsertJob{Job(2)}, DeleteJob{Job(1)}}));
      EXPECT_OK(owner.Commit({InsertJob{Job(1)}, DeleteJob{Job(2)}}));
    }
  }
  store->reset();
  store = Open(temp.path(), clock, env.get());
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_EQ(Numbers(*(*store)->LoadWaiting(0, "g", std::nullopt, INT64_MAX, 10)), Ns{1});
  EXPECT_EQ((*(*store)->Partitions())[0].commit_no, 5U);
}

TEST(RocksdbStore, FailedWriteIsUnknownUntilItsRepeatOrARestartTells) {
  const TempFolder temp;
  const HandClock clock;
  const auto files = std::make_shared<FaultyFiles>();
  const auto env = rocksdb::NewCompositeEnv(files);
  auto store = Open(temp.path(), clock, env.get());
  ASSERT_TRUE(store.ok());
  std::uint64_t commit_no = 0;
  {
    Owner owner(**store, 0);
    EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
    files->fault = Fault::kIoError;
    EXPECT_EQ(owner.Commit({InsertJob{Job(2)}}).code(), StatusCode::kUnknownOutcome);
    EXPECT_EQ((*store)->Counters()->at("g").jobs, 1);
    EXPECT_EQ((*(*store)->Partitions())[0].commit_no, 1U);
    files->fault = Fault::kNone;
    const Status repeat = owner.Commit({InsertJob{Job(2)}});
    EXPECT_TRUE(repeat.ok() || repeat.code() == StatusCode::kUnknownOutcome) << repeat.ToString();
    commit_no = owner.commit_no();
  }
  store->reset();
  store = Open(temp.path(), clock, env.get());
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  const auto rows = (*store)->LoadWaiting(0, "g", std::nullopt, INT64_MAX, 10);
  const std::uint64_t recorded = (*(*store)->Partitions())[0].commit_no;
  EXPECT_GE(recorded, commit_no);
  EXPECT_EQ(rows->size(), recorded);  // the number tells whether the row is there
}

// The store of a folder, opened beside the engine to plant a fault.
void Tamper(const std::string& folder,
            const std::function<void(rocksdb::DB&, rocksdb::ColumnFamilyHandle*)>& with_live) {
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  const auto opened = rocksdb::DB::Open(
      rocksdb::DBOptions(), folder,
      {{rocksdb::kDefaultColumnFamilyName, {}}, {"history", {}}, {"logs", {}}}, &handles, &raw);
  ASSERT_TRUE(opened.ok()) << opened.ToString();
  const std::unique_ptr<rocksdb::DB> db(raw);
  with_live(*db, handles[0]);
  for (auto* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
}

TEST(RocksdbStore, GroupsAreFoundByTheirRowsWhateverTheCountersSay) {
  const TempFolder temp;
  const HandClock clock;
  {
    const auto store = Open(temp.path(), clock);
    ASSERT_TRUE(store.ok());
    Owner owner(**store, 0);
    JobRow suspended = Job(3, "aside");
    suspended.state = model::JobState::kSuspended;
    EXPECT_OK(owner.Commit({InsertJob{Job(1, "b")}, InsertJob{Job(2, "a")}, InsertJob{suspended},
                            InsertJob{Job(4, "gone")}, DeleteJob{Job(4, "gone")}}));
  }
  Tamper(temp.path(), [](rocksdb::DB& db, rocksdb::ColumnFamilyHandle* live) {
    const std::unique_ptr<rocksdb::Iterator> it(db.NewIterator({}, live));
    int counters = 0;
    for (it->Seek("C"); it->Valid() && it->key().starts_with("C"); it->Next(), ++counters) {
      ASSERT_TRUE(db.Delete({}, live, it->key()).ok());
    }
    ASSERT_GT(counters, 0);
  });
  const auto store = Open(temp.path(), clock);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_EQ(*(*store)->LoadGroups(0), (std::vector<std::string>{"a", "aside", "b"}));
}

TEST(RocksdbStore, AnotherLayoutIsRefused) {
  const TempFolder temp;
  const HandClock clock;
  ASSERT_TRUE(Open(temp.path(), clock).ok());
  Tamper(temp.path(), [](rocksdb::DB& db, rocksdb::ColumnFamilyHandle* live) {
    std::string value;
    ASSERT_TRUE(db.Get({}, live, "I", &value).ok());
    value += "0";  // field 6, the layout, once more: the last one counts
    ASSERT_TRUE(db.Put({}, live, "I", value).ok());
  });
  const Status refused = Open(temp.path(), clock).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  for (const std::string& part : {temp.path(), std::string("layout 7"), std::string("layout 1")}) {
    EXPECT_NE(refused.message().find(part), std::string::npos) << refused.message();
  }
}

TEST(RocksdbStore, UnreadableRecordIsDataLossNamingTheFolder) {
  const TempFolder temp;
  const HandClock clock;
  {
    const auto store = Open(temp.path(), clock);
    ASSERT_TRUE(store.ok());
    Owner owner(**store, 0);
    EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  }
  // Every row of the ready order becomes nonsense.
  Tamper(temp.path(), [](rocksdb::DB& db, rocksdb::ColumnFamilyHandle* live) {
    const std::unique_ptr<rocksdb::Iterator> it(db.NewIterator({}, live));
    int damaged = 0;
    for (it->Seek("P"); it->Valid() && it->key().starts_with("P"); it->Next()) {
      ASSERT_TRUE(db.Put({}, live, it->key(), std::string("\x01\x00\xff\xff\xff", 5)).ok());
      ++damaged;
    }
    ASSERT_EQ(damaged, 1);
  });
  const auto store = Open(temp.path(), clock);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  for (const Status& status :
       {(*store)->LoadWaiting(0, "g", std::nullopt, INT64_MAX, 10).status(),
        (*store)->FindJobRows(Id(1)).status(), (*store)->FindJobs({}, "", 10).status()}) {
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
    EXPECT_NE(status.message().find(temp.path()), std::string::npos);
  }
}

TEST(RocksdbStore, FlippedBytesInAFileAreDataLoss) {
  const TempFolder temp;
  const HandClock clock;
  {
    const auto store = Open(temp.path(), clock);
    ASSERT_TRUE(store.ok());
    Owner owner(**store, 0);
    std::vector<Mutation> inserts;
    for (std::uint64_t n = 1; n <= 3000; ++n) inserts.push_back(InsertJob{Job(n)});
    EXPECT_OK(owner.Commit(std::move(inserts)));
    EXPECT_OK(owner.Commit({InsertJob{Job(5000)}}));
  }
  ASSERT_TRUE(Open(temp.path(), clock).ok());  // replays the log into files
  int damaged = 0;
  for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const auto size = static_cast<std::streamoff>(std::filesystem::file_size(entry.path()));
    for (std::streamoff at = 64; at < size / 2; at += 4096) {
      file.seekp(at);
      file.put('\x5a');
      file.put('\xa5');
    }
    ++damaged;
  }
  ASSERT_GT(damaged, 0);
  const auto store = Open(temp.path(), clock);
  Status status = store.status();
  if (store.ok()) status = (*store)->LoadWaiting(0, "g", std::nullopt, INT64_MAX, 10'000).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
  EXPECT_NE(status.message().find(temp.path()), std::string::npos);
}

}  // namespace
}  // namespace lts::store::testing

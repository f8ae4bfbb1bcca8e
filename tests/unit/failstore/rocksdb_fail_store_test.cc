// What only this engine has: values of another format, and every write of a file failing once.
#include "failstore/rocksdb_fail_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <atomic>

#include "unit/failstore/support.h"

namespace lts {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

enum class Fault { kHalfAppended, kAppendRefused, kSyncFailed };

// Lets `width` appends or syncs from the n-th after Arm() on fail as on a full disk.
struct FaultPlan {
  void Arm(Fault what, int nth, int how_many) {
    fault = what;
    width = how_many;
    count = 1 - nth;
    hit = false;
  }
  void Disarm() { width = 0; }
  bool Now(bool is_sync) {
    if (is_sync != (fault == Fault::kSyncFailed)) return false;
    const int now = count.fetch_add(1);
    if (now < 0 || now >= width) return false;
    hit = true;
    return true;
  }
  std::atomic<Fault> fault{Fault::kHalfAppended};
  std::atomic<int> width{0};
  std::atomic<int> count{0};
  std::atomic<bool> hit{false};
};

class FaultyFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyFile(std::unique_ptr<rocksdb::FSWritableFile> file, FaultPlan* plan)
      : FSWritableFileOwnerWrapper(std::move(file)), plan_(plan) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* dbg) override {
    if (plan_->Now(false)) return Refuse(data, options, dbg);
    return FSWritableFileOwnerWrapper::Append(data, options, dbg);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& info,
                           rocksdb::IODebugContext* dbg) override {
    if (plan_->Now(false)) return Refuse(data, options, dbg);
    return FSWritableFileOwnerWrapper::Append(data, options, info, dbg);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* dbg) override {
    if (plan_->Now(true)) return rocksdb::IOStatus::NoSpace("test: sync");
    return FSWritableFileOwnerWrapper::Sync(options, dbg);
  }

 private:
  rocksdb::IOStatus Refuse(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* dbg) {
    if (plan_->fault == Fault::kHalfAppended) {
      const auto half = FSWritableFileOwnerWrapper::Append(
          rocksdb::Slice(data.data(), data.size() / 2), options, dbg);
      if (!half.ok()) return half;
    }
    return rocksdb::IOStatus::NoSpace("test: append");
  }

  FaultPlan* const plan_;
};

class FaultyFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultyFileSystem(FaultPlan* plan)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), plan_(plan) {}
  const char* Name() const override { return "FaultyFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(name, options, file, dbg);
    if (status.ok()) *file = std::make_unique<FaultyFile>(std::move(*file), plan_);
    return status;
  }

 private:
  FaultPlan* const plan_;
};

// Runs a script of calls with the fault in it, and checks that what was answered Ok is there, what
// was refused is not, and the store goes on. Tells whether the fault was met.
bool RunWithFault(Fault fault, int nth, int width) {
  const TempFolder temp;
  FaultPlan plan;
  const auto env = rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(&plan));
  auto opened = OpenRocksdbFailStore(temp / "s", {}, nullptr, env.get());
  EXPECT_TRUE(opened.ok()) << opened.status().ToString();
  if (!opened.ok()) return false;
  FailStore& store = **opened;
  std::vector<std::string> waiting;
  std::size_t parked = 0;
  std::size_t unsure = 0;  // Acks and Parks that were refused: they may have happened
  int refused = 0;
  plan.Arm(fault, nth, width);
  for (int i = 0; i < 12; ++i) {
    const std::string b = std::to_string(i);
    const bool two = i % 3 == 2;
    const Status put = two ? store.PutAll(FailKind::kSubmit, {{b, b + "x"}, {b, b + "y"}})
                           : store.Put(FailKind::kSubmit, b, b + "x");
    if (put.ok()) {
      waiting.push_back(b + "x");
      if (two) waiting.push_back(b + "y");
    } else {
      EXPECT_EQ(put.code(), StatusCode::kResourceExhausted) << put.ToString();
      EXPECT_THAT(put.message(), HasSubstr(temp / "s"));
      ++refused;
    }
    EXPECT_EQ(store.Contains(FailKind::kSubmit, b), put.ok());
    if (i % 4 != 3) continue;
    const auto first = store.Peek(FailKind::kSubmit, 1);
    if (!first.ok() || first->empty()) continue;
    const FailRecord& record = first->front();
    const Status moved = i == 7 ? store.Park(record.id, "no") : store.Ack({record.id});
    if (!moved.ok()) {
      ++unsure;
      continue;
    }
    const auto it = std::find(waiting.begin(), waiting.end(), record.bytes);
    EXPECT_NE(it, waiting.end()) << record.bytes;
    waiting.erase(waiting.begin(), it + 1);
    if (i == 7) ++parked;
  }
  EXPECT_LE(refused, plan.hit ? width : 0);
  plan.Disarm();
  const Status last = store.Put(FailKind::kSubmit, "last", "last");
  EXPECT_TRUE(last.ok()) << last.ToString();
  waiting.push_back("last");
  const auto check = [&](FailStore& in) {
    const std::vector<std::string> there = Waiting(in, FailKind::kSubmit);
    EXPECT_LE(there.size(), waiting.size());
    EXPECT_LE(waiting.size(), there.size() + unsure);
    EXPECT_TRUE(std::equal(there.rbegin(), there.rend(), waiting.rbegin()))
        << ::testing::PrintToString(there) << " is no tail of "
        << ::testing::PrintToString(waiting);
    const auto aside = in.ListParked(10);
    EXPECT_TRUE(aside.ok()) << aside.status().ToString();
    if (!aside.ok()) return;
    EXPECT_GE(aside->size(), parked);
    EXPECT_EQ(in.Usage().count, static_cast<std::int64_t>(there.size() + aside->size()));
    EXPECT_EQ(in.Usage().parked, static_cast<std::int64_t>(aside->size()));
  };
  check(store);
  const bool hit = plan.hit;
  EXPECT_TRUE(store.Close().ok());
  const auto again = OpenStore(temp / "s");
  if (again != nullptr) check(*again);
  return hit;
}

// The n-th write to a file fails, for n = 1, 2, … until the script runs through untouched; alone,
// and with some more behind it, which the attempt to open again meets too.
TEST(RocksdbFailStore, FailingFileWritesAreToldAndLoseNothing) {
  for (const Fault fault : {Fault::kHalfAppended, Fault::kAppendRefused, Fault::kSyncFailed}) {
    for (const int width : {1, 2, 3, 6}) {
      bool hit = true;
      for (int nth = 1; hit && !::testing::Test::HasFailure(); ++nth) {
        SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + " at " +
                     std::to_string(nth) + " width " + std::to_string(width));
        ASSERT_LT(nth, 200);
        hit = RunWithFault(fault, nth, width);
      }
    }
  }
}

void WriteRaw(const std::string& folder, const std::string& key, const std::string& value) {
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, folder, &db).ok());
  const std::unique_ptr<rocksdb::DB> owner(db);
  rocksdb::WriteOptions synced;
  synced.sync = true;
  ASSERT_TRUE(db->Put(synced, key, value).ok());
}

std::string ReadRaw(const std::string& folder, const std::string& key) {
  rocksdb::DB* db = nullptr;
  EXPECT_TRUE(rocksdb::DB::Open({}, folder, &db).ok());
  const std::unique_ptr<rocksdb::DB> owner(db);
  std::string value;
  EXPECT_TRUE(db->Get({}, key, &value).ok());
  return value;
}

std::string WaitingKey(std::uint64_t id) {
  std::string key = {'w', static_cast<char>(id % 16)};
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(id >> shift));
  return key;
}

TEST(RocksdbFailStore, UnreadableRecordsAreParkedWithTheReasonAndThoseBehindAreSent) {
  const TempFolder temp;
  const std::string folder = temp / "s";
  std::vector<std::uint64_t> ids;
  {
    const auto store = OpenStore(folder);
    for (const char* b : {"1", "2", "3", "4"}) {
      ASSERT_TRUE(store->Put(FailKind::kSubmit, "k", b).ok());
    }
    const auto records = store->Peek(FailKind::kSubmit, 4);
    for (const FailRecord& record : *records) ids.push_back(record.id);
  }
  std::string flipped = ReadRaw(folder, WaitingKey(ids[0]));
  const std::string right = flipped;
  flipped.back() ^= 1;
  WriteRaw(folder, WaitingKey(ids[0]), flipped);
  std::string newer = right;
  newer[0] = 9;
  WriteRaw(folder, WaitingKey(ids[1]), newer);
  WriteRaw(folder, WaitingKey(ids[2]), right);  // a good value in a wrong place

  const auto store = OpenStore(folder);
  EXPECT_EQ(store->Usage().count, 4);
  EXPECT_THAT(Waiting(*store, FailKind::kSubmit), ElementsAre("4"));
  EXPECT_TRUE(store->Contains(FailKind::kSubmit, "k"));
  const auto parked = *store->ListParked(10);
  ASSERT_EQ(parked.size(), 3U);
  for (const FailRecord& record : parked) EXPECT_TRUE(record.unreadable);
  EXPECT_EQ(parked[0].bytes, flipped);
  EXPECT_THAT(parked[0].parked_reason, HasSubstr("checksum"));
  EXPECT_THAT(parked[1].parked_reason, HasSubstr("format 9"));
  EXPECT_THAT(parked[2].parked_reason, HasSubstr("checksum"));
  // Unparked it is as it was found: a program that can read it finds it, this one parks it again.
  ASSERT_TRUE(store->Unpark(ids[1]).ok());
  EXPECT_EQ(store->Usage().parked, 2);
  EXPECT_THAT(Waiting(*store, FailKind::kSubmit), ElementsAre("4"));
  EXPECT_EQ(store->Usage().parked, 3);
  EXPECT_EQ((*store->ListParked(10))[1].bytes, newer);
}

TEST(RocksdbFailStore, KeepsNoLogFileAndFewFiles) {
  const TempFolder temp;
  for (int i = 0; i < 5; ++i) {
    const auto store = OpenStore(temp / "s");
    ASSERT_TRUE(store->Put(FailKind::kSubmit, "k", "b").ok());
  }
  int files = 0;
  for (const auto& entry : fs::directory_iterator(temp / "s")) {
    EXPECT_EQ(entry.path().filename().string().rfind("LOG", 0), std::string::npos);
    ++files;
  }
  EXPECT_LE(files, 16);
}

TEST(RocksdbFailStore, AFolderHeldByAnotherRocksdbProgramIsRefusedNotCalledDamaged) {
  const TempFolder temp;
  ASSERT_TRUE(OpenStore(temp / "s")->Close().ok());
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, temp / "s", &db).ok());
  const std::unique_ptr<rocksdb::DB> owner(db);
  EXPECT_EQ(OpenFailStore("rocksdb", temp / "s", {}).status().code(),
            StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace lts

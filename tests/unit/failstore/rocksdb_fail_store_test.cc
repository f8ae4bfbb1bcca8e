// What only this engine has: values of another format, and every write of a file failing once.
#include "failstore/rocksdb_fail_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include "unit/failstore/faults.h"
#include "unit/failstore/support.h"

namespace lts {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

TEST(RocksdbFailStore, FailingFileWritesAreToldAndLoseNothing) {
  std::unique_ptr<rocksdb::Env> env;
  FailEveryFileWriteOnce("rocksdb", [&](const std::string& folder, FaultPlan* plan) {
    env = rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(plan));
    return OpenRocksdbFailStore(folder, {}, nullptr, env.get());
  });
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

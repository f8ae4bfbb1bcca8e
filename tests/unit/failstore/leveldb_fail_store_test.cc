// What only this engine has: every write of a file failing once, and its own lock.
#include "failstore/leveldb_fail_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <leveldb/db.h>
#include <leveldb/env.h>

#include "unit/failstore/faults.h"
#include "unit/failstore/support.h"

namespace lts {
namespace {

namespace fs = std::filesystem;

class FaultyFile final : public leveldb::WritableFile {
 public:
  FaultyFile(leveldb::WritableFile* file, FaultPlan* plan) : file_(file), plan_(plan) {}

  leveldb::Status Append(const leveldb::Slice& data) override {
    if (!plan_->Now(false)) return file_->Append(data);
    if (plan_->fault == Fault::kHalfAppended) {
      const leveldb::Status half = file_->Append({data.data(), data.size() / 2});
      if (!half.ok()) return half;
    }
    return NoSpace();
  }
  leveldb::Status Sync() override { return plan_->Now(true) ? NoSpace() : file_->Sync(); }
  leveldb::Status Flush() override { return file_->Flush(); }
  leveldb::Status Close() override { return file_->Close(); }

 private:
  static leveldb::Status NoSpace() {
    return leveldb::Status::IOError("test", "No space left on device");
  }

  const std::unique_ptr<leveldb::WritableFile> file_;
  FaultPlan* const plan_;
};

class FaultyEnv final : public leveldb::EnvWrapper {
 public:
  explicit FaultyEnv(FaultPlan* plan) : EnvWrapper(leveldb::Env::Default()), plan_(plan) {}
  leveldb::Status NewWritableFile(const std::string& name, leveldb::WritableFile** file) override {
    const leveldb::Status made = EnvWrapper::NewWritableFile(name, file);
    if (made.ok()) *file = new FaultyFile(*file, plan_);
    return made;
  }

 private:
  FaultPlan* const plan_;
};

TEST(LeveldbFailStore, FailingFileWritesAreToldAndLoseNothing) {
  std::unique_ptr<FaultyEnv> env;
  FailEveryFileWriteOnce("leveldb", [&](const std::string& folder, FaultPlan* plan) {
    env = std::make_unique<FaultyEnv>(plan);
    return OpenLeveldbFailStore(folder, {}, nullptr, env.get());
  });
}

TEST(LeveldbFailStore, KeepsNoLogFileAndFewFiles) {
  const TempFolder temp;
  for (int i = 0; i < 5; ++i) {
    const auto store = OpenFailStore("leveldb", temp / "s", {});
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    ASSERT_TRUE((*store)->Put(FailKind::kSubmit, "k", "b").ok());
  }
  int files = 0;
  for (const auto& entry : fs::directory_iterator(temp / "s")) {
    EXPECT_EQ(entry.path().filename().string().rfind("LOG", 0), std::string::npos);
    ++files;
  }
  EXPECT_LE(files, 16);
}

TEST(LeveldbFailStore, AFolderHeldByAnotherLeveldbProgramIsRefusedNotCalledDamaged) {
  const TempFolder temp;
  ASSERT_TRUE((*OpenFailStore("leveldb", temp / "s", {}))->Close().ok());
  leveldb::DB* db = nullptr;
  ASSERT_TRUE(leveldb::DB::Open({}, temp / "s", &db).ok());
  const std::unique_ptr<leveldb::DB> owner(db);
  EXPECT_EQ(OpenFailStore("leveldb", temp / "s", {}).status().code(),
            StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace lts

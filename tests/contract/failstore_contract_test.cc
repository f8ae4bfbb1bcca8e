// What every FailStore engine promises. A new engine adds one row to kEngines.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "common/ids.h"
#include "common/log.h"
#include "failstore/fail_store.h"

extern char** environ;

namespace lts {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Engine {
  std::string name;
  // The file that the last Put of a closed store was written to, or "".
  std::string (*last_written)(const std::string& folder);
};

// RocksDB and LevelDB name their logs alike.
std::string NewestLog(const std::string& folder) {
  std::string newest;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (entry.path().extension() == ".log" && entry.file_size() > 0)
      newest = std::max(newest, path);
  }
  return newest;
}

const Engine kEngines[] = {{"rocksdb", NewestLog}, {"leveldb", NewestLog}};

class HandClock final : public Clock {
 public:
  std::int64_t MonotonicUs() const override { return wall_ms * 1000; }
  TimeMs WallMs() const override { return wall_ms; }
  TimeMs wall_ms = 1'700'000'000'000;
};

class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "lts_failstore_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempFolder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// This program again, in the part of a child named in its arguments, its stdout in a pipe.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    arguments.insert(arguments.begin(), "child");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), environ) != 0) {
      std::abort();
    }
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    out_ = ::fdopen(ends[0], "r");
  }
  ~Child() {
    if (pid_ > 0) Kill();
    std::fclose(out_);
  }
  // The next line, or "" at the end.
  std::string Line() {
    char line[512];
    if (std::fgets(line, sizeof(line), out_) == nullptr) return "";
    return std::string(line, std::strcspn(line, "\n"));
  }
  void Kill() {
    ::kill(pid_, SIGKILL);
    Wait();
  }
  int Wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  std::FILE* out_ = nullptr;
};

class FailStoreContract : public ::testing::TestWithParam<Engine> {
 protected:
  std::unique_ptr<FailStore> Open(const std::string& folder, const FailStoreLimits& limits = {}) {
    auto store = OpenFailStore(GetParam().name, folder, limits, &clock_);
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return store.ok() ? *std::move(store) : nullptr;
  }
  static std::vector<std::string> Bytes(const std::vector<FailRecord>& records) {
    std::vector<std::string> bytes;
    for (const FailRecord& record : records) bytes.push_back(record.bytes);
    return bytes;
  }
  static std::vector<FailRecord> All(FailStore& store, FailKind kind) {
    auto records = store.Peek(kind, 1'000'000);
    EXPECT_TRUE(records.ok()) << records.status().ToString();
    return records.ok() ? *std::move(records) : std::vector<FailRecord>();
  }

  TempFolder temp_;
  HandClock clock_;
};

TEST_P(FailStoreContract, KeepsOrderWithinAKindAndKindsApart) {
  const auto store = Open(temp_ / "s");
  for (int i = 0; i < 300; ++i) {
    const FailKind kind = i % 2 == 0 ? FailKind::kSubmit : FailKind::kResult;
    ASSERT_TRUE(store->Put(kind, "k" + std::to_string(i), "b" + std::to_string(i)).ok());
  }
  const auto submits = All(*store, FailKind::kSubmit);
  ASSERT_EQ(submits.size(), 150U);
  for (std::size_t i = 0; i < submits.size(); ++i) {
    EXPECT_EQ(submits[i].key, "k" + std::to_string(2 * i));
    EXPECT_EQ(submits[i].bytes, "b" + std::to_string(2 * i));
    EXPECT_EQ(submits[i].kind, FailKind::kSubmit);
    EXPECT_EQ(submits[i].stored_ms, clock_.wall_ms);
    if (i > 0) {
      EXPECT_GT(submits[i].id, submits[i - 1].id);
    }
  }
  EXPECT_EQ(All(*store, FailKind::kResult).size(), 150U);
  EXPECT_THAT(All(*store, FailKind::kBizLog), IsEmpty());
}

TEST_P(FailStoreContract, PeekIsBoundedByCountBytesAndStart) {
  const auto store = Open(temp_ / "s");
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(store->Put(FailKind::kSubmit, "k", std::string(100, 'a' + i)).ok());
  }
  const auto two = store->Peek(FailKind::kSubmit, 2);
  ASSERT_TRUE(two.ok());
  ASSERT_EQ(two->size(), 2U);
  const auto rest = store->Peek(FailKind::kSubmit, 10, two->back().id);
  ASSERT_TRUE(rest.ok());
  ASSERT_EQ(rest->size(), 3U);
  EXPECT_EQ(rest->front().bytes[0], 'c');
  EXPECT_EQ(store->Peek(FailKind::kSubmit, 10, 0, 250)->size(), 2U);
  EXPECT_EQ(store->Peek(FailKind::kSubmit, 10, 0, 1)->size(), 1U);
}

TEST_P(FailStoreContract, KeepsAnyBytes) {
  const std::string odd("\0\xff\n\0k", 5);
  {
    const auto store = Open(temp_ / "s");
    ASSERT_TRUE(store->Put(FailKind::kBizLog, odd, odd + odd).ok());
    ASSERT_TRUE(store->Put(FailKind::kBizLog, "", "").ok());
    ASSERT_TRUE(store->Put(FailKind::kBizLog, "big", std::string(3 << 20, 'x')).ok());
  }
  const auto records = All(*Open(temp_ / "s"), FailKind::kBizLog);
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0].key, odd);
  EXPECT_EQ(records[0].bytes, odd + odd);
  EXPECT_EQ(records[1].key, "");
  EXPECT_EQ(records[1].bytes, "");
  EXPECT_EQ(records[2].bytes.size(), 3U << 20);
}

TEST_P(FailStoreContract, CloseThenOpenFindsAllInOrderAndIdsGoOnAscending) {
  std::uint64_t last = 0;
  {
    const auto store = Open(temp_ / "s");
    for (const char* b : {"1", "2", "3"}) {
      ASSERT_TRUE(store->Put(FailKind::kResult, "k", b).ok());
    }
    const auto all = All(*store, FailKind::kResult);
    last = all.back().id;
    ASSERT_TRUE(store->Ack({all[0].id, last}).ok());
    ASSERT_TRUE(store->Close().ok());
    EXPECT_TRUE(store->Close().ok());
    EXPECT_EQ(store->Put(FailKind::kResult, "k", "4").code(), StatusCode::kFailedPrecondition);
    EXPECT_EQ(store->Peek(FailKind::kResult, 1).status().code(), StatusCode::kFailedPrecondition);
  }
  const auto store = Open(temp_ / "s");
  EXPECT_THAT(Bytes(All(*store, FailKind::kResult)), ElementsAre("2"));
  EXPECT_TRUE(store->Contains(FailKind::kResult, "k"));
  ASSERT_TRUE(store->Put(FailKind::kResult, "k", "4").ok());
  EXPECT_GT(All(*store, FailKind::kResult).back().id, last);
}

TEST_P(FailStoreContract, ALogWithADamagedMiddleOpensWithAWarningAndInOrder) {
  const std::string folder = temp_ / "s";
  {
    const auto store = Open(folder);
    for (int i = 0; i < 100; ++i) {
      const std::string bytes = std::to_string(i) + ":" + std::string(2000, 'x');
      ASSERT_TRUE(store->Put(FailKind::kSubmit, "k", bytes).ok());
    }
  }
  {
    const std::string log = GetParam().last_written(folder);
    std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(log) / 2));
    file.write("damage", 6);
  }
  const std::uint64_t warnings = log::Count(log::Level::kWarn);
  const auto store = Open(folder);
  ASSERT_NE(store, nullptr);
  EXPECT_GT(log::Count(log::Level::kWarn), warnings);
  int before = -1;
  int found = 0;
  for (const FailRecord& record : All(*store, FailKind::kSubmit)) {
    const int number = std::stoi(record.bytes);
    EXPECT_GT(number, before);
    if (number < 40) {
      EXPECT_EQ(number, before + 1);
    }
    before = number;
    ++found;
  }
  EXPECT_GE(found, 40);
  EXPECT_LT(found, 100);
  ASSERT_TRUE(store->Put(FailKind::kSubmit, "k", "100:").ok());
  EXPECT_EQ(All(*store, FailKind::kSubmit).back().bytes, "100:");
}

TEST_P(FailStoreContract, ContainsFollowsEveryChange) {
  const auto store = Open(temp_ / "s");
  EXPECT_FALSE(store->Contains(FailKind::kSubmit, "a"));
  ASSERT_TRUE(store->PutAll(FailKind::kSubmit, {{"a", "1"}, {"a", "2"}, {"b", "3"}}).ok());
  const auto all = All(*store, FailKind::kSubmit);
  EXPECT_TRUE(store->Contains(FailKind::kSubmit, "a"));
  EXPECT_FALSE(store->Contains(FailKind::kResult, "a"));
  ASSERT_TRUE(store->Ack({all[0].id}).ok());
  EXPECT_TRUE(store->Contains(FailKind::kSubmit, "a"));
  ASSERT_TRUE(store->Park(all[1].id, "no").ok());
  EXPECT_FALSE(store->Contains(FailKind::kSubmit, "a"));
  ASSERT_TRUE(store->Unpark(all[1].id).ok());
  EXPECT_TRUE(store->Contains(FailKind::kSubmit, "a"));
  // Twice in one call, and unknown: each counts once or not at all.
  ASSERT_TRUE(store->Ack({all[1].id, all[1].id, 987'654'321}).ok());
  EXPECT_FALSE(store->Contains(FailKind::kSubmit, "a"));
  EXPECT_TRUE(store->Contains(FailKind::kSubmit, "b"));
  EXPECT_EQ(store->Usage().count, 1);
}

TEST_P(FailStoreContract, ParkedRecordsAreListedNotSentAndComeBackInTheirPlace) {
  std::uint64_t id = 0;
  {
    const auto store = Open(temp_ / "s");
    ASSERT_TRUE(store->PutAll(FailKind::kSubmit, {{"a", "1"}, {"b", "2"}, {"c", "3"}}).ok());
    id = All(*store, FailKind::kSubmit)[1].id;
    ASSERT_TRUE(store->Park(id, "TOO_OLD: outside the horizon").ok());
    EXPECT_EQ(store->Park(id, "again").code(), StatusCode::kNotFound);
    EXPECT_THAT(Bytes(All(*store, FailKind::kSubmit)), ElementsAre("1", "3"));
  }
  const auto store = Open(temp_ / "s");
  EXPECT_EQ(store->Usage().parked, 1);
  EXPECT_EQ(store->Usage().count, 3);
  const auto parked = store->ListParked(10);
  ASSERT_TRUE(parked.ok());
  ASSERT_EQ(parked->size(), 1U);
  EXPECT_EQ((*parked)[0].id, id);
  EXPECT_EQ((*parked)[0].key, "b");
  EXPECT_EQ((*parked)[0].bytes, "2");
  EXPECT_TRUE((*parked)[0].parked);
  EXPECT_EQ((*parked)[0].parked_reason, "TOO_OLD: outside the horizon");
  EXPECT_THAT(*store->ListParked(10, id), IsEmpty());
  ASSERT_TRUE(store->Unpark(id).ok());
  EXPECT_EQ(store->Unpark(id).code(), StatusCode::kNotFound);
  EXPECT_THAT(Bytes(All(*store, FailKind::kSubmit)), ElementsAre("1", "2", "3"));
  ASSERT_TRUE(store->Park(id, "x").ok());
  ASSERT_TRUE(store->Ack({id}).ok());
  EXPECT_EQ(store->Usage().parked, 0);
  EXPECT_EQ(store->Usage().count, 2);
}

TEST_P(FailStoreContract, OverALimitPutIsRefusedAndNothingIsStored) {
  FailStoreLimits limits;
  limits.count_max = 3;
  limits.bytes_max = 2000;
  const auto store = Open(temp_ / "s", limits);
  ASSERT_TRUE(store->Put(FailKind::kSubmit, "a", "1").ok());
  // All or none.
  const Status four = store->PutAll(FailKind::kSubmit, {{"b", "2"}, {"c", "3"}, {"d", "4"}});
  EXPECT_EQ(four.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(four.message(), HasSubstr(store->path()));
  EXPECT_THAT(four.message(), HasSubstr("records"));
  EXPECT_THAT(Bytes(All(*store, FailKind::kSubmit)), ElementsAre("1"));
  EXPECT_FALSE(store->Contains(FailKind::kSubmit, "b"));
  const Status bytes = store->Put(FailKind::kSubmit, "b", std::string(1950, 'x'));
  EXPECT_EQ(bytes.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(bytes.message(), HasSubstr("bytes"));
  // Could never fit, whatever is sent meanwhile.
  EXPECT_EQ(store->Put(FailKind::kSubmit, "b", std::string(3000, 'x')).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(store->Usage().refused_count, 3);
  EXPECT_EQ(store->Usage().refused_bytes, 1);
  ASSERT_TRUE(store->Ack({All(*store, FailKind::kSubmit)[0].id}).ok());
  EXPECT_TRUE(store->Put(FailKind::kSubmit, "b", std::string(1900, 'x')).ok());
}

TEST_P(FailStoreContract, RecordsOverTheAgeAreParkedWithAReasonAndUnparkSendsThem) {
  FailStoreLimits limits;
  limits.age_max_ms = 3'600'000;
  const auto store = Open(temp_ / "s", limits);
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(store->PutAll(FailKind::kSubmit, {{"old", std::to_string(i)}}).ok());
  }
  clock_.wall_ms += 3'600'000;
  ASSERT_TRUE(store->Put(FailKind::kSubmit, "new", "n").ok());
  EXPECT_EQ(All(*store, FailKind::kSubmit).size(), 601U);  // not older than the limit yet
  clock_.wall_ms += 1;
  // The first look already passes over all of them: a full page of old ones hides nothing.
  EXPECT_THAT(Bytes(*store->Peek(FailKind::kSubmit, 1)), ElementsAre("n"));
  EXPECT_EQ(store->Usage().parked, 600);
  EXPECT_FALSE(store->Contains(FailKind::kSubmit, "old"));
  const auto parked = *store->ListParked(1);
  ASSERT_EQ(parked.size(), 1U);
  EXPECT_EQ(parked[0].parked_reason, "older than 1 hours");
  ASSERT_TRUE(store->Unpark(parked[0].id).ok());
  EXPECT_THAT(Bytes(All(*store, FailKind::kSubmit)), ElementsAre("0", "n"));
}

TEST_P(FailStoreContract, ASecondOpenerIsRefusedWithTheFolderAndTheHolder) {
  Child holder({"hold", GetParam().name, temp_ / "s"});
  ASSERT_EQ(holder.Line(), "open");
  const auto second = OpenFailStore(GetParam().name, temp_ / "s", {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), HasSubstr(temp_ / "s"));
  EXPECT_THAT(second.status().message(), HasSubstr("process " + std::to_string(holder.pid())));
  holder.Kill();
  const auto third = Open(temp_ / "s");
  ASSERT_NE(third, nullptr);
  // In this process too.
  EXPECT_EQ(OpenFailStore(GetParam().name, temp_ / "s", {}).status().code(),
            StatusCode::kFailedPrecondition);
}

TEST_P(FailStoreContract, TheNextFreeNumberedFolderIsTaken) {
  auto zero = OpenFirstFreeFailStore(GetParam().name, temp_ / "base", {});
  ASSERT_TRUE(zero.ok()) << zero.status().ToString();
  EXPECT_EQ((*zero)->path(), temp_ / "base/0");
  auto one = OpenFirstFreeFailStore(GetParam().name, temp_ / "base", {});
  ASSERT_TRUE(one.ok());
  EXPECT_EQ((*one)->path(), temp_ / "base/1");
  ASSERT_TRUE((*zero)->Close().ok());
  auto again = OpenFirstFreeFailStore(GetParam().name, temp_ / "base", {});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->path(), temp_ / "base/0");
}

TEST_P(FailStoreContract, AnUnknownEngineIsRefusedNamingTheKnownOnes) {
  const auto store = OpenFailStore("mapdb", temp_ / "s", {});
  EXPECT_EQ(store.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(store.status().message(), HasSubstr(GetParam().name));
  EXPECT_FALSE(fs::exists(temp_ / "s"));
}

TEST_P(FailStoreContract, AFolderOfAnotherEngineIsRefusedNamingTheOption) {
  for (const Engine& other : kEngines) {
    if (other.name == GetParam().name) continue;
    const std::string folder = temp_ / other.name;
    {
      auto store = OpenFailStore(other.name, folder, {});
      ASSERT_TRUE(store.ok()) << store.status().ToString();
      ASSERT_TRUE((*store)->Put(FailKind::kSubmit, "k", "b").ok());
    }
    EXPECT_EQ(*FailStoreEngineOf(folder), other.name);
    const Status refused = OpenFailStore(GetParam().name, folder, {}).status();
    EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(refused.message(), HasSubstr("job.fail.store=" + other.name));
    EXPECT_THAT(refused.message(), HasSubstr("job.fail.store=" + GetParam().name));
    EXPECT_THAT(refused.message(), HasSubstr(folder));
    // It was not touched.
    const auto again = OpenFailStore(other.name, folder, {});
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_THAT(Bytes(All(**again, FailKind::kSubmit)), ElementsAre("b"));
  }
}

TEST_P(FailStoreContract, AFreeFolderOfAnotherEngineIsTakenOnlyWhenItIsEmpty) {
  for (const Engine& other : kEngines) {
    if (other.name == GetParam().name) continue;
    const std::string base = temp_ / other.name;
    {
      auto store = OpenFailStore(other.name, base + "/0", {});
      ASSERT_TRUE(store.ok()) << store.status().ToString();
      ASSERT_TRUE((*store)->Put(FailKind::kSubmit, "k", "b").ok());
    }
    const auto full = OpenFirstFreeFailStore(GetParam().name, base, {});
    EXPECT_EQ(full.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(full.status().message(), HasSubstr("job.fail.store=" + other.name));
    {
      auto store = OpenFailStore(other.name, base + "/0", {});
      ASSERT_TRUE(store.ok()) << store.status().ToString();
      ASSERT_TRUE((*store)->Ack({All(**store, FailKind::kSubmit)[0].id}).ok());
    }
    const auto empty = OpenFirstFreeFailStore(GetParam().name, base, {});
    ASSERT_TRUE(empty.ok()) << empty.status().ToString();
    EXPECT_EQ((*empty)->path(), base + "/0");
    EXPECT_EQ(*FailStoreEngineOf(base + "/0"), GetParam().name);
  }
}

TEST_P(FailStoreContract, WhatAPutReturnedForSurvivesSigkill) {
  const std::uint64_t seed = RandomSeed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<std::string> expected;
  for (int round = 0; round < 8; ++round) {
    {
      Child child({"put", GetParam().name, temp_ / "s", std::to_string(round)});
      // The kill falls somewhere into the Puts behind the last line waited for.
      const std::uint64_t wait_for = std::uniform_int_distribution<std::uint64_t>(1, 120)(random);
      for (std::uint64_t i = 0; i < wait_for; ++i) {
        const std::string line = child.Line();
        ASSERT_NE(line, "");
        expected.push_back(line);
      }
      child.Kill();
      for (std::string line = child.Line(); !line.empty(); line = child.Line()) {
        expected.push_back(line);
      }
    }
    const auto store = Open(temp_ / "s");
    ASSERT_NE(store, nullptr);
    const auto stored = Bytes(All(*store, FailKind::kSubmit));
    // All reported, in order; one more per round may have been stored without being reported.
    std::size_t at = 0;
    for (const std::string& bytes : stored) {
      if (at < expected.size() && bytes == expected[at]) ++at;
    }
    ASSERT_EQ(at, expected.size()) << "missing or out of order: " << expected[at];
    ASSERT_LE(stored.size(), expected.size() + static_cast<std::size_t>(round) + 1);
  }
}

void Damage(const std::string& path, bool truncate) {
  ASSERT_NE(path, "");
  const auto size = fs::file_size(path);
  ASSERT_GT(size, 40U);
  if (truncate) {
    fs::resize_file(path, size - 5);
    return;
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(size) - 4);
  const char byte = static_cast<char>(file.get() ^ 0x40);
  file.seekp(static_cast<std::streamoff>(size) - 4);
  file.put(byte);
}

TEST_P(FailStoreContract, ADamagedTailIsCutOffWithAWarningAndTheRestIsThere) {
  for (const bool truncate : {true, false}) {
    SCOPED_TRACE(truncate ? "truncated" : "flipped");
    const std::string folder = temp_ / (truncate ? "t" : "f");
    {
      const auto store = Open(folder);
      for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(store->Put(FailKind::kSubmit, "k" + std::to_string(i), "some bytes").ok());
      }
    }
    Damage(GetParam().last_written(folder), truncate);
    const std::uint64_t warnings = log::Count(log::Level::kWarn);
    {
      const auto store = Open(folder);
      ASSERT_NE(store, nullptr);
      EXPECT_GT(log::Count(log::Level::kWarn), warnings);
      const auto left = All(*store, FailKind::kSubmit);
      ASSERT_EQ(left.size(), 19U);
      EXPECT_EQ(left.back().key, "k18");
      EXPECT_FALSE(store->Contains(FailKind::kSubmit, "k19"));
      ASSERT_TRUE(store->Put(FailKind::kSubmit, "k20", "b").ok());
    }
    const auto store = Open(folder);
    EXPECT_EQ(All(*store, FailKind::kSubmit).size(), 20U);
    EXPECT_EQ(All(*store, FailKind::kSubmit).back().key, "k20");
  }
}

TEST_P(FailStoreContract, AFullDiskIsToldAndTheStoreWorksAgainOnceThereIsRoom) {
  fs::create_directories(temp_ / "mount");
  Child child({"full", GetParam().name, temp_ / "mount"});
  std::string said;
  for (std::string line = child.Line(); !line.empty(); line = child.Line()) said += line + "\n";
  const int code = child.Wait();
  EXPECT_NE(code, 77)
      << "no small file system can be mounted here (root or user namespaces needed)";
  EXPECT_EQ(code, 0) << said;
}

TEST_P(FailStoreContract, DiskSpaceComesBackWhenABacklogHasBeenSent) {
  const auto store = Open(temp_ / "s");
  const std::string payload(64 << 10, 'x');
  for (int i = 0; i < 40; ++i) {
    std::vector<std::pair<std::string, std::string>> some(16, {"k", payload});
    ASSERT_TRUE(store->PutAll(FailKind::kSubmit, some).ok());
  }
  while (true) {
    const auto batch = store->Peek(FailKind::kSubmit, 64);
    ASSERT_TRUE(batch.ok());
    if (batch->empty()) break;
    std::vector<std::uint64_t> ids;
    for (const FailRecord& record : *batch) ids.push_back(record.id);
    ASSERT_TRUE(store->Ack(ids).ok());
  }
  EXPECT_EQ(store->Usage().bytes, 0);
  std::uintmax_t on_disk = 0;
  for (const auto& entry : fs::recursive_directory_iterator(temp_ / "s")) {
    if (entry.is_regular_file()) on_disk += entry.file_size();
  }
  EXPECT_LT(on_disk, 8U << 20);
  ASSERT_TRUE(store->Put(FailKind::kSubmit, "k", "after").ok());
  ASSERT_TRUE(store->Close().ok());
  EXPECT_THAT(Bytes(All(*Open(temp_ / "s"), FailKind::kSubmit)), ElementsAre("after"));
}

TEST_P(FailStoreContract, AdoptedRecordsKeepTheirAgeAndTheirParking) {
  const auto store = Open(temp_ / "s");
  FailRecord waiting;
  waiting.kind = FailKind::kSubmit;
  waiting.key = "a";
  waiting.bytes = "1";
  waiting.stored_ms = clock_.wall_ms - 5000;
  FailRecord parked = waiting;
  parked.parked = true;
  parked.parked_reason = "why";
  ASSERT_TRUE(store->Adopt({waiting, parked}).ok());
  EXPECT_EQ(All(*store, FailKind::kSubmit)[0].stored_ms, clock_.wall_ms - 5000);
  ASSERT_EQ(store->ListParked(5)->size(), 1U);
  EXPECT_EQ((*store->ListParked(5))[0].parked_reason, "why");
}

TEST_P(FailStoreContract, ClosingLeavesNoFileOpen) {
  const auto open_files = [this] {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string target = fs::read_symlink(entry.path(), gone).string();
      if (!gone && target.rfind(temp_ / "", 0) == 0) ++count;
    }
    return count;
  };
  for (int i = 0; i < 5; ++i) {
    const auto store = Open(temp_ / "s");
    ASSERT_TRUE(store->Put(FailKind::kSubmit, "k", std::to_string(i)).ok());
    EXPECT_GT(open_files(), 0);
    ASSERT_TRUE(store->Close().ok());
    EXPECT_EQ(open_files(), 0);
  }
}

TEST_P(FailStoreContract, OnlyAnEmptyStoreIsRemoved) {
  const auto store = Open(temp_ / "s");
  ASSERT_TRUE(store->Put(FailKind::kSubmit, "a", "1").ok());
  EXPECT_EQ(store->CloseAndRemoveEmpty().code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(store->Ack({All(*store, FailKind::kSubmit)[0].id}).ok());
  ASSERT_TRUE(store->CloseAndRemoveEmpty().ok());
  EXPECT_FALSE(fs::exists(temp_ / "s"));
  EXPECT_NE(Open(temp_ / "s"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Engines, FailStoreContract, ::testing::ValuesIn(kEngines),
                         [](const auto& engine) { return engine.param.name; });

// --- the parts that children play ---

int Say(const std::string& text, int code) {
  std::cout << text << std::endl;
  return code;
}

int Hold(const std::string& engine, const std::string& folder) {
  const auto store = OpenFailStore(engine, folder, {});
  if (!store.ok()) return Say(store.status().ToString(), 1);
  Say("open", 0);
  while (true) ::pause();
}

// Puts records of changing size until killed, and reports each Put that has returned.
int PutForEver(const std::string& engine, const std::string& folder, const std::string& round) {
  const auto store = OpenFailStore(engine, folder, {});
  if (!store.ok()) return Say(store.status().ToString(), 1);
  for (int i = 0;; ++i) {
    const std::string bytes = round + ":" + std::to_string(i) + std::string(i % 50, '.');
    const Status put = i % 5 == 0 ? (*store)->PutAll(FailKind::kSubmit, {{"k", bytes}})
                                  : (*store)->Put(FailKind::kSubmit, "k", bytes);
    if (!put.ok()) return Say(put.ToString(), 1);
    // One write call: a line is in the pipe as a whole or not at all.
    const std::string line = bytes + "\n";
    if (::write(1, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return 1;
  }
}

bool MountSmall(const std::string& folder) {
  const std::string uid = std::to_string(::getuid());
  if (::unshare(CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << "0 " << uid << " 1";
  }
  // In a root folder that is no mount point of its own (chroot) propagation cannot be changed.
  const bool made_private = ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return (made_private || errno == EINVAL) &&
         ::mount("none", folder.c_str(), "tmpfs", 0, "size=12m") == 0;
}

int FillDisk(const std::string& engine, const std::string& mount) {
  if (!MountSmall(mount)) return Say(std::strerror(errno), 77);
  const std::string folder = mount + "/store";
  auto opened = OpenFailStore(engine, folder, {});
  if (!opened.ok()) return Say(opened.status().ToString(), 1);
  FailStore& store = **opened;
  std::vector<std::string> kept;
  const auto put = [&](const std::string& bytes) {
    Status status = store.Put(FailKind::kSubmit, "k", bytes);
    if (status.ok()) kept.push_back(bytes);
    return status;
  };
  const auto all_there = [&](FailStore& in) {
    const auto records = in.Peek(FailKind::kSubmit, 1'000'000);
    if (!records.ok() || records->size() != kept.size()) return false;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      if ((*records)[i].bytes != kept[i]) return false;
    }
    return true;
  };
  for (int round = 0; round < 3; ++round) {
    // What takes the space is mostly somebody else's file.
    for (int i = 0; i < 10; ++i) {
      const Status status = put(std::to_string(round) + "before" + std::to_string(i));
      if (!status.ok()) return Say("put: " + status.ToString(), 1);
    }
    {
      std::ofstream hog(mount + "/hog", std::ios::binary);
      const std::string block(64 << 10, 'h');
      while (hog.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
      }
    }
    Status full;
    for (int i = 0; i < 5000 && full.ok(); ++i) full = put(std::string(2000, 'f'));
    if (full.code() != StatusCode::kResourceExhausted) {
      return Say("not told of the full disk: " + full.ToString(), 1);
    }
    if (full.message().find(folder) == std::string::npos) return Say(full.message(), 1);
    if (put("still full").code() != StatusCode::kResourceExhausted) {
      return Say("a second Put on a full disk was not refused", 1);
    }
    if (store.Usage().refused_bytes < 2) return Say("refusals not counted", 1);
    fs::remove(mount + "/hog");
    const Status again = put("again");
    if (!again.ok()) return Say("not recovered: " + again.ToString(), 1);
    if (!all_there(store)) return Say("records differ after recovery", 1);
  }
  if (!store.Close().ok()) return Say("close", 1);
  auto reopened = OpenFailStore(engine, folder, {});
  if (!reopened.ok()) return Say(reopened.status().ToString(), 1);
  if (!all_there(**reopened)) return Say("records differ after reopening", 1);
  return 0;
}

}  // namespace
}  // namespace lts

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (std::string(argv[0]) == "child") {
    if (arguments.at(0) == "hold") return lts::Hold(arguments.at(1), arguments.at(2));
    if (arguments.at(0) == "put") {
      return lts::PutForEver(arguments.at(1), arguments.at(2), arguments.at(3));
    }
    if (arguments.at(0) == "full") return lts::FillDisk(arguments.at(1), arguments.at(2));
    return 2;
  }
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}

#include "failstore/adopt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/log.h"
#include "unit/failstore/support.h"

namespace lts {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(UnlockedSiblings, AreTheNumberedFoldersThatNobodyHolds) {
  const TempFolder temp;
  EXPECT_THAT(UnlockedSiblings(temp / "absent"), IsEmpty());
  const std::string base = temp / "base";
  const auto held = OpenStore(base + "/0");
  for (const char* name : {"/2", "/10"}) ASSERT_TRUE(OpenStore(base + name)->Close().ok());
  for (const char* name : {"/x", "/03", "/4.removed", "/-1"}) fs::create_directories(base + name);
  std::ofstream(base + "/5") << "a file";
  EXPECT_THAT(UnlockedSiblings(base), ElementsAre(base + "/2", base + "/10"));
}

TEST(AdoptSiblings, MovesEverythingInOrderWithItsAgeAndRemovesTheFolder) {
  const TempFolder temp;
  const std::string base = temp / "base";
  const auto target = OpenStore(base + "/0");
  ASSERT_TRUE(target->Put(FailKind::kSubmit, "k", "own").ok());
  TimeMs stored_ms = 0;
  {
    const auto dead = OpenStore(base + "/1");
    for (int i = 0; i < 600; ++i) {
      ASSERT_TRUE(dead->Put(FailKind::kSubmit, "k", std::to_string(i)).ok());
    }
    ASSERT_TRUE(dead->Put(FailKind::kResult, "r", "result").ok());
    ASSERT_TRUE(dead->Put(FailKind::kBizLog, "l", "log").ok());
    const auto log = dead->Peek(FailKind::kBizLog, 1);
    ASSERT_TRUE(dead->Park((*log)[0].id, "refused once").ok());
    stored_ms = (*dead->Peek(FailKind::kSubmit, 1))[0].stored_ms;
  }
  const auto report = AdoptSiblings("rocksdb", *target, base);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->records, 602);
  EXPECT_EQ(report->folders, 1);
  EXPECT_FALSE(fs::exists(base + "/1"));
  const auto submits = *target->Peek(FailKind::kSubmit, 1000);
  ASSERT_EQ(submits.size(), 601U);
  EXPECT_EQ(submits[0].bytes, "own");
  for (int i = 0; i < 600; ++i) {
    EXPECT_EQ(submits[static_cast<std::size_t>(i) + 1].bytes, std::to_string(i));
  }
  EXPECT_EQ(submits[1].stored_ms, stored_ms);
  EXPECT_THAT(Waiting(*target, FailKind::kResult), ElementsAre("result"));
  const auto parked = *target->ListParked(10);
  ASSERT_EQ(parked.size(), 1U);
  EXPECT_EQ(parked[0].key, "l");
  EXPECT_EQ(parked[0].parked_reason, "refused once");
  EXPECT_TRUE(target->Contains(FailKind::kResult, "r"));
  // Nothing left to do.
  EXPECT_EQ(AdoptSiblings("rocksdb", *target, base)->records, 0);
}

TEST(AdoptSiblings, AFolderInUseIsLeftAlone) {
  const TempFolder temp;
  const std::string base = temp / "base";
  const auto target = OpenStore(base + "/0");
  const auto live = OpenStore(base + "/1");
  ASSERT_TRUE(live->Put(FailKind::kSubmit, "k", "1").ok());
  const auto report = AdoptSiblings("rocksdb", *target, base);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->records, 0);
  EXPECT_THAT(Waiting(*live, FailKind::kSubmit), ElementsAre("1"));
}

TEST(AdoptSiblings, RecordsOfAnotherEngineAreLeftToItAndSaidWhileAnEmptyFolderIsRemoved) {
  const TempFolder temp;
  const std::string base = temp / "base";
  const auto target = OpenStore(base + "/0");
  for (const char* name : {"/1", "/2"}) {
    auto other = OpenFailStore("leveldb", base + name, {});
    ASSERT_TRUE(other.ok()) << other.status().ToString();
    ASSERT_TRUE((*other)->Put(FailKind::kSubmit, "k", "of leveldb").ok());
    if (std::string(name) == "/2") {
      ASSERT_TRUE((*other)->Ack({(*(*other)->Peek(FailKind::kSubmit, 1))[0].id}).ok());
    }
  }
  const std::uint64_t warnings = log::Count(log::Level::kWarn);
  const auto report = AdoptSiblings("rocksdb", *target, base);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->records, 0);
  EXPECT_EQ(log::Count(log::Level::kWarn), warnings + 1);
  EXPECT_FALSE(fs::exists(base + "/2"));
  const auto left = OpenFailStore("leveldb", base + "/1", {});
  ASSERT_TRUE(left.ok()) << left.status().ToString();
  EXPECT_THAT(Waiting(**left, FailKind::kSubmit), ElementsAre("of leveldb"));
}

TEST(AdoptSiblings, AFullTargetLosesNothing) {
  const TempFolder temp;
  const std::string base = temp / "base";
  FailStoreLimits limits;
  limits.count_max = 300;
  const auto target = OpenStore(base + "/0", limits);
  {
    const auto dead = OpenStore(base + "/1");
    for (int i = 0; i < 400; ++i) {
      ASSERT_TRUE(dead->Put(FailKind::kSubmit, "k", std::to_string(i)).ok());
    }
  }
  const auto report = AdoptSiblings("rocksdb", *target, base);
  EXPECT_EQ(report.status().code(), StatusCode::kResourceExhausted);
  std::vector<std::string> all = Waiting(*target, FailKind::kSubmit);
  const std::vector<std::string> rest = Waiting(*OpenStore(base + "/1"), FailKind::kSubmit);
  EXPECT_LE(all.size(), 300U);
  all.insert(all.end(), rest.begin(), rest.end());
  ASSERT_EQ(all.size(), 400U);
  for (int i = 0; i < 400; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST(AdoptSiblings, ADamagedFolderIsLeftForAPersonAndTheNextOneIsAdopted) {
  const TempFolder temp;
  const std::string base = temp / "base";
  for (const char* name : {"/1", "/2"}) {
    ASSERT_TRUE(OpenStore(base + name)->Put(FailKind::kSubmit, "k", name).ok());
  }
  std::ofstream(base + "/1/CURRENT") << "rubbish";
  const auto target = OpenStore(base + "/0");
  const auto report = AdoptSiblings("rocksdb", *target, base);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->folders, 1);
  EXPECT_THAT(Waiting(*target, FailKind::kSubmit), ElementsAre("/2"));
  EXPECT_TRUE(fs::exists(base + "/1/CURRENT"));
  // Nor does it keep a process from starting.
  ASSERT_TRUE(target->Close().ok());
  fs::rename(base + "/1", base + "/0.keep");
  fs::remove_all(base + "/0");
  fs::rename(base + "/0.keep", base + "/0");
  const auto fresh = OpenFirstFreeFailStore("rocksdb", base, {});
  ASSERT_TRUE(fresh.ok()) << fresh.status().ToString();
  EXPECT_EQ((*fresh)->path(), base + "/1");
}

TEST(AdoptSiblings, ARemovalThatWasCutShortIsFinished) {
  const TempFolder temp;
  const std::string base = temp / "base";
  const auto target = OpenStore(base + "/0");
  fs::create_directories(base + "/3.removed");
  std::ofstream(base + "/3.removed/MANIFEST-000001") << "left over";
  ASSERT_TRUE(AdoptSiblings("rocksdb", *target, base).ok());
  EXPECT_FALSE(fs::exists(base + "/3.removed"));
}

TEST(SiblingWatch, AdoptsAtStartAndAgainAfterThePeriod) {
  const TempFolder temp;
  const std::string base = temp / "base";
  const auto target = OpenStore(base + "/0");
  ASSERT_TRUE(OpenStore(base + "/1")->Put(FailKind::kSubmit, "k", "1").ok());
  HandStrand strand;
  int adopted = 0;
  SiblingWatchOptions options;
  options.engine = "rocksdb";
  options.base = base;
  auto watch = std::make_unique<SiblingWatch>(options, *target, strand, [&] { ++adopted; });
  strand.RunReady();
  EXPECT_EQ(adopted, 1);
  ASSERT_TRUE(OpenStore(base + "/1")->Put(FailKind::kSubmit, "k", "2").ok());
  strand.Advance(59'999'999);
  EXPECT_EQ(adopted, 1);
  strand.Advance(1);
  EXPECT_EQ(adopted, 2);
  EXPECT_THAT(Waiting(*target, FailKind::kSubmit), ElementsAre("1", "2"));
  ASSERT_TRUE(OpenStore(base + "/1")->Put(FailKind::kSubmit, "k", "3").ok());
  watch.reset();
  strand.Advance(600'000'000);
  EXPECT_EQ(adopted, 2);
}

TEST(SiblingWatch, TakesOverFromTheOtherInstancesOfTheGroup) {
  const TempFolder temp;
  const std::string group = temp / "group";
  const auto target = OpenStore(group + "/a/0");
  const auto live = OpenStore(group + "/c/0");
  ASSERT_TRUE(live->Put(FailKind::kResult, "k", "of c").ok());
  for (const char* name : {"/a/1", "/b/0", "/b/7"}) {
    ASSERT_TRUE(OpenStore(group + name)->Put(FailKind::kResult, "k", name).ok());
  }
  std::ofstream(group + "/a file") << "no folder";
  HandStrand strand;
  int adopted = 0;
  SiblingWatchOptions options;
  options.engine = "rocksdb";
  options.base = group;
  options.of_instances = true;
  options.period_ms = 500;
  const SiblingWatch watch(options, *target, strand, [&] { ++adopted; });
  strand.RunReady();
  EXPECT_EQ(adopted, 1);
  EXPECT_THAT(Waiting(*target, FailKind::kResult), ElementsAre("/a/1", "/b/0", "/b/7"));
  strand.Advance(500'000);
  EXPECT_EQ(adopted, 1);
  EXPECT_THAT(Waiting(*live, FailKind::kResult), ElementsAre("of c"));
}

}  // namespace
}  // namespace lts

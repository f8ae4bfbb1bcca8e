// The verbs that look at what is kept on disk: failstore list, retry, drop, and cancel.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "cli_fixture.h"
#include "failstore/fail_store.h"
#include "jobclient/fail_records.h"

namespace lts::jobclient::cli {
namespace {

using ::testing::ElementsAre;
using testing::FakeTracker;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// When every record is older than the limit of its age.
class LongAgo final : public Clock {
 public:
  std::int64_t MonotonicUs() const override { return 0; }
  TimeMs WallMs() const override { return 1'000'000'000'000; }
};

// A FailStore with one record that waits and two that are parked, as their JSON lines say.
class FailStoreVerbs : public CliTest {
 protected:
  void Fill(const std::string& folder) {
    const LongAgo clock;
    auto store = OpenFailStore("rocksdb", folder, {}, &clock);
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    for (const char* task : {"waits", "bad", "worse"}) {
      v1::Job job;
      job.set_job_id(std::string("id-of-") + task);
      ASSERT_TRUE((*store)->Put(FailKind::kSubmit, task, EncodeRecord(job)).ok());
    }
    const auto records = (*store)->Peek(FailKind::kSubmit, 10);
    ASSERT_TRUE((*store)->Park(records->at(1).id, "TOO_OLD: too old").ok());
    ASSERT_TRUE((*store)->Park(records->at(2).id, "INVALID_ARGUMENT: no").ok());
    for (const FailRecord& record : *records) ids_.push_back(std::to_string(record.id));
  }
  // "task", or "task parked", of what is in the folder.
  std::vector<std::string> Held(const std::string& folder) {
    EXPECT_EQ(Run({"failstore", "list", "--path", folder, "-o", "json"}), kOk) << err_;
    std::vector<std::string> held;
    for (const auto& line : Lines()) {
      held.push_back(std::string(line["key"]) + (line["parked"] ? " parked" : ""));
    }
    return held;
  }
  const std::string folder_of_group_ = folder_.Below("data/jobclient/JOB_CLIENT/lts/0");
  std::vector<std::string> ids_;
};

TEST_F(FailStoreVerbs, ListParksNothingHoweverOld) {
  Fill(folder_of_group_);
  EXPECT_THAT(Held(folder_of_group_), ElementsAre("waits", "bad parked", "worse parked"));
  ASSERT_EQ(Run({"failstore", "list", "-o", "json"}), kOk);
  EXPECT_EQ(Lines().at(0)["jobId"], "id-of-waits");
  EXPECT_EQ(Lines().at(1)["reason"], "TOO_OLD: too old");
}

TEST_F(FailStoreVerbs, RetryPutsParkedRecordsBackInLine) {
  Fill(folder_of_group_);
  ASSERT_EQ(Run({"failstore", "retry", ids_[2], "-o", "json"}), kOk) << err_;
  ASSERT_EQ(Lines().size(), 1U);
  EXPECT_EQ(Lines()[0]["jobId"], "id-of-worse");
  EXPECT_THAT(Held(folder_of_group_), ElementsAre("waits", "worse", "bad parked"));
  EXPECT_EQ(Run({"failstore", "retry", ids_[0]}), kNotFound);  // it waits as it is
  EXPECT_THAT(err_, HasSubstr(ids_[0]));
  ASSERT_EQ(Run({"failstore", "retry", "--all"}), kOk);
  EXPECT_THAT(err_, HasSubstr(": 1\n"));
  EXPECT_THAT(Held(folder_of_group_), ElementsAre("waits", "bad", "worse"));

  on_wait_for_stop_ = [this] {
    EXPECT_TRUE(tracker_.Await([this] { return tracker_.JobsSeen() >= 2; }));
  };
  ASSERT_EQ(Run({"agent"}), kOk) << err_;
}

TEST_F(FailStoreVerbs, DropForgetsParkedOnesAndAnyById) {
  Fill(folder_of_group_);
  ASSERT_EQ(Run({"failstore", "drop", "--all", "-o", "json"}), kOk) << err_;
  EXPECT_EQ(Lines().size(), 2U);
  EXPECT_THAT(Held(folder_of_group_), ElementsAre("waits"));
  ASSERT_EQ(Run({"failstore", "drop", ids_[0]}), kOk) << err_;
  EXPECT_THAT(Held(folder_of_group_), IsEmpty());
  EXPECT_EQ(Run({"failstore", "drop", ids_[0]}), kNotFound);
}

TEST_F(FailStoreVerbs, OneIdInTwoFoldersHasToBeNamedWithItsFolder) {
  const std::string second = folder_.Below("data/jobclient/JOB_CLIENT/lts/1");
  Fill(folder_of_group_);
  Fill(second);
  EXPECT_EQ(Run({"failstore", "drop", ids_[1]}), kUsage);
  EXPECT_THAT(err_, HasSubstr("--path"));
  ASSERT_EQ(Run({"failstore", "drop", ids_[1], "--path", second}), kOk) << err_;
  EXPECT_THAT(Held(folder_of_group_), ElementsAre("waits", "bad parked", "worse parked"));
  EXPECT_THAT(Held(second), ElementsAre("waits", "worse parked"));
}

TEST_F(FailStoreVerbs, TakeTheFolderOfATaskTrackerWhateverItsEngine) {
  const std::string folder = folder_.Below("data/default/TASK_TRACKER/demo/default/0");
  {
    auto store = OpenFailStore("leveldb", folder, {});
    ASSERT_TRUE(store.ok());
    ASSERT_TRUE((*store)->Put(FailKind::kResult, "job/0/1/1-1", "?").ok());
    ASSERT_TRUE((*store)->Put(FailKind::kBizLog, "job/0/1/1-1", "?").ok());
    ASSERT_TRUE((*store)->Park((*store)->Peek(FailKind::kResult, 1)->at(0).id, "not one").ok());
  }
  ASSERT_EQ(Run({"failstore", "list", "--path", folder + "/", "-o", "json"}), kOk) << err_;
  ASSERT_EQ(Lines().size(), 2U);
  EXPECT_EQ(Lines()[0]["request"], "LOG");
  EXPECT_EQ(Lines()[1]["request"], "RESULT");
  ASSERT_EQ(Run({"failstore", "drop", "--all", "--path", folder}), kOk);
  const auto store = OpenFailStore("leveldb", folder, {});
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_EQ((*store)->Usage().count, 1);
  EXPECT_EQ((*store)->Usage().parked, 0);
}

TEST_F(FailStoreVerbs, LeaveAloneWhatIsInUseOrNoFailStore) {
  Fill(folder_of_group_);
  EXPECT_EQ(Run({"failstore", "drop", "--all", "--path", folder_.path()}), kNotFound);
  EXPECT_THAT(err_, HasSubstr("no FailStore"));
  const auto user = OpenFailStore("rocksdb", folder_of_group_, FailStoreLimits::None());
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(Run({"failstore", "drop", "--all"}), kRefused);
  EXPECT_THAT(err_, HasSubstr("in use"));
  EXPECT_EQ(Run({"failstore", "drop", "--all", "--path", folder_of_group_}), kRefused);
  EXPECT_EQ((*user)->Usage().parked, 2);
}

TEST_F(CliTest, CancelSaysWhereAStoredSubmitWaits) {
  tracker_.SetMode(FakeTracker::Mode::kDown);
  const auto store = [this](const std::string& task) {
    EXPECT_EQ(Run({"submit", "--group", "demo", "--task", task, "--store", "-o", "json"}), kOk);
    return std::string(Lines().at(0)["jobId"]);
  };
  const std::string job_id = store("t");
  store("other");
  const std::string folder = folder_.Below("data/jobclient/JOB_CLIENT/lts/0");
  EXPECT_EQ(Run({"cancel", job_id}), kUnreachable);
  EXPECT_THAT(err_, HasSubstr("job " + job_id + " waits in " + folder));
  tracker_.SetMode(FakeTracker::Mode::kAnswer);
  v1::Code code = v1::NOT_FOUND;
  tracker_.on_cancel = [&code](const v1::OperateRequest&) {
    v1::OperateResponse response;
    response.set_code(code);
    return response;
  };
  EXPECT_EQ(Run({"cancel", "--group", "demo", "--task", "t"}), kNotFound);
  EXPECT_THAT(err_, HasSubstr("job " + job_id + " waits in " + folder));
  EXPECT_EQ(Run({"cancel", "--group", "demo", "--task", "t", "--client-group", "another"}),
            kNotFound);
  EXPECT_THAT(err_, Not(HasSubstr("waits in")));
  EXPECT_EQ(Run({"cancel", "some-other-id"}), kNotFound);
  EXPECT_THAT(err_, Not(HasSubstr("waits in")));
  // Another job of the task was there, and this one follows.
  code = v1::OK;
  EXPECT_EQ(Run({"cancel", "--group", "demo", "--task", "t"}), kOk);
  EXPECT_THAT(err_, HasSubstr("job " + job_id + " waits in " + folder));
  // A folder in use cannot be searched.
  code = v1::NOT_FOUND;
  const auto user = OpenFailStore("rocksdb", folder, {});
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(Run({"cancel", job_id}), kNotFound);
  EXPECT_THAT(err_, HasSubstr("may still wait in " + folder));
  code = v1::OK;
  EXPECT_EQ(Run({"cancel", "--group", "demo", "--task", "t"}), kOk);
  EXPECT_THAT(err_, IsEmpty());
}

}  // namespace
}  // namespace lts::jobclient::cli

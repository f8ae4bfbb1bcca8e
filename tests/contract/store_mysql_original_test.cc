// A database that the original LTS has used: it is pointed out, and left alone.
#include <gmock/gmock.h>

#include "contract/mysql_database.h"
#include "contract/store_fixture.h"
#include "store/mysql/original_tables.h"

namespace lts::store::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class MysqlOriginal : public ::testing::Test {
 protected:
  MysqlOriginal() : admin_(database_.As()), options_(database_.Options()) {}

  // A queue as the original makes it, as far as that matters here, with so many rows.
  void Table(const std::string& name, int rows) {
    admin_.Run(
        "CREATE TABLE `" + name +
        "` (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, job_id VARCHAR(32), "
        "ext_params TEXT, UNIQUE KEY idx_job_id (job_id)) ENGINE=InnoDB DEFAULT CHARSET=utf8");
    if (rows == 0) return;
    std::string sql = "INSERT INTO `" + name + "` (job_id) VALUES ('0')";
    for (int i = 1; i < rows; ++i) sql += ",('" + std::to_string(i) + "')";
    admin_.Run(sql);
  }
  OriginalTables Find() {
    auto found = FindOriginalTables(options_);
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    return found.ok() ? *std::move(found) : OriginalTables();
  }
  static std::vector<std::string> Told(const OriginalTables& found) {
    std::vector<std::string> told;
    for (const OriginalTable& table : found.tables) {
      told.push_back(table.name + " " + std::to_string(table.rows) + (table.exact ? "" : "+"));
    }
    return told;
  }

  TestDatabase database_;
  Admin admin_;
  MysqlStoreOptions options_;
};

TEST_F(MysqlOriginal, OurOwnTablesAreNotTheOriginals) {
  ASSERT_TRUE(OpenMysqlStore(TestIdentity(), options_).ok());
  auto store = OpenMysqlStore(TestIdentity(), options_);
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  Owner owner(**store, 0);
  EXPECT_OK(owner.Commit({InsertJob{Job(1)}}));
  const OriginalTables found = Find();
  EXPECT_THAT(found.tables, IsEmpty());
  EXPECT_EQ(OriginalTablesWarning(found), "");
}

TEST_F(MysqlOriginal, TablesWithRowsAreFoundJobsFirstAndEmptyOnesAreNot) {
  Table("lts_wjq_test_trade_TaskTracker", 7);
  Table("lts_wjq_empty", 0);
  Table("lts_wjqx", 3);  // of somebody else
  Table("lts_executing_job_queue", 2);
  Table("lts_executing_job_queue_backup", 2);
  Table("lts_cron_job_queue", 3);
  Table("lts_repeat_job_queue", 0);
  Table("lts_suspend_job_queue", 1);
  Table("lts_fjq_test_jobClient", 4);
  Table("lts_node_group_store", 2);
  Table("lts_job_log_po", 5);
  Table("lts_admin_jvm_gc", 1);
  Table("ltsXcron_job_queue", 1);  // `_` is no wildcard
  const OriginalTables found = Find();
  EXPECT_THAT(Told(found),
              ::testing::ElementsAre("lts_cron_job_queue 3", "lts_executing_job_queue 2",
                                     "lts_suspend_job_queue 1", "lts_wjq_test_trade_TaskTracker 7",
                                     "lts_fjq_test_jobClient 4", "lts_admin_jvm_gc 1",
                                     "lts_job_log_po 5", "lts_node_group_store 2"));
  EXPECT_FALSE(found.more);
  const std::string warning = OriginalTablesWarning(found);
  EXPECT_THAT(warning, HasSubstr("13 jobs and 4 results"));
  EXPECT_THAT(warning, HasSubstr("lts_wjq_test_trade_TaskTracker (7)"));
  EXPECT_THAT(warning, HasSubstr("configs.jdbc.url"));
  EXPECT_THAT(warning, HasSubstr(database_.name()));
  EXPECT_THAT(warning, Not(HasSubstr("lts_job_log_po")));
  // The store opens beside them and touches none.
  ASSERT_TRUE(OpenMysqlStore(TestIdentity(), options_).ok());
  EXPECT_EQ(Told(Find()), Told(found));
}

TEST_F(MysqlOriginal, LogsAloneAreNoReasonToWarn) {
  Table("lts_job_log_po", 5);
  Table("lts_wjq_a", 0);
  const OriginalTables found = Find();
  EXPECT_EQ(found.tables.size(), 1U);
  EXPECT_EQ(OriginalTablesWarning(found), "");
}

TEST_F(MysqlOriginal, LargeTablesAreEstimated) {
  Table("lts_wjq_exact", 10'000);
  Table("lts_wjq_large", 10'001);
  admin_.Run("INSERT INTO lts_wjq_large (ext_params) SELECT ext_params FROM lts_wjq_exact");
  admin_.Run("ANALYZE TABLE lts_wjq_large");
  const OriginalTables found = Find();
  ASSERT_EQ(found.tables.size(), 2U);
  EXPECT_EQ(found.tables[0].rows, 10'000);
  EXPECT_TRUE(found.tables[0].exact);
  EXPECT_GT(found.tables[1].rows, 10'000);
  EXPECT_FALSE(found.tables[1].exact);
  EXPECT_THAT(OriginalTablesWarning(found), HasSubstr("about "));
}

TEST_F(MysqlOriginal, NamesOfAnyFormAreTakenAsTheyAre) {
  Table("lts_wjq_\xE4\xBB\xBB\xE5\x8A\xA1", 2);
  Table("lts_wjq_a b'c\"d", 1);
  admin_.Run("CREATE TABLE `lts_wjq_x``; DROP TABLE y` (id INT PRIMARY KEY)");
  admin_.Run("INSERT INTO `lts_wjq_x``; DROP TABLE y` VALUES (1)");
  EXPECT_THAT(Told(Find()),
              ::testing::UnorderedElementsAre("lts_wjq_\xE4\xBB\xBB\xE5\x8A\xA1 2",
                                              "lts_wjq_a b'c\"d 1", "lts_wjq_x`; DROP TABLE y 1"));
}

TEST_F(MysqlOriginal, ManyTablesAreCutOff) {
  for (int i = 0; i < 12; ++i) Table("lts_wjq_g" + std::to_string(10 + i), 1);
  const std::string warning = OriginalTablesWarning(Find());
  EXPECT_THAT(warning, HasSubstr("12 jobs of"));
  EXPECT_THAT(warning, HasSubstr("lts_wjq_g17 (1) and 4 more"));
  EXPECT_THAT(warning, Not(HasSubstr("lts_wjq_g18")));
}

TEST_F(MysqlOriginal, AServerThatIsAwayIsAnError) {
  options_.url = "jdbc:mysql://127.0.0.1:1/lts";
  EXPECT_EQ(FindOriginalTables(options_).status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace lts::store::testing

// MySQL or MariaDB: each engine has a database of its own on the server of the test program.
#include <atomic>

#include "contract/mysql_database.h"
#include "contract/store_fixture.h"

namespace lts::store::testing {
namespace {

class MysqlEngine final : public Engine {
 public:
  JobStore& Open(const Clock& clock) override {
    store_.reset();
    MysqlStoreOptions options = database_.Options();
    options.lease_ms = kLeaseMs;
    options.store_clock = &clock;
    auto opened = OpenMysqlStore(TestIdentity(), options);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(*opened);
    return *store_;
  }

 private:
  TestDatabase database_;
  std::unique_ptr<JobStore> store_;
};

}  // namespace

std::vector<std::string> EngineNames() { return {"mysql"}; }

std::unique_ptr<Engine> MakeEngine(const std::string&) { return std::make_unique<MysqlEngine>(); }

}  // namespace lts::store::testing

// The reasons that no other test meets; lint.reasons sees to it that each code is met by one.
#include "shell.h"

namespace lts::core {
namespace {

class Explain : public testing::Test {
 protected:
  void SetUp() override {
    s.options.window_max = 4;
    s.Load();
    for (int i = 0; i < 40; ++i) ids.push_back(s.Accept(Shell::Spec("t" + std::to_string(i))));
  }
  Shell s;
  std::vector<model::JobId> ids;
};

TEST_F(Explain, OneBeyondTheWindowIsBehindOthers) {
  s.Hello("w", 1);
  EXPECT_EQ(s.Codes(ids[1]), std::vector<std::string>{"NO_FREE_SLOT"});
  EXPECT_EQ(s.Codes(ids[39]), (std::vector<std::string>{"NO_FREE_SLOT", "BEHIND_OTHERS"}));
}

TEST_F(Explain, OneThatIsStillToBeReadFromTheStoreIsNext) {
  s.fail_refill = [](const RefillRequest&) { return Status::Unavailable("away"); };
  s.Hello("w", 100);
  EXPECT_EQ(s.Codes(ids[39]), (std::vector<std::string>{"NEXT", "BEHIND_OTHERS"}));
}

}  // namespace
}  // namespace lts::core

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fuzz/cron_check.h"

namespace lts::fuzz {
namespace {

// Each input that the fuzzer starts from, or once failed on.
TEST(CronCorpus, EveryKeptInputHoldsTheFuzzersConditions) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(LTS_SOURCE_DIR) +
                                                               "/tests/fuzz/corpus/cron")) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    EXPECT_EQ(CheckCron(text), "") << entry.path();
    ++files;
  }
  EXPECT_GE(files, 25);
}

}  // namespace
}  // namespace lts::fuzz

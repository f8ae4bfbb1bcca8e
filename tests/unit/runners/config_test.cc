#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lts/job_runner.hpp>
#include <stdexcept>
#include <string>

namespace lts {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

RunnerConfig With(const std::string& value) { return {"demo", {{"key", value}}}; }

template <typename Getter>
std::string ErrorOf(Getter getter) {
  try {
    getter();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(RunnerConfig, ReadsEachType) {
  EXPECT_EQ(With("some text").String("key"), "some text");
  EXPECT_EQ(With("-12").Int("key"), -12);
  EXPECT_TRUE(With("on").Bool("key"));
  EXPECT_FALSE(With("false").Bool("key"));
  EXPECT_EQ(With("512").Bytes("key"), 512U);
  EXPECT_EQ(With("64k").Bytes("key"), 64U << 10);
  EXPECT_EQ(With("3 MiB").Bytes("key"), 3U << 20);
  EXPECT_EQ(With("2GB").Bytes("key"), std::size_t{2} << 30);
  EXPECT_EQ(With("250ms").Duration("key"), milliseconds(250));
  EXPECT_EQ(With("30s").Duration("key"), milliseconds(30'000));
  EXPECT_EQ(With("5m").Duration("key"), milliseconds(300'000));
  EXPECT_EQ(With("2h").Duration("key"), milliseconds(7'200'000));
}

TEST(RunnerConfig, UsesTheFallbackOnlyWhenTheKeyIsAbsent) {
  const RunnerConfig config("demo", {});
  EXPECT_EQ(config.String("key", "x"), "x");
  EXPECT_EQ(config.Int("key", 7), 7);
  EXPECT_TRUE(config.Bool("key", true));
  EXPECT_EQ(config.Bytes("key", 9), 9U);
  EXPECT_EQ(config.Duration("key", milliseconds(3)), milliseconds(3));
  EXPECT_EQ(With("5").Int("key", 7), 5);
  EXPECT_NE(ErrorOf([] { (void)With("five").Int("key", 7); }), "no error");
}

TEST(RunnerConfig, ErrorsNameTheWholeKeyAndTheValue) {
  EXPECT_THAT(ErrorOf([] { (void)RunnerConfig("demo", {}).String("key"); }),
              HasSubstr("runner.demo.key"));
  const auto names_both = AllOf(HasSubstr("runner.demo.key"), HasSubstr("nonsense"));
  EXPECT_THAT(ErrorOf([] { (void)With("nonsense").Int("key"); }), names_both);
  EXPECT_THAT(ErrorOf([] { (void)With("nonsense").Bool("key"); }), names_both);
  EXPECT_THAT(ErrorOf([] { (void)With("nonsense").Bytes("key"); }), names_both);
  EXPECT_THAT(ErrorOf([] { (void)With("nonsense").Duration("key"); }), names_both);
}

TEST(RunnerConfig, RefusesWhatIsOnlyNearlyANumber) {
  for (const char* text : {"", " 5", "5 ", "5x", "99999999999999999999", "0x10"}) {
    EXPECT_NE(ErrorOf([&] { (void)With(text).Int("key"); }), "no error") << text;
  }
  for (const char* text : {"", "-1", "k", "1.5k", "5 q", "9223372036854775807k"}) {
    EXPECT_NE(ErrorOf([&] { (void)With(text).Bytes("key"); }), "no error") << text;
  }
  for (const char* text : {"", "-1s", "1 week", "9223372036854775807d"}) {
    EXPECT_NE(ErrorOf([&] { (void)With(text).Duration("key"); }), "no error") << text;
  }
}

}  // namespace
}  // namespace lts

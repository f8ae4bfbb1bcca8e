#include "tasktracker/runners/text.h"

#include <gtest/gtest.h>

namespace lts::runners {
namespace {

TEST(ValidUtf8, LeavesValidTextAlone) {
  const std::string text = "a\u00e9\u20ac\U0001F600\n\t";
  EXPECT_EQ(ValidUtf8(text), text);
  EXPECT_EQ(ValidUtf8(std::string_view("\0x", 2)), std::string("\0x", 2));
  EXPECT_EQ(ValidUtf8(""), "");
}

TEST(ValidUtf8, ReplacesEachIllFormedPartOnce) {
  EXPECT_EQ(ValidUtf8("caf\xE9"), "caf\uFFFD");
  EXPECT_EQ(ValidUtf8("\xE2\x82x"), "\uFFFDx");                // a character that breaks off
  EXPECT_EQ(ValidUtf8("\xF0\x9F\x98"), "\uFFFD");              // … at the end
  EXPECT_EQ(ValidUtf8("\x80\x80"), "\uFFFD\uFFFD");            // continuation without a start
  EXPECT_EQ(ValidUtf8("\xC0\xAF"), "\uFFFD\uFFFD");            // overlong
  EXPECT_EQ(ValidUtf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // surrogate
  EXPECT_EQ(ValidUtf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // above U+10FFFF
}

TEST(FirstBytes, CutsBetweenCharactersAndMarksTheCut) {
  EXPECT_EQ(FirstBytes("abc", 3), "abc");
  EXPECT_EQ(FirstBytes("abcdef", 5), "ab\u2026");
  EXPECT_EQ(FirstBytes("\u20ac\u20ac\u20ac", 8), "\u20ac\u2026");
  EXPECT_EQ(FirstBytes("\u20ac", 2), "");
  EXPECT_EQ(FirstBytes("abc", 0), "");
}

TEST(LastBytes, KeepsTheEndAndDropsACharacterCutInTwo) {
  EXPECT_EQ(LastBytes("abc", 3), "abc");
  EXPECT_EQ(LastBytes("abcdef", 3), "def");
  EXPECT_EQ(LastBytes("\u20acab", 4), "ab");
  EXPECT_EQ(LastBytes("x\u20acab", 5), "\u20acab");
}

TEST(LastBytes, StaysWithinTheBoundWhenReplacementsGrow) {
  const std::string text = LastBytes(std::string(100, '\xFF'), 10);
  EXPECT_EQ(text, "\uFFFD\uFFFD\uFFFD");
}

}  // namespace
}  // namespace lts::runners

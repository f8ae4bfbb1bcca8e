#include "common/properties.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace lts {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::vector<std::pair<std::string, std::string>> Parse(std::string_view text) {
  const auto parsed = ParseProperties(text, "t");
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  std::vector<std::pair<std::string, std::string>> pairs;
  if (!parsed.ok()) return pairs;
  for (const Property& property : *parsed) pairs.emplace_back(property.key, property.value);
  return pairs;
}

std::string ErrorOf(std::string_view text) {
  const auto parsed = ParseProperties(text, "x.cfg");
  EXPECT_FALSE(parsed.ok());
  return parsed.ok() ? std::string() : parsed.status().message();
}

TEST(Properties, EqualsColonAndBlanksSeparate) {
  EXPECT_THAT(Parse("a=1\nb:2\nc 3\nd\t=\t4\ne : 5 6\nf\ng=\nh= =x\n"),
              ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("c", "3"), Pair("d", "4"),
                          Pair("e", "5 6"), Pair("f", ""), Pair("g", ""), Pair("h", "=x")));
}

TEST(Properties, CommentsAndEmptyLinesAreSkippedAndOnlyAtTheBeginningOfALine) {
  EXPECT_THAT(Parse("# a=1\n  ! b=2\n\n   \nc=3 # not a comment\n"),
              ElementsAre(Pair("c", "3 # not a comment")));
}

TEST(Properties, AllLineEndsCount) {
  EXPECT_THAT(Parse("a=1\r\nb=2\rc=3\nd=4"),
              ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("c", "3"), Pair("d", "4")));
}

TEST(Properties, BackslashContinuesTheLineAndLeadingBlanksOfTheNextGo) {
  EXPECT_THAT(Parse("a=one,\\\n    two,\\\r\n\tthree\nb=x\\\\\nc=y"),
              ElementsAre(Pair("a", "one,two,three"), Pair("b", "x\\"), Pair("c", "y")));
}

TEST(Properties, AContinuedLineIsNoComment) {
  EXPECT_THAT(Parse("a=1\\\n#2\n"), ElementsAre(Pair("a", "1#2")));
}

TEST(Properties, ACommentIsNotContinuedAndABlankLineEndsAContinuation) {
  EXPECT_THAT(Parse("# c\\\na=1\\\n   \nb=2\n! d\\\ne=3\\"),
              ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("e", "3")));
}

TEST(Properties, WhatJavaStoresReadsBack) {
  EXPECT_THAT(Parse("#Wed Nov 25 21:28:49 UTC 2026\r\n"
                    "configs.jdbc.url=jdbc\\:mysql\\://127.0.0.1\\:3306/lts?a\\=b\\#c\\!\r\n"
                    "registryAddress=zookeeper\\://127.0.0.1\\:2181\r\na=\\ b\r\n"),
              ElementsAre(Pair("configs.jdbc.url", "jdbc:mysql://127.0.0.1:3306/lts?a=b#c!"),
                          Pair("registryAddress", "zookeeper://127.0.0.1:2181"), Pair("a", " b")));
}

TEST(Properties, EscapesInKeysAndValues) {
  EXPECT_THAT(Parse("a\\ b\\=c=\\t|\\n|\\r|\\f|\\q|\\\\\n"),
              ElementsAre(Pair("a b=c", "\t|\n|\r|\f|q|\\")));
}

TEST(Properties, UnicodeEscapesBecomeUtf8) {
  EXPECT_THAT(Parse("k=\\u0041\\u00e9\\u4E2D\\ud83d\\ude00\n"),
              ElementsAre(Pair("k", "A\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80")));
}

TEST(Properties, TrailingBlanksOfAValueStay) {
  EXPECT_THAT(Parse("a=1 \n"), ElementsAre(Pair("a", "1 ")));
}

TEST(Properties, AByteOrderMarkIsSkipped) {
  EXPECT_THAT(Parse("\xEF\xBB\xBF"
                    "a=1"),
              ElementsAre(Pair("a", "1")));
}

TEST(Properties, LinesAreCountedAcrossContinuations) {
  const auto parsed = ParseProperties("# c\na=1\\\n 2\\\n 3\nb=2\n", "t");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ((*parsed)[0].line, 2);
  EXPECT_EQ((*parsed)[1].line, 5);
}

TEST(Properties, ErrorsNameFileAndLine) {
  EXPECT_EQ(ErrorOf("a=1\nb=\\u12x4\n"), "x.cfg:2: \\u needs four hexadecimal digits");
  EXPECT_EQ(ErrorOf("a=\\ud83d\n").substr(0, 9), "x.cfg:1: ");
  EXPECT_EQ(ErrorOf("a=\\ude00\n").substr(0, 9), "x.cfg:1: ");
  EXPECT_EQ(ErrorOf("a=\\u0000\n").substr(0, 9), "x.cfg:1: ");
  EXPECT_EQ(ErrorOf("\n=1\n"), "x.cfg:2: a value without a key");
  EXPECT_EQ(ErrorOf(std::string_view("a=1\nb=\0\n", 8)).substr(0, 9), "x.cfg:2: ");
}

TEST(Properties, AMissingFileIsNotFoundAndTooLargeAOneIsRefused) {
  const testing::TempFolder folder;
  EXPECT_EQ(ReadProperties(folder.Below("none")).status().code(), StatusCode::kNotFound);
  const std::string large = folder.Write("large", std::string((1 << 20) + 1, '#'));
  EXPECT_EQ(ReadProperties(large).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadProperties(folder.path()).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace lts

// What the MySQL engine makes of texts, without a server: URLs, statements, migrations, error
// numbers.
#include <gtest/gtest.h>

#include "store/mysql/failure.h"
#include "store/mysql/schema.h"
#include "store/mysql/sql_text.h"
#include "store/mysql/url.h"

namespace lts::store::mysql {
namespace {

TEST(JdbcUrl, HostPortAndDatabaseAreRead) {
  const auto url = ParseJdbcUrl("jdbc:mysql://db.example.com:3307/lts_prod");
  ASSERT_TRUE(url.ok()) << url.status().ToString();
  EXPECT_EQ(url->host, "db.example.com");
  EXPECT_EQ(url->port, 3307);
  EXPECT_EQ(url->database, "lts_prod");
  EXPECT_EQ(url->HostAndPort(), "db.example.com:3307");
  EXPECT_EQ(ParseJdbcUrl("jdbc:mysql://h/d")->port, 3306);
  EXPECT_EQ(ParseJdbcUrl("jdbc:mariadb://h/d")->database, "d");
  const auto v6 = ParseJdbcUrl("jdbc:mysql://[::1]:33/d");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->HostAndPort(), "[::1]:33");
}

TEST(JdbcUrl, ParametersOfTheJavaDriverAreIgnoredButForTls) {
  const auto url =
      ParseJdbcUrl("jdbc:mysql://h:1/d?useUnicode=true&characterEncoding=UTF-8&useSSL=false");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->ignored, (std::vector<std::string>{"useUnicode", "characterEncoding"}));
  EXPECT_FALSE(url->wants_tls);
  EXPECT_TRUE(ParseJdbcUrl("jdbc:mysql://h/d?useSSL=true")->wants_tls);
  EXPECT_TRUE(ParseJdbcUrl("jdbc:mysql://h/d?sslMode=VERIFY_CA")->wants_tls);
  EXPECT_FALSE(ParseJdbcUrl("jdbc:mysql://h/d?sslMode=DISABLED")->wants_tls);
}

TEST(JdbcUrl, WhatMakesNoSenseIsRefusedNamingTheSettingAndNoPassword) {
  for (const char* text :
       {"", "mysql://h/d", "jdbc:mysql://", "jdbc:mysql:///d", "jdbc:mysql://h", "jdbc:mysql://h/",
        "jdbc:mysql://h:/d", "jdbc:mysql://h:0/d", "jdbc:mysql://h:65536/d", "jdbc:mysql://h:x/d",
        "jdbc:mysql://a,b/d", "jdbc:mysql://h/d`; DROP", "jdbc:mysql://h/d/e",
        "jdbc:mysql://[::1/d", "jdbc:mysql://u:secret@h/d",
        "jdbc:mysql://h/d?user=u&password=secret", "jdbc:mysql://h h/d"}) {
    const auto url = ParseJdbcUrl(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_EQ(url.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(url.status().message().find("configs.jdbc.url"), std::string::npos) << text;
    EXPECT_EQ(url.status().message().find("secret"), std::string::npos) << text;
  }
}

TEST(SqlText, ValuesAreNumbersOrHexadecimal) {
  const std::string text("a'\\\0\xff", 5);
  EXPECT_EQ(
      SqlText("SELECT ", text, ", ", std::string(), ", ", -5, ", ", UINT64_MAX, ", ", true).text(),
      "SELECT X'61275c00ff', X'', -5, 18446744073709551615, 1");
  EXPECT_EQ(SqlText(model::JobId{0x0102030405060708, 0xf1f2f3f4f5f6f7f8}).text(),
            "X'0102030405060708f1f2f3f4f5f6f7f8'");
  EXPECT_EQ(SqlText(std::uint8_t{64}).text(), "64");
}

TEST(Migrations, AreNumberedFromOneAndEachRecordsItsVersion) {
  ASSERT_FALSE(Migrations().empty());
  int version = 0;
  for (const Migration& migration : Migrations()) {
    EXPECT_EQ(migration.version, ++version);
    const auto statements = SplitStatements(migration.sql);
    ASSERT_FALSE(statements.empty());
    EXPECT_NE(statements.back().find("lts_store"), std::string_view::npos);
    for (const std::string_view statement : statements) {
      // Each may run twice, and none was cut within a text.
      EXPECT_TRUE(statement.find("IF NOT EXISTS") != std::string_view::npos ||
                  statement.find("ON DUPLICATE KEY") != std::string_view::npos ||
                  statement.substr(0, 6) == "UPDATE")
          << statement;
      EXPECT_EQ(std::count(statement.begin(), statement.end(), '\'') % 2, 0) << statement;
    }
  }
}

TEST(Migrations, StatementsAreCutAtSemicolonsAndCommentsBetweenThemLeftOut) {
  EXPECT_EQ(SplitStatements("-- a; b\nX 1;\n\n  -- c\n Y 2 ;Z"),
            (std::vector<std::string_view>{"X 1", "Y 2 ", "Z"}));
  EXPECT_TRUE(SplitStatements(" \n-- only this").empty());
}

TEST(Failures, AreToldApartByNumberAndState) {
  EXPECT_EQ(KindOf(1213, "40001", ""), FailureKind::kAgain);
  EXPECT_EQ(KindOf(1205, "HY000", ""), FailureKind::kAgain);
  EXPECT_EQ(KindOf(2013, "HY000", ""), FailureKind::kLost);
  EXPECT_EQ(KindOf(1062, "23000", ""), FailureKind::kRow);
  EXPECT_EQ(KindOf(1406, "22001", ""), FailureKind::kRow);
  EXPECT_EQ(KindOf(1114, "HY000", ""), FailureKind::kFull);
  EXPECT_EQ(KindOf(1030, "HY000", "Got error 28 \"No space left on device\" from storage engine"),
            FailureKind::kFull);
  EXPECT_EQ(KindOf(1030, "HY000", "Got error 5 \"Input/output error\""), FailureKind::kOther);
  EXPECT_EQ(KindOf(1064, "42000", ""), FailureKind::kDefect);
  EXPECT_EQ(KindOf(1712, "HY000", ""), FailureKind::kDamaged);
  EXPECT_EQ(RowNamed("Data too long for column 'grp' at row 3"), 2U);
  EXPECT_FALSE(RowNamed("Duplicate entry 'x' for key 'PRIMARY'").has_value());
}

TEST(Failures, OnlyARowsOwnFaultIsRefusedForGood) {
  const auto code = [](FailureKind kind) { return ToStatus({kind, 1, "text"}).code(); };
  EXPECT_EQ(code(FailureKind::kRow), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(FailureKind::kFull), StatusCode::kResourceExhausted);
  EXPECT_EQ(code(FailureKind::kDamaged), StatusCode::kDataLoss);
  for (const FailureKind kind :
       {FailureKind::kLost, FailureKind::kAgain, FailureKind::kTimedOut, FailureKind::kReadOnly,
        FailureKind::kDenied, FailureKind::kOther}) {
    EXPECT_EQ(code(kind), StatusCode::kUnavailable);
  }
}

}  // namespace
}  // namespace lts::store::mysql

// How the verbs print: tables for people, one JSON object a line for programs.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "jobclient/cli/cli.h"
#include "lts/v1/client.pb.h"
#include "lts/v1/feedback.pb.h"
#include "lts/v1/types.pb.h"

namespace lts::jobclient::cli {

using Json = nlohmann::ordered_json;

// RFC 3339 UTC with milliseconds; null for 0, which stands for "none".
Json TimeJson(TimeMs time);
// A number, or its text beyond 2^53, where readers that know doubles only would get it wrong.
Json NumberJson(std::int64_t number);
Json NumberJson(std::uint64_t number);
// "epoch-sequence"; null for none.
Json TokenJson(const v1::Token& token);

// The definition, then state, times and attempts.
Json JobJson(const v1::JobView& view);
Json AttemptJson(const v1::AttemptView& attempt);
Json FeedbackJson(const v1::FeedbackItem& item);
std::string StateText(v1::JobState state);

// One line; invalid UTF-8 is replaced.
std::string Dump(const Json& json);
// As it stands in a table: texts without quotes and control characters, "-" for null and "".
std::string CellText(const Json& json);

// Prints objects. As a table: the named members in columns, aligned within a page; the heading
// comes once.
class Printer {
 public:
  struct Column {
    std::string heading;
    std::string member;
  };
  Printer(const Context& context, std::vector<Column> columns)
      : out_(context.env.out), format_(context.format), columns_(std::move(columns)) {}
  // Writes what was printed. A table without rows has no heading then: it may have come to nothing.
  ~Printer() {
    if (!rows_.empty()) EndPage();
  }
  Printer(const Printer&) = delete;
  Printer& operator=(const Printer&) = delete;

  void Print(const Json& object);
  // Writes what has gathered.
  void EndPage();

 private:
  std::ostream& out_;
  const Format format_;
  const std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  bool headed_ = false;
};

}  // namespace lts::jobclient::cli

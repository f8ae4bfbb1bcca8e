// Statements over many rows: cut where they would grow too large, and a row that the database
// rejects is found and named.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "store/mysql/connection.h"
#include "store/mysql/store_impl.h"

namespace lts::store::mysql {

// Runs within the transaction of a connection; what it did before a failure is the transaction's to
// undo.
class MultiRow {
 public:
  // A statement is `head`, rows with commas between them, `tail`.
  MultiRow(Connection& connection, SqlText head, SqlText tail)
      : connection_(connection), head_(std::move(head)), tail_(std::move(tail)) {}

  // `put(row, &sql)` writes "(…)"; `name(row)` is the row in a message. `changed` gets the sum over
  // the statements. `duplicate`: what a duplicate key means.
  template <typename Rows, typename Put, typename Name>
  Step Run(const Rows& rows, const Put& put, const Name& name, std::int64_t* changed = nullptr,
           std::string_view duplicate = "is there already") {
    if (changed != nullptr) *changed = 0;
    SqlText sql(head_);
    std::vector<std::size_t> starts;  // where each row of the statement begins
    auto first = rows.begin();
    for (auto it = rows.begin(); it != rows.end(); ++it) {
      const std::size_t before = sql.size();
      if (!starts.empty()) sql.Add(", ");
      const std::size_t start = sql.size();
      put(*it, &sql);
      if (!starts.empty() && (starts.size() == kRowsPerStatement ||
                              sql.size() > std::min(kBytesPerStatement, PacketMax() / 2))) {
        // This row begins the next statement.
        const SqlText row = sql.Slice(start, sql.size());
        sql.Truncate(before);
        Step step = Send(&sql, starts, first, name, changed, duplicate);
        if (!step.ok()) return step;
        first = it;
        sql.Clear();
        sql.Add(head_);
        starts.clear();
        starts.push_back(sql.size());
        sql.Add(row);
      } else {
        starts.push_back(start);
      }
      if (starts.size() == 1 && sql.size() + tail_.size() + kPacketSlack > PacketMax()) {
        return Status::InvalidArgument(
            fmt::format("{} takes {} bytes as a statement; the database server takes {} "
                        "(max_allowed_packet)",
                        name(*it), sql.size(), PacketMax()));
      }
    }
    if (starts.empty()) return {};
    return Send(&sql, starts, first, name, changed, duplicate);
  }

 private:
  static constexpr std::size_t kPacketSlack = 1024;
  std::size_t PacketMax() const { return connection_.facts().packet_max; }

  template <typename Iterator, typename Name>
  Step Send(SqlText* sql, const std::vector<std::size_t>& starts, Iterator first, const Name& name,
            std::int64_t* changed, std::string_view duplicate) {
    const std::size_t end = sql->size();
    sql->Add(tail_);
    std::int64_t rows = 0;
    Failure failure = connection_.Execute(*sql, &rows);
    if (!failure.failed()) {
      if (changed != nullptr) *changed += rows;
      return {};
    }
    if (failure.kind != FailureKind::kRow) return failure;
    std::size_t culprit = starts.size();
    if (starts.size() == 1) culprit = 0;
    if (const auto named = RowNamed(failure.text); named && *named < starts.size()) {
      culprit = *named;
    }
    // Not told: the rows one by one until one is rejected. The transaction is lost anyway.
    for (std::size_t i = 0; culprit == starts.size() && i < starts.size(); ++i) {
      const std::size_t row_end = i + 1 < starts.size() ? starts[i + 1] - 2 : end;
      Failure one =
          connection_.Execute(SqlText(head_).Add(sql->Slice(starts[i], row_end)).Add(tail_));
      if (one.failed() && one.kind != FailureKind::kRow) return one;
      if (one.failed()) culprit = i;
    }
    if (culprit == starts.size()) return failure;
    const std::string who = name(*std::next(first, static_cast<std::ptrdiff_t>(culprit)));
    if (failure.code == kDuplicateKey) {
      return Status::InvalidArgument(fmt::format("{} {}", who, duplicate));
    }
    return Status::InvalidArgument(
        fmt::format("{} is rejected by the database: {}", who, failure.ToString()));
  }

  static constexpr int kDuplicateKey = 1062;

  Connection& connection_;
  const SqlText head_;
  const SqlText tail_;
};

Step WriteCounters(Connection& connection, std::uint32_t part, const CounterChanges& changes);

// Lines that stand already change nothing.
Step WriteLogs(Connection& connection, std::vector<const LogRow*> rows);

}  // namespace lts::store::mysql

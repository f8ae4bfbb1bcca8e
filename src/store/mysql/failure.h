// What went wrong with a statement, as far as a caller must know it. Server and client error
// numbers are those of MySQL 8 and MariaDB; the texts of servers are shown, never interpreted
// beyond the row number that some of them name.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "lts/status.h"

namespace lts::store::mysql {

enum class FailureKind {
  kNone,
  kLost,      // the connection is gone, or no answer came in time
  kAgain,     // deadlock, lock wait: the same transaction may go through
  kTimedOut,  // the server gave up on the statement
  kRow,       // a value or key that the database rejects
  kFull,      // disk, table or another limit of the server is full
  kReadOnly,  // the server takes no writes
  kDenied,    // user, password or rights
  kMissing,   // database, table or column is not there
  kDamaged,   // the server says that its data are damaged
  kDefect,    // a statement that the server does not understand
  kOther,     // anything else, a failing disk among it
};

struct Failure {
  FailureKind kind = FailureKind::kNone;
  int code = 0;
  std::string text;

  bool failed() const { return kind != FailureKind::kNone; }
  // "1062: Duplicate entry …"
  std::string ToString() const;
};

FailureKind KindOf(int code, std::string_view sql_state, std::string_view text);

// The row of a multi-row statement that a server's text names ("… at row 3"), from 0.
std::optional<std::size_t> RowNamed(std::string_view text);

// What a failed statement of the running store means to the caller of JobStore, when nothing
// happened.
Status ToStatus(const Failure& failure);

}  // namespace lts::store::mysql

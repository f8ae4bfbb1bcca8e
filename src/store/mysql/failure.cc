#include "store/mysql/failure.h"

#include <fmt/core.h>

#include <charconv>
#include <system_error>

namespace lts::store::mysql {

std::string Failure::ToString() const { return fmt::format("{}: {}", code, text); }

FailureKind KindOf(int code, std::string_view sql_state, std::string_view text) {
  switch (code) {
    case 1053:  // server shutdown in progress
    case 1077:  // normal shutdown
    case 1079:  // shutdown complete
    case 1152:  // aborted connection
    case 1158:
    case 1159:
    case 1160:
    case 1161:  // errors and time-outs of the network, as the server saw them
    case 1184:  // aborted connection
    case 1927:  // connection was killed (MariaDB)
    case 3169:  // session was killed
    case 4031:  // disconnected because of inactivity
    case 2000:  // an unknown error of the client library
    case 2002:  // cannot connect
    case 2003:  // cannot connect
    case 2005:  // unknown host
    case 2006:  // server has gone away
    case 2012:  // error in server handshake
    case 2013:  // lost connection during query
    case 2014:  // commands out of sync
    case 2026:  // TLS
    case 2027:  // malformed packet
    case 2055: return FailureKind::kLost;
    case 1205:  // lock wait time-out
    case 1213:  // deadlock
    case 1020:  // record has changed since last read (MariaDB's snapshot isolation)
    case 1412:  // table definition has changed
    case 1615: return FailureKind::kAgain;
    case 1317:  // query was interrupted
    case 1028:  // sort aborted
    case 1969:  // statement time-out (MariaDB)
    case 3024: return FailureKind::kTimedOut;
    case 1021:  // disk full
    case 1037:  // out of memory
    case 1038:  // out of sort memory
    case 1040:  // too many connections
    case 1041:  // out of resources
    case 1114:  // table is full
    case 1203:  // too many connections of this user
    case 1206:  // the lock table is full
    case 1226:  // a limit of the user
    case 3675:  // space for temporary tables
    case 3638: return FailureKind::kFull;
    case 1026:  // error writing a file
    case 1030:  // an error of the storage engine, with errno
      // ENOSPC, "no more room in record file", "index file is full".
      if (text.find("rror 28 ") != std::string_view::npos ||
          text.find("28 \"No space") != std::string_view::npos ||
          text.find("rror 135 ") != std::string_view::npos ||
          text.find("rror 136 ") != std::string_view::npos) {
        return FailureKind::kFull;
      }
      return FailureKind::kOther;
    case 1036:  // table is read only
    case 1290:  // the server runs with --read-only
    case 1792:  // read-only transaction
    case 1836:  // read-only mode
    case 1874: return FailureKind::kReadOnly;
    case 1044:
    case 1045:
    case 1130:  // host may not connect
    case 1142:
    case 1143:
    case 1227:
    case 1370:
    case 1396:
    case 1698:
    case 1820:  // password must be changed
    case 1862:  // password has expired
    case 3118:  // account is locked
    case 4151: return FailureKind::kDenied;
    case 1049:  // unknown database
    case 1054:  // unknown column
    case 1146:  // no such table
    case 1932: return FailureKind::kMissing;
    case 1034:  // incorrect key file
    case 1035:
    case 1194:  // table is marked as crashed
    case 1195:
    case 1712:  // index is corrupted
    case 1877:  // table is corrupted
    case 3105: return FailureKind::kDamaged;
    case 1118:  // row size too large
    case 1153:  // packet larger than max_allowed_packet
    case 1366:  // incorrect value
    case 1364:  // no default value
    case 3819:  // check constraint
    case 4025: return FailureKind::kRow;
    default: break;
  }
  // Data exceptions and integrity violations; lost connections.
  const std::string_view state_class = sql_state.substr(0, 2);
  if (state_class == "22" || state_class == "23") return FailureKind::kRow;
  if (state_class == "08") return FailureKind::kLost;
  if (state_class == "42" || state_class == "0A") return FailureKind::kDefect;
  return FailureKind::kOther;
}

std::optional<std::size_t> RowNamed(std::string_view text) {
  constexpr std::string_view kAtRow = "at row ";
  const std::size_t at = text.rfind(kAtRow);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + kAtRow.size());
  std::size_t row = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), row);
  if (error != std::errc() || row == 0) return std::nullopt;
  return row - 1;
}

Status ToStatus(const Failure& failure) {
  const std::string text = "the database: " + failure.ToString();
  switch (failure.kind) {
    case FailureKind::kNone: return Status::Ok();
    case FailureKind::kLost:
    case FailureKind::kAgain:
    case FailureKind::kTimedOut:
    // Rights and read-only mode can be given back while the store is in use; nobody's job is
    // refused for them.
    case FailureKind::kDenied:
    case FailureKind::kOther: return Status::Unavailable(text);
    case FailureKind::kReadOnly:
      return Status::Unavailable(text + "; the server of configs.jdbc.url takes no writes");
    case FailureKind::kRow: return Status::InvalidArgument(text);
    case FailureKind::kFull: return Status::ResourceExhausted(text);
    case FailureKind::kMissing:
    case FailureKind::kDamaged: return Status::DataLoss(text);
    case FailureKind::kDefect: return Status::Internal(text);
  }
  return Status::Internal(text);
}

}  // namespace lts::store::mysql

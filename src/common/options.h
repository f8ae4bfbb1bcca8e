// Options: each is declared once, as a row; loading, bounds, help text, configuration skeleton and
// the output of --check-config come from the rows.
//
//   const OptionTable table(Daemon::kJobTracker, {
//       {.name = "listenPort", .text = "Port for RPC; 0 takes a free one.", .type =
//       OptionType::kInt,
//        .default_value = "35001", .min = 0, .max = 65535, .restart = true},
//   });
//   Result<Options> options = table.Load(sources);
//   int port = options->Int("listenPort");
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/duration.h"
#include "lts/status.h"

namespace lts {

enum class OptionType : std::uint8_t {
  kString,
  kInt,  // 32 bits
  kInt64,
  kDouble,
  kBool,        // true or false
  kDurationMs,  // "500ms", "30s", "5m", "4h", "7d"; a bare number counts OptionRow::bare_unit_ms
  kBytes,       // "65536", "64KiB", "64K", "1MiB", "2GiB"; K, M, G, T are powers of 1024
  kList,        // separated by commas, blanks around items dropped, empty items dropped
};

// The programs that take options; a row names those it has a meaning for.
enum class Daemon : std::uint8_t { kJobTracker = 1, kTaskTracker = 2, kJobClient = 4, kAdmin = 8 };
inline constexpr std::uint8_t kAllDaemons = 15;
constexpr std::uint8_t operator|(Daemon a, Daemon b) {
  return static_cast<std::uint8_t>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr std::uint8_t operator|(std::uint8_t a, Daemon b) {
  return static_cast<std::uint8_t>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr std::uint8_t Only(Daemon daemon) { return static_cast<std::uint8_t>(daemon); }

// The name of the program: "jobtracker", "tasktracker", "jobclient", "lts-admin".
std::string_view DaemonName(Daemon daemon);

// One option. The texts must live as long as the table: literals.
struct OptionRow {
  // The original's key, without `configs.`. A name that ends in `*` stands for every key with that
  // beginning (type kString; not from the environment).
  std::string_view name;
  std::string_view text;  // what it does, in a sentence or two
  OptionType type = OptionType::kString;
  // As it would stand in a file. Empty: no value; then a number reads as 0 and IsSet is false.
  std::string_view default_value{};
  // Of numbers, durations in ms and bytes; inclusive.
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::string_view choices{};     // kString: the values allowed, separated by '|'; empty: any
  std::int64_t bare_unit_ms = 1;  // kDurationMs: what a number without a unit counts
  bool restart = true;            // a change needs a restart
  bool secret = false;            // never printed; `NAME_file` names a file with the value
  std::uint8_t daemons = kAllDaemons;
};

enum class OptionSource : std::uint8_t { kDefault, kFile, kEnvironment, kFlag };

// Where values come from, weakest last: flags, environment, file, defaults.
struct OptionSources {
  std::vector<std::pair<std::string, std::string>> flags;  // name and value, as on the command line
  std::map<std::string, std::string> environment;          // e.g. LtsEnvironment()
  std::string file;                                        // path; empty: none
};

// The variables of this process whose names start with LTS_.
std::map<std::string, std::string> LtsEnvironment();

// The environment variable of an option: "ops.listen" -> "LTS_OPS_LISTEN".
std::string OptionEnvironmentName(std::string_view option);

// Loaded values. Immutable, copyable, thread-safe. Asking for a name that is not a row, or with the
// wrong type, is a programming error and aborts.
class Options {
 public:
  const std::string& String(std::string_view name) const;
  int Int(std::string_view name) const;
  std::int64_t Int64(std::string_view name) const;  // kInt and kInt64
  double Double(std::string_view name) const;
  bool Bool(std::string_view name) const;
  DurationMs Duration(std::string_view name) const;  // milliseconds
  std::int64_t Bytes(std::string_view name) const;
  std::vector<std::string> List(std::string_view name) const;

  // Whether a value was given by flag, environment or file.
  bool IsSet(std::string_view name) const { return Source(name) != OptionSource::kDefault; }
  OptionSource Source(std::string_view name) const;

  // What was given for the keys that start with `prefix` and belong to a `*` row: whole key ->
  // value.
  std::map<std::string, std::string> WithPrefix(std::string_view prefix) const;

  // What the operator should know about the files: keys without meaning here, values given twice.
  // One line each; to be logged once.
  const std::vector<std::string>& notices() const { return notices_; }
  // Secrets that others can read, and how to mend it. The same, as warnings.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // The output of --check-config: a line "name=value  # where from" for each option, secrets
  // hidden.
  std::string Describe() const;

 private:
  friend class OptionTable;
  struct Value {
    OptionType type = OptionType::kString;
    std::string text;
    std::int64_t integer = 0;  // also bool, duration, bytes
    double real = 0;
    std::vector<std::string> list;
    OptionSource source = OptionSource::kDefault;
    std::string origin;  // "default", "conf/x.cfg:7", "LTS_LISTENPORT", "--listenPort"
    bool secret = false;
    bool wildcard = false;  // belongs to a `*` row
  };
  const Value& Find(std::string_view name, OptionType type) const;

  std::map<std::string, Value, std::less<>> values_;
  std::vector<std::string> notices_;
  std::vector<std::string> warnings_;
};

// The rows of one program. Immutable, thread-safe. Rows that contradict themselves (a name twice, a
// default out of bounds) are programming errors and abort.
class OptionTable {
 public:
  // `shared`: more rows, of which other programs have some too.
  OptionTable(Daemon daemon, const std::vector<OptionRow>& rows,
              const std::vector<OptionRow>& shared = {});

  // Keys may carry the original's prefix `configs.`. Keys of the original that mean nothing here
  // are accepted with a notice. Everything wrong is reported at once, one line each, with file and
  // line or the flag or variable: unknown keys (and the nearest name), values that do not parse or
  // are out of bounds, engines that are not supported. kInvalidArgument; kNotFound when the file
  // cannot be opened.
  Result<Options> Load(const OptionSources& sources) const;

  // For --help.
  std::string Help() const;
  // A configuration file with every option as a comment: its text, and its default.
  std::string ConfSkeleton() const;

  Daemon daemon() const { return daemon_; }
  const std::vector<OptionRow>& rows() const { return rows_; }

 private:
  class Loader;
  const OptionRow* FindRow(std::string_view name) const;

  const Daemon daemon_;
  std::vector<OptionRow> rows_;          // those of this daemon, in the order given
  std::vector<OptionRow> foreign_rows_;  // known, but of other daemons
};

// Parse the texts of the types above (durations: common/duration.h). kInvalidArgument with a reason
// that does not repeat the text.
Result<std::int64_t> ParseBytes(std::string_view text);
Result<std::int64_t> ParseInteger(std::string_view text);
Result<double> ParseDouble(std::string_view text);
Result<bool> ParseBool(std::string_view text);
std::vector<std::string> ParseList(std::string_view text);

}  // namespace lts

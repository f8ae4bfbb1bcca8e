#include "common/options.h"

#include <fmt/core.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <set>

#include "common/nearest.h"
#include "common/option_original.h"
#include "common/properties.h"

namespace lts {
namespace {

constexpr std::string_view kPrefix = "configs.";
constexpr std::string_view kFileSuffix = "_file";
constexpr std::size_t kSecretBytesMax = 64 << 10;

[[noreturn]] void AbortProgram(std::string_view name, std::string_view why) {
  fmt::print(stderr, "option {}: {}\n", name, why);
  std::abort();
}

std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool IsWildcard(const OptionRow& row) { return row.name.ends_with('*'); }

std::string_view WildcardPrefix(const OptionRow& row) {
  return row.name.substr(0, row.name.size() - 1);
}

bool Matches(const OptionRow& row, std::string_view name) {
  return IsWildcard(row) ? name.starts_with(WildcardPrefix(row)) : row.name == name;
}

std::string_view TypeText(OptionType type) {
  switch (type) {
    case OptionType::kString: return "text";
    case OptionType::kInt:
    case OptionType::kInt64: return "whole number";
    case OptionType::kDouble: return "number";
    case OptionType::kBool: return "true or false";
    case OptionType::kDurationMs: return "duration";
    case OptionType::kBytes: return "bytes";
    case OptionType::kList: return "list, separated by commas";
  }
  return "text";
}

std::string DurationText(DurationMs ms) {
  struct Unit {
    std::int64_t ms;
    const char* name;
  };
  constexpr std::array kUnits = {Unit{86'400'000, "d"}, Unit{3'600'000, "h"}, Unit{60'000, "m"},
                                 Unit{1'000, "s"}};
  for (const Unit& unit : kUnits) {
    if (ms != 0 && ms % unit.ms == 0) return fmt::format("{}{}", ms / unit.ms, unit.name);
  }
  return fmt::format("{}ms", ms);
}

std::string BytesText(std::int64_t bytes) {
  constexpr std::array kUnits = {"TiB", "GiB", "MiB", "KiB"};
  std::int64_t size = 1LL << 40;
  for (const char* unit : kUnits) {
    if (bytes != 0 && bytes % size == 0) return fmt::format("{}{}", bytes / size, unit);
    size >>= 10;
  }
  return fmt::format("{}", bytes);
}

std::string BoundText(const OptionRow& row, std::int64_t bound) {
  if (row.type == OptionType::kDurationMs) return DurationText(bound);
  if (row.type == OptionType::kBytes) return BytesText(bound);
  return fmt::format("{}", bound);
}

// " from 0 to 65535", " at least 1s", or nothing.
std::string BoundsText(const OptionRow& row) {
  const bool has_min = row.min != std::numeric_limits<std::int64_t>::min();
  const bool has_max = row.max != std::numeric_limits<std::int64_t>::max();
  if (has_min && has_max) {
    return fmt::format(" from {} to {}", BoundText(row, row.min), BoundText(row, row.max));
  }
  if (has_min) return fmt::format(" at least {}", BoundText(row, row.min));
  if (has_max) return fmt::format(" at most {}", BoundText(row, row.max));
  return {};
}

// "whole number from 0 to 65535", "rocksdb or mysql".
std::string ExpectationText(const OptionRow& row) {
  if (!row.choices.empty()) {
    std::string text(row.choices);
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 4) {
      text.replace(at, 1, " or ");
    }
    return text;
  }
  return std::string(TypeText(row.type)) + BoundsText(row);
}

bool IsChoice(std::string_view choices, std::string_view value) {
  while (true) {
    const std::size_t bar = choices.find('|');
    if (choices.substr(0, bar) == value) return true;
    if (bar == std::string_view::npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

// The text in lines of at most 100 columns, each starting with `indent`.
std::string Wrap(std::string_view text, std::string_view indent) {
  constexpr std::size_t kColumns = 100;
  std::string out;
  std::string line(indent);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.size() > indent.size() && line.size() + 1 + word.size() > kColumns) {
      out.append(line).push_back('\n');
      line = indent;
    }
    if (line.size() > indent.size()) line.push_back(' ');
    line.append(word);
  }
  return out.append(line).append("\n");
}

}  // namespace

std::string_view DaemonName(Daemon daemon) {
  switch (daemon) {
    case Daemon::kJobTracker: return "jobtracker";
    case Daemon::kTaskTracker: return "tasktracker";
    case Daemon::kJobClient: return "jobclient";
    case Daemon::kAdmin: return "lts-admin";
  }
  return "lts";
}

Result<std::int64_t> ParseInteger(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return Status::InvalidArgument("too large");
  if (error != std::errc() || end != text.data() + text.size()) {
    return Status::InvalidArgument("not a whole number");
  }
  return value;
}

Result<double> ParseDouble(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return Status::InvalidArgument("not a number");
  }
  return value;
}

Result<bool> ParseBool(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower == "true") return true;
  if (lower == "false") return false;
  return Status::InvalidArgument("neither true nor false");
}

Result<std::int64_t> ParseBytes(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const Result<std::int64_t> number = ParseInteger(text.substr(0, digits));
  if (!number.ok()) return Status::InvalidArgument("not a size like 65536, 64KiB, 1MiB or 2GiB");
  std::string_view unit = text.substr(digits);
  int shift = 0;
  if (!unit.empty() && unit != "B") {
    constexpr std::string_view kLetters = "KMGT";
    const std::size_t letter = kLetters.find(unit[0]);
    const bool known =
        letter != std::string_view::npos && (unit.size() == 1 || unit.substr(1) == "iB");
    if (!known) return Status::InvalidArgument("unknown unit; use KiB, MiB, GiB or TiB");
    shift = 10 * static_cast<int>(letter + 1);
  }
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(*number, std::int64_t{1} << shift, &bytes)) {
    return Status::InvalidArgument("too large");
  }
  return bytes;
}

std::vector<std::string> ParseList(std::string_view text) {
  std::vector<std::string> items;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view item = Trim(text.substr(0, comma));
    if (!item.empty()) items.emplace_back(item);
    if (comma == std::string_view::npos) return items;
    text.remove_prefix(comma + 1);
  }
}

std::string OptionEnvironmentName(std::string_view option) {
  std::string name = "LTS_";
  for (char c : option) {
    const auto byte = static_cast<unsigned char>(c);
    name.push_back(std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_');
  }
  return name;
}

std::map<std::string, std::string> LtsEnvironment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (!text.starts_with("LTS_") || equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

// ---- Options

const Options::Value& Options::Find(std::string_view name, OptionType type) const {
  const auto found = values_.find(name);
  if (found == values_.end()) AbortProgram(name, "asked for, but not in the table");
  if (found->second.type != type)
    AbortProgram(name, "asked for with another type than its row has");
  return found->second;
}

const std::string& Options::String(std::string_view name) const {
  return Find(name, OptionType::kString).text;
}

int Options::Int(std::string_view name) const {
  return static_cast<int>(Find(name, OptionType::kInt).integer);
}

std::int64_t Options::Int64(std::string_view name) const {
  const auto found = values_.find(name);
  const bool is_int = found != values_.end() && found->second.type == OptionType::kInt;
  return Find(name, is_int ? OptionType::kInt : OptionType::kInt64).integer;
}

double Options::Double(std::string_view name) const { return Find(name, OptionType::kDouble).real; }

bool Options::Bool(std::string_view name) const {
  return Find(name, OptionType::kBool).integer != 0;
}

DurationMs Options::Duration(std::string_view name) const {
  return Find(name, OptionType::kDurationMs).integer;
}

std::int64_t Options::Bytes(std::string_view name) const {
  return Find(name, OptionType::kBytes).integer;
}

std::vector<std::string> Options::List(std::string_view name) const {
  return Find(name, OptionType::kList).list;
}

OptionSource Options::Source(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) AbortProgram(name, "asked for, but not in the table");
  return found->second.source;
}

std::map<std::string, std::string> Options::WithPrefix(std::string_view prefix) const {
  std::map<std::string, std::string> found;
  for (auto at = values_.lower_bound(prefix); at != values_.end(); ++at) {
    if (!at->first.starts_with(prefix)) break;
    if (at->second.wildcard) found.emplace(at->first, at->second.text);
  }
  return found;
}

std::string Options::Describe() const {
  std::string out;
  for (const auto& [name, value] : values_) {
    std::string_view shown = value.text;
    if (value.secret && !value.text.empty()) shown = "********";
    out.append(fmt::format("{}={}  # {}\n", name, shown, value.origin));
  }
  return out;
}

// ---- OptionTable

// One Load: collects values from the weakest source to the strongest, and every complaint.
class OptionTable::Loader {
 public:
  explicit Loader(const OptionTable& table) : table_(table) {}

  void Default(const OptionRow& row) {
    Options::Value value;
    const Status status = Parse(row, row.default_value, &value);
    if (!status.ok()) AbortProgram(row.name, "its default is wrong: " + status.message());
    value.origin = "default";
    options_.values_.insert_or_assign(std::string(row.name), std::move(value));
  }

  // `key` as written; `where` names file and line, variable or flag; `folder` is where a relative
  // path of a secret's file starts.
  void Set(std::string_view key, const std::string& text, OptionSource source,
           const std::string& where, const std::string& folder) {
    std::string_view name = key;
    if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
    if (const std::string_view instead = UnsupportedEngine(name, Trim(text)); !instead.empty()) {
      return Complain(where, fmt::format("{}={}: {}", key, Trim(text), instead));
    }
    if (const OptionRow* row = table_.FindRow(name)) return SetRow(*row, name, text, source, where);
    if (name.ends_with(kFileSuffix)) {
      const OptionRow* row = table_.FindRow(name.substr(0, name.size() - kFileSuffix.size()));
      if (row != nullptr && row->secret) {
        return SetFromFile(*row, name, std::string(Trim(text)), source, where, folder);
      }
    }
    if (source != OptionSource::kEnvironment) SetUnknown(key, name, where);
  }

  void Notice(std::string text) { options_.notices_.push_back(std::move(text)); }

  Result<Options> Finish() {
    for (const auto& [prefix, note] : ignored_) {
      Notice(fmt::format("{}: without effect: {}", note.where, note.reason));
    }
    if (!complaints_.empty()) {
      return Status::InvalidArgument(fmt::format("{}", fmt::join(complaints_, "\n")));
    }
    return std::move(options_);
  }

 private:
  struct Ignored {
    std::string where;
    std::string_view reason;
  };

  void Complain(const std::string& where, const std::string& what) {
    complaints_.push_back(where + ": " + what);
  }

  void SetRow(const OptionRow& row, std::string_view name, std::string_view text,
              OptionSource source, const std::string& where) {
    if (!GivenOnce(name, source, where)) return;
    if (row.secret && source == OptionSource::kFlag) {
      options_.warnings_.push_back(
          fmt::format("{}: a secret on the command line can be read by every user of this machine; "
                      "use {}{} or {}",
                      where, name, kFileSuffix, OptionEnvironmentName(name)));
    }
    Store(row, name, text, source, where);
  }

  void SetFromFile(const OptionRow& row, std::string_view key, std::string path,
                   OptionSource source, const std::string& where, const std::string& folder) {
    if (!GivenOnce(row.name, source, where)) return;
    if (path.empty()) return Complain(where, fmt::format("{}: names no file", key));
    if (path[0] != '/' && !folder.empty()) path.insert(0, folder + "/");
    const Result<std::string> text = ReadSmallFile(path, kSecretBytesMax);
    if (!text.ok()) return Complain(where, fmt::format("{}: {}", key, text.status().message()));
    struct stat info {};
    if (stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRGRP | S_IROTH)) != 0) {
      options_.warnings_.push_back(
          fmt::format("{}: others than its owner can read the secret in {} (mode {:04o}): "
                      "chmod 600 {}",
                      where, path, info.st_mode & 07777, path));
    }
    // Editors end the line; the line end is not part of the secret.
    std::string_view secret = *text;
    while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r'))
      secret.remove_suffix(1);
    if (secret.empty()) return Complain(where, fmt::format("{}: {} is empty", key, path));
    Store(row, row.name, secret, source, fmt::format("{}, {}", where, path));
  }

  // Within one source the last one counts, as in the original, and is pointed out.
  bool GivenOnce(std::string_view name, OptionSource source, const std::string& where) {
    const auto [at, first] = given_.insert({{std::string(name), source}, where});
    if (first) return true;
    if (source == OptionSource::kEnvironment) {
      Complain(where, fmt::format("{} is given by {} too; keep one of them", name, at->second));
      return false;
    }
    Notice(fmt::format("{}: {} again, replaces {}", where, name, at->second));
    at->second = where;
    return true;
  }

  void Store(const OptionRow& row, std::string_view name, std::string_view text,
             OptionSource source, const std::string& where) {
    Options::Value value;
    // The empty text is a value for texts and lists only; elsewhere it is a slip.
    Status status =
        Trim(text).empty() && row.type != OptionType::kString && row.type != OptionType::kList
            ? Status::InvalidArgument("empty")
            : Parse(row, text, &value);
    if (!status.ok()) {
      const std::string shown = row.secret ? "(hidden)" : std::string(text);
      return Complain(where, fmt::format("{}={}: {}; expected {}", name, shown, status.message(),
                                         ExpectationText(row)));
    }
    value.source = source;
    value.origin = where;
    options_.values_.insert_or_assign(std::string(name), std::move(value));
  }

  static Status Parse(const OptionRow& row, std::string_view raw, Options::Value* value) {
    const std::string_view text = row.secret ? raw : Trim(raw);
    value->type = row.type;
    value->text = text;
    value->secret = row.secret;
    value->wildcard = IsWildcard(row);
    if (text.empty()) return Status::Ok();
    switch (row.type) {
      case OptionType::kString:
        if (!row.choices.empty() && !IsChoice(row.choices, text)) {
          return Status::InvalidArgument("not one of the choices");
        }
        return Status::Ok();
      case OptionType::kList: value->list = ParseList(text); return Status::Ok();
      case OptionType::kBool: {
        const Result<bool> parsed = ParseBool(text);
        if (!parsed.ok()) return parsed.status();
        value->integer = *parsed ? 1 : 0;
        return Status::Ok();
      }
      case OptionType::kDouble: {
        const Result<double> parsed = ParseDouble(text);
        if (!parsed.ok()) return parsed.status();
        value->real = *parsed;
        if (*parsed < static_cast<double>(row.min) || *parsed > static_cast<double>(row.max)) {
          return Status::InvalidArgument("out of bounds");
        }
        return Status::Ok();
      }
      case OptionType::kInt: return ParseBounded(row, ParseInteger(text), value);
      case OptionType::kInt64: return ParseBounded(row, ParseInteger(text), value);
      case OptionType::kBytes: return ParseBounded(row, ParseBytes(text), value);
      case OptionType::kDurationMs:
        return ParseBounded(row, ParseDuration(text, row.bare_unit_ms), value);
    }
    return Status::Internal("option type without a parser");
  }

  static Status ParseBounded(const OptionRow& row, const Result<std::int64_t>& parsed,
                             Options::Value* value) {
    if (!parsed.ok()) return parsed.status();
    value->integer = *parsed;
    const bool is_int = row.type == OptionType::kInt;
    const std::int64_t min =
        is_int ? std::max<std::int64_t>(row.min, std::numeric_limits<int>::min()) : row.min;
    const std::int64_t max =
        is_int ? std::min<std::int64_t>(row.max, std::numeric_limits<int>::max()) : row.max;
    if (*parsed < min || *parsed > max) return Status::InvalidArgument("out of bounds");
    return Status::Ok();
  }

  void SetUnknown(std::string_view key, std::string_view name, const std::string& where) {
    for (const OptionRow& row : table_.foreign_rows_) {
      const bool secret_file = row.secret && name.ends_with(kFileSuffix) &&
                               name.substr(0, name.size() - kFileSuffix.size()) == row.name;
      if (Matches(row, name) || secret_file) {
        return Ignore(row.name, key, where, "belongs to another kind of node");
      }
    }
    std::string_view group;
    if (const std::string_view reason = OriginalKeyReason(name, &group); !reason.empty()) {
      return Ignore(group, key, where, reason);
    }
    std::string hint = fmt::format("; {} --help lists the options", DaemonName(table_.daemon_));
    std::vector<std::string_view> names;
    for (const OptionRow& row : table_.rows_) names.push_back(row.name);
    if (const std::string_view nearest = Nearest(name, names); !nearest.empty()) {
      hint = fmt::format("; did you mean \"{}\"?", nearest);
    }
    Complain(where, fmt::format("unknown key \"{}\"{}", key, hint));
  }

  void Ignore(std::string_view group, std::string_view key, const std::string& where,
              std::string_view reason) {
    Ignored& note = ignored_[std::string(group)];
    note.reason = reason;
    note.where.append(note.where.empty() ? "" : ", ").append(where).append(" ").append(key);
  }

  const OptionTable& table_;
  Options options_;
  std::vector<std::string> complaints_;
  std::map<std::pair<std::string, OptionSource>, std::string> given_;  // -> where
  std::map<std::string, Ignored> ignored_;
};

OptionTable::OptionTable(Daemon daemon, const std::vector<OptionRow>& rows,
                         const std::vector<OptionRow>& shared)
    : daemon_(daemon) {
  std::set<std::string_view> names;
  std::vector<OptionRow> all = rows;
  all.insert(all.end(), shared.begin(), shared.end());
  for (const OptionRow& row : all) {
    if (!names.insert(row.name).second) AbortProgram(row.name, "declared twice");
    if (row.text.empty()) AbortProgram(row.name, "declared without a text");
    if (IsWildcard(row) && row.type != OptionType::kString) {
      AbortProgram(row.name, "a * row holds texts");
    }
    const bool ours = (row.daemons & static_cast<std::uint8_t>(daemon)) != 0;
    (ours ? rows_ : foreign_rows_).push_back(row);
  }
  Loader check(*this);
  for (const OptionRow& row : rows_) check.Default(row);
}

const OptionRow* OptionTable::FindRow(std::string_view name) const {
  const OptionRow* wildcard = nullptr;
  for (const OptionRow& row : rows_) {
    if (row.name == name) return &row;
    if (IsWildcard(row) && Matches(row, name)) wildcard = &row;
  }
  return wildcard;
}

Result<Options> OptionTable::Load(const OptionSources& sources) const {
  Loader loader(*this);
  for (const OptionRow& row : rows_) {
    if (!IsWildcard(row)) loader.Default(row);
  }
  if (!sources.file.empty()) {
    const Result<std::vector<Property>> properties = ReadProperties(sources.file);
    if (!properties.ok()) return properties.status();
    const std::size_t slash = sources.file.rfind('/');
    const std::string folder =
        slash == std::string::npos ? std::string() : sources.file.substr(0, slash);
    for (const Property& property : *properties) {
      loader.Set(property.key, property.value, OptionSource::kFile,
                 fmt::format("{}:{}", sources.file, property.line), folder);
    }
  }
  for (const OptionRow& row : rows_) {
    if (IsWildcard(row)) continue;
    std::vector<std::string> names = {std::string(row.name)};
    if (row.secret) names.push_back(std::string(row.name).append(kFileSuffix));
    for (const std::string& name : names) {
      const auto variable = sources.environment.find(OptionEnvironmentName(name));
      if (variable == sources.environment.end()) continue;
      loader.Set(name, variable->second, OptionSource::kEnvironment, variable->first, "");
    }
  }
  for (const auto& [name, value] : sources.flags) {
    loader.Set(name, value, OptionSource::kFlag, "--" + name, "");
  }
  return loader.Finish();
}

std::string OptionTable::Help() const {
  std::string out = fmt::format(
      "Options of {}: from --NAME VALUE, the environment (LTS_NAME), the file, the default, in "
      "this "
      "order.\n",
      DaemonName(daemon_));
  for (const OptionRow& row : rows_) {
    out.append(fmt::format("\n  {}  ({}", row.name, ExpectationText(row)));
    if (!row.default_value.empty() && !row.secret) {
      out.append(fmt::format("; default {}", row.default_value));
    }
    if (row.secret) out.append("; secret, or ").append(row.name).append("_file");
    if (!row.restart) out.append("; takes effect without a restart");
    out.append(")\n").append(Wrap(row.text, "      "));
  }
  return out;
}

std::string OptionTable::ConfSkeleton() const {
  std::string out = fmt::format(
      "# Options of {}, each with its default. Remove the # to change one.\n", DaemonName(daemon_));
  for (const OptionRow& row : rows_) {
    out.push_back('\n');
    out.append(Wrap(row.text, "# "));
    out.append(fmt::format("# ({}{})\n", ExpectationText(row), row.secret ? "; secret" : ""));
    if (row.secret) {
      out.append(fmt::format("#{}{}=\n", row.name, kFileSuffix));
    } else {
      out.append(fmt::format("#{}={}\n", row.name, row.default_value));
    }
  }
  return out;
}

}  // namespace lts

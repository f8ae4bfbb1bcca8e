// jobclient cron next: offline, asks no JobTracker.
#include "model/cron.h"

#include <fmt/core.h>

#include <fstream>
#include <memory>
#include <optional>

#include "common/daemon.h"
#include "common/options.h"
#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "model/time_zone.h"

namespace lts::jobclient::cli {
namespace {

constexpr std::size_t kLineBytesMax = 4'096;
// Bounds what the arithmetic of times has to stand: the years 1 to 9999.
constexpr std::int64_t kFromMin = -62'135'596'800;
constexpr std::int64_t kFromMax = 253'402'300'799;

struct CronFlags {
  std::string expression;
  std::string zone = "UTC";
  std::optional<std::int64_t> from_s;
  int count = 5;
  std::string file;
};

struct Fires {
  std::vector<std::int64_t> seconds;
  bool exhausted = false;  // there are no more
};

Result<Fires> NextFires(std::string_view expression, const std::string& zone_name,
                        std::int64_t from_s, int count) {
  const auto cron = model::CronExpression::Parse(expression);
  if (!cron.ok()) return cron.status();
  const auto zone = model::FindTimeZone(zone_name);
  if (!zone.ok()) return zone.status();
  Fires fires;
  for (int i = 0; i < count; ++i) {
    const auto next = cron->NextAfter(from_s, **zone);
    fires.exhausted = !next;
    if (!next) break;
    fires.seconds.push_back(*next);
    from_s = *next;
  }
  return fires;
}

std::string FiresText(const Fires& fires) {
  std::string text;
  for (const std::int64_t second : fires.seconds) text += std::to_string(second) + ",";
  if (fires.exhausted) return text + "-";
  if (!text.empty()) text.pop_back();
  return text;
}

Json FiresJson(const std::string& expression, const std::string& zone, Json from,
               const Result<Fires>& fires) {
  Json json;
  json["expression"] = expression;
  json["timeZone"] = zone;
  json["from"] = std::move(from);
  json["fires"] = Json::array();
  json["exhausted"] = fires.ok() && fires->exhausted;
  json["invalid"] = fires.ok() ? Json(nullptr) : Json(fires.status().message());
  if (!fires.ok()) return json;
  for (const std::int64_t second : fires->seconds) {
    json["fires"].push_back(FormatUtc(second * 1000));
  }
  return json;
}

// A line of a file: "expression TAB zone TAB start"; what follows another TAB is ignored.
struct CronLine {
  std::string expression;
  std::string zone = "UTC";
  std::optional<std::int64_t> from_s;
};

Status ReadCronLine(std::string_view line, CronLine* out) {
  const std::size_t first = line.find('\t');
  out->expression = line.substr(0, first);
  const std::size_t second = first == std::string_view::npos ? first : line.find('\t', first + 1);
  if (second == std::string_view::npos) {
    return Status::InvalidArgument(
        "expected an expression, a zone and a start in epoch seconds, separated by TABs");
  }
  if (second > first + 1) out->zone = line.substr(first + 1, second - first - 1);
  std::string_view start = line.substr(second + 1);
  start = start.substr(0, start.find('\t'));
  const Result<std::int64_t> from_s = ParseInteger(start);
  if (!from_s.ok() || *from_s < kFromMin || *from_s > kFromMax) {
    return Status::InvalidArgument(fmt::format("start \"{}\": expected epoch seconds from {} to {}",
                                               start, kFromMin, kFromMax));
  }
  out->from_s = *from_s;
  return Status::Ok();
}

std::string AnswerLine(const Context& context, std::string_view text, bool cut, int count) {
  CronLine line;
  const Status read =
      cut ? Status::InvalidArgument(fmt::format("longer than {} bytes", kLineBytesMax))
          : ReadCronLine(text, &line);
  const Result<Fires> fires =
      read.ok() ? NextFires(line.expression, line.zone, *line.from_s, count) : Result<Fires>(read);
  if (context.format == Format::kJson) {
    return Dump(FiresJson(line.expression, line.zone,
                          line.from_s ? Json(FormatUtc(*line.from_s * 1000)) : Json(nullptr),
                          fires));
  }
  return fires.ok() ? FiresText(*fires) : "invalid: " + fires.status().message();
}

int CronFile(const Context& context, const CronFlags& flags) {
  std::ifstream file;
  if (flags.file != "-") file.open(flags.file, std::ios::binary);
  std::istream& in = flags.file == "-" ? context.env.in : file;
  if (!in) return context.Fail(Status::NotFound(fmt::format("{} cannot be opened", flags.file)));
  std::string line;
  bool cut = false;
  while (ReadLine(in, kLineBytesMax, &line, &cut)) {
    if (line.find_first_not_of(" \t") == std::string::npos || line[0] == '#') continue;
    context.env.out << AnswerLine(context, line, cut, flags.count) << '\n';
  }
  if (in.bad()) return context.Fail(Status::Internal(fmt::format("{} cannot be read", flags.file)));
  return kOk;
}

int CronNext(const Context& context, const CronFlags& flags) {
  if (flags.expression.empty() == flags.file.empty()) {
    return context.Usage(
        "cron next needs an expression, or --file; see: jobclient cron next --help");
  }
  if (!flags.file.empty()) return CronFile(context, flags);
  const std::int64_t from_s = flags.from_s.value_or(context.env.clock.WallMs() / 1000);
  const Result<Fires> fires = NextFires(flags.expression, flags.zone, from_s, flags.count);
  if (!fires.ok()) {
    return context.Fail(fires.status().WithContext(fmt::format("\"{}\"", flags.expression)));
  }
  if (context.format == Format::kTable) {
    context.env.out << FiresText(*fires) << '\n';
    return kOk;
  }
  context.env.out << Dump(FiresJson(flags.expression, flags.zone, Json(FormatUtc(from_s * 1000)),
                                    fires))
                  << '\n';
  return kOk;
}

}  // namespace

Verb CronVerb() {
  return {.name = "cron",
          .summary = "look at cron expressions, offline",
          .examples = {"jobclient cron next '0 30 2 ? * MON-FRI' --tz Europe/Berlin"}};
}

Verb CronNextVerb() {
  return {
      .name = "cron next",
      .summary =
          "print the next fires in epoch seconds, separated by commas; - stands for: no more",
      .usage = "EXPR [--tz ZONE] [--from EPOCH_S] [-n COUNT] | --file FILE [-n COUNT]",
      .examples = {"jobclient cron next '0 30 2 ? * MON-FRI' --tz Europe/Berlin --from 1767225600 "
                   "-n 3"},
      .declare = [](CLI::App& verb, Context& context) -> Action {
        const auto flags = std::make_shared<CronFlags>();
        verb.add_option("EXPR", flags->expression,
                        "Quartz (6 or 7 fields) or Unix (5 fields) text, @daily …");
        verb.add_option("--tz", flags->zone, "IANA time zone (default: UTC)")->type_name("ZONE");
        AddNumber(verb, "--from", flags->from_s, "epoch seconds; fires after it (default: now)",
                  kFromMin, kFromMax);
        AddNumber(verb, "-n", flags->count, "how many (default: 5)", 1, 100'000);
        verb.add_option(
                "--file", flags->file,
                "lines of expression TAB zone TAB start in epoch seconds; - is standard input. One "
                "output line for each that is neither blank nor #")
            ->type_name("FILE");
        return [&context, flags] { return CronNext(context, *flags); };
      }};
}

}  // namespace lts::jobclient::cli

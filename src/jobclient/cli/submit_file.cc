#include "jobclient/cli/submit_file.h"

#include <fmt/core.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "jobclient/cli/job_json.h"
#include "jobclient/cli/progress.h"
#include "jobclient/job_checker.h"
#include "lts/v1/types.pb.h"
#include "model/schedule.h"

namespace lts::jobclient::cli {
namespace {

constexpr std::size_t kLineBytesMax = 2U << 20;  // a job of the largest payload, in Base64, fits
constexpr std::size_t kChunk = 1'000;

// One line of the file.
struct Line {
  std::size_t number = 0;
  std::string task;
  std::string group;
};

struct Chunk {
  std::vector<Line> lines;
  std::vector<Result<model::JobSpec>> specs;  // one for each line
};

// Gets chunk after chunk; false: no further one.
using TakeChunk = std::function<bool(Chunk chunk, Progress& progress)>;

std::optional<std::uint64_t> SizeOf(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error) return std::nullopt;
  return bytes;
}

Result<model::JobSpec> SpecFromLine(const std::string& text, bool cut, Line* line) {
  if (cut) {
    return Status::InvalidArgument(
        fmt::format("the line is longer than {} bytes, the most there can be", kLineBytesMax));
  }
  v1::Job job;
  auto spec = JobFromJson(text, &job);
  line->task = job.task_id();
  line->group = job.task_tracker_node_group();
  return spec;
}

// ok, or why the file could not be read to its end.
Status ReadChunks(const Context& context, const FileFlags& flags, const TakeChunk& take) {
  std::ifstream file;
  if (flags.file != "-") file.open(flags.file, std::ios::binary);
  std::istream& in = flags.file == "-" ? context.env.in : file;
  if (!in) {
    return Status::NotFound(
        fmt::format("{} cannot be opened: {}", flags.file, std::generic_category().message(errno)));
  }
  Progress progress(context.env, !flags.no_progress,
                    flags.file == "-" ? std::nullopt : SizeOf(flags.file));
  std::size_t number = 0;
  std::uint64_t bytes = 0;
  std::string text;
  bool cut = false;
  bool more = true;
  while (more) {
    Chunk chunk;
    while (chunk.specs.size() < kChunk && (more = ReadLine(in, kLineBytesMax, &text, &cut))) {
      Line line;
      line.number = ++number;
      bytes += text.size() + 1;
      if (text.find_first_not_of(" \t") != std::string::npos) {
        Result<model::JobSpec> spec = SpecFromLine(text, cut, &line);
        chunk.lines.push_back(std::move(line));
        chunk.specs.push_back(std::move(spec));
      }
      // Jobs that come in slowly are not kept waiting for a full chunk.
      if (in.rdbuf()->in_avail() <= 0) break;
    }
    if (!take(std::move(chunk), progress)) break;
    if (more) progress.Show(number, bytes);
  }
  if (in.bad()) return Status::Internal(fmt::format("{} cannot be read", flags.file));
  return Status::Ok();
}

void SayWrong(const Context& context, const Line& line, const Status& why) {
  context.env.err << "jobclient: line " << line.number << ": " << WithJsonNames(why.message())
                  << '\n';
}

// When a job that is accepted now would first be due, in a cluster whose zone is UTC; null: at
// once.
Json FirstDue(const model::JobSpec& spec, TimeMs now_ms) {
  if (spec.IsSchedule()) {
    const auto fires = model::MakeFireTimes(spec, now_ms, model::JobLimits().default_time_zone);
    const auto first = fires.ok() ? (*fires)->Next(now_ms - 1) : std::nullopt;
    return first ? TimeJson(*first) : Json(nullptr);
  }
  if (spec.trigger_delay_ms) return TimeJson(now_ms + *spec.trigger_delay_ms);
  return spec.trigger_time_ms ? TimeJson(*spec.trigger_time_ms) : Json(nullptr);
}

const std::vector<Printer::Column> kCheckColumns = {
    {"LINE", "line"}, {"TASK", "taskId"},      {"GROUP", "taskTrackerNodeGroup"},
    {"TYPE", "type"}, {"DUE", "nextFireTime"}, {"OUTCOME", "outcome"}};

// The answer to a job that would be sent, or to one that would be refused.
Json CheckJson(const Line& line, const model::JobSpec* spec, const Status& status, TimeMs now_ms) {
  Json json;
  json["line"] = line.number == 0 ? Json(nullptr) : Json(line.number);
  json["taskId"] = line.task;
  json["taskTrackerNodeGroup"] = line.group;
  json["type"] = spec == nullptr ? Json(nullptr) : Json(std::string(model::Name(spec->Type())));
  json["nextFireTime"] = status.ok() ? FirstDue(*spec, now_ms) : Json(nullptr);
  json["outcome"] = status.ok() ? "WOULD_SUBMIT" : "REFUSED";
  json["message"] = WithJsonNames(status.message());
  return json;
}

}  // namespace

const std::vector<Printer::Column> kReceiptColumns = {{"JOB ID", "jobId"},
                                                      {"TASK", "taskId"},
                                                      {"GROUP", "taskTrackerNodeGroup"},
                                                      {"OUTCOME", "outcome"}};

Json ReceiptJson(const SubmitReceipt& receipt, const std::string& task, const std::string& group) {
  Json json;
  json["jobId"] = receipt.job_id;
  json["taskId"] = task;
  json["taskTrackerNodeGroup"] = group;
  json["outcome"] = std::string(SubmitOutcomeName(receipt.outcome));
  return json;
}

void SayWhereStored(const Context& context, const JobClientOptions& options, ClientCore& client) {
  context.env.err << "jobclient: stored in " << client.fail_store()->path()
                  << "; it is sent by the next process with node group " << options.node_group
                  << " and data path " << options.data_path
                  << ", for instance: jobclient agent --client-group " << options.node_group
                  << " --data-path '" << options.data_path << "'\n";
}

int SubmitFile(const Context& context, const FileFlags& flags, const JobClientOptions& options,
               ClientCore& client) {
  Printer printer(context, kReceiptColumns);
  int code = kOk;
  bool any_bad = false;
  bool told_where = false;
  const auto send = [&](Chunk chunk, Progress& progress) {
    bool reached = chunk.specs.empty();
    const std::vector<Result<SubmitReceipt>> receipts = client.SubmitAll(std::move(chunk.specs));
    progress.Clear();
    for (std::size_t i = 0; i < receipts.size(); ++i) {
      const Line& line = chunk.lines[i];
      if (receipts[i].ok()) {
        if (receipts[i]->outcome == SubmitOutcome::kStored && !told_where) {
          SayWhereStored(context, options, client);
          told_where = true;
        }
        printer.Print(ReceiptJson(*receipts[i], line.task, line.group));
        reached = true;
        continue;
      }
      const Status& why = receipts[i].status();
      SayWrong(context, line, why);
      if (why.code() == StatusCode::kInvalidArgument) any_bad = true;
      if (why.code() != StatusCode::kUnavailable) reached = true;
      if (code == kOk) code = ExitCodeFor(why.code());
    }
    printer.EndPage();
    context.env.out.flush();
    if (!reached) {
      context.env.err << "jobclient: stopped after line " << chunk.lines.back().number
                      << ": no JobTracker is reachable; the lines after it were not sent\n";
    }
    return reached;
  };
  const Status read = ReadChunks(context, flags, send);
  if (!read.ok()) return context.Fail(read);
  return any_bad ? kError : code;
}

int CheckFile(const Context& context, const FileFlags& flags, const JobClientOptions& options) {
  Printer printer(context, kCheckColumns);
  JobChecker checker(options);
  std::uint64_t good = 0;
  std::uint64_t bad = 0;
  const auto check = [&](Chunk chunk, Progress& progress) {
    progress.Clear();
    const TimeMs now_ms = context.env.clock.WallMs();
    for (std::size_t i = 0; i < chunk.specs.size(); ++i) {
      Result<model::JobSpec>& spec = chunk.specs[i];
      const Status status = spec.ok() ? checker.Complete(now_ms, &*spec) : spec.status();
      printer.Print(CheckJson(chunk.lines[i], spec.ok() ? &*spec : nullptr, status, now_ms));
      ++(status.ok() ? good : bad);
      if (!status.ok()) SayWrong(context, chunk.lines[i], status);
    }
    printer.EndPage();
    return static_cast<bool>(context.env.out.flush());
  };
  const Status read = ReadChunks(context, flags, check);
  if (!read.ok()) return context.Fail(read);
  context.env.err << "jobclient: nothing was sent; good: " << good << ", wrong: " << bad << '\n';
  return bad == 0 ? kOk : kError;
}

int CheckOne(const Context& context, model::JobSpec spec, const JobClientOptions& options,
             const std::function<Status(const Status&)>& name_option) {
  const TimeMs now_ms = context.env.clock.WallMs();
  const Status status = JobChecker(options).Complete(now_ms, &spec);
  if (!status.ok()) return context.Fail(name_option(status));
  Printer(context, kCheckColumns)
      .Print(CheckJson({0, spec.task_id, spec.group}, &spec, status, now_ms));
  context.env.err << "jobclient: nothing was sent\n";
  return kOk;
}

}  // namespace lts::jobclient::cli

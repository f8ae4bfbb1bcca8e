// jobclient logs
#include <memory>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "lts/v1/query.pb.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {
namespace {

constexpr std::int32_t kPage = 1'000;
constexpr std::int64_t kFollowMs = 500;

struct LogsFlags {
  JobName name;
  std::int32_t attempt = 0;
  bool follow = false;
  bool life = false;
};

void Print(const Context& context, const v1::LogEntry& entry) {
  Json json;
  json["time"] = TimeJson(entry.time_ms());
  json["level"] = entry.level();
  json["type"] = entry.type();
  json["cycle"] = TimeJson(entry.cycle_ms());
  json["attempt"] = entry.attempt();
  json["line"] = NumberJson(entry.line());
  json["node"] = entry.node();
  json["message"] = entry.message();
  if (context.format == Format::kJson) {
    context.env.out << Dump(json) << '\n';
  } else {
    context.env.out << CellText(json["time"]) << ' ' << CellText(json["level"]) << ' '
                    << (entry.type().empty() || entry.type() == "BIZ" ? "" : entry.type() + " ")
                    << CellText(json["message"]) << '\n';
  }
}

bool HasEnded(v1::JobState state) {
  return state != v1::WAITING && state != v1::RUNNING && state != v1::SUSPENDED &&
         state != v1::ACTIVE;
}

// Nothing of the attempt shown will follow: whether to go on to a newer one. Not ok: the end, with
// its error.
Result<bool> WaitForNewerAttempt(Trackers& trackers, v1::LogsRequest* request) {
  while (true) {
    v1::GetRequest get;
    get.set_job_id(request->job_id());
    const Result<v1::GetResponse> job = trackers.Call(&rpc::Channel::Get, get, kCallTimeoutMs);
    if (!job.ok()) return job.status();
    LTS_RETURN_IF_ERROR(rpc::StatusOf(*job));
    // Asked after the state: an attempt that began before the end is seen.
    v1::LogsRequest newest;
    newest.set_job_id(request->job_id());
    newest.set_limit(1);
    const Result<v1::LogsResponse> response =
        trackers.Call(&rpc::Channel::Logs, newest, kCallTimeoutMs);
    if (!response.ok()) return response.status();
    LTS_RETURN_IF_ERROR(rpc::StatusOf(*response));
    if (response->attempt() != request->attempt() || response->cycle_ms() != request->cycle_ms()) {
      request->set_attempt(response->attempt());
      request->set_cycle_ms(response->cycle_ms());
      request->set_after_line(0);
      return true;
    }
    if (HasEnded(job->job().state())) return false;
    if (!trackers.Pause(kFollowMs)) return false;
  }
}

int Logs(const Context& context, const LogsFlags& flags) {
  if (const std::string complaint = Complaint(flags.name); !complaint.empty())
    return context.Usage(complaint);
  if (flags.life && (flags.attempt != 0 || flags.follow)) {
    return context.Usage(
        "--life tells of all attempts so far: neither --attempt nor --follow goes with it");
  }
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  const Result<std::string> id = JobIdOf(**trackers, flags.name);
  if (!id.ok()) return context.Fail(id.status());
  v1::LogsRequest request;
  request.set_job_id(*id);
  request.set_attempt(flags.attempt);
  request.set_limit(kPage);
  request.set_life(flags.life);
  while (true) {
    const Result<v1::LogsResponse> response =
        (*trackers)->Call(&rpc::Channel::Logs, request, kCallTimeoutMs);
    if (!response.ok()) return context.Fail(response.status());
    if (const Status status = rpc::StatusOf(*response); !status.ok()) return context.Fail(status);
    for (const v1::LogEntry& entry : response->entries()) {
      Print(context, entry);
      request.set_after_line(std::max<std::uint64_t>(request.after_line(), entry.line()));
    }
    if (!context.env.out.flush()) return kError;  // the reader has gone
    if (flags.life) return kOk;
    // From now on this attempt, not whichever is the newest then.
    request.set_attempt(response->attempt());
    request.set_cycle_ms(response->cycle_ms());
    if (response->entries_size() >= kPage) continue;
    if (!flags.follow) return kOk;
    if (!response->ended()) {
      (*trackers)->Pause(kFollowMs);
      continue;
    }
    if (flags.attempt != 0) return kOk;
    const Result<bool> newer = WaitForNewerAttempt(**trackers, &request);
    if (!newer.ok()) return context.Fail(newer.status());
    if (!*newer) return kOk;
  }
}

}  // namespace

Verb LogsVerb() {
  return {.name = "logs",
          .summary = "show the business log of a job's newest attempt",
          .usage = "(JOB_ID | --group G --task T) [[--attempt N] [-f] | --life]",
          .examples = {"jobclient logs -f 01890f3e-7b1c-7cc8-98c4-dc0c0c07398f",
                       "jobclient logs --life --group demo --task hello"},
          .declare = [](CLI::App& verb, Context& context) -> Action {
            const auto flags = std::make_shared<LogsFlags>();
            AddJobName(verb, flags->name);
            AddNumber(verb, "--attempt", flags->attempt, "of this attempt (default: the newest)", 1,
                      1'000'000'000);
            verb.add_flag("-f,--follow", flags->follow, "go on until the job has ended");
            verb.add_flag("--life", flags->life,
                          "what became of the job instead: accepted, sent, ended, and what was "
                          "done to it");
            return [&context, flags] { return Logs(context, *flags); };
          }};
}

}  // namespace lts::jobclient::cli

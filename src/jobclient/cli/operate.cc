// jobclient suspend, resume, update, trigger, terminate, rerun
#include "jobclient/cli/operate.h"

#include <fmt/core.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "jobclient/cli/job_flags.h"
#include "jobclient/cli/output.h"
#include "rpc/codec.h"

namespace lts::jobclient::cli {
namespace {

constexpr char kJobUsage[] = "JOB_ID | --group G --task T";

int Operate(const Context& context, const JobName& name, v1::OperateRequest request) {
  if (const std::string complaint = Complaint(name); !complaint.empty())
    return context.Usage(complaint);
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  if (request.operation() == v1::TRIGGER || request.operation() == v1::RERUN) {
    request.set_new_job_id(UuidGenerator(RandomSeed()).Next(context.env.clock.WallMs()));
  }
  const Result<v1::OperateResponse> response = CallOperate(**trackers, name, &request);
  if (!response.ok()) return context.Fail(WithOption(response.status()));
  PrintOperated(context, *response);
  return kOk;
}

Action DeclarePlain(CLI::App& verb, Context& context, v1::Operation operation) {
  const auto name = std::make_shared<JobName>();
  AddJobName(verb, *name);
  return [&context, name, operation] {
    v1::OperateRequest request;
    request.set_operation(operation);
    return Operate(context, *name, std::move(request));
  };
}

// A run that takes parameters.
Action DeclareRun(CLI::App& verb, Context& context, v1::Operation operation) {
  struct Flags {
    JobName name;
    std::vector<std::string> params;
    std::int64_t cycle_ms = 0;
    std::string cycle;
  };
  const auto flags = std::make_shared<Flags>();
  AddJobName(verb, flags->name);
  verb.add_option("--param", flags->params, "a parameter of this run, over that of the job")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  if (operation == v1::RERUN) {
    verb.add_option("--cycle", flags->cycle,
                    "of a schedule: the run of this fire time (default: the newest)")
        ->type_name("TIME");
  }
  return [&context, flags, operation] {
    v1::OperateRequest request;
    request.set_operation(operation);
    const auto params = ParseParams(flags->params);
    if (!params.ok()) return context.Fail(params.status());
    request.mutable_params()->insert(params->begin(), params->end());
    if (!flags->cycle.empty()) {
      const Result<TimeMs> cycle = ParseTime(flags->cycle);
      if (!cycle.ok()) return context.Fail(cycle.status().WithContext("--cycle"));
      request.set_cycle_ms(*cycle);
    }
    return Operate(context, flags->name, std::move(request));
  };
}

// Which fields of lts.v1.Job an option sets.
struct OptionFields {
  const char* option;
  std::vector<std::string> fields;
};
const std::vector<OptionFields>& UpdateOptions() {
  static const std::vector<OptionFields> options = {
      {"--runner", {"runner"}},
      {"--payload", {"payload"}},
      {"--at", {"trigger_time_ms"}},
      {"--in", {"trigger_delay_ms"}},
      {"--cron", {"cron_expression"}},
      {"--tz", {"time_zone"}},
      {"--every", {"repeat_interval_ms", "repeat_count"}},
      {"--count", {"repeat_count"}},
      {"--start", {"start_time_ms"}},
      {"--end", {"end_time_ms"}},
      {"--misfire", {"misfire", "catch_up_max"}},
      {"--priority", {"priority"}},
      {"--retries", {"max_retry_times"}},
      {"--retry", {"retry"}},
      {"--timeout", {"timeout_ms"}},
      {"--expires", {"expires_in_ms"}},
      {"--feedback", {"need_feedback"}},
      {"--at-most-once", {"at_most_once"}},
      {"--overlap", {"rely_on_prev_cycle"}},
  };
  return options;
}

Action DeclareUpdate(CLI::App& verb, Context& context) {
  struct Flags {
    JobName name;
    JobFlags job;
    std::string feedback, at_most_once, overlap;
    std::vector<std::string> dropped;
  };
  const auto flags = std::make_shared<Flags>();
  AddJobName(verb, flags->name);
  AddJobFlags(verb, flags->job);
  verb.add_option("--drop-param", flags->dropped, "a parameter that goes; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY");
  AddChoice(verb, "--feedback", "on|off", flags->feedback, "tell the client group how it ended");
  AddChoice(verb, "--at-most-once", "on|off", flags->at_most_once,
            "never repeat an attempt with an unknown outcome");
  AddChoice(verb, "--overlap", "on|off", flags->overlap,
            "schedules: fire while the previous cycle runs");
  return [&context, &verb, flags] {
    v1::OperateRequest request;
    request.set_operation(v1::UPDATE);
    for (const OptionFields& each : UpdateOptions()) {
      if (verb.count(each.option) == 0) continue;
      for (const std::string& field : each.fields) request.add_fields(field);
    }
    const auto params = ParseParams(flags->job.params);
    if (!params.ok()) return context.Fail(params.status());
    for (const auto& [key, value] : *params) request.add_fields("params." + key);
    for (const std::string& key : flags->dropped) {
      if (params->contains(key)) {
        return context.Usage(fmt::format("--drop-param {} and --param {}: one of them", key, key));
      }
      request.add_fields("params." + key);
    }
    if (request.fields().empty()) {
      return context.Usage(
          "update needs an option that says what changes; see: jobclient update "
          "--help");
    }
    model::JobSpec spec;
    const Status applied = ApplyJobFlags(flags->job, context.env.in, &spec);
    if (!applied.ok()) return context.Fail(applied);
    spec.need_feedback = flags->feedback == "on";
    spec.at_most_once = flags->at_most_once == "on";
    spec.rely_on_prev_cycle = flags->overlap != "on";
    rpc::ToProto(spec, request.mutable_changes());
    return Operate(context, flags->name, std::move(request));
  };
}

Action DeclareResume(CLI::App& verb, Context& context) {
  struct Flags {
    JobName name;
    bool reset = false;
  };
  const auto flags = std::make_shared<Flags>();
  AddJobName(verb, flags->name);
  verb.add_flag("--reset", flags->reset,
                "a schedule that is silent since the cluster's clock went back fires again from "
                "now on");
  return [&context, flags] {
    v1::OperateRequest request;
    request.set_operation(v1::RESUME);
    request.set_reset(flags->reset);
    return Operate(context, flags->name, std::move(request));
  };
}

}  // namespace

Result<v1::OperateResponse> CallOperate(Trackers& trackers, const JobName& name,
                                        v1::OperateRequest* request) {
  request->set_job_id(name.job_id);
  request->set_group(name.group);
  request->set_task_id(name.task_id);
  Result<v1::OperateResponse> response =
      trackers.Call(&rpc::Channel::Operate, *request, kCallTimeoutMs);
  if (!response.ok()) return response;
  LTS_RETURN_IF_ERROR(rpc::StatusOf(*response));
  return response;
}

void PrintOperated(const Context& context, const v1::OperateResponse& response) {
  Json json;
  json["jobId"] = response.job_id();
  json["state"] = StateText(response.state());
  Printer(context, {{"JOB ID", "jobId"}, {"STATE", "state"}}).Print(json);
}

Verb SuspendVerb() {
  return {.name = "suspend",
          .summary = "keep a job or schedule from starting until it is resumed; what runs goes on",
          .usage = kJobUsage,
          .examples = {"jobclient suspend --group demo --task nightly"},
          .declare = [](CLI::App& verb, Context& context) {
            return DeclarePlain(verb, context, v1::SUSPEND);
          }};
}

Verb ResumeVerb() {
  return {.name = "resume",
          .summary =
              "let a suspended job or schedule start again; fires missed meanwhile are "
              "skipped",
          .usage = kJobUsage,
          .examples = {"jobclient resume --group demo --task nightly"},
          .declare = DeclareResume};
}

Verb UpdateVerb() {
  return {.name = "update",
          .summary =
              "change a job or schedule; what runs goes on as it is, its retries and waiting "
              "runs take over the change",
          .usage = "JOB_ID | --group G --task T, OPTIONS",
          .examples = {"jobclient update --group demo --task nightly --cron '0 30 3 * * ?' "
                       "--priority 50 --param file=/etc/passwd"},
          .declare = DeclareUpdate};
}

Verb TriggerVerb() {
  return {.name = "trigger",
          .summary = "run a schedule once now, beside its fires, or a waiting job at once",
          .usage = kJobUsage,
          .examples = {"jobclient trigger --group demo --task nightly --param file=/etc/hostname"},
          .declare = [](CLI::App& verb, Context& context) {
            return DeclareRun(verb, context, v1::TRIGGER);
          }};
}

Verb TerminateVerb() {
  return {.name = "terminate",
          .summary = "stop what runs now; a schedule goes on with its next fire",
          .usage = kJobUsage,
          .examples = {"jobclient terminate --group demo --task nightly"},
          .declare = [](CLI::App& verb, Context& context) {
            return DeclarePlain(verb, context, v1::TERMINATE);
          }};
}

Verb RerunVerb() {
  return {.name = "rerun",
          .summary = "run a job again that has ended, or the newest run of a schedule",
          .usage = kJobUsage,
          .examples = {"jobclient rerun 0190f3a2-7b1c-7def-8123-456789abcdef --param "
                       "file=/etc/hostname"},
          .declare = [](CLI::App& verb, Context& context) {
            return DeclareRun(verb, context, v1::RERUN);
          }};
}

}  // namespace lts::jobclient::cli

// jobclient agent: a JobClient that stays.
#include <memory>
#include <utility>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "jobclient/client_core.h"

namespace lts::jobclient::cli {
namespace {

TimeMs MsOf(const std::optional<SystemTime>& time) {
  if (!time) return 0;
  return std::chrono::duration_cast<Milliseconds>(time->time_since_epoch()).count();
}

Json ResultJson(const JobResult& result) {
  v1::FeedbackItem item;
  item.set_job_id(result.job_id);
  item.set_cycle_ms(MsOf(result.cycle));
  item.set_attempt(result.attempt);
  item.set_task_id(result.task_id);
  item.set_group(result.group);
  item.set_state(static_cast<v1::JobState>(result.state));
  item.set_success(result.success);
  item.set_message(result.message);
  item.set_ended_ms(MsOf(result.ended_at));
  return FeedbackJson(item);
}

int Agent(const Context& context) {
  Result<JobClientOptions> options = context.LoadOptions(true);
  if (!options.ok()) return context.Fail(options.status());
  // A result that could not be printed stays with the JobTracker.
  options->on_job_completed = [&out = context.env.out](const JobResult& result) {
    out << Dump(ResultJson(result)) << '\n';
    return out.flush() ? Ack::kDone : Ack::kAgain;
  };
  context.env.block_signals();
  const auto channels = context.Channels(*options);
  if (!channels.ok()) return context.Fail(channels.status());
  auto client = ClientCore::Open(*options, *channels, Presence::kNode);
  if (!client.ok()) return context.Fail(client.status());
  const FailStore* store = (*client)->fail_store();
  context.env.err << "jobclient: agent of node group " << options->node_group << " for "
                  << options->registry_address
                  << (store == nullptr ? ", without a FailStore" : ", forwards " + store->path())
                  << '\n';
  context.env.wait_for_stop();
  (*client)->Close();
  return kOk;
}

}  // namespace

Verb AgentVerb() {
  return {
      .name = "agent",
      .summary = "stay: send what is in the FailStore, print feedback as JSON lines, until SIGTERM",
      .usage = "[--client-group G] [--data-path FOLDER]",
      .examples = {"jobclient agent --client-group order_service"},
      .declare = [](CLI::App& verb, Context& context) -> Action {
        AddGroupOptions(verb, context);
        return [&context] { return Agent(context); };
      }};
}

}  // namespace lts::jobclient::cli

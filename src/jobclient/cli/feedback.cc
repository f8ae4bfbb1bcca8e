// jobclient feedback: looks at what waits for a client group.
#include <fmt/core.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <memory>
#include <mutex>

#include "jobclient/cli/cli.h"
#include "jobclient/cli/output.h"
#include "jobclient/client_options.h"
#include "lts/v1/cluster.pb.h"
#include "lts/v1/feedback.pb.h"

namespace lts::jobclient::cli {
namespace {

struct FeedbackFlags {
  bool ack = false;
  std::int32_t limit = 100;
  std::string idle = "1s";
  std::string timeout = "10s";
};

// What a stream has brought; filled by an RPC thread.
struct Inbox {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<v1::FeedbackItem> items;
  bool closed = false;
  Status status;
};

// Whether there is a JobTracker: its stream of results stays silent while there are none, just like
// one that leads nowhere, so a call that is always answered shows it.
Status CheckAlive(rpc::Channel& channel, DurationMs timeout_ms) {
  const auto answered = std::make_shared<std::promise<Status>>();
  auto answer = answered->get_future();
  channel.Routes({}, timeout_ms, [answered](Status status, const v1::RoutesResponse&) {
    answered->set_value(std::move(status));
  });
  const Status status = answer.get();
  if (status.code() == StatusCode::kDeadlineExceeded) {
    return Status::Unavailable(fmt::format("no JobTracker answers within {} ms", timeout_ms));
  }
  // Any other answer comes from somebody; the stream says the same if it matters.
  return status.code() == StatusCode::kUnavailable ? status : Status::Ok();
}

// Prints what one JobTracker offers until nothing comes for `idle_ms`; counts `left` down.
Status Drain(const Context& context, rpc::Channel& channel, const std::string& group,
             const FeedbackFlags& flags, DurationMs timeout_ms, DurationMs idle_ms,
             std::int32_t* left, Printer* printer) {
  LTS_RETURN_IF_ERROR(CheckAlive(channel, timeout_ms));
  const auto inbox = std::make_shared<Inbox>();
  const auto stream = channel.Feedback(
      {[inbox](const v1::FeedbackTrackerMessage& message) {
         const std::lock_guard lock(inbox->mutex);
         inbox->items.insert(inbox->items.end(), message.items().begin(), message.items().end());
         inbox->changed.notify_one();
       },
       [inbox](Status status) {
         const std::lock_guard lock(inbox->mutex);
         inbox->closed = true;
         inbox->status = std::move(status);
         inbox->changed.notify_one();
       }});
  v1::FeedbackClientMessage hello;
  hello.mutable_hello()->set_node_group(group);
  hello.mutable_hello()->set_identity(MakeIdentity());
  hello.mutable_hello()->set_window(*left);
  stream->Send(std::move(hello));
  while (*left > 0) {
    v1::FeedbackItem item;
    {
      std::unique_lock lock(inbox->mutex);
      inbox->changed.wait_for(lock, std::chrono::milliseconds(idle_ms),
                              [&inbox] { return inbox->closed || !inbox->items.empty(); });
      if (inbox->items.empty()) {
        if (inbox->closed) return inbox->status;
        break;
      }
      item = std::move(inbox->items.front());
      inbox->items.pop_front();
    }
    printer->Print(FeedbackJson(item));
    --*left;
    if (!flags.ack) continue;
    // Printed first: what was acknowledged is gone.
    printer->EndPage();
    if (!context.env.out.flush()) break;
    v1::FeedbackClientMessage acks;
    v1::FeedbackAck* ack = acks.add_acks();
    ack->set_job_id(item.job_id());
    ack->set_cycle_ms(item.cycle_ms());
    ack->set_attempt(item.attempt());
    stream->Send(std::move(acks));
  }
  stream->Close();
  // What was sent goes out before the end comes.
  std::unique_lock lock(inbox->mutex);
  inbox->changed.wait_for(lock, std::chrono::seconds(5), [&inbox] { return inbox->closed; });
  return Status::Ok();
}

int Feedback(const Context& context, const FeedbackFlags& flags) {
  const Result<DurationMs> idle_ms = ParseDurationOption("--idle", flags.idle);
  if (!idle_ms.ok()) return context.Fail(idle_ms.status());
  const Result<DurationMs> timeout_ms = ParseDurationOption("--timeout", flags.timeout);
  if (!timeout_ms.ok()) return context.Fail(timeout_ms.status());
  const Result<JobClientOptions> options = context.LoadOptions(false);
  if (!options.ok()) return context.Fail(options.status());
  auto trackers = context.Connect();
  if (!trackers.ok()) return context.Fail(trackers.status());
  Printer printer(context, {{"JOB ID", "jobId"},
                            {"CYCLE", "cycle"},
                            {"ATTEMPT", "attempt"},
                            {"TASK", "taskId"},
                            {"STATE", "state"},
                            {"ENDED", "endedAt"},
                            {"MESSAGE", "message"}});
  std::int32_t left = flags.limit;
  bool reached = false;
  Status failed;
  for (const TrackerPtr& tracker : (*trackers)->All()) {
    if (left <= 0) break;
    const Status drained = Drain(context, tracker->channel(), options->node_group, flags,
                                 *timeout_ms, *idle_ms, &left, &printer);
    reached = reached || drained.ok();
    if (!drained.ok()) failed = drained.WithContext(tracker->address());
  }
  printer.EndPage();
  if (!failed.ok() && reached) context.env.err << "jobclient: " << failed.message() << '\n';
  return reached || failed.ok() ? kOk : context.Fail(failed);
}

}  // namespace

Verb FeedbackVerb() {
  return {
      .name = "feedback",
      .summary = "show the results that wait for a client group; with --ack they are taken",
      .usage = "[--client-group G] [--ack] [--limit N] [--idle DURATION] [--timeout DURATION]",
      .examples = {"jobclient feedback --client-group order_service -o json"},
      .declare = [](CLI::App& verb, Context& context) -> Action {
        const auto flags = std::make_shared<FeedbackFlags>();
        AddGroupOptions(verb, context);
        verb.add_flag("--ack", flags->ack, "acknowledge what is shown: nobody else will get it");
        AddNumber(verb, "--limit", flags->limit, "at most so many (default: 100)", 1, 1'000);
        verb.add_option("--idle", flags->idle, "end when nothing came for so long (default: 1s)")
            ->type_name("DURATION");
        verb.add_option("--timeout", flags->timeout,
                        "how long a JobTracker has to answer at all, else exit 6 (default: 10s)")
            ->type_name("DURATION");
        return [&context, flags] { return Feedback(context, *flags); };
      }};
}

}  // namespace lts::jobclient::cli

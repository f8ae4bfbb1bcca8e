// What stands behind lts::JobClient and the CLI: puts the parts together.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/strand.h"
#include "discovery/discovery.h"
#include "failstore/fail_store.h"
#include "jobclient/feedback_receiver.h"
#include "jobclient/job_checker.h"
#include "jobclient/resender.h"
#include "jobclient/routes.h"
#include "jobclient/submitter.h"
#include "jobclient/trackers.h"
#include "lts/job_client.h"
#include "model/job.h"
#include "rpc/channel.h"

namespace lts::jobclient {

// Whether a client is a node of the cluster, or only passes by, as most verbs of the CLI do.
enum class Presence : std::uint8_t { kNode, kPassing };

// Validates jobs and gives them their ids on the caller's thread, hands them to the Submitter, and
// waits. Owns every part; thread-safe like JobClient. The destructor closes.
class ClientCore {
 public:
  static Result<std::unique_ptr<ClientCore>> Open(JobClientOptions options,
                                                  const rpc::ChannelFactory& channels,
                                                  Presence presence);
  // With another way to find the JobTrackers than `registry_address`.
  static Result<std::unique_ptr<ClientCore>> OpenWith(
      JobClientOptions options, std::unique_ptr<discovery::Discovery> discovery,
      const rpc::ChannelFactory& channels, Presence presence);
  ~ClientCore();
  ClientCore(const ClientCore&) = delete;
  ClientCore& operator=(const ClientCore&) = delete;

  Result<SubmitReceipt> Submit(model::JobSpec spec);
  // One answer per spec; an element that is a Status is answered with it.
  std::vector<Result<SubmitReceipt>> SubmitAll(std::vector<Result<model::JobSpec>> specs);
  void SubmitAsync(model::JobSpec spec, std::function<void(Result<SubmitReceipt>)> done);
  // `since_ms`: runs of a schedule that count although they have ended; see WaitRequest.
  Result<v1::JobView> Wait(const std::string& job_id, Milliseconds timeout, TimeMs since_ms = 0);
  Result<v1::JobView> Get(const std::string& job_id, const TaskKey& task);
  // `request` without its target, and, where it makes a run, without the id of that.
  OperationReceipt Operate(const JobRef& job, v1::OperateRequest request);

  Trackers& trackers() { return *trackers_; }
  // Null without one.
  FailStore* fail_store() { return store_.get(); }
  void Close();

 private:
  ClientCore(JobClientOptions options, std::unique_ptr<FailStore> store,
             std::unique_ptr<discovery::Discovery> discovery);
  Status Start(const std::string& store_base, const rpc::ChannelFactory& channels,
               Presence presence);
  registry::Node OwnNode() const;
  Result<Entry> MakeEntry(model::JobSpec spec);
  // Of something handed over now, on the monotonic clock.
  std::int64_t DeadlineUs() const;
  bool MayStillBeSent() const;

  const JobClientOptions options_;
  const std::string identity_;
  const SystemClock clock_;
  JobChecker checker_{options_};
  const std::string incarnation_ = checker_.NextId(clock_.WallMs());  // of this process
  std::mutex close_mutex_;
  bool closed_ = false;

  // The strands come first: late answers of the trackers still post to them, to no effect.
  ThreadStrand disk_{"lts-client"};
  ThreadStrand callbacks_{"lts-callback"};
  const std::unique_ptr<FailStore> store_;
  std::unique_ptr<Trackers> trackers_;
  std::unique_ptr<Routes> routes_;
  std::unique_ptr<Resender> resender_;
  std::unique_ptr<Submitter> submitter_;
  std::unique_ptr<FeedbackReceiver> feedback_;
  // Tells the parts above who is there.
  std::unique_ptr<discovery::Discovery> discovery_;
};

// How tests make a JobClient over channels of their own, and look inside.
class Access {
 public:
  static ClientCore& Core(JobClient& client) { return *client.core_; }
  static Result<std::unique_ptr<JobClient>> Open(JobClientOptions options,
                                                 const rpc::ChannelFactory& channels);
  static Result<std::unique_ptr<JobClient>> OpenWith(
      JobClientOptions options, std::unique_ptr<discovery::Discovery> discovery,
      const rpc::ChannelFactory& channels);
};

}  // namespace lts::jobclient

// libjobclient: submit jobs, follow them, hear how they ended. Public header, C++17.
//
//   lts::JobClientOptions options;
//   options.registry_address = "jobtracker://127.0.0.1:35001";
//   options.node_group = "order_service";
//   auto opened = lts::JobClient::Open(std::move(options));
//   if (!opened.ok()) …opened.status().message()…
//   auto receipt = (*opened)->Submit(lts::Job("refund-4711", "refund_workers").Param("order",
//   "4711"));
#ifndef LTS_JOB_CLIENT_H_
#define LTS_JOB_CLIENT_H_

#include <lts/export.h>
#include <lts/job.h>
#include <lts/node.h>
#include <lts/status.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lts {

namespace jobclient {
class Access;
class ClientCore;
}  // namespace jobclient

// What the handler of results answers.
enum class Ack : std::uint8_t {
  kDone = 0,   // the result is taken care of; the JobTracker forgets it
  kAgain = 1,  // not now; it is offered again later, to any client of the group
};

struct JobClientOptions {
  // Where the cluster is. `jobtracker://host:port[,host:port…]` (IPv6 as `[::1]:35001`) names the
  // JobTrackers themselves. `zookeeper://host[:2181][,host[:port]…][/chroot]` names the ZooKeeper
  // in which they register: the client finds those that are there, follows them as they come and
  // go, and registers as a JOB_CLIENT of its node group. While ZooKeeper is away the JobTrackers
  // known last are used.
  std::string registry_address = "jobtracker://127.0.0.1:35001";
  // With zookeeper://: the cluster of that name. The JobTrackers' clusterName.
  std::string cluster_name = "defaultCluster";
  // With zookeeper://: how long this process may be cut off before the others take it for gone.
  // 100 ms … 10 min; the server may grant another value.
  Milliseconds zk_session_timeout = std::chrono::seconds(6);
  // With zookeeper://: "user:password", when the JobTrackers keep the cluster closed to others
  // (zk.digest). Never logged.
  std::string zk_digest;
  // The token of the cluster, when its JobTrackers ask for one: 16 to 1,024 printable ASCII
  // characters. (In files security.token_file names the file that holds it.) Never logged.
  std::string token;
  // Paths of PEM files, read once at Open. With `tls_ca` the JobTrackers must speak TLS, with
  // certificates of this CA that are made out for the host by which they are dialled. `tls_cert`
  // and `tls_key`, both or none, are shown to JobTrackers that ask for them.
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  // The node group of this client: whose feedback it receives, and the submit group of jobs that
  // name none.
  std::string node_group = "lts";
  // Names this process in the cluster; empty: host name, process id and a random part.
  std::string identity;

  // Where jobs wait on disk that no JobTracker takes now: "rocksdb", "leveldb", or "" for none, and
  // errors return to the caller. It lives in `data_path`/JOB_CLIENT/<node group>/<n> and outlives
  // the process: whoever opens a client with the same data path and node group sends what is there.
  std::string fail_store;
  std::string data_path;
  std::int64_t fail_store_bytes_max = 1LL << 30;
  std::int64_t fail_store_count_max = 1'000'000;
  // How often this process takes over what dead ones of the group left in their folders, beside the
  // time of its start; 100 ms … 1 day.
  Milliseconds fail_store_adopt_period = std::chrono::minutes(1);

  // How long Submit waits for an answer before the job is stored, or fails with kDeadlineExceeded.
  // 1 ms … 10 min.
  Milliseconds submit_timeout = std::chrono::seconds(10);
  // How long Close waits for answers before the rest is stored, or fails. 0 … 10 min.
  Milliseconds shutdown_timeout = std::chrono::seconds(10);
  // Jobs handed in and not answered yet, over all threads; what comes on top fails at once with
  // kResourceExhausted. `bytes` counts the encoded jobs.
  std::int64_t submit_in_flight_max = 100'000;
  std::int64_t submit_in_flight_bytes_max = 64LL << 20;
  // Payload and parameters of one job. The JobTracker has a limit of its own (job.payload.max), so
  // to raise it means to raise both. 1 … 1 MiB.
  std::int64_t payload_bytes_max = 64LL << 10;

  // Told of each ended run of jobs that this group submitted with NeedFeedback. Runs on one thread
  // of its own, one result at a time; may call the client, but not Close. A throw counts as kAgain.
  // Told at least once: a result identified by (job_id, cycle, attempt) may come again, after a
  // lost connection for instance. Empty: this client takes no feedback, and the JobTracker keeps
  // it.
  std::function<Ack(const JobResult&)> on_job_completed;
  // Results taken over but not handled yet; 1 … 1,000.
  std::int32_t feedback_window = 100;

  // Of the JOB_CLIENTs of this node group: who is master, at first and after each change, and who
  // comes, goes or changes; those that are there at first are told as added, this one included.
  // Both run on one thread of their own, one call at a time, and may call the client, but not
  // Close; they must not throw. While a call lasts, what happens is gathered: a node that came and
  // went meanwhile is not told.
  //
  // The master is the node that is there longest. Two processes may believe to be it for a moment,
  // so what a master does must be safe twice. One that loses its session is told so: `is_me` is
  // false then, with the master known last.
  //
  // With zookeeper:// the registry tells both. With jobtracker:// there is none to join: a
  // JobTracker is asked every two seconds for the nodes connected to it, which are those that take
  // feedback (on_job_completed); while none answers nothing is told.
  std::function<void(const NodeInfo& master, bool is_me)> on_master_change;
  std::function<void(const NodeInfo& node, NodeChange change)> on_node_change;

  // From a properties file with the keys registryAddress, clusterName, nodeGroup, identity,
  // dataPath, job.fail.store (rocksdb unless set), … (`jobclient --help-config` shows them all);
  // the environment (LTS_…) wins over the file. Handlers are left empty. kNotFound when there is no
  // file, kInvalidArgument with every mistake on a line of its own.
  LTS_API static Result<JobClientOptions> FromFile(const std::string& path);
};

enum class SubmitOutcome : std::uint8_t {
  kAccepted = 0,
  kReplaced = 1,   // a waiting job of the same task gave way
  kDuplicate = 2,  // there is such a job already and it stays; job_id is that one's
  kStored = 3,     // on disk in the FailStore; it is sent when a JobTracker takes it
};

// "ACCEPTED", "REPLACED", "DUPLICATE", "STORED".
LTS_API std::string_view SubmitOutcomeName(SubmitOutcome outcome);

struct SubmitReceipt {
  std::string job_id;
  SubmitOutcome outcome = SubmitOutcome::kAccepted;
};

// The answer to an operation. Not [[nodiscard]]: to cancel what may have ended already is often not
// worth a look.
class OperationReceipt {
 public:
  OperationReceipt(Status status)
      : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  OperationReceipt(std::string id, JobState state_now, bool is_stored)
      : job_id(std::move(id)), state(state_now), stored(is_stored) {}

  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }

  // What it was done to; of Trigger and Rerun: the run that was made.
  std::string job_id;
  // That it is in now. Of a cancel: kCancelled (kEnded of a schedule), or kRunning when the attempt
  // under way was told to stop.
  JobState state = JobState::kCancelled;
  // It waits in the FailStore behind the submit of the job `job_id`; `state` says nothing.
  bool stored = false;

 private:
  Status status_;
};
using CancelReceipt = OperationReceipt;

// Names what an operation is about: everything that stands under a task, or one job or schedule by
// its id.
class JobRef {
 public:
  JobRef(TaskKey task) : task_(std::move(task)) {}  // NOLINT(google-explicit-constructor)
  JobRef(std::string group, std::string task_id) : task_{std::move(group), std::move(task_id)} {}
  static JobRef ById(std::string job_id) {
    JobRef ref;
    ref.job_id_ = std::move(job_id);
    return ref;
  }
  const std::string& job_id() const { return job_id_; }  // empty: by task
  const TaskKey& task() const { return task_; }

 private:
  JobRef() = default;
  TaskKey task_;
  std::string job_id_;
};

// A client of the cluster. Owns its connections, threads and FailStore.
//
// Thread-safe, apart from destruction. Handlers and callbacks run on threads of the client, never
// under a lock of it, and may call everything but Close. They must not throw (on_job_completed
// may).
//
// Order: jobs and operations of one thread that concern one group reach the JobTracker in the order
// of the calls, as do all of them when there is one JobTracker; several are sent to at the same
// time. A job or operation for a task of which a record waits in the FailStore waits behind it.
//
// Errors of all calls: kInvalidArgument (mend it: names field, value and limit), kUnavailable (no
// JobTracker; with zookeeper:// the first calls wait up to 3 s for the list of JobTrackers),
// kDeadlineExceeded (no answer: it may or may not have happened), kResourceExhausted (a limit here
// or there: later), kPermissionDenied, kFailedPrecondition (closed; of a submit also: the payload
// is over job.payload.max).
class LTS_API JobClient final {
 public:
  // Waits for no connection: a client may start before its JobTracker, and before its ZooKeeper.
  // kInvalidArgument for options out of bounds or an address that cannot be used, and what opening
  // the FailStore returns.
  static Result<std::unique_ptr<JobClient>> Open(JobClientOptions options);

  ~JobClient();  // closes
  JobClient(const JobClient&) = delete;
  JobClient& operator=(const JobClient&) = delete;

  // Blocks until the job is durable: in the JobTracker's store, or (kStored) in the FailStore.
  // Waits for the network at most submit_timeout. Jobs of many threads travel together. With a
  // FailStore that cannot take the job, the error of the FailStore comes back. kAlreadyExists: only
  // with FailIfExists, or when the task is one of another kind.
  Result<SubmitReceipt> Submit(const Job& job);
  // The same for many, in order; each has its own answer. More jobs than the in-flight limit are
  // fed in bit by bit.
  std::vector<Result<SubmitReceipt>> SubmitAll(const std::vector<Job>& jobs);
  // Returns at once; `done` is called exactly once, also when the client is closed. What is refused
  // at once (invalid, over a limit, closed) is told on the caller's thread before the return.
  void SubmitAsync(const Job& job, std::function<void(Result<SubmitReceipt>)> done);

  // Waits until the job has ended (a schedule: its first run from now) and says how. A time-out
  // (kDeadlineExceeded) is not a failure: the job goes on, ask again. A JobTracker that is away for
  // a while is waited for.
  Result<JobView> Wait(const std::string& job_id, Milliseconds timeout);

  // The schedule of the task, else its newest job. kNotFound.
  Result<JobView> Get(const TaskKey& task);
  Result<JobView> GetById(const std::string& job_id);

  // Operations are durable when they return ok, and hold after a failover. Each waits for the
  // network at most submit_timeout. When the submit it is about is still in the FailStore it goes
  // there too, behind it (by job id the whole FailStore is searched: a few seconds when it is very
  // full). Errors besides those of all calls: kNotFound; kFailedPrecondition when the job is in
  // no state for it, or has ended.

  // In every state: a waiting job does not run, an executing one is told to stop and is not
  // retried, a schedule ends.
  OperationReceipt Cancel(const JobRef& job);
  OperationReceipt CancelById(const std::string& job_id) { return Cancel(JobRef::ById(job_id)); }
  // Nothing of it starts until it is resumed. An executing attempt goes on; its retry, and the next
  // cycle of a schedule, wait.
  OperationReceipt Suspend(const JobRef& job);
  // Fires of a schedule that were due meanwhile are skipped. `reset`: a schedule that is silent
  // because the clock of the cluster was ahead and went back fires again from now on.
  OperationReceipt Resume(const JobRef& job, bool reset = false);
  // Changes the fields that `update` names. An executing attempt goes on as it is, its retries and
  // a schedule's occurrences that wait take over the change; a changed timing counts from now.
  // kInvalidArgument names the field, the value and what would be right.
  OperationReceipt Update(const JobRef& job, const JobUpdate& update);
  // Runs it now: a schedule by a run of its own, with `params` over those of the schedule, which
  // goes on as if nothing had happened; a waiting one-shot by being due at once.
  // kResourceExhausted when ten triggered runs of the task wait.
  OperationReceipt Trigger(const JobRef& job, std::map<std::string, std::string> params = {});
  // Stops what executes now; it ends kCancelled unless it succeeds all the same, and a schedule
  // goes on.
  OperationReceipt Terminate(const JobRef& job);
  // Submits a job that has ended once more (of a schedule: its newest run), under an id of its own,
  // with `params` over its own. kAlreadyExists when a job of the task waits.
  OperationReceipt Rerun(const JobRef& job, std::map<std::string, std::string> params = {});

  // The folder of the FailStore; empty without one.
  std::string fail_store_path() const;

  // Takes nothing new, waits up to shutdown_timeout for answers, stores the rest or fails it with
  // kUnavailable (not sent) or kDeadlineExceeded (sent), ends the threads. Further calls fail with
  // kFailedPrecondition; a second Close does nothing.
  void Close();

 private:
  friend class jobclient::Access;
  explicit JobClient(std::unique_ptr<jobclient::ClientCore> core);

  std::unique_ptr<jobclient::ClientCore> core_;
};

}  // namespace lts

#endif  // LTS_JOB_CLIENT_H_

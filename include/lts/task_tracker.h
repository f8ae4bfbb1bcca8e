// libtasktracker: a program that runs jobs. Public header, C++17.
//
//   lts::TaskTrackerOptions options;              // or TaskTrackerOptions::FromFile(path)
//   options.node_group = "refund_workers";
//   options.data_path = "/var/lib/refund/lts";
//   options.AddRunner<Refund>("refund");          // class Refund : public lts::JobRunner
//   auto started = lts::TaskTracker::Start(std::move(options));
//   if (!started.ok()) …started.status().message()…
//   …
//   (*started)->Stop();
#ifndef LTS_TASK_TRACKER_H_
#define LTS_TASK_TRACKER_H_

#include <lts/export.h>
#include <lts/node.h>
#include <lts/status.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <lts/job_runner.hpp>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lts {

namespace tasktracker {
class Core;
}  // namespace tasktracker

struct TaskTrackerOptions {
  // Makes the runner object of one slot. Called once at start, and once more for each slot that
  // runs a job of this name; from any thread, also at the same time. A throw at start refuses the
  // start with its text. Must not return null.
  using RunnerFactory = std::function<std::unique_ptr<JobRunner>(const RunnerConfig&)>;

  // Where the cluster is. `jobtracker://host:port[,host:port…]` (IPv6 as `[::1]:35001`) names the
  // JobTrackers themselves. `zookeeper://host[:2181][,host[:port]…][/chroot]` names the ZooKeeper
  // in which they register: the TaskTracker finds those that are there, follows them as they come
  // and go, and registers as a TASK_TRACKER of its node group. While ZooKeeper is away the
  // JobTrackers known last are used.
  std::string registry_address = "jobtracker://127.0.0.1:35001";
  // With zookeeper://: the cluster of that name. The JobTrackers' clusterName.
  std::string cluster_name = "defaultCluster";
  // With zookeeper://: how long this process may be cut off before the others take it for gone.
  // 100 ms … 10 min; the server may grant another value. (Jobs have a lease of their own.)
  std::chrono::milliseconds zk_session_timeout = std::chrono::seconds(6);
  // With zookeeper://: "user:password", when the JobTrackers keep the cluster closed to others
  // (zk.digest). Never logged.
  std::string zk_digest;
  // The token of the cluster, when its JobTrackers ask for one: 16 to 1,024 printable ASCII
  // characters. (In files security.token_file names the file that holds it.) Never logged.
  std::string token;
  // Paths of PEM files, read once at Start. With `tls_ca` the JobTrackers must speak TLS, with
  // certificates of this CA that are made out for the host by which they are dialled. `tls_cert`
  // and `tls_key`, both or none, are shown to JobTrackers that ask for them.
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  // Whose jobs this process runs. Needed.
  std::string node_group;
  // Names the instance among those of one group and host. The same name after a restart gives the
  // same identity, by which the JobTracker knows it again.
  std::string name = "default";
  // Instead of `<node group>-<name>-<host>-<number>`. Must differ from every other TaskTracker's.
  std::string identity;
  // Folder for the FailStore: results and log lines that cannot be delivered now. Needed. They are
  // in `data_path`/TASK_TRACKER/<node group>/<name>/<number>; a second process of the same name
  // takes the next number. What dead processes of the group, whatever their names, left
  // in this data path is taken over at start and each fail_store_adopt_period (100 ms … 1 day).
  std::string data_path;
  std::string fail_store = "rocksdb";  // its engine: rocksdb or leveldb
  std::int64_t fail_store_bytes_max = 1LL << 30;
  std::int64_t fail_store_count_max = 1'000'000;
  std::chrono::milliseconds fail_store_adopt_period = std::chrono::minutes(1);

  // Jobs that run at the same time; 1 … 10,000. Threads are started when they are needed.
  int work_threads = 64;

  // Runner plugins: paths or globs, relative ones below `plugin_folder`.
  std::vector<std::string> plugins;
  std::string plugin_folder;
  // For jobs that name no runner; empty: the only one there is, if there is one beside the built-in
  // ones.
  std::string default_runner;
  // Jobs that name no runner can be given one by a field of theirs: "taskId" or the name of a
  // parameter; empty: none. Its value is looked up in `shards` (value -> runner), else it is the
  // name of a runner; "_LTS_DEFAULT" stands for all other values, before default_runner.
  std::string shard_field;
  std::map<std::string, std::string> shards;
  bool exec_enable = false;
  std::vector<std::string> exec_allow;  // resolved paths
  // The runner `http`: what it may ask (URL, HOST, HOST:PORT, *.DOMAIN; empty: nothing), whether
  // private addresses too, how long a request may take, and the file of the CAs that it trusts
  // (empty: the system's). It runs in this process.
  bool http_enable = false;
  std::vector<std::string> http_allow;
  bool http_allow_private = false;
  std::chrono::milliseconds http_timeout = std::chrono::minutes(1);
  std::string http_ca;
  std::map<std::string, std::string> runner_config;  // every runner.<name>.* by its whole key

  // Where the runners of plugins, and exec, run: "process", in processes of lts-runner-host, so
  // that whatever they do costs one attempt; or "thread", in this process. runner.<name>.isolation
  // in runner_config decides for one runner. Runners of AddRunner always run in this process.
  std::string isolation = "process";
  // Path of lts-runner-host. Empty: beside this program, in $LTS_HOME/bin, or ../bin of the folder
  // of libtasktracker.
  std::string runner_host;
  // Of each runner's process, 0 none: bytes of memory to write to (RLIMIT_DATA; beyond, allocations
  // fail), processor time of one attempt, open descriptors. For one runner: runner.<name>.limit.*.
  std::int64_t runner_memory_limit = 0;
  std::chrono::seconds runner_cpu_limit = std::chrono::seconds(0);
  std::int64_t runner_files_limit = 0;
  // How long a runner's process is kept that has nothing to do; the last of each runner stays.
  std::chrono::milliseconds runner_host_idle = std::chrono::minutes(1);
  std::map<std::string, RunnerFactory> runners;  // by name; see AddRunner

  // DEBUG, INFO, WARN, ERROR, or NO: which business log lines are kept.
  std::string biz_logger_level = "INFO";
  std::int64_t log_lines_max = 20'000;  // in memory; beyond it lines are dropped, and that is said
  std::int64_t log_bytes_max = 8LL << 20;
  // Results without acknowledgement in memory; at this many no new jobs are taken.
  std::int64_t unacked_results_max = 10'000;

  // Takes no new jobs while more of the host's processors (average of some seconds) or memory is in
  // use than this; up to 1 a share, above a percentage. What control groups (version 2) allow
  // counts as the host.
  bool resource_check = false;
  double cpu_used_rate_max = 90;
  double memory_used_rate_max = 90;

  // At the end of the lease, cut off from the JobTracker, everything that runs is stopped. Without
  // it, a job of a cut-off TaskTracker may run beside its successor.
  bool stop_working = true;
  // How long running jobs may go on at Stop, and after Drain; then they are asked to stop, and what
  // they have not done is handed back at once. 0 … 1 day.
  std::chrono::milliseconds stop_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds drain_timeout = std::chrono::minutes(5);
  // How long a job may take to stop when asked, also at the end of its time-out; then its process
  // is killed with everything that it has started. A thread cannot be: it is shown as stuck.
  std::chrono::milliseconds kill_grace = std::chrono::seconds(5);

  // Address on the loopback for /healthz, /readyz, /metrics; port 0 takes a free one. Empty: none.
  std::string ops_listen;

  // Called when the connection to the JobTracker was made, or was lost or refused, with the reason.
  // From a thread of the TaskTracker; must not block, and must not call it.
  std::function<void(bool connected, const std::string& reason)> on_connection_change;

  // Of the TASK_TRACKERs of this node group: who is master, at first and after each change, and who
  // comes, goes or changes; those that are there at first are told as added, this one included.
  // Both run on one thread of their own, one call at a time; they may not call Stop, and must not
  // throw. While a call lasts, what happens is gathered: a node that came and went meanwhile is not
  // told.
  //
  // The master is the node that is there longest. Two processes may believe to be it for a moment,
  // so what a master does must be safe twice. One that loses its session is told so: `is_me` is
  // false then, with the master known last.
  //
  // With zookeeper:// the registry tells both. With jobtracker:// there is none to join: a
  // JobTracker is asked every two seconds for the nodes connected to it; while none answers nothing
  // is told.
  std::function<void(const NodeInfo& master, bool is_me)> on_master_change;
  std::function<void(const NodeInfo& node, NodeChange change)> on_node_change;

  // Adds a runner of this program. `Runner` is derived from JobRunner; its constructor takes
  // (const RunnerConfig&) or nothing.
  template <typename Runner>
  TaskTrackerOptions& AddRunner(std::string runner_name) {
    return AddRunner(std::move(runner_name),
                     [](const RunnerConfig& config) -> std::unique_ptr<JobRunner> {
                       if constexpr (std::is_constructible_v<Runner, const RunnerConfig&>) {
                         return std::make_unique<Runner>(config);
                       } else {
                         (void)config;
                         return std::make_unique<Runner>();
                       }
                     });
  }
  TaskTrackerOptions& AddRunner(std::string runner_name, RunnerFactory factory) {
    runners[std::move(runner_name)] = std::move(factory);
    return *this;
  }

  // From a properties file with the keys of conf/tasktracker.cfg; the environment (LTS_…) wins over
  // the file. kNotFound when there is no file, kInvalidArgument with every mistake on a line of its
  // own.
  LTS_API static Result<TaskTrackerOptions> FromFile(const std::string& path);
};

// What a stop has left undone; all zero when it was in order.
struct TaskTrackerStopReport {
  int running = 0;                   // jobs that did not stop: they end with the process
  std::int64_t results_unsaved = 0;  // neither acknowledged nor stored: the FailStore refused them
};

// A TaskTracker in this process. Owns its threads, connections, runner objects and FailStore.
// Thread-safe.
class LTS_API TaskTracker final {
 public:
  // Starts everything of its own and connects in the background: that no JobTracker answers is no
  // failure. kInvalidArgument for options, kNotFound or kFailedPrecondition for a plugin or a
  // runner that refuses to start, kResourceExhausted or kDataLoss for the FailStore, kUnavailable
  // for ops_listen.
  static Result<std::unique_ptr<TaskTracker>> Start(TaskTrackerOptions options);

  // Stops, and then waits for jobs that do not.
  ~TaskTracker();
  TaskTracker(const TaskTracker&) = delete;
  TaskTracker& operator=(const TaskTracker&) = delete;

  // Begins to end: takes no new jobs from now on; running ones may go on for drain_timeout, then as
  // in Stop. Returns at once. `on_drained` is called once, when Stop has nothing to wait for any
  // more, from a thread of the TaskTracker: it must not call it. Does nothing when it is draining
  // or has stopped; Stop is needed all the same, and shortens what is left to stop_timeout.
  void Drain(std::function<void()> on_drained = {});

  // Takes no new jobs; lets running ones end for stop_timeout, then asks them to stop; has results
  // acknowledged or stored; says goodbye. Returns after at most stop_timeout + kill_grace + a few
  // seconds. Later calls return the same. Not from a job or a callback.
  TaskTrackerStopReport Stop();

  // Ok while connected, else kUnavailable with the reason.
  Status Connection() const;
  const std::string& identity() const;
  // The address of the pages with the port actually taken, "" when there are none.
  std::string ops_listen() const;

 private:
  explicit TaskTracker(std::unique_ptr<tasktracker::Core> core);
  const std::unique_ptr<tasktracker::Core> core_;
};

}  // namespace lts

#endif  // LTS_TASK_TRACKER_H_

// The command line `jobclient`: what its verbs share. One file per verb.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <istream>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/options.h"
#include "discovery/discovery.h"
#include "jobclient/cli/verbs.h"
#include "jobclient/trackers.h"
#include "lts/job_client.h"
#include "lts/status.h"
#include "rpc/channel.h"
#include "rpc/security.h"

namespace lts::jobclient::cli {

enum ExitCode : int {
  kOk = 0,
  kError = 1,
  kUsage = 2,
  kNotFound = 3,
  kRefused = 4,  // conflict, limit
  kDenied = 5,
  kUnreachable = 6,  // no JobTracker
  kTimeOut = 7,
  kJobFailed = 8,
};

// What the status of a call means to a script.
int ExitCodeFor(StatusCode code);

// Everything outside of the process; tests hand in their own.
struct Environment {
  std::istream& in;
  std::ostream& out;                                              // data
  std::ostream& err;                                              // messages
  std::function<rpc::ChannelFactory(rpc::Credentials)> channels;  // e.g. rpc::GrpcChannels
  std::map<std::string, std::string> variables;                   // LTS_…
  std::string home;                                               // LTS_HOME
  const Clock& clock;
  // For verbs that stay: called before they start threads, and to wait for SIGTERM or SIGINT.
  std::function<void()> block_signals;
  std::function<void()> wait_for_stop;
  bool err_is_terminal = false;
};

enum class Format { kTable, kJson };

// The JobTrackers, as long as it lives.
class Connection {
 public:
  Connection(std::unique_ptr<discovery::Discovery> discovery, const rpc::ChannelFactory& channels);
  Trackers& operator*() const { return *trackers_; }
  Trackers* operator->() const { return trackers_.get(); }

 private:
  std::unique_ptr<Trackers> trackers_;
  std::unique_ptr<discovery::Discovery> discovery_;  // tells trackers_ who is there
};

// One run of the program: the options that every verb has, and what the chosen verb will do. The
// verbs' own options live in shared state that their actions hold.
struct Context {
  Environment& env;
  std::string registry;
  std::string config;
  std::string client_group;
  std::string data_path;
  Format format = Format::kTable;
  Action action;  // set by the verb that was named

  // Prints "jobclient: message" on `err`; gives the exit code.
  int Fail(const Status& status) const;
  int Usage(const std::string& message) const;
  // From --registry, the environment, --config, conf/jobclient.cfg and the defaults.
  Result<lts::Options> LoadConfiguration() const;
  // The same, with the notices printed.
  Result<JobClientOptions> LoadOptions(bool with_fail_store) const;
  // The ways to the JobTrackers; reads the files of security.*.
  Result<rpc::ChannelFactory> Channels(const JobClientOptions& options) const;
  // Looks for the JobTrackers; an error when none can be found within a few seconds. Whether one
  // answers is another matter.
  Result<Connection> Connect() const;
};

inline constexpr std::int64_t kCallTimeoutMs = 10'000;

// --client-group and --data-path.
void AddGroupOptions(CLI::App& verb, Context& context);

// What to say of a word that is no verb below `app`: which one is near, or which there are.
std::string UnknownVerb(const CLI::App& app, const std::string& word);

// A job named by its id, or by group and task.
struct JobName {
  std::string job_id;
  std::string group;
  std::string task_id;
};
void AddJobName(CLI::App& verb, JobName& name);
// What is wrong with it; empty: nothing.
std::string Complaint(const JobName& name);
// Its id; of a task the job that `get` shows: the schedule, else the newest that stands, else the
// one that ended last. kNotFound when there is none. A given id is not looked up.
Result<std::string> JobIdOf(Trackers& trackers, const JobName& name);

// "2026-01-31T12:00:00.5Z" or with an offset, RFC 3339. Messages say what is expected.
Result<TimeMs> ParseTime(std::string_view text);
// The same, or a duration: that long before now.
Result<TimeMs> ParseSince(std::string_view text, TimeMs now_ms);
// "10s"; the message names `option`.
Result<DurationMs> ParseDurationOption(std::string_view option, std::string_view text);

// A line without its end, at most `bytes_max` of it; false at the end of the input. What is cut off
// is skipped and `*cut` says so.
bool ReadLine(std::istream& in, std::size_t bytes_max, std::string* line, bool* cut);

// The program: arguments without the program's name; gives the exit code.
int Run(const std::vector<std::string>& arguments, Environment& env);

}  // namespace lts::jobclient::cli

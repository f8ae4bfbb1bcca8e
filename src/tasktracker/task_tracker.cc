#include "lts/task_tracker.h"

#include <utility>

#include "common/daemon.h"
#include "rpc/channel.h"
#include "tasktracker/core.h"
#include "tasktracker/options.h"

namespace lts {
namespace {

const SystemClock kClock;

}  // namespace

Result<TaskTrackerOptions> TaskTrackerOptions::FromFile(const std::string& path) {
  const OptionTable table(Daemon::kTaskTracker, tasktracker::OptionRows());
  const Result<Options> options = table.Load({{}, LtsEnvironment(), path});
  if (!options.ok()) return options.status();
  return tasktracker::OptionsFrom(*options, HomeFolder(), "default");
}

Result<std::unique_ptr<TaskTracker>> TaskTracker::Start(TaskTrackerOptions options) {
  auto credentials = tasktracker::CredentialsFrom(options);
  if (!credentials.ok()) return credentials.status();
  Result<std::unique_ptr<tasktracker::Core>> core = tasktracker::Core::Start(
      std::move(options), rpc::GrpcChannels(*std::move(credentials)), kClock);
  if (!core.ok()) return core.status();
  return std::unique_ptr<TaskTracker>(new TaskTracker(*std::move(core)));
}

TaskTracker::TaskTracker(std::unique_ptr<tasktracker::Core> core) : core_(std::move(core)) {}
TaskTracker::~TaskTracker() = default;

void TaskTracker::Drain(std::function<void()> on_drained) { core_->Drain(std::move(on_drained)); }
TaskTrackerStopReport TaskTracker::Stop() { return core_->Stop(); }
Status TaskTracker::Connection() const { return core_->Connection(); }
const std::string& TaskTracker::identity() const { return core_->identity(); }
std::string TaskTracker::ops_listen() const { return core_->ops_listen(); }

}  // namespace lts

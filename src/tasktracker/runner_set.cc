#include "tasktracker/runner_set.h"

#include <fmt/core.h>

#include <exception>
#include <utility>

#include "common/daemon.h"
#include "tasktracker/runners/plugin_runner.h"

namespace lts::tasktracker {
namespace {

// An added runner goes the same way as a plugin's, through the C ABI. Its create() has no place for
// the factory, so this says which one is meant while it runs on this thread.
thread_local const TaskTrackerOptions::RunnerFactory* creating = nullptr;

void* CreateAdded(const lts_runner_config* abi) noexcept {
  namespace abi_text = runner_internal;
  std::string refusal = "its factory has returned null";
  try {
    std::map<std::string, std::string> items;
    for (std::size_t i = 0; i < abi->item_count; ++i) {
      items.emplace(abi_text::View(abi->items[i].key), abi_text::View(abi->items[i].value));
    }
    std::unique_ptr<JobRunner> made =
        (*creating)(RunnerConfig(std::string(abi_text::View(abi->runner)), std::move(items)));
    if (made != nullptr) return made.release();  // deleted by Calls<JobRunner>::Destroy
  } catch (const std::exception& error) {
    refusal = error.what();
  }
  abi->set_error(abi->host, abi_text::Text(refusal));
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<RunnerSet>> RunnerSet::Open(const TaskTrackerOptions& options,
                                                   const Clock& clock) {
  runners::RunnerLimits limits;
  limits.kill_grace_ms = options.kill_grace.count();
  std::unique_ptr<RunnerSet> set(new RunnerSet(limits, clock));

  runners::RunnerOptions loading;
  loading.plugins = options.plugins;
  loading.base_folder = options.plugin_folder;
  loading.exec_enable = options.exec_enable;
  loading.exec_allow = options.exec_allow;
  loading.config = options.runner_config;
  loading.limits = limits;
  const Result<runners::Isolation> isolation =
      runners::ParseIsolation("runner.isolation", options.isolation);
  if (!isolation.ok()) return isolation.status();
  loading.isolation.isolation = *isolation;
  loading.isolation.limits = {options.runner_memory_limit, options.runner_cpu_limit.count(),
                              options.runner_files_limit};
  LTS_RETURN_IF_ERROR(runners::CheckLimits("runner.", loading.isolation.limits));
  loading.host_program = options.runner_host;
  loading.hosts_max = options.work_threads;
  loading.host_idle_ms = options.runner_host_idle.count();
  LTS_RETURN_IF_ERROR(set->OpenHttp(options));
  const std::string& wanted = options.default_runner;
  const bool default_is_ours =
      options.runners.count(wanted) != 0 || (set->http_ && wanted == runners::kHttpRunnerName);
  if (!default_is_ours) loading.default_runner = wanted;
  Result<std::unique_ptr<runners::RunnerRegistry>> loaded =
      runners::RunnerRegistry::Open(std::move(loading), clock);
  if (!loaded.ok()) return loaded.status();
  set->loaded_ = *std::move(loaded);

  LTS_RETURN_IF_ERROR(set->Add(options));
  const std::vector<std::string> known = set->loaded_->names();
  if (default_is_ours) {
    set->default_runner_ = wanted;
  } else if (wanted.empty() && set->added_.size() == 1 &&
             (known.empty() || (known.size() == 1 && known[0] == runners::kExecRunnerName))) {
    set->default_runner_ = set->added_.begin()->first;
  }
  // The set stays where it is, so what asks it may point to it.
  const auto exists = [raw = set.get()](const std::string& name) {
    return !name.empty() && raw->Find(name).ok();
  };
  Result<Routing> routing = Routing::Open(options.shard_field, options.shards, exists);
  if (!routing.ok()) return routing.status();
  set->routing_ = *std::move(routing);
  return set;
}

Status RunnerSet::OpenHttp(const TaskTrackerOptions& options) {
  if (!options.http_enable) return Status::Ok();
  const std::string prefix = "runner.http.";
  std::map<std::string, std::string> own;
  for (auto option = options.runner_config.lower_bound(prefix);
       option != options.runner_config.end() && option->first.rfind(prefix, 0) == 0; ++option) {
    own.emplace(option->first.substr(prefix.size()), option->second);
    if (!runners::IsIsolationKey(option->first.substr(prefix.size()))) {
      return Status::InvalidArgument("option " + option->first + ": the runner http has none such");
    }
  }
  const Result<runners::IsolationOptions> isolation =
      runners::IsolationOf(runners::kHttpRunnerName, own, {});
  if (!isolation.ok()) return isolation.status();
  if (isolation->isolation == runners::Isolation::kProcess) {
    return Status::InvalidArgument("runner.http.isolation=process: http runs in the TaskTracker");
  }
  runners::HttpOptions http;
  http.allow = options.http_allow;
  http.allow_private = options.http_allow_private;
  http.timeout_ms = options.http_timeout.count();
  http.ca_file = options.http_ca;
  http.user_agent = fmt::format("lts/{}", Version());
  const auto probe = runners::HttpRunner::Create(http, limits_, clock_);
  if (!probe.ok()) return probe.status();
  http_ = std::move(http);
  return Status::Ok();
}

Status RunnerSet::Add(const TaskTrackerOptions& options) {
  for (const auto& [name, factory] : options.runners) {
    if (name.empty() || name.size() > 64 || name == runners::kExecRunnerName ||
        name == runners::kHttpRunnerName || !factory) {
      return Status::InvalidArgument(fmt::format(
          "runner \"{}\": expected a name of 1 to 64 bytes other than exec and http, and a factory",
          name));
    }
    if (loaded_->Resolve(name).ok()) {
      return Status::AlreadyExists(
          fmt::format("runner {} is offered by the program and by a plugin", name));
    }
    Added& added = added_[name];
    added.factory = factory;
    using Calls = runner_internal::Calls<JobRunner>;
    added.type = {sizeof(lts_runner_type),
                  nullptr,
                  added_.find(name)->first.c_str(),
                  &CreateAdded,
                  &Calls::Run,
                  &Calls::Cancel,
                  &Calls::Destroy};
    added.cancels = std::make_shared<ThreadStrand>("lts-cancel");
    const std::string prefix = "runner." + name + ".";
    for (auto option = options.runner_config.lower_bound(prefix);
         option != options.runner_config.end() &&
         option->first.compare(0, prefix.size(), prefix) == 0;
         ++option) {
      added.config.emplace(option->first.substr(prefix.size()), option->second);
    }
    const Result<runners::IsolationOptions> own = runners::IsolationOf(name, added.config, {});
    if (!own.ok()) return own.status();
    if (own->isolation == runners::Isolation::kProcess) {
      return Status::InvalidArgument(
          prefix + "isolation=process: a runner of the program itself runs in it");
    }
    std::erase_if(added.config,
                  [](const auto& item) { return runners::IsIsolationKey(item.first); });
  }
  return Status::Ok();
}

std::vector<std::string> RunnerSet::names() const {
  std::vector<std::string> names = loaded_->names();
  for (const auto& [name, added] : added_) names.push_back(name);
  if (http_) names.emplace_back(runners::kHttpRunnerName);
  return names;
}

std::string RunnerSet::KnownNames() const {
  std::string known;
  for (const std::string& name : names()) known += (known.empty() ? "" : ", ") + name;
  return known.empty() ? "there are no runners" : "there are: " + known;
}

Result<std::string> RunnerSet::Resolve(const runners::AttemptInput& input) const {
  const std::string wanted = routing_->RunnerOf(input);
  Result<std::string> found = Find(wanted);
  if (found.ok() || !wanted.empty()) return found;
  return Status::NotFound(routing_->WhyNone(input) +
                          ", and there is no default: set runner.default (" + KnownNames() + ")");
}

Result<std::string> RunnerSet::Find(const std::string& wanted) const {
  if (wanted.empty() && !default_runner_.empty()) return default_runner_;
  if (added_.count(wanted) != 0) return wanted;
  if (wanted == runners::kHttpRunnerName) {
    if (http_) return wanted;
    return Status::NotFound("the runner http is off here: set runner.http.enable=true");
  }
  Result<std::string> resolved = loaded_->Resolve(wanted);
  if (resolved.ok() || (added_.empty() && !http_)) return resolved;
  // The registry's words list its own runners only.
  return Status::NotFound("no runner " + wanted + " here (" + KnownNames() + ")");
}

Result<std::unique_ptr<runners::Runner>> RunnerSet::Create(const std::string& name) const {
  if (http_ && name == runners::kHttpRunnerName) {
    Result<std::unique_ptr<runners::HttpRunner>> made =
        runners::HttpRunner::Create(*http_, limits_, clock_);
    if (!made.ok()) return made.status();
    return std::unique_ptr<runners::Runner>(*std::move(made));
  }
  const auto found = added_.find(name);
  if (found == added_.end()) return loaded_->Create(name);
  creating = &found->second.factory;
  Result<std::unique_ptr<runners::PluginRunner>> made = runners::PluginRunner::Create(
      found->second.type, found->second.config, limits_, clock_, found->second.cancels);
  creating = nullptr;
  if (!made.ok()) return made.status();
  return std::unique_ptr<runners::Runner>(*std::move(made));
}

}  // namespace lts::tasktracker

#include "tasktracker/runners/registry.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/log.h"
#include "tasktracker/runners/exec_runner.h"
#include "tasktracker/runners/host_runner.h"
#include "tasktracker/runners/plugin.h"
#include "tasktracker/runners/plugin_runner.h"

namespace lts::runners {
namespace {

// Names whose options, or whose own meaning, would get mixed up with a plugin's.
constexpr std::string_view kReserved[] = {kExecRunnerName, "http",  "plugins", "default",
                                          "isolation",     "limit", "host"};

std::map<std::string, std::string> WithoutPrefix(const std::map<std::string, std::string>& options,
                                                 const std::string& prefix) {
  std::map<std::string, std::string> items;
  for (auto option = options.lower_bound(prefix);
       option != options.end() && option->first.compare(0, prefix.size(), prefix) == 0; ++option) {
    items.emplace(option->first.substr(prefix.size()), option->second);
  }
  return items;
}

}  // namespace

Result<std::unique_ptr<RunnerRegistry>> RunnerRegistry::Open(RunnerOptions options,
                                                             const Clock& clock) {
  std::unique_ptr<RunnerRegistry> registry(new RunnerRegistry(std::move(options), clock));
  LTS_RETURN_IF_ERROR(registry->Load());
  LTS_RETURN_IF_ERROR(registry->ChooseDefault());
  return registry;
}

Status RunnerRegistry::Load() {
  std::vector<std::string> paths;
  for (const std::string& plugin : options_.plugins) {
    const bool relative = !plugin.empty() && plugin[0] != '/' && !options_.base_folder.empty();
    const Result<std::vector<std::string>> found =
        ExpandPattern(relative ? options_.base_folder + "/" + plugin : plugin);
    if (!found.ok()) return found.status().WithContext("option runner.plugins");
    paths.insert(paths.end(), found->begin(), found->end());
  }
  if (!paths.empty() || options_.exec_enable) LTS_RETURN_IF_ERROR(OpenHosts());
  for (const std::string& path : paths) LTS_RETURN_IF_ERROR(LoadFile(path));
  return options_.exec_enable ? LoadExec() : Status::Ok();
}

// Unless everything runs in this process.
Status RunnerRegistry::OpenHosts() {
  constexpr std::string_view kSuffix = ".isolation";
  const bool wanted =
      options_.isolation.isolation == Isolation::kProcess ||
      std::any_of(options_.config.begin(), options_.config.end(), [&](const auto& option) {
        return option.first.size() > kSuffix.size() && option.second == "process" &&
               option.first.compare(option.first.size() - kSuffix.size(), kSuffix.size(),
                                    kSuffix) == 0;
      });
  if (!wanted) return Status::Ok();
  HostPoolOptions pool;
  pool.program = options_.host_program;
  if (pool.program.empty()) {
    Result<std::string> found = FindRunnerHost();
    if (!found.ok()) return found.status();
    pool.program = *std::move(found);
  }
  pool.hosts_max = options_.hosts_max;
  pool.idle_ms = options_.host_idle_ms;
  pool.limits = options_.limits;
  Result<std::shared_ptr<HostPool>> opened = HostPool::Open(std::move(pool), clock_);
  if (!opened.ok()) return opened.status();
  hosts_ = *std::move(opened);
  return Status::Ok();
}

Status RunnerRegistry::LoadExec() {
  // Made once here for its checks, so that a bad option is found at start and not by the first job.
  const Result<std::unique_ptr<ExecRunner>> probe =
      ExecRunner::Create(options_.exec_allow, ConfigOf(kExecRunnerName), options_.limits, clock_);
  if (!probe.ok()) return probe.status();
  for (const std::string& path : options_.exec_allow) {
    std::error_code error;
    const std::string resolved = std::filesystem::canonical(path, error).string();
    if (error || resolved == path) continue;  // not installed yet is no mistake
    LTS_WARN(
        "entry of runner.exec.allow never matches, list the resolved path entry={} resolved={}",
        path, resolved);
  }
  const Result<IsolationOptions> isolation = IsolationFor(kExecRunnerName);
  if (!isolation.ok()) return isolation.status();
  Entry entry{"built in", nullptr, nullptr, nullptr};
  if (isolation->isolation == Isolation::kProcess) {
    entry.hosted = std::make_shared<const HostedRunner>(HostedRunner{
        kExecRunnerName, "", ConfigOf(kExecRunnerName), options_.exec_allow, isolation->limits});
  }
  entries_.emplace(kExecRunnerName, std::move(entry));
  return Status::Ok();
}

Result<IsolationOptions> RunnerRegistry::IsolationFor(const std::string& runner) const {
  return IsolationOf(runner, WithoutPrefix(options_.config, "runner." + runner + "."),
                     options_.isolation);
}

Result<std::vector<std::string>> RunnerRegistry::NamesIn(const std::string& path) const {
  if (hosts_ != nullptr) return hosts_->List(path);
  const Result<Plugin> plugin = LoadPlugin(path);
  if (!plugin.ok()) return plugin.status();
  std::vector<std::string> names;
  for (const lts_runner_type* type : plugin->types) names.emplace_back(type->name);
  return names;
}

Status RunnerRegistry::LoadFile(const std::string& path) {
  const Result<std::vector<std::string>> names = NamesIn(path);
  if (!names.ok()) return names.status();
  std::error_code error;
  const std::string origin = std::filesystem::canonical(path, error).string();
  for (const std::string& name : *names) {
    if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
      return Status::AlreadyExists("plugin " + origin + ": the runner name " + name +
                                   " is reserved");
    }
    const auto known = entries_.find(name);
    if (known != entries_.end()) {
      // The same file by two names or patterns is the same library, and the same runner.
      if (known->second.origin == origin) continue;
      return Status::AlreadyExists("runner " + name + " is offered twice, by " +
                                   known->second.origin + " and by " + origin);
    }
    const Result<IsolationOptions> isolation = IsolationFor(name);
    if (!isolation.ok()) return isolation.status();
    Entry entry{origin, nullptr, nullptr, nullptr};
    if (isolation->isolation == Isolation::kProcess) {
      entry.hosted = std::make_shared<const HostedRunner>(
          HostedRunner{name, origin, ConfigOf(name), {}, isolation->limits});
    } else {
      const Result<Plugin> plugin = LoadPlugin(path);
      if (!plugin.ok()) return plugin.status();
      const auto type =
          std::find_if(plugin->types.begin(), plugin->types.end(),
                       [&](const lts_runner_type* offered) { return offered->name == name; });
      if (type == plugin->types.end()) {
        return Status::FailedPrecondition("plugin " + origin + " has changed: no runner " + name);
      }
      entry.type = *type;
      entry.cancels = std::make_shared<ThreadStrand>("lts-cancel");
    }
    entries_.emplace(name, std::move(entry));
  }
  LTS_DEBUG("plugin loaded path={} runners={}", origin, names->size());
  return Status::Ok();
}

Status RunnerRegistry::ChooseDefault() {
  if (!options_.default_runner.empty()) {
    if (entries_.count(options_.default_runner) == 0) {
      return Status::InvalidArgument("option runner.default=" + options_.default_runner +
                                     ": there is no such runner (" + KnownNames() + ")");
    }
    default_runner_ = options_.default_runner;
    return Status::Ok();
  }
  const auto from_plugin = [](const auto& entry) { return entry.first != kExecRunnerName; };
  if (std::count_if(entries_.begin(), entries_.end(), from_plugin) == 1) {
    default_runner_ = std::find_if(entries_.begin(), entries_.end(), from_plugin)->first;
  }
  return Status::Ok();
}

std::map<std::string, std::string> RunnerRegistry::ConfigOf(const std::string& runner) const {
  std::map<std::string, std::string> items =
      WithoutPrefix(options_.config, "runner." + runner + ".");
  std::erase_if(items, [](const auto& item) { return IsIsolationKey(item.first); });
  return items;
}

std::string RunnerRegistry::KnownNames() const {
  std::string known;
  for (const auto& [name, entry] : entries_) known += (known.empty() ? "" : ", ") + name;
  return known.empty() ? "there are no runners" : "there are: " + known;
}

std::vector<std::string> RunnerRegistry::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

Result<std::string> RunnerRegistry::Resolve(const std::string& wanted) const {
  if (wanted.empty()) {
    if (!default_runner_.empty()) return default_runner_;
    return Status::NotFound(
        "the job names no runner, and there is no default: set runner.default (" + KnownNames() +
        ")");
  }
  if (entries_.count(wanted) != 0) return wanted;
  if (wanted == kExecRunnerName) {
    return Status::NotFound("the runner exec is off here: set runner.exec.enable=true");
  }
  return Status::NotFound("no runner " + wanted + " here (" + KnownNames() + ")");
}

Result<std::unique_ptr<Runner>> RunnerRegistry::Create(const std::string& name) const {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return Resolve(name).status();
  if (entry->second.hosted != nullptr) {
    Result<std::unique_ptr<HostRunner>> made =
        HostRunner::Create(hosts_, entry->second.hosted, options_.limits, clock_);
    if (!made.ok()) return made.status();
    return std::unique_ptr<Runner>(*std::move(made));
  }
  if (entry->second.type == nullptr) {
    Result<std::unique_ptr<ExecRunner>> made =
        ExecRunner::Create(options_.exec_allow, ConfigOf(name), options_.limits, clock_);
    if (!made.ok()) return made.status();
    return std::unique_ptr<Runner>(*std::move(made));
  }
  Result<std::unique_ptr<PluginRunner>> made = PluginRunner::Create(
      *entry->second.type, ConfigOf(name), options_.limits, clock_, entry->second.cancels);
  if (!made.ok()) return made.status();
  return std::unique_ptr<Runner>(*std::move(made));
}

}  // namespace lts::runners

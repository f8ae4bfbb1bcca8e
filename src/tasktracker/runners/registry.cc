#include "tasktracker/runners/registry.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/log.h"
#include "tasktracker/runners/exec_runner.h"
#include "tasktracker/runners/plugin.h"
#include "tasktracker/runners/plugin_runner.h"

namespace lts::runners {
namespace {

// Names whose options, or whose own meaning, would get mixed up with a plugin's.
constexpr std::string_view kReserved[] = {kExecRunnerName, "http", "plugins", "default"};

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
  for (const std::string& path : paths) LTS_RETURN_IF_ERROR(LoadFile(path));

  if (options_.exec_enable) {
    // Made once here for its checks, so that a bad option is found at start and not by the first
    // job.
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
    entries_.emplace(kExecRunnerName, Entry{nullptr, "built in", nullptr});
  }
  return Status::Ok();
}

Status RunnerRegistry::LoadFile(const std::string& path) {
  const Result<Plugin> plugin = LoadPlugin(path);
  if (!plugin.ok()) return plugin.status();
  for (const lts_runner_type* type : plugin->types) {
    const std::string name = type->name;
    if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
      return Status::AlreadyExists("plugin " + plugin->path + ": the runner name " + name +
                                   " is reserved");
    }
    const auto [entry, added] = entries_.emplace(name, Entry{type, plugin->path, nullptr});
    if (added) entry->second.cancels = std::make_shared<ThreadStrand>("lts-cancel");
    // The same file by two names or patterns is the same library, and the same table.
    if (!added && entry->second.type != type) {
      return Status::AlreadyExists("runner " + name + " is offered twice, by " +
                                   entry->second.origin + " and by " + plugin->path);
    }
  }
  LTS_DEBUG("plugin loaded path={} runners={}", plugin->path, plugin->types.size());
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
  const auto from_plugin = [](const auto& entry) { return entry.second.type != nullptr; };
  if (std::count_if(entries_.begin(), entries_.end(), from_plugin) == 1) {
    default_runner_ = std::find_if(entries_.begin(), entries_.end(), from_plugin)->first;
  }
  return Status::Ok();
}

std::map<std::string, std::string> RunnerRegistry::ConfigOf(const std::string& runner) const {
  const std::string prefix = "runner." + runner + ".";
  std::map<std::string, std::string> items;
  for (auto option = options_.config.lower_bound(prefix);
       option != options_.config.end() && option->first.compare(0, prefix.size(), prefix) == 0;
       ++option) {
    items.emplace(option->first.substr(prefix.size()), option->second);
  }
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

#include "tasktracker/runners/plugin.h"

#include <dlfcn.h>
#include <glob.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/log.h"
#include "tasktracker/runners/text.h"

namespace lts::runners {
namespace {

// A broken list that runs in a circle must not hang the start.
constexpr std::size_t kTypesPerPluginMax = 1000;
constexpr std::size_t kNameBytesMax = 256;  // 64 characters of up to four bytes

Result<std::string> ResolveFile(const std::string& path) {
  std::error_code error;
  const std::filesystem::path resolved = std::filesystem::canonical(path, error);
  if (error) {
    const std::string text = "plugin " + path + ": " + error.message();
    const bool missing =
        error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
    return missing ? Status::NotFound(text) : Status::InvalidArgument(text);
  }
  if (!std::filesystem::is_regular_file(resolved, error)) {
    return Status::InvalidArgument("plugin " + path + " is not a file");
  }
  return resolved.string();
}

// Letters, digits and what group names may hold; letters of other scripts are any bytes above
// ASCII.
bool IsRunnerName(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  if (ValidUtf8(name) != name) return false;
  const auto characters = std::count_if(name.begin(), name.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  if (characters > 64) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || std::string_view("._:-").find(c) != std::string_view::npos;
  });
}

Status CheckType(const std::string& path, const lts_runner_type& type) {
  if (type.struct_size < sizeof(lts_runner_type)) {
    return Status::FailedPrecondition("plugin " + path + ": its runner table has entries of " +
                                      std::to_string(type.struct_size) + " bytes, at least " +
                                      std::to_string(sizeof(lts_runner_type)) +
                                      " are needed; build it again");
  }
  if (type.name == nullptr || !IsRunnerName(type.name)) {
    return Status::FailedPrecondition("plugin " + path + ": runner name '" +
                                      ValidUtf8(type.name == nullptr ? "" : type.name) +
                                      "' must be 1 to 64 letters, digits or . _ : -");
  }
  if (type.create == nullptr || type.run == nullptr || type.cancel == nullptr ||
      type.destroy == nullptr) {
    return Status::FailedPrecondition("plugin " + path + ": runner " + type.name +
                                      " lacks one of create, run, cancel, destroy");
  }
  return Status::Ok();
}

}  // namespace

Result<Plugin> LoadPlugin(const std::string& path) {
  Result<std::string> resolved = ResolveFile(path);
  if (!resolved.ok()) return resolved.status();

  // RTLD_LOCAL: two plugins may define the same names. Never closed, see Plugin.
  void* library = dlopen(resolved->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    const std::string text = reason == nullptr ? "unknown reason" : reason;
    const std::string message = "plugin " + path + " cannot be loaded: " + text;
    // dlopen has no codes; these are glibc's words for a file that is no shared library at all.
    const bool not_a_library = text.find("invalid ELF header") != std::string::npos ||
                               text.find("file too short") != std::string::npos;
    return not_a_library ? Status::InvalidArgument(message) : Status::FailedPrecondition(message);
  }
  const auto entry =
      reinterpret_cast<lts_runner_plugin_entry_fn>(dlsym(library, LTS_RUNNER_PLUGIN_ENTRY_NAME));
  if (entry == nullptr) {
    return Status::InvalidArgument("plugin " + path +
                                   " is not a runner plugin: it does not export " +
                                   LTS_RUNNER_PLUGIN_ENTRY_NAME + " (is LTS_JOB_RUNNER missing?)");
  }

  const lts_runner_plugin* table = entry(LTS_RUNNER_ABI_VERSION);
  if (table == nullptr) {
    return Status::FailedPrecondition("plugin " + path + " does not serve runner ABI version " +
                                      std::to_string(LTS_RUNNER_ABI_VERSION));
  }
  // The version stands in the same place in every version; nothing else may be read before it is
  // known.
  if (table->struct_size < offsetof(lts_runner_plugin, abi_version) + sizeof(table->abi_version)) {
    return Status::FailedPrecondition("plugin " + path +
                                      ": its table is too short to hold a version");
  }
  if (table->abi_version != LTS_RUNNER_ABI_VERSION) {
    return Status::FailedPrecondition(
        "plugin " + path + " was built for runner ABI version " +
        std::to_string(table->abi_version) + ", this program has version " +
        std::to_string(LTS_RUNNER_ABI_VERSION) + "; build it again with this version's headers");
  }
  if (table->struct_size < sizeof(lts_runner_plugin)) {
    return Status::FailedPrecondition("plugin " + path + ": its table has " +
                                      std::to_string(table->struct_size) + " bytes, at least " +
                                      std::to_string(sizeof(lts_runner_plugin)) + " are needed");
  }

  Plugin plugin;
  plugin.path = *std::move(resolved);
  for (const lts_runner_type* type = table->first; type != nullptr; type = type->next) {
    if (plugin.types.size() == kTypesPerPluginMax) {
      return Status::FailedPrecondition("plugin " + path + ": more than " +
                                        std::to_string(kTypesPerPluginMax) + " runners");
    }
    LTS_RETURN_IF_ERROR(CheckType(path, *type));
    plugin.types.push_back(type);
  }
  if (plugin.types.empty()) {
    return Status::FailedPrecondition("plugin " + path +
                                      " holds no runner (is LTS_JOB_RUNNER missing?)");
  }
  std::sort(plugin.types.begin(), plugin.types.end(),
            [](const lts_runner_type* a, const lts_runner_type* b) {
              return std::string_view(a->name) < std::string_view(b->name);
            });
  return plugin;
}

Result<std::vector<std::string>> ExpandPattern(const std::string& pattern) {
  if (pattern.find_first_of("*?[") == std::string::npos) {
    LTS_RETURN_IF_ERROR(ResolveFile(pattern).status());
    return std::vector<std::string>{pattern};
  }
  glob_t found{};
  const int error = glob(pattern.c_str(), GLOB_ERR, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  if (error == GLOB_NOMATCH) {
    // A file whose very name holds such characters.
    if (ResolveFile(pattern).ok()) return std::vector<std::string>{pattern};
    LTS_WARN("no plugin matches pattern={}", pattern);
    return std::vector<std::string>();
  }
  if (error != 0)
    return Status::InvalidArgument("plugins " + pattern + ": a folder on the way cannot be read");
  return paths;
}

}  // namespace lts::runners

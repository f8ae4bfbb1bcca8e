#include "jobclient/cli/fail_folders.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "failstore/adopt.h"

namespace lts::jobclient::cli {
namespace {

// Every RocksDB and every LevelDB has this file. Looked for, so that a wrong path is not made into
// a store.
bool IsStore(const std::string& folder) {
  std::error_code error;
  return std::filesystem::is_regular_file(folder + "/CURRENT", error);
}

// The lock of a folder stands beside it.
std::string WithoutSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

Result<FailFolders> FindFailFolders(const Context& context, const std::string& path) {
  const Result<JobClientOptions> options = context.LoadOptions(true);
  if (!options.ok()) return options.status();
  FailFolders folders;
  folders.engine = options->fail_store.empty() ? "rocksdb" : options->fail_store;
  folders.base = fmt::format("{}/JOB_CLIENT/{}", options->data_path, options->node_group);
  if (!path.empty()) {
    folders.base = WithoutSlashes(path);
    if (IsStore(folders.base)) {
      folders.free.push_back(folders.base);  // if it is in use, to open it says by whom
      return folders;
    }
  }
  folders.free = UnlockedSiblings(folders.base);
  std::error_code error;  // a folder that cannot be listed is as good as none
  for (std::filesystem::directory_iterator it(folders.base, error), end; !error && it != end;
       it.increment(error)) {
    const std::string folder = it->path().string();
    const std::string name = it->path().filename().string();
    // The rest are lock files, and what a removal that was cut short has left.
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::error_code no_folder;
    const bool free =
        std::find(folders.free.begin(), folders.free.end(), folder) != folders.free.end();
    if (it->is_directory(no_folder) && !free) folders.in_use.push_back(folder);
  }
  std::sort(folders.in_use.begin(), folders.in_use.end());
  if (!path.empty() && folders.free.empty() && folders.in_use.empty()) {
    return Status::NotFound("there is no FailStore in " + path);
  }
  return folders;
}

Result<std::unique_ptr<FailStore>> OpenToLook(const FailFolders& folders,
                                              const std::string& folder) {
  const Result<std::string> made_by = FailStoreEngineOf(folder);
  if (!made_by.ok()) return made_by.status();
  return OpenFailStore(made_by->empty() ? folders.engine : *made_by, folder,
                       FailStoreLimits::None());
}

}  // namespace lts::jobclient::cli

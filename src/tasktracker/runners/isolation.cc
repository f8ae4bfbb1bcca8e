#include "tasktracker/runners/isolation.h"

#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <vector>

#include "common/daemon.h"
#include "common/options.h"

namespace lts::runners {
namespace {

constexpr std::string_view kHostProgram = "lts-runner-host";
constexpr std::string_view kIsolation = "isolation";
constexpr std::string_view kMemory = "limit.memory";
constexpr std::string_view kCpu = "limit.cpu";
constexpr std::string_view kFiles = "limit.files";

constexpr std::int64_t kMemoryMin = 16 << 20;  // less, and the host itself does not start
constexpr std::int64_t kFilesMin = 32;
constexpr std::int64_t kLimitMax = 1LL << 50;

Status CheckLimit(const std::string& key, std::int64_t value, std::int64_t min) {
  if (value == 0 || (value >= min && value <= kLimitMax)) return Status::Ok();
  return Status::InvalidArgument("option " + key + " is " + std::to_string(value) +
                                 ": expected 0 (no limit), or " + std::to_string(min) +
                                 " and more");
}

}  // namespace

Result<Isolation> ParseIsolation(std::string_view option, std::string_view text) {
  if (text == "thread") return Isolation::kThread;
  if (text == "process") return Isolation::kProcess;
  return Status::InvalidArgument("option " + std::string(option) + "=" + std::string(text) +
                                 " must be process or thread");
}

Status CheckLimits(const std::string& prefix, const ResourceLimits& limits) {
  LTS_RETURN_IF_ERROR(CheckLimit(prefix + std::string(kMemory), limits.memory_bytes, kMemoryMin));
  LTS_RETURN_IF_ERROR(CheckLimit(prefix + std::string(kCpu), limits.cpu_s, 1));
  return CheckLimit(prefix + std::string(kFiles), limits.files, kFilesMin);
}

bool IsIsolationKey(std::string_view key) {
  return key == kIsolation || key == kMemory || key == kCpu || key == kFiles;
}

Result<IsolationOptions> IsolationOf(const std::string& runner,
                                     const std::map<std::string, std::string>& items,
                                     const IsolationOptions& common) {
  IsolationOptions out = common;
  bool own_limit = false;
  for (const auto& [name, text] : items) {
    if (!IsIsolationKey(name)) continue;
    const std::string key = "runner." + runner + "." + name;
    if (name == kIsolation) {
      const Result<Isolation> isolation = ParseIsolation(key, text);
      if (!isolation.ok()) return isolation.status();
      out.isolation = *isolation;
      continue;
    }
    own_limit = true;
    if (name == kCpu) {
      const Result<DurationMs> ms = ParseDuration(text, 1000);
      if (!ms.ok()) return ms.status().WithContext("option " + key + "=" + text);
      out.limits.cpu_s = (*ms + 999) / 1000;
      continue;
    }
    const Result<std::int64_t> value = name == kMemory ? ParseBytes(text) : ParseInteger(text);
    if (!value.ok()) return value.status().WithContext("option " + key + "=" + text);
    (name == kMemory ? out.limits.memory_bytes : out.limits.files) = *value;
  }
  LTS_RETURN_IF_ERROR(CheckLimits("runner." + runner + ".", out.limits));
  if (own_limit && out.isolation == Isolation::kThread) {
    return Status::InvalidArgument("options runner." + runner +
                                   ".limit.* need a process of its own: set runner." + runner +
                                   ".isolation=process");
  }
  return out;
}

Result<std::string> FindRunnerHost() {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> folders;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(self.parent_path());
  folders.push_back(fs::path(HomeFolder()) / "bin");
  Dl_info library{};
  if (dladdr(reinterpret_cast<const void*>(&FindRunnerHost), &library) != 0 &&
      library.dli_fname != nullptr) {
    const fs::path folder = fs::absolute(library.dli_fname, error).parent_path().parent_path();
    folders.push_back(folder / "bin");
    folders.push_back(folder / "libexec");
  }
  std::string looked;
  for (const fs::path& folder : folders) {
    const std::string path = (folder / kHostProgram).string();
    if (access(path.c_str(), X_OK) == 0) return path;
    if (looked.find(path) == std::string::npos) looked += (looked.empty() ? "" : ", ") + path;
  }
  return Status::NotFound(std::string(kHostProgram) + " is not installed (looked for " + looked +
                          "); runner.isolation=thread does without it");
}

}  // namespace lts::runners

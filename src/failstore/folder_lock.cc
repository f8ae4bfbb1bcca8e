#include "failstore/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "common/log.h"

namespace lts {
namespace {

namespace fs = std::filesystem;

Status FileError(int error, const std::string& what, const std::string& path) {
  const std::string text = what + " " + path + ": " + std::generic_category().message(error);
  if (error == ENOSPC || error == EDQUOT) return Status::ResourceExhausted(text);
  if (error == EACCES || error == EPERM || error == EROFS) return Status::PermissionDenied(text);
  return Status::Internal(text);
}

void SyncFolder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || ::fsync(fd) != 0) {
    LTS_WARN("failstore folder not synced folder={} error={}", folder,
             std::generic_category().message(errno));
  }
  if (fd >= 0) ::close(fd);
}

constexpr char kEngineFile[] = "/ENGINE";
constexpr std::size_t kEngineNameMax = 64;

// Durable as a whole or not there.
Status WriteWhole(const std::string& path, const std::string& text) {
  const std::string draft = path + ".new";
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return FileError(errno, "cannot write", draft);
  const ssize_t written = ::write(fd, text.data(), text.size());
  const int write_error = written < 0 ? errno : ENOSPC;
  if (written != static_cast<ssize_t>(text.size())) {
    ::close(fd);
    return FileError(write_error, "cannot write", draft);
  }
  const int sync_error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (sync_error != 0) return FileError(sync_error, "cannot sync", draft);
  if (::rename(draft.c_str(), path.c_str()) != 0) return FileError(errno, "cannot rename", draft);
  SyncFolder(fs::path(path).parent_path().string());
  return Status::Ok();
}

}  // namespace

Status MakeFolders(const std::string& folder) {
  std::error_code error;
  if (fs::is_directory(folder, error)) return Status::Ok();
  const std::string parent = fs::path(folder).parent_path().string();
  if (!parent.empty()) LTS_RETURN_IF_ERROR(MakeFolders(parent));
  if (::mkdir(folder.c_str(), 0777) != 0) {
    const int reason = errno;
    // EEXIST: another process was quicker, or a file stands in the way.
    if (reason != EEXIST || !fs::is_directory(folder, error)) {
      return FileError(reason, "cannot make folder", folder);
    }
  }
  SyncFolder(parent.empty() ? "." : parent);
  return Status::Ok();
}

Status RemoveFolder(const std::string& folder) {
  const std::string doomed = folder + ".removed";
  std::error_code error;
  fs::remove_all(doomed, error);
  if (error) return FileError(error.value(), "cannot remove", doomed);
  if (::rename(folder.c_str(), doomed.c_str()) != 0) {
    if (errno == ENOENT) return Status::Ok();
    return FileError(errno, "cannot rename", folder);
  }
  fs::remove_all(doomed, error);
  if (error) return FileError(error.value(), "cannot remove", doomed);
  return Status::Ok();
}

Result<std::string> FolderEngine(const std::string& folder) {
  const std::string path = folder + kEngineFile;
  std::error_code error;
  if (!fs::exists(path, error)) {
    if (error) return FileError(error.value(), "cannot look for", path);
    return std::string(fs::exists(folder + "/CURRENT", error) ? "rocksdb" : "");
  }
  std::ifstream file(path);
  std::string engine;
  if (!std::getline(file, engine) || engine.empty() || engine.size() > kEngineNameMax) {
    return Status::DataLoss("the file " + path + " does not name the engine of the FailStore");
  }
  return engine;
}

Status ClaimFolder(const std::string& folder, const std::string& engine) {
  const Result<std::string> made_by = FolderEngine(folder);
  if (!made_by.ok()) return made_by.status();
  if (*made_by == engine) return Status::Ok();
  if (!made_by->empty()) {
    return Status::InvalidArgument("the FailStore folder " + folder +
                                   " was made with job.fail.store=" + *made_by +
                                   ", and now job.fail.store=" + engine + ": keep " + *made_by +
                                   " until its records are sent, or use another dataPath");
  }
  return WriteWhole(folder + kEngineFile, engine + "\n");
}

Result<std::unique_ptr<FolderLock>> FolderLock::Acquire(const std::string& folder) {
  const std::string path = folder + ".lock";
  const std::string parent = fs::path(folder).parent_path().string();
  if (!parent.empty()) LTS_RETURN_IF_ERROR(MakeFolders(parent));
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return FileError(errno, "cannot open lock file", path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    char text[32] = {};
    const ssize_t got = ::pread(fd, text, sizeof(text) - 1, 0);
    ::close(fd);
    if (reason != EWOULDBLOCK) return FileError(reason, "cannot lock", path);
    const std::string pid(text, got > 0 ? static_cast<std::size_t>(got) : 0);
    return Status::FailedPrecondition(
        "the FailStore folder " + folder + " is in use by " +
        (pid.empty() ? std::string("another process") : "process " + pid));
  }
  // The pid serves the message above only; a full disk must not keep the lock from being taken.
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    LTS_DEBUG("failstore lock holder not noted path={}", path);
  }
  return std::unique_ptr<FolderLock>(new FolderLock(fd));
}

FolderLock::~FolderLock() { ::close(fd_); }

}  // namespace lts

// The lock of a FailStore folder, and its creation, its owner's name and its removal under it.
#pragma once

#include <memory>
#include <string>

#include "lts/status.h"

namespace lts {

// Holds flock on `folder`.lock until destroyed. The file stands beside the folder and is never
// removed: a lock inside could be removed together with the folder by one process while another is
// just opening it, and both would believe they hold it. The holder's pid is written into it. The
// kernel releases the lock when the process ends in whatever way.
class FolderLock {
 public:
  // kFailedPrecondition when somebody holds it, this process included. Makes the parent folders.
  static Result<std::unique_ptr<FolderLock>> Acquire(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  const int fd_;
};

// Makes the folder and the missing ones above it, each entry synced into its parent.
Status MakeFolders(const std::string& folder);

// Removes a folder in such a way that a crash never leaves half of it under its name: it is renamed
// to `folder`.removed first. Call under its lock. Absent folders are fine.
Status RemoveFolder(const std::string& folder);

// The engine that made the folder, by the file ENGINE in it; "" when there is nothing in it yet. A
// database without the file is one of RocksDB: there was no other engine then.
Result<std::string> FolderEngine(const std::string& folder);

// Writes the file ENGINE, durably, when the folder is nobody's. kInvalidArgument when another
// engine made it: the message names job.fail.store. Call under the lock, before the engine makes
// any file.
Status ClaimFolder(const std::string& folder, const std::string& engine);

}  // namespace lts
